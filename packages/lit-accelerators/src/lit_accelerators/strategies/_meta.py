"""Modules that were built on the meta device: without memory, so that only the parts a process keeps ever get any."""

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from lit_accelerators.collectives import Collectives
from lit_accelerators.seeding import rng_state, set_rng_state
from lit_accelerators.strategies._state import deal_like


def is_on_meta(module: nn.Module) -> bool:
    """Whether a parameter or buffer of ``module`` has no memory yet."""
    return any(tensor.is_meta for tensor in chain(module.parameters(), module.buffers()))


def check_resettable(module: nn.Module) -> None:
    """Refuse modules that have tensors on the meta device and no way to fill them.

    Raises:
        TypeError: naming them.
    """
    missing = [
        f"{name or 'itself'} ({type(part).__name__})"
        for name, part in module.named_modules()
        if _has_own_meta(part) and not callable(getattr(part, "reset_parameters", None))
    ]
    if missing:
        raise TypeError(
            f"{type(module).__name__} has parameters or buffers on the meta device in {', '.join(missing)}, and no "
            "reset_parameters() there that gives them values. Write one, which draws what __init__ would draw and sets "
            "the buffers too, or build these modules outside of torch.device('meta')."
        )


def settle(module: nn.Module, device: torch.device, collectives: Collectives) -> nn.Module:
    """Move a module that stays whole to its device, and fill what is on the meta device.

    Raises:
        TypeError: for submodules there that cannot be filled.
    """
    if not is_on_meta(module):
        return module.to(device)
    check_resettable(module)
    materialize(move_with_memory(module, device), device, collectives)
    return module


def move_with_memory(module: nn.Module, device: torch.device) -> nn.Module:
    """Move what is not on the meta device."""
    if not is_on_meta(module):
        return module.to(device)
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if not parameter.is_meta and parameter.device != device:
                parameter.data = parameter.data.to(device)
        for buffer in part.buffers(recurse=False):
            if not buffer.is_meta and buffer.device != device:
                buffer.data = buffer.data.to(device)
    return module


def materialize(module: nn.Module, device: torch.device, collectives: Collectives) -> None:
    """Give what is on the meta device memory and first values, in place; called in every process.

    One submodule after the other, in the order of ``module.modules()``, is made whole, filled by its
    ``reset_parameters``, and dealt: so the values are those of one process that does the same under the random state
    of process 0, whatever the shards. A parameter that several submodules share is filled by the first of them.

    Args:
        module: sharded or not.
        device: where the memory is.
        collectives: of the processes.
    """
    parts = [part for part in module.modules() if _has_own_meta(part)]
    state, original = _random_state(device), collectives.broadcast(_random_state(device))
    _set_random_state(original, device)
    filled: dict[nn.Parameter, nn.Parameter] = {}
    """What replaces each parameter."""
    for part in parts:
        _fill(part, device, filled)
    if not _same(state, original):
        _set_random_state(state, device)


def _has_own_meta(part: nn.Module) -> bool:
    return any(t.is_meta for t in chain(part.parameters(recurse=False), part.buffers(recurse=False)))


def _fill(part: nn.Module, device: torch.device, filled: dict[nn.Parameter, nn.Parameter]) -> None:
    before = dict(part.named_parameters(recurse=False))
    for name, parameter in before.items():
        # The whole of it, as reset_parameters expects.
        whole = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
        part.register_parameter(name, nn.Parameter(whole, requires_grad=parameter.requires_grad))
    for buffer in part.buffers(recurse=False):
        torch.utils.swap_tensors(buffer, torch.empty_like(buffer, device=device))
    reset: Any = part.reset_parameters
    with torch.no_grad():
        reset()
    for name, like in before.items():
        if like not in filled:
            filled[like] = _dealt(part.get_parameter(name), like) if like.is_meta else _copied(part, name, like)
        part.register_parameter(name, filled[like])


def _dealt(whole: nn.Parameter, like: nn.Parameter) -> nn.Parameter:
    own = deal_like(whole, like)
    return whole if own is whole else nn.Parameter(own.detach(), requires_grad=like.requires_grad)


def _copied(part: nn.Module, name: str, like: nn.Parameter) -> nn.Parameter:
    """Beside what was on the meta device, in one submodule: it is reset as well, and stays the object it was."""
    with torch.no_grad():
        like.copy_(deal_like(part.get_parameter(name), like))
    return like


def _random_state(device: torch.device) -> dict[str, Any]:
    state = {name: value for name, value in rng_state().items() if name not in ("cuda", "mps")}
    if device.type == "cuda":
        state["device"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    set_rng_state(state)
    if "device" in state:
        torch.cuda.set_rng_state(state["device"], device)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return all(_same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)
