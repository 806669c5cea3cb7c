from collections import UserDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lit_accelerators import TruePrecision, connect, make_strategy

CPU = torch.device("cpu")
DTYPES = {"64-true": torch.float64, "16-true": torch.float16, "bf16-true": torch.bfloat16}
each = pytest.mark.parametrize(("name", "dtype"), DTYPES.items())


@each
def test_parameters_buffers_and_optimizer_have_the_format_and_all_else_stays(name: str, dtype: torch.dtype) -> None:
    precision = TruePrecision(dtype)
    module = nn.BatchNorm1d(2)
    module.register_buffer("spectrum", torch.ones(1, dtype=torch.complex64))
    optimizer = torch.optim.Adam(module.parameters())

    assert precision.name == name
    assert precision.convert_module(module) is module
    found = {key: value.dtype for key, value in module.state_dict().items()}
    assert found == {
        **dict.fromkeys(("weight", "bias", "running_mean", "running_var"), dtype),
        "num_batches_tracked": torch.int64,
        "spectrum": torch.complex64,
    }
    precision.backward(module(torch.randn(3, 2, dtype=dtype)).sum())
    precision.optimizer_step(optimizer)
    assert {state["exp_avg"].dtype for state in optimizer.state.values()} == {dtype}


Pair = namedtuple("Pair", "x y")


@dataclass
class Sample:
    x: Tensor
    name: str


@each
def test_a_batch_keeps_its_shape_and_its_integers_in_any_nesting(name: str, dtype: torch.dtype) -> None:
    x, label = torch.ones(2), torch.tensor([1, 2])
    batch = {
        "list": [x, (label, "text", None)],
        "named": Pair(x, label),
        "dataclass": Sample(x, "a"),
        "mapping": UserDict({"x": x, "deep": [Sample(x, "b")]}),
        "packed": nn.utils.rnn.pack_sequence([torch.ones(2, 1), torch.ones(1, 1)]),
        "flags": torch.tensor([True]),
        "complex": torch.ones(1, dtype=torch.complex64),
    }

    found: Any = TruePrecision(dtype).convert_batch(batch)

    assert found["list"][0].dtype == found["named"].x.dtype == found["dataclass"].x.dtype == dtype
    assert found["mapping"]["x"].dtype == found["mapping"]["deep"][0].x.dtype == found["packed"].data.dtype == dtype
    assert found["list"][1] == (label, "text", None)
    assert found["named"].y is label
    assert [type(found[key]) for key in batch] == [type(value) for value in batch.values()]
    assert found["packed"].batch_sizes.tolist() == [2, 1]
    assert (found["flags"].dtype, found["complex"].dtype) == (torch.bool, torch.complex64)
    assert x.dtype == torch.float32


@each
def test_tensors_made_in_the_step_have_the_format_and_those_made_outside_do_not(name: str, dtype: torch.dtype) -> None:
    precision = TruePrecision(dtype)

    def step(fails: bool = False) -> torch.dtype:
        if fails:
            raise KeyError
        return torch.zeros(1).dtype

    wrapped = precision.wrap_step(step, CPU)

    assert wrapped() == dtype
    with pytest.raises(KeyError):
        wrapped(fails=True)
    assert torch.zeros(1).dtype == torch.float32
    with precision.building():
        assert nn.Linear(1, 1).weight.dtype == dtype
    assert torch.zeros(1).dtype == torch.float32
    assert wrapped.__name__ == "step"


@each
def test_a_checkpointed_layer_makes_the_same_tensors_when_it_runs_again_in_the_backward_pass(
    name: str, dtype: torch.dtype
) -> None:
    precision = TruePrecision(dtype)
    layer = precision.convert_module(nn.Linear(2, 2))
    seen: list[torch.dtype] = []

    def block(x: Tensor) -> Tensor:
        shift = torch.ones(2)
        seen.append(shift.dtype)
        return layer(x + shift).tanh()

    step = precision.wrap_step(lambda x: checkpoint(block, x, use_reentrant=False).sum(), CPU)
    precision.backward(step(torch.ones(1, 2, dtype=dtype)))

    assert seen == [dtype, dtype]
    assert layer.weight.grad is not None


def test_an_eps_that_is_zero_in_float16_is_refused_as_weights_would_not_stay_finite() -> None:
    half = nn.Linear(2, 1).half()
    optimizer = torch.optim.Adam(half.parameters())
    half(torch.full((1, 2), 1e-3).half()).sum().mul(1e-3).backward()
    optimizer.step()
    assert not half.weight.isfinite().all()

    with pytest.raises(ValueError, match=r"Adam with eps=1e-08: that is zero in float16.*eps=1e-4"):
        connect("cpu", precision="16-true").setup(half, optimizer)
    for precision, eps in (("16-true", 1e-4), ("bf16-true", 1e-8), ("64-true", 1e-8)):
        module = nn.Linear(2, 1)
        connect("cpu", precision=precision).setup(module, torch.optim.Adam(module.parameters(), eps=eps))


def test_another_format_is_refused_with_the_word_to_write() -> None:
    with pytest.raises(ValueError, match=r"got torch.float32. For float32 use precision='32-true'"):
        TruePrecision(torch.float32)


def test_float64_is_refused_on_the_gpu_of_apple_silicon_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    with pytest.raises(ValueError, match="mps has no float64"):
        make_strategy("mps", precision="64-true")
    assert make_strategy("mps", precision="16-true").precision.name == "16-true"
