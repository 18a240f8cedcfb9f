"""Upkeep of an installation: vectors out and in, and the removal of what nothing needs any more.

What belongs here: which locks are held, what counts as needed, and what is reported. What does not: how vectors are
written, collected or compacted (the stage packages and the lake do that).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from mediatech_assets.chunks.build import text_key
from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.embeddings.collect import collect, drop_store, stores
from mediatech_assets.embeddings.exchange import Exported, Imported, export_vectors, import_vectors
from mediatech_assets.embeddings.profiles import Profile, profile_named, profile_names
from mediatech_assets.embeddings.store import CATALOG, VectorStore
from mediatech_assets.errors import ConfigurationError, IndexUnavailableError
from mediatech_assets.index.sync import drop_collections, owner_of, profile_alias
from mediatech_assets.index.verify import VerifyReport
from mediatech_assets.lake import exclusive, number, quoted, utc_now
from mediatech_assets.lake.maintenance import Compaction, compact
from mediatech_assets.orchestration.platform import Platform, dataset_lock
from mediatech_assets.orchestration.publishing import publication_lock
from mediatech_assets.release.erasing import remove_release, sweep_releases
from mediatech_assets.release.retention import superseded_releases

#: Vectors younger than this stay even when no chunk has their text: they may have been imported for one to come.
_MINIMUM_AGE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning removed, or would remove.

    Args:
        collections: Collections of the engine.
        chunks: Chunks of other chunkings than those of the kept profiles, by dataset.
        vectors: Vectors that nothing names, by store.
        releases: Former releases beyond what the dataset keeps, by dataset.
        raw_files: Superseded raw files that no document comes from, by dataset.
        stores: Vectors by store of profiles that are described no more; they go only when that is asked for.
        compactions: What the upkeep of each catalog did; empty for a dry run.
    """

    collections: list[str] = field(default_factory=list)
    chunks: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, int] = field(default_factory=dict)
    releases: dict[str, list[str]] = field(default_factory=dict)
    raw_files: dict[str, list[str]] = field(default_factory=dict)
    stores: dict[str, int] = field(default_factory=dict)
    compactions: dict[str, Compaction] = field(default_factory=dict)


def export_store(platform: Platform, target: Path, datasets: Sequence[str]) -> Exported:
    """Writes the vectors of the platform's profile to a folder; all, or those of some datasets' chunks."""
    chunkings = {name: platform.chunking(dataset_named(name)).id for name in datasets}
    return export_vectors(platform.store, target, chunkings or None)


def import_store(platform: Platform, source: Path, *, trust: bool) -> Imported:
    """Adds the vectors of a folder, or of a published release, to the platform's profile."""
    return import_vectors(platform.store, source, text_key, trust=trust)


def indexed_datasets(platform: Platform) -> list[str]:
    """Names of the datasets that have a collection of the platform's profile."""
    return [
        name
        for name in all_datasets()
        if platform.engine.collection_for(profile_alias(name, platform.profile.name))
    ]


def verify(platform: Platform, dataset: Dataset, *, mend: bool = False) -> VerifyReport:
    """Compares a dataset's collection with its chunks: every id, and a sample of whole points.

    Args:
        platform: The platform; the collection is that of its profile.
        dataset: The dataset.
        mend: Write and remove what differs, then compare again.

    Raises:
        IndexUnavailableError: there is no collection.
    """
    if not platform.lake.exists(dataset.name):
        raise IndexUnavailableError(
            f"{dataset.name} has no index yet", f"run `mediatech update --datasets {dataset.name}`"
        )
    with platform.working_on(dataset.name, "verifying"):
        index = platform.index(dataset)
        report = index.verify()
        if mend and not report.is_equal:
            index.repair(report)
            report = index.verify()
    return report


def prune(
    platform: Platform, keep_profiles: Sequence[str], *, dry_run: bool = False, drop_stores: bool = False
) -> Pruned:
    """Removes what only profiles need that are neither active nor kept, vectors that nothing names, and what is old.

    Old are former releases and superseded raw files beyond each dataset's retention. Documents, tombstones,
    quarantine, decisions about releases and the history of evaluations are not touched.

    Args:
        platform: The platform; its profile is kept.
        keep_profiles: Names of further profiles to keep.
        dry_run: Only say what would be removed; vectors that only removed chunks name are not counted then.
        drop_stores: Also drop the stores of profiles that are described no more, such as a former model of a service.

    Raises:
        ConfigurationError: an unknown profile.
        BusyError: a dataset is being worked on.
    """
    kept = {platform.settings.profile, platform.profile.name, *keep_profiles}
    unknown = sorted(kept - set(profile_names()))
    if unknown:
        raise ConfigurationError(
            f"unknown profiles to keep: {', '.join(unknown)}", f"choose among {', '.join(profile_names())}"
        )
    datasets = [dataset for name, dataset in all_datasets().items() if platform.lake.exists(name)]
    pruned = Pruned()
    with all_locked(platform, datasets, "pruning"):
        for dataset in datasets:
            platform.open(dataset)
            _prune_index(platform, dataset, kept, pruned, dry_run=dry_run)
            _prune_chunks(platform, dataset, kept, pruned, dry_run=dry_run)
            _prune_releases(platform, dataset, pruned, dry_run=dry_run)
            _prune_raw(platform, dataset, pruned, dry_run=dry_run)
        if datasets and not dry_run:
            _collect_vectors(platform, datasets, pruned)
            for dataset in datasets:
                named = _release_snapshots(platform, dataset)
                pruned.compactions[dataset.name] = compact(platform.lake, dataset.name, named)
        _prune_stores(platform, pruned, drop=drop_stores and not dry_run)
        if datasets and not dry_run:
            pruned.compactions[CATALOG] = compact(platform.lake, CATALOG, dated_tables=())
    return pruned


@contextmanager
def all_locked(platform: Platform, datasets: Sequence[Dataset], action: str) -> Iterator[None]:
    """Nobody works on any dataset meanwhile: a run that embeds counts on vectors that it does not name yet.

    Nobody publishes either: the folder of a release must not go while it is being sent.
    """
    settings = platform.settings
    with ExitStack() as locks:
        for dataset in sorted(datasets, key=lambda dataset: dataset.name):
            for name in (dataset_lock(dataset.name), publication_lock(dataset.name)):
                locks.enter_context(exclusive(settings.locks_folder, name, action, settings.lock_timeout))
        yield


def _prune_index(
    platform: Platform, dataset: Dataset, kept: set[str], pruned: Pruned, *, dry_run: bool
) -> None:
    """Collections of profiles that are not kept, but never the one that the dataset's own alias points to."""
    served = platform.engine.collection_for(dataset.name)
    unneeded = [
        name
        for name in platform.engine.collections()
        if owner_of(name)[0] == dataset.name and owner_of(name)[1] not in kept and name != served
    ]
    pruned.collections.extend(unneeded)
    if not dry_run:
        drop_collections(platform.lake, platform.engine, dataset.name, unneeded)
        _forget_vanished(platform, dataset)


def _forget_vanished(platform: Platform, dataset: Dataset) -> None:
    """Removes what was recorded of collections that are gone from the engine."""
    with platform.lake.transaction(dataset.name) as cursor:
        cursor.execute(
            f"DELETE FROM {quoted(dataset.name)}.index_state WHERE NOT list_contains(?, collection)",
            [platform.engine.collections()],
        )


def _prune_chunks(
    platform: Platform, dataset: Dataset, kept: set[str], pruned: Pruned, *, dry_run: bool
) -> None:
    chunkings = [Platform(platform.settings, profile=name).chunking(dataset).id for name in sorted(kept)]
    catalog = quoted(dataset.name)
    with platform.lake.transaction(dataset.name) as cursor:
        unneeded = number(
            cursor,
            f"SELECT count(*) FROM {catalog}.chunks WHERE NOT list_contains(?, chunking_id)",
            [chunkings],
        )
        if unneeded:
            pruned.chunks[dataset.name] = unneeded
        if not dry_run:
            for table in ("chunks", "chunk_state"):
                cursor.execute(
                    f"DELETE FROM {catalog}.{table} WHERE NOT list_contains(?, chunking_id)", [chunkings]
                )


def _prune_releases(platform: Platform, dataset: Dataset, pruned: Pruned, *, dry_run: bool) -> None:
    """Former releases: their rows stay as history, and so do decisions about them."""
    folder = platform.settings.releases_folder / dataset.name
    if not dry_run:
        sweep_releases(folder)
    retention = dataset.retention
    going = superseded_releases(platform.lake, dataset.name, folder, retention.releases, retention.age)
    if going:
        pruned.releases[dataset.name] = going
    for name in () if dry_run else going:
        remove_release(folder / name)


def _prune_raw(platform: Platform, dataset: Dataset, pruned: Pruned, *, dry_run: bool) -> None:
    landing = platform.landing(dataset)
    going = landing.superseded(utc_now() - dataset.retention.raw)
    if going:
        pruned.raw_files[dataset.name] = going
        if not dry_run:
            landing.remove(going)


def _collect_vectors(platform: Platform, datasets: Sequence[Dataset], pruned: Pruned) -> None:
    releases = [folder for dataset in datasets for folder in release_folders(platform, dataset)]
    known = stores(platform.lake)
    for profile in described_profiles(platform):
        if profile.store not in known:
            continue
        collected = collect(VectorStore(platform.lake, profile), releases, text_key, minimum_age=_MINIMUM_AGE)
        if collected.removed:
            pruned.vectors[profile.store] = collected.removed


def _prune_stores(platform: Platform, pruned: Pruned, *, drop: bool) -> None:
    described = {profile.store for profile in described_profiles(platform)}
    for name, count in stores(platform.lake).items():
        if name not in described:
            pruned.stores[name] = count
            if drop:
                drop_store(platform.lake, name)


def described_profiles(platform: Platform) -> list[Profile]:
    """All profiles, without the service's when the settings do not describe it."""
    described = []
    for name in profile_names():
        with suppress(ConfigurationError):
            described.append(profile_named(name, platform.settings))
    return described


def release_folders(platform: Platform, dataset: Dataset) -> list[Path]:
    """Folders of a dataset's releases that still stand."""
    rows = (
        platform.lake.cursor()
        .execute(f"SELECT DISTINCT path FROM {quoted(dataset.name)}.releases")
        .fetchall()
    )
    folders = [platform.settings.releases_folder / path for (path,) in rows]
    # A release whose folder was removed is no longer kept.
    return [folder for folder in folders if folder.is_dir()]


def _release_snapshots(platform: Platform, dataset: Dataset) -> list[int]:
    """Lake snapshots that the kept releases were read from."""
    rows = (
        platform.lake.cursor()
        .execute(
            f"SELECT path, snapshot_id FROM {quoted(dataset.name)}.releases WHERE snapshot_id IS NOT NULL"
        )
        .fetchall()
    )
    return [snapshot for path, snapshot in rows if (platform.settings.releases_folder / path).is_dir()]
