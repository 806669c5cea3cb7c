"""Export to a ``torch.export`` program."""

import os
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch

from lit_accelerators import isolate_rng
from lit_core.export._program import make_program

if TYPE_CHECKING:
    from lit_core.module import LightningModule


def to_torch_export(
    module: "LightningModule",
    file_path: str | PathLike[str] | None = None,
    input_sample: Any = None,
    *,
    method: str = "forward",
    dynamic_batch: bool = True,
    package_aoti: bool = False,
    **kwargs: Any,
) -> torch.export.ExportedProgram:
    """Turn a method, in evaluation mode, into a ``torch.export`` program; the module is left as it was.

    Args:
        module: what to export; a Trainer may be attached.
        file_path: where to save it (``torch.export.load`` reads it); not saved if None. Its name should end in
            ``.pt2``.
        input_sample: an input (tensor, tuple of arguments, dict of keyword arguments); the module's
            ``example_input_array`` by default.
        method: the method that the program computes.
        dynamic_batch: let the batch axis have any size: the first axis of the first tensor, and of every tensor that
            has the same size there.
        package_aoti: compile the program with AOTInductor and write ``file_path`` as its package, which runs without
            Python and which ``torch._inductor.aoti_load_package`` reads. It needs a C++ compiler.
        kwargs: for ``torch.export.export``; ``dynamic_shapes`` replaces the free batch axis.

    Returns:
        The program; ``program.module()`` can be called.

    Raises:
        ValueError: if there is no input, no such method, or nowhere to write the package.
        RuntimeError: if the method cannot be exported, naming the line of its code.

    Example:
        >>> import torch
        >>> from lit_core import LightningModule
        >>> class Double(LightningModule):
        ...     def forward(self, x):
        ...         return 2 * x
        >>> program = to_torch_export(Double(), input_sample=torch.ones(2, 1))
        >>> program.module()(torch.tensor([[1.0], [2.0], [3.0]])).tolist()
        [[2.0], [4.0], [6.0]]
    """
    if package_aoti and file_path is None:
        raise ValueError("package_aoti=True writes a package: give file_path, such as 'model.pt2'.")
    with isolate_rng():
        program = make_program(
            module, input_sample, method, dynamic_batch=dynamic_batch, target="a torch.export program", **kwargs
        )
        if package_aoti and file_path is not None:
            from torch._inductor import aoti_compile_and_package

            with torch.no_grad():
                aoti_compile_and_package(program, package_path=os.fspath(file_path))
        elif file_path is not None:
            torch.export.save(program, os.fspath(file_path))
    return program
