"""Questions: what a file may hold, the split that nobody chooses, and what a corpus can answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.evaluation.questions import (
    Part,
    Question,
    answerable,
    digest,
    load_questions,
    parse_questions,
    question_datasets,
)

ROW = {
    "id": "sp-001",
    "question": "J'ai perdu ma carte, je fais quoi ?",
    "relevant": ["F1344"],
    "slips": False,
    "shared_title_words": 1,
    "why": "loss of the identity card",
}


def parse(*rows: object) -> tuple[Question, ...]:
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    return parse_questions(b"\n".join(lines), "service_public", "sheets.jsonl")


def question(text: str = "Où voter ?", *relevant: str, name: str = "q") -> Question:
    return Question(name, "service_public", text, frozenset(relevant or ["F1"]))


def test_a_line_becomes_a_question():
    text = "Mon proprio augmante le loyé\u2028c'est légal ?"
    (first, second) = parse(
        ROW, b"", {**ROW, "id": "sp-002", "question": f" {text} ", "relevant": ["F2", "F3"], "slips": True}
    )
    assert first == Question("sp-001", "service_public", ROW["question"], frozenset(["F1344"]), slips=False)
    assert second == Question("sp-002", "service_public", text, frozenset(["F2", "F3"]), slips=True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"relevant": []}, "relevant"),
        ({"relevant": "F1"}, "relevant"),
        ({"relevant": ["F1", 2]}, "relevant"),
        ({"relevant": ["F1", "F1"]}, "relevant names a document twice"),
        ({"question": "  "}, "question is no text"),
        ({"question": 3}, "question is no text"),
        ({"id": ""}, "id is no text"),
        ({"why": None}, "why is no text"),
        ({"slips": "no"}, "slips"),
        ({"shared_title_words": -1}, "shared_title_words"),
        ({"shared_title_words": True}, "shared_title_words"),
        ({"answer": "42", "zone": 1}, "unknown key answer, zone"),
        ({"id": ROW["id"]}, "its id is that of line 1"),
        ({"question": "j'ai PERDU  ma carte, je fais quoi ?"}, "its question is that of line 1"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named(change, problem):
    other = {**ROW, "id": "sp-002", "question": "Une autre question ?"}
    with pytest.raises(ConfigurationError) as raised:
        parse(ROW, b"", {**other, **change})
    assert raised.value.problem.startswith("sheets.jsonl, line 3: ")
    assert problem in raised.value.problem


@pytest.mark.parametrize("missing", sorted(ROW))
def test_every_key_is_needed(missing):
    with pytest.raises(ConfigurationError, match=f"line 1: missing key {missing}"):
        parse({key: value for key, value in ROW.items() if key != missing})


@pytest.mark.parametrize("line", [b"{", b"[]", b"null", b'{"id": "\xe9"}', b"[" * 100_000])
def test_a_line_that_is_no_object_is_named(line):
    with pytest.raises(ConfigurationError, match=r"sheets\.jsonl, line 2: not"):
        parse(ROW, line)


def test_the_files_of_the_package_are_right():
    for dataset in question_datasets():
        questions = load_questions(dataset)
        assert questions
        assert {each.dataset for each in questions} == {dataset}


@pytest.mark.parametrize("dataset", ["unknown", "../questions/legi", ""])
def test_a_dataset_without_a_file_has_no_question(dataset):
    assert load_questions(dataset) == ()


def test_the_text_alone_decides_the_part_half_and_half():
    # `printf a | sha256sum` begins with 0xca, that of b with 0x3e.
    assert question("a").part is Part.HELD_OUT
    assert question("b").part is Part.TRAINING
    assert question("a", "F9", name="other").part is Part.HELD_OUT
    training = sum(question(f"Question {n} ?").part is Part.TRAINING for n in range(2_000))
    assert 900 < training < 1_100


def test_the_key_changes_with_what_is_asked_and_with_nothing_else():
    first = question("Où voter ?", "F1", "F2")
    assert first.key.startswith("q@")
    assert first.key == Question("q", "service_public", "Où voter ?", frozenset(["F2", "F1"]), slips=True).key
    others = [question("Où voter", "F1", "F2"), question("Où voter ?", "F1"), question(name="p")]
    assert len({first.key, *(other.key for other in others)}) == 4


@given(st.permutations([question(f"Q{n}", "F1", f"F{n}", name=f"q{n}") for n in range(2, 6)]))
def test_the_order_of_questions_does_not_change_their_digest(questions):
    assert digest(questions) == digest(sorted(questions, key=lambda each: each.id))
    assert digest(questions) != digest(questions[1:])


def test_a_corpus_answers_the_questions_whose_documents_it_holds():
    both, one, none = question("a", "F1", "F2"), question("b", "F2", "F9"), question("c", "F8", "F9")
    assert answerable([both, one, none], ["F1", "F2", "F3"]) == (both, question("b", "F2"))
    assert answerable([both, one, none], []) == ()
