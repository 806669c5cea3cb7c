"""Export to ONNX."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lit_core.export._inputs import example_arguments
from lit_core.modes import evaluation_mode

if TYPE_CHECKING:
    from lit_core.module import LightningModule


def to_onnx(module: "LightningModule", file_path: str | PathLike[str], input_sample: Any = None, **kwargs: Any) -> None:
    """Write ``forward``, in evaluation mode, as an ONNX file whose first axis may have any size.

    The module is left as it was.

    Args:
        module: what to export; a Trainer may be attached.
        file_path: the file.
        input_sample: an input (tensor, tuple of arguments, dict of keyword arguments); the module's
            ``example_input_array`` by default. Its batch should have at least two samples: a size of one is taken for
            a constant.
        kwargs: for ``torch.onnx.export``; ``dynamic_shapes`` replaces the free first axis.

    Raises:
        ModuleNotFoundError: if onnx or onnxscript is not installed (the extra ``lit-core[onnx]``).
        ValueError: if there is no input.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"to_onnx needs {error.name!r}: install the extra lit-core[onnx].") from error
    args, named = example_arguments(module, input_sample)
    if not any(name in kwargs for name in ("dynamic_shapes", "dynamic_axes")):
        free = {name: _free_batch(value) for name, value in named.items()}
        kwargs["dynamic_shapes"] = free or tuple(_free_batch(value) for value in args)
    with evaluation_mode(module), _quiet():
        alone = module.alone()
        torch.onnx.export(alone, args, os.fspath(file_path), kwargs=named or None, dynamo=True, verbose=False, **kwargs)


def _free_batch(value: Any) -> Any:
    """The shape of an input whose first axis is free, in the form ``torch.export`` takes."""
    if isinstance(value, Tensor):
        return {0: torch.export.Dim.DYNAMIC} if value.ndim else None
    if isinstance(value, dict):
        return {key: _free_batch(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_free_batch(item) for item in value)
    return None


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
