"""Names that are imported on first use, so that importing the package costs next to nothing.

What a package offers stands once, in the `__init__.pyi` beside its `__init__.py`: type checkers read it as it is, and
`attach` reads from it which module to import for a name. Imports are `from module import name as name`, which may be
wrapped, or `from package import *` for everything that a sub-package offers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = Path(__file__).parent
_LINE = re.compile(r"^from ([\w.]+) import (?:\(\s*)?(?:(\w+) as \2|\*)", re.MULTILINE)


def attach(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Returns `__all__`, `__getattr__` and `__dir__` of a package, as its `__init__.pyi` tells."""
    homes = _homes(package)
    names = sorted(homes)

    class Package(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            # Importing a sub-module sets it in its package; there a function of that name is what is offered.
            if not isinstance(value, ModuleType) or homes.get(name, package) == package:
                super().__setattr__(name, value)

    sys.modules[package].__class__ = Package

    def get(name: str) -> Any:
        if name not in homes:
            if not name.startswith("_") and find_spec(f"{package}.{name}"):
                return import_module(f"{package}.{name}")
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        inner = f"{home}.{name}"
        value = import_module(inner) if home == package else getattr(import_module(home), name)
        vars(sys.modules[package])[name] = value  # the next look-up does not come here
        return value

    return names, get, lambda: names


def _homes(package: str) -> dict[str, str]:
    """Returns the module of every name; `package` itself for its sub-modules."""
    stub = _ROOT.joinpath(*package.split(".")[1:], "__init__.pyi").read_text(encoding="utf-8")
    homes: dict[str, str] = {}
    for module, name in _LINE.findall(stub):
        homes.update({name: module} if name else _homes(module))
    return homes
