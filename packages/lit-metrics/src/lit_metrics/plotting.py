"""One function that draws what metrics return; matplotlib is imported when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lit_metrics.collection import MetricCollection
from lit_metrics.metric import Metric
from lit_metrics.wrappers.tracker import MetricTracker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = npt.NDArray[np.float64]

_CURVES = {"roc": ("false positive rate", "true positive rate"), "precision_recall": ("recall", "precision")}
_MAX_NUMBERS = 15  # a matrix of more classes than this has no room for numbers in its cells


def plot(
    metric_or_value: Any,
    *,
    ax: Axes | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    curve: str | None = None,
) -> tuple[Figure, Axes]:
    """Draws a metric, the value of one, or a history of values.

    - a number, or a dict of them: one bar each;
    - a vector: one bar per class;
    - a square matrix (confusion matrix): shares of each row as colours, the entries as numbers;
    - a tuple `(x, y, thresholds)` of a ROC or precision-recall curve: the curve, or one per class;
    - a list of numbers, vectors or dicts: lines over the steps.

    Args:
        metric_or_value: Metric or collection (its `compute()` is drawn), `MetricTracker` (its whole history is), or a
            value as above.
        ax: Where to draw; a new figure if left out.
        labels: Names of classes.
        title: Title of the axes; the name of the metric if left out.
        curve: `"roc"` or `"precision_recall"` for tuples; told from the metric's name if one is given, else from the
            number of points: precision and recall have one point more than thresholds.

    Returns:
        The figure and the axes.

    Raises:
        ImportError: If matplotlib is not installed.
        TypeError: If there is no picture for the value.
        ValueError: If the number of labels or the kind of curve does not fit.

    Example:
        >>> from lit_metrics.plotting import plot
        >>> figure, axes = plot([{"loss": 1.0}, {"loss": 0.5}, {"loss": 0.3}], title="loss")  # doctest: +SKIP
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError("plot needs matplotlib, which comes with the extra lit-metrics[plot]") from error
    value = metric_or_value
    if isinstance(value, (Metric, MetricCollection)):
        name = type(value).__name__
        value = _value_of(value)
        title = name if title is None else title
        if curve is None and isinstance(value, tuple):
            curve = "roc" if "roc" in name.lower() else "precision_recall" if "recall" in name.lower() else None
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    assert ax is not None
    _draw(ax, value, labels, curve)
    if title:
        ax.set_title(title)
    figure: Any = ax.get_figure()
    return figure, ax


def _value_of(metric: Metric | MetricCollection) -> Any:
    if not isinstance(metric, MetricTracker):
        return metric.compute()
    history = metric.compute_all()
    return list(history) if isinstance(history, Tensor) else history


def _draw(ax: Axes, value: Any, labels: Sequence[str] | None, curve: str | None) -> None:
    if isinstance(value, tuple):
        _draw_curves(ax, value, labels, curve)
        return
    if isinstance(value, list):
        _draw_history(ax, value, labels)
        return
    if isinstance(value, dict):
        if all(np.ndim(_array(entry)) == 0 for entry in value.values()):
            _draw_bars(ax, np.array([float(_array(entry)) for entry in value.values()]), list(value))
            return
        _draw_lines(ax, {name: _array(entry) for name, entry in value.items()})
        return
    array = _array(value)
    if array.ndim == 0:
        _draw_bars(ax, array[None], labels or [""])
    elif array.ndim == 1:
        _draw_bars(ax, array, labels)
    elif array.ndim == 2 and array.shape[0] == array.shape[1]:
        _draw_matrix(ax, array, labels)
    else:
        raise TypeError(f"there is no picture for a value of shape {array.shape}; draw its parts one by one")


def _draw_bars(ax: Axes, heights: Array, labels: Sequence[str] | None) -> None:
    names = _names(labels, len(heights))
    if len(heights) > _MAX_NUMBERS or max(map(len, names)) > 12:
        bars = ax.barh(names[::-1], heights[::-1])
        ax.set_xlabel("value")
        ax.margins(x=0.15, y=0.02)
    else:
        bars = ax.bar(names, heights, width=0.7 if len(heights) > 1 else 0.3)
        ax.set_ylabel("value")
        ax.margins(x=0.1 if len(heights) > 1 else 1.0, y=0.12)
    if len(heights) <= 2 * _MAX_NUMBERS:
        ax.bar_label(bars, fmt="%.3g", padding=2)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_history(ax: Axes, values: Sequence[Any], labels: Sequence[str] | None) -> None:
    if not values:
        raise ValueError("the history has no steps")
    if all(isinstance(value, dict) for value in values):
        keys = list(dict.fromkeys(key for value in values for key in value))
        series = {key: np.array([float(_array(value.get(key, np.nan))) for value in values]) for key in keys}
    else:
        rows = [_array(value) for value in values]
        if len({row.shape for row in rows}) > 1 or rows[0].ndim > 1:
            raise TypeError(
                f"steps of a history must be numbers, vectors or dicts, got shapes {[r.shape for r in rows]}"
            )
        table = np.stack(rows)
        names = _names(labels, table.shape[1]) if table.ndim == 2 else list(labels or [""])
        series = dict(zip(names, np.atleast_2d(table.T), strict=True))
    _draw_lines(ax, series)


def _draw_lines(ax: Axes, series: Mapping[str, Array]) -> None:
    from matplotlib.ticker import MaxNLocator

    for name, values in series.items():
        if values.ndim != 1:
            raise TypeError(f"{name!r} must be one number per step, got shape {values.shape}")
        ax.plot(np.arange(len(values)), values, marker="o" if len(values) <= 30 else None, markersize=4, label=name)
    ax.set_xlabel("step")
    ax.set_ylabel("value")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    if len(series) > 1 or next(iter(series), ""):
        ax.legend(frameon=False)


def _draw_matrix(ax: Axes, matrix: Array, labels: Sequence[str] | None) -> None:
    names = _names(labels, len(matrix))
    totals = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ax.figure.colorbar(image, ax=ax, label="share of the row")
    ticks = np.arange(len(matrix))
    if labels is None and len(matrix) > 2 * _MAX_NUMBERS:
        ticks = ticks[:: -(-len(matrix) // 10)]
    slanted = max(map(len, names)) > 3 and len(ticks) > 3
    ax.set_xticks(ticks, [names[i] for i in ticks], rotation=45 if slanted else 0, ha="right" if slanted else "center")
    ax.set_yticks(ticks, [names[i] for i in ticks])
    ax.set_xlabel("predicted")
    ax.set_ylabel("target")
    if len(matrix) > _MAX_NUMBERS:
        return
    whole = bool((matrix == matrix.round()).all())
    for i, j in np.ndindex(matrix.shape):
        text = f"{matrix[i, j]:.0f}" if whole else f"{matrix[i, j]:.2g}"
        colour = "white" if shares[i, j] > 0.55 else "black"
        ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=10 if len(matrix) <= 8 else 7)


def _draw_curves(ax: Axes, value: Sequence[Any], labels: Sequence[str] | None, kind: str | None) -> None:
    if len(value) not in (2, 3):
        raise TypeError(f"a curve is a tuple (x, y) or (x, y, thresholds), got {len(value)} parts")
    first, second = ([_array(part) for part in _by_class(side)] for side in value[:2])
    if kind is None:
        thresholds = _by_class(value[2]) if len(value) == 3 else []
        more_points = bool(thresholds) and len(first[0]) == len(_array(thresholds[0])) + 1
        kind = "precision_recall" if more_points else "roc"
    if kind not in _CURVES:
        raise ValueError(f"curve must be one of {sorted(_CURVES)}, got {kind!r}")
    if kind == "precision_recall":  # these come as (precision, recall)
        first, second = second, first
    else:
        ax.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    names = _names(labels, len(first)) if len(first) > 1 else list(labels or [""])
    style = "steps-pre" if kind == "precision_recall" else "default"  # average precision is the area under the steps
    for name, x, y in zip(names, first, second, strict=True):
        step = -1 if x[0] > x[-1] else 1
        ax.plot(x[::step], y[::step], label=name, drawstyle=style)
    ax.set(xlabel=_CURVES[kind][0], ylabel=_CURVES[kind][1], xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    if len(first) > 1 or names[0]:
        ax.legend(frameon=False)


def _by_class(side: Any) -> list[Any]:
    """Returns one vector per class of one side of curves: a vector, a matrix, or a list of vectors."""
    if isinstance(side, (list, tuple)) and side and np.ndim(_array(side[0])) == 1:
        return list(side)
    array = _array(side)
    return [array] if array.ndim == 1 else list(array)


def _array(value: Any) -> Array:
    try:
        data = value.detach().cpu().double().numpy() if isinstance(value, Tensor) else value
        array: Array = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"there is no picture for a {type(value).__name__}: {value!r}") from error
    return array


def _names(labels: Sequence[str] | None, num: int) -> list[str]:
    if labels is None:
        return [str(i) for i in range(num)]
    if len(labels) != num:
        raise ValueError(f"there are {len(labels)} labels for {num} values")
    return list(labels)
