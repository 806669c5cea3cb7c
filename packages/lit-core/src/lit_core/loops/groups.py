"""Groups of batches: which optimizers work in a batch, and which batches make one of their updates."""

import math
from collections.abc import Sequence

from torch import Tensor

from lit_core.config import TrainerConfig
from lit_core.optimizers import OptimizerConfig
from lit_core.progress import Progress


class Part:
    """One optimizer with its own accumulation groups and clipping; the place of the running batch in its group."""

    def __init__(self, index: int, own: OptimizerConfig, trainer: TrainerConfig) -> None:
        self.index, self.name = index, own.name
        self.optimizer = own.optimizer
        self.clip_val = own.gradient_clip_val if own.gradient_clip_val is not None else trainer.gradient_clip_val
        self.clip_algorithm = own.gradient_clip_algorithm or trainer.gradient_clip_algorithm
        self._own, self._trainer = own.accumulate_grad_batches, trainer
        self.accumulates = (self._own or trainer.accumulate_grad_batches) != 1
        self._group = 1
        self.first = self.last = True
        """Whether the running batch is the first, or the last, of its group."""
        self.size = 1
        """Batches in the running group."""
        self.pending = 0
        """Backward passes since the last step."""

    def count_backward(self) -> None:
        """A backward pass was added to the gradients."""
        self.pending += 1

    def close_group(self) -> None:
        """The gradients were used, or cleared."""
        self.pending = 0

    def scale_gradients(self, factor: float) -> None:
        """Multiply the gradients, where there are any."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    @property
    def parameters(self) -> list[Tensor]:
        """All that the optimizer updates."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def begin_epoch(self, epoch: int, done: int, announced: float) -> None:
        """Groups begin with the epoch, of which ``done`` batches are done already; a cut group goes on."""
        self._group = self._own or self._trainer.accumulate_at(epoch)
        self.pending, came = 0, self.came(done, announced)
        if came and any(p.grad is not None for p in self.parameters):
            self.pending = came

    def place(self, batch_idx: int, announced: float) -> None:
        """Find the place of a batch; batches beyond the announced end begin new groups."""
        if self._group == 1:
            return
        index = batch_idx if batch_idx < announced else batch_idx - int(announced)
        position = index % self._group
        left = announced - (index - position) if batch_idx < announced else self._group
        self.size = int(min(self._group, left))
        self.first, self.last = position == 0, position == self.size - 1

    def came(self, done: int, announced: float) -> int:
        """Batches of an open group that are done; 0 where the last group is complete."""
        if not done or self._group == 1:
            return 0
        index = done if done <= announced else done - int(announced)
        position = index % self._group
        return 0 if done == announced else position


def make_parts(configs: Sequence[OptimizerConfig], trainer: TrainerConfig) -> list[Part]:
    """One part for each optimizer."""
    return [Part(index, config, trainer) for index, config in enumerate(configs)]


def cuts_a_group(trainer: TrainerConfig, configs: Sequence[OptimizerConfig], progress: Progress) -> bool:
    """Whether the clock may stand inside an accumulation group."""
    sizes = (config.accumulate_grad_batches or trainer.accumulate_at(progress.epoch) for config in configs)
    return any(progress.batch % size for size in sizes)


def estimated_updates(trainer: TrainerConfig, configs: Sequence[OptimizerConfig], batches: float) -> float:
    """Updates that the whole training will make: batches after which some optimizer steps."""
    if not batches:
        return 0
    if batches == math.inf or trainer.last_epoch == math.inf:
        return trainer.last_step
    updates = 0
    for epoch in range(int(trainer.last_epoch)):
        sizes = {config.accumulate_grad_batches or trainer.accumulate_at(epoch) for config in configs} or {1}
        if len(sizes) == 1:
            updates += -(-int(batches) // sizes.pop())
        else:
            ends = {end for size in sizes for end in range(size, int(batches), size)}
            updates += len(ends) + 1
        if updates >= trainer.last_step:
            return trainer.last_step
    return updates


def turns(configs: Sequence[OptimizerConfig], trainer: TrainerConfig) -> list[Sequence[int]]:
    """Which optimizers work in the ``i``-th batch of a cycle: all in each, or each its number of batches in turn.

    Raises:
        ValueError: if only some have a frequency, or turns would cut accumulation groups.
    """
    frequencies = [config.frequency for config in configs]
    if not any(frequencies):
        return [range(max(1, len(frequencies)))]
    if not all(frequency > 0 for frequency in frequencies):
        raise ValueError(f"Give a frequency >= 1 to every optimizer or to none, got {frequencies}.")
    accumulate = [config.accumulate_grad_batches or trainer.accumulate_grad_batches for config in configs]
    if any(value != 1 for value in accumulate):
        raise ValueError(
            f"accumulate_grad_batches={max(accumulate, key=str)} and a frequency of optimizers ({frequencies}) would "
            "cut each other's batches: use one of them, or self.automatic_optimization = False."
        )
    return [(index,) for index, frequency in enumerate(frequencies) for _ in range(frequency)]
