"""The Trainer on layers that are cut over processes gives what one process gives."""

import functools
import os
from pathlib import Path

import pytest
import torch
import torch._dynamo  # imported here, and not in every forked process
import torch.distributed.fsdp
import torch.distributed.tensor.parallel
from torch import nn
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils.data import DataLoader, TensorDataset

from lit_accelerators import ModelParallelStrategy
from lit_core import LightningModule, Trainer
from lit_core.callbacks import ModelCheckpoint, PredictionFileWriter, read_predictions
from lit_metrics.classification import MulticlassAccuracy

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:FSDP2-wrapped module"),  # units of one layer, whose output is a view
]
PLAN = {"net.0": "colwise", "net.2": "rowwise"}


class Classifier(LightningModule):
    def __init__(self, by_hand: bool = False) -> None:
        super().__init__()
        self.by_hand = by_hand
        self.net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8), nn.LayerNorm(8), nn.Dropout(0.0))
        self.head = nn.Linear(8, 3)
        self.accuracy = MulticlassAccuracy(3, average="micro")

    def configure_model(self):
        mesh = self.device_mesh
        if self.by_hand and mesh is not None:
            parallelize_module(self.net, mesh["tensor_parallel"], {"0": ColwiseParallel(), "2": RowwiseParallel()})

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.head(self.net(batch[0])), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log("seen", float(len(batch[0])), on_step=False, on_epoch=True, reduce_fx="sum")
        return loss

    def validation_step(self, batch, batch_idx):
        logits = self.head(self.net(batch[0]))
        self.log("val_loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("hits", (logits.argmax(1) == batch[1]).sum(), reduce_fx="sum")
        self.accuracy.update(logits, batch[1])
        self.log("accuracy", self.accuracy)

    def predict_step(self, batch, batch_idx):
        return self.head(self.net(batch[0]))

    def on_validation_epoch_end(self):
        self.log("processes", float(len(self.all_gather(torch.ones(1)))))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def data(samples: int) -> TensorDataset:
    x = torch.randn(samples, 6, generator=torch.Generator().manual_seed(samples))
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long())


def make_trainer(folder: Path, shape: tuple[int, int] | None, plan: dict[str, str] | None = PLAN, **options) -> Trainer:
    if shape is None:
        chosen = {"devices": 1}
    else:
        strategy = functools.partial(
            ModelParallelStrategy, start="fork", plan=plan, tensor_parallel_size=shape[1], wrap=["Linear"]
        )
        chosen = {"devices": shape[0] * shape[1], "strategy": strategy}
    common = {"max_epochs": 2, "gradient_clip_val": 0.5, "logger": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", default_root_dir=folder, **chosen, **common | options)


def fit(
    folder: Path, shape: tuple[int, int] | None, ckpt_path: str | None = None, by_hand: bool = False, **options
) -> tuple[Trainer, Classifier]:
    torch.manual_seed(11)
    model = Classifier(by_hand)
    trainer = make_trainer(folder, shape, None if by_hand else PLAN, **options)
    loader = DataLoader(data(29), 8 // (shape[0] if shape else 1), shuffle=True)
    trainer.fit(model, loader, DataLoader(data(17), 5), ckpt_path=ckpt_path)
    return trainer, model


def assert_close(a: nn.Module, b: nn.Module) -> None:
    for (name, x), y in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(
    ("shape", "options"),
    [((1, 2), {}), ((2, 2), {"accumulate_grad_batches": 3}), ((2, 2), {"by_hand": True})],
    ids=["two", "four, accumulating", "four, by hand"],
)
def test_processes_train_and_evaluate_as_one_and_each_sample_counts_once(tmp_path, shape, options):
    one, model = fit(tmp_path / "one", None, **{**options, "by_hand": False})
    many, other = fit(tmp_path / "many", shape, **options)
    assert_close(model, other)
    assert one.global_step == many.global_step
    for key in ("train_loss_epoch", "val_loss"):
        torch.testing.assert_close(one.callback_metrics[key], many.callback_metrics[key], rtol=1e-5, atol=1e-6)
    for key in ("hits", "accuracy"):
        assert one.callback_metrics[key] == many.callback_metrics[key]
    assert many.callback_metrics["processes"] == shape[0]


@pytest.mark.filterwarnings("ignore:The checkpoint was saved by")
@pytest.mark.parametrize(("before", "after"), [((2, 2), (1, 2)), (None, (2, 2))])
def test_a_run_goes_on_from_a_checkpoint_of_any_grid(tmp_path, before, after):
    whole, model = fit(tmp_path / "whole", None, max_epochs=3)
    first, _ = fit(tmp_path / "first", before, max_epochs=2)
    path = first.checkpoint_callback.last_model_path or first.checkpoint_callback.best_model_path
    rest, other = fit(tmp_path / "rest", after, ckpt_path=path, max_epochs=3)
    assert_close(model, other)
    assert rest.global_step == whole.global_step


@pytest.mark.filterwarnings("ignore:The checkpoint was saved by")
@pytest.mark.parametrize(("before", "after"), [((2, 1), (1, 2)), ((1, 2), (2, 1))])
def test_what_an_epoch_gathered_before_it_was_cut_is_counted_once(tmp_path, before, after):
    whole, _ = fit(tmp_path / "whole", None, max_epochs=1)
    keepers = [ModelCheckpoint(tmp_path / name, every_n_train_steps=3, save_top_k=-1) for name in ("kept", "again")]
    fit(tmp_path / "first", before, max_epochs=1, callbacks=keepers[:1])
    path = next(path for path in sorted((tmp_path / "kept").iterdir()) if "step=3" in path.name)
    rest, _ = fit(tmp_path / "rest", after, ckpt_path=str(path), max_epochs=1, callbacks=keepers[1:])
    assert rest.callback_metrics["seen"] == whole.callback_metrics["seen"] == 29
    torch.testing.assert_close(
        rest.callback_metrics["train_loss_epoch"], whole.callback_metrics["train_loss_epoch"], rtol=1e-5, atol=1e-6
    )


class Late(Classifier):
    """Built on the meta device: in ``__init__``, or only in the processes of the run."""

    def __init__(self, in_init: bool) -> None:
        super().__init__()
        self.net = self.head = None
        if in_init:
            self.build()

    def configure_model(self):
        if self.net is None:
            self.build()

    def build(self) -> None:
        with torch.device("meta"):
            self.net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8), nn.LayerNorm(8), nn.Dropout(0.0))
            self.head = nn.Linear(8, 3)


@pytest.mark.parametrize(
    ("strategy", "in_init"), [("auto", False), ("fsdp_fork", False), ("fsdp_fork", True), ("model_parallel", True)]
)
def test_a_module_on_the_meta_device_is_filled_and_trained_as_one_in_memory(tmp_path, strategy, in_init):
    torch.manual_seed(11)
    model = Classifier()
    loader = DataLoader(data(29), 8)
    make_trainer(tmp_path / "one", None, max_epochs=1).fit(model, loader)

    late = Late(in_init)
    torch.manual_seed(11)
    options = {"max_epochs": 1, "logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path / "late"}
    if strategy == "model_parallel":
        trainer = make_trainer(tmp_path / "late", (2, 2), max_epochs=1)
        loader = DataLoader(data(29), 4)
    elif strategy == "fsdp_fork":
        trainer = Trainer(accelerator="cpu", devices=2, strategy=strategy, gradient_clip_val=0.5, **options)
        loader = DataLoader(data(29), 4)
    else:
        trainer = Trainer(accelerator="cpu", devices=1, gradient_clip_val=0.5, **options)
    if in_init or strategy == "auto":
        trainer.fit(late, loader)
        found = late.state_dict()
    else:
        with pytest.warns(UserWarning, match="in the processes of the run only"):
            trainer.fit(late, loader)
        found = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)["state_dict"]
    expected = model.state_dict()
    assert sorted(found) == sorted(expected)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)


def test_predictions_are_written_once_in_the_order_of_the_dataset(tmp_path):
    torch.manual_seed(11)
    model = Classifier()
    rows = data(17)
    with torch.no_grad():
        expected = model.head(model.net(rows.tensors[0]))
    writer = PredictionFileWriter(tmp_path / "predictions")
    make_trainer(tmp_path, (2, 2), callbacks=[writer]).predict(model, DataLoader(rows, 5), return_predictions=False)
    found = list(read_predictions(tmp_path / "predictions"))
    assert [index for indices, _ in found for index in indices] == list(range(17))
    torch.testing.assert_close(torch.cat([values for _, values in found]), expected)
