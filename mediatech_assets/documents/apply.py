"""Applying raw files to the documents: the ordered fold of DILA archives, and whole snapshots.

What belongs here: which files are to be applied, in which order, and stopping where one cannot be read.
What does not: parsing one document (`parse.py`, `datasets/`) and the SQL of a commit (`commit.py`).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile

from mediatech_assets.documents.commit import AppliedFile, Changes, Delivery, Gathering, Rehearsal
from mediatech_assets.documents.elsewhere import ParsedElsewhere, PlannedParsing
from mediatech_assets.documents.model import Member
from mediatech_assets.documents.parse import (
    Group,
    ParsedShard,
    Parser,
    RefusedInput,
    group_sha256,
    parse_shard,
    shards_of,
)
from mediatech_assets.errors import RefusedFileError
from mediatech_assets.lake import Lake, number, quoted
from mediatech_assets.progress import track
from mediatech_assets.records import ArchiveMember, RawFile
from mediatech_assets.workers import map_shards

_SUPPRESSION_LIST = re.compile(r"(?:^|/)liste_suppression_\w+\.dat$")
_FOLDER_LIST_END = "_dossier.dat"
_LINE_FLAG = re.compile(r"\s+[A-Z]$")

#: Bytes of members in one shard: large enough to make a trip to a worker worth it.
_SHARD_BYTES = 4_000_000


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
        pool_from_bytes: Size of the raw files from which workers are worth their start: a LEGI stock of 12 MB
            (20,000 articles) took 12 s in this process and 7 s with two workers.
        elsewhere: Takes parsed rows from other machines' workers, or plans their work; by default, parsing happens
            here.
    """

    lake: Lake
    dataset: str
    parser: Parser
    wants: Callable[[str], bool]
    read_members: ReadMembers
    workers: int
    quarantine_bytes: int
    pool_from_bytes: int = 4_000_000
    elsewhere: PlannedParsing | ParsedElsewhere | None = None

    def plan(self, files: Sequence[RawFile], plan: PlannedParsing, *, again: bool = False) -> None:
        """Writes what `apply` would parse now as shards for workers.

        It is `apply` itself that goes through the files, with nothing parsed and nothing committed: so both decide
        alike, and `apply` finds every shard again.

        Args:
            files: The manifest, oldest first.
            plan: Takes the shards.
            again: As for `apply`.

        Raises:
            RefusedFileError: no stock can be read.
        """
        replace(self, elsewhere=plan).apply(files, again=again)

    def apply(self, files: Sequence[RawFile], *, again: bool = False) -> Applied:
        """Applies what is new: archives in order, or a snapshot whole.

        Args:
            files: The manifest, oldest first.
            again: Read everything in use again, in one commit, although it is applied: a full refresh.

        Raises:
            RefusedFileError: no stock can be read, or a complete state without any document.
        """
        if _is_snapshot(files):
            return self.apply_snapshot(files, again=again)
        return self.apply_archives(files, again=again)

    def pending(self, files: Sequence[RawFile]) -> list[RawFile]:
        """Files published and not applied: the lag.

        Args:
            files: The manifest, oldest first.
        """
        if _is_snapshot(files):
            applied = self._last_applied()
            newest = {file.feed: file for file in files}.values()
            return [file for file in newest if applied.get(file.feed, ("", ""))[0] != file.name]
        done = self._applied_since_stock()
        base = _base(files, done)
        unread = _unread_stocks(files, base)
        return [*unread, *self._due(files, base, done)[0]] if base else unread

    def apply_archives(self, files: Sequence[RawFile], *, again: bool = False) -> Applied:
        """Folds DILA archives, oldest first: a stock, then the increments after it.

        Each archive is applied once, in a commit of its own. An archive that cannot be read stops the fold
        there. When what was applied is no longer how the order begins (another stock, another parser, an
        archive withdrawn, or one that should have come earlier), everything since the stock is read again
        and committed at once.

        Args:
            files: The manifest, oldest first.
            again: Read everything since the stock again, whatever was applied.

        Raises:
            RefusedFileError: no stock can be read, or a stock holds no document where there were some.
        """
        done = self._applied_since_stock()
        base = _base(files, done)
        unread = _unread_stocks(files, base)
        if base is None:
            reasons = "; ".join(map(_problem, unread)) or "none is published"
            raise RefusedFileError(
                f"no stock of {self.dataset} can be read: {reasons}",
                "nothing was changed; run again when the upstream has mended it",
            )
        due, anew = self._due(files, base, {} if again else done)
        readable = list(takewhile(lambda file: file.ready, due))
        if anew and any(file.name in done for file in due[len(readable) :]):
            readable = []  # reading all again would stop before what is applied: that stays instead
        applied = Applied()
        self._fold(readable, anew and self._has_history(), applied)
        left = [file for file in (*unread, *due) if file.name not in applied.files]
        applied.pending = [file.name for file in left]
        applied.problems += [_problem(file) for file in left if not file.ready]
        return applied

    def apply_snapshot(self, files: Sequence[RawFile], *, again: bool = False) -> Applied:
        """Makes the newest file of each feed the state of the documents; what vanished gets a tombstone.

        Every member is read and hashed; only those with other bytes than before are parsed and written.

        Args:
            files: The manifest, oldest version first.
            again: Parse and write every member again, whatever was applied.

        Raises:
            RefusedFileError: the files hold no document, where there were some before.
        """
        newest = {file.feed: file for file in files}
        current = {file.feed: file for file in files if file.ready}
        unread = [file for file in newest.values() if not file.ready]
        applied = Applied(pending=[file.name for file in unread])
        for file in unread:
            instead = (
                "the version before it stays in use"
                if file.feed in current
                else "no version of it can be read"
            )
            applied.problems.append(f"{_problem(file)}; {instead}")
        chosen = list(current.values())
        last = self._last_applied()
        if last.keys() - current.keys():
            return applied  # what came from a feed that is lost on our disk must not vanish with it
        if not again and last == {file.feed: (file.name, self.parser.version) for file in chosen}:
            return applied
        with self._delivery(keep_copies=False) as delivery:
            skipped: Counter[str] = Counter()
            groups = self._groups(chosen, skipped, delivery, replacing=False)
            changed = groups if again else self._other_than_before(groups, delivery)
            self._take(changed, chosen, delivery, replacing=False)
            applied.changes = delivery.commit(
                [AppliedFile(file, skipped=skipped[file.name]) for file in chosen],
                self.parser.version,
                whole=True,
            )
        if applied.changes.held:
            applied.problems.append(
                f"{applied.changes.held:,} documents of {self.dataset} are not found in "
                f"{', '.join(file.name for file in chosen)} and stay: a refused record without an identifier may "
                "be theirs (see the quarantine)"
            )
        applied.files = [file.name for file in chosen]
        return applied

    def _fold(self, files: Sequence[RawFile], replayed: bool, applied: Applied) -> None:
        """Applies archives in order: all in one commit when replayed, else one commit an archive."""
        batches = [files] if replayed and files else [[file] for file in files]
        for batch in batches:
            with self._delivery(keep_copies=True) as delivery:
                try:
                    taken = [self._take_archive(file, delivery, replacing=replayed) for file in batch]
                except RefusedFileError as error:
                    if not self._has_history():
                        raise
                    applied.problems.append(str(error))
                    return
                whole = batch[0].kind == "stock"
                applied.changes += delivery.commit(taken, self.parser.version, whole=whole)
            applied.files += [file.name for file in batch]

    def _take_archive(self, file: RawFile, delivery: Gathering, *, replacing: bool) -> AppliedFile:
        """Gathers one archive. The lists act before its rows, wherever they stand in it."""
        paths, folders, lines = self._suppressions(file) if file.kind == "increment" else ([], [], 0)
        skipped: Counter[str] = Counter()
        delivery.suppress(paths, folders)
        groups = self._groups([file], skipped, delivery, replacing=replacing)
        self._take(groups, [file], delivery, replacing=replacing)
        return AppliedFile(file, skipped=skipped[file.name], suppressions=lines)

    def _take(
        self,
        groups: Iterable[Group],
        files: Sequence[RawFile],
        delivery: Gathering,
        *,
        replacing: bool,
    ) -> None:
        """Parses groups and gathers what comes out."""
        step = f"{self.dataset}: parsing {', '.join(file.name for file in files)}"
        with track(step, None, "documents") as advance:
            for shard in self._parsed(groups, files, step):
                delivery.deliver(shard.rows, replacing=replacing)
                delivery.refuse(shard.refusals, replacing=replacing)
                advance(shard.rows.num_rows)

    def _parsed(self, groups: Iterable[Group], files: Sequence[RawFile], step: str) -> Iterable[ParsedShard]:
        """The groups parsed, in worker processes of this machine when there is much of it."""
        if self.elsewhere is not None:
            return self.elsewhere.parsed(self.parser, groups)
        workers = self.workers if _size(files) >= self.pool_from_bytes else 0
        work = partial(parse_shard, self.parser)
        return map_shards(work, shards_of(groups, _SHARD_BYTES), workers, step=step)

    def _groups(
        self, files: Sequence[RawFile], skipped: Counter[str], delivery: Gathering, *, replacing: bool
    ) -> Iterator[list[Member]]:
        """Members that are documents, those with the same path in several feeds together.

        Members of a single file are streamed; of several feeds, all are held until the last file is read.
        """
        together: dict[str, list[Member]] = {}
        for file in files:
            for read in self.read_members(file):
                if read.refusal:
                    refused = RefusedInput(read.path, read.refusal, read.path, file.name, read.data)
                    delivery.refuse([refused], replacing=replacing)
                elif not self.wants(read.path):
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

    def _other_than_before(self, groups: Iterable[Group], delivery: Gathering) -> Iterator[Group]:
        """Groups whose bytes are not those that their documents were parsed from by this parser."""
        known = self._parsed_members()
        kept: list[str] = []
        for group in groups:
            path = group[0].path
            if known.get(path) == group_sha256(group):
                del known[path]  # the same bytes once more are a duplicate, which must be seen
                kept.append(path)
            else:
                yield group
        delivery.keep(kept)

    def _parsed_members(self) -> dict[str, str]:
        """Hash of each member that this parser read, and of which nothing was refused."""
        catalog = quoted(self.dataset)
        found = self.lake.cursor().execute(
            f"""
            SELECT source_member, any_value(source_sha256) FROM {catalog}.documents
            WHERE source_member NOT IN (SELECT member FROM {catalog}.quarantine)
            GROUP BY source_member
            HAVING count(DISTINCT source_sha256) = 1 AND bool_and(parser_version = ?)
            """,
            [self.parser.version],
        )
        return dict(found.fetchall())

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

    def _due(
        self, files: Sequence[RawFile], base: RawFile, done: Mapping[str, tuple[str, str]]
    ) -> tuple[list[RawFile], bool]:
        """Archives to apply, in order, and whether they take the place of all that was applied.

        A file that was applied and cannot be read any more (lost on our disk) still counts as applied.
        """
        increments = [file for file in files if file.kind == "increment" and file.stamp > base.stamp]
        order = [base, *sorted(increments, key=lambda file: file.stamp)]
        marks = {
            file.name: (file.sha256 if file.ready else done.get(file.name, ("", ""))[0], self.parser.version)
            for file in order[: len(done)]
        }
        return (order[len(done) :], False) if done and marks == done else (order, True)

    def _applied_since_stock(self) -> dict[str, tuple[str, str]]:
        """Hash and parser of the files that the documents are made of: the last stock applied and what followed."""
        table = f"{quoted(self.dataset)}.applied_archives"
        found = self.lake.cursor().execute(
            f"SELECT file, sha256, parser_version FROM {table} "
            f"WHERE applied_at >= (SELECT max(applied_at) FROM {table} WHERE kind = 'stock')"
        )
        return {file: (sha256, parser) for file, sha256, parser in found.fetchall()}

    def _has_history(self) -> bool:
        sql = f"SELECT count(*) FROM {quoted(self.dataset)}.applied_archives"
        return number(self.lake.cursor(), sql) > 0

    def _last_applied(self) -> dict[str, tuple[str, str]]:
        """File and parser of the last commit, by feed."""
        rows = self.lake.cursor().execute(
            f"SELECT feed, file, parser_version FROM {quoted(self.dataset)}.applied_archives "
            f"WHERE applied_at = (SELECT max(applied_at) FROM {quoted(self.dataset)}.applied_archives)"
        )
        return {feed: (file, parser) for feed, file, parser in rows.fetchall()}

    @contextmanager
    def _delivery(self, *, keep_copies: bool) -> Iterator[Gathering]:
        if isinstance(self.elsewhere, PlannedParsing):
            yield Rehearsal()
            return
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


def _is_snapshot(files: Sequence[RawFile]) -> bool:
    return all(file.kind == "snapshot" for file in files)


def _base(files: Sequence[RawFile], done: Mapping[str, tuple[str, str]]) -> RawFile | None:
    """The newest stock that can be read or is applied; nothing when there is none."""
    stocks = (file for file in files if file.kind == "stock" and (file.ready or file.name in done))
    return max(stocks, key=lambda file: file.stamp, default=None)


def _unread_stocks(files: Sequence[RawFile], base: RawFile | None) -> list[RawFile]:
    """Stocks that would be the base if they could be read."""
    stocks = (file for file in files if file.kind == "stock" and not file.ready)
    return [file for file in stocks if base is None or file.stamp > base.stamp]


def _size(files: Sequence[RawFile]) -> int:
    return sum(file.path.stat().st_size for file in files if file.path.is_file())


def _problem(file: RawFile) -> str:
    return file.reason if file.name in file.reason else f"{file.name}: {file.reason}"
