"""What is trained and what is kept."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_core import LightningDataModule, ModelCheckpoint
from lit_core.checking import Finding, check
from lit_core.checking.state import export, hyperparameters, storage
from lit_core.checking.watch import Facts
from tests.lit_core.tiny import Regression, loader, trainer


class Parts(Regression):
    def __init__(self) -> None:
        super().__init__()
        self.unused, self.frozen, self.forgotten = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(3, 1)
        self.frozen.requires_grad_(False)

    def loss(self, batch: Any) -> Tensor:
        loss: Tensor = super().loss(batch) + self.forgotten(batch[0]).mean()
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD([*self.net.parameters(), *self.unused.parameters()], lr=0.1)


def test_parameters_that_training_does_not_reach_are_named() -> None:
    warnings = [finding.what for finding in check(trainer(), Parts(), loader(), loader()).of("warning")]

    assert [w for w in warnings if w.startswith("no gradient")] == [
        "no gradient in the first step: unused.weight, unused.bias"
    ]
    assert [w for w in warnings if w.startswith("in no optimizer")] == [
        "in no optimizer, so never trained: forgotten.weight, forgotten.bias"
    ]
    assert not any("frozen" in w for w in warnings)


def test_gradients_that_are_no_numbers_are_an_error() -> None:
    class Diverging(Regression):
        def loss(self, batch: Any) -> Tensor:
            return super().loss(batch) * torch.inf

    (error,) = check(trainer(), Diverging(), loader()).of("error")

    assert error.what.startswith("NaN or infinite gradients in the first step: net.0.weight")


def test_every_optimizer_is_waited_for_before_a_gradient_is_missed() -> None:
    class Turns(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:  # type: ignore[override]
            return self.loss(batch) if optimizer_idx == 0 else self.other(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            first, second = (torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.net, self.other))
            return [{"optimizer": first, "frequency": 3}, {"optimizer": second, "frequency": 1}]

    report = check(trainer(accumulate_grad_batches=1), Turns(), loader(8, 1))

    assert not [finding for finding in report.findings if "gradient" in finding.what], str(report)


def test_hyperparameters_that_a_checkpoint_cannot_hold_are_an_error() -> None:
    module = Regression()
    module.save_hyperparameters({"lr": 0.1})
    assert list(hyperparameters(module)) == []
    module.hparams["net"] = nn.Linear(1, 1)

    (finding,) = hyperparameters(module)

    assert (finding.severity, "hparams.net is a module" in finding.what) == ("error", True)
    with pytest.raises(TypeError):
        raise finding.cause or AssertionError


def test_arguments_that_loading_will_need_are_named() -> None:
    class Needs(Regression):
        def __init__(self, width: int, depth: int = 1) -> None:
            super().__init__()

    class Saves(Needs):
        def __init__(self, width: int) -> None:
            super().__init__(width)
            self.save_hyperparameters()

    (finding,) = hyperparameters(Needs(3))

    assert finding == Finding("info", "checkpoints will not hold the arguments of Needs: width", finding.fix)
    assert list(hyperparameters(Saves(3))) == []
    assert list(hyperparameters(LightningDataModule())) == []


class Disk:
    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, path: Any) -> Any:
        assert Path(path).is_dir()
        return self


@pytest.mark.parametrize(
    ("options", "free", "severity"),
    [
        ({"save_top_k": 3}, 5 * 300, "info"),
        ({"save_top_k": 3}, 5 * 300 - 1, "error"),
        ({"save_top_k": 3, "save_weights_only": True}, 5 * 100, "info"),
        ({"save_top_k": 3, "save_weights_only": True}, 5 * 100 - 1, "error"),
        ({"save_top_k": -1, "every_n_train_steps": 2}, 8 * 300, "info"),
        ({"save_top_k": -1, "every_n_train_steps": 2}, 8 * 300 - 1, "error"),
        ({"save_top_k": -1, "every_n_epochs": 2}, 3 * 300 - 1, "error"),
        ({"save_top_k": -1, "train_time_interval": "1h"}, 10**9, "warning"),
    ],
)
def test_room_for_checkpoints(
    options: Any, free: int, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = Facts(epochs=3, updates=12, weight_bytes=100, optimizer_bytes=200)
    monkeypatch.setattr("shutil.disk_usage", Disk(free))

    (finding,) = storage(facts, [ModelCheckpoint(tmp_path / "new" / "er", **options)], "unused")

    assert finding.severity == severity, finding.what


def test_a_folder_that_is_none_is_an_error_and_a_remote_one_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    (finding,) = storage(Facts(), [ModelCheckpoint(tmp_path / "file" / "kept")], "unused")

    assert finding.severity == "error"
    assert list(storage(Facts(), [ModelCheckpoint("memory://kept")], "unused")) == []


def test_the_size_of_a_checkpoint_is_about_that_of_the_file(tmp_path: Path) -> None:
    class Wide(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3, 20_000), nn.Linear(20_000, 1))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    run = trainer(callbacks=ModelCheckpoint(tmp_path), enable_checkpointing=True)
    report = run.check(Wide(), loader(2, 2))
    run.fit(Wide(), loader(2, 2))

    size = Path(run.checkpoint_callback.best_model_path).stat().st_size  # type: ignore[union-attr]
    (text,) = [finding.what for finding in report.findings if "checkpoints of" in finding.what]
    assert text.startswith("3 checkpoints of 1.1 MiB are 3.4 MiB at most")
    assert 1.0 * 2**20 < size < 1.2 * 2**20


class Exportable(Regression):
    def __init__(self) -> None:
        super().__init__()
        self.example_input_array = torch.ones(2, 3)


def test_the_export_is_tried_where_there_is_an_example() -> None:
    class Branching(Exportable):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    module = Exportable()
    module.train()

    assert list(export(Regression())) == list(export(module)) == []
    assert module.training
    (finding,) = export(Branching())
    assert finding.severity == "warning"
    assert "test_state.py" in finding.what
