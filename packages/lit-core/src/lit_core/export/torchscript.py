"""Export to TorchScript."""

import types
import warnings
from functools import update_wrapper
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lit_accelerators import isolate_rng
from lit_core.export._errors import naming_the_line
from lit_core.export._inputs import example_arguments
from lit_core.export._program import check_method, ready_to_export

if TYPE_CHECKING:
    from lit_core.module import LightningModule


def to_torchscript(
    module: "LightningModule",
    file_path: str | PathLike[str] | None = None,
    method: str = "script",
    example_inputs: Any = None,
    *,
    entry: str = "forward",
    **kwargs: Any,
) -> Any:
    """Compile ``forward``, or another method, to TorchScript, in evaluation mode; the module is left as it was.

    Args:
        module: what to export; a Trainer may be attached.
        file_path: where to save it; not saved if None.
        method: ``"script"`` (compiles the source) or ``"trace"`` (records one call).
        example_inputs: for ``"trace"``; the module's ``example_input_array`` by default.
        entry: the method of the module; the result has it under this name (``scripted.encode(x)``). ``"script"``
            compiles ``forward`` beside it.
        kwargs: for ``torch.jit.script``, ``torch.jit.trace`` or ``torch.jit.trace_module``.

    Returns:
        The ``torch.jit.ScriptModule``.

    Raises:
        ValueError: for another ``method``, no such ``entry``, or no input to trace.
        RuntimeError: if it cannot be compiled, naming the line of its code.

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
    check_method(module, entry)
    with isolate_rng(), torch.no_grad(), warnings.catch_warnings():
        # torch says that TorchScript is in upkeep only; who calls this function chose it.
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=DeprecationWarning)
        alone = ready_to_export(module)  # a Trainer's attributes cannot be compiled
        args, named = ((), {}) if method == "script" else example_arguments(alone, example_inputs)
        with naming_the_line(f"{type(module).__name__}.{entry}", "TorchScript"):
            if method == "script":
                scripted = torch.jit.script(alone if entry == "forward" else _offering(alone, entry), **kwargs)
            elif entry == "forward":
                scripted = torch.jit.trace(alone, args or None, example_kwarg_inputs=named or None, **kwargs)
            else:
                by_name = bool(named)
                inputs = {entry: named if by_name else args}
                scripted = torch.jit.trace_module(alone, inputs, example_inputs_is_kwarg=by_name, **kwargs)
        if file_path is not None:
            torch.jit.save(scripted, file_path)
    return scripted


def _offering(module: nn.Module, entry: str) -> nn.Module:
    """The module as one of a class whose method ``entry`` is compiled too; the user's class stays as it is."""
    owner = type(module)
    written = getattr(owner, entry)
    code, free = written.__code__, written.__closure__
    function = types.FunctionType(code, written.__globals__, written.__name__, written.__defaults__, free)
    update_wrapper(function, written)
    marked: type[nn.Module] = type(
        owner.__name__, (owner,), {entry: torch.jit.export(function), "__module__": owner.__module__}
    )
    offering: nn.Module = marked.__new__(marked)
    offering.__dict__.update(module.__dict__)
    return offering
