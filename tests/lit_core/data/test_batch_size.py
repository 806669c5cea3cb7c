"""The size of a batch that the order does not tell: found where it is plain, refused where it is a guess."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from lit_core.data.batch_size import find_batch_size

Pair = namedtuple("Pair", "a b")


@dataclass
class Item:
    x: torch.Tensor
    name: str = ""


FIVE = torch.zeros(5, 2)


@pytest.mark.parametrize(
    "batch",
    [
        FIVE,
        [FIVE, torch.zeros(5)],
        (FIVE,),
        {"x": FIVE, "ids": ["a"] * 3},
        {"deep": [{"x": (FIVE, "text")}], "number": 3},
        Pair(FIVE, torch.zeros(5)),
        Item(FIVE),
        [FIVE, torch.tensor(1.0)],
    ],
    ids=["tensor", "list", "tuple", "dict", "nested", "namedtuple", "dataclass", "scalars do not count"],
)
def test_the_first_dimension_that_all_tensors_share(batch: Any) -> None:
    assert find_batch_size(batch) == 5


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ([FIVE, torch.zeros(4)], r"\[4, 5\]"),
        ("text", "str"),
        ([1, 2], "list"),
        (torch.tensor(1.0), "Tensor"),
        ({}, "dict"),
    ],
)
def test_a_guess_is_refused_and_the_way_out_is_named(batch: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"ambiguous.*{found}.*batch_size="):
        find_batch_size(batch)
