"""Everyday phrases of documents: their files, their errors, and what they weigh."""

import re

import pytest

from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.evaluation.questions import load_questions
from mediatech_assets.index.bm25 import SparseVector, encode_document, term_id, terms
from mediatech_assets.index.expansion import (
    NO_EXPANSION,
    PHRASE_WEIGHT,
    encode_expanded,
    expansion_version,
    load_expansion,
    parse_expansion,
)

WITH_PHRASES = ("service_public", "travail_emploi")
TEXT = "Trouble anormal de voisinage : le tribunal peut être saisi."
PHRASES = "mon voisin fait la fête toutes les nuits | le chien d'à côté aboie"


def weights(vector: SparseVector) -> dict[int, float]:
    return dict(zip(vector.indices, vector.values, strict=True))


def test_a_document_without_phrases_keeps_its_own_terms():
    assert encode_expanded(TEXT, None) == encode_expanded(TEXT, "") == encode_document(TEXT, 400.0)


def test_words_of_phrases_weigh_as_if_they_stood_there_so_often():
    found = weights(encode_expanded(TEXT, PHRASES))
    assert {term_id(term) for term in terms(f"{TEXT} {PHRASES}")} == found.keys()
    assert found == weights(encode_document(" ".join([TEXT, *[PHRASES] * PHRASE_WEIGHT]), 400.0))
    (night,), (court,) = terms("nuit"), terms("tribunal")
    assert found[term_id(court)] < found[term_id(night)]


def test_remarks_and_empty_lines_are_passed_over():
    content = "# Qui a écrit\n\nF1\tun | deux\r\n F2 \t trois \n".encode()
    assert parse_expansion(content, "f.tsv") == {"F1": "un | deux", "F2": "trois"}


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"F1\tun\nF2 deux", 2, "not an id, a tab and phrases"),
        (b"F1\t", 1, "not an id, a tab and phrases"),
        (b"\tun", 1, "not an id, a tab and phrases"),
        (b"F1\tun\nF2\tdeux\nF1\ttrois", 3, "F1 has phrases on an earlier line"),
        (b"F1\t\xff", 1, "utf-8"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(content, line, said):
    with pytest.raises(ConfigurationError, match=f"f.tsv, line {line}: .*{re.escape(said)}"):
        parse_expansion(content, "f.tsv")


def test_a_folder_of_ones_own_replaces_the_phrases_of_the_platform(tmp_path):
    (tmp_path / "cnil.tsv").write_text("CNIL1\tmes données", encoding="utf-8")
    assert load_expansion(str(tmp_path), "cnil") == {"CNIL1": "mes données"}
    assert load_expansion(str(tmp_path), "service_public") == {}
    assert expansion_version(str(tmp_path), "cnil")
    assert load_expansion(NO_EXPANSION, "service_public") == {}
    assert expansion_version(NO_EXPANSION, "service_public") == ""


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="MEDIATECH_EXPANSIONS names no folder"):
        load_expansion(str(tmp_path / "nothing"), "cnil")


@pytest.mark.parametrize("dataset", all_datasets())
def test_the_phrases_of_the_platform_can_be_read(dataset):
    phrases = load_expansion("", dataset)
    assert bool(phrases) is (dataset in WITH_PHRASES)
    for doc_id, said in phrases.items():
        assert 2 <= len(said.split(" | ")) <= 6, doc_id
        assert all(each.strip() for each in said.split(" | ")), doc_id
        assert encode_expanded("", said).indices, doc_id


def test_no_phrase_is_a_question_of_the_evaluation():
    """Who wrote the phrases had not seen the questions: a copy would mean the contrary."""
    for dataset in WITH_PHRASES:
        said = {
            " ".join(terms(each))
            for phrases in load_expansion("", dataset).values()
            for each in phrases.split(" | ")
        }
        asked = {" ".join(terms(question.text)) for question in load_questions(dataset)}
        assert asked
        assert not asked & said
