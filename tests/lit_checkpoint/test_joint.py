import threading
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from lit_checkpoint import (
    BackgroundSaver,
    CheckpointManager,
    ShardedCheckpointIO,
    latest_valid,
    load,
    resolve_checkpoint,
)
from lit_checkpoint.storage import LocalStorage
from tests.lit_checkpoint.test_sharded import assert_same, distributed, in_processes, whole_state

LOSSES = [0.5, 0.2, 0.3, 0.4]


def state_of(step: int) -> dict:
    return {**whole_state(), "step": step}


def known(manager: CheckpointManager) -> dict:
    kept = {Path(path).name: score for path, score in manager.best_k.items()}
    paths = [Path(path).name for path in (manager.best_path, manager.last_path)]
    return {"best_k": kept, "best_score": manager.best_score, "paths": paths, "state": names_only(manager)}


def names_only(manager: CheckpointManager) -> list:
    return [(entry["file"], entry["step"], entry["score"]) for entry in manager.state_dict()["checkpoints"]]


def keep_together(folder: str, rank: int) -> list:
    manager = CheckpointManager(folder, monitor="loss", save_top_k=2, save_last=False, io=ShardedCheckpointIO())
    seen = []
    for step, loss in enumerate(LOSSES):
        metrics = {"loss": -loss if rank else loss}  # what the others measured would choose otherwise
        wanted = manager.wants(metrics)
        path = manager.save(distributed(state_of(step), 2), step=step, metrics=metrics)
        seen.append((wanted, path and Path(path).name, names_only(manager)))
    return seen


def test_managers_of_all_processes_keep_what_one_manager_with_the_numbers_of_the_first_would(tmp_path):
    seen = in_processes(2, tmp_path, partial(keep_together, str(tmp_path / "all")))
    alone = CheckpointManager(tmp_path / "one", monitor="loss", save_top_k=2, save_last=False)
    expected = []
    for step, loss in enumerate(LOSSES):
        wanted = alone.wants({"loss": loss})
        path = alone.save({"step": step}, step=step, metrics={"loss": loss})
        expected.append((wanted, path and Path(path).name, names_only(alone)))
    assert seen == [expected, expected]
    kept = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert kept == sorted(path.name for path in (tmp_path / "one").iterdir())
    for name in (name for name in kept if name.endswith(".ckpt")):
        assert_same(load(tmp_path / "all" / name), state_of(load(tmp_path / "one" / name)["step"]))


def build_together(folder: str, rank: int) -> list:
    built = []

    def state() -> dict:
        built.append(float(dist.all_reduce(count := torch.ones(1)) or count))
        return {"x": torch.ones(2)}

    manager = CheckpointManager(folder, monitor="loss", save_last=False, io=ShardedCheckpointIO())
    for step, loss in enumerate([0.2, 0.3, 0.1]):
        manager.save(state, step=step, metrics={"loss": loss})
    return built


def test_a_state_that_all_build_is_built_by_all_and_only_if_it_is_wanted(tmp_path):
    assert in_processes(2, tmp_path, partial(build_together, str(tmp_path / "kept"))) == [[2.0, 2.0]] * 2


CASES = [
    (failing, what, background)
    for failing, what in ((1, "part-1"), (0, "part-0"), (0, ".metadata"), (0, "index.json"))
    for background in (False, True)
]


def save_where_one_fails(folder: str, rank: int) -> list:
    write, full = LocalStorage.write, []

    def write_or_fail(self, path, *args, **kwargs):
        if full and Path(path).name.startswith(full[0]):
            full.clear()
            raise OSError(28, "No space left on device")
        return write(self, path, *args, **kwargs)

    LocalStorage.write = write_or_fail
    seen = []
    for case, (failing, what, background) in enumerate(CASES):
        with ShardedCheckpointIO().apart() as io:
            manager = CheckpointManager(f"{folder}/{case}", io=io)
            saver = BackgroundSaver(manager.save)

            def save(step: int, save=saver.save if background else manager.save, saver=saver, manager=manager) -> str:
                try:
                    save(distributed(state_of(step), 2), step=step)
                    saver.wait()
                except Exception as error:
                    return str(error)
                return Path(manager.last_path).name

            names = [save(0)]
            full += [what] * (rank == failing)
            names.append(save(1))
            assert_same(load(resolve_checkpoint(f"{folder}/{case}", "last")), state_of(0))
            dist.barrier()
            seen.append([*names, save(2)])
            saver.close()
    return seen


def test_what_fails_in_one_process_is_raised_in_all_and_the_checkpoint_before_stays(tmp_path):
    first, second = in_processes(2, tmp_path, partial(save_where_one_fails, str(tmp_path)))
    for case, (before, failed, after) in [*enumerate(first), *enumerate(second)]:
        assert (before, after) == ("step=0.ckpt", "step=2.ckpt"), CASES[case]
        assert "No space left on device" in failed, CASES[case]
    for case in range(len(CASES)):
        assert_same(load(latest_valid(tmp_path / str(case))), state_of(2))
        assert [path.name for path in (tmp_path / str(case)).glob("*.ckpt")] == ["step=2.ckpt"]


def save_while_others_talk(folder: str, rank: int) -> list:
    """Save in the background while the training's group is busy, with one process always late."""
    late = threading.Event()
    write = LocalStorage.write

    def slow(self, path, *args, **kwargs):
        if rank and Path(path).name.startswith("part"):
            late.wait(10)
        return write(self, path, *args, **kwargs)

    LocalStorage.write = slow
    state, sums = distributed(state_of(0), 2), []
    with ShardedCheckpointIO().apart() as io, BackgroundSaver(CheckpointManager(folder, io=io).save) as saver:
        saver.save(state, step=1)
        for i in range(50):
            dist.all_reduce(total := torch.tensor(float(i)))
            sums.append(float(total))
            for tensor in state["state_dict"].values():
                (tensor.to_local() if isinstance(tensor, DTensor) else tensor).zero_()
        busy = not saver.poll()
        late.set()
        saver.wait()
        dist.barrier()
    return [busy, sums]


def test_training_talks_on_its_own_group_while_parts_are_written(tmp_path):
    for busy, sums in in_processes(2, tmp_path, partial(save_while_others_talk, str(tmp_path / "kept"))):
        assert busy
        assert sums == [2.0 * i for i in range(50)]
    assert_same(load(tmp_path / "kept" / "step=1.ckpt"), state_of(0))


def save_on_the_groups_of_training(folder: str, rank: int) -> str:
    manager = CheckpointManager(folder, io=ShardedCheckpointIO())
    with pytest.raises(RuntimeError, match=r"apart\(\)") as raised, BackgroundSaver(manager.save) as saver:
        saver.save({"x": torch.ones(2)}, step=1)
    return str(raised.value)


def test_a_thread_is_refused_the_group_that_training_uses(tmp_path):
    first, second = in_processes(2, tmp_path, partial(save_on_the_groups_of_training, str(tmp_path / "kept")))
    assert first == second
    assert not (tmp_path / "kept").exists()


def save_in_a_part_of_all(folder: str, rank: int) -> list:
    groups = [dist.new_group([i]) for i in range(2)] + [dist.new_group([1, 0])]
    seen = []
    for name, group in ((f"own-{rank}", groups[rank]), ("both", groups[2])):
        with ShardedCheckpointIO(group).apart() as io:
            manager = CheckpointManager(f"{folder}/{name}", io=io)
            with BackgroundSaver(manager.save) as saver:
                saver.save({"x": torch.full((2,), float(rank)), "first": io.is_first}, step=1)
        seen.append(manager.last_path)
    return seen


def test_groups_of_some_processes_have_folders_of_their_own(tmp_path):
    found = in_processes(2, tmp_path, partial(save_in_a_part_of_all, str(tmp_path)))
    assert found[0][1] == found[1][1]
    for rank in range(2):
        assert load(found[rank][0])["x"].tolist() == [rank, rank]
    assert load(found[0][1])["first"] is True
