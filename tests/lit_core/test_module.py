"""LightningModule without a Trainer, after one, and from a checkpoint."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_core import LightningModule
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Sized(LightningModule):
    """Saves its arguments."""

    def __init__(self, width: int, depth: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.ModuleList(nn.Linear(3, width) for _ in range(depth))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        out: Tensor = self.layers[0](batch[0])
        return out.square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fitted(module: Any) -> Any:
    trainer().fit(module, loader())
    return module


def saved(path: Path, module: LightningModule, **options: Any) -> Path:
    run = trainer()
    run.fit(module, loader())
    run.save_checkpoint(path, **options)
    return path


def test_without_a_trainer_the_properties_say_where_it_is() -> None:
    module = Regression()

    assert (module.current_epoch, module.global_step, module.global_rank, module.local_rank) == (0, 0, 0, 0)
    assert (module.logger, list(module.loggers), module.is_attached) == (None, [], False)
    assert module.device == torch.device("cpu")


def test_without_a_trainer_asking_for_it_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"Regression is not run by a Trainer: pass it to Trainer\.fit"):
        _ = Regression().trainer
    with pytest.raises(RuntimeError, match="Regression is not run by a Trainer"):
        Regression().optimizers()


def test_logging_without_a_trainer_warns_that_nothing_is_recorded_and_points_at_the_line() -> None:
    with pytest.warns(UserWarning, match=r"self\.log\('loss', \.\.\.\)") as caught:
        LightningModule().log("loss", 1.0)

    assert caught[0].filename == __file__


def test_after_a_fit_logging_has_no_place_but_the_properties_stay() -> None:
    module = fitted(Regression())

    with pytest.warns(UserWarning, match="nothing is recorded"):
        module.training_step(next(iter(loader())), 0)
    assert (module.current_epoch, module.global_step, module.is_attached) == (1, 4, True)


@pytest.mark.parametrize("fit", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_is_the_module_alone(copied: Any, fit: bool) -> None:
    module = Regression()
    if fit:
        fitted(module)

    other = copied(module)

    assert same(weights(other), weights(module))
    assert not other.is_attached
    assert module.is_attached == fit
    fitted(other)


def test_a_copy_for_export_lets_everything_be_looked_at() -> None:
    alone = fitted(Regression()).alone()

    assert not hasattr(alone, "trainer")
    assert alone.global_step == 0


def test_freeze_and_unfreeze() -> None:
    module = Regression(dropout=0.5)

    module.freeze()
    assert not any(p.requires_grad for p in module.parameters())
    assert not any(child.training for child in module.modules())
    module.unfreeze()
    assert all(p.requires_grad for p in module.parameters())
    assert all(child.training for child in module.modules())


def test_the_default_prediction_is_forward_of_the_batch_or_of_its_first_element() -> None:
    module, x = Regression(), torch.randn(2, 3)

    for batch in (x, [x, 1], (x,)):
        assert torch.equal(module.predict_step(batch, 0), module(x))
    assert torch.equal(module.predict_step(batch=x, batch_idx=0), module(x))


def test_optimizers_and_schedulers_are_one_or_a_list() -> None:
    seen: dict[str, Any] = {}

    class Mine(Regression):
        number = 1

        def on_train_start(self) -> None:
            seen.update(optimizers=self.optimizers(), schedulers=self.lr_schedulers())

        def training_step(self, batch: Any, batch_idx: int) -> None: ...

        def configure_optimizers(self) -> Any:
            self.automatic_optimization = False
            made = [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(self.number)]
            return made, [torch.optim.lr_scheduler.StepLR(o, 1) for o in made if self.number > 1]

    module = Mine()
    module.number = 2
    fitted(module)
    assert [o.name for o in seen["optimizers"]] == ["optimizer_0", "optimizer_1"]
    assert len(seen["schedulers"]) == 2
    fitted(Mine())
    assert seen["optimizers"].name == "optimizer_0"
    assert seen["schedulers"] is None


@pytest.mark.parametrize("algorithm", [None, "norm", "value"])
def test_clipping_equals_that_of_torch(algorithm: str | None) -> None:
    norms: list[list[float]] = []

    class Mine(Regression):
        def on_before_zero_grad(self, optimizer: Any) -> None:
            self.clip_gradients(self.optimizers(), None)

        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(100 * self.loss(batch))
            expected = [p.grad.clone() for p in self.parameters() if p.grad is not None]
            bare = [nn.Parameter(torch.zeros_like(g)) for g in expected]
            for p, g in zip(bare, expected, strict=True):
                p.grad = g
            if algorithm == "value":
                nn.utils.clip_grad_value_(bare, 0.5)
            else:
                nn.utils.clip_grad_norm_(bare, 0.5)
            self.clip_gradients(optimizer, 0.5, algorithm)
            assert all(torch.equal(p.grad, q.grad) for p, q in zip(self.parameters(), bare, strict=True))
            norms.append([float(q.grad.abs().max()) for q in bare if q.grad is not None])

    trainer(automatic_optimization=False).fit(Mine(), loader())

    assert len(norms) == 4
    assert max(map(max, norms)) <= 0.5


def test_toggled_optimizer_leaves_the_parameters_of_others_out_and_restores_them() -> None:
    seen: list[list[bool]] = []

    class Two(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.other = nn.Linear(3, 1)

        def training_step(self, batch: Any, batch_idx: int) -> None:
            first, second = self.optimizers()
            both = (*self.net.parameters(), *self.other.parameters())
            with self.toggled_optimizer(first):
                seen.append([p.requires_grad for p in both])
            seen.append([p.requires_grad for p in both])
            self.toggle_optimizer(second)
            seen.append([p.requires_grad for p in both])
            self.toggle_optimizer(first)
            seen.append([p.requires_grad for p in both])
            self.untoggle_optimizer(first)
            seen.append([p.requires_grad for p in both])

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(net.parameters(), lr=0.1) for net in (self.net, self.other)]

    trainer(limit_train_batches=1).fit(Two(), loader())

    of_first, of_second, of_all = [True] * 4 + [False] * 2, [False] * 4 + [True] * 2, [True] * 6
    assert seen == [of_first, of_all, of_second, of_first, of_all]


def test_gathering_in_one_process_adds_an_axis_of_one() -> None:
    module = fitted(Regression())

    found = module.all_gather({"a": torch.arange(3)})

    assert torch.equal(found["a"], torch.arange(3)[None])


# From a checkpoint ----------------------------------------------------------------------------------------------------


def test_a_module_is_built_from_its_hyperparameters_and_weights(tmp_path: Path) -> None:
    module = Sized(width=5, depth=2)

    loaded = Sized.load_from_checkpoint(saved(tmp_path / "a.ckpt", module))

    assert loaded.hparams == {"width": 5, "depth": 2}
    assert same(weights(loaded), weights(module))


def test_weights_alone_are_enough(tmp_path: Path) -> None:
    module = Sized(width=5)

    loaded = Sized.load_from_checkpoint(saved(tmp_path / "a.ckpt", module, weights_only=True))

    assert same(weights(loaded), weights(module))


def test_arguments_given_replace_those_stored(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", Sized(width=5, depth=2))

    loaded = Sized.load_from_checkpoint(path, depth=3, strict=False)

    assert loaded.hparams == {"width": 5, "depth": 3}
    assert len(loaded.layers) == 3


def test_keys_that_do_not_match_are_refused_unless_strict_is_off(tmp_path: Path) -> None:
    class Loose(Sized):
        strict_loading = False

    path = saved(tmp_path / "a.ckpt", Sized(width=5, depth=2))

    with pytest.raises(RuntimeError, match=r"Missing key.*layers\.2\.weight"):
        Sized.load_from_checkpoint(path, depth=3)
    assert len(Loose.load_from_checkpoint(path, depth=3).layers) == 3
    with pytest.raises(RuntimeError, match="Missing key"):
        Loose.load_from_checkpoint(path, depth=3, strict=True)


def test_an_unknown_argument_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", Sized(width=5))

    with pytest.raises(TypeError, match=r"takes no \['heigth'\]; it takes \['depth', 'width'\]"):
        Sized.load_from_checkpoint(path, heigth=3)


def test_an_argument_that_is_nowhere_is_named(tmp_path: Path) -> None:
    class Forgot(Sized):
        def __init__(self, width: int) -> None:
            LightningModule.__init__(self)
            self.layers = nn.ModuleList([nn.Linear(3, width)])

    path = saved(tmp_path / "a.ckpt", Forgot(5))

    with pytest.raises(TypeError, match=r"needs \['width'\].*save_hyperparameters"):
        Forgot.load_from_checkpoint(path)
    assert Forgot.load_from_checkpoint(path, width=5).layers[0].out_features == 5


def test_stored_arguments_that_init_no_longer_takes_are_left_out(tmp_path: Path) -> None:
    class Narrow(Sized):
        def __init__(self, width: int) -> None:
            super().__init__(width=width)

    path = saved(tmp_path / "a.ckpt", Sized(width=5))

    assert Narrow.load_from_checkpoint(path).layers[0].out_features == 5


def test_what_a_hook_added_to_a_checkpoint_comes_back(tmp_path: Path) -> None:
    class Counting(Sized):
        count = 0

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["count"] = 7

        def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            self.count = checkpoint["count"]

    assert Counting.load_from_checkpoint(saved(tmp_path / "a.ckpt", Counting(width=5))).count == 7


def test_a_checkpoint_is_read_wherever_its_tensors_are_to_go(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", Sized(width=5))

    assert Sized.load_from_checkpoint(path, map_location="cpu").device == torch.device("cpu")
    with pytest.raises(FileNotFoundError):
        Sized.load_from_checkpoint(tmp_path / "none.ckpt")


def test_summarize_knows_the_modes_of_the_first_era() -> None:
    module = LightningModule()
    module.net = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 1)))
    assert "net.1.0" not in str(module.summarize())
    assert "net.1.0" in str(module.summarize("full"))
    with pytest.raises(ValueError, match="'top' or 'full', got 'deep'"):
        module.summarize("deep")
