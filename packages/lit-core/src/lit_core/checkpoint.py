"""What a checkpoint of a run holds, and how a run goes on from one."""

import inspect
import os
import pickle
import warnings
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lit_accelerators import Strategy, rng_state
from lit_checkpoint import CheckpointIO, load, load_lightning
from lit_checkpoint.functions import io_of
from lit_core.__about__ import __version__
from lit_core.callbacks.base import Callback
from lit_core.checkpoint_parts import CheckpointInParts
from lit_core.hooks import keeps_state_as_before, overrides
from lit_core.hparams import plain
from lit_core.loops.groups import cuts_a_group
from lit_core.metric_state import metric_states, restore_metric_states
from lit_core.module import LightningModule
from lit_core.processes import in_process_zero
from lit_core.run import Run

FORMAT = 1
"""Version of the layout below; a reader refuses a newer one."""

M = TypeVar("M", bound=LightningModule)


def dump(run: Run, callbacks: Sequence[Callback], *, seed: int, weights_only: bool = False) -> dict[str, Any]:
    """Everything needed to go on from this safe point, as tensors and plain values; called in every process.

    Keys as Lightning users know them: ``state_dict``, ``epoch``, ``global_step``, ``hyper_parameters``, and unless
    ``weights_only``: ``optimizer_states``, ``lr_schedulers``, ``callbacks``, ``loops``; beside these ``precision``,
    ``datamodule``, and ``ranks``: what each process has for itself.
    """
    strategy, module, progress = run.strategy, run.module, run.progress
    run.report.flush()  # rows up to here are not written again by a run that goes on from here
    checkpoint: dict[str, Any] = {
        "format": FORMAT,
        "lit-core_version": __version__,
        "epoch": progress.epoch,
        "global_step": progress.global_step,
        "state_dict": strategy.module_state(module),
        "hyper_parameters": plain(module.hparams),
    }
    if not weights_only:
        checkpoint |= {
            "optimizer_states": [strategy.optimizer_state(module, o) for o in run.optimizers.optimizers],
            "lr_schedulers": [s.scheduler.state_dict() for s in run.optimizers.schedulers],
            "precision": strategy.precision.state_dict(),
            "callbacks": {c.state_key: state for c in callbacks if (state := _state_of(c, module, checkpoint))},
            "loops": {
                "progress": progress.state_dict(),
                "report": run.report.state_dict(),
                "loader": run.train_loader.state_dict() if run.train_loader is not None else None,
                "order_seed": seed,
                "model_parallel_size": strategy.model_parallel_size,
            },
            "ranks": strategy.collectives.all_gather_object(_state_of_rank(run)),
        }
        if run.datamodule is not None:
            checkpoint["datamodule"] = run.datamodule.state_dict()
            checkpoint["datamodule_hyper_parameters"] = plain(run.datamodule.hparams)
    run.hooks.start("on_save_checkpoint", checkpoint)
    return checkpoint


def _state_of(callback: Callback, module: LightningModule, checkpoint: dict[str, Any]) -> Any:
    """What a callback keeps, in the way of its era."""
    if not keeps_state_as_before(callback, Callback):
        return callback.state_dict()
    if not overrides(callback, "on_save_checkpoint", Callback):
        return None
    hook: Callable[..., Any] = callback.on_save_checkpoint
    given = (module.trainer, module, checkpoint)
    return hook(*given[: len(inspect.signature(hook).parameters)])


def _restore_state(callback: Callback, module: LightningModule, state: Any) -> None:
    """Give a callback back what it kept."""
    if not keeps_state_as_before(callback, Callback):
        callback.load_state_dict(state)
    elif overrides(callback, "on_load_checkpoint", Callback):
        hook: Callable[..., Any] = callback.on_load_checkpoint
        given = (module.trainer, module, state)
        hook(*given[-len(inspect.signature(hook).parameters) :])


def _state_of_rank(run: Run) -> dict[str, Any]:
    """What differs between processes: random states, and what an epoch has gathered so far."""
    return {
        "rng": rng_state(),
        "log": run.collector.state_dict(),
        "metrics": metric_states(run.module),
        "outputs": list(run.epoch_outputs or ()),
        "gradients": _open_gradients(run),
    }


def _open_gradients(run: Run) -> dict[str, Any]:
    """Gradients of an accumulation group that this safe point cuts in two; all, where the user makes the groups."""
    by_hand = not run.automatic_optimization or any(
        overrides(run.module, name, LightningModule) for name in ("optimizer_step", "optimizer_zero_grad")
    )
    if not by_hand and not cuts_a_group(run.config, run.optimizers.configs, run.progress):
        return {}
    return {name: grad.clone() for name, grad in run.strategy.gradient_state(run.module).items()}


def write(run: Run, checkpoint: dict[str, Any], path: str | PathLike[str], io: CheckpointIO) -> None:
    """Write in the one process that writes, or in all together; a failure in one is raised in every process."""
    if io.together:
        collectives = run.strategy.collectives
        io.save(checkpoint, collectives.broadcast(os.fspath(path)))
    else:
        in_process_zero(run.strategy, lambda: io.save(checkpoint, path))


_LIGHTNING = "pytorch-lightning_version"


def read(
    path: str | PathLike[str],
    io: CheckpointIO | None = None,
    *,
    map_location: Any = "cpu",
    weights_only: bool = True,
    sharded: bool = False,
) -> dict[str, Any]:
    """A checkpoint: one file, a folder of parts, a format of the user's own, or a file of PyTorch Lightning.

    Args:
        path: where it is.
        io: the format; by default, and for files, what lies there decides.
        map_location: where tensors are put.
        weights_only: refuse what would run code; classes of PyTorch Lightning itself become their names.
        sharded: leave tensors of a folder of parts for later, when each process knows which it holds.
    """
    reader = io or io_of(path)
    if sharded and reader.together:
        return CheckpointInParts(path, reader)
    if io is not None:
        return io.load(path, map_location=map_location, weights_only=weights_only)
    try:
        return load(path, map_location=map_location, weights_only=weights_only)
    except pickle.UnpicklingError:
        try:
            found = load_lightning(path, map_location)
        except pickle.UnpicklingError:
            found = {}
        if _LIGHTNING not in found:
            raise
        return found


def load_weights(
    module: nn.Module, checkpoint: dict[str, Any], *, strict: bool, strategy: Strategy | None = None
) -> None:
    """Put the weights of a checkpoint into a module, of which ``strategy`` may hold a part in each process.

    Raises:
        RuntimeError: naming missing, unexpected and misshapen keys, if ``strict``.
        KeyError: if it holds no weights.
    """
    if "state_dict" not in checkpoint:
        raise KeyError(f"This checkpoint holds no 'state_dict'; it holds {sorted(map(str, checkpoint))}.")
    if isinstance(checkpoint, CheckpointInParts) and strategy is not None:
        checkpoint.fill_weights(module, strategy, strict=strict)
    elif strategy is None:
        module.load_state_dict(checkpoint["state_dict"], strict=strict)
    else:
        strategy.load_module_state(module, checkpoint["state_dict"], strict=strict)


def check_format(checkpoint: dict[str, Any], path: str | PathLike[str]) -> None:
    """Refuse to resume from what another program or a newer version wrote.

    Raises:
        ValueError: saying which, and what is still possible.
    """
    version = checkpoint.get("format")
    if _LIGHTNING in checkpoint:
        raise ValueError(
            f"{path} was saved by PyTorch Lightning {checkpoint[_LIGHTNING]}. It lacks the position in the data, the "
            "states of the random number generators and the sums of what was logged, and its counters mean something "
            "else, so no run can go on from it exactly. Load its weights: MyModule.load_from_checkpoint(path), then "
            "fit without ckpt_path. Its optimizer_states are in lit_checkpoint.load_lightning(path)."
        )
    if version is None or "loops" not in checkpoint:
        raise ValueError(
            f"{path} holds weights but not the state of a run (it was saved with weights only, or by another program), "
            "so training cannot go on from it. Load its weights: MyModule.load_from_checkpoint(path), then fit without "
            "ckpt_path."
        )
    if version > FORMAT:
        raise ValueError(
            f"{path} has format {version}; this version of lit-core reads up to {FORMAT}: upgrade lit-core."
        )


def restore(run: Run, checkpoint: dict[str, Any], callbacks: Iterable[Callback]) -> None:
    """Stand exactly where the checkpoint was taken (weights apart: see :func:`load_weights`)."""
    strategy, loops = run.strategy, checkpoint["loops"]
    _restore_optimizers(run, checkpoint)
    strategy.precision.load_state_dict(checkpoint["precision"])
    _restore_callbacks(checkpoint["callbacks"], callbacks, run.module)
    if run.datamodule is not None and "datamodule" in checkpoint:
        run.datamodule.load_state_dict(checkpoint["datamodule"])
    run.progress.load_state_dict(loops["progress"])
    run.report.load_state_dict(loops["report"])
    if run.train_loader is not None and loops["loader"] is not None:
        run.train_loader.load_state_dict(loops["loader"])
    inside = run.progress.point != "epoch"
    if not inside:
        run.progress.leave_epoch()
    ranks, together = checkpoint["ranks"], loops.get("model_parallel_size", 1)
    if (len(ranks), together) == (strategy.world_size, strategy.model_parallel_size):
        run.defer_rng(ranks[strategy.global_rank]["rng"])
        _restore_rank(run, [ranks[strategy.global_rank]], inside=inside)
        if ranks[strategy.global_rank]["gradients"]:
            strategy.load_gradient_state(run.module, ranks[strategy.global_rank]["gradients"])
        return
    warnings.warn(
        f"The checkpoint was saved by {len(ranks)} processes, this run has {strategy.world_size}: the order of samples "
        "goes on exactly, random numbers drawn by the model (dropout) do not."
        if len(ranks) != strategy.world_size
        else f"The checkpoint was saved by groups of {together} processes with the same samples, this run has groups "
        f"of {strategy.model_parallel_size}: random numbers drawn by the model (dropout) do not go on exactly.",
        stacklevel=2,
    )
    # Processes that saw the same samples gathered the same: the first of them speaks.
    _restore_rank(run, ranks[::together] if strategy.is_global_zero else [], inside=inside)
    _share_gradients(run, [rank["gradients"] for rank in ranks])


def _restore_rank(run: Run, ranks: list[dict[str, Any]], *, inside: bool) -> None:
    """Give this process what one process had gathered, or what several had whose work it takes over."""
    restore_metric_states(run.module, *(rank["metrics"] for rank in ranks))
    if inside:
        run.collector.load_state_dict(*(rank["log"] for rank in ranks))
        if run.epoch_outputs is not None:
            run.epoch_outputs.extend(output for rank in ranks for output in rank["outputs"])


def _share_gradients(run: Run, saved: list[dict[str, Tensor]]) -> None:
    """Give every process the mean of the gradients of an open accumulation group: what they were to become."""
    shapes = {name: parameter.shape for name, parameter in run.module.named_parameters()}
    parts = any(hasattr(parameter, "full_tensor") for parameter in run.module.parameters())
    if parts or any(grad.shape != shapes[name] for gradients in saved for name, grad in gradients.items()):
        if any(saved):
            warnings.warn(
                "The checkpoint was taken inside an accumulation group, and holds the gradients of that group in parts "
                "that another number of processes cannot take over: the update of this group lacks the batches before. "
                "Save when global_step changes (every_n_train_steps), or at the end of epochs, to avoid it.",
                stacklevel=3,
            )
        return
    names = {name for gradients in saved for name in gradients}
    found = {name: [gradients[name] for gradients in saved if name in gradients] for name in names}
    run.strategy.load_gradient_state(run.module, {n: torch.stack(g).sum(0) / len(saved) for n, g in found.items()})


def _restore_optimizers(run: Run, checkpoint: dict[str, Any]) -> None:
    optimizers, schedulers = run.optimizers.optimizers, [s.scheduler for s in run.optimizers.schedulers]
    states, scheduler_states = checkpoint["optimizer_states"], checkpoint["lr_schedulers"]
    for what, have, saved in (("optimizers", optimizers, states), ("lr schedulers", schedulers, scheduler_states)):
        if len(have) != len(saved):
            raise ValueError(
                f"The checkpoint holds {len(saved)} {what}, configure_optimizers made {len(have)}: resume with the "
                "same ones, or load the weights alone (load_from_checkpoint)."
            )
    for optimizer, state in zip(optimizers, states, strict=True):
        run.strategy.load_optimizer_state(run.module, optimizer, state)
    if isinstance(checkpoint, CheckpointInParts):
        checkpoint.fill_optimizers(run.module, run.strategy, optimizers)
    for scheduler, state in zip(schedulers, scheduler_states, strict=True):
        scheduler.load_state_dict(state)


def _restore_callbacks(states: dict[str, Any], callbacks: Iterable[Callback], module: LightningModule) -> None:
    left = dict(states)
    for callback in callbacks:
        state = left.pop(callback.state_key, None)
        if state is not None:
            _restore_state(callback, module, state)
    if left:
        warnings.warn(
            f"The checkpoint holds state of callbacks that this Trainer does not have: {sorted(left)}. It is dropped.",
            stacklevel=2,
        )


def module_from_checkpoint(
    cls: type[M],
    path: str | PathLike[str],
    map_location: Any,
    strict: bool | None,
    weights_only: bool,
    given: dict[str, Any],
) -> M:
    """Build ``cls`` from the hyperparameters of a checkpoint, then load its weights."""
    checkpoint = read(path, map_location=map_location, weights_only=weights_only)
    stored, whole = dict(checkpoint.get("hyper_parameters", {})), checkpoint.get("hparams_name")
    parameters = inspect.signature(cls.__init__).parameters.values()
    if _LIGHTNING in checkpoint and whole in {p.name for p in parameters} and whole not in stored:
        stored = {whole: stored}  # save_hyperparameters(hparams): one argument holds them all
    stored |= given
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        names = {p.name for p in parameters}
        unknown = sorted(set(given) - names)
        if unknown:
            raise TypeError(f"{cls.__name__}.__init__ takes no {unknown}; it takes {sorted(names - {'self'})}.")
        stored = {name: value for name, value in stored.items() if name in names}
    missing = [
        p.name
        for p in list(parameters)[1:]
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in stored
    ]
    if missing:
        raise TypeError(
            f"{cls.__name__}.__init__ needs {missing}, which the checkpoint does not hold: give them to "
            "load_from_checkpoint, and call self.save_hyperparameters() in __init__ to have them stored."
        )
    module = cls(**stored)
    module.on_load_checkpoint(checkpoint)
    load_weights(module, checkpoint, strict=cls.strict_loading if strict is None else strict)
    return module
