"""What belongs here: the format of the lexicon of everyday French. What does not: whether its entries help search."""

import unicodedata
from collections import Counter
from pathlib import Path

import mediatech_assets.index

LEXICON = Path(mediatech_assets.index.__file__).with_name("everyday_french.tsv")
LINES = LEXICON.read_text(encoding="utf-8").splitlines()
ENTRIES = [line for line in LINES if line and not line.startswith("#")]


def sides(entry: str) -> tuple[str, list[str]]:
    everyday, _, terms = entry.partition("\t")
    return everyday, terms.split(", ")


def test_the_lexicon_has_entries():
    assert ENTRIES


def test_one_tab_separates_the_two_sides():
    assert [entry for entry in ENTRIES if entry.count("\t") != 1] == []


def test_no_expression_and_no_term_is_empty_or_padded():
    texts = [(entry, text) for entry in ENTRIES for text in (sides(entry)[0], *sides(entry)[1])]

    assert [entry for entry, text in texts if not text or text != text.strip() or "," in text] == []


def test_everyday_expressions_are_in_lower_case():
    assert [entry for entry in ENTRIES if sides(entry)[0] != sides(entry)[0].lower()] == []


def test_no_everyday_expression_is_given_twice():
    counts = Counter(sides(entry)[0] for entry in ENTRIES)

    assert [everyday for everyday, count in counts.items() if count > 1] == []


def test_each_expression_has_one_to_four_distinct_terms():
    wrong = [
        entry
        for entry in ENTRIES
        if not 1 <= len(sides(entry)[1]) <= 4 or len(set(sides(entry)[1])) != len(sides(entry)[1])
    ]

    assert wrong == []


def test_the_text_is_composed_unicode_without_trailing_spaces():
    assert [
        line for line in LINES if line != unicodedata.normalize("NFC", line) or line != line.rstrip()
    ] == []
