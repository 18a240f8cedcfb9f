"""Applying raw files to the documents: the ordered fold of DILA archives, and whole snapshots.

What belongs here: which files are to be applied, in which order, and stopping where one cannot be read.
What does not: parsing one document (`parse.py`, `datasets/`) and the SQL of a commit (`commit.py`).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile

from mediatech_assets.documents.commit import AppliedFile, Changes, Delivery
from mediatech_assets.documents.model import Member
from mediatech_assets.documents.parse import Group, Parser, RefusedInput, parse_shard
from mediatech_assets.errors import RefusedFileError
from mediatech_assets.lake import Lake, quoted
from mediatech_assets.progress import track
from mediatech_assets.records import ArchiveMember, RawFile
from mediatech_assets.workers import map_shards

_SUPPRESSION_LIST = re.compile(r"(?:^|/)liste_suppression_\w+\.dat$")
_FOLDER_LIST_END = "_dossier.dat"
_LINE_FLAG = re.compile(r"\s+[A-Z]$")

#: Bytes of members in one shard: large enough to make a trip to a worker worth it.
_SHARD_BYTES = 4_000_000
#: Below this much to parse, starting workers costs more than it saves.
_POOL_FROM_BYTES = 40_000_000


#: Reads the members of a raw file.
ReadMembers = Callable[[RawFile], Iterable[ArchiveMember]]


@dataclass(slots=True)
class Applied:
    """What applying did.

    Args:
        changes: Documents changed, over all commits.
        files: Names of the files applied, in order.
        pending: Files published and not applied.
        problems: Why the fold stopped, or what could not be read.
    """

    changes: Changes = field(default_factory=Changes)
    files: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one dataset, and how to bring raw files into them.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        parser: Its parser.
        wants: Whether a member is a document, by its path.
        read_members: Reads the members of a raw file.
        workers: Worker processes for large files.
        quarantine_bytes: Bytes of a refused input to keep.
    """

    lake: Lake
    dataset: str
    parser: Parser
    wants: Callable[[str], bool]
    read_members: ReadMembers
    workers: int
    quarantine_bytes: int

    def apply(self, files: Sequence[RawFile]) -> Applied:
        """Applies what is new: archives in order, or a snapshot whole.

        Args:
            files: The manifest, oldest first.

        Raises:
            RefusedFileError: no stock can be read, or a complete state without any document.
        """
        return self.apply_snapshot(files) if _is_snapshot(files) else self.apply_archives(files)

    def pending(self, files: Sequence[RawFile]) -> list[RawFile]:
        """Files published and not applied: the lag.

        Args:
            files: The manifest, oldest first.
        """
        if _is_snapshot(files):
            applied = self._last_applied()
            newest = {file.feed: file for file in files}.values()
            return [file for file in newest if applied.get(file.feed, ("", ""))[0] != file.name]
        unread = [file for file in files if file.kind == "stock" and not file.ready]
        if not any(file.kind == "stock" and file.ready for file in files):
            return unread
        order = self._fold_order(files)
        done = self._applied_since(order[0])
        return [*unread, *(file for file in order if (file.name, file.sha256) not in done)]

    def apply_archives(self, files: Sequence[RawFile]) -> Applied:
        """Folds DILA archives, oldest first: a stock, then the increments after it.

        Each archive is applied once, in a commit of its own. An archive that cannot be read stops the fold
        there. When what was applied is no longer how the order begins (a newer stock, another parser, an
        archive withdrawn, or one that should have come earlier), everything since the stock is read again
        and committed at once.

        Args:
            files: The manifest, oldest first.

        Raises:
            RefusedFileError: no stock can be read.
        """
        order = self._fold_order(files)
        applied = Applied(problems=[_problem(file) for file in files if file.kind == "stock" and not file.ready])
        done = self._applied_since(order[0])
        pending = [file for file in order if (file.name, file.sha256) not in done]
        readable = list(takewhile(lambda file: file.ready, order))
        in_order = {(file.name, file.sha256) for file in order[: len(done)]} == done
        if done and in_order:
            self._fold(readable[len(done) :], False, applied)
        elif readable:
            self._fold(readable, self._has_history(), applied)
        applied.pending = [file.name for file in pending if file.name not in applied.files]
        applied.problems += [_problem(file) for file in pending if not file.ready]
        return applied

    def apply_snapshot(self, files: Sequence[RawFile]) -> Applied:
        """Makes the newest file of each feed the state of the documents; what vanished gets a tombstone.

        Args:
            files: The manifest, oldest version first.

        Raises:
            RefusedFileError: the files hold no document, where there were some before.
        """
        newest = {file.feed: file for file in files}
        current = {file.feed: file for file in files if file.ready}
        unread = [file for file in newest.values() if not file.ready]
        applied = Applied(
            pending=[file.name for file in unread],
            problems=[
                f"{_problem(file)}; {'the version before it stays in use' if file.feed in current else 'no version of it was ever read'}"
                for file in unread
            ],
        )
        chosen = list(current.values())
        if self._last_applied() == {file.feed: (file.name, self.parser.version) for file in chosen}:
            return applied
        with self._delivery(keep_copies=False) as delivery:
            skipped: Counter[str] = Counter()
            self._take(self._groups(chosen, skipped, delivery), chosen, delivery)
            applied.changes = delivery.commit(
                [AppliedFile(file, skipped=skipped[file.name]) for file in chosen],
                self.parser.version,
                whole=True,
            )
        applied.files = [file.name for file in chosen]
        return applied

    def _fold(self, files: Sequence[RawFile], replayed: bool, applied: Applied) -> None:
        """Applies archives in order: all in one commit when replayed, else one commit an archive."""
        batches = [list(files)] if replayed else [[file] for file in files]
        for batch in batches:
            with self._delivery(keep_copies=True) as delivery:
                taken = [self._take_archive(file, delivery, replacing=replayed) for file in batch]
                whole = batch[0].kind == "stock"
                applied.changes += delivery.commit(taken, self.parser.version, whole=whole)
            applied.files += [file.name for file in batch]

    def _take_archive(self, file: RawFile, delivery: Delivery, *, replacing: bool) -> AppliedFile:
        """Gathers one archive. The lists act before its rows, wherever they stand in it."""
        paths, folders, lines = self._suppressions(file) if file.kind == "increment" else ([], [], 0)
        skipped: Counter[str] = Counter()
        delivery.suppress(paths, folders)
        self._take(self._groups([file], skipped, delivery), [file], delivery, replacing=replacing)
        return AppliedFile(file, skipped=skipped[file.name], suppressions=lines)

    def _take(
        self, groups: Iterable[Group], files: Sequence[RawFile], delivery: Delivery, *, replacing: bool = False
    ) -> None:
        """Parses groups, in worker processes when there is much of it, and gathers what comes out."""
        size = sum(file.path.stat().st_size for file in files)
        workers = self.workers if size >= _POOL_FROM_BYTES else 0
        step = f"{self.dataset}: parsing {', '.join(file.name for file in files)}"
        with track(step, None, "documents") as advance:
            for shard in map_shards(partial(parse_shard, self.parser), _shards(groups), workers, step=step):
                delivery.deliver(shard.rows, replacing=replacing)
                delivery.refuse(shard.refusals)
                advance(shard.rows.num_rows)

    def _groups(
        self, files: Sequence[RawFile], skipped: Counter[str], delivery: Delivery
    ) -> Iterator[list[Member]]:
        """Members that are documents, those with the same path in several feeds together.

        Members of a single file are streamed; of several feeds, all are held until the last file is read.
        """
        together: dict[str, list[Member]] = {}
        for file in files:
            for read in self.read_members(file):
                if read.refusal:
                    delivery.refuse([RefusedInput(read.path, read.refusal, read.path, file.name, read.data)])
                elif file.format != "json" and not self.wants(read.path):
                    skipped[file.name] += 1
                else:
                    member = Member(
                        path=read.path,
                        data=read.data,
                        # The times inside a snapshot say when it was packed, not when a sheet changed.
                        modified=read.modified if file.kind != "snapshot" else 0.0,
                        source_file=file.name,
                        feed=file.feed,
                    )
                    if len(files) == 1:
                        yield [member]
                    else:
                        together.setdefault(read.path, []).append(member)
        yield from together.values()

    def _suppressions(self, file: RawFile) -> tuple[list[str], list[str], int]:
        """Paths and folders that an archive's lists suppress, and how many lines they have."""
        paths: list[str] = []
        folders: list[str] = []
        for read in self.read_members(file):
            if _SUPPRESSION_LIST.search(read.path):
                lines = suppression_lines(read.data)
                if read.path.endswith(_FOLDER_LIST_END):
                    folders += lines
                else:
                    paths += [f"{line}.xml" for line in lines]
        return paths, folders, len(paths) + len(folders)

    def _fold_order(self, files: Sequence[RawFile]) -> list[RawFile]:
        """The newest stock that can be read, then the increments after it, oldest first."""
        stocks = [file for file in files if file.kind == "stock" and file.ready]
        if not stocks:
            reasons = "; ".join(_problem(file) for file in files if file.kind == "stock") or "none is published"
            raise RefusedFileError(
                f"no stock of {self.dataset} can be read: {reasons}",
                "nothing was changed; run again when the upstream has mended it",
            )
        stock = max(stocks, key=lambda file: file.stamp)
        increments = [file for file in files if file.kind == "increment" and file.stamp > stock.stamp]
        return [stock, *sorted(increments, key=lambda file: file.stamp)]

    def _applied_since(self, stock: RawFile) -> set[tuple[str, str]]:
        """Names and hashes of the files applied by this parser since the stock was; none if it was not."""
        rows = self.lake.cursor().execute(
            f"""
            SELECT file, sha256 FROM {quoted(self.dataset)}.applied_archives
            WHERE parser_version = $parser AND applied_at >= (
              SELECT max(applied_at) FROM {quoted(self.dataset)}.applied_archives
              WHERE file = $stock AND sha256 = $sha256 AND parser_version = $parser
            )
            """,
            {"parser": self.parser.version, "stock": stock.name, "sha256": stock.sha256},
        )
        return set(rows.fetchall())

    def _has_history(self) -> bool:
        row = self.lake.cursor().execute(f"SELECT count(*) FROM {quoted(self.dataset)}.applied_archives").fetchone()
        return bool(row and row[0])

    def _last_applied(self) -> dict[str, tuple[str, str]]:
        """File and parser of the last commit, by feed."""
        rows = self.lake.cursor().execute(
            f"SELECT feed, file, parser_version FROM {quoted(self.dataset)}.applied_archives "
            f"WHERE applied_at = (SELECT max(applied_at) FROM {quoted(self.dataset)}.applied_archives)"
        )
        return {feed: (file, parser) for feed, file, parser in rows.fetchall()}

    @contextmanager
    def _delivery(self, *, keep_copies: bool) -> Iterator[Delivery]:
        delivery = Delivery(
            self.lake,
            self.dataset,
            self.parser.metadata_schema,
            keep_copies=keep_copies,
            quarantine_bytes=self.quarantine_bytes,
        )
        try:
            yield delivery
        finally:
            delivery.close()


def suppression_lines(data: bytes) -> list[str]:
    """Paths of a suppression list: one a line, without `.xml`, some with a trailing flag such as ` D`."""
    text = data.decode("utf-8", errors="replace")
    return [_LINE_FLAG.sub("", line.strip()) for line in text.splitlines() if line.strip()]


def _shards(groups: Iterable[Group]) -> Iterator[list[Group]]:
    shard: list[Group] = []
    size = 0
    for group in groups:
        shard.append(group)
        size += sum(len(member.data) for member in group)
        if size >= _SHARD_BYTES:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _is_snapshot(files: Sequence[RawFile]) -> bool:
    return all(file.kind == "snapshot" for file in files)


def _problem(file: RawFile) -> str:
    return file.reason if file.name in file.reason else f"{file.name}: {file.reason}"
