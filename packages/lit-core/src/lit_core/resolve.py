"""From words to objects: the one file of lit-core that names concrete classes of its siblings."""

import functools
import os
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from lit_accelerators import ClusterEnvironment, LocalEnvironment, Precision, Strategy, make_strategy
from lit_checkpoint import CheckpointIO, FileCheckpointIO
from lit_core.callbacks.base import Callback
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.callbacks.model_summary import ModelSummary, RichModelSummary
from lit_core.callbacks.progress_bar import ProgressBar
from lit_core.callbacks.time_table import TimeTable
from lit_core.config import TrainerConfig
from lit_core.hooks import check_hook_names
from lit_loggers import Logger, TensorBoardLogger, get_logger

CALLBACKS_GROUP = "lit_core.callbacks"
"""Entry points: functions without arguments that give a callback, or several, for every Trainer."""

Plugin = TypeVar("Plugin")


def resolve_strategy(config: TrainerConfig) -> Strategy:
    """The strategy for ``accelerator``, ``devices``, ``num_nodes``, ``strategy`` and ``precision``."""
    return make_strategy(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=_plugin(config, Precision) or config.precision,
        environment=_plugin(config, ClusterEnvironment),
    )


def in_one_process(config: TrainerConfig, strategy: Strategy) -> dict[str, Any]:
    """The settings that leave everything as it is but the number of processes: the one that asks, on one device."""
    devices, plugins = config.devices, _plugins(config)
    return {
        "accelerator": strategy.accelerator.name,
        "strategy": "auto",
        "devices": list(devices)[:1] if isinstance(devices, (list, tuple)) else 1,
        "num_nodes": 1,
        "precision": strategy.precision.name,
        "plugins": [*(p for p in plugins if not isinstance(p, ClusterEnvironment)), LocalEnvironment()],
    }


def resolve_loggers(config: TrainerConfig, root: str) -> list[Logger]:
    """The loggers for ``logger``: True is TensorBoard, False none; names and objects, one or several."""
    given = config.logger
    if given is False or given is None or config.dev_batches:
        return []
    if given is True:
        return [TensorBoardLogger(root)]
    several = list(given) if isinstance(given, (list, tuple)) else [given]
    loggers: list[Logger] = []
    for item in several:
        if isinstance(item, str):
            loggers.append(get_logger(item, save_dir=root))
        elif isinstance(item, Logger):
            loggers.append(item)
        else:
            raise TypeError(
                f"logger is True, False, a name, a Logger or a list of these; got {type(item).__name__} ({item!r})."
            )
    return loggers


def resolve_callbacks(config: TrainerConfig) -> list[Callback]:
    """The callbacks given, those that installed packages register, and those that come by default."""
    callbacks = _listed(config.callbacks)
    if not any(isinstance(callback, Callback) and callback.exclusive for callback in callbacks):
        callbacks += [callback for point in _registered() for callback in _listed(point.load()())]
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks are Callback objects, got {type(callback).__name__} ({callback!r}).")
    has_checkpoint = any(isinstance(c, ModelCheckpoint) for c in callbacks)
    if has_checkpoint and not config.enable_checkpointing:
        raise ValueError("A ModelCheckpoint was given with enable_checkpointing=False: drop one of them.")
    if config.enable_checkpointing and not has_checkpoint and not config.dev_batches:
        callbacks.append(ModelCheckpoint())
    if config.dev_batches:
        callbacks = [c for c in callbacks if not isinstance(c, ModelCheckpoint)]
    summary = config.enable_progress_bar if config.enable_model_summary is None else config.enable_model_summary
    if summary and not any(isinstance(c, (ModelSummary, RichModelSummary)) for c in callbacks):
        callbacks.append(ModelSummary())
    if config.profiler is not None:
        from lit_core.profilers import PassThroughProfiler, ProfilerCallback, get_profiler

        profiler = get_profiler(config.profiler)
        if not isinstance(profiler, PassThroughProfiler):
            callbacks.append(ProfilerCallback(profiler))
    if config.enable_progress_bar and not any(isinstance(c, ProgressBar) for c in callbacks):
        callbacks.append(ProgressBar())
    if config.enable_progress_bar and not any(isinstance(c, TimeTable) for c in callbacks):
        callbacks.append(TimeTable())
    _check(callbacks)
    return callbacks


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]


@functools.cache
def _registered() -> tuple[EntryPoint, ...]:
    """Looked for once: reading what every installed package registers takes milliseconds."""
    return tuple(entry_points(group=CALLBACKS_GROUP))


def _check(callbacks: Sequence[Callback]) -> None:
    seen: dict[str, Callback] = {}
    for callback in callbacks:
        check_hook_names(callback, Callback)
        if callback.state_key in seen:
            raise ValueError(
                f"Two callbacks have the state_key {callback.state_key!r}, so a checkpoint could not tell them apart: "
                "give one another state_key."
            )
        seen[callback.state_key] = callback


def join_callbacks(callbacks: list[Callback], configured: Any) -> list[Callback]:
    """Callbacks of the Trainer and of ``configure_callbacks``; the module's replace those of the same class."""
    own = _listed(configured)
    classes = {type(callback) for callback in own}
    joined = [c for c in callbacks if type(c) not in classes] + own
    _check(joined)
    return joined


def resolve_io(config: TrainerConfig, strategy: Strategy) -> CheckpointIO:
    """How checkpoints are written: by a plugin, in parts where the strategy gives these, else in single files.

    Raises:
        ValueError: for a plugin that cannot write what the strategy gives.
    """
    given = given_io(config)
    if given is not None and strategy.sharded_state and not given.together:
        raise ValueError(
            f"The strategy gives each process its parts of a state (state_dict_type='sharded'), which "
            f"{type(given).__name__} cannot write: leave that plugin or that setting out."
        )
    if given is None and strategy.sharded_state:
        from lit_checkpoint import ShardedCheckpointIO  # whose import takes a while

        return ShardedCheckpointIO()
    return given or FileCheckpointIO()


def given_io(config: TrainerConfig) -> CheckpointIO | None:
    """The plugin that reads and writes checkpoints, if one was given."""
    return _plugin(config, CheckpointIO)


def _plugin(config: TrainerConfig, kind: Callable[..., Plugin]) -> Plugin | None:
    """The plugin of this kind, if one was given.

    Raises:
        TypeError: for a plugin of no kind that is known.
        ValueError: if there are several.
    """
    plugins = _plugins(config)
    for plugin in plugins:
        if not isinstance(plugin, (Precision, ClusterEnvironment, CheckpointIO)):
            raise TypeError(
                f"plugins are Precision, ClusterEnvironment and CheckpointIO objects, got {type(plugin).__name__} "
                f"({plugin!r})."
            )
    found: list[Any] = [plugin for plugin in plugins if isinstance(plugin, kind)]  # type: ignore[arg-type]
    if len(found) > 1:
        raise ValueError(f"plugins has {len(found)} objects of {kind.__name__}, of which there can be one.")
    return found[0] if found else None


def _plugins(config: TrainerConfig) -> list[Any]:
    return _listed(config.plugins)


def resolve_root(config: TrainerConfig) -> str:
    """The folder (or URL) for everything that a run writes; the working folder by default."""
    return os.fspath(config.default_root_dir) if config.default_root_dir is not None else os.getcwd()  # noqa: PTH109
