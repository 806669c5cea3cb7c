"""Export to ONNX."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch

from lit_accelerators import isolate_rng
from lit_core.export._errors import naming_the_line
from lit_core.export._program import make_program

if TYPE_CHECKING:
    from lit_core.module import LightningModule


def to_onnx(
    module: "LightningModule",
    file_path: str | PathLike[str],
    input_sample: Any = None,
    *,
    method: str = "forward",
    dynamic_batch: bool = True,
    dynamic_shapes: Any = None,
    **kwargs: Any,
) -> None:
    """Write a method, in evaluation mode, as an ONNX file; the module is left as it was.

    Args:
        module: what to export; a Trainer may be attached.
        file_path: the file.
        input_sample: an input (tensor, tuple of arguments, dict of keyword arguments); the module's
            ``example_input_array`` by default.
        method: the method that the file computes.
        dynamic_batch: let the batch axis have any size: the first axis of the first tensor, and of every tensor that
            has the same size there.
        dynamic_shapes: which axes are free, as ``torch.export.export`` takes it; it replaces the free batch axis.
        kwargs: for ``torch.onnx.export``.

    Raises:
        ModuleNotFoundError: if onnx or onnxscript is not installed (the extra ``lit-core[onnx]``).
        ValueError: if there is no input, no such method, or the older ``dynamic_axes`` was given.
        RuntimeError: if the method cannot be exported, naming the line of its code.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"to_onnx needs {error.name!r}: install the extra lit-core[onnx].") from error
    if "dynamic_axes" in kwargs:
        raise ValueError(
            "dynamic_axes belongs to torch's older exporter: leave it out for a free batch axis, or give "
            "dynamic_shapes as torch.export.export takes it."
        )
    shapes = {} if dynamic_shapes is None else {"dynamic_shapes": dynamic_shapes}
    with isolate_rng(), _quiet():
        program = make_program(module, input_sample, method, dynamic_batch=dynamic_batch, target="ONNX", **shapes)
        with naming_the_line(f"{type(module).__name__}.{method}", "ONNX"):
            torch.onnx.export(program, (), os.fspath(file_path), **{"dynamo": True, "verbose": False, **kwargs})


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, the exporter is silent about its own use of torch and about packages that this export does not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
