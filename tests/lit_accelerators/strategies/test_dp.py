import os
import socket
from typing import Any

import pytest
import torch
import torch._dynamo  # imported here, and not in every forked process
from torch import Tensor, nn

from lit_accelerators import (
    DPStrategy,
    LocalEnvironment,
    MultiprocessLauncher,
    SingleDeviceStrategy,
    Strategy,
    make_strategy,
)
from tests.lit_accelerators.joined import run_joined


def make() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def batch(seed: int, samples: int = 11) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(samples, 4, generator=generator),
        "y": torch.randn(samples, 1, generator=generator),
        "k": torch.arange(3),
    }


def train(strategy: Strategy, steps: int = 3) -> dict[str, Tensor]:
    net = strategy.setup_module(make())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    step = strategy.setup_step(net, lambda b: nn.functional.mse_loss(net(b["x"]), b["y"]))
    for seed in range(steps):
        optimizer.zero_grad()
        strategy.backward(step(batch(seed)))
        strategy.clip_gradients(optimizer, max_norm=0.3)
        optimizer.step()
    return strategy.module_state(net)


@pytest.mark.parametrize("devices", [2, 3, 4, 20])
def test_parts_of_any_sizes_train_as_the_whole_batch_does(devices: int) -> None:
    torch.testing.assert_close(
        train(DPStrategy(indices=list(range(devices)))), train(SingleDeviceStrategy()), rtol=1e-5, atol=1e-6
    )


def test_without_an_end_hook_scalars_are_means_over_samples_and_rows_stand_in_order() -> None:
    strategy = DPStrategy(indices=[0, 1, 2])
    net = strategy.setup_module(make())
    shares: list[float] = []

    def results(b: dict[str, Any], index: int) -> dict[str, Any]:
        return {"loss": net(b["x"]).mean(), "out": b["y"], "k": b["k"].tolist(), "n": len(b["y"]), "index": index}

    found = strategy.setup_step(net, results, gradient_sync=None, on_part=shares.append)(batch(0), 5)
    assert found["loss"].item() == pytest.approx(net(batch(0)["x"]).mean().item(), rel=1e-5)
    assert torch.equal(found["out"], batch(0)["y"])
    assert found["k"] == [0, 1, 2]  # not one per sample: whole in each part
    assert found["n"] == pytest.approx((4 * 4 + 4 * 4 + 3 * 3) / 11)
    assert found["index"] == 5
    assert shares == pytest.approx([4 / 11, 4 / 11, 3 / 11, 1.0])


def test_for_an_end_hook_the_results_of_all_parts_are_there() -> None:
    strategy = DPStrategy(indices=[0, 1, 2])
    net = strategy.setup_module(make())
    step = strategy.setup_step(net, lambda b: (b["y"].sum(), b["y"]), gather_parts=True)

    sums, rows = step(batch(0))

    assert sums.tolist() == pytest.approx([part.sum().item() for part in batch(0)["y"].split([4, 4, 3])])
    assert torch.equal(rows, batch(0)["y"])


def test_a_part_without_result_counts_for_nothing_and_a_batch_without_tensors_runs_once() -> None:
    strategy = DPStrategy(indices=[0, 1])
    net = strategy.setup_module(make())
    step = strategy.setup_step(net, lambda values: None if values[0] == 0 else values.float().mean())
    calls: list[Any] = []

    assert step(torch.tensor([0, 0, 3, 5])).item() == 4.0
    assert step(torch.tensor([0, 0, 0, 0])) is None
    strategy.setup_step(net, calls.append)(["a", "b"])
    assert calls == [["a", "b"]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def train_on_a_node(port: int) -> dict[str, Tensor]:
    """One of two processes that are told that they are machines."""
    node = os.environ.pop("RANK")
    os.environ.pop("LIT_RUN_DIR")
    os.environ.update(NODE_RANK=node, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    strategy = make_strategy("cpu", 2, num_nodes=2, strategy="ddp2")
    assert (strategy.world_size, strategy.global_rank) == (2, int(node))
    half = slice(0, 6) if node == "0" else slice(6, 12)

    def updates(strategy: Strategy) -> dict[str, Tensor]:
        net = strategy.setup_module(make())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        step = strategy.setup_step(net, lambda b: nn.functional.mse_loss(net(b["x"]), b["y"]))
        for seed in range(3):
            optimizer.zero_grad()
            whole = batch(seed, samples=12)
            strategy.backward(step({"x": whole["x"][half], "y": whole["y"][half]}))
            optimizer.step()
        return strategy.module_state(net)

    state: dict[str, Tensor] = run_joined(strategy, updates)
    return state


def test_ddp2_on_two_nodes_is_one_process_with_all_samples() -> None:
    found = MultiprocessLauncher(LocalEnvironment(2), 2, "fork").launch(train_on_a_node, free_port())

    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for seed in range(3):
        optimizer.zero_grad()
        whole = batch(seed, samples=12)
        nn.functional.mse_loss(net(whole["x"]), whole["y"]).backward()
        optimizer.step()
    torch.testing.assert_close(found, dict(net.state_dict()), rtol=1e-5, atol=1e-6)


def test_names_resolve_to_one_process_per_node_and_contradictions_are_refused() -> None:
    chosen = make_strategy("cpu", 4, strategy="dp")

    assert (chosen.name, chosen.world_size) == ("dp", 1)
    with pytest.raises(ValueError, match=r"num_nodes=2.*ddp2"):
        DPStrategy(num_nodes=2)
    with pytest.raises(TypeError, match="bucket_cap_mb"):
        DPStrategy(bucket_cap_mb=1)


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs 2 CUDA devices")
def test_on_two_gpus_a_method_of_the_module_runs_on_replicas() -> None:
    class Net(nn.Sequential):
        def loss(self, b: dict[str, Any]) -> Tensor:
            return nn.functional.mse_loss(self(b["x"]), b["y"])

    strategy = make_strategy("cuda", 2, strategy="dp")
    net = strategy.setup_module(Net(*make()))
    strategy.backward(strategy.setup_step(net, net.loss)({k: v.to(strategy.device) for k, v in batch(0).items()}))
    alone = Net(*make())
    alone.loss(batch(0)).backward()
    for found, expected in zip(net.parameters(), alone.parameters(), strict=True):
        assert found.grad is not None
        torch.testing.assert_close(found.grad.cpu(), expected.grad, rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match="bound method"):
        strategy.setup_step(net, lambda b: net.loss(b))  # noqa: PLW0108 - no method is what is tested
