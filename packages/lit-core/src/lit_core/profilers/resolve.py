"""From words to profilers."""

from typing import Any

from lit_core.profilers.advanced import AdvancedProfiler
from lit_core.profilers.pass_through import PassThroughProfiler
from lit_core.profilers.profiler import Profiler
from lit_core.profilers.pytorch import PyTorchProfiler
from lit_core.profilers.simple import SimpleProfiler

_NAMES: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def get_profiler(profiler: Any) -> Profiler:
    """The profiler for a word or an object.

    Args:
        profiler: ``"simple"`` (or True), ``"advanced"``, ``"pytorch"``, a :class:`Profiler`; None or False for none.

    Returns:
        The profiler; a :class:`PassThroughProfiler` for none.

    Raises:
        ValueError: for another word.
        TypeError: for another object.

    Example:
        >>> type(get_profiler("simple")).__name__, type(get_profiler(None)).__name__
        ('SimpleProfiler', 'PassThroughProfiler')
    """
    if profiler is None or profiler is False:
        return PassThroughProfiler()
    if profiler is True:
        return SimpleProfiler()
    if isinstance(profiler, Profiler):
        return profiler
    if not isinstance(profiler, str):
        raise TypeError(f"profiler is a name or a Profiler object, got {type(profiler).__name__} ({profiler!r}).")
    if profiler not in _NAMES:
        raise ValueError(f"profiler is one of {sorted(_NAMES)}, or a Profiler object; got {profiler!r}.")
    return _NAMES[profiler]()
