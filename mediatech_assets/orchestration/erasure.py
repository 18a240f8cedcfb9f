"""Erasure: a document leaves every place we keep, for good, and never comes in again.

What belongs here: the order of the places, the tables of the lake, and the report of what was removed and what remains.
What does not: how a raw file, a collection, a store, a release or Dagster's log loses something (the stages do that).

The decision is recorded first. Every step may be run again, and takes what it needs from what the steps after it have
not removed yet: a purge that was killed is completed by the same command.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mediatech_assets.chunks.build import text_key
from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.embeddings.collect import remove_vectors
from mediatech_assets.embeddings.collect import stores as known_stores
from mediatech_assets.embeddings.store import CATALOG, VectorStore
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.index.sync import erase_points
from mediatech_assets.lake import insert_row, number, quoted, utc_now
from mediatech_assets.lake.maintenance import forget
from mediatech_assets.layers import Sink
from mediatech_assets.orchestration.erased_events import erase_from_events, rewrite_files
from mediatech_assets.orchestration.instance import dagster_instance
from mediatech_assets.orchestration.platform import Platform, holds_document, names
from mediatech_assets.orchestration.upkeep import all_locked, described_profiles, release_folders
from mediatech_assets.release.approval import Person
from mediatech_assets.release.erasing import remove_releases

#: `removed_by` of the tombstone of a purged document.
PURGE = "purge"

#: Says what a sink keeps of erased documents, from a dataset's published name and their ids: `Publisher.remains`.
Remains = Callable[[str, Sequence[str]], Sequence[str]]

#: Tables whose rows are a document's by its id, all erased with it.
_BY_ID = ("documents", "document_copies", "chunks", "chunk_state")
#: Tables that show that an id was seen once.
_SEEN_IN = (*_BY_ID, "tombstones", "purged_documents", "albert_documents")
#: Their last change dates a release.
_DATED = ("documents", "chunks")

#: What a sink keeps after the next release, where no publisher says it better.
_KEPT_BY_SINKS = {
    Sink.HUGGINGFACE: "former releases on the hub stay until its retention removes them, and the repository's history "
    "keeps every version: delete or rewrite it there",
    Sink.DATA_GOUV: "copies that others harvested or downloaded from data.gouv.fr are beyond reach",
    Sink.ALBERT: "the next publication at Albert removes the document; backups of the service are its operator's",
}


@dataclass(frozen=True, slots=True)
class Erasure:
    """What a purge removed, and what remains.

    Args:
        dataset: Name of the dataset.
        doc_id: The document.
        reason: Why it was erased.
        purged_by: Who asked for it.
        removed: What went, by place, as counts; a place where nothing was is missing.
        raw_files: Raw files that were written anew.
        releases: Local releases that held it and were removed.
        remains: What is still somewhere, in sentences for people.
    """

    dataset: str
    doc_id: str
    reason: str
    purged_by: str
    removed: Mapping[str, int] = field(default_factory=dict)
    raw_files: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()

    def describe(self) -> Iterator[str]:
        """The report, a sentence a line."""
        if not self.removed:
            yield f"nothing of {self.doc_id} is left in {self.dataset}; it is never taken in again"
        else:
            yield f"{self.doc_id} was erased from {self.dataset} and is never taken in again"
        for place, count in self.removed.items():
            yield f"removed: {count:,} {place}"
        for name in self.raw_files:
            yield f"written anew: {name}"
        for name in self.releases:
            yield f"release {name} held it and was removed; the next update builds one without it"
        for sentence in self.remains:
            yield f"remains: {sentence}"


def purge(
    platform: Platform,
    dataset_name: str,
    doc_id: str,
    reason: str,
    person: Person,
    *,
    force: bool = False,
    remains: Mapping[Sink, Remains] | None = None,
) -> Erasure:
    """Erases a document from every place we keep.

    Nobody works on any dataset meanwhile: vectors are shared. Readers that began before may fail; they begin again.

    Args:
        platform: The platform.
        dataset_name: Name of the dataset.
        doc_id: The document.
        reason: Why.
        person: Who asks for it.
        force: Take an id that was never seen: it is kept out from now on.
        remains: What publishers say of their sinks; where there is none, the sentences of this module.

    Raises:
        ConfigurationError: an unknown dataset, an id that was never seen, or no reason.
        BusyError: a dataset or a catalog is in use too long; the message names the holder.
        MediatechError: a place cannot be cleaned; run the purge again when its cause is mended.
    """
    dataset = dataset_named(dataset_name)
    doc_id = doc_id.strip()
    if not reason.strip():
        raise ConfigurationError("no reason is given", 'say why: --reason "…"')
    if not platform.lake.exists(dataset.name):
        raise ConfigurationError(
            f"{dataset.name} holds nothing yet", f"run `mediatech update --datasets {dataset.name}` first"
        )
    held = [other for name, other in all_datasets().items() if platform.lake.exists(name)]
    with all_locked(platform, held, "erasing a document"):
        for other in held:
            platform.open(other)
        work = _Work(platform, dataset, doc_id, held)
        if not force and not work.was_seen():
            raise ConfigurationError(
                f"{dataset.name} never held a document {doc_id!r}",
                f'`mediatech sql "SELECT doc_id, title FROM {dataset.name}.documents"` lists them; with --force it '
                "is recorded all the same, and never taken in",
            )
        again = work.record(reason.strip(), person)
        sinks = list(_remains_at_sinks(work, remains or {}))
        work.erase(anew=again)
    return Erasure(
        dataset.name,
        doc_id,
        reason.strip(),
        str(person),
        {place: count for place, count in work.removed.items() if count},
        tuple(work.raw_files),
        tuple(work.releases),
        (*work.remains, *sinks, *_remains_elsewhere(platform)),
    )


class _Work:
    """One purge: its steps, and what they removed.

    Args:
        platform: The platform; every dataset is locked.
        dataset: The dataset.
        doc_id: The document.
        held: Datasets that the lake holds, all open.
    """

    def __init__(self, platform: Platform, dataset: Dataset, doc_id: str, held: Sequence[Dataset]) -> None:
        self.removed: dict[str, int] = {}
        self.raw_files: list[str] = []
        self.releases: list[str] = []
        self.remains: list[str] = []
        self._platform = platform
        self._dataset = dataset
        self._doc_id = doc_id
        self._held = held
        self._names = partial(names, doc_id)

    def was_seen(self) -> bool:
        """Whether the id is known in any table."""
        with self._platform.lake.cursor() as cursor:
            known = any(
                number(cursor, f"SELECT count(*) FROM {self.table(name)} WHERE doc_id = ?", [self._doc_id])
                for name in _SEEN_IN
            )
            return known or bool(self._quarantined())

    def record(self, reason: str, person: Person) -> bool:
        """Records the decision, before anything is done; says whether it is a new one, or one that was not finished."""
        purged = self.table("purged_documents")
        with self._platform.lake.transaction(self._dataset.name) as cursor:
            earlier = cursor.execute(
                f"SELECT finished_at FROM {purged} WHERE doc_id = ?", [self._doc_id]
            ).fetchone()
            if earlier is None:
                row = {
                    "doc_id": self._doc_id,
                    "reason": reason,
                    "purged_by": str(person),
                    "purged_at": utc_now(),
                }
                insert_row(cursor, purged, row)
        return earlier is None or earlier[0] is None

    def erase(self, *, anew: bool) -> None:
        """Every place, in an order in which each step still finds what it needs after a kill.

        Args:
            anew: Also write anew what holds no row of the document now, and may still keep deleted ones.
        """
        self._erase_raw()
        self._remove_releases()
        keys = self._text_keys()
        self._erase_rows()
        self._erase_points(anew=anew)
        vectors = self._remove_vectors(keys)
        if anew or any(self.removed.values()):
            if anew or vectors:
                forget(self._platform.lake, CATALOG)
            forget(self._platform.lake, self._dataset.name, dated_tables=_DATED)
        self._erase_events()
        self._remove_leftovers()
        with self._platform.lake.transaction(self._dataset.name) as cursor:
            cursor.execute(
                f"UPDATE {self.table('purged_documents')} SET finished_at = ? WHERE doc_id = ? AND finished_at IS NULL",
                [utc_now(), self._doc_id],
            )

    def _erase_raw(self) -> None:
        done = self._platform.landing(self._dataset).erase(
            partial(holds_document, self._dataset, {self._doc_id})
        )
        self.raw_files = done.files
        self.removed["members and records of raw files"] = done.members
        self.removed["begun downloads"] = done.downloads
        self.removed["raw files without a record"] = len(done.unknown)
        self.removed["raw files that cannot be read"] = len(done.unreadable)

    def _remove_releases(self) -> None:
        folder = self._platform.settings.releases_folder / self._dataset.name
        self.releases = remove_releases(folder, self._doc_id, self._names)
        self.removed["releases"] = len(self.releases)
        if kept := release_folders(self._platform, self._dataset):
            self.remains.append(
                f"{len(kept):,} local releases without it stay; the history of the lake is gone, so that they can no "
                "longer be built again"
            )

    def _text_keys(self) -> list[str]:
        """Keys of all texts that chunks of the document have or had, in every file of the lake that still is there."""
        folder = self._platform.settings.lake_folder / self._dataset.name
        keys: set[str] = set()
        for path in sorted(folder.rglob("*.parquet")):
            with suppress(pa.ArrowInvalid):  # half a file, of a writer that was killed: nothing refers to it
                keys.update(_keys_of(path, self._doc_id))
        return sorted(keys)

    def _erase_rows(self) -> None:
        quarantined = self._quarantined()
        with self._platform.lake.transaction(self._dataset.name) as cursor:
            gone = number(
                cursor, f"SELECT count(*) FROM {self.table('documents')} WHERE doc_id = ?", [self._doc_id]
            )
            for name in _BY_ID:
                self.removed[f"rows of {name}"] = number(
                    cursor, f"DELETE FROM {self.table(name)} WHERE doc_id = ?", [self._doc_id]
                )
            if quarantined:
                self.removed["rows of quarantine"] = number(
                    cursor,
                    f"DELETE FROM {self.table('quarantine')} WHERE list_contains(?, rowid)",
                    [quarantined],
                )
            if gone:
                row = {"doc_id": self._doc_id, "removed_at": utc_now(), "removed_by": PURGE}
                insert_row(cursor, self.table("tombstones"), row)

    def _quarantined(self) -> list[int]:
        """Row numbers of refused inputs that are the document's, or name it anywhere."""
        rows = self._platform.lake.cursor().execute(
            f"SELECT rowid, subject, member, reason, content FROM {self.table('quarantine')}"
        )
        found = []
        while batch := rows.fetchmany(1_000):
            for row_id, subject, member, reason, content in batch:
                texts = (subject, member, reason, bytes(content or b"").decode(errors="replace"))
                if any(map(self._names, texts)):
                    found.append(row_id)
        return found

    def _erase_points(self, *, anew: bool) -> None:
        platform = self._platform
        done = erase_points(platform.lake, platform.engine, self._dataset.name, self._doc_id, anew=anew)
        self.removed["points"] = done.points
        self.removed["collections that cannot be read"] = len(done.unreadable)
        if platform.settings.index_engine == "server":
            self.remains.append(
                "snapshots and backups of the Qdrant server, if it has any, hold its points: delete them there"
            )

    def _remove_vectors(self, keys: Sequence[str]) -> int:
        platform = self._platform
        known = known_stores(platform.lake)
        described = [profile for profile in described_profiles(platform) if profile.store in known]
        kept = [folder for other in self._held for folder in release_folders(platform, other)]
        stores = [VectorStore(platform.lake, profile) for profile in described]
        removed = remove_vectors(stores, keys, kept, text_key)
        self.removed["vectors"] = removed
        if keys and (unknown := sorted(set(known) - {profile.store for profile in described})):
            self.remains.append(
                f"vectors of profiles that are described no more ({', '.join(unknown)}) may be of its text: "
                "`mediatech prune --drop-stores` removes them"
            )
        return removed

    def _erase_events(self) -> None:
        settings = self._platform.settings
        if not settings.dagster_home.is_dir():
            return
        with dagster_instance(settings) as instance:
            events, kept = erase_from_events(instance, self._doc_id, self._names)
        self.removed["events of Dagster"] = events
        self.remains.extend(kept)
        self.removed["files of steps' output"] = len(
            rewrite_files(settings.dagster_home, self._doc_id, self._names)
        )

    def _remove_leftovers(self) -> None:
        """What DuckDB spilled and workers left in killed runs, and plots of evaluations that name the document."""
        settings = self._platform.settings
        self._platform.lake.close()
        for folder in (settings.lake_folder / "tmp", settings.scale_out_folder):
            for path in folder.rglob("*"):
                if path.is_file():
                    path.unlink()
        for path in settings.evaluation_folder.rglob("*"):
            if path.is_file() and self._names(path.read_text(encoding="utf-8", errors="replace")):
                path.unlink()
        for other in self._held:
            self._platform.open(other)

    def publications(self) -> list[tuple[str, int, str]]:
        """Sink, releases published there, and the newest of them."""
        sql = (
            f"SELECT sink, count(DISTINCT release), max_by(release, published_at) FROM {self.table('publications')} "
            "GROUP BY sink ORDER BY sink"
        )
        return self._platform.lake.cursor().execute(sql).fetchall()

    @property
    def published_name(self) -> str:
        """Name of the dataset in published paths."""
        return self._dataset.published_name

    @property
    def doc_id(self) -> str:
        """The document."""
        return self._doc_id

    def table(self, name: str) -> str:
        """A table of the dataset, quoted for SQL."""
        return f"{quoted(self._dataset.name)}.{name}"


def _keys_of(path: Path, doc_id: str) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        if {"doc_id", "text_key"} <= set(file.schema_arrow.names):
            for batch in file.iter_batches(columns=["doc_id", "text_key"]):
                is_its_own = pc.equal(batch.column("doc_id"), doc_id)  # type: ignore[attr-defined]
                yield from batch.filter(is_its_own).column("text_key").to_pylist()


def _remains_at_sinks(work: _Work, remains: Mapping[Sink, Remains]) -> Iterator[str]:
    """What the sinks keep that a release was ever published at; the others are not asked."""
    for name, count, newest in work.publications():
        sink = Sink(name)
        yield (
            f"{name} got {count:,} releases (the newest is {newest}), which may hold it until the next release is "
            "published there"
        )
        yield from (
            remains[sink](work.published_name, [work.doc_id]) if sink in remains else [_KEPT_BY_SINKS[sink]]
        )


def _remains_elsewhere(platform: Platform) -> Iterator[str]:
    sample = platform.settings.home / "sample_upstream"
    if sample.is_dir():
        yield f"{sample} is the sample upstream of `mediatech demo`, and no copy of ours"
    yield "backups of MEDIATECH_HOME, and files that `vectors export` and `sql --parquet` wrote elsewhere, are yours"
