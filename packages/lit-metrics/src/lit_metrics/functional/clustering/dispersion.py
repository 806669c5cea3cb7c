"""How compact and how far apart clusters of points are; no true labels needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor, to_float
from lit_metrics.functional.clustering._labels import as_labels


def points_state(data: Any, labels: Any) -> dict[str, Tensor | int]:
    """Returns the points `(N, D)` and labels `(N,)` themselves: these metrics need all points.

    Raises:
        ValueError: If the shapes do not fit.
    """
    data, labels = as_tensor(data, "data"), as_labels(labels, "labels")
    if data.is_complex():
        raise TypeError(f"data must be real, got {data.dtype}")
    if data.ndim != 2 or labels.shape != data.shape[:1]:
        raise ValueError(
            f"data must have shape (N, D) and labels (N,), got {tuple(data.shape)} and {tuple(labels.shape)}"
        )
    return {"data": to_float(data), "labels": labels}


def _clusters(data: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Returns points, cluster index of each, centroids and sizes in float64; None if fewer than two clusters."""
    names, index = labels.unique(return_inverse=True)
    if len(names) < 2:
        return None
    data = data.double()
    sizes = data.new_zeros(len(names)).index_add_(0, index, torch.ones_like(index, dtype=torch.float64))
    shift = data.mean(0)  # far offsets would cost digits in the sums
    sums = data.new_zeros(len(names), data.shape[1]).index_add(0, index, data - shift)
    return data - shift, index, sums / sizes[:, None], sizes


def _nan(like: Tensor) -> Tensor:
    return torch.tensor(torch.nan, dtype=torch.float64, device=like.device)


def calinski_harabasz_value(data: Tensor, labels: Tensor) -> Tensor:
    """Returns between over within variance; nan unless there are 2 to N - 1 clusters."""
    clusters = _clusters(data, labels)
    if clusters is None or len(clusters[3]) >= len(data):
        return _nan(data)
    points, index, centroids, sizes = clusters
    between = (sizes * (centroids - points.mean(0)).square().sum(1)).sum()
    within = (points - centroids[index]).square().sum()
    return between / within * (len(points) - len(sizes)) / (len(sizes) - 1)


def davies_bouldin_value(data: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean over clusters of the largest similarity to another; nan unless there are 2 to N - 1 clusters."""
    clusters = _clusters(data, labels)
    if clusters is None or len(clusters[3]) >= len(data):
        return _nan(data)
    points, index, centroids, sizes = clusters
    radius = torch.zeros_like(sizes).index_add(0, index, (points - centroids[index]).norm(dim=1)) / sizes
    apart = torch.cdist(centroids, centroids, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.where(apart > 0, (radius[:, None] + radius) / apart, 0.0).amax(1).mean()


def dunn_value(data: Tensor, labels: Tensor, p: float) -> Tensor:
    """Returns the smallest distance of centroids over the largest distance to one; nan for fewer than two clusters."""
    clusters = _clusters(data, labels)
    if clusters is None:
        return _nan(data)
    points, index, centroids, _ = clusters
    radius: Tensor = torch.linalg.vector_norm(points - centroids[index], p, dim=1).amax()
    return torch.pdist(centroids, p=p).amin() / radius


def _points(data: Any, labels: Any) -> tuple[Tensor, Tensor]:
    state = points_state(data, labels)
    data, labels = state["data"], state["labels"]
    assert isinstance(data, Tensor)
    assert isinstance(labels, Tensor)
    return data, labels


def calinski_harabasz_score(data: Any, labels: Any) -> Tensor:
    """Variance ratio, `(B / (K - 1)) / (W / (N - K))`, of variance between (B) and within (W) clusters.

    Args:
        data: `(N, D)` points.
        labels: `(N,)` cluster labels, any integers.

    Returns:
        Value in [0, inf), float64; higher is better; inf if all points are on their centroids; nan unless there are 2
        to N - 1 clusters.

    Raises:
        ValueError: If the shapes do not fit.
        TypeError: If labels are not integers.

    Example:
        >>> from lit_metrics.functional import calinski_harabasz_score
        >>> calinski_harabasz_score([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]], [0, 0, 1, 1])
        tensor(32., dtype=torch.float64)

    Source:
        Calinski and Harabasz (1974), "A dendrite method for cluster analysis". scikit-learn gives 1 where W is 0.
    """
    return calinski_harabasz_value(*_points(data, labels))


def davies_bouldin_score(data: Any, labels: Any) -> Tensor:
    """Mean over clusters of the largest `(s_i + s_j) / d_ij`: mean distances to the centroids over theirs apart.

    Arguments as in `calinski_harabasz_score`. Clusters with one centroid are left out of each other's maximum.

    Returns:
        Value in [0, inf), float64; lower is better; nan unless there are 2 to N - 1 clusters.

    Example:
        >>> from lit_metrics.functional import davies_bouldin_score
        >>> davies_bouldin_score([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]], [0, 0, 1, 1])
        tensor(0.2500, dtype=torch.float64)

    Source:
        Davies and Bouldin (1979), "A Cluster Separation Measure".
    """
    return davies_bouldin_value(*_points(data, labels))


def dunn_index(data: Any, labels: Any, p: float = 2) -> Tensor:
    """Smallest distance between centroids over the largest distance of a point to its centroid.

    Args:
        data: `(N, D)` points.
        labels: `(N,)` cluster labels, any integers.
        p: Order of the norm that measures distances.

    Returns:
        Value in [0, inf), float64; higher is better; inf if all points are on their centroids; nan for fewer than two
        clusters.

    Raises:
        ValueError: If the shapes do not fit.

    Example:
        >>> from lit_metrics.functional import dunn_index
        >>> dunn_index([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]], [0, 0, 1, 1])
        tensor(8., dtype=torch.float64)

    Source:
        Dunn (1974), "Well-Separated Clusters and Optimal Fuzzy Partitions", with distances to centroids.
    """
    return dunn_value(*_points(data, labels), p)
