"""Words for devices and precisions, and who registers more of them."""

import functools
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import TypeVar

import torch

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.devices.cuda import CUDAAccelerator
from lit_accelerators.devices.mps import MPSAccelerator
from lit_accelerators.devices.xla import XLAAccelerator
from lit_accelerators.precision.base import Precision
from lit_accelerators.precision.float8 import Float8Precision
from lit_accelerators.precision.full import FullPrecision
from lit_accelerators.precision.mixed import MixedPrecision
from lit_accelerators.precision.scaled import ScaledPrecision
from lit_accelerators.precision.true import TruePrecision

ACCELERATORS_GROUP = "lit_accelerators.accelerators"
PRECISIONS_GROUP = "lit_accelerators.precisions"
STRATEGIES_GROUP = "lit_accelerators.strategies"

T = TypeVar("T")

_ACCELERATORS: dict[str, Callable[[], Accelerator]] = {
    "cpu": CPUAccelerator,
    "cuda": CUDAAccelerator,
    "gpu": CUDAAccelerator,
    "mps": MPSAccelerator,
    "tpu": XLAAccelerator,
    "xla": XLAAccelerator,
}
_AUTO_ORDER: tuple[type[Accelerator], ...] = (CUDAAccelerator, XLAAccelerator, MPSAccelerator, CPUAccelerator)
_PRECISIONS: dict[str, Callable[[], Precision]] = {
    "64-true": functools.partial(TruePrecision, torch.float64),
    "32-true": FullPrecision,
    "16-true": functools.partial(TruePrecision, torch.float16),
    "bf16-true": functools.partial(TruePrecision, torch.bfloat16),
    "16-mixed": ScaledPrecision,
    "bf16-mixed": MixedPrecision,
    "float8-mixed": Float8Precision,
}
_PRECISION_SPELLINGS = {"64": "64-true", "32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}


def look_up(name: str, known: Mapping[str, T], group: str, *, what: str, more: Sequence[str] = ("auto",)) -> T:
    """The entry of ``name``: ours, else the one that an installed package registers in the entry-point ``group``.

    Raises:
        ValueError: with the names that exist (those of ``more`` are understood elsewhere), if nobody knows ``name``.
    """
    if name in known:
        return known[name]
    registered = {point.name: point for point in entry_points(group=group)}
    if name in registered:
        found: T = registered[name].load()
        return found
    names = ", ".join(repr(word) for word in [*more, *sorted({*known, *registered})])
    raise ValueError(f"{what}={name!r} does not exist. There are: {names}.")


def make_accelerator(accelerator: str | Accelerator) -> Accelerator:
    """The accelerator of a name; ``"auto"`` is the first available of cuda, tpu, mps, cpu."""
    if not isinstance(accelerator, str):
        return accelerator
    if accelerator == "auto":
        return next(kind for kind in _AUTO_ORDER if kind.is_available())()
    return look_up(accelerator, _ACCELERATORS, ACCELERATORS_GROUP, what="accelerator")()


def precision_name(precision: str | int) -> str:
    """Today's word for a precision: 64, 32, 16 and ``"bf16"`` are older spellings, as numbers or as text.

    Example:
        >>> precision_name(16), precision_name("bf16"), precision_name("64-true")
        ('16-mixed', 'bf16-mixed', '64-true')
    """
    return _PRECISION_SPELLINGS.get(str(precision), str(precision))


def make_precision(precision: str | int | Precision) -> Precision:
    """The precision of a name, in any spelling that :func:`precision_name` knows.

    Raises:
        ValueError: with the names that exist.
    """
    if isinstance(precision, Precision):
        return precision
    return look_up(precision_name(precision), _PRECISIONS, PRECISIONS_GROUP, what="precision", more=())()
