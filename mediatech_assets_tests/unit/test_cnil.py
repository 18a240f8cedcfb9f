"""What belongs here: decisions of the CNIL, on a hand-written one in the fund's dialect and its variations."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.datasets.cnil import DATASET, heading, parse, wants
from mediatech_assets.documents.model import Document, Member, Refusal, plain_text
from mediatech_assets.sample_upstream.fixtures import cnil as sample
from mediatech_assets_tests.sample_fund import documents_of

DECISION = (Path(__file__).parents[1] / "fixtures/golden/cnil/decision/input.xml").read_bytes()
PATH = "cnil/global/CNIL/TEXT/00/00/00/00/00/CNILTEXT000000000011.xml"
ID = b"<ID>CNILTEXT000000000011</ID>"


def outcome_of(data: bytes) -> Document | Refusal:
    (outcome,) = parse(Member(PATH, data, 0.0, "archive.tar.gz"))
    return outcome


def decision(before: str = "", after: str = "") -> Document:
    assert before in DECISION.decode()
    outcome = outcome_of(DECISION.decode().replace(before, after).encode() if before else DECISION)
    assert isinstance(outcome, Document)
    return outcome


def test_a_decision_has_every_column():
    assert list(decision().metadata) == DATASET.metadata_schema.names


def test_a_field_that_holds_markup_is_whole():
    document = decision("<NUMERO>2001-077</NUMERO>", "<NUMERO><sup>n°</sup> 2001-077<br/>bis</NUMERO>")

    assert document.metadata["number"] == "n° 2001-077 bis"


@pytest.mark.parametrize(
    "block", ["", "<BLOC_TEXTUEL/>", "<BLOC_TEXTUEL><CONTENU>\n<p/></CONTENU></BLOC_TEXTUEL>"]
)
def test_a_decision_without_words_is_a_document_without_sections(block):
    text = DECISION.decode()
    whole = text[text.index("<BLOC_TEXTUEL>") : text.index("</TEXTE_CNIL>")]

    document = decision(whole, block)

    assert document.sections == ()
    assert document.metadata["title"] == "Délibération 2001-077 du 3 mai 2001"


def test_the_heading_says_the_object():
    full = "Délibération n° 2001-077 du 3 mai 2001 portant avis sur le fichier des meuniers"

    assert heading(decision().metadata) == [full]
    assert heading({"full_title": "", "title": "Délibération 2001-077", "number": "1"}) == [
        "Délibération 2001-077"
    ]
    assert heading({"full_title": "", "title": "", "number": "2001-077"}) == ["2001-077"]
    assert heading({"full_title": "", "title": "", "number": ""}) == []


def test_a_long_heading_is_cut_at_a_word():
    (line,) = heading({"full_title": "Décision " + "autorisant " * 50, "title": "", "number": ""})

    assert len(line) <= 160
    assert line.endswith("autorisant …")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not well-formed XML"),
        (DECISION[:900], "not well-formed XML"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + DECISION.partition(b"\n")[2], "entities"),
        (DECISION.replace(b"TEXTE_CNIL", b"TEXTE_VERSION"), "the root element is TEXTE_VERSION"),
        (DECISION.replace(ID, b""), "META/META_COMMUN/ID is ''"),
        (DECISION.replace(ID, b"<ID>JORFTEXT000000000011</ID>"), "'JORFTEXT000000000011'"),
        (DECISION.replace(ID, b"<ID>CNILTEXT00000000001</ID>"), "CNILTEXT and twelve digits"),
        (DECISION.replace(ID, b"<ID>CNILTEXT0000000000111</ID>"), "CNILTEXT and twelve digits"),
    ],
)
def test_refusals_name_the_member_and_the_cause(data, reason):
    refusal = outcome_of(data)

    assert isinstance(refusal, Refusal)
    assert refusal.subject == PATH
    assert reason in refusal.reason


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (PATH, True),
        ("CNILTEXT000000000011.xml", True),
        ("cnil/global/CNIL/TEXT/CNILTEXT000000000011.xml.bak", False),
        ("cnil/global/CNILTEXT000000000011/readme.xml", False),
        ("liste_suppression_cnil.dat", False),
    ],
)
def test_only_documents_are_wanted(path, wanted):
    assert wants(path) is wanted


@given(st.integers(0, len(DECISION)), st.binary(max_size=8))
def test_damaged_decisions_never_raise(position, noise):
    outcome = outcome_of(DECISION[:position] + noise + DECISION[position + len(noise) :])

    assert isinstance(outcome, Document | Refusal)


@pytest.mark.parametrize("day", sample.EXPECTED)
def test_the_sample_gives_the_expected_documents(day):
    assert documents_of(sample.files(day), wants, parse).keys() == sample.EXPECTED[day]


def test_the_sample_corrects_a_decision_and_holds_one_without_text():
    before, after = (documents_of(sample.files(day), wants, parse) for day in (0, 1))

    changed = {doc_id for doc_id in before if before[doc_id] != after[doc_id]}
    assert changed == {"CNILTEXT000099000002"}
    assert "45 000 euros" in plain_text(after["CNILTEXT000099000002"])
    assert {doc_id for doc_id in after if not after[doc_id].sections} == {"CNILTEXT000099000005"}
