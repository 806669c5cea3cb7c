"""One batch on several devices of one process: split, run part by part, put together."""

import functools
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree


def split_step(
    module: nn.Module,
    step: Callable[..., Any],
    devices: Sequence[torch.device],
    *,
    gather: bool,
    on_part: Callable[[float], None] | None = None,
) -> Callable[..., Any]:
    """Return ``step`` as one that splits its batch over ``devices``, the first of which holds ``module``.

    Args:
        module: replicated to the other devices at each call; used as it is where all devices are the same one.
        step: a bound method of ``module``; with one device, such as the CPU, any callable.
        devices: one per part.
        gather: results of all parts instead of their mean: see :func:`merge_parts`.
        on_part: called before each part with its share of the samples, and at last with 1.0.

    Raises:
        TypeError: if ``step`` is no method of ``module`` and must run on a replica.
    """
    replicated = len(set(devices)) > 1
    if replicated and getattr(step, "__self__", None) is not module:
        raise TypeError("With several GPUs strategy='dp' runs methods of the module only: give a bound method of it.")

    @functools.wraps(step)
    def step_by_parts(*args: Any, **kwargs: Any) -> Any:
        parts, sizes = split_arguments((args, kwargs), len(devices))
        steps = _on_replicas(module, step, devices[: len(parts)]) if replicated else [step] * len(parts)
        outputs = []
        try:
            for run, part, size, device in zip(steps, parts, sizes, devices, strict=False):
                if on_part is not None:
                    on_part(size / sum(sizes))
                part_args, part_kwargs = pytree.tree_map(functools.partial(_move, device=device), part)
                outputs.append(run(*part_args, **part_kwargs))
        finally:
            if on_part is not None:
                on_part(1.0)
        return merge_parts(outputs, sizes, gather=gather, device=devices[0])

    return step_by_parts


def _on_replicas(
    module: nn.Module, step: Callable[..., Any], devices: Sequence[torch.device]
) -> list[Callable[..., Any]]:
    replicas = nn.parallel.replicate(module, devices, detach=not torch.is_grad_enabled())
    return [MethodType(step.__func__, replica) for replica in replicas]  # type: ignore[attr-defined]


def split_arguments(arguments: Any, num_parts: int) -> tuple[list[Any], list[int]]:
    """Cut the tensors of a pytree along their first dimension; what is not as long as the first tensor goes to all.

    Returns:
        The parts, at most ``num_parts`` and none of them empty, and how many samples each has.

    Example:
        >>> parts, sizes = split_arguments({"x": torch.arange(5), "scale": 2.0}, 2)
        >>> parts[1], sizes
        ({'x': tensor([3, 4]), 'scale': 2.0}, [3, 2])
    """
    leaves, structure = pytree.tree_flatten(arguments)
    length = next((leaf.size(0) for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim() > 0), 0)
    if length < 2 or num_parts < 2:
        return [arguments], [max(length, 1)]
    sizes = [part.numel() for part in torch.arange(length).chunk(num_parts)]
    by_leaf = [
        leaf.split(sizes) if isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.size(0) == length else None
        for leaf in leaves
    ]
    parts = []
    for index in range(len(sizes)):
        chosen = [leaf if cut is None else cut[index] for leaf, cut in zip(leaves, by_leaf, strict=True)]
        parts.append(pytree.tree_unflatten(chosen, structure))
    return parts, sizes


def merge_parts(outputs: Sequence[Any], sizes: Sequence[int], *, gather: bool, device: torch.device) -> Any:
    """Put together what a step returned for the parts of one batch.

    Args:
        outputs: pytrees of one structure; a part that returned None is left out.
        sizes: samples of each part.
        gather: stack scalars, shape ``(num_parts,)``, instead of taking their mean weighted by ``sizes``.
        device: where the result goes.

    Tensors with one row per sample are concatenated, other tensors are treated as scalars are, other values are those
    of the first part.

    Raises:
        ValueError: if the structures differ.

    Example:
        >>> losses = [{"loss": torch.tensor(1.0)}, {"loss": torch.tensor(4.0)}]
        >>> merge_parts(losses, [2, 1], gather=False, device=torch.device("cpu"))
        {'loss': tensor(2.)}
        >>> merge_parts(losses, [2, 1], gather=True, device=torch.device("cpu"))
        {'loss': tensor([1., 4.])}
    """
    there = [(output, size) for output, size in zip(outputs, sizes, strict=True) if output is not None]
    if not there:
        return None
    flat = [pytree.tree_flatten(output) for output, _ in there]
    structure = flat[0][1]
    if any(other != structure for _, other in flat):
        raise ValueError(f"The step returned another structure for each part of a batch: {[s for _, s in flat]}.")
    sizes = [size for _, size in there]
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    return pytree.tree_unflatten([_merge_leaf(column, sizes, gather, device) for column in columns], structure)


def _merge_leaf(values: Sequence[Any], sizes: Sequence[int], gather: bool, device: torch.device) -> Any:
    first = values[0]
    if isinstance(first, bool) or not isinstance(first, Tensor | int | float):
        return first
    tensors = [v.to(device) if isinstance(v, Tensor) else torch.tensor(v, device=device) for v in values]
    if all(t.dim() > 0 and t.size(0) == size for t, size in zip(tensors, sizes, strict=True)):
        return torch.cat(tensors)
    if gather:
        return torch.stack(tensors)
    mean = sum(t * (size / sum(sizes)) for t, size in zip(tensors, sizes, strict=True))
    return mean if isinstance(first, Tensor) else float(mean)


def _move(leaf: Any, device: torch.device) -> Any:
    return leaf.to(device, non_blocking=True) if isinstance(leaf, Tensor) else leaf
