"""The extended edit distance: edits of characters, and jumps at blanks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.text._inputs import References, Texts, as_references
from lit_metrics.functional.text.error_rates import rate_value

Language: TypeAlias = Literal["en", "ja"]

# The rules of the paper's program. The dot after the titles stands for any character, so "Mr Smith" loses its S; kept,
# so that scores are comparable with published ones.
_ABBREVIATIONS = (
    (re.compile(r"(\d) ([.,]) (\d)"), r"\1\2\3"),
    (re.compile(r"(Dr|Jr|Prof|Rev|Gen|Mr|Mt|Mrs|Ms) ."), r"\1."),
    (re.compile(r"e \. g \."), "e.g."),
    (re.compile(r"i \. e \."), "i.e."),
    (re.compile(r"U \. S \."), "U.S."),
)


def require_eed_options(language: Any, **costs: Any) -> None:
    """Raises a `ValueError` unless the language is known and no cost is negative."""
    if language not in _PREPARE:
        raise ValueError(f"language must be one of {sorted(_PREPARE)}, got {language!r}")
    for name, cost in costs.items():
        if not isinstance(cost, (int, float)) or isinstance(cost, bool) or not cost >= 0:
            raise ValueError(f"{name} must be a number of at least 0, got {cost!r}")


def _english(text: str) -> str:
    text = re.sub(r"([.!?,])", r" \1", text.rstrip())
    text = re.sub(r"\s+", " ", text)
    for pattern, replacement in _ABBREVIATIONS:
        text = pattern.sub(replacement, text)
    return f" {text} "


def _japanese(text: str) -> str:
    return unicodedata.normalize("NFKC", text.rstrip())


_PREPARE: dict[str, Callable[[str], str]] = {"en": _english, "ja": _japanese}


def _sentence(pred: str, reference: str, alpha: float, rho: float, deletion: float, insertion: float) -> float:
    """Returns the distance of prepared strings, divided by the reference's length."""
    visits = [0] * (len(pred) + 1)
    row = [0.0] + [1.0] * len(pred)
    for wanted in reference:
        cost = row[0] + 1.0
        following, least, place = [cost], cost, 0
        before = row[0]
        for i, character in enumerate(pred, 1):
            above = row[i]
            cost = min(cost + deletion, before + (character != wanted), above + insertion)
            if cost < least:
                least, place = cost, i
            following.append(cost)
            before = above
        visits[place] += 1
        if wanted == " ":
            jump = alpha + least
            following = [min(cost, jump) for cost in following]
        row = following
    # A place visited again costs once for every visit but the first, one never visited costs one.
    coverage = rho * sum(count - 1 if count else 1 for count in visits)
    length = len(reference) + coverage
    return min(1.0, (row[-1] + coverage) / length) if length else 0.0


def extended_edit_state(
    preds: Any,
    target: Any,
    language: Language = "en",
    alpha: float = 2.0,
    rho: float = 0.3,
    deletion: float = 0.2,
    insertion: float = 1.0,
) -> Tensor:
    """Returns the distance of every sentence to its closest reference."""
    prepare = _PREPARE[language]
    scores = []
    for pred, references in zip(*as_references(preds, target), strict=True):
        mine = prepare(pred)
        costs = (alpha, rho, deletion, insertion)
        scores.append(min((_sentence(mine, prepare(r), *costs) for r in references), default=1.0))
    return torch.tensor(scores, dtype=torch.float64)


def extended_edit_distance(
    preds: Texts,
    target: References,
    language: Language = "en",
    return_sentence_level_score: bool = False,
    alpha: float = 2.0,
    rho: float = 0.3,
    deletion: float = 0.2,
    insertion: float = 1.0,
) -> Tensor | tuple[Tensor, Tensor]:
    """Extended edit distance, the mean over sentences: edits of characters, jumps between words, uneven coverage.

    Stanchev, Wang and Ney, "EED: Extended Edit Distance Measure for Machine Translation", 2019. Takes time in
    proportion to the product of the two lengths.

    Args:
        preds: A string or a list of strings.
        target: For each prediction a reference or a list of them; the closest counts.
        language: `"en"` sets punctuation apart from words, `"ja"` normalises characters to NFKC.
        return_sentence_level_score: Whether `(N,)` distances of the sentences are returned too.
        alpha: Cost of a jump, possible where the reference has a blank.
        rho: Cost of a character of the prediction visited again or never.
        deletion: Cost of a character too many.
        insertion: Cost of a character too few.

    Returns:
        Value in [0, 1], float64; nan for no sentences.

    Raises:
        TypeError: If the inputs are not strings.
        ValueError: If their numbers differ, or an option is out of range.

    Example:
        >>> from lit_metrics.functional import extended_edit_distance
        >>> extended_edit_distance(["this is the prediction"], [["this is the reference"]])
        tensor(0.3835, dtype=torch.float64)
    """
    require_eed_options(language, alpha=alpha, rho=rho, deletion=deletion, insertion=insertion)
    scores = extended_edit_state(preds, target, language, alpha, rho, deletion, insertion)
    mean = rate_value(scores.sum(), scores.numel())
    return (mean, scores) if return_sentence_level_score else mean
