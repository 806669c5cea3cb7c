"""The contract of a strategy: where a module lives and how processes work on it together."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators.collectives import Collectives, LocalCollectives
from lit_accelerators.devices.base import Accelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.launchers.base import Launcher
from lit_accelerators.precision.base import Precision
from lit_accelerators.precision.full import FullPrecision
from lit_accelerators.strategies._clipping import clip_norm
from lit_accelerators.strategies._once import OncePerSample

GradientSync = Literal["step", "backward"]


class Strategy(ABC):
    """Composes an accelerator, a precision, an environment and a launcher into one way of running.

    Life of one process::

        strategy.launcher.launch(main)         # once, in the starting process; main runs in every process:
            strategy.setup_environment()       # claim the device, join the others
            strategy.setup_module(module)      # move, convert, shard
            step = strategy.setup_step(module, module.training_step)
            for batch in loader:
                loss = step(batch)             # the user's forward pass, under precision and gradient sync
                strategy.backward(loss)
                precision.optimizer_step(optimizer)
            strategy.teardown()

    Implementations are final: a variation is another composition, never an override of a concrete method.

    Args:
        accelerator: the kind of device.
        precision: 32-true for None.
        environment: where the ranks come from.
        launcher: how the processes come to be.
        device: of this process.
    """

    accelerator: Accelerator
    precision: Precision
    environment: ClusterEnvironment
    launcher: Launcher
    collectives: Collectives
    """Of one process until :meth:`setup_environment` has run."""

    device: torch.device
    """Of this process; known from construction on."""

    name: str
    """The word that chooses it: ``"single_device"``, ``"ddp"``."""

    one_process_per_node: bool = False
    """Whether the devices of a node belong to one process, instead of one process each."""

    device_mesh: Any = None
    """The ``torch.distributed.device_mesh.DeviceMesh`` of all processes, where the strategy has one and they joined."""

    model_parallel_size: int = 1
    """Processes, consecutive in rank, that see the same samples and share the work on them."""

    plain: bool = False
    """Whether ``loss.backward()`` and ``optimizer.step()`` are all there is to do: a loop may call them itself."""

    sharded_state: bool = False
    """Whether :meth:`module_state` and :meth:`optimizer_state` give distributed tensors, to each process its parts."""

    def __init__(
        self,
        accelerator: Accelerator,
        precision: Precision | None,
        environment: ClusterEnvironment,
        launcher: Launcher,
        device: torch.device,
    ) -> None:
        self.accelerator = accelerator
        self.precision = FullPrecision() if precision is None else precision
        self.environment = environment
        self.launcher = launcher
        self.device = device
        self.collectives = LocalCollectives(device)

    # Life ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def setup_environment(self) -> None:
        """Claim this process's device and join the others; safe to call again."""

    @abstractmethod
    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move, convert and, where the strategy shards, shard ``module`` in place; optimizers are made after this."""

    @abstractmethod
    def setup_step(
        self,
        module: nn.Module,
        step: Callable[..., Any],
        *,
        gradient_sync: GradientSync | None = "step",
        gather_parts: bool = False,
        on_part: Callable[[float], None] | None = None,
    ) -> Callable[..., Any]:
        """Return ``step`` (a bound method of ``module``) as it must be called.

        Args:
            module: what :meth:`setup_module` was given.
            step: the forward pass; called with the arguments that the returned callable gets.
            gradient_sync: ``"step"``: each call of the step is followed by one :meth:`backward` from its result;
                ``"backward"``: any number of backward passes per step, each through :meth:`backward` (manual
                optimization, several losses); ``None``: no gradients (evaluation).
            gather_parts: where the strategy splits a batch over devices, give the results of all parts, scalars
                stacked and batches concatenated, as a ``training_step_end`` expects them; else scalars are averaged,
                weighted by the size of the parts. Without effect where nothing is split.
            on_part: where the strategy splits a batch, called before each part with its share of the samples, and after
                the last part with 1.0.
        """

    @abstractmethod
    def evaluation(self, module: nn.Module) -> AbstractContextManager[None]:
        """Inside, evaluation steps wait for no other process: each may run another number of them.

        Entered and left by every process. Parameters must not be changed inside.
        """

    @abstractmethod
    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass under the precision; afterwards gradients are the same in every process."""

    @abstractmethod
    def no_sync(self) -> AbstractContextManager[None]:
        """Inside, backward passes need not exchange gradients (all but the last of an accumulation group).

        The next backward pass outside, or :meth:`sync_gradients`, averages the sum of what was kept.
        """

    @abstractmethod
    def sync_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Average the gradients that backward passes inside :meth:`no_sync` kept, where none outside follows."""

    @abstractmethod
    def teardown(self) -> None:
        """Leave the process group; safe to call again, also after a failure."""

    # State --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def module_state(self, module: nn.Module) -> dict[str, Any]:
        """The module's whole state dict, without prefixes of any wrapper; called in every process.

        Whole in process 0; where the strategy shards, empty in the others, or with :attr:`sharded_state` the live
        distributed tensors in each.
        """

    @abstractmethod
    def load_module_state(self, module: nn.Module, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Load a whole state dict, before or after :meth:`setup_module`; called in every process, with the same."""

    @abstractmethod
    def optimizer_state(self, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's whole state dict; called in every process, and whole where :meth:`module_state` is."""

    @abstractmethod
    def load_optimizer_state(self, module: nn.Module, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Load a whole state dict, of any strategy; called in every process, with the same."""

    @abstractmethod
    def gradient_state(self, module: nn.Module) -> dict[str, Tensor]:
        """What this process holds of the gradients, by name of the parameter: for a checkpoint inside a group."""

    @abstractmethod
    def load_gradient_state(self, module: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`gradient_state` gave to this process, in a run of the same world size."""

    # Final: the same for every strategy -----------------------------------------------------------------------------

    @property
    def world_size(self) -> int:
        """Processes in the run."""
        return self.environment.world_size

    @property
    def global_rank(self) -> int:
        """Of this process."""
        return self.environment.global_rank

    @property
    def local_rank(self) -> int:
        """Of this process within its node."""
        return self.environment.local_rank

    @property
    def is_global_zero(self) -> bool:
        """Whether this process is the one that writes."""
        return self.environment.global_rank == 0

    @property
    def data_world_size(self) -> int:
        """Into how many parts the samples are dealt."""
        return self.environment.world_size // self.model_parallel_size

    @property
    def data_rank(self) -> int:
        """Which part of the samples this process sees; the same as that of the others it shares the work with."""
        return self.environment.global_rank // self.model_parallel_size

    @property
    def speaks_for_samples(self) -> bool:
        """Whether this process is the first of those that see its samples: what they count, counts here."""
        return self.environment.global_rank % self.model_parallel_size == 0

    @property
    def data_collectives(self) -> Collectives:
        """For what is counted over samples: every process takes part, and each sample counts once."""
        if self.model_parallel_size == 1:
            return self.collectives
        return OncePerSample(self.collectives, self.model_parallel_size)

    def clip_gradients(
        self,
        optimizer: Optimizer,
        *,
        max_norm: float | None = None,
        clip_value: float | None = None,
        norm_type: float = 2.0,
        parameters: Iterable[Tensor] | None = None,
    ) -> Tensor | None:
        """Clip the gradients of ``optimizer`` by total norm or by value; returns the norm before clipping.

        Raises:
            ValueError: if both or neither of ``max_norm`` and ``clip_value`` are given, or one is not positive.
        """
        if (max_norm is None) == (clip_value is None):
            raise ValueError(
                f"Give exactly one of max_norm and clip_value, got max_norm={max_norm}, clip_value={clip_value}."
            )
        limit = max_norm if max_norm is not None else clip_value
        if limit is None or not limit > 0:
            raise ValueError(f"A clipping bound must be positive, got {limit}.")
        self.precision.unscale(optimizer)
        chosen = list(parameters) if parameters is not None else optimizer_parameters(optimizer)
        if clip_value is not None:
            nn.utils.clip_grad_value_(chosen, clip_value)
            return None
        return clip_norm(chosen, limit, norm_type)


def optimizer_parameters(optimizer: Optimizer) -> list[Tensor]:
    """All parameters of an optimizer, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
