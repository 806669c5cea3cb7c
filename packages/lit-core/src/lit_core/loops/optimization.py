"""From a batch to an update: automatic with one or several optimizers, or left to the user."""

from collections.abc import Callable
from typing import Any, Protocol

from lit_core.hooks import overrides, step_of
from lit_core.module import LightningModule
from lit_core.run import Run


class Optimization(Protocol):
    """What the training loop does with a batch."""

    def begin_epoch(self) -> None:
        """A new epoch was opened."""

    def train_batch(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """Work on one batch; returns what the step returned."""

    def finish_group(self) -> None:
        """The epoch ended, perhaps inside an accumulation group."""

    def close(self) -> None:
        """Training is over."""


class StepCounter:
    """Counts optimizer steps where they happen, in the optimizer, whoever takes them."""

    def __init__(self, run: Run) -> None:
        self._progress = run.progress
        self.steps = 0
        self._handles = [
            config.optimizer.register_step_post_hook(self._counter(config.name)) for config in run.optimizers.configs
        ]

    def _counter(self, name: str) -> Callable[..., None]:
        count = self._progress.count_step

        def counted(*_: Any) -> None:
            self.steps += 1
            count(name)

        return counted

    def close(self) -> None:
        """Leave the optimizers."""
        for handle in self._handles:
            handle.remove()


class Manual:
    """The user's ``training_step`` does backward and step; the clock still counts.

    Raises:
        ValueError: if settings of automatic optimization contradict it.
    """

    def __init__(self, run: Run) -> None:
        settings = {"accumulate_grad_batches": 1, "gradient_clip_val": None, "truncated_bptt_steps": None}
        for name, unset in settings.items():
            value = getattr(run.config, name)
            if value != unset:
                raise ValueError(
                    f"{name}={value} is for automatic optimization; in manual optimization do it in training_step "
                    "(self.clip_gradients(optimizer, ...), a step every n-th batch)."
                )
        self._progress = run.progress
        self._counter = StepCounter(run)
        self._step = run.strategy.setup_step(
            run.module,
            step_of(run.module, "training_step"),
            gradient_sync="backward",
            gather_parts=step_end_of(run.module) is not None,
            on_part=run.collector.begin_part,
        )
        self._step_end = step_end_of(run.module)
        self._enter, self._lap = run.collector.enter, run.times.lap

    def begin_epoch(self) -> None:
        """Nothing is kept between batches."""

    def train_batch(self, batch: Any, batch_idx: int, weight: float) -> Any:
        """Run ``training_step``; one update if any optimizer stepped in it."""
        self._lap("data")
        progress, steps_before = self._progress, self._counter.steps
        output = self._step(batch, batch_idx)
        if self._step_end is not None:
            self._enter("training_step_end")
            output = self._step_end(output)
        if self._counter.steps != steps_before:
            progress.global_step += 1
        self._lap("step")
        return output

    def finish_group(self) -> None:
        """The user's groups are the user's."""

    def close(self) -> None:
        """Leave the optimizers."""
        self._counter.close()


def step_end_of(module: LightningModule) -> Callable[[Any], Any] | None:
    """``training_step_end``, if the user wrote it."""
    return module.training_step_end if overrides(module, "training_step_end", LightningModule) else None
