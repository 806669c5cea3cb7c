"""The pieces for a loop of one's own: five changed lines, and it runs on many devices."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from lit_accelerators.collectives import Collectives, ReduceOp
from lit_accelerators.devices.base import Accelerator
from lit_accelerators.order import BatchOrder, order_of, own_order
from lit_accelerators.precision.base import Precision
from lit_accelerators.resolve import StrategyFactory, make_strategy
from lit_accelerators.seeding import seed_everything
from lit_accelerators.strategies._state import follow_parameters
from lit_accelerators.strategies.base import Strategy

T = TypeVar("T")


def connect(
    accelerator: str | Accelerator = "auto",
    devices: int | str | Sequence[int] = "auto",
    strategy: str | Strategy | StrategyFactory = "auto",
    precision: str | int | Precision = "32-true",
    num_nodes: int = 1,
) -> "Connection":
    """Connect a plain PyTorch loop with the devices and processes it shall run on.

    Args:
        accelerator: as in :func:`make_strategy`.
        devices: as in :func:`make_strategy`.
        strategy: as in :func:`make_strategy`.
        precision: as in :func:`make_strategy`.
        num_nodes: as in :func:`make_strategy`.

    Example:
        >>> import torch
        >>> run = connect(accelerator="cpu")
        >>> def main():
        ...     model = torch.nn.Linear(2, 1)
        ...     optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        ...     model, optimizer = run.setup(model, optimizer)
        ...     for batch in run.setup_dataloader(torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=4)):
        ...         optimizer.zero_grad()
        ...         run.backward(model(batch).square().mean())
        ...         optimizer.step()
        ...     return "trained"
        >>> run.launch(main)
        'trained'
    """
    return Connection(make_strategy(accelerator, devices, num_nodes, strategy, precision))


class Connection:
    """What a plain loop needs of a :class:`Strategy`; made by :func:`connect`.

    Args:
        strategy: not yet launched.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self._seed = 0

    @property
    def device(self) -> torch.device:
        """Of this process."""
        return self.strategy.device

    @property
    def is_global_zero(self) -> bool:
        """Whether this process is the one that writes."""
        return self.strategy.is_global_zero

    @property
    def world_size(self) -> int:
        """Processes in the run."""
        return self.strategy.world_size

    @property
    def global_rank(self) -> int:
        """Of this process."""
        return self.strategy.global_rank

    @property
    def _collectives(self) -> Collectives:
        return self.strategy.data_collectives

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run ``function`` in every process, joined; return what rank 0 returned."""
        launcher = self.strategy.launcher
        return launcher.launch(_run_joined, self, function, args, kwargs)

    def seed(self, seed: int) -> int:
        """Seed every generator in this process, and the order of loaders that are set up after this."""
        self._seed = seed_everything(seed)
        return self._seed

    def setup(self, model: nn.Module, *optimizers: Optimizer) -> Any:
        """Put ``model`` on the device, with the weights of rank 0, and make its calls run under the strategy.

        Returns:
            The model, or a tuple of the model and the optimizers, which from now on hold the parameters that the model
            has then (a strategy that shards replaces them). The model is the module itself where nothing must
            wrap it, else a module that calls it, with its attributes and its state dict. Outputs are float32 even
            where a mixed precision computes them with fewer bits, so that the loss is. The optimizers are
            the very objects; with ``"16-mixed"`` their ``step`` scales gradients back first.

        Raises:
            ValueError: if an optimizer cannot step under the precision.
        """
        precision = self.strategy.precision
        for optimizer in optimizers:
            precision.check_optimizer(optimizer)
            precision.attach(optimizer)
        names = {parameter: name for name, parameter in model.named_parameters()}
        module = self.strategy.setup_module(model)
        for optimizer in optimizers:
            follow_parameters(optimizer, names, module)
        forward = module.__call__
        step = self.strategy.setup_step(module, forward)
        wrapped = module if step is forward else _Connected(module, step, to_full=not precision.converts_batch)
        return (wrapped, *optimizers) if optimizers else wrapped

    def setup_dataloader(self, loader: DataLoader[Any], *, even: bool = True) -> Iterable[Any]:
        """Deal the samples of ``loader`` to the processes and put its batches on the device.

        Args:
            loader: of any process; the order of plain loaders over map-style datasets is dealt.
            even: whether every process gets the same number of batches, as training needs; a process for which nothing
                is left in the last one then gets one sample again. With False (evaluation) each sample is visited once.

        Raises:
            ValueError: if there are several processes and the samples of ``loader`` cannot be dealt to them.
        """
        dealt = loader
        if self.world_size > 1:
            parts, part = self.strategy.data_world_size, self.strategy.data_rank
            owned = own_order(loader, seed=self._seed, world_size=parts, rank=part, even=even)
            if owned is None and not isinstance(loader.sampler, DistributedSampler):
                raise ValueError(
                    f"The samples of this {type(loader).__name__} cannot be dealt to {self.world_size} processes: its "
                    "order is made by its dataset or by a sampler of yours. Give it a DistributedSampler, or let it "
                    "yield the share of run.strategy.data_rank only and use it without setup_dataloader."
                )
            dealt = loader if owned is None else owned
        precision = self.strategy.precision
        convert = precision.convert_batch if precision.converts_batch else None
        if self.world_size == 1 and self.device.type == "cpu" and convert is None:
            return loader
        return ConnectedLoader(dealt, self.device, convert)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass; gradients are then averaged over the processes."""
        self.strategy.backward(loss, *args, **kwargs)

    def clip_gradients(
        self, optimizer: Optimizer, *, max_norm: float | None = None, clip_value: float | None = None
    ) -> Tensor | None:
        """Clip the gradients of ``optimizer`` by total norm or by value; returns the norm before clipping."""
        return self.strategy.clip_gradients(optimizer, max_norm=max_norm, clip_value=clip_value)

    def no_sync(self) -> AbstractContextManager[None]:
        """Inside, gradients stay in this process: all but the last batch of an accumulation."""
        return self.strategy.no_sync()

    def all_gather(self, data: Any, *, sync_grads: bool = False) -> Any:
        """Stack the tensors of a pytree over the processes: shape ``(world_size, *shape)``.

        Of processes that see the same samples (``"model_parallel"``) the first counts, here and in :meth:`all_reduce`.
        """
        return self._collectives.all_gather(data, sync_grads=sync_grads)

    def all_reduce(self, tensor: Tensor, op: ReduceOp = "mean") -> Tensor:
        """Reduce a tensor over the processes."""
        return self._collectives.all_reduce(tensor, op)

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """The ``value`` of rank ``src``."""
        return self._collectives.broadcast(value, src)

    def barrier(self) -> None:
        """Wait for every process."""
        self._collectives.barrier()

    def print(self, *values: object, **options: Any) -> None:
        """Print in rank 0 only; arguments are those of ``print``."""
        if self.is_global_zero:
            print(*values, **options)  # noqa: T201 - this is what it is for


class ConnectedLoader:
    """A loader whose samples are dealt to the processes and whose batches are put on a device.

    Each pass over it is one epoch, with an order of its own.

    Args:
        loader: of this process.
        device: where batches go.
        convert: what else is done to each batch; None for nothing.
    """

    def __init__(
        self, loader: DataLoader[Any], device: torch.device, convert: Callable[[Any], Any] | None = None
    ) -> None:
        self.loader = loader
        self._device = device
        self._convert = convert
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass; without this it is one more than that of the last pass."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        order = order_of(self.loader) or self.loader.sampler
        if isinstance(order, BatchOrder | DistributedSampler):
            order.set_epoch(self._epoch)
        self._epoch += 1
        for batch in self.loader:
            moved = pytree.tree_map(self._move, batch) if self._device.type != "cpu" else batch
            yield moved if self._convert is None else self._convert(moved)

    def _move(self, leaf: Any) -> Any:
        # From pinned memory the copy does not wait; from other memory torch ignores the flag.
        return leaf.to(self._device, non_blocking=True) if isinstance(leaf, Tensor) else leaf


class _Connected(nn.Module):
    """A module whose call runs under a strategy; has the module's attributes and state dict."""

    def __init__(self, module: nn.Module, step: Callable[..., Any], *, to_full: bool) -> None:
        super().__init__()
        self.module = module
        self._step = step
        self._to_full = to_full
        self.train(module.training)
        self.register_state_dict_post_hook(_strip_prefix)
        self.register_load_state_dict_pre_hook(_add_prefix)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        outputs = self._step(*args, **kwargs)
        return pytree.tree_map(_to_full, outputs) if self._to_full else outputs

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)


def _strip_prefix(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for key in [key for key in state if key.startswith(f"{prefix}module.")]:
        state[prefix + key[len(prefix) + len("module.") :]] = state.pop(key)


def _add_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *unused: Any) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}module.{key[len(prefix) :]}"] = state.pop(key)


def _to_full(leaf: Any) -> Any:
    return leaf.float() if isinstance(leaf, Tensor) and leaf.dtype in (torch.bfloat16, torch.float16) else leaf


def _run_joined(run: Connection, function: Callable[..., T], args: Any, kwargs: Any) -> T:
    run.strategy.setup_environment()
    try:
        return function(*args, **kwargs)
    finally:
        run.strategy.teardown()
