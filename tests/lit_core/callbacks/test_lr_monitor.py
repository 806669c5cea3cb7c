"""LearningRateMonitor against the learning rates that updates were made with."""

from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, StepLR

from lit_core import Callback
from lit_core.callbacks import LearningRateMonitor
from tests.lit_core.tiny import Regression, Rows, loader, trainer


class Scheduled(Regression):
    """SGD whose learning rate falls, and a note of what each update was made with."""

    def __init__(self, interval: str = "step", name: str | None = None) -> None:
        super().__init__()
        self.interval, self.name, self.used = interval, name, []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.used.append(self.optimizers().param_groups[0]["lr"])
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.8, weight_decay=0.01)
        scheduler = {"scheduler": StepLR(optimizer, 1, 0.5), "interval": self.interval, "name": self.name}
        return [optimizer], [scheduler]


def fit(monitor: LearningRateMonitor, module: Any, *, epochs: int = 2, **settings: Any) -> tuple[Rows, Any]:
    rows = Rows()
    run = trainer(max_epochs=epochs, logger=rows, callbacks=monitor, log_every_n_steps=1, **settings)
    run.fit(module, loader(8, 2))
    return rows, run


@pytest.mark.parametrize("interval", ["step", None])
def test_by_step_the_row_of_an_update_has_the_rate_that_it_was_made_with(interval: Any) -> None:
    module = Scheduled("step")

    rows, run = fit(LearningRateMonitor(interval), module)

    assert rows.of("lr-SGD") == list(zip(range(1, 9), module.used, strict=True))
    assert module.used[:3] == [0.1, 0.05, 0.025]
    assert run.callback_metrics["lr-SGD"] == module.used[-1]


@pytest.mark.parametrize("interval", ["epoch", None])
def test_by_epoch_there_is_one_row_an_epoch(interval: Any) -> None:
    monitor = LearningRateMonitor(interval)

    rows, _ = fit(monitor, Scheduled("epoch"), epochs=3)

    assert rows.of("lr-SGD") == [(4, 0.1), (8, 0.05), (12, 0.025)]
    assert monitor.lrs == {"lr-SGD": 0.025}


def test_rows_follow_the_interval_of_the_trainer() -> None:
    rows = Rows()
    run = trainer(logger=rows, callbacks=LearningRateMonitor("step"), log_every_n_steps=2)
    run.fit(Scheduled("step"), loader(8, 2))

    assert [step for step, _ in rows.of("lr-SGD")] == [2, 4]


def test_momentum_weight_decay_prefix_and_the_name_of_a_scheduler_are_in_the_keys() -> None:
    monitor = LearningRateMonitor("epoch", log_momentum=True, log_weight_decay=True, log_key_prefix="opt/")

    rows, _ = fit(monitor, Scheduled(name="falling"), epochs=1)

    assert rows.of("opt/falling") == [(4, 0.1)]
    assert rows.of("opt/falling-momentum") == [(4, 0.8)]
    assert rows.of("opt/falling-weight_decay") == [(4, 0.01)]


def test_adam_has_its_first_beta_for_momentum() -> None:
    class Adam(Regression):
        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.1, betas=(0.7, 0.9))

    rows, _ = fit(LearningRateMonitor(log_momentum=True), Adam(), epochs=1)

    assert rows.of("lr-Adam") == [(4, 0.1)]
    assert rows.of("lr-Adam-momentum") == [(4, 0.7)]


def test_several_optimizers_and_groups_have_keys_of_their_own() -> None:
    class Several(Regression):
        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:
            return self.loss(batch)

        def configure_optimizers(self) -> Any:
            first, last = self.net[0], self.net[3]
            groups = [{"params": [first.weight], "lr": 0.1, "name": "w"}, {"params": [first.bias], "lr": 0.2}]
            return [
                torch.optim.SGD(groups, lr=1.0),
                torch.optim.SGD([last.weight], lr=0.3),
                {"optimizer": torch.optim.SGD([last.bias], lr=0.4), "name": "bias"},
            ]

    monitor = LearningRateMonitor()

    fit(monitor, Several(), epochs=1)

    assert monitor.lrs == {"lr-SGD/w": 0.1, "lr-SGD/pg2": 0.2, "lr-SGD-1": 0.3, "lr-bias": 0.4}


def test_groups_that_are_added_while_training_join() -> None:
    class Adds(Callback):
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            if trainer.current_epoch == 1:
                trainer.optimizers[0].add_param_group({"params": [module.net[3].bias], "lr": 0.5})

    class Part(Regression):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.net[0].parameters(), lr=0.1)

    monitor = LearningRateMonitor("step")

    rows = Rows()
    run = trainer(max_epochs=2, logger=rows, callbacks=[Adds(), monitor], log_every_n_steps=1)
    run.fit(Part(), loader(4, 2))

    assert rows.of("lr-SGD/pg2") == [(3, 0.5), (4, 0.5)]


def test_a_resumed_run_writes_the_same_rows(tmp_path: Any) -> None:
    class Falling(Regression):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            return [optimizer], [{"scheduler": LambdaLR(optimizer, lambda step: 0.9**step), "interval": "step"}]

    whole, _ = fit(LearningRateMonitor(), Falling(), epochs=3)
    _, half = fit(LearningRateMonitor(), Falling(), epochs=2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    rows = Rows()
    rest = trainer(max_epochs=3, logger=rows, callbacks=LearningRateMonitor(), log_every_n_steps=1)
    rest.fit(Falling(), loader(8, 2), ckpt_path=tmp_path / "half.ckpt")

    assert rows.of("lr-SGD") == whole.of("lr-SGD")[7:]  # that of the checkpoint's step comes again


def test_an_interval_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'batch'"):
        LearningRateMonitor("batch")  # type: ignore[arg-type]
