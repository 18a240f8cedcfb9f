"""Small releases made by hand: a folder as `build_release` leaves it, in a few milliseconds.

What belongs here: the folder with its files and manifest. What does not: releases that are built from a lake
(`released.py`), rows of a lake (`tiny.py`), and tests.

    make_release(folder, {"part_0.parquet": {"a": ["un", "deux"], "b": {"texts": ["trois"], "status": "ABROGE"}}})
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.records import file_sha256
from mediatech_assets.release.stored import CARD, MANIFEST, StoredRelease, read_release

#: Texts of each document's chunks, or columns of its rows with these under `texts`.
Documents = Mapping[str, Sequence[str] | Mapping[str, Any]]

VECTOR_COLUMN = "embeddings_tiny"
#: Where `make_legi_release` puts the rows.
LEGI_FILES = Path("data/legi-latest/legi_code")


def make_release(
    folder: Path,
    files: Mapping[str, Documents],
    *,
    dataset: str = "code",
    day: str = "20260101",
    release: str = "",
    columns: Mapping[str, Any] | None = None,
    besides: Mapping[str, str | bytes] | None = None,
    about: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> StoredRelease:
    """Writes a release below `folder`, in a folder that is named by its identifier.

    Args:
        folder: Folder of the dataset's releases.
        files: Documents of each Parquet file, by its path below `data/<published name>-latest/`.
        dataset: Name of the dataset.
        day: Day of the release, `YYYYMMDD`.
        release: Its identifier; empty: made of the day and of the contents, as ours are.
        columns: Further columns, or other values, of every row; a column whose value is nothing is left out.
        besides: Contents of other files by path, the card among them.
        about: Further facts of the dataset, or others.
        manifest: Further facts of the manifest, or others.
    """
    published_name = dataset.replace("_", "-")
    building = folder / ".building"
    for path, documents in files.items():
        rows = [row for doc_id, content in documents.items() for row in _rows(doc_id, content, columns or {})]
        target = building / "data" / f"{published_name}-latest" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), target, compression="zstd")
    for path, content in {CARD: f"# {published_name}\n", **(besides or {})}.items():
        (building / path).write_bytes(content.encode() if isinstance(content, str) else content)
    named = [_file(building, path) for path in sorted(path for path in building.rglob("*") if path.is_file())]
    identity = hashlib.sha256("\n".join(sorted(file["sha256"] for file in named)).encode()).hexdigest()
    facts = {
        "format": 1,
        "dataset": dataset,
        "about": {
            "published_name": published_name,
            "title": "Le code de test",
            "description": "Articles.",
            "producer": "La DILA",
            "homepage": "https://example.org",
            "cadence_days": 1,
            "redaction": "",
            "vector_column": VECTOR_COLUMN,
            "tables": any("/" in path for path in files),
            **(about or {}),
        },
        "release": release or f"{day}-{identity[:8]}",
        "content_sha256": identity,
        "code": {"mediatech-assets": "0", "parser": "1"},
        "profile": {
            "name": "tiny",
            "model": "tiny/model",
            "revision": "r1",
            "dimensions": 2,
            "chunk_tokens": 256,
        },
        "chunking": "abc",
        "lake_snapshot": 3,
        "documents": len({doc_id for documents in files.values() for doc_id in documents}),
        "rows": sum(file["rows"] for file in named),
        "source_updated_at": "2026-11-27",
        "skipped_archives": [],
        "raw_files": [
            {
                "file": "stock.tar.gz",
                "url": "https://example.org/stock.tar.gz",
                "stamp": "20260105-140000",
                "last_modified": "2026-01-05T14:00:00+00:00",
                "sha256": "ab" * 32,
            }
        ],
        "files": named,
        **(manifest or {}),
    }
    text = json.dumps(facts, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    (building / MANIFEST).write_text(text, encoding="utf-8")
    target = folder / facts["release"]
    if target.is_dir():
        shutil.rmtree(building)  # made before: it has the same bytes
    else:
        building.rename(target)
    return read_release(target)


def make_legi_release(
    folder: Path,
    documents: Documents,
    /,
    *,
    dataset: str = "legi",
    columns: Mapping[str, Any] | None = None,
    **manifest: Any,
) -> Path:
    """Writes a release with one file of the table of codes; its identifier is the folder's name.

    Args:
        folder: Its folder.
        documents: Its documents.
        dataset: Name of the dataset.
        columns: As `make_release` takes them.
        **manifest: Further facts of the manifest, or others.
    """
    files = {"legi_code/legi_code_part_0.parquet": documents}
    return make_release(
        folder.parent, files, dataset=dataset, release=folder.name, columns=columns, manifest=manifest
    ).folder


def code_files(documents: Documents, per_file: int = 1_000) -> dict[str, Documents]:
    """Documents in the order of their identifiers, so many a file, for `make_release`."""
    names = sorted(documents)
    return {
        f"code_part_{part}.parquet": {name: documents[name] for name in names[first : first + per_file]}
        for part, first in enumerate(range(0, len(names), per_file))
    }


def _rows(
    doc_id: str, content: Sequence[str] | Mapping[str, Any], columns: Mapping[str, Any]
) -> list[dict[str, Any]]:
    own = dict(content) if isinstance(content, Mapping) else {"texts": content}
    texts = own.pop("texts")
    rows = [
        {
            "chunk_id": f"{doc_id}_{index}",
            "doc_id": doc_id,
            "chunk_index": index,
            "chunk_xxh64": "0123456789abcdef",
            "title": f"Titre {doc_id}",
            "status": "VIGUEUR",
            "links": '[{"a": 1}]',
            "date": "2020-02-03",
            "context": ["Livre I"],
            "text": text,
            "chunk_text": f"Titre {doc_id}\n{text}" if text else "",
            VECTOR_COLUMN: "[0.6, 0.8]",
            "source_url": f"https://example.org/{doc_id}",
            "source_updated_at": "2026-01-01",
            **columns,
            **own,
        }
        for index, text in enumerate(texts, start=1)
    ]
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _file(building: Path, path: Path) -> dict[str, Any]:
    return {
        "path": path.relative_to(building).as_posix(),
        "rows": pq.read_metadata(path).num_rows if path.is_relative_to(building / "data") else 0,
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
        "rows_sha256": "",
    }
