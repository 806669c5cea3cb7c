"""Mixed precision with float8: linear layers multiply 8-bit numbers, the rest is as with bfloat16."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from lit_accelerators.precision._autocast import backward_outside_autocast, in_autocast, step_and_forget_casts
from lit_accelerators.precision.base import Fn, Precision

_MULTIPLE = 16  # of the sizes of a layer: what the multiplication of 8-bit numbers on GPUs asks for
_SINCE = (8, 9)


class Float8Precision(Precision):
    """``"float8-mixed"``: the products of ``nn.Linear`` are of float8 numbers; all else is as in ``"bf16-mixed"``.

    torchao turns linear layers into ones that scale weights, inputs and gradients of outputs to the range of float8
    (e4m3 and, for gradients, e5m2), multiply those, and scale back. Parameters, optimizer and state dicts stay as they
    are, in float32. Layers whose sizes are no multiples of 16 stay as they are.

    It is for GPUs that have such products (compute capability 8.9 and newer: Ada, Hopper, Blackwell), and worth it for
    large layers under ``torch.compile``. Elsewhere the products are emulated: the same rounding, no speed; to try the
    code.

    Args:
        recipe: ``"tensorwise"`` (one scale for each tensor), ``"rowwise"`` or ``"rowwise_with_gw_hp"`` (one for each
            row, the last without float8 for the gradients of weights): slower and more accurate.
        skip: asked for the name and the module of each linear layer, whether it stays as it is; an output layer often
            should.

    Raises:
        ModuleNotFoundError: without torchao, the extra ``float8``.

    See Micikevicius et al., "FP8 Formats for Deep Learning" (2022), and ``torchao.float8``.
    """

    name = "float8-mixed"

    def __init__(self, recipe: str = "tensorwise", skip: Callable[[str, nn.Module], bool] | None = None) -> None:
        if find_spec("torchao") is None:
            raise ModuleNotFoundError(
                "precision='float8-mixed' needs torchao: pip install './packages/lit-accelerators[float8]'.",
                name="torchao",
            )
        self.recipe = recipe
        self._skip = skip

    def check_device(self, device: torch.device) -> None:
        """Refuse devices that have no float8 numbers, and GPUs whose arithmetic has not."""
        if device.type not in ("cuda", "cpu"):
            raise ValueError(
                f"precision='float8-mixed' works on CUDA GPUs, and emulated on the CPU, not on {device.type}. Write "
                "precision='bf16-mixed'."
            )
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < _SINCE:
            raise ValueError(
                f"precision='float8-mixed' needs a GPU of compute capability {_SINCE[0]}.{_SINCE[1]} or newer, "
                f"{torch.cuda.get_device_name(device)} has {torch.cuda.get_device_capability(device)}. Write "
                "precision='bf16-mixed'."
            )

    def building(self) -> AbstractContextManager[None]:
        """Do nothing: parameters are float32."""
        return nullcontext()

    def convert_module(self, module: nn.Module) -> nn.Module:
        """Turn the linear layers inside ``module`` into float8 ones, in place, with the same parameters.

        Raises:
            ValueError: if there is none that can be, and for a recipe that torchao does not know.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torchao's import, on what this machine lacks
            float8: Any = import_module("torchao.float8")  # an extra, which a type checker need not find
            layers: Any = import_module("torchao.float8.float8_linear")

        if any(isinstance(part, layers.Float8Linear) for part in module.modules()):
            return module
        config = float8.Float8LinearConfig.from_recipe_name(self.recipe)
        if not all(parameter.is_cuda or parameter.is_meta for parameter in module.parameters()):
            config = replace(config, emulate=True)
        converted: nn.Module = float8.convert_to_float8_training(module, config=config, module_filter_fn=self._takes)
        if not any(isinstance(part, layers.Float8Linear) for part in converted.modules()):
            raise ValueError(
                f"precision='float8-mixed': {type(module).__name__} has no nn.Linear whose sizes are multiples of "
                f"{_MULTIPLE}{' and which skip leaves' if self._skip else ''}. Write precision='bf16-mixed'."
            )
        return converted

    def _takes(self, module: nn.Module, name: str) -> bool:
        sizes = (getattr(module, "in_features", 1), getattr(module, "out_features", 1))
        fits = isinstance(module, nn.Linear) and all(size % _MULTIPLE == 0 for size in sizes)
        return fits and not (self._skip is not None and self._skip(name, module))

    def convert_batch(self, batch: Any) -> Any:
        """Return ``batch`` as it is: the layers convert."""
        return batch

    def wrap_step(self, step: Fn, device: torch.device) -> Fn:
        """Return ``step`` inside autocast with bfloat16, for what is not float8."""
        return in_autocast(step, device, torch.bfloat16)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Call ``loss.backward`` outside autocast, also when called from inside the step."""
        backward_outside_autocast(loss, *args, **kwargs)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Do nothing: the layers scale, and scale back."""

    def optimizer_step(self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        """Call ``optimizer.step``."""
        return step_and_forget_casts(optimizer, closure)

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save: scales are found anew for each product."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
