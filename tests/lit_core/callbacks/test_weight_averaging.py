"""Averages of weights against torch's AveragedModel in a bare loop."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lit_core import LightningModule, ModelCheckpoint
from lit_core.callbacks import EMAWeightAveraging, WeightAveraging
from tests.lit_core.callbacks.resumed import whole_and_resumed
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Normed(Regression):
    """With batch normalisation, dropout, a shared layer, and notes of what validation saw."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Dropout(0.2), nn.Linear(3, 1))
        self.again = self.net[3]
        self.validated: list[dict[str, Tensor]] = []

    def on_validation_epoch_start(self) -> None:
        self.validated.append(weights(self))


def bare(module: Any, epochs: int, average: AveragedModel, every: int = 1, start: int = 0) -> None:
    """The same training in a plain loop; the average is taken after updates ``start + every``, ..."""
    optimizer, step, batches = module.configure_optimizers(), 0, list(loader(8, 2))
    torch.manual_seed(5)
    for _ in range(epochs):
        for batch in batches:
            optimizer.zero_grad()
            module.loss(batch).backward()
            optimizer.step()
            step += 1
            if step > start and step % every == 0:
                average.update_parameters(module)


def close(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def twins(make: Any = Normed) -> tuple[Any, Any]:
    first, second = make(), make()
    second.load_state_dict(first.state_dict())
    return first, second


@pytest.mark.parametrize("use_buffers", [True, False])
def test_the_module_ends_with_the_average_of_all_updates(use_buffers: bool) -> None:
    module, twin = twins()
    average = AveragedModel(twin, use_buffers=use_buffers)
    torch.manual_seed(5)
    trainer(max_epochs=2, callbacks=WeightAveraging(use_buffers=use_buffers)).fit(module, loader(8, 2))
    bare(twin, 2, average)

    assert close(dict(module.named_parameters()), dict(average.module.named_parameters()))  # type: ignore[arg-type]
    if use_buffers:
        assert close(weights(module), weights(average.module))
    else:
        assert torch.equal(module.net[0].running_mean, twin.net[0].running_mean)


@pytest.mark.parametrize(("every", "start"), [(1, 0), (3, 0), (2, 4)])
def test_an_exponential_average_is_that_of_torch(every: int, start: int) -> None:
    module, twin = twins()
    callback = EMAWeightAveraging(decay=0.7, update_every_n_steps=every, update_starting_at_step=start)
    average = AveragedModel(twin, multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True)
    torch.manual_seed(5)
    trainer(max_epochs=2, callbacks=callback).fit(module, loader(8, 2))
    bare(twin, 2, average, every, start)

    assert close(weights(module), weights(average.module))
    assert close({name: value.clone() for name, value in callback.averaged.items()}, weights(module))


def test_it_can_start_at_an_epoch() -> None:
    module = Normed()
    callback = EMAWeightAveraging(decay=1.0, update_starting_at_epoch=1)
    first = []
    module.on_train_batch_end = lambda outputs, batch, batch_idx: first.append(weights(module))  # type: ignore[method-assign]
    trainer(max_epochs=2, callbacks=callback).fit(module, loader(8, 2))

    assert close(weights(module), first[4])  # decay 1 keeps what was averaged first


def test_training_goes_on_with_the_weights_in_training() -> None:
    module, twin = twins()
    seen, seen_bare = [], []
    module.on_train_batch_end = lambda outputs, batch, batch_idx: seen.append(weights(module))
    twin.on_train_batch_end = lambda outputs, batch, batch_idx: seen_bare.append(weights(twin))
    torch.manual_seed(5)
    trainer(max_epochs=2, callbacks=EMAWeightAveraging(decay=0.5), val_check_interval=2).fit(
        module, loader(8, 2), loader(4, 2)
    )
    torch.manual_seed(5)
    trainer(max_epochs=2).fit(twin, loader(8, 2))

    assert all(close(a, b) for a, b in zip(seen, seen_bare, strict=True))


def test_validation_sees_the_average_of_now_and_so_do_checkpoints(tmp_path: Path) -> None:
    module = Normed()
    callback = WeightAveraging()
    keep = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    trainer(max_epochs=2, callbacks=[callback, keep], enable_checkpointing=True, num_sanity_val_steps=1).fit(
        module, loader(8, 2), loader(4, 2)
    )

    assert len(module.validated) == 3  # the sanity check, and two epochs
    for epoch in (0, 1):
        saved = torch.load(tmp_path / f"epoch={epoch}.ckpt", weights_only=True)
        assert same(saved["state_dict"], module.validated[1 + epoch])
        assert not same(saved["current_model_state"], saved["state_dict"])
    assert same(weights(module), module.validated[-1])


def test_whoever_loads_the_weights_gets_the_average(tmp_path: Path) -> None:
    callback = WeightAveraging()
    run = trainer(max_epochs=2, callbacks=callback)
    run.fit(Normed(), loader(8, 2))
    run.save_checkpoint(tmp_path / "all.ckpt")
    run.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)

    for name in ("all", "weights"):
        assert same(weights(Normed.load_from_checkpoint(tmp_path / f"{name}.ckpt")), weights(run.lightning_module))
    assert "current_model_state" not in torch.load(tmp_path / "weights.ckpt", weights_only=True)

    evaluated = Normed()
    trainer(callbacks=WeightAveraging()).validate(evaluated, loader(4, 2), tmp_path / "all.ckpt", verbose=False)
    assert same(evaluated.validated[0], weights(run.lightning_module))


def test_a_rule_of_the_users_decides_by_update_or_epoch() -> None:
    asked: list[Any] = []

    class Own(WeightAveraging):
        def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
            asked.append(("step", step_idx) if epoch_idx is None else ("epoch", epoch_idx))
            return epoch_idx is not None

    module, twin = twins()
    average = AveragedModel(twin, use_buffers=True)
    torch.manual_seed(5)
    trainer(max_epochs=2, callbacks=Own()).fit(module, loader(8, 2), loader(4, 2))
    bare(twin, 2, average, every=4)

    assert asked == [("step", i) for i in range(4)] + [("epoch", 0)] + [("step", i) for i in range(4, 8)] + [
        ("epoch", 1)
    ]
    assert close(weights(module), weights(average.module))


def test_an_update_is_averaged_once_however_many_batches_make_it() -> None:
    callback = WeightAveraging()
    trainer(max_epochs=1, callbacks=callback, accumulate_grad_batches=2).fit(Normed(), loader(8, 2))

    assert callback.state_dict()["updates"] == 2


@pytest.mark.parametrize(
    "make", [WeightAveraging, lambda: EMAWeightAveraging(decay=0.8), lambda: EMAWeightAveraging(use_buffers=False)]
)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, make: Any) -> None:
    (whole, module, _), (rest, resumed, _) = whole_and_resumed(tmp_path, lambda: [make()], Normed)

    assert same(weights(resumed), weights(module))
    assert rest.callback_metrics["val_loss"] == whole.callback_metrics["val_loss"]
    assert same(resumed.validated[-2:], module.validated[-2:])


def test_a_run_resumed_inside_an_epoch_is_the_uninterrupted_one(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    torch.manual_seed(1)
    module = Normed()
    trainer(max_epochs=2, callbacks=[EMAWeightAveraging(decay=0.8), keep], enable_checkpointing=True).fit(
        module, loader(8, 2), loader(4, 2)
    )
    resumed, again = Normed(), ModelCheckpoint(tmp_path / "again", every_n_train_steps=3)
    trainer(max_epochs=2, callbacks=[EMAWeightAveraging(decay=0.8), again], enable_checkpointing=True).fit(
        resumed, loader(8, 2), loader(4, 2), ckpt_path=tmp_path / "step=3.ckpt"
    )

    assert same(weights(resumed), weights(module))


def test_a_finished_run_goes_on_from_its_weights_in_training(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = Normed()
    trainer(max_epochs=3, callbacks=WeightAveraging()).fit(module, loader(8, 2))
    torch.manual_seed(1)
    half = trainer(max_epochs=2, callbacks=WeightAveraging())
    half.fit(Normed(), loader(8, 2))
    half.save_checkpoint(tmp_path / "half.ckpt")

    rest = Normed()
    trainer(max_epochs=3, callbacks=WeightAveraging()).fit(rest, loader(8, 2), ckpt_path=tmp_path / "half.ckpt")

    assert same(weights(rest), weights(module))


def test_a_failure_in_validation_leaves_the_weights_in_training() -> None:
    class Failing(Normed):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            self.last = weights(self)

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            raise ArithmeticError

    module = Failing()
    with pytest.raises(ArithmeticError):
        trainer(callbacks=WeightAveraging()).fit(module, loader(8, 2), loader(4, 2))

    assert same(weights(module), module.last)


def test_a_checkpoint_without_the_weights_in_training_begins_a_new_average_and_says_so(tmp_path: Path) -> None:
    run = trainer(max_epochs=1, callbacks=WeightAveraging())
    run.fit(Normed(), loader(8, 2))
    checkpoint = run.dump_checkpoint()
    del checkpoint["current_model_state"]
    torch.save(checkpoint, tmp_path / "partial.ckpt")

    callback = WeightAveraging()
    with pytest.warns(UserWarning, match="4 models were averaged.* begins anew"):
        trainer(max_epochs=2, callbacks=callback).fit(Normed(), loader(8, 2), ckpt_path=tmp_path / "partial.ckpt")
    assert callback.state_dict()["updates"] == 4


def test_what_a_module_holds_beside_its_tensors_is_not_copied() -> None:
    class Holds(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)
            self.held = (number for number in range(3))  # cannot be copied

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.layer(batch[0]).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    callback = WeightAveraging()
    trainer(callbacks=callback).fit(Holds(), loader(8, 2))

    assert callback.state_dict()["updates"] == 4


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\], got 2"):
        EMAWeightAveraging(decay=2.0)
    with pytest.raises(ValueError, match="update_every_n_steps must be at least 1, got 0"):
        EMAWeightAveraging(update_every_n_steps=0)
