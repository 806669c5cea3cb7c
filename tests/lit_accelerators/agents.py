"""torchrun's agents in forked copies of this process, whose workers are forked too: nothing imports torch again."""

import multiprocessing
import os
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every process
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Outcome:
    """What came of the agents, in their order, and what all processes wrote."""

    exit_codes: list[int | None]
    stdout: str
    stderr: str


def run_under_agents(
    folder: Path, function: Callable[..., Any], *args: Any, nodes: int = 1, processes: int = 2, max_restarts: int = 0
) -> Outcome:
    """Run ``function`` as ``torchrun`` runs a script, on so many nodes that are all this machine."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id="run",
        rdzv_backend="c10d",
        rdzv_endpoint=endpoint,
        max_restarts=max_restarts,
        start_method="fork",
    )

    def worker() -> None:
        try:
            function(*args)
        except Exception:
            traceback.print_exc()  # as the process of a script does
            raise

    def agent() -> None:
        for name in [name for name in os.environ if name.startswith(("LIT_", "TORCHELASTIC"))]:
            del os.environ[name]
        sys.stdout, sys.stderr = (_into(folder / name, number) for number, name in ((1, "stdout"), (2, "stderr")))
        warnings.resetwarnings()
        torch.set_num_threads(1)
        elastic_launch(config, worker)()

    started = [multiprocessing.get_context("fork").Process(target=agent) for _ in range(nodes)]
    for process in started:
        process.start()
    for process in started:
        process.join(TIMEOUT_S)
        process.kill()
        process.join()
    return Outcome(
        [process.exitcode for process in started], (folder / "stdout").read_text(), (folder / "stderr").read_text()
    )


def _into(path: Path, number: int) -> Any:
    """The stream of this number, for Python and all others of the process, appended to a file."""
    file = path.open("a", buffering=1)
    os.dup2(file.fileno(), number)
    return file
