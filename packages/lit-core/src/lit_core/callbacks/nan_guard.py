"""Stop at the first NaN."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lit_core.callbacks._rows import check_every
from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class NaNGuard(Callback):
    """Fail as soon as the loss or a weight is NaN or infinite, naming it, before anything is saved.

    This reads from the device once each time it looks, so an accelerator is waited for; ``every_n_steps`` makes it
    rarer. The error is raised in ``fit``; the last checkpoint is from before.

    Args:
        every_n_steps: batches between looks.

    Example:
        >>> from lit_core.callbacks import NaNGuard
        >>> NaNGuard(every_n_steps=10).every_n_steps
        10

    Raises:
        ValueError: for an interval below 1; in ``fit``, when something is NaN or infinite.
    """

    def __init__(self, every_n_steps: int = 1) -> None:
        self.every_n_steps = check_every("every_n_steps", every_n_steps)

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss and at every weight."""
        if trainer.progress.batches % self.every_n_steps:
            return
        named = [("the loss of training_step", loss) for loss in _losses(outputs)]
        named += [(name, p.detach()) for name, p in module.named_parameters() if p.is_floating_point() and p.numel()]
        if not named:
            return
        device = module.device
        largest = torch.stack([torch.linalg.vector_norm(t, math.inf).to(device, torch.float32) for _, t in named])
        if torch.isfinite(largest).all().item():
            return
        bad = [(name, t) for (name, t), size in zip(named, largest.tolist(), strict=True) if not math.isfinite(size)]
        found = [
            f"{name} ({int(t.isnan().sum())} NaN and {int(t.isinf().sum())} infinite of {t.numel()})" for name, t in bad
        ]
        more = f", and {len(found) - 5} more" if len(found) > 5 else ""
        raise ValueError(
            f"NaN or infinity in batch {batch_idx} of epoch {trainer.current_epoch} (global_step "
            f"{trainer.global_step}): {', '.join(found[:5])}{more}. Lower the learning rate, clip gradients "
            "(gradient_clip_val), or find the operation with Trainer(detect_anomaly=True)."
        )


def _losses(outputs: Any) -> Iterator[Tensor]:
    """The losses in what ``training_step`` returned, by whatever optimizer."""
    if isinstance(outputs, Tensor):
        if outputs.is_floating_point() and outputs.numel():
            yield outputs.detach()
    elif isinstance(outputs, list):
        for output in outputs:
            yield from _losses(output)
    elif isinstance(outputs, dict):
        for value in [outputs["loss"]] if "loss" in outputs else outputs.values():
            if isinstance(value, Tensor):
                yield from _losses(value)
