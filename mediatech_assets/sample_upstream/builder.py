"""Writes the sample upstream: one folder a host, in the formats that the real hosts publish.

What belongs here: where each file lies, from which day, with which time, and how a tree replaces another one
safely. What does not: the words (`texts_*.py`) and the formats (`archives.py`, `legi_xml.py`,
`sheet_xml.py`).
"""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.sample_upstream.archives import ListedFile, index_page, zip_of
from mediatech_assets.sample_upstream.expected import SAMPLE_DAYS
from mediatech_assets.sample_upstream.legi_deliveries import legi_deliveries
from mediatech_assets.sample_upstream.sheet_xml import menu_file, service_file, sheet_file, tree_file
from mediatech_assets.sample_upstream.texts_service_public import SERVICES, sheets_of
from mediatech_assets.sample_upstream.texts_travail_emploi import labour_sheets_file

#: File at the root of a built tree: what it is and the size of every file.
MARKER = "sample-upstream.json"

_LEGI_FOLDER = "/OPENDATA/LEGI"
_PRESENTATION = "DILA_LEGI_Presentation_20170824.pdf"
_LABOUR_FILES = (
    "github.com/SocialGouv/fiches-travail-data/raw/master/data/fiches-travail.json",
    "raw.githubusercontent.com/SocialGouv/fiches-travail-data/master/data/fiches-travail.json",
)


@dataclass(frozen=True, slots=True)
class _HostedFile:
    """A file of the tree: its path (`<host>/<path>`), bytes and Last-Modified."""

    path: str
    data: bytes
    modified: datetime


def build_sample_upstream(target: Path, day: int | None = None) -> Path:
    """Writes the sample upstream as it is on `day`, byte-identical at each build.

    Nothing is done when `target` already holds the same version and day, complete. Otherwise the tree is
    built beside it and takes its place: at no time does `target` hold half a tree.

    Args:
        target: Folder to write; absent, empty, or a tree that this function wrote.
        day: 0 for the stock, 1 and 2 for the days of the increments; None for everything (the last day).

    Returns:
        `target`, which serves as `MEDIATECH_UPSTREAM_BASE`.

    Raises:
        ConfigurationError: the sample has no such day, or `target` holds something else.
    """
    shown_day = SAMPLE_DAYS[-1] if day is None else day
    if shown_day not in SAMPLE_DAYS:
        raise ConfigurationError(
            f"the sample upstream has no day {day}",
            f"choose among {', '.join(map(str, SAMPLE_DAYS))}, or none for everything",
        )
    _refuse_foreign_folder(target)
    if _holds(target, shown_day):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        built, replaced = Path(scratch) / "built", Path(scratch) / "replaced"
        _write_tree(built, shown_day)
        with suppress(FileNotFoundError):
            target.rename(replaced)
        _take_place(built, target, shown_day)
    return target


def _refuse_foreign_folder(target: Path) -> None:
    """Never replace what a person put there."""
    if not target.exists():
        return
    if not target.is_dir() or (any(target.iterdir()) and not (target / MARKER).is_file()):
        raise ConfigurationError(
            f"{target} is not a folder of the sample upstream", "name an empty or a new folder instead"
        )


def _take_place(built: Path, target: Path, day: int) -> None:
    """Renames `built` to `target`; another process may have put the same tree there meanwhile."""
    try:
        built.rename(target)
    except OSError:
        if not _holds(target, day):
            raise


def _holds(target: Path, day: int) -> bool:
    """Whether `target` is a complete tree of this version and day."""
    try:
        marker = json.loads((target / MARKER).read_text(encoding="utf-8"))
        if (marker["version"], marker["day"]) != (_version(), day):
            return False
        return all((target / path).stat().st_size == size for path, size in marker["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@cache
def _version() -> str:
    """Hash of this package's sources: any change of text or format makes a new tree."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _write_tree(folder: Path, day: int) -> None:
    files = [*_legi_files(day), *_service_public_files(day), *_labour_files(day)]
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        seconds = file.modified.timestamp()
        os.utime(path, (seconds, seconds))
    sizes = {file.path: len(file.data) for file in sorted(files, key=lambda file: file.path)}
    marker = json.dumps({"version": _version(), "day": day, "files": sizes}, indent=2)
    (folder / MARKER).write_text(f"{marker}\n", encoding="utf-8")


def _legi_files(day: int) -> list[_HostedFile]:
    """The archives that the folder lists on `day`, its presentation, and its index page."""
    folder = f"echanges.dila.gouv.fr{_LEGI_FOLDER}"
    files = [
        _HostedFile(f"{folder}/{delivery.name}", delivery.data, delivery.stamp)
        for delivery in legi_deliveries()
        if delivery.day <= day
    ]
    presentation = _HostedFile(
        f"{folder}/{_PRESENTATION}", b"%PDF-1.4\n%%EOF\n", datetime(2017, 8, 24, 12, 0, tzinfo=UTC)
    )
    files.append(presentation)
    listed = [ListedFile(Path(file.path).name, len(file.data), file.modified) for file in files]
    newest = max(file.modified for file in files)
    return [*files, _HostedFile(f"{folder}/index.html", index_page(_LEGI_FOLDER, listed), newest)]


def _service_public_files(day: int) -> list[_HostedFile]:
    files = []
    for feed, services in SERVICES.items():
        sheets = sheets_of(feed, day)
        members = {f"{sheet.id}.xml": sheet_file(sheet, feed) for sheet in sheets}
        members |= {f"{service.id}.xml": service_file(service, feed) for service in services}
        members |= {"arborescence.xml": tree_file(sheets), "menu.xml": menu_file()}
        published = _snapshot_time(day, hour=4)
        path = f"lecomarquage.service-public.fr/vdd/3.4/{feed}/zip/vosdroits-latest.zip"
        files.append(_HostedFile(path, zip_of(members, published), published))
    return files


def _labour_files(day: int) -> list[_HostedFile]:
    data, published = labour_sheets_file(day), _snapshot_time(day, hour=2)
    return [_HostedFile(path, data, published) for path in _LABOUR_FILES]


def _snapshot_time(day: int, hour: int) -> datetime:
    """When the snapshots shown on `day` were published: they only change on day 2."""
    return datetime(2026, 1, 7 if day >= 2 else 5, hour, 12, 0, tzinfo=UTC)
