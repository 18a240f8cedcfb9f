"""Writes the sample upstream: one folder a host, in the formats that the real hosts publish.

What belongs here: where each file lies, from which day, with which time, and how a tree replaces another one
safely. What does not: what any dataset's hosts hold (`fixtures/`), and the formats (`archives.py`).
"""

import hashlib
import importlib
import json
import os
import pkgutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.sample_upstream import fixtures
from mediatech_assets.sample_upstream.hosted import SAMPLE_DAYS, HostedFile

#: File at the root of a built tree: what it is and the size of every file.
MARKER = "sample-upstream.json"


@cache
def fixture_modules() -> Mapping[str, ModuleType]:
    """The module of each dataset of the sample, by the dataset's name."""
    names = sorted(module.name for module in pkgutil.iter_modules(fixtures.__path__))
    return {name: importlib.import_module(f"{fixtures.__name__}.{name}") for name in names}


def expected_ids() -> Mapping[str, Mapping[int, frozenset[str]]]:
    """Ids that a database must hold, by dataset and day."""
    return {name: module.EXPECTED for name, module in fixture_modules().items()}


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
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _write_tree(folder: Path, day: int) -> None:
    files: list[HostedFile] = [file for module in fixture_modules().values() for file in module.files(day)]
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        seconds = file.modified.timestamp()
        os.utime(path, (seconds, seconds))
    sizes = {file.path: len(file.data) for file in sorted(files, key=lambda file: file.path)}
    marker = json.dumps({"version": _version(), "day": day, "files": sizes}, indent=2)
    (folder / MARKER).write_text(f"{marker}\n", encoding="utf-8")
