"""Random numbers of a started process: those that a copy of the starting one would draw."""

from typing import Any

import torch

from lit_accelerators.seeding import rng_state, set_rng_state


def take_random_states() -> dict[str, Any]:
    """Of this process, for those that it starts."""
    return rng_state()


def continue_random(states: dict[str, Any]) -> None:
    """Draw from here on what the starting process would have drawn; devices not in use there begin at its seed."""
    set_rng_state(states)
    seed = torch.initial_seed()
    if "cuda" not in states:
        torch.cuda.manual_seed_all(seed)  # kept until there is CUDA in this process
