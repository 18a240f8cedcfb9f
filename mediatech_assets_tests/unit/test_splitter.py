"""The splitter: exact join, bounded pieces, French boundaries, linear time."""

import math
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.chunks.splitter import split_text

WORD = re.compile(r"[^ \t\n\r]+")


def three_characters(text: str) -> int:
    """A tokenizer whose tokens are three characters of one word."""
    return sum(math.ceil(len(word) / 3) for word in WORD.findall(text))


def one_word(text: str) -> int:
    return len(WORD.findall(text))


texts = st.text(
    alphabet=st.sampled_from(
        [*"aéL1°.;:!?»«-|", " ", " ", "\n", "\t", "\r", "\u00a0", "\x1c", "\u2028", "😀"]
    ),
    max_size=300,
) | st.text(max_size=200)
budgets = st.integers(min_value=1, max_value=40)


@given(texts, budgets)
def test_pieces_join_to_the_text_and_none_is_empty(text, budget):
    pieces = split_text(text, budget, three_characters)
    assert "".join(pieces) == text
    assert all(pieces)


@given(texts, budgets)
def test_no_piece_exceeds_the_budget(text, budget):
    assert all(three_characters(piece) <= budget for piece in split_text(text, budget, three_characters))


@given(texts, budgets)
def test_a_piece_is_not_split_again(text, budget):
    for piece in split_text(text, budget, three_characters):
        assert split_text(piece, budget, three_characters) == [piece]


@given(st.lists(st.lists(st.sampled_from(["mot", "long", "phrase."]), min_size=1, max_size=8), max_size=20))
def test_a_line_that_fits_is_never_cut(lines):
    text = "\n".join(" ".join(line) for line in lines)
    for piece in split_text(text, 8, one_word)[:-1]:
        assert piece.endswith("\n")


def test_an_empty_text_makes_no_piece():
    assert split_text("", 10, one_word) == []


def test_white_space_alone_is_kept():
    assert split_text(" \n ", 10, one_word) == [" \n "]


def test_paragraphs_come_before_lines_and_lines_before_sentences():
    text = "Un deux.\nTrois quatre.\n\nCinq six. Sept huit."
    assert split_text(text, 4, one_word) == ["Un deux.\nTrois quatre.\n\n", "Cinq six. Sept huit."]
    assert split_text(text, 2, one_word) == ["Un deux.\n", "Trois quatre.\n\n", "Cinq six. ", "Sept huit."]


def test_a_table_row_stays_whole():
    text = "|\tUn\t|\tdeux\t|\n|---|---|\n|\ttrois\t|\tquatre\t|"
    assert split_text(text, 6, one_word) == ["|\tUn\t|\tdeux\t|\n|---|---|\n", "|\ttrois\t|\tquatre\t|"]


@pytest.mark.parametrize(
    "beginning",
    [
        "selon l'art. L. 1221-1 du code,",
        "le décret n° 2020-1 de M. Dupont,",
        "d'après Mme. Durand et J.-C. Martin,",
        "voir p. 12 et al. Dupont,",
        "1. Demande écrite à",
        "(cf. Annexe) au",
    ],
)
def test_abbreviations_do_not_end_a_sentence(beginning):
    rest = "il faut agir. Puis tout recommence encore une fois."
    first, *_ = split_text(f"{beginning} {rest}", one_word(beginning) + 3, one_word)
    assert first == f"{beginning} il faut agir. "


def test_a_closing_quote_belongs_to_its_sentence():
    assert split_text("Il dit « non.\u00a0» Elle part vite.", 5, one_word) == [
        "Il dit « non.\u00a0» ",
        "Elle part vite.",
    ]


def test_a_long_sentence_is_cut_at_its_clauses():
    assert split_text("un deux trois ; quatre cinq six", 5, one_word) == [
        "un deux trois ; ",
        "quatre cinq six",
    ]


def test_a_word_above_the_budget_is_cut_between_characters():
    pieces = split_text("avant " + "x" * 100 + " après", 5, three_characters)
    assert pieces[0] == "avant "
    assert all(set(piece) == {"x"} for piece in pieces[1:-1])
    assert pieces[-1].endswith("x après")
    assert len(pieces) == 9


def test_the_last_piece_is_not_a_scrap():
    sentences = [f"Phrase numéro {number} ici." for number in range(9)]
    pieces = split_text(" ".join(sentences), 35, one_word)
    assert [one_word(piece) for piece in pieces] == [20, 16]


def test_a_budget_without_room_is_refused():
    with pytest.raises(ValueError, match="at least one token"):
        split_text("texte", 0, one_word)


@pytest.mark.parametrize(
    "text",
    [
        "Le salarié, s'il le demande, peut bénéficier d'un congé. " * 3_600,
        "mot " * 50_000,
        "\n" * 200_000,
        "a\n\n" * 66_667,
        "x" * 200_000,
        "." * 200_000,
        "»" * 100_000 + "a." + "»" * 100_000,
        "a. » " * 40_000,
    ],
    ids=["prose", "words", "blank", "paragraphs", "one word", "stops", "quotes", "short sentences"],
)
def test_two_hundred_thousand_characters_take_less_than_a_second(text):
    start = time.process_time()
    pieces = split_text(text, 256, three_characters)
    assert time.process_time() - start < 1
    assert "".join(pieces) == text
