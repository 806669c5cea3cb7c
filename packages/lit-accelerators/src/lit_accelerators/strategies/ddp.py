"""The whole module in every process, gradients averaged."""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Literal

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from lit_accelerators.collectives import LocalCollectives, ProcessGroupCollectives
from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.environments.local import LocalEnvironment
from lit_accelerators.launchers._failures import note_failure
from lit_accelerators.launchers.base import Launcher
from lit_accelerators.launchers.in_process import InProcessLauncher
from lit_accelerators.launchers.multiprocess import MultiprocessLauncher
from lit_accelerators.launchers.script import ScriptLauncher
from lit_accelerators.precision.base import Precision
from lit_accelerators.precision.full import FullPrecision
from lit_accelerators.strategies._reducer import SyncedModule
from lit_accelerators.strategies._same_weights import broadcast_weights
from lit_accelerators.strategies._state import module_state_without_wrappers
from lit_accelerators.strategies.base import GradientSync, Strategy

StartMethod = Literal["script", "spawn", "fork", "forkserver", "notebook"]

_NAMES: dict[StartMethod, str] = {
    "script": "ddp",
    "spawn": "ddp_spawn",
    "fork": "ddp_fork",
    "forkserver": "ddp_forkserver",
    "notebook": "ddp_notebook",
}
_DRAIN_S = 0.02
_OURS = {"self", "module", "device_ids", "output_device", "dim", "process_group", "device_mesh"}
_ABSENT = {"check_reduction", "static_graph", "delay_all_reduce_named_params", "param_to_hook_all_reduce"}


class DDPStrategy(Strategy):
    """Every process holds the whole module and sees its own batches; gradients are averaged over the processes.

    On ``k`` processes with batches of ``b`` samples, a step with a mean loss is the step of one process with the
    ``k * b`` samples, up to the order of summation.

    Args:
        accelerator: the kind of device; the CPU by default.
        indices: of the devices on this node, one process each.
        precision: 32-true by default.
        environment: where the ranks come from; our own launchers by default.
        start: how processes come to be where nobody else starts them: the ``"script"`` again, ``"spawn"``, ``"fork"``,
            ``"forkserver"``, or ``"notebook"`` (fork, after a check that it is safe).
        num_nodes: nodes in the run.
        timeout: how long a process waits for the others before it fails.
        find_unused_parameters: whether a backward pass may leave out parameters that require gradients. By default
            True with ``gradient_sync="backward"``, else False, which is faster.
        ddp_options: further arguments of ``torch.nn.parallel.DistributedDataParallel``, such as
            ``gradient_as_bucket_view=True`` or ``bucket_cap_mb=50``.

    Raises:
        TypeError: for an option that DistributedDataParallel does not know, or that is not the user's to choose.
        ValueError: if the processes of the environment are not those of ``indices`` and ``num_nodes``.

    See Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training" (VLDB 2020).
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
        find_unused_parameters: bool | None = None,
        **ddp_options: Any,
    ) -> None:
        if start not in _NAMES:
            raise ValueError(f"start must be one of {', '.join(map(repr, _NAMES))}, got {start!r}.")
        _check_options(ddp_options)
        self.name = _NAMES[start]
        self.accelerator = CPUAccelerator() if accelerator is None else accelerator
        if self.accelerator.name == "mps":
            raise ValueError("The GPU of Apple silicon cannot be shared by processes. Write strategy='single_device'.")
        self.precision = FullPrecision() if precision is None else precision
        self.environment = LocalEnvironment(len(indices), num_nodes) if environment is None else environment
        self.environment.validate(devices=len(indices), num_nodes=num_nodes)
        self.launcher = _make_launcher(self.environment, start, len(indices), num_nodes)
        self._indices = list(indices)
        self.device = self.accelerator.device(self._indices[self.environment.local_rank])
        self.collectives = LocalCollectives(self.device)
        self._timeout = timeout
        self._find_unused = find_unused_parameters
        self._options = ddp_options
        self._modules: dict[nn.Module, SyncedModule] = {}
        self._local = False
        self._joined = False
        self._owns_group = False

    def setup_environment(self) -> None:
        """Claim the device of this rank and form the process group."""
        if self._joined:
            return
        self.environment.refresh()
        self.device = self.accelerator.device(self._indices[self.environment.local_rank])
        self.accelerator.setup_device(self.device)
        if not dist.is_initialized():
            dist.init_process_group(
                self.accelerator.process_group_backend,
                store=self.environment.create_store(self._timeout),
                rank=self.environment.global_rank,
                world_size=self.environment.world_size,
                timeout=self._timeout,
            )
            self._owns_group = True
        elif (dist.get_rank(), dist.get_world_size()) != (self.environment.global_rank, self.environment.world_size):
            raise RuntimeError(
                f"There is a process group already, in which this process is rank {dist.get_rank()} of "
                f"{dist.get_world_size()}, but this run has it as rank {self.environment.global_rank} of "
                f"{self.environment.world_size}. Call torch.distributed.destroy_process_group() first."
            )
        self.collectives = ProcessGroupCollectives(self.device)
        self._joined = True

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the device, convert it, and give it the weights of rank 0."""
        module = self.precision.convert_module(module.to(self.device))
        self._require_joined("setup_module")
        broadcast_weights(module, self.collectives)
        return module

    def setup_step(
        self, module: nn.Module, step: Callable[..., Any], *, gradient_sync: GradientSync | None = "step"
    ) -> Callable[..., Any]:
        """Return ``step`` under the precision, inside ``DistributedDataParallel.forward`` if it trains ``module``."""
        step = self.precision.wrap_step(step, self.device)
        if gradient_sync is None:
            return step
        self._require_joined("setup_step")
        # One backward pass may leave out a whole module when there are several.
        may_skip = gradient_sync == "backward" or bool(self._modules.keys() - {module})
        if self._find_unused is None and may_skip:
            for synced in self._modules.values():
                synced.allow_unused()
        if module not in self._modules:
            find_unused = may_skip if self._find_unused is None else self._find_unused
            self._modules[module] = SyncedModule(module, find_unused=find_unused, options=self._options)
        run = self._modules[module].run

        @functools.wraps(step)
        def synced_step(*args: Any, **kwargs: Any) -> Any:
            return run(step, self._local, *args, **kwargs)

        return synced_step

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass; average the gradients unless inside :meth:`no_sync`.

        Raises:
            RuntimeError: naming the parameters that got no gradient, where each must.
        """
        if self._local:
            self.precision.backward(loss, *args, **kwargs)
            return
        for synced in self._modules.values():
            synced.prepare(loss)
        self.precision.backward(loss, *args, **kwargs)
        for synced in self._modules.values():
            synced.check()

    def no_sync(self) -> AbstractContextManager[None]:
        """Inside, gradients stay local; the next backward pass outside averages their sum."""
        return self._no_sync()

    def teardown(self) -> None:
        """Leave the process group, if :meth:`setup_environment` made it."""
        error = sys.exc_info()[1]
        if error is not None and self._joined:
            note_failure(error)
        for synced in self._modules.values():
            synced.dispose()
        self._modules.clear()
        self.collectives = LocalCollectives(self.device)
        if self._owns_group and dist.is_initialized():
            # Gives gloo's threads the GIL, which they need to let go of their last tensors. A group whose last holder
            # is an object of the user's (its own DistributedDataParallel) is destroyed later under the GIL, and would
            # wait for these threads for ever (seen in torch 2.13).
            time.sleep(_DRAIN_S)
            dist.destroy_process_group()
        self._owns_group = self._joined = False

    def module_state(self, module: nn.Module) -> dict[str, Any]:
        """The state dict of ``module``, without the prefixes of wrappers."""
        return module_state_without_wrappers(module)

    def optimizer_state(self, module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
        """The state dict of ``optimizer``: the same in every process."""
        return optimizer.state_dict()

    @contextmanager
    def _no_sync(self) -> Iterator[None]:
        before = self._local
        self._local = True
        try:
            yield
        finally:
            self._local = before

    def _require_joined(self, method: str) -> None:
        if not self._joined:
            raise RuntimeError(f"{method}() needs the other processes: call setup_environment() first.")


def _make_launcher(environment: ClusterEnvironment, start: StartMethod, devices: int, num_nodes: int) -> Launcher:
    if start == "script" and isinstance(environment, LocalEnvironment):
        return ScriptLauncher(environment, devices, num_nodes=num_nodes)
    if environment.creates_processes_externally or start == "script":
        return InProcessLauncher()
    method = "fork" if start == "notebook" else start
    return MultiprocessLauncher(environment, devices, method, num_nodes=num_nodes, check_threads=start == "notebook")


def _check_options(options: dict[str, Any]) -> None:
    known = set(inspect.signature(DistributedDataParallel.__init__).parameters) - _OURS - _ABSENT - {"mixed_precision"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(
            f"DDPStrategy does not accept {', '.join(unknown)}. Options of DistributedDataParallel that can be given: "
            f"{', '.join(sorted(known))}."
        )
