"""Processes as a grid: the tensors of the module are cut along one dimension, and sharded along the other."""

import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal

from torch import nn

from lit_accelerators.devices.base import Accelerator
from lit_accelerators.devices.cpu import CPUAccelerator
from lit_accelerators.environments.base import ClusterEnvironment
from lit_accelerators.launchers.starts import StartMethod, start_suffix
from lit_accelerators.precision.base import Precision
from lit_accelerators.strategies._mesh import DATA, TENSOR, MeshSize, make_mesh, mesh_shape
from lit_accelerators.strategies._meta import check_resettable, is_on_meta, materialize, move_with_memory
from lit_accelerators.strategies._plan import Plan, apply_plan, match_plan
from lit_accelerators.strategies._processes import Processes
from lit_accelerators.strategies._same_weights import broadcast_weights
from lit_accelerators.strategies._sharded_strategy import ShardedStrategy
from lit_accelerators.strategies._wrapping import WrapPolicy, choose_units
from lit_accelerators.strategies.fsdp import check_torch


class ModelParallelStrategy(ShardedStrategy):
    """Tensor parallelism, together with the sharding of :class:`FSDPStrategy`: for layers too large or slow for one.

    The processes form a ``DeviceMesh`` with the dimensions ``"data_parallel"`` and ``"tensor_parallel"``. Processes
    along the second see the same samples and compute a part of each layer that a plan cuts; along the first they see
    other samples, and ``fully_shard`` deals parameters, gradients and optimizer states. A step is that of one process
    with the samples of all, up to the order of summation.

    Which layers are cut is said by name (``plan``), or in the module's ``configure_model``, which finds the mesh in
    ``self.device_mesh`` and may call ``parallelize_module`` and ``fully_shard`` of torch over its dimensions. What
    it has not sharded over the data-parallel dimension is sharded after it.

    Optimizers are made after :meth:`setup_module`, of the parameters that the module has then. Modules that were built
    under ``torch.device("meta")`` get memory after sharding, for the parts that this process keeps, and values by their
    ``reset_parameters``.

    Args:
        accelerator: the kind of device; the CPU by default.
        indices: of the devices on this node, one process each.
        precision: 32-true by default.
        environment: where the ranks come from; our own launchers by default.
        plan: what is cut: names of layers, with ``*`` for one part of a name, to ``"colwise"`` (each process computes a
            part of the outputs), ``"rowwise"`` (each uses a part of the inputs, and the results are added up),
            ``"colwise_gathered"`` (as colwise, and every process gets all outputs), or a
            ``torch.distributed.tensor.parallel.ParallelStyle``.
        data_parallel_size: processes along the data-parallel dimension; ``"auto"``: as many as nodes.
        tensor_parallel_size: processes along the other one, next to each other; ``"auto"``: those of a node.
        start: how processes come to be, as in :class:`DDPStrategy`.
        num_nodes: nodes in the run.
        timeout: how long a process waits for the others before it fails.
        wrap: which modules are gathered and freed on their own along the data-parallel dimension, as in
            :class:`FSDPStrategy`; without effect where ``configure_model`` calls ``fully_shard``.
        reshard_after_forward: whether units are freed between forward and backward pass.
        mixed_precision: a ``torch.distributed.fsdp.MixedPrecisionPolicy``.
        state_dict_type: what checkpoints are made of: ``"full"``: whole tensors, gathered in process 0, in one file;
            ``"sharded"``: each process writes its parts, into a folder. A run goes on from either.

    Raises:
        ValueError: for sizes whose product is not the number of processes.
        RuntimeError: where torch is older than 2.8.

    Example:
        >>> plan = {"layers.*.up": "colwise", "layers.*.down": "rowwise"}
        >>> strategy = ModelParallelStrategy(indices=[0, 1, 2, 3], plan=plan, tensor_parallel_size=2)
        >>> strategy.world_size, strategy.data_world_size, strategy.model_parallel_size
        (4, 2, 2)

    See Shoeybi et al., "Megatron-LM: Training Multi-Billion Parameter Language Models Using Model Parallelism" (2019),
    and "Tensor Parallelism" in the documentation of torch.
    """

    def __init__(
        self,
        accelerator: Accelerator | None = None,
        indices: Sequence[int] = (0,),
        precision: Precision | None = None,
        environment: ClusterEnvironment | None = None,
        *,
        plan: Plan | None = None,
        data_parallel_size: MeshSize = "auto",
        tensor_parallel_size: MeshSize = "auto",
        start: StartMethod = "script",
        num_nodes: int = 1,
        timeout: timedelta = timedelta(minutes=30),
        wrap: WrapPolicy = 1_000_000,
        reshard_after_forward: bool = True,
        mixed_precision: Any = None,
        state_dict_type: Literal["full", "sharded"] = "full",
    ) -> None:
        check_torch("model_parallel")
        accelerator = CPUAccelerator() if accelerator is None else accelerator
        processes = Processes(accelerator, indices, environment, start=start, num_nodes=num_nodes, timeout=timeout)
        super().__init__(processes, precision, state_dict_type)
        self.name = f"model_parallel{start_suffix(start)}"
        self._shape = mesh_shape(self.environment, data_parallel_size, tensor_parallel_size)
        self.model_parallel_size = self._shape[1]
        self._plan = {} if plan is None else plan
        self._wrap = wrap
        self._keep_gathered = not reshard_after_forward
        self._mixed_precision = mixed_precision

    def setup_environment(self) -> None:
        """Claim the device of this rank, form the process group and the mesh."""
        if not self._processes.joined:
            self.collectives = self._processes.join()
            self.device = self._processes.device
            self.device_mesh = make_mesh(self.device, self._shape, (DATA, TENSOR))

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move ``module`` to the device, convert it, give it the weights of rank 0, and cut and shard it in place.

        A module that was set up before stays as it is.

        Raises:
            ValueError: for a plan that does not fit, and for parameters on a mesh that is not ``device_mesh``.
            TypeError: for modules on the meta device that cannot be filled.
        """
        self._processes.require_joined("setup_module")
        if module in self._modules:
            return module
        from torch.distributed.fsdp import FSDPModule

        if isinstance(module, FSDPModule):
            raise ValueError(
                f"configure_model called fully_shard on {type(module).__name__} itself, whose steps are no forward "
                "pass. Call it on modules inside; what they do not hold is sharded afterwards."
            )
        matched = match_plan(module, self._plan, self.model_parallel_size)
        fill = None
        if is_on_meta(module):
            check_resettable(module)
            fill = self._fill
        module = self.precision.convert_module(move_with_memory(module, self.device))
        broadcast_weights(module, self.collectives, self.device_mesh)
        apply_plan(module, matched, self.device_mesh[TENSOR])
        self._warn_if_whole(module)
        by_user = any(isinstance(part, FSDPModule) for part in module.modules())
        if self.data_world_size > 1 or by_user:
            self._modules.add(module, self._shard(module, fill, by_user=by_user))
        else:
            if fill is not None:
                fill(module)
            self._modules.add(module, None)
        return module

    def _warn_if_whole(self, module: nn.Module) -> None:
        meshes = [mesh for p in module.parameters() if (mesh := getattr(p, "device_mesh", None)) is not None]
        cut = any(TENSOR in mesh.mesh_dim_names for mesh in meshes)
        if self.model_parallel_size > 1 and not cut and self.is_global_zero:
            warnings.warn(
                f"Nothing in {type(module).__name__} is cut over the {self.model_parallel_size} processes of a group: "
                "each does the same work. Give ModelParallelStrategy a plan, cut the module in configure_model, or "
                "write tensor_parallel_size=1, or strategy='fsdp'.",
                stacklevel=3,
            )

    def _shard(self, module: nn.Module, fill: Callable[[nn.Module], None] | None, *, by_user: bool) -> Any:
        from lit_accelerators.strategies._shards import ShardedModule

        options: dict[str, Any] = {"mesh": self.device_mesh[DATA]}
        if self._mixed_precision is not None:
            options["mp_policy"] = self._mixed_precision
        units = [] if by_user else choose_units(module, self._wrap)
        return ShardedModule(module, units, keep_gathered=self._keep_gathered, options=options, fill=fill)

    def _fill(self, module: nn.Module) -> None:
        materialize(module, self.device, self.collectives)
