"""The vector store: one append-only table a profile, keyed by the text's hash.

What belongs here: which texts still need a vector, adding vectors, recording texts that can have none, and the
audit of what is stored. What does not: computing vectors (`work.py`), taking them away (`collect.py`), and
carrying them to another lake (`exchange.py`). A text that two datasets share is embedded once.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa

from mediatech_assets.embeddings.batches import EmbeddedBatch, RefusedText
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.validity import find_faults, vector_column
from mediatech_assets.errors import EmbeddingError
from mediatech_assets.lake import Lake, literal, number, quoted, utc_now
from mediatech_assets.progress import track
from mediatech_assets.schemas import REFUSED_BY_MODEL, VECTORS

#: The catalog that all datasets share.
CATALOG = "embeddings"

#: A commit holds this many vectors or those of so many seconds: little is lost when a run is killed, a slow
#: model does not leave thousands of tiny files, and a fast one does not wait for commits (some 40 ms each).
_VECTORS_PER_COMMIT = 2_048
_SECONDS_PER_COMMIT = 15.0

_TEXTS_PER_READ = 4_096
_VECTORS_PER_AUDIT_BATCH = 4_096

#: Embeds keyed texts, in batches.
EmbedTexts = Callable[[Iterable[tuple[str, str]]], Iterator[EmbeddedBatch[str]]]

#: Gives the key of a text's vector, from the text and the model's passage prefix.
TextKey = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Filled:
    """What a run did for the texts of a dataset. A text that several chunks share counts once.

    Args:
        embedded: Texts whose vector was computed.
        refused: Texts that can have no vector; they are in the dataset's quarantine.
        reused: Texts that had a vector, or that another process gave one meanwhile.
    """

    embedded: int
    refused: int
    reused: int


@dataclass(frozen=True, slots=True)
class VectorAudit:
    """What is wrong in a store.

    Args:
        rows: Vectors.
        duplicates: Rows beyond the first of their key.
        wrong_length: Vectors of another number of dimensions than the profile's.
        not_finite: Vectors with a number that is missing, infinite or no number.
        not_unit: Vectors whose length differs from 1, for a profile of normalised ones.
    """

    rows: int
    duplicates: int
    wrong_length: int
    not_finite: int
    not_unit: int

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.duplicates or self.wrong_length or self.not_finite or self.not_unit)


@dataclass(frozen=True, slots=True)
class VectorStore:
    """The vectors of one profile.

    Args:
        lake: The lake.
        profile: The profile.
    """

    lake: Lake
    profile: Profile

    @property
    def table(self) -> str:
        """The table's name in SQL."""
        return f"{quoted(CATALOG)}.{quoted(self.profile.store)}"

    def open(self) -> None:
        """Opens the catalog and makes the profile's table when it is missing."""
        self.lake.open(CATALOG, {self.profile.store: VECTORS})

    def waiting_texts(self, dataset: str, chunking_id: str) -> Iterator[tuple[str, str]]:
        """Keys and texts of a dataset's chunks that have no vector yet, in the order in which `fill` takes them.

        Args:
            dataset: Name of the dataset; its catalog is open.
            chunking_id: Its chunking.

        Raises:
            EmbeddingError: the store holds vectors of another length than the profile's.
        """
        self._require_length()
        with self.lake.cursor() as reading:
            yield from _Work(self, reading, dataset, chunking_id).texts()

    def fill(
        self,
        dataset: str,
        chunking_id: str,
        embed: EmbedTexts,
        done: Iterable[EmbeddedBatch[str]] = (),
    ) -> Filled:
        """Embeds the texts of a dataset's chunks that have no vector yet, committing often.

        Texts come in the order in which the chunks are stored: the work sorts them by length in windows of its
        own, and a window of neighbours reads a small part of the table. Whatever ends the run, vectors that
        were computed are committed first.

        Refused texts are rows of the dataset's quarantine: `subject` is a chunk that has the text, `member` its
        key, and `reason` begins with the profile's name. They are tried again by each run; a row goes away when
        its text has a vector or no chunk has the text any more.

        Args:
            dataset: Name of the dataset; its catalog is open and nobody else changes its chunks.
            chunking_id: Its chunking.
            embed: Embeds keyed texts.
            done: What was embedded elsewhere already; texts that are none of these or have a vector are passed over.

        Raises:
            EmbeddingError: the store holds, or `embed` gave, vectors of another length than the profile's.
        """
        self._require_length()
        with self.lake.cursor() as reading, self.lake.cursor() as writing:
            # Before the work is looked for: what others add from here on is passed over.
            results = _Results(self, writing, dataset, chunking_id)
            work = _Work(self, reading, dataset, chunking_id)
            self._take_done(work, results, done)
            if work.waiting:
                title = f"{dataset}: embedding with {self.profile.name}"
                with track(title, work.waiting, "texts") as advance:
                    try:
                        for batch in embed(work.texts()):
                            results.take(batch)
                            advance(len(batch.keys) + len(batch.refused))
                    finally:
                        results.commit()
                    advance(work.skipped)
            results.settle()
        return Filled(results.embedded, results.refused, work.held + work.skipped)

    def _take_done(self, work: "_Work", results: "_Results", done: Iterable[EmbeddedBatch[str]]) -> None:
        """Commits what was embedded elsewhere, and takes it out of what waits."""
        try:
            for batch in done:
                taken = work.take_out([*batch.keys, *(refusal.key for refusal in batch.refused)])
                chosen = [place for place, key in enumerate(batch.keys) if key in taken]
                refused = tuple(refusal for refusal in batch.refused if refusal.key in taken)
                results.take(
                    EmbeddedBatch([batch.keys[place] for place in chosen], batch.vectors[chosen], refused)
                )
        finally:
            results.commit()

    def add(self, keys: Sequence[str], vectors: np.ndarray) -> int:
        """Adds vectors in one commit; keys that are there are passed over.

        Args:
            keys: Keys of the texts, each once.
            vectors: float32, shape `(len(keys), dimensions)`.

        Returns:
            Vectors added.

        Raises:
            EmbeddingError: the vectors have another shape.
        """
        with self.lake.cursor() as cursor, self.lake.transaction(CATALOG, cursor):
            return self.insert(cursor, keys, self.checked_column(vectors, len(keys)), held=self.table)

    def insert(
        self, cursor: duckdb.DuckDBPyConnection, keys: Sequence[str], vectors: pa.Array, *, held: str
    ) -> int:
        """Inserts vectors in the caller's transaction, but those whose key is in the table `held`.

        Args:
            cursor: In a transaction of the embeddings catalog.
            keys: Keys of the texts, each once.
            vectors: Column of lists, valid for the profile.
            held: Table, quoted for SQL, whose column `text_key` has the keys to pass over.

        Returns:
            Vectors inserted.
        """
        cursor.register("incoming", pa.table({"text_key": pa.array(keys, pa.string()), "vector": vectors}))
        added = number(
            cursor,
            f"""
            INSERT INTO {self.table} (text_key, vector, created_at)
            SELECT text_key, vector, ? FROM incoming ANTI JOIN {held} USING (text_key)
            """,
            [utc_now()],
        )
        cursor.unregister("incoming")
        return added

    def checked_column(self, vectors: np.ndarray, count: int) -> pa.Array:
        """A matrix as a column, if it has `count` rows of the profile's length.

        Raises:
            EmbeddingError: it has not.
        """
        expected = (count, self.profile.dimensions)
        if vectors.shape != expected:
            raise EmbeddingError(
                f"profile {self.profile.name}: vectors of shape {vectors.shape} instead of {expected}",
                "nothing of them was stored; check that the model is the one that the profile names",
            )
        return vector_column(vectors)

    def count(self, dataset: str, chunking_id: str) -> int:
        """Different texts of a dataset's chunks that have a vector."""
        return number(
            self.lake.cursor(),
            f"""
            SELECT count(DISTINCT text_key) FROM {quoted(dataset)}.chunks
            SEMI JOIN {self.table} USING (text_key) WHERE chunking_id = ?
            """,
            [chunking_id],
        )

    def added_since(self, moment: datetime) -> Iterator[pa.ListArray]:
        """Vectors that were added at or after a moment (UTC, without a zone), in bounded memory."""
        with self.lake.cursor() as cursor:
            cursor.execute(f"SELECT vector FROM {self.table} WHERE created_at >= ?", [moment])
            for batch in cursor.to_arrow_reader(_VECTORS_PER_AUDIT_BATCH):
                yield batch.column(0)

    def audit(self) -> VectorAudit:
        """Looks at every vector of the store, in bounded memory."""
        wrong_length = not_finite = not_unit = 0
        with self.lake.cursor() as cursor:
            rows, keys = cursor.execute(
                f"SELECT count(*), count(DISTINCT text_key) FROM {self.table}"
            ).fetchone() or (0, 0)
            cursor.execute(f"SELECT vector FROM {self.table}")
            for batch in cursor.to_arrow_reader(_VECTORS_PER_AUDIT_BATCH):
                faults = find_faults(
                    batch.column(0), self.profile.dimensions, normalised=self.profile.normalised
                )
                wrong_length += int(faults.wrong_length.sum())
                not_finite += int(faults.not_finite.sum())
                not_unit += int(faults.not_unit.sum())
        return VectorAudit(rows, rows - keys, wrong_length, not_finite, not_unit)

    def _require_length(self) -> None:
        """Refuses a store of another model's vectors, by the footers of its files: reading it would take minutes."""
        with self.lake.cursor() as cursor:
            listed = cursor.execute(
                "SELECT data_file FROM ducklake_list_files(?, ?)", [CATALOG, self.profile.store]
            )
            files = [path for (path,) in listed.fetchall()]
            suspicious = files and number(
                cursor,
                """
                SELECT count(*) FROM parquet_metadata(?)
                WHERE path_in_schema LIKE 'vector,%' AND num_values <> row_group_num_rows * ?
                """,
                [files, self.profile.dimensions],
            )
            # A file may still hold rows that were deleted.
            wrong = suspicious and number(
                cursor,
                f"SELECT count(*) FROM {self.table} WHERE len(vector) IS DISTINCT FROM ?",
                [self.profile.dimensions],
            )
        if wrong:
            raise EmbeddingError(
                f"{wrong:,} vectors in {self.table} have not the {self.profile.dimensions} dimensions of "
                f"profile {self.profile.name}",
                f"another program wrote them; remove them (DELETE FROM {self.table} WHERE len(vector) "
                f"IS DISTINCT FROM {self.profile.dimensions}), then run again: their texts are embedded anew",
            )


class Arrivals:
    """Keys that others add to a store's table, gathered in the temporary table `arrived` of a cursor.

    The table of a large store takes seconds to read; what came since the last look is in a few small files.

    Args:
        store: The store.
        cursor: Cursor that has the table; not used by another thread.
    """

    def __init__(self, store: VectorStore, cursor: duckdb.DuckDBPyConnection) -> None:
        self._store = store
        self._cursor = cursor
        self._seen = self._snapshot()
        cursor.execute("CREATE OR REPLACE TEMPORARY TABLE arrived (text_key VARCHAR)")

    def gather(self) -> bool:
        """Adds the keys that came since the last look; says whether there may be new ones."""
        current = self._snapshot()
        if current == self._seen:
            return False
        self._cursor.execute(f"INSERT INTO arrived SELECT text_key FROM {self._inserted(current)}")
        self._seen = current
        return True

    def pass_over(self) -> None:
        """Takes note of a commit of this process, made under the catalog's lock right after `gather`."""
        self._seen += 1

    def _inserted(self, current: int) -> str:
        first = self._seen + 1
        kept = "SELECT count(*) FROM ducklake_snapshots(?) WHERE snapshot_id = ?"
        if not number(self._cursor, kept, [CATALOG, first]):
            return self._store.table  # expired by maintenance
        name = literal(self._store.profile.store)
        return f"ducklake_table_insertions({literal(CATALOG)}, 'main', {name}, {first}, {current})"

    def _snapshot(self) -> int:
        return number(self._cursor, "SELECT * FROM ducklake_current_snapshot(?)", [CATALOG])


class _Work:
    """The texts of a dataset that have no vector yet: narrow rows at once, the texts themselves in windows.

    Attributes:
        waiting: Texts without a vector.
        held: Texts that have one.
        skipped: Waiting texts that another process gave a vector before their window was read.
    """

    def __init__(
        self, store: VectorStore, cursor: duckdb.DuckDBPyConnection, dataset: str, chunking_id: str
    ) -> None:
        self._cursor = cursor
        self._chunks = f"{quoted(dataset)}.chunks"
        self._arrivals = Arrivals(store, cursor)
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE texts AS
            SELECT text_key, min(rowid) AS row_id FROM {self._chunks} WHERE chunking_id = ? GROUP BY text_key
            """,
            [chunking_id],
        )
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE waiting AS
            SELECT text_key, row_id, row_number() OVER (ORDER BY row_id) AS place
            FROM texts ANTI JOIN {store.table} USING (text_key)
            """
        )
        self.waiting = self._places = number(cursor, "SELECT count(*) FROM waiting")
        self.held = number(cursor, "SELECT count(*) FROM texts") - self.waiting
        self.skipped = 0
        cursor.execute("DROP TABLE texts")

    def take_out(self, keys: Sequence[str]) -> set[str]:
        """Takes out texts that need not be embedded any more; gives the keys of those that waited."""
        self._cursor.register("done", pa.table({"text_key": pa.array(keys, pa.string())}))
        gone = self._cursor.execute(
            "DELETE FROM waiting WHERE text_key IN (SELECT text_key FROM done) RETURNING text_key"
        ).fetchall()
        self._cursor.unregister("done")
        self.waiting -= len(gone)
        return {key for (key,) in gone}

    def texts(self) -> Iterator[tuple[str, str]]:
        """Keys and texts. No query stays open while they are embedded."""
        for first in range(1, self._places + 1, _TEXTS_PER_READ):
            window = [first, first + _TEXTS_PER_READ - 1]
            self._drop_arrived(first)
            # The join on rows lets DuckDB pass over files and row groups; that on keys guards against a row
            # that another process replaced.
            yield from self._cursor.execute(
                f"""
                SELECT waiting.text_key, chunk.chunk_text FROM {self._chunks} AS chunk
                JOIN waiting ON waiting.row_id = chunk.rowid AND waiting.text_key = chunk.text_key
                WHERE waiting.place BETWEEN ? AND ?
                """,
                window,
            ).fetchall()

    def _drop_arrived(self, first: int) -> None:
        if self._arrivals.gather():
            self.skipped += number(
                self._cursor,
                "DELETE FROM waiting WHERE place >= ? AND text_key IN (SELECT text_key FROM arrived)",
                [first],
            )
            self._cursor.execute("DELETE FROM arrived")


class _Results:
    """What came of a dataset's texts, gathered and committed: vectors to the store, refusals to quarantine.

    Attributes:
        embedded: Vectors taken.
        refused: Refusals taken.
    """

    def __init__(
        self, store: VectorStore, cursor: duckdb.DuckDBPyConnection, dataset: str, chunking_id: str
    ) -> None:
        self.embedded = 0
        self.refused = 0
        self._store = store
        self._cursor = cursor
        self._dataset = dataset
        self._chunking_id = chunking_id
        self._arrivals = Arrivals(store, cursor)
        self._keys: list[str] = []
        self._vectors: list[np.ndarray] = []
        self._refusals: list[RefusedText[str]] = []
        self._committed_at = time.monotonic()
        cursor.execute("CREATE OR REPLACE TEMPORARY TABLE refused (text_key VARCHAR, reason VARCHAR)")

    def take(self, batch: EmbeddedBatch[str]) -> None:
        """Takes a batch, and commits when enough vectors or seconds have passed."""
        self._keys += batch.keys
        self._vectors.append(batch.vectors)
        self._refusals += batch.refused
        self.embedded += len(batch.keys)
        self.refused += len(batch.refused)
        seconds = time.monotonic() - self._committed_at
        if len(self._keys) >= _VECTORS_PER_COMMIT or seconds >= _SECONDS_PER_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Commits what was taken. What fails is not tried again: the run ends, and another begins with it."""
        keys, vectors, refusals = self._keys, self._vectors, self._refusals
        self._keys, self._vectors, self._refusals = [], [], []
        if keys:
            column = self._store.checked_column(np.concatenate(vectors), len(keys))
            with self._store.lake.transaction(CATALOG, self._cursor):
                self._arrivals.gather()
                added = self._store.insert(self._cursor, keys, column, held="arrived")
            if added:
                self._arrivals.pass_over()
        if refusals:
            self._quarantine(refusals)
        self._committed_at = time.monotonic()

    def settle(self) -> None:
        """Removes the refusals of earlier runs that are none any more, once every text was tried."""
        settled = f"{self._is_ours} AND member NOT IN (SELECT text_key FROM refused)"
        self._replace(settled)

    def _quarantine(self, refusals: Sequence[RefusedText[str]]) -> None:
        """Records refusals; one that is recorded in the same words already costs no commit."""
        self._cursor.register(
            "refusals",
            pa.table(
                {
                    "text_key": pa.array([refusal.key for refusal in refusals], pa.string()),
                    "reason": pa.array([self._prefix + refusal.reason for refusal in refusals], pa.string()),
                }
            ),
        )
        self._cursor.execute("INSERT INTO refused SELECT text_key, reason FROM refusals")
        self._cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE entries AS
            SELECT min(chunk.chunk_id) AS subject, text_key AS member, any_value(refusals.reason) AS reason,
              {literal(REFUSED_BY_MODEL)} AS source_file, any_value(strlen(chunk.chunk_text)) AS size
            FROM {quoted(self._dataset)}.chunks AS chunk JOIN refusals USING (text_key)
            WHERE chunk.chunking_id = ? GROUP BY text_key
            """,
            [self._chunking_id],
        )
        self._cursor.unregister("refusals")
        self._cursor.execute(
            f"""
            DELETE FROM entries WHERE EXISTS (
              SELECT 1 FROM {self._table} AS known WHERE known.subject = entries.subject
                AND known.member = entries.member AND known.reason = entries.reason
                AND known.source_file = entries.source_file
            )
            """
        )
        self._replace(f"{self._is_ours} AND member IN (SELECT member FROM entries)", "entries")

    def _replace(self, removed: str, added: str = "") -> None:
        """Removes quarantine rows where `removed` is true and adds those of the table `added`, in one commit."""
        going = number(self._cursor, f"SELECT count(*) FROM {self._table} WHERE {removed}")
        coming = number(self._cursor, f"SELECT count(*) FROM {added}") if added else 0
        if not going and not coming:
            return
        with self._store.lake.transaction(self._dataset, self._cursor):
            if going:
                self._cursor.execute(f"DELETE FROM {self._table} WHERE {removed}")
            if coming:
                self._cursor.execute(
                    f"INSERT INTO {self._table} BY NAME SELECT *, ? AS seen_at FROM {added}", [utc_now()]
                )

    @property
    def _prefix(self) -> str:
        return f"{self._store.profile.name}: "

    @property
    def _is_ours(self) -> str:
        """SQL that is true for the quarantine's rows of this profile."""
        source, prefix = literal(REFUSED_BY_MODEL), literal(self._prefix)
        return f"source_file = {source} AND starts_with(reason, {prefix})"

    @property
    def _table(self) -> str:
        return f"{quoted(self._dataset)}.quarantine"
