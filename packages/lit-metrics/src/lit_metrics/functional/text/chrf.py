"""The character n-gram F-score, chrF and chrF++."""

from __future__ import annotations

import string
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text._inputs import References, Texts, as_references
from lit_metrics.functional.text._ngrams import common_ngrams, count_ngrams

_PUNCTUATION = frozenset(string.punctuation)


def require_chrf_options(n_char_order: Any, n_word_order: Any, beta: Any) -> None:
    """Raises a `ValueError` unless the orders and the weight of recall are in range."""
    for name, order, least in (("n_char_order", n_char_order, 1), ("n_word_order", n_word_order, 0)):
        if not isinstance(order, int) or isinstance(order, bool) or order < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {order!r}")
    if not isinstance(beta, (int, float)) or beta < 0:
        raise ValueError(f"beta must be a number of at least 0, got {beta!r}")


def chrf_state(
    preds: Any,
    target: Any,
    n_char_order: int = 6,
    n_word_order: int = 2,
    beta: float = 2.0,
    lowercase: bool = False,
    whitespace: bool = False,
) -> dict[str, Tensor]:
    """Returns the counts of every sentence, `(N, 3, orders)`: n-grams predicted, wanted, and in both.

    Of several references the one with the best score counts.
    """
    orders = (n_char_order, n_word_order, lowercase, whitespace)
    rows = []
    for pred, references in zip(*as_references(preds, target), strict=True):
        mine = _ngrams(pred, *orders)
        size = [sum(counts.values()) for counts in mine]
        best: tuple[float, list[list[int]]] = (-1.0, [size, [0] * len(size), [0] * len(size)])
        for reference in references:
            theirs = _ngrams(reference, *orders)
            wanted = [sum(counts.values()) for counts in theirs]
            both = [common_ngrams(a, b) for a, b in zip(mine, theirs, strict=True)]
            score = _plain_score(size, wanted, both, beta)
            if score > best[0]:
                best = (score, [size, wanted, both])
        rows.append(best[1])
    return {"counts": torch.tensor(rows, dtype=torch.long).reshape(len(rows), 3, n_char_order + n_word_order)}


def _ngrams(
    text: str, n_char_order: int, n_word_order: int, lowercase: bool, whitespace: bool
) -> list[Mapping[Hashable, int]]:
    if lowercase:
        text = text.lower()
    pieces = text.split()
    characters = text if whitespace else "".join(pieces)
    words = [part for piece in pieces for part in _without_punctuation(piece)] if n_word_order else []
    return [count_ngrams(characters, n) for n in range(1, n_char_order + 1)] + [
        count_ngrams(words, n) for n in range(1, n_word_order + 1)
    ]


def _without_punctuation(word: str) -> tuple[str, ...]:
    if len(word) > 1 and word[-1] in _PUNCTUATION:
        return word[:-1], word[-1]
    if len(word) > 1 and word[0] in _PUNCTUATION:
        return word[0], word[1:]
    return (word,)


def _plain_score(size: list[int], wanted: list[int], both: list[int], beta: float) -> float:
    weight = beta * beta
    scores = [(1 + weight) * m / (weight * w + s) for s, w, m in zip(size, wanted, both, strict=True) if m]
    return sum(scores) / len(size)


def chrf_value(counts: Tensor, beta: float = 2.0) -> Tensor:
    """Returns the scores of counts `(..., 3, orders)`; nan where neither side has an n-gram."""
    preds, target, both = counts.double().unbind(-2)
    weight = beta * beta
    scores = torch.where(both > 0, (1 + weight) * both / (weight * target + preds), 0.0)
    return torch.where((preds + target).sum(-1) == 0, torch.nan, scores.mean(-1))


def chrf_score(
    preds: Texts,
    target: References,
    n_char_order: int = 6,
    n_word_order: int = 2,
    beta: float = 2.0,
    lowercase: bool = False,
    whitespace: bool = False,
    return_sentence_level_score: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Character n-gram F-score of a corpus: the mean over orders of `(1 + b^2) P R / (b^2 P + R)`.

    `P` and `R` are the shares of the predictions' and references' n-grams that the other has. chrF takes characters
    alone (`n_word_order=0`), chrF++ pairs of words too. Popovic, "chrF: character n-gram F-score", 2015, and "chrF++:
    words helping character n-grams", 2017. Equals sacreBLEU with `eps_smoothing=True`, divided by 100, but that
    n-grams too long for their reference count as wrong, as in Popovic's program.

    Args:
        preds: A string or a list of strings.
        target: For each prediction a reference or a list of them; the best one counts.
        n_char_order: Longest n-gram of characters.
        n_word_order: Longest n-gram of words; 0 for none.
        beta: How many times recall weighs as much as precision.
        lowercase: Whether case is ignored.
        whitespace: Whether white space belongs to the characters.
        return_sentence_level_score: Whether `(N,)` scores of the sentences are returned too.

    Returns:
        Value in [0, 1], float64; nan without any text.

    Raises:
        TypeError: If the inputs are not strings.
        ValueError: If their numbers differ, or an option is out of range.

    Example:
        >>> from lit_metrics.functional import chrf_score
        >>> chrf_score(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]])
        tensor(0.8640, dtype=torch.float64)
    """
    require_chrf_options(n_char_order, n_word_order, beta)
    counts = chrf_state(preds, target, n_char_order, n_word_order, beta, lowercase, whitespace)["counts"]
    corpus = chrf_value(counts.sum(0), beta)
    return (corpus, chrf_value(counts, beta)) if return_sentence_level_score else corpus
