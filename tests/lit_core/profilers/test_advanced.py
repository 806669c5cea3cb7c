"""Profiles of named events, by function."""

import pytest

from lit_core.profilers import AdvancedProfiler, ProfilerCallback
from tests.lit_core.tiny import Regression, loader, trainer


def work() -> int:
    return sum(range(100))


def rest() -> int:
    return len("rest")


def calls_of(profiler: AdvancedProfiler, event: str, function: str) -> int:
    stats = profiler.stats(event).stats  # type: ignore[attr-defined]
    return sum(row[1] for (_, _, name), row in stats.items() if name == function)


def test_each_function_is_counted_in_the_innermost_event() -> None:
    profiler = AdvancedProfiler()
    with profiler.profile("outer"):
        work()
        with profiler.profile("inner"):
            rest()
            rest()
        work()
    with profiler.profile("inner"):
        rest()

    assert (calls_of(profiler, "outer", "work"), calls_of(profiler, "outer", "rest")) == (2, 0)
    assert (calls_of(profiler, "inner", "work"), calls_of(profiler, "inner", "rest")) == (0, 3)
    assert "Functions in outer" in profiler.summary()


def test_a_run_is_profiled_by_event() -> None:
    profiler = AdvancedProfiler()
    trainer(callbacks=[ProfilerCallback(profiler)], max_epochs=2).fit(Regression(), loader(8), loader(4))

    assert calls_of(profiler, "training_step", "loss") == 8
    assert calls_of(profiler, "validation_step", "loss") == 4
    assert calls_of(profiler, "optimizer_step", "loss") == 0


def test_contradictions_are_refused_and_what_is_open_is_closed() -> None:
    profiler = AdvancedProfiler()
    with pytest.raises(ValueError, match="'a' was not started"):
        profiler.stop("a")
    with pytest.raises(ValueError, match="No event 'a' was profiled"):
        profiler.stats("a")
    assert profiler.summary() == "No event was profiled."
    profiler.start("a")
    with pytest.raises(ValueError, match="'a' was started and not yet stopped"):
        profiler.start("a")
    profiler.teardown()
    with pytest.raises(ValueError, match="'a' was not started"):
        profiler.stop("a")
