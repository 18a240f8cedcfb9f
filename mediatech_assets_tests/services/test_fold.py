"""Applying raw files: whatever comes, in whatever batches and however runs end, the rules of the DILA hold."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mediatech_assets.documents.apply import Applied, Documents, suppression_lines
from mediatech_assets.documents.model import Document, Member, Outcome, Refusal, Section
from mediatech_assets.documents.parse import Parser
from mediatech_assets.errors import RefusedFileError
from mediatech_assets.lake import Lake, insert_row, utc_now
from mediatech_assets.records import ArchiveMember, Kind, RawFile
from mediatech_assets.schemas import column
from mediatech_assets_tests.tiny import METADATA, new_lake, open_dataset, rows

TITLE_ONLY = pa.schema([column("title", pa.string(), "Title.")])
_numbers = itertools.count()


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("fold"))
    yield lake
    lake.close()


class KilledError(BaseException):
    """Stands for a process that ends in the middle: no code of ours may catch it and go on."""


def parse(member: Member) -> list[Outcome]:
    """A line `id|title` is a document, an empty title one without text; `!` and `!id` are refusals."""
    return [_parse_line(line, member.path) for line in member.data.decode().splitlines()]


def _parse_line(line: str, path: str) -> Outcome:
    if line.startswith("!"):
        return Refusal(line[1:] or path, "it is bad")
    doc_id, title = line.split("|")
    sections = (Section(title),) if title else ()
    metadata = {"title": title, "status": None, "category": None}
    return Document(doc_id, metadata, sections, f"https://example.org/{doc_id}")


def keep_first(first: Document, second: Document) -> Document:
    return replace(first, metadata={**first.metadata, "status": second.metadata["title"]})


class Content(NamedTuple):
    """A member: no title means that it will be refused."""

    title: str | None
    modified: int


@dataclass(frozen=True)
class Archive:
    """What one archive holds: members by path (the id is the file's name), and what its lists suppress."""

    name: str
    kind: Kind
    stamp: str
    members: dict[str, Content] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    ready: bool = True
    feed: str = ""

    def suppresses(self, path: str) -> bool:
        return path in self.paths or any(path.startswith(f"{folder}/") for folder in self.folders)

    def raw_file(self) -> RawFile:
        return RawFile(
            name=self.name,
            path=Path(__file__),
            kind=self.kind,
            stamp=self.stamp,
            format="zip" if self.kind == "snapshot" else "targz",
            feed=self.feed,
            sha256=f"sha of {self.name}" if self.ready else "",
            url=f"https://example.org/{self.name}",
            ready=self.ready,
            reason="" if self.ready else "it ends too early",
        )


class Dataset:
    """The real code on a catalog of its own, and the files published to it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        lake.close()  # each catalog that stays attached makes the next one slower to open
        self.name = open_dataset(lake, f"fold{next(_numbers)}")
        self.archives: list[Archive] = []
        self.parser_version = "1"
        self.members_until_killed: int | None = None

    def documents(self) -> Documents:
        return Documents(
            lake=self.lake,
            dataset=self.name,
            parser=Parser(parse, keep_first, self.parser_version, METADATA),
            wants=lambda path: path.endswith(".xml"),
            read_members=self.read,
            workers=0,
            quarantine_bytes=100,
        )

    def run(self) -> Applied:
        return self.documents().apply(self.files())

    def files(self) -> list[RawFile]:
        return [archive.raw_file() for archive in sorted(self.archives, key=lambda archive: archive.stamp)]

    def lag(self) -> list[str]:
        return [file.name for file in self.documents().pending(self.files())]

    def read(self, file: RawFile) -> Iterator[ArchiveMember]:
        archive = next(archive for archive in self.archives if archive.name == file.name)
        for path, content in archive.members.items():
            if self.members_until_killed is not None:
                if self.members_until_killed == 0:
                    raise KilledError
                self.members_until_killed -= 1
            doc_id = Path(path).stem
            text = "!" if content.title is None else f"{doc_id}|{content.title}"
            yield ArchiveMember(path, text.encode(), float(content.modified))
        # The lists come last: they act before the rows all the same.
        yield ArchiveMember(
            "liste_suppression_test.dat",
            "".join(f"{path.removesuffix('.xml')} D\n" for path in sorted(archive.paths)).encode(),
            0.0,
        )
        yield ArchiveMember(
            "liste_suppression_test_dossier.dat", "\n".join(sorted(archive.folders)).encode(), 0.0
        )

    def state(self) -> "State":
        return State(
            frozenset(
                rows(
                    self.lake,
                    f"SELECT doc_id, title, source_member, source_modified FROM {self.name}.documents",
                )
            ),
            frozenset(
                rows(
                    self.lake,
                    f"SELECT doc_id, title, source_member, source_modified FROM {self.name}.document_copies",
                )
            ),
            tuple(sorted(path for (path,) in rows(self.lake, f"SELECT member FROM {self.name}.quarantine"))),
        )

    def titles(self) -> dict[str, str]:
        return dict(rows(self.lake, f"SELECT doc_id, title FROM {self.name}.documents"))

    def tombstones(self) -> list[str]:
        return sorted(doc_id for (doc_id,) in rows(self.lake, f"SELECT doc_id FROM {self.name}.tombstones"))

    def applied(self) -> list[str]:
        return [
            file
            for (file,) in rows(
                self.lake, f"SELECT file FROM {self.name}.applied_archives ORDER BY applied_at"
            )
        ]


class State(NamedTuple):
    """Documents, copies under other paths, and refused members."""

    documents: frozenset[tuple]
    copies: frozenset[tuple]
    quarantine: tuple[str, ...]


@dataclass
class Model:
    """The rules in plain Python: a path holds one text; of an id's paths, the newest file is the document."""

    paths: dict[str, Content] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    applied: list[tuple[str, str]] = field(default_factory=list)

    def state(self) -> State:
        ranked: dict[str, list[tuple]] = {}
        for path, content in self.paths.items():
            ranked.setdefault(Path(path).stem, []).append((content.modified, path, content.title))
        rows = {
            doc_id: [(doc_id, title, path, modified) for modified, path, title in sorted(found, reverse=True)]
            for doc_id, found in ranked.items()
        }
        return State(
            frozenset(found[0] for found in rows.values()),
            frozenset(row for found in rows.values() for row in found[1:]),
            tuple(sorted(self.refused)),
        )

    def fold(self, archive: Archive) -> None:
        bad = {path for path, content in archive.members.items() if content.title is None}
        good = {path: content for path, content in archive.members.items() if content.title is not None}
        self.paths = {
            path: content
            for path, content in self.paths.items()
            if path in bad or not archive.suppresses(path)
        }
        self.paths.update(good)
        self.refused = {path for path in self.refused if not archive.suppresses(path)} - good.keys() | bad

    def apply(self, published: list[Archive], parser: str) -> list[State]:
        """Applies what is new; gives the states that a run may leave behind, the last one being the aim."""
        stocks = [archive for archive in published if archive.kind == "stock" and archive.ready]
        stock = max(stocks, key=lambda archive: archive.stamp)
        later = sorted(
            (archive for archive in published if archive.kind == "increment" and archive.stamp > stock.stamp),
            key=lambda archive: archive.stamp,
        )
        order = [stock, *itertools.takewhile(lambda archive: archive.ready, later)]
        marks = [(archive.name, parser) for archive in order]
        whole = [(archive.name, parser) for archive in (stock, *later)]
        before = self.state()
        if self.applied and self.applied == whole[: len(self.applied)]:
            states = [before]
            for archive in order[len(self.applied) :]:
                self.fold(archive)
                states.append(self.state())
            self.applied = [*self.applied, *marks[len(self.applied) :]]
            return states
        anew = Model()
        states = [before]
        for archive in order:
            anew.fold(archive)
            if not self.applied:  # the first run ever commits archive by archive
                states.append(anew.state())
        for path in anew.refused - anew.paths.keys():
            if path in self.paths:  # what was good stays while the last word on it is a refusal
                anew.paths[path] = self.paths[path]
        self.paths, self.refused, self.applied = anew.paths, anew.refused, marks
        return [*states, self.state()]


PATHS = [f"{folder}/{name}.xml" for folder in ("t1", "t2") for name in "abc"]
contents = st.builds(Content, st.sampled_from(["x", "y", "z", "x", "y", "z", None]), st.integers(1, 4))
members = st.dictionaries(st.sampled_from(PATHS), contents, max_size=4)
suppressed = st.tuples(
    st.frozensets(st.sampled_from(PATHS), max_size=2),
    st.frozensets(st.sampled_from(["t1", "t2"]), max_size=1),
)


@st.composite
def changes(draw: st.DrawFn) -> tuple:
    """Something that happens upstream or here between two runs."""
    kind = draw(
        st.sampled_from(
            ["increments"] * 6 + ["late", "late", "stock", "withdraw", "withdraw", "parser", "broken"]
        )
    )
    if kind == "increments":
        found = draw(st.lists(st.tuples(members, suppressed), min_size=1, max_size=3))
        return kind, [_without_refused(*one) for one in found]
    if kind in ("late", "broken"):
        return kind, [_without_refused(draw(members), draw(suppressed))]
    if kind == "stock":
        stock = draw(members)
        return kind, {**stock, "t1/a.xml": Content("x", 1)}
    return kind, draw(st.integers(0, 9))


def _without_refused(members: dict[str, Content], suppressed: tuple) -> tuple:
    """Lists that do not name a refused member of the same archive (that has an example of its own)."""
    paths, folders = suppressed
    refused = {path for path, content in members.items() if content.title is None}
    return (
        members,
        paths - refused,
        frozenset(f for f in folders if not any(p.startswith(f) for p in refused)),
    )


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
    phases=(Phase.generate,),
)
@given(
    first=members,
    steps=st.lists(st.tuples(changes(), st.none() | st.integers(0, 6)), min_size=2, max_size=5),
)
def test_any_history_of_archives_and_kills_gives_what_the_rules_say(lake, first, steps):
    dataset, model, clock = Dataset(lake), Model(), itertools.count(200)
    dataset.archives = [Archive("s200", "stock", f"{next(clock)}0", {**first, "t1/a.xml": Content("x", 1)})]
    _run_and_compare(dataset, model, None)
    seen = set(dataset.titles())
    for change, kill_after in steps:
        _make(change, dataset, clock)
        _run_and_compare(dataset, model, kill_after)
        seen |= set(dataset.titles())
        assert seen - set(dataset.titles()) <= set(dataset.tombstones())


def _make(change: tuple, dataset: Dataset, clock: Iterator[int]) -> None:
    kind, what = change
    dataset.archives = [replace(archive, ready=True) for archive in dataset.archives]
    if kind == "stock":
        number = next(clock)
        dataset.archives.append(Archive(f"s{number}", "stock", f"{number}0", what))
    elif kind == "withdraw":
        stocks = [archive for archive in dataset.archives if archive.kind == "stock"]
        removable = [archive for archive in dataset.archives if archive is not stocks[0]]
        if removable:
            dataset.archives.remove(removable[what % len(removable)])
    elif kind == "parser":
        dataset.parser_version = str(what % 2)  # going back to a former parser is a change too
    else:
        for found, paths, folders in what:
            number = next(clock)
            # A late one has a stamp before the newest: between two others, or older than the stock.
            stamp = f"{number - 2}5" if kind == "late" else f"{number}0"
            dataset.archives.append(
                Archive(f"i{number}", "increment", stamp, found, paths, folders, ready=kind != "broken")
            )


def _run_and_compare(dataset: Dataset, model: Model, kill_after: int | None) -> None:
    allowed = model.apply(dataset.archives, dataset.parser_version)
    if kill_after is not None:
        dataset.members_until_killed = kill_after
        try:
            dataset.run()
        except KilledError:
            assert dataset.state() in allowed
        dataset.members_until_killed = None
    dataset.run()
    assert dataset.state() == allowed[-1]
    again = dataset.run()
    assert again.files == []
    assert dataset.state() == allowed[-1]
    broken = any(not archive.ready for archive in dataset.archives)
    assert bool(again.pending) == bool(dataset.lag()) == broken


def stock(name: str = "s1", stamp: str = "1", **titles: str | None) -> Archive:
    found = {f"t/{doc_id}.xml": Content(title, 1) for doc_id, title in titles.items()}
    return Archive(name, "stock", stamp, found)


def increment(name: str, stamp: str, **titles: str | None) -> Archive:
    found = {f"t/{doc_id}.xml": Content(title, 2) for doc_id, title in titles.items()}
    return Archive(name, "increment", stamp, found)


@pytest.fixture
def dataset(lake: Lake) -> Dataset:
    return Dataset(lake)


def test_an_increment_older_than_the_stock_is_never_applied(dataset):
    dataset.archives = [
        increment("i1", "1", a="old"),
        stock(stamp="2", a="new"),
        increment("i2", "2", a="same"),
    ]
    applied = dataset.run()
    assert applied.files == ["s1"]
    assert dataset.titles() == {"a": "new"}
    assert dataset.lag() == []


def test_an_unreadable_archive_stops_the_fold_and_a_later_run_goes_on(dataset):
    broken = replace(increment("i2", "2", a="two"), ready=False)
    dataset.archives = [stock(a="one"), broken, increment("i3", "3", b="three")]
    stopped = dataset.run()
    assert stopped.files == ["s1"]
    assert stopped.pending == ["i2", "i3"]
    assert len(stopped.problems) == 1
    assert "i2" in stopped.problems[0]
    assert dataset.titles() == {"a": "one"}
    assert dataset.lag() == ["i2", "i3"]

    dataset.archives[1] = replace(broken, ready=True)
    resumed = dataset.run()
    assert resumed.files == ["i2", "i3"]
    assert resumed.problems == resumed.pending == []
    assert dataset.titles() == {"a": "two", "b": "three"}
    assert dataset.applied() == ["s1", "i2", "i3"]


@pytest.mark.parametrize("name", ["s1", "i2"])
def test_an_applied_archive_that_is_lost_on_our_disk_changes_nothing(dataset, name):
    dataset.archives = [stock(a="one"), increment("i2", "2", a="two"), increment("i3", "3", b="three")]
    dataset.run()
    dataset.archives = [replace(archive, ready=archive.name != name) for archive in dataset.archives]
    dataset.archives.append(increment("i4", "4", c="four"))
    assert dataset.run().files == ["i4"]
    assert dataset.titles() == {"a": "two", "b": "three", "c": "four"}
    assert dataset.lag() == []


def test_an_unreadable_archive_that_turns_up_late_does_not_undo_what_came_after_it(dataset):
    dataset.archives = [stock(a="one"), increment("i3", "3", a="three")]
    dataset.run()
    late = replace(increment("i2", "2", a="two", b="two"), ready=False)
    dataset.archives.append(late)
    held = dataset.run()
    assert held.files == []
    assert "i2" in held.problems[0]
    assert dataset.titles() == {"a": "three"}
    dataset.archives[-1] = replace(late, ready=True)
    dataset.run()
    assert dataset.titles() == {"a": "three", "b": "two"}


def test_an_archive_that_turns_out_unreadable_while_it_is_read_stops_the_fold_there(dataset):
    dataset.archives = [stock(a="one"), increment("i2", "2", a="two"), increment("i3", "3", a="three")]
    dataset.archives.append(increment("i4", "4", a="four"))

    def read(file: RawFile) -> Iterator[ArchiveMember]:
        yield from dataset.read(file)
        if file.name == "i3":
            raise RefusedFileError("i3 ends too early", "fetch it again")

    applied = replace(dataset.documents(), read_members=read).apply(dataset.files())
    assert applied.files == ["s1", "i2"]
    assert applied.pending == ["i3", "i4"]
    assert "i3 ends too early" in applied.problems[0]
    assert dataset.titles() == {"a": "two"}


def test_without_any_readable_stock_the_message_names_it_and_nothing_changes(dataset):
    dataset.archives = [replace(stock(a="one"), ready=False)]
    with pytest.raises(RefusedFileError, match="s1"):
        dataset.run()
    assert dataset.lag() == ["s1"]
    assert dataset.applied() == []


def test_a_newer_stock_that_cannot_be_read_leaves_the_one_before_it_in_use(dataset):
    dataset.archives = [stock(a="one"), replace(stock("s5", "5", a="five"), ready=False)]
    applied = dataset.run()
    assert applied.files == ["s1"]
    assert "s5" in applied.problems[0]
    assert dataset.lag() == ["s5"]


def test_a_new_stock_leaves_no_ghost(dataset):
    dataset.archives = [stock(a="one", b="one"), increment("i2", "2", c="two")]
    dataset.run()
    dataset.archives.append(stock("s3", "3", a="one", c="three"))
    changes = dataset.run().changes
    assert dataset.titles() == {"a": "one", "c": "three"}
    assert (changes.added, changes.changed, changes.removed) == (0, 1, 1)
    assert dataset.tombstones() == ["b"]


def test_a_stock_without_documents_is_refused_where_there_were_some(dataset):
    dataset.archives = [stock(a="one")]
    dataset.run()
    dataset.archives.append(stock("s2", "2"))
    with pytest.raises(RefusedFileError, match="s2"):
        dataset.run()
    assert dataset.titles() == {"a": "one"}
    assert dataset.applied() == ["s1"]


def test_a_list_acts_before_the_rows_of_its_archive_and_a_refused_row_keeps_the_old_one(dataset):
    dataset.archives = [stock(a="one", b="one", c="one")]
    dataset.run()
    named = frozenset({"t/a.xml", "t/b.xml", "t/c.xml"})
    dataset.archives.append(replace(increment("i2", "2", a="two", b=None), paths=named))
    changes = dataset.run().changes
    assert dataset.titles() == {"a": "two", "b": "one"}
    assert (changes.removed, changes.refused) == (1, 1)
    assert dataset.state().quarantine == ("t/b.xml",)


def test_a_path_that_holds_another_document_now_has_lost_the_former_one(dataset):
    dataset.archives = [stock(a="one", b="one"), increment("i2", "2")]

    def read(file: RawFile) -> Iterator[ArchiveMember]:
        yield from (
            dataset.read(file) if file.name == "s1" else [ArchiveMember("t/a.xml", b"other|two", 2.0)]
        )

    replace(dataset.documents(), read_members=read).apply(dataset.files())
    assert dataset.titles() == {"other": "two", "b": "one"}
    assert dataset.tombstones() == ["a"]


def test_dates_stay_while_the_content_does(dataset):
    dataset.archives = [stock(a="one", b="one")]
    dataset.run()
    before = rows(
        dataset.lake, f"SELECT doc_id, first_seen, changed_at FROM {dataset.name}.documents ORDER BY 1"
    )
    dataset.archives.append(increment("i2", "2", a="one", b="two"))
    dataset.run()
    after = rows(
        dataset.lake, f"SELECT doc_id, first_seen, changed_at FROM {dataset.name}.documents ORDER BY 1"
    )
    assert after[0] == before[0]
    assert after[1][1] == before[1][1]
    assert after[1][2] > before[1][2]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"t/a\nt/b D\r\n\n  t/c  \n", ["t/a", "t/b", "t/c"]),
        (b"t/LEGIARTI1 M\nfolder with space/a", ["t/LEGIARTI1", "folder with space/a"]),
        (b"\xff\xfe/a\n", ["��/a"]),
    ],
)
def test_lines_of_a_suppression_list(text, lines):
    assert suppression_lines(text) == lines


def snapshot(name: str, stamp: str, feed: str = "", **titles: str | None) -> Archive:
    found = {f"{doc_id}.xml": Content(title, 1) for doc_id, title in titles.items()}
    return Archive(name, "snapshot", stamp, found, feed=feed)


def test_a_snapshot_is_the_state_and_what_vanished_gets_a_tombstone(dataset):
    dataset.archives = [snapshot("v1", "1", a="one", b="one", c="one")]
    dataset.run()
    dataset.archives.append(snapshot("v2", "2", a="one", b="two", d="two"))
    changes = dataset.run().changes
    assert dataset.titles() == {"a": "one", "b": "two", "d": "two"}
    assert (changes.delivered, changes.added, changes.changed, changes.removed) == (3, 1, 1, 1)
    assert dataset.tombstones() == ["c"]
    assert dataset.run().files == []


def test_an_empty_snapshot_is_refused(dataset):
    dataset.archives = [snapshot("v1", "1", a="one")]
    dataset.run()
    dataset.archives.append(snapshot("v2", "2"))
    with pytest.raises(RefusedFileError, match="v2"):
        dataset.run()
    assert dataset.titles() == {"a": "one"}
    assert dataset.lag() == ["v2"]


def test_a_refused_member_keeps_the_document_it_was(dataset):
    dataset.archives = [snapshot("v1", "1", a="one", b="one")]
    dataset.run()
    dataset.archives.append(snapshot("v2", "2", a=None, b="two"))
    dataset.run()
    assert dataset.titles() == {"a": "one", "b": "two"}
    assert dataset.state().quarantine == ("a.xml",)
    dataset.archives.append(snapshot("v3", "3", a="three", b="two"))
    dataset.run()
    assert dataset.titles() == {"a": "three", "b": "two"}
    assert dataset.state().quarantine == ()


def test_in_a_file_of_many_documents_a_refused_one_stays_and_a_vanished_one_goes(dataset):
    dataset.archives = [snapshot("v1", "1")]
    contents = {"v1": b"a|one\nb|one\nc|one", "v2": b"a|two\n!b"}
    documents = replace(
        dataset.documents(),
        read_members=lambda file: [ArchiveMember("all.xml", contents[file.name], 1.0)],
    )
    documents.apply(dataset.files())
    dataset.archives.append(snapshot("v2", "2"))
    documents.apply(dataset.files())
    assert dataset.titles() == {"a": "two", "b": "one"}
    assert dataset.tombstones() == ["c"]


def test_of_an_id_that_comes_twice_in_a_snapshot_the_first_is_kept_and_the_other_refused(dataset):
    dataset.archives = [snapshot("v1", "1", b="other")]
    dataset.archives[0].members["z/a.xml"] = Content("before", 1)
    dataset.run()
    twice = snapshot("v2", "2", b="other")
    twice.members.update({"z/a.xml": Content("second", 1), "m/a.xml": Content("first", 1)})
    dataset.archives.append(twice)
    dataset.run()
    assert dataset.titles() == {"a": "first", "b": "other"}
    found = rows(dataset.lake, f"SELECT subject, member, reason FROM {dataset.name}.quarantine")
    assert [(subject, member) for subject, member, _ in found] == [("a", "z/a.xml")]
    assert "twice" in found[0][2]


def test_a_member_that_a_zip_holds_twice_is_kept_once(dataset):
    dataset.archives = [snapshot("v1", "1", a="one")]

    def read(file: RawFile) -> Iterator[ArchiveMember]:
        yield from dataset.read(file)
        yield from dataset.read(file)

    replace(dataset.documents(), read_members=read).apply(dataset.files())
    assert dataset.titles() == {"a": "one"}
    assert dataset.state().quarantine == ("a.xml",)


def test_two_feeds_are_merged_and_one_of_them_may_change_alone(dataset):
    dataset.archives = [snapshot("p1", "1", "part", a="part"), snapshot("q1", "1", "pro", a="pro", b="pro")]
    assert dataset.run().files == ["p1", "q1"]
    assert rows(dataset.lake, f"SELECT doc_id, title, status FROM {dataset.name}.documents ORDER BY 1") == [
        ("a", "part", "pro"),
        ("b", "pro", None),
    ]
    dataset.archives.append(snapshot("q2", "2", "pro", b="pro"))
    dataset.run()
    assert rows(dataset.lake, f"SELECT doc_id, title, status FROM {dataset.name}.documents ORDER BY 1") == [
        ("a", "part", None),
        ("b", "pro", None),
    ]


class Recorder:
    """A parser that writes down which members it was given."""

    def __init__(self) -> None:
        self.members: list[str] = []

    def parse(self, member: Member) -> list[Outcome]:
        self.members.append(member.path)
        return parse(member)


def test_only_members_with_other_bytes_are_parsed_again(dataset):
    recorder = Recorder()
    documents = replace(dataset.documents(), parser=Parser(recorder.parse, keep_first, "1", METADATA))
    dataset.archives = [snapshot("v1", "1", a="one", b="one", c=None, d="one")]
    documents.apply(dataset.files())
    recorder.members.clear()
    dataset.archives.append(snapshot("v2", "2", a="one", b="two", c=None, e="one"))
    changes = documents.apply(dataset.files()).changes
    # What was refused is tried again, so that the quarantine still shows it.
    assert sorted(recorder.members) == ["b.xml", "c.xml", "e.xml"]
    assert (changes.delivered, changes.added, changes.changed, changes.removed) == (3, 1, 1, 1)
    assert dataset.titles() == {"a": "one", "b": "two", "e": "one"}
    assert dataset.tombstones() == ["d"]
    assert dataset.state().quarantine == ("c.xml",)


def test_while_a_record_without_a_key_is_refused_nothing_vanishes(dataset):
    documents = replace(dataset.documents(), wants=lambda path: path.endswith(".xml") or path.endswith("]"))
    dataset.archives = [snapshot("v1", "1", a="one", b="one", c="one")]
    documents.apply(dataset.files())
    dataset.archives.append(snapshot("v2", "2", a="two"))
    dataset.archives[-1].members["record[#2]"] = Content(None, 1)
    applied = documents.apply(dataset.files())
    assert dataset.titles() == {"a": "two", "b": "one", "c": "one"}
    assert (applied.changes.changed, applied.changes.removed, applied.changes.held) == (1, 0, 2)
    assert "2 documents" in applied.problems[0]
    dataset.archives.append(snapshot("v3", "3", a="two", c="one"))
    assert documents.apply(dataset.files()).changes.removed == 1
    assert dataset.titles() == {"a": "two", "c": "one"}
    assert dataset.tombstones() == ["b"]


def test_another_parser_reads_every_member_again(dataset):
    dataset.archives = [snapshot("v1", "1", a="one", b="one")]
    dataset.run()
    recorder = Recorder()
    parser = Parser(recorder.parse, keep_first, "2", METADATA)
    replace(dataset.documents(), parser=parser).apply(dataset.files())
    assert sorted(recorder.members) == ["a.xml", "b.xml"]


_texts = st.sampled_from(["one", "two", "", None])
_paths = st.sampled_from(["a.xml", "b.xml", "m/a.xml", "z/a.xml", "m/b.xml"])
_snapshots = st.lists(
    st.dictionaries(_paths, st.builds(Content, _texts, st.just(1)), min_size=1), min_size=1, max_size=4
)


@given(versions=_snapshots, feeds=st.lists(st.sampled_from(["", "pro"]), min_size=4, max_size=4))
@settings(max_examples=10, deadline=None)
def test_passing_over_unchanged_members_gives_what_parsing_everything_gives(lake, versions, feeds):
    frugal, thorough = Dataset(lake), Dataset(lake)
    for number, (members, feed) in enumerate(zip(versions, feeds, strict=False)):
        archive = Archive(f"v{number}", "snapshot", str(number), members, feed=feed)
        for dataset in (frugal, thorough):
            dataset.archives.append(archive)
            # Another version of the parser at each run: nothing is passed over.
            dataset.parser_version = str(number) if dataset is thorough else "1"
            lake.open(dataset.name, {})
            try:
                dataset.run()
            except RefusedFileError:
                assert not any(content.title is not None for content in members.values())
        assert frugal.state() == thorough.state()
        assert frugal.tombstones() == thorough.tombstones()


def test_an_unreadable_version_of_a_feed_leaves_the_one_before_it_in_use(dataset):
    dataset.archives = [snapshot("p1", "1", "part", a="one"), snapshot("q1", "1", "pro", b="one")]
    dataset.run()
    dataset.archives += [
        replace(snapshot("p2", "2", "part"), ready=False),
        snapshot("q2", "2", "pro", b="two"),
    ]
    applied = dataset.run()
    assert dataset.titles() == {"a": "one", "b": "two"}
    assert applied.pending == dataset.lag() == ["p2"]
    assert "p2" in applied.problems[0]


def test_a_feed_lost_on_our_disk_does_not_remove_its_documents(dataset):
    dataset.archives = [snapshot("p1", "1", "part", a="one"), snapshot("q1", "1", "pro", b="one")]
    dataset.run()
    dataset.archives = [replace(archive, ready=archive.name != "q1") for archive in dataset.archives]
    applied = dataset.run()
    assert dataset.titles() == {"a": "one", "b": "one"}
    assert "q1" in applied.problems[0]

    dataset.archives = [replace(archive, ready=False) for archive in dataset.archives]
    assert len(dataset.run().problems) == 2
    assert dataset.titles() == {"a": "one", "b": "one"}


def test_a_hostile_member_is_refused_and_its_first_bytes_are_kept(dataset):
    dataset.archives = [stock(a="one")]

    def read(file: RawFile) -> Iterator[ArchiveMember]:
        yield from dataset.read(file)
        yield ArchiveMember("t/no-separator.xml", b"\x00" * 1_000, 1.0)
        yield ArchiveMember("../outside.xml", b"", 1.0, refusal="its path leads outside")

    changes = replace(dataset.documents(), read_members=read).apply(dataset.files()).changes
    assert (changes.delivered, changes.refused) == (1, 2)
    assert rows(
        dataset.lake, f"SELECT member, size, octet_length(content) FROM {dataset.name}.quarantine ORDER BY 1"
    ) == [("../outside.xml", 0, 0), ("t/no-separator.xml", 1_000, 100)]


@pytest.mark.parametrize("deliver", [stock, snapshot])
def test_what_was_purged_never_comes_in_again(dataset, deliver):
    with dataset.lake.transaction(dataset.name) as cursor:
        for doc_id in ("a", "c"):
            row = {"doc_id": doc_id, "reason": "asked for", "purged_by": "someone", "purged_at": utc_now()}
            insert_row(cursor, f"{dataset.name}.purged_documents", row)
    dataset.archives = [deliver("v1", "1", a="one", b="one", c=None, d=None)]
    changes = dataset.run().changes
    assert dataset.titles() == {"b": "one"}
    assert (changes.added, changes.purged, changes.refused) == (1, 2, 1)
    [(member,)] = rows(dataset.lake, f"SELECT member FROM {dataset.name}.quarantine")
    assert Path(member).stem == "d"

    dataset.parser_version = "2"
    assert dataset.run().changes.purged == 2
    later = deliver("v2", "2", a="two", b="two", e="two")
    dataset.archives.append(increment("v2", "2", a="two", b="two", e="two") if deliver is stock else later)
    assert dataset.run().changes.purged == 1
    dataset.archives.append(deliver("v3", "3", a="three", b="three"))
    assert dataset.run().changes.purged == 1
    assert dataset.titles() == {"b": "three"}
    assert not {"a", "c"} & set(dataset.tombstones())
