"""From the words a user writes to one :class:`Strategy`."""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lit_accelerators.capabilities import check_combination
from lit_accelerators.devices.base import Accelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.detection import detect_environment
from lit_accelerators.environments.local import LocalEnvironment
from lit_accelerators.launchers.starts import is_ray, own_environment
from lit_accelerators.precision.base import Precision
from lit_accelerators.registry import STRATEGIES_GROUP, look_up, make_accelerator, make_precision
from lit_accelerators.strategies.base import Strategy
from lit_accelerators.strategies.ddp import DDPStrategy
from lit_accelerators.strategies.dp import DPStrategy
from lit_accelerators.strategies.fsdp import FSDPStrategy
from lit_accelerators.strategies.model_parallel import ModelParallelStrategy
from lit_accelerators.strategies.single_device import SingleDeviceStrategy

StrategyFactory = Callable[..., Strategy]
"""Called with the keyword arguments ``accelerator``, ``indices``, ``precision``, ``environment``, ``num_nodes``."""


def make_strategy(
    accelerator: str | Accelerator = "auto",
    devices: int | str | Sequence[int] = "auto",
    num_nodes: int = 1,
    strategy: str | Strategy | StrategyFactory = "auto",
    precision: str | int | Precision = "32-true",
    environment: ClusterEnvironment | None = None,
) -> Strategy:
    """Compose a strategy from words or objects; contradictions are refused here and not at hour three.

    Args:
        accelerator: ``"auto"`` (cuda, else tpu, else mps, else cpu), ``"cpu"``, ``"cuda"`` (or ``"gpu"``), ``"mps"``,
            ``"tpu"`` (or ``"xla"``), a name that a package registers under the entry-point group
            ``lit_accelerators.accelerators``, or an object.
        devices: how many (``2``), which (``[0, 2]``, ``"0,2"``), ``-1`` for all, or ``"auto"``: what torchrun or the
            scheduler was told, else every GPU, else one process. On the CPU a device is a process.
        num_nodes: machines in the run, each with as many devices.
        strategy: ``"auto"``, ``"single_device"``, ``"ddp"`` (all parameters in every process), ``"fsdp"`` (a part of
            them in each), ``"model_parallel"`` (and a part of each layer that a plan cuts); all also with ``_spawn``,
            ``_fork``, ``_notebook`` or ``_ray`` behind them, and the ddp ones with ``_find_unused_parameters_true`` or
            ``_false`` behind that; ``"ray"`` is ``"ddp_ray"``; ``"dp"`` and ``"ddp2"`` (one process per node, which
            splits each batch over its devices); a name that a package registers under
            ``lit_accelerators.strategies``; a callable that makes one from the resolved parts, such as
            ``functools.partial(DDPStrategy, gradient_as_bucket_view=True)``; or an object, which is complete already.
        precision: ``"32-true"`` (or 32), ``"bf16-mixed"`` (or ``"bf16"``), ``"16-mixed"`` (or 16), ``"64-true"`` (or
            64), ``"bf16-true"``, ``"16-true"``, ``"float8-mixed"`` (extra ``float8``), a name that a package registers
            under the entry-point group ``lit_accelerators.precisions``, or an object.
        environment: where ranks come from; by default that of :func:`detect_environment`, else our own launchers.

    Returns:
        The strategy, not yet launched.

    Raises:
        ValueError: for a word that does not exist, devices that are not there, or flags that contradict each other or
            the environment, with what to write instead.

    Example:
        >>> strategy = make_strategy(accelerator="cpu")
        >>> strategy.name, strategy.world_size, strategy.precision.name
        ('single_device', 1, '32-true')
        >>> make_strategy(accelerator="cpu", devices=2, strategy="ddp_spawn", precision="bf16-mixed").world_size
        2
    """
    if isinstance(strategy, Strategy):
        _check_agreement(strategy, accelerator, devices, num_nodes, precision, environment)
        check_combination(strategy.name, strategy.accelerator.name, strategy.precision.name)
        return strategy
    if isinstance(num_nodes, bool) or not isinstance(num_nodes, int) or num_nodes < 1:
        raise ValueError(f"num_nodes must be a whole number of at least 1, got {num_nodes!r}.")
    chosen = make_accelerator(accelerator)
    named = _named(strategy) if isinstance(strategy, str) and strategy != "auto" else strategy
    shares_process, start = _is_one_process(named), _start_of(named)
    detected = detect_environment() if environment is None else None
    if detected is not None and detected is not LocalEnvironment:
        environment = detected()
    if shares_process:
        indices = chosen.parse_devices(devices)
    elif is_ray(start) and environment is None:
        indices = _count_devices(devices)
    else:
        indices = _parse_devices(chosen, devices, environment)
    processes = 1 if shares_process else len(indices)
    if environment is None:
        environment = own_environment(start, processes, num_nodes)
    environment.validate(devices=processes, num_nodes=num_nodes)
    num_devices = len(indices) * num_nodes
    if strategy == "single_device" and num_devices > 1:
        raise ValueError(
            f"strategy='single_device' is for one device, but devices={devices!r} and num_nodes={num_nodes} are "
            f"{num_devices}. Write devices=1, or strategy='ddp'."
        )
    factory = _factory(strategy, num_devices) if isinstance(strategy, str) else strategy
    numbers = make_precision(precision)
    numbers.check_device(chosen.device(indices[0]))
    made = factory(
        accelerator=chosen,
        indices=indices,
        precision=numbers,
        environment=environment,
        num_nodes=num_nodes,
    )
    if not isinstance(made, Strategy):
        raise TypeError(f"strategy={strategy!r} made {made!r}, which is no Strategy.")
    check_combination(made.name, made.accelerator.name, made.precision.name)
    return made


def _parse_devices(
    accelerator: Accelerator, devices: int | str | Sequence[int], environment: ClusterEnvironment | None
) -> list[int]:
    if devices == "auto" and environment is not None and environment.creates_processes_externally:
        # Who started the processes was told already how many a node has.
        return accelerator.parse_devices(environment.local_world_size)
    return accelerator.parse_devices(devices)


def _count_devices(devices: int | str | Sequence[int]) -> list[int]:
    """Indices of devices that are somewhere else."""
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise ValueError(
            f"devices={devices!r}: Ray chooses the devices and where they are. Write how many each node of the run "
            "has, as a number: devices=2."
        )
    return list(range(devices))


def _single_device(
    accelerator: Accelerator,
    indices: Sequence[int],
    precision: Precision,
    environment: ClusterEnvironment,
    num_nodes: int,
) -> Strategy:
    return SingleDeviceStrategy(accelerator, indices[0], precision, environment)


_STARTS = (("", "script"), ("_spawn", "spawn"), ("_fork", "fork"), ("_notebook", "notebook"), ("_ray", "ray"))
_STRATEGIES: dict[str, StrategyFactory] = {
    "single_device": _single_device,
    "ray": functools.partial(DDPStrategy, start="ray"),
    "dp": DPStrategy,
    "ddp2": functools.partial(DPStrategy, between_nodes=True),
    **{f"fsdp{word}": functools.partial(FSDPStrategy, start=start) for word, start in _STARTS},  # type: ignore[arg-type]
    **{
        f"model_parallel{word}": functools.partial(ModelParallelStrategy, start=start)  # type: ignore[arg-type]
        for word, start in _STARTS
    },
    **{
        f"ddp{word}{suffix}": functools.partial(DDPStrategy, **{"start": start, **options})  # type: ignore[arg-type]
        for word, start in _STARTS
        for suffix, options in (
            ("", {}),
            ("_find_unused_parameters_true", {"find_unused_parameters": True}),
            ("_find_unused_parameters_false", {"find_unused_parameters": False}),
        )
    },
}


def _factory(name: str, num_devices: int) -> StrategyFactory:
    if name == "auto":
        if num_devices == 1:
            return _single_device
        name = "ddp_fork" if _is_interactive() else "ddp"
    return _named(name)


def _named(name: str) -> StrategyFactory:
    return look_up(name, _STRATEGIES, STRATEGIES_GROUP, what="strategy")


def _start_of(factory: Any) -> Any:
    """How the processes of what it makes are started, where it says so."""
    return factory.keywords.get("start") if isinstance(factory, functools.partial) else None


def _is_one_process(factory: StrategyFactory | str) -> bool:
    made = factory.func if isinstance(factory, functools.partial) else factory
    return bool(getattr(made, "one_process_per_node", False))


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or "ipykernel" in sys.modules


def _check_agreement(
    strategy: Strategy,
    accelerator: str | Accelerator,
    devices: int | str | Sequence[int],
    num_nodes: int,
    precision: str | int | Precision,
    environment: ClusterEnvironment | None,
) -> None:
    """Refuse flags beside a strategy object that say something else than the object does."""
    instead = (
        f"A strategy object is complete. Give it what you want when you make it, or give the class with its options "
        f"instead: strategy=functools.partial({type(strategy).__name__}, ...)."
    )
    if accelerator != "auto" and make_accelerator(accelerator).name != strategy.accelerator.name:
        raise ValueError(f"accelerator={accelerator!r}, but the strategy has {strategy.accelerator.name!r}. {instead}")
    if devices != "auto":
        processes = len(strategy.accelerator.parse_devices(devices)) * num_nodes
        if processes != strategy.world_size:
            raise ValueError(
                f"devices={devices!r} and num_nodes={num_nodes} are {processes} processes, but the strategy has "
                f"{strategy.world_size}. {instead}"
            )
    name = make_precision(precision).name
    if precision != "32-true" and name != strategy.precision.name:
        raise ValueError(f"precision={precision!r}, but the strategy has {strategy.precision.name!r}. {instead}")
    if environment is not None and environment is not strategy.environment:
        raise ValueError(f"environment={environment!r}, but the strategy has {strategy.environment!r}. {instead}")
