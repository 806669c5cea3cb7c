"""Batches of sequences cut along time, for truncated backpropagation through time."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lit_core.data.tree import detached


def split_time(batch: Any, steps: int) -> list[Any]:
    """Cut a batch of sequences ``(batch, time, ...)`` into splits of ``steps`` time steps; the last may be shorter.

    Tensors of at least two dimensions are cut along dimension 1, and so is each sequence in a list of them; everything
    else is in every split as it is.

    Raises:
        ValueError: if the sequences are of different length, or there is none.

    Example:
        >>> import torch
        >>> splits = split_time((torch.zeros(4, 5, 3), torch.zeros(4, 5), torch.ones(4)), 2)
        >>> [(x.shape, y.shape, z.shape) for x, y, z in splits][-1]
        (torch.Size([4, 1, 3]), torch.Size([4, 1]), torch.Size([4]))
    """
    lengths = _lengths(batch)
    if len(lengths) != 1:
        raise ValueError(
            f"truncated_bptt_steps cuts batches along time (dimension 1), but this batch has the lengths "
            f"{sorted(lengths)}: write tbptt_split_batch(self, batch, split_size) in the module."
        )
    return [_cut(batch, slice(begin, begin + steps)) for begin in range(0, lengths.pop(), steps)]


def detached_state(output: Any) -> Any:
    """The hidden state in what ``training_step`` returned, without its graph.

    Raises:
        TypeError: if there is none.
    """
    if isinstance(output, Mapping) and "hiddens" in output:
        return detached(output["hiddens"])
    if output is None:
        return None
    raise TypeError(
        "With truncated_bptt_steps training_step returns a dict with the keys 'loss' and 'hiddens' (the state that the "
        f"next split begins with), got {type(output).__name__}."
    )


def _lengths(batch: Any) -> set[int]:
    if isinstance(batch, Tensor):
        return {batch.shape[1]} if batch.ndim > 1 else set()
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    return set().union(*map(_lengths, batch)) if isinstance(batch, (list, tuple)) else set()


def _cut(batch: Any, part: slice) -> Any:
    if isinstance(batch, Tensor):
        return batch[:, part] if batch.ndim > 1 else batch
    if isinstance(batch, Mapping):
        return {key: _cut(value, part) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_cut(value, part) for value in batch))
    return type(batch)(_cut(value, part) for value in batch) if isinstance(batch, (list, tuple)) else batch
