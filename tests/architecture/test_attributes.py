"""Reaching into other objects. Every rule is applied to the packages, and seen to fail on a small broken sample."""

import pytest

from house.attributes import chains, foreign_writes, private_reads
from house.exceptions import EXCEPTIONS, remaining
from house.source import Project, listing


def test_private_names_stay_in_their_file(project: Project) -> None:
    found = remaining("private_reads", private_reads(project), EXCEPTIONS)

    assert not found, listing(found)


@pytest.mark.parametrize(
    "text",
    [
        "def f(trainer):\n    return trainer._state\n",
        "def f(self):\n    return self.trainer._state\n",
        "def f(x):\n    return getattr(x, '_state')\n",
        "def f(x):\n    x._state = 1\n",
        "import os\nfrom lit_core.a import _helper\n",
        "import os\nfrom lit_core._files import _helper\n",
        "import os\nfrom lit_loggers._files import write\n",
        "import os\nimport lit_loggers._files\n",
    ],
)
def test_a_private_name_of_another_file_is_found(text: str) -> None:
    found = list(private_reads(Project.of({"lit_core/x.py": text})))

    assert [v.line for v in found] == [2]


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    def f(self, other):\n        self._x = 1\n        return other._x\n",
        "class A:\n    _x: int = 0\ndef f(a):\n    return a._x\n",
        "def f(self):\n    return self._inherited, super()._inherited, type(self)._inherited, cls._inherited\n",
        "import torch\nfrom torch import nn\ny = torch._C._x, nn.Module._version\n",
        "def f(row):\n    return row._replace(a=1).__dict__\n",
        "from lit_core._files import write\nfrom lit_core import _files\nimport lit_core._files\n",
    ],
)
def test_a_private_name_of_the_same_file_self_or_torch_is_fine(text: str) -> None:
    assert not list(private_reads(Project.of({"lit_core/x.py": text, "lit_core/_files.py": ""})))


def test_attributes_are_written_by_their_own_class(project: Project) -> None:
    found = remaining("foreign_writes", foreign_writes(project), EXCEPTIONS)

    assert not found, listing(found)


@pytest.mark.parametrize(
    "write",
    [
        "trainer.stopped = True",
        "self.trainer.stopped = True",
        "trainer.count += 1",
        "for trainer.batch in loader: pass",
        "setattr(trainer, name, 1)",
        "del trainer.batch",
        "progress.epoch = 1",
        "trainer = Trainer()\n    trainer.stopped = True",
    ],
)
def test_a_write_from_outside_is_found(write: str) -> None:
    text = f"def f(self, trainer, loader, progress, name):\n    {write}\n"

    found = list(foreign_writes(Project.of({"lit_core/x.py": text})))

    assert [v.line for v in found] == [len(text.splitlines())]


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    def __init__(self):\n        self.x = 1\n        object.__setattr__(self, 'y', 2)\n",
        "class A:\n    @classmethod\n    def of(cls):\n        a = cls()\n        a.x = 1\n",
        "class A: ...\ndef f():\n    a = A()\n    a.x = 1\n",
        "def f(p):\n    p.grad = None\n    p.requires_grad = False\n",
        "import torch\ntorch.backends.cudnn.benchmark = True\n",
        "def f(step):\n    def g(): ...\n    g.__name__ = 'step'\n    return g\n",
        "class A:\n    def copy(self):\n        new = copy.copy(self)\n        new.x = 1\n        return new\n",
        "class F(Function):\n    @staticmethod\n    def forward(ctx, x):\n        ctx.n = 1\n",
    ],
)
def test_a_write_to_what_one_made_or_is_is_fine(text: str) -> None:
    assert not list(foreign_writes(Project.of({"lit_core/x.py": text})))


def test_the_loops_and_only_they_move_the_clock() -> None:
    text = "def f(run):\n    run.progress.batch += 1\n    run.module.x = 1\n"

    found = foreign_writes(Project.of({"lit_core/loops/train.py": text, "lit_core/trainer.py": text}))

    assert [(v.place, v.line) for v in found] == [
        ("lit_core/loops/train.py", 3),
        ("lit_core/trainer.py", 2),
        ("lit_core/trainer.py", 3),
    ]


def test_no_object_reaches_through_two_others(project: Project) -> None:
    found = remaining("chains", chains(project), EXCEPTIONS)

    assert not found, listing(found)


def test_a_chain_is_found_once() -> None:
    text = "def f(self):\n    self.a.b.c.d()\n    return self.a.b + self.a().b.c + x.y.z.w\n"

    found = list(chains(Project.of({"lit_core/x.py": text})))

    assert [(v.line, v.what) for v in found] == [(2, "reaches through self.a.b.c.d")]
