"""Inputs and surroundings of an export."""

from typing import Any

import torch
from torch import nn

from lit_core.data.transfer import move


def example_arguments(module: nn.Module, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of ``forward``: what was given, else ``module.example_input_array``.

    Raises:
        ValueError: if there is neither.
    """
    sample = given if given is not None else getattr(module, "example_input_array", None)
    if sample is None:
        raise ValueError(
            f"Exporting {type(module).__name__} needs an input: give one, or set self.example_input_array in __init__."
        )
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    sample = move(sample, device)
    if isinstance(sample, dict):
        return (), sample
    return (tuple(sample) if isinstance(sample, (list, tuple)) else (sample,)), {}
