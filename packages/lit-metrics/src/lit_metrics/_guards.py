"""What happens around every `update` and `compute`; `Metric.__init_subclass__` puts these around the methods."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._C import _set_grad_enabled as set_grad_enabled  # torch.set_grad_enabled costs a tenth of an update
from torch.compiler import is_compiling

from lit_metrics._inputs import deferred_checks
from lit_metrics._state import State, StateValue, copy_out


def guard_update(fn: Callable[..., Any]) -> Callable[..., None]:
    """Makes an update atomic, free of autograd and inference tensors, a no-op on empty batches, and counted."""

    def update(self: Any, *args: Any, **kwargs: Any) -> None:
        state: State = self._store
        if state.busy:
            fn(self, *args, **kwargs)
            return
        if _nothing_in(args, kwargs):
            return
        if is_compiling():
            _update_in_graph(self, fn, args, kwargs)
            return
        if torch.is_inference_mode_enabled():
            # Tensors born in inference mode could not be updated in place outside of it.
            with torch.inference_mode(False):
                update(self, *args, **kwargs)
            return
        if not state.ready:
            state = self._prepare(args, kwargs, writes=True)
        if state.traced is not None:
            state.make_ordinary()
        backup = None if self.pure_update else state.backup()
        grad = torch.is_grad_enabled()
        if grad:
            set_grad_enabled(False)
        state.begin()
        try:
            if self.validate_args is True:
                fn(self, *args, **kwargs)
            else:
                with deferred_checks():
                    fn(self, *args, **kwargs)
        except BaseException:
            if backup is not None:
                state.restore(backup)
            raise
        finally:
            state.end()
            if grad:
                set_grad_enabled(True)
        if backup is not None:
            state.own(backup)
        if self.compute_on_cpu:
            state.lists_to_cpu()
        state.advance()

    # torch.compile remembers graphs by code object: with one for all metrics it would soon hit its limit.
    own = FunctionType(update.__code__.replace(), update.__globals__, "update", None, update.__closure__)
    return functools.wraps(fn)(own)


def _update_in_graph(self: Any, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """What an update is inside a compiled graph: one that fails while it is traced has not run."""
    state: State = self._store if self._store.ready else self._prepare(args, kwargs, writes=True)
    backup: dict[str, tuple[StateValue, Tensor | int]] | None = None
    if not self.pure_update:
        backup = {name: (value, 0) for name, value in state.values.items()}
    state.begin()
    with torch.no_grad():
        fn(self, *args, **kwargs)
        if backup is not None:
            state.own(backup)
    state.end()
    state.advance_in_graph()


def guard_compute(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Makes `compute` synchronise, cache, copy out, and warn once of an undefined value."""

    @functools.wraps(fn)
    def compute(self: Any) -> Any:
        if self._store.busy:
            return fn(self)
        should_sync = self.sync_on_compute and not self.is_synced and self.is_distributed()
        local: State = self._unsynced or self._store
        key = (local, local.version, should_sync or self.is_synced)
        if self._cache is not None and self._cache[0] == key:
            return copy_out(self._cache[1])
        with self.sync_context(should_sync=should_sync, should_unsync=should_sync):
            current: State = self._store
            current.begin()
            try:
                if self.validate_args:
                    self.check_state()
                value = fn(self)
            finally:
                current.end()
            if not self._warned and _is_undefined(value):
                self.__dict__["_warned"] = True
                reason = "the data seen leave it undefined" if current.count else "no data was seen"
                warnings.warn(f"{type(self).__name__}.compute() is nan: {reason}", UserWarning, stacklevel=2)
        value = copy_out(value)  # the value may be a state itself
        if self.compute_with_cache:
            self.__dict__["_cache"] = (key, copy_out(value))
        return value

    return compute


def _nothing_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Returns whether every tensor, array and list among the inputs is empty, and there is one."""
    found = False
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, Tensor):
            size = value.numel()
        elif isinstance(value, np.ndarray):
            size = value.size
        elif isinstance(value, (list, tuple)):
            size = len(value)
        else:
            continue
        if size:
            return False
        found = True
    return found


def _is_undefined(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.ndim == 0
        and value.is_floating_point()
        and value.device.type != "meta"
        and bool(value.isnan())
    )
