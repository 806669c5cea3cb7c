"""Older spellings of the Trainer's arguments, translated to today's."""

import difflib
import warnings
from collections.abc import Iterable, Mapping
from typing import Any


def translate(given: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Today's arguments for older ones, with one warning each.

    Raises:
        TypeError: for a name that never was one, with the nearest that is.
    """
    result: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _TRANSLATIONS:
            near = difflib.get_close_matches(name, [*known, *_TRANSLATIONS], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"Trainer takes no argument {name!r}.{hint}")
        new = _TRANSLATIONS[name](value)
        warnings.warn(
            f"Trainer({name}=...) is the older spelling of Trainer({', '.join(f'{k}={v!r}' for k, v in new.items())}).",
            DeprecationWarning,
            stacklevel=4,  # translate, merge_legacy, Trainer.__init__, the caller
        )
        result |= new
    return result


def merge_legacy(given: dict[str, Any], legacy: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the older spellings put in; callbacks join."""
    translated = translate(legacy, given)
    merged = {**given, **translated}
    if "callbacks" in translated and given["callbacks"] is not None:
        before = given["callbacks"]
        merged["callbacks"] = [*(before if isinstance(before, (list, tuple)) else [before]), *translated["callbacks"]]
    return merged


def _checkpoint_callback(value: Any) -> dict[str, Any]:
    return {"enable_checkpointing": value} if isinstance(value, bool) else {"callbacks": [value]}


def _gpus(value: Any) -> dict[str, Any]:
    return {"accelerator": "cuda", "devices": value} if value else {"accelerator": "cpu"}


_TRANSLATIONS = {
    "checkpoint_callback": _checkpoint_callback,
    "gpus": _gpus,
    "num_processes": lambda value: {"accelerator": "cpu", "devices": value},
    "distributed_backend": lambda value: {"strategy": "auto" if value is None else value},
    "progress_bar_refresh_rate": lambda value: {"enable_progress_bar": bool(value)},
    "replace_sampler_ddp": lambda value: {"use_distributed_sampler": value},
}
