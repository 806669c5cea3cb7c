"""Log how large gradients are."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_core.callbacks._rows import check_interval, is_due
from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class GradientNormMonitor(Callback):
    """Log the norm of the gradients, in total and of each parameter, before they are clipped.

    Keys are ``grad_2.0_norm_total`` and ``grad_2.0_norm/{parameter}``; with several optimizers the total has the
    optimizer's name after it (``grad_2.0_norm_total/generator``). Norms stay on their device until a row is written.
    In manual optimization there is no moment at which gradients are known to be complete: log
    :func:`gradient_norms` in ``training_step`` instead.

    Args:
        norm_type: order of the norm, such as 2 or ``"inf"``.
        per_parameter: also log the norm of each parameter's gradient.
        every_n_steps: updates between measurements; by default the Trainer's ``log_every_n_steps``, at which rows are
            written anyway.

    Example:
        >>> from lit_core.callbacks import GradientNormMonitor
        >>> GradientNormMonitor("inf").norm_type
        inf

    Raises:
        ValueError: for an order that is not positive, or an interval below 1.
    """

    def __init__(
        self, norm_type: float | str = 2.0, per_parameter: bool = True, every_n_steps: int | None = None
    ) -> None:
        self.norm_type = float(norm_type)
        if not self.norm_type > 0:
            raise ValueError(f"norm_type must be positive or 'inf', got {norm_type!r}.")
        self.per_parameter = per_parameter
        self.every_n_steps = check_interval("every_n_steps", every_n_steps)

    @property
    def state_key(self) -> str:
        """One per order."""
        return f"GradientNormMonitor(norm_type={self.norm_type})"

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Refuse what would never log anything."""
        if not module.automatic_optimization:
            raise ValueError(
                "GradientNormMonitor sees no gradients in manual optimization: in training_step, after "
                "manual_backward, write self.log_dict(gradient_norms(self, norm_type))."
            )

    def on_before_optimizer_step(self, trainer: "Trainer", module: LightningModule, optimizer: Optimizer) -> None:
        """Measure, if it is the turn of this update."""
        if not is_due(trainer, self.every_n_steps, ahead=1):
            return
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        named = ((name, p) for name, p in module.named_parameters() if id(p) in own)
        norms = _norms(named, self.norm_type)
        total = f"grad_{self.norm_type}_norm_total"
        if len(trainer.optimizers) > 1 and total in norms:
            name = next(w.name for w in trainer.wrapped_optimizers if w.optimizer is optimizer)
            norms[f"{total}/{name}"] = norms.pop(total)
        for key, norm in norms.items():
            if self.per_parameter or key.startswith(total):
                module.log(key, norm)


def gradient_norms(module: nn.Module, norm_type: float | str = 2.0) -> dict[str, Tensor]:
    """Norm of each parameter's gradient, and of all together, on their device; nothing where there are no gradients.

    Args:
        module: whose parameters.
        norm_type: order of the norm, such as 2 or ``"inf"``.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(1, 1)
        >>> layer(torch.full((1, 1), 3.0)).sum().backward()
        >>> gradient_norms(layer, 1)["grad_1.0_norm_total"]
        tensor(4.)
    """
    return _norms(module.named_parameters(), float(norm_type))


def _norms(named: Iterable[tuple[str, nn.Parameter]], order: float) -> dict[str, Tensor]:
    norms: dict[str, Any] = {
        f"grad_{order}_norm/{name}": torch.linalg.vector_norm(p.grad.detach(), order)
        for name, p in named
        if p.grad is not None and p.grad.numel()
    }
    if norms:
        first = next(iter(norms.values()))
        parts = torch.stack([norm.to(first) for norm in norms.values()])
        norms[f"grad_{order}_norm_total"] = torch.linalg.vector_norm(parts, order)
    return norms
