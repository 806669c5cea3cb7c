"""BLEU, on words as they are and on sacreBLEU's tokens."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lit_metrics.functional.text._inputs import References, Texts, as_references
from lit_metrics.functional.text._ngrams import common_ngrams, count_ngrams
from lit_metrics.functional.text._tokenizers import TOKENIZERS, Tokenize

Tokens: TypeAlias = Sequence[str]


def require_bleu_options(n_gram: Any, weights: Sequence[float] | None, tokenize: Any = "none") -> list[float]:
    """Returns the weights of the orders.

    Raises:
        ValueError: If the order, the weights or the tokenizer's name is out of range.
    """
    if not isinstance(n_gram, int) or isinstance(n_gram, bool) or n_gram < 1:
        raise ValueError(f"n_gram must be a positive integer, got {n_gram!r}")
    if weights is not None and len(weights) != n_gram:
        raise ValueError(f"weights must hold one weight for each of n_gram={n_gram} orders, got {len(weights)}")
    if tokenize not in TOKENIZERS:
        raise ValueError(
            f"tokenize must be one of {sorted(TOKENIZERS)}, got {tokenize!r}; for others, tokenize beforehand, join by"
            " spaces and pass 'none'"
        )
    return [1 / n_gram] * n_gram if weights is None else [float(w) for w in weights]


def bleu_state(
    preds: Any, target: Any, n_gram: int = 4, tokenize: Tokenize = "none", lowercase: bool = False
) -> dict[str, Tensor | int]:
    """Returns the counts of a corpus: n-grams found and predicted by order, and lengths of both sides."""
    matches, totals = [0] * n_gram, [0] * n_gram
    preds_len = target_len = 0
    for words, references in _tokenized(preds, target, tokenize, lowercase):
        length = len(words)
        preds_len += length
        if references:
            # Of equally close references the shorter counts, as in the NIST script.
            target_len += min((abs(len(r) - length), len(r)) for r in references)[1]
        both = 1
        for n in range(1, min(n_gram, length) + 1):
            totals[n - 1] += length - n + 1
            if both:  # without a common n-gram there is no longer one either
                found: Any = {}
                for reference in references:
                    counts = count_ngrams(reference, n)
                    found = found | counts if found else counts
                both = common_ngrams(count_ngrams(words, n), found)
                matches[n - 1] += both
    return {
        "preds_len": preds_len,
        "target_len": target_len,
        "numerator": torch.tensor(matches),
        "denominator": torch.tensor(totals),
    }


def _tokenized(preds: Any, target: Any, tokenize: Tokenize, lowercase: bool) -> list[tuple[Tokens, list[Tokens]]]:
    if isinstance(preds, (list, tuple)) and any(isinstance(pred, (list, tuple)) for pred in preds):
        return _checked_tokens(preds, target)
    split = TOKENIZERS[tokenize]
    texts, references = as_references(preds, target)

    def tokens(text: str) -> Tokens:
        return split(text.lower() if lowercase else text)

    return [(tokens(text), [tokens(r) for r in entry]) for text, entry in zip(texts, references, strict=True)]


def _checked_tokens(preds: Any, target: Any) -> list[tuple[Tokens, list[Tokens]]]:
    if not isinstance(target, (list, tuple)) or len(target) != len(preds):
        raise ValueError(f"target must be a list of {len(preds)} entries, one for each of preds, got {target!r}")
    for name, texts in (("preds", preds), ("target", [r for entry in target for r in entry])):
        for text in texts:
            if not isinstance(text, (list, tuple)) or not all(isinstance(word, Hashable) for word in text):
                raise TypeError(f"{name} must hold lists of words, like the other entries, got {text!r}")
    return [(pred, list(entry)) for pred, entry in zip(preds, target, strict=True)]


def bleu_value(
    preds_len: Tensor | int,
    target_len: Tensor | int,
    numerator: Tensor,
    denominator: Tensor,
    weights: Sequence[float],
    smooth: bool = False,
) -> Tensor:
    """Returns the score of counts; nan without any words."""
    found, total = numerator.double(), denominator.double()
    if smooth:
        found, total = torch.cat([found[:1], found[1:] + 1]), torch.cat([total[:1], total[1:] + 1])
    lengths = torch.as_tensor(target_len, dtype=torch.float64), torch.as_tensor(preds_len, dtype=torch.float64)
    brevity = (1 - lengths[0] / lengths[1]).clamp(max=0).exp()
    share = torch.tensor(weights, dtype=torch.float64, device=found.device)
    score = brevity * (share * (found / total).log()).sum().exp()
    score = torch.where(((found == 0) & (share > 0)).any(), 0.0, score)
    return torch.where(lengths[0] + lengths[1] == 0, torch.nan, score)


def bleu_score(
    preds: Texts | Sequence[Tokens],
    target: References | Sequence[Sequence[Tokens]],
    n_gram: int = 4,
    smooth: bool = False,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """BLEU of a corpus: `min(1, exp(1 - r / c)) * exp(sum_n w_n log p_n)`.

    `p_n` is the share of the predictions' n-grams that a reference has, each counted as often as in the reference that
    has most; `c` is the length of all predictions, `r` that of the references closest to them in length (the shorter of
    two). Words are what white space separates. Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine
    Translation", 2002.

    Two things differ from torchmetrics, and are as in sacreBLEU: of two equally close references it takes the first,
    and `smooth` does not keep it from 0 where an order above 1 has no match.

    Args:
        preds: A string or a list of strings; or, as in the 1.0 API, of lists of words.
        target: For each prediction a reference or a list of them, likewise.
        n_gram: Longest n-gram.
        smooth: Whether one is added to both counts of every order above 1 (Lin and Och, 2004).
        weights: One per order; equal if `None`.

    Returns:
        Value in [0, 1], float64; 0 if an order has no match, nan for no words at all.

    Raises:
        TypeError: If the inputs are not strings or lists of words.
        ValueError: If their numbers differ, or an option is out of range.

    Example:
        >>> from lit_metrics.functional import bleu_score
        >>> bleu_score(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]])
        tensor(0.7598, dtype=torch.float64)
        >>> bleu_score([["my", "full", "pytorch", "test"]], [[["my", "full", "pytorch", "test"]]])
        tensor(1., dtype=torch.float64)
    """
    orders = require_bleu_options(n_gram, weights)
    state: dict[str, Any] = bleu_state(preds, target, n_gram)
    return bleu_value(**state, weights=orders, smooth=smooth)


def sacre_bleu_score(
    preds: Texts,
    target: References,
    n_gram: int = 4,
    smooth: bool = False,
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """BLEU on detokenised text, by sacreBLEU's tokenizers; Post, "A Call for Clarity in Reporting BLEU Scores", 2018.

    Equals `sacrebleu.corpus_bleu` with `smooth_method="none"` (with `smooth`: `"add-k"`), divided by 100.

    Args:
        preds: A string or a list of strings.
        target: For each prediction a reference or a list of them.
        n_gram: Longest n-gram.
        smooth: As for `bleu_score`.
        tokenize: `"13a"` (western languages), `"intl"` (any characters), `"zh"`, `"char"` or `"none"`. The tokenizers
            that need other packages or downloads are left to the caller.
        lowercase: Whether case is ignored.
        weights: One per order; equal if `None`.

    Example:
        >>> from lit_metrics.functional import sacre_bleu_score
        >>> sacre_bleu_score(["The cat is on the mat."], [["The cat sat on the mat."]], n_gram=2)
        tensor(0.7559, dtype=torch.float64)
    """
    orders = require_bleu_options(n_gram, weights, tokenize)
    state: dict[str, Any] = bleu_state(preds, target, n_gram, tokenize, lowercase)
    return bleu_value(**state, weights=orders, smooth=smooth)
