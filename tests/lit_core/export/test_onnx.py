"""ONNX of a module: onnxruntime computes what the module computes."""

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_core import LightningModule
from lit_core.export import to_onnx
from tests.lit_core.export.nets import LINE, Codec, condition
from tests.lit_core.export.nets import eager as eager_method
from tests.lit_core.tiny import Regression, loader, same, trainer, weights


class Net(LightningModule):
    """Dropout and batch norm tell evaluation mode from training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.example_input_array = torch.randn(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def eager(module: nn.Module, *args: Tensor) -> Tensor:
    modes = [child.training for child in module.modules()]
    with torch.no_grad():
        out: Tensor = module.eval()(*args)
    for child, mode in zip(module.modules(), modes, strict=True):
        child.training = mode
    return out


def infer(path: Path, *args: Tensor) -> Tensor:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    (out,) = session.run(None, {name: arg.numpy() for name, arg in zip(names, args, strict=True)})
    return torch.from_numpy(out)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Net, Path, dict[str, Any]]:
    """A module after a fit, its file, and what it was like before the export."""
    pytest.importorskip("onnxscript")
    module = Net()
    trainer().fit(module, loader())
    module.net[0].eval()
    before = {
        "modes": [child.training for child in module.modules()],
        "state": weights(module),
        "gradients": [p.grad.clone() for p in module.parameters() if p.grad is not None],
        "trainer": module.trainer,
    }
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    module.to_onnx(path)
    return module, path, before


@pytest.mark.parametrize("n", [1, 2, 7])
def test_it_computes_what_the_module_computes_for_any_batch_size(exported: Any, n: int) -> None:
    module, path, _ = exported
    x = torch.randn(n, 3)

    torch.testing.assert_close(infer(path, x), eager(module, x), rtol=1e-5, atol=1e-6)


def test_the_module_is_left_as_it_was(exported: Any) -> None:
    module, _, before = exported

    assert [child.training for child in module.modules()] == before["modes"]
    assert same(weights(module), before["state"])
    assert same([p.grad for p in module.parameters() if p.grad is not None], before["gradients"])
    assert all(p.requires_grad for p in module.parameters())
    assert module.trainer is before["trainer"]


def test_several_inputs_are_given_as_a_tuple(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")

    class Two(LightningModule):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a - 2 * b

    to_onnx(Two(), tmp_path / "two.onnx", (torch.ones(2, 3), torch.ones(2, 3)))

    a, b = torch.randn(5, 3), torch.randn(5, 3)
    torch.testing.assert_close(infer(tmp_path / "two.onnx", a, b), a - 2 * b)


def test_without_an_input_it_says_where_one_could_come_from(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")

    with pytest.raises(ValueError, match="Exporting Regression needs an input"):
        Regression().to_onnx(tmp_path / "never.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_named_with_the_extra(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ModuleNotFoundError, match=rf"'{missing}': install the extra lit-core\[onnx\]"):
        Net().to_onnx(tmp_path / "never.onnx")


def test_another_method_is_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    module, x = Codec(), torch.randn(5, 3)
    before = condition(module)

    to_onnx(module, tmp_path / "restore.onnx", method="restore")

    assert same(condition(module), before)
    torch.testing.assert_close(
        infer(tmp_path / "restore.onnx", x), eager_method(module, x, method="restore"), rtol=1e-5, atol=1e-6
    )


def test_the_input_keeps_its_name_and_the_batch_axis_is_free_with_an_example_of_one(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    module = Codec()

    to_onnx(module, tmp_path / "one.onnx", torch.randn(1, 3), method="restore")

    (node,) = onnx.load(tmp_path / "one.onnx").graph.input
    first, second = node.type.tensor_type.shape.dim
    assert node.name == "x"
    assert first.dim_param
    assert second.dim_value == 3


def test_the_line_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")

    with pytest.raises(
        RuntimeError,
        match=rf"Codec\.by_value cannot be exported as ONNX: .*nets\.py, line {LINE}: `if y\.sum\(\) > 0:`",
    ):
        to_onnx(Codec(), tmp_path / "never.onnx", method="by_value")
    assert list(tmp_path.iterdir()) == []


def test_an_operator_that_onnx_lacks_is_named_with_its_line(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")

    class Special(LightningModule):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    line = Special.forward.__code__.co_firstlineno + 1
    with pytest.raises(RuntimeError, match=rf"test_onnx\.py, line {line}: `return torch\.special\.bessel_j0\(x\)`"):
        to_onnx(Special(), tmp_path / "never.onnx", torch.ones(2))


def test_the_axes_of_the_older_exporter_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")

    with pytest.raises(ValueError, match="give dynamic_shapes"):
        to_onnx(Net(), tmp_path / "never.onnx", dynamic_axes={"x": {0: "batch"}})
