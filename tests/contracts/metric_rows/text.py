"""Rows of the text metrics; the references are written the plain way, one sentence at a time."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

import lit_metrics as lm
from tests.contracts.metric_rows.row import ORDERED, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

WORDS = ("the", "cat", "sat", "on", "mat", "dog.", "ran")


def sentence(g: torch.Generator) -> str:
    size = int(torch.randint(3, 9, (), generator=g))
    return " ".join(WORDS[i] for i in torch.randint(len(WORDS), (size,), generator=g).tolist())


def pairs(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return [sentence(g) for _ in range(n)], [sentence(g) for _ in range(n)]


def with_references(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return [sentence(g) for _ in range(n)], [[sentence(g) for _ in range(1 + i % 3)] for i in range(n)]


def questions(g: torch.Generator, n: int) -> tuple[Any, ...]:
    ids = torch.randint(10**9, (n,), generator=g).tolist()
    preds = [{"prediction_text": sentence(g), "id": i} for i in ids]
    return preds, [{"answers": {"text": [p["prediction_text"][4:], sentence(g)]}, "id": p["id"]} for p in preds]


def tokens(g: torch.Generator, n: int) -> tuple[Any, ...]:
    return torch.randn(n, 3, 5, generator=g), torch.randint(5, (n, 3), generator=g)


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (x != y))
    return row[-1]


def word_errors(preds: list[str], target: list[str]) -> float:
    edits = sum(levenshtein(p.split(), t.split()) for p, t in zip(preds, target, strict=True))
    return edits / sum(len(t.split()) for t in target)


def char_errors(preds: list[str], target: list[str]) -> float:
    return sum(map(levenshtein, preds, target)) / sum(map(len, target))


def mean_distance(preds: list[str], target: list[str]) -> float:
    return sum(map(levenshtein, preds, target)) / len(preds)


def grams(symbols: Sequence[Hashable], n: int) -> Counter[Hashable]:
    return Counter(tuple(symbols[i : i + n]) for i in range(len(symbols) - n + 1))


def bleu(split: Callable[[str], list[str]], order: int) -> Callable[..., float]:
    def reference(preds: list[str], target: list[list[str]]) -> float:
        log, mine, theirs = 0.0, 0, 0
        cut = [(split(p), [split(r) for r in t]) for p, t in zip(preds, target, strict=True)]
        for n in range(1, order + 1):
            hits = sum(min(c, max(grams(r, n)[x] for r in rs)) for p, rs in cut for x, c in grams(p, n).items())
            log += math.log(hits / sum(len(p) - n + 1 for p, _ in cut)) / order
        for p, rs in cut:
            mine += len(p)
            theirs += sorted(map(len, rs), key=lambda length: (abs(length - len(p)), length))[0]
        return math.exp(log) * min(1.0, math.exp(1 - theirs / mine))

    return reference


def split_periods(text: str) -> list[str]:
    return text.replace(".", " .").split()


def rouge2(preds: list[str], target: list[list[str]]) -> dict[str, float]:
    total = [0.0, 0.0, 0.0]
    for p, references in zip(preds, target, strict=True):
        best = (0.0, 0.0, 0.0)
        for r in references:
            a, b = (grams(text.replace(".", "").split(), 2) for text in (p, r))
            both = (a & b).total()
            if both:
                precision, recall = both / a.total(), both / b.total()
                best = max(best, (2 * precision * recall / (precision + recall), precision, recall))
        total = [x + y for x, y in zip(total, best, strict=True)]
    names = ("rouge2_fmeasure", "rouge2_precision", "rouge2_recall")
    return {name: value / len(preds) for name, value in zip(names, total, strict=True)}


def answers(preds: list[dict[str, Any]], target: list[dict[str, Any]]) -> dict[str, float]:
    exact = f1 = 0.0
    for p, t in zip(preds, target, strict=True):
        cut = [
            text.replace(".", "").replace("the ", " ").split() for text in [p["prediction_text"], *t["answers"]["text"]]
        ]
        cut = [[word for word in words if word != "the"] for words in cut]
        exact += cut[0] in cut[1:]
        f1 += max(2 * (Counter(cut[0]) & Counter(c)).total() / max(1, len(cut[0]) + len(c)) for c in cut[1:])
    return {"exact_match": 100 * exact / len(preds), "f1": 100 * f1 / len(preds)}


def perplexity(preds: torch.Tensor, target: torch.Tensor) -> float:
    loss = torch.nn.functional.cross_entropy(preds.double().flatten(0, 1), target.flatten())
    return math.exp(loss)


ROWS: dict[str, Row] = {
    "BLEUScore": Row(lambda: lm.BLEUScore(n_gram=2), with_references, bleu(str.split, 2)),
    "CHRFScore": Row(lm.CHRFScore, with_references),
    "CHRFScore(sentences)": Row(lambda: lm.CHRFScore(return_sentence_level_score=True), with_references, None, ORDERED),
    "CharErrorRate": Row(lm.CharErrorRate, pairs, char_errors),
    "EditDistance": Row(lm.EditDistance, pairs, mean_distance),
    "EditDistance(none)": Row(
        lambda: lm.EditDistance(reduction="none"), pairs, lambda p, t: list(map(levenshtein, p, t)), ORDERED
    ),
    "ExtendedEditDistance": Row(lm.ExtendedEditDistance, with_references),
    "MatchErrorRate": Row(lm.MatchErrorRate, pairs),
    "Perplexity": Row(lm.Perplexity, tokens, perplexity),
    "ROUGEScore": Row(lambda: lm.ROUGEScore(rouge_keys="rouge2"), with_references, rouge2),
    "SQuAD": Row(lm.SQuAD, questions, answers),
    "SacreBLEUScore": Row(lambda: lm.SacreBLEUScore(n_gram=2), with_references, bleu(split_periods, 2)),
    "TranslationEditRate": Row(lm.TranslationEditRate, with_references),
    "WordErrorRate": Row(lm.WordErrorRate, pairs, word_errors),
    "WordInfoLost": Row(lm.WordInfoLost, pairs),
    "WordInfoPreserved": Row(lm.WordInfoPreserved, pairs),
}

ROWS["Perplexity"].bad = lambda p, t: [(p, t + p.shape[-1]), (p, t - 1000)]
