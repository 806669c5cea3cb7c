"""What is read off a sweep."""

import builtins
import math
from typing import Any

import pytest

from lit_core.tuner import LRFinder


def logistic(rates: list[float], centre: float) -> list[float]:
    return [1 / (1 + math.exp(3 * (math.log10(rate) - centre))) for rate in rates]


def test_the_suggestion_is_where_the_loss_falls_fastest_over_the_logarithm() -> None:
    rates = [10 ** (-6 + i / 10) for i in range(60)]

    found = LRFinder({"lr": rates, "loss": logistic(rates, -2.0)}, "exponential")

    assert found.suggestion() == pytest.approx(1e-2)


def test_rates_that_are_spaced_evenly_are_compared_as_they_are() -> None:
    rates = [0.1 + i / 100 for i in range(60)]
    losses = [-math.atan(20 * (rate - 0.4)) for rate in rates]

    assert LRFinder({"lr": rates, "loss": losses}, "linear").suggestion() == pytest.approx(0.4)


def test_the_ends_may_be_left_out() -> None:
    rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    found = LRFinder({"lr": rates, "loss": [9.0, 1.0, 0.9, 0.5, 0.4]}, "exponential")

    assert found.suggestion(skip_begin=0) == 1e-3
    assert found.suggestion(skip_begin=2, skip_end=0) == 1e-1
    assert found.suggestion(skip_begin=2) is None


def test_the_noise_of_single_batches_is_not_taken_for_a_slope() -> None:
    rates = [10 ** (-6 + i / 20) for i in range(120)]
    losses = logistic(rates, -2.0)
    losses[30] += 0.3  # steeper on its way down than the curve is anywhere

    found = LRFinder({"lr": rates, "loss": losses}, "exponential").suggestion()

    assert found == pytest.approx(1e-2, rel=0.5)


def test_the_plot_shows_the_losses_and_the_suggestion() -> None:
    pytest.importorskip("matplotlib")
    rates = [10 ** (-6 + i / 10) for i in range(60)]
    losses = logistic(rates, -2.0)

    figure = LRFinder({"lr": rates, "loss": losses}, "exponential").plot(suggest=True)

    (axes,) = figure.axes
    curve, point = axes.lines
    assert list(curve.get_xdata()) == rates
    assert list(curve.get_ydata()) == losses
    assert point.get_xdata()[0] == pytest.approx(1e-2)
    assert axes.get_xscale() == "log"


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ModuleNotFoundError, match=r"'matplotlib': install the extra lit-core\[plot\]"):
        LRFinder({"lr": [], "loss": []}, "exponential").plot()
