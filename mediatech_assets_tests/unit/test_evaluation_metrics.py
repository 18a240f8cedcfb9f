"""Figures of retrieval: cases computed by hand, and what holds for every ranking."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.evaluation.metrics import (
    DEPTH,
    METRICS,
    Scores,
    first_right_rank,
    found_share,
    hit,
    mean,
    paired_difference,
    reciprocal_rank,
    score,
)

IDS = [f"d{n}" for n in range(20)]
RANKED = st.permutations(IDS).flatmap(lambda order: st.integers(0, 20).map(lambda count: order[:count]))
RELEVANT = st.sets(st.sampled_from([*IDS, "elsewhere"]), min_size=1)
RESULTS = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def test_one_right_document_in_the_third_place():
    assert score(["a", "b", "c", "d"], {"c"}) == Scores(1, 0.0, 1.0, 1.0, 1 / 3, 0.5, 1.0)


def test_two_right_documents_of_three_found():
    scores = score(["a", "x", "y", "b"], {"a", "b", "c"})
    best = 1 + 1 / math.log2(3) + 1 / 2
    assert (scores.recall_1, scores.recall_10, scores.mrr) == (1.0, 1.0, 1.0)
    assert scores.found_10 == pytest.approx(2 / 3)
    assert scores.ndcg_10 == pytest.approx((1 + 1 / math.log2(5)) / best)


def test_a_right_document_in_place_eleven_counts_for_nothing():
    ranked = [*IDS[:10], "right"]
    assert first_right_rank(ranked, {"right"}) == 11
    assert score(ranked, {"right"}) == Scores(1, 0, 0, 0, 0, 0, 0)
    assert found_share(ranked, {"right"}, 11) == 1.0


def test_an_empty_answer_scores_nothing():
    assert score([], {"a"}) == Scores(1, 0, 0, 0, 0, 0, 0)


def test_more_right_documents_than_ranks_can_still_be_perfect():
    scores = score(IDS[:DEPTH], IDS)
    assert scores.ndcg_10 == 1.0
    assert scores.found_10 == 0.5


@pytest.mark.parametrize(("ranked", "relevant"), [(["a", "a"], {"a"}), (["a"], set())])
def test_what_cannot_be_scored(ranked, relevant):
    with pytest.raises(ValueError, match=r"ranked twice|right document"):
        score(ranked, relevant)


@given(RANKED, RELEVANT)
def test_figures_keep_their_bounds_and_their_order(ranked, relevant):
    scores = score(ranked, relevant)
    assert all(0 <= getattr(scores, metric) <= 1 for metric in METRICS)
    assert scores.recall_1 <= scores.recall_5 <= scores.recall_10
    assert scores.recall_1 <= scores.mrr <= scores.recall_10
    assert (scores.recall_10 > 0) == (scores.mrr > 0) == (scores.ndcg_10 > 0) == (scores.found_10 > 0)
    shares = [found_share(ranked, relevant, k) for k in range(len(IDS) + 1)]
    assert shares == sorted(shares)


@given(RANKED, RELEVANT, st.randoms())
def test_what_stands_beyond_the_depth_does_not_matter(ranked, relevant, random):
    shuffled = ranked[DEPTH:]
    random.shuffle(shuffled)
    assert score([*ranked[:DEPTH], *shuffled], relevant) == score(ranked, relevant)
    assert score(ranked[:DEPTH], relevant) == score(ranked, relevant)


@given(RANKED.filter(lambda ranked: len(ranked) > 1), RELEVANT, st.data())
def test_a_right_document_that_moves_up_never_lowers_a_figure(ranked, relevant, data):
    place = data.draw(st.integers(1, len(ranked) - 1))
    if ranked[place] not in relevant or ranked[place - 1] in relevant:
        return
    better = [*ranked]
    better[place - 1], better[place] = better[place], better[place - 1]
    before, after = score(ranked, relevant), score(better, relevant)
    assert all(getattr(after, metric) >= getattr(before, metric) for metric in METRICS)


@given(RANKED, RELEVANT)
def test_right_documents_first_are_perfect(ranked, relevant):
    perfect = [*sorted(relevant), *(doc_id for doc_id in ranked if doc_id not in relevant)]
    scores = score(perfect, relevant)
    assert (scores.recall_1, scores.mrr) == (1.0, 1.0)
    assert scores.ndcg_10 == pytest.approx(1.0)


@pytest.mark.parametrize(("rank", "k", "expected"), [(None, 10, 0), (1, 1, 1), (5, 5, 1), (6, 5, 0)])
def test_a_hit_is_a_right_document_among_the_first(rank, k, expected):
    assert hit(rank, k) == expected


def test_reciprocal_ranks():
    assert [reciprocal_rank(rank) for rank in (1, 4, 10, 11, None)] == [1, 0.25, 0.1, 0, 0]


def test_a_mean_weighs_by_questions():
    one = Scores(1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    three = Scores(3, 0.0, 0.0, 1.0, 0.25, 0.5, 0.75)
    assert mean([one, three]) == Scores(4, 0.25, 0.25, 1.0, 0.4375, 0.625, 0.8125)
    assert mean([mean([one, one]), three]) == mean([one, one, three])


def test_no_question_has_no_mean():
    with pytest.raises(ValueError, match="no question"):
        mean([])


def test_a_clear_difference_is_told_from_noise():
    better, worse = [1.0] * 60 + [0.0] * 40, [1.0] * 40 + [0.0] * 60
    clear = paired_difference(better, worse)
    assert clear.mean == pytest.approx(0.2)
    # 20 of 100 questions differ, all one way: the error of the mean is sqrt(0.2 * 0.8 / 100) = 0.04.
    assert clear.low == pytest.approx(0.2 - 1.96 * 0.04, abs=0.015)
    assert clear.high == pytest.approx(0.2 + 1.96 * 0.04, abs=0.015)
    noise = paired_difference([1.0, 0.0] * 5, [0.0, 1.0] * 5)
    assert noise.low < 0 < noise.high
    assert paired_difference(better, worse) == clear


@given(RESULTS)
def test_a_system_does_not_differ_from_itself(results):
    difference = paired_difference(results, results)
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 0.0])])
def test_results_that_cannot_be_paired(first, second):
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(first, second)
