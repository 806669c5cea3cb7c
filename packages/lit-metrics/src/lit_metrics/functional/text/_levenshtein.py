"""Distances between sequences of hashable symbols, bit-parallel on Python's integers.

One integer holds a whole column of the table of dynamic programming as differences between neighbours, so that a symbol
costs a dozen operations on integers, whatever the length: Hyyro, "A Bit-Vector Algorithm for Computing Levenshtein and
Damerau Edit Distances", 2003; Crochemore et al., "A fast and practical bit-vector algorithm for the longest common
subsequence problem", 2001.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

Symbols = Sequence[Hashable]


def levenshtein(a: Symbols, b: Symbols) -> int:
    """Returns the least number of insertions, deletions and substitutions that turn `a` into `b`.

    Example:
        >>> from lit_metrics.functional.text._levenshtein import levenshtein
        >>> levenshtein("kitten", "sitting")
        3
    """
    if a == b:
        return 0
    start, end, shorter = 0, 0, min(len(a), len(b))
    while start < shorter and a[start] == b[start]:  # what both begin and end with costs nothing
        start += 1
    while start + end < shorter and a[-1 - end] == b[-1 - end]:
        end += 1
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    if not a or not b:
        return len(a) or len(b)
    find, mask = positions(a).get, (1 << len(a)) - 1
    up, down = mask, 0
    for symbol in b:
        x = find(symbol, 0) | down
        diagonal = (((x & up) + up) ^ up) | x
        right = ((mask & ~(up | diagonal)) | down) << 1 | 1
        up, down = mask & ((up & diagonal) << 1 | ~(right | diagonal)), mask & right & diagonal
    return len(b) + up.bit_count() - down.bit_count()


def common_subsequence(a: Symbols, b: Symbols) -> int:
    """Returns the length of the longest common subsequence.

    Example:
        >>> from lit_metrics.functional.text._levenshtein import common_subsequence
        >>> common_subsequence("kitten", "sitting")
        4
    """
    if not a or not b:
        return 0
    where = positions(a)
    mask = (1 << len(a)) - 1
    column = mask
    for symbol in b:
        matched = column & where.get(symbol, 0)
        column = ((column + matched) | (column - matched)) & mask
    return len(a) - column.bit_count()


def subsequence_members(a: Symbols, b: Symbols) -> list[int]:
    """Returns the indices in `a` of a longest common subsequence with `b`.

    Of several it is the one that the `rouge-score` package takes: the value of ROUGE-Lsum depends on the choice.
    """
    where = positions(a)
    mask = (1 << len(a)) - 1
    columns = [mask]
    for symbol in b:
        matched = columns[-1] & where.get(symbol, 0)
        columns.append(((columns[-1] + matched) | (columns[-1] - matched)) & mask)
    found = []
    i, j = len(a), len(b)
    while i and j:
        below = (1 << i) - 1
        if a[i - 1] == b[j - 1]:
            found.append(i - 1)
            i, j = i - 1, j - 1
        elif (columns[j - 1] & below).bit_count() < 1 + (columns[j] & (below >> 1)).bit_count():
            j -= 1  # more matches without b's last symbol than without a's
        else:
            i -= 1
    return found[::-1]


def positions(a: Symbols) -> dict[Hashable, int]:
    """Returns for every symbol the set of its places in `a` as bits."""
    where: dict[Hashable, int] = {}
    bit = 1
    for symbol in a:
        where[symbol] = where.get(symbol, 0) | bit
        bit <<= 1
    return where


class EditTable:
    """The whole table of Levenshtein distances between prefixes, in two integers per symbol of `b`.

    Args:
        a: Sequence whose prefixes are the rows.
        b: Sequence whose prefixes are the columns.
    """

    def __init__(self, a: Symbols, b: Symbols) -> None:
        self.a, self.b = a, b
        where = positions(a)
        mask = (1 << len(a)) - 1
        up, down = mask, 0
        self._up, self._down = [up], [down]
        for symbol in b:
            x = where.get(symbol, 0) | down
            diagonal = ((((x & up) + up) ^ up) | x) & mask
            x = ((down | (mask ^ (up | diagonal))) << 1 | 1) & mask
            up, down = ((up & diagonal) << 1 & mask) | (mask ^ (x | diagonal)), x & diagonal
            self._up.append(up)
            self._down.append(down)

    def distance(self, i: int, j: int) -> int:
        """Returns the distance between the first `i` symbols of `a` and the first `j` of `b`."""
        below = (1 << i) - 1
        return j + (self._up[j] & below).bit_count() - (self._down[j] & below).bit_count()

    def hits(self) -> int:
        """Returns the number of symbols kept in the alignment that `distance_and_hits` tells of."""
        i, j, hits = len(self.a), len(self.b), 0
        while i and j:
            if self._up[j] >> (i - 1) & 1:
                i -= 1
            elif self._down[j - 1] >> (i - 1) & 1:
                j -= 1
            else:
                i, j = i - 1, j - 1
                hits += self.a[i] == self.b[j]
        return hits


def distance_and_hits(a: Symbols, b: Symbols) -> tuple[int, int]:
    """Returns the distance, and the number of symbols kept in one alignment that has it.

    Such alignments may differ in it: "a b" becomes "b c" by two substitutions, or by a deletion and an insertion with
    one hit. Common beginnings and ends are hits; between them, read from the end, a deletion from `a` is taken where
    one is optimal, then an insertion where the row above falls, then a substitution or hit. This is the choice of
    `rapidfuzz`, and so of `jiwer`.

    Example:
        >>> from lit_metrics.functional.text._levenshtein import distance_and_hits
        >>> distance_and_hits("abcd", "bcde"), distance_and_hits("ab", "bc")
        ((2, 3), (2, 0))
    """
    start, stop = 0, min(len(a), len(b))
    while start < stop and a[start] == b[start]:
        start += 1
    end = 0
    while end < stop - start and a[-1 - end] == b[-1 - end]:
        end += 1
    table = EditTable(a[start : len(a) - end], b[start : len(b) - end])
    return table.distance(len(table.a), len(table.b)), start + end + table.hits()
