"""TorchScript of a module, against the module itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_core import LightningModule
from lit_core.export import to_torchscript
from tests.lit_core.export.nets import Codec, condition, load_torchscript
from tests.lit_core.export.nets import eager as eager_method
from tests.lit_core.tiny import Regression, loader, same, trainer, weights

METHODS = ["script", "trace"]


class Scriptable(LightningModule):
    """Dropout and batch norm tell evaluation mode from training mode."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.5), nn.Linear(width, 1))
        self.example_input_array = torch.randn(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def eager(module: nn.Module, x: Tensor) -> Tensor:
    modes = [child.training for child in module.modules()]
    with torch.no_grad():
        out: Tensor = module.eval()(x)
    for child, mode in zip(module.modules(), modes, strict=True):
        child.training = mode
    return out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fit", [False, True])
def test_it_computes_what_the_module_computes_for_other_batch_sizes(method: str, fit: bool) -> None:
    module = Scriptable()
    if fit:
        trainer().fit(module, loader())

    scripted = module.to_torchscript(method=method)

    for n in (1, 2, 7):
        x = torch.randn(n, 3)
        torch.testing.assert_close(scripted(x), eager(module, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_file_loads_without_the_class(method: str, tmp_path: Path) -> None:
    module, x = Scriptable(), torch.randn(5, 3)

    module.to_torchscript(tmp_path / "model.pt", method=method)

    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.load"):
        loaded = torch.jit.load(tmp_path / "model.pt")
    torch.testing.assert_close(loaded(x), eager(module, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_module_is_left_as_it_was(method: str) -> None:
    module = Scriptable()
    trainer().fit(module, loader())
    module.net[0].eval()
    modes, state = [child.training for child in module.modules()], weights(module)
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}
    run = module.trainer

    module.to_torchscript(method=method)

    assert [child.training for child in module.modules()] == modes
    assert same(weights(module), state)
    assert all(same(p.grad, gradients[name]) for name, p in module.named_parameters())
    assert all(p.requires_grad for p in module.parameters())
    assert module.trainer is run
    trainer(max_epochs=1).fit(module, loader())


def test_an_input_may_be_given_as_a_tuple_or_by_name() -> None:
    class Two(LightningModule):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a - b

    a, b = torch.tensor([3.0]), torch.tensor([1.0])

    for given in ((a, b), [a, b], {"b": b, "a": a}):
        scripted = to_torchscript(Two(), method="trace", example_inputs=given)
        assert scripted(torch.tensor([5.0]), torch.tensor([2.0])) == 3.0


def test_tracing_needs_an_input_and_says_where_it_could_come_from() -> None:
    with pytest.raises(
        ValueError, match=r"Exporting Regression needs an input: give one, or set self\.example_input_array"
    ):
        Regression().to_torchscript(method="trace")


def test_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="'script' or 'trace', got 'freeze'"):
        Regression().to_torchscript(method="freeze")


def test_a_failure_leaves_the_mode_as_it_was() -> None:
    class Broken(LightningModule):
        def forward(self, x: Tensor) -> Tensor:
            raise ZeroDivisionError

    module = Broken()

    with pytest.raises(ZeroDivisionError):
        module.to_torchscript(method="trace", example_inputs=torch.ones(1))
    assert module.training


def test_metrics_among_the_attributes_are_no_part_of_the_script() -> None:
    class Measure(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.metric_state = {}

        def forward(self, *args, **kwargs):
            raise AssertionError("a metric is not called in an export")

        def reset(self):
            """Nothing to forget."""

        def merge_state(self, state):
            """Nothing to take in."""

    class Measured(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(3, 2)
            self.measures = torch.nn.ModuleDict({"one": Measure()})

        def forward(self, x):
            return self.net(x)

    module = Measured()
    scripted = module.to_torchscript()
    x = torch.randn(5, 3)
    assert torch.equal(scripted(x), module(x))
    assert isinstance(module.measures["one"], Measure), "the module itself keeps them"


@pytest.mark.parametrize("method", METHODS)
def test_another_method_is_there_under_its_name(method: str, tmp_path: Path) -> None:
    module = Codec()
    before = condition(module)

    module.to_torchscript(tmp_path / "model.pt", method=method, entry="restore")

    assert same(condition(module), before), "neither the module nor its class was touched"
    loaded = load_torchscript(tmp_path / "model.pt")
    for n in (1, 7):
        x = torch.randn(n, 3)
        torch.testing.assert_close(loaded.restore(x), eager_method(module, x, method="restore"), rtol=1e-6, atol=1e-6)


def test_the_line_that_cannot_be_compiled_is_named() -> None:
    class Strange(LightningModule):
        def forward(self, x: Tensor) -> Tensor:
            y = x + 1
            return y.nothing_like_it()

    line = Strange.forward.__code__.co_firstlineno + 2
    with pytest.raises(
        RuntimeError,
        match=rf"Strange\.forward cannot be exported as TorchScript: .*test_torchscript\.py, line {line}: "
        r"`return y\.nothing_like_it\(\)`",
    ):
        to_torchscript(Strange())


def test_a_name_that_is_no_method_is_refused() -> None:
    with pytest.raises(ValueError, match="Codec has no method 'encode'"):
        to_torchscript(Codec(), entry="encode")
