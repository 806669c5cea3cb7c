"""What the text metrics take: a string or a list of them, and one or several references for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Texts: TypeAlias = str | Sequence[str]
References: TypeAlias = str | Sequence[str | Sequence[str]]


def as_texts(value: Any, name: str) -> Sequence[str]:
    """Returns the strings; one string is a list of one.

    Raises:
        TypeError: If `value` is neither a string nor a sequence (or array) of strings.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a string or a list of strings, got {type(value).__name__}")
    for entry in value:
        if not isinstance(entry, str):
            raise TypeError(f"{name} must hold strings, got an entry of type {type(entry).__name__}")
    return value


def as_pairs(preds: Any, target: Any) -> tuple[Sequence[str], Sequence[str]]:
    """Returns predictions and their one reference each.

    Raises:
        TypeError: If one is no string or list of strings.
        ValueError: If their numbers differ.
    """
    preds, target = as_texts(preds, "preds"), as_texts(target, "target")
    _require_same_number(preds, target)
    return preds, target


def as_references(preds: Any, target: Any) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Returns predictions and the list of references of each, which may be empty.

    Raises:
        TypeError: If predictions or references are not strings.
        ValueError: If their numbers differ.
    """
    alone = isinstance(preds, str)
    preds = as_texts(preds, "preds")
    if isinstance(target, np.ndarray):
        target = target.tolist()
    if not isinstance(target, (str, list, tuple)):
        raise TypeError(f"target must be a list with the references of each prediction, got {type(target).__name__}")
    if isinstance(target, str) or (alone and len(target) != 1 and all(isinstance(t, str) for t in target)):
        target = [target]  # one prediction with its references
    _require_same_number(preds, target)
    return preds, [as_texts(entry, "target") for entry in target]


def _require_same_number(preds: Sequence[Any], target: Sequence[Any]) -> None:
    if len(preds) != len(target):
        raise ValueError(f"preds and target must have the same number of entries, got {len(preds)} and {len(target)}")
