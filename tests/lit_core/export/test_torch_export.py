"""``torch.export`` programs, against the module itself."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from lit_core import LightningModule
from lit_core.export import to_torch_export
from tests.lit_core.export.nets import LINE, Codec, condition, eager
from tests.lit_core.tiny import Regression, loader, same, trainer

TOLERANCE: dict[str, float] = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(scope="module")
def trained() -> Codec:
    module = Codec()
    run = trainer()
    run.fit(module, loader())
    assert module.trainer is run
    return module


@pytest.mark.parametrize("method", ["forward", "restore"])
def test_the_file_computes_what_the_module_computes_for_any_batch_size(
    trained: Codec, method: str, tmp_path: Path
) -> None:
    to_torch_export(trained, tmp_path / "model.pt2", method=method)

    program = torch.export.load(tmp_path / "model.pt2").module()
    for n in (1, 2, 7):
        x = torch.randn(n, 3)
        torch.testing.assert_close(program(x), eager(trained, x, method=method), **TOLERANCE)


def test_the_module_is_left_as_it_was(trained: Codec) -> None:
    trained.encoder[0].eval()
    before, run = condition(trained), trained.trainer
    assert before["gradients"]

    to_torch_export(trained, method="restore")

    assert same(condition(trained), before)
    assert trained.trainer is run
    trainer().fit(trained, loader())


def test_an_example_of_one_sample_leaves_the_batch_axis_free() -> None:
    class Two(LightningModule):
        def forward(self, a: Tensor, b: dict[str, Tensor], scale: float) -> Tensor:
            return (a - b["x"]) * scale

    program = to_torch_export(Two(), input_sample=(torch.ones(1, 3), {"x": torch.ones(1, 3)}, 2.0))

    a, b = torch.randn(5, 3), torch.randn(5, 3)
    assert torch.equal(program.module()(a, {"x": b}, 2.0), (a - b) * 2)


def test_only_tensors_of_the_batch_have_a_free_axis() -> None:
    class Pair(NamedTuple):
        x: Tensor
        table: Tensor

    class Look(LightningModule):
        def forward(self, pair: Pair) -> Tensor:
            return pair.x @ pair.table

    table = torch.randn(3, 4)
    program = to_torch_export(Look(), input_sample=(Pair(torch.randn(2, 3), table),))

    x = torch.randn(6, 3)
    torch.testing.assert_close(program.module()(Pair(x, table)), x @ table)


def test_keyword_arguments_are_exported_by_name() -> None:
    class Two(LightningModule):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a - b

    program = to_torch_export(Two(), input_sample={"b": torch.ones(2), "a": torch.ones(2)}).module()

    assert program(b=torch.tensor([1.0, 2.0, 3.0]), a=torch.tensor([5.0, 5.0, 5.0])).tolist() == [4, 3, 2]


@pytest.mark.parametrize("options", [{"dynamic_batch": False}, {"dynamic_shapes": ({1: torch.export.Dim.DYNAMIC},)}])
def test_a_fixed_batch_axis_refuses_another_size(options: dict[str, Any]) -> None:
    class Double(LightningModule):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x

    program = to_torch_export(Double(), input_sample=torch.ones(2, 3), **options).module()

    assert program(torch.ones(2, 3)).shape == (2, 3)
    with pytest.raises((RuntimeError, AssertionError), match=r"shape\[0\]|Guard"):
        program(torch.ones(4, 3))


def test_the_line_that_cannot_be_exported_is_named() -> None:
    with pytest.raises(
        RuntimeError,
        match=rf"Codec\.by_value cannot be exported as a torch.export program: .*nets\.py, line {LINE}: "
        r"`if y\.sum\(\) > 0:`",
    ) as caught:
        to_torch_export(Codec(), method="by_value")
    assert caught.value.__cause__ is not None


def test_an_error_of_the_users_code_is_not_dressed_up() -> None:
    module = Codec()

    with pytest.raises(ZeroDivisionError):
        to_torch_export(module, method="broken")
    assert module.training


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (Regression, {}, "Exporting Regression needs an input"),
        (Codec, {"method": "encode"}, "Codec has no method 'encode'"),
        (Codec, {"package_aoti": True}, "give file_path"),
    ],
)
def test_what_is_missing_is_said(module: type[LightningModule], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_torch_export(module(), **options)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_compiled_package_computes_what_the_module_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    module = Codec()
    before = condition(module)

    to_torch_export(module, tmp_path / "model.pt2", package_aoti=True)

    assert same(condition(module), before)
    compiled = torch._inductor.aoti_load_package(str(tmp_path / "model.pt2"))
    for n in (1, 7):
        x = torch.randn(n, 3)
        torch.testing.assert_close(compiled(x), eager(module, x), rtol=1e-5, atol=1e-6)
