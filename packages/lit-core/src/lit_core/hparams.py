"""Hyperparameters: the arguments a module was built with, as plain data."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from types import FrameType
from typing import Any

from torch import nn

_PLAIN = (str, int, float, bool, bytes, type(None))


class HParams(dict[str, Any]):
    """A dict whose keys are attributes too.

    Example:
        >>> hparams = HParams(lr=0.1)
        >>> hparams.lr
        0.1
        >>> hparams.momentum = 0.9
        >>> dict(hparams)
        {'lr': 0.1, 'momentum': 0.9}
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"No hyperparameter {name!r}; there are {sorted(self)}.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def collect_arguments(frame: FrameType, ignore: Iterable[str]) -> HParams:
    """The arguments of the ``__init__`` that runs in ``frame`` and of those that it calls, by name."""
    ignored = set(ignore)
    found = HParams()
    owner = inspect.getargvalues(frame).locals.get("self")
    current: FrameType | None = frame
    frames: list[FrameType] = []
    while current is not None and current.f_code.co_name == "__init__" and current.f_locals.get("self") is owner:
        frames.append(current)  # a subclass's __init__ called this one: its arguments win
        current = current.f_back
    for init in frames:
        info = inspect.getargvalues(init)
        named = {name: info.locals[name] for name in info.args[1:] if name in info.locals}
        extra = info.locals.get(info.keywords, {}) if info.keywords else {}
        found.update({name: value for name, value in {**extra, **named}.items() if not name.startswith("__")})
    return HParams({name: value for name, value in found.items() if name not in ignored})


def as_hparams(given: tuple[Any, ...], frame: FrameType, ignore: Iterable[str]) -> HParams:
    """Hyperparameters from what ``save_hyperparameters`` was given: nothing, names, or one mapping or dataclass."""
    if not given:
        return collect_arguments(frame, ignore)
    if all(isinstance(name, str) for name in given):
        arguments = collect_arguments(frame, ())
        missing = [name for name in given if name not in arguments]
        if missing:
            raise ValueError(f"No arguments {missing} in __init__; there are {sorted(arguments)}.")
        return HParams({name: arguments[name] for name in given if name not in set(ignore)})
    if len(given) == 1:
        (value,) = given
        if is_dataclass(value) and not isinstance(value, type):
            return HParams(asdict(value))
        if isinstance(value, Mapping):
            return HParams(value)
        if hasattr(value, "__dict__"):  # argparse.Namespace and its like
            return HParams(vars(value))
    raise TypeError(
        "save_hyperparameters() takes nothing (all arguments of __init__), names of arguments, or one mapping, "
        f"dataclass or namespace; got {[type(value).__name__ for value in given]}."
    )


def check_plain(value: Any, place: str = "hparams") -> None:
    """Refuse what a checkpoint could not hold safely.

    Raises:
        TypeError: naming the key, its type and the way out.
    """
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_plain(item, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            check_plain(item, f"{place}[{i}]")
    else:
        what = "a module" if isinstance(value, nn.Module) else f"of type {type(value).__name__}"
        raise TypeError(
            f"{place} is {what}; hyperparameters are plain data (numbers, strings, lists, dicts), so that a checkpoint "
            "loads anywhere without running code. Leave it out: "
            f"self.save_hyperparameters(ignore=[{place.rpartition('.')[2]!r}])."
        )


def plain(value: Any) -> Any:
    """Plain containers in place of :class:`HParams` and other mappings."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value) if type(value) in (list, tuple) else [plain(v) for v in value]
    return value


class HasHParams:
    """``save_hyperparameters`` and ``hparams``, for modules and datamodules."""

    _hparams: HParams | None = None
    _log_hparams: bool = True

    def save_hyperparameters(
        self, *args: Any, ignore: Iterable[str] | str = (), frame: FrameType | None = None, logger: bool = True
    ) -> None:
        """Remember the arguments of ``__init__`` as ``self.hparams``; checkpoints and loggers record them.

        Args:
            args: nothing for all arguments; names of some; or one mapping, dataclass or namespace.
            ignore: names to leave out (modules, datasets: what is not plain data).
            frame: whose arguments; the caller's by default.
            logger: whether loggers record them.

        Raises:
            TypeError: if one is not plain data, naming it.
        """
        if frame is None:
            current = inspect.currentframe()
            frame = current.f_back if current is not None else None
        if frame is None:
            raise RuntimeError("This Python has no frames: give save_hyperparameters a mapping of the arguments.")
        hparams = as_hparams(args, frame, [ignore] if isinstance(ignore, str) else ignore)
        check_plain(hparams)
        self._hparams = HParams({**(self._hparams or {}), **hparams})
        self._log_hparams = logger

    @property
    def hparams(self) -> HParams:
        """What :meth:`save_hyperparameters` remembered; empty before."""
        return self._hparams if self._hparams is not None else HParams()

    @property
    def logged_hparams(self) -> dict[str, Any]:
        """The hyperparameters that loggers should record."""
        return plain(self.hparams) if self._log_hparams else {}
