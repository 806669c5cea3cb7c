"""Older spellings of the Trainer's arguments, translated to today's."""

import difflib
import warnings
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from lit_accelerators.registry import precision_name


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
        today = f"Trainer({', '.join(f'{k}={v!r}' for k, v in new.items())})"
        today = _ADVICE[name].format(value) if name in _ADVICE else today
        _warn(
            f"Trainer({name}=...) is the older spelling of {today}." if new else f"Trainer({name}=...) has no effect."
        )
        result |= {**new, "callbacks": [*result.get("callbacks", []), *new["callbacks"]]} if "callbacks" in new else new
    return result


def _warn(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=5)  # _warn, its caller, merge_legacy, Trainer.__init__


def merge_legacy(given: dict[str, Any], legacy: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the older spellings put in; callbacks join."""
    translated = translate(legacy, given)
    merged = {**given, **translated}
    accelerator, precision = merged["accelerator"], merged["precision"]
    if accelerator in _BACKENDS:
        strategy = "ddp_spawn" if accelerator == "ddp_cpu" else accelerator
        kind = "cpu" if accelerator == "ddp_cpu" else "auto"
        merged |= {"accelerator": kind, "strategy": strategy}
        _warn(f"Trainer(accelerator={accelerator!r}) is the older spelling of Trainer(strategy={strategy!r}).")
    if precision in (16, 32, 64, "bf16"):
        merged["precision"] = precision_name(precision)
        _warn(f"Trainer(precision={precision!r}) is the older spelling of Trainer(precision={merged['precision']!r}).")
    if merged["gradient_clip_val"] == 0:  # 1.0's default, which clips nothing
        merged["gradient_clip_val"] = None
    if "callbacks" in translated and given["callbacks"] is not None:
        before = given["callbacks"]
        merged["callbacks"] = [*(before if isinstance(before, (list, tuple)) else [before]), *translated["callbacks"]]
    return merged


def _checkpoint_callback(value: Any) -> dict[str, Any]:
    return {"enable_checkpointing": value} if isinstance(value, bool) else {"callbacks": [value]}


def _tpu_cores(value: Any) -> dict[str, Any]:
    return {"accelerator": "tpu", "devices": value} if value else {}


def _callback(name: str, *args: Any) -> dict[str, Any]:
    return {"callbacks": [getattr(import_module("lit_core.callbacks"), name)(*args)]}


def _weights_summary(value: Any) -> dict[str, Any]:
    if value not in ("top", "full"):
        return {"enable_model_summary": False}
    return _callback("ModelSummary", 1 if value == "top" else -1)


def _sync_batchnorm(value: Any) -> dict[str, Any]:
    if value:
        raise ValueError(
            "sync_batchnorm=True is an option of the strategy: "
            "Trainer(strategy=functools.partial(DDPStrategy, sync_batchnorm=True))."
        )
    return {}


def _without_effect(value: Any) -> dict[str, Any]:
    return {}


def _gpus(value: Any) -> dict[str, Any]:
    return {"accelerator": "cuda", "devices": value} if value else {"accelerator": "cpu"}


_TRANSLATIONS = {
    "checkpoint_callback": _checkpoint_callback,
    "gpus": _gpus,
    "num_processes": lambda value: {"accelerator": "cpu", "devices": value},
    "distributed_backend": lambda value: {"strategy": "auto" if value is None else value},
    "progress_bar_refresh_rate": lambda value: {"enable_progress_bar": bool(value)},
    "replace_sampler_ddp": lambda value: {"use_distributed_sampler": value},
    "tpu_cores": _tpu_cores,
    "resume_from_checkpoint": lambda value: {"resume_from_checkpoint": value},
    "reload_dataloaders_every_epoch": lambda value: {"reload_dataloaders_every_n_epochs": int(value)},
    "weights_save_path": lambda value: {"default_root_dir": value},
    "track_grad_norm": lambda value: {} if value == -1 else _callback("GradientNormMonitor", value),
    "terminate_on_nan": lambda value: _callback("NaNGuard") if value else {},
    "log_gpu_memory": lambda value: _callback("DeviceStatsMonitor") if value else {},
    "stochastic_weight_avg": lambda value: _callback("StochasticWeightAveraging", 1e-2) if value else {},
    "weights_summary": _weights_summary,
    "sync_batchnorm": _sync_batchnorm,
    "process_position": _without_effect,
    "flush_logs_every_n_steps": _without_effect,
    "auto_select_gpus": _without_effect,
    "amp_backend": _without_effect,
    "amp_level": _without_effect,
}
_ADVICE = {"resume_from_checkpoint": "fit(..., ckpt_path={!r})"}

_BACKENDS = ("ddp", "ddp_cpu", "ddp_spawn", "ddp_notebook", "dp", "ddp2", "horovod")
"""What 1.0 called an accelerator, and is a strategy today."""
