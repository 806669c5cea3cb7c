"""Scores of a corpus that may also be given for each sentence: chrF, translation and extended edit distance."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text.chrf import chrf_state, chrf_value, require_chrf_options
from lit_metrics.functional.text.error_rates import rate_value
from lit_metrics.functional.text.extended_edit_distance import Language, extended_edit_state, require_eed_options
from lit_metrics.functional.text.translation_edit_rate import translation_edit_state, translation_edit_value
from lit_metrics.metric import Metric


class _SentenceMetric(Metric):
    """Keeps the sentences' scores too if they are wanted."""

    is_differentiable = False
    pure_update = True

    sentence_scores: list[Tensor]

    def __init__(self, return_sentence_level_score: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.return_sentence_level_score = return_sentence_level_score
        if return_sentence_level_score:
            self.add_state("sentence_scores", [], dist_reduce_fx="cat")

    def update(self, preds: Any, target: Any) -> None:
        """Takes in predictions, and a reference or a list of them for each."""
        state, scores = self.batch(preds, target)
        self.accumulate({**state, "sentence_scores": scores} if self.return_sentence_level_score else state)

    def compute(self) -> Tensor | tuple[Tensor, Tensor]:
        """Returns the score of the corpus (nan if nothing was seen), and those of all sentences if they are kept."""
        if not self.return_sentence_level_score:
            return self.corpus_value()
        none = torch.zeros(0, dtype=torch.float64, device=self.device)
        return self.corpus_value(), torch.cat([none, *self.sentence_scores])

    @abstractmethod
    def batch(self, preds: Any, target: Any) -> tuple[dict[str, Tensor | int], Tensor]:
        """Returns the state of a batch, and the scores of its sentences."""

    @abstractmethod
    def corpus_value(self) -> Tensor:
        """Returns the score of the corpus."""


class CHRFScore(_SentenceMetric):
    """Character n-gram F-score of everything seen; see `lit_metrics.functional.chrf_score`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import CHRFScore
        >>> CHRFScore()(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]])
        tensor(0.8640, dtype=torch.float64)
    """

    higher_is_better = True

    counts: Tensor

    def __init__(
        self,
        n_char_order: int = 6,
        n_word_order: int = 2,
        beta: float = 2.0,
        lowercase: bool = False,
        whitespace: bool = False,
        return_sentence_level_score: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(return_sentence_level_score, **kwargs)
        require_chrf_options(n_char_order, n_word_order, beta)
        self.beta = beta
        self._options = (n_char_order, n_word_order, beta, lowercase, whitespace)
        shape = (3, n_char_order + n_word_order)
        self.add_state("counts", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")

    def batch(self, preds: Any, target: Any) -> tuple[dict[str, Tensor | int], Tensor]:
        """Returns the counts of n-grams, and the sentences' scores."""
        counts = chrf_state(preds, target, *self._options)["counts"]
        return {"counts": counts.sum(0)}, chrf_value(counts, self.beta)

    def corpus_value(self) -> Tensor:
        """Returns the score of all counts."""
        return chrf_value(self.counts, self.beta)


class TranslationEditRate(_SentenceMetric):
    """Edits and shifts per word of the references; see `lit_metrics.functional.translation_edit_rate`.

    Arguments: see there and `Metric`.

    Example:
        >>> from lit_metrics import TranslationEditRate
        >>> TranslationEditRate()(["the cat is on the mat"], [["there is a cat on the mat", "a cat is on the mat"]])
        tensor(0.1538, dtype=torch.float64)
    """

    higher_is_better = False

    edits: Tensor
    lengths: Tensor

    def __init__(
        self,
        normalize: bool = False,
        no_punctuation: bool = False,
        lowercase: bool = True,
        asian_support: bool = False,
        return_sentence_level_score: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(return_sentence_level_score, **kwargs)
        self._options = (normalize, no_punctuation, lowercase, asian_support)
        self.add_state("edits", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("lengths", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def batch(self, preds: Any, target: Any) -> tuple[dict[str, Tensor | int], Tensor]:
        """Returns edits and lengths, and the sentences' rates."""
        state = translation_edit_state(preds, target, *self._options)
        return {name: value.sum() for name, value in state.items()}, translation_edit_value(**state)

    def corpus_value(self) -> Tensor:
        """Returns the rate of all sentences."""
        return translation_edit_value(self.edits, self.lengths)


class ExtendedEditDistance(_SentenceMetric):
    """Extended edit distance, the mean over sentences; see `lit_metrics.functional.extended_edit_distance`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import ExtendedEditDistance
        >>> ExtendedEditDistance()(["this is the prediction"], [["this is the reference"]])
        tensor(0.3835, dtype=torch.float64)
    """

    higher_is_better = False

    distance: Tensor
    total: Tensor

    def __init__(
        self,
        language: Language = "en",
        return_sentence_level_score: bool = False,
        alpha: float = 2.0,
        rho: float = 0.3,
        deletion: float = 0.2,
        insertion: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(return_sentence_level_score, **kwargs)
        require_eed_options(language, alpha=alpha, rho=rho, deletion=deletion, insertion=insertion)
        self._options = (language, alpha, rho, deletion, insertion)
        self.add_state("distance", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def batch(self, preds: Any, target: Any) -> tuple[dict[str, Tensor | int], Tensor]:
        """Returns the sum of distances and their number, and the sentences' distances."""
        scores = extended_edit_state(preds, target, *self._options)
        return {"distance": scores.sum(), "total": scores.numel()}, scores

    def corpus_value(self) -> Tensor:
        """Returns the mean distance."""
        return rate_value(self.distance, self.total)
