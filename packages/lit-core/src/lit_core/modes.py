"""Modes that hold inside a block: of modules, and of torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from lit_core.config import TrainerConfig


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


@contextmanager
def torch_settings(config: TrainerConfig) -> Iterator[None]:
    """Inside, torch's global switches are what the Trainer was asked for; then what they were."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS refuses to be deterministic without
        torch.use_deterministic_algorithms(True, warn_only=config.deterministic == "warn")
    if config.benchmark is not None:
        torch.backends.cudnn.benchmark = config.benchmark
    try:
        with torch.autograd.set_detect_anomaly(True) if config.detect_anomaly else nullcontext():
            yield
    finally:
        if config.deterministic:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
