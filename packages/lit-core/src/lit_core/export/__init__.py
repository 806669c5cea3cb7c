"""From research to production: a method of a module as a file that runs without Python or without this framework."""

from lit_core.export.onnx import to_onnx
from lit_core.export.torch_export import to_torch_export
from lit_core.export.torchscript import to_torchscript

__all__ = ["to_onnx", "to_torch_export", "to_torchscript"]
