"""What belongs here: decisions of the courts of appeal, on a hand-written one in their dialect and its variations."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.datasets.capp import DATASET, heading, parse, parse_full, wants
from mediatech_assets.documents.model import Document, Member, Outcome, Refusal, plain_text
from mediatech_assets.sample_upstream.fixtures import capp as sample
from mediatech_assets_tests.sample_fund import documents_of

DECISION = (Path(__file__).parents[1] / "fixtures/golden/capp/decision/input.xml").read_bytes()
PATH = "capp/global/JURI/TEXT/00/00/00/00/00/JURITEXT000000000031.xml"

#: What each column of persons says in the hand-written decision.
PERSONS = {
    "claimant": "Mme Roue",
    "defendant": "M. Vanne",
    "president": "Mme Écluse",
    "advocate_general": "M. Bief",
    "lawyers": "Me Canal",
    "rapporteur": "M. Étang",
}


def document_of(outcomes: list[Outcome]) -> Document:
    (outcome,) = outcomes
    assert isinstance(outcome, Document)
    return outcome


def member(*changes: tuple[str, str]) -> Member:
    text = DECISION.decode()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return Member(PATH, text.encode(), 0.0, "archive.tar.gz")


def test_both_parsers_fill_every_column():
    for parser in (parse, parse_full):
        assert list(document_of(parser(member())).metadata) == DATASET.metadata_schema.names
    assert DATASET.parse_full is parse_full


def test_no_name_of_a_person_is_in_the_public_document():
    said = repr(document_of(parse(member())))

    assert all(name in DECISION.decode() for name in PERSONS.values())
    assert not [name for name in PERSONS.values() if name in said]


def test_the_full_document_differs_by_the_names_only():
    public, full = (document_of(parser(member())) for parser in (parse, parse_full))

    assert full.metadata == {**public.metadata, **PERSONS}
    assert full.sections == public.sections


def test_several_claimants_are_all_named():
    both = (
        "<DEMANDEUR>Mme Roue</DEMANDEUR>",
        "<DEMANDEUR>Mme Roue</DEMANDEUR>\n<DEMANDEUR>M. Moyeu</DEMANDEUR>",
    )

    assert document_of(parse_full(member(both))).metadata["claimant"] == "Mme Roue, M. Moyeu"
    assert document_of(parse(member(both))).metadata["claimant"] == ""


def test_no_word_of_the_text_and_of_the_summary_is_lost():
    words = plain_text(document_of(parse(member()))).split()

    assert " ".join(words) == (
        "EAUX - Moulin - Vanne VOISINAGE Le voisin ne touche pas à la vanne. Il le demande. "
        "ARRET DU 5 AVRIL 2006 La voisine a baissé la vanne. PAR CES MOTIFS, La cour confirme."
    )


def test_a_decision_without_words_has_no_section():
    text = DECISION.decode()
    whole = text[text.index("<TEXTE>") : text.index("</TEXTE>")]

    document = document_of(parse(member((whole, "<TEXTE><BLOC_TEXTUEL><CONTENU/></BLOC_TEXTUEL>"))))

    assert document.sections == ()
    assert document.metadata["summary"] == ""


def test_headings_name_the_decision():
    assert heading(document_of(parse(member())).metadata) == [
        "Cour d'appel de Meunerie, CT0007, du 5 avril 2006, 05/0101"
    ]
    facts = {"title": "", "jurisdiction": "Cour d'appel", "decision_date": "2006-04-05", "number": "05/0101"}
    assert heading(facts) == ["Cour d'appel, 2006-04-05, 05/0101"]
    assert heading(dict.fromkeys(facts, "")) == []


@pytest.mark.parametrize("parser", [parse, parse_full])
@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("TEXTE_JURI_JUDI", "TEXTE_JURI_CONSTIT", "the root element is TEXTE_JURI_CONSTIT"),
        ("<ID>JURITEXT000000000031</ID>", "", "META/META_COMMUN/ID is ''"),
        ("<ID>JURITEXT", "<ID>CETATEXT", "JURITEXT and twelve digits"),
        ("</TEXTE_JURI_JUDI>", "", "not well-formed XML"),
    ],
)
def test_refusals_name_the_member_and_the_cause(parser, before, after, reason):
    (refusal,) = parser(member((before, after)))

    assert isinstance(refusal, Refusal)
    assert refusal.subject == PATH
    assert reason in refusal.reason


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (PATH, True),
        (f"juri/{PATH}", True),
        ("capp/global/JURI/TEXT/00/00/00/00/00/CETATEXT000000000031.xml", False),
        ("liste_suppression_capp.dat", False),
    ],
)
def test_only_decisions_are_wanted(path, wanted):
    assert wants(path) is wanted


@given(st.integers(0, len(DECISION)), st.binary(max_size=8))
def test_damaged_decisions_never_raise(position, noise):
    damaged = DECISION[:position] + noise + DECISION[position + len(noise) :]

    (outcome,) = parse_full(Member(PATH, damaged, 0.0, "archive.tar.gz"))

    assert isinstance(outcome, Document | Refusal)


@pytest.mark.parametrize("day", sample.EXPECTED)
def test_the_sample_gives_the_expected_documents(day):
    assert documents_of(sample.files(day), wants, parse).keys() == sample.EXPECTED[day]


def test_the_sample_names_nobody_in_public():
    public, full = (documents_of(sample.files(2), wants, parser) for parser in (parse, parse_full))

    assert "Fictive" in repr(full)
    assert "Fictive" not in repr(public)
    assert {doc_id for doc_id in public if not public[doc_id].sections} == {"JURITEXT000099000004"}


def test_the_sample_corrects_a_decision():
    before, after = (documents_of(sample.files(day), wants, parse) for day in (0, 1))

    assert {doc_id for doc_id in before if before[doc_id] != after[doc_id]} == {"JURITEXT000099000002"}
    assert before["JURITEXT000099000001"].metadata["number"] == "22/09001, 22/09002"
    assert "1 240 euros" in plain_text(before["JURITEXT000099000001"])
