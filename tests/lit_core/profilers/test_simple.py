"""Times of named events."""

import time

import pytest

from lit_core.profilers import SimpleProfiler


def test_count_total_mean_and_share_are_those_of_the_clock() -> None:
    profiler = SimpleProfiler()
    profiler.setup("unused")
    began = time.perf_counter()
    for _ in range(4):
        with profiler.profile("outer"):
            time.sleep(0.005)
            with profiler.profile("inner"):
                time.sleep(0.01)
    elapsed = time.perf_counter() - began
    profiler.teardown()

    outer, inner = profiler.events["outer"], profiler.events["inner"]
    assert (outer.count, inner.count) == (4, 4)
    assert 0.04 <= inner.total_s < outer.total_s <= elapsed
    assert outer.total_s - inner.total_s >= 0.02
    assert outer.mean_s == outer.total_s / 4
    _, _, first, second = profiler.summary().splitlines()
    assert first.split()[0] == "outer", "the longest is first"
    assert second.split()[0] == "inner"
    assert float(first.split()[3]) == pytest.approx(outer.total_s, abs=1e-4)
    assert float(first.split()[4].rstrip("%")) == pytest.approx(100 * outer.total_s / elapsed, abs=3)


def test_a_new_run_begins_anew() -> None:
    profiler = SimpleProfiler()
    profiler.start("open")
    profiler.setup("unused")

    assert profiler.events == {}
    with profiler.profile("open"):
        pass
    assert profiler.events["open"].count == 1


def test_an_event_that_fails_is_counted() -> None:
    profiler = SimpleProfiler()
    with pytest.raises(KeyError), profiler.profile("bad"):
        raise KeyError

    assert profiler.events["bad"].count == 1


def test_contradictions_are_refused() -> None:
    profiler = SimpleProfiler()
    with pytest.raises(ValueError, match="'a' was not started; open are \\[\\]"):
        profiler.stop("a")
    profiler.start("a")
    with pytest.raises(ValueError, match="'a' was started and not yet stopped"):
        profiler.start("a")


def test_before_anything_happened_there_is_a_table_without_rows() -> None:
    assert len(SimpleProfiler().summary().splitlines()) == 2
