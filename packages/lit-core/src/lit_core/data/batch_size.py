"""The size of a batch that the order does not tell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def find_batch_size(batch: Any) -> int:
    """First dimension shared by all tensors of a batch (any nesting of mappings, sequences, dataclasses).

    Raises:
        ValueError: if the tensors disagree or there is none: a guess would weigh means wrongly.

    Example:
        >>> import torch
        >>> find_batch_size({"x": torch.zeros(8, 3), "y": torch.zeros(8)})
        8
    """
    sizes = {tensor.shape[0] for tensor in _tensors(batch) if tensor.ndim}
    if len(sizes) == 1:
        return int(sizes.pop())
    found = f"first dimensions {sorted(sizes)}" if sizes else f"no tensor with a dimension in {type(batch).__name__}"
    raise ValueError(
        f"The batch size is ambiguous ({found}), so the mean over the epoch cannot be weighted. "
        "Say it: self.log(..., batch_size=...)."
    )


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _tensors(value)
    elif isinstance(batch, Sequence) and not isinstance(batch, (str, bytes)):
        for value in batch:
            yield from _tensors(value)
    elif is_dataclass(batch):
        for field in fields(batch):
            yield from _tensors(getattr(batch, field.name))
