"""What is trained, and what is kept: parameters, hyperparameters, room for checkpoints, the export."""

import copy
import inspect
import math
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from lit_accelerators import isolate_rng
from lit_core.callbacks.base import Callback
from lit_core.callbacks.model_checkpoint import ModelCheckpoint
from lit_core.callbacks.model_summary import human_bytes
from lit_core.checking.findings import Finding
from lit_core.checking.watch import Facts
from lit_core.datamodule import LightningDataModule
from lit_core.export import to_torch_export
from lit_core.hparams import check_plain
from lit_core.module import LightningModule

_NAMED = 4
_OTHER_FILES = 2
"""Beside those that are kept: the last, and the one being written before another is removed."""


def parameters(facts: Facts, precision: str) -> Iterator[Finding]:
    """Parameters that training does not reach, and gradients that are no numbers."""
    lost = [name for name in facts.without_gradient if name not in facts.in_no_optimizer]
    if facts.in_no_optimizer:
        yield Finding(
            "warning",
            f"in no optimizer, so never trained: {_names(facts.in_no_optimizer)}",
            "add them in configure_optimizers, or requires_grad_(False)",
        )
    if lost:
        yield Finding(
            "warning",
            f"no gradient in the first step: {_names(lost)}",
            "use them in the loss, or requires_grad_(False)",
        )
    if facts.not_finite and precision != "16-mixed":  # whose scale begins too high and is lowered until it fits
        yield Finding(
            "error",
            f"NaN or infinite gradients in the first step: {_names(facts.not_finite)}",
            "Trainer(detect_anomaly=True) names the operation",
        )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def hyperparameters(owner: LightningModule | LightningDataModule) -> Iterator[Finding]:
    """What a checkpoint cannot hold, and what it would lack to build the module again."""
    kind = type(owner)
    try:
        check_plain(owner.hparams)
    except TypeError as error:
        yield Finding("error", f"{kind.__name__}: a checkpoint cannot hold {error}", "leave it out", error)
    if isinstance(owner, LightningModule):
        given = [p for p in list(inspect.signature(kind.__init__).parameters.values())[1:] if p.default is p.empty]
        named = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        needed = [name for name in named if name not in owner.hparams]
        if needed:
            yield Finding(
                "info",
                f"checkpoints will not hold the arguments of {kind.__name__}: {', '.join(needed)}",
                "self.save_hyperparameters() in __init__, or give them to load_from_checkpoint",
            )


def storage(facts: Facts, callbacks: Sequence[Callback], root: str) -> Iterator[Finding]:
    """Whether the folders can be written to, and hold the checkpoints that were asked for."""
    for keeper in (callback for callback in callbacks if isinstance(callback, ModelCheckpoint)):
        folder = keeper.dirpath or root
        if "://" in folder:
            continue
        there = _existing(Path(folder))
        if not there.is_dir() or not os.access(there, os.W_OK):
            yield Finding("error", f"no checkpoint can be written: {there} is no folder to write to", "another dirpath")
            continue
        size = facts.weight_bytes + (0 if keeper.save_weights_only else facts.optimizer_bytes)
        number = (_saves(facts, keeper) if keeper.save_top_k == -1 else keeper.save_top_k) + _OTHER_FILES
        free = shutil.disk_usage(there).free
        if math.isinf(number):
            yield Finding(
                "warning",
                f"save_top_k=-1 keeps every checkpoint ({human_bytes(size)} each), and nobody knows how many",
                f"{human_bytes(free)} are free in {there}",
            )
            continue
        needed = f"{number:g} checkpoints of {human_bytes(size)} are {human_bytes(int(number * size))}"
        if number * size > free:
            what = f"{needed}, and {there} has {human_bytes(free)} free"
            yield Finding("error", what, "a smaller save_top_k, or another dirpath")
        else:
            yield Finding("info", f"{needed} at most, {human_bytes(free)} are free")


def _saves(facts: Facts, keeper: ModelCheckpoint) -> float:
    if keeper.every_n_train_steps is not None:
        return facts.updates // keeper.every_n_train_steps
    if keeper.train_time_interval_s is not None:
        return math.inf
    return facts.epochs // (keeper.every_n_epochs or 1)


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def export(module: LightningModule) -> Iterator[Finding]:
    """Whether ``forward`` becomes a ``torch.export`` program, where there is an example to call it with."""
    if module.example_input_array is None:
        return
    with isolate_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            to_torch_export(copy.deepcopy(module))
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "")
            yield Finding("warning", f"forward cannot be exported: {reason}", "see docs: guides/export", error)
