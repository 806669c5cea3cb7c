"""Areas under curves in bounded memory, with the error that they may have."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics._inputs import Validation, checks_are_free
from lit_metrics.functional.classification._curves import CurveConfig, Points, bad_target, curve_state
from lit_metrics.functional.classification._sketch import (
    compress,
    extreme_points,
    invalid_elements,
    sketch_resolution,
    sketch_rows,
)
from lit_metrics.functional.classification.auroc import points_area
from lit_metrics.functional.classification.average_precision import points_average_precision
from lit_metrics.metric import Metric

_MAX_ENTRIES = 64


class StreamingCurve(Metric):
    """Summary of binary scores in bounded memory; subclasses say what value the curve gives.

    All distinct scores are kept until there are more than `192 / eps` of them; then neighbouring scores share an
    interval, chosen by weight, so that any distribution of scores is cut where it is dense. The value lies in the
    middle of what the summary allows, and `bound` is how far off it can be. Scores are ranked as they come, in float32.

    Args:
        eps: Largest error of AUROC, in (0, 0.5]; `bound` is usually far below.
        ignore_index: Targets of this value are left out.
        validate_args: Whether values are checked.
        kwargs: Arguments of `Metric`.

    Raises:
        ValueError: If `eps` is out of its range.
    """

    full_state_update = True  # an update may compress what earlier ones left
    higher_is_better = True
    is_differentiable = False

    nodes: list[Tensor]
    invalid: Tensor

    def __init__(
        self, eps: float = 0.01, ignore_index: int | None = None, validate_args: Validation = True, **kwargs: Any
    ) -> None:
        super().__init__(validate_args=validate_args, **kwargs)
        self.resolution = sketch_resolution(eps)
        self.config = CurveConfig("binary", None, None, ignore_index, False, bool(validate_args))
        self.add_state("nodes", [], dist_reduce_fx="cat")
        self.add_state("invalid", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in one batch.

        Args:
            preds: `(N, ...)` scores on any scale.
            target: `(N, ...)` labels 0 and 1.
            sample_weight: `(N,)` or `(N, ...)` weights.
        """
        batch = curve_state(self.config, preds, target, sample_weight)
        self.nodes.append(sketch_rows(batch["scores"], batch["target"], batch["weights"]))
        if not checks_are_free(batch["scores"]):  # host memory has refused them
            self.invalid += invalid_elements(batch["scores"], batch["target"])
        if sum(map(len, self.nodes)) > 12 * self.resolution:
            self.nodes = [compress(torch.cat(self.nodes), self.resolution)]
        elif len(self.nodes) > _MAX_ENTRIES:
            self.nodes = [torch.cat(self.nodes)]

    def compute(self) -> Tensor:
        """Returns the middle of the values that the summary allows; nan where the exact value is."""
        low, high = self._limits()
        return (low + high) / 2

    def check_state(self) -> None:
        """Raises for invalid labels and scores that an accelerator counted."""
        if self.config.validate_args and self.device.type != "meta" and bool(self.invalid):
            raise ValueError(f"preds must be scores without NaN, and {bad_target(self.config)}")

    @property
    def bound(self) -> Tensor:
        """Largest possible distance of `compute()` from the exact value, for the data of this process; 0 is exact."""
        low, high = self._limits()
        return (high - low) / 2

    @abstractmethod
    def value(self, points: Points) -> Tensor:
        """Returns the value of one curve."""

    def _limits(self) -> tuple[Tensor, Tensor]:
        worst, best = self.store.reading(self._extremes)
        return self.value(worst), self.value(best)

    def _extremes(self) -> tuple[Points, Points]:
        nodes = self.nodes
        rows = torch.cat(nodes) if nodes else torch.zeros(0, 4, dtype=torch.float64, device=self.device)
        return extreme_points(rows)


class StreamingAUROC(StreamingCurve):
    """Area under the ROC of a binary task in bounded memory, with a guaranteed error of at most `eps`.

    See `StreamingCurve` for the arguments and `lit_metrics.functional.binary_auroc` for the exact value.

    Example:
        >>> import torch
        >>> from lit_metrics import StreamingAUROC
        >>> metric = StreamingAUROC(eps=0.01)
        >>> metric.update(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        >>> metric.compute(), metric.bound
        (tensor(0.7500, dtype=torch.float64), tensor(0., dtype=torch.float64))
    """

    def value(self, points: Points) -> Tensor:
        """Returns the value of one curve."""
        return points_area(points)[0]


class StreamingAveragePrecision(StreamingCurve):
    """Average precision of a binary task in bounded memory; `bound` says how far off it can be.

    There is no promise of `eps` here: a few positives below many negatives are hard to summarise. See `StreamingCurve`
    for the arguments and `lit_metrics.functional.binary_average_precision` for the exact value.

    Example:
        >>> import torch
        >>> from lit_metrics import StreamingAveragePrecision
        >>> StreamingAveragePrecision()(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1]))
        tensor(0.8333, dtype=torch.float64)
    """

    def value(self, points: Points) -> Tensor:
        """Returns the value of one curve."""
        return points_average_precision(points)[0]
