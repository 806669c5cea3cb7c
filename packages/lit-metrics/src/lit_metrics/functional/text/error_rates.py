"""Error rates of words and characters: word, character and match error rate, information lost and preserved."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lit_metrics.functional.text._inputs import Texts, as_pairs
from lit_metrics.functional.text._levenshtein import distance_and_hits, levenshtein


def error_rate_state(preds: Any, target: Any, unit: Literal["word", "char"]) -> dict[str, Tensor | int]:
    """Returns the number of edits that turn the predictions into the references, and the length of the references."""
    errors = total = 0
    for pred, truth in zip(*as_pairs(preds, target), strict=True):
        a, b = (pred.split(), truth.split()) if unit == "word" else (pred, truth)
        errors += levenshtein(a, b)
        total += len(b)
    return {"errors": errors, "total": total}


def alignment_state(preds: Any, target: Any) -> dict[str, Tensor | int]:
    """Returns counts of words over best alignments: edits, hits, and words of predictions and references."""
    errors = hits = preds_total = target_total = 0
    for pred, truth in zip(*as_pairs(preds, target), strict=True):
        a, b = pred.split(), truth.split()
        distance, kept = distance_and_hits(b, a)
        errors, hits = errors + distance, hits + kept
        preds_total, target_total = preds_total + len(a), target_total + len(b)
    return {"errors": errors, "hits": hits, "preds_total": preds_total, "target_total": target_total}


def rate_value(count: Tensor | int, total: Tensor | int) -> Tensor:
    """Returns `count / total` in float64; nan for 0 / 0."""
    return torch.as_tensor(count, dtype=torch.float64) / total


def preserved_value(hits: Tensor | int, preds_total: Tensor | int, target_total: Tensor | int) -> Tensor:
    """Returns the share of words kept, of the predictions' times of the references'; nan where one has no words."""
    return rate_value(hits, preds_total) * rate_value(hits, target_total)


def word_error_rate(preds: Texts, target: Texts) -> Tensor:
    """Word error rate: `(substitutions + deletions + insertions) / words of the references`, over the whole corpus.

    Words are what white space separates; nothing is lowercased or stripped of punctuation.

    Args:
        preds: A string or a list of strings.
        target: As many references.

    Returns:
        Value in [0, inf), float64; above 1 if more is inserted than the references hold; inf if only the predictions
        have words, nan if nothing has.

    Raises:
        TypeError: If the inputs are not strings.
        ValueError: If their numbers differ.

    Example:
        >>> from lit_metrics.functional import word_error_rate
        >>> word_error_rate(["this is the answer", "yes"], ["this is an answer", "oh yes"])
        tensor(0.3333, dtype=torch.float64)
    """
    state = error_rate_state(preds, target, "word")
    return rate_value(state["errors"], state["total"])


def char_error_rate(preds: Texts, target: Texts) -> Tensor:
    """Character error rate: `word_error_rate` with characters, white space included, in place of words.

    Arguments: see `word_error_rate`.

    Example:
        >>> from lit_metrics.functional import char_error_rate
        >>> char_error_rate(["rain"], ["shine"])
        tensor(0.6000, dtype=torch.float64)
    """
    state = error_rate_state(preds, target, "char")
    return rate_value(state["errors"], state["total"])


def match_error_rate(preds: Texts, target: Texts) -> Tensor:
    """Match error rate: `edits / (edits + hits)`, the share of an alignment's columns that are wrong.

    Morris, Maier and Green, "From WER and RIL to MER and WIL", 2004. The alignment is that of `jiwer`; torchmetrics
    takes the longer text's length for the columns, which is too few where words are both deleted and inserted.

    Arguments: see `word_error_rate`.

    Returns:
        Value in [0, 1], float64; nan if there are no words.

    Example:
        >>> from lit_metrics.functional import match_error_rate
        >>> match_error_rate("b c d e", "a b c d")
        tensor(0.4000, dtype=torch.float64)
    """
    state = alignment_state(preds, target)
    return rate_value(state["errors"], state["errors"] + state["hits"])


def word_information_preserved(preds: Texts, target: Texts) -> Tensor:
    """Word information preserved: `(hits / words of the predictions) * (hits / words of the references)`.

    Source and alignment as for `match_error_rate`, and so the difference from torchmetrics.

    Arguments: see `word_error_rate`.

    Returns:
        Value in [0, 1], float64; nan if either side has no words.

    Example:
        >>> from lit_metrics.functional import word_information_preserved
        >>> word_information_preserved("b c d e", "a b c d")
        tensor(0.5625, dtype=torch.float64)
    """
    state = alignment_state(preds, target)
    return preserved_value(state["hits"], state["preds_total"], state["target_total"])


def word_information_lost(preds: Texts, target: Texts) -> Tensor:
    """Word information lost: one less `word_information_preserved`.

    Arguments: see `word_error_rate`.

    Example:
        >>> from lit_metrics.functional import word_information_lost
        >>> word_information_lost("b c d e", "a b c d")
        tensor(0.4375, dtype=torch.float64)
    """
    return 1 - word_information_preserved(preds, target)
