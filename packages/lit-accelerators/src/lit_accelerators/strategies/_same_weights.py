"""Giving every process the weights of rank 0."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lit_accelerators.collectives import Collectives


def broadcast_weights(module: nn.Module, collectives: Collectives) -> None:
    """Overwrite parameters and buffers with those of rank 0.

    Raises:
        RuntimeError: if a parameter is lazy and not initialized yet.
        ValueError: in every process, if the modules are not alike; names the first difference.
    """
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    lazy = [name for name, tensor in tensors.items() if is_lazy(tensor)]
    if lazy:
        raise RuntimeError(
            f"These parameters have no shape yet: {', '.join(lazy)}. Run one batch through the module before the run."
        )
    _check_alike(tensors, collectives)
    _broadcast(tensors.values())


def broadcast_buffers(module: nn.Module) -> None:
    """Overwrite buffers with those of rank 0."""
    _broadcast(module.buffers())


def _broadcast(tensors: Iterable[Tensor]) -> None:
    pending = []
    for tensor in tensors:
        if tensor.numel() == 0 or tensor.layout != torch.strided:
            continue
        dense = tensor.detach().contiguous()
        # As bytes: back ends know only some dtypes.
        work = dist.broadcast(dense.reshape(-1).view(torch.uint8), src=0, async_op=True)
        pending.append((work, tensor.detach(), dense))
    for work, tensor, dense in pending:
        work.wait()
        if dense.data_ptr() != tensor.data_ptr():
            tensor.copy_(dense)


def _check_alike(tensors: dict[str, Tensor], collectives: Collectives) -> None:
    described = [f"{name}: {str(tensor.dtype)[6:]}{list(tensor.shape)}" for name, tensor in tensors.items()]
    first, *others = collectives.all_gather_object(described)
    for rank, other in enumerate(others, start=1):
        if other != first:
            ours, theirs = next(
                (pair for pair in zip(first, other, strict=False) if pair[0] != pair[1]),
                (f"{len(first)} tensors", f"{len(other)} tensors"),
            )
            raise ValueError(f"The module differs between processes: rank 0 has {ours}, rank {rank} has {theirs}.")
