"""The review of a release: a page and a summary beside it, written once.

What belongs here: which files a review is, when they are written and when those that stand are used again, and
which release comes before another. What does not: what a review says (`review_facts.py`, `review_page.py`,
`review_summary.py`), and deciding anything.

A review is no part of the release: it depends on the release before, and the same content must have the same
manifest. It is written when the release is built, because it tells the state of the source, the quarantine and the
index at that time. It quotes documents: whoever erases a document removes `review_files` of its releases too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.lake import Lake, quoted
from mediatech_assets.release.difference import Difference, compare
from mediatech_assets.release.review_facts import gather_facts
from mediatech_assets.release.review_page import review_page
from mediatech_assets.release.review_summary import review_markdown
from mediatech_assets.release.stored import MANIFEST, StoredRelease, read_release

__all__ = [
    "REVIEW",
    "Difference",
    "Review",
    "compare",
    "release_before",
    "review_files",
    "review_release",
    "standing_review",
]

#: The page of a release, compared with the one that was built before it.
REVIEW = "review.html"

_STEM = "review"
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Review:
    """A review that stands on disk.

    Args:
        page: The HTML page.
        markdown: The same in short.
        dataset: Name of the dataset.
        release: The release under review.
        against: The release that it is compared with; empty when there is none.
        added: Documents that are new.
        changed: Documents that changed.
        removed: Documents that went away.
        new: Whether it was written just now.
    """

    page: Path
    markdown: str
    dataset: str
    release: str
    against: str
    added: int
    changed: int
    removed: int
    new: bool

    @property
    def summary(self) -> dict[str, str | int]:
        """What the command line prints."""
        return {
            "dataset": self.dataset,
            "release": self.release,
            "against": self.against,
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "page": str(self.page),
        }


def review_release(
    lake: Lake,
    dataset: str,
    title: str,
    folder: Path,
    previous: Path | None,
    *,
    pending: Sequence[str] = (),
    chosen: bool = False,
) -> Review:
    """The review of a release against an earlier one: the one that stands, else a new one.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        title: Its French title.
        folder: The release.
        previous: The release to compare it with, if there is one.
        pending: Names of files that the source published and that are not applied.
        chosen: Whether someone chose `previous`, rather than taking the release before. Such a comparison has a
            page of its own, unless it is the one that stands.

    Raises:
        RefusedFileError: one of the folders holds no release that can be read.
        ConfigurationError: the two are the same, or not of this dataset.
    """
    release = read_release(folder)
    before = read_release(previous) if previous else None
    _require_comparable(dataset, release, before)
    standing = standing_review(folder)
    if standing and (not chosen or standing.against == (before.id if before else "")):
        return standing
    stem = f"{_STEM}-against-{before.id}" if chosen and before else _STEM
    return _read(release, before, stem) or _write(lake, title, release, before, pending, stem)


def standing_review(folder: Path) -> Review | None:
    """The review that was written with the release in `folder`, if it stands and is of these very files.

    Raises:
        RefusedFileError: the folder holds no release that can be read.
    """
    return _read(read_release(folder), None, _STEM)


def review_files(folder: Path) -> list[Path]:
    """Every file of the reviews of a release, pages against other releases too; none belongs to the release."""
    return sorted(path for path in folder.glob(f"{_STEM}*") if path.is_file())


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
    return next((releases / name for (name,) in rows if (releases / name / MANIFEST).is_file()), None)


def _require_comparable(dataset: str, release: StoredRelease, before: StoredRelease | None) -> None:
    for each in filter(None, (release, before)):
        if each.dataset != dataset:
            raise ConfigurationError(
                f"{each.folder} holds a release of {each.dataset}, not of {dataset}",
                "`mediatech status` shows where releases lie",
            )
    if before and before.id == release.id:
        raise ConfigurationError(
            f"release {release.id} of {dataset} cannot be compared with itself",
            "name another release with --against, or leave the option out",
        )


def _write(
    lake: Lake,
    title: str,
    release: StoredRelease,
    before: StoredRelease | None,
    pending: Sequence[str],
    stem: str,
) -> Review:
    facts = gather_facts(lake, title, release, before, pending)
    difference = facts.changes.difference
    page, summary, record = (release.folder / f"{stem}{suffix}" for suffix in (".html", ".md", ".json"))
    # The record comes last: a review without it is of a run that was killed, and is written again.
    record.unlink(missing_ok=True)
    _replace(page, review_page(facts))
    _replace(summary, review_markdown(facts, f"{release.dataset}/{release.id}/{page.name}"))
    counts = {
        "dataset": release.dataset,
        "release": release.id,
        "against": before.id if before else "",
        "added": len(difference.added),
        "changed": len(difference.changed),
        "removed": len(difference.removed),
    }
    made_of = {"manifest_sha256": release.manifest_sha256, "against_sha256": _sha256(before)}
    _replace(record, json.dumps(counts | made_of, indent=2) + "\n")
    return Review(page, summary.read_text("utf-8"), **counts, new=True)


def _read(release: StoredRelease, before: StoredRelease | None, stem: str) -> Review | None:
    """A review that stands and is of this release; one against a chosen release, of that very one too."""
    page, summary, record = (release.folder / f"{stem}{suffix}" for suffix in (".html", ".md", ".json"))
    try:
        known: Mapping[str, Any] = json.loads(record.read_bytes())
        same = known["manifest_sha256"] == release.manifest_sha256
        if stem != _STEM:
            same = same and known["against_sha256"] == _sha256(before)
        if not same or not page.is_file():
            return None
        names = ("dataset", "release", "against", "added", "changed", "removed")
        return Review(page, summary.read_text("utf-8"), **{name: known[name] for name in names}, new=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sha256(release: StoredRelease | None) -> str:
    return release.manifest_sha256 if release else ""


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + _PART)
    part.write_text(text, encoding="utf-8")
    part.replace(path)
