"""A callback made of functions."""

import difflib
from collections.abc import Callable
from typing import Any

from lit_core.callbacks.base import Callback
from lit_core.hooks import HOOKS

_HOOKS = [name for name, hook in HOOKS.items() if "callback" in hook.owners and "state_dict" not in name]


class LambdaCallback(Callback):
    """A callback from functions, for what is too small for a class. Hooks that are not given cost nothing.

    Args:
        hooks: a function for each hook, by name; it gets what a callback's method gets: trainer, module, and the
            arguments of the hook.

    Example:
        >>> from lit_core.callbacks import LambdaCallback
        >>> ends = []
        >>> callback = LambdaCallback(on_train_epoch_end=lambda trainer, module: ends.append(trainer.current_epoch))

    Raises:
        TypeError: for a name that is no hook, naming the nearest, and for what cannot be called.
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        for name, function in hooks.items():
            if name not in _HOOKS:
                near = difflib.get_close_matches(name, _HOOKS, n=1)
                raise TypeError(
                    f"{name!r} is no hook of callbacks."
                    + (f" Did you mean {near[0]!r}?" if near else f" They are {', '.join(_HOOKS)}.")
                )
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name} must be a function, got {type(function).__name__} ({function!r}).")
            setattr(self, name, function)
        self._names = sorted(name for name, function in hooks.items() if function is not None)

    @property
    def state_key(self) -> str:
        """One per set of hooks and object: several may be used, and none has state."""
        return f"LambdaCallback({', '.join(self._names)}; {id(self)})"
