"""A loader made anew: everything but the size is as it was."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, WeightedRandomSampler

from lit_core.tuner.loaders import with_batch_size


def joined(batch: list[int]) -> Any:
    return tuple(batch)


def test_every_other_option_is_kept() -> None:
    generator = torch.Generator()
    sampler = WeightedRandomSampler([1.0] * 6, 6, generator=generator)
    options: dict[str, Any] = {
        "sampler": sampler,
        "num_workers": 1,
        "collate_fn": joined,
        "drop_last": True,
        "timeout": 7.0,
        "worker_init_fn": joined,
        "generator": generator,
        "prefetch_factor": 3,
        "persistent_workers": True,
    }

    made = with_batch_size(DataLoader(range(6), batch_size=2, **options), 5)  # type: ignore[arg-type]

    assert made.batch_size == 5
    assert {name: getattr(made, name) for name in options} == options


def test_a_shuffled_loader_stays_shuffled_and_a_stream_a_stream() -> None:
    class Stream(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(5))

    shuffled = with_batch_size(DataLoader(range(100), shuffle=True), 100)  # type: ignore[arg-type]
    (batch,) = shuffled

    assert batch.tolist() != list(range(100))
    assert sorted(batch.tolist()) == list(range(100))
    assert [len(batch) for batch in with_batch_size(DataLoader(Stream(), batch_size=2), 4)] == [4, 1]
