"""Parsing that other processes do: members written as files, and parsed rows read back.

What belongs here: the Parquet form of a shard of members and of what parsing it gave, and the three steps on it (plan,
work, take). What does not: which members are to be parsed (`apply.py`), parsing itself (`parse.py`), and who starts
the workers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import pyarrow as pa

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
from mediatech_assets.shards import ShardError, ShardFolder, shard_name

_MEMBERS = pa.schema(
    [
        ("group", pa.int32()),  # members that may give the same document
        ("path", pa.string()),
        ("data", pa.large_binary()),
        ("modified", pa.float64()),
        ("source_file", pa.string()),
        ("feed", pa.string()),
    ]
)

#: Column of a result that is set in the rows of refused inputs, and in no other.
_REFUSAL = "refusal"
_REFUSAL_TYPE = pa.struct(
    [
        ("subject", pa.string()),
        ("reason", pa.string()),
        ("member", pa.string()),
        ("source_file", pa.string()),
        ("content", pa.large_binary()),
    ]
)

#: Key in the metadata of a shard's schema: the dataset and the version of the parser that it is meant for.
_PARSER = b"parser"


@dataclass(slots=True)
class PlannedParsing:
    """What applying would parse, written as shards instead.

    Args:
        dataset: Name of the dataset.
        folder: Where the shards go.
        shard_bytes: Bytes of members in one shard.
        names: Names of the shards written so far.
    """

    dataset: str
    folder: ShardFolder
    shard_bytes: int
    names: list[str] = field(default_factory=list)

    def parsed(self, parser: Parser, groups: Iterable[Group]) -> Iterator[ParsedShard]:
        """Writes the groups as shards; gives nothing."""
        mark = {_PARSER: _mark(self.dataset, parser).encode()}
        for shard in shards_of(groups, self.shard_bytes):
            name = _name(self.dataset, parser, shard)
            self.folder.put(name, _members(shard).replace_schema_metadata(mark))
            self.names.append(name)
        yield from ()


@dataclass(frozen=True, slots=True)
class ParsedElsewhere:
    """What workers parsed, taken in the order of the members; what none of them did is parsed here.

    Args:
        dataset: Name of the dataset.
        folder: Where the results are.
        shard_bytes: Bytes of members in one shard, as when it was planned.
    """

    dataset: str
    folder: ShardFolder
    shard_bytes: int

    def parsed(self, parser: Parser, groups: Iterable[Group]) -> Iterator[ParsedShard]:
        """The parsed rows of the groups."""
        for shard in shards_of(groups, self.shard_bytes):
            result = self.folder.result(_name(self.dataset, parser, shard))
            yield parse_shard(parser, shard) if result is None else _parsed(parser, result)


def parse_elsewhere(dataset: str, parser: Parser, folder: ShardFolder, name: str) -> None:
    """The work of one shard: members in, rows and refusals out. Does nothing when the result is there.

    Raises:
        ShardError: the shard is not there, or is meant for another parser.
    """
    if folder.is_finished(name):
        return
    members = folder.rows(name)
    asked = (members.schema.metadata or {}).get(_PARSER, b"").decode()
    if asked != _mark(dataset, parser):
        raise ShardError(
            f"shard {name} is to be parsed by {asked}, and this worker has {_mark(dataset, parser)}",
            "run the same version with the same MEDIATECH_REDACTION on every worker, then run again",
        )
    folder.finish(name, _result(parse_shard(parser, _groups(members))))


def _mark(dataset: str, parser: Parser) -> str:
    return f"{dataset} {parser.version}"


def _name(dataset: str, parser: Parser, groups: Sequence[Group]) -> str:
    facts = [dataset, parser.version]
    for group in groups:
        facts += [repr((member.path, member.modified, member.source_file, member.feed)) for member in group]
        facts.append(group_sha256(group))
    return shard_name(*facts)


def _members(groups: Sequence[Group]) -> pa.Table:
    rows = [
        {
            "group": number,
            "path": member.path,
            "data": member.data,
            "modified": member.modified,
            "source_file": member.source_file,
            "feed": member.feed,
        }
        for number, group in enumerate(groups)
        for member in group
    ]
    return pa.Table.from_pylist(rows, schema=_MEMBERS)


def _groups(members: pa.Table) -> list[list[Member]]:
    groups: list[list[Member]] = []
    for row in members.to_pylist():
        number = row.pop("group")
        if number == len(groups):
            groups.append([])
        groups[number].append(Member(**row))
    return groups


def _result(shard: ParsedShard) -> pa.Table:
    refusals = pa.array([asdict(refusal) for refusal in shard.refusals], _REFUSAL_TYPE)
    # The rows of refusals have nothing else, so that every column has to take that.
    nullable = pa.schema([field.with_nullable(True) for field in shard.rows.schema])
    return pa.concat_tables(
        [shard.rows.cast(nullable), pa.table({_REFUSAL: refusals})], promote_options="default"
    )


def _parsed(parser: Parser, result: pa.Table) -> ParsedShard:
    is_row = result[_REFUSAL].is_null()
    rows = result.filter(is_row).drop_columns([_REFUSAL]).cast(parser.row_schema)
    refused = result[_REFUSAL].drop_null().to_pylist()
    return ParsedShard(rows, [RefusedInput(**refusal) for refusal in refused])
