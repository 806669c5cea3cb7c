"""Error rates of words and characters."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lit_metrics.functional.text.error_rates import alignment_state, error_rate_state, preserved_value, rate_value
from lit_metrics.metric import Metric


class _ErrorRate(Metric):
    """Edits per unit of the references."""

    higher_is_better = False
    is_differentiable = False
    pure_update = True
    unit: Literal["word", "char"]

    errors: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("errors", "total"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any) -> None:
        """Takes in a string, or a list of them, and as many references."""
        self.accumulate(error_rate_state(preds, target, self.unit))

    def compute(self) -> Tensor:
        """Returns the rate; nan if nothing was seen."""
        return rate_value(self.errors, self.total)


class WordErrorRate(_ErrorRate):
    """Wrong words per word of the references, over the whole corpus; see `lit_metrics.functional.word_error_rate`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import WordErrorRate
        >>> metric = WordErrorRate()
        >>> metric.update(["this is the answer"], ["this is an answer"])
        >>> metric.update("yes", "oh yes")
        >>> metric.compute()
        tensor(0.3333, dtype=torch.float64)
    """

    unit = "word"


class CharErrorRate(_ErrorRate):
    """Wrong characters per character of the references; see `lit_metrics.functional.char_error_rate`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import CharErrorRate
        >>> CharErrorRate()(["rain"], ["shine"])
        tensor(0.6000, dtype=torch.float64)
    """

    unit = "char"


class _Alignment(Metric):
    """Counts of words over alignments; all metrics of them share one state in a collection."""

    is_differentiable = False
    pure_update = True

    errors: Tensor
    hits: Tensor
    preds_total: Tensor
    target_total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("errors", "hits", "preds_total", "target_total"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    @property
    def group_key(self) -> Any:
        """Equal for all metrics of alignments."""
        return "word_alignment"

    def update(self, preds: Any, target: Any) -> None:
        """Takes in a string, or a list of them, and as many references."""
        self.accumulate(alignment_state(preds, target))


class MatchErrorRate(_Alignment):
    """Share of an alignment's columns that are wrong; see `lit_metrics.functional.match_error_rate`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import MatchErrorRate
        >>> MatchErrorRate()("b c d e", "a b c d")
        tensor(0.4000, dtype=torch.float64)
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """Returns the rate; nan if no words were seen."""
        return rate_value(self.errors, self.errors + self.hits)


class WordInfoPreserved(_Alignment):
    """Share of words kept, of both sides; see `lit_metrics.functional.word_information_preserved`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import WordInfoPreserved
        >>> WordInfoPreserved()("b c d e", "a b c d")
        tensor(0.5625, dtype=torch.float64)
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Returns the share; nan if a side has no words."""
        return preserved_value(self.hits, self.preds_total, self.target_total)


class WordInfoLost(_Alignment):
    """One less `WordInfoPreserved`; see `lit_metrics.functional.word_information_lost`.

    Arguments: see `Metric`.

    Example:
        >>> from lit_metrics import WordInfoLost
        >>> WordInfoLost()("b c d e", "a b c d")
        tensor(0.4375, dtype=torch.float64)
    """

    higher_is_better = False

    def compute(self) -> Tensor:
        """Returns the share; nan if a side has no words."""
        return 1 - preserved_value(self.hits, self.preds_total, self.target_total)
