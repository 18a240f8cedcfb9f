"""Keeping a collection equal to the chunks, with the real embedded engine and tiny vectors."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from mediatech_assets.embeddings.batches import EmbeddedBatch
from mediatech_assets.embeddings.profiles import Profile, profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.index.bm25 import encode_document
from mediatech_assets.index.edge import EdgeEngine
from mediatech_assets.index.engine import CollectionSpec, FieldType, Hit, Queries
from mediatech_assets.index.points import Point
from mediatech_assets.index.sync import IndexChanges, IndexSync
from mediatech_assets.lake import Lake
from mediatech_assets_tests.tiny import (
    chunking,
    new_lake,
    open_dataset,
    put_document,
    remove_document,
    rows,
    section,
    split,
)

SPEC = CollectionSpec("tiny", 2, {"status": FieldType.KEYWORD})
ANY = np.array([1.0, 0.0], dtype=np.float32)


class KilledError(BaseException):
    """Stands for a process that ends in the middle."""


class DyingEngine(EdgeEngine):
    """The real engine in a process that dies right after it acknowledged a batch."""

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        super().upsert(collection, points)
        raise KilledError

    def delete(self, collection: str, chunk_ids: Sequence[str]) -> None:
        super().delete(collection, chunk_ids)
        raise KilledError


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("sync"))
    open_dataset(lake, "code")
    yield lake
    lake.close()


@pytest.fixture
def store(lake) -> VectorStore:
    store = VectorStore(lake, replace(profile_named("use"), dimensions=2))
    store.open()
    with lake.transaction("code") as cursor:
        for table in ("documents", "chunks", "chunk_state", "index_state"):
            cursor.execute(f"DELETE FROM code.{table}")
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"DELETE FROM {store.table}")
    for doc_id in "abc":
        put_document(lake, "code", doc_id, [f"Texte {doc_id}."])
    split(lake, "code")
    embed(store)
    return store


def embed(store: VectorStore) -> None:
    """Gives every text a vector."""

    def same_vector(texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
        keys = [key for key, _ in texts]
        yield EmbeddedBatch(keys, np.tile(ANY, (len(keys), 1)))

    store.fill("code", chunking().id, same_vector)


@pytest.fixture
def sync(lake, store, tmp_path) -> IndexSync:
    engine = EdgeEngine(tmp_path / "index")
    return IndexSync(
        lake, engine, "code", "use", True, chunking().id, store.table, SPEC, title=lambda row: row["title"]
    )


def served(sync: IndexSync) -> dict[str, Hit]:
    return {hit.chunk_id: hit for hit in sync.engine.search_dense("code", ANY, 50)}


def found_documents(sync: IndexSync, question: str) -> list[str]:
    """Chunks that stand for the documents that BM25 finds."""
    hits = sync.engine.candidates("code", Queries(document=encode_document(question)), 10).document
    return [hit.chunk_id for hit in hits]


def recorded(sync: IndexSync) -> set[str]:
    return {chunk_id for (chunk_id,) in rows(sync.lake, "SELECT chunk_id FROM code.index_state")}


def assert_equal_to_the_chunks(sync: IndexSync) -> None:
    chunks = dict(rows(sync.lake, "SELECT chunk_id, text FROM code.chunks"))
    assert {name: hit.payload["text"] for name, hit in served(sync).items()} == chunks
    assert recorded(sync) == chunks.keys()
    assert sync.count() == len(chunks)
    again = sync.update()
    assert (again.upserted, again.deleted, again.rebuilt) == (0, 0, False)


def test_only_differences_are_written(sync, store):
    first = sync.update()
    assert first == IndexChanges(3, 0, 0, first.collection, rebuilt=True, activated=True)
    assert_equal_to_the_chunks(sync)

    put_document(sync.lake, "code", "a", ["Texte a."], status="ABROGE")
    put_document(sync.lake, "code", "b", ["Autre texte."])
    put_document(sync.lake, "code", "d", ["Texte d."])
    remove_document(sync.lake, "code", "c")
    split(sync.lake, "code")
    embed(store)
    assert sync.update() == IndexChanges(3, 1, 0, first.collection, rebuilt=False)
    assert served(sync)["a_1"].payload["status"] == "ABROGE"
    assert_equal_to_the_chunks(sync)


def test_a_chunk_waits_for_its_vector(sync, store):
    sync.update()
    put_document(sync.lake, "code", "d", ["Texte d."])
    split(sync.lake, "code")
    assert sync.update().without_vector == 1
    assert "d_1" not in served(sync)
    embed(store)
    assert sync.update().upserted == 1
    assert_equal_to_the_chunks(sync)


@pytest.mark.parametrize("what", ["new", "changed", "removed"])
def test_a_run_killed_between_the_engine_and_the_record_is_mended(sync, store, tmp_path, what):
    sync.update()
    if what == "removed":
        remove_document(sync.lake, "code", "a")
    else:
        put_document(sync.lake, "code", "a" if what == "changed" else "d", ["Tout autre chose."])
    split(sync.lake, "code")
    embed(store)
    with pytest.raises(KilledError):
        replace(sync, engine=DyingEngine(tmp_path / "index")).update()
    assert not sync.update().rebuilt
    assert_equal_to_the_chunks(sync)


def test_a_point_that_was_written_for_a_chunk_that_is_gone_by_then_is_removed(sync, store, tmp_path):
    sync.update()
    put_document(sync.lake, "code", "d", ["Texte d."])
    split(sync.lake, "code")
    embed(store)
    with pytest.raises(KilledError):
        replace(sync, engine=DyingEngine(tmp_path / "index")).update()
    remove_document(sync.lake, "code", "d")
    split(sync.lake, "code")
    assert sync.update().deleted == 1
    assert_equal_to_the_chunks(sync)


def test_records_that_were_lost_are_made_again(sync):
    collection = sync.update().collection
    with sync.lake.transaction("code") as cursor:
        cursor.execute("DELETE FROM code.index_state")
    assert sync.update().collection == collection
    assert_equal_to_the_chunks(sync)


def test_points_that_the_engine_lost_are_written_again(sync):
    collection = sync.update().collection
    sync.engine.delete(collection, ["a_1", "b_1"])
    assert sync.update() == IndexChanges(2, 0, 0, collection, rebuilt=False)
    assert_equal_to_the_chunks(sync)


@pytest.mark.parametrize("damage", ["spec", "shard", "folder"])
def test_an_unreadable_collection_is_built_again_from_the_lake(sync, tmp_path, damage):
    before = sync.update().collection
    folder = tmp_path / "index" / before
    if damage == "spec":
        (folder / "spec.json").write_text("{")
    elif damage == "shard":
        for path in (folder / "shard").rglob("*"):
            if path.is_file():
                path.write_bytes(b"\xff" * 10)
    else:
        shutil.rmtree(folder)
    after = sync.update()
    assert after.rebuilt
    assert after.collection != before
    assert sync.engine.collections() == [after.collection]
    assert_equal_to_the_chunks(sync)


def revised(profile: Profile) -> Profile:
    return replace(profile, revision="another")


@pytest.mark.parametrize("what", ["fields", "revision of the model"])
def test_another_specification_gets_a_new_collection_and_the_old_one_goes(sync, store, what):
    before = sync.update().collection
    if what == "fields":
        changed = replace(sync, spec=replace(SPEC, fields={"category": FieldType.KEYWORD}))
    else:
        other = VectorStore(sync.lake, revised(store.profile))
        other.open()
        embed(other)
        changed = replace(sync, vectors=other.table)
    after = changed.update()
    assert after.rebuilt
    assert after.upserted == 3
    assert sync.engine.collection_for("code") == after.collection != before
    assert sync.engine.collections() == [after.collection]
    assert_equal_to_the_chunks(changed)


def test_the_former_collection_answers_until_the_new_one_is_whole(sync, tmp_path):
    before = sync.update().collection
    other = replace(SPEC, fields={"category": FieldType.KEYWORD})
    with pytest.raises(KilledError):
        replace(sync, spec=other, engine=DyingEngine(tmp_path / "index")).update()
    assert sync.engine.collection_for("code") == before
    assert len(served(sync)) == 3
    (begun,) = set(sync.engine.collections()) - {before}
    continued = replace(sync, spec=other).update()
    assert continued.collection == begun
    assert sync.engine.collections() == [begun]
    assert_equal_to_the_chunks(replace(sync, spec=other))


def test_collections_of_other_datasets_and_profiles_are_left_alone(sync):
    others = {"code-annexe--use-12345678-1", "autre--use-12345678-1", "code--use-m3-12345678-1"}
    for name in others:
        sync.engine.create(name, SPEC)
    sync.update()
    assert others < set(sync.engine.collections())


def spoil(sync: IndexSync) -> None:
    """Someone else changes the collection: a point goes, a point comes, a point says something else."""
    collection = sync.engine.collection_for("code")
    assert collection
    sync.engine.delete(collection, ["a_1"])
    stranger = Point(
        "z_1", ANY, encode_document("intrus"), {"chunk_id": "z_1", "doc_id": "z", "text": "intrus"}
    )
    changed = Point(
        "b_1", -ANY, encode_document("Texte b."), {"chunk_id": "b_1", "doc_id": "b", "text": "faux"}
    )
    sync.engine.upsert(collection, [stranger, changed])


def test_a_collection_changed_by_someone_else_is_found_and_mended(sync):
    sync.update()
    assert sync.check() == []
    assert sync.verify().is_equal
    spoil(sync)
    assert any("b_1" in difference for difference in sync.check())
    report = sync.verify()
    assert (report.missing, report.foreign) == (("a_1",), ("z_1",))
    assert [point.chunk_id for point in report.changed] == ["b_1"]

    changes = sync.repair(report)
    assert (changes.upserted, changes.deleted, changes.rebuilt) == (2, 1, False)
    assert sync.verify().is_equal
    assert_equal_to_the_chunks(sync)


def test_a_point_of_a_whole_document_follows_its_chunks(sync, store):
    put_document(
        sync.lake, "code", "e", [section("Un début.", article="1"), section("Une fin.", article="2")]
    )
    split(sync.lake, "code")
    embed(store)
    sync.update()

    assert found_documents(sync, "fin") == ["e_1"]
    put_document(
        sync.lake, "code", "e", [section("Un début.", article="1"), section("Un terme.", article="2")]
    )
    split(sync.lake, "code")
    embed(store)
    assert sync.update().upserted == 2
    assert found_documents(sync, "fin") == []
    assert found_documents(sync, "terme") == ["e_1"]
    assert sync.verify().is_equal


def test_a_document_is_found_by_its_phrases_and_shown_without_them(sync):
    sync.update()
    held = dict(rows(sync.lake, "SELECT chunk_id, text FROM code.chunks"))
    expanded = replace(sync, expansion=lambda: {"b": "mon voisin fait la fête", "unknown": "personne"})

    changes = expanded.update()
    assert (changes.upserted, changes.expanded, changes.rebuilt) == (1, 1, False)
    assert found_documents(sync, "voisins") == ["b_1"]
    assert {name: hit.payload["text"] for name, hit in served(sync).items()} == held
    assert expanded.verify().is_equal
    assert expanded.check() == []
    assert expanded.update().upserted == 0

    others = replace(sync, expansion=lambda: {"b": "ma voisine crie", "c": "un chien aboie"})
    assert others.update().upserted == 2
    assert (found_documents(sync, "fête"), found_documents(sync, "aboie")) == ([], ["c_1"])
    assert sync.update().upserted == 2
    assert found_documents(sync, "voisins") == []
    assert sync.verify().is_equal


def test_a_second_profile_is_built_beside_the_active_one(sync):
    active = sync.update().collection
    beside = replace(sync, profile="other", active=False).update()
    assert (beside.upserted, beside.activated) == (3, False)
    assert sync.engine.collection_for("code") == sync.engine.collection_for("code--use") == active
    assert sync.engine.collection_for("code--other") == beside.collection

    becoming_active = replace(sync, profile="other", active=True).update()
    assert (becoming_active.upserted, becoming_active.rebuilt, becoming_active.activated) == (0, False, True)
    assert sync.engine.collection_for("code") == beside.collection
    assert sync.engine.collections() == sorted([active, beside.collection])
    assert_equal_to_the_chunks(replace(sync, profile="other"))


def test_a_former_profile_that_still_serves_keeps_the_alias_when_it_is_rebuilt(sync):
    sync.update()
    changed = replace(sync, active=False, spec=replace(SPEC, fields={"category": FieldType.KEYWORD}))
    after = changed.update()
    assert after.rebuilt
    assert sync.engine.collection_for("code") == after.collection


def test_a_dataset_without_chunks_has_an_empty_collection(sync):
    for doc_id in "abc":
        remove_document(sync.lake, "code", doc_id)
    split(sync.lake, "code")
    assert sync.update().upserted == 0
    assert served(sync) == {}
