"""Processes that were started apart and see other folders still go on from one checkpoint: that of the first."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from lit_accelerators.environments.local import rank_variables
from lit_core import ModelCheckpoint, Trainer
from tests.integration.test_strategies import Classifier, data

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"), pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(folder: Path, rank: int, epochs: int) -> None:
    (folder / str(epochs)).mkdir(exist_ok=True)
    os.environ.update(rank_variables(run_dir=folder / str(epochs), local_rank=rank, devices=2))
    # As where a file system that several nodes share shows one of them later what another wrote.
    own = folder / "late" if rank else folder
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=epochs,
        callbacks=ModelCheckpoint(own / "kept"),
        logger=False,
        enable_progress_bar=False,
        default_root_dir=own,
    )
    torch.manual_seed(0)
    module = Classifier()
    trainer.fit(module, DataLoader(data(16), 2), ckpt_path="last")
    torch.save([trainer.global_step, module.net[0].weight.detach()], folder / f"{rank}-{epochs}")


def test_the_first_process_says_which_is_the_last(tmp_path: Path) -> None:
    for epochs in (1, 2):
        started = [
            multiprocessing.get_context("fork").Process(target=train, args=(tmp_path, rank, epochs)) for rank in (0, 1)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(30)
            process.kill()
        assert [process.exitcode for process in started] == [0, 0]
    (step, weight), (other_step, other_weight) = (torch.load(tmp_path / f"{rank}-2") for rank in (0, 1))
    assert step == other_step == 8
    assert torch.equal(weight, other_weight)
