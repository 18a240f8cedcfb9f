"""Garbage collection: what a chunk or a kept release needs stays, and doubt removes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediatech_assets.chunks.build import text_key
from mediatech_assets.embeddings.collect import Collected, collect, drop_store, stores
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.errors import ConfigurationError, LakeError, RefusedFileError
from mediatech_assets.lake import Lake
from mediatech_assets_tests.tiny import (
    new_lake,
    open_dataset,
    put_document,
    remove_document,
    rows,
    split,
)

TINY = replace(profile_named("use"), dimensions=2, passage_prefix="")
TEXTS = ("un", "deux", "trois", "quatre", "cinq", "six")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("collect")


@pytest.fixture(scope="module")
def lake(home) -> Iterator[Lake]:
    lake = new_lake(home)
    yield lake
    lake.close()


@pytest.fixture
def store(lake) -> VectorStore:
    """Vectors of six texts; dataset `one` has chunks of « un » and « deux », `two` has none."""
    store = VectorStore(lake, TINY)
    store.open()
    for name in ("one", "two"):
        open_dataset(lake, name)
        with lake.transaction(name) as cursor:
            for table in ("documents", "chunks", "chunk_state"):
                cursor.execute(f"DELETE FROM {name}.{table}")
    store.add([text_key(text, "") for text in TEXTS], np.tile(np.array([1, 0], np.float32), (6, 1)))
    for number, text in enumerate(("un", "deux")):
        put_document(lake, "one", f"one{number}", [text], title="")
    split(lake, "one")
    return store


def texts(store: VectorStore) -> set[str]:
    found = {key for (key,) in rows(store.lake, f"SELECT text_key FROM {store.table}")}
    return {text for text in TEXTS if text_key(text, store.profile.passage_prefix) in found}


def release(folder: Path, *held: str, column: str = "embeddings_use-m3", table: str = "") -> Path:
    (folder / table).mkdir(parents=True, exist_ok=True)
    rows_ = pa.table({"chunk_text": [*held, None], column: ["[]"] * (len(held) + 1)})
    pq.write_table(rows_, folder / table / "part_0.parquet")
    return folder


def test_what_no_chunk_and_no_kept_release_names_goes_away(lake, store, tmp_path):
    put_document(lake, "two", "d", ["trois"], title="")
    split(lake, "two", size=12)
    put_document(lake, "two", "d", ["quatre"], title="")
    split(lake, "two", size=50)  # another chunking; the first keeps its chunks
    kept = release(tmp_path / "kept", "cinq", table="data/two-latest")
    other = release(tmp_path / "other", "six", column="embeddings_bge-m3")
    before = {path: path.read_bytes() for path in (kept, other) for path in path.rglob("*.parquet")}
    assert collect(store, [kept, other], text_key) == Collected(kept=5, removed=1)
    assert texts(store) == {"un", "deux", "trois", "quatre", "cinq"}
    assert {path: path.read_bytes() for path in before} == before

    snapshot = rows(lake, "SELECT max(snapshot_id) FROM ducklake_snapshots('embeddings')")
    assert collect(store, [kept, other], text_key) == Collected(kept=5, removed=0)
    assert rows(lake, "SELECT max(snapshot_id) FROM ducklake_snapshots('embeddings')") == snapshot

    remove_document(lake, "one", "one0")
    split(lake, "one")
    assert collect(store, [], text_key) == Collected(kept=3, removed=2)
    assert texts(store) == {"deux", "trois", "quatre"}


def test_the_prefix_of_the_profile_belongs_to_the_key_of_a_release(lake, store, tmp_path):
    prefixed = VectorStore(lake, replace(TINY, passage_prefix="passage: "))
    prefixed.open()
    keys = [text_key(text, "passage: ") for text in ("un", "cinq")]
    prefixed.add(keys, np.ones((2, 2), np.float32))
    assert collect(prefixed, [release(tmp_path / "r", "cinq")], text_key) == Collected(1, 1)
    assert texts(prefixed) == {"cinq"}  # the chunks of « one » have no prefix
    assert len(texts(store)) == 6


def test_young_vectors_may_stay(store):
    assert collect(store, [], text_key, minimum_age=timedelta(hours=1)) == Collected(6, 0)
    assert collect(store, [], text_key) == Collected(2, 4)


def test_a_lake_without_datasets_loses_nothing(tmp_path):
    lake = new_lake(tmp_path)
    store = VectorStore(lake, TINY)
    store.open()
    store.add(["k"], np.ones((1, 2), np.float32))
    with pytest.raises(ConfigurationError, match="no dataset yet"):
        collect(store, [], text_key)
    assert store.audit().rows == 1
    lake.close()


def test_a_catalog_that_cannot_be_opened_removes_nothing(store, home):
    broken = home / "lake" / "three.sqlite"
    broken.write_bytes(b"not a database, and long enough to be looked at" * 50)
    with pytest.raises(LakeError, match=r"three\.sqlite"):
        collect(store, [], text_key)
    assert len(texts(store)) == 6
    broken.unlink()
    assert collect(store, [], text_key) == Collected(2, 4)


def test_chunks_that_cannot_be_read_remove_nothing(lake, store):
    listed = rows(lake, "SELECT data_file FROM ducklake_list_files('one', 'chunks')")
    files = [Path(path) for (path,) in listed]
    assert files
    for file in files:
        file.rename(file.with_suffix(".away"))
    with pytest.raises(LakeError, match="chunks of one cannot be read"):
        collect(store, [], text_key)
    assert len(texts(store)) == 6
    for file in files:
        file.with_suffix(".away").rename(file)
    assert collect(store, [], text_key) == Collected(2, 4)


@pytest.mark.parametrize("harm", ["corrupt", "no text", "missing"])
def test_a_kept_release_that_cannot_be_read_removes_nothing(store, tmp_path, harm):
    folder = release(tmp_path / "kept", "cinq")
    if harm == "corrupt":
        (folder / "part_0.parquet").write_bytes(b"PAR1" + bytes(100))
    elif harm == "no text":
        pq.write_table(pa.table({"embeddings_use-m3": ["[]"]}), folder / "part_0.parquet")
    else:
        folder = tmp_path / "absent"
    with pytest.raises((RefusedFileError, ConfigurationError), match="no vector was removed"):
        collect(store, [folder], text_key)
    assert len(texts(store)) == 6


def test_the_store_of_a_profile_that_is_gone_is_dropped_whole(lake, store):
    gone = VectorStore(lake, replace(TINY, revision="gone"))
    gone.open()
    gone.add(["k"], np.ones((1, 2), np.float32))
    before = stores(lake)
    assert before.items() >= {TINY.store: 6, gone.profile.store: 1}.items()
    assert drop_store(lake, gone.profile.store) == 1
    assert stores(lake) == {name: held for name, held in before.items() if name != gone.profile.store}
    for name in (gone.profile.store, "lake_format", "x; DROP TABLE y"):
        with pytest.raises(ConfigurationError, match="no vector store"):
            drop_store(lake, name)
    gone.open()
    assert gone.audit().rows == 0
    assert len(texts(store)) == 6


def test_a_lake_without_vectors_has_no_stores(tmp_path):
    lake = new_lake(tmp_path)
    assert stores(lake) == {}
    assert not lake.exists("embeddings")
    lake.close()
