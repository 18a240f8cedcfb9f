"""Landing: which published files to fetch, and the manifest of what we hold.

What belongs here: comparing a listing with `raw_files`, fetching, verifying, recording, and what leaves the disk
again: erased documents, superseded files. What does not: how a host is asked, or what the files say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import duckdb

from mediatech_assets.errors import ConfigurationError, MediatechError, RefusedFileError, UpstreamError
from mediatech_assets.lake import Lake, insert_row, number, quoted, utc_now
from mediatech_assets.progress import track
from mediatech_assets.raw.archives import verify
from mediatech_assets.raw.erasing import NotErasedError, copy_without
from mediatech_assets.records import ArchiveMember, PublishedFile, RawFile, Records, file_sha256

#: Beginning of the names of files that are being downloaded or verified.
_INCOMING = "incoming-"
#: Beginning of the names of files that are being written anew.
_ERASING = "erasing-"
_ERASED = "documents were erased from it by decision of a person"

READY, UNREADABLE, STALE, WITHDRAWN = "ready", "unreadable", "stale", "withdrawn"
#: Superseded and removed from disk; the row stays.
PRUNED = "pruned"

#: Whether a member, of a feed, holds a document that must not be kept.
HoldsErased = Callable[[ArchiveMember, str], bool]


class Facts(Protocol):
    """What a host said of the file it sent."""

    @property
    def etag(self) -> str | None:
        """ETag, when there was one."""
        ...

    @property
    def last_modified(self) -> str | None:
        """Last-Modified as ISO 8601 UTC, when there was one."""
        ...


class Downloader(Protocol):
    """Fetches a file whole or not at all."""

    def download(self, url: str, target: Path, on_bytes: Callable[[int], None]) -> Facts:
        """Writes what lies at `url` to `target`."""
        ...


@dataclass(slots=True)
class Landed:
    """What a landing did.

    Args:
        fetched: Names of the files downloaded.
        bytes: Bytes downloaded.
        held: Files of the listing that are ready.
        stale: Increments older than the stock, recorded and not fetched.
        erased: Members and records taken out of what was downloaded, because their documents were purged.
        problems: What could not be fetched or read, each naming its file and the remedy.
    """

    fetched: list[str] = field(default_factory=list)
    bytes: int = 0
    held: int = 0
    stale: int = 0
    erased: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RawErasure:
    """What an erasure took out of the landing zone.

    Args:
        files: Names of the files that were written anew.
        members: Members and records that they lost.
        downloads: Begun downloads that were removed; they begin again.
        unknown: Files without a row, removed whole: they are downloaded again.
        unreadable: Files that cannot be read, so that nobody knows what they hold; removed whole.
    """

    files: list[str] = field(default_factory=list)
    members: int = 0
    downloads: int = 0
    unknown: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class LandingZone:
    """The raw files of one dataset.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset and of its catalog.
        folder: Where its files are kept.
        records: How the files of a feed are cut into records, by feed; others hold a document a member.
        holds_erased: Whether a member holds a purged document: it is taken out of every file that lands.
    """

    def __init__(
        self,
        lake: Lake,
        dataset: str,
        folder: Path,
        records: Mapping[str, Records] | None = None,
        holds_erased: HoldsErased | None = None,
    ) -> None:
        self._lake = lake
        self._dataset = dataset
        self._folder = folder
        self._records = records or {}
        self._holds_erased = holds_erased

    def land(self, published: Sequence[PublishedFile], downloader: Downloader) -> Landed:
        """Fetches what is new, in order, one row of the manifest a file.

        A file that cannot be fetched or read is recorded with its reason and tried again at the next
        landing; the others go on.

        Raises:
            UpstreamError: no file of the listing could be had, now or before.
            ConfigurationError: the landing zone cannot be written.
        """
        landed = Landed()
        held = self.files()
        withdrawn = withdrawn_files(held, published)
        self._withdraw(withdrawn)
        known = {file.name: file for file in held if file not in withdrawn}
        wanted, stale = needed_files(published)
        landed.stale = len(stale)
        recorded = self._names(STALE) | self._names(PRUNED) | known.keys()
        skipped = self.skipped()
        for file in stale:
            if file.name not in recorded:
                self._record(file, STALE, reason="older than the stock: must not be applied after it")
        for file in wanted:
            ours = known.get(file.name)
            if file.name in skipped:
                continue
            if ours is None or not ours.ready or not ours.path.is_file():
                self._fetch(file, downloader, landed)
            elif file.kind == "snapshot":
                self._make_newest(ours, list(known.values()))
        self._sweep(wanted)
        ready = {file.name for file in self.files() if file.ready}
        landed.held = sum(file.name in ready for file in wanted)
        if not ready:
            raise UpstreamError(
                f"nothing of {self._dataset} could be fetched: {'; '.join(landed.problems)}",
                "mend the cause above, then run again",
            )
        return landed

    def skip(self, name: str, reason: str) -> None:
        """Passes over an archive that stops the fold, from now on and until the next stock.

        Args:
            name: File name of the archive.
            reason: Why, for everyone who reads a later release.

        Raises:
            ConfigurationError: the archive is unknown, applied already, no increment, or can be read; or the
                reason is empty.
        """
        if not reason.strip():
            raise ConfigurationError("no reason is given", "say why: it is shown in every later release")
        known = {file.name: file for file in self.files()}
        if name in self.skipped():
            return
        self._require_skippable(name, known)
        row = {"file": name, "stamp": known[name].stamp, "reason": reason.strip(), "skipped_at": utc_now()}
        with self._lake.transaction(self._dataset) as cursor:
            insert_row(cursor, f"{quoted(self._dataset)}.skipped_archives", row)

    def skipped(self) -> set[str]:
        """Names of the archives that are passed over by a person's decision."""
        if not self._lake.has_table(self._dataset, "skipped_archives"):
            return set()  # a lake that an earlier version wrote, opened for reading
        sql = f"SELECT file FROM {quoted(self._dataset)}.skipped_archives"
        return {name for (name,) in self._lake.cursor().execute(sql).fetchall()}

    def _require_skippable(self, name: str, known: Mapping[str, RawFile]) -> None:
        sql = f"SELECT count(*) FROM {quoted(self._dataset)}.applied_archives WHERE file = ?"
        if number(self._lake.cursor(), sql, [name]):
            raise ConfigurationError(
                f"{name} was applied already", "a new stock of the upstream takes its place; nothing to skip"
            )
        if name not in known:
            waiting = [file.name for file in known.values() if not file.ready]
            raise ConfigurationError(
                f"{self._dataset} has no archive {name}",
                f"archives that cannot be read: {', '.join(waiting) or 'none'}",
            )
        if known[name].kind != "increment":
            raise ConfigurationError(
                f"{name} is a {known[name].kind} and no increment",
                "nothing has to be skipped: what was applied before stays in use until a readable one is published",
            )
        if known[name].ready:
            raise ConfigurationError(
                f"{name} can be read", f"run `mediatech update --datasets {self._dataset}` to apply it"
            )

    def files(self) -> list[RawFile]:
        """The manifest, oldest version first; of one version, the stock before increments.

        Archives that are stale, withdrawn, pruned or skipped are not in it.
        """
        skipped = self.skipped()
        rows = (
            self._lake.cursor()
            .execute(
                "SELECT file, kind, stamp, format, feed, sha256, url, status, reason, last_modified "
                f"FROM {quoted(self._dataset)}.raw_files WHERE status NOT IN (?, ?, ?) "
                # The stamp of a snapshot may be an ETag: only the time of the download orders them.
                "ORDER BY CASE WHEN kind <> 'snapshot' THEN stamp END, kind <> 'stock', fetched_at",
                [STALE, WITHDRAWN, PRUNED],
            )
            .fetchall()
        )
        return [
            RawFile(
                name=name,
                path=self._folder / name,
                kind=kind,
                stamp=stamp or "",
                format=format,
                feed=feed or "",
                sha256=sha256 or "",
                url=url,
                ready=status == READY,
                reason=reason or "",
                last_modified=last_modified,
                records=self._records.get(feed or ""),
            )
            for name, kind, stamp, format, feed, sha256, url, status, reason, last_modified in rows
            if name not in skipped
        ]

    def erase(self, holds: HoldsErased) -> RawErasure:
        """Takes documents out of every file that is held, whatever its status; running it again goes on.

        A file that loses something is written anew, and its rows say so: `raw_files` and `applied_archives` have the
        hash of what is kept, so that nothing is taken for changed or damaged, and `raw_erasures` has the published
        one. The rows are written before the file takes its place: a run that is killed between the two finds the
        documents again and writes the same bytes.

        Args:
            holds: Whether a member holds what is erased.

        Raises:
            NotErasedError: a file can be read, and not written anew.
        """
        done = RawErasure()
        begun = [path for path in self._folder.glob("*") if path.name.startswith((_INCOMING, _ERASING))]
        for path in begun:
            path.unlink()
            done.downloads += path.name.startswith(_INCOMING)
        rows = self._lake.cursor().execute(
            f"SELECT file, format, feed FROM {quoted(self._dataset)}.raw_files ORDER BY file"
        )
        recorded = {name: (format, feed or "") for name, format, feed in rows.fetchall()}
        held = sorted(path for path in self._folder.glob("*") if path.is_file())
        with track(f"{self._dataset}: erasing from raw files", len(held), "files") as advance:
            for path in held:
                if path.name not in recorded:
                    path.unlink()  # of a run that was killed before it could record it
                    done.unknown.append(path.name)
                else:
                    self._erase_from(path, *recorded[path.name], holds, done)
                advance(1)
        return done

    def _erase_from(self, path: Path, format: str, feed: str, holds: HoldsErased, done: RawErasure) -> None:
        copy = path.with_name(f"{_ERASING}{path.name}")
        try:
            members = copy_without(
                path, copy, format, self._records.get(feed), lambda member: holds(member, feed)
            )
        except NotErasedError:
            raise
        except RefusedFileError:
            path.unlink()  # what nobody can read is of no use, and may hold it
            done.unreadable.append(path.name)
            return
        if members:
            sha256 = file_sha256(copy)
            table = quoted(self._dataset)
            with self._lake.transaction(self._dataset) as cursor:
                known = cursor.execute(
                    f"SELECT sha256 FROM {table}.raw_files WHERE file = ?", [path.name]
                ).fetchone()
                cursor.execute(
                    f"UPDATE {table}.raw_files SET sha256 = ?, size = ? WHERE file = ?",
                    [sha256, copy.stat().st_size, path.name],
                )
                cursor.execute(
                    f"UPDATE {table}.applied_archives SET sha256 = ? WHERE file = ?", [sha256, path.name]
                )
                self._record_erasure(cursor, path.name, known[0] if known else "", sha256, members)
            copy.replace(path)
            done.files.append(path.name)
            done.members += members

    def _erase_from_download(self, file: PublishedFile, incoming: Path) -> int:
        """Takes purged documents out of what was just downloaded; gives how many members that were."""
        holds = self._holds_erased
        if holds is None:
            return 0
        copy = incoming.with_name(f"{_ERASING}{file.name}")
        records = self._records.get(file.feed)
        members = copy_without(incoming, copy, file.format, records, lambda member: holds(member, file.feed))
        if members:
            published = file_sha256(incoming)
            copy.replace(incoming)
            with self._lake.transaction(self._dataset) as cursor:
                cursor.execute(
                    f"DELETE FROM {quoted(self._dataset)}.raw_erasures WHERE file = ?", [file.name]
                )
                self._record_erasure(cursor, file.name, published, file_sha256(incoming), members)
        return members

    def _record_erasure(
        self, cursor: duckdb.DuckDBPyConnection, file: str, before: str, sha256: str, members: int
    ) -> None:
        """Notes that a file is no longer the published one; of several times, the first one knew its hash."""
        table = f"{quoted(self._dataset)}.raw_erasures"
        earlier = cursor.execute(
            f"SELECT upstream_sha256, sha256, members FROM {table} WHERE file = ?", [file]
        ).fetchone()
        published, kept, lost = earlier or (before, "", 0)
        row = {
            "file": file,
            "upstream_sha256": published,
            "sha256": sha256,
            # The same bytes again: a killed run had recorded them.
            "members": lost if kept == sha256 else lost + members,
            "note": _ERASED,
            "erased_at": utc_now(),
        }
        cursor.execute(f"DELETE FROM {table} WHERE file = ?", [file])
        insert_row(cursor, table, row)

    def superseded(self, before: datetime) -> list[str]:
        """Names of files on disk that nothing needs any more.

        Never the stock that is applied, later increments, the newest file of each feed, nor a file that a document
        or a copy of one still comes from. Only what was applied or passed over goes: a file that waits stays.

        Args:
            before: Files that were fetched later stay.
        """
        table = quoted(self._dataset)
        rows = self._lake.cursor().execute(
            f"""
            WITH applied AS (
              SELECT * FROM {table}.applied_archives WHERE applied_at >= (
                SELECT max(applied_at) FROM {table}.applied_archives WHERE kind IN ('stock', 'snapshot'))
            ),
            base AS (SELECT max(stamp) AS stamp FROM applied WHERE kind = 'stock')
            SELECT raw.file FROM {table}.raw_files AS raw, base
            WHERE raw.fetched_at < ? AND raw.file NOT IN (SELECT file FROM applied)
              AND raw.file NOT IN (SELECT source_file FROM {table}.documents)
              AND raw.file NOT IN (SELECT source_file FROM {table}.document_copies)
              AND (raw.status IN ('{WITHDRAWN}', '{STALE}', '{PRUNED}')
                OR (raw.kind IN ('stock', 'increment') AND raw.stamp <= base.stamp)
                OR (raw.kind = 'snapshot' AND raw.file IN (SELECT file FROM {table}.applied_archives)
                  AND raw.fetched_at < (
                    SELECT max(other.fetched_at) FROM {table}.raw_files AS other
                    WHERE other.file IN (SELECT file FROM applied)
                      AND other.feed IS NOT DISTINCT FROM raw.feed)))
            ORDER BY raw.file
            """,
            [before],
        )
        return [name for (name,) in rows.fetchall() if (self._folder / name).is_file()]

    def remove(self, names: Sequence[str]) -> int:
        """Removes files from disk; their rows stay and say so.

        Args:
            names: Some of `superseded`.

        Returns:
            Bytes freed.
        """
        freed = 0
        with self._lake.transaction(self._dataset) as cursor:
            cursor.execute(
                f"UPDATE {quoted(self._dataset)}.raw_files SET status = ?, reason = ? WHERE list_contains(?, file)",
                [PRUNED, "superseded: no document comes from it", list(names)],
            )
        for name in names:
            freed += (self._folder / name).stat().st_size
            (self._folder / name).unlink()
        return freed

    def _names(self, status: str) -> set[str]:
        sql = f"SELECT file FROM {quoted(self._dataset)}.raw_files WHERE status = ?"
        return {name for (name,) in self._lake.cursor().execute(sql, [status]).fetchall()}

    def _withdraw(self, files: Sequence[RawFile]) -> None:
        if files:
            with self._lake.transaction(self._dataset) as cursor:
                cursor.executemany(
                    f"UPDATE {quoted(self._dataset)}.raw_files SET status = ?, reason = ? WHERE file = ?",
                    [[WITHDRAWN, "no longer listed, while older files are", file.name] for file in files],
                )

    def _make_newest(self, held: RawFile, files: Sequence[RawFile]) -> None:
        """Notes that the upstream went back to a version that we hold, so that it is the current one again."""
        newest = [file for file in files if file.feed == held.feed][-1]
        if newest.name != held.name:
            with self._lake.transaction(self._dataset) as cursor:
                cursor.execute(
                    f"UPDATE {quoted(self._dataset)}.raw_files SET fetched_at = ? WHERE file = ?",
                    [utc_now(), held.name],
                )

    def _sweep(self, wanted: Sequence[PublishedFile]) -> None:
        """Removes begun downloads of versions that are no longer published; those of others go on later."""
        names = tuple(f"{_INCOMING}{file.name}" for file in wanted)
        for path in self._folder.glob(f"{_INCOMING}*"):
            if not path.name.startswith(names):
                path.unlink()

    def _fetch(self, file: PublishedFile, downloader: Downloader, landed: Landed) -> None:
        target = self._folder / file.name
        incoming = target.with_name(f"{_INCOMING}{file.name}")
        try:
            with track(f"{self._dataset}: fetching {file.name}", file.size, "bytes") as advance:
                facts = downloader.download(file.url, incoming, advance)
            verify(incoming, file.format, self._records.get(file.feed))
            landed.erased += self._erase_from_download(file, incoming)
            size, sha256 = incoming.stat().st_size, file_sha256(incoming)
            incoming.replace(target)
        except (UpstreamError, RefusedFileError) as error:
            incoming.unlink(missing_ok=True)
            error.problem = error.problem.replace(incoming.name, file.name)
            landed.problems.append(_naming(file, error))
            self._record(file, UNREADABLE, reason=error.problem)
            return
        except OSError as error:
            raise ConfigurationError(
                f"{file.name} cannot be kept in {self._folder}: {error.strerror or error}",
                "free space there or make it writable, or point MEDIATECH_HOME at another folder",
            ) from error
        self._record(file, READY, facts=facts, size=size, sha256=sha256)
        landed.fetched.append(file.name)
        landed.bytes += size

    def _record(
        self,
        file: PublishedFile,
        status: str,
        *,
        reason: str | None = None,
        facts: Facts | None = None,
        size: int | None = None,
        sha256: str | None = None,
    ) -> None:
        table = f"{quoted(self._dataset)}.raw_files"
        row = {
            "file": file.name,
            "url": file.url,
            "feed": file.feed,
            "kind": file.kind,
            "format": file.format,
            "etag": facts.etag if facts else file.etag,
            "last_modified": facts.last_modified if facts else file.last_modified,
            "stamp": file.stamp,
            "size": size,
            "sha256": sha256,
            "fetched_at": utc_now(),
            "status": status,
            "reason": reason,
        }
        with self._lake.transaction(self._dataset) as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE file = ?", [file.name])
            insert_row(cursor, table, row)


def needed_files(published: Sequence[PublishedFile]) -> tuple[list[PublishedFile], list[PublishedFile]]:
    """Files to hold, in order, and increments that are too old to be applied.

    Of archives: the newest stock and the increments after it. An increment of the stock's own instant or
    before is in the stock already: applied after it, it would bring old texts back. Snapshots: all.
    """
    stocks = [file for file in published if file.kind == "stock"]
    if not stocks:
        return list(published), []
    stock = max(stocks, key=lambda file: file.stamp)
    increments = sorted((file for file in published if file.kind == "increment"), key=lambda file: file.stamp)
    wanted = [stock, *(file for file in increments if file.stamp > stock.stamp)]
    return wanted, [file for file in increments if file.stamp <= stock.stamp]


def withdrawn_files(held: Sequence[RawFile], published: Sequence[PublishedFile]) -> list[RawFile]:
    """Archives that we hold and that the upstream has taken back.

    Upstream rotates its oldest archives away: these stay valid. A file that is missing while older ones are
    still listed was withdrawn (or the upstream is another one now): it must not be folded any more.
    """
    listed = {file.name for file in published}
    newest_stock = max((file.stamp for file in published if file.kind == "stock"), default=None)
    oldest_increment = min((file.stamp for file in published if file.kind == "increment"), default=None)
    limits = {"stock": newest_stock, "increment": oldest_increment or newest_stock}
    return [
        file
        for file in held
        if file.name not in listed and (limit := limits.get(file.kind)) is not None and file.stamp > limit
    ]


def _naming(file: PublishedFile, error: MediatechError) -> str:
    return str(error) if file.name in error.problem or file.url in error.problem else f"{file.name}: {error}"
