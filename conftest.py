"""Runs what README files, docs and docstrings show; each page and each docstring in a folder of its own."""

import gc
import os
import sys
from collections.abc import Iterator
from doctest import ELLIPSIS
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported, and inherited by the processes that tests start
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

FOLDER = "_page_folder"
PAGE = "page"


class Page(ModuleType):
    """A page as the module that its classes say they are from, so that they can be pickled."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        super().__init__(PAGE)
        self._namespace = namespace

    def __getattr__(self, name: str) -> Any:
        try:
            return self._namespace[name]
        except KeyError:
            raise AttributeError(f"the page defines no {name!r}") from None


def open_page(namespace: dict[str, Any]) -> None:
    """A page may write files; its blocks share one folder as they share one namespace."""
    namespace[FOLDER] = TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True)
    namespace["__name__"] = PAGE


def close_page(namespace: dict[str, Any]) -> None:
    """Remove the folder made for this page, and nothing else: never what the current folder happens to be."""
    namespace.pop(FOLDER).cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS), SkipParser()],
    patterns=["README.md", "docs/**/*.md", "docs/*.md", "docs/guides/*/*.md", "packages/*/README.md"],
    setup=open_page,
    teardown=close_page,
).pytest()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Enter the page's folder for one block and leave it after: blocks of several pages may take turns."""
    namespace = item.example.namespace if hasattr(item, "example") else {}
    if FOLDER not in namespace:
        return (yield)
    before = Path.cwd()
    os.chdir(namespace[FOLDER].name)
    sys.modules[PAGE] = Page(namespace)
    try:
        return (yield)
    finally:
        os.chdir(before)
        del sys.modules[PAGE]


@pytest.fixture(autouse=True)
def _docstrings_write_elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture(scope="module", autouse=True)
def _collect_only_what_tests_make() -> None:
    """What is imported stays: each search for garbage in it costs 0.3 s, and copies its memory in forked processes."""
    gc.collect()
    gc.freeze()
