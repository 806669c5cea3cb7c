"""The whole module in every process, gradients averaged."""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.launchers.starts import StartMethod, start_suffix
from lit_accelerators.precision.base import Precision
from lit_accelerators.strategies._compression import make_comm_hook
from lit_accelerators.strategies._meta import settle
from lit_accelerators.strategies._processes import Processes
from lit_accelerators.strategies._reducer import SyncedModule
from lit_accelerators.strategies._same_weights import broadcast_buffers, broadcast_weights
from lit_accelerators.strategies._state import average_gradients
from lit_accelerators.strategies._whole_strategy import WholeStrategy
from lit_accelerators.strategies.base import GradientSync

_OURS = {"self", "module", "device_ids", "output_device", "dim", "process_group", "device_mesh"}
_ABSENT = {"check_reduction", "static_graph", "delay_all_reduce_named_params", "param_to_hook_all_reduce"}


class DDPStrategy(WholeStrategy):
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
        sync_batchnorm: make batch norm use the statistics of all processes: its layers become ``nn.SyncBatchNorm``,
            which torch offers on GPUs only.
        ddp_comm_hook: how gradients travel: ``"bf16_compress"`` or ``"fp16_compress"`` halve what is sent, or a hook of
            torch, such as ``torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook.powerSGD_hook``.
        ddp_comm_state: what the hook gets as its state.
        ddp_options: further arguments of ``torch.nn.parallel.DistributedDataParallel``, such as
            ``gradient_as_bucket_view=True`` or ``bucket_cap_mb=50``.

    Raises:
        TypeError: for an option that DistributedDataParallel does not know, or that is not the user's to choose.
        ValueError: if the processes of the environment are not those of ``indices`` and ``num_nodes``; for
            ``sync_batchnorm`` without a GPU; for a word that names no communication hook.

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
        sync_batchnorm: bool = False,
        ddp_comm_hook: str | Callable[..., Any] | None = None,
        ddp_comm_state: Any = None,
        **ddp_options: Any,
    ) -> None:
        _check_options(ddp_options)
        accelerator = CPUAccelerator() if accelerator is None else accelerator
        if sync_batchnorm and accelerator.name == "cpu":
            raise ValueError(
                "sync_batchnorm=True with accelerator='cpu': torch has SyncBatchNorm for GPUs only. Leave it out, or "
                "use a norm that does not depend on the batch (nn.GroupNorm, nn.LayerNorm)."
            )
        processes = Processes(accelerator, indices, environment, start=start, num_nodes=num_nodes, timeout=timeout)
        super().__init__(accelerator, precision, processes.environment, processes.launcher, processes.device)
        self.name = f"ddp{start_suffix(start)}"
        self._processes = processes
        self._sync_batchnorm = sync_batchnorm
        self._comm_hook = make_comm_hook(ddp_comm_hook, ddp_comm_state)
        self._find_unused = find_unused_parameters
        self._options = ddp_options
        self._modules: dict[nn.Module, SyncedModule] = {}
        self._local = False

    def setup_environment(self) -> None:
        """Claim the device of this rank and form the process group."""
        if not self._processes.joined:
            self.collectives = self._processes.join()
            self.device = self._processes.device

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the device, convert it, and give it the weights of rank 0."""
        self._processes.require_joined("setup_module")
        if self._sync_batchnorm:
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        module = self.precision.convert_module(settle(module, self.device, self.collectives))
        broadcast_weights(module, self.collectives)
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
        """Return ``step`` under the precision, inside ``DistributedDataParallel.forward`` if it trains ``module``."""
        step = self.precision.wrap_step(self.accelerator.wrap_step(step), self.device)
        if gradient_sync is None:
            return step
        self._processes.require_joined("setup_step")
        # One backward pass may leave out a whole module when there are several.
        may_skip = gradient_sync == "backward" or bool(self._modules.keys() - {module})
        if self._find_unused is None and may_skip:
            for synced in self._modules.values():
                synced.allow_unused()
        if module not in self._modules:
            find_unused = may_skip if self._find_unused is None else self._find_unused
            self._modules[module] = SyncedModule(
                module, find_unused=find_unused, options=self._options, comm_hook=self._comm_hook
            )
        run = self._modules[module].run

        @functools.wraps(step)
        def synced_step(*args: Any, **kwargs: Any) -> Any:
            return run(step, self._local, *args, **kwargs)

        return synced_step

    def evaluation(self, module: nn.Module) -> AbstractContextManager[None]:
        """Give every process the buffers of process 0: what is evaluated is the module that a checkpoint holds.

        Training does so before each forward pass; then every process updates running statistics by its own batch.
        """
        if self._processes.joined and self._options.get("broadcast_buffers", True):
            broadcast_buffers(module)
        return nullcontext()

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

    def sync_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Average the gradients of ``parameters``; one without gradient in every process stays without."""
        average_gradients(parameters, self.collectives)

    def teardown(self) -> None:
        """Leave the process group, if :meth:`setup_environment` made it."""
        self._processes.note_failure()
        for synced in self._modules.values():
            synced.dispose()
        self._modules.clear()
        self.collectives = self._processes.leave()

    @contextmanager
    def _no_sync(self) -> Iterator[None]:
        before = self._local
        self._local = True
        try:
            yield
        finally:
            self._local = before


def _check_options(options: dict[str, Any]) -> None:
    known = set(inspect.signature(DistributedDataParallel.__init__).parameters) - _OURS - _ABSENT - {"mixed_precision"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(
            f"DDPStrategy does not accept {', '.join(unknown)}. Options of DistributedDataParallel that can be given: "
            f"{', '.join(sorted(known))}."
        )
