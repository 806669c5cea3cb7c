"""No profiler."""

from lit_core.profilers.profiler import Profiler


class PassThroughProfiler(Profiler):
    """Measures nothing: what code that names events uses where nobody profiles.

    Example:
        >>> profiler = PassThroughProfiler()
        >>> with profiler.profile("anything"):
        ...     pass
        >>> profiler.summary()
        'Nothing is profiled.'
    """

    def start(self, name: str) -> None:
        """Nothing happens."""

    def stop(self, name: str) -> None:
        """Nothing happens."""

    def summary(self) -> str:
        """Says that there is nothing."""
        return "Nothing is profiled."
