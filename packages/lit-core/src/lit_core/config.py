"""What the user asked of the Trainer, checked once."""

import math
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from lit_core.durations import seconds

Limit = int | float | None


_BARE = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "profiler": None,
    "detect_anomaly": False,
    "fast_dev_run": False,
}


def barebones(given: dict[str, Any]) -> dict[str, Any]:
    """The settings with everything off that is not training.

    Raises:
        ValueError: for a setting that asks for something which is off.
    """
    defaults = {field.name: field.default for field in fields(TrainerConfig)}
    for name, value in _BARE.items():
        if given[name] != value and given[name] != defaults[name]:
            raise ValueError(
                f"barebones=True turns {name} off, but {name}={given[name]!r} was given: drop one of them."
            )
    return {**given, **_BARE}


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """The Trainer's settings; see :class:`lit_core.Trainer` for what each means. Invalid ones cannot be built."""

    accelerator: Any = "auto"
    strategy: Any = "auto"
    devices: Any = "auto"
    num_nodes: int = 1
    precision: Any = "32-true"
    logger: Any = True
    callbacks: Any = None
    fast_dev_run: int | bool = False
    max_epochs: int | None = None
    min_epochs: int | None = None
    max_steps: int = -1
    min_steps: int | None = None
    max_time: Any = None
    limit_train_batches: Limit = None
    limit_val_batches: Limit = None
    limit_test_batches: Limit = None
    limit_predict_batches: Limit = None
    overfit_batches: int | float = 0
    val_check_interval: Any = 1.0
    check_val_every_n_epoch: int | None = 1
    num_sanity_val_steps: int = 2
    log_every_n_steps: int = 50
    enable_checkpointing: bool = True
    enable_progress_bar: bool = True
    accumulate_grad_batches: int | dict[int, int] = 1
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"
    automatic_optimization: bool | None = None
    truncated_bptt_steps: int | None = None
    inference_mode: bool = True
    use_distributed_sampler: bool = True
    reload_dataloaders_every_n_epochs: int = 0
    prepare_data_per_node: bool = True
    deterministic: bool | str = False
    benchmark: bool | None = None
    detect_anomaly: bool = False
    barebones: bool = False
    plugins: Any = None
    profiler: Any = None
    enable_model_summary: bool | None = None
    auto_lr_find: bool | str = False
    auto_scale_batch_size: bool | str = False
    default_root_dir: Any = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: naming the argument, the value and what is possible.
        """
        for name in ("max_epochs", "max_steps"):
            self._whole(name, least=-1)
        for name in ("min_epochs", "min_steps"):
            self._whole(name, least=0)
        self._whole("num_sanity_val_steps", least=-1)
        self._whole("reload_dataloaders_every_n_epochs", least=0)
        if self.max_time is not None:
            seconds("max_time", self.max_time)
        if self.deterministic not in (True, False, "warn"):
            raise ValueError(f"deterministic is True, False or 'warn', got {self.deterministic!r}.")
        if self.deterministic and self.benchmark:
            raise ValueError("benchmark=True lets cuDNN choose algorithms by speed, which deterministic forbids.")
        for name in ("log_every_n_steps", "num_nodes", "check_val_every_n_epoch", "truncated_bptt_steps"):
            self._whole(name, least=1)
        self._accumulation()
        for name in (
            "limit_train_batches",
            "limit_val_batches",
            "limit_test_batches",
            "limit_predict_batches",
            "overfit_batches",
        ):
            self._limit(name)
        self._interval()
        if self.gradient_clip_val is not None and not self.gradient_clip_val > 0:
            raise ValueError(f"gradient_clip_val must be positive or None, got {self.gradient_clip_val!r}.")
        if self.gradient_clip_algorithm not in ("norm", "value"):
            raise ValueError(f"gradient_clip_algorithm is 'norm' or 'value', got {self.gradient_clip_algorithm!r}.")
        if isinstance(self.fast_dev_run, int) and self.fast_dev_run < 0:
            raise ValueError(f"fast_dev_run is True, False or a number of batches >= 1, got {self.fast_dev_run!r}.")
        for low, high in (("min_epochs", "max_epochs"), ("min_steps", "max_steps")):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and most >= 0 and least > most:
                raise ValueError(f"{low}={least} is more than {high}={most}.")

    def _whole(self, name: str, *, least: int) -> None:
        value = getattr(self, name)
        optional = self.__dataclass_fields__[name].default is None or name == "check_val_every_n_epoch"
        if value is None and optional:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number >= {least}{' or None' * optional}, got {value!r}.")

    def _limit(self, name: str) -> None:
        value = getattr(self, name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return
        if not isinstance(value, float) or not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} is a number of batches (int >= 0) or a fraction in [0.0, 1.0], got {value!r}.")

    def _accumulation(self) -> None:
        value = self.accumulate_grad_batches
        if not isinstance(value, dict):
            self._whole("accumulate_grad_batches", least=1)
            return
        whole = all(type(number) is int for number in (*value, *value.values()))
        if not value or not whole or min(value) < 0 or min(value.values()) < 1:
            raise ValueError(
                "accumulate_grad_batches is a whole number >= 1, or a dict from the epoch from which on it holds "
                f"(>= 0) to such numbers ({{0: 8, 4: 1}}), got {value!r}."
            )

    def _interval(self) -> None:
        value = self.val_check_interval
        if isinstance(value, (str, dict, timedelta)):
            seconds("val_check_interval", value)
            return
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not whole and not (isinstance(value, float) and 0.0 < value <= 1.0):
            raise ValueError(
                "val_check_interval is a number of batches (int >= 1), a fraction of the epoch in (0.0, 1.0], or a "
                f"duration ('30min'), got {value!r}."
            )
        if self.check_val_every_n_epoch is None and not whole:
            raise ValueError(
                "check_val_every_n_epoch=None counts batches across epochs, so val_check_interval must be a number of "
                f"batches (int), got {value!r}."
            )

    # What follows from the settings -----------------------------------------------------------------------------------

    @property
    def dev_batches(self) -> int | None:
        """Batches of every stage in a fast development run; None in a real one."""
        return int(self.fast_dev_run) or None

    @property
    def max_seconds(self) -> float:
        """Training time at most."""
        return math.inf if self.max_time is None else seconds("max_time", self.max_time)

    @property
    def validation_seconds(self) -> float | None:
        """Training time between validations, where the interval is a duration."""
        value = self.val_check_interval
        return seconds("val_check_interval", value) if isinstance(value, (str, dict, timedelta)) else None

    @property
    def last_epoch(self) -> float:
        """Epochs to run at most: 1000 where neither epochs nor steps were limited."""
        if self.dev_batches:
            return 1
        if self.max_epochs is None:
            return 1000 if self.max_steps == -1 else math.inf
        return math.inf if self.max_epochs == -1 else self.max_epochs

    @property
    def last_step(self) -> float:
        """Updates to make at most."""
        if self.dev_batches:
            return self.dev_batches
        return math.inf if self.max_steps == -1 else self.max_steps

    def accumulate_at(self, epoch: int) -> int:
        """Batches that make one update in this epoch."""
        value = self.accumulate_grad_batches
        if not isinstance(value, dict):
            return value
        begun = [first for first in value if first <= epoch]
        return value[max(begun)] if begun else 1

    def limit(self, stage: str) -> Limit:
        """The limit of batches of a stage (``"train"``, ``"val"``, ``"test"``, ``"predict"``)."""
        if self.dev_batches:
            return self.dev_batches
        if self.overfit_batches and stage in ("train", "val"):
            return self.overfit_batches
        value: Limit = getattr(self, f"limit_{stage}_batches")
        return value
