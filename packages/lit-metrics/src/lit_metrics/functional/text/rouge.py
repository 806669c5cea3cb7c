"""ROUGE: shares of n-grams and subsequences of words that a summary and its references have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.text._inputs import as_references
from lit_metrics.functional.text._levenshtein import common_subsequence, subsequence_members
from lit_metrics.functional.text._ngrams import common_ngrams, count_ngrams

Accumulate: TypeAlias = Literal["avg", "best"]
Scores: TypeAlias = tuple[float, float, float]
Words: TypeAlias = Sequence[str]

ROUGE_KEYS = (*(f"rouge{n}" for n in range(1, 10)), "rougeL", "rougeLsum")
DEFAULT_KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_PARTS = ("fmeasure", "precision", "recall")
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class RougeWords:
    """Cuts texts into what is compared, and scores pairs of them.

    Args:
        rouge_keys: One of `rouge1` to `rouge9`, `rougeL` and `rougeLsum`, or several.
        accumulate: Whether the best of several references counts, for each key, or their mean.
        use_stemmer: Whether words of more than three letters lose their endings; needs the package nltk.
        normalizer: Makes a text comparable; `None` lowercases and keeps letters a to z and digits.
        tokenizer: Cuts a comparable text into words; `None` splits at white space.

    Raises:
        ValueError: If a key or `accumulate` is unknown.
        ModuleNotFoundError: If the stemmer is wanted and nltk is missing.
    """

    def __init__(
        self,
        rouge_keys: str | Sequence[str] = DEFAULT_KEYS,
        accumulate: Accumulate = "best",
        use_stemmer: bool = False,
        normalizer: Callable[[str], str] | None = None,
        tokenizer: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self.keys: tuple[str, ...] = (rouge_keys,) if isinstance(rouge_keys, str) else tuple(rouge_keys)
        if not self.keys or set(self.keys) - set(ROUGE_KEYS):
            raise ValueError(f"rouge_keys must be among {ROUGE_KEYS}, got {rouge_keys!r}")
        if accumulate not in ("avg", "best"):
            raise ValueError(f"accumulate must be 'avg' or 'best', got {accumulate!r}")
        self.accumulate = accumulate
        self.normalizer, self.tokenizer = normalizer, tokenizer
        self.stemmer = _porter_stemmer() if use_stemmer else None

    def state(self, preds: Any, target: Any) -> dict[str, Tensor | int]:
        """Returns the sums of F-measure, precision and recall, `(keys, 3)`, and the number of texts."""
        total = torch.zeros(len(self.keys), 3, dtype=torch.float64)
        texts, references = as_references(preds, target)
        for pred, entry in zip(texts, references, strict=True):
            if not entry:
                raise ValueError("target must hold a reference for every prediction, got an empty list")
            scores = [self._scores(pred, reference) for reference in entry]
            for k, of_key in enumerate(zip(*scores, strict=True)):
                total[k] += torch.tensor(self._accumulated(of_key), dtype=torch.float64)
        return {"scores": total, "total": len(texts)}

    def _accumulated(self, scores: Sequence[Scores]) -> Sequence[float]:
        if self.accumulate == "best":
            return max(scores, key=lambda score: score[0])
        return [sum(part) / len(scores) for part in zip(*scores, strict=True)]

    def _scores(self, pred: str, reference: str) -> list[Scores]:
        mine, theirs = self._words(pred), self._words(reference)
        return [self._score(key, pred, reference, mine, theirs) for key in self.keys]

    def _score(self, key: str, pred: str, reference: str, mine: Words, theirs: Words) -> Scores:
        if key == "rougeL":
            return _f_score(common_subsequence(mine, theirs), len(mine), len(theirs))
        if key == "rougeLsum":
            return _summary_score(
                [self._words(s) for s in sentences(pred)], [self._words(s) for s in sentences(reference)]
            )
        n = int(key[len("rouge") :])
        both = common_ngrams(count_ngrams(mine, n), count_ngrams(theirs, n))
        return _f_score(both, max(0, len(mine) - n + 1), max(0, len(theirs) - n + 1))

    def _words(self, text: str) -> Words:
        text = _NOT_WORD.sub(" ", text.lower()) if self.normalizer is None else self.normalizer(text)
        words = text.split() if self.tokenizer is None else self.tokenizer(text)
        if self.stemmer is not None:
            words = [self.stemmer(word) if len(word) > 3 else word for word in words]
        return [word for word in words if word]


def sentences(text: str) -> list[str]:
    """Returns the sentences: the lines; without a line break, what ends in `.`, `!` or `?` before a blank."""
    return text.split("\n") if "\n" in text else _SENTENCE_END.split(text)


def _summary_score(pred: list[Words], reference: list[Words]) -> Scores:
    left_pred = Counter(word for sentence in pred for word in sentence)
    left_reference = Counter(word for sentence in reference for word in sentence)
    sizes = left_pred.total(), left_reference.total()
    hits = 0
    for sentence in reference:
        members = sorted({i for other in pred for i in subsequence_members(sentence, other)})
        for word in (sentence[i] for i in members):
            if left_pred[word] > 0 and left_reference[word] > 0:  # no word counts twice
                hits += 1
                left_pred[word] -= 1
                left_reference[word] -= 1
    return _f_score(hits, *sizes)


def _f_score(hits: int, pred_size: int, reference_size: int) -> Scores:
    if not hits:
        return 0.0, 0.0, 0.0
    precision, recall = hits / pred_size, hits / reference_size
    return 2 * precision * recall / (precision + recall), precision, recall


def _porter_stemmer() -> Callable[[str], str]:
    try:
        porter = import_module("nltk.stem.porter")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("use_stemmer=True needs the package nltk: pip install nltk") from error
    stem: Callable[[str], str] = porter.PorterStemmer().stem
    return stem


def rouge_value(scores: Tensor, total: Tensor | int, keys: Sequence[str]) -> dict[str, Tensor]:
    """Returns the mean F-measure, precision and recall of every key; nan without texts."""
    means = scores / total
    return {f"{key}_{part}": means[k, p] for k, key in enumerate(keys) for p, part in enumerate(_PARTS)}


def rouge_score(
    preds: str | Sequence[str],
    target: str | Sequence[str] | Sequence[Sequence[str]],
    accumulate: Accumulate = "best",
    use_stemmer: bool = False,
    normalizer: Callable[[str], str] | None = None,
    tokenizer: Callable[[str], Sequence[str]] | None = None,
    rouge_keys: str | tuple[str, ...] = DEFAULT_KEYS,
) -> dict[str, Tensor]:
    """ROUGE, the mean over texts of the precision, recall and F-measure of n-grams and subsequences in common.

    `rouge<n>` counts n-grams, `rougeL` the words of a longest common subsequence, `rougeLsum` those of the union of
    such subsequences between each sentence of the reference and all of the prediction. Lin, "ROUGE: A Package for
    Automatic Evaluation of Summaries", 2004. Equals the package `rouge-score`; of several references
    the best is found for each key, as by its `score_multi`.

    Args:
        preds: A string or a list of strings; sentences are lines; without a line break, they end
            in `.`, `!` or `?`.
        target: For each prediction a reference or a list of them.
        accumulate: `"best"` of several references, by F-measure, or the `"avg"`.
        use_stemmer: Whether words lose their endings by Porter's rules; needs nltk.
        normalizer: Makes a text comparable; `None` lowercases and keeps letters a to z and digits.
        tokenizer: Cuts a comparable text into words; `None` splits at white space.
        rouge_keys: One key or several of `rouge1` to `rouge9`, `rougeL`, `rougeLsum`.

    Returns:
        `<key>_fmeasure`, `<key>_precision` and `<key>_recall` for each key, in [0, 1], float64; nan without texts.

    Raises:
        TypeError: If the inputs are not strings.
        ValueError: If their numbers differ, a prediction has no reference, or an option is unknown.
        ModuleNotFoundError: If the stemmer is wanted and nltk is missing.

    Example:
        >>> from lit_metrics.functional import rouge_score
        >>> rouge_score("Is your name John", "My name is John", rouge_keys="rougeL")["rougeL_fmeasure"]
        tensor(0.5000, dtype=torch.float64)
    """
    words = RougeWords(rouge_keys, accumulate, use_stemmer, normalizer, tokenizer)
    state: dict[str, Any] = words.state(preds, target)
    return rouge_value(state["scores"], state["total"], words.keys)
