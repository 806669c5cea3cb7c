"""Several loaders as one: the batches of each mode, places to go on from, ranks, and Trainer runs over them."""

import json
import math
import multiprocessing
import os
from collections import Counter, namedtuple
from collections.abc import Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lit_accelerators import epoch_order
from lit_core import LightningDataModule, LightningModule
from lit_core.data.combined import (
    CombinedLoader,
    PreparedCombined,
    combined_loader,
    evaluation_loaders,
    prepare_combined,
)
from tests.lit_core.resumable import SaveAll, comparable, final_state
from tests.lit_core.tiny import Rows, same, trainer

MODES = ("max_size_cycle", "min_size", "max_size", "sequential")
SHAPES = ([3], [3, 3], [5, 2], [2, 5], [1, 4, 7], [4, 0])
Pair = namedtuple("Pair", ["left", "right"])


def reference(mode: str, lists: list[list[Any]]) -> list[Any]:
    """What a mode gives, by the tools of Python."""
    if mode == "min_size":
        return [list(row) for row in zip(*lists, strict=False)]
    if mode == "max_size":
        return [list(row) for row in zip_longest(*lists)]
    if mode == "sequential":
        return list(chain(*lists))
    return [[one[i % len(one)] for one in lists] for i in range(max(map(len, lists)))]


def numbers(lengths: list[int]) -> list[list[int]]:
    return [list(range(100 * i, 100 * i + n)) for i, n in enumerate(lengths)]


class Unsized:
    """Batches, as often as asked; nobody knows how many."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class Stream(IterableDataset[int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n))


class Stateful:
    """A loader that keeps its own place."""

    def __init__(self, n: int, offset: int = 0) -> None:
        self.n, self.offset, self.place, self.reads = n, offset, 0, 0

    def __iter__(self) -> Iterator[Tensor]:
        start, self.place = self.place, 0
        for i in range(start, self.n):
            self.place = i + 1
            self.reads += 1
            yield torch.tensor([self.offset + i])
        self.place = 0

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.place = state["place"]


class Ids(Dataset[int]):
    """Numbers from ``first`` on; remembers which were read."""

    def __init__(self, n: int, first: int = 0) -> None:
        self.n, self.first = n, first
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> int:
        self.read.append(index)
        return self.first + index


def ids(n: int, first: int = 0, batch_size: int = 3, **options: Any) -> DataLoader[Any]:
    return DataLoader(Ids(n, first), batch_size=batch_size, **options)


def prepare(source: Any, mode: Any = "max_size_cycle", limit: Any = None, **settings: Any) -> PreparedCombined:
    options = {"seed": 5, "world_size": 1, "rank": 0, "own": True, **settings}
    return prepare_combined(CombinedLoader(source, mode), limit, "train_dataloader", **options)


def lists(value: Any) -> Any:
    """Batches with their tensors as lists."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: lists(item) for key, item in value.items()}
    return [lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def batches(loader: PreparedCombined, *args: Any, **kwargs: Any) -> list[Any]:
    return [lists(batch) for _, batch in loader.open(*args, **kwargs)]


# The batches of each mode


@pytest.mark.parametrize("lengths", SHAPES, ids=str)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sized", [True, False], ids=["lengths known", "lengths unknown"])
def test_each_mode_gives_what_python_gives(mode: Any, lengths: list[int], sized: bool) -> None:
    data = numbers(lengths)
    sources = data if sized else [Unsized(one) for one in data]
    if mode == "max_size_cycle" and 0 in lengths:
        for broken in (CombinedLoader(sources, mode), prepare(sources, mode).open()):
            with pytest.raises(ValueError, match=r"Loader 1 .* has no batches, so it cannot be cycled"):
                list(broken)
        return
    expected = reference(mode, data)
    plain = list(CombinedLoader(sources, mode))
    assert [batch for batch, _, _ in plain] == expected
    prepared = prepare(sources, mode)
    assert list(prepared.open()) == list(enumerate(expected))
    assert list(prepared.open(1)) == list(enumerate(expected))
    if sized:
        assert prepared.num_batches == len(CombinedLoader(sources, mode)) == len(expected)
    if mode == "sequential":
        places = [(index, number) for number, one in enumerate(data) for index in range(len(one))]
        assert [(index, number) for _, index, number in plain] == places
    else:
        assert [(index, number) for _, index, number in plain] == [(i, 0) for i in range(len(expected))]


@pytest.mark.parametrize("lengths", SHAPES[:-1], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_owned_loaders_give_the_same_in_sequence(mode: Any, lengths: list[int]) -> None:
    data = numbers(lengths)
    prepared = prepare([ids(n, 100 * i, batch_size=1) for i, n in enumerate(lengths)], mode)
    assert [lists(batch) for _, batch in prepared.open(3)] == reference(mode, [[[x] for x in one] for one in data])
    assert prepared.num_batches == len(reference(mode, data))


@pytest.mark.parametrize(
    ("mode", "length"), [("max_size_cycle", None), ("min_size", 2), ("max_size", None), ("sequential", None)]
)
def test_the_length_where_one_loader_has_none(mode: Any, length: int | None) -> None:
    sources = [[1, 2], Unsized([1, 2, 3])]
    assert prepare(sources, mode).num_batches == (length or math.inf)
    if length:
        assert len(CombinedLoader(sources, mode)) == length
    else:
        with pytest.raises(TypeError, match=f"{mode}.*has no length"):
            len(CombinedLoader(sources, mode))


def test_batches_have_the_structure_of_the_loaders() -> None:
    def first(source: Any) -> Any:
        return next(iter(CombinedLoader(source)))[0]

    assert first([[1], [2]]) == [1, 2]
    assert first(([1], [2])) == (1, 2)
    assert first({"b": [1], "a": [2]}) == {"b": 1, "a": 2}
    assert first(Pair([1], [2])) == Pair(1, 2)
    assert type(first(Pair([1], [2]))) is Pair


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ([], ValueError, "got no loader"),
        ({}, ValueError, "got no loader"),
        ([ids(2), 3], TypeError, "got int at 1"),
        ({"a": ids(2), "b": None}, TypeError, "NoneType at 'b'"),
        ({"a": [ids(2), ids(3)]}, ValueError, "must not be nested.*'a'"),
        ([{"a": ids(2)}, ids(3)], ValueError, "must not be nested.* at 0"),
        ([CombinedLoader([ids(2)]), ids(3)], ValueError, "must not be nested"),
        (ids(2), TypeError, "got DataLoader"),
    ],
)
def test_what_cannot_be_combined_is_refused_and_named(source: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        CombinedLoader(source)


def test_an_unknown_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"max_size_cycle, min_size, max_size, sequential.*'longest'"):
        CombinedLoader([[1]], "longest")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "several"),
    [
        (ids(2), False),
        ([ids(2), ids(2)], True),
        ((ids(2), Unsized([1])), True),
        ([ids(2), [torch.ones(1)]], True),
        ({"a": [1, 2]}, True),
        (CombinedLoader([[1]]), True),
        ([torch.ones(2), torch.ones(2)], False),
        ([[torch.ones(2), torch.ones(2)]], False),
        ([(torch.ones(2),)], False),
        ([{"x": torch.ones(2)}], False),
        ([torch.ones(2).numpy()], False),
        ([], False),
        (Unsized([1]), False),
    ],
)
def test_lists_of_loaders_are_told_from_lists_of_batches(source: Any, several: bool) -> None:
    assert (combined_loader(source) is not None) is several


# Order


def test_each_pass_visits_each_sample_once_in_an_order_of_its_own() -> None:
    loader = prepare([ids(30, shuffle=True), ids(6, shuffle=True)])
    rounds = batches(loader, 4)
    assert [i for first, _ in rounds for i in first] == epoch_order(30, seed=5, epoch=4, shuffle=True).tolist()
    passes = [tuple(chain(*(second for _, second in rounds[i : i + 2]))) for i in range(0, 10, 2)]
    assert all(sorted(one) == list(range(6)) for one in passes)
    assert len(set(passes)) == 5
    assert batches(loader, 4) == rounds
    assert batches(loader, 5) != rounds


def test_equal_datasets_do_not_run_in_step() -> None:
    pairs = [tuple(map(tuple, pair)) for pair in batches(prepare([ids(30, shuffle=True), ids(30, shuffle=True)]))]
    assert all(first != second for first, second in pairs)


def test_overfitting_keeps_every_loader_unshuffled() -> None:
    loader = prepare([ids(4, shuffle=True), ids(6, shuffle=True)], shuffle=False)
    assert batches(loader, 7) == [[[0, 1, 2], [0, 1, 2]], [[3], [3, 4, 5]]]


# Limits


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", [0, 2, 99, 0.5, 1.0])
@pytest.mark.parametrize("batch", [0, 1, 2])
def test_limits_count_combined_batches(mode: Any, limit: Any, batch: int) -> None:
    whole = batches(prepare([ids(15, shuffle=True), ids(8, shuffle=True)], mode))
    expected = whole[: int(len(whole) * limit) if isinstance(limit, float) else limit]
    loader = prepare([ids(15, shuffle=True), ids(8, shuffle=True)], mode, limit)
    assert loader.num_batches == len(expected)
    assert batches(loader, batch=batch) == expected[batch:]
    assert loader.num_batches == len(expected)


def test_an_endless_loader_is_limited_by_another_or_by_a_number() -> None:
    endless = iter(int, 1)
    assert len(batches(prepare([endless, ids(7)], "min_size"))) == 3
    assert len(batches(prepare([endless, ids(7)], "max_size_cycle", 5))) == 5
    with pytest.raises(ValueError, match=r"train_dataloader has no length.*0\.5"):
        _ = prepare([endless, ids(7)], limit=0.5).num_batches


# Going on inside an epoch


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sizes", [(10, 4, 25), (25, 10), (9, 9), (3, 30)], ids=str)
def test_going_on_from_every_batch_gives_the_rest_and_reads_nothing_else(
    mode: Any, drop_last: bool, sizes: tuple[int, ...]
) -> None:
    def make() -> list[DataLoader[Any]]:
        return [ids(n, 100 * i, shuffle=True, drop_last=drop_last) for i, n in enumerate(sizes)]

    whole = batches(prepare(make(), mode), 2)
    for batch in range(len(whole) + 1):
        sources = make()
        loader = prepare(sources, mode)
        assert [(index, lists(b)) for index, b in loader.open(2, batch=batch)] == list(enumerate(whole))[batch:]
        assert loader.num_batches == len(whole)
        rest = whole[batch:] if mode == "sequential" else [b for row in whole[batch:] for b in row if b is not None]
        datasets: list[Any] = [source.dataset for source in sources]
        assert sum(len(dataset.read) for dataset in datasets) == sum(map(len, rest))


@pytest.mark.parametrize("mode", MODES)
def test_going_on_with_workers_gives_the_same(mode: Any) -> None:
    whole = batches(prepare({"a": ids(11, shuffle=True), "b": ids(4, 100, shuffle=True)}, mode))
    loader = prepare({"a": ids(11, shuffle=True, num_workers=1), "b": ids(4, 100, shuffle=True, num_workers=1)}, mode)
    assert batches(loader, batch=2) == whole[2:]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("streams", [(True, True), (True, False), (False, True)], ids=str)
def test_a_foreign_order_is_read_and_skipped_with_a_warning(mode: Any, streams: tuple[bool, bool]) -> None:
    def make() -> list[Any]:
        return [
            DataLoader(Stream(n), batch_size=3) if stream else ids(n, shuffle=True)
            for n, stream in zip((13, 5), streams, strict=True)
        ]

    whole = batches(prepare(make(), mode))
    for batch in range(1, len(whole) + 1):
        with pytest.warns(UserWarning, match=r"train_dataloader\[[01]\].*order the Trainer does not own"):
            rest = batches(prepare(make(), mode), batch=batch)
        assert rest == whole[batch:]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lengths", [(5, 2), (2, 5), (3, 3), (7, 1)], ids=str)
def test_loaders_that_keep_their_place_go_on_unread_without_a_warning(mode: Any, lengths: tuple[int, int]) -> None:
    def make() -> dict[str, Any]:
        return {"kept": Stateful(lengths[0]), "too": Stateful(lengths[1], 50), "owned": ids(7, 100, shuffle=True)}

    whole = batches(prepare(make(), mode), 1)
    assert len(whole) >= 1
    for batch in range(1, len(whole)):
        first = prepare(make(), mode)
        running = first.open(1)
        taken = [lists(next(running)[1]) for _ in range(batch)]
        state = json.loads(json.dumps(first.state_dict()))
        sources = make()
        second = prepare(sources, mode)
        second.load_state_dict(state)
        rest = batches(second, 1, batch=batch)
        assert taken + rest == whole
        values = [x for b in rest for part in (b.values() if isinstance(b, dict) else [b]) for x in part or ()]
        assert sources["kept"].reads + sources["too"].reads - sum(x < 100 for x in values) in (
            0,
            1,
        )  # 1: to see the end


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("numbers_of_ranks", [(1, 2), (2, 1), (2, 3), (2, 1, 2)], ids=str)
def test_an_epoch_goes_on_with_other_numbers_of_ranks(mode: Any, numbers_of_ranks: tuple[int, ...]) -> None:
    """Over all ranks each loader gives what its order says, whoever reads it."""
    short = 18 if mode == "sequential" else 16  # what is left is a multiple of the ranks: nothing is given twice

    def make() -> list[DataLoader[Any]]:
        return [ids(44, shuffle=True, batch_size=2), ids(short, 100, shuffle=True, batch_size=1)]

    state, done = None, 0
    parts: list[Any] = []
    for world_size in numbers_of_ranks:
        loaders = [prepare(make(), mode, world_size=world_size, rank=r) for r in range(world_size)]
        if state is not None:
            for loader in loaders:
                loader.load_state_dict(state)
        most = None if len(parts) == len(numbers_of_ranks) - 1 else 2
        parts.append([[lists(b) for _, b in islice(loader.open(1, batch=done), most)] for loader in loaders])
        state, done = loaders[0].state_dict(), done + len(parts[-1][0])
    assert {loader.num_batches for loader in loaders} == {done}
    rows = [[_samples(row) for row in each] for part in parts for each in zip(*part, strict=True)]
    together = [sorted(chain(*each)) for each in rows]
    assert [x for row in together for x in row if x < 100] == _in_rows(
        epoch_order(44, seed=5, epoch=1, shuffle=True), [sum(x < 100 for x in row) for row in together]
    )
    seen = Counter(x for row in together for x in row)
    second = [seen[x] for x in range(100, 100 + short)]
    assert max(seen.values()) == (max(second) if mode == "max_size_cycle" else 1)
    assert max(second) - min(second) <= 1
    if mode != "min_size":
        assert all(seen[x] == 1 for x in range(44))
        assert min(second) >= 1


def _in_rows(order: Tensor, sizes: list[int]) -> list[int]:
    """An order cut into rows, each of them sorted."""
    return [x for row in order[: sum(sizes)].split(sizes) for x in sorted(row.tolist())]


def _samples(row: Any) -> list[int]:
    return [x for part in row if part is not None for x in (part if isinstance(part, list) else [part])]


def test_data_that_became_shorter_than_what_is_done_are_refused() -> None:
    with pytest.raises(ValueError, match="now ends after 4 batches, of which 6 were done"):
        prepare([ids(12), ids(3)]).open(batch=6)


@pytest.mark.parametrize("state", [{"place": 1}, None, {"sizes": [], "parts": [None]}])
def test_the_state_of_other_loaders_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match="another training loader than train_dataloader, which combines 2"):
        prepare([ids(3), ids(3)]).load_state_dict(state)


def test_a_place_in_a_single_loader_is_refused() -> None:
    with pytest.raises(ValueError, match="inside an epoch over a single loader"):
        prepare([ids(9), ids(9)]).open(cursor=3, batch=1)


def test_a_loaded_place_is_gone_on_from_once() -> None:
    loader = prepare([Stateful(4), Stateful(4)])
    loader.load_state_dict({"sizes": [], "parts": [{"state": {"place": 2}, "finished": []}] * 2})
    assert batches(loader, batch=2) == [[[2], [2]], [[3], [3]]]
    with pytest.warns(UserWarning, match="read and skipped"):
        assert batches(loader, batch=1) == [[[i], [i]] for i in (1, 2, 3)]


class Opens(Unsized):
    """Says when it is opened."""

    opened = 0

    def __iter__(self) -> Iterator[Any]:
        self.opened += 1
        return super().__iter__()


@pytest.mark.parametrize("mode", MODES)
def test_opening_an_epoch_opens_the_loaders_that_are_needed_at_once(mode: Any) -> None:
    """What they draw and start comes before the first step, as with a single loader."""
    sources = [Opens([1, 2]), Opens([1])]
    running = prepare(sources, mode).open()
    assert [source.opened for source in sources] == ([1, 0] if mode == "sequential" else [1, 1])
    list(running)
    assert [source.opened for source in sources] == ([1, 2] if mode == "max_size_cycle" else [1, 1])


@pytest.mark.parametrize("mode", ["max_size", "sequential"])
@pytest.mark.filterwarnings("ignore:Resuming inside an epoch")
def test_going_on_does_not_open_again_what_has_ended(mode: Any) -> None:
    sources = [Opens([1]), Opens([1, 2, 3, 4])]
    assert len(batches(prepare(sources, mode), batch=2)) == (2 if mode == "max_size" else 3)
    assert [source.opened for source in sources] == [1, 1]


# Ends, sizes, weights


class Breaks(Ids):
    def __getitem__(self, index: int) -> int:
        if index == 4:
            raise StopIteration
        return super().__getitem__(index)


@pytest.mark.parametrize("mode", MODES)
def test_an_owned_order_that_ends_too_soon_is_refused(mode: Any) -> None:
    loader = prepare([ids(9), DataLoader(Breaks(9), batch_size=3)], mode)
    with pytest.raises(RuntimeError, match=r"train_dataloader\[1\] ended after 1 of 3 batches.*StopIteration"):
        list(loader.open())


@pytest.mark.parametrize("rank", [0, 1])
def test_one_after_another_has_the_sizes_and_weights_of_each_loader(rank: int) -> None:
    sources = [ids(9, batch_size=2), ids(5, 100, batch_size=2)]
    loader = prepare(sources, "sequential", world_size=2, rank=rank)
    found = []
    for index, _ in loader.open():
        assert index >= loader.full_batches
        found.append(loader.tail(index))
    whole, short = (2, 1.0, 0), (1 - rank, 2.0 * (1 - rank), 0)
    assert found == [whole, whole, short, whole, short]  # 9 = 4 + 4 + 1, 5 = 4 + 1: the last sample is rank 0's


@pytest.mark.parametrize("mode", MODES[:3])
def test_of_a_combined_batch_no_size_is_claimed(mode: Any) -> None:
    loader = prepare([ids(10), ids(4)], mode)
    for index, _ in loader.open():
        assert index < loader.full_batches
        assert (loader.batch_size, loader.global_batch_size, loader.size(index)) == (None, 0, None)


@pytest.mark.parametrize("mode", MODES)
def test_ranks_see_disjoint_samples_and_equally_many_batches(mode: Any) -> None:
    sources = [ids(24, shuffle=True), ids(12, 100, shuffle=True)]
    shares = [batches(prepare(sources, mode, world_size=2, rank=rank)) for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1])
    for one, two in zip(*shares, strict=True):
        assert not set(_samples(one)) & set(_samples(two))
    seen = Counter(x for share in shares for row in share for x in _samples(row))
    assert set(seen.values()) == ({1, 2} if mode == "max_size_cycle" else {1})


# Evaluation


def test_evaluation_runs_a_dict_or_a_sequential_loader_one_after_another() -> None:
    one, two = ids(2), ids(3)
    assert evaluation_loaders({"b": one, "a": two}) == [one, two]
    assert evaluation_loaders(CombinedLoader({"b": one, "a": two}, "sequential")) == [one, two]
    assert evaluation_loaders([one, two]) == [one, two]
    assert evaluation_loaders(one) == [one]
    assert evaluation_loaders(None) == []


@pytest.mark.parametrize("mode", MODES[:3])
def test_evaluation_of_combined_batches_is_refused_with_the_reason(mode: Any) -> None:
    with pytest.raises(ValueError, match=f"one after another.*mode='{mode}'"):
        evaluation_loaders(CombinedLoader([ids(2)], mode))
    with pytest.raises(ValueError, match="put the loaders in it into the list"):
        evaluation_loaders([CombinedLoader([ids(2)], mode)])


# Trainer


class Noisy(Dataset[Any]):
    """Samples with noise from the generator of the process that reads them, and their number."""

    def __init__(self, n: int, first: int = 0) -> None:
        self.n, self.first = n, first

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        return torch.tensor([index / self.n]) + 0.1 * torch.rand(1), self.first + index


def noisy(n: int, first: int = 0, batch_size: int = 3) -> DataLoader[Any]:
    return DataLoader(Noisy(n, first), batch_size=batch_size, shuffle=True)


class Mixed(LightningModule):
    """Adds the losses of all batches it is given, and remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.3), nn.Linear(4, 1))
        self.seen: list[Any] = []
        self.evaluated: list[tuple[int, list[int]]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        one_batch = isinstance(batch, (list, tuple)) and isinstance(batch[0], Tensor)
        parts = [batch] if one_batch else list(batch.values() if isinstance(batch, dict) else batch)
        self.seen.append([None if part is None else part[1].tolist() for part in parts])
        loss = torch.stack([self.net(part[0]).square().mean() for part in parts if part is not None]).sum()
        self.log("loss", loss, on_step=True, on_epoch=True, batch_size=len(parts))
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.evaluated.append((dataloader_idx, batch[1].tolist()))

    test_step = validation_step

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return dataloader_idx, batch[1].tolist()

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def combined(mode: Any, container: type = dict) -> CombinedLoader:
    loaders = {"a": noisy(14), "b": noisy(5, 100), "c": noisy(8, 200, 4)}
    return CombinedLoader(loaders if container is dict else container(loaders.values()), mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("container", [dict, list, tuple])
def test_fit_sees_what_the_loader_gives(mode: Any, container: type) -> None:
    torch.manual_seed(3)
    module = Mixed()
    runner = trainer(max_epochs=2)
    runner.fit(module, combined(mode, container))
    per_epoch = {"max_size_cycle": 5, "min_size": 2, "max_size": 5, "sequential": 9}[mode]
    assert runner.num_training_batches == per_epoch
    assert len(module.seen) == runner.global_step == 2 * per_epoch
    for epoch in (module.seen[:per_epoch], module.seen[per_epoch:]):
        seen = Counter(x for row in epoch for part in row for x in part or ())
        assert all(seen[x] == 1 for x in range(14)) or mode == "min_size"
        assert all(seen[x] >= 1 for x in chain(range(100, 105), range(200, 208)))
    assert module.seen[:per_epoch] != module.seen[per_epoch:]


@pytest.mark.parametrize("container", [dict, list])
def test_fit_takes_plain_containers_and_cycles_the_shorter(container: type) -> None:
    runs = []
    for wrap in (lambda loaders: loaders, CombinedLoader):
        torch.manual_seed(3)
        module = Mixed()
        loaders = {"a": noisy(14), "b": noisy(5, 100)}
        trainer().fit(module, wrap(loaders if container is dict else list(loaders.values())))
        runs.append(module.seen)
    assert runs[0] == runs[1]
    assert [len(row) for row in runs[0]] == [2] * 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("settings", [{}, {"limit_train_batches": 0.6, "accumulate_grad_batches": 2}], ids=str)
def test_a_run_resumed_at_any_safe_point_equals_the_uninterrupted_one(
    mode: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    def run(folder: Path | None, ckpt: Path | None = None) -> tuple[Any, Mixed, Rows, SaveAll]:
        torch.manual_seed(3 if ckpt is None else 99)
        rows, module = Rows(), Mixed()
        save = SaveAll(folder, rows.rows)
        runner = trainer(max_epochs=2, logger=rows, log_every_n_steps=2, callbacks=[save], **settings)
        runner.fit(module, combined(mode), noisy(4), ckpt_path=ckpt)
        return runner, module, rows, save

    runner, module, rows, save = run(tmp_path)
    expected = final_state(runner, module)
    for name, (seen, written) in save.saved.items():
        resumed, twin, later, _ = run(None, tmp_path / f"{name}.ckpt")
        assert twin.seen == module.seen[seen:], name
        step = torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["global_step"]
        again = sum(row.step == step for row in rows.rows[:written])  # a logger with a past would forget these first
        assert comparable(later.rows) == comparable(rows.rows[written - again :]), name
        found = final_state(resumed, twin)
        assert [key for key in expected if not same(found[key], expected[key])] == [], name


@pytest.mark.parametrize(("limit", "expected"), [(3, 3), (0.5, 2), (99, 5)])
def test_limit_train_batches_counts_combined_batches(limit: Any, expected: int) -> None:
    module = Mixed()
    trainer(limit_train_batches=limit).fit(module, [noisy(14), noisy(5)])
    assert len(module.seen) == expected


def test_loaders_of_a_datamodule_are_combined_and_made_anew_where_asked() -> None:
    class Growing(LightningDataModule):
        made = 0

        def train_dataloader(self) -> Any:
            self.made += 1
            return {"a": noisy(3 * self.made), "b": noisy(3, 100)}

    module, data = Mixed(), Growing()
    trainer(max_epochs=3, reload_dataloaders_every_n_epochs=1).fit(module, datamodule=data)
    assert data.made == 3
    assert [len(set(row[0])) for row in module.seen] == [3] * 6  # 1 + 2 + 3 batches


def test_iterable_datasets_of_unknown_length_end_their_epoch_and_validate() -> None:
    module = Mixed()
    streams = {"a": DataLoader(Pairs(7), batch_size=3), "b": DataLoader(Pairs(4), batch_size=3)}
    runner = trainer(max_epochs=2)
    runner.fit(module, streams, noisy(2))
    assert runner.num_training_batches == math.inf
    assert module.seen[:3] == [[[0, 1, 2], [0, 1, 2]], [[3, 4, 5], [3]], [[6], [0, 1, 2]]]
    assert module.seen[3:] == module.seen[:3]
    assert len(module.evaluated) == 2


class Pairs(IterableDataset[Any]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[Any]:
        return ((torch.ones(1), i) for i in range(self.n))


def test_validation_test_and_prediction_take_dicts() -> None:
    def plain(n: int, first: int) -> DataLoader[Any]:
        return DataLoader(Noisy(n, first), batch_size=2)

    loaders = {"b": plain(3, 0), "a": plain(2, 100)}
    expected = [(0, [0, 1]), (0, [2]), (1, [100, 101])]
    module, runner = Mixed(), trainer()
    for given in (loaders, CombinedLoader(loaders, "sequential")):
        for evaluate in (runner.validate, runner.test):
            module.evaluated.clear()
            evaluate(module, given, verbose=False)
            assert module.evaluated == expected
        assert list(chain(*runner.predict(module, given))) == expected
        module.evaluated.clear()
        runner.fit(Mixed(), noisy(3), given)
    with pytest.raises(ValueError, match="one after another"):
        runner.validate(module, CombinedLoader(loaders, "min_size"))


class Tells(Mixed):
    """Writes what each process saw."""

    folder = Path()

    def on_train_end(self) -> None:
        (self.folder / f"{self.global_rank}.json").write_text(json.dumps(self.seen))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("mode", ["max_size_cycle", "sequential"])
def test_two_processes_see_disjoint_samples_and_end_with_the_same_weights(mode: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    module = Tells()
    module.folder = tmp_path
    runner = trainer(devices=2, strategy="ddp_fork", default_root_dir=tmp_path)
    runner.fit(module, CombinedLoader({"a": noisy(24), "b": noisy(12, 100)}, mode))
    shares = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1]) == runner.global_step == (4 if mode == "max_size_cycle" else 6)
    for one, two in zip(*shares, strict=True):
        assert not set(_samples(one)) & set(_samples(two))
    seen = Counter(x for share in shares for row in share for x in _samples(row))
    assert {x: n for x, n in seen.items() if x < 100} == dict.fromkeys(range(24), 1)
    assert {x: n for x, n in seen.items() if x >= 100} == dict.fromkeys(
        range(100, 112), 2 if mode == "max_size_cycle" else 1
    )
