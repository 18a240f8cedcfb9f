"""Raw files written anew without some of their documents: those are gone, and nothing else differs."""

import bz2
import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.lake import Lake
from mediatech_assets.raw.archives import read_members
from mediatech_assets.raw.erasing import NotErasedError, copy_without
from mediatech_assets.raw.landing import LandingZone
from mediatech_assets.raw.record_files import cut_records, write_without
from mediatech_assets.records import ArchiveMember, CsvRecords, JsonRecords, PublishedFile, file_sha256
from mediatech_assets.schemas import APPLIED_FILES, RAW_ERASURES, RAW_FILES
from mediatech_assets.sources.download import open_upstream

SHEETS = JsonRecords("service", "service.item", "id", member="*.json")
TABLE = CsvRecords("dataset", "id", "[a-z]+")
HOST = "host.example"
#: A name that needs extended headers in a tar archive, in both of its forms.
LONG = "legi/" + "d" * 120 + "/é.xml"


def tar_bytes(members: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("legi")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname = len(data), 1_700_000_000, "dila"
            archive.addfile(info, io.BytesIO(data))
    return plain.getvalue()


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"comment"
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 5, 4, 12, 0)), data, zipfile.ZIP_DEFLATED)
    return plain.getvalue()


PACKED: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "targz": lambda members: gzip.compress(tar_bytes(members)),
    "targz with pax headers": lambda members: gzip.compress(tar_bytes(members, tarfile.PAX_FORMAT)),
    "tarbz2": lambda members: bz2.compress(tar_bytes(members)),
    "zip": zip_bytes,
}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


def named(*paths: str) -> Callable[[ArchiveMember], bool]:
    return lambda member: member.path in paths


def everything(path: Path, form: str, records: JsonRecords | CsvRecords | None = None) -> dict[str, tuple]:
    return {member.path: (member.data, member.modified) for member in read_members(path, form, records)}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize(
    "gone", [("a.xml",), ("b.xml",), (LONG,), ("c.xml",), ("a.xml", "c.xml"), ("a.xml", "b.xml")]
)
def test_members_go_and_the_others_keep_their_bytes(tmp_path, kind, gone):
    members = {"a.xml": b"A" * 700, "b.xml": b"", LONG: "é".encode() * 300, "c.xml": b"C" * 512}
    path, form = written(tmp_path, PACKED[kind](members)), kind.split()[0]
    before, target = everything(path, form), tmp_path / "copy"

    assert copy_without(path, target, form, None, named(*gone)) == len(gone)

    assert everything(target, form) == {name: value for name, value in before.items() if name not in gone}
    assert list(everything(target, form)) == [name for name in before if name not in gone]
    first = target.read_bytes()
    copy_without(path, target, form, None, named(*gone))
    assert target.read_bytes() == first


def test_what_tar_says_of_the_others_stays_byte_for_byte(tmp_path):
    members = {"a.xml": b"A", LONG: b"L", "c.xml": b"C"}
    path = written(tmp_path, PACKED["targz"](members))
    copy_without(path, tmp_path / "copy", "targz", None, named("a.xml"))
    plain, kept = gzip.decompress(path.read_bytes()), gzip.decompress((tmp_path / "copy").read_bytes())
    assert kept in plain.replace(plain[512:1536], b"", 1)
    assert len(plain) - len(kept) == 2 * 512


def test_nothing_is_written_when_nothing_is_held(tmp_path):
    path = written(tmp_path, PACKED["zip"]({"a.xml": b"A"}))
    assert copy_without(path, tmp_path / "copy", "zip", None, named("b.xml")) == 0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", PACKED)
def test_records_leave_the_member_that_lists_them(tmp_path, kind):
    listed = (
        '{"date": "2026", "service": [{"id": "a", "n": 1.50}, {"id": "b"}, {"id": "c", "t": "é"}]}'.encode()
    )
    path, form = written(tmp_path, PACKED[kind]({"list.json": listed, "z.txt": b"other"})), kind.split()[0]

    assert copy_without(path, tmp_path / "copy", form, SHEETS, named("service[b]")) == 1

    found = everything(tmp_path / "copy", form, None)
    assert found["list.json"][0] == listed.replace(b', {"id": "b"}', b"", 1)
    assert found["z.txt"] == everything(path, form)["z.txt"]
    assert found["list.json"][1] == everything(path, form)["list.json"][1]


@given(
    st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=3), st.text(max_size=8)), unique_by=lambda item: item[0]
    ),
    st.sets(st.text("abc", min_size=1, max_size=3)),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_a_json_list_loses_exactly_the_records_asked_for(items, gone, marked, indent):
    value = {
        "before": [1, {"id": "a"}],
        "service": [{"id": key, "t": text} for key, text in items],
        "after": "é",
    }
    data = ("\ufeff" if marked else "").encode() + json.dumps(
        value, indent=indent, ensure_ascii=False
    ).encode("utf-8", "surrogatepass")
    target = io.BytesIO()
    count = write_without(io.BytesIO(data), SHEETS, named(*(f"service[{key}]" for key in gone)), target)
    kept = [item for item in value["service"] if item["id"] not in gone]
    assert count == len(items) - len(kept)
    assert json.loads(target.getvalue().decode("utf-8-sig")) == value | {"service": kept}
    assert count or target.getvalue() == data


@given(
    st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=3), st.text('xy\n;"é', max_size=8)),
        unique_by=lambda i: i[0],
    ),
    st.sets(st.text("abc", min_size=1, max_size=3)),
    st.booleans(),
)
def test_a_table_loses_exactly_the_rows_asked_for(items, gone, marked):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "t"), *items])
    data = ("\ufeff" if marked else "").encode() + text.getvalue().encode()
    target = io.BytesIO()
    count = write_without(io.BytesIO(data), TABLE, named(*(f"dataset[{key}]" for key in gone)), target)
    assert count == sum(key in gone for key, _ in items)
    kept = [member.path for member in cut_records(io.BytesIO(target.getvalue()), TABLE, 0.0)]
    assert kept == [f"dataset[{key}]" for key, _ in items if key not in gone]
    assert set(target.getvalue().splitlines()) <= set(data.splitlines())


def test_an_archive_that_cannot_be_read_is_refused_and_leaves_nothing(tmp_path):
    path = written(tmp_path, PACKED["targz"]({"a.xml": b"A" * 9_000})[:-40])
    with pytest.raises(RefusedFileError, match="is no complete"):
        copy_without(path, tmp_path / "copy", "targz", None, named("a.xml"))
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_taken_out_is_an_error_and_no_silence(tmp_path):
    path = written(tmp_path, b'{"id": "a"}')
    with pytest.raises(NotErasedError, match="single document"):
        copy_without(path, tmp_path / "copy", "json", None, named("archive"))


class Place:
    """A landing zone on a real lake that takes a purged document out of what lands."""

    def __init__(self, folder: Path, *purged: str) -> None:
        self.raw, self.host = folder / "raw", folder / "upstream" / HOST
        self.host.mkdir(parents=True)
        self.lake = Lake(folder / "lake", folder / "locks")
        tables = {"raw_files": RAW_FILES, "applied_archives": APPLIED_FILES, "raw_erasures": RAW_ERASURES}
        self.lake.open("legi", tables)
        holds = (lambda member, _: member.path in purged) if purged else None
        self.zone = LandingZone(self.lake, "legi", self.raw, holds_erased=holds)

    def land(self, name: str, members: Mapping[str, bytes]) -> Path:
        (self.host / name).write_bytes(PACKED["targz"](members))
        stamp = name.partition("_")[2].removesuffix(".tar.gz")
        file = PublishedFile(name, f"https://{HOST}/{name}", "stock", stamp, "targz")
        base = str(self.host.parent)
        with open_upstream(base, {HOST}, timeout=5, attempts=1, user_agent="tests") as upstream:
            self.landed = self.zone.land([file], upstream)
        return self.raw / name

    def rows(self, sql: str) -> list[tuple]:
        return self.lake.cursor().execute(sql).fetchall()


MEMBERS = {"a.xml": b"A" * 50, "b.xml": b"B" * 50}
NAME = "LEGI_20260101-200000.tar.gz"


def test_a_purged_document_never_lands(tmp_path):
    place = Place(tmp_path, "a.xml")
    path = place.land(NAME, MEMBERS)
    assert list(everything(path, "targz")) == ["b.xml"]
    assert place.landed.erased == 1
    assert sorted(place.raw.iterdir()) == [path]
    [(kept, published, members)] = place.rows(
        "SELECT sha256, upstream_sha256, members FROM legi.raw_erasures"
    )
    assert (kept, published, members) == (file_sha256(path), file_sha256(place.host / NAME), 1)
    assert place.rows("SELECT sha256, size FROM legi.raw_files") == [(kept, path.stat().st_size)]
    assert place.land(NAME, MEMBERS) == path
    assert place.landed.fetched == []
    place.lake.close()


def test_a_held_file_loses_it_and_its_rows_tell_both_hashes(tmp_path):
    place = Place(tmp_path)
    path = place.land(NAME, MEMBERS)
    published = file_sha256(path)
    place.lake.cursor().execute(
        "INSERT INTO legi.applied_archives (file, sha256) VALUES (?, ?)", [NAME, published]
    )
    (place.raw / f"incoming-{NAME}.part").write_bytes(b"begun")
    (place.raw / "stranger").write_bytes(b"left by a kill")

    done = place.zone.erase(lambda member, _: member.path == "a.xml")

    assert (done.files, done.members, done.downloads, done.unknown) == ([NAME], 1, 1, ["stranger"])
    assert sorted(place.raw.iterdir()) == [path]
    kept = file_sha256(path)
    assert place.rows("SELECT sha256 FROM legi.raw_files") == [(kept,)]
    assert place.rows("SELECT sha256 FROM legi.applied_archives") == [(kept,)]
    place.zone.erase(lambda member, _: member.path == "b.xml")
    rows = place.rows("SELECT upstream_sha256, sha256, members FROM legi.raw_erasures")
    assert rows == [(published, file_sha256(path), 2)], "the first hash is the published one"
    again = place.zone.erase(lambda member, _: member.path in MEMBERS)
    assert (again.files, again.members) == ([], 0)
    place.lake.close()


def test_a_damaged_file_goes_whole(tmp_path):
    place = Place(tmp_path)
    path = place.land(NAME, MEMBERS)
    path.write_bytes(path.read_bytes()[:-30])
    done = place.zone.erase(lambda member, _: member.path == "a.xml")
    assert done.unreadable == [NAME]
    assert not path.exists()
    assert place.land(NAME, MEMBERS).is_file(), "it is downloaded again"
    place.lake.close()
