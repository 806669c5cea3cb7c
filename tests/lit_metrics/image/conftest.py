"""Pictures that are the same on every machine and in every version of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    Pictures = Callable[..., tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def pictures() -> Pictures:
    def make(*size: int, channels: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
        """Two smooth pictures of values around [0, 1] that differ by a fine pattern."""
        axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
        preds, targets = [], []
        for c in range(channels):
            wave = sum(((0.2 + 0.05 * c + 0.03 * d) * x for d, x in enumerate(axes)), torch.zeros(()))
            target = 0.5 + 0.4 * torch.sin(wave) * torch.cos(0.3 * axes[0] - 0.1 * c)
            preds.append(target + 0.08 * torch.sin(1.7 * axes[-1] + 2.3 * axes[0] * axes[-1]))
            targets.append(target)
        return torch.stack(preds)[None], torch.stack(targets)[None]

    return make
