"""Laws that every callback keeps. A new one adds a row to ``TABLE``."""

import copy
import io
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lit_checkpoint import load, save
from lit_core import Callback, EarlyStopping, LightningModule, ModelCheckpoint, ProgressBar, Trainer
from lit_core.callbacks import (
    BackboneFinetuning,
    BasePredictionWriter,
    DeviceStatsMonitor,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    GradientNormMonitor,
    LambdaCallback,
    LearningRateMonitor,
    ModelPruning,
    ModelSummary,
    NaNGuard,
    OnExceptionCheckpoint,
    PredictionFileWriter,
    RichModelSummary,
    RichProgressBar,
    SpikeDetection,
    StochasticWeightAveraging,
    ThroughputMonitor,
    Timer,
    TimeTable,
    TQDMProgressBar,
    WeightAveraging,
)
from lit_core.hooks import PHASES
from lit_core.profilers import ProfilerCallback, SimpleProfiler
from lit_core.tuner import BatchSizeFinder, LearningRateFinder


class Forgets(BasePredictionWriter):
    """Writes nowhere."""

    def write_on_batch_end(self, *args: Any) -> None:
        pass

    def write_on_epoch_end(self, *args: Any) -> None:
        pass


def nothing(trainer: Trainer, module: LightningModule) -> None:
    """Do nothing."""


TABLE: dict[str, Callable[[], Callback]] = {
    "early stopping": lambda: EarlyStopping("val_loss", patience=100),
    "model checkpoint": ModelCheckpoint,
    "model checkpoint, best of a quantity": lambda: ModelCheckpoint(monitor="val_loss", save_top_k=2),
    "model checkpoint, every so many steps": lambda: ModelCheckpoint(every_n_train_steps=3),
    "device stats": lambda: DeviceStatsMonitor(every_n_steps=2),
    "exponential average": lambda: EMAWeightAveraging(decay=0.9),
    "fine-tuning of a backbone": lambda: BackboneFinetuning(1),
    "functions": lambda: LambdaCallback(on_train_epoch_end=nothing),
    "gradient accumulation": lambda: GradientAccumulationScheduler({0: 1}),
    "gradient norms": lambda: GradientNormMonitor(every_n_steps=1),
    "learning rates": LearningRateMonitor,
    "learning rates, by step": lambda: LearningRateMonitor("step", log_momentum=True),
    "NaN guard": NaNGuard,
    "prediction files": lambda: PredictionFileWriter("predictions"),
    "prediction writer": lambda: Forgets("batch_and_epoch"),
    "pruning": lambda: ModelPruning("l1_unstructured", amount=0.1),
    "save after a failure": lambda: OnExceptionCheckpoint("failed"),
    "spike detection": lambda: SpikeDetection(rtol=1e6),
    "stochastic weight averaging": lambda: StochasticWeightAveraging(0.005, swa_epoch_start=1),
    "summary": ModelSummary,
    "throughput": lambda: ThroughputMonitor(every_n_steps=2),
    "time table": lambda: TimeTable(least_s=0),
    "timer": lambda: Timer("1h"),
    "weight averaging": WeightAveraging,
    "profiler": lambda: ProfilerCallback(SimpleProfiler()),
    "finder of a learning rate": lambda: LearningRateFinder(num_training=12, update_attr=False),
    "finder of a batch size": lambda: BatchSizeFinder(max_trials=2, steps_per_trial=1, update_attr=False),
    "progress bar": lambda: ProgressBar(refresh_s=0.0, line_s=0.0, stream=io.StringIO()),
    "progress bar, by its later name": lambda: TQDMProgressBar(refresh_rate=3),
}

if find_spec("rich"):
    TABLE["summary, drawn by rich"] = RichModelSummary
    TABLE["progress bar, drawn by rich"] = RichProgressBar

STEERS = (BackboneFinetuning, EMAWeightAveraging, ModelPruning, StochasticWeightAveraging, WeightAveraging)
"""Those that change the weights because they are asked to."""


class Model(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(3, 8)
        self.layers = nn.Sequential(self.backbone, nn.Dropout(0.5), nn.Linear(8, 1))
        self.lr, self.batch_size = 0.01, 2  # for the finders

    def forward(self, x):
        return self.layers(x)

    def loss(self, batch):
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.loss(batch))

    def train_dataloader(self):
        x = torch.linspace(-1, 1, 96).reshape(32, 3)
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=self.batch_size)

    def configure_optimizers(self):
        return torch.optim.Adam([p for p in self.parameters() if p.requires_grad], lr=0.01)


@pytest.fixture(params=TABLE.values(), ids=TABLE.keys())
def make(request: pytest.FixtureRequest) -> Callable[[], Callback]:
    return request.param


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def loader() -> DataLoader:
    x = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4, shuffle=True)


def trainer(folder: Path, callbacks: list[Callback], max_epochs: int = 2) -> Trainer:
    keeps = any(isinstance(c, ModelCheckpoint) for c in callbacks)
    return Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=keeps,
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        default_root_dir=folder,
        callbacks=callbacks,
    )


def fit(folder: Path, callbacks: list[Callback], loader: DataLoader, **options) -> tuple[Trainer, Model]:
    torch.manual_seed(1)
    run, model = trainer(folder, callbacks, **options), Model()
    run.fit(model, loader, loader)
    return run, model


def test_it_says_when_it_runs(make):
    assert make().phase in PHASES


def test_training_is_the_same_with_it_as_without(make, loader, tmp_path):
    callback = make()
    if isinstance(callback, STEERS):
        pytest.skip("it changes training because it is asked to")
    _, with_it = fit(tmp_path, [callback], loader)
    _, without = fit(tmp_path, [], loader)
    for (name, a), b in zip(with_it.named_parameters(), without.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_it_pickles_and_copies_before_and_after_training(make, loader, tmp_path):
    callback = make()
    if isinstance(callback, ProgressBar):
        callback = ProgressBar(refresh_s=0.0)  # a stream is the user's, and streams do not pickle
    assert type(pickle.loads(pickle.dumps(callback))) is type(callback)
    fit(tmp_path, [callback], loader)
    assert pickle.loads(pickle.dumps(callback)).state_dict() == callback.state_dict()
    assert copy.deepcopy(callback).state_dict() == callback.state_dict()


def test_its_state_is_plain_and_comes_back(make, loader, tmp_path):
    callback = make()
    fit(tmp_path, [callback], loader)
    save({"callback": callback.state_dict()}, tmp_path / "state.ckpt")
    state = load(tmp_path / "state.ckpt")["callback"]
    fresh = make()
    fresh.load_state_dict(state)
    for name, value in fresh.state_dict().items():
        if name != "manager":  # a manager exists in a run only
            assert value == state[name], name


def test_two_of_different_settings_can_be_told_apart():
    keys = [factory().state_key for factory in TABLE.values()]
    assert len(set(keys)) == len(keys)


def test_a_resumed_run_has_the_state_of_an_uninterrupted_one(make, loader, tmp_path):
    whole = make()
    run, _ = fit(tmp_path / "whole", [whole], loader, max_epochs=4)
    expected = run.callback_metrics["val_loss"]

    first = make()
    half, _ = fit(tmp_path / "half", [first], loader, max_epochs=2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    second = make()
    rest = trainer(tmp_path / "half", [second], max_epochs=4)
    rest.fit(Model(), loader, loader, ckpt_path=tmp_path / "half.ckpt")

    assert rest.callback_metrics["val_loss"] == expected
    others = ("time_elapsed", "best_model_path", "last_model_path", "best_k_models", "manager")
    for name, value in second.state_dict().items():
        if name not in others:
            assert value == whole.state_dict()[name], name


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_it_lets_every_stage_run_alone(make, loader, tmp_path, stage):
    run = trainer(tmp_path, [make()])
    assert getattr(run, stage)(Model(), loader)


def test_after_an_exception_it_can_be_used_again(make, loader, tmp_path):
    class Broken(Model):
        def training_step(self, batch, batch_idx):
            if batch_idx == 2:
                raise ArithmeticError("broken")
            return super().training_step(batch, batch_idx)

    callback = make()
    with pytest.raises(ArithmeticError, match="broken"):
        trainer(tmp_path, [callback]).fit(Broken(), loader, loader)
    run, _ = fit(tmp_path, [callback], loader)
    assert run.current_epoch == 2
