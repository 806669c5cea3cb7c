"""Installs the five wheels of dist/ into a fresh environment and imports each from another folder.

python .github/scripts/wheels_smoke.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from release import ROOT, tomllib, versions

CHECK = """
import importlib, importlib.metadata, pathlib, sys
name, version = sys.argv[1:]
module = importlib.import_module(name.replace("-", "_"))
assert pathlib.Path(module.__file__).is_relative_to(sys.prefix), module.__file__
found = module.__version__, importlib.metadata.version(name)
assert found == (version, version), found
print(name, version, len(module.__all__), "public names")
"""


def wheel_of(name: str, version: str) -> Path:
    """The wheel of a package, with nothing in it but that package."""
    module = name.replace("-", "_")
    wheel = ROOT / "dist" / f"{module}-{version}-py3-none-any.whl"
    if not wheel.is_file():
        raise SystemExit(f"dist/ has no {wheel.name}; run: hatch run release:build")
    files = zipfile.ZipFile(wheel).namelist()
    strange = [file for file in files if not file.startswith((f"{module}/", f"{module}-{version}.dist-info/"))]
    missing = {f"{module}/py.typed", f"{module}-{version}.dist-info/licenses/LICENSE"} - set(files)
    if strange or missing:
        raise SystemExit(f"{wheel.name}: should not hold {strange}, should hold {sorted(missing)}")
    return wheel


def main() -> None:
    """Install all five in one command, so that no sibling is looked for on an index."""
    expected = {name: str(version) for name, version in versions(ROOT).items()}
    wheels = [str(wheel_of(name, version)) for name, version in expected.items()]
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    uv = shutil.which("uv") or "uv"
    with tempfile.TemporaryDirectory() as folder:
        python = str(Path(folder, "env", "Scripts/python.exe" if os.name == "nt" else "bin/python"))
        commands = [
            [uv, "venv", "--quiet", "--python", sys.executable, str(Path(folder, "env"))],
            [uv, "pip", "install", "--quiet", "--python", python, *groups["torch"], *wheels],
            [uv, "pip", "check", "--python", python],
            *([python, "-c", CHECK, name, version] for name, version in expected.items()),
        ]
        for command in commands:
            subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    main()
