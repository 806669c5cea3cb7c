"""Text metrics against numbers that the reference programs printed for one small corpus.

sacrebleu 2.6.0 (BLEU, chrF, TER), rouge-score 0.1.2 with nltk 3.10.4 (ROUGE), jiwer 4.0.0 (rates of words),
torchmetrics 1.9.0 (extended edit distance, which keeps the paper's program).
"""

from __future__ import annotations

import importlib.util

import pytest

import lit_metrics as lm
import lit_metrics.functional as F

PREDS = [
    "The quick brown fox jumps over the lazy dog.",
    "It costs $3.50, i.e. less than 5-10 euros!",
    "on the mat the cat sat quietly today",
    'He didn\'t say "hello" (to me).',
]
TARGET = [
    ["A quick brown fox jumped over the lazy dogs.", "The fast brown fox jumps over a lazy dog."],
    ["It cost 3.50 dollars, i.e. under 5 or 10 euros.", "The price is $3.50, which is less than 5-10 euros!"],
    ["the cat sat on the mat today", "today the cat quietly sat on the mat"],
    ['He did not say "hello" to me.', "He didn't greet me (hello)."],
]
FIRST = [references[0] for references in TARGET]
CHINESE = ["我们 在北京，吃了3.5个苹果。"], [["我们在北京吃了3.5个苹果。"]]  # noqa: RUF001


def in_batches(metric: lm.Metric) -> lm.Metric:
    metric.update(PREDS[:1], TARGET[:1])
    metric.update(PREDS[1:], TARGET[1:])
    return metric


@pytest.mark.parametrize(
    ("tokenize", "lowercase", "plain", "smoothed"),
    [
        ("13a", False, 53.895945752221344, 55.59318304389895),
        ("13a", True, 53.58707374799639, 55.274584351022206),
        ("intl", False, 52.12644538664617, 53.98006586166406),
        ("intl", True, 51.827714203159466, 53.67071177392732),
        ("char", False, 87.94934759400711, 88.04637981218957),
        ("char", True, 87.53609596995263, 87.6365358960176),
        ("none", False, 36.22749256617015, 40.578215026210685),
        ("none", True, 35.89960823270509, 40.210953588981226),
        ("zh", False, 53.895945752221344, 55.59318304389895),
    ],
)
def test_bleu_equals_sacrebleu(tokenize: str, lowercase: bool, plain: float, smoothed: float) -> None:
    for smooth, expected in ((False, plain), (True, smoothed)):
        options = {"tokenize": tokenize, "lowercase": lowercase, "smooth": smooth}
        assert 100 * float(F.sacre_bleu_score(PREDS, TARGET, **options)) == pytest.approx(expected, rel=1e-12)
        assert 100 * float(in_batches(lm.SacreBLEUScore(**options)).compute()) == pytest.approx(expected, rel=1e-12)


def test_words_split_at_blanks_are_the_tokenizer_none() -> None:
    assert 100 * float(F.bleu_score(PREDS, TARGET)) == pytest.approx(36.22749256617015, rel=1e-12)
    words = [p.split() for p in PREDS], [[r.split() for r in entry] for entry in TARGET]
    assert F.bleu_score(*words) == F.bleu_score(PREDS, TARGET)


@pytest.mark.parametrize(("tokenize", "expected"), [("zh", 76.11606003349888), ("char", 80.03203203845001)])
def test_chinese_bleu_equals_sacrebleu(tokenize: str, expected: float) -> None:
    assert 100 * float(F.sacre_bleu_score(*CHINESE, tokenize=tokenize)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("n_word_order", "lowercase", "whitespace", "expected"),
    [
        (0, False, False, 67.04216164788397),
        (0, False, True, 71.28226139627698),
        (0, True, False, 67.31404854293564),
        (2, False, False, 64.67790606563433),
        (2, False, True, 67.85798087692909),
        (2, True, True, 68.023324792273),
    ],
)
def test_chrf_equals_sacrebleu(n_word_order: int, lowercase: bool, whitespace: bool, expected: float) -> None:
    options = {"n_word_order": n_word_order, "lowercase": lowercase, "whitespace": whitespace}
    assert 100 * float(in_batches(lm.CHRFScore(**options)).compute()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("normalize", "no_punctuation", "expected"),
    [(False, False, 40.0), (False, True, 33.84615384615385), (True, False, 36.144578313253014)],
)
def test_translation_edit_rate_equals_sacrebleu(normalize: bool, no_punctuation: bool, expected: float) -> None:
    metric = lm.TranslationEditRate(normalize=normalize, no_punctuation=no_punctuation)
    assert 100 * float(in_batches(metric).compute()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("no_punctuation", "expected"), [(False, 8.333333333333332), (True, 0.0)])
def test_chinese_translation_edit_rate_equals_sacrebleu(no_punctuation: bool, expected: float) -> None:
    value = F.translation_edit_rate(*CHINESE, normalize=True, asian_support=True, no_punctuation=no_punctuation)
    assert 100 * float(value) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("word_error_rate", 0.6363636363636364),
        ("match_error_rate", 0.5833333333333334),
        ("word_information_lost", 0.7800586510263929),
        ("word_information_preserved", 0.21994134897360704),
        ("char_error_rate", 0.34459459459459457),
    ],
)
def test_rates_equal_jiwer(name: str, expected: float) -> None:
    assert float(getattr(F, name)(PREDS, FIRST)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("language", "expected"), [("en", 0.24375782907009125), ("ja", 0.2596569061279297)])
def test_extended_edit_distance_equals_torchmetrics(language: str, expected: float) -> None:
    assert float(F.extended_edit_distance(PREDS, TARGET, language=language)) == pytest.approx(expected, rel=1e-6)


STEMS = {
    False: {
        "rouge1": (0.8106651802303976, 0.8048340548340549, 0.8194444444444445),
        "rouge2": (0.5228937728937728, 0.5178571428571428, 0.5303030303030303),
        "rougeL": (0.6802622498274672, 0.6798340548340549, 0.6825396825396826),
    },
    True: {
        "rouge1": (0.860182088442958, 0.8553391053391054, 0.8680555555555556),
        "rouge2": (0.6166437728937729, 0.6116071428571428, 0.6240530303030303),
        "rougeL": (0.7297791580400276, 0.7303391053391054, 0.7311507936507937),
    },
}


@pytest.mark.parametrize("use_stemmer", [False, True])
def test_rouge_equals_rouge_score(use_stemmer: bool) -> None:
    if use_stemmer and importlib.util.find_spec("nltk") is None:
        with pytest.raises(ModuleNotFoundError, match="pip install nltk"):
            lm.ROUGEScore(use_stemmer=True)
        return
    expected = STEMS[use_stemmer]
    value = in_batches(lm.ROUGEScore(use_stemmer=use_stemmer, rouge_keys=tuple(expected))).compute()
    parts = ("fmeasure", "precision", "recall")
    got = {key: [float(value[f"{key}_{part}"]) for part in parts] for key in expected}
    assert {key: pytest.approx(scores, rel=1e-12) for key, scores in expected.items()} == got


def test_rouge_of_summaries_equals_rouge_score() -> None:
    pred, reference = (
        "a dog sat on the mat\nthe cat ran the end\nit came",
        "the cat sat on the mat\na dog ran\nthe end came",
    )
    value = F.rouge_score(pred, reference, rouge_keys="rougeLsum")
    expected = {"rougeLsum_precision": 0.9230769230769231, "rougeLsum_recall": 1.0, "rougeLsum_fmeasure": 0.96}
    assert {name: float(v) for name, v in value.items()} == pytest.approx(expected, rel=1e-12)
    one_line = [". ".join(text.split("\n")) for text in (pred, reference)]
    assert F.rouge_score(*one_line, rouge_keys="rougeLsum") == value
