"""What ``self.log`` collects: defaults by hook, options, metric objects, several processes, and no host sync."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lit_accelerators import Collectives, LocalCollectives
from lit_core.data.batch_size import find_batch_size
from lit_core.hooks import HOOKS
from lit_core.logging.collector import Collector
from tests.lit_core.fake_device import OnDevice, count_reads


class Mean(nn.Module):
    """A metric object as a user may write one."""

    def __init__(self) -> None:
        super().__init__()
        self.resets = 0
        self.total, self.n = torch.tensor(0.0, dtype=torch.float64), 0

    def update(self, value: float) -> None:
        self.total, self.n = self.total + value, self.n + 1

    def compute(self) -> torch.Tensor:
        return self.total / self.n

    def reset(self) -> None:
        self.resets += 1
        self.total, self.n = torch.tensor(0.0, dtype=torch.float64), 0


def collector(module: nn.Module | None = None, collectives: Collectives | None = None) -> Collector:
    made = Collector(module or nn.Module(), collectives or LocalCollectives(), find_batch_size)
    made.open("train")
    made.enter("training_step")
    made.begin_batch(None, 1)
    return made


def values(flushed: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, (_, value) in flushed.items()}


BATCH_HOOKS = ["training_step", "on_train_batch_start", "on_train_batch_end", "on_after_backward", "optimizer_step"]
EVAL_HOOKS = ["validation_step", "test_step", "on_validation_batch_end", "on_test_batch_start", "validation_step_end"]
EPOCH_HOOKS = [
    "on_train_epoch_start",
    "training_epoch_end",
    "on_validation_epoch_end",
    "on_train_start",
    "test_epoch_end",
]


@pytest.mark.parametrize("hook", BATCH_HOOKS)
def test_training_hooks_log_per_step(hook: str) -> None:
    c = collector()
    c.enter(hook)
    c.log("x", 2.0)
    assert values(c.flush_steps("train")) == {"x": 2.0}
    assert values(c.flush_epoch("train")) == {}


@pytest.mark.parametrize("hook", EVAL_HOOKS + EPOCH_HOOKS)
def test_evaluation_and_epoch_hooks_log_per_epoch(hook: str) -> None:
    c = collector()
    c.enter(hook)
    c.log("x", 2.0)
    assert values(c.flush_steps("train")) == {}
    assert values(c.flush_epoch("train")) == {"x": 2.0}


@pytest.mark.parametrize("hook", EPOCH_HOOKS)
def test_a_step_value_in_a_hook_that_runs_once_per_epoch_is_refused(hook: str) -> None:
    c = collector()
    c.enter(hook)
    with pytest.raises(ValueError, match=f"on_step=True.*{hook}"):
        c.log("x", 2.0, on_step=True)


@pytest.mark.parametrize("hook", ["", "mine", *(name for name, hook in HOOKS.items() if hook.log is None)])
def test_logging_where_nothing_is_logged_is_refused(hook: str) -> None:
    c = collector()
    c.enter(hook)
    with pytest.raises(RuntimeError, match=r"nothing is logged.*training_step"):
        c.log("x", 2.0)


def test_both_fork_the_name_and_keep_the_loader_at_its_end() -> None:
    c = collector()
    c.log("x", 1.0, on_step=True, on_epoch=True)
    c.begin_batch(None, 1, dataloader=3)
    c.log("y", 2.0, on_step=True, on_epoch=True)
    assert values(c.flush_steps("train")) == {"x_step": 1.0, "y_step/dataloader_idx_3": 2.0}
    assert values(c.flush_epoch("train")) == {"x_epoch": 1.0, "y_epoch/dataloader_idx_3": 2.0}


def test_loaders_are_kept_apart_unless_told_otherwise() -> None:
    c = collector()
    for index, value in ((0, 1.0), (1, 4.0)):
        c.begin_batch(None, 1 + 2 * index, dataloader=index)
        c.log("apart", value, on_step=False, on_epoch=True)
        c.log("joined", value, on_step=False, on_epoch=True, add_dataloader_idx=False)
    assert values(c.flush_epoch("train")) == {
        "apart/dataloader_idx_0": 1.0,
        "joined": (1.0 + 3 * 4.0) / 4,
        "apart/dataloader_idx_1": 4.0,
    }


@pytest.mark.parametrize("given", ["batch_size", "order", "batch"])
def test_the_mean_is_weighted_by_samples_wherever_their_number_comes_from(given: str) -> None:
    numbers, sizes = [5.0, 1.0, 2.5], [4, 4, 1]
    c = collector()
    for number, size in zip(numbers, sizes, strict=True):
        c.begin_batch({"x": torch.zeros(size, 2), "y": [torch.zeros(size)]}, size if given == "order" else None)
        options = {"batch_size": size} if given == "batch_size" else {}
        c.log("x", torch.tensor(number), on_epoch=True, on_step=False, **options)  # type: ignore[arg-type]
    assert values(c.flush_epoch("train")) == {"x": pytest.approx(np.average(numbers, weights=sizes), rel=1e-15)}


def test_a_batch_of_ambiguous_size_is_refused_only_where_the_size_matters() -> None:
    c = collector()
    c.begin_batch({"x": torch.zeros(4), "y": torch.zeros(3)}, None)
    c.log("step", 1.0, on_step=True)
    c.log("sum", 1.0, on_epoch=True, reduce_fx="sum")
    c.log("told", 1.0, on_epoch=True, batch_size=4)
    with pytest.raises(ValueError, match=r"ambiguous.*\[3, 4\].*batch_size"):
        c.log("mean", 1.0, on_epoch=True)


def test_values_before_and_after_all_batches_have_no_batch_to_be_weighted_by() -> None:
    c = collector()
    c.begin_batch({"x": torch.zeros(4), "y": torch.zeros(3)}, None)
    c.open("validate")
    c.enter("on_validation_epoch_start")
    c.log("x", 1.0)
    assert values(c.flush_epoch("validate")) == {"x": 1.0}


@pytest.mark.parametrize("changed", [{"on_epoch": True}, {"prog_bar": True}, {"reduce_fx": "max"}, {"logger": False}])
def test_other_options_for_the_same_key_are_refused(changed: dict[str, Any]) -> None:
    c = collector()
    c.log("x", 1.0)
    with pytest.raises(ValueError, match=r"'x'.*other options than before"):
        c.log("x", 1.0, **changed)


def test_the_same_key_in_two_hooks_of_a_stage_is_refused_and_in_two_stages_allowed() -> None:
    c = collector()
    c.log("x", 1.0)
    c.enter("on_train_batch_end")
    with pytest.raises(ValueError, match="'x' is logged in on_train_batch_end and in training_step"):
        c.log("x", 1.0)
    c.open("validate")
    c.enter("validation_step")
    c.log("x", 2.0)
    assert values(c.flush_epoch("validate")) == {"x": 2.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_step": False, "on_epoch": False}, "would log nothing"),
        ({"reduce_fx": "median"}, "reduce_fx must be one of.*'median'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collector().log("x", 1.0, **options)


@pytest.mark.parametrize("value", [{"a": 1.0}, "text", None])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="takes a number"):
        collector().log("x", value)


def test_a_step_row_holds_the_newest_value_and_only_what_is_new() -> None:
    c = collector()
    for i in range(3):
        c.log("each", float(i))
        if i == 0:
            c.log("once", 7.0)
    assert values(c.flush_steps("train")) == {"each": 2.0, "once": 7.0}
    c.log("each", 9.0)
    assert values(c.flush_steps("train")) == {"each": 9.0}
    assert values(c.flush_steps("train")) == {}


def test_an_epoch_begins_anew_after_its_flush() -> None:
    c = collector()
    for number in (1.0, 2.0):
        c.log("x", number, on_epoch=True, on_step=False)
        assert values(c.flush_epoch("train")) == {"x": number}
    assert values(c.flush_epoch("train")) == {}


def test_an_epoch_that_stays_open_goes_on_after_its_flush() -> None:
    c = collector()
    for number, mean in ((1.0, 1.0), (2.0, 1.5)):
        c.log("x", number, on_epoch=True, on_step=False)
        assert values(c.flush_epoch("train", keep=True)) == {"x": mean}
    assert values(c.flush_epoch("train")) == {"x": 1.5}


def test_a_metric_object_is_computed_and_reset_at_the_end_of_the_epoch() -> None:
    module = nn.Module()
    module.metric = Mean()
    c = collector(module)
    for epoch in range(2):
        for number in (1.0, 2.0, 6.0):
            module.metric.update(number + epoch)
            c.log("m", module.metric)
        assert values(c.flush_steps("train")) == {}
        assert values(c.flush_epoch("train")) == {"m": 3.0 + epoch}
        assert (module.metric.n, module.metric.resets) == (0, epoch + 1)


def test_a_metric_object_per_step_shows_its_value_so_far() -> None:
    metric = Mean()
    c = collector()
    seen = []
    for number in (1.0, 2.0, 6.0):
        metric.update(number)
        c.log("m", metric, on_step=True, on_epoch=True)
        seen.append(values(c.flush_steps("train"))["m_step"])
    assert seen == [1.0, 1.5, 3.0]
    assert values(c.flush_epoch("train")) == {"m_epoch": 3.0}


def test_a_metric_that_was_not_logged_in_this_epoch_is_left_alone() -> None:
    metric = Mean()
    c = collector()
    metric.update(1.0)
    c.log("m", metric)
    c.flush_epoch("train")
    assert values(c.flush_epoch("train")) == {}
    assert metric.resets == 1


def test_a_metric_that_computes_several_numbers_is_refused() -> None:
    class Vector(Mean):
        def compute(self) -> torch.Tensor:
            return torch.zeros(3)

    c = collector()
    c.log("m", Vector())
    with pytest.raises(ValueError, match=r"'m' computed a tensor of shape \(3,\)"):
        c.flush_epoch("train")


class NoCollective(LocalCollectives):
    """Two processes, neither of which may be asked anything."""

    def __init__(self) -> None:
        super().__init__()
        self.world_size = 2

    def all_gather_object(self, value: Any) -> list[Any]:
        raise AssertionError("a collective between flushes")

    def broadcast(self, value: Any, src: int = 0) -> Any:
        raise AssertionError("a collective between flushes")

    def barrier(self) -> None:
        raise AssertionError("a collective between flushes")


def test_nothing_is_read_or_sent_between_flushes_and_memory_stays_bounded() -> None:
    c = collector(collectives=NoCollective())
    loss = OnDevice(torch.tensor(1.0, requires_grad=True))
    count_reads()
    for _ in range(5000):
        c.begin_batch(None, 4)
        c.log("a", loss * 2, on_step=True, on_epoch=True, prog_bar=True)
        c.log("b", loss, on_epoch=True, on_step=False, reduce_fx="max")
        c.log("c", loss, on_epoch=True, on_step=False, reduce_fx="min", sync_dist=True)
        c.latest("train")
    assert count_reads() == 0
    kept = [len(entry._values) for entry in c._entries.values()]
    assert len(kept) == 3
    assert max(kept) <= 64


@pytest.mark.parametrize("read", [torch.Tensor.item, float, torch.Tensor.cpu, OnDevice.tolist, bool])
def test_the_watch_for_host_reads_sees_one(read: Any) -> None:
    count_reads()
    read(OnDevice(torch.tensor(1.0)) * 2)
    assert count_reads() == 1


def test_one_read_per_flush_whatever_the_number_of_keys() -> None:
    c = collector()
    for i in range(50):
        c.log(f"key_{i}", OnDevice(torch.tensor(float(i))))
    count_reads()
    assert values(c.flush_steps("train")) == {f"key_{i}": float(i) for i in range(50)}
    assert count_reads() == 1


# Several processes, here threads that meet where processes would talk


class Meeting:
    def __init__(self, world_size: int) -> None:
        self.barrier = threading.Barrier(world_size, timeout=10)
        self.values: list[Any] = [None] * world_size


class Threads(LocalCollectives):
    def __init__(self, meeting: Meeting, rank: int) -> None:
        super().__init__()
        self.world_size, self.rank, self.meeting = len(meeting.values), rank, meeting

    def all_gather_object(self, value: Any) -> list[Any]:
        self.meeting.values[self.rank] = value
        self.meeting.barrier.wait()
        gathered = list(self.meeting.values)
        self.meeting.barrier.wait()
        return gathered


def on_ranks(world_size: int, work: Callable[[Collector, nn.Module, int], Any]) -> list[Any]:
    """What ``work`` returned on every rank."""
    meeting = Meeting(world_size)
    results: list[Any] = [None] * world_size

    def main(rank: int) -> None:
        module = nn.Module()
        module.metric = SharedMean(Threads(meeting, rank))
        try:
            results[rank] = work(collector(module, Threads(meeting, rank)), module, rank)
        except BaseException as error:
            results[rank] = error
            meeting.barrier.abort()

    threads = [threading.Thread(target=main, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


class SharedMean(Mean):
    """A metric whose compute is a collective, as those that sync themselves."""

    def __init__(self, collectives: Collectives) -> None:
        super().__init__()
        self.collectives = collectives

    def compute(self) -> torch.Tensor:
        parts = self.collectives.all_gather_object((float(self.total), self.n))
        return torch.tensor(sum(total for total, _ in parts) / sum(n for _, n in parts), dtype=torch.float64)


NUMBERS = (1e6 + np.random.default_rng(1).random(30)).astype(np.float32)
SIZES = np.random.default_rng(2).integers(1, 9, 30)


@pytest.mark.parametrize("split", [[(0, 10), (10, 30)], [(0, 29), (29, 30), (30, 30)], [(0, 0), (0, 30)]])
@pytest.mark.parametrize(
    ("reduce_fx", "reference"), [("mean", None), ("sum", np.sum), ("min", np.min), ("max", np.max)]
)
def test_epoch_values_over_uneven_ranks_equal_one_process(
    split: list[tuple[int, int]], reduce_fx: str, reference: Any
) -> None:
    def work(c: Collector, module: nn.Module, rank: int) -> Any:
        for i in range(*split[rank]):
            c.log(
                "x",
                torch.tensor(NUMBERS[i]),
                on_step=False,
                on_epoch=True,
                reduce_fx=reduce_fx,
                batch_size=int(SIZES[i]),
            )
        return values(c.flush_epoch("train"))

    wide = NUMBERS.astype(np.float64)
    expected = np.average(wide, weights=SIZES) if reference is None else reference(wide)
    results = on_ranks(len(split), work)
    assert all(result == results[0] for result in results)
    assert results[0] == {"x": pytest.approx(expected, rel=1e-15)}


def test_a_rank_that_logged_nothing_takes_part_in_the_compute_of_a_metric() -> None:
    def work(c: Collector, module: Any, rank: int) -> Any:
        if rank == 1:
            module.metric.update(4.0)
            c.log("m", module.metric)
        return values(c.flush_epoch("train")), module.metric.resets

    assert on_ranks(3, work) == [({"m": 4.0}, 1)] * 3


def test_keys_of_only_some_ranks_are_known_to_all() -> None:
    def work(c: Collector, module: nn.Module, rank: int) -> Any:
        c.log("all", float(rank), on_step=False, on_epoch=True)
        c.log(f"only_{rank}", 10.0 * rank, on_step=False, on_epoch=True)
        return values(c.flush_epoch("train"))

    assert on_ranks(2, work) == [{"all": 0.5, "only_0": 0.0, "only_1": 10.0}] * 2


def test_rank_zero_only_takes_the_value_of_rank_zero() -> None:
    def work(c: Collector, module: nn.Module, rank: int) -> Any:
        c.log("x", float(rank + 5), on_step=False, on_epoch=True, rank_zero_only=True)
        return values(c.flush_epoch("train"))

    assert on_ranks(2, work) == [{"x": 5.0}] * 2


def test_step_values_are_those_of_rank_zero_unless_they_ask_to_be_joined() -> None:
    def work(c: Collector, module: nn.Module, rank: int) -> Any:
        c.log("own", float(rank))
        c.log("joined", float(rank), sync_dist=True)
        c.log("largest", float(rank), sync_dist=True, reduce_fx="max")
        return values(c.flush_steps("train"))

    assert on_ranks(2, work)[0] == {"own": 0.0, "joined": 0.5, "largest": 1.0}


def test_a_metric_outside_the_module_is_refused_with_several_processes() -> None:
    with pytest.raises(ValueError, match=r"'m' is no attribute of the module"):
        collector(collectives=NoCollective()).log("m", Mean())


# A checkpoint inside an epoch


def test_reductions_go_on_after_a_restore_also_of_keys_that_are_not_logged_again() -> None:
    whole, first = collector(), collector()
    for c in (whole, first):
        c.log("early", 3.0, on_step=False, on_epoch=True)
        c.log("x", 1.0, on_step=False, on_epoch=True)
    second = collector()
    second.load_state_dict(first.state_dict())
    third = collector()
    third.load_state_dict(second.state_dict())  # saved again before anything was logged
    for c in (whole, third):
        c.log("x", 4.0, on_step=False, on_epoch=True)
    expected = values(whole.flush_epoch("train"))
    assert expected == {"early": 3.0, "x": 2.5}
    assert values(third.flush_epoch("train")) == expected
    assert values(third.flush_epoch("train")) == {}


def test_what_the_start_of_the_epoch_logged_is_not_counted_twice_after_a_restore() -> None:
    first = collector()
    first.enter("on_train_epoch_start")
    first.log("x", 1.0, reduce_fx="sum")
    second = collector()
    second.load_state_dict(first.state_dict())
    second.enter("on_train_epoch_start")
    second.log("x", 5.0, reduce_fx="sum")  # the hook is called again; its value of then stands
    assert values(second.flush_epoch("train")) == {"x": 1.0}
    second.log("x", 5.0, reduce_fx="sum")
    assert values(second.flush_epoch("train")) == {"x": 5.0}


def test_a_restored_training_epoch_survives_a_validation() -> None:
    first = collector()
    first.log("x", 1.0, on_step=False, on_epoch=True)
    second = collector()
    second.load_state_dict(first.state_dict())
    second.open("validate")
    assert values(second.flush_epoch("validate")) == {}
    second.open("train")
    assert values(second.flush_epoch("train")) == {"x": 1.0}
