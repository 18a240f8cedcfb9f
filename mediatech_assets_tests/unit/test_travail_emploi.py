"""What belongs here: sheets of the Ministry of Labour, on a hand-written file."""

import hashlib
import io
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.datasets.base import Snapshot
from mediatech_assets.datasets.travail_emploi import DATASET, heading, parse, wants
from mediatech_assets.documents.model import Document, Member, Refusal, strip_marks
from mediatech_assets.raw.record_files import cut_records

FILE = (Path(__file__).parents[1] / "fixtures/travail_emploi/fiches-travail.json").read_bytes()
NAME = "fiches-travail.json"


def outcomes_of_sheet(data: bytes, path: str = "sheet[a]") -> list[Document | Refusal]:
    return parse(Member(path, data, 0.0, NAME))


def outcomes_of_file() -> list[Document | Refusal]:
    assert isinstance(DATASET.source, Snapshot)
    records = DATASET.source.files[0].records
    assert records is not None
    outcomes = []
    for sheet in cut_records(io.BytesIO(FILE), records, 0.0):
        assert not sheet.refusal
        assert wants(sheet.path)
        outcomes += outcomes_of_sheet(sheet.data, sheet.path)
    return outcomes


def first() -> Document:
    document = outcomes_of_file()[0]
    assert isinstance(document, Document)
    return document


def test_metadata_of_a_sheet():
    document = first()

    assert document.doc_id == "article1"
    assert set(document.metadata) == set(DATASET.metadata_schema.names)
    assert heading(document.metadata) == ["Le travail au moulin"]
    assert document.metadata["introduction"] == "Le meunier est un salarié."
    assert document.metadata["date"] == document.source_updated_at == "2025-05-16"
    assert document.source_url == "https://travail-emploi.gouv.fr/le-travail-au-moulin"


def test_sections_of_a_sheet():
    assert [(section.kind, section.context, section.text) for section in first().sections] == [
        ("introduction", (), "Le meunier est un salarié."),
        ("body", (), "À savoir !\nLa roue tourne.\n\nElle s'arrête."),
        ("body", ("Quels horaires ?",), "De 8 h à 12 h.\n\n-\tle lundi\n-\tle mardi"),
        ("body", ("Qui contacter ?",), "La mairie"),
        ("body", (), "Documents"),
        ("complement", (), "mairieListe des moulins (PDF)"),
    ]


def test_every_word_that_upstream_published_is_held():
    held = "".join(" ".join((*part.context, strip_marks(part.text))) for part in first().sections)
    held = "".join(held.split())

    for part in json.loads(FILE)[0]["sections"]:
        assert all(word in held for word in part["text"].split() if word != "contacter"), part["title"]


def test_the_hash_is_that_of_the_published_text():
    parts = json.loads(FILE)[0]["sections"]
    published = "\n".join(f"{part['title']}\n{part['text']}" for part in parts)
    words = unicodedata.normalize("NFKC", published).split()

    assert first().metadata["source_text_sha256"] == hashlib.sha256("".join(words).encode()).hexdigest()


def test_a_bad_sheet_is_refused_by_field_and_the_others_stay():
    outcomes = outcomes_of_file()

    assert [outcome for outcome in outcomes if isinstance(outcome, Refusal)] == [
        Refusal("article2", "the field sections is missing"),
        Refusal("article3", "the field title is a number and not a text"),
        Refusal("sheet[#4]", "the field pubId is missing"),
        Refusal("sheet[#5]", "the sheet is a text and not an object"),
    ]
    assert [outcome.doc_id for outcome in outcomes if isinstance(outcome, Document)] == [
        "article1",
        "article4",
    ]


def test_an_impossible_date_is_kept_as_published():
    last = outcomes_of_file()[-1]

    assert isinstance(last, Document)
    assert last.metadata["date"] == "31/02/2025"
    assert last.source_updated_at is None


def test_characters_that_no_store_takes_are_replaced():
    (document,) = outcomes_of_sheet(
        json.dumps(
            {
                "pubId": "a",
                "title": "t\ud800\x01u",
                "url": "",
                "date": "",
                "intro": "",
                "description": "",
                "sections": [{"title": "", "html": "a\x00b", "text": "\udfff"}],
            }
        ).encode()
    )

    assert isinstance(document, Document)
    assert document.metadata["title"] == "t u"
    assert document.sections[0].text == "a b"


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 200_000])
def test_an_unusable_sheet_is_one_refusal(data):
    (refusal,) = outcomes_of_sheet(data, "sheet[#9]")

    assert isinstance(refusal, Refusal)
    assert refusal.subject == "sheet[#9]"


def test_only_sheets_are_wanted():
    assert wants("sheet[article123]")
    assert not wants(NAME)


FIELDS = st.sampled_from(
    ["pubId", "title", "url", "date", "intro", "description", "sections", "html", "text"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=9),
)


@given(ANYTHING)
def test_any_json_never_raises(value):
    assert all(
        isinstance(outcome, Document | Refusal) for outcome in outcomes_of_sheet(json.dumps(value).encode())
    )


@given(st.binary(max_size=200))
def test_any_bytes_never_raise(data):
    assert all(isinstance(outcome, Document | Refusal) for outcome in outcomes_of_sheet(data))
