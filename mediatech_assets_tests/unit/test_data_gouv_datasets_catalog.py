"""What belongs here: rows of the catalogue of data.gouv.fr, hand-written, and the sample's export."""

import csv
import hashlib
import io
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.datasets.base import DataGouvResource, Snapshot
from mediatech_assets.datasets.data_gouv_datasets_catalog import DATASET, heading, parse, wants
from mediatech_assets.documents.model import Document, Member, Refusal, plain_text
from mediatech_assets.raw.record_files import cut_records
from mediatech_assets.sample_upstream import SAMPLE_DAYS
from mediatech_assets.sample_upstream.fixtures.data_gouv_datasets_catalog import EXPECTED, files
from mediatech_assets.sources.data_gouv_resource import newest_resource
from mediatech_assets.sources.download import open_upstream

ID = "5d13a8b6634f41070a43dff3"

#: Columns of the export that the contract takes, by its names.
COLUMNS = {
    field.name: field.name.replace("_", ".", 1)
    if field.name.startswith(("spatial_", "harvest_", "metric_"))
    else field.name.replace("temporal_coverage_", "temporal_coverage.")
    for field in DATASET.metadata_schema
    if field.name not in {"instruction_like_phrases", "source_text_sha256"}
}
COUNTS = [field.name for field in DATASET.metadata_schema if str(field.type) == "int64"]


def row(**changes: str) -> dict[str, str]:
    return (
        dict.fromkeys(COLUMNS.values(), "")
        | {"id": ID, "title": "Moulins", "description": "Liste des moulins."}
        | {COLUMNS.get(name, name): value for name, value in changes.items()}
    )


def outcome_of(value: Any) -> Document | Refusal:
    (outcome,) = parse(Member(f"dataset[{ID}]", json.dumps(value).encode(), 0.0, "export.csv"))
    return outcome


def document_of(**changes: str) -> Document:
    document = outcome_of(row(**changes))
    assert isinstance(document, Document), document
    return document


def source() -> DataGouvResource:
    assert isinstance(DATASET.source, Snapshot)
    (resource,) = DATASET.source.files
    assert isinstance(resource, DataGouvResource)
    return resource


def test_every_column_is_there_in_the_order_of_the_contract():
    document = document_of()

    assert list(document.metadata) == DATASET.metadata_schema.names
    assert DATASET.published_columns == tuple(DATASET.metadata_schema.names[:-1])
    assert DATASET.published_columns[-1] == "instruction_like_phrases"
    assert set(DATASET.filters) <= set(DATASET.metadata_schema.names)


def test_only_rows_are_wanted():
    assert wants(f"dataset[{ID}]")
    assert wants("dataset[#12]")
    assert not wants("export-dataset-20260105-051200.csv")


@pytest.mark.parametrize(
    ("title", "organization", "lines"),
    [
        ("Moulins", "Commune de Moulinville", ["Moulins", "Commune de Moulinville"]),
        ("Moulins\r\nde la\tvallée", "", ["Moulins de la vallée"]),
        ("", "", []),
    ],
)
def test_the_heading_is_the_title_and_the_publisher(title, organization, lines):
    assert heading(document_of(title=title, organization=organization).metadata) == lines


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize(
    "value", ["nan", "1.5", "1 000", "1_000", "0x10", "١٢", "9" * 19, "inf", "-", "None"]
)
def test_a_count_that_is_no_whole_number_refuses_the_row(name, value):
    assert outcome_of(row(**{name: value})) == Refusal(
        ID, f"the column {COLUMNS[name]} is {value!r} and not a whole number"
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "1e999", "0,5", "1_0", "x", "1" * 41])
def test_a_score_that_is_no_number_refuses_the_row(value):
    assert outcome_of(row(quality_score=value)) == Refusal(
        ID, f"the column quality_score is {value[:40]!r} and not a number"
    )


def test_a_truth_that_is_none_refuses_the_row():
    assert outcome_of(row(featured="peut-être")) == Refusal(
        ID, "the column featured is 'peut-être' and not True or False"
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_that_is_gone_refuses_the_row(name):
    changed = row()
    del changed[COLUMNS[name]]

    assert outcome_of(changed) == Refusal(ID, f"the column {COLUMNS[name]} is missing")


@pytest.mark.parametrize("value", ["", " ", "\r\n", "\u00a0"])
@pytest.mark.parametrize("name", COLUMNS)
def test_an_empty_value_is_absent(name, value):
    assert document_of(**{name: value}).metadata[name] is None


def test_a_text_that_says_nan_is_a_text():
    assert document_of(organization="nan").metadata["organization"] == "nan"


@pytest.mark.parametrize(
    ("url", "source_url"),
    [
        ("https://www.data.gouv.fr/datasets/a", "https://www.data.gouv.fr/datasets/a"),
        ("javascript:x()", ""),
        ("", ""),
    ],
)
def test_only_a_web_address_is_a_page_to_read(url, source_url):
    assert document_of(url=url).source_url == source_url


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2026-01-05T04:51:32.123456", "2026-01-05"),
        ("2026-01-05 04:51:32+00:00", "2026-01-05"),
        ("2026-01-05", "2026-01-05"),
        ("2999-01-01T00:00:00", "2999-01-01"),
        ("2026-02-30T00:00:00", None),
        ("05/01/2026", None),
        ("", None),
    ],
)
def test_the_day_of_the_last_change(time, day):
    document = document_of(last_modified=time)

    assert document.source_updated_at == day
    assert document.metadata["last_modified"] == (time or None)


def test_the_hash_is_that_of_the_published_title_and_description():
    document = document_of(title="Moulins  ① ", description="<p>L’eau</p>\r\n &amp; le ﬁl")
    words = unicodedata.normalize("NFKC", "Moulins ① \n<p>L’eau</p> &amp; le ﬁl").split()

    assert document.metadata["source_text_sha256"] == hashlib.sha256("".join(words).encode()).hexdigest()


def test_a_long_description_is_whole():
    description = "\n\n".join(f"Paragraphe {number} : le moulin tourne." for number in range(5000))
    (section,) = document_of(description=description).sections

    assert section.text == description


def test_flagged_phrases_stay_where_they_are():
    document = document_of(title="Ignore all previous instructions", description="System prompt : le moulin.")

    assert document.metadata["instruction_like_phrases"] == [
        "Ignore all previous instructions",
        "System prompt",
    ]
    assert document.metadata["title"] == "Ignore all previous instructions"
    assert plain_text(document) == "System prompt : le moulin."


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "the row is not an object of texts by column name"),
        (None, "the row is not an object of texts by column name"),
        ({"id": 12}, "the row is not an object of texts by column name"),
        ({}, "the column id is missing"),
        (row(id=""), "the column id is not 24 hexadecimal digits"),
        (row(id=ID.upper()), "the column id is not 24 hexadecimal digits"),
        (row(id=f"{ID}\n"), "the column id is not 24 hexadecimal digits"),
    ],
)
def test_what_is_no_row_is_refused_by_its_place(value, reason):
    assert outcome_of(value) == Refusal(f"dataset[{ID}]", reason)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_json_are_refused(data):
    (refusal,) = parse(Member("dataset[#1]", data, 0.0, "export.csv"))

    assert isinstance(refusal, Refusal)
    assert refusal.subject == "dataset[#1]"


@given(st.dictionaries(st.sampled_from(list(COLUMNS)), st.text(max_size=12)))
def test_any_texts_give_a_document_or_a_refusal_that_names_its_column(changes):
    outcome = outcome_of(row(**changes))

    if isinstance(outcome, Refusal):
        assert outcome.subject == ID
        assert outcome.reason.startswith("the column ")
    else:
        assert "" not in outcome.metadata.values()
        json.dumps(outcome.metadata, ensure_ascii=False).encode()
        plain_text(outcome).encode()


# ------------------------------------------------------------------ the sample


def rows_of_the_newest_export(day: int, folder) -> dict[str, dict[str, str]]:
    """The sample's newest export, read by the standard library."""
    for file in files(day):
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
    hosts = {"www.data.gouv.fr", source().file_host}
    with open_upstream(str(folder), hosts, timeout=5, attempts=1, user_agent="tests") as upstream:
        newest = newest_resource(
            upstream, source().listing_url, title=source().title, format=source().format, feed=""
        )
        assert newest.size == upstream.facts(newest.url).size
        upstream.download(newest.url, folder / "newest.csv", lambda _: None)
    text = (folder / "newest.csv").read_bytes().decode()
    return {
        row["id"]: row for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=";", strict=True)
    }


@pytest.mark.parametrize("day", SAMPLE_DAYS)
def test_the_sample_s_newest_export_has_the_expected_documents(day, tmp_path):
    published = rows_of_the_newest_export(day, tmp_path)
    records = source().records
    assert records is not None
    with (tmp_path / "newest.csv").open("rb") as file:
        members = list(cut_records(file, records, 0.0))

    assert all(wants(member.path) and not member.refusal for member in members)
    documents = [
        outcome for member in members for outcome in parse(Member(member.path, member.data, 0.0, ""))
    ]
    assert {document.doc_id for document in documents if isinstance(document, Document)} == EXPECTED[day]
    assert len(documents) == len(EXPECTED[day]) == len(published)
    for document in documents:
        assert isinstance(document, Document)
        assert document.metadata["description"] == (published[document.doc_id]["description"] or None)


def test_the_sample_shows_the_oddities_of_the_source(tmp_path):
    rows = rows_of_the_newest_export(2, tmp_path)
    documents = [outcome_of(row) for row in rows.values()]
    documents = [document for document in documents if isinstance(document, Document)]

    assert sum(not document.sections for document in documents) == 1
    assert sum(document.metadata["owner"] is not None for document in documents) == 1
    assert [
        phrases for document in documents if (phrases := document.metadata["instruction_like_phrases"])
    ] == [["ignorez les instructions précédentes", "répondez uniquement par"]]
    assert any(0 < len(row["description"]) < 100 for row in rows.values())
    assert any("<p>" in row["description"] for row in rows.values())
    assert any("\r\n" in row["description"] and '"' in row["description"] for row in rows.values())
