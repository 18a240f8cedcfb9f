"""The rule that an evaluation has to pass: what fails it, and what is too little to judge."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from mediatech_assets.evaluation.gate import SMALLEST_SAMPLE, judge
from mediatech_assets.evaluation.history import Run, Subject
from mediatech_assets.evaluation.run import PARTS, Evaluation
from mediatech_assets_tests.evaluated import evaluation_of, questions

SUBJECT = Subject("use", "f" * 8, "sheets-1", "index", "questions", "code")


def hybrid(ranks: Sequence[int | None], first: int = 0) -> Evaluation:
    asked = questions(first + len(ranks))[first:]
    return evaluation_of({"hybrid": ranks}, asked)


def release_run(evaluation: Evaluation) -> Run:
    scores = {(mode, part): evaluation.scores(mode, part) for mode in evaluation.judgements for part in PARTS}
    return Run(
        run_at=datetime(2026, 1, 1),
        subject=SUBJECT,
        scores={key: figures for key, figures in scores.items() if figures},
        ranks={"hybrid": evaluation.ranks("hybrid")},
    )


def test_enough_right_answers_pass():
    verdict = judge(hybrid([1] * 18 + [None] * 2), 0.9, None)
    assert verdict.passed
    assert "hybrid recall@10 is 0.900 over 20 questions, floor 0.900" in verdict.reasons
    assert "no earlier release to compare with" in verdict.reasons


def test_below_the_floor_fails():
    verdict = judge(hybrid([10] * 17 + [11] * 3), 0.9, None)
    assert not verdict.passed
    assert "0.850" in verdict.reasons[0]


def test_too_few_questions_are_not_judged():
    verdict = judge(hybrid([None] * (SMALLEST_SAMPLE - 1)), 0.9, None)
    assert verdict.passed
    assert verdict.reasons == ("not judged: 19 questions can be answered here",)


def test_what_was_not_measured_is_not_vouched_for():
    verdict = judge(evaluation_of({"sparse": [1] * 30}), 0.0, None)
    assert not verdict.passed
    assert verdict.reasons == ("hybrid search could not be measured: no model for hybrid",)


def test_a_clear_fall_of_recall_fails():
    former = release_run(hybrid([1] * 100))
    verdict = judge(hybrid([1] * 85 + [None] * 15), 0.5, former)
    assert not verdict.passed
    assert any("recall@10 -0.150" in reason and "tolerance of 0.050" in reason for reason in verdict.reasons)


def test_a_clear_fall_of_the_first_rank_alone_fails():
    verdict = judge(hybrid([3] * 50), 0.5, release_run(hybrid([1] * 50)))
    assert not verdict.passed
    assert any("MRR -0.667" in reason and "tolerance" in reason for reason in verdict.reasons)
    assert not any("recall@10 +0.000" in reason and "tolerance" in reason for reason in verdict.reasons)


def test_a_clear_fall_within_the_tolerance_passes():
    former, current = release_run(hybrid([1] * 400)), hybrid([1] * 384 + [None] * 16)
    assert judge(current, 0.5, former).passed
    assert not judge(current, 0.5, former, tolerance=0.03).passed


def test_a_fall_that_noise_explains_passes():
    before = [1] * 15 + [None] * 15
    now = [1] * 9 + [None] * 6 + [1] * 4 + [None] * 11
    verdict = judge(hybrid(now), 0.4, release_run(hybrid(before)))
    assert verdict.passed
    assert any("recall@10 -0.067" in reason for reason in verdict.reasons)


def test_a_rise_passes():
    assert judge(hybrid([1] * 50), 0.5, release_run(hybrid([None] * 50))).passed


def test_only_common_questions_are_compared():
    former = release_run(hybrid([1] * 60))
    # 30 old questions as good as before, and 30 new ones that fail.
    verdict = judge(hybrid([1] * 30 + [None] * 30, first=30), 0.5, former)
    assert verdict.passed
    assert any("over 30 common questions" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("common", [0, SMALLEST_SAMPLE - 1])
def test_too_few_common_questions_are_not_compared(common):
    former = release_run(hybrid([1] * 40))
    verdict = judge(hybrid([None] * common + [1] * 40, first=40 - common), 0.5, former)
    assert verdict.passed
    assert f"not compared with the last release: {common} questions are common to both" in verdict.reasons


def test_a_release_that_was_measured_by_bm25_alone_is_not_compared():
    former = Run(datetime(2026, 1, 1), SUBJECT, {}, {"sparse": hybrid([1] * 40).ranks("sparse")})
    assert judge(hybrid([1] * 40), 0.5, former).passed


def test_a_recorded_run_is_judged_as_the_evaluation_it_recorded():
    former = release_run(hybrid([1] * 100))
    for ranks in ([1] * 100, [1] * 85 + [None] * 15, [None] * 100, [1] * 5):
        current = hybrid(ranks)
        assert judge(release_run(current), 0.5, former) == judge(current, 0.5, former)
