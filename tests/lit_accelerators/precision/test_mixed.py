import torch
from torch import Tensor, nn

from lit_accelerators import MixedPrecision

CPU = torch.device("cpu")


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))


def test_a_step_computes_bit_for_bit_what_it_does_inside_autocast() -> None:
    ours, bare, x = net(), net(), torch.randn(4, 8)
    precision = MixedPrecision()

    precision.backward(precision.wrap_step(lambda: ours(x).float().square().mean(), CPU)())
    with torch.autocast("cpu", torch.bfloat16):
        loss = bare(x).float().square().mean()
    loss.backward()

    for mine, theirs in zip(ours.parameters(), bare.parameters(), strict=True):
        assert mine.dtype == torch.float32
        assert mine.grad is not None
        assert torch.equal(mine.grad, theirs.grad)


def test_the_backward_pass_runs_outside_autocast_also_from_inside_the_step() -> None:
    seen: list[bool] = []

    class Look(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            seen.append(torch.is_autocast_enabled("cpu"))
            return x.clone()

        @staticmethod
        def backward(ctx: object, *grad: Tensor) -> Tensor:
            seen.append(torch.is_autocast_enabled("cpu"))
            return grad[0]

    precision = MixedPrecision()
    weight = torch.ones(1, requires_grad=True)
    precision.wrap_step(lambda: precision.backward(Look.apply(weight).sum()), CPU)()

    assert seen == [True, False]
    assert weight.grad is not None


def test_after_an_optimizer_step_inside_the_step_the_new_weights_are_used() -> None:
    model, x = net(), torch.randn(4, 8)
    precision = MixedPrecision()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def manual_step() -> Tensor:
        precision.backward(model(x).float().square().mean())
        precision.optimizer_step(optimizer)
        return model(x)

    inside = precision.wrap_step(manual_step, CPU)()

    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(inside, model(x))


def test_the_wrapped_step_keeps_its_name() -> None:
    def training_step() -> None: ...

    assert MixedPrecision().wrap_step(training_step, CPU).__name__ == "training_step"
