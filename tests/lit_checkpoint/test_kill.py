import multiprocessing
import random
import time

import pytest
import torch

from lit_checkpoint import (
    BackgroundSaver,
    CheckpointManager,
    ShardedCheckpointIO,
    latest_valid,
    load,
    resolve_checkpoint,
)

PRELOAD = ["lit_checkpoint.sharded", "torch.distributed.fsdp", "torch.distributed.tensor", __name__]


def make_manager(folder, kind: str) -> CheckpointManager:
    io = ShardedCheckpointIO() if kind == "sharded" else None
    return CheckpointManager(folder, monitor="loss", save_top_k=2, io=io)


def save_for_ever(folder: str, kind: str) -> None:
    torch.set_num_threads(1)
    manager = make_manager(folder, kind)
    saver = BackgroundSaver(manager.save)
    save = saver.save if kind == "background" else manager.save
    last = manager.last_path
    step = load(last)["step"] if last else 0
    while True:
        step += 1
        state = {"step": step, "parts": [torch.full((50_000,), float(step)) for _ in range(10)]}
        save(state, step=step, metrics={"loss": (step * 7) % 11})


@pytest.mark.parametrize(("kind", "rounds"), [("file", 4), ("background", 3), ("sharded", 3)])
@pytest.mark.filterwarnings("ignore:Skipped a checkpoint that cannot be used:RuntimeWarning")
def test_kill_9_at_random_moments_never_costs_more_than_the_save_in_progress(tmp_path, kind, rounds):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    chance = random.Random(0)
    reached = 0
    for _ in range(rounds):
        process = context.Process(target=save_for_ever, args=(str(tmp_path), kind))
        process.start()
        deadline = time.monotonic() + 60
        while latest_step(tmp_path, kind) <= reached and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.join()
        found = load(latest_valid(tmp_path))
        assert found["step"] > reached
        assert all((part == found["step"]).all() for part in found["parts"])
        for which in ("best", "last"):
            load(resolve_checkpoint(tmp_path, which))
        reached = found["step"]
        assert len([path for path in tmp_path.iterdir() if path.suffix == ".ckpt"]) <= 5
    make_manager(tmp_path, kind).save({}, step=10**6, metrics={"loss": 0})
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".partial"]


def latest_step(folder, kind: str) -> int:
    pattern = "step=*.ckpt/.metadata" if kind == "sharded" else "step=*.ckpt"
    names = [path.relative_to(folder).parts[0] for path in folder.glob(pattern)]
    return max((int(name.removeprefix("step=").removesuffix(".ckpt")) for name in names), default=-1)
