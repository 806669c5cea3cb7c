"""Tuner: what to find out before training."""

import copy
from typing import Any, get_args

from lit_core.datamodule import LightningDataModule
from lit_core.module import LightningModule
from lit_core.trainer import Trainer
from lit_core.tuner._trial import (
    assign,
    check_alone,
    copy_of,
    free_memory,
    holders_of,
    is_out_of_memory,
    makes_loader,
    run_trial,
)
from lit_core.tuner.batch_size import SearchMode, Watch, search
from lit_core.tuner.loaders import with_batch_size
from lit_core.tuner.lr_finder import LRFinder, Mode, Sweep, spaced


class Tuner:
    """Finds a learning rate or a batch size by short trainings with the settings of a Trainer.

    Trainings run on copies of module and datamodule, without callbacks, loggers and checkpoints. The module, its
    gradients, the datamodule, the Trainer, random states and files are as before; the attribute that was asked for is
    set.

    Args:
        trainer: whose settings (device, precision, accumulation, clipping, ...) trials use.

    Example:
        >>> import torch
        >>> from lit_core import LightningModule, Trainer
        >>> class Line(LightningModule):
        ...     def __init__(self, lr=1.0):
        ...         super().__init__()
        ...         self.lr = lr
        ...         self.slope = torch.nn.Parameter(torch.zeros(()))
        ...     def training_step(self, batch, batch_idx):
        ...         return (self.slope * batch - 3 * batch).square().mean()
        ...     def train_dataloader(self):
        ...         return torch.utils.data.DataLoader(torch.ones(6), batch_size=2)
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=self.lr)
        >>> module, trainer = Line(), Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        >>> found = Tuner(trainer).lr_find(module, min_lr=1e-4, max_lr=10.0)
        >>> 1e-3 < found.suggestion() == module.lr < 1.0
        True
        >>> module.slope.item(), trainer.global_step
        (0.0, 0)
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def lr_find(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        *,
        min_lr: float = 1e-8,
        max_lr: float = 1.0,
        num_training: int = 100,
        mode: Mode = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> LRFinder:
        """Train a copy while the learning rate rises with each update, and look where the loss falls fastest.

        Schedulers do not run. After Smith, "Cyclical Learning Rates for Training Neural Networks", 2015,
        https://arxiv.org/abs/1506.01186; the loss is a bias-corrected running mean (0.98).

        Args:
            model: the module; one optimizer.
            train_dataloaders: as of ``Trainer.fit``.
            datamodule: as of ``Trainer.fit``.
            min_lr: first learning rate.
            max_lr: last learning rate.
            num_training: updates.
            mode: ``"exponential"`` or ``"linear"``: how the rates between are spaced.
            early_stop_threshold: stop where the loss is this many times the smallest; None to go on to the end.
            update_attr: set the attribute to the suggestion, in the module and its hyperparameters.
            attr_name: its name; ``lr`` or ``learning_rate``, whichever there is, by default.

        Returns:
            The losses, with ``suggestion()`` and ``plot()``.

        Raises:
            ValueError: for bad numbers, several optimizers, several processes, or an attribute that is not there.
            RuntimeError: if no loss was seen.
        """
        if not 0 < min_lr < max_lr or num_training < 2 or mode not in get_args(Mode):
            raise ValueError(
                "lr_find needs 0 < min_lr < max_lr, num_training >= 2 and mode 'exponential' or 'linear'; got "
                f"{min_lr=}, {max_lr=}, {num_training=}, {mode=}."
            )
        check_alone(self._trainer, "lr_find")
        train_dataloaders, datamodule = _sources(train_dataloaders, datamodule)
        names = [attr_name] if attr_name else ["lr", "learning_rate"]
        name = next((name for name in names if holders_of(name, [model])), "")
        if update_attr and not name:
            raise ValueError(
                f"{type(model).__name__} has neither an attribute nor a hyperparameter {' or '.join(names)} to set: "
                "give attr_name, or update_attr=False and use suggestion()."
            )
        sweep = Sweep(spaced(min_lr, max_lr, num_training, mode), early_stop_threshold)
        run_trial(
            self._trainer, copy_of(model), copy.deepcopy(datamodule), train_dataloaders, sweep, max_steps=num_training
        )
        if not sweep.results["loss"]:
            raise RuntimeError(
                f"lr_find saw no finite loss: {type(model).__name__}.training_step must return it, in manual "
                "optimization too."
            )
        found = LRFinder(sweep.results, mode)
        suggestion = found.suggestion()
        if update_attr and suggestion is not None:
            assign(holders_of(name, [model]), name, suggestion)
        return found

    def scale_batch_size(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        *,
        mode: SearchMode = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        update_attr: bool = True,
    ) -> int:
        """Find the largest batch size with which a few updates fit into memory.

        Args:
            model: the module. It or the datamodule makes the training loader with ``batch_arg_name``.
            train_dataloaders: a plain ``DataLoader`` instead; it is tried with other sizes, and left as it is.
            datamodule: as of ``Trainer.fit``.
            mode: ``"power"`` doubles the size until it does not fit; ``"binsearch"`` then searches in between.
            steps_per_trial: updates with each size.
            init_val: the size tried first.
            max_trials: sizes tried at most.
            batch_arg_name: attribute, or hyperparameter, of module or datamodule.
            update_attr: set it to what was found; with a loader that was passed, if there is one.

        Returns:
            The size: not more than there are samples.

        Raises:
            ValueError: for bad numbers, several processes, an attribute that is not there or without effect, a loader
                whose size cannot be changed.
            RuntimeError: if no size fits.
        """
        if mode not in get_args(SearchMode) or min(steps_per_trial, init_val, max_trials) < 1:
            raise ValueError(
                "scale_batch_size needs mode 'power' or 'binsearch' and whole numbers >= 1; got "
                f"{mode=}, {steps_per_trial=}, {init_val=}, {max_trials=}."
            )
        check_alone(self._trainer, "scale_batch_size")
        loader, datamodule = _sources(train_dataloaders, datamodule)
        owners = [model] if datamodule is None else [model, datamodule]
        holders = holders_of(batch_arg_name, owners)
        if loader is not None:
            with_batch_size(loader, init_val)  # refuses what cannot be changed
        elif not holders or not makes_loader(model, datamodule):
            raise ValueError(
                f"scale_batch_size changes {batch_arg_name!r} of a module or datamodule whose train_dataloader makes "
                "the batches, or tries a DataLoader that is passed. "
                + ("There is no train_dataloader." if holders else f"There is no attribute {batch_arg_name!r}.")
            )

        def fits(size: int) -> bool:
            try:
                self._try_size(model, loader, datamodule, batch_arg_name, size, steps_per_trial)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                fitted = False
            else:
                fitted = True
            free_memory()
            return fitted

        found = search(fits, init_val, mode, max_trials)
        if update_attr:
            assign(holders, batch_arg_name, found)
        return found

    def _try_size(
        self,
        model: LightningModule,
        loader: Any,
        datamodule: LightningDataModule | None,
        name: str,
        size: int,
        steps: int,
    ) -> None:
        module, data = copy_of(model), copy.deepcopy(datamodule)
        if loader is None:
            assign(holders_of(name, [module] if data is None else [module, data]), name, size)
        run_trial(
            self._trainer,
            module,
            data,
            None if loader is None else with_batch_size(loader, size),
            Watch(size, name),
            max_steps=steps,
            accumulate_grad_batches=1,
            limit_train_batches=None,
            overfit_batches=0,
        )


def _sources(loaders: Any, datamodule: LightningDataModule | None) -> tuple[Any, LightningDataModule | None]:
    return (None, loaders) if isinstance(loaders, LightningDataModule) else (loaders, datamodule)
