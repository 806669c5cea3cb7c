import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lit_checkpoint import storage


def _make_state(step: int = 0, size: int = 257) -> dict[str, Any]:
    """A state whose every part depends on ``step``, so that a mixture of two is noticed."""
    return {
        "state_dict": {"weight": torch.full((size,), float(step)), "bias": torch.full((3,), float(step))},
        "optimizer_states": [
            {"state": {0: {"exp_avg": torch.full((size,), step + 0.5)}}, "param_groups": [{"lr": 0.1}]}
        ],
        "hyper_parameters": {"name": "ä", "layers": (1, 2), "flag": True, "none": None},
        "global_step": step,
    }


def _assert_state(found: dict[str, Any], step: int) -> None:
    """Equal to ``make_state(step)``, to the last bit."""
    assert found["global_step"] == step
    assert found["hyper_parameters"] == {"name": "ä", "layers": (1, 2), "flag": True, "none": None}
    assert (found["state_dict"]["weight"] == step).all()
    assert (found["state_dict"]["bias"] == step).all()
    assert (found["optimizer_states"][0]["state"][0]["exp_avg"] == step + 0.5).all()


@pytest.fixture
def make_state() -> Callable[..., dict[str, Any]]:
    return _make_state


@pytest.fixture
def assert_state() -> Callable[[dict[str, Any], int], None]:
    return _assert_state


class Killed(BaseException):
    """Stands for the death of the process."""


class FaultyOS:
    """The ``os`` module as the writer sees it, whose n-th call that touches the disk fails.

    With ``dead`` every later call fails too, so that no cleaning up happens: what a killed process leaves behind.
    """

    TOUCHES = frozenset({"open", "write", "fsync", "replace", "unlink", "close", "makedirs", "scandir", "rmdir"})

    def __init__(self, fail_at: int, *, dead: bool = False, code: int = errno.EIO) -> None:
        self.fail_at = fail_at
        self.dead = dead
        self.code = code
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.TOUCHES:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            number = len(self.calls)
            if number == self.fail_at or (self.dead and number > self.fail_at):
                return self.fail(name, real, *args)
            return real(*args, **kwargs)

        return call

    @property
    def failed(self) -> bool:
        return len(self.calls) >= self.fail_at

    def fail(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        if name == "close":
            real(*args)
        if name == "write" and len(self.calls) == self.fail_at:
            real(args[0], bytes(args[1])[: len(args[1]) // 2])  # a full disk takes a part
        if self.dead:
            raise Killed(name)
        raise OSError(self.code, os.strerror(self.code))


@pytest.fixture
def faulty_os(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FaultyOS]:
    def install(fail_at: int, **options: Any) -> FaultyOS:
        fake = FaultyOS(fail_at, **options)
        monkeypatch.setattr(storage, "os", fake)
        return fake

    return install


@pytest.fixture
def killed() -> type[BaseException]:
    return Killed
