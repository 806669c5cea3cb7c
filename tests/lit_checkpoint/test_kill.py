import multiprocessing
import random
import time

import torch

from lit_checkpoint import CheckpointManager, latest_valid, load, resolve_checkpoint

ROUNDS = 6
PRELOAD = ["lit_checkpoint"]


def save_for_ever(folder: str) -> None:
    torch.set_num_threads(1)
    manager = CheckpointManager(folder, monitor="loss", save_top_k=2)
    last = manager.last_path
    step = load(last)["step"] if last else 0
    while True:
        step += 1
        state = {"step": step, "parts": [torch.full((50_000,), float(step)) for _ in range(10)]}
        manager.save(state, step=step, metrics={"loss": (step * 7) % 11})


def test_kill_9_at_random_moments_never_costs_more_than_the_save_in_progress(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    chance = random.Random(0)
    reached = 0
    for _ in range(ROUNDS):
        process = context.Process(target=save_for_ever, args=(str(tmp_path),))
        process.start()
        deadline = time.monotonic() + 60
        while latest_step(tmp_path) <= reached and time.monotonic() < deadline:
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
    CheckpointManager(tmp_path, monitor="loss", save_top_k=2).save({}, step=10**6, metrics={"loss": 0})
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".partial"]


def latest_step(folder) -> int:
    return max((int(path.stem.removeprefix("step=")) for path in folder.glob("step=*.ckpt")), default=-1)
