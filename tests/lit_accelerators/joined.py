"""What tests do in the processes of a strategy."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from lit_accelerators import LocalEnvironment, MultiprocessLauncher, Strategy


def run_joined(strategy: Strategy, function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function(strategy, *args)`` in every process, joined; returns what it returned in process 0."""
    return strategy.launcher.launch(_join, strategy, function, args)


def _join(strategy: Strategy, function: Callable[..., Any], args: Any) -> Any:
    torch.set_num_threads(1)
    strategy.setup_environment()
    try:
        return function(strategy, *args)
    finally:
        strategy.teardown()


def run_cases(processes: int, cases: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Every case in the same forked processes, one after the other; returns what they returned in process 0, by name.

    What each makes of strategies with so many processes runs there. So the first use of distributed tensors, which
    costs more than the cases do, is paid once.

    Raises:
        RuntimeError: naming the first case that failed.
    """

    def run_all() -> dict[str, Any]:
        return {name: _run_case(name, case) for name, case in cases.items()}

    results: dict[str, Any] = MultiprocessLauncher(LocalEnvironment(processes), processes, "fork").launch(run_all)
    return results


def _run_case(name: str, case: Callable[[], Any]) -> Any:
    try:
        return case()
    except Exception as error:
        raise RuntimeError(f"case {name!r}: {error}") from error
