"""Chunks: nothing lost, the published hash and ids, and work only where something changed."""

import hashlib
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediatech_assets.chunks.build import ChunkChanges, Chunks, document_chunks, fitting_heading, text_key
from mediatech_assets.documents.model import SECTION_SEPARATOR
from mediatech_assets.lake import Lake
from mediatech_assets_tests.tiny import (
    chunking,
    count_words,
    new_lake,
    open_dataset,
    put_document,
    remove_document,
    rows,
    section,
)

LONG = "Le salarié a droit à un congé. " * 6


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("chunks"))
    yield lake
    lake.close()


@pytest.fixture
def lake(shared) -> Lake:
    """The module's lake with a catalog `code` that belongs to one test: it is emptied first."""
    open_dataset(shared, "code")
    with shared.transaction("code") as cursor:
        for table in ("documents", "chunks", "chunk_state"):
            cursor.execute(f"DELETE FROM code.{table}")
    return shared


def update(lake: Lake, size: int = 12) -> ChunkChanges:
    return Chunks(lake, "code", chunking(size), workers=0).update()


def chunk_rows(sections: list[dict], size: int = 12, prefix: str = "", **metadata: str) -> list[dict]:
    document = {"doc_id": "D", "sections": sections, "title": "Titre", "status": "VIGUEUR", **metadata}
    return list(document_chunks(document, chunking(size, prefix), count_words))


texts = st.lists(
    st.sampled_from(["congé", "payé.", "Le", "la\nsalarié\n\n😀", "L.", "12", "«", "oui", "»"]), min_size=1
)
sections = st.lists(
    st.builds(
        lambda words, context: section(" ".join(words).strip(), *context),
        texts.filter(lambda words: " ".join(words).strip()),
        st.sampled_from(
            [(), ("Titre I",), ("Titre I", "Chapitre 2"), ("Titre I", "Chapitre 3"), ("Annexe",)]
        ),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(sections, st.integers(8, 30))
def test_the_texts_in_order_are_the_document_and_no_chunk_is_too_long(sections, size):
    found = chunk_rows(sections, size)
    assert "".join(row["text"] for row in found) == SECTION_SEPARATOR.join(item["text"] for item in sections)
    assert [row["chunk_index"] for row in found] == list(range(1, len(found) + 1))
    assert [row["chunk_id"] for row in found] == [f"D_{index}" for index in range(1, len(found) + 1)]
    assert all(row["tokens"] == count_words(row["chunk_text"]) <= size for row in found)
    assert all(Counter(row["text"].split()) <= Counter(row["chunk_text"].split()) for row in found)


def test_short_sections_share_a_chunk_below_the_headings_that_each_has():
    (row,) = chunk_rows(
        [
            section("Un.", "Livre I", "Titre II"),
            section("Deux.", "Livre I", "Titre III"),
            section("Trois.", "Livre I", "Titre III"),
        ],
        size=30,
    )
    assert row["chunk_text"] == "Titre\nLivre I\n\nTitre II\nUn.\n\nTitre III\nDeux.\n\nTrois."
    assert row["text"] == "Un.\n\nDeux.\n\nTrois."
    assert row["context"] == ["Livre I"]


def test_a_long_section_is_cut_and_its_end_is_joined_by_what_follows():
    found = chunk_rows([section("un deux trois. " * 5 + "fin."), section("Suite.")], size=10)
    assert [row["text"] for row in found] == ["un deux trois. " * 3, "un deux trois. " * 2 + "fin.\n\nSuite."]


def test_sections_with_other_published_facts_never_share_a_chunk():
    found = chunk_rows([section("Un.", article="1"), section("Deux.", article="2")], size=30)
    assert [dict(row["attributes"]) for row in found] == [{"article": "1"}, {"article": "2"}]


def test_headings_stand_above_the_text_and_never_in_it():
    (row,) = chunk_rows([section("Un texte.", "Livre I", "Titre II")], size=30)
    assert row["chunk_text"] == "Titre\nLivre I > Titre II\n\nUn texte."
    assert row["text"] == "Un texte."


def test_the_published_hash_is_xxh64_with_seed_2025():
    assert xxh64(b"", 0) == 0xEF46DB3751D8E999  # the specification's own value: our reading of it is right
    (row,) = chunk_rows([section("Été.")], size=30)
    digest = xxh64("Titre\n\nÉté.".encode(), 2025)
    assert row["chunk_xxh64"] == f"{digest:016x}"


def xxh64(data: bytes, seed: int) -> int:
    """XXH64 written from its specification, for inputs below 32 bytes."""
    first, second, third, fourth, fifth = (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5,
    )  # fmt: skip
    mask = (1 << 64) - 1

    def rotated(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & mask

    assert len(data) < 32
    value = (seed + fifth + len(data)) & mask
    while len(data) >= 8:
        lane = rotated(int.from_bytes(data[:8], "little") * second & mask, 31) * first & mask
        value = (rotated(value ^ lane, 27) * first + fourth) & mask
        data = data[8:]
    if len(data) >= 4:
        value = (
            rotated(value ^ (int.from_bytes(data[:4], "little") * first & mask), 23) * second + third
        ) & mask
        data = data[4:]
    for byte in data:
        value = rotated(value ^ (byte * fifth & mask), 11) * first & mask
    value = (value ^ (value >> 33)) * second & mask
    value = (value ^ (value >> 29)) * third & mask
    return value ^ (value >> 32)


def test_the_key_of_a_vector_is_the_sha256_of_prefix_and_text():
    (row,) = chunk_rows([section("Un texte.")], size=30, prefix="passage: ")
    assert row["text_key"] == hashlib.sha256(b"passage: Titre\n\nUn texte.").hexdigest()
    assert text_key("a", "b") != text_key("a", "")


def test_headings_are_cut_so_that_the_text_keeps_its_share():
    endless = "mot " * 50
    assert count_words(fitting_heading([endless, "autre"], 20, count_words)) == 8
    assert fitting_heading(["court", endless], 20, count_words) == "court\n" + " ".join(["mot"] * 7)
    assert fitting_heading(["", "  "], 20, count_words).strip() == ""
    assert fitting_heading(["Titre I", "", "Chapitre 2"], 20, count_words) == "Titre I\nChapitre 2"


def test_a_change_of_metadata_changes_the_row_but_not_the_vector(lake):
    put_document(lake, "code", "a", [LONG])
    put_document(lake, "code", "b", [LONG])
    update(lake)
    before = dict(rows(lake, "SELECT chunk_id, (row_hash, text_key) FROM code.chunks"))
    put_document(lake, "code", "a", [LONG], status="ABROGE")
    changes = update(lake)
    after = dict(rows(lake, "SELECT chunk_id, (row_hash, text_key) FROM code.chunks"))
    assert before.keys() == after.keys()
    assert changes == ChunkChanges(documents=1, changed=sum(name.startswith("a_") for name in after))
    for name in after:
        assert (before[name][0] != after[name][0]) == name.startswith("a_")
        assert before[name][1] == after[name][1]


def test_a_shorter_text_loses_its_last_chunks_and_a_vanished_document_all(lake):
    put_document(lake, "code", "a", [LONG])
    put_document(lake, "code", "b", ["Court."])
    assert update(lake).added == 7
    put_document(lake, "code", "a", ["Court."])
    assert update(lake) == ChunkChanges(documents=1, changed=1, removed=5)
    assert rows(lake, "SELECT chunk_id FROM code.chunks ORDER BY 1") == [("a_1",), ("b_1",)]
    remove_document(lake, "code", "b")
    assert update(lake) == ChunkChanges(removed=1)
    assert rows(lake, "SELECT doc_id FROM code.chunk_state") == [("a",)]


def test_what_did_not_change_is_not_written_again(lake):
    put_document(lake, "code", "a", [section("Un.", article="1"), section("Deux.", article="2")])
    put_document(lake, "code", "b", ["Un."])
    update(lake)

    def written() -> list[tuple]:
        return rows(lake, "SELECT chunk_id, snapshot_id, rowid FROM code.chunks ORDER BY 1")

    before = written()
    assert update(lake) == ChunkChanges()
    put_document(lake, "code", "a", [section("Un.", article="1"), section("Trois.", article="2")])
    assert update(lake) == ChunkChanges(documents=1, changed=1)
    after = written()
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_a_document_without_text_is_done_and_has_no_chunk(lake):
    put_document(lake, "code", "a", [])
    assert update(lake) == ChunkChanges(documents=1)
    assert rows(lake, "SELECT doc_id, chunks FROM code.chunk_state") == [("a", 0)]
    assert rows(lake, "SELECT * FROM code.chunks") == []
    assert update(lake) == ChunkChanges()


def test_two_chunkings_live_side_by_side(lake):
    put_document(lake, "code", "a", [LONG])
    update(lake, size=12)
    held = rows(lake, "SELECT chunking_id, chunk_id FROM code.chunks ORDER BY ALL")
    update(lake, size=20)
    assert chunking(12).id != chunking(20).id
    assert set(held) < set(rows(lake, "SELECT chunking_id, chunk_id FROM code.chunks"))
    put_document(lake, "code", "a", ["Court."])
    update(lake, size=20)
    assert Chunks(lake, "code", chunking(20), 0).count() == 1
    assert Chunks(lake, "code", chunking(12), 0).count() == len(held)
