"""Random numbers of a started process."""

from typing import Any

import torch

from lit_accelerators.seeding import set_rng_state


def continue_random(states: dict[str, Any]) -> None:
    """Draw from here on what the starting process would have drawn.

    Even a forked process needs this: Python's generator is seeded anew in it.

    Args:
        states: from ``rng_state()`` in the starting process; devices that are not in use there begin at its seed.
    """
    set_rng_state(states)
    if "cuda" not in states:
        torch.cuda.manual_seed_all(torch.initial_seed())  # remembered until there is CUDA in this process
