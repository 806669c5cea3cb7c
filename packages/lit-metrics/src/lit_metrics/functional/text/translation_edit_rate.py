"""Translation edit rate: edits and shifts of phrases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text._inputs import References, Texts, as_references
from lit_metrics.functional.text._levenshtein import EditTable, levenshtein
from lit_metrics.functional.text._tokenizers import PUNCTUATION, space_punctuation, unescape

# The limits of the reference program.
_MAX_SHIFT_SIZE = 10
_MAX_SHIFT_DISTANCE = 50
_MAX_CANDIDATES = 1000

_POSSESSIVE = re.compile(r"'s( |$)")
_PUNCTUATION = re.compile(r'[.,?:;!"()]')
_ASIAN_PUNCTUATION = re.compile("[\u3001\u3002\u3008-\u3011\u3014-\u301f\uff61-\uff65\u30fb]")
_WIDE_PUNCTUATION = re.compile("[\uff0e\uff0c\uff1f\uff1a\uff1b\uff01\uff02\uff08\uff09]")
_IDEOGRAPHS = re.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\u31c0-\u31ef\u2e80-\u2eff\u3300-\u33ff\uf900-\ufaff\ufe30-\ufe4f])"
)
_ENCLOSED = re.compile("([\u3200-\u3f22])")


def translation_words(
    text: str,
    normalize: bool = False,
    no_punctuation: bool = False,
    lowercase: bool = True,
    asian_support: bool = False,
) -> list[str]:
    """Returns the words that are compared."""
    if lowercase:
        text = text.lower()
    if normalize:
        joined = text.replace("\n-", "").replace("\n", " ")
        text = PUNCTUATION.sub(r" \1 ", f" {unescape(joined)} ")
        text = space_punctuation(_POSSESSIVE.sub(r" 's ", text))
        if asian_support:
            for pattern in (_IDEOGRAPHS, _ENCLOSED, _ASIAN_PUNCTUATION, _WIDE_PUNCTUATION):
                text = pattern.sub(r" \g<0> ", text)
    if no_punctuation:
        text = _PUNCTUATION.sub("", text)
        if asian_support:
            text = _WIDE_PUNCTUATION.sub("", _ASIAN_PUNCTUATION.sub("", text))
    return text.split()


def translation_edits(pred: list[str], reference: list[str]) -> int:
    """Returns the least number of edits found: single words inserted, deleted or replaced, and phrases moved.

    Finding the true minimum is NP-hard; shifts are chosen greedily, by the rules of the program tercom.
    """
    if not reference:
        return len(pred)
    shifts = checked = 0
    while True:
        gain, moved, tried = _best_shift(pred, reference, _MAX_CANDIDATES - checked)
        checked += tried
        if gain <= 0 or checked >= _MAX_CANDIDATES:
            return shifts + levenshtein(pred, reference)
        shifts, pred = shifts + 1, moved


def _best_shift(pred: list[str], reference: list[str], budget: int) -> tuple[int, list[str], int]:
    """Returns how many edits the best shift saves, the words after it, and how many were tried."""
    before = levenshtein(pred, reference)
    if not before:
        return 0, pred, 0
    aligned, pred_wrong, reference_wrong = _alignment(pred, reference)
    best: tuple[int, int, int, int, list[str]] = (0, 0, 0, 0, pred)
    tried = 0
    for start, place, length in _common_phrases(pred, reference):
        if not any(pred_wrong[start : start + length]) or not any(reference_wrong[place : place + length]):
            continue
        if start <= aligned[place] < start + length:
            continue
        targets: list[int] = []
        for offset in range(place - 1, place + length):
            target = aligned[offset] + 1 if offset >= 0 else 0
            if targets and targets[-1] == target:
                continue
            targets.append(target)
            moved = _shifted(pred, start, length, target)
            tried += 1
            candidate = (before - levenshtein(moved, reference), length, -start, -target, moved)
            if tried == 1 or candidate > best:
                best = candidate
        if tried >= budget:
            break
    return best[0], best[4], tried


def _alignment(pred: list[str], reference: list[str]) -> tuple[list[int], list[bool], list[bool]]:
    """Returns for each word of the reference its (or the last earlier) place in `pred`, and which words are wrong."""
    table = EditTable(pred, reference)
    i, j = len(pred), len(reference)
    aligned = [-1] * j
    pred_wrong, reference_wrong = [True] * i, [True] * j
    while i or j:
        here = table.distance(i, j)
        right = bool(i and j and pred[i - 1] == reference[j - 1])
        if i and j and table.distance(i - 1, j - 1) + (not right) == here:
            i, j = i - 1, j - 1
            pred_wrong[i] = reference_wrong[j] = not right
            aligned[j] = i
        elif i and table.distance(i - 1, j) + 1 == here:
            i -= 1
        else:
            j -= 1
            aligned[j] = i - 1
    return aligned, pred_wrong, reference_wrong


def _common_phrases(pred: list[str], reference: list[str]) -> Iterator[tuple[int, int, int]]:
    where: dict[str, list[int]] = {}
    for place, word in enumerate(reference):
        where.setdefault(word, []).append(place)
    for start, word in enumerate(pred):
        for place in where.get(word, ()):
            if abs(place - start) > _MAX_SHIFT_DISTANCE:
                continue
            longest = min(_MAX_SHIFT_SIZE, len(pred) - start, len(reference) - place)
            for length in range(1, longest + 1):
                if pred[start + length - 1] != reference[place + length - 1]:
                    break
                yield start, place, length


def _shifted(words: list[str], start: int, length: int, target: int) -> list[str]:
    """Returns the words with a phrase moved before `target`; inside itself, that far to the right."""
    end = start + length
    phrase = words[start:end]
    if target < start:
        return words[:target] + phrase + words[target:start] + words[end:]
    stop = target if target > end else length + target
    return words[:start] + words[end:stop] + phrase + words[max(stop, end) :]


def translation_edit_state(
    preds: Any,
    target: Any,
    normalize: bool = False,
    no_punctuation: bool = False,
    lowercase: bool = True,
    asian_support: bool = False,
) -> dict[str, Tensor]:
    """Returns for every sentence the edits to its closest reference, and the mean length of its references."""
    options = (normalize, no_punctuation, lowercase, asian_support)
    edits, lengths = [], []
    for pred, references in zip(*as_references(preds, target), strict=True):
        words = translation_words(pred, *options)
        others = [translation_words(reference, *options) for reference in references]
        edits.append(min((translation_edits(words, other) for other in others), default=len(words)))
        lengths.append(sum(map(len, others)) / len(others) if others else 0.0)
    return {"edits": torch.tensor(edits, dtype=torch.long), "lengths": torch.tensor(lengths, dtype=torch.float64)}


def translation_edit_value(edits: Tensor, lengths: Tensor) -> Tensor:
    """Returns edits per reference word; 1 if only the predictions have words, nan if nothing has."""
    rate = edits / lengths
    return torch.where((lengths == 0) & (edits > 0), 1.0, rate)


def translation_edit_rate(
    preds: Texts,
    target: References,
    normalize: bool = False,
    no_punctuation: bool = False,
    lowercase: bool = True,
    asian_support: bool = False,
    return_sentence_level_score: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Translation edit rate of a corpus: edits to the closest reference per word of the references.

    An edit is a word inserted, deleted or replaced, or a phrase moved. Snover et al., "A Study of Translation Edit Rate
    with Targeted Human Annotation", 2006; shifts and tokens are those of sacreBLEU's TER, the distance between words is
    exact where that one searches a beam.

    Args:
        preds: A string or a list of strings.
        target: For each prediction a reference or a list of them; with several, their mean length is divided by.
        normalize: Whether tercom's tokens are made, else words are what white space separates.
        no_punctuation: Whether punctuation is removed.
        lowercase: Whether case is ignored.
        asian_support: Whether ideographs are words, and Asian punctuation counts as such.
        return_sentence_level_score: Whether `(N,)` rates of the sentences are returned too.

    Returns:
        Value in [0, inf), float64; 1 if only the predictions have words, nan if nothing has.

    Raises:
        TypeError: If the inputs are not strings.
        ValueError: If their numbers differ.

    Example:
        >>> from lit_metrics.functional import translation_edit_rate
        >>> translation_edit_rate(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]])
        tensor(0.1538, dtype=torch.float64)
    """
    state = translation_edit_state(preds, target, normalize, no_punctuation, lowercase, asian_support)
    corpus = translation_edit_value(state["edits"].sum(), state["lengths"].sum())
    return (corpus, translation_edit_value(state["edits"], state["lengths"])) if return_sentence_level_score else corpus
