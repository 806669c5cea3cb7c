"""What the rules look at: the source files of the packages, parsed once, never imported."""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[3]

When = Literal["import", "call", "typing"]
"""When an import statement runs: with its module, inside a function, or never (``if TYPE_CHECKING:``)."""


@dataclass(frozen=True)
class Violation:
    """One broken rule at one place; ``place`` is what the table of exceptions names."""

    path: str
    line: int
    what: str
    why: str
    fix: str
    place: str

    def __str__(self) -> str:
        """As an editor and a reader want it: file:line first."""
        return f"{self.path}:{self.line}: {self.what}\n    why: {self.why}\n    fix: {self.fix}"


@dataclass(frozen=True)
class Import:
    """One imported module, or one name from it."""

    module: str
    name: str | None
    bound: str
    line: int
    when: When

    @property
    def root(self) -> str:
        """The top-level package."""
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Source:
    """One file."""

    path: str
    text: str = field(repr=False)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def module(self) -> str:
        """Dotted name, from the path after ``src/``."""
        parts = self.path.removesuffix("i").removesuffix(".py").split("src/", 1)[-1].split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def is_package(self) -> bool:
        return self.path.endswith(("__init__.py", "__init__.pyi"))

    @property
    def is_stub(self) -> bool:
        """Whether it lists what a package offers, for its `__init__.py` to import on first use."""
        return self.path.endswith(".pyi")

    @property
    def package(self) -> str:
        """The top-level import name: ``lit_core``."""
        return self.module.partition(".")[0]

    @property
    def local_path(self) -> str:
        """From the import name on: ``lit_core/loops/train.py``."""
        return self.path.split("src/", 1)[-1]

    @cached_property
    def imports(self) -> list[Import]:
        return list(_imports(self, self.tree, "typing" if self.is_stub else "import"))

    @cached_property
    def bindings(self) -> dict[str, str]:
        """What each imported name stands for, as a dotted name."""
        return {i.bound: i.module if i.name is None else f"{i.module}.{i.name}" for i in self.imports}


@dataclass(frozen=True)
class Project:
    """All sources, by dotted module name."""

    sources: tuple[Source, ...]

    @classmethod
    def of(cls, files: dict[str, str]) -> "Project":
        """From texts, for samples: ``{"lit_core/x.py": "..."}``."""
        return cls(tuple(Source(f"src/{path}", text) for path, text in files.items()))

    @classmethod
    def of_tree(cls, root: Path = ROOT) -> "Project":
        paths = sorted([*root.glob("packages/*/src/**/*.py"), *root.glob("packages/*/src/**/*.pyi")])
        return cls(tuple(Source(p.relative_to(root).as_posix(), p.read_text(encoding="utf-8")) for p in paths))

    @cached_property
    def by_module(self) -> dict[str, Source]:
        """The file of each module that says what it offers: its stub, where there is one."""
        return {source.module: source for source in sorted(self.sources, key=lambda s: s.is_stub)}

    def definition(self, dotted: str) -> tuple[Source, ast.stmt] | None:
        """The statement that defines ``dotted`` (``lit_core.Trainer``), through any number of re-exports."""
        seen = set()
        while dotted not in seen:
            seen.add(dotted)
            module, _, name = dotted.rpartition(".")
            source = self.by_module.get(module)
            if source is None:
                return None
            for node in source.tree.body:
                if name in defined_names(node):
                    return source, node
            offered = (f"{i.module}.{name}" for i in source.imports if i.name == "*" and self.offers(i.module, name))
            dotted = source.bindings.get(name) or next(offered, "")
        return None

    def offers(self, module: str, name: str) -> bool:
        """Whether `from module import *` brings `name`."""
        source = self.by_module.get(module)
        return source is not None and name in self.exports(source)

    def exports(self, source: Source) -> dict[str, int]:
        """The public names of a file and their lines: its ``__all__``, or all that a stub passes on."""
        if not source.is_stub:
            for node in source.tree.body:
                if isinstance(node, ast.Assign) and any(map(_is_all, node.targets)):
                    return dict.fromkeys(ast.literal_eval(node.value), node.lineno)
            return {}
        found = {i.bound: i.line for i in source.imports if i.name != "*"}
        for star in (i for i in source.imports if i.name == "*"):
            found |= dict.fromkeys(self.exports(self.by_module[star.module]), star.line)
        return dict(sorted(found.items()))


def _is_all(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "__all__"


def _imports(source: Source, node: ast.AST, when: When) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield Import(alias.name, None, bound, child.lineno, when)
        elif isinstance(child, ast.ImportFrom):
            module = _absolute(source, child)
            for alias in child.names:
                yield Import(module, alias.name, alias.asname or alias.name, child.lineno, when)
        elif isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for statement in child.body:
                yield from _imports(source, ast.Module([statement], []), "typing")
            for statement in child.orelse:
                yield from _imports(source, ast.Module([statement], []), when)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(source, child, "call" if inside and when == "import" else when)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = source.module.split(".")
    parts = parts[: len(parts) - node.level + source.is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def defined_names(node: ast.stmt) -> set[str]:
    """The names a top-level statement defines; imports apart."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    if isinstance(node, ast.If | ast.Try):
        inner = [*node.body, *node.orelse]
        return set().union(*(defined_names(child) for child in inner))
    return set()


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its qualified name, nested ones too."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child
            yield from functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{prefix}{child.name}.")
        else:
            yield from functions(child, prefix)


def dotted(node: ast.AST) -> str | None:
    """``a.b.c`` for a pure chain of names, else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def is_private(name: str) -> bool:
    """One leading underscore, and more than that underscore; ``__x__`` is the language's."""
    return name.startswith("_") and name != "_" and not (name.startswith("__") and name.endswith("__"))


def projects(root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """The ``[project]`` table of every package, by import name."""
    files = sorted(root.glob("packages/*/pyproject.toml"))
    return {f.parent.name.replace("-", "_"): tomllib.loads(f.read_text(encoding="utf-8"))["project"] for f in files}


def listing(violations: Iterable[Violation]) -> str:
    """The message of a failing test."""
    return "\n\n" + "\n\n".join(map(str, violations))
