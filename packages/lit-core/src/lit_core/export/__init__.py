"""From research to production: the forward pass as a file that runs without Python or without this framework."""

from lit_core.export.onnx import to_onnx
from lit_core.export.torchscript import to_torchscript

__all__ = ["to_onnx", "to_torchscript"]
