"""Hyperparameters: which arguments are remembered, and what is refused."""

import argparse
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from lit_core import LightningDataModule, LightningModule
from lit_core.hparams import HParams


class Plain(LightningModule):
    def __init__(self, width: int, depth: int = 2, *, rate: float = 0.1, **extra: Any) -> None:
        super().__init__()
        local = width + depth  # a local variable is no argument
        self.save_hyperparameters()
        self.size = local


def test_all_arguments_are_remembered_with_defaults_and_extra_ones() -> None:
    assert Plain(3, rate=0.5, dropout=0.2).hparams == {"width": 3, "depth": 2, "rate": 0.5, "dropout": 0.2}


def test_arguments_of_a_subclass_and_of_its_base_are_remembered_together() -> None:
    class Derived(Plain):
        def __init__(self, name: str, width: int = 7) -> None:
            super().__init__(width=2 * width, rate=0.3)

    assert Derived("x").hparams == {"width": 7, "depth": 2, "rate": 0.3, "name": "x"}  # the outermost wins


def test_a_subclass_may_save_again() -> None:
    class Derived(Plain):
        def __init__(self, name: str) -> None:
            super().__init__(width=2)
            self.save_hyperparameters()

    assert Derived("x").hparams == {"width": 2, "depth": 2, "rate": 0.1, "name": "x"}


def test_another_module_built_inside_does_not_mix_its_arguments_in() -> None:
    class Outer(LightningModule):
        def __init__(self, width: int, label: str) -> None:
            super().__init__()
            self.inner = Plain(99)
            self.save_hyperparameters()

    outer = Outer(1, "a")

    assert outer.hparams == {"width": 1, "label": "a"}
    assert outer.inner.hparams == {"width": 99, "depth": 2, "rate": 0.1}


@pytest.mark.parametrize("ignore", ["net", ["net"], ("net", "other")])
def test_what_is_ignored_is_left_out(ignore: Any) -> None:
    class Mine(LightningModule):
        def __init__(self, net: nn.Module, rate: float) -> None:
            super().__init__()
            self.save_hyperparameters(ignore=ignore)

    assert Mine(nn.Linear(1, 1), 0.1).hparams == {"rate": 0.1}


def test_names_choose_some_and_an_unknown_name_is_refused() -> None:
    class Mine(LightningModule):
        def __init__(self, a: int, b: int, c: Any, names: tuple[str, ...]) -> None:
            super().__init__()
            self.save_hyperparameters(*names)

    assert Mine(1, 2, nn.Linear(1, 1), ("a", "b")).hparams == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match=r"No arguments \['d'\].*\['a', 'b', 'c', 'names'\]"):
        Mine(1, 2, 3, ("a", "d"))


@dataclass
class Settings:
    rate: float = 0.1
    sizes: tuple[int, ...] = (1, 2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rate": 0.1, "net": {"width": 3}}, {"rate": 0.1, "net": {"width": 3}}),
        (Settings(0.5), {"rate": 0.5, "sizes": (1, 2)}),
        (argparse.Namespace(rate=0.2), {"rate": 0.2}),
    ],
)
def test_a_mapping_a_dataclass_and_a_namespace_are_taken_as_they_are(given: Any, expected: dict[str, Any]) -> None:
    class Mine(LightningModule):
        def __init__(self, given: Any) -> None:
            super().__init__()
            self.save_hyperparameters(given)

    assert Mine(given).hparams == expected


@pytest.mark.parametrize("given", [(3,), ({"a": 1}, {"b": 2}), ("a", 3)])
def test_other_forms_are_refused(given: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"takes nothing .* got"):
        LightningModule().save_hyperparameters(*given)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (nn.Linear(1, 1), r"hparams\.value is a module.*ignore=\['value'\]"),
        (torch.zeros(1), r"hparams\.value is of type Tensor"),
        ({"inner": [1, object()]}, r"hparams\.value\.inner\[1\] is of type object"),
        (torch.float32, r"hparams\.value is of type dtype"),
        (print, r"hparams\.value is of type builtin_function_or_method"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place_and_the_way_out(value: Any, place: str) -> None:
    class Mine(LightningModule):
        def __init__(self, value: Any) -> None:
            super().__init__()
            self.save_hyperparameters()

    with pytest.raises(TypeError, match=place):
        Mine(value)


@pytest.mark.parametrize("value", [1, 1.5, "a", b"a", True, None, [1, "a"], (1, (2,)), {"a": {"b": [None]}}])
def test_what_is_plain_is_kept(value: Any) -> None:
    class Mine(LightningModule):
        def __init__(self, value: Any) -> None:
            super().__init__()
            self.save_hyperparameters()

    assert Mine(value).hparams.value == value


def test_without_saving_there_are_none() -> None:
    assert LightningModule().hparams == {}


def test_those_not_meant_for_loggers_are_kept_but_not_logged() -> None:
    class Mine(LightningDataModule):
        def __init__(self, rate: float, logged: bool) -> None:
            self.save_hyperparameters(logger=logged)

    assert (Mine(0.1, True).logged_hparams, Mine(0.1, False).logged_hparams) == ({"rate": 0.1, "logged": True}, {})
    assert Mine(0.1, False).hparams.rate == 0.1


def test_attributes_are_keys_and_a_missing_one_is_named_with_those_there_are() -> None:
    hparams = HParams(lr=0.1)
    hparams.width = 3

    assert hparams == {"lr": 0.1, "width": 3}
    with pytest.raises(AttributeError, match=r"No hyperparameter 'depth'; there are \['lr', 'width'\]"):
        _ = hparams.depth
