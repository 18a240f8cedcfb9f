"""Building a release: files, card and manifest in a folder that is complete or absent.

What belongs here: the release's identity, its folder and its row in `releases`. What does not: the columns
and files (`export.py`), and the texts that describe it (`card.py`, `croissant.py`, `dcat.py`).

A release's id is the UTC date of the lake snapshot it was read from and the first eight hexadecimal digits of
the SHA-256 over its sorted file hashes. No file holds a wall clock: the same state gives the same bytes.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mediatech_assets import __version__
from mediatech_assets.lake import Lake, insert_row, quoted, utc_now
from mediatech_assets.records import file_sha256
from mediatech_assets.release.card import card
from mediatech_assets.release.checks import Check, check_release, files_as_described
from mediatech_assets.release.croissant import croissant
from mediatech_assets.release.dcat import dcat
from mediatech_assets.release.export import (
    EXPORT_VERSION,
    EarlierFile,
    Exported,
    ExportedFile,
    ExportSpec,
    export,
    input_digest,
)
from mediatech_assets.release.facts import ReleaseFacts
from mediatech_assets.release.removed import removed_digest, write_removed
from mediatech_assets.release.stored import CARD, CROISSANT, DCAT, MANIFEST
from mediatech_assets.release.tables import remember_names

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
        files: Number of files with rows.
        bytes: Their size.
        checks: What it is held to, sorted by name.
        new: Whether this run built it.
    """

    id: str
    folder: Path
    rows: int
    documents: int
    files: int
    bytes: int
    checks: tuple[Check, ...]
    new: bool


@dataclass(frozen=True, slots=True)
class ReleaseSpec:
    """What a release is made of.

    Args:
        export: What is exported.
        facts: What it says of itself; counts and dates are filled in.
        profile: Facts of the embedding profile, for the manifest.
        parameters: Further choices that shaped the rows, for the manifest.
        parser_version: Parser of the documents.
        folder: Folder of the dataset's releases.
        most_tokens: Tokens that the model takes of a text.
        checks: Judgements that need other layers; those on the release itself are added.
    """

    export: ExportSpec
    facts: ReleaseFacts
    profile: Mapping[str, Any]
    parameters: Mapping[str, Any]
    parser_version: str
    folder: Path
    most_tokens: int
    checks: tuple[Check, ...] = ()


def build_release(lake: Lake, spec: ReleaseSpec) -> Release:
    """The release of the lake's present state: the one that exists when nothing differs, else a new one.

    Raises:
        IncompleteVectorsError: some chunk has no vector.
    """
    dataset = spec.export.dataset
    extra = (
        str(sorted(spec.profile.items())),
        str(sorted(spec.parameters.items())),
        repr(spec.facts),
        repr(_skipped(lake, quoted(dataset))),
        removed_digest(lake, dataset),
    )
    digest = input_digest(lake, spec.export, extra=extra)
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
    exported = export(lake, spec.export, building, _earlier_files(lake, spec))
    removed = write_removed(lake, dataset, building)
    facts = _counted(lake, spec, exported, removed)
    contents = _describe(facts, [*exported.files, removed], building)
    checks = _checks(lake, spec, exported, building)
    identity = hashlib.sha256("\n".join(sorted(file.sha256 for file in contents)).encode()).hexdigest()
    release_id = f"{day:%Y%m%d}-{identity[:8]}"
    manifest = _manifest(lake, spec, facts, contents, checks, release_id, identity, snapshot)
    (building / MANIFEST).write_text(
        json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    folder = spec.folder / release_id
    if folder.exists():
        shutil.rmtree(folder)  # a run was killed after the rename and before the record, or a check failed
    building.rename(folder)
    release = Release(
        release_id,
        folder,
        facts.rows,
        facts.documents,
        len(exported.files),
        sum(file.bytes for file in exported.files),
        tuple(checks),
        new=True,
    )
    _record(lake, spec, release, digest, snapshot, exported.tables)
    return release


def _describe(facts: ReleaseFacts, files: list[ExportedFile], folder: Path) -> list[ExportedFile]:
    """Writes the descriptions of the files, and gives all that the release holds but its manifest."""
    contents = list(files)
    for name, text in (
        (CROISSANT, croissant(facts, files)),
        (DCAT, dcat(facts, files)),
        (CARD, card(facts, files)),
    ):
        (folder / name).write_text(text, encoding="utf-8")
        contents.append(_described(folder, name))
    return contents


def _checks(lake: Lake, spec: ReleaseSpec, exported: Exported, folder: Path) -> list[Check]:
    found = [
        *check_release(lake, spec.export, exported, spec.most_tokens),
        files_as_described(folder, exported.files, spec.facts.types),
        *spec.checks,
    ]
    return sorted(found, key=lambda check: check.name)


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

    Its files are looked at, not read: an update with nothing new must not cost the size of the release. One that
    failed a blocking check is looked at again when what it failed is otherwise now: nobody can have approved it.
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
    checks = tuple(Check(**check) for check in manifest["checks"])
    failed = {check.name for check in checks if check.blocking and not check.passed}
    if any(check.name in failed and check.passed for check in spec.checks):
        return None
    files = [file for file in contents if file["path"].startswith("data/")]
    return Release(
        row[0], folder, row[3], row[4], len(files), sum(file["bytes"] for file in files), checks, new=False
    )


def _manifest_of(folder: Path, sha256: str) -> dict[str, Any] | None:
    """The manifest of a release; nothing when it is gone or is not the one that was recorded."""
    path = folder / MANIFEST
    if not path.is_file() or file_sha256(path) != sha256:
        return None
    return json.loads(path.read_text("utf-8"))


def _counted(lake: Lake, spec: ReleaseSpec, exported: Exported, removed: ExportedFile) -> ReleaseFacts:
    dataset = quoted(spec.export.dataset)
    row = (
        lake.cursor()
        .execute(
            f"""
            SELECT (SELECT count(*) FROM {dataset}.documents),
              (SELECT coalesce(max(last_modified), max(stamp)) FROM {dataset}.raw_files
               WHERE {_is_built_from(dataset)})
            """
        )
        .fetchone()
    )
    documents, updated = row or (0, None)
    return replace(
        spec.facts,
        skipped=tuple(f"{row['file']} ({row['reason']})" for row in _skipped(lake, dataset)),
        documents=documents,
        rows=sum(file.rows for file in exported.files),
        removed=removed.rows,
        source_updated_at=_iso_day(updated),
    )


def _manifest(
    lake: Lake,
    spec: ReleaseSpec,
    facts: ReleaseFacts,
    contents: list[ExportedFile],
    checks: list[Check],
    release_id: str,
    identity: str,
    snapshot: int,
) -> dict[str, Any]:
    dataset = quoted(spec.export.dataset)
    # Only a file that documents were erased from is another one than the upstream published.
    published = "NULL"
    if lake.has_table(spec.export.dataset, "raw_erasures"):
        published = (
            f"(SELECT any_value(upstream_sha256) FROM {dataset}.raw_erasures AS e WHERE e.file = raw.file)"
        )
    raw_files = (
        lake.cursor()
        .execute(
            f"""
            SELECT file, url, sha256, size, stamp, last_modified, etag, {published} AS published_sha256
            FROM {dataset}.raw_files AS raw WHERE {_is_built_from(dataset)} ORDER BY stamp, file
            """
        )
        .to_arrow_table()
        .to_pylist()
    )
    raw_files = [
        {name: value for name, value in file.items() if name != "published_sha256" or value}
        for file in raw_files
    ]
    quarantine = lake.cursor().execute(f"SELECT count(*) FROM {dataset}.quarantine").fetchone()
    return {
        "format": 1,
        "dataset": spec.export.dataset,
        "about": {
            "published_name": facts.published_name,
            "title": facts.title,
            "description": facts.description,
            "producer": facts.producer,
            "homepage": facts.homepage,
            "cadence_days": facts.cadence_days,
            "redaction": facts.redaction,
            "vector_column": facts.vector_column,
            "tables": facts.tables,
        },
        "release": release_id,
        "content_sha256": identity,
        "code": {
            "mediatech-assets": __version__,
            "parser": spec.parser_version,
            "duckdb": version("duckdb"),
            "pyarrow": version("pyarrow"),
            "orjson": version("orjson"),
        },
        "parameters": {
            **spec.parameters,
            "rows_per_file": spec.export.rows_per_file,
            "release_encoding": spec.export.encoding,
            "export_version": EXPORT_VERSION,
        },
        "checks": [asdict(check) for check in checks],
        "lake_snapshot": snapshot,
        "chunking": spec.export.chunking_id,
        "profile": dict(spec.profile),
        "documents": facts.documents,
        "rows": facts.rows,
        "columns": list(spec.export.columns),
        "column_descriptions": dict(facts.columns),
        "column_types": dict(facts.types),
        "removed": facts.removed,
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


def _record(
    lake: Lake, spec: ReleaseSpec, release: Release, digest: str, snapshot: int, tables: Mapping[str, str]
) -> None:
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
        remember_names(cursor, spec.export.dataset, tables)


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
    """The day that a time or a stamp begins with, ISO; empty when it begins with none."""
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)", text or "")
    return "-".join(found.groups()) if found else ""
