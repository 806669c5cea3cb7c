import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_accelerators import ScaledPrecision, connect

CPU = torch.device("cpu")
INF = float("inf")


def net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))


def batch(seed: int, factor: float = 1.0) -> Tensor:
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(seed)) * factor


def loss_of(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).float().square().mean() * x.abs().max().sign()


def weights(*models: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for model in models for parameter in model.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def adam(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=0.01, **options)


def poisoned(loss: Tensor, index: int, bad: set[int]) -> Tensor:
    return loss * INF if index in bad else loss


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("fused", [False, True])
def test_weights_and_scales_are_those_of_a_loop_with_torchs_scaler_also_where_steps_are_skipped(
    clip: bool, accumulate: int, fused: bool
) -> None:
    options = {"init_scale": 2.0**10, "growth_interval": 3}
    bad = {4, 5, 13}

    model = net()
    optimizer, scaler, expected_scales = adam(model, fused=fused), torch.amp.GradScaler("cpu", **options), []
    for index in range(24):
        if index % accumulate == 0:
            optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = loss_of(model, batch(index))
        scaler.scale(poisoned(loss / accumulate, index, bad)).backward()
        if (index + 1) % accumulate == 0:
            if clip:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
            expected_scales.append(scaler.get_scale())

    ours, precision, scales = net(), ScaledPrecision(**options), []
    our_optimizer = adam(ours, fused=fused)
    step = precision.wrap_step(lambda x: loss_of(ours, x), CPU)
    for index in range(24):
        if index % accumulate == 0:
            our_optimizer.zero_grad()
        precision.backward(poisoned(step(batch(index)) / accumulate, index, bad))
        if (index + 1) % accumulate == 0:
            if clip:
                precision.unscale(our_optimizer)
                precision.unscale(our_optimizer)
                nn.utils.clip_grad_norm_(ours.parameters(), 0.1)
            precision.optimizer_step(our_optimizer)
            scales.append(precision.scale)

    assert scales == expected_scales
    assert len(set(scales)) > 2
    assert same(weights(ours), weights(model))
    steps = {float(state["step"]) for state in our_optimizer.state.values()}
    assert steps == {float(state["step"]) for state in optimizer.state.values()}


def test_a_step_that_is_left_out_changes_neither_weights_nor_the_optimizers_state_nor_counts() -> None:
    model, precision = net(), ScaledPrecision(init_scale=4.0)
    optimizer = adam(model)
    calls: list[int] = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    precision.backward(loss_of(model, batch(0)))
    precision.optimizer_step(optimizer)
    before, state = weights(model), copy.deepcopy(optimizer.state_dict())
    optimizer.zero_grad()
    precision.backward(loss_of(model, batch(1)) * INF)

    assert precision.optimizer_step(optimizer) is None
    assert same(weights(model), before)
    assert str(optimizer.state_dict()) == str(state)
    assert (precision.scale, calls) == (2.0, [1])


def test_losses_of_two_optimizers_computed_together_are_each_scaled_back_by_what_they_were_scaled_with() -> None:
    first, second, precision = net(0), net(1), ScaledPrecision()
    precision.convert_module(nn.ModuleList([first, second]))  # which is gone at once
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.5) for model in (first, second)]
    start = weights(first)
    precision.backward(loss_of(first, batch(0)) * INF)
    precision.backward(loss_of(second, batch(0)))
    for optimizer in optimizers:
        precision.optimizer_step(optimizer)

    bare = net(1)
    loss_of(bare, batch(0)).backward()
    torch.optim.SGD(bare.parameters(), lr=0.5).step()
    assert same(weights(first), start)
    assert same(weights(second), weights(bare))
    assert precision.scale == 2.0**15


def test_gradients_gathered_over_batches_follow_the_scale_that_another_optimizer_changes() -> None:
    first, second, precision = net(0), net(1), ScaledPrecision(init_scale=64.0, growth_interval=1)
    precision.convert_module(nn.ModuleList([first, second]))
    often, rarely = adam(first), torch.optim.SGD(second.parameters(), lr=0.5)
    scales = []
    for index in range(4):
        often.zero_grad()
        precision.backward(loss_of(first, batch(index)) * (INF if index == 2 else 1.0))
        precision.backward(loss_of(second, batch(index)))
        precision.optimizer_step(often)
        scales.append(precision.scale)
    precision.optimizer_step(rarely)

    bare = net(1)
    for index in range(4):
        loss_of(bare, batch(index)).backward()
    torch.optim.SGD(bare.parameters(), lr=0.5).step()
    assert scales == [128.0, 256.0, 128.0, 256.0]
    for mine, theirs in zip(weights(second), weights(bare), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)


def test_two_optimizers_may_both_be_clipped_before_both_step() -> None:
    first, second, precision = net(0), net(1), ScaledPrecision(growth_interval=1)
    precision.convert_module(nn.ModuleList([first, second]))
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.5) for model in (first, second)]
    for model in (first, second):
        precision.backward(loss_of(model, batch(0)))
    for model, optimizer in zip((first, second), optimizers, strict=True):
        precision.unscale(optimizer)
        nn.utils.clip_grad_value_(model.parameters(), 1e-3)
    for optimizer in optimizers:
        precision.optimizer_step(optimizer)

    for model, seed in ((first, 0), (second, 1)):
        bare = net(seed)
        loss_of(bare, batch(0)).backward()
        nn.utils.clip_grad_value_(bare.parameters(), 1e-3)
        torch.optim.SGD(bare.parameters(), lr=0.5).step()
        assert same(weights(model), weights(bare))


def test_an_overflow_is_remembered_where_clipping_by_value_hides_it() -> None:
    model, precision = net(), ScaledPrecision()
    optimizer = adam(model)
    before = weights(model)
    precision.backward(loss_of(model, batch(0)) * INF)
    precision.unscale(optimizer)
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad.zero_()
    precision.optimizer_step(optimizer)

    assert same(weights(model), before)


@pytest.mark.parametrize("to_none", [False, True])
def test_gradients_that_were_clipped_and_then_given_up_do_not_spoil_the_next_step(to_none: bool) -> None:
    model, precision = net(), ScaledPrecision()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    precision.backward(loss_of(model, batch(0)))
    precision.unscale(optimizer)
    optimizer.zero_grad(set_to_none=to_none)
    precision.backward(loss_of(model, batch(1)))
    precision.optimizer_step(optimizer)

    bare = net()
    loss_of(bare, batch(1)).backward()
    torch.optim.SGD(bare.parameters(), lr=0.5).step()
    assert same(weights(model), weights(bare))


def test_a_backward_pass_between_clipping_and_the_step_is_an_error_only_where_it_adds_to_the_clipped() -> None:
    first, second, precision = net(0), net(1), ScaledPrecision()
    one = torch.optim.SGD(first.parameters(), lr=0.5)
    precision.backward(loss_of(first, batch(0)))
    precision.unscale(one)
    precision.backward(loss_of(second, batch(0)))

    with pytest.raises(RuntimeError, match=r"those of SGD.*Clip after the last backward pass"):
        precision.backward(loss_of(first, batch(1)))


def test_a_closure_is_called_once_before_the_step_and_its_loss_comes_back() -> None:
    model, precision = net(), ScaledPrecision()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    calls: list[float] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, batch(0))
        precision.backward(loss)
        precision.unscale(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        calls.append(loss.item())
        return loss

    with torch.no_grad():
        result = precision.optimizer_step(optimizer, closure)

    bare = net()
    loss_of(bare, batch(0)).backward()
    nn.utils.clip_grad_norm_(bare.parameters(), 0.1)
    torch.optim.SGD(bare.parameters(), lr=0.5).step()
    assert calls == [result.item()]
    assert same(weights(model), weights(bare))


def test_an_optimizer_that_calls_its_closure_repeatedly_is_refused_when_it_is_set_up() -> None:
    model = net()
    optimizer = torch.optim.LBFGS(model.parameters())

    with pytest.raises(ValueError, match=r"'16-mixed' and LBFGS do not go together.*bf16-mixed"):
        connect("cpu", precision="16-mixed").setup(model, optimizer)
    with pytest.raises(ValueError, match="LBFGS"):
        ScaledPrecision().optimizer_step(optimizer, lambda: torch.zeros(1))


def test_float16_parameters_are_refused_by_name() -> None:
    module = net()
    module[2].half()  # type: ignore[operator,index]

    with pytest.raises(ValueError, match=r"2\.weight, 2\.bias are float16.*precision='16-true'"):
        ScaledPrecision().convert_module(module)


def trained(precision: ScaledPrecision, model: nn.Module, optimizer: Any, batches: range) -> None:
    step = precision.wrap_step(lambda x: loss_of(model, x), CPU)
    for index in batches:
        optimizer.zero_grad()
        precision.backward(poisoned(step(batch(index)), index, {3}))
        precision.optimizer_step(optimizer)


@pytest.mark.parametrize("cut", [1, 3, 4, 5])
def test_a_run_goes_on_from_a_saved_state_as_if_nothing_had_happened(cut: int) -> None:
    whole, model = net(), net()
    options = {"init_scale": 2.0**10, "growth_interval": 4}
    reference = ScaledPrecision(**options)
    trained(reference, whole, adam(whole), range(12))
    first, optimizer = ScaledPrecision(**options), adam(model)
    trained(first, model, optimizer, range(cut))
    file = io.BytesIO()
    torch.save([first.state_dict(), optimizer.state_dict(), model.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)

    second, later = ScaledPrecision(), net(5)
    resumed = adam(later)
    second.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    later.load_state_dict(states[2])
    trained(second, later, resumed, range(cut, 12))

    assert same(weights(later), weights(whole))
    assert second.state_dict() == reference.state_dict()


def test_states_are_exchanged_with_torchs_scaler_and_an_empty_one_changes_nothing() -> None:
    scaler, precision = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=7), ScaledPrecision()
    precision.load_state_dict(scaler.state_dict())
    assert precision.state_dict() == scaler.state_dict()
    precision.load_state_dict({})
    assert precision.scale == 8.0
    scaler.load_state_dict(ScaledPrecision().state_dict())
    assert scaler.get_scale() == 2.0**16


def test_it_travels_to_other_processes_also_after_use() -> None:
    model, precision = net(), ScaledPrecision(init_scale=4.0)
    precision.convert_module(model)
    precision.backward(loss_of(model, batch(0)) * INF)
    precision.optimizer_step(adam(model))

    assert pickle.loads(pickle.dumps(precision)).state_dict() == precision.state_dict()
    assert copy.deepcopy(precision).scale == 2.0


def test_what_is_not_finite_at_any_scale_is_an_error_and_not_an_endless_run_without_steps() -> None:
    model, precision = net(), ScaledPrecision()
    optimizer = adam(model)

    def forever() -> None:
        for _ in range(100):
            precision.backward(loss_of(model, batch(0)) * float("nan"))
            precision.optimizer_step(optimizer)

    with pytest.raises(RuntimeError, match=r"not the scale.*bf16-mixed"):
        forever()


def test_the_scale_stays_a_finite_float32() -> None:
    precision, weight = ScaledPrecision(init_scale=2.0**125, growth_interval=1), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1e-3)
    for _ in range(4):
        optimizer.zero_grad()
        precision.backward(weight.sum() * 1e-3)
        precision.optimizer_step(optimizer)

    assert precision.scale == 2.0**126
    assert weight.item() == pytest.approx(1 - 4e-6)


def test_a_scale_that_is_no_power_of_two_is_no_sign_of_an_overflow() -> None:
    precision, weight = ScaledPrecision(init_scale=1000.1), nn.Parameter(torch.ones(1))
    precision.backward(weight.sum())
    precision.optimizer_step(torch.optim.SGD([weight], lr=0.5))

    assert precision.scale == 1000.1
    assert weight.item() == pytest.approx(0.5)


@pytest.mark.parametrize("with_closure", [False, True])
def test_an_attached_optimizer_steps_like_that_by_its_own_method_under_a_scheduler_too(with_closure: bool) -> None:
    def run(take_step: Callable[[ScaledPrecision, Any, Any], Any], attach: bool) -> tuple[list[Tensor], list[float]]:
        model, precision, scales = net(), ScaledPrecision(init_scale=2.0**8, growth_interval=2), []
        optimizer = adam(model)
        if attach:
            precision.attach(optimizer)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.9)
        for index in range(8):

            def closure(index: int = index) -> Tensor:
                optimizer.zero_grad()
                loss = loss_of(model, batch(index))
                precision.backward(poisoned(loss, index, {2}))
                return loss.detach()

            if with_closure:
                take_step(precision, optimizer, closure)
            else:
                closure()
                take_step(precision, optimizer, None)
            scheduler.step()
            scales.append(precision.scale)
        return weights(model), scales

    explicit, scales = run(lambda precision, o, c: precision.optimizer_step(o, c), attach=False)
    own, own_scales = run(lambda _, o, c: o.step(c) if c else o.step(), attach=True)
    both, _ = run(lambda precision, o, c: precision.optimizer_step(o, c), attach=True)

    assert own_scales == scales
    assert same(own, explicit)
    assert same(both, explicit)


@pytest.mark.parametrize("factor", [1.0, INF])
@pytest.mark.parametrize("attached", [0, 1, 2])
def test_a_second_step_with_the_same_gradients_does_not_divide_them_again(factor: float, attached: int) -> None:
    model, precision = net(), ScaledPrecision()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(attached):
        precision.attach(optimizer)
    precision.backward(loss_of(model, batch(0)) * factor)
    for _ in range(2):
        if attached:
            optimizer.step()
        else:
            precision.optimizer_step(optimizer)

    bare = net()
    loss_of(bare, batch(0)).backward()
    for _ in range(2 if factor == 1.0 else 0):
        torch.optim.SGD(bare.parameters(), lr=0.5).step()
    assert same(weights(model), weights(bare))
    assert precision.scale == (2.0**16 if factor == 1.0 else 2.0**15)


def test_a_connected_loop_steps_its_optimizer_as_in_any_precision() -> None:
    run = connect("cpu", precision=16)
    module = net()
    model, optimizer = run.setup(module, torch.optim.SGD(module.parameters(), lr=0.5))
    run.backward(model(batch(0)).square().mean())
    norm = run.clip_gradients(optimizer, max_norm=1e9)
    optimizer.step()

    bare, scaler = net(), torch.amp.GradScaler("cpu")
    with torch.autocast("cpu", torch.float16):
        out = bare(batch(0))
    scaler.scale(out.float().square().mean()).backward()
    bare_optimizer = torch.optim.SGD(bare.parameters(), lr=0.5)
    scaler.unscale_(bare_optimizer)
    assert norm == nn.utils.clip_grad_norm_(bare.parameters(), 1e9)
    scaler.step(bare_optimizer)
    assert same(weights(model), weights(bare))


def test_no_gradients_no_step_and_no_change_of_the_scale() -> None:
    precision = ScaledPrecision(growth_interval=1)
    precision.optimizer_step(adam(net()))

    assert precision.scale == 2.0**16


@pytest.mark.parametrize(
    "options", [{"init_scale": 0.0}, {"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"growth_interval": 0}]
)
def test_numbers_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="init_scale > 0"):
        ScaledPrecision(**options)  # type: ignore[arg-type]


def test_devices_without_float16_are_refused() -> None:
    with pytest.raises(ValueError, match=r"XLA devices have no float16.*bf16-mixed"):
        ScaledPrecision().check_device(torch.device("xla"))
