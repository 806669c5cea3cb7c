"""Seeds and the states of random number generators."""

import importlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_SEED_VARIABLE = "PL_GLOBAL_SEED"
_WORKERS_VARIABLE = "PL_SEED_WORKERS"
_MAX_SEED = 2**32 - 1  # numpy's limit


def seed_everything(seed: int | None = None, workers: bool = False) -> int:
    """Seed the generators of Python, numpy (if it is installed) and torch (every device); returns the seed.

    The seed is kept in the variable ``PL_GLOBAL_SEED``, so that processes started from this one can read it.

    Args:
        seed: ``0 <= seed < 2**32``; by default the one in ``PL_GLOBAL_SEED``, and 0 without that.
        workers: keep the wish to seed data loader workers too in the variable ``PL_SEED_WORKERS``.

    Raises:
        ValueError: if the seed is no whole number or out of range.

    Example:
        >>> import torch
        >>> seed_everything(7)
        7
        >>> first = torch.rand(2)
        >>> seed_everything(7)
        7
        >>> torch.equal(first, torch.rand(2))
        True
    """
    source = "seed"
    given: int | str = os.environ.get(_SEED_VARIABLE, "0") if seed is None else seed
    if seed is None:
        source = _SEED_VARIABLE
    try:
        chosen = int(given)
    except (TypeError, ValueError):
        raise ValueError(f"{source} must be a whole number, got {given!r}.") from None
    if not 0 <= chosen <= _MAX_SEED:
        raise ValueError(f"{source} must be between 0 and {_MAX_SEED}, got {chosen}.")
    os.environ[_SEED_VARIABLE] = str(chosen)
    os.environ[_WORKERS_VARIABLE] = str(int(workers))
    random.seed(chosen)
    numpy = loaded_numpy()
    if numpy is not None:
        numpy.random.seed(chosen)
    torch.manual_seed(chosen)
    return chosen


def rng_state() -> dict[str, Any]:
    """The states of this process's generators (Python, numpy, torch on CPU, CUDA and MPS), as plain values.

    ``torch.load(weights_only=True)`` reads it back. Keys: ``"python"``, ``"torch"`` and, where they are in use,
    ``"numpy"``, ``"cuda"`` (one state per visible device) and ``"mps"``.

    Example:
        >>> import random
        >>> state = rng_state()
        >>> number = random.random()
        >>> set_rng_state(state)
        >>> random.random() == number
        True
    """
    version, internal, gauss = random.getstate()
    # As tensors: a checkpoint would be busy with 1,250 numbers one by one for most of the time that a small save takes.
    state: dict[str, Any] = {"python": [version, torch.tensor(internal), gauss], "torch": torch.get_rng_state()}
    numpy = loaded_numpy()
    if numpy is not None:
        kind, keys, position, has_gauss, cached_gauss = numpy.random.get_state()
        state["numpy"] = [
            kind,
            torch.from_numpy(keys.astype("int64")),
            int(position),
            int(has_gauss),
            float(cached_gauss),
        ]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Restore what :func:`rng_state` gave; generators that this process does not have are left out."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(_numbers(internal)), gauss))
    torch.set_rng_state(state["torch"].cpu())
    numpy = loaded_numpy()
    if numpy is not None and "numpy" in state:
        kind, keys, position, has_gauss, cached_gauss = state["numpy"]
        numpy.random.set_state(
            (kind, numpy.array(_numbers(keys), dtype=numpy.uint32), position, has_gauss, cached_gauss)
        )
    if "cuda" in state and torch.cuda.is_available():
        for index, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state.cpu(), index)
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"].cpu())


def _numbers(kept: Any) -> list[int]:
    """Of a generator; checkpoints have had them as a list too."""
    return torch.as_tensor(kept).tolist()


@contextmanager
def isolate_rng() -> Iterator[None]:
    """Put the generators back as they were at the end, whatever was drawn inside.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(1)
        >>> with isolate_rng():
        ...     inside = torch.rand(1)
        >>> torch.equal(inside, torch.rand(1))
        True
    """
    state = rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def loaded_numpy() -> Any:
    """The module numpy, or None. No dependency, and nearly always there: who draws from it must find it seeded."""
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None
