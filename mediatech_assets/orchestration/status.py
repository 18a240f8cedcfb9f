"""The state of an installation at a glance.

What belongs here: the figures of each dataset, read without changing anything. What does not: how they are
shown (`cli/`).
"""

from typing import Any

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.embeddings.store import CATALOG
from mediatech_assets.lake import quoted
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.publishing import present_releases, release_states

_NOTHING: dict[str, Any] = {
    "documents": 0,
    "chunks": 0,
    "vectors": 0,
    "points": 0,
    "quarantine": 0,
    "upstream": None,
    "applied": None,
    "lag": 0,
    "skipped": 0,
    "release": None,
    "published": {},
}


def status(platform: Platform) -> dict[str, dict[str, Any]]:
    """Figures by dataset.

    Args:
        platform: Opened for reading.
    """
    return {name: _dataset_status(platform, dataset) for name, dataset in all_datasets().items()}


def _dataset_status(platform: Platform, dataset: Dataset) -> dict[str, Any]:
    if not platform.lake.exists(dataset.name):
        return dict(_NOTHING)
    platform.lake.open(dataset.name, {})
    chunking = platform.chunking(dataset).id
    catalog = quoted(dataset.name)
    row = (
        platform.lake.cursor()
        .execute(
            f"""
            SELECT
              (SELECT count(*) FROM {catalog}.documents),
              (SELECT count(*) FROM {catalog}.chunks WHERE chunking_id = $chunking),
              (SELECT count(*) FROM {catalog}.quarantine),
              (SELECT arg_max(stamp, fetched_at) FROM {catalog}.raw_files
               WHERE status IN ('ready', 'unreadable')),
              (SELECT arg_max(stamp, (applied_at, stamp)) FROM {catalog}.applied_archives)
            """,
            {"chunking": chunking},
        )
        .fetchone()
    )
    documents, chunks, quarantine, upstream, applied = row or (0, 0, 0, None, None)
    return {
        "documents": documents,
        "chunks": chunks,
        "vectors": _vectors(platform, dataset, chunking),
        "points": platform.index(dataset).count(),
        "quarantine": quarantine,
        "upstream": upstream,
        "applied": applied,
        "lag": _lag(platform, dataset),
        "skipped": len(platform.landing(dataset).skipped()),
        "release": _newest_release(platform, dataset),
        "published": _published(platform, dataset),
    }


def _vectors(platform: Platform, dataset: Dataset, chunking: str) -> int:
    if not platform.lake.exists(CATALOG):
        return 0
    platform.lake.open(CATALOG, {})
    if not platform.lake.has_table(CATALOG, platform.profile.store):
        return 0
    return platform.store.count(dataset.name, chunking)


def _lag(platform: Platform, dataset: Dataset) -> int:
    """Files published after the ones in use, and not applied."""
    return len(platform.documents(dataset).pending(platform.landing(dataset).files()))


def _newest_release(platform: Platform, dataset: Dataset) -> dict[str, str] | None:
    states = release_states(platform, dataset)
    if not states:
        return None
    newest = states[-1]
    path = platform.settings.releases_folder / dataset.name / newest.id
    return {"id": newest.id, "path": str(path), "state": newest.state}


def _published(platform: Platform, dataset: Dataset) -> dict[str, str]:
    """The present release by sink."""
    return {sink.value: each.release for sink, each in present_releases(platform, dataset).items()}
