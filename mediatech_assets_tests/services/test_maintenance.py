"""Upkeep of a catalog: fewer files, the same rows for every reader, and what a release names stays readable."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mediatech_assets.errors import LakeError
from mediatech_assets.lake import Lake
from mediatech_assets.lake.maintenance import GRACE, Compaction, compact
from mediatech_assets.schemas import column
from mediatech_assets_tests.tiny import new_lake, rows

ROOT = Path(__file__).resolve().parents[2]
TABLE = pa.schema([column("number", pa.int64(), "A number."), column("text", pa.string(), "A text.")])
TABLES = {"things": TABLE, "others": TABLE}
AT_ONCE = timedelta(0)


@dataclass(frozen=True)
class Work:
    """A catalog with two tables, and what a test asks of it."""

    lake: Lake
    name: str
    folder: Path

    def add(self, first: int, count: int = 10, table: str = "things") -> int:
        """Adds rows in one commit; gives its snapshot."""
        with self.lake.transaction(self.name) as cursor:
            values = f"SELECT i, 'texte ' || i FROM range({first}, {first + count}) r(i)"
            cursor.execute(f"INSERT INTO {self.name}.{table} {values}")
        return max(self.snapshots())

    def change(self, *statements: str) -> None:
        with self.lake.transaction(self.name) as cursor:
            for statement in statements:
                cursor.execute(statement.replace("things", f"{self.name}.things"))

    def compact(self, *keep: int, grace: timedelta = AT_ONCE, **options: Any) -> Compaction:
        return compact(self.lake, self.name, keep, grace=grace, **options)

    def snapshots(self) -> set[int]:
        sql = f"SELECT snapshot_id FROM ducklake_snapshots('{self.name}')"
        return {number for (number,) in rows(self.lake, sql)}

    def things(self, version: int | None = None) -> list[tuple[int, str]]:
        at = f" AT (VERSION => {version})" if version is not None else ""
        return rows(self.lake, f"SELECT number, text FROM {self.name}.things{at} ORDER BY 1")  # type: ignore[return-value]

    def numbers(self, version: int | None = None) -> list[int]:
        return [number for number, _ in self.things(version)]

    def files(self) -> set[Path]:
        return set(self.folder.rglob("*.parquet"))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("maintenance")


@pytest.fixture(scope="module")
def lake(home) -> Iterator[Lake]:
    lake = new_lake(home)
    yield lake
    lake.close()


@pytest.fixture
def work(lake, home) -> Work:
    """A new catalog of the shared lake."""
    name = f"work{len(lake.catalogs())}"
    lake.open(name, TABLES)
    return Work(lake, name, home / "lake" / name)


def test_many_small_commits_become_few_files_with_the_same_rows(work):
    made = [work.add(first * 10) for first in range(12)]
    expected = work.things()
    done = work.compact()
    assert (done.files_before, done.files_after) == (13, 2)  # the other one is `lake_format`
    assert done.bytes_after < done.bytes_before
    assert done.snapshots_expired >= 11
    assert done.files_removed == 12
    assert len(work.files()) == 2
    assert work.things() == expected
    assert work.snapshots() & set(made) == {made[-1]}
    assert work.compact() == Compaction(2, 2, done.bytes_after, done.bytes_after, 0, 0)

    work.add(500)
    work.add(600)
    assert work.compact().files_after == 2
    assert work.numbers() == [*range(120), *range(500, 510), *range(600, 610)]


def test_named_snapshots_stay_readable_and_their_rows_as_they_were(work):
    work.add(0)
    kept = work.add(10)
    before = work.things()
    work.change("DELETE FROM things WHERE number < 15", "UPDATE things SET text = 'autre'")
    work.add(20)
    others = work.snapshots() - {kept}
    for _ in range(2):
        work.compact(kept, 9_999)
        assert work.things(kept) == before
        assert work.numbers() == list(range(15, 30))
    assert kept in work.snapshots()
    assert len(others & work.snapshots()) < len(others)


def test_the_newest_change_of_each_dated_table_stays(work):
    work.add(0, table="others")
    other = work.add(10, table="others")
    work.add(20)
    thing = work.add(30)
    for _ in range(2):
        work.compact()
        assert {other, thing} <= work.snapshots()
    assert not {other - 1, thing - 1} & work.snapshots()
    work.compact(dated_tables=("things", "unknown"))
    assert {other, thing} & work.snapshots() == {thing}
    work.compact(dated_tables=())
    assert len(work.snapshots()) == 1


def test_deleted_rows_leave_the_disk(work):
    work.add(0, 20_000)
    work.change("DELETE FROM things WHERE number % 2 = 0")
    before = sum(path.stat().st_size for path in work.files())
    done = work.compact(dated_tables=())
    assert (done.files_before, done.files_after) == (3, 2)
    assert sum(path.stat().st_size for path in work.files()) < 0.7 * before
    assert work.numbers() == list(range(1, 20_000, 2))


def test_what_is_young_stays_for_those_who_read_it(work):
    for first in range(4):
        work.add(first * 10)
    with work.lake.cursor() as reader:
        reader.execute("BEGIN")
        sql = f"SELECT count(*), sum(strlen(text)) FROM {work.name}.things"
        seen = reader.execute(sql).fetchall()
        present, before = work.files(), work.snapshots()
        orphan = work.folder / "main" / "things" / "ducklake-left-by-a-killed-writer.parquet"
        orphan.write_bytes(b"PAR1")
        done = work.compact(grace=GRACE)
        assert (done.files_after, done.snapshots_expired, done.files_removed) == (2, 0, 0)
        assert present < work.files()
        assert orphan.is_file()
        assert before < work.snapshots()
        work.add(90)
        assert reader.execute(sql).fetchall() == seen
        reader.execute("COMMIT")
        assert reader.execute(sql).fetchall() != seen
    done = work.compact()
    assert not orphan.exists()
    assert done.files_removed == 4 + 1 + 2
    assert work.numbers() == [*range(40), *range(90, 100)]


READER = """
import sys
from pathlib import Path
from mediatech_assets.lake import Lake
home, name = Path(sys.argv[1]), sys.argv[2]
lake = Lake(home / "lake", home / "locks", read_only=True)
lake.open(name, {})
seen, looks = 0, 0
print("reading", flush=True)
while not (home / "stop").exists() or looks < 3:
    count, total, last = lake.cursor().execute(
        f"SELECT count(*), sum(number), max(number) FROM {name}.things WHERE text = 'texte ' || number").fetchone()
    assert count == last + 1 >= seen and total == last * (last + 1) // 2, (count, total, last, seen)
    seen, looks = count, looks + 1
print(seen)
"""
WRITER = """
import sys
from pathlib import Path
from mediatech_assets_tests.services.test_maintenance import Work, new_lake
work = Work(new_lake(Path(sys.argv[1])), sys.argv[2], Path())
work.lake.open(work.name, {})
for first in range(100, 200, 10):
    work.add(first)
"""


def test_readers_and_writers_of_other_processes_notice_nothing(work, home):
    for first in range(10):
        work.add(first * 10)

    def start(program: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, str(home), work.name]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)

    reader = start(READER)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    writer = start(WRITER)
    runs = 0
    while writer.poll() is None:
        work.compact(grace=timedelta(minutes=1))
        runs += 1
    assert writer.wait() == 0
    (home / "stop").touch()
    output, _ = reader.communicate(timeout=60)
    assert (reader.returncode, output) == (0, "200\n")
    assert runs > 1
    assert work.compact().files_after == 2
    assert work.numbers() == list(range(200))


def test_a_file_that_is_missing_is_an_error_and_the_lake_goes_on(work):
    work.add(0)
    work.add(10)
    work.add(20, table="others")
    hidden = next(iter((work.folder / "main" / "things").glob("*.parquet")))
    hidden.rename(hidden.with_suffix(".away"))
    with pytest.raises(LakeError, match=f"upkeep of the {work.name} catalog failed"):
        work.compact()
    hidden.with_suffix(".away").rename(hidden)
    work.lake.open(work.name, {})
    assert work.numbers() == list(range(20))
    assert work.compact().files_after == 3


def test_a_catalog_that_is_none_is_named(lake, home):
    broken = home / "lake" / "broken.sqlite"
    broken.write_bytes(b"not a database, and long enough to be looked at" * 50)
    with pytest.raises(LakeError, match=r"broken\.sqlite"):
        compact(lake, "broken")
    broken.unlink()
