"""Rules on who imports whom."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from house.source import Import, Project, Source, Violation, dotted

ARROWS = {
    "lit_core": {"lit_accelerators", "lit_checkpoint", "lit_loggers"},
    "lit_accelerators": set[str](),
    "lit_checkpoint": set[str](),
    "lit_loggers": set[str](),
    "lit_metrics": set[str](),
}
"""The whole graph: from a package to the siblings it may import."""

KNOWS_RANKS = ("lit_accelerators/", "lit_metrics/_sync.py")


def arrows(project: Project) -> Iterator[Violation]:
    """A package imports only the siblings the design gives it, wherever the import stands."""
    for source in project.sources:
        for found in source.imports:
            if found.root in ARROWS and found.root not in {source.package, *ARROWS[source.package]}:
                allowed = ", ".join(sorted(ARROWS[source.package])) or "no sibling"
                yield Violation(
                    source.path,
                    found.line,
                    f"{source.package} imports {found.module}",
                    f"arrows between packages go one way; {source.package} may import: {allowed}",
                    "take what you need as an argument, or move the code to the package whose noun it is",
                    source.local_path,
                )


def drawn_arrows(project: Project) -> dict[str, set[str]]:
    """The arrows there are."""
    drawn: dict[str, set[str]] = {source.package: set() for source in project.sources}
    for source in project.sources:
        drawn[source.package] |= {i.root for i in source.imports if i.root in ARROWS} - {source.package}
    return drawn


def cycles(project: Project) -> Iterator[Violation]:
    """No modules of a package import each other in a ring when they are loaded."""
    edges: dict[str, dict[str, int]] = {}
    for source in project.sources:
        targets = edges.setdefault(source.module, {})
        for found in source.imports:
            inner = f"{found.module}.{found.name}"
            target = inner if inner in project.by_module else found.module
            if found.when == "import" and target in project.by_module and target != source.module:
                targets.setdefault(target, found.line)
    for ring in _rings(edges):
        first = project.by_module[ring[0]]
        yield Violation(
            first.path,
            edges[ring[0]][ring[1]],
            "import cycle " + " -> ".join(ring),
            "modules in a ring cannot be read, tested or moved alone",
            "import the defining module, not the package's root; move what both need to a third module",
            first.local_path,
        )


def _rings(edges: Mapping[str, Mapping[str, int]]) -> Iterator[list[str]]:
    """One ring per group of modules that reach each other."""
    reach: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        stack = [start]
        while stack:
            for target in edges[stack.pop()]:
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        reach[start] = seen
    told: set[str] = set()
    for start in sorted(edges):
        if start in reach[start] and start not in told:
            told |= {m for m in reach[start] if start in reach[m]}
            yield _walk_back(start, edges)


def _walk_back(start: str, edges: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The shortest way from a module to itself."""
    paths = [[start, target] for target in sorted(edges[start])]
    seen = set(edges[start])
    while paths:
        path = paths.pop(0)
        if path[-1] == start:
            return path
        fresh = [t for t in sorted(edges[path[-1]]) if t not in seen]
        seen.update(fresh)
        paths += [[*path, target] for target in fresh]
    raise AssertionError(f"{start} is on no ring")


def undeclared(project: Project, projects: Mapping[str, Mapping[str, Any]]) -> Iterator[Violation]:
    """Loading a package needs its dependencies only; an extra is imported inside the function that needs it."""
    for source in project.sources:
        table = projects[source.package]
        required = _import_names(table.get("dependencies", []))
        optional = table.get("optional-dependencies", {})
        extras = {name: extra for extra, lines in optional.items() for name in _import_names(lines)}
        for found in source.imports:
            stubs = {"typing_extensions"} if found.when == "typing" else set()  # every type checker brings them
            if found.root in sys.stdlib_module_names | required | stubs | {source.package}:
                continue
            if found.root not in extras:
                yield Violation(
                    source.path,
                    found.line,
                    f"imports {found.root}, which {source.package} does not declare",
                    "a package that is there by luck is missing on the next machine",
                    "add it to [project.dependencies], or to an extra and import it inside the function that needs it",
                    f"{source.local_path}:{found.root}",
                )
            elif found.when == "import":
                yield Violation(
                    source.path,
                    found.line,
                    f"imports {found.root} (extra {extras[found.root]!r}) when the module is loaded",
                    f"{source.package} must load where that extra is not installed",
                    "import it inside the function that needs it; the error names the extra",
                    f"{source.local_path}:{found.root}",
                )


def _import_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0].lower().replace("-", "_") for line in requirements}


def ranks(project: Project) -> Iterator[Violation]:
    """Process groups are known in lit_accelerators, and in the one file of lit_metrics that syncs."""
    for source in project.sources:
        if source.local_path.startswith(KNOWS_RANKS):
            continue
        for line in _mentions_distributed(source):
            yield Violation(
                source.path,
                line,
                "uses torch.distributed",
                "ranks, process groups and devices are known in lit_accelerators only (and lit_metrics/_sync.py)",
                "ask the strategy's collectives, or be told what to do",
                source.local_path,
            )


def _mentions_distributed(source: Source) -> Iterator[int]:
    for found in source.imports:
        name = f"{found.module}.{found.name}." if found.name else f"{found.module}."
        if name.startswith("torch.distributed.") and not name.startswith("torch.distributed.checkpoint."):
            yield found.line
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and dotted(node) == "torch.distributed":
            yield node.lineno


def imported_definition(project: Project, found: Import) -> tuple[Source, ast.stmt] | None:
    """What ``from module import name`` brings, if it is defined in the project."""
    return None if found.name is None else project.definition(f"{found.module}.{found.name}")
