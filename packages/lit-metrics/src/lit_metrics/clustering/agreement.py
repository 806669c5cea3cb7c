"""How well two clusterings of the same samples agree."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.clustering._labels import raise_if_invalid, require_num_classes
from lit_metrics.functional.clustering.agreement import (
    AverageMethod,
    Contingency,
    adjusted_mutual_info_value,
    adjusted_rand_value,
    cluster_accuracy_state,
    cluster_accuracy_value,
    completeness_value,
    contingency,
    contingency_state,
    fowlkes_mallows_value,
    homogeneity_value,
    mutual_info_value,
    normalized_mutual_info_value,
    raise_if_negative,
    rand_value,
    require_average_method,
    require_beta,
    v_measure_value,
)
from lit_metrics.metric import Metric


class ContingencyMetric(Metric):
    """Counts pairs of labels; subclasses read a value from the table of counts.

    Labels may be any integers, so the state is a list: one row for each pair of labels in a large host batch, and
    one row per sample otherwise.

    Arguments: see `Metric`.
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    pairs: list[Tensor]
    samples: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("pairs", [], dist_reduce_fx="cat")
        self.add_state("samples", [], dist_reduce_fx="cat")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics that read this table."""
        return "contingency"

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N,)` cluster labels of N samples, twice, and maybe their `(N,)` weights."""
        self.accumulate(contingency_state(preds, target, sample_weight))

    def check_state(self) -> None:
        """Raises for negative weights."""
        if self.samples:
            raise_if_negative(torch.cat(self.samples))

    def compute(self) -> Tensor:
        """Returns the value of all samples; nan if there were none."""
        return self.value(self.store.reading(self._table))

    def _table(self) -> Contingency:
        pairs = torch.empty(0, 2, dtype=torch.long, device=self.device)
        samples = torch.empty(0, dtype=torch.float64, device=self.device)
        return contingency(torch.cat([pairs, *self.pairs]), torch.cat([samples, *self.samples]))

    @abstractmethod
    def value(self, table: Contingency) -> Tensor:
        """Returns the metric's value from the table."""


class RandScore(ContingencyMetric):
    """Share of pairs of samples that both clusterings treat alike; see `lit_metrics.functional.rand_score`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import RandScore
        >>> metric = RandScore()
        >>> metric.update([0, 0, 1, 1], [1, 1, 0, 2])
        >>> metric.compute()
        tensor(0.8333, dtype=torch.float64)
    """

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return rand_value(table)


class AdjustedRandScore(ContingencyMetric):
    """Rand index adjusted for chance; see `lit_metrics.functional.adjusted_rand_score`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import AdjustedRandScore
        >>> AdjustedRandScore()([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.5714, dtype=torch.float64)
    """

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return adjusted_rand_value(table)


class FowlkesMallowsIndex(ContingencyMetric):
    """Geometric mean of pairwise precision and recall; see `lit_metrics.functional.fowlkes_mallows_index`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import FowlkesMallowsIndex
        >>> FowlkesMallowsIndex()([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.7071, dtype=torch.float64)
    """

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return fowlkes_mallows_value(table)


class MutualInfoScore(ContingencyMetric):
    """Mutual information of two clusterings, in nats; see `lit_metrics.functional.mutual_info_score`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import MutualInfoScore
        >>> MutualInfoScore()([0, 0, 1, 1], [1, 1, 0, 0])
        tensor(0.6931, dtype=torch.float64)
    """

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return mutual_info_value(table)


class HomogeneityScore(ContingencyMetric):
    """How far each predicted cluster holds one true cluster only; see `lit_metrics.functional.homogeneity_score`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import HomogeneityScore
        >>> HomogeneityScore()([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.6667, dtype=torch.float64)
    """

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return homogeneity_value(table)


class CompletenessScore(ContingencyMetric):
    """How far each true cluster lies in one predicted cluster; see `lit_metrics.functional.completeness_score`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import CompletenessScore
        >>> CompletenessScore()([0, 0, 1, 2], [0, 0, 1, 1])
        tensor(0.6667, dtype=torch.float64)
    """

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return completeness_value(table)


class NormalizedMutualInfoScore(ContingencyMetric):
    """Mutual information over an average of both entropies; see `lit_metrics.functional.normalized_mutual_info_score`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import NormalizedMutualInfoScore
        >>> NormalizedMutualInfoScore()([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.8000, dtype=torch.float64)
    """

    def __init__(self, average_method: AverageMethod = "arithmetic", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_average_method(average_method)
        self.average_method: AverageMethod = average_method

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return normalized_mutual_info_value(table, self.average_method)


class AdjustedMutualInfoScore(ContingencyMetric):
    """Mutual information adjusted for chance; see `lit_metrics.functional.adjusted_mutual_info_score`.

    Args:
        average_method: `"min"`, `"geometric"`, `"arithmetic"` or `"max"` of the entropies.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `average_method` is none of these.

    Example:
        >>> from lit_metrics import AdjustedMutualInfoScore
        >>> AdjustedMutualInfoScore()([0, 0, 1, 1], [0, 0, 1, 2])
        tensor(0.5714, dtype=torch.float64)
    """

    def __init__(self, average_method: AverageMethod = "arithmetic", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_average_method(average_method)
        self.average_method: AverageMethod = average_method

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return adjusted_mutual_info_value(table, self.average_method)


class VMeasureScore(ContingencyMetric):
    """Harmonic mean of homogeneity and completeness; see `lit_metrics.functional.v_measure_score`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import VMeasureScore
        >>> VMeasureScore()([0, 0, 1, 2], [0, 0, 1, 1])
        tensor(0.8000, dtype=torch.float64)
    """

    def __init__(self, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_beta(beta)
        self.beta = beta

    def value(self, table: Contingency) -> Tensor:
        """Returns it from a table of counts."""
        return v_measure_value(table, self.beta)


class ClusterAccuracy(Metric):
    """Accuracy under the best naming of predicted clusters; see `lit_metrics.functional.cluster_accuracy`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import ClusterAccuracy
        >>> ClusterAccuracy(num_classes=2)([0, 0, 1, 1], [1, 1, 0, 1])
        tensor(0.7500, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    confmat: Tensor
    invalid: Tensor

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_num_classes(num_classes)
        self.num_classes = num_classes
        self.add_state("confmat", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("invalid", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any) -> None:
        """Takes in `(N,)` labels of N samples, twice."""
        self.accumulate(cluster_accuracy_state(preds, target, self.num_classes))

    def check_state(self) -> None:
        """Raises for labels out of range that an accelerator counted."""
        raise_if_invalid(self.invalid, self.num_classes)

    def compute(self) -> Tensor:
        """Returns the value of all samples; nan if there were none."""
        return cluster_accuracy_value(self.confmat)
