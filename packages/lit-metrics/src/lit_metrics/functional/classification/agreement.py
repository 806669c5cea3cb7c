"""Agreement of predictions and targets beyond chance: Matthews correlation coefficient and Cohen's kappa.

Both need the marginal counts only, so they cost little for any number of classes; weighted kappa needs the matrix.
Products are taken in float64: counts of billions do not overflow.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.classification._task import (
    Task,
    binary_config,
    make_config,
    multiclass_config,
    multilabel_config,
)
from lit_metrics.functional.classification.stat_scores import Counts, count

KappaWeights: TypeAlias = Literal["linear", "quadratic", "none"] | None

_ROUNDING = 1e-15  # a smaller share of other classes is what rounding of weights leaves
_WEIGHTS = ("linear", "quadratic", "none", None)


def matthews_corrcoef_value(counts: Counts) -> Tensor:
    """Returns the Matthews correlation coefficient from counts; that of all labels together for multilabel."""
    cells = [x.double() for x in (counts.tp, counts.fp, counts.tn, counts.fn)]
    if counts.config.task == "multilabel":
        cells = [x.sum(-1, keepdim=True) for x in cells]
    tp, fp, tn, fn = cells
    covariance = (tp * tn - fp * fn).sum(-1)
    spread = ((tp + fn) * (tn + fp)).sum(-1) * ((tp + fp) * (tn + fn)).sum(-1)
    total = counts.total.sum(-1).double()
    return torch.where(spread > _ROUNDING**2 * total**4, covariance / spread.sqrt(), torch.nan).clamp(-1, 1)


def cohen_kappa_value(counts: Counts, weights: KappaWeights = None) -> Tensor:
    """Returns Cohen's kappa from counts."""
    total, true, found = counts.total.double(), counts.support.double(), counts.predicted.double()
    if counts.config.task == "binary":
        true, found = torch.cat([total - true, true], -1), torch.cat([total - found, found], -1)
    if weights in (None, "none") or counts.config.task == "binary":
        wrong = total - counts.hits if counts.config.task == "multiclass" else counts.fp + counts.fn
        observed, expected = wrong[..., 0] * total[..., 0], (true * (total - found)).sum(-1)
    else:
        index = torch.arange(true.shape[-1], device=true.device, dtype=torch.float64)
        cost = (index[:, None] - index).abs()
        cost = cost if weights == "linear" else cost.square()
        observed, expected = (cost * counts.matrix).sum() * total[0], true @ cost @ found
    return torch.where(expected > _ROUNDING * total[..., 0] ** 2, 1 - observed / expected, torch.nan)


def require_weights(weights: Any) -> None:
    """Raises a `ValueError` unless `weights` is a known way."""
    if weights not in _WEIGHTS:
        raise ValueError(f"weights must be one of {_WEIGHTS}, got {weights!r}")


def require_kappa_task(task: Any) -> None:
    """Raises a `ValueError` for tasks that kappa is not defined for."""
    if task not in ("binary", "multiclass"):
        raise ValueError(f"task must be 'binary' or 'multiclass', got {task!r}")


def binary_matthews_corrcoef(
    preds: Any,
    target: Any,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Correlation of binary predictions and targets, `(tp tn - fp fn) / sqrt((tp+fp)(tp+fn)(tn+fp)(tn+fn))`.

    Arguments and errors are those of `binary_stat_scores`. The value is float64 in [-1, 1]; nan if all targets or all
    predictions are of one class, where scikit-learn says 0.

    Example:
        >>> from lit_metrics.functional import binary_matthews_corrcoef
        >>> binary_matthews_corrcoef([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5774, dtype=torch.float64)

    Source: Matthews, Biochimica et Biophysica Acta 405 (1975).
    """
    config = binary_config(threshold, "global", ignore_index, validate_args, logits)
    return matthews_corrcoef_value(count(config, preds, target, sample_weight))


def multiclass_matthews_corrcoef(
    preds: Any,
    target: Any,
    num_classes: int,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Correlation of predicted and true classes, `(a - sum p_k t_k) / sqrt((1 - sum p_k^2)(1 - sum t_k^2))`.

    `a` is the accuracy, `p_k` and `t_k` the shares of class k among predictions and targets. Arguments and errors are
    those of `multiclass_stat_scores`. The value is float64 in [-1, 1]; nan if all targets or all predictions are of one
    class, where scikit-learn says 0.

    Example:
        >>> from lit_metrics.functional import multiclass_matthews_corrcoef
        >>> multiclass_matthews_corrcoef([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.7000, dtype=torch.float64)

    Source: Gorodkin, Computational Biology and Chemistry 28 (2004).
    """
    config = multiclass_config(num_classes, "none", 1, "global", ignore_index, validate_args)
    return matthews_corrcoef_value(count(config, preds, target, sample_weight))


def multilabel_matthews_corrcoef(
    preds: Any,
    target: Any,
    num_labels: int,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Binary correlation over the elements of all labels together; see `binary_matthews_corrcoef`.

    Example:
        >>> from lit_metrics.functional import multilabel_matthews_corrcoef
        >>> multilabel_matthews_corrcoef([[0.9, 0.2], [0.3, 0.8]], [[1, 0], [1, 1]], num_labels=2)
        tensor(0.5774, dtype=torch.float64)
    """
    config = multilabel_config(num_labels, threshold, "global", ignore_index, validate_args, logits)
    return matthews_corrcoef_value(count(config, preds, target, sample_weight))


def matthews_corrcoef(
    preds: Any,
    target: Any,
    task: Task,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Matthews correlation coefficient for any task; see `binary_matthews_corrcoef` and its like.

    Example:
        >>> from lit_metrics.functional import matthews_corrcoef
        >>> matthews_corrcoef([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.7000, dtype=torch.float64)
    """
    options: dict[str, Any] = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits}
    config = make_config(task, threshold, num_classes, num_labels, **options)
    return matthews_corrcoef_value(count(config, preds, target, sample_weight))


def binary_cohen_kappa(
    preds: Any,
    target: Any,
    threshold: float = 0.5,
    weights: KappaWeights = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Agreement of binary predictions and targets beyond chance; see `multiclass_cohen_kappa` for the formula.

    Other arguments and errors are those of `binary_stat_scores`; with two classes all `weights` are alike.

    Example:
        >>> from lit_metrics.functional import binary_cohen_kappa
        >>> binary_cohen_kappa([0.9, 0.4, 0.6, 0.1], [1, 0, 0, 0])
        tensor(0.5000, dtype=torch.float64)
    """
    require_weights(weights)
    config = binary_config(threshold, "global", ignore_index, validate_args, logits)
    return cohen_kappa_value(count(config, preds, target, sample_weight), weights)


def multiclass_cohen_kappa(
    preds: Any,
    target: Any,
    num_classes: int,
    weights: KappaWeights = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    sample_weight: Any = None,
) -> Tensor:
    """Agreement of predicted and true classes beyond chance, `1 - sum_ij w_ij o_ij / sum_ij w_ij t_i p_j`.

    `o_ij` is the share of samples of true class i and predicted class j, `t_i` and `p_j` are its marginals. Other
    arguments and errors are those of `multiclass_stat_scores`.

    Args:
        preds: `(N, C, ...)` scores, or `(N, ...)` labels.
        target: `(N, ...)` labels.
        num_classes: Number of classes C.
        weights: What confusing classes i and j costs: 1 (`None`, `"none"`), `|i - j|` (`"linear"`) or `(i - j)^2`
            (`"quadratic"`).
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        sample_weight: `(N,)` or `(N, ...)` weights of samples.

    Returns:
        Value of at most 1, float64; 0 for agreement by chance; nan if all targets and predictions are of one class.

    Raises:
        ValueError: If `weights` is none of these.

    Example:
        >>> from lit_metrics.functional import multiclass_cohen_kappa
        >>> multiclass_cohen_kappa([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3)
        tensor(0.6364, dtype=torch.float64)
        >>> multiclass_cohen_kappa([0, 1, 1, 2], [0, 1, 2, 2], num_classes=3, weights="quadratic")
        tensor(0.8000, dtype=torch.float64)

    Source: Cohen, Psychological Bulletin 70 (1968).
    """
    require_weights(weights)
    matrix = weights not in (None, "none")
    config = multiclass_config(num_classes, "none", 1, "global", ignore_index, validate_args, matrix=matrix)
    return cohen_kappa_value(count(config, preds, target, sample_weight), weights)


def cohen_kappa(
    preds: Any,
    target: Any,
    task: Task,
    threshold: float = 0.5,
    num_classes: int | None = None,
    weights: KappaWeights = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
    *,
    logits: bool = False,
    sample_weight: Any = None,
) -> Tensor:
    """Cohen's kappa for binary and multiclass tasks; see `multiclass_cohen_kappa`.

    Example:
        >>> from lit_metrics.functional import cohen_kappa
        >>> cohen_kappa([0, 1, 1, 2], [0, 1, 2, 2], task="multiclass", num_classes=3)
        tensor(0.6364, dtype=torch.float64)
    """
    require_kappa_task(task)
    require_weights(weights)
    options: dict[str, Any] = {"ignore_index": ignore_index, "validate_args": validate_args, "logits": logits}
    config = make_config(task, threshold, num_classes, matrix=weights not in (None, "none"), **options)
    return cohen_kappa_value(count(config, preds, target, sample_weight), weights)
