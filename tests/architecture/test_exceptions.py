"""The table of exceptions stays as short as it can be."""

from house import attributes, classes, imports
from house.exceptions import EXCEPTIONS, Allowed, remaining, unneeded
from house.public import exported_names
from house.source import ROOT, Project, Violation, projects

BROKEN = [Violation("a.py", line, "what", "why", "fix", "a.py") for line in (1, 2)]


def test_an_exception_covers_its_place_up_to_its_count_and_no_further() -> None:
    table = {("rule", "a.py"): Allowed("a reason", 2)}

    assert remaining("rule", BROKEN, table) == []
    assert remaining("rule", BROKEN, {("rule", "a.py"): Allowed("a reason", 1)}) == BROKEN
    assert remaining("other", BROKEN, table) == BROKEN


def test_an_exception_that_is_too_generous_is_named() -> None:
    assert unneeded("rule", BROKEN, {("rule", "a.py"): Allowed("a reason", 3)}) == ["rule a.py"]


def test_every_exception_is_needed_and_has_a_reason(project: Project) -> None:
    tables = "".join(f.read_text(encoding="utf-8") for f in ROOT.glob("tests/contracts/**/*.py"))
    exported = {package: exported_names(project, package) for package in imports.ARROWS}
    applied = {
        "arrows": imports.arrows(project),
        "cycles": imports.cycles(project),
        "undeclared": imports.undeclared(project, projects()),
        "ranks": imports.ranks(project),
        "concrete_leaves": classes.concrete_leaves(project),
        "private_reads": attributes.private_reads(project),
        "foreign_writes": attributes.foreign_writes(project),
        "chains": attributes.chains(project),
        "many_bases": classes.many_bases(project),
        "overrides": classes.overrides(project),
        "without_row": classes.without_row(project, exported, tables),
    }

    assert {rule for rule, _ in EXCEPTIONS} <= set(applied), "an exception names no rule"
    assert [line for rule, found in applied.items() for line in unneeded(rule, found, EXCEPTIONS)] == []
    assert [key for key, entry in EXCEPTIONS.items() if len(entry.reason) < 20] == []
