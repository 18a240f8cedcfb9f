"""Parsing as pure work on a shard: members in, an Arrow table of rows and a list of refusals out.

What belongs here: calling a dataset's parser, merging what two feeds say of one document, hashing, and
turning whatever goes wrong into a refusal. What does not: reading archives, and writing the lake.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mediatech_assets.documents.model import Document, Member, Outcome, Refusal
from mediatech_assets.errors import MediatechError
from mediatech_assets.schemas import documents_schema
from mediatech_assets.shards import cut_by_size

#: Set by the commit, not by parsing.
_COMMIT_COLUMNS = ("first_seen", "changed_at")


@dataclass(frozen=True, slots=True)
class Parser:
    """What a worker process needs to parse one dataset; picklable.

    Args:
        parse: Gives the documents and refusals of one member.
        merge: Joins two documents of one group that have the same id.
        version: Version of the parser.
        metadata_schema: The dataset's own columns.
    """

    parse: Callable[[Member], list[Outcome]]
    merge: Callable[[Document, Document], Document]
    version: str
    metadata_schema: pa.Schema

    @property
    def row_schema(self) -> pa.Schema:
        """Columns that parsing fills: those of `documents` without the ones set by the commit."""
        schema = documents_schema(self.metadata_schema)
        return pa.schema([field for field in schema if field.name not in _COMMIT_COLUMNS])


@dataclass(frozen=True, slots=True)
class RefusedInput:
    """A refusal with where it comes from and the bytes to look at."""

    subject: str
    reason: str
    member: str
    source_file: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ParsedShard:
    """What parsing a shard gave: rows as an Arrow table of `Parser.row_schema`, and refusals."""

    rows: pa.Table
    refusals: list[RefusedInput]


#: Members that may give the same document, such as one sheet in two feeds.
Group = Sequence[Member]


#: A parsed row, and the member that it comes from.
Row = tuple[dict[str, object], Member]

#: What Arrow raises for a value that does not fit its column.
_MISFITS = (pa.ArrowException, ValueError, TypeError, OverflowError)


def parse_shard(parser: Parser, groups: Sequence[Group]) -> ParsedShard:
    """Parses groups of members. Bad input becomes a refusal; nothing raises, nothing is dropped."""
    rows: list[Row] = []
    refusals: list[RefusedInput] = []
    for group in groups:
        group_rows, group_refusals = _parse_group(parser, group)
        rows += group_rows
        refusals += group_refusals
    try:
        return ParsedShard(_table(parser, rows), refusals)
    except _MISFITS:
        # Rarely needed, and slow: which rows are at fault is found by trying each alone.
        problems = [_value_problem(parser, row) for row, _ in rows]
        fitting = [row for row, problem in zip(rows, problems, strict=True) if not problem]
        refusals += [
            _refused(Refusal(str(row["doc_id"]), problem), member)
            for (row, member), problem in zip(rows, problems, strict=True)
            if problem
        ]
        return ParsedShard(_table(parser, fitting), refusals)


def shards_of(groups: Iterable[Group], shard_bytes: int) -> Iterator[list[Group]]:
    """Groups in their order, as shards of at least so many bytes of members; the last one may be smaller."""
    return cut_by_size(groups, lambda group: sum(len(member.data) for member in group), shard_bytes)


def group_sha256(group: Group) -> str:
    """SHA-256 of the bytes of a group's members: the `source_sha256` of its documents."""
    return hashlib.sha256(b"".join(hashlib.sha256(member.data).digest() for member in group)).hexdigest()


def content_hash(document: Document) -> str:
    """SHA-256 over everything a document says, whatever file it came in."""
    said = {
        "metadata": dict(document.metadata),
        "sections": [
            [section.text, list(section.context), section.kind, dict(section.attributes)]
            for section in document.sections
        ],
        "source_url": document.source_url,
        "source_updated_at": document.source_updated_at,
    }
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_group(parser: Parser, group: Group) -> tuple[list[Row], list[RefusedInput]]:
    found: dict[str, tuple[Document, Member]] = {}
    refusals: list[RefusedInput] = []
    for member in group:
        for outcome in _outcomes(parser, member):
            if isinstance(outcome, Refusal):
                refusals.append(_refused(outcome, member))
            elif outcome.doc_id in found:
                first, origin = found[outcome.doc_id]
                try:
                    found[outcome.doc_id] = (parser.merge(first, outcome), origin)
                except MediatechError as error:
                    refusals.append(_refused(Refusal(outcome.doc_id, str(error)), member))
            else:
                found[outcome.doc_id] = (outcome, member)
    sha256 = group_sha256(group)
    rows: list[Row] = []
    for document, origin in found.values():
        problem = _column_problem(document, parser.metadata_schema)
        if not problem:
            try:
                rows.append((_row(parser, document, origin, sha256), origin))
            except (TypeError, ValueError) as error:
                problem = f"a value does not fit the schema: {error}"
        if problem:
            refusals.append(_refused(Refusal(document.doc_id or origin.path, problem), origin))
    return rows, refusals


def _outcomes(parser: Parser, member: Member) -> list[Outcome]:
    try:
        return parser.parse(member)
    except Exception as error:
        return [Refusal(member.path, f"the parser failed on it: {type(error).__name__}: {error}")]


def _row(parser: Parser, document: Document, member: Member, sha256: str) -> dict[str, object]:
    return {
        **document.metadata,
        "doc_id": document.doc_id,
        "sections": [
            {
                "text": section.text,
                "context": list(section.context),
                "kind": section.kind,
                "attributes": dict(section.attributes),
            }
            for section in document.sections
        ],
        "content_hash": content_hash(document),
        "parser_version": parser.version,
        "source_file": member.source_file,
        "source_member": member.path,
        "source_modified": member.modified,
        "source_sha256": sha256,
        "source_url": document.source_url,
        "source_updated_at": document.source_updated_at,
    }


def _column_problem(document: Document, metadata_schema: pa.Schema) -> str:
    """Why the document cannot become a row at all; empty when it can."""
    missing = [name for name in metadata_schema.names if name not in document.metadata]
    unknown = [name for name in document.metadata if name not in metadata_schema.names]
    if missing or unknown:
        return f"columns do not fit the schema (missing: {missing}, unknown: {unknown})"
    if not document.doc_id:
        return "the document has no identifier"
    return ""


def _value_problem(parser: Parser, row: dict[str, object]) -> str:
    """Why a value of the row does not fit its column; empty when all do."""
    try:
        pa.Table.from_pylist([row], schema=parser.row_schema)
    except _MISFITS as error:
        return f"a value does not fit the schema: {error}"
    return ""


def _table(parser: Parser, rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist([row for row, _ in rows], schema=parser.row_schema)


def _refused(refusal: Refusal, member: Member) -> RefusedInput:
    return RefusedInput(refusal.subject, refusal.reason, member.path, member.source_file, member.data)
