"""Processes as a grid: along one dimension they have other samples, along the other one another part of the model."""

from typing import Any, Literal

import torch

from lit_accelerators.environments.base import ClusterEnvironment

MeshSize = int | Literal["auto"]

DATA, TENSOR = "data_parallel", "tensor_parallel"
"""Names of the dimensions of a device mesh."""


def mesh_shape(environment: ClusterEnvironment, data: MeshSize, tensor: MeshSize) -> tuple[int, int]:
    """Processes along the data-parallel and the tensor-parallel dimension.

    Args:
        environment: of the run.
        data: ``"auto"``: what ``tensor`` leaves.
        tensor: ``"auto"``: what ``data`` leaves; the processes of a node, where both are ``"auto"``.

    Raises:
        ValueError: if the product is not the number of processes.

    Example:
        >>> from lit_accelerators import LocalEnvironment
        >>> mesh_shape(LocalEnvironment(4), "auto", "auto"), mesh_shape(LocalEnvironment(4), "auto", 2)
        ((1, 4), (2, 2))
    """
    world = environment.world_size
    for name, size in (("data_parallel_size", data), ("tensor_parallel_size", tensor)):
        if size != "auto" and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(f"{name} must be 'auto' or a whole number of at least 1, got {size!r}.")
        if size != "auto" and world % size:
            raise ValueError(
                f"{name}={size}, but {world} processes are no multiple of it. Possible sizes: {divisors(world)}."
            )
    if data == "auto":
        size = environment.local_world_size if tensor == "auto" else tensor
        return world // size, size
    size = world // data if tensor == "auto" else tensor
    if data * size != world:
        raise ValueError(
            f"data_parallel_size={data} times tensor_parallel_size={size} is {data * size}, but there are {world} "
            f"processes. Write tensor_parallel_size={world // data}, or 'auto'."
        )
    return data, size


def hybrid_shape(environment: ClusterEnvironment, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Copies of the model, and processes that share one; by default each node holds a copy.

    Raises:
        ValueError: if ``shape`` is no such pair for the number of processes.
    """
    world = environment.world_size
    if shape is None:
        return world // environment.local_world_size, environment.local_world_size
    sizes = tuple(shape)
    if len(sizes) != 2 or not all(isinstance(n, int) and n > 0 for n in sizes) or sizes[0] * sizes[1] != world:
        raise ValueError(
            f"device_mesh={shape!r} must be (copies of the model, processes that share one), whose product is the "
            f"number of processes, {world}."
        )
    return sizes[0], sizes[1]


def make_mesh(device: torch.device, shape: tuple[int, ...], names: tuple[str, ...]) -> Any:
    """A ``DeviceMesh`` of all processes; called in each of them, after they have joined."""
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh(device.type, shape, mesh_dim_names=names)


def divisors(number: int) -> str:
    """The divisors of a number, as text.

    Example:
        >>> divisors(6)
        '1, 2, 3, 6'
    """
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)
