"""What belongs here: the directories of the sample upstream, read apart from the platform, then by their parser."""

import io
import json
import tarfile
import zipfile
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any

import pytest

from mediatech_assets.datasets import local_administrations_directory, state_administrations_directory
from mediatech_assets.datasets.base import Snapshot, SnapshotFile
from mediatech_assets.documents import directory
from mediatech_assets.documents.model import Document, Member
from mediatech_assets.records import JsonRecords
from mediatech_assets.sample_upstream.bzip2 import tar_bz2
from mediatech_assets.sample_upstream.fixtures import local_administrations_directory as local_sample
from mediatech_assets.sample_upstream.fixtures import state_administrations_directory as state_sample
from mediatech_assets.sample_upstream.hosted import SAMPLE_DAYS

SAMPLES = {
    "state": (state_sample, state_administrations_directory.DATASET),
    "local": (local_sample, local_administrations_directory.DATASET),
}


def members_of(data: bytes) -> dict[str, bytes]:
    """Files of a zip or of a tar, by name."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:bz2") as archive:
        return {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def records_of(sample: str, day: int) -> list[dict[str, Any]]:
    """The records that the dataset's own pattern picks from the published archive."""
    module, dataset = SAMPLES[sample]
    (hosted,) = module.files(day)
    assert isinstance(dataset.source, Snapshot)
    (source,) = dataset.source.files
    assert isinstance(source, SnapshotFile)
    assert isinstance(source.records, JsonRecords)
    assert f"https://{hosted.path}" == source.url
    picked = [data for name, data in members_of(hosted.data).items() if fnmatch(name, source.records.member)]
    assert len(picked) == 1
    return json.loads(picked[0])["service"]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("day", SAMPLE_DAYS)
def test_the_archive_holds_the_expected_records(sample, day):
    records = records_of(sample, day)

    assert {record["id"] for record in records} == SAMPLES[sample][0].EXPECTED[day]
    assert len(records) == len(SAMPLES[sample][0].EXPECTED[day])


@pytest.mark.parametrize("sample", SAMPLES)
def test_one_record_changes_and_one_goes_on_day_two(sample):
    before, between, after = (
        {record["id"]: record for record in records_of(sample, day)} for day in SAMPLE_DAYS
    )

    assert before == between
    assert len(before.keys() - after.keys()) == 1
    assert not after.keys() - before.keys()
    assert len([key for key in after if after[key] != before[key]]) == 1


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("day", SAMPLE_DAYS)
@pytest.mark.parametrize("parse", [directory.parse, directory.parse_full])
def test_every_record_becomes_a_document_that_a_search_can_find(sample, day, parse):
    for record in records_of(sample, day):
        (document,) = parse(Member(f"service[{record['id']}]", json.dumps(record).encode(), 0.0, "annuaire"))
        assert isinstance(document, Document), document
        assert document.doc_id == record["id"]
        assert [section.text.strip() != "" for section in document.sections] == [True]


@pytest.mark.parametrize("sample", SAMPLES)
def test_records_have_the_fields_that_upstream_publishes(sample):
    known = set(records_of(sample, 0)[0])
    for record in records_of(sample, 0):
        assert set(record) == known
        assert None not in record.values()
    (document,) = directory.parse_full(Member("service[x]", json.dumps(record).encode(), 0.0, "annuaire"))
    assert isinstance(document, Document)
    assert document.metadata["other_fields"] == "{}"


def test_the_samples_show_the_oddities_of_the_directories():
    state, local = records_of("state", 0), records_of("local", 0)
    posts = [post for record in (*state, *local) for post in record["affectation_personne"]]

    assert any(post["personne"] == {} for post in posts)
    assert any(post["personne"] and post["telephone"] for post in posts)
    assert all("accessibilite" not in address for record in state for address in record["adresse"])
    assert all("accessibilite" in address for record in local for address in record["adresse"])
    assert any("\r\n" in record["mission"] for record in state)
    assert {child["type_hierarchie"] for record in state for child in record["hierarchie"]} == {
        "Service Fils",
        "Autre hiérarchie",
    }
    assert {child["service"] for record in state for child in record["hierarchie"]} <= {
        record["id"] for record in state
    }
    assert {record["statut_de_diffusion"] for record in (*state, *local)} == {"true"}
    assert any(record["date_modification"] == "" for record in local)


def test_the_archive_of_the_communes_lies_beside_and_is_no_json():
    names = list(members_of(local_sample.files(0)[0].data))

    assert len(names) == 2
    assert names[0].endswith("-data.gouv.commune.zip")


@pytest.mark.parametrize("sample", SAMPLES)
def test_two_builds_give_the_same_bytes(sample):
    module, _ = SAMPLES[sample]

    assert module.files(2) == module.files(2)
    assert module.files(0) == module.files(1)
    assert module.files(1)[0].modified < module.files(2)[0].modified


def test_a_tar_keeps_the_order_and_the_times_of_its_members():
    stamp = datetime(2026, 1, 5, 5, 12, 0, tzinfo=UTC)

    with tarfile.open(fileobj=io.BytesIO(tar_bz2({"b": b"1", "a": b"22"}, stamp)), mode="r:bz2") as archive:
        members = archive.getmembers()

    assert [(member.name, member.size, member.mtime) for member in members] == [
        ("b", 1, int(stamp.timestamp())),
        ("a", 2, int(stamp.timestamp())),
    ]
