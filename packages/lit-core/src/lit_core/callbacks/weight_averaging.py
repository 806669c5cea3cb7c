"""Averages of the weights over updates."""

from typing import TYPE_CHECKING, Any

from torch.optim.swa_utils import get_ema_multi_avg_fn

from lit_core.callbacks._averages import AveragingCallback

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class WeightAveraging(AveragingCallback):
    """Keep an average of the weights; validate and save it, and end training with it.

    The average is ``torch.optim.swa_utils.AveragedModel``: equally weighted unless told otherwise, updated whenever
    :meth:`should_update` says so. Training itself goes on with the weights in training. Checkpoints hold the average in
    ``state_dict`` and the weights in training in ``current_model_state``; a resumed run goes on exactly.

    Where a strategy spreads the weights over processes, each averages the parts that it holds.

    Args:
        device: where the average is kept; that of the module by default.
        use_buffers: average buffers (running statistics) too; otherwise they are those of the weights in training.
        options: more arguments of ``AveragedModel``: ``avg_fn`` or ``multi_avg_fn``, which get parts of weights where a
            process holds parts.

    Example:
        >>> from lit_core.callbacks import WeightAveraging
        >>> class EveryEpoch(WeightAveraging):
        ...     def should_update(self, step_idx=None, epoch_idx=None):
        ...         return epoch_idx is not None and epoch_idx >= 5

    See Izmailov et al., "Averaging weights leads to wider optima and better generalization" (UAI 2018).
    """

    def __init__(self, device: Any = None, use_buffers: bool = True, **options: Any) -> None:
        super().__init__(device, use_buffers, options)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to average now; asked after every update, with its index, and after every epoch, with its index.

        By default after every update. Override it to choose others.
        """
        return step_idx is not None

    def _wants_step(self, trainer: "Trainer", step_idx: int) -> bool:
        return self.should_update(step_idx=step_idx)

    def _wants_epoch(self, trainer: "Trainer", epoch_idx: int) -> bool:
        return self.should_update(epoch_idx=epoch_idx)


class EMAWeightAveraging(AveragingCallback):
    """Keep an exponential moving average of the weights; validate and save it, and end training with it.

    After each counted update ``average = decay * average + (1 - decay) * weights``; the first is a copy. Otherwise as
    :class:`WeightAveraging`.

    Args:
        device: where the average is kept; that of the module by default.
        use_buffers: average buffers (running statistics) too.
        decay: share of the average that stays at each update, in [0, 1].
        update_every_n_steps: updates of the module between those of the average.
        update_starting_at_step: no average before the update of this index.
        update_starting_at_epoch: no average before the epoch of this index.
        options: more arguments of ``AveragedModel``.

    Example:
        >>> from lit_core.callbacks import EMAWeightAveraging
        >>> EMAWeightAveraging(decay=0.99, update_starting_at_step=100).decay
        0.99

    Raises:
        ValueError: for a decay outside [0, 1] or an interval below 1.
    """

    def __init__(
        self,
        device: Any = None,
        use_buffers: bool = True,
        decay: float = 0.999,
        update_every_n_steps: int = 1,
        update_starting_at_step: int | None = None,
        update_starting_at_epoch: int | None = None,
        **options: Any,
    ) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"decay must be in [0, 1], got {decay}.")
        if update_every_n_steps < 1:
            raise ValueError(f"update_every_n_steps must be at least 1, got {update_every_n_steps}.")
        super().__init__(device, use_buffers, options)
        self.decay = decay
        self.update_every_n_steps = update_every_n_steps
        self.update_starting_at_step = update_starting_at_step
        self.update_starting_at_epoch = update_starting_at_epoch

    def _averaging(self) -> dict[str, Any]:
        return {"multi_avg_fn": get_ema_multi_avg_fn(self.decay)}

    def _wants_step(self, trainer: "Trainer", step_idx: int) -> bool:
        return (
            step_idx >= (self.update_starting_at_step or 0)
            and trainer.current_epoch >= (self.update_starting_at_epoch or 0)
            and (step_idx + 1) % self.update_every_n_steps == 0
        )

    def _wants_epoch(self, trainer: "Trainer", epoch_idx: int) -> bool:
        return False
