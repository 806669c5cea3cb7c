import pytest

from lit_accelerators import SLURMEnvironment, make_strategy

VARIABLES = {
    "SLURM_JOB_ID": "4321",
    "SLURM_STEP_ID": "1",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_STEP_NODELIST": "gpu[007-008]",
}


@pytest.fixture(autouse=True)
def srun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "LIT_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def test_ranks_are_those_of_the_variables() -> None:
    environment = SLURMEnvironment()

    assert SLURMEnvironment.detect()
    assert environment.creates_processes_externally
    assert (environment.world_size, environment.global_rank) == (8, 5)
    assert (environment.local_world_size, environment.local_rank, environment.node_rank) == (4, 1, 1)
    environment.validate(devices=4, num_nodes=2)


def test_ranks_are_read_again_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SLURMEnvironment()
    monkeypatch.setenv("SLURM_PROCID", "6")
    monkeypatch.setenv("SLURM_LOCALID", "2")
    environment.refresh()

    assert (environment.global_rank, environment.local_rank) == (6, 2)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("gpu[007-008]", "gpu007"),
        ("gpu[12,14-15],login1", "gpu12"),
        ("login1,gpu[1-2]", "login1"),
        ("single", "single"),
        ("rack[01-02]-node.example.org", "rack01-node.example.org"),
        ("n-1.local,n-2.local", "n-1.local"),
    ],
)
def test_processes_meet_at_the_first_host(monkeypatch: pytest.MonkeyPatch, hosts: str, first: str) -> None:
    monkeypatch.setenv("SLURM_STEP_NODELIST", hosts)

    assert SLURMEnvironment().main_address == first


def test_every_process_of_a_step_derives_the_same_port_and_other_jobs_and_steps_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def port(**variables: str) -> int:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            return SLURMEnvironment().main_port

    ports = [port(), port(SLURM_JOB_ID="4322"), port(SLURM_STEP_ID="2")]

    assert len(set(ports)) == 3
    assert all(1024 < number < 32768 for number in ports)
    assert port(SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_NODEID="0") == ports[0]


def test_address_and_port_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "elsewhere")
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.delenv("SLURM_STEP_NODELIST")

    assert (SLURMEnvironment().main_address, SLURMEnvironment().main_port) == ("elsewhere", 29500)


@pytest.mark.parametrize("name", sorted(VARIABLES.keys() - {"SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE"}))
def test_a_variable_that_is_missing_or_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(RuntimeError, match=f"{name} must hold a whole number, got 'x'; srun"):
        SLURMEnvironment()
    monkeypatch.delenv(name)
    with pytest.raises(RuntimeError, match=f"{name} is not set; srun"):
        SLURMEnvironment()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SLURM_PROCID", "8", "SLURM_PROCID=8 is no rank of SLURM_STEP_NUM_TASKS=8"),
        ("SLURM_LOCALID", "4", "SLURM_LOCALID=4 is no rank of SLURM_STEP_TASKS_PER_NODE=4"),
        ("SLURM_STEP_TASKS_PER_NODE", "4,3", "one number for all nodes.*got '4,3'; give srun --ntasks-per-node"),
        ("SLURM_STEP_TASKS_PER_NODE", "four", "SLURM_STEP_TASKS_PER_NODE.*got 'four'"),
        ("SLURM_STEP_TASKS_PER_NODE", "", "SLURM_STEP_TASKS_PER_NODE.*got None"),
        ("SLURM_STEP_NODELIST", "", "SLURM_STEP_NODELIST must hold a list of hosts.*got None.*or you MASTER_ADDR"),
        ("SLURM_STEP_NODELIST", "[1-2]", r"got '\[1-2\]'"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(RuntimeError, match=message):
        SLURMEnvironment()


def test_flags_that_contradict_srun_are_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"4 process\(es\) on each of 2 node\(s\).*--nodes=2 --ntasks-per-node=2"):
        make_strategy("cpu", devices=2, num_nodes=2)
    assert make_strategy("cpu", num_nodes=2).world_size == 8
    assert make_strategy("cpu", num_nodes=2).global_rank == 5


@pytest.mark.parametrize("without", ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"])
def test_a_script_of_sbatch_without_srun_starts_its_processes_itself(
    monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    monkeypatch.delenv(without)

    assert not SLURMEnvironment.detect()
    assert not make_strategy("cpu", 2, strategy="ddp_fork").environment.creates_processes_externally


def test_a_step_of_one_task_starts_its_processes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")

    assert not SLURMEnvironment.detect()
