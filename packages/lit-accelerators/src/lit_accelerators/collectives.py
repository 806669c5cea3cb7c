"""Communication between the processes of a run, on tensors, objects and pytrees."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils import _pytree as pytree

ReduceOp = Literal["sum", "mean", "max", "min"]

_SHORT = 512  # bytes of an object that is gathered in one go, its length in front of it
_LENGTH = 8


class Collectives(ABC):
    """What processes can tell each other. With one process every method is the identity and costs nothing.

    All methods but :meth:`all_gather_object` and :meth:`broadcast` wait at most the timeout of the strategy and then
    raise; all of them must be called by every process, in the same order.
    """

    world_size: int
    """Processes that take part."""

    rank: int
    """Of this process, ``0 <= rank < world_size``."""

    @abstractmethod
    def all_reduce(self, tensor: Tensor, op: ReduceOp = "sum") -> Tensor:
        """Reduce a tensor over the processes; every process gets the result as a new tensor.

        ``"max"`` and ``"min"`` are NaN where any process has NaN. ``"mean"`` of integers is floating-point.
        """

    @abstractmethod
    def all_gather(self, data: Any, *, sync_grads: bool = False) -> Any:
        """Stack the tensors of any pytree over the processes: shape ``(world_size, *shape)`` in every process.

        Numbers become tensors first; other leaves stay as they are. ``sync_grads`` lets gradients flow back to the
        process a value came from (the sum of what every process sends back).

        Raises:
            ValueError: in every process, if structures, shapes or dtypes differ between the processes.
        """

    @abstractmethod
    def all_gather_object(self, value: Any) -> list[Any]:
        """Every process's ``value`` (picklable), in rank order; tensors arrive on the CPU."""

    @abstractmethod
    def begin_all_gather_object(self, value: Any) -> Callable[[], list[Any]]:
        """Send ``value`` as :meth:`all_gather_object` does, and wait for the others only when the result is called.

        Meant for short messages: if a process sends more than about 500 bytes, calling the result sends again.

        Returns:
            A function to call once, in every process at the same place among its collectives: the values in rank order.
        """

    @abstractmethod
    def broadcast(self, value: Any, src: int = 0) -> Any:
        """The ``value`` (picklable) of rank ``src``, in every process; tensors arrive on the CPU."""

    @abstractmethod
    def barrier(self) -> None:
        """Wait until every process is here."""


class LocalCollectives(Collectives):
    """The collectives of one process.

    Example:
        >>> import torch
        >>> collectives = LocalCollectives()
        >>> collectives.all_reduce(torch.tensor(3.0), "mean")
        tensor(3.)
        >>> collectives.all_gather({"loss": 0.5})
        {'loss': tensor([0.5000])}
        >>> collectives.broadcast("hello")
        'hello'
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.world_size = 1
        self.rank = 0
        self._device = device

    def all_reduce(self, tensor: Tensor, op: ReduceOp = "sum") -> Tensor:
        """Return ``tensor``."""
        return tensor

    def all_gather(self, data: Any, *, sync_grads: bool = False) -> Any:
        """Return ``data`` with one more dimension of size 1 in front of each tensor."""
        return pytree.tree_map(lambda leaf: _stack_one(leaf, self._device, sync_grads), data)

    def all_gather_object(self, value: Any) -> list[Any]:
        """Return ``[value]``."""
        return [value]

    def begin_all_gather_object(self, value: Any) -> Callable[[], list[Any]]:
        """Return a function that returns ``[value]``."""
        return lambda: [value]

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """Return ``value``."""
        return value

    def barrier(self) -> None:
        """Return at once."""


class ProcessGroupCollectives(Collectives):
    """The collectives of the default ``torch.distributed`` process group.

    Args:
        device: of this process; where numbers are put when they become tensors.
    """

    def __init__(self, device: torch.device) -> None:
        if not dist.is_initialized():
            raise RuntimeError("There is no process group: call setup_environment() of the strategy first.")
        self.world_size = dist.get_world_size()
        self.rank = dist.get_rank()
        self._device = device

    def all_reduce(self, tensor: Tensor, op: ReduceOp = "sum") -> Tensor:
        """Reduce ``tensor`` over the processes."""
        if op in ("max", "min"):
            # Not the MAX of the back end: gloo's and NCCL's drop a NaN or keep it depending on the order.
            gathered = _gather_tensor(tensor.detach())
            return gathered.amax(0) if op == "max" else gathered.amin(0)
        if op not in ("sum", "mean"):
            raise ValueError(f"op must be 'sum', 'mean', 'max' or 'min', got {op!r}.")
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total / self.world_size if op == "mean" else total

    def all_gather(self, data: Any, *, sync_grads: bool = False) -> Any:
        """Stack every tensor of ``data`` over the processes."""
        leaves, structure = pytree.tree_flatten(data)
        leaves = [_number_to_tensor(leaf, self._device) for leaf in leaves]
        described = [(tuple(leaf.shape), str(leaf.dtype)) if isinstance(leaf, Tensor) else None for leaf in leaves]
        # Back ends do not compare shapes: without this a mismatch hangs or mixes up memory.
        everywhere = self.all_gather_object((described, repr(structure)))
        if any(other != everywhere[0] for other in everywhere):
            seen = "; ".join(f"rank {rank}: {shapes}" for rank, (shapes, _) in enumerate(everywhere))
            raise ValueError(f"all_gather needs the same structure, shapes and dtypes in every process, got {seen}.")
        gathered = []
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                gathered.append(leaf)
            elif sync_grads and leaf.requires_grad:
                gathered.append(_GatherWithGradient.apply(leaf))
            else:
                gathered.append(_gather_tensor(leaf.detach()))
        return pytree.tree_unflatten(gathered, structure)

    def all_gather_object(self, value: Any) -> list[Any]:
        """Every process's ``value``."""
        own = self._pickled(value)
        sizes = _gather_tensor(torch.tensor([own.numel()], device=own.device)).flatten().tolist()
        return _gather_pickled(own, sizes)

    def begin_all_gather_object(self, value: Any) -> Callable[[], list[Any]]:
        """Every process's ``value``, later."""
        own = self._pickled(value)
        message = own.new_zeros(_LENGTH + _SHORT)
        message[:_LENGTH] = torch.tensor([own.numel()]).view(torch.uint8)
        if own.numel() <= _SHORT:
            message[_LENGTH : _LENGTH + own.numel()] = own
        parts = [torch.empty_like(message) for _ in range(self.world_size)]
        work = dist.all_gather(parts, message, async_op=True)

        def finish() -> list[Any]:
            work.wait()
            sizes = [int(part[:_LENGTH].view(torch.int64)) for part in parts]
            if max(sizes) > _SHORT:
                return _gather_pickled(own, sizes)
            return [_unpickled(part[_LENGTH : _LENGTH + size]) for part, size in zip(parts, sizes, strict=True)]

        return finish

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """The ``value`` of rank ``src``."""
        payload = self._pickled(value if self.rank == src else None)
        size = torch.tensor([payload.numel()], device=payload.device)
        dist.broadcast(size, src=src)
        if self.rank != src:
            payload = payload.new_empty(int(size))
        dist.broadcast(payload, src=src)
        return value if self.rank == src else _unpickled(payload)

    def barrier(self) -> None:
        """Wait for every process."""
        if self._device.type == "cuda":
            dist.barrier(device_ids=[self._device.index])
        else:
            dist.barrier()

    # Not the object collectives of torch.distributed: those need numpy.
    def _pickled(self, value: Any) -> Tensor:
        data = bytearray(pickle.dumps(_tensors_to_cpu(value)))
        # A group that somebody else made may know no CPU tensors.
        device = "cpu" if "cpu:" in dist.get_backend_config() else self._device
        return torch.frombuffer(data, dtype=torch.uint8).to(device)


class _GatherWithGradient(torch.autograd.Function):
    """all_gather whose backward sums what every process sends to each source."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _gather_tensor(tensor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        total = grad_outputs[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[dist.get_rank()]


def _gather_tensor(tensor: Tensor) -> Tensor:
    # As bytes: back ends know only some dtypes, and bytes keep every NaN.
    own = tensor.contiguous().reshape(-1).view(torch.uint8)
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    return torch.stack([part.view(tensor.dtype).reshape(tensor.shape) for part in parts])


def _gather_pickled(own: Tensor, sizes: list[int]) -> list[Any]:
    """What every process pickled, of which ``own`` is this one's."""
    padded = torch.cat([own, own.new_zeros(max(sizes) - own.numel())])
    return [_unpickled(part[:size]) for part, size in zip(_gather_tensor(padded), sizes, strict=True)]


def _unpickled(payload: Tensor) -> Any:
    data = bytearray(payload.numel())
    torch.frombuffer(data, dtype=torch.uint8).copy_(payload)
    return pickle.loads(data)


def _number_to_tensor(leaf: Any, device: torch.device | None) -> Any:
    return torch.tensor(leaf, device=device) if isinstance(leaf, (bool, int, float, complex)) else leaf


def _stack_one(leaf: Any, device: torch.device | None, sync_grads: bool) -> Any:
    leaf = _number_to_tensor(leaf, device)
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.unsqueeze(0) if sync_grads else leaf.detach().unsqueeze(0)


def _tensors_to_cpu(value: Any) -> Any:
    # A pickled CUDA tensor would be rebuilt on the sender's device, in the memory of another process.
    return pytree.tree_map(lambda leaf: leaf.detach().cpu() if isinstance(leaf, Tensor) else leaf, value)
