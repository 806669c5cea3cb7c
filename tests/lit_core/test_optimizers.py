"""Every form of configure_optimizers, and what is refused."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from lit_accelerators import FullPrecision
from lit_core import LightningOptimizer
from lit_core.optimizers import clear_gradients, parse_optimizers, toggled

A, B = SGD([nn.Parameter(torch.zeros(1))], lr=0.1), SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
SA, SB = StepLR(A, 1), StepLR(B, 1)


@pytest.mark.parametrize(
    ("configured", "optimizers", "schedulers"),
    [
        (None, [], []),
        ([], [], []),
        (A, [A], []),
        ([A], [A], []),
        ([A, B], [A, B], []),
        ((A, B), [A, B], []),
        (([A], [SA]), [A], [(SA, 0)]),
        ([[A, B], [SB]], [A, B], [(SB, 1)]),
        (([A, B], [SA, {"scheduler": SB, "interval": "step"}]), [A, B], [(SA, 0), (SB, 1)]),
        (([A], []), [A], []),
        ({"optimizer": A}, [A], []),
        ({"optimizer": A, "lr_scheduler": None}, [A], []),
        ({"optimizer": A, "lr_scheduler": SA}, [A], [(SA, 0)]),
        ({"optimizer": A, "lr_scheduler": {"scheduler": SA}}, [A], [(SA, 0)]),
        ([{"optimizer": A}, {"optimizer": B, "lr_scheduler": SB}], [A, B], [(SB, 1)]),
        ([A, {"optimizer": B, "lr_scheduler": SB}], [A, B], [(SB, 1)]),
    ],
)
def test_every_form_is_brought_into_one_shape(configured: Any, optimizers: list[Any], schedulers: list[Any]) -> None:
    found = parse_optimizers(configured)

    assert found.optimizers == optimizers
    assert [(s.scheduler, s.optimizer_idx) for s in found.schedulers] == schedulers


def test_names_and_frequencies_are_those_given_or_numbered() -> None:
    found = parse_optimizers([{"optimizer": A, "frequency": 2, "name": "critic"}, {"optimizer": B, "frequency": 1}])

    assert (found.names, [config.frequency for config in found.configs]) == (["critic", "optimizer_1"], [2, 1])


def test_settings_of_a_scheduler_are_kept_and_have_defaults() -> None:
    settings = {"interval": "step", "frequency": 3, "monitor": "loss", "strict": False, "name": "warm"}
    configured = {"optimizer": A, "lr_scheduler": {"scheduler": SA, **settings}}

    (given,) = parse_optimizers(configured).schedulers
    (plain,) = parse_optimizers({"optimizer": A, "lr_scheduler": SA}).schedulers

    assert {name: getattr(given, name) for name in settings} == settings
    assert (plain.interval, plain.frequency, plain.monitor, plain.strict) == ("epoch", 1, None, True)


def test_a_monitor_beside_the_optimizer_is_the_plateau_schedulers() -> None:
    (found,) = parse_optimizers({"optimizer": A, "lr_scheduler": ReduceLROnPlateau(A), "monitor": "loss"}).schedulers

    assert (found.monitor, found.reduce_on_plateau) == ("loss", True)


def test_a_scheduler_of_ones_own_is_one_that_can_step() -> None:
    class Own:
        optimizer = B

        def step(self) -> None: ...

    (found,) = parse_optimizers(([A, B], [Own()])).schedulers

    assert found.optimizer_idx == 1


@pytest.mark.parametrize(
    ("configured", "error", "message"),
    [
        (3, TypeError, "got int"),
        ("adam", TypeError, "got str"),
        (nn.Linear(1, 1), TypeError, "got Linear"),
        ([A, 3], ValueError, "Optimizer 1 .* got int"),
        ([SGD], ValueError, "Optimizer 0 .* got type"),
        ({"optimizers": A}, ValueError, r"got dict with \['optimizers'\]"),
        ({"optimizer": A, "scheduler": SA}, ValueError, r"got dict with \['optimizer', 'scheduler'\]"),
        ({"optimizer": A, "lr_scheduler": {"scheduler": SA, "every": 2}}, ValueError, r"\['every'\]; known are"),
        ({"optimizer": A, "lr_scheduler": {"interval": "step"}}, TypeError, "'scheduler' must be .* got NoneType"),
        ({"optimizer": A, "lr_scheduler": 0.1}, TypeError, "'scheduler' must be .* got float"),
        ({"optimizer": A, "lr_scheduler": {"scheduler": SA, "interval": "batch"}}, ValueError, "got 'batch'"),
        ({"optimizer": A, "lr_scheduler": {"scheduler": SA, "frequency": 0}}, ValueError, "got 0"),
        ({"optimizer": A, "lr_scheduler": {"scheduler": SA, "frequency": 1.5}}, ValueError, r"got 1\.5"),
        ({"optimizer": A, "lr_scheduler": ReduceLROnPlateau(A)}, ValueError, "needs the key that it watches"),
    ],
)
def test_anything_else_is_refused_and_named(configured: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_optimizers(configured)


def test_toggled_switches_off_the_others_alone_and_leaves_everything_as_it_was() -> None:
    shared, own, frozen, other = (nn.Parameter(torch.zeros(1)) for _ in range(4))
    frozen.requires_grad_(False)
    first, second = SGD([shared, own], lr=0.1), SGD([shared, frozen, other], lr=0.1)

    def fail_inside() -> None:
        with toggled(first, [first, second]):
            assert [p.requires_grad for p in (shared, own, frozen, other)] == [True, True, False, False]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()

    assert [p.requires_grad for p in (shared, own, frozen, other)] == [True, True, False, True]


def test_a_wrapped_optimizer_steps_as_the_bare_one_and_shows_its_attributes() -> None:
    bare, inside = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    reference, optimizer = SGD([bare], lr=0.1), SGD([inside], lr=0.1)
    wrapped = LightningOptimizer(optimizer, FullPrecision(), "main")

    def closure(p: nn.Parameter, o: Any) -> Any:
        o.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    expected = reference.step(lambda: closure(bare, reference))
    found = wrapped.step(lambda: closure(inside, wrapped))

    assert torch.equal(found, expected)
    assert torch.equal(bare, inside)
    assert wrapped.param_groups is optimizer.param_groups
    assert repr(wrapped) == "LightningOptimizer('main', SGD)"


def test_gradients_of_all_groups_are_cleared_as_by_the_optimizer() -> None:
    first, second, other = (nn.Parameter(torch.ones(2)) for _ in range(3))
    optimizer = SGD([first], lr=0.1)
    optimizer.add_param_group({"params": [second]})
    for parameter in (first, second, other):
        parameter.grad = torch.ones(2)

    clear_gradients(optimizer)

    assert first.grad is second.grad is None
    assert other.grad is not None


@pytest.mark.parametrize("where", ["class", "object"])
def test_a_zero_grad_of_the_users_own_is_called(where: str) -> None:
    class Own(SGD):
        def zero_grad(self, set_to_none: bool = True) -> None:
            super().zero_grad(set_to_none=False)

    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    optimizer = Own([parameter], lr=0.1) if where == "class" else SGD([parameter], lr=0.1)
    if where == "object":
        optimizer.zero_grad = lambda: SGD.zero_grad(optimizer, set_to_none=False)  # type: ignore[method-assign]

    clear_gradients(optimizer)

    assert parameter.grad is not None
    assert parameter.grad.tolist() == [0.0, 0.0]
