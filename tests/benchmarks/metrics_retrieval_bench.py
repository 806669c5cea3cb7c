"""What metrics of ranked documents cost: one update and its value, for 2000 queries of 20."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

import lit_metrics as lm
from tests.benchmarks.metrics_table import Case


def value(metric: Any, data: tuple[torch.Tensor, ...]) -> Any:
    """Returns the value of one update."""
    metric.reset()
    metric.update(*data)
    return metric.compute()


def cases(tm: Any, te: Any) -> list[Case]:
    """Scores that all differ, and scores with many ties."""
    queries, documents = 2000, 20
    relevant = torch.randint(2, (queries * documents,))
    groups = torch.arange(queries).repeat_interleave(documents)
    scores = torch.rand(queries * documents)
    rows: list[tuple[str, dict[str, Any], float | None]] = [
        ("RetrievalMAP", {}, 20.0),
        ("RetrievalNormalizedDCG", {}, 20.0),
        ("RetrievalAUROC", {}, 20.0),
        ("RetrievalMRR", {}, None),
        ("RetrievalPrecision", {"top_k": 5}, None),
        ("RetrievalHitRate", {"top_k": 5}, None),
    ]
    table = []
    for name, options, faster in rows:
        for kind, preds in (("", scores), (", tied", (10 * scores).round())):
            data = (preds, relevant, groups)
            theirs = getattr(tm.retrieval, name)(**options) if tm and not kind else None
            others = {"torchmetrics": partial(value, theirs, data)} if theirs else {}
            ours = partial(value, getattr(lm, name)(**options), data)
            table.append(Case(f"{name}{kind}", ours, peers=others, faster=None if kind else faster))
    return table
