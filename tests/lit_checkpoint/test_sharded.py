import multiprocessing
import os
import pickle
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import checkpoint as dcp
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor, init_device_mesh

from lit_checkpoint import CheckpointCorruptError, CheckpointManager, ShardedCheckpointIO, latest_valid, load, verify

PRELOAD = ["lit_checkpoint.sharded", "torch.distributed.fsdp", "torch.distributed.tensor", __name__]


def start(rank: int, world_size: int, folder: str, work, results) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store-{world_size}", world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    try:
        results.put(pickle.dumps((rank, work(rank))))  # whole tensors, not handles of their memory
    except BaseException as error:
        results.put(pickle.dumps((rank, error)))
    finally:
        dist.destroy_process_group()


def in_processes(world_size: int, folder: Path, work) -> list:
    """What ``work(rank)`` gave in each process; an exception is handed back like a result."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    results = context.SimpleQueue()
    folder = folder / f"stores-{os.urandom(4).hex()}"
    folder.mkdir()
    processes = [
        context.Process(target=start, args=(rank, world_size, str(folder), work, results)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    found = dict(pickle.loads(results.get()) for _ in processes)
    for process in processes:
        process.join(60)
    return [found[rank] for rank in range(world_size)]


def whole_state() -> dict:
    generator = torch.Generator().manual_seed(0)
    return {
        "state_dict": {
            "rows": torch.randn(13, 6, generator=generator),
            "columns": torch.randn(4, 10, generator=generator),
            "everywhere": torch.randn(5, generator=generator),
            "plain": torch.arange(7),
        },
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "position": (1, "text", None),
    }


PLACEMENTS = {"rows": Shard(0), "columns": Shard(1), "everywhere": Replicate()}


def distributed(state: dict, world_size: int) -> dict:
    mesh = init_device_mesh("cpu", (world_size,))
    weights = {
        name: distribute_tensor(tensor, mesh, [PLACEMENTS[name]]) if name in PLACEMENTS else tensor
        for name, tensor in state["state_dict"].items()
    }
    return {**state, "state_dict": weights}


def save_distributed(path: str, world_size: int, rank: int) -> None:
    ShardedCheckpointIO().save(distributed(whole_state(), world_size), path)


def load_distributed(path: str, world_size: int, rank: int) -> dict:
    state = whole_state()
    for tensor in state["state_dict"].values():
        tensor.zero_()
    state["position"] = None
    target = distributed(state, world_size)
    local = {name: t.to_local().data_ptr() for name, t in target["state_dict"].items() if isinstance(t, DTensor)}
    found = ShardedCheckpointIO().load_into(target, path)
    for name, pointer in local.items():
        assert found["state_dict"][name].to_local().data_ptr() == pointer, "filled in place"
    found["state_dict"] = {n: t.full_tensor() if isinstance(t, DTensor) else t for n, t in found["state_dict"].items()}
    return found


def assert_same(found, expected) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    else:
        assert found == expected


@pytest.mark.parametrize(("saved_by", "loaded_by"), [(1, 2), (2, 1), (2, 3)])
def test_any_number_of_processes_loads_what_any_other_saved(tmp_path, saved_by, loaded_by):
    path = tmp_path / "a.ckpt"
    assert in_processes(saved_by, tmp_path, partial(save_distributed, str(path), saved_by)) == [None] * saved_by
    assert len(list(path.glob("part-*"))) == saved_by
    for found in in_processes(loaded_by, tmp_path, partial(load_distributed, str(path), loaded_by)):
        assert_same(found, whole_state())
    assert_same(load(path), whole_state())  # by this process, which has no group
    verify(path)


def save_what_differs(path: str, rank: int) -> None:
    state = distributed(whole_state(), 2)
    parts = {name: tensor for name, tensor in state["state_dict"].items() if isinstance(tensor, DTensor)}
    only = {"of the others": [rank, torch.ones(3)], "state_dict": parts}
    ShardedCheckpointIO().save(state | {"of one process": ["first", torch.ones(2)]} if rank == 0 else only, path)


def test_what_is_not_distributed_is_that_of_the_first_process(tmp_path):
    path = tmp_path / "a.ckpt"
    assert in_processes(2, tmp_path, partial(save_what_differs, str(path))) == [None, None]
    assert_same(load(path), whole_state() | {"of one process": ["first", torch.ones(2)]})


def save_what_is_not_plain(path: str, rank: int) -> None:
    state = distributed(whole_state(), 2)
    ShardedCheckpointIO().save(state | {"unsafe": object()} if rank == 0 else state, path)


def test_what_the_first_process_cannot_save_is_told_to_all(tmp_path):
    for found in in_processes(2, tmp_path, partial(save_what_is_not_plain, str(tmp_path / "a.ckpt"))):
        assert isinstance(found, TypeError)
        assert "state.unsafe" in str(found)
    assert not (tmp_path / "a.ckpt").exists()


def test_tensors_to_be_filled_later_have_shapes_and_no_values(tmp_path):
    path = tmp_path / "a.ckpt"
    ShardedCheckpointIO().save(whole_state(), path)
    found = ShardedCheckpointIO().load(path, in_parts=("state_dict",))
    for name, tensor in whole_state()["state_dict"].items():
        assert found["state_dict"][name].is_meta
        assert found["state_dict"][name].shape == tensor.shape
        assert found["state_dict"][name].dtype is tensor.dtype
    assert_same({**found, "state_dict": None}, {**whole_state(), "state_dict": None})


def test_one_process_without_a_group_fills_plain_tensors(tmp_path):
    path = tmp_path / "a.ckpt"
    in_processes(2, tmp_path, partial(save_distributed, str(path), 2))
    state = whole_state()
    state["state_dict"]["rows"].zero_()
    assert_same(ShardedCheckpointIO().load_into(state, path), whole_state())
    assert torch.equal(state["state_dict"]["rows"], whole_state()["state_dict"]["rows"])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def train_fsdp(path: str, resume: bool, rank: int) -> dict:
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
    from torch.distributed.fsdp import fully_shard

    model = network()
    if resume:
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
    for layer in (model[0], model[2], model):
        fully_shard(layer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    if resume:
        weights, moments = get_state_dict(model, optimizer)  # fills the optimizer, so that there is what to load into
        found = ShardedCheckpointIO().load_into({"model": weights, "optimizer": moments}, path)
        set_state_dict(model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optimizer"])
    torch.manual_seed(1)
    batches = torch.randn(6, 4, 7)
    for step in range(3 if resume else 0, 6):
        optimizer.zero_grad()
        model(batches[step]).square().mean().backward()
        optimizer.step()
        if step == 2:
            weights, moments = get_state_dict(model, optimizer)
            ShardedCheckpointIO().save({"model": weights, "optimizer": moments}, path)
    return {name: parameter.full_tensor().detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("first", "second"), [(2, 1), (1, 2)])
def test_training_with_fsdp_goes_on_with_another_number_of_processes(tmp_path, first, second):
    path = str(tmp_path / "a.ckpt")
    uninterrupted = in_processes(first, tmp_path, partial(train_fsdp, path, False))
    resumed = in_processes(second, tmp_path, partial(train_fsdp, path, True))
    for found in resumed:
        for name, weight in uninterrupted[0].items():
            torch.testing.assert_close(found[name], weight)  # sums over processes round differently


def save_where_one_fails(path: str, rank: int) -> str:
    if rank == 1:
        from lit_checkpoint import storage

        def full(descriptor):
            raise OSError(28, "No space left on device")

        storage.os = type(
            "Full", (), {"__getattr__": lambda self, name: full if name == "fsync" else getattr(os, name)}
        )()
    try:
        ShardedCheckpointIO().save(distributed({**whole_state(), "position": "new"}, 2), path)
    except OSError as error:
        return error.strerror
    return "nothing raised"


def test_if_one_process_fails_all_raise_its_error_and_the_old_checkpoint_stays(tmp_path):
    path = tmp_path / "a.ckpt"
    in_processes(2, tmp_path, partial(save_distributed, str(path), 2))
    before = sorted(file.name for file in path.iterdir())
    assert in_processes(2, tmp_path, partial(save_where_one_fails, str(path))) == ["No space left on device"] * 2
    assert sorted(file.name for file in path.iterdir()) == before
    assert_same(load(path), whole_state())


@pytest.fixture
def path(tmp_path, make_state):
    ShardedCheckpointIO().save(make_state(1), tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def test_torch_reads_the_folder_without_this_package(path, make_state):
    found = {"state_dict.weight": torch.zeros(257), "optimizer_states.0.state.0.exp_avg": torch.zeros(257)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there is no group
        dcp.load(found, checkpoint_id=path)
    assert (found["state_dict.weight"] == 1).all()
    assert (found["optimizer_states.0.state.0.exp_avg"] == 1.5).all()


def test_saving_over_an_old_one_leaves_only_the_new_parts(path, make_state, assert_state):
    old = {file.name for file in path.iterdir()}
    ShardedCheckpointIO().save(make_state(2), path)
    new = {file.name for file in path.iterdir()}
    assert len(new) == 2
    assert old & new == {".metadata"}
    assert_state(load(path), 2)


def test_tensors_that_are_one_stay_one_and_parts_of_larger_ones_are_stored_alone(tmp_path):
    weight = torch.randn(1000)
    ShardedCheckpointIO().save({"a": weight[:3], "tied": [weight[5:9]] * 2}, tmp_path / "a.ckpt")
    found = load(tmp_path / "a.ckpt")
    assert found["tied"][0] is found["tied"][1]
    assert torch.equal(found["a"], weight[:3])
    assert sum(file.stat().st_size for file in (tmp_path / "a.ckpt").iterdir()) < 4000 + 2500


def test_names_that_meet_are_kept_apart(tmp_path):
    state = {
        "a.b": torch.ones(1),
        "a": {"b": torch.zeros(1)},
        "lit_checkpoint.tree": torch.ones(2),
        1: {"1": torch.ones(3)},
    }
    ShardedCheckpointIO().save(state, tmp_path / "a.ckpt")
    assert_same(load(tmp_path / "a.ckpt"), state)


def test_what_the_target_lacks_is_left_out_and_what_the_checkpoint_lacks_is_an_error(path):
    weight = torch.zeros(257)
    found = ShardedCheckpointIO().load_into({"state_dict": {"weight": weight}}, path)
    assert found["state_dict"].keys() == {"weight"}
    assert found["global_step"] == 1
    assert (weight == 1).all()
    with pytest.raises(RuntimeError, match=r"state_dict\.other"):
        ShardedCheckpointIO().load_into({"state_dict": {"other": torch.zeros(2)}}, path)
    with pytest.raises(ValueError, match=r"(?s)Size mismatch.*state_dict\.weight"):
        ShardedCheckpointIO().load_into({"state_dict": {"weight": torch.zeros(2)}}, path)


def part(path: Path) -> Path:
    return next(path.glob("part-*"))


def test_every_kind_of_damage_is_noticed_and_named(path):
    def missing_part() -> None:
        part(path).unlink()

    def cut() -> None:
        os.truncate(part(path), part(path).stat().st_size - 10)

    def flipped() -> None:
        content = bytearray(part(path).read_bytes())
        content[content.index(bytes(torch.ones(4).numpy().tobytes())) + 20] ^= 1
        part(path).write_bytes(content)

    def uncommitted() -> None:
        (path / ".metadata").unlink()

    def emptied() -> None:
        (path / ".metadata").write_bytes(b"")

    def metadata_flipped() -> None:
        content = bytearray((path / ".metadata").read_bytes())
        content[50] ^= 1
        (path / ".metadata").write_bytes(content)

    kept = {file: file.read_bytes() for file in path.iterdir()}
    for damage, message in {
        missing_part: r"part-0-of-1\..* is missing",
        cut: r"part-0-of-1",
        flipped: r"part 'state_dict\.weight': record .* is damaged|part-0-of-1.*is damaged",
        uncommitted: r"without \.metadata, so no checkpoint, or one whose save was not finished",
        emptied: r"\.metadata: damaged",
        metadata_flipped: r"\.metadata: damaged",
    }.items():
        damage()
        for read in (
            load,
            verify,
            partial(ShardedCheckpointIO().load_into, {"state_dict": {"weight": torch.zeros(257)}}),
        ):
            with pytest.raises(CheckpointCorruptError, match=message):
                read(path)
        for file, content in kept.items():
            file.write_bytes(content)
    verify(path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_metadata_that_would_run_code_is_refused(path, tmp_path, monkeypatch):
    import zlib

    from lit_checkpoint.shards import _MARK, _TRAILER

    monkeypatch.chdir(tmp_path)
    body = pickle.dumps(Evil())
    (path / ".metadata").write_bytes(body + _TRAILER.pack(_MARK, len(body), zlib.crc32(body)))
    with pytest.raises(CheckpointCorruptError, match=r"asks for (posix|nt)\.mkdir"):
        load(path)
    assert not Path("evil").exists()


def test_a_part_outside_the_folder_is_refused(path):
    import zlib

    from lit_checkpoint.shards import _MARK, _TRAILER

    body = (path / ".metadata").read_bytes()[: -_TRAILER.size]
    name = part(path).name.encode()
    body = body.replace(name, b"../../" + name[6:])
    (path / ".metadata").write_bytes(body + _TRAILER.pack(_MARK, len(body), zlib.crc32(body)))
    with pytest.raises(CheckpointCorruptError, match=r"names '\.\./\.\./"):
        load(path)


def test_a_file_where_a_folder_is_expected_and_absence_are_named(path, tmp_path):
    (tmp_path / "b.ckpt").write_text("x")
    with pytest.raises(CheckpointCorruptError, match=r"b\.ckpt: a file, not a folder"):
        ShardedCheckpointIO().load(tmp_path / "b.ckpt")
    with pytest.raises(FileNotFoundError, match=r"In the same folder: .*a\.ckpt"):
        ShardedCheckpointIO().load(tmp_path / "c.ckpt")


def test_remove_takes_only_what_a_save_makes(path):
    (path / "notes.txt").write_text("mine")
    ShardedCheckpointIO().remove(path)
    assert [file.name for file in path.iterdir()] == ["notes.txt"]


def test_a_manager_and_latest_valid_know_folders(tmp_path, make_state, assert_state):
    manager = CheckpointManager(tmp_path, monitor="loss", io=ShardedCheckpointIO(), save_top_k=2)
    for step, loss in enumerate([0.5, 0.2, 0.3, 0.4]):
        manager.save(make_state(step), step=step, metrics={"loss": loss})
    assert sorted(file.name for file in tmp_path.glob("*.ckpt")) == ["step=1.ckpt", "step=2.ckpt", "step=3.ckpt"]
    assert_state(load(manager.best_path), 1)
    (tmp_path / "step=3.ckpt" / ".metadata").unlink()
    with pytest.warns(RuntimeWarning, match=r"step=3\.ckpt: .*save was not finished"):
        assert latest_valid(tmp_path) == str(tmp_path / "step=2.ckpt")


def test_the_package_does_not_import_what_only_folders_need():
    import subprocess
    import sys

    code = "import sys, lit_checkpoint; sys.exit('torch.distributed.checkpoint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(ImportError, match="nothing"):
        from lit_checkpoint import nothing  # noqa: F401
