"""What strategies that shard have in common: all but how processes and modules are set up."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators.precision.base import Precision
from lit_accelerators.strategies._processes import Processes
from lit_accelerators.strategies._same_weights import broadcast_buffers
from lit_accelerators.strategies._sharded import ShardedModules, check_state_type
from lit_accelerators.strategies.base import GradientSync, Strategy


class ShardedStrategy(Strategy):
    """A strategy whose processes keep parts of the modules that it was given; who derives from it sets them up.

    Args:
        processes: of the run.
        precision: 32-true for None.
        state_dict_type: whether states are gathered (``"full"``) or given in parts.

    Raises:
        ValueError: for a type of states that there is not.
    """

    def __init__(self, processes: Processes, precision: Precision | None, state_dict_type: str) -> None:
        super().__init__(processes.accelerator, precision, processes.environment, processes.launcher, processes.device)
        self.sharded_state = check_state_type(state_dict_type)
        self._processes = processes
        self._modules = ShardedModules(in_parts=self.sharded_state)

    def setup_step(
        self,
        module: nn.Module,
        step: Callable[..., Any],
        *,
        gradient_sync: GradientSync | None = "step",
        gather_parts: bool = False,
        on_part: Callable[[float], None] | None = None,
    ) -> Callable[..., Any]:
        """Return ``step`` under the precision; parameters are gathered where it uses them."""
        step = self.precision.wrap_step(step, self.device)
        return self._modules.setup_step(module, step, trains=gradient_sync is not None)

    def evaluation(self, module: nn.Module) -> AbstractContextManager[None]:
        """Inside, every process holds all that it uses; it waits for those with the same samples only.

        The buffers are those of process 0, which a checkpoint holds. In training each process updates running
        statistics by its own batches.
        """
        if self._processes.joined:
            broadcast_buffers(module)
        return self._modules.evaluation(module)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass; every process gets its part of the averaged gradients.

        With ``inputs``, parameters that optimizers hold, the gradients of the others stay as they are.
        """
        self._modules.backward(self.precision, loss, args, kwargs)

    def no_sync(self) -> AbstractContextManager[None]:
        """Do nothing: whole gradients would take the memory that sharding saves, so each backward pass averages."""
        return nullcontext()

    def sync_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Do nothing: each backward pass averages."""

    def teardown(self) -> None:
        """Leave the process group, if :meth:`setup_environment` made it."""
        self._processes.note_failure()
        self._modules.clear()
        self.collectives = self._processes.leave()
        self.device_mesh = None

    def module_state(self, module: nn.Module) -> dict[str, Any]:
        """The whole state dict of ``module`` on the CPU in process 0; empty in the others."""
        return self._modules.module_state(module, keep=self.is_global_zero)

    def load_module_state(self, module: nn.Module, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Load a whole state dict, of which each process keeps its part; the same in every process."""
        self._modules.load_module_state(module, state, strict=strict)

    def optimizer_state(self, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state dict of ``optimizer`` on the CPU in process 0; empty in the others."""
        return self._modules.optimizer_state(optimizer, keep=self.is_global_zero)

    def load_optimizer_state(self, module: nn.Module, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Load a whole state dict, of which each process keeps its part; the same in every process."""
        self._modules.load_optimizer_state(optimizer, state)

    def gradient_state(self, module: nn.Module) -> dict[str, Tensor]:
        """This process's part of the gradients."""
        return self._modules.gradient_state(module)

    def load_gradient_state(self, module: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put back this process's part of the gradients."""
        self._modules.load_gradient_state(module, state)
