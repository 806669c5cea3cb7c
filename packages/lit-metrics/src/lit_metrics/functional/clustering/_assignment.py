"""The assignment of rows to columns with the largest sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def best_assignment(gain: NDArray[Any]) -> NDArray[np.int64]:
    """Returns the column of each row of a square matrix such that the sum of the chosen entries is largest.

    The Hungarian method with potentials and shortest augmenting paths, in O(n^3); see Jonker and Volgenant (1987),
    "A shortest augmenting path algorithm for dense and sparse linear assignment problems".
    """
    cost = -np.asarray(gain, dtype=np.float64)
    n = len(cost)
    row_price, column_price = np.zeros(n + 1), np.zeros(n + 1)
    row_of = np.full(n + 1, n)  # column -> row; entry n stands for "none"
    for row in range(n):
        row_of[n] = row
        column, distance = n, np.full(n, np.inf)
        previous, done = np.full(n, n), np.zeros(n + 1, dtype=bool)
        while row_of[column] != n:
            done[column] = True
            current = row_of[column]
            open_columns = ~done[:n]
            reduced = cost[current] - row_price[current] - column_price[:n]
            better = open_columns & (reduced < distance)
            distance[better], previous[better] = reduced[better], column
            nearest = int(np.argmin(np.where(open_columns, distance, np.inf)))
            step = distance[nearest]
            row_price[row_of[done]] += step
            column_price[done] -= step
            distance[open_columns] -= step
            column = nearest
        while column != n:
            row_of[column] = row_of[previous[column]]
            column = int(previous[column])
    columns = np.empty(n, dtype=np.int64)
    columns[row_of[:n]] = np.arange(n)
    return columns
