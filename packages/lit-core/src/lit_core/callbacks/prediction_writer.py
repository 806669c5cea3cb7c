"""Write predictions while they are made."""

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from lit_checkpoint import load, save
from lit_core.callbacks.base import Callback
from lit_core.data.batch_size import find_batch_size
from lit_core.data.transfer import move
from lit_core.module import LightningModule

if TYPE_CHECKING:
    from lit_core.trainer import Trainer

_NAME = re.compile(r"loader(\d+)-batch(\d+)-rank(\d+)\.pt")


class BasePredictionWriter(Callback):
    """Base of callbacks that write predictions, after each batch, after all of them, or both.

    Override :meth:`write_on_batch_end`, :meth:`write_on_epoch_end` or both. Pass ``return_predictions=False`` to
    ``Trainer.predict`` where they would not fit in memory; with ``"epoch"`` this callback keeps them all.

    ``batch_indices`` are the indices of a batch's samples in the dataset, whatever the number of processes, also where
    the loader shuffles. Where the order is the loader's own (a sampler of yours, an iterable) they are positions in it,
    and None if the size of a batch cannot be told from it.

    Args:
        write_interval: ``"batch"``, ``"epoch"`` or ``"batch_and_epoch"``.

    Example:
        >>> from lit_core.callbacks import BasePredictionWriter
        >>> class Printer(BasePredictionWriter):
        ...     def write_on_batch_end(
        ...         self, trainer, module, prediction, batch_indices, batch, batch_idx, dataloader_idx
        ...     ):
        ...         print(batch_indices, prediction.shape)

    Raises:
        ValueError: for another interval.
    """

    def __init__(self, write_interval: Literal["batch", "epoch", "batch_and_epoch"] = "batch") -> None:
        if write_interval not in ("batch", "epoch", "batch_and_epoch"):
            raise ValueError(f"write_interval is 'batch', 'epoch' or 'batch_and_epoch', got {write_interval!r}.")
        self.write_interval = write_interval
        self._kept: dict[int, list[tuple[Any, list[int] | None]]] = {}
        self._full: dict[int, int] = {}
        self._orders: dict[int, Iterator[list[int]] | None] = {}

    @abstractmethod
    def write_on_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the predictions of one batch."""
        raise NotImplementedError

    @abstractmethod
    def write_on_epoch_end(
        self, trainer: "Trainer", module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Write all predictions of this process, by batch (by loader, then batch, where there are several loaders)."""
        raise NotImplementedError

    def on_predict_start(self, trainer: "Trainer", module: LightningModule) -> None:
        """Nothing is kept of an earlier run."""
        self._kept, self._full, self._orders = {}, {}, {}

    def on_predict_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write, or keep for the end."""
        indices = self._indices(trainer, batch, batch_idx, dataloader_idx)
        if self.write_interval != "epoch":
            self.write_on_batch_end(trainer, module, outputs, indices, batch, batch_idx, dataloader_idx)
        if self.write_interval != "batch":
            self._kept.setdefault(dataloader_idx, []).append((outputs, indices))

    def on_predict_epoch_end(self, trainer: "Trainer", module: LightningModule) -> None:
        """Write what was kept."""
        if self.write_interval == "batch":
            return
        predictions = [[prediction for prediction, _ in kept] for _, kept in sorted(self._kept.items())]
        indices = [[positions for _, positions in kept] for _, kept in sorted(self._kept.items())]
        if len(predictions) == 1:
            self.write_on_epoch_end(trainer, module, predictions[0], indices[0])
        else:
            self.write_on_epoch_end(trainer, module, predictions, indices)
        self._kept = {}

    def _indices(self, trainer: "Trainer", batch: Any, batch_idx: int, dataloader_idx: int) -> list[int] | None:
        """Those that the order says; else positions: of global batches a rank gets every ``world_size``-th sample."""
        if batch_idx == 0:
            self._orders[dataloader_idx] = trainer.batch_indices(dataloader_idx)
        order = self._orders.get(dataloader_idx)
        if order is not None:
            return next(order)
        try:
            size = find_batch_size(batch)
        except ValueError:
            return None
        if batch_idx == 0:
            self._full[dataloader_idx] = size
        parts, part = trainer.strategy.data_world_size, trainer.strategy.data_rank
        first = batch_idx * self._full.get(dataloader_idx, size) * parts + part
        return list(range(first, first + size * parts, parts))

    def __getstate__(self) -> dict[str, Any]:
        """Without the orders that are being followed."""
        return {**self.__dict__, "_orders": {}}


class PredictionFileWriter(BasePredictionWriter):
    """Write predictions to files, one for each batch of each process; :func:`read_predictions` gives them in order.

    No process holds, sends or waits for more than one batch. Predictions are tensors whose first dimension is that of
    the batch, lists with an item for each sample, or tuples and dicts of these.

    Args:
        output_dir: a folder without predictions in it, which several nodes must share.

    Example:
        >>> from lit_core.callbacks import PredictionFileWriter
        >>> PredictionFileWriter("predictions").write_interval
        'batch'

    Raises:
        FileExistsError: in ``predict``, if the folder holds predictions of an earlier run.
    """

    def __init__(self, output_dir: str | PathLike[str]) -> None:
        super().__init__("batch")
        self.output_dir = Path(output_dir)

    def setup(self, trainer: "Trainer", module: LightningModule, stage: str) -> None:
        """Make the folder; what is there already would be mixed with what comes."""
        if stage == "predict":
            trainer.write_in_process_zero(self._open)

    def _open(self) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        if any(_NAME.fullmatch(path.name) for path in self.output_dir.iterdir()):
            raise FileExistsError(f"{self.output_dir} holds predictions already: give another folder, or remove them.")

    def write_on_batch_end(
        self,
        trainer: "Trainer",
        module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one file, whole or not at all."""
        if batch_indices is None:
            raise ValueError(
                f"PredictionFileWriter cannot tell how many samples batch {batch_idx} has: its tensors have no common "
                "first dimension. Derive a writer of your own from BasePredictionWriter."
            )
        if not trainer.strategy.speaks_for_samples:
            return
        name = f"loader{dataloader_idx}-batch{batch_idx:08d}-rank{trainer.global_rank:05d}.pt"
        held = move(prediction, torch.device("cpu"))
        save({"indices": list(batch_indices), "predictions": _owned(held)}, self.output_dir / name)

    def write_on_epoch_end(
        self, trainer: "Trainer", module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Everything is written already."""


def read_predictions(output_dir: str | PathLike[str], dataloader_idx: int = 0) -> Iterator[tuple[list[int], Any]]:
    """What :class:`PredictionFileWriter` wrote, in the order of the dataset, whatever the number of processes.

    Args:
        output_dir: its folder.
        dataloader_idx: which loader's.

    Yields:
        The indices of some samples and their predictions, as many as all processes had in a batch; one after the other
        where the loader did not shuffle.

    Raises:
        FileNotFoundError: if there are none.
    """
    batches: dict[int, list[Path]] = {}
    for path in sorted(Path(output_dir).iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) == dataloader_idx:
            batches.setdefault(int(match[2]), []).append(path)
    if not batches:
        raise FileNotFoundError(f"{output_dir} holds no predictions of loader {dataloader_idx}.")
    for _, paths in sorted(batches.items()):
        parts = [load(path) for path in paths]
        positions = [position for part in parts for position in part["indices"]]
        order = sorted(range(len(positions)), key=positions.__getitem__)
        yield [positions[i] for i in order], _joined([part["predictions"] for part in parts], order)


def _joined(parts: list[Any], order: list[int]) -> Any:
    """Predictions of several processes as one, its samples in ``order``."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)[order]
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts], order) for key in first}
    if isinstance(first, tuple):
        return tuple(_joined(list(items), order) for items in zip(*parts, strict=True))
    if isinstance(first, list):
        items = [item for part in parts for item in part]
        return [items[i] for i in order]
    raise TypeError(
        f"Predictions are tensors, lists by sample, or tuples and dicts of these; got {type(first).__name__}."
    )


def _owned(data: Any) -> Any:
    """Tensors without the storage that they are views of."""
    if isinstance(data, Tensor):
        return data.clone()
    if isinstance(data, dict):
        return {key: _owned(value) for key, value in data.items()}
    return type(data)(_owned(value) for value in data) if type(data) in (list, tuple) else data
