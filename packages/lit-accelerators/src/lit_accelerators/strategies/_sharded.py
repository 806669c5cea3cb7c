"""The modules of a strategy that shards, and their states: whole for a checkpoint, in parts for a process."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators.precision.base import Precision
from lit_accelerators.strategies._state import (
    deal_like,
    deal_optimizer_state,
    gather_tree,
    gradients_of,
    load_module_without_wrappers,
    module_state_without_wrappers,
)


class ShardedModules:
    """What :class:`FSDPStrategy` and :class:`ModelParallelStrategy` do alike with the modules they have sharded.

    Args:
        in_parts: whether states are given as the distributed tensors that they are, and not gathered.
    """

    def __init__(self, *, in_parts: bool = False) -> None:
        self._in_parts = in_parts
        self._modules: dict[nn.Module, Any] = {}
        """Each with its ``ShardedModule``, whose import is slow; None if nothing is gathered and freed."""

    def __contains__(self, module: nn.Module) -> bool:
        return module in self._modules

    def add(self, module: nn.Module, sharded: Any) -> None:
        """Take in a module that was set up."""
        self._modules[module] = sharded

    def clear(self) -> None:
        """Forget all modules."""
        self._modules.clear()

    def setup_step(self, module: nn.Module, step: Callable[..., Any], *, trains: bool) -> Callable[..., Any]:
        """Return ``step`` with the parameters gathered where it uses them."""
        sharded = self._modules[module]
        if sharded is None:
            return step
        if not trains:
            sharded.begin_evaluation()
            return step

        @functools.wraps(step)
        def sharded_step(*args: Any, **kwargs: Any) -> Any:
            return sharded.run(step, *args, **kwargs)

        return sharded_step

    @contextmanager
    def evaluation(self, module: nn.Module) -> Iterator[None]:
        """Inside, no process waits for those with other samples."""
        sharded = self._modules[module]
        if sharded is None:
            yield
            return
        sharded.begin_evaluation()
        try:
            yield
        finally:
            sharded.end_evaluation()

    def backward(self, precision: Precision, loss: Tensor, args: Any, kwargs: dict[str, Any]) -> None:
        """Run the backward pass; every process gets its part of the averaged gradients.

        Raises:
            ValueError: for ``inputs`` that are no parameters of an optimizer.
        """
        chosen = kwargs.pop("inputs", None)
        others = [] if chosen is None else self._others(chosen)
        before = [parameter.grad for parameter in others]
        for parameter in others:
            parameter.grad = None
        for sharded in self._modules.values():
            loss = loss if sharded is None else sharded.announce(loss)
        precision.backward(loss, *args, **kwargs)
        for parameter, grad in zip(others, before, strict=True):
            parameter.grad = grad
        # Where a step goes on after this, autocast would use copies of parameters that are freed.
        torch.clear_autocast_cache()

    def _others(self, chosen: Sequence[Tensor]) -> list[nn.Parameter]:
        """The parameters whose gradients a backward pass with ``inputs=chosen`` leaves as they are.

        The graph ends at the gathered parameters and not at those that optimizers hold, so the pass computes all.
        """
        own: dict[int, nn.Parameter] = {}
        for module, sharded in self._modules.items():
            own |= {id(p): p for p in (module.parameters() if sharded is None else sharded.parameters.values())}
        wanted = {id(tensor) for tensor in chosen}
        if not wanted <= own.keys():
            raise ValueError(
                "A strategy that shards can differentiate with respect to the parameters that optimizers hold only "
                f"(inputs=...), and {len(wanted - own.keys())} of {len(wanted)} are none: take them from an optimizer. "
                "For activations there is torch.autograd.grad."
            )
        return [parameter for key, parameter in own.items() if key not in wanted]

    def free(self, module: nn.Module) -> None:
        """Have the sharded parameters in ``module``."""
        if self._modules.get(module) is not None:
            self._modules[module].free()

    # State --------------------------------------------------------------------------------------------------------

    def module_state(self, module: nn.Module, *, keep: bool) -> dict[str, Any]:
        """The whole state dict of ``module`` on the CPU where ``keep``; empty in the other processes."""
        self.free(module)
        if self._in_parts:
            return module_state_without_wrappers(module)
        state: dict[str, Any] = gather_tree(module_state_without_wrappers(module), keep=keep)
        return state if keep else {}

    def load_module_state(self, module: nn.Module, state: Mapping[str, Any], *, strict: bool) -> None:
        """Load a whole state dict, of which each process keeps its part."""
        self.free(module)
        own = module_state_without_wrappers(module)
        dealt = {name: deal_like(value, own.get(name)) for name, value in state.items()}
        load_module_without_wrappers(module, dealt, strict=strict)

    def optimizer_state(self, optimizer: Optimizer, *, keep: bool) -> dict[str, Any]:
        """The whole state dict of ``optimizer`` on the CPU where ``keep``; empty in the other processes."""
        if self._in_parts:
            return optimizer.state_dict()
        state: dict[str, Any] = gather_tree(optimizer.state_dict(), keep=keep)
        return state if keep else {}

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Load a whole state dict, of which each process keeps its part."""
        optimizer.load_state_dict(deal_optimizer_state(optimizer, state))

    def gradient_state(self, module: nn.Module) -> dict[str, Tensor]:
        """This process's part of the gradients."""
        from torch.distributed.tensor import DTensor

        self.free(module)
        like: dict[str, Any] = dict(module.named_parameters())
        return {
            # As the parameter is sharded: tensor parallelism alone leaves some gradients to be added up.
            name: grad.redistribute(placements=like[name].placements).to_local() if isinstance(grad, DTensor) else grad
            for name, grad in gradients_of(module).items()
        }

    def load_gradient_state(self, module: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put back this process's part of the gradients."""
        from torch.distributed.tensor import DTensor

        self.free(module)
        for name, parameter in module.named_parameters():
            if name in state:
                local = state[name].to(parameter.device)
                parameter.grad = (
                    local
                    if not isinstance(parameter, DTensor)
                    else DTensor.from_local(
                        local,
                        parameter.device_mesh,
                        parameter.placements,
                        shape=parameter.shape,
                        stride=parameter.stride(),
                    )
                )


def check_state_type(word: str) -> bool:
    """Whether states are to be given in parts.

    Raises:
        ValueError: for another word than ``"full"`` and ``"sharded"``.
    """
    if word not in ("full", "sharded"):
        raise ValueError(f"state_dict_type must be 'full' or 'sharded', got {word!r}.")
    return word == "sharded"
