"""BLEU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text._tokenizers import Tokenize
from lit_metrics.functional.text.bleu import bleu_state, bleu_value, require_bleu_options
from lit_metrics.metric import Metric


class _Bleu(Metric):
    """Counts of n-grams, and the score they give."""

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    preds_len: Tensor
    target_len: Tensor
    numerator: Tensor
    denominator: Tensor

    def __init__(
        self,
        n_gram: int,
        smooth: bool,
        tokenize: Tokenize,
        lowercase: bool,
        weights: Sequence[float] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.weights = require_bleu_options(n_gram, weights, tokenize)
        self.n_gram = n_gram
        self.smooth = smooth
        self.tokenize: Tokenize = tokenize
        self.lowercase = lowercase
        for name in ("preds_len", "target_len"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")
        for name in ("numerator", "denominator"):
            self.add_state(name, torch.zeros(n_gram, dtype=torch.long), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for equal orders and tokens; weights and smoothing may differ."""
        return ("bleu", self.n_gram, self.tokenize, self.lowercase)

    def update(self, preds: Any, target: Any) -> None:
        """Takes in predictions, and a reference or a list of them for each."""
        self.accumulate(bleu_state(preds, target, self.n_gram, self.tokenize, self.lowercase))

    def compute(self) -> Tensor:
        """Returns the score of the whole corpus; nan if nothing was seen."""
        counts = (self.preds_len, self.target_len, self.numerator, self.denominator)
        return bleu_value(*counts, weights=self.weights, smooth=self.smooth)


class BLEUScore(_Bleu):
    """BLEU of everything seen, from counts that merge; see `lit_metrics.functional.bleu_score`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import BLEUScore
        >>> BLEUScore()(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]])
        tensor(0.7598, dtype=torch.float64)
    """

    def __init__(
        self, n_gram: int = 4, smooth: bool = False, weights: Sequence[float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(n_gram, smooth, "none", False, weights, **kwargs)


class SacreBLEUScore(_Bleu):
    """BLEU on sacreBLEU's tokens; see `lit_metrics.functional.sacre_bleu_score`.

    Other arguments: see there and `Metric`.

    Args:
        smooth: Whether one is added to both counts of every order above 1.

    Raises:
        ValueError: If an option is out of its range.

    Example:
        >>> from lit_metrics import SacreBLEUScore
        >>> SacreBLEUScore(n_gram=2)(["The cat is on the mat."], [["The cat sat on the mat."]])
        tensor(0.7559, dtype=torch.float64)
    """

    def __init__(
        self,
        n_gram: int = 4,
        smooth: bool = False,
        tokenize: Tokenize = "13a",
        lowercase: bool = False,
        weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(n_gram, smooth, tokenize, lowercase, weights, **kwargs)
