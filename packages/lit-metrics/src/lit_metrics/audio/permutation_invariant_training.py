"""Mean of a metric under the best assignment of estimates to speakers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from lit_metrics.audio.signal_ratios import SignalScore
from lit_metrics.functional.audio.permutation_invariant_training import (
    EvalFunc,
    Mode,
    permutation_invariant_training,
    require_pit,
)
from lit_metrics.metric import Metric


class PermutationInvariantTraining(SignalScore):
    """Mean best value; see `lit_metrics.functional.permutation_invariant_training`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> import torch
        >>> from lit_metrics import PermutationInvariantTraining
        >>> from lit_metrics.functional import signal_noise_ratio
        >>> target = torch.tensor([[[1.0, 2.0, 3.0], [3.0, -1.0, 0.0]]])
        >>> metric = PermutationInvariantTraining(signal_noise_ratio)
        >>> metric.update(target.flip(1) + 0.1, target)
        >>> metric.compute()
        tensor(25.9594, dtype=torch.float64)
    """

    def __init__(
        self,
        metric_func: Callable[..., Tensor],
        mode: Mode = "speaker-wise",
        eval_func: EvalFunc = "max",
        **kwargs: Any,
    ) -> None:
        known = inspect.signature(Metric.__init__).parameters
        super().__init__(**{name: value for name, value in kwargs.items() if name in known})
        require_pit(mode, eval_func)
        self.metric_func = metric_func
        self.mode: Mode = mode
        self.eval_func: EvalFunc = eval_func
        self.metric_kwargs = {name: value for name, value in kwargs.items() if name not in known}

    def update(self, preds: Any, target: Any, sample_weight: Any = None) -> None:
        """Takes in `(N, speakers, ...)` estimates and targets; `sample_weight` is one per sample."""
        values, _ = permutation_invariant_training(
            preds, target, self.metric_func, self.mode, self.eval_func, **self.metric_kwargs
        )
        self.accumulate_scores(values, sample_weight)
