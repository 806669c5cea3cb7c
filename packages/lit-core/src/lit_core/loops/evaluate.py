"""The validation and test loop: every sample once, whatever the number of processes."""

from itertools import islice
from typing import Any, Literal

from lit_core.data.loaders import PreparedLoader
from lit_core.hooks import overrides, step_of
from lit_core.loops.giving_up import GivenUp, Watch
from lit_core.modes import evaluation_mode
from lit_core.module import LightningModule
from lit_core.run import Run

EvalStage = Literal["validate", "test"]

_HOOK_PREFIX = {"validate": "validation", "test": "test"}


def run(
    run: Run, stage: EvalStage, loaders: list[PreparedLoader], *, most: int | None = None, keep: bool = True
) -> dict[str, float]:
    """Run the evaluation step over all loaders and return what was logged over the epoch, by key.

    Pseudo-code::

        modules to evaluation mode, no gradients
        on_{stage}_start, on_{stage}_epoch_start
        for each loader, each batch:
            on_{stage}_batch_start
            {stage}_step, {stage}_step_end
            on_{stage}_batch_end
        {stage}_epoch_end, on_{stage}_epoch_end   (module; reduce over ranks; log row; callbacks)
        on_{stage}_end
        every module back to the mode it was in

    Args:
        run: the run.
        stage: ``"validate"`` or ``"test"``.
        loaders: the data.
        most: batches per loader at most, beside the loader's own limit.
        keep: whether the numbers are written and remembered.

    Raises:
        GivenUp: if it was a part of training and the machine is taken away; all is then as it was before.
    """
    name, module, hooks, collector = _HOOK_PREFIX[stage], run.module, run.hooks, run.collector
    watch = Watch(run)
    before, hook_before = collector.open(stage), collector.enter("")
    try:
        with evaluation_mode(module, inference=run.config.inference_mode):
            hooks.start(f"on_{name}_start")
            hooks.start(f"on_{name}_epoch_start")
            with run.strategy.evaluation(module):
                outputs = _batches(run, stage, loaders, most, keep, watch)
            if outputs is not None:
                collector.enter(f"{name}_epoch_end")
                getattr(module, f"{name}_epoch_end")(outputs[0] if len(outputs) == 1 else outputs)
            hooks.end_module(f"on_{name}_epoch_end")
            values = run.report.flush_epoch(stage) if keep else run.collector.discard(stage)
            hooks.end_callbacks(f"on_{name}_epoch_end")
            values |= run.report.flush_epoch(stage) if keep else run.collector.discard(stage)  # what callbacks logged
        hooks.end(f"on_{name}_end")
        return values
    except GivenUp:
        hooks.close(f"on_{name}_start", f"on_{name}_end")
        watch.undo(stage)
        raise
    finally:
        collector.open(before)
        collector.enter(hook_before)


def _batches(
    run: Run, stage: EvalStage, loaders: list[PreparedLoader], most: int | None, keep: bool, watch: Watch
) -> list[list[Any]] | None:
    """All batches of all loaders; the steps' outputs by loader if an epoch_end wants them, else None."""
    name = _HOOK_PREFIX[stage]
    module, hooks, collector = run.module, run.hooks, run.collector
    step_end = getattr(module, f"{name}_step_end") if overrides(module, f"{name}_step_end", LightningModule) else None
    step = run.strategy.setup_step(
        module,
        step_of(module, f"{name}_step"),
        gradient_sync=None,
        gather_parts=step_end is not None,
        on_part=collector.begin_part,
    )
    wanted = overrides(module, f"{name}_epoch_end", LightningModule)
    on_start, on_end = f"on_{name}_batch_start", f"on_{name}_batch_end"
    has_start, has_end = hooks.calls[on_start] is not None, hooks.calls[on_end] is not None
    several = len(loaders) > 1
    outputs: list[list[Any]] = [[] for _ in loaders]
    for index, loader in enumerate(loaders):
        extra, batch_idx = (index,) if several else (), -1
        for batch_idx, batch in watch.over(run.moved(loader, islice(loader.open(), most), index)):
            collector.begin_batch(batch, loader.size(batch_idx), index if several else None)
            if has_start:
                hooks.start(on_start, batch, batch_idx, index)
            collector.enter(f"{name}_step")
            output = step(batch, batch_idx, *extra)
            if step_end is not None:
                collector.enter(f"{name}_step_end")
                output = step_end(output)
            collector.enter("")
            if wanted:
                outputs[index].append(output)
            if has_end:
                hooks.end(on_end, output, batch, batch_idx, index)
            if collector.has_step_values:
                run.report.flush_batch(stage, write=keep)
        if most is None:
            loader.check_end(batch_idx + 1)
        collector.begin_batch(None, None)
    watch.finish()
    return outputs if wanted else None
