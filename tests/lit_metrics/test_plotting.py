"""Pictures: what is drawn is what was given."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
from lit_metrics.plotting import plot

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pyplot() -> Iterator[Any]:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    yield plt
    plt.close("all")


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"lit-metrics\[plot\]"):
        plot([1.0, 2.0])


def lines(axes: Any) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}


def test_a_history_is_one_line_per_name_with_gaps_where_a_step_has_no_value(pyplot: Any) -> None:
    figure, axes = plot([{"a": 1.0}, {"a": torch.tensor(2.0), "b": 5}], title="losses")
    assert figure is axes.get_figure()
    drawn = lines(axes)
    assert drawn["a"] == [1, 2]
    assert np.array_equal(drawn["b"], [np.nan, 5], equal_nan=True)
    assert axes.get_title() == "losses"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_numbers_and_vectors_over_steps(pyplot: Any) -> None:
    _, axes = plot([1.0, 3.0, 2.0])
    assert list(axes.get_lines()[0].get_ydata()) == [1, 3, 2]
    assert axes.get_legend() is None
    _, axes = plot([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])], labels=["cat", "dog"])
    assert lines(axes) == {"cat": [1, 3], "dog": [2, 4]}


def test_a_tracker_is_drawn_with_its_whole_history(pyplot: Any) -> None:
    tracker = lm.MetricTracker(lm.SumMetric(), maximize=True)
    for value in (3.0, 1.0):
        tracker.increment()
        tracker.update(value)
    _, axes = plot(tracker)
    assert list(axes.get_lines()[0].get_ydata()) == [3, 1]
    assert axes.get_title() == "MetricTracker"


def test_a_vector_is_one_bar_per_class(pyplot: Any) -> None:
    _, axes = plot(torch.tensor([0.5, 0.25]), labels=["cat", "dog"])
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.25]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["cat", "dog"]
    _, axes = plot(torch.rand(40))
    assert len(axes.patches) == 40


def test_metrics_are_computed_and_give_the_title(pyplot: Any) -> None:
    metric = lm.SumMetric()
    metric.update([1.0, 2.0])
    _, axes = plot(metric)
    assert [bar.get_height() for bar in axes.patches] == [3]
    assert axes.get_title() == "SumMetric"
    collection = lm.MetricCollection({"a": lm.SumMetric(), "b": lm.MaxMetric()})
    collection.update([1.0, 2.0])
    _, axes = plot(collection)
    assert [bar.get_height() for bar in axes.patches] == [3, 2]


def test_a_matrix_shows_its_entries_and_the_shares_of_its_rows(pyplot: Any) -> None:
    _, axes = plot(torch.tensor([[3, 1], [0, 0]]), labels=["cat", "dog"])
    assert [text.get_text() for text in axes.texts] == ["3", "1", "0", "0"]
    assert axes.get_images()[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "target")
    _, axes = plot(torch.eye(50))
    assert not axes.texts


def test_curves_have_the_axes_of_their_kind(pyplot: Any) -> None:
    thresholds = torch.tensor([0.9, 0.5, 0.1])
    _, axes = plot((torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, 0.8, 1.0]), thresholds))
    assert axes.get_xlabel() == "false positive rate"
    assert list(axes.get_lines()[1].get_ydata()) == pytest.approx([0, 0.8, 1])
    precision, recall = torch.tensor([0.5, 0.6, 0.7, 1.0]), torch.tensor([1.0, 0.8, 0.4, 0.0])
    _, axes = plot((precision, recall, thresholds))
    assert axes.get_xlabel() == "recall"
    assert list(axes.get_lines()[0].get_xdata()) == pytest.approx([0, 0.4, 0.8, 1])
    assert list(axes.get_lines()[0].get_ydata()) == pytest.approx([1, 0.7, 0.6, 0.5])
    _, axes = plot(([precision, precision], [recall, recall]), labels=["a", "b"], curve="precision_recall")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_pictures_are_drawn_where_one_asks(pyplot: Any) -> None:
    figure, (left, right) = pyplot.subplots(1, 2)
    assert plot([1.0, 2.0], ax=right) == (figure, right)
    assert not left.get_lines()


@pytest.mark.parametrize(
    ("value", "options", "error"),
    [
        (torch.zeros(2, 3), {}, TypeError),
        (torch.zeros(2, 2, 2), {}, TypeError),
        ("accuracy", {}, TypeError),
        ([torch.zeros(2), torch.zeros(3)], {}, TypeError),
        ([], {}, ValueError),
        (torch.zeros(3), {"labels": ["a"]}, ValueError),
        ((torch.zeros(3), torch.zeros(3)), {"curve": "lift"}, ValueError),
        ((torch.zeros(3),), {}, TypeError),
    ],
)
def test_what_cannot_be_drawn_is_refused(pyplot: Any, value: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        plot(value, **options)
