"""The review of one dataset's releases: which release, against which, and what the page is told of the source.

What belongs here: choosing the releases of an installation. What does not: comparing and writing (`release/`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.lake import quoted
from mediatech_assets.release.review import Review, release_before, review_release, standing_review

if TYPE_CHECKING:
    from mediatech_assets.orchestration.platform import Platform

_NAMED = 5


def release_review(platform: Platform, dataset: Dataset, release: str = "", against: str = "") -> Review:
    """The review of a release: the one that stands, else a new one.

    Args:
        platform: Its lake may be open for reading only; the dataset's catalog is open.
        dataset: The dataset.
        release: Identifier of the release; empty: the newest that stands.
        against: Identifier of the release to compare it with; empty: the one that was built before.

    Raises:
        ConfigurationError: there is no such release.
        RefusedFileError: a release cannot be read.
    """
    folder = _folder(platform, dataset, release)
    if not against:
        # The release before may be gone by now; the page that was written with it still tells the difference.
        if standing := standing_review(folder):
            return standing
        before = release_before(platform.lake, dataset.name, folder.name, folder.parent)
    else:
        before = _folder(platform, dataset, against)
    # matplotlib writes a list of fonts into its cache: nothing is written outside of home.
    os.environ.setdefault("MPLCONFIGDIR", str(platform.settings.home / "cache" / "matplotlib"))
    pending = platform.documents(dataset).pending(platform.landing(dataset).files())
    return review_release(
        platform.lake,
        dataset.name,
        dataset.title,
        folder,
        before,
        pending=[file.name for file in pending],
        chosen=bool(against),
    )


def _folder(platform: Platform, dataset: Dataset, release: str) -> Path:
    """Folder of a release that the lake knows and that stands; the newest one when none is named."""
    rows = (
        platform.lake.cursor()
        .execute(f"SELECT release FROM {quoted(dataset.name)}.releases ORDER BY created_at DESC")
        .fetchall()
    )
    releases = platform.settings.releases_folder / dataset.name
    standing = [name for (name,) in rows if (releases / name).is_dir()]
    if not standing:
        raise ConfigurationError(
            f"{dataset.name} has no release", f"run `mediatech update --datasets {dataset.name}`"
        )
    if release and release not in standing:
        raise ConfigurationError(
            f"{dataset.name} has no release {release} on disk",
            f"name one of these: {', '.join(standing[:_NAMED])}",
        )
    return releases / (release or standing[0])
