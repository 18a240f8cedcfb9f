"""Documents that vanished, for those who keep a copy of a dataset.

What belongs here: `removed.parquet`, and a digest of what it would hold. What does not: when a document has vanished
(`documents/commit.py`).

The day is the upstream's: that of the file that no longer holds the document or that says to remove it. Only where
that file is not known, or says no day, it is the day on which we took the absence in.
"""

import hashlib
from pathlib import Path

import pyarrow.parquet as pq

from mediatech_assets.lake import Lake, quoted
from mediatech_assets.records import file_sha256
from mediatech_assets.release.export import ExportedFile
from mediatech_assets.release.stored import REMOVED


def write_removed(lake: Lake, dataset: str, folder: Path) -> ExportedFile:
    """Writes the documents that vanished and did not come back, sorted by identifier.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        folder: Root of the release.
    """
    path = folder / REMOVED
    with lake.cursor() as cursor:
        rows = cursor.execute(f"{_removed_sql(dataset)} ORDER BY doc_id").to_arrow_table()
    pq.write_table(rows, path, compression="zstd", use_content_defined_chunking=True)
    return ExportedFile(REMOVED, rows.num_rows, path.stat().st_size, file_sha256(path))


def removed_digest(lake: Lake, dataset: str) -> str:
    """A digest that changes when `removed.parquet` would."""
    with lake.cursor() as cursor:
        row = cursor.execute(
            f"""
            SELECT count(*), bit_xor(md5_number_lower(doc_id || ' ' || removed_on)),
              bit_xor(md5_number_upper(doc_id || ' ' || removed_on))
            FROM ({_removed_sql(dataset)})
            """
        ).fetchone()
    return hashlib.sha256(repr(row).encode()).hexdigest()


def _removed_sql(dataset: str) -> str:
    # Stamps of archives are written 20260131-210000, those of snapshots 2026-01-31T21:00:00Z, or are an ETag.
    day = r"regexp_extract(raw.stamp, '^(\d{4})-?(\d{2})-?(\d{2})(?:\D|$)', ['year', 'month', 'day'])"
    return f"""
        SELECT doc_id, max_by(removed_on, removed_at) AS removed_on FROM (
          SELECT tombstone.doc_id, tombstone.removed_at, CASE
            WHEN coalesce({day}.year, '') = '' THEN strftime(tombstone.removed_at, '%Y-%m-%d')
            ELSE concat_ws('-', {day}.year, {day}.month, {day}.day) END AS removed_on
          FROM {quoted(dataset)}.tombstones AS tombstone
          LEFT JOIN (SELECT file, any_value(stamp) AS stamp FROM {quoted(dataset)}.raw_files GROUP BY file) AS raw
            ON raw.file = tombstone.removed_by
          WHERE tombstone.doc_id NOT IN (SELECT doc_id FROM {quoted(dataset)}.documents)
        ) GROUP BY doc_id
    """
