"""State dicts as the user's own module names them."""

from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

_COMPILED = "_orig_mod."


def module_state_without_wrappers(module: nn.Module) -> dict[str, Any]:
    """``module.state_dict()`` without the prefixes of DistributedDataParallel and ``torch.compile``."""
    if isinstance(module, DistributedDataParallel):
        module = module.module
    state = module.state_dict()
    if not any(_COMPILED in key for key in state):
        return state
    # torch.compile puts the compiled module, at any depth, under this name.
    return {key.replace(_COMPILED, ""): value for key, value in state.items()}
