"""Processes, here threads, with any numbers of batches give an evaluation up together or not at all."""

import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from lit_accelerators import LocalCollectives
from lit_core import Callback
from lit_core.loops import giving_up
from lit_core.loops.giving_up import GivenUp, Watch
from lit_core.run import StopSignal, preempted_by
from tests.lit_core.tiny import Regression, loader, trainer


class Meeting(LocalCollectives):
    """What threads tell each other; it fails, rather than waits for ever, if not all of them come."""

    def __init__(self, world_size: int) -> None:
        super().__init__()
        self.world_size, self.rounds = world_size, 0
        self._here = threading.local()
        self._values: list[Any] = [None] * world_size
        self._barrier = threading.Barrier(world_size, timeout=20)

    def join(self, rank: int) -> None:
        self._here.rank = rank

    def all_gather_object(self, value: Any) -> list[Any]:
        self._values[self._here.rank] = value
        if self._barrier.wait() == 0:
            self.rounds += 1
        gathered = list(self._values)
        self._barrier.wait()
        return gathered


def evaluate(batches: list[int], tell: Callable[[int, int, StopSignal], None]) -> tuple[list[str], list[int], Meeting]:
    """How each process ended, how many batches it did, and what they told each other; ``tell`` is called in each."""
    meeting = Meeting(len(batches))
    ends, done = ["failed"] * len(batches), [0] * len(batches)

    def work(rank: int) -> None:
        meeting.join(rank)
        stop = StopSignal()
        run: Any = SimpleNamespace(
            stage="fit",
            stop=stop,
            module=nn.Module(),
            report=SimpleNamespace(mark=dict),
            strategy=SimpleNamespace(world_size=len(batches), collectives=meeting),
        )
        watch = Watch(run)
        try:
            for loader_size in (batches[rank] // 2, batches[rank] - batches[rank] // 2):
                for _ in watch.over(iter(range(loader_size))):
                    tell(rank, done[rank], stop)
                    done[rank] += 1
            watch.finish()
            ends[rank] = "finished"
        except GivenUp:
            ends[rank] = "given up" if stop.preempted else "given up, and nobody said so"

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends, done, meeting


@pytest.mark.parametrize("seed", range(40))
def test_whoever_is_told_and_whenever_all_end_alike(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = random.Random(seed)
    monkeypatch.setattr(giving_up, "AGREE_EVERY_S", numbers.choice([0.0, 1e-4, 2.0]))
    batches = [numbers.choice([0, 1, 2, 7, 60, 300]) for _ in range(numbers.choice([2, 3, 4]))]
    told = {numbers.randrange(len(batches)): numbers.randrange(0, 70) for _ in range(numbers.choice([0, 1, 2]))}

    def tell(rank: int, number: int, stop: StopSignal) -> None:
        if told.get(rank) == number:
            stop.interrupt(preempted_by("SIGTERM"))

    ends, done, _ = evaluate(batches, tell)

    assert len(set(ends)) == 1
    assert ends[0] in ("finished", "given up")
    if ends[0] == "finished":
        assert done == batches
    if not any(number < batches[rank] for rank, number in told.items()):
        assert ends[0] == "finished"


def test_processes_with_fast_batches_ask_each_other_seldom() -> None:
    ends, _, meeting = evaluate([20_000, 15_000], lambda *_: None)

    assert ends == ["finished"] * 2
    assert meeting.rounds < 12


def test_other_reasons_to_stop_wait_for_the_end() -> None:
    def tell(rank: int, number: int, stop: StopSignal) -> None:
        stop.ask("max_time has passed", urgent=True)
        stop.interrupt()

    assert evaluate([9, 4], tell)[0] == ["finished"] * 2


def test_outside_training_nothing_is_watched_nor_kept() -> None:
    """Validation outside training is not given up, nor anything kept for that."""
    batches = iter(range(3))
    strategy = SimpleNamespace(world_size=1, collectives=LocalCollectives())
    run: Any = SimpleNamespace(stage="validate", stop=StopSignal(), strategy=strategy)

    assert Watch(run).over(batches) is batches


class Signalled(Regression):
    """Is told to stop in the second batch of its second validation, after everything has changed there."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_step", float(batch_idx), on_step=True, on_epoch=False)
        self.log("val_loss", self.loss(batch))
        torch.rand(2)
        if batch_idx == 1 and self.trainer.progress.batches == 8:
            self.signal()


def test_what_a_given_up_validation_changed_is_as_it_was_before() -> None:
    known: list[Any] = []

    class Watches(Callback):
        ended = 0

        def on_validation_start(self, trainer: Any, module: Any) -> None:
            known.append((torch.get_rng_state(), dict(trainer.callback_metrics), trainer.progress.state_dict()))

        def on_validation_end(self, trainer: Any, module: Any) -> None:
            self.ended += 1

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            if trainer.progress.batches == 8:
                known.append((torch.get_rng_state(), dict(trainer.callback_metrics), trainer.progress.state_dict()))

    class Waits(Callback):
        ended = 0

        def on_validation_end(self, trainer: Any, module: Any) -> None:
            self.ended += 1

    watches, waits, module = Watches(), Waits(), Signalled()
    runner = trainer(max_epochs=3, callbacks=[watches, waits])
    stop = StopSignal()
    module.signal = lambda: stop.interrupt(preempted_by("SIGTERM"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lit_core.trainer.StopSignal", lambda: stop)
        with pytest.raises(SystemExit):
            runner.fit(module, loader(), loader(6, 2))

    assert (watches.ended, waits.ended) == (2, 1)
    _, before, after = known
    assert torch.equal(before[0], after[0])
    assert before[1].keys() == after[1].keys() >= {"val_loss", "val_step"}
    assert {key: float(value) for key, value in before[1].items() if key.startswith("val")} == {
        key: float(value) for key, value in after[1].items() if key.startswith("val")
    }
    assert after[2]["validated_batches"] == 4
    assert after[2]["point"] == "batch"
