"""Every process holds a part of the module; parameters are gathered where they are used."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import torch
from torch import nn

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.launchers.starts import StartMethod, start_suffix
from lit_accelerators.precision.base import Precision
from lit_accelerators.strategies._mesh import hybrid_shape, make_mesh
from lit_accelerators.strategies._meta import check_resettable, is_on_meta, materialize, move_with_memory
from lit_accelerators.strategies._processes import Processes
from lit_accelerators.strategies._same_weights import broadcast_weights
from lit_accelerators.strategies._sharded_strategy import ShardedStrategy
from lit_accelerators.strategies._wrapping import WrapPolicy, choose_units

_SINCE = (2, 8)


class FSDPStrategy(ShardedStrategy):
    """Parameters, gradients and optimizer states are sharded over the processes; each sees its own batches.

    A step is that of :class:`DDPStrategy` and of one process with all the samples, up to the order of summation. Each
    *unit* (a part of the module) is gathered right before its forward and its backward pass and freed after it; what
    is in no unit is gathered for the whole step. An evaluation gathers the whole module once, so processes may
    evaluate different numbers of batches.

    Optimizers are made after :meth:`setup_module`, of the parameters that the module has then. Modules that were built
    under ``torch.device("meta")`` get memory after sharding, for the parts that this process keeps, and values by their
    ``reset_parameters``.

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
        sharding_strategy: ``"full"``: over all processes; ``"hybrid"``: over the processes of a node, each node with a
            copy of the model, which takes more memory and sends less between nodes.
        device_mesh: the same in numbers: (copies of the model, processes that share one).
        state_dict_type: what checkpoints are made of: ``"full"``: whole tensors, gathered in process 0, in one file;
            ``"sharded"``: each process writes its parts, into a folder. A run goes on from either.

    Raises:
        ValueError: for options that do not work together, and for a mesh that is not of the number of processes.
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
        sharding_strategy: Literal["full", "hybrid"] | None = None,
        device_mesh: tuple[int, int] | None = None,
        state_dict_type: Literal["full", "sharded"] = "full",
    ) -> None:
        check_torch("fsdp")
        accelerator = CPUAccelerator() if accelerator is None else accelerator
        if cpu_offload and accelerator.name == "cpu":
            raise ValueError("cpu_offload=True with accelerator='cpu': parameters are in the host's memory anyway.")
        processes = Processes(
            accelerator,
            indices,
            environment,
            start=start,
            num_nodes=num_nodes,
            timeout=timeout,
            backend=f"cpu:gloo,{accelerator.name}:{accelerator.process_group_backend}" if cpu_offload else None,
        )
        super().__init__(processes, precision, state_dict_type)
        self.name = f"fsdp{start_suffix(start)}"
        self._wrap = wrap
        self._keep_gathered = not reshard_after_forward
        self._cpu_offload = cpu_offload
        self._mixed_precision = mixed_precision
        self._hybrid = self._check_sharding(sharding_strategy, device_mesh)

    def setup_environment(self) -> None:
        """Claim the device of this rank and form the process group."""
        if not self._processes.joined:
            self.collectives = self._processes.join()
            self.device = self._processes.device
            shape, names = (self._hybrid, ("replicate", "shard")) if self._hybrid else ((self.world_size,), ("shard",))
            self.device_mesh = make_mesh(self.device, shape, names)

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the device, convert it, give it the weights of rank 0, and shard it in place.

        A module that was set up before stays as it is.
        """
        self._processes.require_joined("setup_module")
        if module in self._modules:
            return module
        from torch.distributed.fsdp import CPUOffloadPolicy

        from lit_accelerators.strategies._shards import ShardedModule

        units = choose_units(module, self._wrap)
        fill = None
        if is_on_meta(module):
            check_resettable(module)
            fill = self._fill
        module = self.precision.convert_module(move_with_memory(module, self.device))
        broadcast_weights(module, self.collectives)
        options: dict[str, Any] = {"mesh": self.device_mesh}
        if self._cpu_offload:
            options["offload_policy"] = CPUOffloadPolicy()
        if self._mixed_precision is not None:
            options["mp_policy"] = self._mixed_precision
        sharded = ShardedModule(module, units, keep_gathered=self._keep_gathered, options=options, fill=fill)
        self._modules.add(module, sharded)
        return module

    def _fill(self, module: nn.Module) -> None:
        materialize(module, torch.device("cpu") if self._cpu_offload else self.device, self.collectives)

    def _check_sharding(self, word: str | None, shape: tuple[int, int] | None) -> tuple[int, int] | None:
        """Copies and processes per copy; None for one copy."""
        if word not in (None, "full", "hybrid"):
            raise ValueError(f"sharding_strategy must be 'full' or 'hybrid', got {word!r}.")
        if shape is None:
            return hybrid_shape(self.environment, None) if word == "hybrid" else None
        if word == "full":
            raise ValueError(f"sharding_strategy='full' has no copies, but device_mesh={shape!r}. Leave one out.")
        return hybrid_shape(self.environment, shape)


def check_torch(strategy: str) -> None:
    """Refuse a torch that is too old for ``fully_shard`` as it is used here.

    Raises:
        RuntimeError: naming the version that ``strategy`` needs.
    """
    major, minor = torch.__version__.split(".")[:2]
    if (int(major), int(minor)) < _SINCE:
        raise RuntimeError(f"strategy={strategy!r} needs torch >= 2.8, this is torch {torch.__version__}.")
