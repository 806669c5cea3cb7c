"""ModelPruning against torch.nn.utils.prune in a bare loop."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from lit_core import ModelCheckpoint
from lit_core.callbacks import ModelPruning
from tests.lit_core.callbacks.resumed import whole_and_resumed
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Wide(Regression):
    """Enough weights to prune; momentum, so that the optimizer has a state."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def zeros(module: nn.Module) -> int:
    return sum(int((p == 0).sum()) for p in module.parameters())


def plain(amount: Any, **options: Any) -> ModelPruning:
    return ModelPruning("l1_unstructured", amount=amount, use_lottery_ticket_hypothesis=False, **options)


def test_it_is_a_bare_loop_with_global_pruning_after_each_epoch() -> None:
    module, twin = Wide(), Wide()
    twin.load_state_dict(module.state_dict())
    trainer(max_epochs=3, callbacks=plain(0.2)).fit(module, loader(8, 2))

    optimizer = twin.configure_optimizers()
    targets = [(layer, name) for layer in (twin.net[0], twin.net[2]) for name in ("weight", "bias")]
    for _ in range(3):
        for batch in loader(8, 2):
            optimizer.zero_grad()
            twin.loss(batch).backward()
            optimizer.step()
        prune.global_unstructured(targets, pruning_method=prune.L1Unstructured, amount=0.2)
    for layer, name in targets:
        prune.remove(layer, name)

    assert zeros(module) == 15  # of 31: 6 of 31, 5 of 25, 4 of 20
    for name, value in twin.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name


def test_the_module_ends_with_plain_parameters_in_their_order() -> None:
    module = Wide()
    before = list(module.state_dict())
    trainer(max_epochs=1, callbacks=plain(0.3)).fit(module, loader(8, 2))

    assert list(module.state_dict()) == before
    assert zeros(module) == 9
    trainer(max_epochs=1).fit(module, loader(8, 2))  # and trains on


def test_masks_stay_if_asked_and_checkpoints_load_all_the_same(tmp_path: Path) -> None:
    module = Wide()
    keep = ModelCheckpoint(tmp_path)
    run = trainer(max_epochs=2, callbacks=[plain(4, make_pruning_permanent=False), keep], enable_checkpointing=True)
    run.fit(module, loader(8, 2), loader(4, 2))

    assert prune.is_pruned(module)
    fresh = Wide.load_from_checkpoint(keep.best_model_path)
    assert zeros(fresh) == 8
    before = run.validate(module, loader(4, 2), verbose=False)
    assert run.validate(ckpt_path="best", dataloaders=loader(4, 2), verbose=False) == before


@pytest.mark.parametrize("permanent", [True, False])
def test_checkpoints_have_plain_names_and_zeros(tmp_path: Path, permanent: bool) -> None:
    keep = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    callback = plain(3, make_pruning_permanent=permanent)
    run = trainer(max_epochs=2, callbacks=[callback, keep], enable_checkpointing=True)
    run.fit(Wide(), loader(8, 2))
    run.save_checkpoint(tmp_path / "end.ckpt", weights_only=True)

    names = set(Wide().state_dict())
    for file, pruned in (("epoch=0", 3), ("epoch=1", 6), ("end", 6)):
        state = torch.load(tmp_path / f"{file}.ckpt", weights_only=True)["state_dict"]
        assert set(state) == names
        assert sum(int((value == 0).sum()) for value in state.values()) == pruned


def test_structured_pruning_takes_whole_channels() -> None:
    module = Wide()
    callback = ModelPruning(
        "ln_structured",
        parameters_to_prune=[(module.net[0], "weight")],
        use_global_unstructured=False,
        amount=0.5,
        pruning_dim=0,
        pruning_norm=1,
        use_lottery_ticket_hypothesis=False,
    )
    trainer(max_epochs=1, callbacks=callback).fit(module, loader(8, 2))

    rows = (module.net[0].weight == 0).sum(1).tolist()
    assert sorted(rows) == [0, 0, 0, 3, 3, 3]


@pytest.mark.parametrize("function", [prune.L1Unstructured, prune.l1_unstructured])
def test_methods_and_functions_of_the_users_work_within_parameters(function: Any) -> None:
    module = Wide()
    callback = ModelPruning(
        function,
        parameter_names=["weight"],
        use_global_unstructured=False,
        amount=2,
        use_lottery_ticket_hypothesis=False,
    )
    trainer(max_epochs=1, callbacks=callback).fit(module, loader(8, 2))

    assert [int((module.net[i].weight == 0).sum()) for i in (0, 2)] == [2, 2]


def test_amount_and_whether_to_prune_may_follow_the_epoch() -> None:
    module, seen = Wide(), []
    callback = ModelPruning(
        "l1_unstructured",
        amount=lambda epoch: epoch + 1,
        apply_pruning=lambda epoch: epoch != 1,
        use_lottery_ticket_hypothesis=False,
    )
    module.on_train_epoch_start = lambda: seen.append(  # type: ignore[method-assign]
        sum(int((buffer == 0).sum()) for name, buffer in module.named_buffers() if name.endswith("_mask"))
    )
    trainer(max_epochs=4, callbacks=callback).fit(module, loader(8, 2))

    assert seen == [0, 1, 1, 4]
    assert zeros(module) == 8


def test_a_lottery_ticket_is_the_initial_weights_behind_the_mask() -> None:
    module = Wide()
    initial = weights(module)
    trainer(max_epochs=1, callbacks=ModelPruning("l1_unstructured", amount=0.3)).fit(module, loader(8, 2))

    assert zeros(module) == 9
    for name, value in module.state_dict().items():
        assert torch.equal(value, torch.where(value == 0, 0.0, initial[name])), name


def test_weights_can_be_drawn_anew_instead() -> None:
    module = Wide()
    initial = weights(module)
    callback = ModelPruning("l1_unstructured", amount=0.3, resample_parameters=True)
    trainer(max_epochs=1, callbacks=callback).fit(module, loader(8, 2))

    kept = module.net[0].weight[module.net[0].weight != 0]
    assert not torch.isin(kept, initial["net.0.weight"]).any()


def test_after_validation_if_asked() -> None:
    module, seen = Wide(), []
    module.on_validation_epoch_end = lambda: seen.append(prune.is_pruned(module))  # type: ignore[method-assign]
    callback = plain(3, prune_on_train_epoch_end=False)
    trainer(max_epochs=2, callbacks=callback, num_sanity_val_steps=1).fit(module, loader(8, 2), loader(4, 2))

    assert seen == [False, False, True]
    assert zeros(module) == 6


def test_it_says_how_sparse_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    trainer(max_epochs=1, callbacks=plain(3, verbose=2, parameter_names=["weight"])).fit(Wide(), loader(8, 2))

    out = capsys.readouterr().out
    assert "ModelPruning: 3 of 24 weights are pruned (12.5%)" in out
    assert "net.0.weight: " in out


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda: plain(0.2),
        lambda: plain(0.2, make_pruning_permanent=False),
        lambda: ModelPruning("random_unstructured", amount=0.2),
        lambda: ModelPruning("l1_unstructured", amount=0.2, resample_parameters=True),
    ],
)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, make: Any, cut: int) -> None:
    (whole, module, _), (rest, resumed, _) = whole_and_resumed(tmp_path, lambda: [make()], Wide, cut=cut)

    assert rest.callback_metrics["val_loss"] == whole.callback_metrics["val_loss"]
    assert same(weights(resumed), weights(module))


def test_a_finished_run_goes_on(tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = Wide()
    trainer(max_epochs=3, callbacks=plain(0.2)).fit(module, loader(8, 2))
    torch.manual_seed(2)
    half = trainer(max_epochs=2, callbacks=plain(0.2))
    half.fit(Wide(), loader(8, 2))
    half.save_checkpoint(tmp_path / "half.ckpt")

    rest = Wide()
    trainer(max_epochs=3, callbacks=plain(0.2)).fit(rest, loader(8, 2), ckpt_path=tmp_path / "half.ckpt")

    assert same(weights(rest), weights(module))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pruning_fn": "l2"}, ValueError, "got 'l2'"),
        ({"pruning_fn": "ln_structured"}, ValueError, "use_global_unstructured=False"),
        ({"pruning_fn": "ln_structured", "use_global_unstructured": False}, ValueError, "needs pruning_dim"),
        (
            {"pruning_fn": "ln_structured", "use_global_unstructured": False, "pruning_dim": 0},
            ValueError,
            "needs pruning_norm",
        ),
        ({"pruning_fn": prune.LnStructured}, ValueError, "LnStructured is not unstructured"),
        ({"pruning_fn": lambda *a: None}, ValueError, "use_global_unstructured=False"),
        ({"pruning_fn": 3}, TypeError, "got int"),
        ({"pruning_fn": "l1_unstructured", "amount": 1.5}, ValueError, r"got 1\.5"),
        ({"pruning_fn": "l1_unstructured", "amount": -1}, ValueError, "got -1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ModelPruning(**options)


def test_nothing_to_prune_is_an_error() -> None:
    with pytest.raises(ValueError, match="finds nothing to prune in Wide"):
        trainer(callbacks=plain(0.2, parameter_names=["kernel"])).fit(Wide(), loader(2, 2))
    with pytest.raises(ValueError, match="which is not in the module"):
        trainer(callbacks=plain(0.2, parameters_to_prune=[(nn.Linear(1, 1), "weight")])).fit(Wide(), loader(2, 2))
