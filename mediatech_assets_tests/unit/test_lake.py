"""The lake: what is written is there, whole, for every process, wherever the folder lies."""

import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from mediatech_assets import __version__
from mediatech_assets.errors import LakeError
from mediatech_assets.lake import Lake
from mediatech_assets.lake.connection import create_table_sql, quoted, sql_type
from mediatech_assets.schemas import LAKE_FORMAT, SECTION, column
from mediatech_assets_tests.tiny import new_lake, rows

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = {"numbers": pa.schema([column("number", pa.int64(), "A number.")])}
VALUES = pa.schema(
    [
        column("text", pa.string(), "Text."),
        column("sections", pa.list_(SECTION), "Sections."),
        column("vector", pa.list_(pa.float32()), "Vector."),
        column("measure", pa.float64(), "Number."),
        column("flag", pa.bool_(), "Truth."),
        column("bytes", pa.binary(), "Bytes."),
    ]
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("lake"))
    lake.open("numbers", NUMBERS)
    yield lake
    lake.close()


def add(lake: Lake, *numbers: int, catalog: str = "numbers") -> None:
    with lake.transaction(catalog) as cursor:
        cursor.executemany(f"INSERT INTO {catalog}.numbers VALUES (?)", [[number] for number in numbers])


def numbers(lake: Lake) -> list[int]:
    return [number for (number,) in rows(lake, "SELECT number FROM numbers.numbers ORDER BY 1")]


def _write_until_interrupted(lake: Lake) -> None:
    with lake.transaction("numbers") as cursor:
        cursor.execute("INSERT INTO numbers.numbers VALUES (41)")
        cursor.execute("DELETE FROM numbers.numbers WHERE number <> 41")
        raise KeyboardInterrupt


def test_an_exception_rolls_everything_back(shared):
    before = numbers(shared)
    with pytest.raises(KeyboardInterrupt):
        _write_until_interrupted(shared)
    assert numbers(shared) == before
    add(shared, 7)
    assert numbers(shared) == sorted([*before, 7])


def test_a_missing_catalog_that_is_only_read_names_the_command(tmp_path):
    lake = Lake(tmp_path / "lake", tmp_path / "locks", read_only=True)
    with pytest.raises(LakeError, match="legi") as raised:
        lake.open("legi", {})
    assert "mediatech update --datasets legi" in raised.value.remedy
    assert not (tmp_path / "lake" / "legi.sqlite").exists()


def test_a_catalog_that_failed_at_its_first_look_can_be_opened_later(tmp_path):
    # A step is tried twice: "already exists" at the second try hid why the first one had failed.
    whole = new_lake(tmp_path)
    whole.open("numbers", NUMBERS)
    whole.cursor().execute("ALTER TABLE numbers.lake_format RENAME COLUMN written_by TO author")
    other = new_lake(tmp_path)
    for _ in range(2):
        with pytest.raises(LakeError, match="written_by"):
            other.open("numbers", NUMBERS)
    whole.cursor().execute("ALTER TABLE numbers.lake_format RENAME COLUMN author TO written_by")
    other.open("numbers", NUMBERS)
    add(other, 1)
    assert numbers(whole) == [1]
    whole.close()
    other.close()


def test_a_reader_cannot_write(tmp_path):
    writer = new_lake(tmp_path)
    writer.open("numbers", NUMBERS)
    add(writer, 1)
    writer.close()
    reader = Lake(tmp_path / "lake", tmp_path / "locks", read_only=True)
    reader.open("numbers", {**NUMBERS, "new": NUMBERS["numbers"]})
    assert numbers(reader) == [1]
    assert not reader.has_table("numbers", "new")
    with pytest.raises(Exception, match="read-only"):
        add(reader, 2)
    reader.close()


def test_a_lake_of_a_later_version_is_refused_again_and_again_and_stays_as_it_is(tmp_path):
    lake = new_lake(tmp_path)
    lake.open("numbers", NUMBERS)
    with lake.transaction("numbers") as cursor:
        cursor.execute("UPDATE numbers.lake_format SET format = ?, written_by = '9.9.9'", [LAKE_FORMAT + 1])
    lake.close()
    for _ in range(2):
        with pytest.raises(LakeError) as raised:
            lake.open("numbers", {**NUMBERS, "other": NUMBERS["numbers"]})
        for said in ("9.9.9", __version__, str(LAKE_FORMAT + 1), "numbers.sqlite"):
            assert said in raised.value.problem
        assert "upgrade" in raised.value.remedy
    lake.close()


def test_a_file_that_is_no_catalog_is_named(tmp_path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "legi.sqlite").write_bytes(b"not a database, and long enough to be looked at" * 50)
    lake = new_lake(tmp_path)
    with pytest.raises(LakeError, match=r"legi\.sqlite"):
        lake.open("legi", NUMBERS)
    lake.close()


def test_a_home_that_was_moved_opens(tmp_path):
    lake = new_lake(tmp_path / "before")
    lake.open("numbers", NUMBERS)
    add(lake, 1, 2)
    lake.close()
    shutil.move(tmp_path / "before", tmp_path / "after")
    moved = new_lake(tmp_path / "after")
    moved.open("numbers", NUMBERS)
    add(moved, 3)
    assert numbers(moved) == [1, 2, 3]
    moved.close()
    assert not (tmp_path / "before").exists()


def test_values_come_back_as_they_were(tmp_path):
    lake = new_lake(tmp_path)
    lake.open("values", {"things": VALUES})
    section = {
        "text": "L'« été »\n\t|",
        "context": ["a", 'b"c'],
        "kind": None,
        "attributes": [("numéro", "L. 1")],
    }
    given = [
        {
            "text": '\'); DROP TABLE things; -- "quoted" 😀 \x00\ttab',
            "sections": [section, {**section, "context": [], "attributes": []}],
            "vector": [0.0, -0.0, math.inf, 1e-45, 3.4028234663852886e38],
            "measure": math.nan,
            "flag": True,
            "bytes": bytes(range(256)),
        },
        {"text": "", "sections": [], "vector": [], "measure": -math.inf, "flag": False, "bytes": b""},
        dict.fromkeys(VALUES.names),
    ]
    table = pa.Table.from_pylist(given, schema=VALUES)
    with lake.transaction("values") as cursor:
        cursor.register("incoming", table)
        cursor.execute('INSERT INTO "values".things SELECT * FROM incoming')
    found = lake.cursor().execute('SELECT * FROM "values".things ORDER BY rowid').to_arrow_table().to_pylist()
    assert repr(found) == repr(table.to_pylist())  # NaN is not equal to itself, and 0.0 is equal to -0.0
    lake.close()


def test_two_processes_that_write_one_catalog_lose_nothing(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from mediatech_assets_tests.unit.test_lake import NUMBERS, add, new_lake\n"
        "lake = new_lake(Path(sys.argv[1])); first = int(sys.argv[2])\n"
        "lake.open('numbers', NUMBERS)\n"
        "for number in range(first, first + 8): add(lake, number)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(first)], cwd=ROOT)
        for first in (0, 100)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    lake = new_lake(tmp_path)
    lake.open("numbers", NUMBERS)
    assert numbers(lake) == [*range(8), *range(100, 108)]
    lake.close()


def test_a_closed_lake_opens_again(tmp_path):
    lake = new_lake(tmp_path)
    assert lake.catalogs() == []
    for expected in ([1], [1, 2]):
        lake.open("numbers", NUMBERS)
        add(lake, expected[-1])
        assert numbers(lake) == expected
        lake.close()
    assert lake.exists("numbers")
    assert lake.catalogs() == ["numbers"]


def test_names_and_types_in_sql():
    assert quoted('a"b') == '"a""b"'
    schema = pa.schema(
        [column("doc id", pa.string(), "Key.", nullable=False), column("n", pa.list_(SECTION), "")]
    )
    assert create_table_sql("t", schema) == (
        'CREATE TABLE t ("doc id" VARCHAR NOT NULL, "n" STRUCT("text" VARCHAR, "context" VARCHAR[], '
        '"kind" VARCHAR, "attributes" MAP(VARCHAR, VARCHAR))[])'
    )
    with pytest.raises(TypeError, match="decimal"):
        sql_type(pa.decimal128(5))
