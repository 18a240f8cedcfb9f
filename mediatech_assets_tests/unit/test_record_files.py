"""What belongs here: cutting a JSON list or a CSV table into records, sound and damaged."""

import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.raw import record_files
from mediatech_assets.raw.record_files import cut_records
from mediatech_assets.records import ArchiveMember, CsvRecords, JsonRecords

SERVICES = JsonRecords(name="service", prefix="service.item", key="id")
SHEETS = JsonRecords(name="sheet", prefix="item", key="pubId")
TABLE = CsvRecords(name="dataset", key="id", key_pattern="[0-9a-f]{4}")


def cut(data: bytes, records: JsonRecords | CsvRecords) -> list[ArchiveMember]:
    return list(cut_records(io.BytesIO(data), records, 7.0))


def refusals(members: list[ArchiveMember]) -> list[tuple[str, str]]:
    return [(member.path, member.refusal) for member in members if member.refusal]


# ------------------------------------------------------------------ JSON


def test_every_object_of_the_list_becomes_a_member():
    data = (
        '{"version": 3, "service": [{"id": "a-1", "nom": "Mairie d’Œuf"}, {"id": "b"}], "after": []}'.encode()
    )

    assert cut(data, SERVICES) == [
        ArchiveMember("service[a-1]", '{"id": "a-1", "nom": "Mairie d’Œuf"}'.encode(), 7.0),
        ArchiveMember("service[b]", b'{"id": "b"}', 7.0),
    ]


def test_a_list_at_the_top_and_one_below_two_keys():
    deep = JsonRecords(name="x", prefix="a.b.item", key="id")

    assert [member.path for member in cut(b'[{"pubId": "p"}]', SHEETS)] == ["sheet[p]"]
    assert [member.data for member in cut(b'{"a": {"c": [1], "b": [2, 3]}}', deep)] == [b"2", b"3"]


@pytest.mark.parametrize("key", [None, "", 12, ["a"], "a\nb", "\ufeff", "x" * 201])
def test_an_object_without_a_usable_key_is_named_by_its_position(key):
    data = json.dumps([{"pubId": "first"}, {"pubId": key}, {}]).encode()

    assert [member.path for member in cut(data, SHEETS)] == ["sheet[first]", "sheet[#2]", "sheet[#3]"]


def test_what_is_no_object_is_still_a_record():
    members = cut(b'[null, true, "a", 1, 2.5, [3]]', SHEETS)

    assert [json.loads(member.data) for member in members] == [None, True, "a", 1, 2.5, [3]]
    assert not refusals(members)


def test_numbers_are_exact():
    (member,) = cut(b'[{"n": 123456789012345678901234567890, "x": 48.8566, "y": -0.0, "z": 1e3}]', SHEETS)

    assert member.data == b'{"n": 123456789012345678901234567890, "x": 48.8566, "y": -0.0, "z": 1000.0}'


@pytest.mark.parametrize("spaces", range(20))
@pytest.mark.parametrize("number", ["12345", "1.5", "1.5e+3", "-7"])
def test_a_number_that_is_cut_by_the_end_of_a_block_stays_whole(monkeypatch, number, spaces):
    monkeypatch.setattr(record_files, "_BLOCK", 16)
    (member,) = cut(f"[{' ' * spaces}{number}]".encode(), SHEETS)

    assert json.loads(member.data) == json.loads(number)


def test_an_object_that_no_utf8_text_can_hold_is_refused_alone():
    data = rb'[{"pubId": "a", "t": "\ud800"}, {"pubId": "b", "t": "\ud83d\ude00"}]'
    first, second = cut(data, SHEETS)

    assert (first.path, first.data) == ("sheet[a]", rb'{"pubId": "a", "t": "\ud800"}')
    assert first.refusal == "sheet 1 holds half a surrogate pair, which is no character"
    assert json.loads(second.data) == {"pubId": "b", "t": "😀"}


@pytest.mark.parametrize("number", ["1e400", "NaN", "-Infinity", "9" * 5000])
def test_an_object_with_a_number_beyond_json_is_refused_alone(number):
    first, second = cut(f'[{{"pubId": "a", "n": {number}}}, {{"pubId": "b"}}]'.encode(), SHEETS)

    assert first.refusal == "sheet 1 holds a number that is infinite, or none (NaN)"
    assert first.data == f'{{"pubId": "a", "n": {number}}}'.encode()
    assert not second.refusal


@pytest.mark.parametrize("data", [b"[]", b" [ ] \n", b"\xef\xbb\xbf[]"])
def test_an_empty_list_has_no_records(data):
    assert cut(data, SHEETS) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "ends too early"),
        (b'{"service": [{"id": "a"}, {"id": "b', "Unterminated string"),
        (b'{"service": [{"id": "a"}', "ends too early"),
        (b'{"service": [{"id": "a"},]}', "Expecting value, at character 26"),
        (b'{"service": [{"id": "a"} {"id": "b"}]}', "one of , ] was expected, at character 26"),
        (b'{"service" [1]}', "one of : was expected"),
        (b"{service: [1]}", "a key in quotes was expected"),
        (b'{"service": [1]} []', "something follows the end, at character 18"),
        (b'{"service": [1], "rest": }', "Expecting value"),
        (b'{"service": ["\xe9t\xe9"]}', "not UTF-8"),
        (b'{"service": ["a\xc3', "not UTF-8"),
        ('{"service": [1]}'.encode("utf-16"), "not UTF-8"),
        (b'{"service": ' + b"[" * 100_000, "nested too deep"),
        (b'{"service": [' + b'{"a":' * 100_000, "nested too deep"),
        (b"<!doctype html><html></html>", "no list at service"),
        (b"[1, 2]", "no list at service"),
        (b"null", "no list at service"),
        (b"{}", "no list at service"),
        (b'{"services": [1]}', "no list at service"),
        (b'{"service": {"item": [1]}}', "no list at service"),
        (b'{"service": "a"}', "no list at service"),
    ],
)
def test_a_file_that_is_no_such_list_is_refused(data, problem):
    with pytest.raises(RefusedFileError, match=problem):
        cut(data, SERVICES)


def test_a_list_that_lies_elsewhere_than_at_the_top_is_refused():
    with pytest.raises(RefusedFileError, match="no list at its top"):
        cut(b'{"item": [1]}', SHEETS)


def test_a_value_beyond_the_limit_refuses_the_file(monkeypatch):
    monkeypatch.setattr(record_files, "RECORD_LIMIT", 300_000)

    with pytest.raises(RefusedFileError, match="within 300,000 characters"):
        cut(b'["' + b"a" * 2_000_000 + b'"]', SHEETS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.lists(JSON), st.sampled_from([None, 2]), st.booleans(), st.integers(1, 60))
@example([1.5e300, 2], None, True, 1)
def test_any_list_comes_back_whatever_the_blocks(items, indent, is_ascii, block):
    data = json.dumps({"a": items, "service": items}, ensure_ascii=is_ascii, indent=indent).encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_files, "_BLOCK", block)
        members = cut(data, SERVICES)

    assert [json.loads(member.data) for member in members] == items
    assert not refusals(members)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    for records in (SHEETS, SERVICES, TABLE):
        with suppress(RefusedFileError):
            assert all(member.data and member.path for member in cut(data, records))


# ------------------------------------------------------------------ CSV

HEADER = b'"id";"title";"views"\r\n'


def test_a_row_is_a_json_object_of_texts():
    members = cut(HEADER + '"00aa";"Arbres « remarquables »";2\r\n"00bb";"";\r\n'.encode(), TABLE)

    assert members == [
        ArchiveMember(
            "dataset[00aa]", '{"id": "00aa", "title": "Arbres « remarquables »", "views": "2"}'.encode(), 7.0
        ),
        ArchiveMember("dataset[00bb]", b'{"id": "00bb", "title": "", "views": ""}', 7.0),
    ]


def test_values_hold_line_ends_delimiters_quotes_and_empty_lines():
    text = 'a;b\r\n\r\n"c"\n0123;not a row\n"'
    quoted = text.replace('"', '""')
    (member,) = cut(HEADER + f'"00aa";"{quoted}";1\n'.encode(), TABLE)

    assert json.loads(member.data)["title"] == text


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n"])
def test_line_ends_a_byte_order_mark_and_empty_lines(line_end, end):
    lines = [b"\xef\xbb\xbfid;title", b"", b"00aa;A", b"", b'"00bb";"B"']

    assert [member.path for member in cut(line_end.join(lines) + end, TABLE)] == [
        "dataset[00aa]",
        "dataset[00bb]",
    ]


def test_a_table_without_rows_is_legal():
    assert cut(HEADER, TABLE) == []


def test_a_row_with_another_key_is_given_by_position_or_by_its_key():
    members = cut(b"id;title\nzzzz;A\n;B\n", TABLE)

    assert [member.path for member in members] == ["dataset[zzzz]", "dataset[#2]"]
    assert not refusals(members)


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b'"00bb";"B;2\r\nmore;3\r\n', "a quote is opened and never closed"),
        (b'"00bb";B";2\r\n', "a quote is opened and never closed"),
        (b'"00bb";B "x" y;2\r\n', "a quote or a line end stands inside a value"),
        (b'"00bb";"B" ;2\r\n', "a quote or a line end stands inside a value"),
        (b'"00bb";"B"\r\n', "it has 2 values and the header has 3"),
        (b'"00bb";"B";2;3\r\n', "it has 4 values and the header has 3"),
        (b'"00bb";"B\r\n\r\ntext";"x\r\n', "a quote is opened and never closed"),
        (b'"00bb";first";2\r\nsecond";"x"\r\nthird\r\n', "a quote or a line end stands inside a value"),
        (b'"00bb";"\xe9t\xe9";2\r\n', "it is not UTF-8 (invalid continuation byte at its byte 9)"),
        (b'"00bb";"B";2\r2\r\n', "a quote or a line end stands inside a value"),
    ],
)
def test_a_damaged_row_is_refused_alone(damaged, reason):
    data = HEADER + b'"00aa";"A\n2";1\r\n' + damaged + b'"00cc";"C";3\r\n'
    first, second, third = cut(data, TABLE)

    assert (first.path, first.refusal) == ("dataset[00aa]", "")
    assert (second.path, second.data) == ("dataset[00bb]", damaged)
    assert second.refusal.startswith(f"row 2 (line 4): {reason}")
    assert (third.path, third.refusal) == ("dataset[00cc]", "")
    assert json.loads(third.data) == {"id": "00cc", "title": "C", "views": "3"}


@pytest.mark.parametrize(
    ("start", "path"),
    [(b'00bb";', "dataset[00bb]"), (b'"00bb;', "dataset[00bb]"), (b'0"0bb";', "dataset[#2]")],
)
def test_a_row_whose_key_is_damaged_is_refused_alone(start, path):
    members = cut(HEADER + b'"00aa";"A";1\r\n' + start + b'"B";2\r\n"00cc";"C";3\r\n', TABLE)

    assert [member.path for member in members] == ["dataset[00aa]", path, "dataset[00cc]"]
    assert [refused for refused, _ in refusals(members)] == [path]


def test_a_last_row_whose_quote_stays_open_is_refused():
    members = cut(HEADER + b'"00aa";"A";1\r\n"00bb";"B\r\nand more\r\n', TABLE)

    assert refusals(members) == [
        ("dataset[00bb]", "row 2 (line 3): a quote is opened and never closed"),
    ]


@pytest.mark.parametrize("end", [b'"00bb";"B and mo', b'"00bb"', b'"00bb";"B";2;3'])
def test_a_table_that_stops_within_a_line_is_truncated_and_refused(end):
    # What followed is lost: to go on would take all of it for vanished.
    with pytest.raises(RefusedFileError, match=r"ends within its row 2 \(line 3\)"):
        cut(HEADER + b'"00aa";"A";1\r\n' + end, TABLE)


@pytest.mark.parametrize("word", [b"word\n", b"word"])
def test_a_row_beyond_the_limit_is_refused_with_its_beginning(monkeypatch, word):
    monkeypatch.setattr(record_files, "RECORD_LIMIT", 1000)
    huge = b'"00bb";"' + word * 100_000 + b'";2\n'
    first, second, third = cut(HEADER + b'"00aa";"A";1\n' + huge + b'"00cc";"C";3\n', TABLE)

    assert not first.refusal
    assert second.refusal == "row 2 (line 3): it is larger than 1,000 bytes"
    assert second.path == "dataset[00bb]"
    assert len(second.data) <= 2001
    assert not third.refusal


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the table has no header line"),
        (b"\r\n\n", "the table has no header line"),
        (b"<!doctype html>\n<html></html>\n", "the first column of the table is '<!doctype html>'"),
        (b"title;id\nA;00aa\n", "the first column of the table is 'title'"),
        (b"id,title\n00aa,A\n", "the first column of the table is 'id,title'"),
        (b"id;title;title\n", "has the column 'title' twice"),
        (b'id;"title\n00aa;A\n', "the header of the table cannot be read: a quote is opened"),
        (b"id;titr\xe9\n", "the header of the table cannot be read: it is not UTF-8"),
        ("id;title\n".encode("utf-16"), "the header of the table cannot be read: it is not UTF-8"),
    ],
)
def test_a_table_without_a_readable_header_is_refused(data, problem):
    with pytest.raises(RefusedFileError, match=problem):
        cut(data, TABLE)


CELLS = st.text(alphabet=st.sampled_from('ab é;"\n\r\t,|'), max_size=8) | st.text(
    st.characters(codec="utf-8"), max_size=8
)
ROWS = st.lists(st.tuples(CELLS, CELLS), max_size=6)


def table_lines(rows: list[tuple[str, str]], quoting: Literal[0, 1, 2]) -> list[bytes]:
    """Lines of a table as the standard library writes it, the header first."""
    lines = []
    for row in [("id", "title", "views"), *((f"{n:04x}", *cells) for n, cells in enumerate(rows))]:
        line = io.StringIO()
        csv.writer(line, delimiter=";", lineterminator="\r\n", quoting=quoting).writerow(row)
        lines.append(line.getvalue().encode())
    return lines


@given(ROWS, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL]))
def test_any_table_comes_back(rows, quoting):
    members = cut(b"".join(table_lines(rows, quoting)), TABLE)

    assert not refusals(members)
    assert [tuple(json.loads(member.data).values()) for member in members] == [
        (f"{n:04x}", *cells) for n, cells in enumerate(rows)
    ]


@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    st.data(),
    st.binary(min_size=1, max_size=3) | st.sampled_from([b'"', b'""', b";", b'";"', b"\n", b"\r\n"]),
)
def test_damage_after_a_row_s_key_never_harms_another_row(rows, data, noise):
    header, *lines = table_lines(rows, csv.QUOTE_ALL)
    struck = data.draw(st.integers(0, len(lines) - 1))
    line = lines[struck]
    # The key and the line's end stay: they are what a row is found by.
    start = data.draw(st.integers(len('"0000";'), len(line) - 2))
    end = data.draw(st.integers(start, len(line) - 2))
    damaged = line[:start] + noise + line[end:]
    members = cut(b"".join([header, *lines[:struck], damaged, *lines[struck + 1 :]]), TABLE)

    # Damage that leaves a whole row before a line break: what comes behind is refused on its own.
    cut_off = [member for member in members if member.path.startswith("dataset[#")]
    assert all(member.refusal and member.data in damaged for member in cut_off)
    members = [member for member in members if member not in cut_off]
    assert len(members) == len(rows)
    for number, (member, cells) in enumerate(zip(members, rows, strict=True)):
        assert member.path == f"dataset[{number:04x}]"
        if number != struck:
            assert not member.refusal
            assert tuple(json.loads(member.data).values())[1:] == cells
        elif member.refusal:
            assert member.data == damaged
            assert member.refusal.startswith(f"row {number + 1} (line ")


# ------------------------------------------------------------------ memory


class GeneratedFile(io.RawIOBase):
    """A file that is made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def service_pieces(count: int) -> Iterator[bytes]:
    yield b'{"service": ['
    for number in range(count):
        yield (", " if number else "").encode() + json.dumps({"id": str(number), "t": "é’x" * 800}).encode()
    yield b"]}"


def row_pieces(count: int) -> Iterator[bytes]:
    line = "ligne d’été" * 300
    yield HEADER
    for number in range(count):
        yield f'"{number:04x}";"{line}";1\r\n'.encode()


@pytest.mark.parametrize(("pieces", "records"), [(service_pieces, SERVICES), (row_pieces, TABLE)])
def test_memory_does_not_grow_with_the_file(
    pieces: Callable[[int], Iterator[bytes]], records: JsonRecords | CsvRecords
):
    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            file = io.BufferedReader(GeneratedFile(pieces(count)))
            members = sum(1 for _ in cut_records(file, records, 0.0))
            assert members == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(100), peak(2000)  # the second has about 10 MB

    assert large < small + 500_000
    assert large < 5_000_000
