"""Every example of the docs, exported in every format and run by the runtime of that format."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_core import LightningModule
from tests.lit_core.export.nets import eager, load_torchscript, run_onnx

EXAMPLES = Path(__file__).parents[3] / "docs/examples"
NEEDS = {"digits": ["sklearn", "onnxruntime", "lit_metrics"], "autoencoder": ["sklearn", "lit_metrics"]}
MODELS = [
    ("digits", "Classifier", "forward", (1, 8, 8)),
    ("autoencoder", "Autoencoder", "forward", (64,)),
    ("autoencoder", "Probe", "forward", (64,)),
    ("actor_critic", "ActorCritic", "forward", (9,)),
    ("gan", "GAN", "forward", (8,)),
    ("gan", "ManualGAN", "forward", (8,)),
]
TOLERANCE: dict[str, float] = {"rtol": 1e-4, "atol": 1e-5}
"""Float32, with operators fused and reordered by each runtime."""


def example(name: str) -> ModuleType:
    for package in NEEDS.get(name, []):
        pytest.importorskip(package)
    if not (EXAMPLES / f"{name}.py").exists():
        pytest.skip("the examples are not here")
    full = f"docs_examples_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


def build(file: str, name: str) -> LightningModule:
    examples = example(file)
    torch.manual_seed(0)
    model: Any = getattr(examples, name)
    return model(examples.Autoencoder().encoder) if name == "Probe" else model()


def batches(shape: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, *shape, generator=generator) for n in (1, 3, 16)]


def test_no_example_is_left_out() -> None:
    if EXAMPLES.exists():
        assert {path.stem for path in EXAMPLES.glob("*.py")} == {file for file, *_ in MODELS}


@pytest.mark.parametrize(("file", "name", "method", "shape"), MODELS)
def test_an_example_runs_as_onnx(file: str, name: str, method: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    model = build(file, name)

    model.to_onnx(tmp_path / "model.onnx", torch.zeros(2, *shape), method=method)

    for x in batches(shape):
        torch.testing.assert_close(run_onnx(tmp_path / "model.onnx", x), eager(model, x, method=method), **TOLERANCE)


@pytest.mark.parametrize("way", ["script", "trace"])
@pytest.mark.parametrize(("file", "name", "method", "shape"), MODELS)
def test_an_example_runs_as_torchscript(
    file: str, name: str, method: str, shape: tuple[int, ...], way: str, tmp_path: Path
) -> None:
    model = build(file, name)

    model.to_torchscript(tmp_path / "model.pt", way, torch.zeros(2, *shape), entry=method)

    loaded = load_torchscript(tmp_path / "model.pt")
    for x in batches(shape):
        torch.testing.assert_close(getattr(loaded, method)(x), eager(model, x, method=method), **TOLERANCE)


@pytest.mark.parametrize(("file", "name", "method", "shape"), MODELS)
def test_an_example_runs_as_a_program(
    file: str, name: str, method: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    from lit_core.export import to_torch_export

    model = build(file, name)

    to_torch_export(model, tmp_path / "model.pt2", torch.zeros(2, *shape), method=method)

    loaded = torch.export.load(tmp_path / "model.pt2").module()
    for x in batches(shape):
        torch.testing.assert_close(loaded(x), eager(model, x, method=method), **TOLERANCE)
