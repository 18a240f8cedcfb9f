"""Building a release: files, card and manifest in a folder that is complete or absent.

What belongs here: the release's identity, its folder and its row in `releases`. What does not: the columns
and files (`export.py`) and the card's text (`card.py`).

A release's id is the UTC date of the lake snapshot it was read from and the first eight hexadecimal digits of
the SHA-256 over its sorted file hashes. No file holds a wall clock: the same state gives the same bytes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mediatech_assets import __version__
from mediatech_assets.lake import Lake, insert_row, quoted, utc_now
from mediatech_assets.records import file_sha256
from mediatech_assets.release.card import CardFacts, card
from mediatech_assets.release.export import EarlierFile, ExportedFile, ExportSpec, export, input_digest

MANIFEST = "manifest.json"
CARD = "README.md"

#: Beginning of the names of folders that are being built.
_UNFINISHED = ".building-"


@dataclass(frozen=True, slots=True)
class Release:
    """A release that stands on disk.

    Args:
        id: Its identifier.
        folder: Where it is.
        rows: Rows of its files.
        documents: Documents it was built from.
        files: Number of Parquet files.
        bytes: Their size.
        new: Whether this run built it.
    """

    id: str
    folder: Path
    rows: int
    documents: int
    files: int
    bytes: int
    new: bool


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """What a release is made of.

    Args:
        export: What is exported.
        card: Facts of the card; counts and dates are filled in.
        profile: Facts of the embedding profile, for the manifest.
        parser_version: Parser of the documents.
        folder: Folder of the dataset's releases.
    """

    export: ExportSpec
    card: CardFacts
    profile: Mapping[str, Any]
    parser_version: str
    folder: Path


def build_release(lake: Lake, spec: ReleaseSpec) -> Release:
    """The release of the lake's present state: the one that exists when nothing differs, else a new one.

    Raises:
        IncompleteVectorsError: some chunk has no vector.
    """
    skipped = repr(_skipped(lake, quoted(spec.export.dataset)))
    digest = input_digest(
        lake, spec.export, extra=(str(sorted(spec.profile.items())), repr(spec.card), skipped)
    )
    existing = _existing(lake, spec, digest)
    if existing:
        return existing
    for leftover in spec.folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover)  # of a killed run: one process at a time works on a dataset
    building = spec.folder / f"{_UNFINISHED}{os.getpid()}"
    building.mkdir(parents=True)
    try:
        return _build(lake, spec, digest, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _build(lake: Lake, spec: ReleaseSpec, digest: str, building: Path) -> Release:
    dataset = spec.export.dataset
    snapshot, day = _snapshot(lake, dataset)
    files = export(lake, spec.export, building, _earlier_files(lake, spec))
    facts = _counted(lake, spec, files)
    (building / CARD).write_text(card(facts, files), encoding="utf-8")
    contents = [*files, _described(building, CARD)]
    identity = hashlib.sha256("\n".join(sorted(file.sha256 for file in contents)).encode()).hexdigest()
    release_id = f"{day:%Y%m%d}-{identity[:8]}"
    manifest = _manifest(lake, spec, facts, contents, release_id, identity, snapshot)
    (building / MANIFEST).write_text(
        json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    folder = spec.folder / release_id
    if folder.exists():
        shutil.rmtree(folder)  # a run was killed after the rename and before the record
    building.rename(folder)
    release = Release(
        release_id,
        folder,
        facts.rows,
        facts.documents,
        len(files),
        sum(file.bytes for file in files),
        new=True,
    )
    _record(lake, spec, release, digest, snapshot)
    return release


def _earlier_files(lake: Lake, spec: ReleaseSpec) -> dict[str, EarlierFile]:
    """Files of the newest release of this profile that stands, by what their rows are made of."""
    releases = (
        lake.cursor()
        .execute(
            f"""
            SELECT release, manifest_sha256 FROM {quoted(spec.export.dataset)}.releases WHERE profile = ?
            ORDER BY created_at DESC
            """,
            [spec.profile["name"]],
        )
        .fetchall()
    )
    manifests = (_manifest_of(spec.folder / release, sha256) for release, sha256 in releases)
    newest = next(filter(None, manifests), None)
    if newest is None or newest["profile"] != dict(spec.profile):
        return {}
    files = [ExportedFile(**file) for file in newest["files"]]
    folder = spec.folder / newest["release"]
    return {file.rows_sha256: EarlierFile(folder / file.path, file) for file in files if file.rows_sha256}


def _existing(lake: Lake, spec: ReleaseSpec, digest: str) -> Release | None:
    """The newest release, if it was built from the same inputs and still stands.

    Its files are looked at, not read: an update with nothing new must not cost the size of the release.
    """
    row = (
        lake.cursor()
        .execute(
            f"""
            SELECT release, input_digest, manifest_sha256, rows, documents
            FROM {quoted(spec.export.dataset)}.releases ORDER BY created_at DESC LIMIT 1
            """
        )
        .fetchone()
    )
    if row is None or row[1] != digest:
        return None
    folder = spec.folder / row[0]
    manifest = _manifest_of(folder, row[2])
    if manifest is None:
        return None
    contents = manifest["files"]
    if any(_size(folder / file["path"]) != file["bytes"] for file in contents):
        return None
    files = [file for file in contents if file["path"] != CARD]
    return Release(
        row[0], folder, row[3], row[4], len(files), sum(file["bytes"] for file in files), new=False
    )


def _manifest_of(folder: Path, sha256: str) -> dict[str, Any] | None:
    """The manifest of a release; nothing when it is gone or is not the one that was recorded."""
    path = folder / MANIFEST
    if not path.is_file() or file_sha256(path) != sha256:
        return None
    return json.loads(path.read_text("utf-8"))


def _counted(lake: Lake, spec: ReleaseSpec, files: list[ExportedFile]) -> CardFacts:
    dataset = quoted(spec.export.dataset)
    row = (
        lake.cursor()
        .execute(
            f"""
            SELECT (SELECT count(*) FROM {dataset}.documents),
              (SELECT coalesce(max(left(last_modified, 10)), max(left(stamp, 8))) FROM {dataset}.raw_files
               WHERE {_is_built_from(dataset)})
            """
        )
        .fetchone()
    )
    documents, updated = row or (0, None)
    return replace(
        spec.card,
        skipped=tuple(f"{row['file']} ({row['reason']})" for row in _skipped(lake, dataset)),
        documents=documents,
        rows=sum(file.rows for file in files),
        source_updated_at=_iso_day(updated),
    )


def _manifest(
    lake: Lake,
    spec: ReleaseSpec,
    facts: CardFacts,
    contents: list[ExportedFile],
    release_id: str,
    identity: str,
    snapshot: int,
) -> dict[str, Any]:
    dataset = quoted(spec.export.dataset)
    raw_files = (
        lake.cursor()
        .execute(
            f"""
            SELECT file, url, sha256, size, stamp, last_modified, etag FROM {dataset}.raw_files
            WHERE {_is_built_from(dataset)} ORDER BY stamp, file
            """
        )
        .to_arrow_table()
        .to_pylist()
    )
    quarantine = lake.cursor().execute(f"SELECT count(*) FROM {dataset}.quarantine").fetchone()
    return {
        "format": 1,
        "dataset": spec.export.dataset,
        "release": release_id,
        "content_sha256": identity,
        "code": {"mediatech-assets": __version__, "parser": spec.parser_version},
        "lake_snapshot": snapshot,
        "chunking": spec.export.chunking_id,
        "profile": dict(spec.profile),
        "documents": facts.documents,
        "rows": facts.rows,
        "columns": list(spec.export.columns),
        "source_updated_at": facts.source_updated_at,
        "raw_files": raw_files,
        "skipped_archives": _skipped(lake, dataset),
        "quarantine": quarantine[0] if quarantine else 0,
        "files": [asdict(file) for file in contents],
    }


def _skipped(lake: Lake, dataset: str) -> list[dict[str, str]]:
    """Archives after the present stock that a person decided to pass over.

    Args:
        lake: The lake.
        dataset: Name of the catalog, quoted for SQL.
    """
    rows = lake.cursor().execute(
        f"""
        SELECT file, stamp, reason, strftime(skipped_at, '%Y-%m-%d') FROM {dataset}.skipped_archives
        WHERE stamp > (
          SELECT coalesce(max_by(stamp, applied_at), '') FROM {dataset}.applied_archives WHERE kind = 'stock'
        ) ORDER BY stamp
        """
    )
    names = ("file", "stamp", "reason", "skipped_on")
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def _is_built_from(dataset: str) -> str:
    """SQL that is true for the raw files behind the documents: since the last stock or snapshot, and theirs.

    An unchanged sheet still comes from the older snapshot that brought it.
    """
    return f"""
      (file IN (SELECT source_file FROM {dataset}.documents)
       OR file IN (SELECT file FROM {dataset}.applied_archives WHERE applied_at >= (
         SELECT max(applied_at) FROM {dataset}.applied_archives WHERE kind IN ('stock', 'snapshot'))))
    """


def _record(lake: Lake, spec: ReleaseSpec, release: Release, digest: str, snapshot: int) -> None:
    row = {
        "release": release.id,
        "profile": spec.profile["name"],
        "input_digest": digest,
        "manifest_sha256": file_sha256(release.folder / MANIFEST),
        "path": f"{spec.export.dataset}/{release.id}",
        "snapshot_id": snapshot,
        "documents": release.documents,
        "rows": release.rows,
        "created_at": utc_now(),
    }
    table = f"{quoted(spec.export.dataset)}.releases"
    with lake.transaction(spec.export.dataset) as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE release = ?", [release.id])
        insert_row(cursor, table, row)


def _snapshot(lake: Lake, dataset: str) -> tuple[int, datetime]:
    """Number and UTC time of the newest snapshot that changed the rows of a release.

    Other commits (what is indexed, which releases exist) must not move the date in the release's identifier.
    """
    row = (
        lake.cursor()
        .execute(
            """
            WITH relevant AS (
              SELECT list(CAST(table_id AS VARCHAR)) AS ids FROM ducklake_table_info($dataset)
              WHERE table_name IN ('documents', 'chunks')
            )
            SELECT snapshot_id, snapshot_time AT TIME ZONE 'UTC' FROM ducklake_snapshots($dataset), relevant
            WHERE list_has_any(changes['tables_inserted_into'], ids)
              OR list_has_any(changes['tables_deleted_from'], ids)
            ORDER BY snapshot_id DESC LIMIT 1
            """,
            {"dataset": dataset},
        )
        .fetchone()
    )
    return (int(row[0]), row[1]) if row else (0, datetime.now(UTC))


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _described(folder: Path, name: str) -> ExportedFile:
    path = folder / name
    return ExportedFile(name, 0, path.stat().st_size, file_sha256(path))


def _iso_day(text: str | None) -> str:
    if text and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    return text or "inconnue"
