"""Metrics inside `torch.compile(fullgraph=True)`: the eager values, few graphs, nothing read on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

import lit_metrics as lm

if TYPE_CHECKING:
    from collections.abc import Callable

SCORES = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).softmax(1)
LABELS = torch.arange(8) % 4


class Compiled:
    """A function of its own code object, compiled, with the number of its graphs."""

    def __init__(self, fn: Callable[..., Any], backend: str = "eager") -> None:
        from torch._dynamo.backends.registry import lookup_backend

        self.graphs = 0
        lower: Any = lookup_backend(backend)

        def count(graph: Any, inputs: Any) -> Any:
            self.graphs += 1
            return lower(graph, inputs)

        def call(*args: Any) -> Any:
            return fn(*args)

        call.__code__ = call.__code__.replace()
        self._call = torch.compile(call, fullgraph=True, backend=count)

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)


class Mean(lm.Metric):
    """Written as a user would, by assignment."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), "sum")
        self.add_state("count", torch.tensor(0), "sum")
        self.add_state("last", torch.zeros(8), "max")

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.total = self.total + (preds.argmax(1) == target).sum()
        self.count += target.numel()
        self.last = target.float()

    def compute(self) -> Tensor:
        return self.total / self.count


def collection() -> lm.MetricCollection:
    return lm.MetricCollection([lm.MulticlassAccuracy(4), lm.MulticlassF1Score(4), lm.MulticlassAUROC(4, thresholds=9)])


@pytest.mark.parametrize("make", [Mean, lambda: lm.MulticlassF1Score(4), collection])
@pytest.mark.parametrize("call", ["update", "forward"])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_nothing_is_compiled_after_the_second_of_twenty_batches_and_values_are_the_eager_ones(
    make: Any, call: str, backend: str
) -> None:
    metric, plain = make(), make()
    step = Compiled(getattr(metric, call), backend)
    graphs = []
    for i in range(20):
        batch = SCORES.roll(i, 0), LABELS
        found, expected = step(*batch), getattr(plain, call)(*batch)
        torch.testing.assert_close(found, expected)
        graphs.append(step.graphs)
    assert graphs[1] == graphs[-1]
    torch.testing.assert_close(metric.compute(), plain.compute())
    for one in metric.values() if isinstance(metric, lm.MetricCollection) else [metric]:
        assert one.update_count == 20


def test_compiled_and_plain_updates_merges_and_resets_mix() -> None:
    metric = lm.MulticlassAccuracy(4, average="micro")
    step = Compiled(metric.update)
    step(SCORES, LABELS)
    metric.update(SCORES, LABELS)
    assert metric.update_count == 2
    step(SCORES, LABELS)
    other = lm.MulticlassAccuracy(4, average="micro")
    other.update(SCORES[:2], LABELS[:2])
    metric.merge_state(other)
    step(SCORES, LABELS)
    assert metric.update_count == 5
    hits = SCORES.argmax(1) == LABELS
    expected = (4 * hits.sum() + hits[:2].sum()) / 34
    torch.testing.assert_close(metric.compute(), expected.double())
    metric.reset()
    step(SCORES[:3], LABELS[:3])
    assert metric.update_count == 1
    torch.testing.assert_close(metric.compute(), hits[:3].double().mean())


def test_a_value_is_not_taken_from_the_cache_after_a_compiled_update() -> None:
    metric = lm.MeanSquaredError()
    step = Compiled(metric.update)
    for value in (1.0, 3.0):
        step(torch.full((4,), value), torch.zeros(4))
        metric.compute()
    assert float(metric.compute()) == 5.0


def test_a_metric_inside_a_compiled_training_step_keeps_no_graph_of_autograd() -> None:
    metric = Mean()
    weight = torch.ones(4, requires_grad=True)

    def train(x: Tensor) -> Tensor:
        out = x * weight
        metric.update(out, LABELS)
        return out.square().sum()

    step = Compiled(train)
    for _ in range(3):
        step(SCORES).backward()
    torch.testing.assert_close(weight.grad, 6 * SCORES.square().sum(0))
    assert not metric.total.requires_grad
    assert metric.update_count == 3


def test_bad_labels_in_a_compiled_update_raise_in_compute() -> None:
    metric = lm.MulticlassAccuracy(4)
    Compiled(metric.update)(SCORES, LABELS + 1)
    with pytest.raises(ValueError, match=r"target must hold labels in \[0, 3\]"):
        metric.compute()


def test_the_number_of_updates_cannot_be_read_inside_a_graph() -> None:
    metric = Mean()
    metric.update(SCORES, LABELS)

    def step() -> int:
        metric.update(SCORES, LABELS)
        return metric.update_count

    with pytest.raises(RuntimeError):
        Compiled(step)()


@pytest.mark.parametrize("make", [Mean, lambda: lm.MulticlassAccuracy(4)])
def test_updates_compiled_under_inference_mode_go_on_outside_of_it(make: Any) -> None:
    metric, plain = make(), make()
    step = Compiled(metric.update)
    with torch.inference_mode():
        for _ in range(3):
            step(SCORES, LABELS)
    metric.update(SCORES, LABELS)
    metric(SCORES, LABELS)
    step(SCORES, LABELS)
    for _ in range(6):
        plain.update(SCORES, LABELS)
    torch.testing.assert_close(metric.compute(), plain.compute())
    assert metric.update_count == 6
