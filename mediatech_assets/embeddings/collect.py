"""Garbage collection of vectors: those that no live chunk and no kept release names.

What belongs here: which vectors of a store are garbage, removing them, and dropping the store of a profile that
is gone. What does not: which releases are kept, and merging what remains into fewer files
(`lake/maintenance.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.embeddings.store import CATALOG, TextKey, VectorStore
from mediatech_assets.errors import ConfigurationError, LakeError, RefusedFileError
from mediatech_assets.lake import Lake, number, quoted, utc_now

_TEXTS_PER_BATCH = 8_192


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did.

    Args:
        kept: Vectors that stay.
        removed: Vectors that went away.
    """

    kept: int
    removed: int


def collect(
    store: VectorStore,
    releases: Iterable[Path],
    text_key: TextKey,
    *,
    minimum_age: timedelta = timedelta(0),
) -> Collected:
    """Removes the vectors of one profile that nothing names: no chunk of any chunking of any dataset, no release.

    The caller holds the locks of all datasets: a run that embeds between the look and the removal could lose
    vectors that it counts on. Whatever cannot be read stops the collection before anything is removed. Space is
    freed by `lake.maintenance.compact(lake, CATALOG, dated_tables=())`.

    Args:
        store: The store; every dataset of its lake is asked.
        releases: Folders of the kept releases, of any profile: those of others are passed over.
        text_key: Function that made the keys of the chunks.
        minimum_age: Younger vectors stay, such as imported ones whose chunks are still to be made.

    Raises:
        LakeError: a dataset's catalog cannot be read.
        RefusedFileError: a file of a release cannot be read.
        ConfigurationError: a release is missing, or the lake holds no dataset.
    """
    store.open()
    with store.lake.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TEMPORARY TABLE live (text_key VARCHAR)")
        _gather_chunks(store.lake, cursor)
        for folder in releases:
            _gather_release(store, cursor, folder, text_key)
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE garbage AS
            SELECT text_key FROM {store.table} ANTI JOIN live USING (text_key) WHERE created_at <= ?
            """,
            [utc_now() - minimum_age],
        )
        removed = 0
        if number(cursor, "SELECT count(*) FROM garbage"):
            with store.lake.transaction(CATALOG, cursor):
                removed = number(
                    cursor,
                    f"DELETE FROM {store.table} WHERE text_key IN (SELECT text_key FROM garbage)",
                )
        return Collected(number(cursor, f"SELECT count(*) FROM {store.table}"), removed)


def remove_vectors(
    stores: Sequence[VectorStore], keys: Sequence[str], releases: Iterable[Path], text_key: TextKey
) -> int:
    """Removes the vectors of erased texts from stores, except of texts that others still have.

    The caller holds the locks of all datasets, as for `collect`.

    Args:
        stores: The stores, all of one lake; every dataset of it is asked.
        keys: Keys of the erased texts.
        releases: Folders of the kept releases of all datasets.
        text_key: Function that made the keys.

    Returns:
        Vectors removed.

    Raises:
        LakeError: a dataset's catalog cannot be read.
        RefusedFileError: a file of a release cannot be read.
    """
    kept, removed = list(releases), 0
    for store in stores if keys else ():
        store.open()
        with store.lake.cursor() as cursor:
            cursor.register("erased_keys", pa.table({"text_key": pa.array(keys, pa.string())}))
            cursor.execute("CREATE OR REPLACE TEMPORARY TABLE erased AS SELECT text_key FROM erased_keys")
            cursor.unregister("erased_keys")
            held = f"SELECT count(*) FROM {store.table} SEMI JOIN erased USING (text_key)"
            if not number(cursor, held):
                continue
            cursor.execute("CREATE OR REPLACE TEMPORARY TABLE live (text_key VARCHAR)")
            _gather_chunks(store.lake, cursor)
            for folder in kept:
                _gather_release(store, cursor, folder, text_key)
            with store.lake.transaction(CATALOG, cursor):
                removed += number(
                    cursor,
                    f"DELETE FROM {store.table} WHERE text_key IN (SELECT text_key FROM erased ANTI JOIN live "
                    "USING (text_key))",
                )
    return removed


def stores(lake: Lake) -> dict[str, int]:
    """Vectors by name of the store: `Profile.store` of every profile that was ever used in the lake."""
    if not lake.exists(CATALOG):
        return {}
    lake.open(CATALOG, {})
    with lake.cursor() as cursor:
        names = [name for name in _tables(cursor) if name != "lake_format"]
        return {
            name: number(cursor, f"SELECT count(*) FROM {quoted(CATALOG)}.{quoted(name)}") for name in names
        }


def drop_store(lake: Lake, name: str) -> int:
    """Drops the table of a profile that is gone from the configuration.

    The lake's connection is closed, so that it forgets the table; it is opened again when needed.

    Args:
        lake: The lake; no other process uses the store.
        name: One of `stores`.

    Returns:
        Vectors that it held.

    Raises:
        ConfigurationError: there is no such store.
    """
    known = stores(lake)
    if name not in known:
        raise ConfigurationError(
            f"there is no vector store {name!r} in the lake",
            f"name one of {', '.join(known) or 'none: no profile was used yet'}",
        )
    with lake.transaction(CATALOG) as cursor:
        cursor.execute(f"DROP TABLE {quoted(CATALOG)}.{quoted(name)}")
    lake.close()
    return known[name]


def _tables(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY 1"
    return [name for (name,) in cursor.execute(sql, [CATALOG]).fetchall()]


def _gather_chunks(lake: Lake, cursor: duckdb.DuckDBPyConnection) -> None:
    """Adds the keys of all chunks to `live`.

    The catalogs on disk are asked, not the datasets that this version knows: the chunks of one that is switched
    off, or not configured here, still need their vectors.
    """
    datasets = [name for name in lake.catalogs() if name != CATALOG]
    if not datasets:
        raise ConfigurationError(
            "the lake holds vectors and no dataset yet: every vector would be removed",
            "run `mediatech update` first, so that chunks name the vectors that they need",
        )
    for name in datasets:
        lake.open(name, {})
        if not lake.has_table(name, "chunks"):
            continue
        try:
            cursor.execute(f"INSERT INTO live SELECT DISTINCT text_key FROM {quoted(name)}.chunks")
        except duckdb.Error as error:
            raise LakeError(
                f"the chunks of {name} cannot be read, so no vector was removed: {error}",
                "restore the files of the lake from a backup, or build the dataset again with "
                f"`mediatech update --datasets {name}`",
            ) from error


def _gather_release(
    store: VectorStore, cursor: duckdb.DuckDBPyConnection, folder: Path, text_key: TextKey
) -> None:
    """Adds the keys of a release's texts to `live`, if it is one of the store's profile."""
    if not folder.is_dir():
        raise ConfigurationError(
            f"the kept release {folder} is missing, so no vector was removed",
            "bring the folder back, or remove the release with its record",
        )
    vector_column = f"embeddings_{store.profile.slug}"
    for path in sorted(folder.rglob("*.parquet")):
        for texts in _texts(path, vector_column):
            keys = [text_key(text, store.profile.passage_prefix) for text in texts]
            cursor.register("named", pa.table({"text_key": pa.array(keys, pa.string())}))
            cursor.execute("INSERT INTO live SELECT text_key FROM named")
            cursor.unregister("named")


def _texts(path: Path, vector_column: str) -> Iterator[list[str]]:
    try:
        with pq.ParquetFile(path) as file:
            if vector_column not in file.schema_arrow.names:
                return
            for batch in file.iter_batches(_TEXTS_PER_BATCH, columns=["chunk_text"]):
                yield [text for text in batch.column("chunk_text").to_pylist() if text is not None]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise RefusedFileError(
            f"{path} of a kept release cannot be read, so no vector was removed: {error}",
            "restore the file, or remove the release with its record",
        ) from error
