"""What metrics of texts cost on small corpora."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import lit_metrics.functional as F
from tests.benchmarks.metrics_table import Case


def corpus(sentences: int, words: int) -> tuple[list[str], list[str]]:
    """Predictions and references of random words; every other prediction is its reference with a tenth changed."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(500)]
    target = [rng.choices(vocabulary, k=words) for _ in range(sentences)]
    preds = [
        [rng.choice(vocabulary) if i % 2 or rng.random() < 0.1 else word for word in line]
        for i, line in enumerate(target)
    ]
    return [" ".join(line) for line in preds], [" ".join(line) for line in target]


def cases(tm: Any, te: Any) -> list[Case]:
    """As many sentences as the slowest of all needs seconds for."""
    preds, target = corpus(200, 30)
    lists = [[line] for line in target]
    rows: list[tuple[str, int, bool, float | None]] = [
        ("word_error_rate", 200, False, 10.0),
        ("char_error_rate", 60, False, 10.0),
        ("edit_distance", 30, False, 10.0),
        ("match_error_rate", 200, False, None),
        ("bleu_score", 200, True, 10.0),
        ("sacre_bleu_score", 200, True, 10.0),
        ("chrf_score", 60, True, None),
        ("translation_edit_rate", 30, True, None),
        ("extended_edit_distance", 10, True, None),
    ]
    table = []
    for name, count, several, faster in rows:
        data = preds[:count], (lists if several else target)[:count]
        others = {"torchmetrics": partial(getattr(tm.functional.text, name), *data)} if tm else {}
        table.append(Case(f"{name}, {count} sentences", partial(getattr(F, name), *data), peers=others, faster=faster))
    return table
