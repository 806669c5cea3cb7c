"""GradientNormMonitor against norms of the gradients of a bare loop."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_core.callbacks import GradientNormMonitor, gradient_norms
from tests.lit_core.tiny import Regression, Rows, loader, trainer


def gradients(module: Regression, steps: int, *, clip: float | None = None) -> list[dict[str, Tensor]]:
    """Gradients before each update of a bare loop, before they are clipped."""
    optimizer, found = module.configure_optimizers(), []
    for batch in list(loader(8, 2))[:steps]:
        optimizer.zero_grad()
        module.loss(batch).backward()
        found.append({name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None})
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
        optimizer.step()
    return found


def twins() -> tuple[Regression, Regression]:
    first, second = Regression(), Regression()
    second.load_state_dict(first.state_dict())
    return first, second


def norm(values: Any, order: float) -> float:
    numbers = [abs(float(value)) for value in values]
    return max(numbers) if math.isinf(order) else math.fsum(n**order for n in numbers) ** (1 / order)


@pytest.mark.parametrize("order", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("clip", [None, 0.01])
def test_norms_are_those_before_clipping(order: float, clip: float | None) -> None:
    module, bare = twins()
    rows = Rows()
    monitor = GradientNormMonitor("inf" if order == math.inf else order, every_n_steps=1)
    trainer(logger=rows, callbacks=monitor, log_every_n_steps=1, gradient_clip_val=clip).fit(module, loader(8, 2))

    for step, grads in enumerate(gradients(bare, 4, clip=clip), 1):
        for name, grad in grads.items():
            expected = norm(grad.flatten(), order)
            assert dict(rows.of(f"grad_{order}_norm/{name}"))[step] == pytest.approx(expected, rel=1e-5)
        together = norm(torch.cat([grad.flatten() for grad in grads.values()]), order)
        assert dict(rows.of(f"grad_{order}_norm_total"))[step] == pytest.approx(together, rel=1e-5)


def test_it_measures_at_its_interval_only() -> None:
    rows = Rows()
    trainer(max_epochs=2, logger=rows, callbacks=GradientNormMonitor(every_n_steps=3), log_every_n_steps=1).fit(
        Regression(), loader(8, 2)
    )

    assert [step for step, _ in rows.of("grad_2.0_norm_total")] == [3, 6]


def test_accumulated_gradients_are_measured_when_they_are_complete() -> None:
    module, bare = twins()
    rows = Rows()
    run = trainer(
        logger=rows,
        callbacks=GradientNormMonitor(every_n_steps=1),
        log_every_n_steps=1,
        accumulate_grad_batches=4,
    )
    run.fit(module, loader(8, 2))

    (sum(bare.loss(batch) for batch in loader(8, 2)) / 4).backward()
    expected = norm(torch.cat([p.grad.flatten() for p in bare.parameters() if p.grad is not None]), 2.0)
    assert [value for _, value in rows.of("grad_2.0_norm_total")] == [pytest.approx(expected, rel=1e-5)]


def test_the_total_can_be_logged_alone() -> None:
    run = trainer(callbacks=GradientNormMonitor(per_parameter=False, every_n_steps=1))
    run.fit(Regression(), loader(8, 2))

    assert [key for key in run.callback_metrics if key.startswith("grad")] == ["grad_2.0_norm_total"]


def test_each_of_several_optimizers_has_its_total() -> None:
    class Two(Regression):
        def training_step(self, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:
            return self.loss(batch)

        def configure_optimizers(self) -> Any:
            return [
                {"optimizer": torch.optim.SGD(self.net[0].parameters(), 0.1), "name": "first"},
                {"optimizer": torch.optim.SGD(self.net[3].parameters(), 0.1), "name": "last"},
            ]

    run = trainer(callbacks=GradientNormMonitor(every_n_steps=1))
    run.fit(Two(), loader(8, 2))

    found = {key: value.item() for key, value in run.callback_metrics.items() if key.startswith("grad")}
    for name, layer in (("first", "net.0"), ("last", "net.3")):
        parts = [found[f"grad_2.0_norm/{layer}.{p}"] for p in ("weight", "bias")]
        assert found[f"grad_2.0_norm_total/{name}"] == pytest.approx(norm(parts, 2.0), rel=1e-6)


def test_manual_optimization_is_told_what_to_do_instead() -> None:
    class ByHand(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            self.manual_backward(self.loss(batch))
            self.log_dict(gradient_norms(self))
            self.optimizers().step()

    with pytest.raises(ValueError, match="gradient_norms"):
        trainer(callbacks=GradientNormMonitor()).fit(ByHand(), loader(8, 2))
    run = trainer()
    run.fit(ByHand(), loader(8, 2))
    assert run.callback_metrics["grad_2.0_norm_total"] > 0


def test_orders_and_intervals_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="norm_type must be positive"):
        GradientNormMonitor(0)
    with pytest.raises(ValueError, match="every_n_steps must be a whole number >= 1, got 0"):
        GradientNormMonitor(every_n_steps=0)
