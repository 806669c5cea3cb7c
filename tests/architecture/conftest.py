"""The packages' sources, parsed once."""

import pytest

from house.source import Project


@pytest.fixture(scope="session")
def project() -> Project:
    return Project.of_tree()
