"""Properties, closed forms and bad inputs of the text metrics."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch

import lit_metrics as lm
import lit_metrics.functional as F
from lit_metrics.functional.text._levenshtein import EditTable, common_subsequence, distance_and_hits, levenshtein


def plain_distance(a: Any, b: Any, substitution: int = 1) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + substitution * (x != y))
    return row[-1]


def random_pairs(count: int, longest: int) -> list[tuple[list[int], list[int]]]:
    rng = random.Random(0)
    return [
        tuple([rng.randint(0, rng.choice([1, 3, 9])) for _ in range(rng.randint(0, longest))] for _ in "ab")  # type: ignore[misc]
        for _ in range(count)
    ]


@pytest.mark.parametrize("longest", [5, 40, 130])
def test_bit_parallel_distances_equal_dynamic_programming(longest: int) -> None:
    for a, b in random_pairs(60, longest):
        expected = plain_distance(a, b)
        assert levenshtein(a, b) == expected
        assert 2 * common_subsequence(a, b) == len(a) + len(b) - plain_distance(a, b, 2)
        i, j = len(a) // 2, len(b) // 3
        assert EditTable(a, b).distance(i, j) == plain_distance(a[:i], b[:j])


def test_hits_belong_to_an_alignment_of_least_distance() -> None:
    for a, b in random_pairs(200, 12):
        distance, hits = distance_and_hits(a, b)
        assert distance == plain_distance(a, b)
        substitutions = len(a) + len(b) - 2 * hits - distance  # what is left when single deletions and insertions go
        assert 0 <= hits <= common_subsequence(a, b)
        assert 0 <= substitutions <= distance
        assert substitutions <= min(len(a), len(b)) - hits


@pytest.mark.parametrize("cost", [0, 1, 2, 3])
def test_edit_distance_with_a_cost_of_substitution_equals_dynamic_programming(cost: int) -> None:
    preds, target = ["kitten", "", "abcabc", "flaw"], ["sitting", "ab", "cabcab", "lawn"]
    expected = [plain_distance(a, b, cost) for a, b in zip(preds, target, strict=True)]
    assert F.edit_distance(preds, target, cost, "none").tolist() == expected
    assert F.edit_distance(preds, target, cost, "sum") == sum(expected)
    assert F.edit_distance(preds, target, cost) == sum(expected) / 4
    metric = lm.EditDistance(cost, None)
    metric.update(preds[:1], target[:1])
    metric.update(preds[1:], target[1:])
    assert metric.compute().tolist() == expected


def test_error_rate_of_a_corpus_is_no_mean_of_rates() -> None:
    assert float(F.word_error_rate(["a", "b c d e"], ["x", "b c d e"])) == 0.2


def test_rates_of_nothing_are_nan_and_of_insertions_alone_infinite() -> None:
    assert math.isnan(F.word_error_rate("", ""))
    assert math.isinf(F.word_error_rate("a", ""))
    assert math.isnan(F.match_error_rate("", ""))
    assert F.match_error_rate("a", "") == 1
    assert math.isnan(F.word_information_lost("a", ""))
    assert math.isnan(F.bleu_score([], []))
    assert math.isnan(F.chrf_score("", [""]))
    assert math.isnan(F.translation_edit_rate("", [""]))
    assert F.translation_edit_rate("a", [""]) == 1
    assert math.isnan(F.squad([], [])["f1"])
    with pytest.warns(UserWarning, match="nan: no data"):
        assert math.isnan(lm.WordErrorRate().compute())


def test_metrics_of_alignments_share_a_state() -> None:
    three = lm.MetricCollection([lm.MatchErrorRate(), lm.WordInfoLost(), lm.WordInfoPreserved()])
    three.update("b c d e", "a b c d")
    assert len({id(metric.store) for metric in three.values()}) == 1
    assert {name: float(v) for name, v in three.compute().items()} == pytest.approx(
        {"MatchErrorRate": 2 / 5, "WordInfoLost": 1 - 9 / 16, "WordInfoPreserved": 9 / 16}
    )


def test_of_two_references_equally_close_the_shorter_counts() -> None:
    for references in (["a b c d", "a b c d e f g h"], ["a b c d e f g h", "a b c d"]):
        assert F.bleu_score(["a b c d e f"], [references], n_gram=1) == 1


def test_smoothing_gives_a_score_where_an_order_has_no_match() -> None:
    pred, reference = "the cat sat", "the cat ran off"
    assert F.bleu_score(pred, [[reference]], n_gram=3) == 0
    counts = [2 / 3, (1 + 1) / (2 + 1), (0 + 1) / (1 + 1)]
    expected = math.exp(1 - 4 / 3) * math.prod(counts) ** (1 / 3)
    assert float(F.bleu_score(pred, [[reference]], n_gram=3, smooth=True)) == pytest.approx(expected, rel=1e-13)


def test_order_weights_of_bleu() -> None:
    pred, reference = "the cat sat", "the cat ran"
    value = F.bleu_score(pred, [[reference]], n_gram=2, weights=[0.9, 0.1])
    assert float(value) == pytest.approx((2 / 3) ** 0.9 * (1 / 2) ** 0.1, rel=1e-13)


def test_best_reference_of_each_sentence_counts_in_chrf() -> None:
    corpus, sentences = F.chrf_score(["abc", "xyz"], [["zzz", "abc"], ["xyq"]], return_sentence_level_score=True)
    assert sentences[0] == F.chrf_score("abc", ["abc"])
    assert sentences.shape == (2,)
    assert float(corpus) < 1


def test_sentence_scores_are_kept_in_order() -> None:
    for kind in (lm.CHRFScore, lm.TranslationEditRate, lm.ExtendedEditDistance):
        metric = kind(return_sentence_level_score=True)
        metric.update(["a b c"], [["a b c d"]])
        metric.update(["x y", "z"], [["x"], ["z"]])
        assert metric.compute()[1].tolist() == [
            float(kind()(p, [[r]])) for p, r in (("a b c", "a b c d"), ("x y", "x"), ("z", "z"))
        ]


def test_a_moved_phrase_is_one_edit() -> None:
    assert F.translation_edit_rate("c d e a b", [["a b c d e"]]) == 1 / 5
    assert float(F.translation_edit_rate("c d e a b x", [["a b c d e"]])) == pytest.approx(2 / 5)


def test_equal_texts_cost_nothing_in_edits() -> None:
    assert F.translation_edit_rate("a b", [["A B"]]) == 0
    assert F.translation_edit_rate("a b", [["A B"]], lowercase=False) == 1


def test_rouge_keeps_the_best_or_the_mean_of_references() -> None:
    target = [["a b", "x y z"]]
    best = F.rouge_score("a b c", target, rouge_keys="rouge1")
    mean = F.rouge_score("a b c", target, rouge_keys="rouge1", accumulate="avg")
    assert float(best["rouge1_recall"]) == 1
    assert float(mean["rouge1_recall"]) == 0.5


def test_rouge_takes_an_own_normalizer_and_tokenizer() -> None:
    value = F.rouge_score(
        "A-B", "a-c", rouge_keys="rouge1", normalizer=str.lower, tokenizer=lambda text: text.split("-")
    )
    assert float(value["rouge1_fmeasure"]) == 0.5


def question(text: str | None, *answers: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    preds = [] if text is None else [{"prediction_text": text, "id": "q"}]
    return preds, [{"answers": {"answer_start": [0], "text": list(answers)}, "id": "q"}]


@pytest.mark.parametrize(
    ("text", "exact", "f1"),
    [("The  Tower!", 100, 100), ("tower of Paris", 0, 50), ("", 0, 0), (None, 0, 0), ("an eiffel tower", 0, 200 / 3)],
)
def test_squad_leaves_out_articles_punctuation_and_case(text: str | None, exact: float, f1: float) -> None:
    value = F.squad(*question(text, "tower", "a lighthouse"))
    assert {k: float(v) for k, v in value.items()} == pytest.approx({"exact_match": exact, "f1": f1})


@pytest.mark.parametrize("ignore_index", [None, -100, 3])
def test_perplexity_equals_the_exponential_of_cross_entropy(ignore_index: int | None) -> None:
    g = torch.Generator().manual_seed(0)
    preds, target = 30 * torch.randn(2, 6, 5, generator=g).double(), torch.randint(5, (2, 6), generator=g)
    if ignore_index is not None:
        target[0, :3] = ignore_index
    loss = torch.nn.functional.cross_entropy(
        preds.flatten(0, 1), target.flatten(), ignore_index=-1 if ignore_index is None else ignore_index
    )
    assert float(F.perplexity(preds, target, ignore_index)) == pytest.approx(math.exp(loss), rel=1e-12)
    weights = (target != ignore_index).double() if ignore_index is not None else torch.ones(2, 6)
    known = target.clamp(min=0)
    weighted = F.perplexity(preds, known, sample_weight=weights)
    assert float(weighted) == pytest.approx(math.exp(loss), rel=1e-12)


def test_perplexity_of_impossible_probabilities_does_not_underflow() -> None:
    logits = torch.tensor([[[0.0, -600.0], [0.0, -2.0]]])
    assert float(F.perplexity(logits, [[1, 0]])) == pytest.approx(
        math.exp((600 + math.log1p(math.exp(-2))) / 2), rel=1e-6
    )


def test_perplexity_is_differentiable() -> None:
    preds = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: F.perplexity(p, [[0, 3, 1]]), (preds,))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.word_error_rate(["a"], ["a", "b"]), ValueError, "same number of entries, got 1 and 2"),
        (lambda: F.word_error_rate([1], ["a"]), TypeError, "preds must hold strings, got an entry of type int"),
        (lambda: F.char_error_rate("a", None), TypeError, "target must be a string or a list of strings"),
        (lambda: F.edit_distance("a", "b", -1), ValueError, "substitution_cost must be an integer"),
        (lambda: F.edit_distance("a", "b", 1, "max"), ValueError, "reduction must be"),
        (lambda: F.bleu_score(["a"], [["b"], ["c"]]), ValueError, "same number of entries"),
        (lambda: F.bleu_score(["a"], [[1]]), TypeError, "target must hold strings"),
        (lambda: F.bleu_score([["a"]], [["b"]]), TypeError, "target must hold lists of words"),
        (lambda: F.bleu_score(["a"], [["b"]], 0), ValueError, "n_gram must be a positive integer"),
        (lambda: F.bleu_score(["a"], [["b"]], 2, weights=[1.0]), ValueError, "weights must hold one weight"),
        (lambda: F.sacre_bleu_score(["a"], [["b"]], tokenize="ja-mecab"), ValueError, "tokenize must be one of"),
        (lambda: F.chrf_score(["a"], [["b"]], 0), ValueError, "n_char_order must be an integer of at least 1"),
        (lambda: F.chrf_score(["a"], [["b"]], beta=-1), ValueError, "beta must be"),
        (lambda: F.translation_edit_rate(["a"], 3), TypeError, "target must be a list"),
        (lambda: F.extended_edit_distance(["a"], [["b"]], "de"), ValueError, "language must be one of"),
        (lambda: F.extended_edit_distance(["a"], [["b"]], rho=-1), ValueError, "rho must be a number"),
        (lambda: F.rouge_score("a", "b", rouge_keys="rouge10"), ValueError, "rouge_keys must be among"),
        (lambda: F.rouge_score("a", "b", accumulate="sum"), ValueError, "accumulate must be"),
        (lambda: F.rouge_score(["a"], [[]]), ValueError, "a reference for every prediction"),
        (lambda: F.squad([{"id": 1}], []), TypeError, "preds must hold dictionaries with the keys"),
        (lambda: F.squad([], [{"id": 1, "answers": "x"}]), TypeError, "target must hold a list of strings"),
        (lambda: F.perplexity(torch.zeros(1, 2, 3), torch.zeros(1, 3).long()), ValueError, "one score per word"),
        (lambda: F.perplexity(torch.zeros(1, 2, 3), torch.full((1, 2), 3)), ValueError, r"token ids in \[0, 2\]"),
        (
            lambda: F.perplexity(torch.zeros(1, 2, 3), torch.zeros(1, 2)),
            TypeError,
            "target must hold integer token ids",
        ),
        (lambda: lm.Perplexity(0.5), ValueError, "ignore_index must be an integer"),
    ],
)
def test_wrong_use_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_arrays_of_strings_and_tuples_are_lists() -> None:
    assert F.word_error_rate(np.array(["a b"]), ("a c",)) == 0.5
    assert F.bleu_score(("a b",), np.array([["a b"]]), n_gram=2) == 1
