"""How two versions of a text are put side by side: nothing invented, nothing endless."""

import time

from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.release.wording import Mark, Piece, changed_wording

WORDS = st.lists(
    st.sampled_from(["durée", "de ", "trente ", "jours", ", ", "\n", "\n\n", "l'article ", "L. 1221-1 "])
)


def side(passage: tuple[Piece, ...], own: Mark) -> str:
    return "".join(piece.text for piece in passage if piece.mark in {Mark.SAME, own})


def test_equal_texts_have_no_passage():
    assert changed_wording("un\ndeux", "un\ndeux").passages == ()


def test_one_changed_figure_is_marked_alone():
    [passage] = changed_wording(
        "L'employeur dispose d'un délai de trente jours pour répondre.",
        "L'employeur dispose d'un délai de vingt jours pour répondre.",
    ).passages

    assert [piece for piece in passage if piece.mark is not Mark.SAME] == [
        Piece(Mark.REMOVED, "trente "),
        Piece(Mark.ADDED, "vingt "),
    ]


def test_a_new_paragraph_stands_in_its_surroundings():
    [passage] = changed_wording("Premier.\nDernier.", "Premier.\nNouveau.\nDernier.").passages

    assert passage == (
        Piece(Mark.SAME, "Premier.\n"),
        Piece(Mark.ADDED, "Nouveau.\n"),
        Piece(Mark.SAME, "Dernier."),
    )


def test_a_line_added_at_the_end_leaves_the_line_before_it_unmarked():
    [passage] = changed_wording("Premier.", "Premier.\nSecond.").passages

    assert passage == (Piece(Mark.SAME, "Premier."), Piece(Mark.ADDED, "\nSecond."))


def test_texts_with_little_in_common_stand_one_after_the_other():
    [passage] = changed_wording("Les chats dorment la nuit.", "Un décret fixe le montant due.").passages

    assert [piece.mark for piece in passage if piece.mark is not Mark.SAME] == [Mark.REMOVED, Mark.ADDED]


def test_passages_far_apart_are_shown_apart_and_what_is_between_is_not():
    lines = [f"Alinéa {number}." for number in range(40)]
    after = [*lines[:3], "Changé.", *lines[4:35], "Autre.", *lines[36:]]

    passages = changed_wording("\n".join(lines), "\n".join(after)).passages

    assert len(passages) == 2
    assert "Alinéa 20." not in "".join(piece.text for passage in passages for piece in passage)


def test_a_long_paragraph_is_shown_around_the_change_only():
    words = [f"mot{number}" for number in range(1_000)]
    [passage] = changed_wording(" ".join(words), " ".join([*words[:500], "autre", *words[501:]])).passages

    assert [piece.mark for piece in passage] == [
        Mark.OMITTED,
        Mark.SAME,
        Mark.REMOVED,
        Mark.ADDED,
        Mark.SAME,
        Mark.OMITTED,
    ]
    assert "mot499 " in passage[1].text
    assert "mot400 " not in passage[1].text


def test_many_passages_are_counted_beyond_those_shown():
    before = "\n".join(f"Alinéa {number} sur deux." if number % 5 else f"{number}" for number in range(500))
    wording = changed_wording(before, before.replace("0\n", "zéro\n"))

    assert wording.more > 0
    assert len(wording.passages) + wording.more == 50


@given(WORDS, WORDS)
def test_each_side_of_a_passage_is_a_part_of_its_text(before, after):
    old, new = "".join(before), "".join(after)

    wording = changed_wording(old, new)

    assert bool(wording.passages) == (old != new)
    for passage in wording.passages:
        if not any(piece.mark is Mark.OMITTED for piece in passage):
            assert side(passage, Mark.REMOVED) in old
            assert side(passage, Mark.ADDED) in new


def test_hostile_texts_take_no_endless_time():
    """Repeated words make a comparison quadratic: each is given up for whole passages in time."""
    started = time.process_time()
    for before, after in (
        ("de " * 50_000, "de la " * 25_000),
        ("a\n" * 30_000, "a\nb\n" * 15_000),
        ("de " * 1_100, "la de " * 550),
        ("\n".join(["x y"] * 3_900), "\n".join(["x y", "z"] * 1_950)),
    ):
        wording = changed_wording(before, after)
        shown = sum(len(piece.text) for passage in wording.passages for piece in passage)
        assert 0 < shown < 200_000
    assert time.process_time() - started < 10
