import pytest

from lit_checkpoint import Every, triggers


def test_steps_are_due_at_multiples_also_when_some_are_not_asked_about():
    every = Every(steps=10)
    assert [step for step in range(1, 35) if every.due(step=step)] == [10, 20, 30]
    every = Every(steps=10)
    assert [step for step in range(3, 60, 4) if every.due(step=step)] == [11, 23, 31, 43, 51]


@pytest.mark.parametrize("resumed_at", [0, 5, 9, 10, 19])
def test_after_a_resume_the_same_steps_are_due(resumed_at):
    every = Every(steps=10)
    due = [step for step in range(resumed_at + 1, 35) if every.due(step=step)]
    assert due == [step for step in (10, 20, 30) if step > resumed_at]


def test_asked_again_it_is_not_due():
    every = Every(steps=10, epochs=1)
    assert [every.due(step=10, epoch=1), every.due(step=10, epoch=1)] == [True, False]


def test_epochs_and_steps_whichever_comes_first():
    every = Every(steps=10, epochs=2)
    due = [step for step in range(1, 31) if every.due(step=step, epoch=step // 6)]
    assert due == [10, 12, 20, 24, 30]


def test_time_counts_from_the_last_time_it_was_due(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(triggers.time, "monotonic", lambda: clock[0])
    every = Every(seconds=60, steps=1000)
    due = []
    for step in range(1, 30):
        clock[0] += 7
        if every.due(step=step):
            due.append(step)
    assert due == [9, 18, 27]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "at least one"),
        ({"steps": 0}, "steps=0"),
        ({"seconds": -1.0}, r"seconds=-1\.0"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_senseless_numbers_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Every(**kwargs)
