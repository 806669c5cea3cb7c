import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo  # imported here, and not in every forked process
from torch import Tensor

from lit_accelerators import Collectives, DDPStrategy, LocalCollectives, ProcessGroupCollectives
from tests.lit_accelerators.joined import run_joined


def launch(function: Callable[[Collectives], Any], ranks: int = 2) -> Any:
    strategy = DDPStrategy(indices=list(range(ranks)), start="fork")
    return run_joined(strategy, lambda joined: function(joined.collectives))


@pytest.mark.parametrize(
    ("op", "expected"), [("sum", [3.0, 4.0]), ("mean", [1.5, 2.0]), ("max", [2.0, 3.0]), ("min", [1.0, 1.0])]
)
def test_reductions_equal_those_over_a_stack(op: Any, expected: list[float]) -> None:
    values = [torch.tensor([1.0, 3.0]), torch.tensor([2.0, 1.0])]

    assert launch(lambda c: c.all_reduce(values[c.rank], op).tolist()) == expected


def test_a_reduction_leaves_its_argument_as_it_was() -> None:
    def reduce(collectives: Collectives) -> list[float]:
        value = torch.tensor([1.0])
        collectives.all_reduce(value)
        return value.tolist()

    assert launch(reduce) == [1.0]


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("bad_rank", [0, 1, 2])
def test_a_nan_of_any_rank_is_never_lost(op: Any, bad_rank: int) -> None:
    value = launch(lambda c: float(c.all_reduce(torch.tensor(math.nan if c.rank == bad_rank else 1.0), op)), ranks=3)

    assert math.isnan(value)


def test_the_mean_of_integers_is_not_rounded() -> None:
    assert float(launch(lambda c: c.all_reduce(torch.tensor(c.rank), "mean"))) == 0.5


def test_a_reduction_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'median'"):
        launch(lambda c: c.all_reduce(torch.zeros(1), "median"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.int16, torch.uint8, torch.float64, torch.bfloat16, torch.complex64, torch.float8_e4m3fn]
)
def test_tensors_of_every_dtype_and_shape_are_gathered_unchanged(dtype: torch.dtype) -> None:
    def values(rank: int) -> dict[str, Tensor]:
        base = torch.tensor([[1.0, 0.0, rank], [2.0, 1.0, 0.0]]).to(dtype)
        return {"plain": base, "transposed": base.t(), "scalar": base[0, 2], "empty": base[:0]}

    found = launch(lambda c: c.all_gather(values(c.rank)))

    for name, tensor in values(0).items():
        expected = [tensor, values(1)[name]]
        assert found[name].dtype == dtype
        assert found[name].shape == (2, *tensor.shape)
        assert [part.tolist() for part in found[name].to(torch.complex64)] == [
            part.to(torch.complex64).tolist() for part in expected
        ]


def test_numbers_become_tensors_and_other_leaves_of_a_pytree_stay() -> None:
    found = launch(lambda c: c.all_gather({"a": [c.rank, (0.5, True)], "b": "text", "c": None}))

    assert found["a"][0].tolist() == [0, 1]
    assert [leaf.tolist() for leaf in found["a"][1]] == [[0.5, 0.5], [True, True]]
    assert (found["b"], found["c"]) == ("text", None)


@pytest.mark.parametrize(
    "make",
    [
        lambda rank: torch.zeros(1 + rank),
        lambda rank: torch.zeros(2, dtype=torch.float32 if rank else torch.float64),
        lambda rank: {"a": 1.0} if rank else {"b": 1.0},
        lambda rank: [1.0] * (1 + rank),
    ],
    ids=["shape", "dtype", "keys", "length"],
)
def test_what_does_not_match_is_refused_in_every_process_instead_of_hanging(make: Callable[[int], Any]) -> None:
    def gather(collectives: Collectives) -> list[Any]:
        try:
            collectives.all_gather(make(collectives.rank))
        except ValueError as error:
            return collectives.all_gather_object("rank 1" in str(error))
        return []

    assert launch(gather) == [True, True]


def test_gradients_flow_back_to_the_rank_a_value_came_from() -> None:
    def gradient(collectives: Collectives) -> list[Any]:
        x = torch.tensor([1.0 + collectives.rank], requires_grad=True)
        (collectives.all_gather(x, sync_grads=True).prod() * (1 + collectives.rank)).backward()
        assert x.grad is not None
        without = collectives.all_gather(x)
        return collectives.all_gather_object((x.grad.tolist(), without.requires_grad))

    # x = [1, 2]: the product's derivatives are 2 and 1, summed over the ranks' factors 1 and 2.
    assert launch(gradient) == [([6.0], False), ([3.0], False)]


def test_objects_arrive_from_the_rank_asked_for() -> None:
    def objects(collectives: Collectives) -> Any:
        mine = {"rank": collectives.rank, "tensor": torch.full((2,), collectives.rank)}
        return collectives.all_gather_object(mine), collectives.broadcast(mine, src=1)

    gathered, sent = launch(objects)

    assert [value["rank"] for value in gathered] == [0, 1]
    assert gathered[1]["tensor"].tolist() == [1, 1]
    assert sent["rank"] == 1


@pytest.mark.parametrize("longest", [1, 400, 600, 100_000])
def test_what_was_sent_ahead_arrives_as_it_was_then_whatever_is_said_between(longest: int) -> None:
    def ahead(collectives: Collectives) -> Any:
        mine = {"rank": collectives.rank, "text": ["x" * (longest if collectives.rank else 1)]}
        finish = collectives.begin_all_gather_object(mine)
        mine["text"] = ["changed"]
        total = collectives.all_reduce(torch.tensor(collectives.rank + 1))
        return int(total), finish()

    expected = [{"rank": 0, "text": ["x"]}, {"rank": 1, "text": ["x" * longest]}]
    assert launch(ahead) == (3, expected)


def test_sending_ahead_does_not_wait_for_the_others() -> None:
    late_s = 1.5

    def ahead(collectives: Collectives) -> Any:
        collectives.barrier()
        if collectives.rank:
            time.sleep(late_s)
        begin = time.monotonic()
        finish = collectives.begin_all_gather_object(collectives.rank)
        sent_s = time.monotonic() - begin
        return sent_s, finish(), time.monotonic() - begin

    sent_s, told, told_s = launch(ahead)

    assert told == [0, 1]
    assert sent_s < late_s / 2 < told_s


def test_one_process_gets_back_what_it_gave() -> None:
    collectives = LocalCollectives()
    value = torch.tensor([1.0, math.nan], requires_grad=True)

    for op in ("sum", "mean", "max", "min"):
        assert collectives.all_reduce(value, op) is value  # type: ignore[arg-type]
    assert collectives.all_gather_object(value) == [value]
    assert collectives.begin_all_gather_object(value)() == [value]
    assert collectives.broadcast(value) is value
    assert collectives.barrier() is None  # type: ignore[func-returns-value]
    assert collectives.all_gather((value, 1, "x"))[0].shape == (1, 2)
    assert collectives.all_gather(value, sync_grads=True).requires_grad
    assert not collectives.all_gather(value).requires_grad
    assert (collectives.rank, collectives.world_size) == (0, 1)


def test_collectives_without_a_process_group_say_what_to_call() -> None:
    with pytest.raises(RuntimeError, match="setup_environment"):
        ProcessGroupCollectives(torch.device("cpu"))
