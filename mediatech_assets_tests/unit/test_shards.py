"""Shards as files: whole or not there, named by what they hold, and parsed elsewhere as they are parsed here."""

import os
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediatech_assets.documents.elsewhere import ParsedElsewhere, PlannedParsing, parse_elsewhere
from mediatech_assets.documents.model import Document, Member, Outcome, Refusal, Section
from mediatech_assets.documents.parse import Group, ParsedShard, Parser, parse_shard
from mediatech_assets.schemas import column
from mediatech_assets.shards import ShardError, ShardFolder, shard_name

METADATA = pa.schema(
    [column("title", pa.string(), "Title.", nullable=False), column("words", pa.list_(pa.string()), "Words.")]
)


def parse(member: Member) -> list[Outcome]:
    """A text is a document of that title; `!` is refused, and `?` gives both."""
    text = member.data.decode()
    sections = (Section(text, ("Livre I",), "body", {"number": "L. 1"}), Section("Fin."))
    document = Document(member.path, {"title": text, "words": text.split()}, sections, "https://example.org")
    refusal = Refusal(f"{member.path}#", "it is bad")
    return {"!": [refusal], "?": [document, refusal]}.get(text, [document])


def merge(first: Document, second: Document) -> Document:
    return replace(first, metadata={**first.metadata, "words": second.metadata["words"]})


PARSER = Parser(parse, merge, "7", METADATA)


def group(*texts: str, path: str = "") -> Group:
    """Members of one path in several feeds."""
    path = path or texts[0]
    return [
        Member(path, text.encode(), 12.5, f"{feed}.zip", feed)
        for feed, text in zip(("part", "pro"), texts, strict=False)
    ]


GROUPS = [
    group("un texte"),
    group("deux", "deux aussi"),
    group("!"),
    group("?"),
    group("é" * 50),
    group("!!", path="é/x"),
]


@pytest.fixture
def folder(tmp_path) -> ShardFolder:
    return ShardFolder(tmp_path / "shards")


def planned(folder: ShardFolder, groups=GROUPS, parser: Parser = PARSER, size: int = 20) -> list[str]:
    plan = PlannedParsing("cnil", folder, size)
    assert list(plan.parsed(parser, groups)) == []
    return plan.names


def taken(folder: ShardFolder, parser: Parser = PARSER) -> tuple[list[dict], list]:
    return joined(list(ParsedElsewhere("cnil", folder, 20).parsed(parser, GROUPS)))


def joined(shards: list[ParsedShard]) -> tuple[list[dict], list]:
    return (
        pa.concat_tables([shard.rows for shard in shards]).to_pylist(),
        [refusal for shard in shards for refusal in shard.refusals],
    )


HERE = joined([parse_shard(PARSER, GROUPS)])


def test_what_is_parsed_elsewhere_is_what_is_parsed_here(folder):
    names = planned(folder)
    assert len(set(names)) == len(names) > 2
    for name in names:
        parse_elsewhere("cnil", PARSER, folder, name)
    # Nothing is parsed again: this parser has the same version and would give nothing.
    idle = replace(PARSER, parse=lambda _: [])
    assert taken(folder, idle) == HERE
    for shard in ParsedElsewhere("cnil", folder, 20).parsed(idle, GROUPS):
        assert shard.rows.schema == PARSER.row_schema


def test_what_no_worker_did_is_parsed_here(folder):
    first, *_ = planned(folder)
    parse_elsewhere("cnil", PARSER, folder, first)
    assert taken(folder) == HERE


def test_a_shard_without_a_document_keeps_its_refusals(folder):
    [name] = planned(folder, [group("!")], size=1)
    parse_elsewhere("cnil", PARSER, folder, name)
    [shard] = ParsedElsewhere("cnil", folder, 1).parsed(PARSER, [group("!")])
    assert shard.rows.num_rows == 0
    assert [refusal.content for refusal in shard.refusals] == [b"!"]


@pytest.mark.parametrize(
    "change",
    [
        [group("un autre")],
        [group("un texte", path="ailleurs")],
        [[replace(GROUPS[0][0], modified=13.5)]],
        [[replace(GROUPS[0][0], source_file="other.zip")]],
        [group("un texte", "un texte")],
    ],
    ids=["bytes", "path", "time", "file", "members"],
)
def test_a_name_changes_with_all_that_a_result_depends_on(folder, change):
    before = planned(folder, [GROUPS[0]])
    assert planned(folder, [GROUPS[0]]) == before
    assert planned(folder, change) != before
    assert planned(folder, [GROUPS[0]], replace(PARSER, version="8")) != before


def test_names_do_not_join_facts():
    assert shard_name("ab", "c") != shard_name("a", "bc")
    assert shard_name("\ud800").isalnum()


def test_a_worker_with_another_parser_refuses(folder):
    name, *_ = planned(folder)
    with pytest.raises(ShardError, match="cnil 7, and this worker has cnil 8"):
        parse_elsewhere("cnil", replace(PARSER, version="8"), folder, name)
    assert folder.finished() == []


def test_a_folder_that_is_not_shared_is_named(folder, tmp_path):
    name, *_ = planned(folder)
    with pytest.raises(ShardError, match="MEDIATECH_HOME has to be one folder that all workers share"):
        parse_elsewhere("cnil", PARSER, ShardFolder(tmp_path / "another"), name)


def test_a_finished_shard_is_left_as_it_is(folder):
    first, second, *others = planned(folder)
    parse_elsewhere("cnil", PARSER, folder, first)
    before = {path: path.stat().st_mtime_ns for path in folder.folder.iterdir()}
    parse_elsewhere("cnil", replace(PARSER, parse=lambda _: []), folder, first)
    assert planned(folder) == [first, second, *others]
    assert {path: path.stat().st_mtime_ns for path in folder.folder.iterdir()} == before
    assert folder.finished() == [first]
    assert folder.unfinished() == sorted([second, *others])


def test_inputs_of_a_former_plan_go_and_results_stay(folder):
    first, second, *others = planned(folder)
    parse_elsewhere("cnil", PARSER, folder, first)
    folder.keep_inputs(others)
    assert folder.unfinished() == sorted(others)
    assert folder.finished() == [first]
    with pytest.raises(ShardError, match=second):
        folder.rows(second)


def test_a_result_appears_whole_or_not_at_all(folder, monkeypatch):
    rows = pa.table({"number": range(1_000)})

    def fill_the_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        folder.finish("abc", rows)
    assert list(folder.folder.iterdir()) == []
    monkeypatch.undo()
    # What a killed worker left half written is no result.
    (folder.folder / ".abc.result.parquet.123").write_bytes(b"PAR1")
    assert (folder.finished(), folder.is_finished("abc"), folder.result("abc")) == ([], False, None)
    folder.finish("abc", rows)
    assert pq.read_table(folder.folder / "abc.result.parquet").equals(rows)
