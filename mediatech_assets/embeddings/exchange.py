"""Vectors carried from one lake to another, as Parquet.

What belongs here: exporting a store to a folder, and importing vectors from such a folder or from a published
release. What does not: when vectors are computed, and how a release is written (`release/`).

A folder of vectors is `vectors.json` (what the vectors are, and the hash of each file) beside files with the
columns `text_key` and `vector`. A release has the text itself and its vector; a key is made from the text, so
that vectors computed elsewhere fit every lake that has the same text and profile.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.store import CATALOG, Arrivals, TextKey, VectorStore
from mediatech_assets.embeddings.validity import VECTOR_TYPE, find_faults
from mediatech_assets.errors import ConfigurationError, RefusedFileError
from mediatech_assets.lake import Lake, literal, quoted
from mediatech_assets.progress import track
from mediatech_assets.records import file_sha256

DESCRIPTION = "vectors.json"
_FORMAT = 1
_MANIFEST = "manifest.json"
#: File of a release that holds no vectors: which documents vanished.
_REMOVED = "removed.parquet"

_ROWS_PER_FILE = 100_000
_ROWS_PER_GROUP = 10_000
_ROWS_PER_BATCH = 8_192

_SCHEMA = pa.schema([("text_key", pa.string()), ("vector", VECTOR_TYPE)])
_KEY = re.compile(r"[0-9a-f]{64}")

#: Fields of a profile that do not change the vector of a given text.
_FIELDS_LEFT_OUT = frozenset({"name", "slug", "chunk_tokens", "shard_tokens", "reserved_tokens", "tokenizer"})
#: Names of these facts in the manifest of a release.
_MANIFEST_FACTS = {"model": "model_id", "revision": "revision", "dimensions": "dimensions"}

#: A number of a vector in JSON has at most some 25 characters: what is longer is not parsed.
_CHARACTERS_PER_NUMBER = 64


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Args:
        rows: Vectors.
        files: Parquet files.
        bytes: Their size.
    """

    rows: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the rows that were read.

    Args:
        read: Rows.
        added: Vectors that are new in the store.
        present: Rows whose text has a vector already; they were not looked at.
        refused: Rows that cannot be used, by reason.
    """

    read: int
    added: int
    present: int
    refused: Mapping[str, int]


def export_vectors(store: VectorStore, target: Path, chunkings: Mapping[str, str] | None = None) -> Exported:
    """Writes the vectors of a store to a new folder, whole or not at all.

    Args:
        store: The store.
        target: The folder; it must not exist, or be empty.
        chunkings: Only vectors of these datasets' chunks: chunking by name of the dataset. Else all.

    Raises:
        ConfigurationError: the folder is in use, a dataset is not in the lake, or there is no vector to write.
    """
    store.open()
    if not store.lake.has_table(CATALOG, store.profile.store):
        raise _nothing_to_export(store.profile)
    for dataset in chunkings or {}:
        _open_dataset(store.lake, dataset)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ConfigurationError(f"{target} exists already", "name a folder that does not exist or is empty")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        unfinished.mkdir()
    except FileExistsError:
        raise ConfigurationError(
            f"{unfinished} exists: another export writes it, or one was killed",
            "wait for the other one, or remove that folder, then run again",
        ) from None
    try:
        files = _write_files(store, unfinished, chunkings)
        description = {
            "format": _FORMAT,
            "profile": {"name": store.profile.name, **_facts(store.profile)},
            "rows": sum(file["rows"] for file in files),
            "files": files,
        }
        (unfinished / DESCRIPTION).write_text(
            json.dumps(description, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
        unfinished.replace(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Exported(description["rows"], len(files), sum(file["bytes"] for file in files))


def import_vectors(store: VectorStore, source: Path, text_key: TextKey, *, trust: bool = False) -> Imported:
    """Adds vectors that were computed elsewhere. Running it again adds what is still missing.

    Args:
        store: Where they go; keys that it has are passed over.
        source: A folder that `export_vectors` wrote, or one of a release in the published layout.
        text_key: Function that makes the keys of the chunks.
        trust: Take a release that does not say which revision of the model made its vectors.

    Raises:
        ConfigurationError: the vectors are another profile's, or the folder does not say whose.
        RefusedFileError: a file is not what the folder says, or cannot be read; vectors of the files before it
            are kept.
    """
    if (source / DESCRIPTION).is_file():
        files, layout = _described_files(source, store.profile), _VectorLayout()
    else:
        files = _release_files(source, store.profile, trust=trust)
        layout = _ReleaseLayout(store.profile, text_key)
    store.open()
    with store.lake.cursor() as cursor:
        incoming = _Import(store, cursor)
        with track("importing vectors", None, "vectors") as advance:
            for file in files:
                for batch in _batches(file, layout):
                    incoming.take(*layout.keys(batch.column(0)), batch.column(1))
                    advance(batch.num_rows)
        return incoming.result()


@dataclass(frozen=True, slots=True)
class _File:
    """A file to import, and its hash when the folder says one."""

    path: Path
    sha256: str = ""


class _VectorLayout:
    """Columns of the files that `export_vectors` writes."""

    columns = ("text_key", "vector")

    def keys(self, column: pa.Array) -> tuple[list[str | None], Counter[str]]:
        """Keys of a batch, none for rows that have no usable one, and why they have none."""
        refused: Counter[str] = Counter()
        keys: list[str | None] = []
        for key in _decoded(column):
            is_usable = key is not None and _KEY.fullmatch(key) is not None
            keys.append(key if is_usable else None)
            refused["text_key is not a SHA-256"] += not is_usable
        return keys, +refused


class _ReleaseLayout:
    """Columns of a published release."""

    def __init__(self, profile: Profile, text_key: TextKey) -> None:
        self.columns = ("chunk_text", _published_column(profile))
        self._prefix = profile.passage_prefix
        self._text_key = text_key

    def keys(self, column: pa.Array) -> tuple[list[str | None], Counter[str]]:
        """See `_VectorLayout.keys`."""
        refused: Counter[str] = Counter()
        keys: list[str | None] = []
        for text in _decoded(column):
            is_usable = text is not None and bool(text.strip())
            keys.append(self._text_key(text, self._prefix) if text is not None and is_usable else None)
            refused["chunk_text is empty or not valid Unicode"] += not is_usable
        return keys, +refused


class _Import:
    """Rows on their way into the store, with what became of them."""

    def __init__(self, store: VectorStore, cursor: duckdb.DuckDBPyConnection) -> None:
        self._store = store
        self._cursor = cursor
        self._read = self._added = self._present = 0
        self._refused: Counter[str] = Counter()
        self._arrivals = Arrivals(store, cursor)
        cursor.execute(f"INSERT INTO arrived SELECT text_key FROM {store.table}")

    def take(self, keys: Sequence[str | None], refused: Counter[str], vectors: pa.Array) -> None:
        """Takes a batch and commits its new vectors.

        Args:
            keys: Keys of the rows, none for refused ones.
            refused: Rows without key, by reason.
            vectors: The column as it was read.
        """
        self._read += len(keys)
        self._refused += refused
        first = {key: position for position, key in reversed(list(enumerate(keys))) if key is not None}
        absent = self._absent(list(first))
        self._present += len(keys) - refused.total() - len(absent)
        if not absent:
            return
        places = pa.array([first[key] for key in absent], pa.int64())
        lists, unreadable = _as_lists(vectors.take(places), self._store.profile.dimensions)
        valid = self._judge(lists, unreadable)
        self._commit([key for key, is_valid in zip(absent, valid, strict=True) if is_valid], lists, valid)

    def result(self) -> Imported:
        """What became of all rows."""
        return Imported(self._read, self._added, self._present, dict(self._refused))

    def _absent(self, keys: Sequence[str]) -> list[str]:
        """The keys that the store has not, sorted."""
        self._cursor.register("asked", pa.table({"text_key": pa.array(keys, pa.string())}))
        found = self._cursor.execute(
            "SELECT text_key FROM asked ANTI JOIN arrived USING (text_key) ORDER BY text_key"
        ).fetchall()
        self._cursor.unregister("asked")
        return [key for (key,) in found]

    def _judge(self, lists: pa.ListArray, unreadable: np.ndarray) -> np.ndarray:
        profile = self._store.profile
        faults = find_faults(lists, profile.dimensions, normalised=profile.normalised)
        reasons = {
            "vector is not a list of numbers": unreadable,
            f"vector has not {profile.dimensions} numbers": faults.wrong_length & ~unreadable,
            "vector has a number that is missing or not finite": faults.not_finite,
            "vector has not the length 1": faults.not_unit,
        }
        self._refused += Counter({reason: int(mask.sum()) for reason, mask in reasons.items()})
        return faults.valid & ~unreadable

    def _commit(self, keys: list[str], lists: pa.ListArray, valid: np.ndarray) -> None:
        if not keys:
            return
        with self._store.lake.transaction(CATALOG, self._cursor):
            self._arrivals.gather()
            added = self._store.insert(self._cursor, keys, lists.filter(pa.array(valid)), held="arrived")
        if added:
            self._arrivals.pass_over()
        self._added += added
        self._present += len(keys) - added
        self._cursor.register("added", pa.table({"text_key": pa.array(keys, pa.string())}))
        self._cursor.execute("INSERT INTO arrived SELECT text_key FROM added")
        self._cursor.unregister("added")


def _facts(profile: Profile) -> dict[str, Any]:
    """What fixes the vector of a given text."""
    names = (field.name for field in fields(profile) if field.name not in _FIELDS_LEFT_OUT)
    return {**{name: getattr(profile, name) for name in names}, "fingerprint": profile.fingerprint}


def _published_column(profile: Profile) -> str:
    return f"embeddings_{profile.slug}"


def _open_dataset(lake: Lake, dataset: str) -> None:
    if not lake.exists(dataset):
        raise ConfigurationError(
            f"the lake holds nothing of {dataset} yet", f"run `mediatech update --datasets {dataset}` first"
        )
    lake.open(dataset, {})


def _write_files(
    store: VectorStore, folder: Path, chunkings: Mapping[str, str] | None
) -> list[dict[str, Any]]:
    with store.lake.cursor() as cursor, track("exporting vectors", None, "vectors") as advance:
        cursor.execute(_vectors_sql(store, chunkings))
        reader = cursor.to_arrow_reader(_ROWS_PER_BATCH)
        pieces = _pieces(reader)
        files: list[dict[str, Any]] = []
        while piece := next(pieces, None):
            path = folder / f"part_{len(files):05}.parquet"
            rows = 0
            # Dictionaries find nothing in keys and vectors; numbers of one sign and size shrink byte by byte.
            with pq.ParquetWriter(
                path,
                _SCHEMA,
                compression="zstd",
                use_dictionary=False,
                column_encoding={"text_key": "PLAIN", "vector.list.element": "BYTE_STREAM_SPLIT"},
            ) as writer:
                while piece is not None:
                    writer.write_table(piece)
                    rows += piece.num_rows
                    advance(piece.num_rows)
                    piece = next(pieces, None) if rows < _ROWS_PER_FILE else None
            files.append(
                {
                    "name": path.name,
                    "rows": rows,
                    "bytes": path.stat().st_size,
                    "sha256": file_sha256(path),
                }
            )
    if not files:
        raise _nothing_to_export(store.profile)
    return files


def _nothing_to_export(profile: Profile) -> ConfigurationError:
    return ConfigurationError(
        f"there are no vectors of profile {profile.name} to export",
        f"run `mediatech update --layers raw..embeddings --profile {profile.name}` first",
    )


def _pieces(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The rows in tables of one row group each, the last one smaller."""
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        while batch.num_rows:
            taken = batch.slice(0, _ROWS_PER_GROUP - rows)
            batches.append(taken)
            rows += taken.num_rows
            batch = batch.slice(taken.num_rows)
            if rows == _ROWS_PER_GROUP:
                yield pa.Table.from_batches(batches).cast(_SCHEMA)
                batches, rows = [], 0
    if batches:
        yield pa.Table.from_batches(batches).cast(_SCHEMA)


def _vectors_sql(store: VectorStore, chunkings: Mapping[str, str] | None) -> str:
    sql = f"SELECT text_key, vector FROM {store.table}"
    if chunkings is None:
        return sql
    keys = " UNION ".join(
        f"SELECT text_key FROM {quoted(dataset)}.chunks WHERE chunking_id = {literal(chunking)}"
        for dataset, chunking in chunkings.items()
    )
    return f"{sql} WHERE text_key IN ({keys})" if keys else f"{sql} WHERE false"


def _described_files(source: Path, profile: Profile) -> list[_File]:
    """Files of a folder of vectors, if they are the profile's."""
    description = _json_object(source / DESCRIPTION)
    if description.get("format") != _FORMAT:
        raise ConfigurationError(
            f"{source / DESCRIPTION} has format {description.get('format')!r}; this mediatech knows {_FORMAT}",
            "upgrade mediatech-assets",
        )
    _require_same(source / DESCRIPTION, _as_object(description.get("profile")), _facts(profile), profile)
    return _listed_files(source, source / DESCRIPTION, description.get("files"), "name")


def _release_files(source: Path, profile: Profile, *, trust: bool) -> list[_File]:
    """Files of a release, if its manifest says that they are the profile's, or the user does."""
    manifest_file = source / _MANIFEST
    if manifest_file.is_file():
        manifest = _json_object(manifest_file)
        said = _as_object(manifest.get("profile"))
        known = {name: said[key] for key, name in _MANIFEST_FACTS.items() if key in said}
        facts = _facts(profile)
        expected = {name: facts[name] for name in (*known, "fingerprint")}
        _require_same(manifest_file, {**known, "fingerprint": said.get("fingerprint")}, expected, profile)
        files = _listed_files(source, manifest_file, manifest.get("files"), "path")
    else:
        files = [_File(path) for path in sorted(source.rglob("*.parquet")) if path.is_file()]
    files = [file for file in files if file.path.suffix == ".parquet" and file.path.name != _REMOVED]
    if not files:
        raise ConfigurationError(
            f"{source} holds no vectors: neither {DESCRIPTION} nor a Parquet file",
            "name a folder that `mediatech vectors export` wrote, or the folder of a release",
        )
    if not manifest_file.is_file() and not trust:
        raise ConfigurationError(
            f"{source} does not say which revision of {profile.model_id} made its vectors: it has no "
            f"{_MANIFEST}, which releases of other programs do not have",
            "questions are embedded by the model of this installation "
            f"(revision {profile.revision or 'not named'}) and compared with them: if you know that it is the "
            "same one, run again with --trust",
        )
    return files


def _require_same(
    path: Path, found: Mapping[str, Any], expected: Mapping[str, Any], profile: Profile
) -> None:
    differing = [name for name, value in expected.items() if found.get(name) != value]
    if not differing:
        return
    named = [name for name in differing if name != "fingerprint"] or differing
    facts = "; ".join(f"{name} is {found.get(name)!r}, not {expected[name]!r}" for name in named)
    raise ConfigurationError(
        f"{path} describes vectors of another model than profile {profile.name}: {facts}",
        "set MEDIATECH_PROFILE to the profile that they were computed with; vectors of two models cannot be "
        "compared",
    )


def _listed_files(source: Path, listing: Path, entries: object, name: str) -> list[_File]:
    """The files that a listing names; all of them stand below `source`."""
    files = []
    for entry in entries if isinstance(entries, list) else [None]:
        fields_ = _as_object(entry)
        place, sha256 = fields_.get(name), fields_.get("sha256")
        if not isinstance(place, str) or not isinstance(sha256, str):
            raise ConfigurationError(f"{listing} does not list its files", "copy the folder again, whole")
        path = source / place
        if not path.resolve().is_relative_to(source.resolve()):
            raise ConfigurationError(
                f"{listing} names {place}, which is outside the folder", "do not use this folder"
            )
        files.append(_File(path, sha256))
    return files


def _json_object(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}", "copy the folder again, whole") from error
    return _as_object(found)


def _as_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _batches(file: _File, layout: _VectorLayout | _ReleaseLayout) -> Iterator[pa.RecordBatch]:
    """The two columns of a file in batches, key column first."""
    again = "copy the file again; running the import again goes on where it stopped"
    if not file.path.is_file():
        raise RefusedFileError(f"{file.path} is missing", again)
    if file.sha256 and file_sha256(file.path) != file.sha256:
        raise RefusedFileError(f"{file.path} is not the file that was exported: its SHA-256 differs", again)
    try:
        # Read page by page: a row group of a published release may have a gigabyte.
        with pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20) as parquet:
            _require_columns(file.path, parquet.schema_arrow, layout.columns)
            for batch in parquet.iter_batches(_ROWS_PER_BATCH, columns=list(layout.columns)):
                yield batch.select(list(layout.columns))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedFileError(f"{file.path} cannot be read: {error}", again) from error


def _require_columns(path: Path, schema: pa.Schema, columns: tuple[str, str]) -> None:
    missing = [name for name in columns if schema.names.count(name) != 1]
    if missing:
        others = [name for name in schema.names if name.startswith("embeddings_")]
        held = f"; it has the vectors {', '.join(others)}" if others else ""
        raise ConfigurationError(
            f"{path} has not one column {' and one '.join(missing)}{held}",
            "set MEDIATECH_PROFILE to the profile whose vectors the files hold, or name another folder",
        )
    key, vector = (schema.field(name).type for name in columns)
    if not _is_text(key) or not (_is_text(vector) or _is_list_of_floats(vector)):
        raise RefusedFileError(
            f"{path}: {columns[0]} is {key} and {columns[1]} is {vector}, where text and a list of float32 "
            "(or its JSON) are expected",
            "name a folder that `mediatech vectors export` wrote, or the folder of a release",
        )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_list_of_floats(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _decoded(column: pa.Array) -> list[str | None]:
    """Texts of a column; none for what is missing or not valid UTF-8, which Parquet does not check."""
    return [_utf8(value) for value in _as_bytes(column)]


def _as_bytes(column: pa.Array) -> list[bytes | None]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
    return column.cast(binary).to_pylist()


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _as_lists(vectors: pa.Array, dimensions: int) -> tuple[pa.ListArray, np.ndarray]:
    """A column of vectors as lists of float32, and which rows are no lists of numbers at all."""
    if _is_text(vectors.type):
        return _parsed(_as_bytes(vectors), dimensions)
    lists = vectors.cast(VECTOR_TYPE, safe=False)
    return lists, vectors.is_null().to_numpy(zero_copy_only=False)


def _parsed(texts: Sequence[bytes | None], dimensions: int) -> tuple[pa.ListArray, np.ndarray]:
    parsed = [_numbers(text, dimensions) for text in texts]
    rows = [np.empty(0, np.float32) if row is None else row for row in parsed]
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(rows)))
    return lists, np.array([row is None for row in parsed], dtype=bool)


def _numbers(text: bytes | None, dimensions: int) -> np.ndarray | None:
    if text is None or len(text) > dimensions * _CHARACTERS_PER_NUMBER:
        return None
    try:
        values = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(values, list) or not set(map(type, values)) <= {float, int}:
        return None
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        return np.array(values, dtype=np.float32)
