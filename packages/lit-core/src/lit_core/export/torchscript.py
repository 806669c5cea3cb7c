"""Export to TorchScript."""

import warnings
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch

from lit_core.export._inputs import example_arguments
from lit_core.metric_state import without_metrics
from lit_core.modes import evaluation_mode

if TYPE_CHECKING:
    from lit_core.module import LightningModule


def to_torchscript(
    module: "LightningModule",
    file_path: str | PathLike[str] | None = None,
    method: str = "script",
    example_inputs: Any = None,
    **kwargs: Any,
) -> Any:
    """Compile ``forward`` to TorchScript, in evaluation mode; the module is left as it was.

    Args:
        module: what to export; a Trainer may be attached.
        file_path: where to save it; not saved if None.
        method: ``"script"`` (compiles the source) or ``"trace"`` (records one call).
        example_inputs: for ``"trace"``; the module's ``example_input_array`` by default.
        kwargs: for ``torch.jit.script`` or ``torch.jit.trace``.

    Returns:
        The ``torch.jit.ScriptModule``.

    Raises:
        ValueError: for another method, or no input to trace.

    Example:
        >>> import torch
        >>> from lit_core import LightningModule
        >>> class Double(LightningModule):
        ...     def forward(self, x):
        ...         return 2 * x
        >>> to_torchscript(Double(), method="trace", example_inputs=torch.ones(1))(torch.tensor([3.0]))
        tensor([6.])
    """
    if method not in ("script", "trace"):
        raise ValueError(f"method is 'script' or 'trace', got {method!r}.")
    with evaluation_mode(module), warnings.catch_warnings():
        # torch says that TorchScript is in upkeep only; who calls this function chose it.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=DeprecationWarning)
        alone = without_metrics(module.alone())  # a Trainer's attributes cannot be compiled
        if method == "script":
            scripted = torch.jit.script(alone, **kwargs)
        else:
            args, named = example_arguments(module, example_inputs)
            scripted = torch.jit.trace(alone, args or None, example_kwarg_inputs=named or None, **kwargs)
        if file_path is not None:
            torch.jit.save(scripted, file_path)
    return scripted
