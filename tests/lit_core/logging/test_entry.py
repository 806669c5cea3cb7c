"""One logged key: exact reductions in float64, values that nobody can change afterwards, bounded memory."""

import numpy as np
import pytest
import torch

from lit_core.logging.entry import Entry, Options, Reduced, combine, merge, to_host
from tests.lit_core.fake_device import OnDevice


def entry(reduce_fx: str = "mean", *, on_step: bool = False) -> Entry:
    return Entry("key", Options(False, True, on_step, True, reduce_fx, False, False))


def value_of(*entries: Entry) -> float:
    parts = []
    for e in entries:
        [number] = to_host([e.total if e.total is not None else float("nan")])
        parts.append(e.reduced(number))
    return merge(parts)


RANDOM = np.random.default_rng(0)
VALUES = (1e6 + RANDOM.random(1000)).astype(np.float32)
WEIGHTS = RANDOM.integers(1, 33, 1000)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("kind", ["tensor", "number", "mixed"])
def test_the_weighted_mean_equals_numpy_in_float64_also_far_from_zero(n: int, kind: str) -> None:
    e = entry()
    for i, (value, weight) in enumerate(zip(VALUES[:n], WEIGHTS[:n], strict=True)):
        as_tensor = kind == "tensor" or (kind == "mixed" and i % 3 == 0)
        e.add(torch.tensor(value) if as_tensor else float(value), int(weight))
    expected = np.average(VALUES[:n].astype(np.float64), weights=WEIGHTS[:n])
    assert value_of(e) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(("reduce_fx", "reference"), [("sum", np.sum), ("min", np.min), ("max", np.max)])
@pytest.mark.parametrize("kind", ["tensor", "number", "mixed"])
def test_sum_minimum_and_maximum_equal_numpy_and_ignore_weights(reduce_fx: str, reference: object, kind: str) -> None:
    values = (VALUES[:200] - 1e6).astype(np.float32)
    e = entry(reduce_fx)
    for i, value in enumerate(values):
        as_tensor = kind == "tensor" or (kind == "mixed" and i % 2 == 0)
        e.add(torch.tensor(value) if as_tensor else float(value), int(WEIGHTS[i]))
    assert value_of(e) == pytest.approx(reference(values.astype(np.float64)), rel=1e-13)  # type: ignore[operator]


@pytest.mark.parametrize("reduce_fx", ["mean", "sum", "min", "max"])
@pytest.mark.parametrize("position", [0, 70, 99])
@pytest.mark.parametrize("as_tensor", [True, False])
def test_a_nan_is_never_lost(reduce_fx: str, position: int, as_tensor: bool) -> None:
    e = entry(reduce_fx)
    for i in range(100):
        value = float("nan") if i == position else float(i)
        e.add(torch.tensor(value) if as_tensor else value, 1)
    assert np.isnan(value_of(e))


@pytest.mark.parametrize("reduce_fx", ["min", "max"])
def test_a_nan_of_any_rank_is_never_lost(reduce_fx: str) -> None:
    options = entry(reduce_fx).options
    for numbers in ((float("nan"), 1.0), (1.0, float("nan"))):
        assert np.isnan(merge([Reduced(options, number, 1.0) for number in numbers]))
        assert np.isnan(float(combine(reduce_fx, *map(torch.tensor, numbers))))


def test_a_whole_number_tensor_and_a_boolean_are_numbers() -> None:
    e = entry()
    for value in (torch.tensor(3), torch.tensor(True), True, 2, np.float32(1.5), np.int64(4)):
        e.add(value, 1)
    assert value_of(e) == pytest.approx((3 + 1 + 1 + 2 + 1.5 + 4) / 6)


def test_a_tensor_with_one_element_of_any_shape_is_a_number() -> None:
    e = entry()
    e.add(torch.full((1, 1), 2.5), 1)
    assert value_of(e) == 2.5


def test_half_precision_values_are_summed_in_double_precision() -> None:
    e = entry("sum")
    for _ in range(5000):
        e.add(torch.tensor(1.0, dtype=torch.bfloat16), 1)  # bfloat16 cannot count past 256
    assert value_of(e) == 5000


def test_changing_a_buffer_in_place_after_the_call_does_not_change_the_number() -> None:
    e, buffer = entry(), torch.tensor(2.0)
    e.add(buffer, 1)
    buffer.add_(100)
    assert value_of(e) == 2.0
    assert float(e.latest) == 2.0  # type: ignore[arg-type]


def test_adding_to_a_loss_in_place_after_the_call_does_not_change_the_number() -> None:
    e = entry()
    loss = (torch.ones(3, requires_grad=True) * 2).mean()
    e.add(loss, 1)
    loss += 100.0  # as in: self.log("mse", loss); loss += penalty
    assert value_of(e) == 2.0
    assert float(e.latest) == 2.0  # type: ignore[arg-type]


def test_updating_a_logged_parameter_does_not_change_the_number() -> None:
    e = entry()
    temperature = torch.nn.Parameter(torch.tensor(1.0))
    for _ in range(3):
        e.add(temperature, 1)
        with torch.no_grad():
            temperature.add_(1.0)
    assert value_of(e) == 2.0


def test_no_graph_is_kept() -> None:
    e = entry()
    e.add(OnDevice(torch.ones(3, requires_grad=True)).sum(), 1)
    assert isinstance(e.latest, torch.Tensor)
    assert not e.latest.requires_grad


@pytest.mark.parametrize("shape", [(2,), (0,), (3, 1)])
def test_more_or_less_than_one_element_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"'key'.*one number.*shape"):
        entry().add(torch.zeros(shape), 1)


@pytest.mark.parametrize("value", [{"a": 1}, [1.0], "x", None, object()])
def test_what_is_no_number_is_refused_and_named(value: object) -> None:
    with pytest.raises(TypeError, match=f"'key'.*got {type(value).__name__}"):
        entry().add(value, 1)


def test_memory_does_not_grow_with_steps() -> None:
    e = entry(on_step=True)
    most = 0
    for i in range(5000):
        e.add(torch.tensor(float(i)), 1)
        most = max(most, len(e._values))
    assert most <= 64
    assert value_of(e) == np.mean(np.arange(5000.0))


def test_a_reduction_goes_on_exactly_where_it_was_saved() -> None:
    whole, first = entry(), entry()
    for value, weight in zip(VALUES[:100], WEIGHTS[:100], strict=True):
        first.add(torch.tensor(value), int(weight))
        whole.add(torch.tensor(value), int(weight))
    whole.state_dict()
    second = entry()
    second.take_over(Entry.from_state(first.state_dict()))
    for value, weight in zip(VALUES[100:], WEIGHTS[100:], strict=True):
        second.add(torch.tensor(value), int(weight))
        whole.add(torch.tensor(value), int(weight))
    assert value_of(second) == value_of(whole)


def test_clearing_begins_anew() -> None:
    e = entry()
    e.add(5.0, 3)
    e.clear()
    assert e.total is None
    e.add(1.0, 1)
    assert value_of(e) == 1.0


def test_one_rank_with_everything_equals_many_with_uneven_shares() -> None:
    one, many = entry(), [entry() for _ in range(3)]
    for i, (value, weight) in enumerate(zip(VALUES, WEIGHTS, strict=True)):
        one.add(torch.tensor(value), int(weight))
        many[0 if i < 700 else 1 if i < 999 else 2].add(torch.tensor(value), int(weight))
    assert value_of(*many) == pytest.approx(value_of(one), rel=1e-15)


def test_rank_zero_only_takes_the_first_rank() -> None:
    options = entry().options._replace(rank_zero_only=True)
    assert merge([Reduced(options, 6.0, 3.0), Reduced(options, 100.0, 1.0)]) == 2.0


def test_reading_many_values_keeps_their_order_and_their_precision() -> None:
    values = [1.5, torch.tensor(2.5), torch.tensor(1 / 3, dtype=torch.float64), 7, torch.tensor(4)]
    assert to_host(values) == [1.5, 2.5, 1 / 3, 7.0, 4.0]  # type: ignore[arg-type]
    assert to_host([]) == []
