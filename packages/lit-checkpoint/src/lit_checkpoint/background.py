"""Saving while training goes on."""

import threading
import warnings
from collections.abc import Callable
from typing import Any, Literal

from lit_checkpoint.functions import save
from lit_checkpoint.plain import check_plain
from lit_checkpoint.staging import HostCopier

_THREAD = "lit-checkpoint-save"


def in_background() -> bool:
    """Whether this is the thread of a :class:`BackgroundSaver`."""
    return threading.current_thread().name == _THREAD


class BackgroundSaver:
    """Saves in a thread; the caller waits only while the state is copied to host memory.

    - **One save at a time.** The next waits for it, or raises, as ``when_busy`` says.
    - **Memory.** One copy of the state's tensors in host memory (pinned for tensors on a CUDA device), allocated at the
      first save, used again by the later ones, given back by :meth:`close`. Writing needs no other copy.
    - **Errors are not lost.** What the thread raises is handed to ``on_error`` there and then, and raised once by the
      next call of any method.
    - Whatever ``save`` does happens in the thread in its order: a :class:`CheckpointManager` removes older checkpoints
      after the new one is on the disk and verified.

    A program that ends without :meth:`close` still finishes the save under way. Call the methods from one thread.

    Where several processes save together, each has a saver, and memory for the parts that it holds. What fails in one
    fails in all of them. Their threads need a process group that nothing else uses: see
    :meth:`ShardedCheckpointIO.apart`.

    Args:
        save: What saves: called in the thread with a copy of the state and the other arguments of :meth:`save`.
            Default :func:`lit_checkpoint.save`; mostly the ``save`` of a :class:`CheckpointManager`.
        when_busy: ``"wait"`` for the save under way, or ``"raise"`` a RuntimeError without touching it.
        on_error: Called in the thread with the exception when a save fails.

    Raises:
        ValueError: For another ``when_busy``.

    Example:
        >>> import tempfile, torch
        >>> from lit_checkpoint import CheckpointManager, load
        >>> manager = CheckpointManager(tempfile.mkdtemp())
        >>> weight = torch.zeros(2)
        >>> with BackgroundSaver(manager.save) as saver:
        ...     for step in range(3):
        ...         saver.save({"weight": weight}, step=step)
        ...         weight += 1  # does not reach what is being saved
        >>> load(manager.last_path)
        {'weight': tensor([2., 2.])}
    """

    def __init__(
        self,
        save: Callable[..., Any] = save,
        *,
        when_busy: Literal["wait", "raise"] = "wait",
        on_error: Callable[[BaseException], object] | None = None,
    ) -> None:
        if when_busy not in ("wait", "raise"):
            raise ValueError(f"when_busy={when_busy!r} must be 'wait' or 'raise'.")
        self._save = save
        self._when_busy = when_busy
        self._on_error = on_error
        self._host = HostCopier()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._result: Any = None
        self._closed = False

    def __enter__(self) -> "BackgroundSaver":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except BaseException as own:
            warnings.warn(f"The save in the background failed as well: {own!r}", RuntimeWarning, stacklevel=2)

    def save(self, state: dict[str, Any] | Callable[[], dict[str, Any]], *args: Any, **kwargs: Any) -> None:
        """Copy ``state`` and begin to save it.

        Args:
            state: The state, or a function that returns it.
            args: Handed on, as the path is to :func:`lit_checkpoint.save`.
            kwargs: Handed on, as ``step`` and ``metrics`` are to :meth:`CheckpointManager.save`.

        Raises:
            TypeError: If the state holds what cannot be loaded safely, naming its place; nothing is saved.
            RuntimeError: If one is under way and ``when_busy`` is ``"raise"``, or after :meth:`close`.
            BaseException: What the save before raised. The new state was not saved then; calling again saves it.
        """
        if self._closed:
            raise RuntimeError("This BackgroundSaver is closed; make a new one to save again.")
        if self._when_busy == "wait":
            self.wait()
        elif not self.poll():
            raise RuntimeError(
                "A save is still under way. Save less often, or give when_busy='wait' to wait for it instead."
            )
        plain = state() if callable(state) else state
        check_plain(plain, any_tensor=True)
        copied = self._host.copy(plain)
        self._result = None
        self._thread = threading.Thread(target=self._run, args=(copied, args, kwargs), name=_THREAD)
        self._thread.start()

    def poll(self) -> bool:
        """Whether no save is under way; raises what the last one raised."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self.wait()
        return True

    def wait(self, timeout_s: float | None = None) -> Any:
        """Wait for the save under way.

        Args:
            timeout_s: Seconds to wait at most; ``None`` is without end.

        Returns:
            What the last save returned: the path, if it is that of a :class:`CheckpointManager`.

        Raises:
            TimeoutError: If it takes longer; the save goes on.
            BaseException: What the save raised.
        """
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                raise TimeoutError(f"The save was not finished after {timeout_s} s; it goes on.")
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._result

    def close(self) -> None:
        """Wait, give the memory back, and raise what the save raised. May be called again."""
        self._closed = True
        try:
            self.wait()
        finally:
            if self._thread is None:
                self._host.release()

    def _run(self, state: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self._result = self._save(state, *args, **kwargs)
        except BaseException as error:
            self._error = error
            if self._on_error is not None:
                self._on_error(error)
