"""What belongs here: the marks of our text conventions and their removal."""

import pytest

from mediatech_assets.documents.model import Document, Section, plain_text, strip_marks


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("-\tun\n  -\tdeux\n12.\ttrois", "un\ndeux\ntrois"),
        ("|\ta\t|\tb\t|\n|---|---|\n|\t1\t|\t2\t|", "a b\n1 2"),
        ("|\t\t|\tb\t|", " b"),
        (
            "- un tiret du texte\n1. un numéro\n| une barre |",
            "- un tiret du texte\n1. un numéro\n| une barre |",
        ),
    ],
)
def test_only_our_own_marks_are_removed(marked, plain):
    assert strip_marks(marked) == plain


def test_plain_text_never_glues_two_sections():
    document = Document("x", {}, (Section("un"), Section("-\tdeux")), source_url="")

    assert plain_text(document) == "un\n\ndeux"
