"""Names that are imported on first use, so that importing the package costs next to nothing."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def load(package: str, name: str, homes: Mapping[str, str]) -> Any:
    """Returns `name`, imported from the module of `package` that `homes` gives for it, and keeps it in the package.

    Raises:
        AttributeError: If there is no such name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module = import_module(f"{package}.{homes[name]}")
    value = module if homes[name] == name else getattr(module, name)
    setattr(sys.modules[package], name, value)
    return value
