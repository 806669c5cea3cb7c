"""When a checkpoint is due."""

import time


class Every:
    """Says when the next checkpoint is due: after so many steps, epochs or seconds, whichever comes first.

    What counts is that a multiple was passed, so it works when not every step is asked about, and after a resume goes
    on as if nothing had happened. Which checkpoints stay is another matter: see :class:`CheckpointManager`, whose
    ``wants(metrics)`` with ``save_last=False`` is the trigger by a metric. In a run of several processes one must
    decide for all, since clocks differ.

    Args:
        steps: Due when ``step`` comes to a multiple of this.
        epochs: Due when ``epoch`` comes to a multiple of this.
        seconds: Due when this long has passed since the last time it was due, or since it was made.

    Raises:
        ValueError: For a number that is not positive, or if none is given.

    Example:
        >>> every = Every(steps=100)
        >>> [step for step in range(1, 301) if every.due(step=step)]
        [100, 200, 300]
    """

    def __init__(self, *, steps: int | None = None, epochs: int | None = None, seconds: float | None = None) -> None:
        given = {"steps": steps, "epochs": epochs, "seconds": seconds}
        if not any(value is not None for value in given.values()):
            raise ValueError("Give at least one of steps, epochs and seconds.")
        for name, value in given.items():
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} must be positive.")
        self._steps = steps
        self._epochs = epochs
        self._seconds = seconds
        self._step: int | None = None
        self._epoch: int | None = None
        self._time = time.monotonic()

    def due(self, *, step: int, epoch: int | None = None) -> bool:
        """Whether a checkpoint is due now; asked again with the same numbers, it is not.

        Args:
            step: Steps so far.
            epoch: Epochs finished so far, given when one has ended; without it ``epochs`` has no effect.
        """
        now = time.monotonic()
        found = _passed(self._steps, self._step, step)
        if epoch is not None:
            found |= _passed(self._epochs, self._epoch, epoch)
            self._epoch = epoch
        found |= self._seconds is not None and now - self._time >= self._seconds
        self._step = step
        if found:
            self._time = now
        return found


def _passed(every: int | None, before: int | None, count: int) -> bool:
    """Whether a multiple lies after ``before`` and not after ``count``; the first question is about its step alone."""
    if every is None:
        return False
    return count // every > (max(count - 1, 0) if before is None else before) // every
