"""Lengths of time as users write them."""

import re
from datetime import timedelta
from typing import Any

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d):(\d\d)")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")


def seconds(name: str, value: Any) -> float:
    """A duration in seconds.

    Args:
        name: of the argument, for the message.
        value: ``"00:12:00:00"`` (days, hours, minutes, seconds), ``"90min"`` (s, min, h, d), a ``timedelta``, or a dict
            of its arguments.

    Raises:
        ValueError: for anything else, and for what is not positive.

    Example:
        >>> seconds("max_time", "01:12:00:00"), seconds("max_time", "1.5h"), seconds("max_time", {"minutes": 2})
        (129600.0, 5400.0, 120.0)
    """
    found = _parse(value)
    if found is None or found <= 0:
        raise ValueError(
            f"{name} is a positive duration: 'DD:HH:MM:SS', a number with s, min, h or d ('90min'), a timedelta, or a "
            f"dict of its arguments ({{'hours': 2}}); got {value!r}."
        )
    return found


def _parse(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        try:
            return timedelta(**value).total_seconds()
        except TypeError:
            return None
    text = value.strip() if isinstance(value, str) else ""
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, rest = map(int, clock.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=rest).total_seconds()
    if amount := _AMOUNT.fullmatch(text):
        return float(amount.group(1)) * _UNITS[amount.group(2)]
    return None
