"""Who imports whom. Every rule is applied to the packages, and seen to fail on a small broken sample."""

import pytest

from house.classes import concrete_leaves
from house.exceptions import EXCEPTIONS, remaining
from house.imports import ARROWS, arrows, cycles, drawn_arrows, ranks, undeclared
from house.source import Project, listing, projects

LEAF = {
    "lit_loggers/__init__.py": "from lit_loggers.base import Logger\nfrom lit_loggers.csv import CSVLogger\n",
    "lit_loggers/base.py": "class Logger(ABC):\n    @abstractmethod\n    def write(self): ...\n",
    "lit_loggers/csv.py": (
        "from lit_loggers.base import Logger\nclass CSVLogger(Logger):\n    def write(self):\n        print()\n"
    ),
}


def test_a_package_imports_only_the_siblings_the_design_gives_it(project: Project) -> None:
    found = remaining("arrows", arrows(project), EXCEPTIONS)

    assert not found, listing(found)


def test_the_arrows_drawn_are_exactly_those_of_the_design(project: Project) -> None:
    assert drawn_arrows(project) == ARROWS


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lit_metrics/x.py", "import lit_core\n"),
        ("lit_loggers/x.py", "def f():\n    from lit_accelerators import Strategy\n"),
        ("lit_accelerators/x.py", "if TYPE_CHECKING:\n    import lit_checkpoint.io as io\n"),
        ("lit_core/x.py", "from lit_metrics import Metric\n"),
    ],
)
def test_an_arrow_the_wrong_way_is_found_wherever_it_stands(path: str, text: str) -> None:
    found = list(arrows(Project.of({path: text})))

    assert [v.line for v in found] == [len(text.splitlines())]


def test_no_modules_load_each_other_in_a_ring(project: Project) -> None:
    found = remaining("cycles", cycles(project), EXCEPTIONS)

    assert not found, listing(found)


@pytest.mark.parametrize(
    ("files", "ring"),
    [
        ({"lit_core/a.py": "import lit_core.b\n", "lit_core/b.py": "from . import a\n"}, "lit_core.a -> lit_core.b"),
        ({"lit_core/__init__.py": "from lit_core.a import A\n", "lit_core/a.py": "import lit_core\n"}, "lit_core -> "),
    ],
)
def test_a_ring_is_found_and_shown(files: dict[str, str], ring: str) -> None:
    found = list(cycles(Project.of(files)))

    assert len(found) == 1
    assert ring in found[0].what


def test_an_import_that_does_not_run_at_load_time_makes_no_ring() -> None:
    late = "if TYPE_CHECKING:\n    from lit_core.a import A\ndef f():\n    import lit_core.a\n"

    assert not list(cycles(Project.of({"lit_core/a.py": "import lit_core.b\n", "lit_core/b.py": late})))


def test_every_import_is_declared_and_extras_are_imported_where_they_are_used(project: Project) -> None:
    found = remaining("undeclared", undeclared(project, projects()), EXCEPTIONS)

    assert not found, listing(found)


def test_an_undeclared_or_early_import_is_found() -> None:
    declared = {"lit_core": {"dependencies": ["torch>=2.6"], "optional-dependencies": {"onnx": ["onnx>=1", "a-b[c]"]}}}
    text = "import sys, torch.nn\nimport numpy as np\nimport onnx\ndef f():\n    import onnx, a_b.c\n    import wandb\n"

    found = list(undeclared(Project.of({"lit_core/x.py": text}), declared))

    assert [(v.line, v.what.split()[1].rstrip(",")) for v in found] == [(2, "numpy"), (3, "onnx"), (6, "wandb")]
    assert "loaded" in found[1].what


def test_ranks_are_known_where_the_design_puts_them(project: Project) -> None:
    found = remaining("ranks", ranks(project), EXCEPTIONS)

    assert not found, listing(found)


@pytest.mark.parametrize(
    "text",
    ["import torch.distributed as dist\n", "from torch.distributed import nn\n", "torch.distributed.barrier()\n"],
)
def test_a_process_group_elsewhere_is_found(text: str) -> None:
    places = ["lit_core/x.py", "lit_accelerators/x.py", "lit_metrics/_sync.py", "lit_metrics/x.py"]

    found = ranks(Project.of(dict.fromkeys(places, text)))

    assert [v.place for v in found] == ["lit_core/x.py", "lit_metrics/x.py"]


def test_core_names_the_leaves_implementations_in_one_file(project: Project) -> None:
    found = remaining("concrete_leaves", concrete_leaves(project), EXCEPTIONS)

    assert not found, listing(found)


def test_an_implementation_named_elsewhere_in_core_is_found() -> None:
    text = "from lit_loggers import CSVLogger, Logger\n"

    found = list(concrete_leaves(Project.of({**LEAF, "lit_core/resolve.py": text, "lit_core/trainer.py": text})))

    assert [v.place for v in found] == ["lit_core/trainer.py:CSVLogger"]
