"""The conformance kit finds metrics that break each law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import lit_metrics as lm
from lit_metrics.testing import LAWS, check_metric

DATA = [(torch.tensor([1.5, 2.0, 4.0]),), (torch.tensor([8.0]),), (torch.tensor([16.0, 1.0]),)]


class Mean(lm.Metric):
    """A right metric, written the plain way; each test breaks one thing."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), "sum")
        self.add_state("count", torch.tensor(0), "sum")

    def update(self, x: Tensor) -> None:
        x = torch.as_tensor(x)
        self.total += x.sum(dtype=torch.float64)
        self.count += x.numel()

    def compute(self) -> Tensor:
        return self.total / self.count


def test_a_right_metric_passes_every_law() -> None:
    assert check_metric(Mean, DATA, reference=lambda x: x.double().mean()) == list(LAWS)


class MeanOfMeans(Mean):
    def update(self, x: Tensor) -> None:
        self.total += torch.as_tensor(x).mean(dtype=torch.float64)
        self.count += 1


class LastWins(Mean):
    def update(self, x: Tensor) -> None:
        super().update(x)
        self.total = torch.as_tensor(x)[-1].double()


class ReadsOnTheHost(Mean):
    def update(self, x: Tensor) -> None:
        self.total += float(torch.as_tensor(x).double().sum())
        self.count += len(x)


class HalfAccumulator(Mean):
    def update(self, x: Tensor) -> None:
        x = torch.as_tensor(x)
        self.total += (x * 1001).sum() / 1001
        self.count += x.numel()


class Forgetful(Mean):
    def __init__(self) -> None:
        super().__init__()
        self.extra = 0.0

    def update(self, x: Tensor) -> None:
        super().update(x)
        self.extra += 1.0

    def compute(self) -> Tensor:
        return self.total / self.count + self.extra


class TensorsOnly(Mean):
    def update(self, x: Tensor) -> None:
        self.total += x.double().sum()
        self.count += x.numel()


class NotMergeable(Mean):
    def __init__(self) -> None:
        super().__init__()
        self.add_state("worst", torch.tensor(0.0), None)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (MeanOfMeans, "split"),
        (LastWins, "permutation"),
        (ReadsOnTheHost, "no_host_sync"),
        (HalfAccumulator, "float_types"),
        (Forgetful, "reset"),
        (TensorsOnly, "numpy_inputs"),
    ],
)
def test_a_broken_law_is_named(kind: type[lm.Metric], law: str) -> None:
    others = [name for name in LAWS if name != law]
    with pytest.raises((AssertionError, AttributeError), match=f"law '{law}'|has no attribute"):
        check_metric(kind, DATA, skip=others)


def test_a_wrong_value_is_found() -> None:
    with pytest.raises(AssertionError, match="law 'value': value and reference: got"):
        check_metric(Mean, DATA, reference=lambda x: x.sum(), skip=[name for name in LAWS if name != "value"])


def test_a_metric_that_cannot_merge_is_found() -> None:
    with pytest.raises(RuntimeError, match="no rule to merge"):
        check_metric(NotMergeable, DATA, skip=[name for name in LAWS if name != "merge_order"])


TEXTS = [(["a bc", ""], [["x"], ["y", "z"]]), (["abc"], [["u"]]), (["d", "e f g h"], [["v", "w"], []])]


class MeanLength(lm.Metric):
    """A right metric of strings: characters per string, plus those of every alternative."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0), "sum")
        self.add_state("count", torch.tensor(0), "sum")

    def update(self, preds: list[str], target: list[list[str]]) -> None:
        self.total += sum(len(s) for s in preds) + sum(len(s) for entry in target for s in entry)
        self.count += len(preds)

    def compute(self) -> Tensor:
        return self.total / self.count


class KeepsTheList(MeanLength):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[list[str]] = []

    def update(self, preds: list[str], target: list[list[str]]) -> None:
        super().update(preds, target)
        self.kept.append(preds)

    def compute(self) -> Tensor:
        return torch.tensor(float(sum(len(s) for preds in self.kept for s in preds)))


class FirstStringWins(MeanLength):
    def update(self, preds: list[str], target: list[list[str]]) -> None:
        super().update(preds, target)
        self.total += 100 * len(preds[0])


class ListsOnly(MeanLength):
    def update(self, preds: list[str], target: list[list[str]]) -> None:
        if not isinstance(preds, list):
            raise TypeError("law 'numpy_inputs'")
        super().update(preds, target)


def test_lists_of_strings_pass_every_law_and_are_joined_for_the_reference() -> None:
    def reference(preds: list[str], target: list[list[str]]) -> float:
        assert len(preds) == len(target) == 5
        return (sum(map(len, preds)) + sum(len(s) for entry in target for s in entry)) / 5

    assert check_metric(MeanLength, TEXTS, reference=reference) == list(LAWS)


@pytest.mark.parametrize(
    ("kind", "law"),
    [(KeepsTheList, "caller_may_overwrite"), (FirstStringWins, "split"), (ListsOnly, "numpy_inputs")],
)
def test_a_law_broken_with_strings_is_named(kind: type[lm.Metric], law: str) -> None:
    with pytest.raises((AssertionError, TypeError), match=f"law '{law}'"):
        check_metric(kind, TEXTS, skip=[name for name in LAWS if name != law])


def test_strings_are_shuffled_and_halved_with_their_targets() -> None:
    class FirstOfAll(MeanLength):
        def update(self, preds: list[str], target: list[list[str]]) -> None:
            super().update(preds, target)
            self.total += len(preds[0]) if self.count == len(preds) else 0

    with pytest.raises(AssertionError, match="law 'permutation'"):
        check_metric(FirstOfAll, TEXTS, skip=[name for name in LAWS if name != "permutation"])


@pytest.mark.parametrize(
    ("kwargs", "message"), [({"inputs": DATA[:1]}, "at least two"), ({"inputs": DATA, "skip": ["speed"]}, "no law")]
)
def test_wrong_use_is_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_metric(Mean, **kwargs)


class LocalMean(Mean):
    """Forgets what the other processes have seen."""

    def __init__(self) -> None:
        super().__init__()
        self.sync_on_compute = False


def test_processes_find_a_metric_that_does_not_synchronise() -> None:
    assert "processes" in check_metric(Mean, DATA, processes=2)
    with pytest.raises(AssertionError, match="law 'processes'"):
        check_metric(LocalMean, DATA, processes=2)


def test_processes_need_a_factory_that_can_be_pickled() -> None:
    with pytest.raises(ValueError, match="make_metric that can be pickled"):
        check_metric(type("Local", (Mean,), {}), DATA, processes=2, skip=["pickle"])


class BranchesOnValues(Mean):
    def update(self, x: Tensor) -> None:
        x = torch.as_tensor(x)
        if x.is_meta or x.sum() > 0:
            super().update(x)


class CountsInPython(Mean):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def update(self, x: Tensor) -> None:
        super().update(x)
        self.calls += 1


@pytest.mark.parametrize(
    ("kind", "message"), [(BranchesOnValues, "into one graph"), (CountsInPython, "compiled anew as it goes on")]
)
def test_an_update_must_compile_into_one_graph_for_good(kind: type[lm.Metric], message: str) -> None:
    with pytest.raises(AssertionError, match=f"law 'compiled_update': .*{message}"):
        check_metric(kind, DATA, skip=[name for name in LAWS if name != "compiled_update"])


def plain_mean(x: Tensor) -> Tensor:
    return x.double().mean()


def mean_by_branch(x: Tensor) -> Tensor:
    return x.double().mean() if x.sum() > 0 else x.double().sum() / len(x)


def test_a_kernel_must_compile_into_one_graph() -> None:
    assert "fullgraph" in check_metric(Mean, DATA, kernel=plain_mean)
    with pytest.raises(AssertionError, match="law 'fullgraph'"):
        check_metric(Mean, DATA, kernel=mean_by_branch)
