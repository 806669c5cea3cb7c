"""From the arguments of the public functions and classes to one engine configuration."""

from __future__ import annotations

from typing import Any

from lit_metrics._inputs import as_tensor
from lit_metrics.functional.classification.stat_scores import TASKS, StatScoresConfig


def make_config(
    task: Any,
    *,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: Any = "micro",
    multidim_average: Any = "global",
    top_k: int = 1,
    ignore_index: int | None = None,
    logits: bool = False,
    validate_args: bool = True,
) -> StatScoresConfig:
    """Returns the configuration of a task; arguments of other tasks are left out.

    Raises:
        ValueError: If an argument is out of its range, or one that the task needs is missing.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {TASKS}, got {task!r}")
    if multidim_average not in ("global", "samplewise"):
        raise ValueError(f"multidim_average must be 'global' or 'samplewise', got {multidim_average!r}")
    if task == "multiclass" and num_classes is None and average != "micro":
        raise ValueError(f"num_classes must be given for average={average!r}; only 'micro' does without")
    multiclass = task == "multiclass"
    return StatScoresConfig(
        task=task,
        num_classes=num_classes if multiclass else num_labels if task == "multilabel" else None,
        threshold=0.5 if multiclass else threshold,
        top_k=top_k if multiclass else 1,
        ignore_index=ignore_index,
        samplewise=multidim_average == "samplewise",
        logits=False if multiclass else logits,
        validate_args=validate_args,
    )


def infer_task(preds: Any, target: Any) -> dict[str, Any]:
    """Returns `task` and its size, as told by the shapes and dtypes of one batch.

    Float scores with one dimension more than the integer target are multiclass; float scores of the target's shape are
    binary in one dimension, multilabel in more; integer labels on both sides are multiclass with any number of classes.

    Raises:
        ValueError: If the batch fits no task.
    """
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if not target.is_floating_point():
        if preds.is_floating_point():
            if preds.ndim == target.ndim + 1 and preds.shape[1] > 1:
                return {"task": "multiclass", "num_classes": preds.shape[1]}
            if preds.shape == target.shape and preds.ndim == 1:
                return {"task": "binary"}
            if preds.shape == target.shape and preds.ndim > 1:
                return {"task": "multilabel", "num_labels": preds.shape[1]}
        elif preds.shape == target.shape:
            return {"task": "multiclass", "num_classes": None}
    raise ValueError(
        f"cannot tell the task from preds {tuple(preds.shape)} {preds.dtype} and target {tuple(target.shape)}"
        f" {target.dtype}; pass task='binary', 'multiclass' or 'multilabel'"
    )
