"""State dicts as the user's own module names them, gathered and dealt."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils import _pytree as pytree

from lit_accelerators.collectives import Collectives

_COMPILED = "_orig_mod."


def module_state_without_wrappers(module: nn.Module) -> dict[str, Any]:
    """``module.state_dict()`` without the prefixes of DistributedDataParallel and ``torch.compile``."""
    state = _inner(module).state_dict()
    if not any(_COMPILED in key for key in state):
        return state
    # torch.compile puts the compiled module, at any depth, under this name.
    return {key.replace(_COMPILED, ""): value for key, value in state.items()}


def load_module_without_wrappers(module: nn.Module, state: Mapping[str, Any], *, strict: bool) -> None:
    """Load what :func:`module_state_without_wrappers` gave."""
    inner = _inner(module)
    own = {key.replace(_COMPILED, ""): key for key in inner.state_dict()}
    inner.load_state_dict({own.get(key, key): value for key, value in state.items()}, strict=strict)


def gradients_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the gradients that there are in this process, by name of the parameter."""
    return {name: p.grad.clone() for name, p in _inner(module).named_parameters() if p.grad is not None}


def set_gradients(module: nn.Module, gradients: Mapping[str, Tensor]) -> None:
    """Give parameters the gradients that :func:`gradients_of` gave."""
    for name, parameter in _inner(module).named_parameters():
        if name in gradients:
            parameter.grad = gradients[name].to(parameter.device)


def average_gradients(parameters: Sequence[Tensor], collectives: Collectives) -> None:
    """Average gradients over the processes; a parameter without gradient in every process stays without."""
    if not parameters:
        return
    have = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device)
    chosen = [p for p, found in zip(parameters, collectives.all_reduce(have, "max").tolist(), strict=True) if found]
    for parameter in chosen:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for dtype in dict.fromkeys(p.dtype for p in chosen):
        grads = [p.grad for p in chosen if p.dtype is dtype and p.grad is not None]
        flat = collectives.all_reduce(torch.cat([grad.reshape(-1) for grad in grads]), "mean")
        for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))


def gather_tree(tree: Any, *, keep: bool) -> Any:
    """Every sharded tensor of a pytree as a whole one on the CPU; collective.

    Args:
        tree: with the same sharded tensors in every process.
        keep: whether this process wants the result; the others get None for each leaf, and need no memory for it.
    """
    from torch.distributed.tensor import DTensor, Replicate

    def gather(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf if keep else None
        whole = leaf
        if isinstance(leaf, DTensor):
            if any(hasattr(placement, "split_factor") for placement in leaf.placements):
                # Cut along one dimension twice: undone in the other order, or torch warns in every process.
                leaf = leaf.redistribute(placements=[Replicate(), *leaf.placements[1:]])
            whole = leaf.full_tensor()
        if not keep:
            return None
        own = whole.detach().cpu()
        return own.clone() if own is leaf or own.data_ptr() == leaf.data_ptr() else own

    return pytree.tree_map(gather, tree)


def deal_like(whole: Any, like: Any) -> Any:
    """This process's part of a whole tensor, sharded as ``like`` is; ``whole`` itself where ``like`` is not sharded.

    For a tensor on the meta device, whose values are read later, memory for them.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(whole, Tensor) and whole.is_meta:
        sharded = isinstance(like, DTensor) and whole.shape == like.shape
        return torch.empty_like(like, dtype=whole.dtype) if sharded else torch.empty_like(whole, device="cpu")

    if not isinstance(like, DTensor) or not isinstance(whole, Tensor) or whole.shape != like.shape:
        return whole
    local = whole.detach().to(device=whole.device if like.is_meta else like.device, dtype=like.dtype)
    return distribute_tensor(local, like.device_mesh, like.placements, src_data_rank=None)


def deal_optimizer_state(optimizer: Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """A whole optimizer state with what belongs to a sharded parameter sharded as the parameter is."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    indices = [index for group in state["param_groups"] for index in group["params"]]
    by_index = dict(zip(indices, parameters, strict=False))
    dealt = {
        index: {name: deal_like(value, by_index.get(index)) for name, value in entry.items()}
        for index, entry in state["state"].items()
    }
    return {**state, "state": dealt}


def follow_parameters(optimizer: Optimizer, names: Mapping[nn.Parameter, str], module: nn.Module) -> None:
    """Give ``optimizer`` the parameters that ``module`` has now for those that it had under the same ``names``."""
    now = dict(module.named_parameters())
    for group in optimizer.param_groups:
        for index, old in enumerate(group["params"]):
            new = now[names[old]] if old in names else old
            if new is not old:
                group["params"][index] = new
                if old in optimizer.state:
                    state = optimizer.state.pop(old)
                    optimizer.state[new] = {name: deal_like(value, new) for name, value in state.items()}


def _inner(module: nn.Module) -> nn.Module:
    return module.module if isinstance(module, DistributedDataParallel) else module
