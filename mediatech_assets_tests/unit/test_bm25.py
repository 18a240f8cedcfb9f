"""French BM25: what becomes a term, and what the weights promise."""

import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.index.bm25 import AVERAGE_LENGTH, SparseVector, encode_document, encode_query, terms

ROOT = Path(__file__).resolve().parents[2]
FRENCH = "abcdefghijklmnopqrstuvwxyzàâäçéèêëîïôöùûüÿœæABCDEÉÈÀÇŒ0123456789 .,;'’-*«»\u00a0\u202f\n"
ARTICLE = st.tuples(
    st.sampled_from(["L", "R", "D", "A", "LO"]),
    st.lists(st.integers(1, 9999), min_size=1, max_size=4).map(lambda parts: "-".join(map(str, parts))),
)


@given(ARTICLE, st.sampled_from([". ", "", ".", ".\u00a0", "*", ". * ", ". *"]), st.booleans())
def test_an_article_reference_is_one_term_however_it_is_written(article, separator, lower):
    letters, number = article
    written = f"{letters}{separator}{number}"
    assert terms(f"voir {written.lower() if lower else written}, alinéa") == [
        "voir",
        f"{letters.lower()}{number}",
        "alin",
    ]


def test_an_article_reference_may_have_a_space_only_or_a_line_break():
    assert terms("L 1221-1") == terms("l 1221-1") == terms("L.\n1221-1") == ["l1221-1"]
    assert terms("L.O. 141") == terms("LO 141") == ["lo141"]


def test_the_verb_a_and_the_preposition_make_no_reference():
    assert terms("il a 10 ans") == ["10", "an"]
    assert terms("de 3 à 1221-1") == ["3", "1221-1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 000", ["5000"]),
        ("5\u00a0000", ["5000"]),
        ("1\u202f234\u202f567,89", ["1234567,89"]),
        ("2,5", ["2,5"]),
        ("2.5", ["2,5"]),
        ("en 2020 300 cas", ["2020", "300", "cas"]),
        ("12.05.2024", ["12", "05", "2024"]),
        ("2024-01-15", ["2024-01-15"]),
        ("n° 2008-1249", ["2008-1249"]),
        ("01 23 45", ["01", "23", "45"]),
        ("1er", ["1er"]),
        ("|\t5\t|\t000\t|", ["5", "000"]),
    ],
)
def test_numbers_stay_whole(text, expected):
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("l'œuvre d’art", ["oeuvr", "art"]),
        ("jusqu'au lorsqu'elle qu'on", []),
        ("aujourd'hui Aujourd’hui", ["aujourd'hui", "aujourd'hui"]),
        ("prud'hommes PRUD’HOMMES prudhommes", ["prudhomm"] * 3),
        ("entr'ouvert", ["entr", "ouvert"]),
        ("con\u00adgés", ["cong"]),
        ("", []),
        ("de la, les ; et !", []),
    ],
)
def test_words(text, expected):
    assert terms(text) == expected


def test_inflected_forms_share_their_term():
    assert terms("congés payés") == terms("congé payé") == terms("CONGES PAYES")
    assert terms("licenciements") == terms("licenciement")


@given(st.text(alphabet=FRENCH))
def test_case_and_accents_do_not_matter(text):
    unaccented = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    assert (
        terms(text) == terms(text.upper()) == terms(unaccented) == terms(unicodedata.normalize("NFD", text))
    )


@given(st.one_of(st.text(), st.text(alphabet=FRENCH)))
def test_any_text_gives_a_well_formed_vector(text):
    vector = encode_document(text)
    assert "" not in terms(text)
    assert len(vector.indices) == len(vector.values)
    assert all(first < second for first, second in pairwise(vector.indices))
    assert all(0 <= index < 1 << 32 for index in vector.indices)
    assert all(0 < value < 2.2 for value in vector.values)
    assert vector == encode_document(text)
    assert encode_query(text).indices == vector.indices


def test_vectors_are_the_same_in_another_process():
    text = "L'article L. 1221-1 du code du travail prévoit 5 000 € aujourd'hui."
    program = f"from mediatech_assets.index.bm25 import encode_document; print(encode_document({text!r}))"
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert other.stdout.strip() == repr(encode_document(text))


def test_term_numbers_are_those_of_stored_collections():
    # A change here means that existing collections no longer match: BM25_VERSION has to change with it.
    assert encode_query("congés L. 1221-1") == SparseVector((568553909, 983110672), (1.0, 1.0))


def test_a_repeated_term_weighs_more_but_never_without_bound():
    once, twice, often = (max(encode_document("impôt " * n + "mot").values) for n in (1, 2, 500))
    assert once < twice < often < 2.2


def test_a_term_weighs_less_in_a_longer_text_and_one_in_an_average_text():
    filler = [f"mot{n}x" for n in range(400)]
    average, long = (
        dict(zip(vector.indices, vector.values, strict=True))
        for vector in (encode_document(" ".join(filler[:n])) for n in (int(AVERAGE_LENGTH), 400))
    )
    term = encode_query(filler[0]).indices[0]
    assert average[term] == pytest.approx(1.0)
    assert long[term] < average[term]


def test_hostile_text_takes_no_time_worth_measuring():
    for text in (
        "l. " * 50_000,
        "a" * 1_000_000,
        "1 " * 200_000,
        "1-" * 200_000,
        "1 000 " * 100_000,
        "'" * 500_000,
    ):
        encode_document(text)
