"""Quantities that somebody watches, and whether anybody logs them."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from lit_core.callbacks.base import Callback
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.checking.findings import Finding, Severity
from lit_core.checking.watch import Facts

_FIELD = re.compile(r"\{([^{}:]+)")


def unlogged(facts: Facts, callbacks: Sequence[Callback]) -> Iterator[Finding]:
    """Keys that callbacks, file names and schedulers need, and that no step logged."""
    others = [type(each).__name__ for each in callbacks if not type(each).__module__.startswith("lit_core.")]
    for who, key, needed in _watchers(facts, callbacks):
        if key in facts.logged:
            continue
        severity: Severity = "error" if needed and not others else "warning"
        perhaps = f" (callbacks did not run; perhaps {', '.join(others)} does)" if others else ""
        near = get_close_matches(key, sorted(facts.logged), n=1)
        there = ", ".join(sorted(facts.logged)) or "nothing"
        yield Finding(
            severity,
            f"{who} watches {key!r}, which one step of each stage did not log{perhaps}",
            f"did you mean {near[0]!r}?" if near else f"self.log({key!r}, ...), or watch what is logged: {there}",
        )


def _watchers(facts: Facts, callbacks: Sequence[Callback]) -> Iterator[tuple[str, str, bool]]:
    """Who watches, which key, and whether it fails without."""
    for callback in callbacks:
        name, key = type(callback).__name__, getattr(callback, "monitor", None)
        if isinstance(key, str):
            yield name, key, bool(getattr(callback, "strict", True))
        if isinstance(callback, ModelCheckpoint):
            for template in _FIELD.findall(callback.filename or ""):
                if template.strip() not in ("epoch", "step"):
                    yield f"{name}(filename={callback.filename!r})", template.strip(), True
    for config in facts.configured.schedulers:
        if config.monitor is not None:
            yield config.name or type(config.scheduler).__name__, config.monitor, config.strict
