import pytest
import torch

from lit_accelerators import FullPrecision


def test_nothing_stands_between_the_loop_and_torch() -> None:
    precision = FullPrecision()
    module = torch.nn.Linear(2, 1)
    step = module.forward

    assert precision.wrap_step(step, torch.device("cpu")) is step
    assert precision.convert_module(module) is module
    assert not precision.converts_batch
    assert precision.state_dict() == {}


def test_steps_and_closures_are_those_of_the_optimizer() -> None:
    precision = FullPrecision()
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        precision.backward(loss)
        return loss.detach()

    assert float(precision.optimizer_step(optimizer, closure)) == 1.0
    assert weight.item() == pytest.approx(0.8)
    assert precision.optimizer_step(optimizer) is None
