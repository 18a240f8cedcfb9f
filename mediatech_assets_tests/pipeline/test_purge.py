"""A document purged from a real installation: no byte of it is left, everything else is as it was, and it stays out.

The home is built once for the module from the sample upstream; each test works on a copy. What is left is looked for in
every file below the home, whatever wrote it: bytes as they lie, Parquet decoded, members of archives unpacked.
"""

import json
import signal
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.orchestration.erasure import PURGE, Erasure, purge
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.records import file_sha256
from mediatech_assets.release.approval import Person
from mediatech_assets.sample_upstream import SAMPLE_EXPECTED
from mediatech_assets.shards import ShardFolder
from mediatech_assets_tests.pipeline.installation import (
    REPRESENTATIVES,
    TEXT_LAYERS,
    Installation,
    wait_until_gone,
)
from mediatech_assets_tests.pipeline.mortal import before_each_statement

#: A document of each kind of source that the upstream delivers again on a later day.
PURGED = {
    "legi": ("LEGIARTI000099000112", 1),
    "service_public": ("F90003", 2),
    "state_administrations_directory": ("9a000000-0000-4000-8000-000000000003", 2),
}
SMALLEST = "state_administrations_directory"
PERSON = Person("Jeanne Martin", "declared")
#: Layers of an update but the evaluation, which asks questions and keeps nothing of a document.
LAYERS = tuple(layer for layer in BUILT_LAYERS if layer is not Layer.EVALUATION)
#: Parts of words that a needle may not have: each format would write them otherwise.
_ESCAPED = set("\"'&<>\\\t|")
_SHORTEST_NEEDLE = 15
_WORDS = 4


@pytest.fixture(scope="module")
def base(tmp_path_factory, sample_days) -> Installation:
    """The representatives on the first day. Never write in it: take a copy."""
    installation = Installation(tmp_path_factory.mktemp("base") / "home")
    # In Dagster, so that its event log shows samples of documents.
    installation.updated(sample_days[0], SMALLEST, TEXT_LAYERS)
    for dataset in REPRESENTATIVES:
        installation.materialised(sample_days[0], dataset, LAYERS)
    return installation


@pytest.fixture
def copy(base, tmp_path) -> Installation:
    return base.copied_to(tmp_path / "home")


@dataclass(frozen=True)
class Purged:
    """A purge: where the document's own words were before, and what was reported."""

    needle: str
    before: list[str]
    erasure: Erasure


def erase(installation: Installation, dataset: str, doc_id: str, **options) -> Erasure:
    platform = Platform(installation.settings)
    try:
        return purge(platform, dataset, doc_id, "demande de la personne", PERSON, **options)
    finally:
        platform.close()


def needles(installation: Installation, dataset: str, doc_id: str) -> list[str]:
    """Some words in a row of a document that no other document of the installation has."""
    texts = {
        row[0]: "\n".join(map(str, row))
        for name in REPRESENTATIVES
        for row in installation.rows(f"SELECT * FROM {name}.documents")
    }
    [sections] = installation.rows(
        f"SELECT list_transform(sections, s -> s.text) FROM {dataset}.documents WHERE doc_id = ?", [doc_id]
    )
    lines = [line.split() for text in sections[0] for line in text.splitlines()]
    runs = [" ".join(words[start : start + _WORDS]) for words in lines for start in range(len(words))]
    own = [run for run in runs if len(run) >= _SHORTEST_NEEDLE and not _ESCAPED & set(run)]
    return [run for run in own if sum(run in text for text in texts.values()) == 1]


def found_in(folder: Path, needle: str) -> list[str]:
    """Files below a folder that hold a text, by their path."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and any(needle.encode() in data for data in contents(path))
    )


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they hold in packed form."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield str(pq.read_table(path).to_pylist()).encode()
    yield from members(path).values()


def members(path: Path) -> Mapping[str, bytes]:
    """Members of an archive by path; none of another file."""
    if path.name.endswith((".tar.gz", ".tar.bz2")):
        with tarfile.open(path) as archive:
            return {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}  # type: ignore[union-attr]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    return {}


def raw_members(installation: Installation, dataset: str) -> dict[tuple[str, str], object]:
    """What the raw files hold, by file and path; a JSON list is taken as its records."""
    found: dict[tuple[str, str], object] = {}
    for path in (installation.settings.raw_folder / dataset).iterdir():
        for name, data in members(path).items():
            if name.endswith(".json"):
                records = next(value for value in json.loads(data).values() if isinstance(value, list))
                found |= {(path.name, record["id"]): record for record in records}
            else:
                found[path.name, name] = data
    return found


def ids(installation: Installation, dataset: str) -> set[str]:
    return {doc_id for (doc_id,) in installation.rows(f"SELECT doc_id FROM {dataset}.documents")}


def released_ids(installation: Installation, dataset: str) -> set[str]:
    folder = installation.release_folder(dataset) / "data"
    return {
        doc_id
        for path in folder.rglob("*.parquet")
        for doc_id in pq.read_table(path, columns=["doc_id"]).column("doc_id").to_pylist()
    }


@pytest.mark.parametrize("dataset", REPRESENTATIVES)
def test_nothing_is_left_and_it_never_comes_back(copy, sample_days, dataset):
    doc_id, day_of_return = PURGED[dataset]
    later = "".join(map(str, delivered(sample_days[day_of_return])))
    needle = next(run for run in needles(copy, dataset, doc_id) if run in later)
    before, raw_before = copy.holdings(dataset), raw_members(copy, dataset)
    others = chunks_of_others(copy, dataset)
    shards = ShardFolder(copy.settings.scale_out_folder / dataset / "documents" / "1")
    shards.put("left-by-a-killed-run", pa.table({"text": [needle]}))
    places = {path.split("/")[0] for path in found_in(copy.home, needle)}
    assert {"index", "lake", "raw", "releases", "scale_out"} <= places, (
        "the search itself finds what is there"
    )
    shown = found_in(copy.home / "dagster", doc_id)
    assert bool(shown) == (dataset == SMALLEST), "its samples show the document"

    erasure = erase(copy, dataset, doc_id)
    assert found_in(copy.home, needle) == []
    assert found_in(copy.home / "dagster", doc_id) == []
    assert erasure.removed["rows of documents"] == 1
    assert erasure.removed["releases"] == 1
    assert erasure.removed["members and records of raw files"] >= 1
    assert erasure.removed["vectors"] >= 1
    assert any("erased from" in line for line in erasure.describe())

    after, raw_after = copy.holdings(dataset), raw_members(copy, dataset)
    assert after.contents == {key: value for key, value in before.contents.items() if key != doc_id}
    assert after.changed_at == {key: value for key, value in before.changed_at.items() if key != doc_id}
    kept_chunks = {key: value for key, value in before.chunk_rows.items() if key.rpartition("_")[0] != doc_id}
    assert after.chunk_rows == kept_chunks
    assert after.points == after.recorded == len(kept_chunks)
    assert after.vectors == len(after.text_keys)
    assert (doc_id, PURGE) in after.tombstones
    gone = raw_before.keys() - raw_after.keys()
    assert gone
    assert all(doc_id in name for _, name in gone)
    assert {key: raw_before[key] for key in raw_after} == raw_after
    assert chunks_of_others(copy, dataset) == others
    check_raw_rows(copy, dataset)

    again = erase(copy, dataset, doc_id)
    assert again.removed == {}
    assert next(again.describe()).startswith(f"nothing of {doc_id} is left")

    for day, upstream in sample_days.items():
        reports = copy.materialised(upstream, dataset, TEXT_LAYERS)
        assert found_in(copy.home, needle) == [], f"day {day}"
        assert ids(copy, dataset) == SAMPLE_EXPECTED[dataset][day] - {doc_id}
        if day == 0:
            added = [report.added for report in reports.values()]
            assert added == [0, 0, 0], "no file is taken for another one"
        if day == day_of_return:
            assert reports[Layer.RAW].facts["purged members taken out"] >= 1
    check_raw_rows(copy, dataset)
    copy.materialised(sample_days[2], dataset, LAYERS[len(TEXT_LAYERS) :])
    assert released_ids(copy, dataset) == ids_with_chunks(copy, dataset)
    assert found_in(copy.home, needle) == []


def test_a_replay_of_the_raw_files_gives_the_same_documents(copy, sample_days):
    doc_id, _ = PURGED["legi"]
    erase(copy, "legi", doc_id)
    before = copy.holdings("legi")
    platform = Platform(copy.settings)
    platform.open(dataset_named("legi"))
    with platform.lake.transaction("legi") as cursor:
        cursor.execute("UPDATE legi.applied_archives SET parser_version = 'former'")
    platform.close()
    [report] = copy.materialised(sample_days[0], "legi", [Layer.DOCUMENTS]).values()
    assert report.facts["files applied"] != "none"
    assert copy.holdings("legi").contents == before.contents


@pytest.mark.parametrize("part", [0.15, 0.5, 0.8])
def test_killed_anywhere_and_run_again(base, copy, tmp_path, part):
    doc_id, _ = PURGED[SMALLEST]
    needle = needles(copy, SMALLEST, doc_id)[0]
    statement = int(statements_of_a_purge(base, tmp_path / "counted", doc_id) * part)
    arguments = ("purge", SMALLEST, doc_id, "--reason", "demande", "--yes")
    with copy.started(
        *arguments, program=("-m", "mediatech_assets_tests.pipeline.mortal", str(statement))
    ) as process:
        output, errors = process.communicate(timeout=120)
        wait_until_gone(process)
    assert process.returncode == -signal.SIGKILL, f"{output}{errors}"
    recorded = copy.rows(f"SELECT doc_id, finished_at FROM {SMALLEST}.purged_documents")
    assert recorded in ([], [(doc_id, None)]), "it is not taken for finished"

    erase(copy, SMALLEST, doc_id)
    assert found_in(copy.home, needle) == []
    held = copy.holdings(SMALLEST)
    assert held.contents == {k: v for k, v in base.holdings(SMALLEST).contents.items() if k != doc_id}
    assert held.points == held.recorded == len(held.chunks)
    assert held.tombstones.count((doc_id, PURGE)) == 1
    check_raw_rows(copy, SMALLEST)
    assert erase(copy, SMALLEST, doc_id).removed == {}


def test_an_unknown_id_is_refused_unless_forced(copy):
    with pytest.raises(ConfigurationError, match="never held a document 'F1'"):
        erase(copy, "service_public", "F1")
    assert copy.rows("SELECT * FROM service_public.purged_documents") == []
    assert erase(copy, "service_public", "F1", force=True).removed == {}
    assert copy.rows("SELECT doc_id FROM service_public.purged_documents") == [("F1",)]
    assert copy.rows("SELECT * FROM service_public.tombstones") == []


def delivered(upstream: Path) -> list[str]:
    """Texts of all archives of an upstream tree, to see what it delivers."""
    return [
        data.decode(errors="replace")
        for path in upstream.rglob("*")
        if path.is_file()
        for data in members(path).values()
    ]


def chunks_of_others(installation: Installation, dataset: str) -> list[tuple]:
    others = [name for name in REPRESENTATIVES if name != dataset]
    sql = " UNION ALL ".join(f"SELECT chunk_id, row_hash FROM {name}.chunks" for name in others)
    return installation.rows(f"{sql} ORDER BY ALL")


def ids_with_chunks(installation: Installation, dataset: str) -> set[str]:
    return {row["doc_id"] for row in installation.holdings(dataset).chunks.values()}


def check_raw_rows(installation: Installation, dataset: str) -> None:
    """The manifest says what is on disk, and what the upstream had published."""
    for name, sha256, size in installation.rows(
        f"SELECT file, sha256, size FROM {dataset}.raw_files WHERE status = 'ready'"
    ):
        path = installation.settings.raw_folder / dataset / name
        assert (file_sha256(path), path.stat().st_size) == (sha256, size)
    erased = installation.rows(
        f"SELECT raw.sha256 = erased.sha256, erased.sha256 = erased.upstream_sha256, erased.members "
        f"FROM {dataset}.raw_erasures AS erased JOIN {dataset}.raw_files AS raw USING (file)"
    )
    assert erased
    assert all(is_kept and not is_published and members > 0 for is_kept, is_published, members in erased)


@cache
def statements_of_a_purge(base: Installation, home: Path, doc_id: str) -> int:
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    installation = base.copied_to(home)
    with before_each_statement(count):
        erase(installation, SMALLEST, doc_id)
    return counted
