"""The contract of a callback."""

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from lit_core.hooks import Phase
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer


class Callback:
    """Something that watches or steers training and is not part of the science.

    Override the events you need; the others cost nothing. In ``on_*_end`` events the module runs first and what it
    logged is there; callbacks follow by phase.

    Example:
        >>> from lit_core import Callback
        >>> class Bell(Callback):
        ...     def on_train_epoch_end(self, trainer, module):
        ...         trainer.print(f"epoch {trainer.current_epoch}: ding")
    """

    phase: Phase = "observe"
    """When it runs inside an ``on_*_end`` event: ``"observe"``, then ``"decide"`` (stop?), then ``"save"``."""

    exclusive: bool = False
    """Whether the Trainer that has it takes none of the callbacks that installed packages register."""

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint; two callbacks of one class need different keys."""
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should hold: tensors and plain values."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""

    def listens_to(self, event: str) -> bool:
        """Whether there is anything to do at an event that this class has a method for; asked when a run starts."""
        return True

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Build what needs data or processes; ``stage`` is ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``."""

    def on_fit_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Optimizers are made, nothing has run."""

    def on_sanity_check_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """A few validation batches are about to run before training; their numbers are not kept."""

    def on_sanity_check_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """The sanity check is over."""

    def on_train_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Training begins."""

    def on_train_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Training: an epoch begins."""

    def on_train_batch_start(
        self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int
    ) -> int | None:
        """Training: a batch is on the device. Return -1 to skip the rest of the epoch, in all processes."""

    def on_train_batch_end(
        self, trainer: "Trainer", module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Training: a batch is done; ``outputs`` is what the step returned."""

    def on_train_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Training: an epoch is done."""

    def on_train_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Training is over."""

    def on_validation_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Validation begins."""

    def on_validation_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Validation: an epoch begins."""

    def on_validation_batch_start(
        self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Validation: a batch is on the device."""

    def on_validation_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Validation: a batch is done; ``outputs`` is what the step returned."""

    def on_validation_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Validation: an epoch is done."""

    def on_validation_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Validation is over."""

    def on_test_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Testing begins."""

    def on_test_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Testing: an epoch begins."""

    def on_test_batch_start(
        self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Testing: a batch is on the device."""

    def on_test_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Testing: a batch is done; ``outputs`` is what the step returned."""

    def on_test_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Testing: an epoch is done."""

    def on_test_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Testing is over."""

    def on_predict_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Prediction begins."""

    def on_predict_epoch_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Prediction: an epoch begins."""

    def on_predict_batch_start(
        self, trainer: "Trainer", module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Prediction: a batch is on the device."""

    def on_predict_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Prediction: a batch is done; ``outputs`` is what the step returned."""

    def on_predict_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Prediction: an epoch is done."""

    def on_predict_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Prediction is over."""

    def on_fit_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Everything is done, the module is still on its device."""

    def teardown(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Release what :meth:`setup` took."""

    def on_keyboard_interrupt(self, trainer: "Trainer", module: LightningModule) -> None:
        """Training was stopped by Ctrl-C; it ends in order after this."""

    def on_exception(self, trainer: "Trainer", module: LightningModule, exception: BaseException) -> None:
        """Something was raised; it will be raised again."""

    def on_before_zero_grad(self, trainer: "Trainer", module: LightningModule, optimizer: Optimizer) -> None:
        """Gradients are about to be cleared."""

    def on_before_backward(self, trainer: "Trainer", module: LightningModule, loss: Tensor) -> None:
        """The backward pass of ``loss`` is about to run."""

    def on_after_backward(self, trainer: "Trainer", module: LightningModule) -> None:
        """Gradients of this batch are there."""

    def on_before_optimizer_step(self, trainer: "Trainer", module: LightningModule, optimizer: Optimizer) -> None:
        """Gradients are complete, unscaled and not yet clipped."""

    def on_save_checkpoint(self, trainer: "Trainer", module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint: tensors and plain values."""

    def on_load_checkpoint(self, trainer: "Trainer", module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take from a checkpoint what :meth:`on_save_checkpoint` added."""
