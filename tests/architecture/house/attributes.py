"""Rules on reaching into other objects."""

import ast
from collections.abc import Iterator

from house.source import Project, Source, Violation, dotted, functions, is_private

SELF = {"self", "cls", "mcs"}
TORCH = "torch"
LANGUAGE = {"_replace", "_asdict", "_fields", "_make", "_exit", "_getframe", "_MEIPASS"}
"""Public in spite of their underscore: named tuples, os, sys."""

WRITABLE = {"grad", "requires_grad", "data", "training", "__cause__"}
"""How torch and the language want tensors, modules and exceptions to be written to."""


def private_reads(project: Project) -> Iterator[Violation]:
    """``x._y`` belongs to the file that defines ``_y``."""
    for source in project.sources:
        own = _own_private_names(source)
        for line, text in [*_private_uses(source, own), *_private_imports(project, source)]:
            yield Violation(
                source.path,
                line,
                f"reads {text}, private to another file",
                "what is private may change without a word",
                "give it a public name or method where it is defined, or pass the value as an argument",
                source.local_path,
            )


def _private_uses(source: Source, own: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in own | LANGUAGE and not _is_self(node.value) and not _is_torch(source, node.value):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and dotted(node.func) in {"getattr", "setattr", "hasattr", "delattr"}:
            name = str(getattr(node.args[1], "value", "")) if len(node.args) > 1 else ""
            if is_private(name) and name not in own | LANGUAGE and not _is_self(node.args[0]):
                yield node.lineno, ast.unparse(node)


def _private_imports(project: Project, source: Source) -> Iterator[tuple[int, str]]:
    """A private module belongs to its package, a private name to its file."""
    for found in source.imports:
        if not found.root.startswith("lit_"):
            continue
        full = f"{found.module}.{found.name}" if found.name else found.module
        own_module = found.root == source.package and full in project.by_module
        private = is_private(found.name or "") or found.root != source.package
        if private and not own_module and any(map(is_private, full.split("."))):
            yield found.line, full


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):  # super()._x, type(self)._x
        return dotted(node.func) in {"super", "type"}
    return isinstance(node, ast.Name) and node.id in SELF


def _is_torch(source: Source, node: ast.expr) -> bool:
    """Whether ``node`` is torch, a module of it or a name from it."""
    name = dotted(node)
    root = name.partition(".")[0] if name else ""
    return source.bindings.get(root, "").partition(".")[0] == TORCH


def _own_private_names(source: Source) -> set[str]:
    """Private names that this file defines: functions, classes, fields, ``self._x = ...``."""
    names = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            names.add(node.attr)
    return {name for name in names if is_private(name)}


def foreign_writes(project: Project) -> Iterator[Violation]:
    """An object's attributes are written by its own class; the clock by the loops."""
    for source in project.sources:
        classes = {node.name for node in source.tree.body if isinstance(node, ast.ClassDef)}
        scopes = [("", source.tree, set[str]())]
        scopes += [(name, node, _made_here(node, classes)) for name, node in functions(source.tree)]
        for name, scope, made in scopes:
            for line, target, attribute in _writes(scope):
                if not _may_write(source, name, target, attribute, made):
                    yield Violation(
                        source.path,
                        line,
                        f"writes {ast.unparse(target)}.{attribute}",
                        "state that others write cannot be understood from its own class",
                        "call a method of the object, or give the value to its constructor",
                        source.local_path,
                    )


def _writes(scope: ast.AST) -> Iterator[tuple[int, ast.expr, str]]:
    """Line, object and attribute of each write in a scope, functions inside it apart."""
    for node in _own_nodes(scope):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.lineno, node.value, node.attr
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in {"setattr", "delattr", "object.__setattr__"} and len(node.args) > 1:
                yield node.lineno, node.args[0], ast.unparse(node.args[1])


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own_nodes(child)


def _may_write(source: Source, function: str, target: ast.expr, attribute: str, made: set[str]) -> bool:
    if _is_self(target) or _is_torch(source, target) or attribute in WRITABLE:
        return True
    if isinstance(target, ast.Name) and (target.id in made or (target.id == "ctx" and function.endswith("ward"))):
        return True  # ctx: forward and backward of an autograd function
    name = dotted(target) or ""
    return source.local_path.startswith("lit_core/loops/") and name.rpartition(".")[2] == "progress"


def _made_here(function: ast.FunctionDef | ast.AsyncFunctionDef, classes: set[str]) -> set[str]:
    """Locals that this function itself made: functions, and objects of this file's classes."""
    made = {node.name for node in ast.walk(function) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in _own_nodes(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _makes(node.value, classes):
            made |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return made - {function.name}


def _makes(call: ast.Call, classes: set[str]) -> bool:
    made = dotted(call.func)
    if made is None:  # type(self)(...), super().__new__(cls)
        return isinstance(call.func, ast.Call) or ast.unparse(call.func).endswith(".__new__")
    owner, _, method = made.rpartition(".")
    if method in {"copy", "deepcopy"}:
        return bool(call.args) and _is_self(call.args[0])
    return made in classes | {"cls"} or (method == "__new__" and owner in classes | {"cls", "object"})


def chains(project: Project) -> Iterator[Violation]:
    """``self.a.b.c`` knows the inside of an object's part's part."""
    for source in project.sources:
        inner = {id(n.value) for n in ast.walk(source.tree) if isinstance(n, ast.Attribute)}
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Attribute) or id(node) in inner:
                continue
            name = dotted(node)
            if name and name.startswith("self.") and name.count(".") >= 3:
                yield Violation(
                    source.path,
                    node.lineno,
                    f"reaches through {name}",
                    "this class depends on the insides of two others",
                    "take what you need as an argument, or ask the nearest object for it",
                    source.local_path,
                )
