"""A few rounds of kill_and_resume.py; thirty are run by hand."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.integration.kill_and_resume import CASES, one_round

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(200)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "name",
    [
        "augmentation in workers",
        "accumulation",
        "two processes with workers",
        "average of the last epochs",
        "saved in the background",
    ],
)
def test_killed_at_random_and_resumed_equals_undisturbed(name: str, tmp_path: Path) -> None:
    assert name in CASES
    kills, wrong = one_round(tmp_path, name, random.Random(name), epochs=2)
    assert wrong == [], f"after {kills} kills"
