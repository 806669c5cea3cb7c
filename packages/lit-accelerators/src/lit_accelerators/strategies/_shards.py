"""A module whose parameters are sharded over the processes by FSDP2, and gathered where they are used.

``fully_shard`` gathers parameters in the forward pass of a module and reduces gradients after a backward pass from its
outputs. Training steps of a LightningModule are no forward pass, return what they like, and may run several backward
passes. So a small module around the user's is the root: calling it gathers what belongs to no unit, and passing the
loss through it, right before each backward pass, announces that pass.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard


class ShardedModule:
    """A module whose parameters are sharded in place; it keeps its class, its names and its attributes.

    Args:
        module: on its device, with the same weights in every process.
        units: modules inside it that are gathered and freed on their own, inner ones first.
        keep_gathered: whether units stay gathered between forward and backward pass.
        options: of ``fully_shard``.
        fill: gives what is on the meta device memory and values, after it was sharded; None if nothing is there.
    """

    def __init__(
        self,
        module: nn.Module,
        units: Sequence[nn.Module],
        *,
        keep_gathered: bool,
        options: Mapping[str, Any],
        fill: Callable[[nn.Module], None] | None = None,
    ) -> None:
        self.module = module
        self._keep_gathered = keep_gathered
        for unit in units:
            fully_shard(unit, reshard_after_forward=not keep_gathered, **options)
        self._root: Any = _Root(module)  # fully_shard gives it methods
        fully_shard(self._root, **options)
        if fill is not None:
            fill(module)
            self._root.to(next(module.parameters()).device)  # tells FSDP of the new parameters
        self._units = [m for m in module.modules() if isinstance(m, FSDPModule)]
        self._sharded = dict(module.named_parameters())
        self._gathered_flags: list[bool] = []
        """Which parameters required gradients when the root was gathered."""
        self._in_evaluation = False
        self._gathered: dict[str, nn.Parameter] = {}
        self._versions: list[int] = []
        self._outside_units = _outside(self._sharded, self._units)
        if self._outside_units:
            self._watch_use()

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """The sharded parameters, which optimizers hold, by name."""
        return self._sharded

    def run(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A training step."""
        self.end_evaluation()
        self._gather_root()
        return step(*args, **kwargs)

    def announce(self, loss: Tensor) -> Tensor:
        """The loss to differentiate: after its backward pass gradients are averaged and every process has its part."""
        if not loss.requires_grad:
            return loss
        # Not as an argument: what FSDP gets as an argument it takes for the input of the module, and it frees
        # parameters as soon as the backward pass has come to it.
        announced: Tensor = self._root(lambda: loss)
        return announced

    def begin_evaluation(self) -> None:
        """Gather everything, once: until :meth:`end_evaluation` a forward pass waits for no other process."""
        if self._in_evaluation:
            return
        # Tensors made in inference mode could never be used in training again.
        with torch.inference_mode(False), torch.no_grad():
            self._root()
            for unit in self._units:
                unit.set_reshard_after_forward(False, recurse=False)
                unit.unshard()
        self._in_evaluation = True
        self._gathered = dict(self.module.named_parameters())
        self._versions = _versions(self._gathered)
        self._gathered_flags = [p.requires_grad for p in self._gathered.values()]

    def end_evaluation(self) -> None:
        """Free what :meth:`begin_evaluation` gathered; parameters frozen meanwhile stay frozen.

        Raises:
            RuntimeError: if the gathered parameters were changed, which would be lost; names them.
        """
        if not self._in_evaluation:
            return
        self._in_evaluation = False
        versions = _versions(self._gathered)
        changed = [name for name, a, b in zip(self._gathered, self._versions, versions, strict=True) if a != b]
        flags = [p.requires_grad for p in self._gathered.values()]
        for unit in self._units:
            unit.set_reshard_after_forward(not self._keep_gathered, recurse=False)
            unit.reshard()
        self._root.reshard()
        for name, before, after in zip(self._gathered, self._gathered_flags, flags, strict=True):
            if before != after:
                self._sharded[name].requires_grad_(after)
        self._gathered = {}
        if changed:
            raise RuntimeError(
                f"These parameters were changed during an evaluation, while every process held a whole copy of them, "
                f"and the change would be lost: {', '.join(changed)}. Change them before the evaluation starts or "
                "after it has ended, or use strategy='ddp'."
            )

    def free(self) -> None:
        """Leave nothing gathered: what the module holds are the sharded parameters."""
        self.end_evaluation()
        for unit in self._units:
            unit.reshard()
        self._root.reshard()

    def _gather_root(self) -> None:
        """Have what belongs to no unit whole, with the gradients that its parameters require now."""
        if self._outside_units:
            flags = [p.requires_grad for p in self._outside_units]
            if flags != self._gathered_flags:
                self._root.reshard()
                self._gathered_flags = flags
        self._root()

    def _watch_use(self) -> None:
        """Gather again where a step goes on after a backward pass, which freed everything."""
        inside = {id(p) for unit in self._units for p in unit.parameters()}

        def gather(module: nn.Module, args: Any) -> None:
            if not self._in_evaluation:
                self._gather_root()

        for part in self.module.modules():
            if any(id(p) not in inside for p in part.parameters(recurse=False)):
                part.register_forward_pre_hook(gather, prepend=True)


class _Root(nn.Module):
    """Calling it gathers the parameters outside of units; a loss passed through it has its backward pass announced."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, get_loss: Callable[[], Tensor] | None = None) -> Tensor | None:
        return None if get_loss is None else get_loss()


_VERSION: Any = Tensor._version  # noqa: SLF001 - counts changes of a tensor; torch has no other name for it


def _versions(parameters: Mapping[str, nn.Parameter]) -> list[int]:
    return [_VERSION.__get__(parameter) for parameter in parameters.values()]


def _outside(parameters: Mapping[str, nn.Parameter], units: Sequence[nn.Module]) -> list[nn.Parameter]:
    inside = {id(p) for unit in units for p in unit.parameters()}
    return [p for p in parameters.values() if id(p) not in inside]
