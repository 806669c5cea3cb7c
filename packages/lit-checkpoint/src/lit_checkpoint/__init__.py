"""Checkpoints you can trust: atomic, verified, safe to load."""

from typing import TYPE_CHECKING, Any

from lit_checkpoint.__about__ import __version__
from lit_checkpoint.background import BackgroundSaver
from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.file_io import FileCheckpointIO
from lit_checkpoint.folder import latest_valid, resolve_checkpoint
from lit_checkpoint.functions import load, save, verify
from lit_checkpoint.io import CheckpointIO
from lit_checkpoint.lightning import load_lightning
from lit_checkpoint.manager import CheckpointManager
from lit_checkpoint.registry import get_io
from lit_checkpoint.triggers import Every
from lit_checkpoint.weights import load_safetensors, save_safetensors

if TYPE_CHECKING:
    from lit_checkpoint.sharded import ShardedCheckpointIO

__all__ = [
    "BackgroundSaver",
    "CheckpointCorruptError",
    "CheckpointIO",
    "CheckpointManager",
    "Every",
    "FileCheckpointIO",
    "ShardedCheckpointIO",
    "__version__",
    "get_io",
    "latest_valid",
    "load",
    "load_lightning",
    "load_safetensors",
    "resolve_checkpoint",
    "save",
    "save_safetensors",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "ShardedCheckpointIO":  # brings torch.distributed.checkpoint, which takes a while to import
        from lit_checkpoint.sharded import ShardedCheckpointIO

        return ShardedCheckpointIO
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
