"""Parsing a shard: nothing raises, nothing is dropped, and the hash covers all that a document says."""

from dataclasses import replace

import pyarrow as pa
import pytest

from mediatech_assets.documents.model import Document, Member, Outcome, Refusal, Section
from mediatech_assets.documents.parse import ParsedShard, Parser, content_hash, parse_shard
from mediatech_assets.errors import MediatechError
from mediatech_assets.schemas import column

METADATA = pa.schema([column("title", pa.string(), "Title."), column("rank", pa.int64(), "Rank.")])
DOCUMENT = Document(
    doc_id="D1",
    metadata={"title": "Titre", "rank": 1},
    sections=(Section("Texte.", ("Livre I",), "body", {"number": "L. 1"}),),
    source_url="https://example.org/D1",
    source_updated_at="2026-01-01",
)


def parse(member: Member) -> list[Outcome]:
    """What a member gives, by its bytes."""
    return {
        b"good": lambda: [DOCUMENT],
        b"two": lambda: [DOCUMENT, replace(DOCUMENT, doc_id="D2")],
        b"twice": lambda: [DOCUMENT, DOCUMENT],
        b"refused": lambda: [Refusal("D9", "no introduction")],
        b"no id": lambda: [replace(DOCUMENT, doc_id="")],
        b"missing column": lambda: [replace(DOCUMENT, metadata={"title": "Titre"})],
        b"unknown column": lambda: [replace(DOCUMENT, metadata={**DOCUMENT.metadata, "colour": "red"})],
        b"wrong type": lambda: [replace(DOCUMENT, metadata={"title": "Titre", "rank": "first"})],
        b"too large": lambda: [replace(DOCUMENT, metadata={"title": "Titre", "rank": 2**70})],
        b"surrogate": lambda: [replace(DOCUMENT, metadata={"title": "\ud800", "rank": 1})],
        b"surrogate below": lambda: [replace(DOCUMENT, sections=(Section("\ud800"),))],
    }[member.data]()


def refuse_merge(first: Document, _second: Document) -> Document:
    raise MediatechError(f"{first.doc_id} comes twice", "report it")


PARSER = Parser(parse, refuse_merge, "7", METADATA)


def shard(*contents: bytes) -> ParsedShard:
    members = [Member(f"m{place}.xml", data, 12.5, "file.zip") for place, data in enumerate(contents)]
    return parse_shard(PARSER, [[member] for member in members])


def test_a_row_says_what_it_is_and_where_it_comes_from():
    found = shard(b"good")
    assert found.refusals == []
    assert found.rows.schema == PARSER.row_schema
    (row,) = found.rows.to_pylist()
    assert (row["doc_id"], row["title"], row["rank"]) == ("D1", "Titre", 1)
    assert (row["source_file"], row["source_member"], row["source_modified"]) == ("file.zip", "m0.xml", 12.5)
    assert row["parser_version"] == "7"
    assert row["content_hash"] == content_hash(DOCUMENT)
    assert row["sections"] == [
        {"text": "Texte.", "context": ["Livre I"], "kind": "body", "attributes": [("number", "L. 1")]}
    ]


@pytest.mark.parametrize(
    ("data", "subject", "reason"),
    [
        (b"refused", "D9", "no introduction"),
        (b"no id", "m1.xml", "no identifier"),
        (b"missing column", "D1", "missing: ['rank']"),
        (b"unknown column", "D1", "unknown: ['colour']"),
        (b"wrong type", "D1", "does not fit"),
        (b"too large", "D1", "does not fit"),
        (b"surrogate", "D1", "does not fit"),
        (b"surrogate below", "D1", "does not fit"),
        (b"the parser knows nothing of this", "m1.xml", "KeyError"),
    ],
)
def test_bad_input_is_refused_with_its_reason_and_the_rest_goes_on(data, subject, reason):
    found = shard(b"good", data)
    assert found.rows["doc_id"].to_pylist() == ["D1"]
    (refusal,) = found.refusals
    assert refusal.subject == subject
    assert reason in refusal.reason
    assert (refusal.member, refusal.source_file, refusal.content) == ("m1.xml", "file.zip", data)


def test_a_document_that_comes_twice_in_a_group_is_merged_or_refused():
    refused = shard(b"twice")
    assert refused.rows["doc_id"].to_pylist() == ["D1"]
    assert "comes twice" in refused.refusals[0].reason
    merged = parse_shard(replace(PARSER, merge=lambda first, _: first), [[Member("m", b"twice", 0, "f")]])
    assert (merged.rows.num_rows, merged.refusals) == (1, [])


def test_nothing_in_gives_an_empty_table_of_the_schema():
    assert shard().rows.schema == PARSER.row_schema
    assert shard().rows.num_rows == 0


@pytest.mark.parametrize(
    "other",
    [
        replace(DOCUMENT, metadata={"title": "Autre", "rank": 1}),
        replace(DOCUMENT, sections=()),
        replace(DOCUMENT, sections=(replace(DOCUMENT.sections[0], text="Texte"),)),
        replace(DOCUMENT, sections=(replace(DOCUMENT.sections[0], context=("Livre", "I")),)),
        replace(DOCUMENT, sections=(replace(DOCUMENT.sections[0], kind="definition"),)),
        replace(DOCUMENT, sections=(replace(DOCUMENT.sections[0], attributes={"number": "L. 2"}),)),
        replace(DOCUMENT, source_url="https://example.org/other"),
        replace(DOCUMENT, source_updated_at=None),
    ],
)
def test_the_hash_changes_with_everything_that_a_document_says(other):
    assert content_hash(other) != content_hash(DOCUMENT)


def test_the_hash_does_not_depend_on_the_order_of_columns():
    assert content_hash(replace(DOCUMENT, metadata={"rank": 1, "title": "Titre"})) == content_hash(DOCUMENT)
