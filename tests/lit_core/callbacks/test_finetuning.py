"""Fine-tuning: what is trained when, at which learning rate, against loops written out by hand."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, StepLR

from lit_core.callbacks import BackboneFinetuning, BaseFinetuning
from tests.lit_core.callbacks.resumed import whole_and_resumed
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Pretrained(Regression):
    """A backbone with batch normalisation, and a head; notes learning rates and weights at the end of epochs."""

    scheduler: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 1)
        self.net = nn.Sequential(self.backbone, self.head)
        self.rates: list[list[float]] = []
        self.history: list[dict[str, Any]] = []

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.rates.append([group["lr"] for group in self.optimizers().param_groups])

    def on_train_epoch_end(self) -> None:
        self.history.append(weights(self))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam([p for p in self.parameters() if p.requires_grad], lr=0.08)
        if self.scheduler is None:
            return optimizer
        return [optimizer], [self.scheduler(optimizer)]


class WithLambda(Pretrained):
    @staticmethod
    def scheduler(optimizer: Any) -> Any:
        return LambdaLR(optimizer, lambda epoch: 0.5**epoch)


class WithSteps(Pretrained):
    @staticmethod
    def scheduler(optimizer: Any) -> Any:
        return StepLR(optimizer, 1, 0.5)


def moved(module: Pretrained, name: str) -> list[bool]:
    """For each epoch after the first, whether the parameter changed in it."""
    values = [state[name] for state in module.history]
    return [not torch.equal(a, b) for a, b in pairwise(values)]


def test_the_backbone_stands_still_until_its_epoch() -> None:
    module = Pretrained()
    before = weights(module)
    trainer(max_epochs=4, callbacks=BackboneFinetuning(2, train_bn=False)).fit(module, loader(8, 2))

    assert torch.equal(module.history[1]["backbone.0.weight"], before["backbone.0.weight"])
    assert moved(module, "backbone.0.weight") == [False, True, True]
    assert moved(module, "head.weight") == [True, True, True]


@pytest.mark.parametrize("train_bn", [True, False])
def test_batch_normalisation_is_trained_or_not_as_asked(train_bn: bool) -> None:
    module = Pretrained()
    trainer(max_epochs=3, callbacks=BackboneFinetuning(9, train_bn=train_bn)).fit(module, loader(8, 2))

    for name in ("backbone.1.weight", "backbone.1.running_mean"):
        assert moved(module, name) == [train_bn, train_bn]
    assert moved(module, "backbone.0.weight") == [False, False]


def test_its_learning_rate_grows_to_that_of_the_head() -> None:
    module = Pretrained()
    callback = BackboneFinetuning(1, backbone_initial_ratio_lr=0.25)
    trainer(max_epochs=6, callbacks=callback).fit(module, loader(4, 2))

    assert module.rates == [[0.08], [0.08, 0.02], [0.08, 0.04], [0.08, 0.08], [0.08, 0.08], [0.08, 0.08]]
    assert callback.previous_backbone_lr == 0.08


def test_it_can_grow_beyond_it_from_a_rate_and_by_a_rule_of_the_users(capsys: pytest.CaptureFixture[str]) -> None:
    module = Pretrained()
    callback = BackboneFinetuning(1, float, backbone_initial_lr=0.01, should_align=False, verbose=True)
    trainer(max_epochs=4, callbacks=callback).fit(module, loader(4, 2))

    assert module.rates == [[0.08], [0.08, 0.01], [0.08, pytest.approx(0.03)], [0.08, pytest.approx(0.12)]]
    assert "learning rate 0.08, of the backbone 0.12" in capsys.readouterr().out


@pytest.mark.parametrize("make", [WithLambda, WithSteps])
def test_schedulers_that_did_not_know_the_group_go_on(make: Any) -> None:
    module = make()
    trainer(max_epochs=4, callbacks=BackboneFinetuning(2, backbone_initial_ratio_lr=0.5)).fit(module, loader(4, 2))

    assert [rates[0] for rates in module.rates] == pytest.approx([0.08, 0.04, 0.02, 0.01])
    assert [rates[1] for rates in module.rates[2:]] == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("make", [Pretrained, WithLambda])
@pytest.mark.parametrize("train_bn", [True, False])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, cut: int, make: Any, train_bn: bool) -> None:
    (whole, module, _), (rest, resumed, _) = whole_and_resumed(
        tmp_path, lambda: [BackboneFinetuning(1, backbone_initial_ratio_lr=0.1, train_bn=train_bn)], make, cut=cut
    )

    assert same(weights(resumed), weights(module))
    assert resumed.rates == module.rates[cut:]
    assert [len(optimizer.param_groups) for optimizer in rest.optimizers] == [2]
    assert rest.callback_metrics["val_loss"] == whole.callback_metrics["val_loss"]


def test_without_a_backbone_the_error_says_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"Regression\.backbone to be an nn\.Module, got NoneType"):
        trainer(callbacks=BackboneFinetuning()).fit(Regression(), loader(2, 2))


def test_an_optimizer_that_has_the_backbone_already_is_refused_in_the_first_epoch() -> None:
    class All(Pretrained):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with pytest.raises(ValueError, match=r"\[p for p in self\.parameters\(\) if p\.requires_grad\]"):
        trainer(callbacks=BackboneFinetuning(5)).fit(All(), loader(2, 2))


def test_an_own_schedule_unfreezes_layer_by_layer_and_resumes(tmp_path: Path) -> None:
    class Layers(BaseFinetuning):
        def freeze_before_training(self, module: Any) -> None:
            self.freeze([module.backbone[0], module.backbone[1]], train_bn=False)

        def finetune_function(self, module: Any, epoch: int, optimizer: Any) -> None:
            if epoch in (1, 2):
                self.unfreeze_and_add_param_group(module.backbone[2 - epoch], optimizer)

    (_, module, _), (_, resumed, _) = whole_and_resumed(tmp_path, lambda: [Layers()], Pretrained)

    assert module.rates == [[0.08], [0.08, 0.008], [0.08, 0.008, 0.008], [0.08, 0.008, 0.008]]
    assert moved(module, "backbone.1.weight") == [True, True, True]
    assert moved(module, "backbone.0.weight") == [False, True, True]
    assert same(weights(resumed), weights(module))


def test_parameters_that_an_optimizer_has_are_not_added_again() -> None:
    module = Pretrained()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    BaseFinetuning.freeze(module.backbone)
    BaseFinetuning.unfreeze_and_add_param_group(module.backbone, optimizer)

    assert len(optimizer.param_groups) == 1
    assert all(p.requires_grad for p in module.parameters())


def test_parameters_are_found_by_whether_they_train() -> None:
    module = Pretrained()
    BaseFinetuning.freeze(module.backbone, train_bn=True)

    frozen = list(BaseFinetuning.filter_params(module, requires_grad=False))
    assert [tuple(p.shape) for p in frozen] == [(4, 3), (4,)]
    assert len(list(BaseFinetuning.filter_params(module, train_bn=False))) == 2
