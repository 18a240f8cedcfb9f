"""Writing documents: deliveries are gathered path by path, then committed in one transaction.

What belongs here: the SQL that turns deliveries and suppressions into the new state of `documents`,
`document_copies`, `tombstones`, `quarantine` and `applied_archives`. What does not: the order in which
archives are taken and which files make a snapshot (`apply.py`).

Why copies: a DILA archive may hold one id under two text folders. The newer file is the document; the other
one is kept, because a suppression names a path, and when the newer path goes the older copy is the document.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from mediatech_assets.documents.parse import RefusedInput
from mediatech_assets.errors import RefusedFileError
from mediatech_assets.lake import Lake, insert_row, literal, number, quoted, utc_now
from mediatech_assets.lake.connection import create_table_sql
from mediatech_assets.records import RawFile
from mediatech_assets.schemas import QUARANTINE, REFUSED_BY_MODEL, documents_schema

_DUPLICATE = "the same id comes twice in one snapshot; the first one is kept"


@dataclass(frozen=True, slots=True)
class Changes:
    """What one commit changed, in documents.

    Args:
        delivered: Documents in the files.
        added: New ones.
        changed: Those whose content is another than before.
        removed: Those that went away.
        refused: Inputs sent to quarantine.
        held: Documents kept although the files do not show them: a refused record may be theirs.
        purged: Documents of the files that were left out because a person had them erased.
    """

    delivered: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    refused: int = 0
    held: int = 0
    purged: int = 0

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.delivered + other.delivered,
            self.added + other.added,
            self.changed + other.changed,
            self.removed + other.removed,
            self.refused + other.refused,
            self.held + other.held,
            self.purged + other.purged,
        )


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """A raw file that a commit applies, with what reading it counted."""

    file: RawFile
    skipped: int = 0
    suppressions: int = 0


class Delivery:
    """Rows and suppressions gathered for one commit, in temporary tables of one cursor.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        metadata_schema: The dataset's own columns.
        keep_copies: Keep the same id under other paths (DILA); else a second one is refused.
        quarantine_bytes: Bytes of a refused input to keep.
    """

    def __init__(
        self,
        lake: Lake,
        dataset: str,
        metadata_schema: pa.Schema,
        *,
        keep_copies: bool,
        quarantine_bytes: int,
    ) -> None:
        self._lake = lake
        self._dataset = dataset
        self._keep_copies = keep_copies
        self._quarantine_bytes = quarantine_bytes
        self._columns = documents_schema(metadata_schema).names
        self._cursor = lake.cursor()
        rows = documents_schema(metadata_schema)
        nullable = pa.schema([field.with_nullable(True) for field in rows])
        for name, schema in (
            ("delivered", nullable),
            ("suppressed_paths", pa.schema([("path", pa.string())])),
            ("suppressed_folders", pa.schema([("path", pa.string())])),
            ("kept_members", pa.schema([("path", pa.string())])),
            ("refused", QUARANTINE),
        ):
            self._cursor.execute(create_table_sql(name, schema, replace=True, temporary=True))

    def close(self) -> None:
        """Forgets what was gathered."""
        self._cursor.close()

    def suppress(self, paths: Sequence[str], folders: Sequence[str]) -> None:
        """Takes the suppression lists of one file, before its rows: they act on what was there before it.

        Args:
            paths: Paths of members, with their `.xml`.
            folders: Folders whose members all go.
        """
        for table, lines in (("suppressed_paths", paths), ("suppressed_folders", folders)):
            self._cursor.execute(f"DELETE FROM {table}")  # the lists of an earlier file have acted
            self._insert(table, pa.table({"path": pa.array(lines, pa.string())}))
        self._cursor.execute(f"DELETE FROM delivered WHERE {_is_suppressed('source_member')}")
        self._cursor.execute(f"DELETE FROM refused WHERE {_is_suppressed('member')}")

    def keep(self, members: Sequence[str]) -> None:
        """Takes members of a complete state whose bytes are as before: their documents stay as they are.

        Args:
            members: Their paths.
        """
        self._insert("kept_members", pa.table({"path": pa.array(members, pa.string())}))

    def deliver(self, rows: pa.Table, *, replacing: bool) -> None:
        """Takes parsed rows.

        Args:
            rows: A table of `Parser.row_schema`.
            replacing: Rows gathered before may have the same paths (several archives in one commit).
        """
        if replacing:
            self._cursor.register("incoming", rows.select(["source_member"]))
            for table, member in (("delivered", "source_member"), ("refused", "member")):
                self._cursor.execute(
                    f"DELETE FROM {table} WHERE {member} IN (SELECT source_member FROM incoming)"
                )
            self._cursor.unregister("incoming")
        self._insert("delivered", rows)

    def refuse(self, refusals: Sequence[RefusedInput], *, replacing: bool) -> None:
        """Takes refused inputs.

        Args:
            refusals: What was refused.
            replacing: The same members may have been refused before (several archives in one commit).
        """
        now = utc_now()
        rows = [
            {
                "subject": refusal.subject,
                "member": refusal.member,
                "reason": refusal.reason,
                "source_file": refusal.source_file,
                "seen_at": now,
                "size": len(refusal.content),
                "content": refusal.content[: self._quarantine_bytes],
            }
            for refusal in refusals
        ]
        if replacing:
            members = sorted({refusal.member for refusal in refusals})
            self._cursor.execute("DELETE FROM refused WHERE list_contains(?, member)", [members])
        if rows:
            self._insert("refused", pa.Table.from_pylist(rows, schema=QUARANTINE))

    def commit(self, applied: Sequence[AppliedFile], parser_version: str, *, whole: bool) -> Changes:
        """Makes what was gathered the state of the tables, with the record of the files, in one transaction.

        Args:
            applied: The files that it comes from, recorded with it; the counts go to the last one's row.
            parser_version: The parser that read them.
            whole: The rows are the complete state (a stock, a snapshot, a replay); else a difference.

        Returns:
            What changed.

        Raises:
            RefusedFileError: a complete state without any document, where there were some before.
        """
        now = utc_now()
        self._cursor.execute(f"SET VARIABLE committed_at = TIMESTAMP '{now.isoformat(sep=' ')}'")
        purged = self._leave_out_purged()
        if not self._keep_copies:
            self._reopen_kept()
            self._refuse_duplicates()
        with self._lake.transaction(self._dataset, self._cursor):
            self._gather_pool(whole=whole)
            self._choose_winners()
            changes = replace(self._count_changes(), purged=purged)
            if whole and not changes.delivered and changes.removed:
                raise RefusedFileError(
                    f"{', '.join(item.file.name for item in applied)} holds no document, where {self._dataset} "
                    f"had {changes.removed:,}",
                    "nothing was changed; check the file at its address: "
                    + ", ".join(item.file.url for item in applied),
                )
            self._write_documents(applied[-1].file.name)
            self._write_quarantine(whole=whole)
            self._record_files(applied, parser_version, changes, now)
        return changes

    def _leave_out_purged(self) -> int:
        """Drops what a person had erased, good or refused, before anything of it is written; counts it."""
        if not self._lake.has_table(self._dataset, "purged_documents"):
            return 0
        purged = f"SELECT doc_id FROM {self._table('purged_documents')}"
        return number(self._cursor, f"DELETE FROM delivered WHERE doc_id IN ({purged})") + number(
            self._cursor,
            # A refused record or file has its identifier in its path, when it could not be read itself.
            f"""
            DELETE FROM refused WHERE EXISTS (
              SELECT 1 FROM ({purged}) AS purged WHERE subject = purged.doc_id
                OR ends_with(member, '[' || purged.doc_id || ']')
                OR regexp_extract(member, '([^/]+?)([.][^./]*)?$', 1) = purged.doc_id
            )
            """,
        )

    def _reopen_kept(self) -> None:
        """Takes kept members as delivered when another member delivers one of their ids."""
        documents = self._table("documents")
        self._cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE reopened AS
            SELECT DISTINCT source_member AS path FROM {documents}
            WHERE doc_id IN (SELECT doc_id FROM delivered) AND source_member IN (SELECT path FROM kept_members)
            """
        )
        self._cursor.execute(
            f"INSERT INTO delivered BY NAME SELECT * FROM {documents} "
            "WHERE source_member IN (SELECT path FROM reopened)"
        )
        self._cursor.execute("DELETE FROM kept_members WHERE path IN (SELECT path FROM reopened)")

    def _refuse_duplicates(self) -> None:
        """Keeps the first row of an id that comes twice and refuses the others, by member and place.

        Rows that were there before, and so have a date, come before new ones of the same member.
        """
        self._cursor.execute(
            """
            CREATE OR REPLACE TEMPORARY TABLE duplicates AS
            SELECT rowid AS place, doc_id, source_member, source_file FROM delivered
            QUALIFY row_number() OVER (PARTITION BY doc_id ORDER BY source_member, first_seen NULLS LAST, rowid) > 1
            """
        )
        self._cursor.execute(
            """
            INSERT INTO refused (subject, member, reason, source_file, seen_at)
            SELECT doc_id, source_member, ?, source_file, getvariable('committed_at') FROM duplicates
            """,
            [_DUPLICATE],
        )
        self._cursor.execute("DELETE FROM delivered WHERE rowid IN (SELECT place FROM duplicates)")

    def _gather_pool(self, *, whole: bool) -> None:
        """Fills `pool` with every row that may stand for a document concerned: delivered, or `former` and staying.

        `pool` has keys alone: texts stay where they are until the winners are known.
        """
        documents, copies = self._table("documents"), self._table("document_copies")
        # What was good before stays when its new version is refused, even if a list suppresses it.
        suppressed = _is_suppressed("old.source_member")
        refused = (
            "(old.source_member IN (SELECT member FROM refused) "
            "AND old.source_member NOT IN (SELECT source_member FROM delivered))"
        )
        if self._keep_copies:
            kept = f"NOT {suppressed} AND old.source_member NOT IN (SELECT source_member FROM delivered)"
            stays = refused if whole else f"({refused} OR {kept})"
        else:
            # One member may hold many documents: there the refusal's subject says which one it is about.
            stays = (
                f"({refused} OR old.doc_id IN (SELECT subject FROM refused) OR {_HAS_NAMELESS}) "
                "AND old.doc_id NOT IN (SELECT doc_id FROM delivered)"
            )
        # A path that holds another document now takes the former one away.
        goes = (
            "old.source_member NOT IN (SELECT path FROM kept_members)"
            if whole
            else f"({suppressed} OR old.source_member IN (SELECT source_member FROM delivered))"
        )
        self._cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE concerned AS
            SELECT doc_id FROM delivered
            UNION SELECT old.doc_id FROM {documents} AS old WHERE {goes}
            UNION SELECT old.doc_id FROM {copies} AS old WHERE {goes}
            """
        )
        columns = ", ".join(quoted(name) for name in self._columns)
        staying = " UNION ALL ".join(
            f"SELECT {columns} FROM {table} AS old WHERE {stays} AND old.doc_id IN (SELECT doc_id FROM concerned)"
            for table in (documents, copies)
        )
        self._cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE former AS {staying}")
        keys = "rowid AS row_number, doc_id, content_hash, source_member, source_modified"
        self._cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE pool AS
            SELECT 'delivered' AS origin, {keys} FROM delivered
            UNION ALL SELECT 'former' AS origin, {keys} FROM former
            """
        )
        self._cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE before AS
            SELECT doc_id, content_hash, source_member, source_modified, first_seen, changed_at
            FROM {documents} WHERE doc_id IN (SELECT doc_id FROM concerned)
            """
        )

    def _choose_winners(self) -> None:
        """Splits `pool`: the newest file of an id is the document, the others are copies of it."""
        self._cursor.execute(
            """
            CREATE OR REPLACE TEMPORARY TABLE ranked AS
            SELECT pool.origin, pool.row_number, pool.doc_id,
              row_number() OVER (
                PARTITION BY pool.doc_id ORDER BY pool.source_modified DESC, pool.source_member DESC
              ) AS place,
              before.doc_id IS NULL AS is_new,
              before.content_hash IS DISTINCT FROM pool.content_hash AS is_changed,
              before.source_member IS DISTINCT FROM pool.source_member
                OR before.source_modified IS DISTINCT FROM pool.source_modified AS is_moved,
              -- A document keeps its dates as long as its content stays.
              coalesce(before.first_seen, getvariable('committed_at')) AS first_seen,
              CASE WHEN before.content_hash = pool.content_hash THEN before.changed_at
                ELSE getvariable('committed_at') END AS changed_at
            FROM pool LEFT JOIN before USING (doc_id)
            """
        )

    def _count_changes(self) -> Changes:
        row = self._cursor.execute(
            f"""
            SELECT
              (SELECT count(*) FROM delivered) + (
                SELECT count(*) FROM {self._table("documents")} WHERE source_member IN (SELECT path FROM kept_members)
              ),
              count(*) FILTER (is_new),
              count(*) FILTER (is_changed AND NOT is_new),
              (SELECT count(*) FROM before WHERE doc_id NOT IN (SELECT doc_id FROM pool)),
              (SELECT count(*) FROM refused),
              CASE WHEN {_HAS_NAMELESS} THEN (
                SELECT count(*) FROM former WHERE source_member NOT IN (SELECT member FROM refused)
              ) ELSE 0 END
            FROM ranked WHERE place = 1
            """
        ).fetchone()
        return Changes(*(row or ()))

    def _write_documents(self, file: str) -> None:
        documents, copies = self._table("documents"), self._table("document_copies")
        self._cursor.execute(
            f"""
            INSERT INTO {self._table("tombstones")} (doc_id, removed_at, removed_by, content_hash)
            SELECT doc_id, getvariable('committed_at'), ?, content_hash FROM before
            WHERE doc_id NOT IN (SELECT doc_id FROM pool)
            """,
            [file],
        )
        self._cursor.execute(
            f"""
            DELETE FROM {documents} WHERE doc_id IN (
              SELECT doc_id FROM before WHERE doc_id NOT IN (SELECT doc_id FROM pool)
              UNION ALL SELECT doc_id FROM ranked WHERE place = 1 AND (is_changed OR is_moved)
            )
            """
        )
        self._insert_ranked("documents", "place = 1 AND (is_changed OR is_moved)")
        if self._keep_copies:
            self._cursor.execute(f"DELETE FROM {copies} WHERE doc_id IN (SELECT doc_id FROM concerned)")
            self._insert_ranked("document_copies", "place > 1")

    def _insert_ranked(self, table: str, condition: str) -> None:
        """Writes the rows that `ranked` points to, where `condition` holds."""
        columns = ", ".join(quoted(name) for name in self._columns)
        values = ", ".join(
            f"{'ranked' if name in _COMMITTED else 'gathered'}.{quoted(name)}" for name in self._columns
        )
        for origin in ("delivered", "former"):
            self._cursor.execute(
                f"""
                INSERT INTO {self._table(table)} ({columns})
                SELECT {values} FROM ranked
                JOIN {origin} AS gathered ON gathered.rowid = ranked.row_number
                WHERE ranked.origin = ? AND {condition}
                """,
                [origin],
            )

    def _write_quarantine(self, *, whole: bool) -> None:
        """Replaces what is settled by this commit: what came in well, was refused again, or went away."""
        quarantine = self._table("quarantine")
        settled = (
            f"source_file <> {literal(REFUSED_BY_MODEL)}"
            if whole
            else "member IN (SELECT source_member FROM delivered UNION ALL SELECT member FROM refused) "
            f"OR {_is_suppressed('member')}"
        )
        self._cursor.execute(f"DELETE FROM {quarantine} WHERE {settled}")
        self._cursor.execute(f"INSERT INTO {quarantine} BY NAME SELECT * FROM refused")

    def _record_files(
        self, applied: Sequence[AppliedFile], parser_version: str, changes: Changes, now: datetime
    ) -> None:
        for item in applied:
            counted = changes if item is applied[-1] else None
            row = {
                "file": item.file.name,
                "sha256": item.file.sha256,
                "stamp": item.file.stamp,
                "kind": item.file.kind,
                "feed": item.file.feed,
                "parser_version": parser_version,
                "applied_at": now,
                "delivered": counted.delivered if counted else None,
                "added": counted.added if counted else None,
                "changed": counted.changed if counted else None,
                "removed": counted.removed if counted else None,
                "refused": counted.refused if counted else None,
                "skipped": item.skipped,
                "suppressions": item.suppressions,
            }
            insert_row(self._cursor, self._table("applied_archives"), row)

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._cursor.register("incoming", rows)
        self._cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        self._cursor.unregister("incoming")

    def _table(self, name: str) -> str:
        return f"{quoted(self._dataset)}.{name}"


class Rehearsal:
    """Stands for a delivery where nothing is to be gathered or committed: a plan goes through the files only."""

    def suppress(self, paths: Sequence[str], folders: Sequence[str]) -> None:
        """See `Delivery.suppress`."""

    def keep(self, members: Sequence[str]) -> None:
        """See `Delivery.keep`."""

    def deliver(self, rows: pa.Table, *, replacing: bool) -> None:
        """See `Delivery.deliver`."""

    def refuse(self, refusals: Sequence[RefusedInput], *, replacing: bool) -> None:
        """See `Delivery.refuse`."""

    def commit(self, applied: Sequence[AppliedFile], parser_version: str, *, whole: bool) -> Changes:  # noqa: ARG002
        """Changes nothing; see `Delivery.commit`."""
        return Changes()


#: What rows and suppressions are given to.
Gathering = Delivery | Rehearsal

#: SQL that is true when a refused record has no key (its path ends in a position): it may be any document that
#: is missing, so none of them is taken for vanished.
_HAS_NAMELESS = "EXISTS (SELECT 1 FROM refused WHERE member LIKE '%[#%]')"

#: Columns that the commit sets.
_COMMITTED = frozenset({"first_seen", "changed_at"})


def _is_suppressed(member: str) -> str:
    """SQL that is true for a row whose path, in column `member`, a list names by itself or by its folder."""
    return (
        f"({member} IN (SELECT path FROM suppressed_paths) OR EXISTS (SELECT 1 FROM "
        f"suppressed_folders AS folder WHERE starts_with({member}, folder.path || '/')))"
    )
