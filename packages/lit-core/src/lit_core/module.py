"""LightningModule: the science. Models, their steps, their optimizers; the engineering is the Trainer's."""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_core.data.time import split_time
from lit_core.hparams import HasHParams
from lit_core.optimizers import LightningOptimizer, toggled

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

Self = TypeVar("Self", bound="LightningModule")


class LightningModule(nn.Module, HasHParams):
    """An ``nn.Module`` that says how it is trained.

    Write ``training_step`` and ``configure_optimizers``; everything else is optional. Several models that interact are
    plain attributes.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from lit_core import LightningModule
        >>> class Regression(LightningModule):
        ...     def __init__(self, lr: float = 0.1):
        ...         super().__init__()
        ...         self.save_hyperparameters()
        ...         self.layer = nn.Linear(3, 1)
        ...
        ...     def forward(self, x):
        ...         return self.layer(x)
        ...
        ...     def training_step(self, batch, batch_idx):
        ...         x, y = batch
        ...         loss = nn.functional.mse_loss(self(x), y)
        ...         self.log("loss", loss)
        ...         return loss
        ...
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
        >>> Regression(lr=0.5).hparams
        {'lr': 0.5}
    """

    __jit_unused_properties__ = (
        "current_epoch",
        "device",
        "device_mesh",
        "global_rank",
        "global_step",
        "hparams",
        "is_attached",
        "local_rank",
        "logged_hparams",
        "logger",
        "loggers",
        "trainer",
    )

    automatic_optimization: bool = True
    """Set False (in ``__init__``) to write backward and step yourself in ``training_step``."""

    example_input_array: Any = None
    """An input of ``forward`` (tensor, tuple of arguments, dict of keyword arguments); exports and summaries use it."""

    strict_loading: bool = True
    """Whether a checkpoint must hold exactly the keys of this module's state dict."""

    truncated_bptt_steps: int = 0
    """Time steps after which a batch of sequences is cut, each part an update; 0 for whole batches."""

    _inspected: bool = False

    def __init__(self) -> None:
        super().__init__()
        self._trainer: Trainer | None = None
        self._collect: Callable[..., None] | None = None
        self._toggle: ExitStack | None = None

    # The science, written by the user -----------------------------------------------------------------------------

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Loss of one batch: a tensor, a dict with the key ``"loss"``, or None to skip the batch.

        Called with ``(batch, batch_idx)``. With several automatic optimizers either ``optimizer_idx`` is taken too and
        the loss returned is that optimizer's, or a dict of all losses by optimizer name is returned. With
        ``truncated_bptt_steps``, ``hiddens`` is taken, and returned beside ``"loss"``.
        """
        raise NotImplementedError

    def training_step_end(self, step_output: Any) -> Any:
        """Make the loss from the parts that the devices of one process gave."""
        return step_output

    def training_epoch_end(self, outputs: list[Any]) -> None:
        """See everything that the training steps of the epoch returned, detached (kept only if this is written)."""

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """One validation batch; called with ``(batch, batch_idx)``, with several loaders also ``dataloader_idx``."""
        raise NotImplementedError

    def validation_step_end(self, step_output: Any) -> Any:
        """As :meth:`training_step_end`."""
        return step_output

    def validation_epoch_end(self, outputs: list[Any]) -> None:
        """As :meth:`training_epoch_end`; with several loaders, one list each."""

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """One test batch; as :meth:`validation_step`."""
        raise NotImplementedError

    def test_step_end(self, step_output: Any) -> Any:
        """As :meth:`training_step_end`."""
        return step_output

    def test_epoch_end(self, outputs: list[Any]) -> None:
        """As :meth:`validation_epoch_end`."""

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """Prediction for one batch; ``forward`` of the batch (of a tuple's first element) unless written."""
        batch = args[0] if args else kwargs["batch"]
        return self(batch[0] if isinstance(batch, (list, tuple)) else batch)

    def configure_optimizers(self) -> Any:
        """The optimizers and learning-rate schedulers.

        Returns one of: an optimizer; a list of them; two lists (optimizers, schedulers); a dict with ``"optimizer"``
        and optionally ``"lr_scheduler"`` (a scheduler or a dict: ``scheduler``, ``interval`` ``"epoch"``/``"step"``,
        ``frequency``, ``monitor``, ``strict``, ``name``), ``"frequency"``, ``"name"``, ``"accumulate_grad_batches"``,
        ``"gradient_clip_val"`` and ``"gradient_clip_algorithm"`` (the Trainer's unless given); a list of such dicts; or
        None.
        """
        raise NotImplementedError

    def configure_callbacks(self) -> Any:
        """Callbacks that belong to this module; they replace those of the same class given to the Trainer."""
        return []

    def configure_model(self) -> None:
        """Build large parts of the model when device and strategy are known."""

    # Steps of optimization that may be replaced -----------------------------------------------------------------------

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: LightningOptimizer, optimizer_closure: Callable[[], Any]
    ) -> None:
        """Step the optimizer; the closure runs the forward and backward pass."""
        optimizer.step(closure=optimizer_closure)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer, optimizer_idx: int) -> None:
        """Clear the gradients of ``optimizer``."""
        optimizer.zero_grad()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass of a scaled loss."""
        loss.backward(*args, **kwargs)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradients of ``optimizer``; the arguments are the Trainer's settings."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Step a scheduler; ``metric`` is the monitored value, if there is one."""
        if metric is None:
            scheduler.step()
        else:
            scheduler.step(metric)

    def tbptt_split_batch(self, batch: Any, split_size: int) -> list[Any]:
        """Cut a batch along time for ``truncated_bptt_steps``; by default all tensors along dimension 1."""
        return split_time(batch, split_size)

    # Data, where there is no datamodule ---------------------------------------------------------------------------

    def train_dataloader(self) -> Any:
        """Loader of the training batches."""
        raise NotImplementedError

    def val_dataloader(self) -> Any:
        """Loader, or list of loaders, of the validation batches."""
        raise NotImplementedError

    def test_dataloader(self) -> Any:
        """Loader, or list of loaders, of the test batches."""
        raise NotImplementedError

    def predict_dataloader(self) -> Any:
        """Loader, or list of loaders, of the batches to predict."""
        raise NotImplementedError

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch where it was loaded."""
        return batch

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch; needed only for objects that are neither tensors nor containers of them."""
        raise NotImplementedError

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch on its device."""
        return batch

    # Events, in order of call -----------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download data; called in one process per node, before :meth:`setup`; keep no state here."""

    def setup(self, stage: str) -> None:
        """Build what needs data or processes; ``stage`` is ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``."""

    def on_fit_start(self) -> None:
        """Optimizers are made, nothing has run."""

    def on_train_start(self) -> None:
        """Training begins."""

    def on_train_epoch_start(self) -> None:
        """Training: an epoch begins."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Training: a batch is on the device. Return -1 to skip the rest of the epoch, in all processes."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Training: a batch is done; ``outputs`` is what the step returned."""

    def on_train_epoch_end(self) -> None:
        """Training: an epoch is done."""

    def on_train_end(self) -> None:
        """Training is over."""

    def on_validation_start(self) -> None:
        """Validation begins."""

    def on_validation_epoch_start(self) -> None:
        """Validation: an epoch begins."""

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Validation: a batch is on the device."""

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Validation: a batch is done; ``outputs`` is what the step returned."""

    def on_validation_epoch_end(self) -> None:
        """Validation: an epoch is done."""

    def on_validation_end(self) -> None:
        """Validation is over."""

    def on_test_start(self) -> None:
        """Testing begins."""

    def on_test_epoch_start(self) -> None:
        """Testing: an epoch begins."""

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Testing: a batch is on the device."""

    def on_test_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Testing: a batch is done; ``outputs`` is what the step returned."""

    def on_test_epoch_end(self) -> None:
        """Testing: an epoch is done."""

    def on_test_end(self) -> None:
        """Testing is over."""

    def on_predict_start(self) -> None:
        """Prediction begins."""

    def on_predict_epoch_start(self) -> None:
        """Prediction: an epoch begins."""

    def on_predict_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Prediction: a batch is on the device."""

    def on_predict_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Prediction: a batch is done; ``outputs`` is what the step returned."""

    def on_predict_epoch_end(self) -> None:
        """Prediction: an epoch is done."""

    def on_predict_end(self) -> None:
        """Prediction is over."""

    def on_fit_end(self) -> None:
        """Everything is done, the module is still on its device."""

    def teardown(self, stage: str) -> None:
        """Release what :meth:`setup` took."""

    def on_exception(self, exception: BaseException) -> None:
        """Something was raised; it will be raised again."""

    def on_before_zero_grad(self, optimizer: Optimizer) -> None:
        """Gradients are about to be cleared."""

    def on_before_backward(self, loss: Tensor) -> None:
        """The backward pass of ``loss`` is about to run."""

    def on_after_backward(self) -> None:
        """Gradients of this batch are there."""

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Gradients are complete, unscaled and not yet clipped."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint: tensors and plain values."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take from a checkpoint what :meth:`on_save_checkpoint` added."""

    # What the framework gives ---------------------------------------------------------------------------------------

    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool = True,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: str | Callable[..., Any] = "mean",
        sync_dist: bool = False,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        rank_zero_only: bool = False,
        **older: Any,
    ) -> None:
        """Log a number, from any hook. Nothing is read from the device until rows are written.

        Args:
            name: key of the value.
            value: a number, a tensor with one element, or a metric object (``update``, ``compute``, ``reset``), which
                is computed at the end of the epoch and reset. Logged ``on_step``, a metric shows its value so far.
            prog_bar: show it in the progress bar.
            logger: give it to the loggers.
            on_step: log the value of this step (default: in training hooks that run per batch). In evaluation these are
                process 0's values, by the number of the batch.
            on_epoch: log the reduction over the epoch and all processes (default: everywhere else).
            reduce_fx: ``"mean"`` (weighted by batch size), ``"sum"``, ``"min"`` or ``"max"``, in float64; or a
                function of all values of the epoch and of all processes (a tensor), which are then kept.
            sync_dist: reduce step values over processes too; epoch values always are.
            add_dataloader_idx: with several loaders, append ``/dataloader_idx_{i}`` to the key.
            batch_size: weight of this value, where it is not the number of samples in the batch.
            rank_zero_only: take the value of process 0 alone.
            older: arguments that earlier versions had (``enable_graph``, ``sync_dist_group``, ...), without effect.

        Raises:
            ValueError: for options that contradict each other, the hook, or an earlier call with the same key.
            RuntimeError: in a hook where nothing is logged.
        """
        collect = self._collect
        if collect is None:
            warnings.warn(
                f"self.log({name!r}, ...) was called on a module that no Trainer runs: nothing is recorded.",
                stacklevel=2,
            )
            return
        collect(
            name,
            value,
            prog_bar,
            logger,
            on_step,
            on_epoch,
            reduce_fx,
            sync_dist,
            add_dataloader_idx,
            batch_size,
            rank_zero_only,
            **older,
        )

    def log_dict(self, dictionary: Mapping[str, Any], **options: Any) -> None:
        """Log several values with the options of :meth:`log`; a metric collection is logged as its parts."""
        for name, value in dictionary.items():
            self.log(name, value, **options)

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass in manual optimization: precision and gradient synchronisation are taken care of."""
        strategy = self.trainer.strategy
        strategy.backward(loss, *args, **kwargs)

    def optimizers(self) -> Any:
        """The optimizer, or a list where there are several; their steps are counted whoever takes them."""
        wrapped = self.trainer.wrapped_optimizers
        return wrapped[0] if len(wrapped) == 1 else list(wrapped)

    def lr_schedulers(self) -> Any:
        """The scheduler, a list where there are several, None where there is none."""
        schedulers = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        return schedulers[0] if len(schedulers) == 1 else schedulers or None

    def clip_gradients(
        self,
        optimizer: Optimizer | LightningOptimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients by ``"norm"`` (default) or ``"value"``; nothing happens without a bound."""
        if gradient_clip_val is None:
            return
        inner = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        strategy = self.trainer.strategy
        if gradient_clip_algorithm == "value":
            strategy.clip_gradients(inner, clip_value=gradient_clip_val)
        else:
            strategy.clip_gradients(inner, max_norm=gradient_clip_val)

    @contextmanager
    def toggled_optimizer(self, optimizer: Optimizer | LightningOptimizer) -> Iterator[None]:
        """Inside, only the parameters of ``optimizer`` require gradients; those of the others are left out."""
        inner = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        with toggled(inner, self.trainer.optimizers):
            yield

    def toggle_optimizer(self, optimizer: Optimizer | LightningOptimizer) -> None:
        """From here to :meth:`untoggle_optimizer`, only the parameters of ``optimizer`` require gradients."""
        self.untoggle_optimizer()
        self._toggle = ExitStack()
        self._toggle.enter_context(self.toggled_optimizer(optimizer))

    def untoggle_optimizer(self, optimizer: Optimizer | LightningOptimizer | None = None) -> None:
        """Parameters require gradients again as they did before :meth:`toggle_optimizer`."""
        if self._toggle is not None:
            self._toggle.close()
            self._toggle = None

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print in process 0 only, above the progress bar."""
        self.trainer.print(*args, **kwargs)

    def get_progress_bar_dict(self) -> dict[str, float]:
        """What the progress bar shows; override it to show more or less (PyTorch Lightning 1.0)."""
        values: dict[str, float] = self.trainer.progress_bar_metrics
        return values

    def summarize(self, mode: str = "top") -> Any:
        """Parameters, memory and shapes by layer, printable: :func:`lit_core.callbacks.summarize`.

        Args:
            mode: ``"top"`` for the module's own children, ``"full"`` for all below (PyTorch Lightning 1.0).

        Raises:
            ValueError: for another mode.
        """
        from lit_core.callbacks.model_summary import summarize

        if mode not in ("top", "full"):
            raise ValueError(f"mode is 'top' or 'full', got {mode!r}.")
        return summarize(self, 1 if mode == "top" else -1)

    def all_gather(self, data: Any, sync_grads: bool = False) -> Any:
        """Stack the tensors of any pytree over processes: ``(world_size, *shape)``.

        Of processes that see the same samples (``strategy="model_parallel"``) the first counts.
        """
        strategy = self.trainer.strategy
        return strategy.data_collectives.all_gather(data, sync_grads=sync_grads)

    def freeze(self) -> None:
        """Stop gradients of all parameters and switch to evaluation mode."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.eval()

    def unfreeze(self) -> None:
        """Let gradients flow to all parameters and switch to training mode."""
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        self.train()

    # Where the run is -------------------------------------------------------------------------------------------------

    def attach(self, trainer: "Trainer", collect: Callable[..., None]) -> None:
        """The Trainer begins to run this module; called by the framework."""
        self._trainer, self._collect = trainer, collect
        if type(self).log is LightningModule.log:
            self.__dict__["log"] = collect  # the same signature: one call less, each time

    def alone(self: Self) -> Self:
        """A copy that no Trainer runs and whose attributes can all be inspected: what exports work on."""
        copied = copy.deepcopy(self)
        copied._inspected = True  # noqa: SLF001 (of this class)
        return copied

    def detach_logging(self) -> None:
        """The run is over: what is logged from now on has no place; called by the framework."""
        self._collect = None
        self.__dict__.pop("log", None)

    @property
    def is_attached(self) -> bool:
        """Whether a Trainer runs or ran this module."""
        return self._trainer is not None

    @property
    def trainer(self) -> "Trainer":
        """The Trainer that runs this module.

        Raises:
            RuntimeError: if there is none.
        """
        if self._trainer is None:
            if self._inspected:  # TorchScript asks hasattr for every name
                raise AttributeError("trainer")
            raise RuntimeError(
                f"{type(self).__name__} is not run by a Trainer: pass it to Trainer.fit or the like first."
            )
        return self._trainer

    @property
    def device(self) -> torch.device:
        """Of the first parameter or buffer; the CPU if there is none."""
        for tensor in self.parameters():
            return tensor.device
        for buffer in self.buffers():
            return buffer.device
        return torch.device("cpu")

    @property
    def device_mesh(self) -> Any:
        """The ``DeviceMesh`` of the strategy's processes, for ``configure_model``; None without a Trainer or a mesh."""
        strategy = self._trainer.strategy if self._trainer is not None else None
        return strategy.device_mesh if strategy is not None else None

    @property
    def current_epoch(self) -> int:
        """Index of the running epoch; 0 without a Trainer."""
        return self._trainer.current_epoch if self._trainer is not None else 0

    @property
    def global_step(self) -> int:
        """Updates so far; 0 without a Trainer."""
        return self._trainer.global_step if self._trainer is not None else 0

    @property
    def global_rank(self) -> int:
        """Of this process; 0 without a Trainer."""
        return self._trainer.global_rank if self._trainer is not None else 0

    @property
    def local_rank(self) -> int:
        """Of this process on its node; 0 without a Trainer."""
        return self._trainer.local_rank if self._trainer is not None else 0

    @property
    def logger(self) -> Any:
        """The first logger, or None."""
        return self._trainer.logger if self._trainer is not None else None

    @property
    def loggers(self) -> Sequence[Any]:
        """All loggers."""
        return self._trainer.loggers if self._trainer is not None else ()

    # Files ------------------------------------------------------------------------------------------------------------

    @classmethod
    def load_from_checkpoint(
        cls: type[Self],
        checkpoint_path: str | PathLike[str],
        map_location: Any = "cpu",
        strict: bool | None = None,
        weights_only: bool = True,
        **hparams: Any,
    ) -> Self:
        """Build a module from a checkpoint: its hyperparameters, then its weights.

        Args:
            checkpoint_path: file or URL.
            map_location: where tensors are put.
            strict: whether keys must match exactly; the class's ``strict_loading`` by default.
            weights_only: refuse files that would run code; turn off only for files you trust.
            hparams: arguments of ``__init__`` that replace or complete the stored ones.
        """
        from lit_core.checkpoint import module_from_checkpoint

        return module_from_checkpoint(cls, checkpoint_path, map_location, strict, weights_only, hparams)

    def to_onnx(self, file_path: str | PathLike[str], input_sample: Any = None, **kwargs: Any) -> None:
        """Export ``forward`` to ONNX with a dynamic batch axis; see :func:`lit_core.export.to_onnx`."""
        from lit_core.export import to_onnx

        to_onnx(self, file_path, input_sample, **kwargs)

    def to_torch_export(
        self, file_path: str | PathLike[str] | None = None, input_sample: Any = None, **kwargs: Any
    ) -> Any:
        """Export to a ``torch.export`` program; see :func:`lit_core.export.to_torch_export`."""
        from lit_core.export import to_torch_export

        return to_torch_export(self, file_path, input_sample, **kwargs)

    def to_torchscript(
        self,
        file_path: str | PathLike[str] | None = None,
        method: str = "script",
        example_inputs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Export ``forward`` to TorchScript; see :func:`lit_core.export.to_torchscript`."""
        from lit_core.export import to_torchscript

        return to_torchscript(self, file_path, method, example_inputs, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the Trainer: a copy or a pickle of the module is the module alone."""
        kept = {name: value for name, value in self.__dict__.items() if name != "log"}
        return {**kept, "_trainer": None, "_collect": None, "_toggle": None}
