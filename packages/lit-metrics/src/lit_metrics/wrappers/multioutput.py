"""One metric for each output of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lit_metrics._composite import Composite, Inputs
from lit_metrics._inputs import as_tensor
from lit_metrics.metric import Metric
from lit_metrics.wrappers.classwise import require_metric


class MultioutputWrapper(Composite):
    """Computes a metric for every output by itself, where the metric knows of one output only.

    Args:
        base_metric: Metric for one output; copied `num_outputs` times.
        num_outputs: Size of the dimension of outputs.
        output_dim: Dimension of outputs in every tensor that `update` gets.
        remove_nans: Whether samples in which any input is NaN are left out, for each output by itself. That needs the
            data on the host: on an accelerator `update` waits for it.
        squeeze_outputs: Whether the dimension of outputs is gone, not of size 1, in what the metric gets.

    Returns:
        The values, stacked: `(num_outputs, ...)`.

    Raises:
        ValueError: If `num_outputs` is not a positive integer, or an input has another number of outputs.

    Example:
        >>> from lit_metrics import MeanSquaredError, MultioutputWrapper
        >>> metric = MultioutputWrapper(MeanSquaredError(), num_outputs=2)
        >>> metric([[1.0, 2.0], [3.0, float("nan")]], [[1.0, 3.0], [4.0, 4.0]])
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """

    def __init__(
        self,
        base_metric: Metric,
        num_outputs: int,
        output_dim: int = -1,
        remove_nans: bool = True,
        squeeze_outputs: bool = True,
    ) -> None:
        super().__init__()
        require_metric(base_metric, "base_metric")
        require_positive(num_outputs, "num_outputs")
        self.metrics = nn.ModuleList(base_metric.clone() for _ in range(num_outputs))
        self.output_dim = output_dim
        self.remove_nans = remove_nans
        self.squeeze_outputs = squeeze_outputs

    def parts(self) -> Sequence[Any]:
        """Returns the metrics, one per output."""
        return list(self.metrics)

    def route(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Inputs]:
        """Gives every metric its slice of every tensor; what is no array goes to all."""
        split = [self._split(value, f"input {i + 1}") for i, value in enumerate(args)]
        named = {name: self._split(value, name) for name, value in kwargs.items()}
        routes: list[Inputs] = []
        for i in range(len(self.metrics)):
            inputs = [values[i] for values in split]
            keywords = {name: values[i] for name, values in named.items()}
            if self.remove_nans:
                keep = _complete([*inputs, *keywords.values()])
                if keep is not None:
                    inputs = [_rows(value, keep) for value in inputs]
                    keywords = {name: _rows(value, keep) for name, value in keywords.items()}
            routes.append((tuple(inputs), keywords))
        return routes

    def combine(self, values: Sequence[Any]) -> Tensor:
        """Returns the values, stacked."""
        return torch.stack([torch.as_tensor(value) for value in values])

    def _split(self, value: Any, name: str) -> Sequence[Any]:
        num = len(self.metrics)
        if not isinstance(value, (Tensor, np.ndarray, list, tuple)):
            return [value] * num
        tensor = as_tensor(value, name)
        if not -tensor.ndim <= self.output_dim < tensor.ndim or tensor.shape[self.output_dim] != num:
            raise ValueError(
                f"{name} must have {num} outputs in dimension {self.output_dim}, got shape {tuple(tensor.shape)}"
            )
        return tensor.unbind(self.output_dim) if self.squeeze_outputs else tensor.split(1, self.output_dim)


def require_positive(value: Any, name: str) -> None:
    """Raises a `ValueError` unless `value` is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")


def _complete(values: Sequence[Any]) -> Tensor | None:
    """Returns which samples (first dimension) have no NaN in any tensor, or `None` if there is no NaN."""
    missing = [
        value.isnan().reshape(len(value), -1).any(1)
        for value in values
        if isinstance(value, Tensor) and value.is_floating_point() and value.ndim and value.numel()
    ]
    found = torch.stack(missing).any(0) if missing else torch.zeros(0, dtype=torch.bool)
    return ~found if found.cpu().numpy().any() else None


def _rows(value: Any, keep: Tensor) -> Any:
    return value[keep] if isinstance(value, Tensor) and value.ndim else value
