"""What BM25 asks for a question: its own terms, and the official words for its everyday ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.index.bm25 import term_id, terms
from mediatech_assets.index.question import EXPANSION_WEIGHT, encode_question, official_terms


@pytest.mark.parametrize(
    ("question", "official"),
    [
        ("mon proprio", "propriétaire bailleur"),
        ("j'ai perdu mon papier rose", "permis de conduire"),
        ("MON PAPIER ROSE", "permis de conduire"),
    ],
)
def test_official_words_are_added_to_everyday_ones(question, official):
    assert set(terms(official)) <= set(official_terms(question))


def test_the_longest_expression_is_taken():
    assert "discothequ" in set(official_terms("une boîte de nuit"))
    assert set(official_terms("une boîte de nuit")).isdisjoint(terms("entreprise"))


def test_short_words_are_compared_as_they_are_written():
    assert not list(official_terms("un café"))
    assert list(official_terms("la caf"))


def test_own_terms_weigh_one_and_added_ones_less():
    vector = encode_question("mon proprio")
    weights = dict(zip(vector.indices, vector.values, strict=True))
    assert weights[term_id("proprio")] == 1.0
    assert weights[term_id("bailleur")] == EXPANSION_WEIGHT < 1


def test_a_question_without_everyday_words_is_asked_as_it_is():
    vector = encode_question("Quel est le délai de l'article L. 1234-1 ?")
    assert set(vector.indices) == {term_id(term) for term in terms("délai article l1234-1")}
    assert set(vector.values) == {1.0}


def test_nothing_to_ask():
    assert encode_question("et de la ?").indices == ()


@given(st.text(max_size=200))
def test_any_question_keeps_all_its_terms(question):
    vector = encode_question(question)
    assert {term_id(term) for term in terms(question)} <= set(vector.indices)
    assert list(vector.indices) == sorted(set(vector.indices))
    assert len(vector.indices) == len(vector.values)
