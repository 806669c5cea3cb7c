"""Loaders as the loops use them: lengths, limits, places to go on from, sizes and weights."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LinearLR
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    SequentialSampler,
    WeightedRandomSampler,
    default_collate,
)

from lit_accelerators import epoch_order
from lit_core.data.loaders import PreparedLoader, as_list, prepare_loader
from tests.lit_core.resumable import Automatic, SaveAll, noisy_loader
from tests.lit_core.tiny import same, trainer


def prepare(source: Any, limit: Any = None, **settings: Any) -> PreparedLoader:
    options = {"seed": 5, "world_size": 1, "rank": 0, "training": True, "own": True, **settings}
    return prepare_loader(source, limit, "train_dataloader", **options)


def ten(batch_size: int = 3, **options: Any) -> DataLoader[Any]:
    return DataLoader(range(10), batch_size=batch_size, **options)  # type: ignore[arg-type]


def ids(loader: PreparedLoader, *args: Any, **kwargs: Any) -> list[tuple[int, list[int]]]:
    return [(index, batch.tolist()) for index, batch in loader.open(*args, **kwargs)]


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


ALL = [(0, [0, 1, 2]), (1, [3, 4, 5]), (2, [6, 7, 8]), (3, [9])]


@pytest.mark.parametrize(
    ("limit", "batches"), [(None, 4), (2, 2), (9, 4), (0, 0), (0.5, 2), (0.74, 2), (1.0, 4), (0.0, 0)]
)
@pytest.mark.parametrize("own", [True, False])
def test_limits(limit: Any, batches: int, own: bool) -> None:
    loader = prepare(ten(), limit, own=own)
    assert loader.num_batches == batches
    assert ids(loader) == ALL[:batches]


@pytest.mark.parametrize(("limit", "batches"), [(None, math.inf), (2, 2), (1.0, math.inf), (0.0, 0)])
def test_limits_where_nobody_knows_the_length(limit: Any, batches: float) -> None:
    loader = prepare(DataLoader(Stream(), batch_size=3), limit)
    assert loader.num_batches == batches
    assert ids(loader) == ALL[: int(min(batches, 4))]


def test_a_fraction_of_an_unknown_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train_dataloader has no length.*0\.5"):
        _ = prepare(DataLoader(Stream(), batch_size=3), 0.5).num_batches


@pytest.mark.parametrize("batch", range(5))
@pytest.mark.parametrize("limit", [None, 3])
def test_opening_in_the_middle_gives_the_rest_and_the_length_stays_that_of_the_epoch(batch: int, limit: Any) -> None:
    loader = prepare(ten(shuffle=True), limit)
    whole = ids(loader, 4)
    cursor = min(3 * batch, 10)
    assert ids(loader, 4, cursor=cursor, batch=batch) == whole[batch:]
    assert loader.num_batches == (limit or 4)
    assert [i for _, part in whole for i in part] == epoch_order(10, seed=5, epoch=4, shuffle=True).tolist()[
        : 9 if limit else 10
    ]


def test_each_epoch_has_its_own_order_and_the_same_one_each_time() -> None:
    loader = prepare(ten(shuffle=True))
    first, second = ids(loader, 0), ids(loader, 1)
    assert first != second
    assert ids(loader, 0) == first


def test_opening_in_the_middle_of_data_in_foreign_order_skips_and_warns() -> None:
    loader = prepare(DataLoader(Stream(), batch_size=3))
    with pytest.warns(UserWarning, match=r"order the Trainer does not own.*first 2 batches"):
        assert ids(loader, batch=2) == ALL[2:]


@pytest.mark.parametrize("start", [0, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_sizes_and_weights_of_every_batch(start: int, drop_last: bool) -> None:
    loader = prepare(ten(drop_last=drop_last))
    samples = 0
    for index, batch in loader.open(cursor=3 * start, batch=start):
        assert loader.size(index) == len(batch)
        if index < loader.full_batches:
            assert len(batch) == loader.batch_size == loader.global_batch_size == 3
        else:
            assert loader.tail(index) == (len(batch), 1.0, len(batch))
        samples += len(batch)
    assert samples == (9 if drop_last else 10) - 3 * start


def test_weights_of_a_tail_over_ranks_make_the_mean_over_samples() -> None:
    values = torch.arange(10, dtype=torch.float64) ** 2
    loaders = [prepare(ten(), world_size=2, rank=rank) for rank in (0, 1)]
    batches = [dict(loader.open()) for loader in loaders]
    assert [len(b) for b in batches] == [2, 2]
    for index in (0, 1):
        parts = []
        for loader, own in zip(loaders, batches, strict=True):
            weight = 1.0 if index < loader.full_batches else loader.tail(index)[1]
            parts.append(values[own[index]].mean() * weight)
        chunk = values[6 * index : 6 * index + 6]
        torch.testing.assert_close(sum(parts) / 2, chunk.mean())
    assert loaders[0].tail(1)[2] == 4


def test_sizes_are_unknown_where_the_order_is_not_ours() -> None:
    loader = prepare(ten(), own=False)
    assert loader.size(0) is None
    assert loader.full_batches == 0
    assert loader.tail(0) == (None, 1.0, 0)


@pytest.mark.parametrize(
    "source",
    [
        DataLoader(Stream(), batch_size=3),
        DataLoader(range(10), batch_size=3, sampler=WeightedRandomSampler([1.0] * 10, 10)),  # type: ignore[arg-type]
        DataLoader(range(10), batch_sampler=type("Own", (BatchSampler,), {})(SequentialSampler(range(10)), 3, False)),  # type: ignore[arg-type]
        type("Sub", (DataLoader,), {})(range(10), batch_size=3),
    ],
    ids=["iterable", "sampler", "batch sampler", "subclass"],
)
def test_data_in_foreign_order_is_refused_with_several_processes(source: Any) -> None:
    assert prepare(source).order is None
    with pytest.raises(ValueError, match=r"each of the 2 processes would see all of its data.*use_distributed_sampler"):
        prepare(source, world_size=2)
    assert prepare(source, world_size=2, own=False).source is source


def test_a_distributed_sampler_of_the_user_is_told_the_epoch() -> None:
    sampler: Any = DistributedSampler(range(10), num_replicas=2, rank=1, shuffle=True)  # type: ignore[arg-type]
    loader = prepare(DataLoader(range(10), batch_size=2, sampler=sampler), world_size=2)  # type: ignore[arg-type]
    first = ids(loader, 0)
    assert ids(loader, 1) != first
    assert ids(loader, 0) == first


def test_any_iterable_of_batches_is_a_loader() -> None:
    loader = prepare([torch.tensor([1]), torch.tensor([2])])
    assert loader.num_batches == 2
    assert ids(loader) == [(0, [1]), (1, [2])]


@pytest.mark.parametrize("source", [3, object()])
def test_what_cannot_be_iterated_is_refused_and_named(source: Any) -> None:
    with pytest.raises(TypeError, match=f"train_dataloader must be.*got {type(source).__name__}"):
        prepare(source)


class Stateful:
    """A loader that keeps its own place."""

    def __init__(self) -> None:
        self.place = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        start, self.place = self.place, 0
        for i in range(start, 4):
            self.place = i + 1
            yield torch.tensor([i])
        self.place = 0

    def __len__(self) -> int:
        return 4

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.place = state["place"]


def test_a_loader_that_keeps_its_place_goes_on_by_itself_without_a_warning() -> None:
    first = prepare(Stateful())
    batches = first.open()
    taken = [next(batches)[1].item() for _ in range(3)]
    second = prepare(Stateful())
    second.load_state_dict(first.state_dict())
    assert taken == [0, 1, 2]
    assert ids(second, batch=3) == [(3, [3])]
    assert ids(second) == [(i, [i]) for i in range(4)]


def test_the_state_of_a_loader_needs_a_loader_that_can_take_it() -> None:
    assert prepare(ten()).state_dict() is None
    with pytest.raises(ValueError, match="has no load_state_dict"):
        prepare(ten()).load_state_dict({"place": 1})


def test_an_end_before_all_batches_of_a_known_order_is_refused() -> None:
    loader = prepare(ten())
    loader.check_end(4)
    with pytest.raises(RuntimeError, match=r"ended after 3 of 4 batches.*StopIteration"):
        loader.check_end(3)
    prepare(ten(), own=False).check_end(0)
    prepare(ten(), 3).check_end(3)


def test_evaluation_gives_ranks_uneven_shares_and_each_sample_once() -> None:
    shares = [
        [i for _, part in ids(prepare(ten(), world_size=4, rank=rank, training=False)) for i in part]
        for rank in range(4)
    ]
    assert sorted(i for share in shares for i in share) == list(range(10))


def test_one_loader_or_several_or_none_make_a_list() -> None:
    one, two = ten(), ten()
    assert as_list(None) == []
    assert as_list(one) == [one]
    assert as_list([one, two]) == as_list((one, two)) == [one, two]


def test_a_loader_that_keeps_its_place_goes_on_exactly_also_when_the_optimizer_asks_how_long_training_is(
    tmp_path: Path,
) -> None:
    class Scheduled(Automatic):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            steps = self.trainer.estimated_stepping_batches
            return [optimizer], [{"scheduler": LinearLR(optimizer, 1.0, 0.1, int(steps)), "interval": "step"}]

    class Kept(Stateful):
        def __iter__(self) -> Iterator[Any]:
            data = noisy_loader(12, shuffle=False, noise=0).dataset
            for place in super().__iter__():
                yield default_collate([data[3 * int(place)], data[3 * int(place) + 1]])

    def train(ckpt: Path | None) -> Any:
        torch.manual_seed(0)
        module = Scheduled()
        trainer(max_epochs=2, callbacks=SaveAll(tmp_path / "kept") if ckpt is None else None).fit(
            module, Kept(), ckpt_path=ckpt
        )
        return module

    whole, resumed = train(None), train(tmp_path / "kept" / "02-batch.ckpt")
    assert resumed.seen == whole.seen[2:]
    assert same(resumed.state_dict(), whole.state_dict())
