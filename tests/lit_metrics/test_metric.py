"""The base class: what a subclass with add_state, update and compute gets."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lit_metrics as lm
from lit_metrics._state import Merge
from lit_metrics.testing import check_metric


class Total(lm.Metric):
    """The plainest user metric: one sum, one list."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("seen", [], dist_reduce_fx="cat")

    def update(self, x: Tensor) -> None:
        x = torch.as_tensor(x)
        self.seen.append(x)
        self.total += x.sum(dtype=torch.float64)
        if bool((x < 0).any()):
            raise ValueError("negative")

    def compute(self) -> Tensor:
        return self.total + (torch.cat(self.seen).sum(dtype=torch.float64) if self.seen else 0)


class Gap(lm.Metric):
    """A metric whose update reads earlier state."""

    full_state_update = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("gap", torch.tensor(0.0), dist_reduce_fx="max")
        self.add_state("last", torch.tensor(0.0), dist_reduce_fx="max")

    def update(self, x: Tensor) -> None:
        self.gap = torch.maximum(self.gap, (x[0] - self.last).abs())
        self.last = x[-1]

    def compute(self) -> Tensor:
        return self.gap


def twice(x: Tensor, group: Any = None) -> list[Tensor]:
    return [x, x]


def test_user_metric_obeys_the_laws() -> None:
    data = [(torch.rand(n),) for n in (3, 1, 4)]
    skip = ("no_host_sync",)  # its update asks whether a value is negative
    check_metric(Total, data, reference=lambda x: 2 * x.double().sum(), skip=skip)


def test_failed_update_leaves_tensors_and_lists_as_they_were() -> None:
    metric = Total()
    metric.update(torch.tensor([1.0]))
    for call in (metric.update, metric):
        with pytest.raises(ValueError, match="negative"):
            call(torch.tensor([-5.0]))
    assert metric.total == 1
    assert len(metric.seen) == 1
    assert metric.update_count == 1


def test_update_that_reads_state_is_run_on_the_whole_state_by_forward() -> None:
    metric, plain = Gap(), Gap()
    for x in ([1.0, 5.0], [7.0, 8.0], [3.0]):
        metric(torch.tensor(x))
        plain.update(torch.tensor(x))
    assert metric.compute() == plain.compute() == 5


def test_compute_does_not_reset() -> None:
    metric = lm.SumMetric()
    metric.update(1)
    assert metric.compute() == metric.compute() == 1
    metric.update(1)
    assert metric.compute() == 2


def test_1_0_constructor_arguments_work() -> None:
    class Old(lm.Metric):
        def __init__(self, compute_on_step: bool = True, dist_sync_on_step: bool = False, process_group: Any = None):
            super().__init__(compute_on_step, dist_sync_on_step, process_group)
            self.add_state("x", default=torch.tensor(0), dist_reduce_fx="sum")

        def update(self, x: int) -> None:
            self.x += x

        def compute(self) -> Tensor:
            return self.x

    silent = Old(compute_on_step=False)
    assert silent(3) is None
    assert silent.compute() == 3
    assert Old()(3) == 3


def test_distributed_arguments_are_used() -> None:
    groups = []

    def gather(x: Tensor, group: Any = None) -> list[Tensor]:
        groups.append(group)
        return twice(x)

    metric = lm.SumMetric(dist_sync_fn=gather, distributed_available_fn=lambda: True, process_group="mine")
    metric.update(10.0)
    assert metric.compute() == 20
    assert metric.sum_value == 10, "the local state is back"
    assert set(groups) == {"mine"}
    local = lm.SumMetric(dist_sync_fn=twice, distributed_available_fn=lambda: True, sync_on_compute=False)
    local.update(10.0)
    assert local.compute() == 10
    step = lm.SumMetric(dist_sync_fn=twice, distributed_available_fn=lambda: True, dist_sync_on_step=True)
    assert step(10.0) == 20
    assert step.sum_value == 10
    assert lm.SumMetric(dist_sync_fn=twice, distributed_available_fn=lambda: True)(10.0) == 10


def test_synchronised_metric_takes_no_data_and_a_second_sync_is_an_error() -> None:
    metric = lm.SumMetric(dist_sync_fn=twice, distributed_available_fn=lambda: True)
    metric.update(1.0)
    metric.sync()
    assert metric.compute() == 2
    for wrong in (lambda: metric.update(1.0), lambda: metric(1.0), lambda: metric.merge_state(lm.SumMetric())):
        with pytest.raises(RuntimeError, match="synchronised"):
            wrong()
    with pytest.raises(RuntimeError, match="already"):
        metric.sync()
    metric.unsync()
    with pytest.raises(RuntimeError, match="not synchronised"):
        metric.unsync()
    assert metric.compute() == 2
    assert metric.sum_value == 1


def test_compute_that_raises_leaves_the_metric_local() -> None:
    class Broken(lm.SumMetric):
        def compute(self) -> Tensor:
            raise ArithmeticError

    metric = Broken(dist_sync_fn=twice, distributed_available_fn=lambda: True)
    metric.update(1.0)
    with pytest.raises(ArithmeticError):
        metric.compute()
    assert not metric.is_synced
    metric.update(1.0)
    assert metric.sum_value == 2


def test_super_update_counts_once() -> None:
    class Doubled(lm.SumMetric):
        def update(self, value: Any) -> None:
            super().update(value)
            super().update(value)

        def compute(self) -> Tensor:
            return super().compute() / 2

    metric = Doubled()
    metric.update(3.0)
    assert metric.update_count == 1
    assert metric.compute() == 3


@pytest.mark.parametrize("convert", [lambda m: m.half(), lambda m: m.to(torch.bfloat16), lambda m: m.float()])
def test_moving_a_model_to_half_precision_leaves_counters_exact(convert: Any) -> None:
    model = nn.ModuleDict({"net": nn.Linear(2, 2), "sum": lm.SumMetric(), "user": Total()})
    convert(model)
    for _ in range(1000):
        model["sum"].update(1.0)
    assert model["sum"].compute() == 1000
    assert model["user"].total.dtype == torch.float64


def test_set_dtype_is_the_way_to_change_state_dtype() -> None:
    metric = lm.SumMetric().set_dtype(torch.float32)
    assert metric.sum_value.dtype == torch.float32
    metric.reset()
    assert metric.sum_value.dtype == torch.float32
    assert metric.nans.dtype == torch.int64


def test_untouched_state_follows_the_first_batch_and_a_later_device_is_an_error() -> None:
    metric = lm.MeanSquaredError()
    metric.update(torch.rand(3, device="meta"), torch.rand(3, device="meta"))
    assert metric.device.type == metric.total.device.type == "meta"
    metric = lm.MeanSquaredError()
    metric.update([1.0], [2.0])
    with pytest.raises(RuntimeError, match="follows the device of its first batch"):
        metric.update(torch.rand(3, device="meta"), torch.rand(3, device="meta"))
    assert metric.compute() == 1
    assert lm.MeanSquaredError().to("meta").sum_score.device.type == "meta"


def test_nothing_seen_is_nan_with_one_warning() -> None:
    metric = lm.MeanMetric()
    with pytest.warns(UserWarning, match=r"MeanMetric.compute\(\) is nan: no data was seen"):
        assert math.isnan(metric.compute())
    metric.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric.compute())


def test_equality_and_hash_are_identity() -> None:
    a, b = lm.CatMetric(), lm.CatMetric()
    names = {a: "a", b: "b"}
    a.update([1.0])
    assert a != b
    assert names[a] == "a"


def test_state_dict_holds_persistent_states_and_their_count_only() -> None:
    class Kept(lm.Metric):
        def __init__(self) -> None:
            super().__init__()
            self.add_state("kept", torch.tensor(0.0), "sum", persistent=True)
            self.add_state("lost", torch.tensor(0.0), "sum")

        def update(self, x: float) -> None:
            self.kept += x
            self.lost += x

        def compute(self) -> Tensor:
            return self.kept

    model = nn.Sequential(nn.Linear(1, 1), Kept())
    model[1].update(2.0)
    saved = model.state_dict()
    assert [key for key in saved if key.startswith("1.")] == ["1.kept", "1._update_count"]
    other = nn.Sequential(nn.Linear(1, 1), Kept())
    other.load_state_dict(saved)
    assert other[1].compute() == 2
    assert other[1].update_count == 1
    with pytest.raises(RuntimeError, match=r"1\.kept"):
        other.load_state_dict({k: v for k, v in saved.items() if k != "1.kept"})
    with pytest.raises(RuntimeError, match=r"1\.kept: expected shape \(\), got \(2,\)"):
        other.load_state_dict(saved | {"1.kept": torch.zeros(2)})
    with pytest.raises(RuntimeError, match="surplus"):
        other.load_state_dict(saved | {"1.surplus": torch.zeros(2)})


def test_state_dict_is_a_snapshot() -> None:
    metric = lm.SumMetric()
    metric.persistent(True)
    saved = metric.state_dict()
    metric.update(1.0)
    assert saved["sum_value"] == 0


def test_mean_states_merge_weighted_by_updates() -> None:
    class Mean(lm.Metric):
        def __init__(self) -> None:
            super().__init__()
            self.add_state("mean", torch.tensor(0.0), "mean")

        def update(self, x: float) -> None:
            count = self.update_count
            self.mean = (self.mean * count + x) / (count + 1)

        def compute(self) -> Tensor:
            return self.mean

    a, b = Mean(), Mean()
    a.update(1.0)
    for x in (2.0, 3.0, 4.0):
        b(x)
    assert b.compute() == 3
    b.merge_state(a)
    assert b.compute() == 2.5
    b.merge_state(Mean())
    assert b.compute() == 2.5


def test_callable_and_none_reductions_make_forward_update_twice() -> None:
    class Odd(lm.Metric):
        def __init__(self, reduce: Any) -> None:
            super().__init__()
            self.add_state("x", torch.tensor(0.0), reduce)

        def update(self, x: float) -> None:
            self.x += x

        def compute(self) -> Tensor:
            return self.x

    for reduce in (None, lambda stacked: stacked.sum(0)):
        metric = Odd(reduce)
        assert [float(metric(x)) for x in (1.0, 2.0)] == [1, 2]
        assert metric.compute() == 3
    metric.merge_state(metric.clone())
    assert metric.compute() == 6
    seen = Odd(None)
    seen.update(1.0)
    with pytest.raises(RuntimeError, match="no rule to merge"):
        seen.merge_state(seen.clone())


def _product(mine: Tensor, other: Tensor) -> Tensor:
    return mine * other


class Product(lm.Metric):
    """A monoid that no named reduction is: products, of a shape that the first batch tells."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("value", torch.zeros(0, dtype=torch.float64), Merge(_product), persistent=True)
        self.updates = 0

    def update(self, x: Tensor) -> None:
        self.updates += 1
        self.accumulate({"value": x.double().prod(0)})

    def compute(self) -> Tensor:
        return self.value if self.value.shape != (0,) else torch.tensor(torch.nan)


def test_a_merge_needs_one_update_in_forward_and_merges_in_every_way() -> None:
    data = 1 + torch.arange(12.0, dtype=torch.float64).view(6, 2) / 10
    metric, other, empty = Product(), Product(), Product()
    assert torch.equal(metric(data[:2]), data[:2].prod(0))
    assert torch.equal(metric(data[2:3]), data[2])
    assert metric.updates == 2
    other.update(data[3:])
    metric.merge_state(other)
    metric.merge_state(empty)
    empty.merge_state(metric)
    twin = pickle.loads(pickle.dumps(empty))
    for one in (metric, empty, twin):
        torch.testing.assert_close(one.compute(), data.prod(0))
        assert one.update_count == 3
    with pytest.raises(RuntimeError, match="cannot merge states of shape"):
        metric.update(data[:, 0])
    torch.testing.assert_close(metric.compute(), data.prod(0))


@pytest.mark.parametrize("values", [[2.0, 3.0, None], [None, 5.0], [None, None]])
def test_a_merge_folds_the_states_of_all_processes_and_skips_those_without_data(values: list[float | None]) -> None:
    def gather(tensor: Tensor, group: Any = None) -> list[Tensor]:
        return [torch.zeros(0) if v is None else torch.tensor(v, dtype=torch.float64) for v in values]

    metric = Product(dist_sync_fn=gather, distributed_available_fn=lambda: True)
    metric.sync()
    known = torch.tensor([v for v in values if v is not None], dtype=torch.float64)
    expected = known.prod() if len(known) else torch.zeros(0)
    assert torch.equal(metric.value.double(), expected.double())


def test_merging_into_an_empty_metric_copies_whatever_the_rule_and_keeps_the_count() -> None:
    metric = Averages()
    for value in (1.0, 2.0, 6.0):
        metric.update(value)
    state = {**metric.metric_state, "_update_count": metric.update_count}
    restored = Averages()
    restored.merge_state(state)
    for m in (metric, restored):
        m.update(11.0)
    assert restored.compute() == metric.compute() == 5.0  # a mean is weighted by the updates behind it
    assert restored.update_count == 4


class Averages(lm.Metric):
    def __init__(self) -> None:
        super().__init__()
        self.add_state("mean", torch.tensor(0.0), dist_reduce_fx="mean")

    def update(self, value: float) -> None:
        self.accumulate({"mean": torch.tensor(value)})

    def compute(self) -> Tensor:
        return self.mean


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("not a name", torch.tensor(0)), "identifier"),
        (("update", torch.tensor(0)), "identifier"),
        (("x", [1]), "empty list"),
        (("x", 3.0), "tensor or an empty list"),
        (("x", torch.tensor(0), "median"), "dist_reduce_fx"),
    ],
)
def test_wrong_states_are_refused(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lm.SumMetric().add_state(*args)


def test_merging_another_kind_of_metric_is_refused() -> None:
    with pytest.raises(TypeError, match="MeanMetric into SumMetric"):
        lm.SumMetric().merge_state(lm.MeanMetric())
    with pytest.raises(ValueError, match="states"):
        lm.SumMetric().merge_state({"other": torch.tensor(0)})


def test_merging_a_mapping_of_values_counts_as_one_update() -> None:
    metric = lm.SumMetric()
    metric.update(1.0)
    assert metric.compute() == 1
    metric.merge_state({"sum_value": torch.tensor(2.0, dtype=torch.float64), "nans": torch.tensor(0)})
    assert metric.compute() == 3
    assert metric.update_count == 2


def test_copies_are_independent() -> None:
    metric = Total()
    metric.update(torch.tensor([1.0]))
    for twin in (metric.clone(), copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        twin.update(torch.tensor([1.0]))
        assert (twin.compute(), metric.compute()) == (4, 2)


def test_reset_leaves_lists_handed_out_before() -> None:
    metric = lm.CatMetric()
    metric.update([1.0, 2.0])
    mine = metric.value
    metric.reset()
    assert len(mine) == 1
    assert metric.compute().numel() == 0


def test_states_made_in_inference_mode_are_ordinary() -> None:
    with torch.inference_mode():
        metric = Total()
        metric.update(torch.ones(1))
        metric.reset()
        metric(torch.ones(2))
    metric.update(torch.ones(1))
    assert metric.compute() == 6


def test_slices_of_the_callers_batch_are_not_kept_alive() -> None:
    metric = Total()
    metric.update(torch.ones(1_000_000)[:2])
    assert metric.seen[0].untyped_storage().nbytes() == 8
