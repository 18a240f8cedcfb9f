"""Parsing and splitting give the same in worker processes as in this one."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mediatech_assets.chunks.build import Chunks
from mediatech_assets.datasets.base import refuse_duplicates
from mediatech_assets.documents.apply import Documents
from mediatech_assets.documents.model import Document, Member, Outcome, Refusal, Section
from mediatech_assets.documents.parse import Parser
from mediatech_assets.lake import Lake
from mediatech_assets.records import ArchiveMember, RawFile
from mediatech_assets_tests.tiny import METADATA, chunking, new_lake, open_dataset, put_document, rows

#: With members of this size, a few of them fill the shards of several workers.
MEMBER_BYTES = 1_500_000
MEMBERS = 12
DOCUMENTS = 600


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    lake = new_lake(tmp_path)
    yield lake
    lake.close()


def parse(member: Member) -> list[Outcome]:
    number = re.sub(r"\D", "", member.path)
    if int(number) % 5 == 0:
        return [Refusal(member.path, "its number is a multiple of five")]
    text = f"{number} {member.data[:20].decode()}"
    metadata = {"title": f"Titre {number}", "status": None, "category": None}
    return [Document(f"D{number}", metadata, (Section(text),), "https://example.org")]


def read(_file: RawFile) -> Iterable[ArchiveMember]:
    for number in range(MEMBERS):
        yield ArchiveMember(f"{number}.xml", b"texte " * (MEMBER_BYTES // 6), 1.0)


def parsed(lake: Lake, dataset: str, file: Path, workers: int) -> tuple[list, list]:
    open_dataset(lake, dataset)
    stock = RawFile(
        file.name, file, "stock", "20260101-000000", "targz", "", "0" * 64, "https://host/a", True
    )
    applied = Documents(
        lake=lake,
        dataset=dataset,
        parser=Parser(parse, refuse_duplicates, "1", METADATA),
        wants=lambda path: path.endswith(".xml"),
        read_members=read,
        workers=workers,
        quarantine_bytes=10,
        pool_from_bytes=1,
    ).apply([stock])
    assert applied.files == [file.name]
    return (
        rows(lake, f"SELECT doc_id, title, sections, content_hash FROM {dataset}.documents ORDER BY doc_id"),
        rows(lake, f"SELECT subject, reason, size FROM {dataset}.quarantine ORDER BY subject"),
    )


def test_workers_parse_what_this_process_parses(lake, tmp_path):
    file = tmp_path / "stock.tar.gz"
    file.write_bytes(b"its size is what counts")

    alone, shared = parsed(lake, "alone", file, workers=0), parsed(lake, "shared", file, workers=2)

    assert len(alone[0]) == MEMBERS - 3
    assert [subject for subject, _, _ in alone[1]] == ["0.xml", "10.xml", "5.xml"]
    assert shared == alone


def test_workers_split_what_this_process_splits(lake):
    found = []
    for name in ("alone", "shared"):
        open_dataset(lake, name)
    put_document(lake, "alone", "D0", ["un deux trois quatre cinq six sept huit neuf dix onze douze treize"])
    with lake.transaction("alone") as cursor:  # the others are copies of it: one commit is quicker than 600
        cursor.execute(
            "INSERT INTO alone.documents "
            "SELECT document.* REPLACE ('D' || number AS doc_id, 'h' || number AS content_hash) "
            f"FROM alone.documents AS document, range(1, {DOCUMENTS}) AS numbers(number)"
        )
    with lake.transaction("shared") as cursor:
        cursor.execute("INSERT INTO shared.documents SELECT * FROM alone.documents")
    for name, workers in (("alone", 0), ("shared", 2)):
        changes = Chunks(lake, name, chunking(), workers, pool_from_documents=1).update()
        assert changes.documents == DOCUMENTS
        found.append(rows(lake, f"SELECT * FROM {name}.chunks ORDER BY chunk_id"))

    assert len(found[0]) > DOCUMENTS
    assert found[1] == found[0]
