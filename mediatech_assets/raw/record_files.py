"""Cutting a big file into its records while it is read: a JSON list object by object, a CSV table row by row.

What belongs here: the grammar of the two formats, and where a record begins and ends. What does not: what a
record says (`datasets/`), and where the file lies (`archives.py`).

Memory holds one record at a time. A record that cannot be read is refused alone wherever the format lets us
find the next one: always in a table, whose rows begin with a key; in a JSON list when its grammar is right.
Other damage refuses the file, since going on would take all that comes after it for vanished.
"""

import codecs
import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, BinaryIO, NoReturn

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.records import ArchiveMember, CsvRecords, JsonRecords

#: Bytes (of a row) or characters (of a JSON value) that a record may have. The largest that the upstreams
#: publish has a few hundred thousand: more is damage or a bomb.
RECORD_LIMIT = 16 * 1024 * 1024

#: A longer key is no name; the record is then named by its position.
_KEY_LIMIT = 200

_BLOCK = 1 << 17
_BYTE_ORDER_MARK = "\ufeff"
_JSON_SPACES = re.compile(r"[ \t\n\r]*")
#: Characters of an unfinished exponent (`e+`): a number that ends so close to what was read may go on.
_UNFINISHED_NUMBER = 2

_AGAIN = "nothing of it was used; run again to download it anew, and tell the publisher if it stays so"
_CHANGED = (
    "nothing of it was used; the publisher has changed the format: compare the file with the dataset's module"
)


def cut_records(
    stream: BinaryIO, records: JsonRecords | CsvRecords, modified: float
) -> Iterator[ArchiveMember]:
    """The records of a file, in its order, each as a member of its own.

    Args:
        stream: The file's bytes, from the start.
        records: How it is cut.
        modified: Time of the file, seconds since 1970 UTC.

    Yields:
        Each record as JSON (UTF-8) under the path `<name>[<key>]`, or `<name>[#<position from 1>]` when it has
        no usable key. One that cannot be read comes with its reason and its bytes as published.

    Raises:
        RefusedFileError: the file is truncated or broken, holds no such list or table, or is not UTF-8. Records
            given before must then not be used either.
    """
    return (record.member for record in placed_records(stream, records, modified))


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A record and where it stands in its file.

    Args:
        member: The record.
        start: Where it begins, in characters behind a byte order mark (JSON) or in bytes (CSV).
        end: Where it ends; of a row, behind its line end.
    """

    member: ArchiveMember
    start: int
    end: int


def placed_records(
    stream: BinaryIO, records: JsonRecords | CsvRecords, modified: float
) -> Iterator[PlacedRecord]:
    """As `cut_records`, with the place of each record."""
    if isinstance(records, JsonRecords):
        return _cut_json(stream, records, modified)
    return _cut_csv(stream, records, modified)


def write_without(
    stream: BinaryIO,
    records: JsonRecords | CsvRecords,
    holds: Callable[[ArchiveMember], bool],
    target: BinaryIO,
) -> int:
    """Copies a file without some of its records; everything else keeps its bytes.

    Args:
        stream: The file, which is read twice.
        records: How it is cut.
        holds: Whether a record is left out.
        target: Where the copy goes.

    Returns:
        Records left out.

    Raises:
        RefusedFileError: as `cut_records`.
    """
    placed = placed_records(stream, records, 0.0)
    if isinstance(records, JsonRecords):
        holes, count = _json_holes(placed, holds)
        stream.seek(0)
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            _copy_text(text, holes, target)
        finally:
            text.detach()
    else:
        holes = [(record.start, record.end) for record in placed if holds(record.member)]
        count = len(holes)
        stream.seek(0)
        for kept, gap in _pieces(holes):
            _copy_bytes(stream, kept, target)
            stream.seek(gap, io.SEEK_CUR)
    return count


def _json_holes(
    placed: Iterable[PlacedRecord], holds: Callable[[ArchiveMember], bool]
) -> tuple[list[tuple[int, int]], int]:
    """What to leave out of a list, each record with the comma that belongs to it, and the number of records."""
    holes: list[tuple[int, int]] = []
    count, kept_end = 0, None
    dropped: PlacedRecord | None = None
    for record in placed:
        if dropped is not None:
            holes.append((dropped.start, record.start))
        dropped = record if holds(record.member) else None
        count += dropped is not None
        kept_end = kept_end if dropped is not None else record.end
    if dropped is not None:  # the last one: the comma before it goes, and what was dropped right before it
        first = dropped.start if kept_end is None else kept_end
        holes = [hole for hole in holes if hole[1] <= first]
        holes.append((first, dropped.end))
    return holes, count


def _pieces(holes: Sequence[tuple[int, int]]) -> Iterator[tuple[int | None, int]]:
    """How much stays before each hole, and how much the hole has; what stays behind the last one has no length."""
    place = 0
    for start, end in holes:
        yield start - place, end - start
        place = end
    yield None, 0


def _copy_text(text: io.TextIOWrapper, holes: Sequence[tuple[int, int]], target: BinaryIO) -> None:
    pending = text.read(1)
    if pending == _BYTE_ORDER_MARK:  # places are counted behind it
        target.write(pending.encode())
        pending = ""
    for kept, gap in _pieces(holes):
        pending = _pass_text(text, pending, kept, target)
        pending = _pass_text(text, pending, gap, None)


def _pass_text(text: io.TextIOWrapper, pending: str, length: int | None, target: BinaryIO | None) -> str:
    """Takes so many characters, all when no length is given, and gives back what was read beyond them."""
    while length is None or length > 0:
        piece = pending or text.read(_BLOCK)
        if not piece:
            return ""
        taken = piece if length is None else piece[:length]
        pending = piece[len(taken) :]
        length = None if length is None else length - len(taken)
        if target is not None:
            target.write(taken.encode())
    return pending


def _copy_bytes(stream: BinaryIO, length: int | None, target: BinaryIO) -> None:
    while length is None or length > 0:
        piece = stream.read(_BLOCK if length is None else min(_BLOCK, length))
        if not piece:
            return
        target.write(piece)
        length = None if length is None else length - len(piece)


def _path(name: str, key: object, position: int) -> str:
    is_name = isinstance(key, str) and 0 < len(key) <= _KEY_LIMIT and key.isprintable()
    return f"{name}[{key}]" if is_name else f"{name}[#{position}]"


# ------------------------------------------------------------------ JSON


def _cut_json(stream: BinaryIO, records: JsonRecords, modified: float) -> Iterator[PlacedRecord]:
    text = _JsonText(stream)
    *keys, _ = records.prefix.split(".")
    for position, (value, written) in enumerate(_items_below(text, keys, keys), start=1):
        key = value.get(records.key) if isinstance(value, dict) else None
        path = _path(records.name, key, position)
        try:
            data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            refusal = _unwritable(records.name, position, error)
            member = ArchiveMember(path, written.encode(), modified, refusal)
        else:
            member = ArchiveMember(path, data, modified)
        yield PlacedRecord(member, text.place - len(written), text.place)
    text.require_end()


def _unwritable(name: str, position: int, error: Exception) -> str:
    """Why what the grammar allows cannot be passed on."""
    if isinstance(error, UnicodeEncodeError):
        return f"{name} {position} holds half a surrogate pair, which is no character"
    if isinstance(error, RecursionError):
        return f"{name} {position} is nested too deep"
    return f"{name} {position} holds a number that is infinite, or none (NaN)"


def _items_below(text: "_JsonText", keys: list[str], prefix: list[str]) -> Iterator[tuple[Any, str]]:
    """Items of the list that lies under `keys`, each with the text it was read from.

    Args:
        text: The file, at the start of a value.
        keys: What still lies between that value and the list.
        prefix: All keys above the list, for the message.
    """
    start, is_found = text.peek(), False
    if not keys and start == "[":
        is_found = True
        yield from text.list_items()
    elif keys and start == "{":
        for key in text.object_keys():
            if key == keys[0]:
                is_found = True
                yield from _items_below(text, keys[1:], prefix)
            else:
                text.value()
    elif start == "":
        text.refuse("it ends too early")
    if not is_found:
        place = f"at {'.'.join(prefix)}" if prefix else "at its top"
        raise RefusedFileError(f"the file holds no list {place}", _CHANGED)


class _JsonText:
    """JSON read piece by piece from a stream of bytes.

    Values are read whole by the standard library, again from their start when they go on after what was read:
    it keeps every number and surrogate as published, which faster stream parsers do not.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder(parse_int=_whole_number, parse_constant=float).raw_decode
        self._text = ""
        self._at = 0
        self._passed = 0
        self._has_ended = False

    @property
    def place(self) -> int:
        """Characters read so far, behind a byte order mark."""
        return self._passed + self._at

    def object_keys(self) -> Iterator[Any]:
        """Keys of the object that comes next; whoever iterates reads each one's value."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        while True:
            if self.peek() != '"':
                self._refuse_at("a key in quotes was expected", self._at)
            key, _ = self.value()
            self._take(":")
            yield key
            if self._take(",}") == "}":
                return

    def list_items(self) -> Iterator[tuple[Any, str]]:
        """Items of the list that comes next, each with the text it was read from."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            yield self.value()
            if self._take(",]") == "]":
                return

    def value(self) -> tuple[Any, str]:
        """The value that comes next, and the text it was read from."""
        self.peek()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._read_on():
                    continue
                self._refuse_at(error.msg, error.pos)
            except RecursionError:
                self._refuse_at("brackets are nested too deep", self._at)
            if len(self._text) - end <= _UNFINISHED_NUMBER and self._read_on():
                continue
            written = self._text[self._at : end]
            self._at = end
            return value, written

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            spaces = _JSON_SPACES.match(self._text, self._at)
            self._at = spaces.end() if spaces else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def require_end(self) -> None:
        """Refuses the file when anything follows."""
        if self.peek():
            self._refuse_at("something follows the end", self._at)

    def refuse(self, detail: str) -> NoReturn:
        """Refuses the file."""
        raise RefusedFileError(f"the file is no complete JSON ({detail})", _AGAIN)

    def _take(self, expected: str) -> str:
        found = self.peek()
        if not found or found not in expected:
            self._refuse_at(f"one of {' '.join(expected)} was expected", self._at)
        self._at += 1
        return found

    def _refuse_at(self, detail: str, place: int) -> NoReturn:
        if self._has_ended and place >= len(self._text):
            self.refuse("it ends too early")
        self.refuse(f"{detail}, at character {self._passed + place + 1:,}")

    def _read_on(self) -> bool:
        """Reads more, as much again as the current value has so far; false at the end of the file."""
        held = len(self._text) - self._at
        if self._has_ended:
            return False
        if held > RECORD_LIMIT:
            self.refuse(f"a value is not closed within {RECORD_LIMIT:,} characters, or longer")
        data = self._stream.read(max(_BLOCK, held))
        self._has_ended = not data
        try:
            more = self._decoder.decode(data, final=self._has_ended)
        except UnicodeDecodeError as error:
            self.refuse(f"it is not UTF-8: {error.reason}")
        if more:
            self._text, self._at, self._passed = self._text[self._at :] + more, 0, self._passed + self._at
        return not self._has_ended


def _whole_number(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # thousands of digits, which Python does not read: such a record is refused
        return math.inf


# ------------------------------------------------------------------ CSV


class _RowError(ValueError):
    """Why a row cannot be read."""


def _cut_csv(stream: BinaryIO, records: CsvRecords, modified: float) -> Iterator[PlacedRecord]:
    lines = _Lines(stream)
    grammar = _row_grammar(records.delimiter)
    header = lines.take_row(re.compile(rb"(?!)"))
    columns = _columns(header, grammar, records)
    key = re.compile(rb'"?(' + records.key_pattern.encode() + rb')"?' + re.escape(records.delimiter.encode()))
    # Within quotes, a line that begins with a quoted key cannot be text: its quotes would be doubled. So a
    # table whose header is quoted has no other beginnings of rows; without quotes one must do with the key.
    begins = re.compile(b'(?=")' + key.pattern) if header.data.startswith(b'"') else key
    for position in count(1):
        row = lines.take_row(begins)
        if not row.data:
            return
        try:
            values = _values(row, grammar, records.delimiter)
            if len(values) != len(columns):
                raise _RowError(f"it has {len(values)} values and the header has {len(columns)}")
        except _RowError as error:
            lines.take_rest(row, begins)
            if lines.ended_within_a_line:
                raise RefusedFileError(
                    f"the table ends within its row {position} (line {row.line:,}): {error}", _AGAIN
                ) from error
            named = key.match(row.data)
            path = _path(records.name, named[1].decode(errors="replace") if named else "", position)
            reason = f"row {position} (line {row.line:,}): {error}"
            member = ArchiveMember(path, bytes(row.data), modified, reason)
        else:
            data = json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False).encode()
            member = ArchiveMember(_path(records.name, values[0], position), data, modified)
        yield PlacedRecord(member, row.start, lines.place)


@dataclass(slots=True)
class _Row:
    """A row as it lies in the file.

    Args:
        line: Number of its first line, from 1.
        start: Where it begins, in bytes.
        data: Its bytes, with the line ends, up to a little over the limit.
    """

    line: int
    start: int
    data: bytearray = field(default_factory=bytearray)

    def add(self, line: bytes) -> None:
        """Appends a line; beyond the limit only the row's length matters, which it has exceeded."""
        if len(self.data) <= RECORD_LIMIT:
            self.data += line


class _Lines:
    """The lines of a table, grouped into rows."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        first = self._read()
        self._next = first.removeprefix(codecs.BOM_UTF8)
        #: Bytes taken so far, a byte order mark included.
        self.place = len(first) - len(self._next)
        self._last = b""
        self._number = 1

    def take_row(self, begins: re.Pattern[bytes]) -> _Row:
        """The next row: lines until the quotes balance, or the next row begins; empty at the end."""
        while self._next and not self._next.strip(b"\r\n"):
            self._take()
        row, quotes = _Row(self._number, self.place), 0
        while self._next and (not row.data or (quotes % 2 and not begins.match(self._next))):
            quotes += self._next.count(b'"')
            row.add(self._take())
        return row

    def take_rest(self, row: _Row, begins: re.Pattern[bytes]) -> None:
        """Gives a damaged row all lines up to the beginning of the next one."""
        while self._next and not begins.match(self._next):
            row.add(self._take())

    @property
    def ended_within_a_line(self) -> bool:
        """Whether all was read, and the last line has no end."""
        return not self._next and not self._last.endswith(b"\n")

    def _take(self) -> bytes:
        self._last, self._next = self._next, self._read()
        self._number += self._last.endswith(b"\n")
        self.place += len(self._last)
        return self._last

    def _read(self) -> bytes:
        return self._stream.readline(RECORD_LIMIT + 1)


def _row_grammar(delimiter: str) -> re.Pattern[str]:
    """RFC 4180, which the standard reader takes lightly: a quote stands at both ends of a value or nowhere."""
    value = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{re.escape(delimiter)}\r\n]*+)'
    return re.compile(rf"(?:{value}{re.escape(delimiter)})*+{value}\r?\n?")


def _columns(header: _Row, grammar: re.Pattern[str], records: CsvRecords) -> list[str]:
    if not header.data:
        raise RefusedFileError("the table has no header line", _AGAIN)
    try:
        columns = _values(header, grammar, records.delimiter)
    except _RowError as error:
        raise RefusedFileError(f"the header of the table cannot be read: {error}", _CHANGED) from error
    if columns[0] != records.key:
        raise RefusedFileError(
            f"the first column of the table is {columns[0][:_KEY_LIMIT]!r} and not {records.key!r}", _CHANGED
        )
    twice = sorted(name for name, times in Counter(columns).items() if times > 1)
    if twice:
        raise RefusedFileError(f"the table has the column {twice[0]!r} twice", _CHANGED)
    return columns


def _values(row: _Row, grammar: re.Pattern[str], delimiter: str) -> list[str]:
    if len(row.data) > RECORD_LIMIT:
        raise _RowError(f"it is larger than {RECORD_LIMIT:,} bytes")
    try:
        text = row.data.decode()
    except UnicodeDecodeError as error:
        raise _RowError(f"it is not UTF-8 ({error.reason} at its byte {error.start + 1:,})") from error
    if text.count('"') % 2:
        raise _RowError("a quote is opened and never closed")
    if not grammar.fullmatch(text):
        raise _RowError("a quote or a line end stands inside a value, where none may be")
    csv.field_size_limit(max(csv.field_size_limit(), RECORD_LIMIT))
    return next(csv.reader([text], delimiter=delimiter, strict=True))
