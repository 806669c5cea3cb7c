"""Forked copies of this process that start as a new Python does, without the seconds that it takes to import torch."""

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every process


def start_forked(folder: Path, function: Callable[..., Any], *args: Any) -> BaseProcess:
    """Call ``function`` in a process that writes to ``stdout`` and ``stderr`` in ``folder``, after what is there."""

    def run() -> None:
        for name in [name for name in os.environ if name.startswith(("LIT_", "TORCHELASTIC"))]:
            del os.environ[name]
        sys.stdout, sys.stderr = (_into(folder / name, number) for number, name in ((1, "stdout"), (2, "stderr")))
        warnings.resetwarnings()
        torch.set_num_threads(1)
        function(*args)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def wait_for(process: BaseProcess, timeout_s: float) -> int | None:
    """The exit code of ``process``, which is killed if it takes longer."""
    process.join(timeout_s)
    process.kill()
    process.join()
    return process.exitcode


def _into(path: Path, number: int) -> Any:
    """The stream of this number, for Python and all others of the process, appended to a file."""
    file = path.open("a", buffering=1)
    os.dup2(file.fileno(), number)
    return file
