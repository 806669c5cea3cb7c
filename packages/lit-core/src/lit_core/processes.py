"""Between the processes of a run: what one does for all, and what they bring back to the process that started them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from lit_accelerators import Precision, Strategy
from lit_core.callbacks.base import Callback
from lit_core.module import LightningModule
from lit_core.progress import Progress
from lit_core.run import Run, StopSignal


@dataclass
class Outcome:
    """What a run in another process brings back."""

    result: Any
    module_state: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    stop_reason: str | None = None


def in_process_zero(strategy: Strategy, function: Callable[[], Any]) -> Any:
    """Call ``function`` in process 0 and return its result in every process; call this in every process.

    Raises:
        Exception: what ``function`` raised, in process 0; in the others a ``RuntimeError`` that names it.
    """
    if strategy.world_size == 1:
        return function()
    result: Any = None
    error: Exception | None = None
    if strategy.is_global_zero:
        try:
            result = function()
        except Exception as exception:
            error = exception
    reason = None if error is None else f"{type(error).__name__}: {error}"
    result, reason = strategy.collectives.broadcast((result, reason))
    if error is not None:
        raise error
    if reason is not None:
        raise RuntimeError(f"Process 0 failed: {reason}")
    return result


def bring_back(run: Run, result: Any, callbacks: Sequence[Callback]) -> Outcome:
    """The result, and from another process everything that it changed."""
    strategy = run.strategy
    if strategy.launcher.returns_to_caller:
        return Outcome(result)
    state = strategy.module_state(run.module)
    return Outcome(
        result=result,
        module_state={name: _on_host(value) if isinstance(value, Tensor) else value for name, value in state.items()},
        progress=run.progress.state_dict(),
        report=run.report.state_dict(),
        times=run.times.seconds,
        callbacks={callback.state_key: callback.state_dict() for callback in callbacks},
        stop_reason=run.stop.reason,
    )


def _on_host(tensor: Tensor) -> Tensor:
    whole: Callable[[], Tensor] | None = getattr(tensor, "full_tensor", None)  # of which this process has a part
    return (tensor if whole is None else whole()).cpu()


def _take_weights(module: nn.Module, state: dict[str, Any]) -> None:
    """Load the weights, unless the parts they belong to are in the other processes only."""
    own = module.state_dict()
    missing = [name for name in state if name not in own]
    if missing:
        warnings.warn(
            f"{type(module).__name__} has {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''} in the "
            "processes of the run only, where configure_model made them: the module of this process does not get the "
            "weights. They are in the checkpoints. Make these parts in __init__ (under torch.device('meta') if they "
            "are large), or choose a strategy without '_spawn' or '_fork'.",
            stacklevel=2,
        )
        return
    on_meta = any(isinstance(value, Tensor) and value.is_meta for value in own.values())
    module.load_state_dict(state, assign=on_meta)


def take_over(
    outcome: Outcome,
    module: LightningModule,
    precision: Precision,
    progress: Progress,
    callbacks: Sequence[Callback],
    stop: StopSignal,
) -> None:
    """Put what :func:`bring_back` brought where the starting process keeps it."""
    _take_weights(precision.convert_module(module), outcome.module_state)
    progress.load_state_dict(outcome.progress)
    for callback in callbacks:
        if callback.state_key in outcome.callbacks:
            callback.load_state_dict(outcome.callbacks[callback.state_key])
    if outcome.stop_reason is not None:
        stop.ask(outcome.stop_reason)
