"""Run: everything that one call of fit, validate, test or predict works with, resolved once."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from lit_accelerators import Strategy, isolate_rng, set_rng_state
from lit_core.config import TrainerConfig
from lit_core.data.combined import TrainingLoader
from lit_core.data.loaders import PreparedLoader
from lit_core.data.transfer import Transfer
from lit_core.datamodule import LightningDataModule
from lit_core.hooks import HookTable
from lit_core.logging.collector import Collector
from lit_core.logging.report import Report
from lit_core.module import LightningModule
from lit_core.optimizers import LightningOptimizer, Optimizers
from lit_core.progress import Progress
from lit_core.times import Times

Stage = Literal["fit", "validate", "test", "predict"]


INTERRUPT = "interrupt"
"""Why a run stopped on Ctrl-C."""

_PREEMPTED = "preempted by "
AGREE_EVERY_S = 2.0
"""About how often processes tell each other of signals and of time that is up, between their rows."""


def preempted_by(name: str) -> str:
    """Why a run stopped on a signal that announces the end of the machine."""
    return f"{_PREEMPTED}{name}"


def is_preemption(reason: str | None) -> bool:
    """Whether this is one that :func:`preempted_by` made."""
    return reason is not None and reason.startswith(_PREEMPTED)


def _rank(reason: str) -> int:
    return 2 if is_preemption(reason) else int(reason == INTERRUPT)


class StopSignal:
    """Whether training shall stop, and why. Anybody may ask; the loops obey at the next safe point.

    ``reason`` and ``urgent`` are what was asked for in this process, at any moment: a signal handler sets them.
    ``agreed`` and ``interrupted`` change at safe points only, in all processes alike.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.urgent: str | None = None
        self.interrupted = False
        self.agreed = False

    def ask(self, reason: str, *, urgent: bool = False) -> None:
        """Stop at the next safe point; the first reason is kept. ``urgent``: not only when rows are due."""
        self.reason = self.reason or reason
        if urgent:
            self.urgent = self.urgent or reason

    def interrupt(self, reason: str = INTERRUPT) -> None:
        """Stop because somebody outside said so: before any minimum of epochs or steps."""
        self.urgent = reason
        self.reason = self.reason or reason

    def request(self, *, soon: bool) -> tuple[str | None, str | None]:
        """What to tell the other processes; ``soon``: what cannot wait."""
        return None if soon else self.reason, self.urgent

    def agree(self, told: Iterable[tuple[str | None, str | None]]) -> None:
        """Every process knows now what any of them asked, so that all stop at the same place."""
        reasons, urgent = zip(*told, strict=True)
        first = max((reason for reason in urgent if reason is not None), key=_rank, default=None)
        reason = first or next((reason for reason in reasons if reason is not None), None)
        if reason is not None:
            self.reason = self.reason if self.agreed and (first is None or not _rank(first)) else reason
            self.agreed = True
            self.interrupted = self.interrupted or _rank(reason) > 0

    def take(self) -> None:
        """A process that is alone agrees with itself."""
        self.agree([(self.reason, self.urgent)])

    @property
    def preempted(self) -> bool:
        """Whether all processes stop because the machine is taken away."""
        return self.interrupted and is_preemption(self.reason)

    def clear(self) -> None:
        """Go on, unless somebody outside said to stop."""
        if self.urgent is None or not _rank(self.urgent):
            self.reason = self.urgent = None
            self.interrupted = self.agreed = False


@dataclass(kw_only=True, eq=False)
class Run:
    """One run in one process. The loops read it; only :class:`Progress` in it is written by them."""

    stage: Stage
    config: TrainerConfig
    module: LightningModule
    datamodule: LightningDataModule | None
    strategy: Strategy
    progress: Progress
    hooks: HookTable
    collector: Collector
    report: Report
    stop: StopSignal
    times: Times = field(default_factory=Times)
    transfer: Transfer | None = None
    train_loader: TrainingLoader | None = None
    val_loaders: list[PreparedLoader] = field(default_factory=list)
    """Of validation inside training."""

    evaluated: list[PreparedLoader] = field(default_factory=list)
    """Loaders that this run validates, tests or predicts."""

    optimizers: Optimizers = field(default_factory=Optimizers)
    wrapped: list[LightningOptimizer] = field(default_factory=list)
    epoch_outputs: list[Any] | None = None
    """What the training steps of this epoch returned; None where nobody asks for it."""

    sanity_checking: bool = False
    """Whether the validation that runs is the one before training."""

    last_step: float = field(init=False)
    """Updates at most, read once from the settings."""

    timed: bool = field(init=False)
    """Whether anything depends on the time that has passed."""

    validation_time_up: bool = False
    """Whether the time between validations has passed."""

    agree_at: float = field(init=False)
    """Batches done when the processes ask each other again, though no rows are due."""

    secure: Callable[[], None] = field(default=lambda: None)
    """Saves what training has come to before the machine is taken away."""

    _rng: dict[str, Any] | None = None
    _reload: Callable[[], None] | None = None
    _reload_every: int = 0

    def __post_init__(self) -> None:
        self.last_step = self.config.last_step
        self._most_seconds, self._validation_seconds = self.config.max_seconds, self.config.validation_seconds
        self._validated_at = 0.0
        self._agree_to_skip = self.strategy.world_size > 1 and self.hooks.may_answer("on_train_batch_start")
        self.timed = self._most_seconds < math.inf or self._validation_seconds is not None
        self.agree_at = 0 if self.timed or self.strategy.world_size > 1 else math.inf
        self._agree_every, self._agreed = 1, (0, 0.0)
        self._answers: Callable[[], list[Any]] | None = None

    def take_data(self, train: TrainingLoader | None, evaluated: list[PreparedLoader]) -> None:
        """Work on these loaders."""
        self.train_loader, self.evaluated = train, evaluated
        self.val_loaders = evaluated if self.stage == "fit" else []

    def reload_data(self, every: int, load: Callable[[], None]) -> None:
        """Call ``load`` again at the beginning of every ``every``-th epoch after the first."""
        self._reload_every, self._reload = every, load

    def open_epoch(self) -> None:
        """An epoch begins: its loaders may be due to be made anew."""
        begins = self.progress.epoch and not self.progress.batch
        if self._reload is not None and begins and self.progress.epoch % self._reload_every == 0:
            self._reload()

    def take_transfer(self, transfer: Transfer) -> None:
        """Bring batches to the device so."""
        self.transfer = transfer if transfer.is_needed else None

    def moved(
        self, loader: TrainingLoader, batches: Iterator[tuple[int, Any]], dataloader_idx: int = 0
    ) -> Iterator[tuple[int, Any]]:
        """``batches`` of ``loader``, on the device."""
        transfer, times = self.transfer, self.times
        if transfer is None:
            return batches

        def move(batch: Any) -> Any:
            with times.inside("transfer"):
                return transfer(batch, dataloader_idx)

        if transfer.can_overlap and loader.reads_ahead:
            return transfer.ahead(batches, move)
        return ((batch_idx, move(batch)) for batch_idx, batch in batches)

    def take_optimizers(self, optimizers: Optimizers, wrapped: list[LightningOptimizer]) -> None:
        """Train with these."""
        self.optimizers, self.wrapped = optimizers, wrapped

    @property
    def automatic_optimization(self) -> bool:
        """Whether the loop does backward and step: the Trainer's word, else the module's."""
        asked = self.config.automatic_optimization
        return self.module.automatic_optimization if asked is None else asked

    @property
    def num_batches(self) -> float:
        """Training batches of the opened epoch on this process, infinity where nobody knows."""
        return 0 if self.train_loader is None else self.train_loader.num_batches

    @property
    def val_every(self) -> float:
        """Validate after this many training batches inside an epoch; infinity for its end only."""
        interval, across_epochs = self.config.val_check_interval, self.config.check_val_every_n_epoch is None
        if self.config.dev_batches:
            return math.inf
        if isinstance(interval, int):
            if self.val_loaders and interval > self.num_batches and not across_epochs:
                raise ValueError(
                    f"val_check_interval={interval} is more than an epoch has ({self.num_batches} batches), so there "
                    "would be no validation: give a smaller number, or check_val_every_n_epoch=None to count batches "
                    "across epochs."
                )
            return interval
        if interval == 1.0 or self._validation_seconds is not None:
            return math.inf
        if self.num_batches == math.inf:
            raise ValueError(
                f"val_check_interval={interval} is a fraction of an epoch whose length nobody knows: give a number of "
                "batches."
            )
        return max(1, int(self.num_batches * interval))

    def finished(self) -> bool:
        """Whether training is over, between batches: limits reached, or asked to stop and allowed to."""
        progress, config = self.progress, self.config
        if progress.global_step >= self.last_step:
            return True
        if self.strategy.world_size == 1 and self.stop.reason is not None:
            self.stop.take()
        if self.stop.reason is None or not self.stop.agreed:
            return False
        if self.stop.interrupted:
            return True
        return progress.epoch >= (config.min_epochs or 0) and progress.global_step >= (config.min_steps or 0)

    def skips(self, answers: Sequence[Any]) -> bool:
        """Whether a hook that ran before a batch answered -1, in any process: then all skip the rest of the epoch."""
        skip, collectives = -1 in answers, self.strategy.collectives
        return any(collectives.all_gather_object(skip)) if self._agree_to_skip else skip

    def read_time(self) -> None:
        """See what is due by the time that has passed; with several processes, process 0 looks and tells."""
        if self.strategy.global_rank == 0:
            now = self.progress.read_timer()
            if now >= self._most_seconds:
                self.stop.ask(f"max_time of {self._most_seconds:g} s has passed", urgent=True)
            if self._validation_seconds is not None:
                self.validation_time_up = now - self._validated_at >= self._validation_seconds

    def note_validation(self) -> None:
        """A validation begins now."""
        self._validated_at, self.validation_time_up = self.progress.read_timer(), False

    def secure_by(self, secure: Callable[[], None]) -> None:
        """Call this when the machine is taken away, before training ends."""
        self.secure = secure

    def agree(self, *, soon: bool = False) -> None:
        """Tell every process if one was asked to stop, and what is due by process 0's clock.

        Args:
            soon: tell of signals and of time only. Other reasons wait for the next rows, at a batch that does not
                depend on how fast the machine is.
        """
        if self.timed:
            self.read_time()
        if self.strategy.world_size > 1:
            self._hear()
            collectives = self.strategy.collectives
            self._take(collectives.all_gather_object(self._message(soon)))

    def talk(self, *, soon: bool = False) -> None:
        """As :meth:`agree`, but nobody waits: what is said now is known in every process after its next batch."""
        if self.timed:
            self.read_time()
        if self.strategy.world_size > 1 and not (self._hear() and soon):
            collectives = self.strategy.collectives
            self._answers = collectives.begin_all_gather_object(self._message(soon))
            self.agree_at = self.progress.batches + 1

    def _message(self, soon: bool) -> tuple[tuple[str | None, str | None], bool, int]:
        return self.stop.request(soon=soon), self.validation_time_up, self._batches_until_next()

    def _hear(self) -> bool:
        """What was said before, if anything was."""
        if self._answers is None:
            return False
        answers, self._answers = self._answers, None
        self._take(answers())
        return True

    def _take(self, told: list[tuple[tuple[str | None, str | None], bool, int]]) -> None:
        self.stop.agree(request for request, _, _ in told)
        _, self.validation_time_up, wait = told[0]
        self.agree_at = self.progress.batches + wait

    def _batches_until_next(self) -> int:
        """As many batches as fit between two questions at the pace since the last; twice as many as before at most."""
        now, (batches, before) = time.monotonic(), self._agreed
        done, self._agreed = self.progress.batches - batches, (self.progress.batches, now)
        if done > 0:
            fit = int(AGREE_EVERY_S * done / max(now - before, 1e-9))
            self._agree_every = max(1, min(2 * self._agree_every, fit))
        return self._agree_every

    @contextmanager
    def sanity_check(self) -> Iterator[None]:
        """Inside, validation only tries whether it works; random states are left as they were."""
        self.sanity_checking = True
        try:
            with isolate_rng():
                yield
        finally:
            self.sanity_checking = False

    def defer_rng(self, state: dict[str, Any] | None) -> None:
        """Random states to set once the loaders of the resumed epoch are open."""
        self._rng = state

    def restore_rng(self) -> None:
        """Set the random states of a resumed run, once."""
        if self._rng is not None:
            set_rng_state(self._rng)
            self._rng = None
