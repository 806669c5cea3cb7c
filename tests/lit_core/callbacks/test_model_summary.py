"""ModelSummary against counts by hand."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_core import LightningModule
from lit_core.callbacks import ModelSummary, RichModelSummary, summarize
from tests.lit_core.tiny import Regression, loader, trainer


class Net(LightningModule):
    """Two levels, a frozen layer, a shared one, a parameter of its own."""

    def __init__(self, example: Any = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)
        self.head.requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(1))
        self.again = self.body[0]
        self.example_input_array = example

    def forward(self, x: Tensor, factor: float = 1.0) -> Tensor:
        out: Tensor = self.head(self.body(x)) * self.scale * factor
        return out


def test_counts_are_those_of_the_parameters_each_once() -> None:
    module = Net()

    summary = summarize(module)

    assert summary.total == sum(p.numel() for p in module.parameters()) == 16 + 8 + 10 + 1
    assert (summary.trainable, summary.frozen) == (25, 10)
    assert summary.parameter_bytes == 35 * 4
    assert summary.buffer_bytes == 4 * 4 + 4 * 4 + 8
    assert [(layer.name, layer.trainable, layer.frozen) for layer in summary.layers] == [
        ("body", 24, 0),
        ("head", 0, 10),
        ("again", 16, 0),
        ("(its own)", 1, 0),
    ]


@pytest.mark.parametrize(
    ("depth", "names"),
    [
        (0, []),
        (1, ["body", "head", "again", "(its own)"]),
        (2, ["body", "body.0", "body.1", "body.2", "head", "(its own)"]),
        (-1, ["body", "body.0", "body.1", "body.2", "head", "(its own)"]),
    ],
)
def test_depth_says_which_levels_have_a_row(depth: int, names: list[str]) -> None:
    assert [layer.name for layer in summarize(Net(), depth).layers] == names


def test_half_precision_takes_half_the_memory() -> None:
    assert summarize(Net().half()).parameter_bytes == 35 * 2


@pytest.mark.parametrize("example", [torch.zeros(5, 3), (torch.zeros(5, 3), 2.0), {"x": torch.zeros(5, 3)}])
def test_an_example_gives_shapes_and_leaves_everything_as_it_was(example: Any) -> None:
    module = Net(example)
    module.body[1].running_mean.fill_(0.25)
    state = torch.get_rng_state()

    summary = summarize(module, max_depth=2)

    shapes = {layer.name: (layer.in_sizes, layer.out_sizes) for layer in summary.layers}
    assert shapes["body.0"] == ("[5, 3]", "[5, 4]")
    assert shapes["head"] == ("[5, 4]", "[5, 2]")
    assert torch.equal(torch.get_rng_state(), state)
    assert module.body[1].running_mean.tolist() == [0.25] * 4
    assert module.training
    assert module.body[2].training
    assert not any(child._forward_hooks for child in module.modules())


def test_an_example_that_does_not_fit_costs_the_shapes_only() -> None:
    with pytest.warns(UserWarning, match="no shapes: forward failed on example_input_array"):
        summary = summarize(Net(torch.zeros(5, 7)))

    assert summary.total == 35
    assert all(not layer.in_sizes for layer in summary.layers)


def test_lazy_layers_have_no_parameters_yet() -> None:
    assert summarize(nn.Sequential(nn.LazyLinear(3), nn.Linear(2, 2))).total == 6


def test_it_is_printed_when_fit_starts_and_only_then(capsys: pytest.CaptureFixture[str]) -> None:
    module = Regression()
    module.example_input_array = torch.zeros(2, 3)
    run = trainer(callbacks=ModelSummary())

    run.validate(module, loader(2, 2), verbose=False)
    assert capsys.readouterr().out == ""
    run.fit(module, loader(2, 2))

    assert capsys.readouterr().out == str(summarize(module)) + "\n"
    assert str(summarize(module)).splitlines() == [
        "Name | Type       | Params | Trainable | Size | Mode  | In     | Out",
        "-----------------------------------------------------------------------",
        "net  | Sequential | 21     | all       | 84 B | train | [2, 3] | [2, 1]",
        "21 trainable parameters, 0 frozen, 21 in total",
        "84 B of parameters, 0 B of buffers",
        "6 modules in train mode, 0 in eval mode",
    ]


def test_only_the_process_that_writes_prints() -> None:
    printed: list[Any] = []
    other: Any = SimpleNamespace(is_global_zero=False, print=printed.append)

    ModelSummary().on_fit_start(other, Regression())

    assert printed == []


def test_depths_below_minus_one_are_refused() -> None:
    for make in (lambda: ModelSummary(-2), lambda: summarize(Net(), -2)):
        with pytest.raises(ValueError, match="got -2"):
            make()


def test_without_rich_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)

    with pytest.raises(ModuleNotFoundError, match=r"lit-core\[rich\]"):
        RichModelSummary()


def test_rich_draws_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")

    trainer(callbacks=RichModelSummary(max_depth=2)).fit(Regression(), loader(2, 2))

    out = capsys.readouterr().out
    assert "net.0" in out
    assert "21 trainable parameters, 0 frozen, 21 in total" in out


def test_the_summary_that_rich_draws_takes_the_place_of_the_plain_one() -> None:
    pytest.importorskip("rich")

    callbacks = trainer(enable_model_summary=True, callbacks=RichModelSummary()).callbacks

    assert [type(callback) for callback in callbacks] == [RichModelSummary]
