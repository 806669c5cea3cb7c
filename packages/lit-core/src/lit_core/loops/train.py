"""The training loop."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch

from lit_accelerators import mix_seed
from lit_core.data.combined import TrainingLoader
from lit_core.data.tree import detached
from lit_core.loops import evaluate
from lit_core.loops.automatic import make_optimization
from lit_core.loops.giving_up import GivenUp
from lit_core.loops.optimization import Optimization
from lit_core.loops.schedulers import step_schedulers
from lit_core.run import Run


def run(run: Run) -> None:
    """Train until the limits are reached or somebody asks to stop.

    Pseudo-code::

        a few validation batches, to fail early
        on_train_start
        for each epoch:
            on_train_epoch_start
            for each batch from where the clock stands:
                on_train_batch_start
                forward, backward, step                (optimization)
                move the clock
                on_train_batch_end                     (module; log row; callbacks)
                validate, if due
            validate, if due at the end of the epoch
            training_epoch_end, on_train_epoch_end     (module; schedulers; log row; callbacks)
            move the clock
        on_train_end
    """
    progress, hooks = run.progress, run.hooks
    if progress.batches == 0:
        _own_random_stream(run)
        _sanity_check(run)
    run.collector.open("train")
    run.times.begin()
    hooks.start("on_train_start")
    run.agree()
    progress.start_timer()
    optimize = make_optimization(run)
    try:
        while progress.epoch < run.config.last_epoch and not run.finished():
            _epoch(run, optimize)
        run.restore_rng()  # of a resumed run that had nothing left to do
    finally:
        optimize.close()
        progress.stop_timer()
    if run.stop.preempted:
        run.secure()
    elif run.stop.interrupted:
        hooks.start("on_keyboard_interrupt")
    hooks.end("on_train_end")
    run.times.lap("callbacks")


def _own_random_stream(run: Run) -> None:
    """Let each process draw its own random numbers from here on: equal ones would drop the same units everywhere."""
    if run.strategy.data_rank > 0:
        torch.manual_seed(mix_seed(torch.initial_seed(), run.strategy.data_rank))


def _sanity_check(run: Run) -> None:
    """Run a few validation batches whose numbers nobody keeps."""
    steps = run.config.num_sanity_val_steps
    if not run.val_loaders or not steps or run.config.dev_batches:
        return
    with run.sanity_check(), suppress(GivenUp):
        run.hooks.start("on_sanity_check_start")
        evaluate.run(run, "validate", run.val_loaders, most=steps if steps > 0 else None, keep=False)
        run.hooks.end("on_sanity_check_end")


def _epoch(run: Run, optimize: Optimization) -> None:
    """One epoch, or what is left of it."""
    run.open_epoch()
    progress, hooks, loader, lap = run.progress, run.hooks, run.train_loader, run.times.lap
    if loader is None:
        raise RuntimeError("There is no training loader.")
    if not progress.batch:  # resumed between epochs: what opening an epoch draws comes after the saved state
        run.restore_rng()
    batches = run.moved(loader, loader.open(progress.epoch, cursor=progress.cursor, batch=progress.batch))
    lap("data")
    optimize.begin_epoch()
    hooks.start("on_train_epoch_start")
    lap("callbacks")
    run.restore_rng()
    val_every = run.val_every
    if run.val_loaders and progress.batch and _due(run, val_every):
        _validate(run)
    whole = not run.finished() and _batches(run, loader, optimize, batches, val_every)
    optimize.finish_group()
    if whole and progress.batch and _due_at_epoch_end(run):
        whole = _validate(run)
    _end_epoch(run, whole)


def _batches(
    run: Run, loader: TrainingLoader, optimize: Optimization, batches: Iterator[tuple[int, Any]], val_every: float
) -> bool:
    """The batches that are left of the epoch; False if it stays open."""
    progress, hooks, stop, lap = run.progress, run.hooks, run.stop, run.times.lap
    begin_batch, train_batch = run.collector.begin_batch, optimize.train_batch
    outputs, validates, log_every = run.epoch_outputs, bool(run.val_loaders), run.config.log_every_n_steps
    may_skip, heard = hooks.calls["on_train_batch_start"] is not None, hooks.calls["on_train_batch_end"]
    full_batches, full = loader.full_batches, (loader.batch_size, 1.0, loader.global_batch_size)
    for batch_idx, batch in batches:
        size, weight, together = full if batch_idx < full_batches else loader.tail(batch_idx)
        begin_batch(batch, size, None, "training_step")
        if may_skip:
            lap("data")
            skip = run.skips(hooks.start("on_train_batch_start", batch, batch_idx))
            lap("callbacks")
            if skip:
                return True

        steps_before = progress.global_step
        output = train_batch(batch, batch_idx, weight)

        progress.batch = batch_idx + 1
        progress.batches += 1
        progress.cursor += together
        progress.samples += together
        progress.point = "batch"
        if outputs is not None and output is not None:
            outputs.append(detached(output))
        if heard is not None:
            output = detached(output)
            if heard.module:
                hooks.end_module("on_train_batch_end", output, batch, batch_idx)
                lap("callbacks")
        if progress.global_step % log_every == 0 and progress.global_step != steps_before:
            run.report.flush_steps("train")
            run.talk()
            lap("logging")
        elif progress.batches >= run.agree_at:
            run.talk(soon=True)
        if heard is not None and heard.callbacks:
            hooks.end_callbacks("on_train_batch_end", output, batch, batch_idx)
            lap("callbacks")

        if validates and _due(run, val_every) and not _validate(run):
            return False
        if (stop.reason or progress.global_step >= run.last_step) and run.finished():
            return progress.batch >= run.num_batches
    loader.check_end(progress.batch)
    return True


def _due(run: Run, val_every: float) -> bool:
    """Whether a validation is due inside the epoch, after the batch that was run last."""
    progress, config = run.progress, run.config
    if progress.validated_batches == progress.batches:
        return False
    if run.validation_time_up:
        return True
    if config.check_val_every_n_epoch is None:
        return progress.batches % val_every == 0
    return progress.batch % val_every == 0 and (progress.epoch + 1) % config.check_val_every_n_epoch == 0


def _due_at_epoch_end(run: Run) -> bool:
    """Whether the validation that belongs to the end of this epoch is still to be run."""
    every = run.config.check_val_every_n_epoch
    if not run.val_loaders or run.progress.validated_batches == run.progress.batches:
        return False
    if run.config.dev_batches or every is None:
        return run.config.dev_batches is not None
    return run.config.val_check_interval == 1.0 and (run.progress.epoch + 1) % every == 0


def _validate(run: Run) -> bool:
    """Validate inside training; the clock notes it, so that a resumed run does not validate again.

    False if somebody outside said to stop before it began, or if it was given up: then the run that goes on from here
    begins with it.
    """
    progress = run.progress
    run.agree(soon=True)
    if run.finished() and run.stop.interrupted:
        return False
    before = progress.validated_batches, progress.point
    progress.validated_batches, progress.point = progress.batches, "validation"
    run.note_validation()
    try:
        evaluate.run(run, "validate", run.val_loaders)
    except GivenUp:
        progress.validated_batches, progress.point = before
        return False
    run.agree()
    run.times.lap("validation")
    return True


def _end_epoch(run: Run, whole: bool) -> None:
    """Close the epoch; one that was cut short stays open for a resume, after its last batch."""
    progress, hooks, module = run.progress, run.hooks, run.module
    run.times.lap("data")
    run.collector.begin_batch(None, None, None, "")
    if run.epoch_outputs is not None:
        run.collector.enter("training_epoch_end")
        module.training_epoch_end(run.epoch_outputs)
    hooks.end_module("on_train_epoch_end")
    run.times.lap("callbacks")
    run.report.flush_epoch("train", keep=not whole)
    run.times.lap("logging")
    if whole:
        if run.automatic_optimization:
            step_schedulers(run, "epoch")
        progress.point = "epoch"
    hooks.end_callbacks("on_train_epoch_end")
    if whole:
        if run.epoch_outputs is not None:
            run.epoch_outputs.clear()
        run.report.flush_epoch("train")  # what callbacks logged at the end
        progress.leave_epoch()
    run.agree()
