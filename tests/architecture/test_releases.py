"""Independent versions that fit together; the release script is the one that says so."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from house.source import ROOT


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".github/scripts/release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for project in ROOT.glob("packages/*/pyproject.toml"):
        name = project.parent.name
        about = Path("packages", name, "src", name.replace("-", "_"), "__about__.py")
        for file in (about, Path("packages", name, "pyproject.toml"), Path("packages", name, "CHANGELOG.md")):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_sibling_ranges_and_changelogs_fit_the_versions(release: ModuleType) -> None:
    assert list(release.problems(ROOT)) == []


def test_a_range_that_does_not_fit_is_found(release: ModuleType, copy: Path) -> None:
    edit(copy / "packages/lit-core/pyproject.toml", "lit-loggers>=0.1,<0.2", "lit-loggers>=0.1,<0.3")

    assert [line.split()[:3] for line in release.problems(copy)] == [["lit-core", "asks", "for"]]


def test_a_version_without_a_changelog_is_found(release: ModuleType, copy: Path) -> None:
    edit(copy / "packages/lit-metrics/CHANGELOG.md", "## 0.1.0", "## 0.0.1")

    assert [line.split()[:3] for line in release.problems(copy)] == [["lit-metrics", "is", "0.1.0,"]]


def test_a_tag_must_name_a_version_in_the_tree_with_a_dated_changelog(release: ModuleType, copy: Path) -> None:
    assert "names no version" in next(iter(release.problems(copy, "lit-core-v9.0.0")))
    edit(copy / "packages/lit-core/CHANGELOG.md", "## 0.1.0", "## 0.1.0 (unreleased)\n")
    assert "unreleased" in next(iter(release.problems(copy, "lit-core-v0.1.0")))
    edit(copy / "packages/lit-core/CHANGELOG.md", "## 0.1.0 (unreleased)\n", "## 0.1.0 (2030-01-01)\n")
    assert list(release.problems(copy, "lit-core-v0.1.0")) == []


@pytest.mark.parametrize(
    ("part", "leaf", "core", "range_"),
    [
        ("patch", "0.1.1", "0.1.0", ">=0.1,<0.2"),
        ("minor", "0.2.0", "0.1.1", ">=0.2,<0.3"),
        ("major", "1.0.0", "0.1.1", ">=1.0,<2"),
    ],
)
def test_a_package_whose_range_moves_is_a_new_release_itself(
    release: ModuleType, copy: Path, part: str, leaf: str, core: str, range_: str
) -> None:
    release.bump(copy, "lit-loggers", part)

    now = {name: str(version) for name, version in release.versions(copy).items()}
    assert (now["lit-loggers"], now["lit-core"], now["lit-metrics"]) == (leaf, core, "0.1.0")
    assert f'"lit-loggers{range_}"' in (copy / "packages/lit-core/pyproject.toml").read_text(encoding="utf-8")
    assert list(release.problems(copy)) == []


def test_a_released_version_with_other_dependencies_is_found(
    release: ModuleType, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagged = (copy / "packages/lit-core/pyproject.toml").read_text(encoding="utf-8").replace("tqdm>=4.66", "tqdm>=4.0")
    monkeypatch.setattr(release, "released", lambda root, name, version: tagged if name == "lit-core" else None)

    assert [line.split()[-3:] for line in release.problems(copy)] == [["bump", "lit-core", "patch"]]
