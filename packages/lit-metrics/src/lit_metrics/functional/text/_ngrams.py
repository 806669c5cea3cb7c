"""Counting n-grams, and how many of one text's are found in others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence


def count_ngrams(symbols: Sequence[Hashable], n: int) -> Mapping[Hashable, int]:
    """Returns how often each n-gram occurs; single symbols stand for themselves."""
    if n == 1:
        return Counter(symbols)
    return Counter(zip(*(symbols[i:] for i in range(n)), strict=False))


def common_ngrams(a: Mapping[Hashable, int], b: Mapping[Hashable, int]) -> int:
    """Returns the number of n-grams that both have, each as often as it occurs in both."""
    return sum([min(a[ngram], b[ngram]) for ngram in a.keys() & b.keys()])
