"""Which local releases are kept no longer.

What belongs here: choosing them. What does not: removing them (`erasing.py`), and how many a dataset keeps.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from mediatech_assets.lake import Lake, quoted, utc_now

#: Someone may still look at a release of today, whatever was built after it.
_YOUNG = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A release whose folder is there."""

    release: str
    created_at: datetime


def superseded_releases(
    lake: Lake, dataset: str, releases: Path, keep: int, age: timedelta | None
) -> list[str]:
    """Local releases that may go, oldest first.

    Never the newest one, the newest that is approved, the newest that each sink got, nor one younger than a day.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        releases: Folder of its releases.
        keep: Releases that stay, the newest included.
        age: Age at which a former one goes all the same; none: no matter how old.
    """
    standing = _standing(lake, dataset, releases)
    now = utc_now()
    kept = _needed(lake, dataset, {each.release for each in standing})
    return [
        each.release
        for place, each in reversed(list(enumerate(standing)))
        if place > 0
        and each.release not in kept
        and now - each.created_at >= _YOUNG
        and (place >= keep or (age is not None and now - each.created_at > age))
    ]


def _standing(lake: Lake, dataset: str, releases: Path) -> list[_Standing]:
    """Newest first."""
    rows = lake.cursor().execute(
        f"SELECT release, created_at FROM {quoted(dataset)}.releases ORDER BY created_at DESC, release"
    )
    return [_Standing(*row) for row in rows.fetchall() if (releases / row[0]).is_dir()]


def _needed(lake: Lake, dataset: str, standing: set[str]) -> set[str]:
    """The newest approved release and the newest one at each sink, of those that stand."""
    table = quoted(dataset)
    rows = lake.cursor().execute(
        f"""
        SELECT max_by(release, made) FROM (
          SELECT release, max_by(decision, decided_at) AS decision, max(decided_at) AS made
          FROM {table}.approvals WHERE list_contains($standing, release) GROUP BY release
        ) WHERE decision = 'approved'
        UNION ALL
        SELECT max_by(release, published_at) FROM {table}.publications
        WHERE list_contains($standing, release) GROUP BY sink
        """,
        {"standing": sorted(standing)},
    )
    return {release for (release,) in rows.fetchall() if release is not None}
