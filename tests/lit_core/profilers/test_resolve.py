"""From words to profilers."""

import pytest

from lit_core.profilers import (
    AdvancedProfiler,
    PassThroughProfiler,
    ProfilerCallback,
    PyTorchProfiler,
    SimpleProfiler,
    get_profiler,
)


def test_words_and_objects_are_resolved() -> None:
    words = {
        "simple": SimpleProfiler,
        "advanced": AdvancedProfiler,
        "pytorch": PyTorchProfiler,
        True: SimpleProfiler,
        None: PassThroughProfiler,
        False: PassThroughProfiler,
    }
    assert {word: type(get_profiler(word)) for word in words} == words
    mine = SimpleProfiler()
    assert get_profiler(mine) is ProfilerCallback(mine).profiler is mine


def test_what_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of \['advanced', 'pytorch', 'simple'\].*'simpel'"):
        get_profiler("simpel")
    with pytest.raises(TypeError, match="got int"):
        get_profiler(3)
