import collections
import dataclasses
import datetime
import decimal
import enum
import io
import pathlib
import pickle
import random
import time

import numpy as np
import pytest
import torch

from lit_checkpoint.plain import check_plain


class Color(enum.Enum):
    RED = 1


class Mode(str, enum.Enum):
    FAST = "fast"


@dataclasses.dataclass
class Config:
    width: int = 3


Pair = collections.namedtuple("Pair", "a b")


class Registered:
    def __init__(self) -> None:
        self.x = 1


def loads_safely(state: object) -> bool:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        torch.load(buffer, weights_only=True)
    except pickle.UnpicklingError:
        return False
    return True


ACCEPTED = [
    *(None, True, 3, 2**70, 1.5, float("nan"), 1j, "text", b"bytes", bytearray(b"x")),
    *([1, [2.0, None]], (1, "a"), {1, "a"}, {"a": {1: 2, (1, 2): 3}}, collections.OrderedDict(a=1)),
    *(collections.Counter("aab"), torch.Size([1, 2]), torch.float32, torch.device("cpu")),
    *(torch.ones(2), torch.nn.Parameter(torch.ones(2)), torch.ones(2, dtype=torch.bfloat16)),
    torch.eye(2).to_sparse(),
    random.Random(0).getstate(),
    torch.get_rng_state(),
]
REFUSED = [
    *(np.float64(1.0), np.int64(1), np.ones(2), np.bool_(True)),
    *(pathlib.PurePosixPath("/a"), Color.RED, Mode.FAST, Config(), Pair(1, 2)),
    *(frozenset({1}), collections.defaultdict(list), collections.deque([1])),
    *(datetime.datetime(2020, 1, 1), slice(1), range(3), decimal.Decimal(1)),
    *(Config, len, object(), torch.nn.Linear(1, 1), random.Random(0)),
]


@pytest.mark.parametrize("value", ACCEPTED, ids=lambda value: type(value).__name__)
def test_accepts_what_torch_loads_with_weights_only(value):
    assert loads_safely({"x": [value]})
    check_plain({"x": [value]})


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_refuses_what_torch_refuses_with_weights_only(value):
    assert not loads_safely({"x": [value]})
    with pytest.raises(TypeError, match=r"^state\.x\[0\] is a .* Store .* instead\.$"):
        check_plain({"x": [value]})


@pytest.mark.parametrize(
    ("state", "place"),
    [
        (
            {"hyper_parameters": {"optimizer": {"cls": torch.optim.Adam}}},
            "state.hyper_parameters.optimizer.cls is a type",
        ),
        ({"state_dict": {"layer.0.weight": np.ones(1)}}, "state.state_dict['layer.0.weight'] is a numpy.ndarray"),
        ({"a": [1, (2, {3: Color.RED})]}, "state.a[1][1][3] is a "),
        ({"a": {Color.RED: 1}}, "state.a.(key <Color.RED: 1>) is a "),
        (Config(), "state is a "),
    ],
)
def test_error_names_the_place(state, place):
    with pytest.raises(TypeError) as error:
        check_plain(state)
    assert str(error.value).startswith(place)


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (pathlib.PurePosixPath("a"), "str(value)"),
        (Mode.FAST, "value.value"),
        (Config(), "dataclasses.asdict(value)"),
        (np.float32(1), "value.item()"),
        (np.ones(1), "torch.from_numpy(value)"),
        (torch.nn.Linear(1, 1), "value.state_dict()"),
        (Pair(1, 2), "tuple(value)"),
        (frozenset(), "set(value)"),
        (collections.defaultdict(int), "dict(value)"),
        (datetime.date(2020, 1, 1), "value.isoformat()"),
        (torch.relu, "import path"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_says_what_to_store_instead(value, fix):
    with pytest.raises(TypeError) as error:
        check_plain({"x": value})
    assert fix in str(error.value)


def test_state_that_contains_itself_is_refused():
    state: dict[str, object] = {}
    state["self"] = [state]
    with pytest.raises(TypeError, match="contains itself"):
        check_plain(state)


def test_registered_classes_pass():
    with pytest.raises(TypeError):
        check_plain({"x": Registered()})
    with torch.serialization.safe_globals([Registered]):
        check_plain({"x": Registered()})


def test_bytes_of_shared_storages_count_once():
    base = torch.zeros(100)
    assert check_plain({"a": base, "b": base[:10], "c": [base.view(10, 10)], "d": torch.zeros(5)}) == 420


def test_walk_is_cheap():
    # 3,000 parameters with their Adam state: far below what saving them costs.
    state = {
        i: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(1), "exp_avg_sq": torch.zeros(1)} for i in range(3000)
    }
    state["order"] = list(range(1_000_000))
    start = time.process_time()
    check_plain(state)
    assert time.process_time() - start < 0.5
