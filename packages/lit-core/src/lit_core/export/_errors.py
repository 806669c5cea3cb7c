"""Where in the user's code an export failed."""

import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from linecache import getline
from pathlib import Path

import torch

_TORCH, _OURS = (str(Path(file).resolve().parent) for file in (torch.__file__, Path(__file__).parent))
_STDLIB = str(Path(sysconfig.get_path("stdlib")).resolve())
_PLACES = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>\d+)|File: (?P<file2>[^\n]+?):(?P<line2>\d+) in ')
"""How TorchScript and the exporters write a place in their messages."""


@contextmanager
def naming_the_line(what: str, target: str) -> Iterator[None]:
    """Inside, a failure to export becomes a ``RuntimeError`` that names the line of the user's code.

    What the user's code raises itself goes on as it is: its traceback ends at the line.

    Args:
        what: class and method that are exported.
        target: the format.
    """
    try:
        yield
    except Exception as error:
        root = _root(error)
        frames = traceback.extract_tb(root.__traceback__)
        if root is error and frames and is_users(frames[-1].filename):
            raise
        place = _place(error)
        where = "" if place is None else f" {place[0]}, line {place[1]}: `{getline(*place).strip()}`."
        reason = next((line.strip() for line in str(root).splitlines() if line.strip()), type(root).__name__)
        raise RuntimeError(f"{what} cannot be exported as {target}:{where} {type(root).__name__}: {reason}") from error


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__) is not None:
        error = cause
    return error


def _place(error: BaseException) -> tuple[str, int] | None:
    """File and line of the innermost call in the user's code, from the tracebacks, else from the messages."""
    current: BaseException | None = error
    chain = []
    while current is not None:
        chain.append(current)
        current = current.__cause__
    for link in reversed(chain):
        frames = [f for f in traceback.extract_tb(link.__traceback__) if is_users(f.filename)]
        if frames:
            return frames[-1].filename, frames[-1].lineno or 0
    for link in reversed(chain):
        place = _place_of_node(link)
        if place is not None:
            return place
    for link in reversed(chain):
        for match in _PLACES.finditer(str(link)):
            file, line = match["file"] or match["file2"], match["line"] or match["line2"]
            if is_users(file):
                return file, int(line)
    return None


def _place_of_node(error: BaseException) -> tuple[str, int] | None:
    """File and line from which the operation comes that could not be translated: the exporter had it in its hands."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("node")
        places = _PLACES.finditer(node.meta.get("stack_trace") or "") if isinstance(node, torch.fx.Node) else ()
        own = [(place["file"], int(place["line"])) for place in places if is_users(place["file"] or "<")]
        if own:
            return own[-1]
    return None


def is_users(file: str) -> bool:
    """Whether a file is neither torch's, nor this framework's, nor Python's own, nor made up on the way."""
    if file.startswith("<"):
        return file.startswith(("<stdin", "<console", "<ipython", "<doctest"))
    path = str(Path(file).resolve())
    installed = "site-packages" in path or "dist-packages" in path
    return not path.startswith((_TORCH, _OURS)) and (installed or not path.startswith(_STDLIB))
