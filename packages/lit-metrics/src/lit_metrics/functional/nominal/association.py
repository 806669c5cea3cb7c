"""How far two nominal variables depend on each other: readings of one contingency table."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, checks_are_free, require_same_shape
from lit_metrics.functional.clustering._labels import joint_counts

NanStrategy: TypeAlias = Literal["replace", "drop"]
NAN_STRATEGIES = ("replace", "drop")


def require_nan_strategy(nan_strategy: Any, nan_replace_value: Any) -> None:
    """Raises a `ValueError` unless they say what to do with NaN."""
    if nan_strategy not in NAN_STRATEGIES:
        raise ValueError(f"nan_strategy must be one of {NAN_STRATEGIES}, got {nan_strategy!r}")
    if nan_strategy == "replace" and (
        isinstance(nan_replace_value, bool) or not isinstance(nan_replace_value, (int, float))
    ):
        raise ValueError(f"nan_replace_value must be a number to replace NaN by, got {nan_replace_value!r}")


def _categories(
    values: Tensor, name: str, nan_strategy: NanStrategy, nan_replace_value: float | None
) -> tuple[Tensor, Tensor | None]:
    """Returns int64 categories, and which are to be kept (`None` for all)."""
    if values.ndim == 2:
        values = values.argmax(1)
    if values.ndim != 1 or values.is_complex():
        raise ValueError(
            f"{name} must be (N,) categories or (N, C) scores, got {values.dtype} of {tuple(values.shape)}"
        )
    if not values.is_floating_point():
        return values.long(), None
    missing = values.isnan()
    drop = nan_strategy == "drop"
    filled = torch.where(missing, 0.0 if drop or nan_replace_value is None else nan_replace_value, values.double())
    categories = filled.long()
    if checks_are_free(values) and (filled != categories).numpy().any():
        raise ValueError(f"{name} must hold whole numbers or NaN, got {values.dtype} with fractions")
    return categories, ~missing if drop else None


def association_state(
    preds: Any, target: Any, num_classes: int, nan_strategy: NanStrategy, nan_replace_value: float | None
) -> dict[str, Tensor | int]:
    """Returns `confmat` with targets in rows, and `invalid`, the pairs with a category outside of it."""
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    if preds.ndim != 2 and target.ndim != 2:
        require_same_shape(preds, target)
    preds, keep = _categories(preds, "preds", nan_strategy, nan_replace_value)
    target, keep_target = _categories(target, "target", nan_strategy, nan_replace_value)
    require_same_shape(preds, target)
    if keep is not None and keep_target is not None:
        keep = keep & keep_target
    elif keep is None:
        keep = keep_target
    if keep is not None:
        preds, target = torch.where(keep, preds, 0), torch.where(keep, target, 0)
    return joint_counts(preds, target, num_classes, keep)


def _table(preds: Any, target: Any, nan_strategy: NanStrategy, nan_replace_value: float | None) -> Tensor:
    """Returns the table of two variables with any categories."""
    require_nan_strategy(nan_strategy, nan_replace_value)
    preds, target = as_tensor(preds, "preds"), as_tensor(target, "target")
    p, keep_p = _categories(preds, "preds", nan_strategy, nan_replace_value)
    t, keep_t = _categories(target, "target", nan_strategy, nan_replace_value)
    require_same_shape(p, t)
    for keep in (keep_p, keep_t):
        if keep is not None:
            p, t = torch.where(keep, p, torch.iinfo(torch.long).max), torch.where(keep, t, torch.iinfo(torch.long).max)
    kept = (p != torch.iinfo(torch.long).max) & (t != torch.iinfo(torch.long).max)
    p, t = p[kept], t[kept]
    names, index = torch.cat([p, t]).unique(return_inverse=True)
    confmat = joint_counts(index[: len(p)], index[len(p) :], max(len(names), 1))["confmat"]
    assert isinstance(confmat, Tensor)
    return confmat


def _nan(like: Tensor) -> Tensor:
    return torch.tensor(torch.nan, dtype=torch.float64, device=like.device)


def _occupied(confmat: Tensor) -> Tensor:
    """Returns the table in float64 without the categories that do not occur."""
    confmat = confmat.double()
    return confmat[confmat.sum(1) > 0][:, confmat.sum(0) > 0]


def _phi_squared(table: Tensor) -> Tensor:
    """Returns chi squared over the number of samples."""
    total = table.sum()
    expected = table.sum(1, keepdim=True) * table.sum(0) / total
    return ((table - expected).square() / expected).sum() / total


def _corrected(confmat: Tensor, bias_correction: bool) -> tuple[Tensor, Tensor, Tensor] | None:
    """Returns phi squared, rows and columns, corrected for bias if asked; `None` if a variable has one value."""
    table = _occupied(confmat)
    if min(table.shape) < 2:
        return None
    phi, total = _phi_squared(table), table.sum()
    rows, columns = (total.new_tensor(float(size)) for size in table.shape)
    if bias_correction:
        phi = (phi - (rows - 1) * (columns - 1) / (total - 1)).clamp_min(0.0)
        rows, columns = rows - (rows - 1).square() / (total - 1), columns - (columns - 1).square() / (total - 1)
    return phi, rows, columns


def cramers_v_value(confmat: Tensor, bias_correction: bool = True) -> Tensor:
    """Returns Cramer's V of a table; nan if a variable has one value only."""
    parts = _corrected(confmat, bias_correction)
    if parts is None:
        return _nan(confmat)
    phi, rows, columns = parts
    freedom = torch.minimum(rows, columns) - 1
    return torch.where(freedom > 0, (phi / freedom).sqrt().clamp(0.0, 1.0), torch.nan)


def tschuprows_t_value(confmat: Tensor, bias_correction: bool = True) -> Tensor:
    """Returns Tschuprow's T of a table; nan if a variable has one value only."""
    parts = _corrected(confmat, bias_correction)
    if parts is None:
        return _nan(confmat)
    phi, rows, columns = parts
    freedom = ((rows - 1) * (columns - 1)).sqrt()
    return torch.where(torch.minimum(rows, columns) > 1, (phi / freedom).sqrt().clamp(0.0, 1.0), torch.nan)


def pearsons_contingency_coefficient_value(confmat: Tensor) -> Tensor:
    """Returns Pearson's contingency coefficient of a table; nan for no samples."""
    table = _occupied(confmat)
    if not table.numel():
        return _nan(confmat)
    phi = _phi_squared(table)
    return (phi / (1 + phi)).sqrt()


def theils_u_value(confmat: Tensor) -> Tensor:
    """Returns Theil's U of the predictions given the targets; nan if the predictions have one value only."""
    table = _occupied(confmat)
    if not table.numel() or table.shape[1] < 2:
        return _nan(confmat)
    joint = table / table.sum()
    preds, target = joint.sum(0), joint.sum(1, keepdim=True)
    entropy = -torch.xlogy(preds, preds).sum()
    conditional = -torch.xlogy(joint, joint / target).sum()
    return ((entropy - conditional) / entropy).clamp(0.0, 1.0)


def _matrix(matrix: Any, coefficient: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    matrix = as_tensor(matrix, "matrix")
    if matrix.ndim != 2:
        raise ValueError(f"matrix must have shape (N, number of variables), got {tuple(matrix.shape)}")
    size = matrix.shape[1]
    value = torch.ones(size, size, dtype=torch.float64, device=matrix.device)
    for i, j in permutations(range(size), 2):
        value[i, j] = coefficient(matrix[:, i], matrix[:, j])
    return value


def cramers_v(
    preds: Any,
    target: Any,
    bias_correction: bool = True,
    nan_strategy: NanStrategy = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Cramer's V, `sqrt(phi2 / min(R - 1, C - 1))` with `phi2 = chi2 / n`, of an R x C table of two variables.

    With `bias_correction`, `phi2`, `R` and `C` are those of Bergsma: `max(0, phi2 - (R - 1)(C - 1) / (n - 1))` and
    `R - (R - 1)^2 / (n - 1)`. Chi squared itself is never corrected for continuity.

    Args:
        preds: `(N,)` categories, any whole numbers, or `(N, C)` scores of which the largest counts.
        target: Likewise.
        bias_correction: Whether to correct for the bias of small samples.
        nan_strategy: `"replace"` NaN by `nan_replace_value`, or `"drop"` the pair.
        nan_replace_value: What stands for NaN.

    Returns:
        Value in [0, 1], float64; nan if a variable has one value only.

    Raises:
        ValueError: If shapes differ, categories are fractions or `nan_strategy` is unknown.

    Example:
        >>> from lit_metrics.functional import cramers_v
        >>> cramers_v([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0], bias_correction=False)
        tensor(0.8165, dtype=torch.float64)

    Source:
        Cramer (1946), "Mathematical Methods of Statistics"; Bergsma (2013), "A bias-correction for Cramer's V and
        Tschuprow's T".
    """
    return cramers_v_value(_table(preds, target, nan_strategy, nan_replace_value), bias_correction)


def cramers_v_matrix(
    matrix: Any,
    bias_correction: bool = True,
    nan_strategy: NanStrategy = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Cramer's V of every pair of columns of `matrix`, `(N, variables)`; the rest as in `cramers_v`.

    Example:
        >>> from lit_metrics.functional import cramers_v_matrix
        >>> cramers_v_matrix([[0, 0], [0, 0], [1, 1], [1, 1], [2, 1], [2, 0]], bias_correction=False)
        tensor([[1.0000, 0.8165],
                [0.8165, 1.0000]], dtype=torch.float64)
    """
    return _matrix(matrix, lambda p, t: cramers_v(p, t, bias_correction, nan_strategy, nan_replace_value))


def tschuprows_t(
    preds: Any,
    target: Any,
    bias_correction: bool = True,
    nan_strategy: NanStrategy = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Tschuprow's T, `sqrt(phi2 / sqrt((R - 1)(C - 1)))`; arguments, correction and range as in `cramers_v`.

    Example:
        >>> from lit_metrics.functional import tschuprows_t
        >>> tschuprows_t([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0], bias_correction=False)
        tensor(0.6866, dtype=torch.float64)

    Source:
        Tschuprow (1939), "Principles of the Mathematical Theory of Correlation"; Bergsma (2013).
    """
    return tschuprows_t_value(_table(preds, target, nan_strategy, nan_replace_value), bias_correction)


def tschuprows_t_matrix(
    matrix: Any,
    bias_correction: bool = True,
    nan_strategy: NanStrategy = "replace",
    nan_replace_value: float | None = 0.0,
) -> Tensor:
    """Tschuprow's T of every pair of columns of `matrix`, `(N, variables)`; the rest as in `cramers_v`.

    Example:
        >>> from lit_metrics.functional import tschuprows_t_matrix
        >>> tschuprows_t_matrix([[0, 0], [0, 0], [1, 1], [1, 1], [2, 1], [2, 0]], bias_correction=False)
        tensor([[1.0000, 0.6866],
                [0.6866, 1.0000]], dtype=torch.float64)
    """
    return _matrix(matrix, lambda p, t: tschuprows_t(p, t, bias_correction, nan_strategy, nan_replace_value))


def pearsons_contingency_coefficient(
    preds: Any, target: Any, nan_strategy: NanStrategy = "replace", nan_replace_value: float | None = 0.0
) -> Tensor:
    """Pearson's contingency coefficient, `sqrt(phi2 / (1 + phi2))`; arguments as in `cramers_v`.

    Returns:
        Value in [0, 1), float64; nan for no samples.

    Example:
        >>> from lit_metrics.functional import pearsons_contingency_coefficient
        >>> pearsons_contingency_coefficient([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0])
        tensor(0.6325, dtype=torch.float64)

    Source:
        Pearson (1904), "On the theory of contingency and its relation to association and normal correlation".
    """
    return pearsons_contingency_coefficient_value(_table(preds, target, nan_strategy, nan_replace_value))


def pearsons_contingency_coefficient_matrix(
    matrix: Any, nan_strategy: NanStrategy = "replace", nan_replace_value: float | None = 0.0
) -> Tensor:
    """Pearson's coefficient of every pair of columns of `matrix`, `(N, variables)`; the rest as in `cramers_v`.

    Example:
        >>> from lit_metrics.functional import pearsons_contingency_coefficient_matrix
        >>> pearsons_contingency_coefficient_matrix([[0, 0], [0, 0], [1, 1], [1, 1], [2, 1], [2, 0]])
        tensor([[1.0000, 0.6325],
                [0.6325, 1.0000]], dtype=torch.float64)
    """
    return _matrix(matrix, lambda p, t: pearsons_contingency_coefficient(p, t, nan_strategy, nan_replace_value))


def theils_u(
    preds: Any, target: Any, nan_strategy: NanStrategy = "replace", nan_replace_value: float | None = 0.0
) -> Tensor:
    """Theil's U, `(H(preds) - H(preds | target)) / H(preds)`: how far the target tells the predictions.

    Arguments as in `cramers_v`. Not symmetric.

    Returns:
        Value in [0, 1], float64; nan if the predictions have one value only.

    Example:
        >>> from lit_metrics.functional import theils_u
        >>> theils_u([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0])
        tensor(0.4206, dtype=torch.float64)

    Source:
        Theil (1970), "On the estimation of relationships involving qualitative variables".
    """
    return theils_u_value(_table(preds, target, nan_strategy, nan_replace_value))


def theils_u_matrix(
    matrix: Any, nan_strategy: NanStrategy = "replace", nan_replace_value: float | None = 0.0
) -> Tensor:
    """Theil's U of every pair of columns of `matrix`, `(N, variables)`: entry `(i, j)` is of column i given j.

    Example:
        >>> from lit_metrics.functional import theils_u_matrix
        >>> theils_u_matrix([[0, 0], [0, 0], [1, 1], [1, 1], [2, 1], [2, 0]])
        tensor([[1.0000, 0.4206],
                [0.6667, 1.0000]], dtype=torch.float64)
    """
    return _matrix(matrix, lambda p, t: theils_u(p, t, nan_strategy, nan_replace_value))
