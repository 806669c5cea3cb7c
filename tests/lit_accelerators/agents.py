"""torchrun's agents in forked copies of this process, whose workers are forked too: nothing imports torch again."""

import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tests.lit_accelerators.forked import start_forked, wait_for

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

    started = [start_forked(folder, elastic_launch(config, worker)) for _ in range(nodes)]
    exit_codes = [wait_for(process, TIMEOUT_S) for process in started]
    return Outcome(exit_codes, (folder / "stdout").read_text(), (folder / "stderr").read_text())
