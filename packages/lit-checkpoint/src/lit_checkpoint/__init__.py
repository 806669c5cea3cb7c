"""Checkpoints you can trust: atomic, verified, safe to load."""

from lit_checkpoint.__about__ import __version__
from lit_checkpoint.background import BackgroundSaver
from lit_checkpoint.errors import CheckpointCorruptError
from lit_checkpoint.file_io import FileCheckpointIO, load, save, verify
from lit_checkpoint.folder import latest_valid, resolve_checkpoint
from lit_checkpoint.io import CheckpointIO
from lit_checkpoint.manager import CheckpointManager
from lit_checkpoint.registry import get_io

__all__ = [
    "BackgroundSaver",
    "CheckpointCorruptError",
    "CheckpointIO",
    "CheckpointManager",
    "FileCheckpointIO",
    "__version__",
    "get_io",
    "latest_valid",
    "load",
    "resolve_checkpoint",
    "save",
    "verify",
]
