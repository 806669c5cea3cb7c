import contextlib
import io
import os
import random
import subprocess
import sys
from typing import Any

import pytest
import torch

from lit_accelerators import isolate_rng, rng_state, seed_everything, set_rng_state


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)


def draw() -> list[float]:
    numbers = [random.random(), float(torch.rand(()))]
    if "numpy" in sys.modules:
        numbers.append(float(sys.modules["numpy"].random.rand()))
    return numbers


def test_the_same_seed_gives_the_numbers_that_each_library_gives_for_it() -> None:
    assert seed_everything(5) == 5
    found = draw()

    random.seed(5)
    torch.manual_seed(5)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(5)
    assert found == draw()


def test_the_seed_is_kept_for_other_processes_and_read_back() -> None:
    seed_everything(11, workers=True)

    assert (os.environ["PL_GLOBAL_SEED"], os.environ["PL_SEED_WORKERS"]) == ("11", "1")
    assert seed_everything() == 11
    assert os.environ["PL_SEED_WORKERS"] == "0"


def test_without_any_seed_it_is_zero() -> None:
    assert seed_everything() == 0


@pytest.mark.parametrize("seed", [-1, 2**32, "many", 1j])
def test_what_is_no_seed_is_refused_with_the_value(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed must be"):
        seed_everything(seed)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "x")

    with pytest.raises(ValueError, match="PL_GLOBAL_SEED must be a whole number, got 'x'"):
        seed_everything()


def test_a_state_that_went_through_a_checkpoint_continues_every_generator() -> None:
    seed_everything(3)
    random.gauss(0, 1)  # leaves one number in store
    file = io.BytesIO()
    torch.save(rng_state(), file)
    expected = [draw(), random.gauss(0, 1), torch.randn(3).tolist()]

    seed_everything(4)
    file.seek(0)
    set_rng_state(torch.load(file, weights_only=True))

    assert [draw(), random.gauss(0, 1), torch.randn(3).tolist()] == expected


def test_a_state_kept_as_plain_numbers_as_older_checkpoints_have_it_is_taken() -> None:
    seed_everything(3)
    python, (kind, keys, *rest) = random.getstate(), sys.modules["numpy"].random.get_state()
    older = {"python": python, "numpy": [kind, keys.tolist(), *rest], "torch": torch.get_rng_state()}
    expected = draw()

    seed_everything(4)
    set_rng_state(older)

    assert draw() == expected


def test_what_is_drawn_inside_does_not_change_what_comes_after_even_after_an_error() -> None:
    seed_everything(3)
    expected = draw()

    seed_everything(3)
    with contextlib.suppress(KeyError), isolate_rng():
        draw()
        raise KeyError
    assert draw() == expected


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None  # as if it were not installed
from lit_accelerators import rng_state, seed_everything, set_rng_state
import random, torch
seed_everything(1)
state = rng_state()
assert "numpy" not in state
first = (random.random(), float(torch.rand(())))
set_rng_state(state)
assert first == (random.random(), float(torch.rand(())))
set_rng_state({**state, "numpy": ["MT19937", [0] * 624, 0, 0, 0.0]})
"""


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_generators_of_gpus_continue_too() -> None:
    seed_everything(3)
    torch.rand(1, device="cuda")
    state = rng_state()
    expected = torch.rand(3, device="cuda")
    set_rng_state(state)

    assert torch.equal(torch.rand(3, device="cuda"), expected)


def test_numpy_is_not_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMPY], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
