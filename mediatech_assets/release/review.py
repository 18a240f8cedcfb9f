"""The review page of a release: what changed since the one before, and where it comes from.

What belongs here: comparing two releases by their files, and one HTML page without any outside resource. What
does not: deciding anything. The page is no part of the release: it depends on the release before, and the
same content must have the same manifest.
"""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import duckdb

from mediatech_assets.lake import Lake, literal, quoted

REVIEW = "review.html"

_SAMPLES = 10
_DIFF_LINES = 60
_LISTED = 200

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1e1e1e; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
td, th { border: 1px solid #ccc; padding: .3rem .6rem; }
th { background: #f0f0f5; text-align: left; } td.number { text-align: right; }
pre { background: #f7f7f7; padding: .8rem; overflow-x: auto; white-space: pre-wrap; }
ins { background: #d6f5d6; text-decoration: none; } del { background: #fbdcdc; text-decoration: none; }
code { overflow-wrap: anywhere; } summary { cursor: pointer; }
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Documents that differ between two releases, ids sorted."""

    added: list[str]
    changed: list[str]
    removed: list[str]


def write_review(lake: Lake, dataset: str, title: str, folder: Path, previous: Path | None) -> Path:
    """Writes the review page of the release in `folder`.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        title: Its French title.
        folder: The release.
        previous: The release before it, if there is one.

    Returns:
        The page.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    with lake.cursor() as cursor:
        parts = [
            _overview(manifest, previous),
            *_changes(cursor, folder, previous),
            _skipped_archives(manifest["skipped_archives"]),
            _quarantine(cursor, dataset),
            _raw_files(manifest["raw_files"]),
            _release_files(manifest["files"]),
        ]
    page = folder / REVIEW
    part = page.with_suffix(".part")
    part.write_text(_page(f"{title} – {manifest['release']}", parts), encoding="utf-8")
    part.replace(page)
    return page


def release_before(lake: Lake, dataset: str, release: str, releases: Path) -> Path | None:
    """Folder of the newest release that was built before `release` and still stands.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        release: Identifier of the release.
        releases: Folder of the dataset's releases.
    """
    rows = (
        lake.cursor()
        .execute(
            f"""
            SELECT release FROM {quoted(dataset)}.releases WHERE created_at < (
              SELECT created_at FROM {quoted(dataset)}.releases WHERE release = ?
            ) ORDER BY created_at DESC
            """,
            [release],
        )
        .fetchall()
    )
    return next((releases / name for (name,) in rows if (releases / name).is_dir()), None)


def compare(cursor: duckdb.DuckDBPyConnection, folder: Path, previous: Path | None) -> Difference:
    """Which documents differ between two releases, by their published text and metadata.

    Args:
        cursor: Any DuckDB cursor.
        folder: The newer release.
        previous: The older one; without it every document is new.
    """
    new = _parquet_files(folder)
    if previous is None:
        rows = cursor.execute(f"SELECT doc_id FROM ({_documents_sql(new)}) ORDER BY doc_id").fetchall()
        return Difference([doc_id for (doc_id,) in rows], [], [])
    old = _parquet_files(previous)
    # A file that both releases share by a link holds no difference, and is most of them on most days.
    shared = {_place(path) for path in new} & {_place(path) for path in old}
    new, old = ([path for path in paths if _place(path) not in shared] for paths in (new, old))
    rows = cursor.execute(
        f"""
        SELECT coalesce(new.doc_id, old.doc_id), old.doc_id IS NULL, new.doc_id IS NULL
        FROM ({_documents_sql(new)}) AS new FULL JOIN ({_documents_sql(old)}) AS old USING (doc_id)
        WHERE new.digest IS DISTINCT FROM old.digest ORDER BY 1
        """
    ).fetchall()
    return Difference(
        added=[doc_id for doc_id, is_new, _ in rows if is_new],
        changed=[doc_id for doc_id, is_new, is_gone in rows if not is_new and not is_gone],
        removed=[doc_id for doc_id, _, is_gone in rows if is_gone],
    )


def _documents_sql(files: Sequence[Path]) -> str:
    """One row a document, with a digest of its rows; the vector's last digits do not count as a change."""
    if not files:
        return "SELECT '' AS doc_id, 0 AS digest WHERE false"
    return (
        "SELECT doc_id, bit_xor(md5_number_lower(rows::VARCHAR)) AS digest FROM "
        f"(SELECT * EXCLUDE (source_updated_at) FROM (SELECT COLUMNS(c -> NOT starts_with(c, 'embeddings_')) "
        f"FROM read_parquet({_files_sql(files)}, union_by_name = true))) AS rows GROUP BY doc_id"
    )


def _parquet_files(folder: Path) -> list[Path]:
    return sorted((folder / "data").rglob("*.parquet"))


def _place(path: Path) -> tuple[int, int]:
    """Where the bytes of a file lie: the same for two links to one file."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _files_sql(files: Sequence[Path]) -> str:
    return f"[{', '.join(literal(str(path)) for path in files)}]"


def _changes(cursor: duckdb.DuckDBPyConnection, folder: Path, previous: Path | None) -> Iterator[str]:
    difference = compare(cursor, folder, previous)
    yield _table(
        "Changes in documents",
        ("added", "changed", "removed"),
        [(len(difference.added), len(difference.changed), len(difference.removed))],
    )
    if previous is None:
        yield "<p>This is the first release: every document is new.</p>"
        return
    for name in ("added", "removed"):
        yield _listing(name.capitalize(), getattr(difference, name))
    for doc_id in difference.changed[:_SAMPLES]:
        before, after = _text(cursor, previous, doc_id), _text(cursor, folder, doc_id)
        yield f"<details><summary>Changed: <code>{escape(doc_id)}</code></summary>{_diff(before, after)}</details>"
    rest = difference.changed[_SAMPLES:]
    if rest:
        yield _listing("Changed too", rest)


def _text(cursor: duckdb.DuckDBPyConnection, folder: Path, doc_id: str) -> str:
    files = f"read_parquet({_files_sql(_parquet_files(folder))}, union_by_name = true)"
    described = cursor.execute(f"SELECT * FROM {files} LIMIT 0").description or []
    # Some datasets publish chunk_text alone: their rows are joined by an empty line.
    text = "text, ''" if any(name == "text" for name, *_ in described) else "chunk_text, '\n\n'"
    row = cursor.execute(
        f"SELECT string_agg({text} ORDER BY chunk_index) FROM {files} WHERE doc_id = ?", [doc_id]
    ).fetchone()
    return row[0] if row and row[0] else ""


def _diff(before: str, after: str) -> str:
    if before == after:
        return "<p>Only metadata changed.</p>"
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
    marked = [_diff_line(line) for line in lines[:_DIFF_LINES]]
    more = f"\n… {len(lines) - _DIFF_LINES} more lines" if len(lines) > _DIFF_LINES else ""
    return f"<pre>{chr(10).join(marked)}{more}</pre>"


def _diff_line(line: str) -> str:
    tag = {"+": "ins", "-": "del"}.get(line[:1])
    return f"<{tag}>{escape(line)}</{tag}>" if tag else escape(line)


def _overview(manifest: dict[str, Any], previous: Path | None) -> str:
    facts = {
        "release": manifest["release"],
        "release before": previous.name if previous else "none",
        "documents": f"{manifest['documents']:,}",
        "rows": f"{manifest['rows']:,}",
        "last update of the source": manifest["source_updated_at"],
        "model": f"{manifest['profile']['model']} ({manifest['profile']['revision']})",
        "code": ", ".join(f"{name} {version}" for name, version in manifest["code"].items()),
        "lake snapshot": manifest["lake_snapshot"],
    }
    return _table("Overview", ("what", "value"), list(facts.items()))


def _skipped_archives(archives: Sequence[dict[str, Any]]) -> str:
    if not archives:
        return ""
    rows = [(row["file"], row["reason"], row["skipped_on"]) for row in archives]
    return _table("Archives skipped by decision", ("archive", "reason", "since"), rows)


def _quarantine(cursor: duckdb.DuckDBPyConnection, dataset: str) -> str:
    rows = cursor.execute(
        f"SELECT subject, reason, source_file FROM {quoted(dataset)}.quarantine ORDER BY subject LIMIT {_LISTED}"
    ).fetchall()
    if not rows:
        return "<h2>Quarantine</h2><p>Nothing was refused.</p>"
    return _table("Quarantine", ("input", "reason", "file"), rows)


def _raw_files(files: Sequence[dict[str, Any]]) -> str:
    rows = [(file["file"], file["url"], file["stamp"], file["sha256"]) for file in files]
    return _table("Built from", ("file", "address", "version", "SHA-256"), rows)


def _release_files(files: Sequence[dict[str, Any]]) -> str:
    rows = [(file["path"], file["rows"], file["bytes"], file["sha256"]) for file in files]
    return _table("Files", ("path", "rows", "bytes", "SHA-256"), rows)


def _listing(title: str, doc_ids: Sequence[str]) -> str:
    if not doc_ids:
        return ""
    items = ", ".join(f"<code>{escape(doc_id)}</code>" for doc_id in doc_ids[:_LISTED])
    more = f" … and {len(doc_ids) - _LISTED:,} more" if len(doc_ids) > _LISTED else ""
    return f"<h3>{escape(title)} ({len(doc_ids):,})</h3><p>{items}{more}</p>"


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{chr(10).join(parts)}\n</body></html>\n"
    )
