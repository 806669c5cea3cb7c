import multiprocessing
import os
import socket
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo  # DistributedDataParallel imports it: once here, and not in every forked process
from torch import nn

from lit_accelerators import (
    ClusterEnvironment,
    KubeflowEnvironment,
    LocalEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
    XLAEnvironment,
    detect_environment,
    make_strategy,
)
from lit_accelerators.environments import detection

JOB = str(os.getpid())


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def slurm(rank: int, folder: Path) -> dict[str, str]:
    ranks = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0"}
    tasks = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "localhost"}
    return {**ranks, **tasks, "SLURM_JOB_ID": JOB, "SLURM_STEP_ID": "0"}


def lsf(rank: int, folder: Path) -> dict[str, str]:
    (folder / "ranks").write_text(f"launch\n{socket.gethostname()}\n")
    jsm = {"JSM_NAMESPACE_SIZE": "2", "JSM_NAMESPACE_RANK": str(rank), "JSM_NAMESPACE_LOCAL_RANK": str(rank)}
    job = {"LSB_JOBID": JOB, "LSB_DJOB_RANKFILE": str(folder / "ranks"), "MASTER_ADDR": "127.0.0.1"}
    return {**jsm, **job, **{f"OMPI_COMM_WORLD_{name}": "0" for name in ("RANK", "LOCAL_RANK")}}


def open_mpi(rank: int, folder: Path) -> dict[str, str]:
    sizes = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
    ranks = {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_LOCAL_RANK": str(rank)}
    # inside a job of SLURM, where both processes are children of its one task
    return {**slurm(0, folder), **sizes, **ranks, "PMIX_NAMESPACE": f"prterun-{JOB}@1"}


def hydra(rank: int, folder: Path) -> dict[str, str]:
    sizes = {"PMI_SIZE": "2", "MPI_LOCALNRANKS": "2", "MASTER_PORT": (folder / "port").read_text()}
    return {**sizes, "PMI_RANK": str(rank), "MPI_LOCALRANKID": str(rank)}


def kubeflow(rank: int, folder: Path) -> dict[str, str]:
    main = {"MASTER_ADDR": "localhost", "MASTER_PORT": (folder / "port").read_text()}
    return {**main, "WORLD_SIZE": "2", "RANK": str(rank), "KUBERNETES_PORT": "tcp://10.0.0.1:443"}


def xla(rank: int, folder: Path) -> dict[str, str]:
    counts = {"PJRT_LOCAL_PROCESS_COUNT": "2", "PJRT_LOCAL_PROCESS_RANK": str(rank)}
    return {**counts, "PJRT_DEVICE": "TPU", "MASTER_PORT": (folder / "port").read_text()}


STARTERS: dict[str, tuple[Callable[[int, Path], dict[str, str]], type[ClusterEnvironment], int]] = {
    "slurm": (slurm, SLURMEnvironment, 1),
    "lsf": (lsf, LSFEnvironment, 1),
    "mpi": (open_mpi, MPIEnvironment, 1),
    "hydra": (hydra, MPIEnvironment, 1),
    "kubeflow": (kubeflow, KubeflowEnvironment, 2),
    "xla": (xla, XLAEnvironment, 1),
}
PREFIXES = ("SLURM_", "LSB_", "JSM_", "OMPI_", "MV2_", "PMI", "MPI_", "PJRT_", "TPU_", "KUBERNETES", "MASTER_", "LIT_")
NAMES = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "CLOUD_TPU_TASK_ID")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIXES) or name in NAMES]:
        monkeypatch.delenv(name)


def train(variables: dict[str, str], num_nodes: int, results: Any) -> None:
    os.environ.update(variables)
    torch.set_num_threads(1)
    strategy = make_strategy("cpu", num_nodes=num_nodes)
    rank = strategy.global_rank

    def main() -> Any:
        strategy.setup_environment()
        try:
            net = strategy.setup_module(nn.Linear(2, 1))
            step = strategy.setup_step(net, lambda x: net(x).mean())
            strategy.backward(step(torch.full((1, 2), 1.0 + rank)))
            total = strategy.collectives.all_reduce(torch.tensor([1.0 + rank]), "sum")
            strategy.collectives.barrier()
            return total.item(), net.weight.grad.tolist()
        finally:
            strategy.teardown()

    results.put((rank, strategy.name, strategy.environment.name, strategy.launcher.launch(main)))


@pytest.mark.parametrize("scheduler", STARTERS)
def test_two_processes_that_a_scheduler_starts_train_together(scheduler: str, tmp_path: Path) -> None:
    variables, kind, num_nodes = STARTERS[scheduler]
    (tmp_path / "port").write_text(free_port())
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=train, args=(variables(rank, tmp_path), num_nodes, results)) for rank in (0, 1)]
    for process in processes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python >= 3.12: threads beside fork
            process.start()
    try:
        found = sorted(results.get(timeout=60) for _ in processes)
    finally:
        for process in processes:
            process.join(timeout=30)
            process.kill()

    assert found == [(rank, "ddp", kind.name, (3.0, [[1.5, 1.5]])) for rank in (0, 1)]
    assert [process.exitcode for process in processes] == [0, 0]


@pytest.mark.parametrize("scheduler", STARTERS)
def test_each_is_detected_and_inside_it_torchrun_and_our_launchers_win(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, kind, _ = STARTERS[scheduler]
    (tmp_path / "port").write_text("29500")
    assert detect_environment() is None
    for name, value in variables(1, tmp_path).items():
        monkeypatch.setenv(name, value)

    assert detect_environment() is kind
    monkeypatch.setenv("LIT_RUN_DIR", str(tmp_path))
    assert detect_environment() is LocalEnvironment
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    assert detect_environment() is TorchElasticEnvironment


class Beowulf(SLURMEnvironment):
    name = "beowulf"

    @classmethod
    def detect(cls) -> bool:
        return "BEOWULF" in os.environ


def test_an_installed_package_adds_an_environment_and_it_goes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def entry_points(group: str) -> EntryPoints:
        assert group == "lit_accelerators.environments"
        return EntryPoints([EntryPoint("beowulf", f"{__name__}:Beowulf", group)])

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[Beowulf.__module__])
    monkeypatch.setattr(detection, "entry_points", entry_points)
    monkeypatch.setattr(detection, "_registered", detection._registered.__wrapped__)  # what this process saw before
    assert detect_environment() is None
    for name, value in {**slurm(1, tmp_path), "BEOWULF": "1", "TORCHELASTIC_RUN_ID": "run"}.items():
        monkeypatch.setenv(name, value)

    assert detect_environment() is Beowulf
    assert make_strategy("cpu").environment.name == "beowulf"
