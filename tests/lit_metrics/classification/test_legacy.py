"""The 1.0 functions: values by hand in their spelling."""

from __future__ import annotations

import pytest
import torch

import lit_metrics.functional as F
from lit_metrics.functional.classification.legacy import dice_score

PRED, TARGET = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2])


def test_one_hot_and_back() -> None:
    labels = torch.tensor([[1, 0], [2, 2]])
    onehot = F.to_onehot(labels, 4)
    assert onehot.shape == (2, 4, 2)
    assert torch.equal(onehot.sum(1), torch.ones(2, 2, dtype=torch.long))
    assert torch.equal(F.to_categorical(onehot), labels)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        F.to_onehot([0, 2], 2)


def test_iou() -> None:
    assert F.iou(PRED, TARGET, reduction="none").tolist() == [1.0, 0.5, 0.5]
    assert F.iou(PRED, TARGET, num_classes=4, absent_score=1.0, reduction="none").tolist() == [1.0, 0.5, 0.5, 1.0]
    assert F.iou(PRED, TARGET, ignore_index=0) == 0.5
    assert F.iou(PRED, TARGET, reduction="sum") == 2.0


def test_dice_score_of_foreground_classes() -> None:
    scores = torch.eye(4)[PRED]
    # class 3 is never true
    assert dice_score(scores, TARGET, reduction="none").tolist() == pytest.approx([2 / 3, 2 / 3, 0])
    assert dice_score(scores, TARGET, bg=True, no_fg_score=1.0, reduction="none").tolist()[::3] == [1, 1]


def test_precision_and_recall_at_once() -> None:
    precision, recall = F.precision_recall(PRED, TARGET, class_reduction="none")
    assert (precision.tolist(), recall.tolist()) == ([1, 0.5, 1], [1, 1, 0.5])
    assert [float(x) for x in F.precision_recall(PRED, TARGET)] == [0.75, 0.75]


def test_stat_scores_of_several_classes() -> None:
    expected = [[1, 1, 1], [0, 1, 0], [3, 2, 2], [0, 0, 1], [1, 1, 2]]
    for pred in (PRED, torch.eye(3)[PRED]):
        assert [x.tolist() for x in F.stat_scores_multiple_classes(pred, TARGET)] == expected
    assert [float(x) for x in F.stat_scores_multiple_classes(PRED, TARGET, reduction="sum")] == [3, 1, 7, 1, 4]
