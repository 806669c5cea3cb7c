"""The prediction loop."""

from typing import Any

from lit_core.data.loaders import PreparedLoader
from lit_core.hooks import step_of
from lit_core.modes import evaluation_mode
from lit_core.run import Run


def run(run: Run, loaders: list[PreparedLoader], *, keep: bool = True) -> list[Any]:
    """Predict every batch of every loader; returns the predictions by batch (by loader, where there are several).

    With several processes each returns those of its own batches. Pseudo-code::

        modules to evaluation mode, no gradients
        on_predict_start, on_predict_epoch_start
        for each loader, each batch:
            on_predict_batch_start
            predict_step
            on_predict_batch_end
        on_predict_epoch_end, on_predict_end
    """
    module, hooks = run.module, run.hooks
    step = run.strategy.setup_step(module, step_of(module, "predict_step"), gradient_sync=None)
    several = len(loaders) > 1
    results: list[list[Any]] = [[] for _ in loaders]
    with evaluation_mode(module, inference=run.config.inference_mode):
        hooks.start("on_predict_start")
        hooks.start("on_predict_epoch_start")
        with run.strategy.evaluation(module):
            for index, loader in enumerate(loaders):
                extra, batch_idx = (index,) if several else (), -1
                for batch_idx, batch in run.moved(loader, loader.open(), index):
                    hooks.start("on_predict_batch_start", batch, batch_idx, index)
                    output = step(batch, batch_idx, *extra)
                    hooks.end("on_predict_batch_end", output, batch, batch_idx, index)
                    if keep:
                        results[index].append(output)
                loader.check_end(batch_idx + 1)
        hooks.end("on_predict_epoch_end")
    hooks.end("on_predict_end")
    return results if several else results[0] if results else []
