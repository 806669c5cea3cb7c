"""The public names with their signatures, as text; read from the source, so the same on every Python and torch."""

import ast
from collections.abc import Iterator

from house.source import Project, Source, Violation, is_private

SHOWN_DECORATORS = ("property", "classmethod", "staticmethod", "abstractmethod", "final", "overload", "dataclass")


def namespaces(project: Project, package: str) -> list[Source]:
    """The packages users import from: they list what they offer and have no private part in their name."""
    found = [s for s in project.by_module.values() if s.package == package and s.is_package and project.exports(s)]
    return sorted((s for s in found if not any(map(is_private, s.module.split(".")))), key=lambda s: s.module)


def exported_names(project: Project, package: str) -> set[str]:
    """Every public name of the package."""
    return {name for source in namespaces(project, package) for name in project.exports(source)}


def unsorted_exports(project: Project) -> Iterator[Violation]:
    """The list of public names is sorted and true."""
    for source in project.by_module.values():
        found = project.exports(source)
        if source.is_package and not found and source.module == source.package:
            yield _export_violation(source, 1, "has no __all__", "write one, sorted")
        names = list(found)
        if names != sorted(set(names)):
            wrong = next(n for n, s in zip(names, [*sorted(set(names)), ""], strict=False) if n != s)
            what = f"__all__ is not sorted at {wrong!r}"
            yield _export_violation(source, found[wrong], what, "sort it, upper case first")
        for name, line in found.items():
            full = f"{source.module}.{name}"
            passed_on = not source.bindings.get(name, "lit_").startswith("lit_")
            if not passed_on and project.definition(full) is None and full not in project.by_module:
                yield _export_violation(source, line, f"__all__ names {name!r}, defined nowhere", "remove or import it")


def _export_violation(source: Source, line: int, what: str, fix: str) -> Violation:
    why = "the public surface is one list that a reader can scan"
    return Violation(source.path, line, what, why, fix, source.local_path)


def frozen_text(project: Project, package: str) -> str:
    """The public surface of a package: one block per namespace, one entry per name."""
    blocks = []
    told: set[str] = set()
    for source in namespaces(project, package):
        lines = [f"# {source.module}"]
        for name in project.exports(source):
            found = project.definition(f"{source.module}.{name}")
            if found is None:
                lines.append(f"module {name}")
                continue
            home = f"{found[0].module}.{name}"
            lines += [f"{name} = {home}"] if home in told else list(_entry(name, found[1]))
            told.add(home)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _entry(name: str, node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        yield _function(node)
    elif isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, [*node.bases, *(k.value for k in node.keywords)]))
        yield f"{_decorators(node)}class {name}" + (f"({bases})" if bases else "")
        yield from (f"    {line}" for child in node.body for line in _member(child))
    elif isinstance(node, ast.AnnAssign):
        yield ast.unparse(node)
    elif name == "__version__":
        yield "__version__: str"
    elif isinstance(node, ast.Assign):
        yield ast.unparse(node)
    else:
        yield name


def _member(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef) and not is_private(node.name):
        yield _function(node)
    elif isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if not is_private(ast.unparse(target)):
            yield ast.unparse(node)


def _function(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{_decorators(node)}def {node.name}({ast.unparse(node.args)}){returns}"


def _decorators(node: ast.FunctionDef | ast.ClassDef) -> str:
    shown = [ast.unparse(d) for d in node.decorator_list]
    return "".join(f"@{text} " for text in shown if text.partition("(")[0].rpartition(".")[2] in SHOWN_DECORATORS)
