"""Gradients that travel with fewer bits."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

CommHook = tuple[Any, Callable[..., Any]]
"""The arguments of ``DistributedDataParallel.register_comm_hook``: a state, and what is called with it."""

_FORMATS = {"fp16_compress": torch.float16, "bf16_compress": torch.bfloat16}


def make_comm_hook(hook: str | Callable[..., Any] | None, state: Any) -> CommHook | None:
    """The hook of a word, or the user's own with its state; None for none.

    Raises:
        ValueError: for a word that does not exist.
    """
    if hook is None:
        return None
    if callable(hook):
        return state, hook
    if hook not in _FORMATS:
        raise ValueError(
            f"ddp_comm_hook={hook!r} does not exist. There are: {', '.join(map(repr, _FORMATS))}; or give a hook of "
            "torch itself."
        )
    return _FORMATS[hook], _average_in_format


# The hooks of torch that do this refuse bfloat16 on the CPU.
def _average_in_format(
    dtype: torch.dtype,
    bucket: dist.GradBucket,  # type: ignore[name-defined] # torch exports it without saying so
) -> torch.futures.Future[Tensor]:
    whole: Tensor = bucket.buffer()
    small = whole.to(dtype).div_(dist.get_world_size())
    work = dist.all_reduce(small, async_op=True)

    def expand(future: torch.futures.Future[list[Tensor]]) -> Tensor:
        whole.copy_(future.value()[0])
        return whole

    pending: torch.futures.Future[list[Tensor]] = work.get_future()
    return pending.then(expand)
