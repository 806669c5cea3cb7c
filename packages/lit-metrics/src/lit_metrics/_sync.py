"""Synchronisation across processes; the only file that knows `torch.distributed`.

All states of all metrics travel together, whatever their number: one fixed-size header, one padded gather of bytes in
which every tensor carries its own dtype and shape, and, for large integer counts only, one all-reduce. A process
without data sends what it has; nothing waits at a barrier. The reductions run locally, in the order of the ranks, so
that every process gets the same bits.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lit_metrics._state import Reduction, StateValue

GatherFn = Callable[..., list[Tensor]]

_LARGE_BYTES = 1 << 16
_DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
)
_DTYPE_CODES = {dtype: code for code, dtype in enumerate(_DTYPES)}


@dataclass
class Bundle:
    """The states of one metric: how many updates they hold, and each value with its reduction."""

    count: int
    entries: list[tuple[StateValue, Reduction]]


def is_available() -> bool:
    """Returns whether a default process group of more than one process exists."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def gloo_group(store: str, rank: int, world_size: int) -> Iterator[None]:
    """Makes this process one of `world_size` that find each other by the file `store`; for tests."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def sync_states(bundles: Sequence[Bundle], group: Any = None, gather: GatherFn | None = None) -> list[Bundle]:
    """Reduces the states of all processes; every process of the group must call it with the same metrics.

    Args:
        bundles: States of one or more metrics.
        group: Process group; `None` is the default one.
        gather: Own gather function `fn(tensor, group=...)`; it is called once per state.

    Returns:
        The reduced states, in new objects, on the devices of the local ones.

    Raises:
        RuntimeError: On every process, if the processes hold different metrics.
    """
    if gather is not None:
        return [_gather_each(bundle, group, gather) for bundle in bundles]
    local = [_pack(bundle) for bundle in bundles]
    large = [
        (i, j)
        for i, bundle in enumerate(bundles)
        for j, (value, reduce) in enumerate(bundle.entries, start=1)
        if reduce == "sum" and isinstance(value, Tensor) and value.dtype == torch.int64 and value.nbytes > _LARGE_BYTES
    ]
    payload = _encode(local, skip=large)
    shapes = zlib.crc32(repr([(i, j, local[i][j][0].shape) for i, j in large]).encode())
    rows = [row.tolist() for row in _all_gather(torch.tensor([_fingerprint(bundles), shapes, payload.numel()]), group)]
    if len({row[0] for row in rows}) > 1:
        raise RuntimeError("the processes hold different metrics or states; build the same metrics on every process")
    lengths = [row[2] for row in rows]
    if len({row[1] for row in rows}) > 1:  # a process without data has no shape yet: no all-reduce this time
        large, payload = [], _encode(local, skip=[])
        lengths = [int(row) for row in _all_gather(torch.tensor([payload.numel()]), group)]
    padded = torch.cat([payload, payload.new_zeros(max(lengths) - payload.numel())])
    ranks = [_decode(row, [len(slots) for slots in local]) for row in _all_gather(padded, group)]
    sums = _all_reduce([local[i][j][0] for i, j in large], group)
    for (i, j), total in zip(large, sums, strict=True):
        for rank, states in enumerate(ranks):
            states[i][j] = [total] if rank == 0 else []
    return [_reduce(bundle, [rank[i] for rank in ranks]) for i, bundle in enumerate(bundles)]


def _fingerprint(bundles: Sequence[Bundle]) -> int:
    text = repr(
        [[(isinstance(v, list), r if isinstance(r, str) else callable(r)) for v, r in b.entries] for b in bundles]
    )
    return zlib.crc32(text.encode())


def _pack(bundle: Bundle) -> list[list[Tensor]]:
    """Returns the tensors to send, slot by slot: the count, then each state (a "cat" list as one tensor)."""
    slots = [[torch.tensor(bundle.count)]]
    for value, reduce in bundle.entries:
        if isinstance(value, Tensor):
            slots.append([value])
        elif reduce == "cat" and value:
            slots.append([torch.cat([torch.atleast_1d(entry) for entry in value])])
        else:
            slots.append(list(value))
    return slots


def _encode(local: list[list[list[Tensor]]], skip: Sequence[tuple[int, int]]) -> Tensor:
    """Returns bytes: length of the table, the table (per slot: tensors; per tensor: dtype, ndim, dims), the data."""
    table: list[int] = []
    data: list[Tensor] = []
    for i, slots in enumerate(local):
        for j, slot in enumerate(slots):
            tensors = [] if (i, j) in skip else slot
            table.append(len(tensors))
            for tensor in tensors:
                table += [_DTYPE_CODES[tensor.dtype], tensor.ndim, *tensor.shape]
                data.append(_bytes(tensor.cpu()))
    return torch.cat([_bytes(torch.tensor([len(table), *table])), *data])


def _decode(row: Tensor, num_slots: list[int]) -> list[list[list[Tensor]]]:
    """Inverse of `_encode`."""
    length = int(row[:8].clone().view(torch.int64))
    table = iter(row[8 : 8 + 8 * length].clone().view(torch.int64).tolist())
    at = 8 + 8 * length
    states = []
    for num in num_slots:
        slots = []
        for _ in range(num):
            tensors = []
            for _ in range(next(table)):
                dtype, ndim = _DTYPES[next(table)], next(table)
                shape = [next(table) for _ in range(ndim)]
                size = math.prod(shape) * dtype.itemsize
                tensors.append(row[at : at + size].clone().view(dtype).view(shape))
                at += size
            slots.append(tensors)
        states.append(slots)
    return states


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().view(-1).view(torch.uint8)


def _reduce(bundle: Bundle, ranks: list[list[list[Tensor]]]) -> Bundle:
    """Reduces one metric's slots as received from all ranks."""
    counts = [int(slots[0][0]) for slots in ranks]
    entries: list[tuple[StateValue, Reduction]] = []
    for j, (value, reduce) in enumerate(bundle.entries, start=1):
        received = [slots[j] for slots in ranks]
        if isinstance(value, list):
            entries.append((_reduce_lists(reduce, received, value), reduce))
        else:
            parts = [slot[0] for slot in received if slot]
            entries.append((_reduce_tensors(reduce, parts, counts).to(value.device), reduce))
    return Bundle(sum(counts), entries)


def _reduce_lists(reduce: Reduction, received: list[list[Tensor]], local: list[Tensor]) -> list[Tensor]:
    device = local[0].device if local else None
    parts = [tensor if device is None else tensor.to(device) for slot in received for tensor in slot]
    if reduce == "cat":
        parts = [part for part in parts if part.numel()] or parts[:1]
        return [torch.cat(parts)] if parts else []
    if callable(reduce):
        result = reduce(parts)
        return list(result) if isinstance(result, (list, tuple)) else [result]
    return parts


def _reduce_tensors(reduce: Reduction, parts: list[Tensor], counts: list[int]) -> Tensor:
    # Shape (0,) is a process that has not learnt its shape yet: the identity of every reduction but None.
    known = [i for i, part in enumerate(parts) if part.shape != (0,)]
    if reduce is not None and known:
        parts, counts = [parts[i] for i in known], [counts[i] for i in known] if counts else counts
    if len({part.shape for part in parts}) > 1 and reduce != "cat":
        raise RuntimeError(f"the processes hold one state in different shapes: {[tuple(part.shape) for part in parts]}")
    if reduce == "cat":
        return torch.cat([torch.atleast_1d(part) for part in parts])
    dtype = functools.reduce(torch.promote_types, [part.dtype for part in parts])
    stacked = torch.stack([part.to(dtype) for part in parts])
    if reduce == "sum":
        return stacked.sum(0, dtype=dtype)
    if reduce == "max":
        return stacked.amax(0)
    if reduce == "min":
        return stacked.amin(0)
    if reduce == "mean":
        if len(counts) != len(parts) or sum(counts) == 0:
            return stacked.mean(0)
        weights = torch.tensor(counts, dtype=dtype, device=stacked.device).view(-1, *[1] * (stacked.ndim - 1))
        return torch.where(weights > 0, stacked * weights, 0).sum(0) / sum(counts)
    if reduce is None:
        return stacked
    return torch.as_tensor(reduce(stacked))


def _gather_each(bundle: Bundle, group: Any, gather: GatherFn) -> Bundle:
    """Synchronises with the user's own gather function, state by state; counts stay local."""
    entries: list[tuple[StateValue, Reduction]] = []
    for (value, reduce), slot in zip(bundle.entries, _pack(bundle)[1:], strict=True):
        received = [list(gather(tensor, group=group)) for tensor in slot]
        if isinstance(value, list):
            by_rank = [list(tensors) for tensors in zip(*received, strict=True)]
            entries.append((_reduce_lists(reduce, by_rank, value), reduce))
        else:
            entries.append((_reduce_tensors(reduce, received[0], []), reduce))
    return Bundle(bundle.count, entries)


def _wire_device(group: Any) -> torch.device:
    backend = dist.get_backend(group)
    return torch.device("cuda", torch.cuda.current_device()) if backend == "nccl" else torch.device("cpu")


def _all_gather(tensor: Tensor, group: Any) -> list[Tensor]:
    sent = tensor.to(_wire_device(group))
    rows = [torch.empty_like(sent) for _ in range(dist.get_world_size(group))]
    dist.all_gather(rows, sent, group=group)
    return [row.cpu() for row in rows]


def _all_reduce(tensors: list[Tensor], group: Any) -> list[Tensor]:
    if not tensors:
        return []
    total = torch.cat([tensor.reshape(-1).to(_wire_device(group)) for tensor in tensors])
    dist.all_reduce(total, group=group)
    parts = total.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape).to(tensor.device) for part, tensor in zip(parts, tensors, strict=True)]
