"""Times a run from its hooks, so that a run without a profiler pays nothing."""

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from lit_core.callbacks.base import Callback
from lit_core.hooks import Phase
from lit_core.module import LightningModule
from lit_core.profilers.profiler import Profiler
from lit_core.profilers.resolve import get_profiler

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_STEPS = ("training_step", "validation_step", "test_step", "predict_step")


class ProfilerCallback(Callback):
    """Measures a run with a profiler, and shows the summary at its end.

    Events, each inside those before it: the stage (``fit``, ``validate``, ``test``, ``predict``); ``sanity_check``;
    ``train_epoch``; ``train_data`` (from the end of a batch to the beginning of the next: waiting for the loader,
    moving the batch); ``train_batch``; ``training_step``, ``backward``, ``optimizer_step``; ``validation``;
    ``validation_data``, ``validation_batch``, ``validation_step``, and the same of test and predict. In manual
    optimization the backward pass is a part of ``training_step``.

    Args:
        profiler: a profiler or the name of one (:func:`get_profiler`).

    Example:
        >>> import torch
        >>> from lit_core import LightningModule, Trainer
        >>> from lit_core.profilers import SimpleProfiler
        >>> class Line(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.slope = torch.nn.Parameter(torch.zeros(()))
        ...     def training_step(self, batch, batch_idx):
        ...         return (self.slope * batch - 3 * batch).square().mean()
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.1)
        >>> profiler = SimpleProfiler(filename="profile.txt")
        >>> quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
        >>> trainer = Trainer(max_epochs=2, callbacks=ProfilerCallback(profiler), **quiet)
        >>> trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(6), batch_size=2))
        >>> {name: profiler.events[name].count for name in ("fit", "train_epoch", "training_step", "optimizer_step")}
        {'fit': 1, 'train_epoch': 2, 'training_step': 6, 'optimizer_step': 6}
    """

    phase: Phase = "save"
    """After all callbacks that observe and decide, so that their time is inside the event that ends."""

    def __init__(self, profiler: Profiler | str = "simple") -> None:
        self.profiler = get_profiler(profiler)
        self._open: list[str] = []
        self._handles: list[Any] = []
        self._stepping: Optimizer | None = None
        self._own_steps: dict[str, Any] = {}

    # A run ------------------------------------------------------------------------------------------------------------

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Begin to measure."""
        self._open.clear()
        self.profiler.setup(_folder(trainer))
        self._wrap_steps(module)
        self._start(stage)

    def teardown(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Show the summary, in process 0."""
        self._end(module)
        if trainer.is_global_zero:
            self.profiler.describe(_folder(trainer), trainer.print)

    def on_exception(self, trainer: "Trainer", module: LightningModule, exception: BaseException) -> None:
        """Leave everything as it was; the profiler keeps what it has."""
        self._end(module)

    def on_sanity_check_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says."""
        self._start("sanity_check")

    def on_sanity_check_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says."""
        self._stop("sanity_check")

    # Training ---------------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Listen to the optimizers."""
        for optimizer in trainer.optimizers:
            self._handles.append(optimizer.register_step_pre_hook(self._before_optimizer))
            self._handles.append(optimizer.register_step_post_hook(self._after_optimizer))

    def on_train_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """The first batch of the epoch is waited for."""
        self._start("train_epoch")
        self._start("train_data")

    def on_train_batch_start(self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The batch is there."""
        self._stop("train_data")
        self._start("train_batch")

    def on_before_backward(self, trainer: "Trainer", module: LightningModule, loss: Tensor) -> None:
        """As its name says."""
        self._start("backward")

    def on_after_backward(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says."""
        self._stop("backward")

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The next batch is waited for."""
        self._stop("train_batch")
        self.profiler.step()
        self._start("train_data")

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says."""
        self._stop("train_epoch")

    # Validation, test, prediction -------------------------------------------------------------------------------------

    def on_validation_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says."""
        self._start_evaluation("validation")

    def on_validation_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """The first batch is waited for."""
        self._start("validation_data")

    def on_validation_batch_start(
        self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The batch is there."""
        self._start_batch("validation")

    def on_validation_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The next batch is waited for."""
        self._end_batch("validation", counts=trainer.stage != "fit")

    def on_validation_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Nothing more is waited for."""
        self._stop("validation_data")

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says; training may go on."""
        self._stop("validation")
        if "train_epoch" in self._open:
            self._start("train_data")

    def on_test_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says."""
        self._start_evaluation("test_data")

    def on_test_batch_start(
        self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The batch is there."""
        self._start_batch("test")

    def on_test_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The next batch is waited for."""
        self._end_batch("test")

    def on_test_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Nothing more is waited for."""
        self._stop("test_data")

    def on_predict_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """As its name says."""
        self._start_evaluation("predict_data")

    def on_predict_batch_start(
        self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The batch is there."""
        self._start_batch("predict")

    def on_predict_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The next batch is waited for."""
        self._end_batch("predict")

    def on_predict_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Nothing more is waited for."""
        self._stop("predict_data")

    # How --------------------------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        self._open.append(name)
        self.profiler.start(name)

    def _stop(self, name: str) -> None:
        """Stop an event and what is open inside it; nothing where it is not open (a batch that was skipped)."""
        while name in self._open:
            self.profiler.stop(self._open.pop())

    def _start_evaluation(self, name: str) -> None:
        self._stop("train_data")
        self._start(name)

    def _start_batch(self, stage: str) -> None:
        self._stop(f"{stage}_data")
        self._start(f"{stage}_batch")

    def _end_batch(self, stage: str, *, counts: bool = True) -> None:
        self._stop(f"{stage}_batch")
        if counts:
            self.profiler.step()
        self._start(f"{stage}_data")

    def _before_optimizer(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._stepping is None:  # an optimizer may step another one inside
            self._stepping = optimizer
            self._start("optimizer_step")

    def _after_optimizer(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._stepping is optimizer:
            self._stepping = None
            self._stop("optimizer_step")

    def _wrap_steps(self, module: LightningModule) -> None:
        """Time the user's steps, where they were written."""
        own = module.__dict__
        self._own_steps = {name: own[name] for name in _STEPS if name in own}
        for name in _STEPS:
            if name in own or getattr(type(module), name) is not getattr(LightningModule, name):
                own[name] = _TimedStep(getattr(module, name), name, self._start, self._stop)

    def _end(self, module: LightningModule) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._stepping = None
        for name in _STEPS:
            if isinstance(module.__dict__.get(name), _TimedStep):
                del module.__dict__[name]
        module.__dict__.update(self._own_steps)
        self._own_steps = {}
        while self._open:
            self.profiler.stop(self._open.pop())
        self.profiler.teardown()


class _TimedStep:
    """A step that is timed. A copy or pickle of the module that has it gets the plain step of its own."""

    def __init__(
        self, step: Callable[..., Any], name: str, start: Callable[[str], None], stop: Callable[[str], None]
    ) -> None:
        update_wrapper(self, step)
        self._step, self._name, self._start, self._stop = step, name, start, stop

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._start(self._name)
        try:
            return self._step(*args, **kwargs)
        finally:
            self._stop(self._name)

    def __reduce__(self) -> Any:
        owner = getattr(self._step, "__self__", None)
        return (getattr, (owner, self._name)) if owner is not None else (_same, (self._step,))


def _same(step: Any) -> Any:
    return step


def _folder(trainer: "Trainer") -> str:
    """The run's folder; the working folder where that is a URL, to which profilers cannot write."""
    folder = trainer.log_dir or trainer.default_root_dir
    return "." if "://" in folder else folder
