"""Classes: few bases, abstract or final, tabled. Every rule is seen to fail on a small broken sample."""

from house.classes import Project, classes, many_bases, overrides, without_row
from house.exceptions import EXCEPTIONS, remaining
from house.imports import ARROWS
from house.public import exported_names
from house.source import ROOT, listing

BASES = {
    "lit_core/__init__.py": "from lit_core.base import Strategy, Metric\n",
    "lit_core/base.py": (
        "class Strategy(ABC):\n"
        "    def __init__(self):\n        self.x = 1\n"
        "    @abstractmethod\n    def setup(self): ...\n"
        "    def slot(self):\n        '''Nothing by default.'''\n"
        "    def convert(self, batch):\n        return batch\n"
        "    def clip(self):\n        return self.x\n"
        "class Metric(ABC):\n"
        "    @abstractmethod\n    def update(self): ...\n"
        "    def reset(self):\n        self.n = 0\n"
    ),
}


def test_no_class_has_more_than_two_bases(project: Project) -> None:
    found = remaining("many_bases", many_bases(project), EXCEPTIONS)

    assert not found, listing(found)


def test_a_third_base_is_found() -> None:
    found = list(many_bases(Project.of({"lit_core/x.py": "class A(B, C): ...\nclass D(B, C, E): ...\n"})))

    assert [v.place for v in found] == ["lit_core/x.py:D"]


def test_no_method_with_a_body_is_overridden(project: Project) -> None:
    found = remaining("overrides", overrides(project), EXCEPTIONS)

    assert not found, listing(found)


def test_an_override_is_found_through_imports_and_generations() -> None:
    text = (
        "from lit_core import Strategy\nimport lit_core.base as b\n"
        "class DDP(Strategy):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "    def setup(self):\n        print()\n"
        "    def slot(self):\n        print()\n"
        "    def convert(self, batch):\n        return batch[0]\n"
        "class Sharded(DDP):\n    def setup(self):\n        print()\n"
        "class Clipping(b.Strategy):\n    def clip(self):\n        print()\n"
        "class Mean(b.Metric):\n    def reset(self):\n        print()\n"
    )

    found = list(overrides(Project.of({**BASES, "lit_core/x.py": text})))

    assert [v.place for v in found] == ["lit_core/x.py:Sharded.setup", "lit_core/x.py:Clipping.clip"]


def test_every_exported_implementation_has_a_row_in_the_table_of_its_contract(project: Project) -> None:
    tables = "".join(f.read_text(encoding="utf-8") for f in ROOT.glob("tests/contracts/**/*.py"))
    exported = {package: exported_names(project, package) for package in ARROWS}

    found = remaining("without_row", without_row(project, exported, tables), EXCEPTIONS)

    assert not found, listing(found)


def test_an_implementation_without_a_row_is_found() -> None:
    text = "from lit_core import Metric\n" + "".join(
        f"class {name}(Metric):\n    def update(self):\n        print()\n" for name in ("Mean", "Sum", "Hidden")
    )
    sample = Project.of({**BASES, "lit_core/x.py": text + "class Base(Metric): ...\n"})

    found = list(without_row(sample, {"lit_core": {"Mean", "Sum", "Base"}}, "rows = [Mean]"))

    assert [v.place for v in found] == ["lit_core/x.py:Sum"]


def test_a_class_is_concrete_when_no_abstract_method_is_left() -> None:
    text = "from lit_core import Strategy\nclass A(Strategy): ...\nclass B(A):\n    def setup(self):\n        print()\n"

    found = {cls.name: cls.is_concrete for cls in classes(Project.of({**BASES, "lit_core/x.py": text}))}

    assert found == {"Strategy": False, "Metric": False, "A": False, "B": True}
