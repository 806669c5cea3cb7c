"""Words for devices and precisions, and who registers more of them."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.devices.cuda import CUDAAccelerator
from lit_accelerators.devices.mps import MPSAccelerator
from lit_accelerators.precision.base import Precision
from lit_accelerators.precision.full import FullPrecision
from lit_accelerators.precision.mixed import MixedPrecision

ACCELERATORS_GROUP = "lit_accelerators.accelerators"
STRATEGIES_GROUP = "lit_accelerators.strategies"

T = TypeVar("T")

_ACCELERATORS: dict[str, Callable[[], Accelerator]] = {
    "cpu": CPUAccelerator,
    "cuda": CUDAAccelerator,
    "gpu": CUDAAccelerator,
    "mps": MPSAccelerator,
}
_AUTO_ORDER: tuple[type[Accelerator], ...] = (CUDAAccelerator, MPSAccelerator, CPUAccelerator)
_PRECISIONS: dict[str, Callable[[], Precision]] = {"32-true": FullPrecision, "bf16-mixed": MixedPrecision}
_PRECISION_SPELLINGS = {"32": "32-true", "bf16": "bf16-mixed"}


def look_up(name: str, known: Mapping[str, T], group: str, *, what: str) -> T:
    """The entry of ``name``: ours, else the one that an installed package registers in the entry-point ``group``.

    Raises:
        ValueError: with the names that exist, if nobody knows ``name``.
    """
    if name in known:
        return known[name]
    registered = {point.name: point for point in entry_points(group=group)}
    if name in registered:
        found: T = registered[name].load()
        return found
    names = ", ".join(repr(word) for word in ["auto", *sorted({*known, *registered})])
    raise ValueError(f"{what}={name!r} does not exist. There are: {names}.")


def make_accelerator(accelerator: str | Accelerator) -> Accelerator:
    """The accelerator of a name; ``"auto"`` is the first available of cuda, mps, cpu."""
    if not isinstance(accelerator, str):
        return accelerator
    if accelerator == "auto":
        return next(kind for kind in _AUTO_ORDER if kind.is_available())()
    return look_up(accelerator, _ACCELERATORS, ACCELERATORS_GROUP, what="accelerator")()


def make_precision(precision: str | int | Precision) -> Precision:
    """The precision of a name; the spellings 32, ``"32"`` and ``"bf16"`` are accepted.

    Raises:
        ValueError: with the names that exist.
    """
    if isinstance(precision, Precision):
        return precision
    name = _PRECISION_SPELLINGS.get(str(precision), str(precision))
    if name not in _PRECISIONS:
        names = ", ".join(repr(word) for word in sorted(_PRECISIONS))
        raise ValueError(f"precision={precision!r} does not exist. There are: {names}.")
    return _PRECISIONS[name]()
