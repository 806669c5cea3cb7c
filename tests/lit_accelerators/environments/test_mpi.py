import pytest

from lit_accelerators import MPIEnvironment, make_strategy

WORDS = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
FAMILIES = {
    "Open MPI": tuple(f"OMPI_COMM_WORLD_{word}" for word in WORDS),
    "MVAPICH": tuple(f"MV2_COMM_WORLD_{word}" for word in WORDS),
    "Hydra": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    "PALS": ("PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"),
}
OTHERS = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "LIT_RUN_DIR", "PMIX_NAMESPACE", "PMI_JOBID")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {name for names in FAMILIES.values() for name in names}.union(OTHERS):
        monkeypatch.delenv(name, raising=False)


def started(monkeypatch: pytest.MonkeyPatch, values: str, family: str = "Open MPI", **more: str) -> None:
    """``values``: rank, size, local rank, local size."""
    for name, value in {**dict(zip(FAMILIES[family], values.split(), strict=True)), **more}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_are_those_that_each_kind_of_mpi_tells(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    started(monkeypatch, "5 8 1 4", family, MASTER_ADDR="first", MASTER_PORT="29500")
    environment = MPIEnvironment()

    assert MPIEnvironment.detect()
    assert (environment.world_size, environment.global_rank) == (8, 5)
    assert (environment.local_world_size, environment.local_rank, environment.node_rank) == (4, 1, 1)
    assert (environment.main_address, environment.main_port) == ("first", 29500)
    environment.validate(devices=4, num_nodes=2)


@pytest.mark.parametrize(
    ("values", "node"), [("5 8 1 4", 1), ("3 8 3 4", 0), ("5 8 2 4", 1), ("4 8 2 4", 0), ("1 2 0 1", 1)]
)
def test_the_node_follows_from_ranks_placed_node_after_node_or_in_turn(
    monkeypatch: pytest.MonkeyPatch, values: str, node: int
) -> None:
    started(monkeypatch, values, MASTER_ADDR="first", MASTER_PORT="29500")

    assert MPIEnvironment().node_rank == node


def test_on_one_node_neither_address_nor_port_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, "1 2 1 2", PMIX_NAMESPACE="prterun-host-12@1")
    environment = MPIEnvironment()
    monkeypatch.setenv("PMIX_NAMESPACE", "prterun-host-13@1")

    assert environment.main_address == "127.0.0.1"
    assert environment.main_port != MPIEnvironment().main_port


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("x 2 0 2", "OMPI_COMM_WORLD_RANK must hold a whole number, got 'x'; mpirun"),
        ("2 2 0 2", "OMPI_COMM_WORLD_RANK=2 is no rank of OMPI_COMM_WORLD_SIZE=2"),
        ("1 2 2 2", "OMPI_COMM_WORLD_LOCAL_RANK=2 is no rank of OMPI_COMM_WORLD_LOCAL_SIZE=2"),
        ("1 3 1 2", "OMPI_COMM_WORLD_SIZE=3 processes are no multiple of the OMPI_COMM_WORLD_LOCAL_SIZE=2"),
        ("5 8 3 4", "OMPI_COMM_WORLD_RANK=5 and OMPI_COMM_WORLD_LOCAL_RANK=3 do not tell the node.*--map-by"),
        ("1 4 1 2", "MASTER_ADDR is not set; you must set it.*mpirun -x MASTER_ADDR=HOST"),
        ("1 2 1 2", "MASTER_PORT is not set; you, for every process"),
    ],
)
def test_what_is_missing_or_makes_no_sense_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, values: str, message: str
) -> None:
    started(monkeypatch, values)

    with pytest.raises(RuntimeError, match=message):
        MPIEnvironment()


def test_flags_that_contradict_mpirun_are_refused_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, "1 2 1 2", MASTER_PORT="29500")

    with pytest.raises(ValueError, match=r"mpirun started 2 process\(es\).*mpirun -n 3 with 3 per node"):
        make_strategy("cpu", devices=3)
    assert make_strategy("cpu").world_size == 2


def test_a_rank_without_one_on_the_node_is_sruns_and_not_mpis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")

    assert not MPIEnvironment.detect()
    with pytest.raises(RuntimeError, match="PMI_RANK and MPI_LOCALRANKID"):
        MPIEnvironment()


def test_one_process_of_mpirun_may_start_others_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, "0 1 0 1")

    assert not MPIEnvironment.detect()
