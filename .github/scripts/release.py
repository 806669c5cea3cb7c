"""Versions of the five packages: check them, bump one, build one.

python .github/scripts/release.py check [TAG]      ranges between siblings, changelogs, and a tag if one is given
python .github/scripts/release.py bump PKG PART    PART is major, minor or patch; siblings follow
python .github/scripts/release.py build [PKG ...]  wheels and sdists into dist/
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
ABOUT = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def about(root: Path, name: str) -> Path:
    """The file that holds the version of package ``name``."""
    return root / "packages" / name / "src" / name.replace("-", "_") / "__about__.py"


def versions(root: Path) -> dict[str, Version]:
    """Every package's version, by name, read from its source: installed metadata can be stale."""
    found = {}
    for project in sorted(root.glob("packages/*/pyproject.toml")):
        name = project.parent.name
        match = ABOUT.search(about(root, name).read_text(encoding="utf-8"))
        if match is None:
            raise ValueError(f'{about(root, name)} has no line __version__ = "...".')
        found[name] = Version(match[1])
    return found


def compatible(version: Version) -> str:
    """The range a sibling asks for: below 1.0 the minor number breaks, from 1.0 on the major one."""
    upper = f"0.{version.minor + 1}" if version.major == 0 else f"{version.major + 1}"
    return f">={version.major}.{version.minor},<{upper}"


def requirements(pyproject: str) -> list[Requirement]:
    """All dependencies a pyproject.toml declares, extras included."""
    project: dict[str, Any] = tomllib.loads(pyproject)["project"]
    groups = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    return [Requirement(line) for group in groups for line in group]


def released(root: Path, name: str, version: Version) -> str | None:
    """The pyproject.toml that ``name`` was released with as ``version``; None if there is no such tag."""
    source = f"{name}-v{version}:packages/{name}/pyproject.toml"
    shown = subprocess.run(["git", "show", source], cwd=root, capture_output=True, text=True, check=False)
    return shown.stdout if shown.returncode == 0 else None


def problems(root: Path, tag: str | None = None) -> Iterator[str]:
    """One line for everything that stands in the way of a release."""
    now = versions(root)
    for name, version in now.items():
        pyproject = (root / "packages" / name / "pyproject.toml").read_text(encoding="utf-8")
        needs = requirements(pyproject)
        for dep in needs:
            if dep.name in now and {str(s) for s in dep.specifier} != set(compatible(now[dep.name]).split(",")):
                want = f"{dep.name}{compatible(now[dep.name])}"
                yield f"{name} asks for {dep}, but {dep.name} is {now[dep.name]}: write {want}"
        before = released(root, name, version)
        if before is not None and sorted(map(str, requirements(before))) != sorted(map(str, needs)):
            yield f"{name} {version} is released with other dependencies: run bump {name} patch"
        changelog = (root / "packages" / name / "CHANGELOG.md").read_text(encoding="utf-8")
        heading = re.search(rf"^## {re.escape(str(version))}\b.*", changelog, re.MULTILINE)
        if heading is None:
            yield f"{name} is {version}, but its CHANGELOG.md has no section '## {version}'"
        elif tag == f"{name}-v{version}" and "unreleased" in heading[0]:
            yield f"{name} {version} is being released, but its CHANGELOG.md says unreleased: write the date"
    tags = sorted(f"{name}-v{version}" for name, version in now.items())
    if tag is not None and tag not in tags:
        yield f"the tag {tag} names no version in the tree: expected one of {', '.join(tags)}"


def check(root: Path, tag: str | None = None) -> int:
    """Print the versions and every problem; 1 if there is one."""
    found = list(problems(root, tag))
    print(*(f"{name} {version}" for name, version in versions(root).items()), *found, sep="\n")
    return 1 if found else 0


def bump(root: Path, name: str, part: str, reason: str | None = None) -> None:
    """Raise the version of ``name``; a sibling whose range must follow is itself a new patch release."""
    current = versions(root)
    if name not in current:
        raise ValueError(f"No package is called {name!r}; there are {', '.join(current)}.")
    v = current[name]
    new = Version(
        {
            "major": f"{v.major + 1}.0.0",
            "minor": f"{v.major}.{v.minor + 1}.0",
            "patch": f"{v.major}.{v.minor}.{v.micro + 1}",
        }[part]
    )
    file = about(root, name)
    file.write_text(ABOUT.sub(f'__version__ = "{new}"', file.read_text(encoding="utf-8")), encoding="utf-8")
    changelog = root / "packages" / name / "CHANGELOG.md"
    section = f"## {new} (unreleased)\n\n" + (f"- {reason}\n\n" if reason else "")
    head, mark, tail = changelog.read_text(encoding="utf-8").partition("## ")
    changelog.write_text(f"{head}{section}{mark}{tail}", encoding="utf-8")
    print(f"{name} {v} -> {new}")
    if compatible(new) == compatible(v):
        return
    for other in current:
        project = root / "packages" / other / "pyproject.toml"
        text = project.read_text(encoding="utf-8")
        moved = re.sub(rf'"{name}(\[[^]]*\])?[<>=~!][^"]*"', rf'"{name}\1{compatible(new)}"', text)
        if moved != text:
            project.write_text(moved, encoding="utf-8")
            bump(root, other, "patch", f"Works with {name} {new.major}.{new.minor}.")


def build(root: Path, names: list[str]) -> None:
    """Wheel and sdist of each package into dist/."""
    for name in names or versions(root):
        command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", "dist", f"packages/{name}"]
        subprocess.run(command, cwd=root, check=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("tag", nargs="?")
    bumping = commands.add_parser("bump")
    bumping.add_argument("package")
    bumping.add_argument("part", choices=["major", "minor", "patch"])
    commands.add_parser("build").add_argument("packages", nargs="*")
    args = parser.parse_args()
    if args.command == "check":
        return check(ROOT, args.tag)
    if args.command == "bump":
        bump(ROOT, args.package, args.part)
    else:
        build(ROOT, args.packages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
