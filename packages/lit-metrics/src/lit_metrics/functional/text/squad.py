"""The scores of SQuAD: exact match and F1 of answers."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.text._ngrams import common_ngrams, count_ngrams

Answers: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_state(preds: Any, target: Any) -> dict[str, Tensor | int]:
    """Returns the sums of exact matches and F1 over questions, and their number."""
    answers: dict[Any, str] = {}
    for entry in _entries(preds, "preds", ("prediction_text", "id")):
        if not isinstance(entry["prediction_text"], str):
            raise TypeError(f"preds must hold a string as prediction_text, got {entry['prediction_text']!r}")
        answers[entry["id"]] = entry["prediction_text"]
    exact = total = 0
    f1 = 0.0
    for entry in _entries(target, "target", ("answers", "id")):
        total += 1
        right = entry["answers"]["text"] if isinstance(entry["answers"], Mapping) else None
        if isinstance(right, str) or not isinstance(right, Sequence) or not all(isinstance(t, str) for t in right):
            raise TypeError(f"target must hold a list of strings as answers['text'], got {entry['answers']!r}")
        if entry["id"] in answers and right:
            words = _words(answers[entry["id"]])
            wanted = [_words(text) for text in right]
            exact += words in wanted
            f1 += max(_f1(words, other) for other in wanted)
    return {"exact_match": exact, "f1_score": torch.tensor(f1, dtype=torch.float64), "total": total}


def _entries(value: Any, name: str, keys: tuple[str, str]) -> Sequence[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a dictionary or a list of dictionaries, got {type(value).__name__}")
    for entry in value:
        if not isinstance(entry, Mapping) or not all(key in entry for key in keys):
            raise TypeError(f"{name} must hold dictionaries with the keys {keys}, got {entry!r}")
    return value


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _f1(a: list[str], b: list[str]) -> float:
    if not a or not b:
        return float(a == b)
    return 2 * common_ngrams(count_ngrams(a, 1), count_ngrams(b, 1)) / (len(a) + len(b))


def squad_value(exact_match: Tensor | int, f1_score: Tensor, total: Tensor | int) -> dict[str, Tensor]:
    """Returns both scores in percent; nan without questions."""
    count = torch.as_tensor(total, dtype=torch.float64)
    return {"exact_match": 100 * exact_match / count, "f1": 100 * f1_score / count}


def squad(preds: Answers, target: Answers) -> dict[str, Tensor]:
    """Scores of the Stanford question answering dataset, version 1.1: exact match and F1 of words, in percent.

    Case, punctuation and articles are left out; of several right answers the closest counts. Rajpurkar et al., "SQuAD:
    100,000+ Questions for Machine Comprehension of Text", 2016, and its evaluation program.

    Args:
        preds: `{"prediction_text": str, "id": ...}`, or a list of them.
        target: `{"answers": {"text": [str, ...], ...}, "id": ...}`, or a list of them, in any order; a question without
            a prediction of its `id` scores 0.

    Returns:
        `"exact_match"` and `"f1"`, in [0, 100], float64; nan without questions.

    Raises:
        TypeError: If an entry has not this form.

    Example:
        >>> from lit_metrics.functional import squad
        >>> squad(
        ...     [{"prediction_text": "in 1976", "id": "a"}],
        ...     [{"answers": {"answer_start": [97], "text": ["1976", "the year 1976"]}, "id": "a"}],
        ... )
        {'exact_match': tensor(0., dtype=torch.float64), 'f1': tensor(66.6667, dtype=torch.float64)}
    """
    state: dict[str, Any] = squad_state(preds, target)
    return squad_value(**state)
