"""Clipping by norm where processes hold parts of the gradients."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def clip_norm(parameters: Sequence[Tensor], max_norm: float, norm_type: float) -> Tensor:
    """Clip gradients, of which processes may hold parts, by their total norm; returns the norm before.

    Parameters may be sharded over different dimensions of a mesh, or not at all; one that several processes hold
    counts once.
    """
    if not any(hasattr(p.grad, "full_tensor") for p in parameters):
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=norm_type)
    by_mesh: dict[Any, list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            by_mesh[getattr(parameter.grad, "device_mesh", None)].append(parameter.grad)
    # torch takes no norm of tensors that lie on different meshes.
    norms = [_whole(nn.utils.get_total_norm(grads, norm_type)) for grads in by_mesh.values()]
    total = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), norm_type)
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)  # as nn.utils.clip_grad_norm_
    for grads in by_mesh.values():
        torch._foreach_mul_([_own(grad) for grad in grads], factor)
    return total


def _whole(tensor: Any) -> Tensor:
    whole: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return whole


def _own(grad: Any) -> Tensor:
    own: Tensor = grad.to_local() if hasattr(grad, "to_local") else grad
    return own
