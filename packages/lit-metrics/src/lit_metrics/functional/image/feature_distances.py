"""Distances between two sets of feature vectors: of two normal distributions, and by a kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor


def as_features(value: Any, name: str, num_features: int | None = None) -> Tensor:
    """Returns feature vectors as a real matrix.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If they are not `(N, num_features)`.
    """
    features = as_tensor(value, name)
    if features.is_complex():
        raise TypeError(f"{name} must hold real numbers, got {features.dtype}")
    if features.ndim != 2 or (num_features is not None and features.shape[1] != num_features):
        raise ValueError(f"{name} must have shape (N, {num_features or 'D'}), got {tuple(features.shape)}")
    return features


def as_real_mask(real: Any, features: Tensor) -> Tensor:
    """Returns which rows of `features` are real, from one flag or one per row.

    Raises:
        TypeError: If the flags are not booleans.
        ValueError: If there are not as many as rows.
    """
    if isinstance(real, bool):
        return torch.full(features.shape[:1], real, dtype=torch.bool, device=features.device)
    mask = as_tensor(real, "real")
    if mask.dtype != torch.bool:
        raise TypeError(f"real must be True, False or one of them for each row, got {mask.dtype}")
    if mask.shape != features.shape[:1]:
        raise ValueError(f"real must have shape {tuple(features.shape[:1])}, got {tuple(mask.shape)}")
    return mask.to(features.device)


def moments_state(features: Tensor, keep: Tensor | None = None) -> Tensor:
    """Returns number, mean and sum of outer products of deviations of the rows kept, in one float64 vector."""
    x = features.double()
    weights = torch.ones(len(x), dtype=torch.float64, device=x.device) if keep is None else keep.double()
    count = weights.sum()
    # Deviations from the first row: the digits of a large common offset do not enter any sum.
    offset = x[:1].detach() if len(x) else 0.0
    x = x - offset
    mean = weights @ x / count.clamp(min=1)
    x = (x - mean) * weights[:, None]
    mean = torch.where(count > 0, mean + offset, torch.zeros_like(mean)).flatten()
    return torch.cat([count[None], mean, (x.T @ x).flatten()])


def merge_moments(states: Tensor) -> Tensor:
    """Merges moments `(K, 1 + D + D*D)` as `moments_state` gives them, without forming large sums of squares."""
    merged = states[0]
    for other in states[1:]:
        merged = _merge_two(merged, other)
    return merged


def _merge_two(a: Tensor, b: Tensor) -> Tensor:
    n_a, mean_a, scatter_a = unpack_moments(a)
    n_b, mean_b, scatter_b = unpack_moments(b)
    share = n_b / (n_a + n_b).clamp(min=1)
    step = mean_b - mean_a
    # An empty side holds mean 0: it must not add its digits to the other's.
    mean = torch.where(n_a > 0, mean_a + step * share, mean_b)
    scatter = scatter_a + scatter_b + torch.outer(step, step) * (n_a * share)
    return torch.cat([(n_a + n_b)[None], mean, scatter.flatten()])


def unpack_moments(state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns number, mean `(D,)` and sum of outer products `(D, D)`."""
    num_features = (-1 + round((1 + 4 * (state.numel() - 1)) ** 0.5)) // 2
    return state[0], state[1 : 1 + num_features], state[1 + num_features :].reshape(num_features, num_features)


def frechet_value(real: Tensor, fake: Tensor) -> Tensor:
    """Returns the distance of two packed moments; nan with fewer than two rows on a side."""
    n_r, mean_r, scatter_r = unpack_moments(real)
    n_f, mean_f, scatter_f = unpack_moments(fake)
    cov_r, cov_f = scatter_r / (n_r - 1).clamp(min=1), scatter_f / (n_f - 1).clamp(min=1)
    values, vectors = torch.linalg.eigh(cov_r)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    product = torch.linalg.eigvalsh(root @ cov_f @ root)
    mixed = product.clamp(min=0).sqrt().sum()
    distance = (mean_r - mean_f).square().sum() + cov_r.trace() + cov_f.trace() - 2 * mixed
    # Rounding of the eigenvalues may leave the distance of equal sets below 0.
    return torch.where((n_r > 1) & (n_f > 1), distance.clamp(min=0), torch.nan)


def frechet_distance(real_features: Any, fake_features: Any) -> Tensor:
    """Fréchet distance of normal distributions, `|m_r - m_f|^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2))`.

    With features of an Inception network this is the FID; which features to take is up to you.

    Args:
        real_features: `(N, D)`.
        fake_features: `(M, D)`.

    Returns:
        Value in [0, inf), float64; nan with fewer than two rows on a side.

    Raises:
        ValueError: If the inputs are not matrices of one width.
        TypeError: If they are not real numbers.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import frechet_distance
        >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> round(frechet_distance(x, x + 2).item(), 6)
        8.0

    Source: Heusel et al., GANs trained by a two time-scale update rule, 2017. Covariances are divided by `N - 1`.
    """
    real = as_features(real_features, "real_features")
    fake = as_features(fake_features, "fake_features", real.shape[1])
    return frechet_value(moments_state(real), moments_state(fake))


def require_kernel(subsets: Any, subset_size: Any, degree: Any, gamma: Any) -> None:
    """Raises a `ValueError` unless the sizes and the degree are positive integers and `gamma` is positive."""
    for name, value in (("subsets", subsets), ("subset_size", subset_size), ("degree", degree)):
        optional = name == "subset_size" and value is None
        if not optional and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"{name} must be a positive integer, got {value!r}")
    if gamma is not None and not gamma > 0:
        raise ValueError(f"gamma must be positive, got {gamma!r}")


def squared_discrepancy(x: Tensor, y: Tensor, degree: int, gamma: float | None, coef: float) -> Tensor:
    """Returns the unbiased estimate of the squared maximum mean discrepancy under a polynomial kernel."""
    gamma = 1 / x.shape[1] if gamma is None else gamma
    m, n = len(x), len(y)
    k_xx, k_yy, k_xy = ((gamma * a @ b.T + coef) ** degree for a, b in ((x, x), (y, y), (x, y)))
    within = (k_xx.sum() - k_xx.trace()) / (m * (m - 1)) + (k_yy.sum() - k_yy.trace()) / (n * (n - 1))
    return within - 2 * k_xy.mean()


def kernel_distance(
    real_features: Any,
    fake_features: Any,
    subsets: int = 100,
    subset_size: int | None = 1000,
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
    *,
    seed: int = 0,
) -> Tensor:
    """Kernel distance: unbiased squared maximum mean discrepancy under `k(x, y) = (gamma <x, y> + coef)^degree`.

    With features of an Inception network this is the KID.

    Args:
        real_features: `(N, D)`.
        fake_features: `(M, D)`.
        subsets: Number of random subsets.
        subset_size: Rows drawn of each side for a subset, without replacement; `None` takes all rows, once.
        degree: Degree of the polynomial.
        gamma: Scale of the inner product; `None` is `1 / D`.
        coef: Constant of the polynomial.
        seed: Seed of the draws: equal data and seeds give equal values, on every process.

    Returns:
        Float64 pair `(mean, standard deviation)` over the subsets; the mean of equal distributions is around 0 and may
        be negative. nan with fewer than two rows on a side.

    Raises:
        ValueError: If the inputs are not matrices of one width, or have fewer rows than `subset_size`.

    Example:
        >>> import torch
        >>> from lit_metrics.functional import kernel_distance
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> mean, std = kernel_distance(x, x + 1, subset_size=None)
        >>> mean
        tensor(21.6667, dtype=torch.float64)

    Source: Binkowski et al., Demystifying MMD GANs, 2018.
    """
    require_kernel(subsets, subset_size, degree, gamma)
    real = as_features(real_features, "real_features")
    fake = as_features(fake_features, "fake_features", real.shape[1])
    real, fake = real.double(), fake.double()
    if min(len(real), len(fake)) < 2:
        return torch.full((2,), torch.nan, dtype=torch.float64, device=real.device)
    if subset_size is None:
        value = squared_discrepancy(real, fake, degree, gamma, coef)
        return torch.stack([value, torch.zeros_like(value)])
    if subset_size < 2 or subset_size > min(len(real), len(fake)):
        raise ValueError(
            f"subset_size must be between 2 and the {min(len(real), len(fake))} rows of the smaller side, got"
            f" {subset_size}"
        )
    draw = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        rows = [torch.randperm(len(x), generator=draw)[:subset_size].to(x.device) for x in (real, fake)]
        values.append(squared_discrepancy(real[rows[0]], fake[rows[1]], degree, gamma, coef))
    scores = torch.stack(values)
    return torch.stack([scores.mean(), scores.std(correction=0)])
