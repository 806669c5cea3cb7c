"""One number format for everything: float64, float16 or bfloat16."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from lit_accelerators.precision._batch import to_dtype
from lit_accelerators.precision.base import Fn, Precision

_NAMES = {torch.float64: "64-true", torch.float16: "16-true", torch.bfloat16: "bf16-true"}


class TruePrecision(Precision):
    """``"64-true"``, ``"16-true"``, ``"bf16-true"``: parameters, buffers, batches, activations, gradients, optimizer.

    The floating-point tensors of the module and of batches are converted; integers and complex numbers stay. Tensors
    that the step makes itself (``torch.zeros(3)``) have the format too: it is torch's default inside the step and the
    backward pass, and what it was before outside of them. The default belongs to the whole process, so a thread
    that makes tensors at the same time sees it.

    float16 keeps 11 bits and nothing below 6e-8 or above 65504, and no loss scale helps here: the optimizer's own
    arithmetic is float16 too. For training prefer ``"16-mixed"``, or ``"bf16-true"``, which has float32's range and 8
    bits.

    Args:
        dtype: ``torch.float64``, ``torch.float16`` or ``torch.bfloat16``.

    Raises:
        ValueError: for another dtype.

    Example:
        >>> import torch
        >>> precision = TruePrecision(torch.float64)
        >>> model = precision.convert_module(torch.nn.Linear(2, 1))
        >>> batch = precision.convert_batch({"x": torch.ones(1, 2), "label": torch.tensor(3)})
        >>> model(batch["x"]).dtype, batch["label"].dtype
        (torch.float64, torch.int64)
    """

    converts_batch = True

    def __init__(self, dtype: torch.dtype) -> None:
        if dtype not in _NAMES:
            known = ", ".join(map(str, _NAMES))
            raise ValueError(f"dtype must be one of {known}, got {dtype}. For float32 use precision='32-true'.")
        self.dtype = dtype
        self.name = _NAMES[dtype]

    def check_device(self, device: torch.device) -> None:
        """Refuse float64 on the GPU of Apple silicon, which has no such numbers."""
        if self.dtype is torch.float64 and device.type == "mps":
            raise ValueError("precision='64-true', but mps has no float64. Write accelerator='cpu', or '32-true'.")

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse an ``eps`` that is zero in float16: Adam and its kind would divide by zero."""
        for group in optimizer.param_groups:
            eps = group.get("eps")
            if self.dtype is torch.float16 and isinstance(eps, float) and eps > 0 and not torch.tensor(eps).half():
                raise ValueError(
                    f"precision='16-true' and {type(optimizer).__name__} with eps={eps}: that is zero in float16, so "
                    "weights would become infinite or NaN. Write eps=1e-4, or precision='16-mixed'."
                )

    def building(self) -> AbstractContextManager[None]:
        """Inside, the default dtype is this one."""
        return _default_dtype(self.dtype)

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Convert the floating-point parameters and buffers of ``module``."""
        if self.dtype is torch.float64:
            return module.double()
        # Module.to(dtype) would drop the imaginary part of complex parameters; these do not touch them.
        return module.half() if self.dtype is torch.float16 else module.bfloat16()

    def convert_batch(self, batch: Any) -> Any:
        """Convert the floating-point tensors of ``batch``, any pytree."""
        return to_dtype(batch, self.dtype)

    def wrap_step(self, step: Fn, device: torch.device) -> Fn:
        """Return ``step`` with this default dtype."""

        @functools.wraps(step)
        def step_in_dtype(*args: Any, **kwargs: Any) -> Any:
            with _default_dtype(self.dtype):
                return step(*args, **kwargs)

        return cast("Fn", step_in_dtype)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Call ``loss.backward`` with this default dtype: activation checkpointing runs the step again in there."""
        with _default_dtype(self.dtype):
            loss.backward(*args, **kwargs)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: gradients have their true size."""

    def optimizer_step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        """Call ``optimizer.step``."""
        return optimizer.step() if closure is None else optimizer.step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
