"""Taking releases away that hold an erased document.

What belongs here: finding and removing them. What does not: their rows in `releases`, which stay as history, and what
the sinks hold.

A release is what its manifest says or it is none: nothing is taken out of it, it goes whole.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.release.review import review_files

#: Beginning of the names of folders that are being removed or built.
_REMOVING = ".removing-"
_UNFINISHED = ".building-"
_ROWS = 8_192


def remove_releases(releases: Path, doc_id: str, names: Callable[[str], bool]) -> list[str]:
    """Removes every release of a dataset that holds a document; of others, the reviews that show it.

    A review is no part of a release: it is written again where it is missing. Running it again goes on.

    Args:
        releases: Folder of the dataset's releases.
        doc_id: The document.
        names: Whether a text names it.

    Returns:
        Names of the removed releases.
    """
    sweep_releases(releases)
    removed = []
    for folder in sorted(releases.glob("*")):
        if folder.is_dir() and _holds(folder, doc_id):
            remove_release(folder)
            removed.append(folder.name)
        elif folder.is_dir():
            _remove_reviews(folder, names)
    return removed


def _remove_reviews(folder: Path, names: Callable[[str], bool]) -> None:
    pages = review_files(folder)
    if any(names(page.read_text(encoding="utf-8", errors="replace")) for page in pages):
        for page in pages:
            page.unlink()


def sweep_releases(releases: Path) -> None:
    """Removes what killed runs left: one process at a time works on a dataset."""
    for beginning in (_REMOVING, _UNFINISHED):
        for folder in releases.glob(f"{beginning}*"):
            shutil.rmtree(folder)


def remove_release(folder: Path) -> None:
    """Removes a release: it is there whole or not at all, at every moment."""
    going = folder.with_name(f"{_REMOVING}{folder.name}")
    shutil.rmtree(going, ignore_errors=True)
    folder.rename(going)
    shutil.rmtree(going)


def _holds(folder: Path, doc_id: str) -> bool:
    """Whether rows of the release are the document's. A file that cannot be read counts as one that holds it."""
    return any(_has_rows_of(path, doc_id) for path in sorted((folder / "data").rglob("*.parquet")))


def _has_rows_of(path: Path, doc_id: str) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            batches = file.iter_batches(_ROWS, columns=["doc_id"])
            return any(doc_id in batch.column("doc_id").to_pylist() for batch in batches)
    except (pa.ArrowException, OSError, KeyError):
        return True
