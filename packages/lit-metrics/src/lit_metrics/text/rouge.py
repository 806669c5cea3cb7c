"""ROUGE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lit_metrics.functional.text.rouge import DEFAULT_KEYS, Accumulate, RougeWords, rouge_value
from lit_metrics.metric import Metric


class ROUGEScore(Metric):
    """Means over texts of ROUGE's precision, recall and F-measure; see `lit_metrics.functional.rouge_score`.

    Arguments and errors: see there and `Metric`.

    Example:
        >>> from lit_metrics import ROUGEScore
        >>> metric = ROUGEScore(rouge_keys="rougeL")
        >>> metric.update("Is your name John", "My name is John")
        >>> metric.compute()["rougeL_fmeasure"]
        tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True
    is_differentiable = False
    pure_update = True

    scores: Tensor
    total: Tensor

    def __init__(
        self,
        use_stemmer: bool = False,
        normalizer: Callable[[str], str] | None = None,
        tokenizer: Callable[[str], Sequence[str]] | None = None,
        accumulate: Accumulate = "best",
        rouge_keys: str | tuple[str, ...] = DEFAULT_KEYS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.words = RougeWords(rouge_keys, accumulate, use_stemmer, normalizer, tokenizer)
        self.add_state("scores", torch.zeros(len(self.words.keys), 3, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Any, target: Any) -> None:
        """Takes in predictions, and a reference or a list of them for each."""
        self.accumulate(self.words.state(preds, target))

    def compute(self) -> dict[str, Tensor]:
        """Returns the means by `<key>_<fmeasure, precision or recall>`; nan if nothing was seen."""
        return rouge_value(self.scores, self.total, self.words.keys)
