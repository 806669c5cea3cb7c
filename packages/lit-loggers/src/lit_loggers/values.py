"""From what users hand to a logger to what its files can hold."""

from collections.abc import Iterator, Mapping
from typing import Any


def as_floats(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The metrics as floats, their names with ``prefix`` and ``-`` in front if there is one.

    NaN and infinities pass through: that a loss became NaN is what a log has to show.

    Raises:
        TypeError: If a name is no string or a value no single number.

    Example:
        >>> as_floats({"loss": 1, "acc": True}, prefix="run")
        {'run-loss': 1.0, 'run-acc': 1.0}
        >>> as_floats({"loss": "0.5"})
        Traceback (most recent call last):
        ...
        TypeError: Metric 'loss' must be one number, got '0.5' of type str.
    """
    floats = {}
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise TypeError(f"Names of metrics must be strings, got {name!r} of type {type(name).__name__}.")
        floats[f"{prefix}-{name}" if prefix else name] = value if type(value) is float else _as_float(name, value)
    return floats


def _as_float(name: str, value: Any) -> float:
    try:
        if not hasattr(value, "__float__") and not hasattr(value, "__index__"):  # float() would read a string
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise TypeError(f"Metric {name!r} must be one number, got {shown} of type {type(value).__name__}.") from None


def flatten(params: Mapping[str, Any], separator: str = "/") -> dict[str, bool | int | float | str]:
    """Nested settings as one level; what is not a number, a bool or a string becomes its ``str``.

    Example:
        >>> flatten({"optimizer": {"lr": 0.1, "betas": (0.9, 0.999)}, "name": None})
        {'optimizer/lr': 0.1, 'optimizer/betas': '(0.9, 0.999)', 'name': 'None'}
    """
    return dict(_flat_items(params, "", separator))


def _flat_items(params: Mapping[str, Any], path: str, separator: str) -> Iterator[tuple[str, bool | int | float | str]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat_items(value, f"{path}{key}{separator}", separator)
        else:
            yield f"{path}{key}", value if type(value) in {bool, int, float, str} else str(value)
