"""Training with accumulation and with clipping that bites, under a strategy and in a bare loop."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lit_accelerators import Strategy

State = dict[str, Any]
Trained = tuple[State, State, list[float]]
"""States of module and optimizer, and the norms of the gradients before clipping."""

UPDATES = 2
PARTS = 2


def tokens(seed: int) -> Tensor:
    return torch.randint(0, 10, (8, 5), generator=torch.Generator().manual_seed(seed))


def share(strategy: Strategy, batch: Tensor) -> Tensor:
    return batch.chunk(strategy.data_world_size)[strategy.data_rank]


def train(
    strategy: Strategy,
    net: nn.Module,
    *,
    lr: float,
    share: Callable[[Strategy, Tensor], Tensor] = share,
    **options: Any,
) -> Trained:
    net = strategy.setup_module(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, **options)
    step = strategy.setup_step(net, net.loss)
    norms = []
    for update in range(UPDATES):
        optimizer.zero_grad()
        for part in range(PARTS):
            strategy.backward(step(share(strategy, tokens(PARTS * update + part))) / PARTS)
        norms.append(float(strategy.clip_gradients(optimizer, max_norm=0.5)))
        strategy.precision.optimizer_step(optimizer)
    return strategy.module_state(net), strategy.optimizer_state(net, optimizer), norms


def train_bare(net: Any, *, lr: float) -> Trained:
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr)
    norms = []
    for update in range(UPDATES):
        optimizer.zero_grad()
        for part in range(PARTS):
            (net.loss(tokens(PARTS * update + part)) / PARTS).backward()
        norms.append(float(nn.utils.clip_grad_norm_(net.parameters(), 0.5)))
        optimizer.step()
    return net.state_dict(), optimizer.state_dict(), norms


def go_on(strategy: Strategy, net: nn.Module, saved: Trained) -> State:
    """One step, from the states of another run."""
    net = strategy.setup_module(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.9)
    strategy.load_module_state(net, saved[0])
    strategy.load_optimizer_state(net, optimizer, copy.deepcopy(saved[1]))  # torch takes over the very tensors
    strategy.backward(strategy.setup_step(net, net.loss)(share(strategy, tokens(20))))
    optimizer.step()
    return strategy.module_state(net)
