"""What must not stand in any file."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from house.source import ROOT, Violation, listing

FOLDERS = ("work", "root", "tmp", "opt/wheels", "home", "Users")
MACHINE = re.compile(rf"(?<![\w.\-/:*}}])/(?:{'|'.join(FOLDERS)})(?:/|\b)(?!-)")
NAMES = "accelerators|checkpoint|core|loggers|metrics"
PACKAGE = rf"""["']?lit-(?:{NAMES})(?:\[[\w,-]+\])?(?:["'\s`<>=~]|$)"""
FROM_INDEX = re.compile(rf"\b(?:pip|uv)\b.*\b(?:install|add)\b.*\s{PACKAGE}")


def machine_paths(path: str, text: str) -> Iterator[Violation]:
    """No file names a folder of the machine it was written on."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := MACHINE.search(line):
            yield Violation(
                path,
                number,
                f"names {match[0]!r}",
                "that folder exists on one machine only",
                "use a relative path, tempfile, or the test's tmp_path",
                path,
            )


def index_installs(path: str, text: str) -> Iterator[Violation]:
    """No page tells the reader to install a package of ours from an index."""
    for number, line in enumerate(text.splitlines(), 1):
        if FROM_INDEX.search(line):
            yield Violation(
                path,
                number,
                f"installs from the package index: {line.strip()}",
                "the name lit-core on the public index belongs to another project",
                "install from the repository: pip install ./packages/lit-core ./packages/lit-accelerators ...",
                path,
            )


def texts() -> list[tuple[str, str]]:
    """Every file of the repository that is text; git knows which are its own."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    found = []
    for name in filter(None, names):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in data:
            found.append((name, data.decode("utf-8")))
    return found


def test_no_file_names_a_folder_of_some_machine() -> None:
    found = [violation for name, text in texts() for violation in machine_paths(name, text)]

    assert not found, listing(found)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_machines_folder_is_found(folder: str) -> None:
    assert [v.line for v in machine_paths("x", f"fine\nopen('/{folder}/x')\n")] == [2]
    assert not list(machine_paths("x", f"a/{folder}/x ./{folder}/x http://host/{folder}/x {folder}/x"))


def test_no_page_installs_from_the_index() -> None:
    pages = [(name, text) for name, text in texts() if name.endswith((".md", ".toml", ".yml", ".py"))]
    found = [v for name, text in pages if "tests/architecture" not in name for v in index_installs(name, text)]

    assert not found, listing(found)


@pytest.mark.parametrize(
    "line",
    [
        "pip install lit-core",
        "python -m pip install -U 'lit-core[onnx]'",
        "uv add lit-metrics>=0.1",
        "`pip install lit-core`",
    ],
)
def test_an_install_from_the_index_is_found(line: str) -> None:
    assert len(list(index_installs("README.md", line))) == 1


@pytest.mark.parametrize(
    "line", ["pip install ./packages/lit-core", "pip install -e packages/lit-core packages/lit-loggers", "see lit-core"]
)
def test_an_install_from_the_repository_is_fine(line: str) -> None:
    assert not list(index_installs("README.md", line))
