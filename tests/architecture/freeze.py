"""Writes the public surface of every package into public_api/: ``hatch run api-freeze``."""

from pathlib import Path

from house.imports import ARROWS
from house.public import frozen_text
from house.source import Project

if __name__ == "__main__":
    tree = Project.of_tree()
    for name in ARROWS:
        file = Path(__file__).parent / "public_api" / f"{name}.txt"
        file.write_text(frozen_text(tree, name), encoding="utf-8")
        print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
