"""Training and evaluation mode of modules."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluation_mode(module: nn.Module, *, inference: bool = False) -> Iterator[None]:
    """Evaluation mode without gradients inside; every submodule returns to the mode it was in.

    Args:
        module: the module.
        inference: use ``torch.inference_mode`` rather than ``torch.no_grad``.
    """
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        with torch.inference_mode() if inference else torch.no_grad():
            yield
    finally:
        for child, training in modes:
            child.training = training
