"""An evaluation: what is asked, what is kept of the answers, and how it reads."""

from collections.abc import Sequence

import pytest

from mediatech_assets.errors import EmbeddingError, IndexUnavailableError
from mediatech_assets.evaluation.gate import Verdict
from mediatech_assets.evaluation.metrics import mean
from mediatech_assets.evaluation.questions import Part, Question
from mediatech_assets.evaluation.run import ALL, MODES, PARTS, evaluate
from mediatech_assets.evaluation.summary import summary_markdown
from mediatech_assets_tests.evaluated import evaluation_of, questions

PASSED = Verdict(True, ("hybrid recall@10 is 0.900",))


def test_every_question_is_asked_in_every_mode_one_question_after_the_other():
    asked: list[tuple[str, str]] = []

    def ask(text: str, mode: str) -> list[str]:
        asked.append((text, mode))
        return []

    evaluate(questions(3), ask)
    assert asked == [(f"Question {n} ?", mode) for n in range(3) for mode in MODES]


def test_several_chunks_of_a_document_count_as_one():
    question = Question("q", "legi", "Question ?", frozenset(["right"]))
    chunks = ["a", "a", "b", "a", "right", "b", "right", *(f"d{n}" for n in range(20))]
    evaluation = evaluate([question], lambda _text, _mode: chunks)
    (judgement,) = evaluation.judgements["dense"]
    assert judgement.rank == 3
    assert judgement.found == ("a", "b", "right", *(f"d{n}" for n in range(7)))
    assert judgement.scores.mrr == pytest.approx(1 / 3)


def test_a_mode_whose_model_fails_is_not_measured_and_is_asked_no_more():
    asked: list[str] = []

    def ask(text: str, mode: str) -> Sequence[str]:
        asked.append(mode)
        if mode != "sparse" and text != "Question 0 ?":
            raise EmbeddingError("the service is down", "start it")
        return ["F0"]

    evaluation = evaluate(questions(4), ask)
    assert evaluation.unmeasured == {"hybrid": "the service is down", "dense": "the service is down"}
    assert asked.count("hybrid") == asked.count("dense") == 2
    assert evaluation.scores("hybrid") is evaluation.scores("dense") is None
    assert evaluation.ranks("hybrid") == {}
    sparse = evaluation.scores("sparse")
    assert sparse is not None
    assert (sparse.questions, sparse.recall_10) == (4, 0.25)


def test_an_index_that_fails_is_no_result():
    def ask(_text: str, _mode: str) -> list[str]:
        raise IndexUnavailableError("no index yet", "update")

    with pytest.raises(IndexUnavailableError):
        evaluate(questions(2), ask)


def test_parts_add_up_to_all():
    evaluation = evaluation_of({"hybrid": [1, 2, 7, None, 11, 3, 1, 10]})
    by_part = {part: evaluation.scores("hybrid", part) for part in PARTS}
    training, held_out = by_part[Part.TRAINING], by_part[Part.HELD_OUT]
    assert training is not None
    assert held_out is not None
    assert mean([training, held_out]) == by_part[ALL]
    assert (
        evaluation.ranks("hybrid", Part.TRAINING).keys().isdisjoint(evaluation.ranks("hybrid", Part.HELD_OUT))
    )


def test_without_questions_there_are_no_figures():
    evaluation = evaluate([], lambda _text, _mode: [])
    assert [evaluation.scores(mode, part) for mode in MODES for part in PARTS] == [None] * 9
    assert evaluation.worst() == []
    assert "0 questions" in summary_markdown(evaluation, PASSED)


def test_the_worst_questions_are_of_the_training_part_and_come_worst_first():
    ranks = [1, None, 3, 12, 2, 1, None, 9, 4, 5, 1, 8]
    evaluation = evaluation_of({"hybrid": ranks})
    worst = evaluation.worst(limit=3)
    training = [
        rank for question, rank in zip(questions(12), ranks, strict=True) if question.part is Part.TRAINING
    ]
    expected = sorted((rank or 99 for rank in training if rank != 1), reverse=True)[:3]
    assert [judgement.rank or 99 for judgement in worst] == expected
    assert {judgement.question.part for judgement in worst} == {Part.TRAINING}
    everything = evaluation.worst(part=ALL, limit=99)
    assert [judgement.rank for judgement in everything] == [None, None, 12, 9, 8, 5, 4, 3, 2]


def test_the_summary_holds_the_verdict_the_figures_and_the_failures():
    evaluation = evaluation_of({"hybrid": [None, 1, 1, 2], "sparse": [None] * 4})
    titles = {"other0": "Carte | grise\n<b>*"}
    summary = summary_markdown(evaluation, Verdict(False, ("too low",)), titles)
    assert summary.startswith("**failed**: too low\n")
    assert "| hybrid | all (4) | 0.500 | 0.750 | 0.750 | 0.625 | 0.658 | 0.750 |" in summary
    assert "| sparse | all (4) | 0.000 |" in summary
    assert "| dense |" not in summary
    assert "dense was not measured: no model for dense" in summary
    failures = [line for line in summary.splitlines() if line.startswith("| Question")]
    assert failures == [r"| Question 0 ? | none | F0 | Carte \| grise \<b\>\*; other1; other2 |"]
