"""What belongs here: decisions of the Conseil constitutionnel, on a hand-written one and its variations."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.datasets.constit import DATASET, heading, parse, wants
from mediatech_assets.documents.model import Document, Member, Refusal, plain_text
from mediatech_assets.sample_upstream.fixtures import constit as sample
from mediatech_assets_tests.sample_fund import documents_of

DECISION = (
    Path(__file__).parents[1] / "fixtures/golden/constit/referral-and-observations/input.xml"
).read_bytes()
PATH = "constit/global/CONS/TEXT/00/00/00/00/00/CONSTEXT000000000021.xml"


def outcome_of(data: bytes) -> Document | Refusal:
    (outcome,) = parse(Member(PATH, data, 0.0, "archive.tar.gz"))
    return outcome


def decision(*changes: tuple[str, str]) -> Document:
    text = DECISION.decode()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    outcome = outcome_of(text.encode())
    assert isinstance(outcome, Document)
    return outcome


def test_a_decision_has_every_column():
    assert list(decision().metadata) == DATASET.metadata_schema.names


def test_the_text_of_others_is_not_the_decision():
    (text,) = [section.text for section in decision().sections if section.kind == "decision"]

    assert "députés" not in text
    assert "Gouvernement" not in text


@pytest.mark.parametrize("tag", ["SAISINES", "OBSERVATIONS"])
def test_a_block_without_words_is_no_section(tag):
    text = DECISION.decode()
    block = text[text.index(f"<{tag}>") : text.index(f"</{tag}>")]

    document = decision((block, f"<{tag}><CONTENU/>"))

    assert len(document.sections) == len(decision().sections) - 1


def test_the_ecli_of_the_case_law_comes_first():
    twice = decision(("<NATURE>DC</NATURE>", "<NATURE>DC</NATURE><ECLI>ECLI:FR:CC:2004:OTHER</ECLI>"))
    common = decision(
        ("<NATURE>DC</NATURE>", "<NATURE>DC</NATURE><ECLI>ECLI:FR:CC:2004:OTHER</ECLI>"),
        ("<ECLI>ECLI:FR:CC:2004:2004.998.DC</ECLI>", "<ECLI/>"),
    )

    assert twice.metadata["ecli"] == "ECLI:FR:CC:2004:2004.998.DC"
    assert common.metadata["ecli"] == "ECLI:FR:CC:2004:OTHER"


def test_links_keep_their_attributes():
    link = '<LIENS><LIEN sens="source" cidtexte="JORFTEXT1">Loi <i>n°</i> 1</LIEN></LIENS>'

    assert decision(("<LIENS/>", link)).metadata["links"] == (
        '[{"cidtexte": "JORFTEXT1", "sens": "source", "text": "Loi n° 1"}]'
    )


@pytest.mark.parametrize(
    ("title", "number", "solution", "lines"),
    [
        ("Loi sur l'eau", "2004-1", "Rejet", ["Loi sur l'eau - Décision n° 2004-1 DC", "Rejet"]),
        ("Décision n° 2004-1 DC du 2 mai", "2004-1", "", ["Décision n° 2004-1 DC du 2 mai"]),
        ("", "2006-21/22/23", "", ["Décision n° 2006-21/22/23 DC"]),
        ("Loi sur l'eau", "", "", ["Loi sur l'eau"]),
        ("", "", "", []),
    ],
)
def test_headings_name_the_decision(title, number, solution, lines):
    metadata = {"title": title, "number": number, "nature": "DC", "solution": solution}

    assert heading(metadata) == lines


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("TEXTE_JURI_CONSTIT", "TEXTE_JURI_JUDI", "the root element is TEXTE_JURI_JUDI"),
        ("CONSTEXT000000000021</ID>", "</ID>", "META/META_COMMUN/ID is ''"),
        ("<ID>CONSTEXT000000000021", "<ID>JURITEXT000000000021", "CONSTEXT and twelve digits"),
        ("</TEXTE_JURI_CONSTIT>", "", "not well-formed XML"),
    ],
)
def test_refusals_name_the_member_and_the_cause(before, after, reason):
    text = DECISION.decode()
    assert before in text

    refusal = outcome_of(text.replace(before, after).encode())

    assert isinstance(refusal, Refusal)
    assert refusal.subject == PATH
    assert reason in refusal.reason


def test_only_decisions_are_wanted():
    assert wants(PATH)
    assert not wants("constit/global/CONS/TEXT/00/00/00/00/00/CETATEXT000000000021.xml")
    assert not wants("liste_suppression_constit.dat")


@given(st.integers(0, len(DECISION)), st.binary(max_size=8))
def test_damaged_decisions_never_raise(position, noise):
    outcome = outcome_of(DECISION[:position] + noise + DECISION[position + len(noise) :])

    assert isinstance(outcome, Document | Refusal)


@pytest.mark.parametrize("day", sample.EXPECTED)
def test_the_sample_gives_the_expected_documents(day):
    assert documents_of(sample.files(day), wants, parse).keys() == sample.EXPECTED[day]


def test_the_sample_shows_the_oddities_of_the_fund():
    before, after = (documents_of(sample.files(day), wants, parse) for day in (0, 1))

    common = before.keys() & after.keys()
    assert {doc_id for doc_id in common if before[doc_id] != after[doc_id]} == {"CONSTEXT000099000001"}
    assert before["CONSTEXT000099000002"].metadata["ecli"] == "ECLI:FR:CC:2025:2025.890.DC"
    assert [section.kind for section in before["CONSTEXT000099000002"].sections] == [
        "decision",
        "referral",
        "observations",
    ]
    assert before["CONSTEXT000099000003"].metadata["number"] == "2025-301/302/303"
    assert before["CONSTEXT000099000003"].metadata["law_nor"] == ""
    assert "déposée après 18 heures" in plain_text(before["CONSTEXT000099000005"])
    assert "&" not in plain_text(before["CONSTEXT000099000005"])
