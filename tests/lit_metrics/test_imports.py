"""What importing the package costs and brings."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lit_metrics
import lit_metrics.functional


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_brings_nothing_but_the_package_itself() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import lit_metrics;"
        "print(*sorted({m for m in set(sys.modules) - before}))"
    )
    assert run(code).split() == ["lit_metrics", "lit_metrics._lazy"]


def test_metrics_bring_no_optional_dependency_and_no_sibling() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import lit_metrics as lm; [getattr(lm, n) for n in lm.__all__];"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - {'torch', 'numpy'}))"
    )
    assert set(run(code).split()) - set(sys.stdlib_module_names) == {"lit_metrics"}


@pytest.mark.parametrize("module", [lit_metrics, lit_metrics.functional])
def test_every_public_name_exists_and_the_list_is_sorted(module: object) -> None:
    names = module.__all__
    assert list(names) == sorted(names)
    assert all(hasattr(module, name) for name in names)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match=r"lit_metrics.*Acuracy"):
        lit_metrics.Acuracy  # noqa: B018


@pytest.mark.parametrize("first", ["import lit_metrics as lm; lm.MeanSquaredError", "import {path}.{name}"])
def test_a_function_named_like_its_file_stays_the_function(first: str) -> None:
    path, name = "lit_metrics.functional.regression", "mean_squared_error"
    code = f"""
import sys
{first.format(path=path, name=name)}
import lit_metrics.functional as lf
assert "{path}.{name}" in sys.modules
print(type({path.replace("lit_metrics.functional", "lf")}.{name}).__name__, type(lf.{name}).__name__)
from {path} import {name}
from {path}.{name} import {name} as inner
print({name} is inner)
"""
    assert run(code).split() == ["function", "function", "True"]


def test_every_public_name_is_what_its_stub_says_after_everything_was_imported() -> None:
    code = """
import importlib, pkgutil, sys, types
import lit_metrics
for found in pkgutil.walk_packages(lit_metrics.__path__, "lit_metrics."):
    importlib.import_module(found.name)
wrong = set()
for path, module in sorted(sys.modules.items()):
    if path.startswith("lit_metrics") and hasattr(module, "__path__"):
        for name in module.__all__:
            if isinstance(getattr(module, name), types.ModuleType):
                wrong.add(path + "." + name)
print(*sorted(wrong))
"""
    assert run(code).split() == ["lit_metrics.functional", "lit_metrics.testing"]


def test_parts_of_the_package_are_imported_when_they_are_named() -> None:
    code = """
import sys, lit_metrics as lm
print("lit_metrics.classification" in sys.modules, lm.classification.MulticlassAccuracy is lm.MulticlassAccuracy)
print(lm.functional.regression.mse is lm.functional.mse, lm.statistics.wilson_interval is lm.wilson_interval)
"""
    assert run(code).split() == ["False", "True", "True", "True"]
