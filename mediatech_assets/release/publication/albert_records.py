"""What the Albert collection holds of a dataset, and what it should hold.

What belongs here: the table `albert_documents`, beside the release's documents in temporary tables. What does not:
asking the service (`albert_service.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from mediatech_assets.lake import Lake, number, quoted, utc_now
from mediatech_assets.progress import Advance, track
from mediatech_assets.release.publication.albert_documents import MARK, AlbertDocument, read_documents
from mediatech_assets.release.stored import StoredRelease
from mediatech_assets.schemas import ALBERT_DOCUMENTS

_DOCUMENTS_PER_INSERT = 5_000


@dataclass(frozen=True, slots=True)
class Difference:
    """What a synchronisation has to do: documents, bytes and requests."""

    added: int
    changed: int
    removed: int
    superseded: int
    added_bytes: int
    changed_bytes: int
    requests: int


class AlbertRecords:
    """What is wanted, in temporary tables of one cursor, beside what the collection holds, in the lake.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        cursor: Cursor that keeps the temporary tables.
        collection: Identifier of the collection; empty while there is none.
    """

    def __init__(self, lake: Lake, dataset: str, cursor: duckdb.DuckDBPyConnection, collection: str) -> None:
        self.collection = collection
        self._lake = lake
        self._dataset = dataset
        self._cursor = cursor
        self._exists = lake.has_table(dataset, "albert_documents")

    @property
    def _table(self) -> str:
        return f"{quoted(self._dataset)}.albert_documents"

    @property
    def _rows(self) -> str:
        """SQL of the collection's rows; a lake that is only read may be older than the table."""
        if not self._exists:
            return "(SELECT '' AS doc_id, '' AS remote_id, '' AS digest WHERE false)"
        mine = self.collection.replace("'", "''")
        return f"(SELECT doc_id, remote_id, digest FROM {self._table} WHERE collection = '{mine}')"

    def collections(self) -> set[str]:
        """Identifiers of every collection that was ever recorded."""
        if not self._exists:
            return set()
        found = self._cursor.execute(f"SELECT DISTINCT collection FROM {self._table}").fetchall()
        return {name for (name,) in found}

    def held_anywhere(self, doc_ids: Sequence[str]) -> int:
        """How many of these documents are recorded, in whatever collection."""
        if not self._exists:
            return 0
        sql = f"SELECT count(DISTINCT doc_id) FROM {self._table} WHERE list_contains(?::VARCHAR[], doc_id)"
        return number(self._cursor, sql, [list(doc_ids)])

    def count(self) -> int:
        """Documents that the collection holds, as recorded."""
        return number(self._cursor, f"SELECT count(*) FROM {self._rows}")

    def wanted(self) -> int:
        """Documents of the release that have a text."""
        return number(self._cursor, "SELECT count(*) FROM wanted")

    def want(self, release: StoredRelease) -> None:
        """Fills the temporary table `wanted` from the release's files."""
        self._cursor.execute(
            "CREATE OR REPLACE TEMPORARY TABLE wanted "
            "(doc_id VARCHAR, digest VARCHAR, name VARCHAR, path VARCHAR, chunks BIGINT, bytes BIGINT, requests BIGINT)"
        )
        with track(f"{self._dataset}: comparing with Albert", None, "documents") as advance:
            for file in release.data_files:
                rows: list[dict[str, Any]] = []
                for document in read_documents(release, file):
                    rows.append(
                        {
                            "doc_id": document.doc_id,
                            "digest": document.digest,
                            "name": document.name,
                            "path": file.path,
                            "chunks": len(document.chunks),
                            "bytes": document.bytes,
                            "requests": document.requests,
                        }
                    )
                    if len(rows) == _DOCUMENTS_PER_INSERT:
                        self._insert_wanted(rows, advance)
                self._insert_wanted(rows, advance)

    def _insert_wanted(self, rows: list[dict[str, Any]], advance: Advance) -> None:
        if rows:
            self._cursor.register("read_documents", pa.Table.from_pylist(rows))
            self._cursor.execute("INSERT INTO wanted BY NAME SELECT * FROM read_documents")
            self._cursor.unregister("read_documents")
            advance(len(rows))
            rows.clear()

    def difference(self) -> Difference:
        """What differs now."""
        row = self._cursor.execute(
            f"""
            WITH held AS {self._rows},
            missing AS (SELECT *, doc_id IN (SELECT doc_id FROM held) AS changed FROM wanted
              WHERE (doc_id, digest) NOT IN (SELECT (doc_id, digest) FROM held)),
            surplus AS (SELECT * FROM held WHERE remote_id NOT IN (
              SELECT min(held.remote_id) FROM held JOIN wanted USING (doc_id, digest) GROUP BY doc_id))
            SELECT
              (SELECT count(*) FROM missing WHERE NOT changed), (SELECT count(*) FROM missing WHERE changed),
              (SELECT count(*) FROM surplus WHERE doc_id NOT IN (SELECT doc_id FROM wanted)),
              (SELECT count(*) FROM surplus WHERE doc_id IN (SELECT doc_id FROM wanted)),
              (SELECT coalesce(sum(bytes), 0) FROM missing WHERE NOT changed),
              (SELECT coalesce(sum(bytes), 0) FROM missing WHERE changed),
              (SELECT coalesce(sum(requests), 0) FROM missing) + (SELECT count(*) FROM surplus)
            """
        ).fetchone()
        return Difference(*map(int, row or (0,) * 7))

    def missing(self) -> dict[str, dict[str, bool]]:
        """Documents to send by file of the release; each tells whether a former version is there."""
        found = self._cursor.execute(
            f"""
            SELECT path, doc_id, doc_id IN (SELECT doc_id FROM {self._rows}) FROM wanted
            WHERE (doc_id, digest) NOT IN (SELECT (doc_id, digest) FROM {self._rows})
            """
        ).fetchall()
        by_path: dict[str, dict[str, bool]] = {}
        for path, doc_id, changed in found:
            by_path.setdefault(path, {})[doc_id] = changed
        return by_path

    def removed(self) -> list[str]:
        """Identifiers of documents at the service that are not in the release."""
        found = self._cursor.execute(
            f"SELECT remote_id FROM {self._rows} WHERE doc_id NOT IN (SELECT doc_id FROM wanted) ORDER BY remote_id"
        ).fetchall()
        return [remote_id for (remote_id,) in found]

    def superseded(self, doc_ids: Sequence[str] | None = None) -> list[str]:
        """Identifiers of former versions, and of further copies, of documents that are there as in the release.

        Args:
            doc_ids: Only of these documents; of all when not given.
        """
        found = self._cursor.execute(
            f"""
            WITH held AS (
              SELECT * FROM {self._rows} WHERE $doc_ids IS NULL OR list_contains($doc_ids::VARCHAR[], doc_id)
            ),
            present AS (
              SELECT doc_id, min(held.remote_id) AS remote_id FROM held JOIN wanted USING (doc_id, digest)
              GROUP BY doc_id
            )
            SELECT held.remote_id FROM held JOIN present USING (doc_id)
            WHERE held.remote_id <> present.remote_id ORDER BY held.remote_id
            """,
            {"doc_ids": None if doc_ids is None else list(doc_ids)},
        ).fetchall()
        return [remote_id for (remote_id,) in found]

    def record(self, sent: Mapping[str, AlbertDocument], deleted: Sequence[str]) -> None:
        """Commits what the service acknowledged.

        Args:
            sent: Documents by their identifiers at the service.
            deleted: Identifiers that are gone.
        """
        if not sent and not deleted:
            return
        rows = [
            {
                "collection": self.collection,
                "doc_id": document.doc_id,
                "remote_id": remote_id,
                "digest": document.digest,
                "synced_at": utc_now(),
            }
            for remote_id, document in sent.items()
        ]
        self._cursor.register("acknowledged", pa.Table.from_pylist(rows, schema=ALBERT_DOCUMENTS))
        with self._lake.transaction(self._dataset, self._cursor) as cursor:
            if deleted:
                cursor.execute(
                    f"DELETE FROM {self._table} WHERE collection = ? AND list_contains(?::VARCHAR[], remote_id)",
                    [self.collection, list(deleted)],
                )
            if rows:
                cursor.execute(f"INSERT INTO {self._table} BY NAME SELECT * FROM acknowledged")
        self._cursor.unregister("acknowledged")

    def reconcile(self, documents: Iterator[Mapping[str, Any]]) -> list[str]:
        """Adopts what is whole, forgets what is gone.

        A document of ours that is not of this release is recorded too, without a digest: it is deleted like any
        former version, once the new one is there.

        Args:
            documents: Everything that the collection holds.

        Returns:
            Identifiers of documents that a killed run did not finish: they are of no use.
        """
        names = pa.schema([("remote_id", pa.string()), ("name", pa.string()), ("chunks", pa.int64())])
        held = [
            {"remote_id": str(item["id"]), "name": str(item["name"]), "chunks": item.get("chunks") or 0}
            for item in documents
        ]
        self._cursor.register("listed", pa.Table.from_pylist(held, schema=names))
        self._cursor.execute("CREATE OR REPLACE TEMPORARY TABLE held AS SELECT * FROM listed")
        self._cursor.unregister("listed")
        self._cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE found AS
            SELECT held.remote_id, held.chunks = wanted.chunks AS whole,
              coalesce(wanted.doc_id, regexp_replace(held.name, '{MARK}[0-9a-f]{{16}}$', '')) AS doc_id,
              coalesce(wanted.digest, '') AS digest
            FROM held LEFT JOIN wanted ON wanted.name = held.name
            WHERE regexp_matches(held.name, '.{MARK}[0-9a-f]{{16}}$')
              AND held.remote_id NOT IN (SELECT remote_id FROM {self._rows})
            """
        )
        with self._lake.transaction(self._dataset, self._cursor) as cursor:
            cursor.execute(
                f"DELETE FROM {self._table} WHERE collection = ? AND remote_id NOT IN (SELECT remote_id FROM held)",
                [self.collection],
            )
            cursor.execute(
                f"""
                INSERT INTO {self._table} (collection, doc_id, remote_id, digest, synced_at)
                SELECT ?, doc_id, remote_id, digest, ? FROM found WHERE whole IS NOT false
                """,
                [self.collection, utc_now()],
            )
        unfinished = self._cursor.execute("SELECT remote_id FROM found WHERE whole = false").fetchall()
        return [remote_id for (remote_id,) in unfinished]
