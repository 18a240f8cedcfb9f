"""Chunks of the documents that changed: pure splitting of a shard, and the table.

What belongs here: the chunking's identity, the text that is embedded, the rows of a document, and finding
and committing the work. What does not: where a text may be cut (`splitter.py`) and which tokenizer counts.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any

import duckdb
import pyarrow as pa
import xxhash

from mediatech_assets.chunks.splitter import SPLITTER_VERSION, split_text
from mediatech_assets.documents.model import SECTION_SEPARATOR, MetadataValue
from mediatech_assets.lake import Lake, number, quoted
from mediatech_assets.progress import track
from mediatech_assets.schemas import CHUNKS
from mediatech_assets.workers import map_shards

#: Changes whenever `chunk_text` would be written otherwise from the same text and headings.
TEMPLATE_VERSION = "3"

#: Seed of the published `chunk_xxh64` column.
_XXH64_SEED = 2025

#: At most this part of a chunk is headings, so that the text always has the larger one.
_HEADING_SHARE = 0.4

#: A chunk with less room left than this part of it is full: a section is not cut for a scrap.
_SMALLEST_FILLING = 0.25
#: Characters of a text for each token of room, within which the end of its first piece is looked for.
_CHARACTERS_LOOKED_AT = 64

_DOCUMENTS_PER_SHARD = 250
_DOCUMENTS_PER_COMMIT = 10_000

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Chunking:
    """How documents become chunks; picklable.

    Args:
        tokenizer: Name of the tokenizer that counts.
        size: Tokens of a chunk, headings included.
        passage_prefix: What the model puts before a passage; part of the vector's key.
        counter: Gives the counting function in the process that splits.
        heading: Lines put before every chunk of a document, from its metadata.
        hashed_columns: Metadata columns whose change makes a chunk's row another one.
    """

    tokenizer: str
    size: int
    passage_prefix: str
    counter: Callable[[], CountTokens]
    heading: Callable[[Mapping[str, MetadataValue]], list[str]]
    hashed_columns: tuple[str, ...]

    @property
    def id(self) -> str:
        """Short hash of everything that decides where texts are cut and what is embedded."""
        facts = (self.tokenizer, self.size, self.passage_prefix, TEMPLATE_VERSION, SPLITTER_VERSION)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class ChunkChanges:
    """What a run changed.

    Args:
        documents: Documents split.
        added: Chunks that were not there before.
        changed: Chunks whose row is another than before.
        removed: Chunks that went away.
    """

    documents: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0

    def __add__(self, other: "ChunkChanges") -> "ChunkChanges":
        return ChunkChanges(
            self.documents + other.documents,
            self.added + other.added,
            self.changed + other.changed,
            self.removed + other.removed,
        )


def text_key(chunk_text: str, passage_prefix: str) -> str:
    """Key of a text's vector: SHA-256 of the prefix and the text."""
    return hashlib.sha256((passage_prefix + chunk_text).encode()).hexdigest()


def split_shard(chunking: Chunking, documents: pa.Table) -> tuple[int, pa.Table]:
    """Chunks of some documents.

    Args:
        chunking: How to split.
        documents: Rows of the `documents` table.

    Returns:
        How many documents there were, and rows of the `chunks` table; a document without text gives none.
    """
    count_tokens = chunking.counter()
    rows = [
        row for document in documents.to_pylist() for row in document_chunks(document, chunking, count_tokens)
    ]
    return documents.num_rows, pa.Table.from_pylist(rows, schema=CHUNKS)


def document_chunks(
    document: Mapping[str, object], chunking: Chunking, count_tokens: CountTokens
) -> Iterator[dict[str, object]]:
    """Rows of one document: its `text` values, joined in order, are its sections joined by the separator."""
    doc_id, chunking_id = document["doc_id"], chunking.id
    metadata = {name: document[name] for name in chunking.hashed_columns if name in document}
    frame = _Frame(chunking.heading(document), chunking.size, count_tokens)  # type: ignore[arg-type]
    sections = _section_texts(document["sections"] or [])  # type: ignore[arg-type]
    for index, parts in enumerate(_packed(sections, frame), start=1):
        chunk_text = frame.chunk_text(parts)
        row = {
            "chunk_id": f"{doc_id}_{index}",
            "doc_id": doc_id,
            "chunk_index": index,
            "context": _common_context(parts),
            "kind": ", ".join(dict.fromkeys(part.section["kind"] for part in parts)),
            "attributes": parts[0].section["attributes"],
            "text": "".join(part.text for part in parts),
            "chunk_text": chunk_text,
            "chunk_xxh64": xxhash.xxh64_hexdigest(chunk_text.encode(), seed=_XXH64_SEED),
            "text_key": text_key(chunk_text, chunking.passage_prefix),
        }
        yield {
            **row,
            "chunking_id": chunking_id,
            "tokens": count_tokens(chunk_text),
            "row_hash": _row_hash(row, metadata),
        }


@dataclass(frozen=True, slots=True)
class _Part:
    """A section, or a piece of one, in a chunk.

    Args:
        section: The section.
        text: Its text, or a piece of it, with the white space that follows.
    """

    section: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is put around the texts of one document.

    Args:
        lines: Headings of the document.
        size: Tokens of a chunk, headings included.
        count_tokens: Tokens of a text.
    """

    lines: Sequence[str]
    size: int
    count_tokens: CountTokens

    def chunk_text(self, parts: Sequence[_Part]) -> str:
        """Headings that hold for all parts, then each part below the headings that are its own."""
        common = _common_context(parts)
        head = self._head(common)
        blocks: list[str] = [head]
        above: list[str] = []
        for part in parts:
            own = part.section["context"][len(common) :]
            lines = [" > ".join(own) if own != above else "", part.text.strip()]
            blocks.append("\n".join(filter(None, lines)))
            above = own
        return SECTION_SEPARATOR.join(filter(None, blocks))

    def holds(self, parts: Sequence[_Part]) -> bool:
        """Whether the parts can be one chunk: short enough, and with the same published facts."""
        if any(part.section["attributes"] != parts[0].section["attributes"] for part in parts):
            return False
        return self.count_tokens(self.chunk_text(parts)) <= self.size

    def beginning(self, parts: Sequence[_Part], part: _Part) -> str:
        """The beginning of a part that fills the chunk of `parts`; empty when what fits is not worth a cut."""
        room = self.size - self.count_tokens(self.chunk_text([*parts, replace(part, text="")]))
        if room < self.size * _SMALLEST_FILLING:
            return ""
        # Where the first piece ends depends on what follows it closely only.
        pieces = split_text(part.text[: room * _CHARACTERS_LOOKED_AT], room, self.count_tokens)
        beginning = pieces[0] if len(pieces) > 1 else ""
        return beginning if self.holds([*parts, replace(part, text=beginning)]) else ""

    def room(self, section: Mapping[str, Any]) -> int:
        """Tokens left for the text of a section that has a chunk of its own."""
        return max(1, self.size - self.count_tokens(self._head(section["context"])))

    def _head(self, context: Sequence[str]) -> str:
        return fitting_heading([*self.lines, " > ".join(context)], self.size, self.count_tokens)


def _packed(sections: Iterator[tuple[Mapping[str, Any], str]], frame: _Frame) -> Iterator[list[_Part]]:
    """The parts of each chunk: consecutive sections fill one after the other, and are cut where one is full.

    Sheets have many sections of a line or two: alone they say too little to be found, and each costs a vector. Chunks
    of like lengths are found better than long and short ones together (docs/retrieval.md).
    """
    parts: list[_Part] = []
    for section, text in sections:
        part = _Part(section, text)
        if parts and frame.holds([*parts, part]):
            parts.append(part)
            continue
        if parts:
            beginning = frame.beginning(parts, part)
            yield [*parts, _Part(section, beginning)] if beginning else parts
            text = text[len(beginning) :]
        *whole, last = split_text(text, frame.room(section), frame.count_tokens) or [""]
        yield from ([_Part(section, piece)] for piece in whole)
        parts = [_Part(section, last)] if last else []
    if parts:
        yield parts


def _common_context(parts: Sequence[_Part]) -> list[str]:
    """The headings that stand above all parts."""
    contexts = [part.section["context"] for part in parts]
    common = takewhile(lambda level: len(set(level)) == 1, zip(*contexts, strict=False))
    return [level[0] for level in common]


def fitting_heading(lines: Sequence[str], size: int, count_tokens: CountTokens) -> str:
    """The heading lines that are not empty, cut after the last word that leaves the text its share."""
    room = int(size * _HEADING_SHARE)
    kept: list[str] = []
    for line in filter(None, lines):
        words = line.split()
        while words and count_tokens(" ".join(words)) > room:
            words.pop()
        if not words:
            break
        kept.append(line if len(words) == len(line.split()) else " ".join(words))
        room -= count_tokens(kept[-1])
    return "\n".join(kept)


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of one dataset.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        chunking: How its documents are split.
        workers: Worker processes for many documents.
        pool_from_documents: Number of documents from which workers are worth their start.
    """

    lake: Lake
    dataset: str
    chunking: Chunking
    workers: int
    pool_from_documents: int = 4_000

    def update(self) -> ChunkChanges:
        """Splits the documents that changed since they were split last, and drops those that vanished."""
        with self.lake.cursor() as cursor:
            documents = self._find_work(cursor)
            changes = self._drop_vanished(cursor)
            for first in range(0, documents, _DOCUMENTS_PER_COMMIT):
                changes += self._split(
                    cursor, first, min(documents, first + _DOCUMENTS_PER_COMMIT) - 1, documents
                )
        return changes

    def count(self) -> int:
        """Chunks of the active chunking."""
        sql = f"SELECT count(*) FROM {self._table('chunks')} WHERE chunking_id = ?"
        return number(self.lake.cursor(), sql, [self.chunking.id])

    def _find_work(self, cursor: duckdb.DuckDBPyConnection) -> int:
        """Copies the documents to split into `waiting`, so that no query stays open while splitting.

        Their places are the rows of that table, in no order: sorting whole documents would need their size in
        memory.
        """
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE waiting AS
            SELECT * FROM {self._table("documents")} AS document
            WHERE NOT EXISTS (
              SELECT 1 FROM {self._table("chunk_state")} AS state
              WHERE state.chunking_id = ? AND state.doc_id = document.doc_id
                AND state.content_hash = document.content_hash
            )
            """,
            [self.chunking.id],
        )
        return number(cursor, "SELECT count(*) FROM waiting")

    def _drop_vanished(self, cursor: duckdb.DuckDBPyConnection) -> ChunkChanges:
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE batch AS
            SELECT doc_id, content_hash FROM {self._table("chunk_state")}
            WHERE chunking_id = ? AND doc_id NOT IN (SELECT doc_id FROM {self._table("documents")})
            """,
            [self.chunking.id],
        )
        if not number(cursor, "SELECT count(*) FROM batch"):
            return ChunkChanges()
        return self._commit(cursor, CHUNKS.empty_table(), remember=False)

    def _split(self, cursor: duckdb.DuckDBPyConnection, first: int, last: int, total: int) -> ChunkChanges:
        """Splits the waiting documents of rows `first` to `last`, counted from 0, and commits them."""
        workers = self.workers if total >= self.pool_from_documents else 0
        shards = self._waiting_shards(cursor, first, last)
        step = f"{self.dataset}: splitting"
        tables: list[pa.Table] = [CHUNKS.empty_table()]
        with track(step, last - first + 1, "documents") as advance:
            for documents, chunks in map_shards(
                partial(split_shard, self.chunking), shards, workers, step=step
            ):
                tables.append(chunks)
                advance(documents)
        cursor.execute(
            "CREATE OR REPLACE TEMPORARY TABLE batch AS SELECT doc_id, content_hash FROM waiting "
            "WHERE rowid BETWEEN ? AND ?",
            [first, last],
        )
        changes = self._commit(cursor, pa.concat_tables(tables), remember=True)
        return ChunkChanges(last - first + 1, changes.added, changes.changed, changes.removed)

    def _waiting_shards(self, cursor: duckdb.DuckDBPyConnection, first: int, last: int) -> Iterator[pa.Table]:
        for start in range(first, last + 1, _DOCUMENTS_PER_SHARD):
            stop = min(last, start + _DOCUMENTS_PER_SHARD - 1)
            yield cursor.execute(
                "SELECT * FROM waiting WHERE rowid BETWEEN ? AND ?", [start, stop]
            ).to_arrow_table()

    def _commit(self, cursor: duckdb.DuckDBPyConnection, rows: pa.Table, *, remember: bool) -> ChunkChanges:
        """Makes `rows` all chunks of the documents in `batch`; rows that are already there stay untouched."""
        chunks, state = self._table("chunks"), self._table("chunk_state")
        columns = ", ".join(CHUNKS.names)
        cursor.register("incoming_rows", rows)
        cursor.execute("CREATE OR REPLACE TEMPORARY TABLE incoming AS SELECT * FROM incoming_rows")
        cursor.unregister("incoming_rows")
        with self.lake.transaction(self.dataset, cursor):
            cursor.execute(
                f"""
                CREATE OR REPLACE TEMPORARY TABLE held AS SELECT chunk_id, row_hash FROM {chunks}
                WHERE chunking_id = ? AND doc_id IN (SELECT doc_id FROM batch)
                """,
                [self.chunking.id],
            )
            added, changed, removed = cursor.execute(
                """
                SELECT count(*) FILTER (held.chunk_id IS NULL),
                  count(*) FILTER (held.row_hash <> incoming.row_hash),
                  count(*) FILTER (incoming.chunk_id IS NULL)
                FROM incoming FULL JOIN held USING (chunk_id)
                """
            ).fetchone() or (0, 0, 0)
            if changed or removed:
                cursor.execute(
                    f"""
                    DELETE FROM {chunks} WHERE chunking_id = ? AND chunk_id IN (
                      SELECT chunk_id FROM held ANTI JOIN incoming USING (chunk_id, row_hash)
                    )
                    """,
                    [self.chunking.id],
                )
            cursor.execute(
                f"INSERT INTO {chunks} ({columns}) SELECT {columns} FROM incoming "
                "ANTI JOIN held USING (chunk_id, row_hash)"
            )
            cursor.execute(
                f"DELETE FROM {state} WHERE chunking_id = ? AND doc_id IN (SELECT doc_id FROM batch)",
                [self.chunking.id],
            )
            if remember:
                cursor.execute(
                    f"""
                    INSERT INTO {state} (chunking_id, doc_id, content_hash, chunks)
                    SELECT ?, doc_id, content_hash, (SELECT count(*) FROM incoming WHERE incoming.doc_id = batch.doc_id)
                    FROM batch
                    """,
                    [self.chunking.id],
                )
        return ChunkChanges(0, added, changed, removed)

    def _table(self, name: str) -> str:
        return f"{quoted(self.dataset)}.{name}"


def _section_texts(sections: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Sections with their texts; each but the last ends with the separator, so that a join glues nothing."""
    for position, section in enumerate(sections, start=1):
        yield section, section["text"] + (SECTION_SEPARATOR if position < len(sections) else "")


def _row_hash(row: Mapping[str, object], metadata: Mapping[str, object]) -> str:
    text = json.dumps([row, metadata], ensure_ascii=False, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
