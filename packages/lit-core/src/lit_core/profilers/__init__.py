"""Where time goes: profilers, and the callback that times a run with one."""

from lit_core.profilers.advanced import AdvancedProfiler
from lit_core.profilers.callback import ProfilerCallback
from lit_core.profilers.pass_through import PassThroughProfiler
from lit_core.profilers.profiler import Profiler
from lit_core.profilers.pytorch import PyTorchProfiler
from lit_core.profilers.resolve import get_profiler
from lit_core.profilers.simple import SimpleProfiler

__all__ = [
    "AdvancedProfiler",
    "PassThroughProfiler",
    "Profiler",
    "ProfilerCallback",
    "PyTorchProfiler",
    "SimpleProfiler",
    "get_profiler",
]
