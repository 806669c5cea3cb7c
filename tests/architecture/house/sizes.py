"""Rules on length. Length is not what makes code hard, coupling is; but a budget is what keeps a page a page."""

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping

from house.source import Project, Source, Violation, functions

FILE, BODY = 400, 60
TIGHTER = {"lit_core/loops/train.py": 200}

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}


def code_lines(source: Source) -> set[int]:
    """The numbers of the lines that hold code: no blank lines, no comments, no docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def long_files(project: Project, exceptions: Mapping[str, int]) -> Iterator[Violation]:
    """A file fits in a head."""
    for source in project.sources:
        limit = exceptions.get(source.local_path, TIGHTER.get(source.local_path, FILE))
        count = len(code_lines(source))
        if count > limit:
            yield Violation(
                source.path,
                1,
                f"{count} lines of code, limit {limit}",
                "one file holds one noun or one verb",
                "move a part that can be named to a file of its own",
                source.local_path,
            )


def long_functions(project: Project, exceptions: Mapping[str, int]) -> Iterator[Violation]:
    """A function's body fits on a screen."""
    for source in project.sources:
        lines = code_lines(source)
        for name, node in functions(source.tree):
            place = f"{source.local_path}:{name}"
            limit = exceptions.get(place, BODY)
            span = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
            count = sum(line in lines for line in span)
            if count > limit:
                yield Violation(
                    source.path,
                    node.lineno,
                    f"{name} has a body of {count} lines, limit {limit}",
                    "a function adds one policy and is named after it",
                    "give a part its own name, or decide it once at construction",
                    place,
                )
