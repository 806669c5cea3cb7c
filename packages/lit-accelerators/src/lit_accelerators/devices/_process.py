"""What this process uses of the machine, without packages beyond Python's own."""

import os
import sys
import time
from functools import cache
from pathlib import Path

_STATUS = Path("/proc/self/statm")


class CpuClock:
    """How busy this process was since it was last asked."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def percent(self) -> float:
        """CPU time of all threads by wall time since the last call (the first: since the start), 100 for one core."""
        wall, cpu = time.monotonic(), time.process_time()
        share = (cpu - self._cpu) / max(wall - self._wall, 1e-9)
        self._wall, self._cpu = wall, cpu
        return 100.0 * share


@cache
def cpu_clock(pid: int) -> CpuClock:
    """The one of process ``pid``: a forked process gets its own."""
    return CpuClock()


def resident_memory() -> float | None:
    """Bytes of memory that this process holds now; None where the system does not tell."""
    try:
        pages = int(_STATUS.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def peak_memory() -> float | None:
    """The most bytes of memory that this process ever held; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
