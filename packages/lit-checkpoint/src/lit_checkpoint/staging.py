"""A copy of a state in host memory that is kept from one copy to the next."""

import copy
from collections import Counter, OrderedDict
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lit_checkpoint.plain import LEAVES


class HostCopier:
    """Copies states to the host; the memory is allocated at the first copy and used again by the later ones.

    One copy holds as many bytes as the tensors' storages, pinned where they lie on a CUDA device; of a distributed
    tensor, as the part that this process holds. It is valid until the next :meth:`copy`. Tensors that share a storage
    share it in the copy as well.
    """

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._num_used = 0
        self._copied: dict[tuple[torch.device, int], Tensor] = {}
        self._wrapped: dict[int, Tensor] = {}
        self._devices: set[torch.device] = set()

    @property
    def num_bytes(self) -> int:
        """Bytes of host memory held for copies."""
        return sum(buffer.nbytes for buffer in self._buffers)

    def copy(self, state: Any) -> Any:
        """Return ``state`` with its tensors on the host and its containers rebuilt, sharing nothing with it."""
        self._num_used = 0
        try:
            with torch.no_grad():
                copied = self._value(state)
            for device in self._devices:
                torch.cuda.current_stream(device).synchronize()
        finally:
            self._copied.clear()
            self._wrapped.clear()
            self._devices.clear()
        del self._buffers[self._num_used :]
        return copied

    def release(self) -> None:
        """Give the memory back."""
        self._buffers.clear()

    def _value(self, value: Any) -> Any:
        kind = type(value)
        if kind in LEAVES:
            return bytearray(value) if kind is bytearray else value
        if isinstance(value, Tensor):
            return self._tensor(value)
        if kind in {dict, OrderedDict, Counter}:
            made: Any = kind()
            for key, item in value.items():
                made[key] = item if type(item) in LEAVES and type(item) is not bytearray else self._value(item)
            if kind is not dict:
                vars(made).update(vars(value))  # a module's state_dict carries its version numbers there
            return made
        if kind in {list, tuple, set}:
            if bytearray not in (kinds := set(map(type, value))) and kinds <= LEAVES:
                return kind(value)
            return kind([self._value(item) for item in value])
        return copy.deepcopy(value)

    def _tensor(self, tensor: Tensor) -> Tensor:
        if hasattr(tensor, "__tensor_flatten__"):
            if id(tensor) not in self._wrapped:
                self._wrapped[id(tensor)] = self._wrapper(tensor)
            return self._wrapped[id(tensor)]
        if not _is_dense(tensor):
            return tensor.detach().to("cpu", copy=True)
        storage = tensor.untyped_storage()
        key = (tensor.device, storage.data_ptr())
        buffer = self._copied.get(key)
        if buffer is None:
            source = torch.empty(0, dtype=torch.uint8, device=tensor.device)
            source.set_(storage, 0, (storage.nbytes(),), (1,))
            buffer = self._copied[key] = self._buffer(storage.nbytes(), tensor.device)
            buffer.copy_(source, non_blocking=buffer.is_pinned())
        view = torch.empty(0, dtype=tensor.dtype)
        view.set_(buffer.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())
        if type(tensor) is Parameter:
            return Parameter(view, requires_grad=tensor.requires_grad)
        return view.requires_grad_(tensor.requires_grad)

    def _wrapper(self, tensor: Any) -> Tensor:
        """A tensor made of others, as one that is spread over processes is of the part that this one holds."""
        names, context = tensor.__tensor_flatten__()
        parts = {name: getattr(tensor, name) for name in names}
        copied = {name: self._part(part) if isinstance(part, Tensor) else part for name, part in parts.items()}
        made: Tensor = type(tensor).__tensor_unflatten__(copied, context, tensor.size(), tensor.stride())
        return made

    def _part(self, part: Tensor) -> Tensor:
        if not _is_dense(part):
            return self._tensor(part)
        # Not its storage: a part may be a view of the whole.
        buffer = self._buffer(part.numel() * part.element_size(), part.device)
        return buffer.view(part.dtype).view(part.size()).copy_(part, non_blocking=buffer.is_pinned())

    def _buffer(self, num_bytes: int, device: torch.device) -> Tensor:
        pinned = device.type == "cuda"
        if pinned:
            self._devices.add(device)
        place = self._num_used
        self._num_used += 1
        if place < len(self._buffers):
            kept = self._buffers[place]
            if kept.nbytes == num_bytes and kept.is_pinned() == pinned:
                return kept
        made = torch.empty(num_bytes, dtype=torch.uint8, pin_memory=pinned)
        self._buffers[place : place + 1] = [made]
        return made


def _is_dense(tensor: Tensor) -> bool:
    if type(tensor) not in {Tensor, Parameter} or tensor.layout != torch.strided or tensor.is_meta:
        return False
    if tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
        return False
    return bool(tensor.untyped_storage().nbytes() > 0)
