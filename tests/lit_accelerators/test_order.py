"""The order of samples: exact for any size, seekable, the same for any number of ranks."""

import itertools

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from lit_accelerators.order import BatchOrder, epoch_order, mix_seed, order_of, own_order


@pytest.mark.parametrize(("n", "b", "k"), list(itertools.product([0, 1, 2, 5, 7, 12], [1, 2, 3], [1, 2, 3])))
def test_ranks_together_visit_every_sample_once(n, b, k):
    seen = [i for r in range(k) for batch in BatchOrder(n, b, shuffle=True, world_size=k, rank=r) for i in batch]
    assert sorted(seen) == list(range(n))


@pytest.mark.parametrize(("n", "b", "k"), list(itertools.product([1, 2, 5, 7, 12, 300], [1, 2, 3], [1, 2, 3])))
def test_even_ranks_run_the_same_number_of_batches_and_weights_make_the_mean_over_samples(n, b, k):
    values = torch.rand(n, dtype=torch.float64)
    orders = [BatchOrder(n, b, shuffle=True, seed=3, world_size=k, rank=r, even=True) for r in range(k)]
    assert len({len(order) for order in orders}) == 1
    everything = epoch_order(n, seed=3, epoch=0, shuffle=True)
    for i, batches in enumerate(zip(*orders, strict=True)):
        mean_over_ranks = sum(values[list(x)].mean() * o.weight(i) for x, o in zip(batches, orders, strict=True)) / k
        chunk = everything[i * b * k : (i + 1) * b * k]
        torch.testing.assert_close(mean_over_ranks, values[chunk].mean())
        assert sum(o.size(i) for o in orders) == len(chunk)


@pytest.mark.parametrize("n", [23, 1000])
def test_the_rest_after_a_cursor_is_the_rest_of_the_whole_for_another_world_size_too(n):
    whole = epoch_order(n, seed=1, epoch=4, shuffle=True).tolist()
    before = BatchOrder(n, 3, shuffle=True, seed=1, world_size=2)
    before.set_epoch(4)
    cursor = before.cursor_after(2)
    assert cursor == 12
    rest = []
    for rank in range(3):
        order = BatchOrder(n, 2, shuffle=True, seed=1, world_size=3, rank=rank)
        order.set_epoch(4, cursor=cursor)
        rest += [i for batch in order for i in batch]
    assert sorted(rest) == sorted(whole[12:])


def test_batches_are_consecutive_parts_of_the_order_however_long_it_is():
    order = BatchOrder(1000, 3, shuffle=True, seed=2)
    whole = epoch_order(1000, seed=2, epoch=0, shuffle=True).tolist()
    assert list(order) == [whole[i : i + 3] for i in range(0, 1000, 3)]


def test_len_is_the_number_of_batches_yielded():
    for n, b, k, drop, even in itertools.product([0, 3, 7, 8], [1, 2, 3], [1, 2, 3], [False, True], [False, True]):
        for rank in range(k):
            order = BatchOrder(n, b, shuffle=False, drop_last=drop, world_size=k, rank=rank, even=even)
            assert len(order) == len(list(order))


def test_epochs_differ_and_seeds_do_not_collide():
    first = epoch_order(100, seed=0, epoch=0, shuffle=True)
    assert not torch.equal(first, epoch_order(100, seed=0, epoch=1, shuffle=True))
    assert torch.equal(first, epoch_order(100, seed=0, epoch=0, shuffle=True))
    assert len({mix_seed(s, e) for s in range(100) for e in range(100)}) == 10_000


def test_the_global_generator_is_not_touched():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    owned = own_order(DataLoader(TensorDataset(torch.arange(10)), batch_size=3, shuffle=True), seed=0)
    assert owned is not None
    list(owned)
    assert torch.equal(before, torch.get_rng_state())


def test_unshuffled_batches_equal_those_of_the_plain_loader():
    plain = DataLoader(TensorDataset(torch.arange(10)), batch_size=3)
    owned = own_order(plain, seed=0)
    assert owned is not None
    assert [b[0].tolist() for b in plain] == [b[0].tolist() for b in owned]
    assert order_of(owned) is not None
    assert order_of(plain) is None


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_taken_whole_are_those_put_together_sample_by_sample(num_workers):
    """Every kind of number and shape; the plain loader gets the same order as a batch sampler."""
    numbers = torch.randn(11, 3)
    numbers[3, 1] = float("nan")
    tensors = [numbers, numbers.double()[:, 0].contiguous(), numbers > 0, torch.arange(11), numbers.bfloat16()]
    data = TensorDataset(*tensors, torch.complex(numbers, numbers), torch.zeros(11, 0), torch.randn(11, 2, 3, 4))
    owned = own_order(DataLoader(data, batch_size=4, shuffle=True, num_workers=num_workers), seed=5)
    assert owned is not None
    plain = DataLoader(data, batch_sampler=BatchOrder(11, 4, shuffle=True, seed=5))

    assert owned.batch_size is None
    assert len(owned) == len(plain) == 3
    for found, expected in zip(owned, plain, strict=True):
        assert type(found) is type(expected) is list
        for a, b in zip(found, expected, strict=True):
            assert (a.dtype, a.shape, a.stride(), a.requires_grad) == (b.dtype, b.shape, b.stride(), b.requires_grad)
            assert torch.equal(a.view(torch.uint8), b.view(torch.uint8))


def test_samples_are_fetched_one_by_one_where_that_could_make_a_difference():
    class Own(TensorDataset):
        pass

    def collate(samples):
        return samples

    rows = torch.arange(12.0).reshape(4, 3)
    others = [
        DataLoader(Own(rows), batch_size=2),
        DataLoader(TensorDataset(rows), batch_size=2, collate_fn=collate),
        DataLoader(TensorDataset(rows.t()), batch_size=2),
        DataLoader(TensorDataset(rows.to_sparse()), batch_size=2),
        DataLoader(TensorDataset(rows.clone().requires_grad_()), batch_size=2),
        DataLoader(TensorDataset(torch.nn.Parameter(rows.clone(), requires_grad=False)), batch_size=2),
    ]
    for loader in others:
        owned = own_order(loader, seed=0)
        assert owned is not None
        assert isinstance(owned.batch_sampler, BatchOrder)
        assert owned.collate_fn is loader.collate_fn


def test_what_is_not_ours_is_left_alone():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    class Own(DataLoader):
        pass

    data = TensorDataset(torch.arange(10))
    assert own_order(DataLoader(Stream()), seed=0) is None
    assert own_order(Own(data), seed=0) is None
    assert own_order(DataLoader(data, sampler=WeightedRandomSampler([1.0] * 10, 10)), seed=0) is None
    assert own_order(DataLoader(data, batch_size=None), seed=0) is None


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        BatchOrder(3, 0, shuffle=False)
    with pytest.raises(ValueError, match="rank=2, world_size=2"):
        BatchOrder(3, 1, shuffle=False, world_size=2, rank=2)
    with pytest.raises(ValueError, match=r"\[0, 3\], got 4"):
        BatchOrder(3, 1, shuffle=False).set_epoch(0, cursor=4)
