"""Two processes train the same model and give the same evaluation numbers as one."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_core import EarlyStopping, LightningModule, ModelCheckpoint, Trainer
from lit_metrics import Accuracy, MeanMetric

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(120)]


class Classifier(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
        self.accuracy = Accuracy(task="multiclass", num_classes=3)
        self.mean = MeanMetric()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        logits = self(batch[0])
        self.accuracy.update(logits, batch[1])
        self.mean.update(logits.sum(1))
        self.log("val_loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("hits", (logits.argmax(1) == batch[1]).sum(), reduce_fx="sum")
        self.log("largest", logits.max(), reduce_fx="max")
        self.log_dict({"val_acc": self.accuracy, "val_mean": self.mean})

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Gathering(Classifier):
    """A metric object gathers over the training epoch too."""

    def __init__(self) -> None:
        super().__init__()
        self.gathered = MeanMetric()

    def training_step(self, batch, batch_idx):
        self.gathered.update(batch[0].sum(1))
        self.log("gathered", self.gathered)
        return super().training_step(batch, batch_idx)


class TwoOptimizers(Classifier):
    """Each half of the network has an optimizer of its own."""

    def training_step(self, batch, batch_idx, optimizer_idx):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return [torch.optim.SGD(self.net[i].parameters(), lr=0.1) for i in (0, 2)]


class LossesByName(Classifier):
    """Each half of the network has a loss and an optimizer of its own; both losses depend on both halves."""

    def training_step(self, batch, batch_idx):
        logits = self(batch[0])
        return {"low": nn.functional.cross_entropy(logits, batch[1]), "high": logits.square().mean() + logits.mean()}

    def configure_optimizers(self):
        parts = (("low", self.net[0], {"accumulate_grad_batches": 2}), ("high", self.net[2], {}))
        return [
            {"optimizer": torch.optim.SGD(part.parameters(), lr=0.1), "name": name, **own} for name, part, own in parts
        ]


class Manual(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        for _ in range(2):
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()


def data(samples: int) -> TensorDataset:
    x = torch.randn(samples, 6, generator=torch.Generator().manual_seed(5))
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long())


def fit(
    folder: Path,
    processes: int,
    *,
    samples: int,
    batch_size: int,
    module_class: type[Classifier] = Classifier,
    ckpt_path: Path | None = None,
    loader_options: dict | None = None,
    **options,
):
    """Train with ``batch_size`` samples over all processes."""
    torch.manual_seed(11)
    model = module_class()
    trainer = Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_fork" if processes > 1 else "auto",
        logger=False,
        enable_progress_bar=False,
        default_root_dir=folder,
        **{"max_epochs": 2, **options},
    )
    loader = DataLoader(data(samples), batch_size // processes, shuffle=True, **(loader_options or {}))
    trainer.fit(model, loader, DataLoader(data(37), 5), ckpt_path=ckpt_path)
    return trainer, model


def assert_same_weights(a: nn.Module, b: nn.Module, atol: float = 1e-6) -> None:
    for (name, x), y in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("samples", [64, 61, 33], ids=["even", "uneven tail", "tail of one sample"])
@pytest.mark.parametrize("module_class", [Classifier, TwoOptimizers, LossesByName, Manual])
def test_two_processes_train_what_one_trains_on_the_joined_batch(tmp_path, samples, module_class):
    """Tolerance: gradients are summed in another order, 1e-6 after 16 updates; manual losses are not reweighted."""
    if module_class is Manual and samples != 64:
        pytest.skip("in manual optimization the loss of a short last batch is the user's")
    one, model_one = fit(tmp_path / "1", 1, samples=samples, batch_size=8, module_class=module_class)
    two, model_two = fit(tmp_path / "2", 2, samples=samples, batch_size=8, module_class=module_class)
    assert_same_weights(model_one, model_two)
    assert one.global_step == two.global_step
    assert one.progress.samples == two.progress.samples == 2 * samples


@pytest.mark.parametrize("samples", [1, 2, 37, 64], ids=lambda n: f"{n} samples")
def test_evaluation_numbers_are_those_of_one_process(tmp_path, samples):
    torch.manual_seed(3)
    model = Classifier()
    results = []
    for processes in (1, 2):
        trainer = Trainer(
            accelerator="cpu",
            devices=processes,
            strategy="ddp_fork" if processes > 1 else "auto",
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            default_root_dir=tmp_path,
        )
        (values,) = trainer.test(model, DataLoader(data(samples), 4), verbose=False)
        results.append(values)
    one, two = results
    assert one.keys() == two.keys()
    for exact in ("hits", "largest", "val_acc"):
        assert one[exact] == two[exact], exact
    for name in ("val_loss", "val_mean"):
        assert two[name] == pytest.approx(one[name], rel=1e-6), name  # single precision inside a batch of another size


def test_what_callbacks_decide_comes_back_to_the_program(tmp_path):
    stopping, keep = EarlyStopping("val_loss", patience=1, min_delta=10.0), ModelCheckpoint(monitor="val_loss")
    trainer, model = fit(tmp_path, 2, samples=32, batch_size=8, callbacks=[stopping, keep], max_epochs=10)
    assert trainer.current_epoch == 2
    assert "did not improve" in stopping.stopping_reason
    assert "EarlyStopping" in trainer.stop_reason
    assert Path(keep.best_model_path).exists()
    assert keep.best_model_score == min(keep.best_k_models.values())
    assert trainer.callback_metrics["val_loss"].dtype == torch.float64
    loaded = Classifier.load_from_checkpoint(keep.last_model_path)
    assert_same_weights(loaded, model, atol=0)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 2)])
def test_a_run_goes_on_inside_an_epoch_with_another_number_of_processes(tmp_path, before, after):
    whole, whole_model = fit(tmp_path / "whole", 1, samples=64, batch_size=8)
    keep = [ModelCheckpoint(tmp_path / "part", every_n_train_steps=5) for _ in range(2)]
    fit(tmp_path, before, samples=64, batch_size=8, callbacks=keep[:1], max_steps=5)
    path = keep[0].last_model_path
    with warnings.catch_warnings(record=True) as said:  # a forked process inherits what is done with warnings
        warnings.simplefilter("always")
        trainer, resumed = fit(tmp_path, after, samples=64, batch_size=8, callbacks=keep[1:], ckpt_path=path)
    if (before, after) == (2, 1):
        assert any("saved by 2 processes, this run has 1" in str(warning.message) for warning in said)
    assert trainer.progress.samples == 128
    assert_same_weights(whole_model, resumed)
    for name in ("train_loss_epoch", "val_acc", "hits"):
        expected = float(whole.callback_metrics[name])
        assert float(trainer.callback_metrics[name]) == pytest.approx(expected, rel=1e-5), name


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2)])
def test_what_every_process_had_gathered_of_the_epoch_is_in_its_mean_after_a_resume(tmp_path, before, after):
    """One epoch, cut after five of its eight batches: the mean is that of all eight."""
    whole, _ = fit(tmp_path / "whole", 1, samples=64, batch_size=8, max_epochs=1, module_class=Gathering)
    keep = [ModelCheckpoint(tmp_path / "part", every_n_train_steps=5) for _ in range(2)]
    options = {"samples": 64, "batch_size": 8, "max_epochs": 1, "module_class": Gathering}
    fit(tmp_path, before, callbacks=keep[:1], max_steps=5, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rest, _ = fit(tmp_path, after, callbacks=keep[1:], ckpt_path=keep[0].last_model_path, **options)
    for name in ("train_loss_epoch", "gathered"):
        expected = float(whole.callback_metrics[name])
        assert float(rest.callback_metrics[name]) == pytest.approx(expected, rel=1e-5), name


def test_a_failure_in_one_process_ends_all_with_its_reason(tmp_path):
    class Broken(Classifier):
        def training_step(self, batch, batch_idx):
            if self.global_rank == 1 and batch_idx == 2:
                raise ArithmeticError("rank one cannot go on")
            return super().training_step(batch, batch_idx)

    with pytest.raises(ArithmeticError, match="rank one cannot go on"):
        fit(tmp_path, 2, samples=64, batch_size=8, module_class=Broken)


SCRIPT = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from test_ddp import Classifier, DataLoader, Trainer, data
torch.manual_seed(11)
model = Classifier()
trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False,
                  default_root_dir=sys.argv[2], max_epochs=2)
trainer.fit(model, DataLoader(data(61), 4, shuffle=True), DataLoader(data(37), 5))
(values,) = trainer.test(model, DataLoader(data(37), 5), verbose=False)
trainer.save_checkpoint(sys.argv[2] + "/end.ckpt")
if trainer.is_global_zero:
    torch.save(values, sys.argv[2] + "/values.pt")
"""


@pytest.mark.parametrize("way", ["torchrun", "script"])
def test_torchrun_and_a_relaunched_script_give_the_same(tmp_path, way):
    one, model_one = fit(tmp_path / "1", 1, samples=61, batch_size=8)
    (expected,) = one.test(model_one, DataLoader(data(37), 5), verbose=False)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(Path(__file__).parent), str(tmp_path)]
    if way == "torchrun":
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command[1:1] = launcher
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    values = torch.load(tmp_path / "values.pt")
    assert values["hits"] == expected["hits"]
    assert values["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-5)
    assert_same_weights(Classifier.load_from_checkpoint(tmp_path / "end.ckpt"), model_one)


class StopsAlone(Classifier):
    def training_step(self, batch, batch_idx):
        if self.global_rank == 1 and batch_idx == 1:
            self.trainer.stop("rank one has enough")
        return super().training_step(batch, batch_idx)


def test_all_processes_stop_at_the_same_step_when_one_is_asked_to(tmp_path):
    trainer, _ = fit(tmp_path, 2, samples=64, batch_size=4, module_class=StopsAlone, log_every_n_steps=5, max_epochs=9)
    assert trainer.stop_reason == "rank one has enough"
    assert trainer.global_step == 6  # said when a row is written, and heard after the next batch


class Dropped(Classifier):
    def training_step(self, batch, batch_idx):
        drawn = self.all_gather(torch.rand(4))
        self.log("different", float(not torch.equal(drawn[0], drawn[-1])), on_step=False, on_epoch=True)
        return super().training_step(batch, batch_idx)


def test_processes_draw_random_numbers_of_their_own(tmp_path):
    trainer, _ = fit(tmp_path, 2, samples=16, batch_size=4, module_class=Dropped, max_epochs=1)
    assert float(trainer.callback_metrics["different"]) == 1.0


class SkipsInOne(Classifier):
    """The second process asks to end every epoch after three batches, the first has no opinion."""

    def on_train_batch_start(self, batch, batch_idx):
        return -1 if batch_idx == 3 and self.global_rank == 1 else None


def test_an_epoch_that_one_process_skips_the_rest_of_ends_in_all():
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(SkipsInOne(), DataLoader(data(40), batch_size=4))
    assert (trainer.global_step, trainer.current_epoch) == (6, 2)
