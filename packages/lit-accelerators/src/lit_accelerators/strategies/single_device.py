"""One process on one device."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.local import LocalEnvironment
from lit_accelerators.launchers.in_process import InProcessLauncher
from lit_accelerators.precision.base import Precision
from lit_accelerators.strategies._meta import settle
from lit_accelerators.strategies._whole_strategy import WholeStrategy
from lit_accelerators.strategies.base import GradientSync


class SingleDeviceStrategy(WholeStrategy):
    """One process on one device: what a bare loop does, and no more.

    Args:
        accelerator: the kind of device; the CPU by default.
        index: which one, an index from ``accelerator.parse_devices``.
        precision: 32-true by default.
        environment: where the rank comes from; must say that there is one process.

    Example:
        >>> import torch
        >>> strategy = SingleDeviceStrategy()
        >>> model = strategy.setup_module(torch.nn.Linear(2, 1))
        >>> step = strategy.setup_step(model, lambda batch: model(batch).sum())
        >>> strategy.backward(step(torch.ones(3, 2)))
        >>> model.bias.grad
        tensor([3.])
    """

    name = "single_device"

    def __init__(
        self,
        accelerator: Accelerator | None = None,
        index: int = 0,
        precision: Precision | None = None,
        environment: ClusterEnvironment | None = None,
    ) -> None:
        accelerator = CPUAccelerator() if accelerator is None else accelerator
        environment = LocalEnvironment() if environment is None else environment
        if environment.world_size != 1:
            raise ValueError(
                f"single_device is for one process, but this run has {environment.world_size}. Write strategy='ddp'."
            )
        super().__init__(accelerator, precision, environment, InProcessLauncher(), accelerator.device(index))
        self.plain = self.precision.plain

    def setup_environment(self) -> None:
        """Make the device the current one."""
        self.accelerator.setup_device(self.device)

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the device and convert it."""
        return self.precision.convert_module(settle(module, self.device, self.collectives))

    def setup_step(
        self,
        module: nn.Module,
        step: Callable[..., Any],
        *,
        gradient_sync: GradientSync | None = "step",
        gather_parts: bool = False,
        on_part: Callable[[float], None] | None = None,
    ) -> Callable[..., Any]:
        """Return ``step`` under the precision; ``step`` itself in full precision."""
        return self.precision.wrap_step(self.accelerator.wrap_step(step), self.device)

    def evaluation(self, module: nn.Module) -> AbstractContextManager[None]:
        """Do nothing: there is nobody to wait for."""
        return nullcontext()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass."""
        self.precision.backward(loss, *args, **kwargs)

    def no_sync(self) -> AbstractContextManager[None]:
        """Do nothing: there is nobody to synchronise with."""
        return nullcontext()

    def sync_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Do nothing: there is nobody to synchronise with."""

    def teardown(self) -> None:
        """Nothing to leave."""
