"""What belongs here: which files are fetched, kept and forgotten, and what the manifest says of them."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.errors import ConfigurationError, UpstreamError
from mediatech_assets.lake import Lake
from mediatech_assets.raw.landing import LandingZone, needed_files, withdrawn_files
from mediatech_assets.records import JsonRecords, PublishedFile, RawFile, file_sha256
from mediatech_assets.schemas import RAW_FILES
from mediatech_assets.sources.download import open_upstream

HOST = "host.example"
DAYS = [f"2026010{day}-200000" for day in range(1, 7)]


def archive(*names):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return gzip.compress(plain.getvalue(), mtime=0)


def published(kind, stamp, **facts):
    name = f"Freemium_legi_global_{stamp}.tar.gz" if kind == "stock" else f"LEGI_{stamp}.tar.gz"
    return PublishedFile(name, f"https://{HOST}/{name}", kind, stamp, "targz", **facts)


def snapshot(version, feed=""):
    name = f"{version}-{feed}sheets.json"
    return PublishedFile(name, f"https://{HOST}/{feed}sheets.json", "snapshot", version, "json", feed=feed)


class Place:
    """A landing zone on a real lake, and the folder that stands for its upstream."""

    def __init__(self, folder: Path) -> None:
        self.raw = folder / "raw"
        self.lake = Lake(folder / "lake", folder / "locks")
        self.lake.open("legi", {"raw_files": RAW_FILES})
        records = JsonRecords(name="sheet", prefix="item", key="id")
        self.zone = LandingZone(self.lake, "legi", self.raw, {"part-": records, "pro-": records})
        self.host = folder / "upstream" / HOST
        self.host.mkdir(parents=True)
        self.fetches = []

    def offer(self, file: PublishedFile, data: bytes) -> PublishedFile:
        (self.host / file.url.rpartition("/")[2]).write_bytes(data)
        return file

    def land(self, *files):
        with open_upstream(
            str(self.host.parent), {HOST}, timeout=5, attempts=1, user_agent="tests"
        ) as upstream:
            return self.zone.land(files, upstream)

    def manifest(self):
        rows = self.lake.cursor().execute("SELECT file, status FROM legi.raw_files ORDER BY file")
        return dict(rows.fetchall())

    def row(self, name):
        cursor = self.lake.cursor().execute("SELECT * FROM legi.raw_files WHERE file = ?", [name])
        (row,) = cursor.to_arrow_table().to_pylist()
        return row

    def snapshots(self):
        return self.lake.cursor().execute("SELECT count(*) FROM ducklake_snapshots('legi')").fetchall()


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.lake.close()


def test_what_is_fetched_has_a_row_with_what_proves_it(place):
    stock = place.offer(published("stock", DAYS[0]), archive("a.xml"))
    os.utime(place.host / stock.name, (1_767_600_000, 1_767_600_000))

    landed = place.land(stock)

    row = place.row(stock.name)
    kept = place.raw / stock.name
    assert (landed.fetched, landed.held, landed.problems) == ([stock.name], 1, [])
    assert landed.bytes == row["size"] == kept.stat().st_size
    assert row["sha256"] == file_sha256(kept)
    assert (row["status"], row["url"], row["stamp"]) == ("ready", stock.url, DAYS[0])
    assert row["last_modified"] == "2026-01-05T08:00:00+00:00"
    assert [file.name for file in place.zone.files()] == [stock.name]
    assert list(place.raw.iterdir()) == [kept]


def test_a_second_landing_fetches_and_writes_nothing(place):
    stock = place.offer(published("stock", DAYS[1]), archive("a.xml"))
    old = place.offer(published("increment", DAYS[0]), archive("old.xml"))
    increment = place.offer(published("increment", DAYS[2]), archive("b.xml"))
    first = place.land(stock, old, increment)
    before = place.snapshots()

    second = place.land(stock, old, increment)

    assert (first.stale, second.stale) == (1, 1)
    assert second.fetched == []
    assert second.held == 2
    assert place.snapshots() == before
    assert place.manifest()[old.name] == "stale"
    assert not (place.raw / old.name).exists(), "an increment older than the stock is not even fetched"


def test_an_unreadable_file_is_recorded_and_tried_again(place):
    stock = place.offer(published("stock", DAYS[0]), archive("a.xml"))
    broken = place.offer(published("increment", DAYS[1]), archive("b.xml")[:20])
    later = place.offer(published("increment", DAYS[2]), archive("c.xml"))

    first = place.land(stock, broken, later)

    assert first.fetched == [stock.name, later.name], "the others go on"
    assert len(first.problems) == 1
    assert broken.name in first.problems[0]
    assert place.row(broken.name)["status"] == "unreadable"
    assert broken.name in place.row(broken.name)["reason"]
    assert not list(place.raw.glob(f"*{broken.name}*"))

    place.offer(broken, archive("b.xml"))
    second = place.land(stock, broken, later)

    assert second.fetched == [broken.name]
    assert second.problems == []
    assert (place.row(broken.name)["status"], place.row(broken.name)["reason"]) == ("ready", None)


def test_a_file_that_is_listed_and_missing_is_recorded(place):
    stock = place.offer(published("stock", DAYS[0]), archive("a.xml"))

    landed = place.land(stock, published("increment", DAYS[1]))

    assert landed.fetched == [stock.name]
    assert "is not in the upstream folder" in landed.problems[0]


def test_nothing_at_all_is_an_error_that_says_why(place):
    with pytest.raises(
        UpstreamError, match=r"nothing of legi could be fetched: .*not in the upstream folder"
    ):
        place.land(published("stock", DAYS[0]))


def test_a_file_deleted_by_hand_is_fetched_again(place):
    stock = place.offer(published("stock", DAYS[0]), archive("a.xml"))
    place.land(stock)
    (place.raw / stock.name).unlink()

    assert place.land(stock).fetched == [stock.name]
    assert (place.raw / stock.name).is_file()


def test_a_place_that_cannot_be_written_is_named(place):
    stock = place.offer(published("stock", DAYS[0]), archive("a.xml"))
    place.raw.write_text("a file in its way", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=f"cannot be kept in {place.raw}") as caught:
        place.land(stock)

    assert "MEDIATECH_HOME" in caught.value.remedy


def test_a_snapshot_that_goes_back_to_an_earlier_version_is_current_again(place):
    for version in ("v1", "v2"):
        place.land(place.offer(snapshot(version), b'["%s"]' % version.encode()))
    assert [file.stamp for file in place.zone.files()] == ["v1", "v2"]

    landed = place.land(place.offer(snapshot("v1"), b'["v1"]'))

    assert landed.fetched == [], "it is held already"
    assert [file.stamp for file in place.zone.files()] == ["v2", "v1"]
    before = place.snapshots()
    place.land(snapshot("v1"))
    assert place.snapshots() == before


def test_a_bad_version_of_one_feed_leaves_the_other_feed_alone(place):
    place.land(place.offer(snapshot("v1", "part-"), b"[1]"), place.offer(snapshot("v1", "pro-"), b"[2]"))

    landed = place.land(
        place.offer(snapshot("v2", "part-"), b"[1"), place.offer(snapshot("v2", "pro-"), b"[3]")
    )

    assert landed.fetched == ["v2-pro-sheets.json"]
    assert "v2-part-sheets.json" in landed.problems[0]
    ready = {file.feed: file.name for file in place.zone.files() if file.ready}
    assert ready == {"part-": "v1-part-sheets.json", "pro-": "v2-pro-sheets.json"}


def test_begun_downloads_of_versions_that_are_gone_are_swept(place):
    place.land(place.offer(snapshot("v1", "part-"), b"[]"))
    gone, going_on = (
        place.raw / "incoming-v0-part-sheets.json.part",
        place.raw / "incoming-v2-part-sheets.json.part",
    )
    for path in (gone, going_on):
        path.write_bytes(b"half")
    broken = place.offer(snapshot("v2", "part-"), b"[1")

    landed = place.land(broken)

    assert not gone.exists()
    assert "incoming" not in landed.problems[0]


def test_a_withdrawn_archive_is_forgotten_until_it_is_listed_again(place):
    stock = place.offer(published("stock", DAYS[0]), archive("a.xml"))
    first = place.offer(published("increment", DAYS[1]), archive("b.xml"))
    second = place.offer(published("increment", DAYS[2]), archive("c.xml"))
    place.land(stock, first, second)

    place.land(stock, first)
    assert place.manifest()[second.name] == "withdrawn"
    assert [file.name for file in place.zone.files()] == [stock.name, first.name]

    place.land(stock, first, second)
    assert place.manifest()[second.name] == "ready"


# --- rules, without a lake --------------------------------------------------------------------------------


archives = st.lists(
    st.builds(published, st.sampled_from(["stock", "increment"]), st.sampled_from(DAYS)),
    unique_by=lambda file: file.name,
)


@given(archives)
def test_the_newest_stock_and_what_came_after_it_are_needed(files):
    wanted, stale = needed_files(files)
    stocks = [file.stamp for file in files if file.kind == "stock"]

    if not stocks:
        assert (wanted, stale) == (files, [])
        return
    assert [file.kind for file in wanted] == ["stock"] + ["increment"] * (len(wanted) - 1)
    assert wanted[0].stamp == max(stocks)
    assert all(file.stamp > wanted[0].stamp for file in wanted[1:])
    assert [file.stamp for file in wanted] == sorted(file.stamp for file in wanted)
    assert all(file.stamp <= wanted[0].stamp for file in stale)
    increments = [file for file in files if file.kind == "increment"]
    assert sorted(file.name for file in [*wanted[1:], *stale]) == sorted(file.name for file in increments)


def held(*files):
    return [
        RawFile(file.name, Path(file.name), file.kind, file.stamp, file.format, "", "", file.url, ready=True)
        for file in files
    ]


STOCK, EARLY, MIDDLE, LATE = (
    published("stock", DAYS[1]),
    published("increment", DAYS[2]),
    published("increment", DAYS[3]),
    published("increment", DAYS[4]),
)


@pytest.mark.parametrize(
    ("kept", "listed", "withdrawn"),
    [
        pytest.param([STOCK, EARLY], [STOCK, EARLY], [], id="the same"),
        pytest.param([STOCK, EARLY, MIDDLE], [STOCK, MIDDLE], [], id="the oldest rotated away"),
        pytest.param([STOCK, EARLY, MIDDLE, LATE], [STOCK, EARLY, LATE], [MIDDLE], id="one in the middle"),
        pytest.param([STOCK, EARLY, LATE], [STOCK, EARLY], [LATE], id="the last one"),
        pytest.param([STOCK, EARLY], [STOCK], [EARLY], id="the only one, younger than the stock"),
        pytest.param(
            [published("stock", DAYS[5]), STOCK], [STOCK], [published("stock", DAYS[5])], id="a stock"
        ),
        pytest.param([STOCK, EARLY], [published("stock", DAYS[4])], [], id="a newer stock"),
        pytest.param([snapshot("v1")], [snapshot("v2")], [], id="snapshots never are"),
        pytest.param([STOCK, EARLY], [], [], id="an empty listing proves nothing"),
    ],
)
def test_what_is_missing_among_older_files_was_withdrawn(kept, listed, withdrawn):
    assert [file.name for file in withdrawn_files(held(*kept), listed)] == [file.name for file in withdrawn]


@given(archives, archives)
def test_a_listed_file_is_never_withdrawn(kept, listed):
    gone = {file.name for file in withdrawn_files(held(*kept), listed)}

    assert gone.isdisjoint(file.name for file in listed)
