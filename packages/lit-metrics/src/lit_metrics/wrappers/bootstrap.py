"""Error bars by resampling, while the data stream in."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lit_metrics._inputs import as_tensor
from lit_metrics.metric import Metric
from lit_metrics.wrappers._bank import StateBank, num_samples, take, times_weight, weight_place, without_weight
from lit_metrics.wrappers.multioutput import require_positive

STRATEGIES = ("poisson", "multinomial")


class BootStrapper(StateBank):
    """Mean, spread and quantiles of a metric over resampled versions of the data: its bootstrap distribution.

    Every replica counts every sample a random number of times, Poisson(1) distributed, so that samples of different
    batches are resampled as samples of one data set and the spread does not depend on the batch size. Metrics that take
    a `sample_weight` get these numbers as weights; for others the samples are repeated.

    Replicas in which the metric is undefined (no positive sample, say) are left out of the statistics. Give every
    process its own seed; merged and synchronised replicas then hold all data.

    Args:
        base_metric: Metric whose states merge, with a value of tensors.
        num_bootstraps: Number of replicas B; 100 give the spread to about 7 %.
        mean: Whether the mean over replicas is in the result.
        std: Whether their standard deviation is, which estimates the standard error of the metric.
        quantile: Probability or several; `[0.025, 0.975]` gives a 95 % interval.
        raw: Whether all replicas are in the result, `(B, ...)`.
        sampling_strategy: `"poisson"`, or `"multinomial"`: N draws with replacement among the N samples of a batch,
            which understates the spread of small batches (to 0 for batches of one).
        seed: Of the random numbers; `None` takes one from torch's generator.
        kwargs: Arguments of `Metric`.

    Returns:
        Dict with those of `"mean"`, `"std"`, `"quantile"` and `"raw"` that were asked for.

    Raises:
        TypeError: If `base_metric` is no metric that holds mergeable states itself.
        ValueError: If an argument is out of its range.

    Example:
        >>> import torch
        >>> from lit_metrics import BootStrapper, MeanSquaredError
        >>> metric = BootStrapper(MeanSquaredError(), num_bootstraps=50, seed=0)
        >>> metric.update(torch.arange(100.0) % 2, torch.zeros(100))  # standard error: 0.05
        >>> bool((metric.compute()["std"] - 0.05).abs() < 0.02)
        True

    Source: Chamandy et al., Estimating Uncertainty for Massive Data Streams, 2012.
    """

    pure_update = True

    def __init__(
        self,
        base_metric: Metric,
        num_bootstraps: int = 10,
        mean: bool = True,
        std: bool = True,
        quantile: float | Tensor | list[float] | None = None,
        raw: bool = False,
        sampling_strategy: Literal["poisson", "multinomial"] = "poisson",
        *,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        require_positive(num_bootstraps, "num_bootstraps")
        super().__init__(base_metric, num_bootstraps, **kwargs)
        if sampling_strategy not in STRATEGIES:
            raise ValueError(f"sampling_strategy must be one of {STRATEGIES}, got {sampling_strategy!r}")
        self._quantile: Tensor | None = None
        if quantile is not None:
            self._quantile = as_tensor(quantile, "quantile").double()
            if bool(((self._quantile < 0) | (self._quantile > 1)).any()):
                raise ValueError(f"quantile must be in [0, 1], got {quantile}")
        self._shows = {"mean": mean, "std": std, "raw": raw}
        self.sampling_strategy = sampling_strategy
        self._weight_place = weight_place(base_metric)
        self._seed = int(torch.randint(2**31, ())) if seed is None else seed

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Feeds every replica its resampled version of the batch."""
        kwargs = self.metric.filter_kwargs(kwargs)
        num = num_samples([*args, *kwargs.values()])
        counts = self._draw(num)
        if self._weight_place is not None:
            args, kwargs, weight = without_weight(args, kwargs, self._weight_place)
            device = next((value.device for value in args if isinstance(value, Tensor)), None)
            batches = [
                self.metric.batch_state(*args, **kwargs, sample_weight=times_weight(weight, row))
                for row in counts.double().to(device)
            ]
        else:
            batches = []
            for row in counts.numpy():
                index = torch.from_numpy(np.repeat(np.arange(num), row))
                inputs = [take(value, index, num) for value in args]
                named = {name: take(value, index, num) for name, value in kwargs.items()}
                batches.append(self.metric.batch_state(*inputs, **named))
        self.accumulate_slots(batches, range(self.size))

    def compute(self) -> dict[str, Tensor]:
        """Returns the statistics of the replicas."""
        values = self.slot_values()
        if not isinstance(values, Tensor):
            raise TypeError(f"{type(self.metric).__name__} gives no single tensor; wrap the metrics inside of it")
        values = values if values.is_floating_point() else values.double()
        result: dict[str, Tensor] = {}
        if self._shows["mean"]:
            result["mean"] = values.nanmean(0)
        if self._shows["std"]:
            known = (~values.isnan()).sum(0)
            result["std"] = ((values - values.nanmean(0)).square().nansum(0) / (known - 1)).sqrt()
        if self._quantile is not None:
            result["quantile"] = values.nanquantile(self._quantile.to(values), dim=0)
        if self._shows["raw"]:
            result["raw"] = values
        return result

    def _draw(self, num: int) -> Tensor:
        """Returns how often each replica counts each sample, `(B, num)`; other numbers at every call."""
        generator = torch.Generator().manual_seed(self._seed)
        self._seed = (self._seed * 6364136223846793005 + 1442695040888963407) % 2**63  # Knuth's generator
        if self.sampling_strategy == "poisson":
            return torch.poisson(torch.ones(self.size, num), generator=generator).long()
        picks = torch.randint(num, (self.size, num), generator=generator)
        return torch.zeros(self.size, num, dtype=torch.long).scatter_add_(1, picks, torch.ones_like(picks))
