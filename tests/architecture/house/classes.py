"""Rules on classes: few bases, abstract or final, and one row in the contract's table for every implementation."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from house.imports import imported_definition
from house.source import Project, Source, Violation, dotted

OPEN = {"LightningModule", "LightningDataModule", "Callback", "Metric"}
"""Users subclass these and override what they like."""

LEAF_CONTRACTS = {
    "Accelerator",
    "CheckpointIO",
    "ClusterEnvironment",
    "Collectives",
    "Launcher",
    "Logger",
    "Precision",
    "Strategy",
}
TABLED = {"Callback", "CheckpointIO", "Logger", "Metric", "Strategy"}
"""Contracts whose laws are a suite in tests/contracts."""

Kind = Literal["abstract", "empty", "concrete"]


@dataclass(frozen=True)
class Class:
    """A class of the project, and those of its bases that are classes of the project."""

    source: Source
    node: ast.ClassDef
    bases: tuple["Class", ...]

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def methods(self) -> dict[str, ast.FunctionDef]:
        return {child.name: child for child in self.node.body if isinstance(child, ast.FunctionDef)}

    @property
    def ancestors(self) -> list["Class"]:
        """All project classes above, nearest first."""
        found: list[Class] = []
        for base in self.bases:
            found += [base, *base.ancestors]
        return found

    @property
    def is_concrete(self) -> bool:
        """Whether no abstract method is left."""
        missing: set[str] = set()
        for cls in [*reversed(self.ancestors), self]:
            for name, method in cls.methods.items():
                missing.discard(name)
                if kind(method) == "abstract":
                    missing.add(name)
        return not missing


def kind(method: ast.FunctionDef) -> Kind:
    """``empty`` is a slot: it does nothing, or gives back a constant or what it was given."""
    if any("abstract" in ast.unparse(decorator) for decorator in method.decorator_list):
        return "abstract"
    body = [n for n in method.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    arguments = {a.arg for a in [*method.args.args, *method.args.kwonlyargs]}
    for statement in body:
        if isinstance(statement, ast.Pass):
            continue
        if isinstance(statement, ast.Raise) and "NotImplementedError" in ast.unparse(statement):
            return "abstract"
        value = statement.value if isinstance(statement, ast.Return) else statement
        if isinstance(value, ast.Name) and value.id in arguments:
            continue
        if value is None or isinstance(value, ast.Constant) or ast.unparse(value) in {"[]", "{}", "()"}:
            continue
        return "concrete"
    return "empty"


def classes(project: Project) -> list[Class]:
    """Every top-level class, with its bases resolved through imports and re-exports."""
    made: dict[tuple[str, str], Class] = {}

    def make(source: Source, node: ast.ClassDef) -> Class:
        key = source.module, node.name
        if key not in made:
            made[key] = Class(source, node, tuple(base for expr in node.bases if (base := find(source, expr))))
        return made[key]

    def find(source: Source, expr: ast.expr) -> Class | None:
        name = dotted(expr.value if isinstance(expr, ast.Subscript) else expr)
        if name is None:
            return None
        root, _, rest = name.partition(".")
        meant = source.bindings.get(root, f"{source.module}.{root}") + (f".{rest}" if rest else "")
        found = project.definition(meant)
        return make(found[0], found[1]) if found and isinstance(found[1], ast.ClassDef) else None

    for source in project.sources:
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef):
                make(source, node)
    return list(made.values())


def many_bases(project: Project) -> Iterator[Violation]:
    """At most two bases, the second an interface."""
    for source in project.sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and len(node.bases) > 2:
                yield Violation(
                    source.path,
                    node.lineno,
                    f"class {node.name} has {len(node.bases)} bases",
                    "what a method does must be found without walking a graph",
                    "hold the other objects instead of being them",
                    f"{source.local_path}:{node.name}",
                )


def overrides(project: Project) -> Iterator[Violation]:
    """A method with a body has one body: it is never overridden, unless its class is made for users to extend."""
    for cls in classes(project):
        for name, method in cls.methods.items():
            if name == "__init__":
                continue
            for above in cls.ancestors:
                if above.name in OPEN or name not in above.methods or kind(above.methods[name]) != "concrete":
                    continue
                yield Violation(
                    cls.source.path,
                    method.lineno,
                    f"{cls.name}.{name} overrides the body of {above.name}.{name}",
                    "every class is abstract or final: a reader of a call knows which body runs",
                    "make the method abstract and share a function, or wrap the other class",
                    f"{cls.source.local_path}:{cls.name}.{name}",
                )


def concrete_leaves(project: Project) -> Iterator[Violation]:
    """lit_core names the leaves' implementations in resolve.py only."""
    known = {(cls.source.module, cls.name): cls for cls in classes(project)}
    for source in project.sources:
        if source.package != "lit_core" or source.local_path == "lit_core/resolve.py":
            continue
        for found in source.imports:
            definition = imported_definition(project, found)
            if definition is None or not isinstance(definition[1], ast.ClassDef):
                continue
            cls = known[definition[0].module, definition[1].name]
            contracts = {above.name for above in cls.ancestors} & LEAF_CONTRACTS
            if contracts and cls.is_concrete and cls.source.package != "lit_core":
                yield Violation(
                    source.path,
                    found.line,
                    f"names {cls.name}, an implementation of {min(contracts)}",
                    "core stands on contracts; one file turns words into implementations",
                    f"take a {min(contracts)} as an argument, and choose it in lit_core/resolve.py",
                    f"{source.local_path}:{cls.name}",
                )


def without_row(project: Project, exported: Mapping[str, set[str]], tables: str) -> Iterator[Violation]:
    """Every exported implementation of a contract stands in a table of tests/contracts."""
    for cls in classes(project):
        contracts = {above.name for above in cls.ancestors} & TABLED
        if not contracts or not cls.is_concrete or cls.name not in exported.get(cls.source.package, set()):
            continue
        if not re.search(rf"\b{cls.name}\b", tables):
            yield Violation(
                cls.source.path,
                cls.node.lineno,
                f"{cls.name} is a {min(contracts)} without a row in tests/contracts",
                "a contract is a suite of laws that every implementation passes",
                f"add one row for {cls.name} to the table of {min(contracts)}",
                f"{cls.source.local_path}:{cls.name}",
            )
