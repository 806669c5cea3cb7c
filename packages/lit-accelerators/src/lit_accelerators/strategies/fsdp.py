"""Every process holds a part of the module; parameters are gathered where they are used."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_accelerators.collectives import LocalCollectives
from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.precision.base import Precision
from lit_accelerators.precision.full import FullPrecision
from lit_accelerators.strategies._processes import START_SUFFIXES, Processes, StartMethod
from lit_accelerators.strategies._same_weights import broadcast_weights
from lit_accelerators.strategies._state import (
    deal_like,
    deal_optimizer_state,
    gather_tree,
    gradients_of,
    load_module_without_wrappers,
    module_state_without_wrappers,
)
from lit_accelerators.strategies._wrapping import WrapPolicy, choose_units
from lit_accelerators.strategies.base import GradientSync, Strategy

_SINCE = (2, 8)


class FSDPStrategy(Strategy):
    """Parameters, gradients and optimizer states are sharded over the processes; each sees its own batches.

    A step is that of :class:`DDPStrategy` and of one process with all the samples, up to the order of summation. Each
    *unit* (a part of the module) is gathered right before its forward and its backward pass and freed after it; what
    is in no unit is gathered for the whole step. An evaluation gathers the whole module once, so processes may
    evaluate different numbers of batches.

    Optimizers are made after :meth:`setup_module`, of the parameters that the module has then.

    Args:
        accelerator: the kind of device; the CPU by default.
        indices: of the devices on this node, one process each.
        precision: 32-true by default. ``"bf16-mixed"`` is autocast as everywhere: parameters travel as float32.
        environment: where the ranks come from; our own launchers by default.
        start: how processes come to be, as in :class:`DDPStrategy`.
        num_nodes: nodes in the run.
        timeout: how long a process waits for the others before it fails.
        wrap: which modules are units: those with at least so many parameters (a number), those of the given classes or
            names of classes (``["Block"]``), or those for which a function says True. A module that others use without
            calling it, or that shares parameters with modules outside of it, cannot be one.
        reshard_after_forward: whether units are freed between forward and backward pass: less memory, one more gather.
        cpu_offload: keep parameters, gradients and optimizer states in the memory of the host; not on the CPU.
        mixed_precision: a ``torch.distributed.fsdp.MixedPrecisionPolicy``, to gather and reduce in other number formats
            than those of the parameters.

    Raises:
        ValueError: for options that do not work together.
        RuntimeError: where torch is older than 2.8.

    Example:
        >>> strategy = FSDPStrategy(indices=[0, 1], start="fork", wrap=["TransformerEncoderLayer"])
        >>> strategy.name, strategy.world_size
        ('fsdp_fork', 2)

    See Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel" (VLDB 2023), and ``fully_shard``
    in the documentation of torch.
    """

    def __init__(
        self,
        accelerator: Accelerator | None = None,
        indices: Sequence[int] = (0,),
        precision: Precision | None = None,
        environment: ClusterEnvironment | None = None,
        *,
        start: StartMethod = "script",
        num_nodes: int = 1,
        timeout: timedelta = timedelta(minutes=30),
        wrap: WrapPolicy = 1_000_000,
        reshard_after_forward: bool = True,
        cpu_offload: bool = False,
        mixed_precision: Any = None,
    ) -> None:
        if _version_of(torch.__version__) < _SINCE:
            raise RuntimeError(f"strategy='fsdp' needs torch >= 2.8, this is torch {torch.__version__}.")
        self.accelerator = CPUAccelerator() if accelerator is None else accelerator
        if cpu_offload and self.accelerator.name == "cpu":
            raise ValueError("cpu_offload=True with accelerator='cpu': parameters are in the host's memory anyway.")
        kind = self.accelerator.name
        self._processes = Processes(
            self.accelerator,
            indices,
            environment,
            start=start,
            num_nodes=num_nodes,
            timeout=timeout,
            backend=f"cpu:gloo,{kind}:{self.accelerator.process_group_backend}" if cpu_offload else None,
        )
        self.name = f"fsdp{START_SUFFIXES[start]}"
        self.precision = FullPrecision() if precision is None else precision
        self.environment = self._processes.environment
        self.launcher = self._processes.launcher
        self.device = self._processes.device
        self.collectives = LocalCollectives(self.device)
        self._wrap = wrap
        self._keep_gathered = not reshard_after_forward
        self._cpu_offload = cpu_offload
        self._mixed_precision = mixed_precision
        self._modules: dict[nn.Module, Any] = {}
        """Each a ``ShardedModule``, whose import is slow."""

    def setup_environment(self) -> None:
        """Claim the device of this rank and form the process group."""
        if not self._processes.joined:
            self.collectives = self._processes.join()
            self.device = self._processes.device

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the device, convert it, give it the weights of rank 0, and shard it in place.

        A module that was set up before stays as it is.
        """
        self._processes.require_joined("setup_module")
        if module in self._modules:
            return module
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import CPUOffloadPolicy

        from lit_accelerators.strategies._shards import ShardedModule

        units = choose_units(module, self._wrap)
        module = self.precision.convert_module(module.to(self.device))
        broadcast_weights(module, self.collectives)
        options: dict[str, Any] = {"mesh": init_device_mesh(self.device.type, (self.world_size,))}
        if self._cpu_offload:
            options["offload_policy"] = CPUOffloadPolicy()
        if self._mixed_precision is not None:
            options["mp_policy"] = self._mixed_precision
        self._modules[module] = ShardedModule(module, units, keep_gathered=self._keep_gathered, options=options)
        return module

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
        sharded = self._modules[module]
        if gradient_sync is None:
            sharded.begin_evaluation()
            return step

        @functools.wraps(step)
        def sharded_step(*args: Any, **kwargs: Any) -> Any:
            return sharded.run(step, *args, **kwargs)

        return sharded_step

    def evaluation(self, module: nn.Module) -> AbstractContextManager[None]:
        """Inside, every process holds the whole module."""
        return self._evaluation(module)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass; every process gets its part of the averaged gradients.

        Raises:
            ValueError: for ``inputs``: the graph ends at the gathered parameters, not at those that optimizers hold.
        """
        if kwargs.get("inputs") is not None:
            raise ValueError(
                "strategy='fsdp' cannot differentiate with respect to chosen parameters (inputs=...), as several "
                "losses from one training_step do. Write a training_step that takes optimizer_idx, or optimize by hand."
            )
        for sharded in self._modules.values():
            loss = sharded.announce(loss)
        self.precision.backward(loss, *args, **kwargs)
        # Where a step goes on after this, autocast would use copies of parameters that are freed.
        torch.clear_autocast_cache()

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

    def module_state(self, module: nn.Module) -> dict[str, Any]:
        """The whole state dict of ``module`` on the CPU in process 0; empty in the others."""
        self._free(module)
        state: dict[str, Any] = gather_tree(module_state_without_wrappers(module), keep=self.is_global_zero)
        return state if self.is_global_zero else {}

    def load_module_state(self, module: nn.Module, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Load a whole state dict, of which each process keeps its part; the same in every process."""
        self._free(module)
        own = module_state_without_wrappers(module)
        dealt = {name: deal_like(value, own.get(name)) for name, value in state.items()}
        load_module_without_wrappers(module, dealt, strict=strict)

    def optimizer_state(self, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state dict of ``optimizer`` on the CPU in process 0; empty in the others."""
        state: dict[str, Any] = gather_tree(optimizer.state_dict(), keep=self.is_global_zero)
        return state if self.is_global_zero else {}

    def load_optimizer_state(self, module: nn.Module, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Load a whole state dict, of which each process keeps its part; the same in every process."""
        optimizer.load_state_dict(deal_optimizer_state(optimizer, state))

    def gradient_state(self, module: nn.Module) -> dict[str, Tensor]:
        """This process's part of the gradients."""
        from torch.distributed.tensor import DTensor

        self._free(module)
        found = gradients_of(module)
        return {name: grad.to_local() if isinstance(grad, DTensor) else grad for name, grad in found.items()}

    def load_gradient_state(self, module: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Put back this process's part of the gradients."""
        from torch.distributed.tensor import DTensor

        self._free(module)
        for name, parameter in module.named_parameters():
            if name in state:
                local = state[name].to(parameter.device)
                parameter.grad = (
                    local
                    if not isinstance(parameter, DTensor)
                    else DTensor.from_local(
                        local,
                        parameter.device_mesh,
                        parameter.placements,
                        shape=parameter.shape,
                        stride=parameter.stride(),
                    )
                )

    def _free(self, module: nn.Module) -> None:
        if module in self._modules:
            self._modules[module].free()

    @contextmanager
    def _evaluation(self, module: nn.Module) -> Iterator[None]:
        sharded = self._modules[module]
        sharded.begin_evaluation()
        try:
            yield
        finally:
            sharded.end_evaluation()


def _version_of(text: str) -> tuple[int, ...]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
