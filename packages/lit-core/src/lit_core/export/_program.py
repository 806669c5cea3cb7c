"""The step that ONNX and ``torch.export`` share: a method of a module becomes a graph."""

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lit_core.export._errors import naming_the_line
from lit_core.export._inputs import example_arguments, free_batch
from lit_core.metric_state import without_metrics

if TYPE_CHECKING:
    from lit_core.module import LightningModule


class Entry(nn.Module):
    """A module whose ``forward`` is a method of another one, with the same signature."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self.forward = getattr(module, method)


def check_method(module: nn.Module, name: str) -> None:
    """Refuse a name that is no method.

    Raises:
        ValueError: naming the class.
    """
    if not callable(getattr(type(module), name, None)):
        raise ValueError(f"{type(module).__name__} has no method {name!r} to export.")


def ready_to_export(module: "LightningModule") -> "LightningModule":
    """A copy in evaluation mode, without Trainer and metrics; the module itself is not touched."""
    alone = without_metrics(module.alone())
    alone.eval()
    return alone


def make_program(
    module: "LightningModule", sample: Any, method: str, *, dynamic_batch: bool, target: str, **options: Any
) -> torch.export.ExportedProgram:
    """A method of ``module`` as a graph; ``options`` are for ``torch.export.export``."""
    check_method(module, method)
    alone = ready_to_export(module)
    args, named = example_arguments(alone, sample)
    if dynamic_batch and "dynamic_shapes" not in options:
        args, named, options["dynamic_shapes"] = free_batch(args, named)
    called = alone if method == "forward" else Entry(alone, method).eval()
    options.setdefault("strict", False)
    with naming_the_line(f"{type(module).__name__}.{method}", target), torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.")
        return torch.export.export(called, args, named or None, **options)
