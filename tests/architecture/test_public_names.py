"""The public surface is frozen: a change of it is a reviewed diff."""

from difflib import unified_diff
from pathlib import Path

import pytest

from house.imports import ARROWS
from house.public import frozen_text, unsorted_exports
from house.source import Project, listing

FROZEN = Path(__file__).parent / "public_api"


def test_exports_are_sorted_and_defined(project: Project) -> None:
    found = list(unsorted_exports(project))

    assert not found, listing(found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("B = 1\na = 2\n__all__ = ['a', 'B']\n", "not sorted at 'a'"),
        ("__all__ = ['Gone']\n", "'Gone', defined nowhere"),
        ("from lit_core.a import Gone\nfrom torch import Tensor\n__all__ = ['Gone', 'Tensor']\n", "'Gone', defined"),
        ("x = 1\n", "has no __all__"),
    ],
)
def test_an_unsorted_untrue_or_missing_list_is_found(text: str, what: str) -> None:
    found = list(unsorted_exports(Project.of({"lit_core/__init__.py": text})))

    assert len(found) == 1
    assert what in found[0].what


@pytest.mark.parametrize("package", sorted(ARROWS))
def test_the_public_surface_is_the_frozen_one(project: Project, package: str) -> None:
    frozen = (FROZEN / f"{package}.txt").read_text(encoding="utf-8").splitlines()
    diff = list(unified_diff(frozen, frozen_text(project, package).splitlines(), "frozen", "now", lineterm="", n=2))

    assert not diff, "\n".join(
        ["", f"The public surface of {package} changed. If that is meant: hatch run api-freeze, and review:", *diff]
    )


def test_a_changed_signature_changes_the_frozen_text() -> None:
    sample = {
        "lit_core/__init__.py": "from lit_core.a import A, f\n__all__ = ['A', 'f']\n",
        "lit_core/a.py": (
            "class A(Base):\n    x: int = 1\n    _y = 2\n"
            "    @property\n    def p(self) -> int: ...\n    def _q(self): ...\n    def r(self): ...\n"
            "def f(a: int, *, b=None) -> str: ...\n"
        ),
        "lit_core/more/__init__.py": "from lit_core.a import f\n__all__ = ['f']\n",
    }
    expected = (
        "# lit_core\nclass A(Base)\n    x: int = 1\n    @property def p(self) -> int\n    def r(self)\n"
        "def f(a: int, *, b=None) -> str\n\n# lit_core.more\nf = lit_core.a.f\n"
    )

    assert frozen_text(Project.of(sample), "lit_core") == expected
    sample["lit_core/a.py"] = sample["lit_core/a.py"].replace("b=None", "b=0")
    assert frozen_text(Project.of(sample), "lit_core") == expected.replace("b=None", "b=0")


def test_a_stub_lists_what_its_package_offers_and_what_it_passes_on() -> None:
    sample = {
        "lit_metrics/__init__.py": "__all__, __getattr__, __dir__ = attach(__name__)\n",
        "lit_metrics/__init__.pyi": "from lit_metrics.a import g as g\nfrom lit_metrics.more import *\n",
        "lit_metrics/a.py": "def f() -> int: ...\ndef g() -> int: ...\n",
        "lit_metrics/more/__init__.py": "__all__, __getattr__, __dir__ = attach(__name__)\n",
        "lit_metrics/more/__init__.pyi": "from lit_metrics.a import f as f\n",
    }
    expected = "# lit_metrics\ndef f() -> int\ndef g() -> int\n\n# lit_metrics.more\nf = lit_metrics.a.f\n"

    assert frozen_text(Project.of(sample), "lit_metrics") == expected
    assert not list(unsorted_exports(Project.of(sample)))
    sample["lit_metrics/more/__init__.pyi"] += "from lit_metrics.a import Gone as Gone\n"
    assert {v.place for v in unsorted_exports(Project.of(sample))} == {
        "lit_metrics/__init__.pyi",
        "lit_metrics/more/__init__.pyi",
    }
