"""A validation inside training is given up when the machine is taken away: as if it had never begun."""

import time
from collections.abc import Iterator
from typing import TypeVar

from lit_accelerators import rng_state, set_rng_state
from lit_core.metric_state import metric_states, return_metrics
from lit_core.run import AGREE_EVERY_S, Run, is_preemption

T = TypeVar("T")


class GivenUp(Exception):  # noqa: N818 - a signal, no error
    """An evaluation inside training was given up, in every process, and what it had changed is as it was before."""


class Watch:
    """Lets an evaluation be given up between two batches, in all processes or in none, if it is a part of training.

    The seconds that a scheduler leaves are for saving. Ctrl-C waits for the end: the process lives on then, with what
    the user's own code has gathered in the steps.

    Several processes ask each other after the same number of batches, about every two seconds. They may have different
    numbers of batches: who has done all of its own answers until all have.

    Args:
        run: before anything of the evaluation has run.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._stop, self._collectives = run, run.stop, run.strategy.collectives
        self._active = run.stage == "fit"
        self._several = run.strategy.world_size > 1
        self._done = 0
        self._every = self._ask_at = 1
        self._asked = (0, time.monotonic())
        if self._active:
            self._before = rng_state(), metric_states(run.module), run.report.mark()

    def over(self, batches: Iterator[T]) -> Iterator[T]:
        """These batches.

        Raises:
            GivenUp: instead of the next one, if the machine is taken away.
        """
        if not self._active:
            return batches
        return self._together(batches) if self._several else self._alone(batches)

    def finish(self) -> None:
        """This process has done all its batches.

        Raises:
            GivenUp: if another one has not, and the machine is taken away.
        """
        if self._active and self._several:
            while not self._all_ended(own=True):
                pass

    def undo(self, stage: str) -> None:
        """Take back what ``stage`` has collected, written, measured and drawn."""
        run, (rng, metrics, report) = self._run, self._before
        run.collector.forget(stage)
        run.report.return_to(report)
        return_metrics(run.module, metrics)
        set_rng_state(rng)

    def _alone(self, batches: Iterator[T]) -> Iterator[T]:
        stop = self._stop
        for batch in batches:
            if stop.urgent is not None and is_preemption(stop.urgent):
                stop.take()
                raise GivenUp
            yield batch

    def _together(self, batches: Iterator[T]) -> Iterator[T]:
        for batch in batches:
            if self._done == self._ask_at:
                self._all_ended(own=False)
            self._done += 1
            yield batch

    def _all_ended(self, *, own: bool) -> bool:
        """Tell each other; if not all have ended, and one was told to stop, then all give up."""
        stop = self._stop
        urgent = stop.urgent if is_preemption(stop.urgent) else None
        told = self._collectives.all_gather_object((urgent, own, self._until_next()))
        if all(ended for _, ended, _ in told):
            return True
        if any(reason is not None for reason, _, _ in told):
            stop.agree((None, reason) for reason, _, _ in told)
            raise GivenUp
        self._ask_at = self._done + min(wait for _, ended, wait in told if not ended)
        return False

    def _until_next(self) -> int:
        """Batches that fit between two questions at the pace since the last; eight times as many as before at most."""
        now, (done, before) = time.monotonic(), self._asked
        fresh, self._asked = self._done - done, (self._done, now)
        if fresh:
            fit = int(AGREE_EVERY_S * fresh / max(now - before, 1e-9))
            self._every = max(1, min(8 * self._every, fit))
        return self._every
