"""Prediction writers: every sample once, in the order of the dataset, on one process and on two."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from lit_core.callbacks import BasePredictionWriter, PredictionFileWriter, read_predictions
from tests.lit_core.tiny import Regression, loader, samples, trainer


class Numbers(Regression):
    """Predicts the numbers of the samples, in several shapes."""

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        numbers = batch[2]
        return {"number": numbers, "pair": (numbers * 2, [f"sample {n}" for n in numbers.tolist()])}


class Recorder(BasePredictionWriter):
    """Remembers what it was told to write."""

    def __init__(self, write_interval: Any) -> None:
        super().__init__(write_interval)
        self.batches: list[Any] = []
        self.epochs: list[Any] = []

    def write_on_batch_end(
        self,
        trainer: Any,
        module: Any,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        self.batches.append((dataloader_idx, batch_idx, batch_indices, prediction["number"].tolist()))

    def write_on_epoch_end(self, trainer: Any, module: Any, predictions: Any, batch_indices: Any) -> None:
        self.epochs.append((predictions, batch_indices))


def test_batches_come_with_the_positions_of_their_samples() -> None:
    writer = Recorder("batch")

    result = trainer(callbacks=writer).predict(Numbers(), loader(5, 2), return_predictions=False)

    assert result == []
    assert writer.batches == [(0, 0, [0, 1], [0, 1]), (0, 1, [2, 3], [2, 3]), (0, 2, [4], [4])]
    assert writer.epochs == []


@pytest.mark.parametrize("options", [{"shuffle": True}, {"drop_last": True}, {"shuffle": True, "num_workers": 1}])
def test_indices_are_those_of_the_dataset_also_where_the_loader_shuffles(options: dict[str, Any]) -> None:
    writer = Recorder("batch")

    run = trainer(callbacks=writer, limit_predict_batches=3)
    run.predict(Numbers(), [loader(11, 2, **options), loader(5, 2)])

    assert [indices for _, _, indices, _ in writer.batches] == [numbers for *_, numbers in writer.batches]
    assert run.batch_indices(1) is not None
    assert pickle.loads(pickle.dumps(writer)).write_interval == "batch"


def test_the_order_of_a_sampler_of_the_user_gives_positions() -> None:
    writer = Recorder("batch")

    run = trainer(callbacks=writer)
    run.predict(Numbers(), loader(4, 2, sampler=[3, 1, 0, 2]))

    assert writer.batches == [(0, 0, [0, 1], [3, 1]), (0, 1, [2, 3], [0, 2])]
    assert run.batch_indices() is None


def test_at_the_end_all_come_at_once() -> None:
    writer = Recorder("epoch")
    trainer(callbacks=writer).predict(Numbers(), loader(5, 2))

    ((predictions, indices),) = writer.epochs
    assert [prediction["number"].tolist() for prediction in predictions] == indices == [[0, 1], [2, 3], [4]]
    assert writer.batches == []


def test_several_loaders_are_told_apart() -> None:
    writer = Recorder("batch_and_epoch")
    trainer(callbacks=writer).predict(Numbers(), [loader(4, 2), loader(3, 3)])

    assert [batch[:3] for batch in writer.batches] == [(0, 0, [0, 1]), (0, 1, [2, 3]), (1, 0, [0, 1, 2])]
    ((predictions, indices),) = writer.epochs
    assert [len(batches) for batches in predictions] == [2, 1]
    assert indices == [[[0, 1], [2, 3]], [[0, 1, 2]]]


def test_positions_are_none_where_a_batch_does_not_tell_its_size() -> None:
    class Flat(Recorder):
        def write_on_batch_end(self, *args: Any) -> None:
            self.batches.append(args[3])

    class Anything(Regression):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return batch

    writer = Flat("batch")
    trainer(callbacks=writer).predict(Anything(), [[{"a": torch.zeros(2), "b": torch.zeros(3)}]])
    assert writer.batches == [None]


def test_another_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="'step'"):
        Recorder("step")


def whole(folder: Path, dataloader_idx: int = 0) -> tuple[list[int], list[int], list[int], list[str]]:
    """All positions, and all predictions in each of their shapes."""
    positions: list[int] = []
    numbers: list[int] = []
    doubles: list[int] = []
    names: list[str] = []
    for indices, predictions in read_predictions(folder, dataloader_idx):
        positions += indices
        numbers += predictions["number"].tolist()
        doubles += predictions["pair"][0].tolist()
        names += predictions["pair"][1]
    return positions, numbers, doubles, names


@pytest.mark.parametrize("n", [1, 7, 8])
def test_files_give_every_sample_once_in_order(tmp_path: Path, n: int) -> None:
    trainer(callbacks=PredictionFileWriter(tmp_path)).predict(
        Numbers(), [loader(n, 3), loader(2, 2)], return_predictions=False
    )

    order = list(range(n))
    assert whole(tmp_path) == (order, order, [2 * i for i in order], [f"sample {i}" for i in order])
    assert whole(tmp_path, 1)[0] == [0, 1]


@pytest.mark.parametrize("n", [1, 3, 7, 12])
def test_two_processes_write_what_one_does(tmp_path: Path, n: int) -> None:
    data = DataLoader(samples(n), batch_size=2)
    trainer(devices=2, strategy="ddp_fork", callbacks=PredictionFileWriter(tmp_path)).predict(
        Numbers(), data, return_predictions=False
    )

    order = list(range(n))
    assert whole(tmp_path) == (order, order, [2 * i for i in order], [f"sample {i}" for i in order])


def test_a_file_holds_its_batch_only(tmp_path: Path) -> None:
    class Views(Regression):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return torch.zeros(1_000_000)[: len(batch[0])]

    trainer(callbacks=PredictionFileWriter(tmp_path)).predict(Views(), loader(4, 2))

    assert all(path.stat().st_size < 20_000 for path in tmp_path.iterdir())


def test_predictions_of_an_earlier_run_are_not_mixed_in(tmp_path: Path) -> None:
    trainer(callbacks=PredictionFileWriter(tmp_path / "p")).predict(Numbers(), loader(4, 2))

    with pytest.raises(FileExistsError, match="holds predictions already"):
        trainer(callbacks=PredictionFileWriter(tmp_path / "p")).predict(Numbers(), loader(2, 2))
    assert whole(tmp_path / "p")[0] == [0, 1, 2, 3]


def test_what_cannot_be_written_or_read_is_said(tmp_path: Path) -> None:
    class Odd(Regression):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return torch.zeros(1)

    with pytest.raises(ValueError, match="cannot tell how many samples batch 0 has"):
        trainer(callbacks=PredictionFileWriter(tmp_path / "a")).predict(
            Odd(), [[{"a": torch.zeros(2), "b": torch.zeros(3)}]]
        )
    with pytest.raises(FileNotFoundError, match="holds no predictions of loader 0"):
        next(read_predictions(tmp_path / "a"))
