"""Giving every process the weights of rank 0."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lit_accelerators.collectives import Collectives


def broadcast_weights(module: nn.Module, collectives: Collectives, mesh: Any = None) -> None:
    """Overwrite parameters and buffers with those of rank 0; what is on the meta device stays there.

    Args:
        module: the module.
        collectives: of the processes.
        mesh: the ``DeviceMesh`` of all processes, where parameters may be sharded over some of its dimensions already:
            each part is then that of the first processes along the others.

    Raises:
        RuntimeError: if a parameter is lazy and not initialized yet.
        ValueError: in every process, if the modules are not alike; names the first difference. For parameters that are
            sharded over another mesh.
    """
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    tensors = {name: tensor for name, tensor in tensors.items() if not tensor.is_meta}
    lazy = [name for name, tensor in tensors.items() if is_lazy(tensor)]
    if lazy:
        raise RuntimeError(
            f"These parameters have no shape yet: {', '.join(lazy)}. Run one batch through the module before the run."
        )
    _check_alike(tensors, collectives)
    sharded = {name: tensor for name, tensor in tensors.items() if hasattr(tensor, "device_mesh")}
    if sharded:
        _broadcast_parts(sharded, mesh)
    _broadcast(tensor for name, tensor in tensors.items() if name not in sharded)


def broadcast_buffers(module: nn.Module) -> None:
    """Overwrite buffers with those of rank 0; one that is distributed over the processes stays as it is."""
    _broadcast(buffer for buffer in module.buffers() if not hasattr(buffer, "device_mesh"))


def _broadcast_parts(tensors: Mapping[str, Any], mesh: Any) -> None:
    dimensions: tuple[str, ...] = () if mesh is None else mesh.mesh_dim_names
    for name, tensor in tensors.items():
        if not set(tensor.device_mesh.mesh_dim_names or ("without name",)) <= set(dimensions):
            raise ValueError(
                f"{name} is sharded over {tensor.device_mesh}, which is no part of the mesh of this run. Shard it over "
                f"dimensions of self.device_mesh ({', '.join(dimensions) or 'there is none under this strategy'})."
            )
    for dimension in dimensions:
        same = [tensor.to_local() for tensor in tensors.values() if dimension not in _sharded_over(tensor)]
        _broadcast(same, mesh.get_group(dimension))


def _sharded_over(tensor: Any) -> set[str]:
    pairs = zip(tensor.device_mesh.mesh_dim_names, tensor.placements, strict=True)
    return {name for name, placement in pairs if not placement.is_replicate()}


def _broadcast(tensors: Iterable[Tensor], group: Any = None) -> None:
    pending = []
    for tensor in tensors:
        if tensor.numel() == 0 or tensor.layout != torch.strided:
            continue
        dense = tensor.detach().contiguous()
        # As bytes: back ends know only some dtypes.
        work = dist.broadcast(dense.reshape(-1).view(torch.uint8), group_src=0, group=group, async_op=True)
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
