"""What belongs here: what is read out of archives that strangers made, and what is refused."""

import bz2
import gzip
import io
import json
import random
import tarfile
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.raw import archives
from mediatech_assets.raw.archives import read_members, verify
from mediatech_assets.records import JsonRecords


def tar_bytes(*members, end=True):
    """A plain tar; a member is `(name, data)` or a `TarInfo`."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.mtime = len(member[1]), 1_700_000_000
                archive.addfile(info, io.BytesIO(member[1]))
        length = archive.offset
    return plain.getvalue() if end else plain.getvalue()[:length]


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def targz(tmp_path):
    def write(data, name="LEGI_20260101-200000.tar.gz"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def zip_bytes(members, compression=zipfile.ZIP_DEFLATED):
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 5, 4, 12, 0)), data, compression)
    return plain.getvalue()


def test_members_come_in_order_without_folders_and_stamp(targz):
    folder = special("20260101-200000/legi", tarfile.DIRTYPE)
    path = targz(gzip.compress(tar_bytes(folder, ("20260101-200000/legi/b.xml", b"B"), ("a.xml", b""))))

    members = list(read_members(path, "targz"))

    assert [(member.path, member.data, member.refusal) for member in members] == [
        ("legi/b.xml", b"B", ""),
        ("a.xml", b"", ""),
    ]
    assert members[0].modified == 1_700_000_000


@pytest.mark.parametrize(
    "hostile",
    [
        ("../outside.xml", b"x"),
        ("legi/../../outside.xml", b"x"),
        ("/etc/outside.xml", b"x"),
        ("..\\outside.xml", b"x"),
        special("link.xml", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.xml", tarfile.LNKTYPE, "good.xml"),
        special("tty.xml", tarfile.CHRTYPE),
        special("disk.xml", tarfile.BLKTYPE),
        special("pipe.xml", tarfile.FIFOTYPE),
    ],
    ids=lambda hostile: getattr(hostile, "name", None) or hostile[0],
)
def test_a_hostile_member_is_refused_and_the_others_are_read(targz, tmp_path, hostile):
    path = targz(gzip.compress(tar_bytes(("good.xml", b"good"), hostile, ("last.xml", b"last"))))

    verify(path, "targz")
    read = {member.path: member for member in read_members(path, "targz")}
    refused = [member for member in read.values() if member.refusal]

    assert (read["good.xml"].data, read["last.xml"].data) == (b"good", b"last")
    assert len(refused) == 1
    assert refused[0].data == b""
    assert list(tmp_path.iterdir()) == [path], "nothing may be written to disk"


def test_the_same_rules_hold_for_zip_members(targz, tmp_path):
    path = targz(zip_bytes({"F1.xml": b"good", "../F2.xml": b"x", "/F3.xml": b"x"}), "sheets.zip")

    verify(path, "zip")
    read = list(read_members(path, "zip"))

    assert {member.path: (member.data, bool(member.refusal)) for member in read} == {
        "F1.xml": (b"good", False),
        "../F2.xml": (b"", True),
        "/F3.xml": (b"", True),
    }
    assert read[0].modified == datetime(2026, 1, 5, 4, 12, tzinfo=UTC).timestamp()
    assert list(tmp_path.iterdir()) == [path]


TAR = tar_bytes(("a.xml", b"<a/>" * 400), ("b.xml", b"<b/>" * 400))


def corrupted(data, position):
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(b"plain words", id="no gzip"),
        pytest.param(gzip.compress(b""), id="empty gzip"),
        pytest.param(gzip.compress(b"plain words"), id="no tar in the gzip"),
        pytest.param(gzip.compress(TAR)[:-200], id="truncated gzip"),
        pytest.param(gzip.compress(TAR)[:-4], id="gzip without its length"),
        pytest.param(gzip.compress(TAR) + b"and more", id="rubbish after the gzip"),
        pytest.param(corrupted(gzip.compress(TAR), -8), id="wrong checksum"),
        pytest.param(gzip.compress(TAR[:700]), id="tar cut in a member"),
        pytest.param(gzip.compress(TAR[:2300]), id="tar cut in a header"),
        pytest.param(gzip.compress(tar_bytes(("a.xml", b"<a/>"), end=False)), id="tar cut between members"),
        pytest.param(gzip.compress(corrupted(TAR, 512 + 2048 + 5)), id="damaged header in the middle"),
        pytest.param(gzip.compress(TAR[:148] + b"\xff" * 8 + TAR[156:]), id="damaged first header"),
    ],
)
def test_a_damaged_tar_gz_is_refused_by_name(targz, data):
    path = targz(data)

    with pytest.raises(
        RefusedFileError, match=r"LEGI_20260101-200000\.tar\.gz is no complete tar\.gz"
    ) as caught:
        verify(path, "targz")

    assert "run again" in caught.value.remedy


ZIP = zip_bytes({"F1.xml": b"<Publication/>" * 50})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(ZIP[:-30], id="truncated"),
        pytest.param(corrupted(zip_bytes({"F1.xml": b"words"}, zipfile.ZIP_STORED), 38), id="wrong checksum"),
        pytest.param(zip_bytes({"F1.xml": b"words"}, zipfile.ZIP_BZIP2), id="compressed by bzip2"),
        pytest.param(zip_bytes({"F1.xml": b"words"}, zipfile.ZIP_LZMA), id="compressed by lzma"),
        pytest.param(
            ZIP.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"), id="encrypted"
        ),
    ],
)
def test_a_damaged_zip_is_refused_by_name(targz, data):
    with pytest.raises(RefusedFileError, match=r"sheets\.zip is no complete zip"):
        verify(targz(data, "sheets.zip"), "zip")


@pytest.mark.parametrize("format", ["targz", "zip", "json"])
@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html></html>", b"\n  <HTML lang=fr>", b"\xef\xbb\xbf<html>"]
)
def test_an_html_page_is_named_as_one(targz, format, page):
    with pytest.raises(RefusedFileError, match="is an HTML page") as caught:
        verify(targz(page), format)

    assert "browser" in caught.value.remedy


SHEETS = JsonRecords(name="sheet", prefix="item", key="pubId", member="*.json")


@pytest.mark.parametrize("text", [b"", b'[{"pubId": "1"', b"\xff\xfe", b"[" * 100_000, b'[{"a": 1}] x'])
def test_json_that_does_not_end_well_is_refused(targz, text):
    with pytest.raises(RefusedFileError):
        verify(targz(text, "fiches.json"), "json", SHEETS)


def bz2_tar(*members):
    return bz2.compress(tar_bytes(*members))


@pytest.mark.parametrize(
    ("name", "format", "pack"),
    [
        ("sheets.json", "json", lambda data: data),
        ("sheets.tar.bz2", "tarbz2", lambda data: bz2_tar(("other.zip", b"PK"), ("day/sheets.json", data))),
        ("sheets.tar.gz", "targz", lambda data: gzip.compress(tar_bytes(("other.zip", b"PK"), ("sheets.json", data)))),
        ("sheets.zip", "zip", lambda data: zip_bytes({"other.zip": b"PK", "sheets.json": data})),
    ],
)  # fmt: skip
def test_records_are_members_wherever_their_file_lies(targz, name, format, pack):
    sheets = [{"pubId": "a", "title": "é"}, {"pubId": "b"}]
    path = targz(pack(json.dumps(sheets).encode()), name)

    verify(path, format, SHEETS)

    read = {member.path: member.data for member in read_members(path, format, SHEETS)}
    assert read.pop("other.zip", b"") == b"", "a member that is not asked for is not read"
    assert {path: json.loads(data) for path, data in read.items()} == {
        "sheet[a]": sheets[0],
        "sheet[b]": sheets[1],
    }


def test_a_member_to_cut_may_be_larger_than_a_document(targz, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 100)
    monkeypatch.setattr(archives, "RATIO_LIMIT", 1_000)
    sheets = [{"pubId": str(number)} for number in range(50)]
    path = targz(bz2_tar(("sheets.json", json.dumps(sheets).encode()), ("other", bytes(101))), "s.tar.bz2")

    assert len([member for member in read_members(path, "tarbz2", SHEETS) if member.data]) == 50
    refused = [member.refusal for member in read_members(path, "tarbz2") if member.refusal]
    assert refused == ["it is larger than 100 bytes"] * 2


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data[:40] + b"X" + data[41:], lambda _: b""]
)
def test_a_damaged_bz2_is_refused(targz, damage):
    path = targz(damage(bz2_tar(("sheets.json", b"[]"))), "all_latest.tar.bz2")
    with pytest.raises(RefusedFileError, match=r"all_latest\.tar\.bz2 is no complete tar\.bz2"):
        verify(path, "tarbz2", SHEETS)


def test_a_file_that_is_gone_is_named_with_the_remedy(tmp_path):
    with pytest.raises(RefusedFileError, match=r"gone\.zip is no longer in") as caught:
        list(read_members(tmp_path / "gone.zip", "zip"))

    assert "raw" in caught.value.remedy


def test_a_member_over_the_limit_is_refused_and_the_others_are_read(targz, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 5_000)
    sizes = {"big.xml": random.Random(1).randbytes(5_001), "small.xml": b"x" * 5_000}
    path = targz(gzip.compress(tar_bytes(*sizes.items())))
    zipped = targz(zip_bytes(sizes), "sheets.zip")

    for members in (read_members(path, "targz"), read_members(zipped, "zip")):
        assert [(member.path, len(member.data), bool(member.refusal)) for member in members] == [
            ("big.xml", 0, True),
            ("small.xml", 5_000, False),
        ]


def test_archives_that_unpack_to_far_too_much_are_refused_before_they_do(targz, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 100_000)
    bomb = targz(gzip.compress(tar_bytes(*((f"{i}.xml", bytes(90_000)) for i in range(30)))))
    zipped = targz(zip_bytes({f"{i}.xml": bytes(90_000) for i in range(300)}), "bomb.zip")

    for path, format in ((bomb, "targz"), (zipped, "zip")):
        with pytest.raises(RefusedFileError, match="unpacks to more than"):
            verify(path, format)


def test_text_that_shrinks_well_is_no_bomb(targz, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 10_000)
    articles = {f"{i}.xml": f"<ARTICLE>{i}</ARTICLE>".encode() * 40 for i in range(200)}

    verify(targz(gzip.compress(tar_bytes(*articles.items()))), "targz")
    verify(targz(zip_bytes(articles), "sheets.zip"), "zip")


def test_a_zip_that_lies_about_a_length_is_refused_and_not_unpacked(targz):
    honest = zip_bytes({"F1.xml": bytes(3_000_000)})
    lying = honest.replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))

    with pytest.raises(RefusedFileError):
        verify(targz(lying, "sheets.zip"), "zip")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_an_extended_header_of_any_length_is_not_read_into_memory(targz, kind):
    info = tarfile.TarInfo("long")
    info.type, info.size = kind, 1 << 40
    header = info.tobuf(tarfile.GNU_FORMAT)

    with pytest.raises(RefusedFileError, match="unpacks to more than"):
        verify(targz(gzip.compress(header + bytes(2048))), "targz")


def test_a_negative_length_does_not_lead_backwards(targz):
    info = tarfile.TarInfo("back.xml")
    info.size = -1024
    header = info.tobuf(tarfile.GNU_FORMAT)

    with pytest.raises(RefusedFileError):
        verify(targz(gzip.compress(TAR[:2560] + header + bytes(2048))), "targz")


@given(st.binary(max_size=300), st.sampled_from(["targz", "tarbz2", "zip", "json"]), st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_read_or_refused(targz, data, format, compressed):
    path = targz(gzip.compress(data) if compressed else data)
    refused = ""
    try:
        verify(path, format, SHEETS if format == "json" else None)
    except RefusedFileError as refusal:
        refused = refusal.problem
    assert not refused or path.name in refused


@given(st.integers(0, 2**31), st.integers(1, 255), st.sampled_from(["targz", "zip"]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_changed_byte_never_changes_what_is_read_unnoticed(targz, position, change, format):
    good = gzip.compress(TAR, mtime=0) if format == "targz" else ZIP
    path = targz(good)
    expected = [(member.path, member.data) for member in read_members(path, format)]
    position %= len(good)
    path.write_bytes(good[:position] + bytes([good[position] ^ change]) + good[position + 1 :])
    try:
        verify(path, format)
        read = [member for member in read_members(path, format) if not member.refusal]
    except RefusedFileError:
        return
    assert [member.data for member in read] in ([data for _, data in expected], [])
