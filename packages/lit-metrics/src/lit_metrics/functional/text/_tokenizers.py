"""The tokenizers of sacreBLEU that need nothing but the standard library.

Post, "A Call for Clarity in Reporting BLEU Scores", 2018, names them; `13a` and `intl` are those of the NIST scripts
mteval-v13a and mteval-v14.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, TypeAlias

Tokenize: TypeAlias = Literal["none", "13a", "zh", "intl", "char"]

_ESCAPED = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SYMBOLS = "".join(c for c in map(chr, range(33, 127)) if not c.isalnum() and c not in "',-.")
PUNCTUATION = re.compile(f"([{re.escape(_SYMBOLS)}])")
_RULES = (
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)

# What sacreBLEU takes for Chinese: ideographs, their radicals, strokes and punctuation, symbols, full-width forms. The
# two ranges above the basic plane are written there with four digits; what that matches is kept, for equal scores.
_CHINESE = re.compile(
    "([\u2001-\u2a6d\u2f81-\u2fa1\u2e80-\u2eff\u2f00-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef"
    "\u3200-\u33ff\u3400-\u4db5\u4e00-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f"
    "\uff00-\uffef])"
)


def unescape(line: str) -> str:
    """Returns the line with the four XML entities of the NIST format replaced."""
    if "&" in line:
        for entity, character in _ESCAPED:
            line = line.replace(entity, character)
    return line


def space_punctuation(line: str) -> str:
    """Returns the line with blanks around ASCII punctuation, but for apostrophes and what joins digits."""
    line = PUNCTUATION.sub(r" \1 ", line)
    for pattern, replacement in _RULES[(0 if "." in line or "," in line else 2) : (3 if "-" in line else 2)]:
        line = pattern.sub(replacement, line)
    return line


def _v13a(line: str) -> list[str]:
    line = line.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    return space_punctuation(f" {unescape(line)} ").split()


def _chinese(line: str) -> list[str]:
    return space_punctuation(_CHINESE.sub(r" \1 ", line.strip())).split()


def _international(line: str) -> list[str]:
    for pattern, replacement in _international_rules("".join(sorted({c for c in line if not c.isascii()}))):
        line = pattern.sub(replacement, line)
    return line.split()


@lru_cache(maxsize=1024)
def _international_rules(others: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Returns the rules for lines whose characters beyond ASCII are `others`; `re` knows no Unicode categories."""
    kinds: dict[str, str] = {"N": "", "P": "", "S": ""}
    for character in (*map(chr, range(128)), *others):
        kind = unicodedata.category(character)[0]
        if kind in kinds:
            kinds[kind] += re.escape(character)
    number, punctuation, symbol = kinds["N"], kinds["P"], kinds["S"]
    return (
        (re.compile(f"([^{number}])([{punctuation}])"), r"\1 \2 "),
        (re.compile(f"([{punctuation}])([^{number}])"), r" \1 \2"),
        (re.compile(f"([{symbol}])"), r" \1 "),
    )


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "13a": _v13a,
    "char": lambda line: [c for c in line if not c.isspace()],
    "intl": _international,
    "none": str.split,
    "zh": _chinese,
}
"""Tokenizers by name."""
