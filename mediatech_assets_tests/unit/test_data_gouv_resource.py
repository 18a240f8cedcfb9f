"""What belongs here: finding the newest file of a series on a page of data.gouv.fr."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.errors import UpstreamError
from mediatech_assets.records import PublishedFile
from mediatech_assets.sources.data_gouv_resource import newest_resource
from mediatech_assets.sources.download import FileFacts, open_upstream

HOST = "www.data.gouv.fr"
ADDRESS = f"https://{HOST}/api/1/datasets/catalogue/"
TITLE = r"export-dataset-(?P<stamp>\d{8}-\d{6})\.csv"
FILES = "https://static.data.gouv.fr/resources/catalogue"


def export(stamp: str, **changes: Any) -> dict[str, Any]:
    name = f"export-dataset-{stamp}.csv"
    return {
        "title": name,
        "url": f"{FILES}/{stamp}/{name}",
        "filesize": 1234,
        "last_modified": "2026-01-05T05:51:32+01:00",
    } | changes


class Page:
    """An upstream that shows one page."""

    requests = 0

    def __init__(self, text: str) -> None:
        self._text = text

    def read_page(self, url: str) -> str:
        assert url == ADDRESS
        return self._text

    def upstream_address(self, link: str) -> str:
        return link.replace("http://mirror:8765/", "https://")

    def facts(self, url: str) -> FileFacts:
        raise AssertionError(f"{url} need not be asked for")

    def download(self, url, target, on_bytes) -> FileFacts:  # noqa: ARG002
        raise AssertionError(f"{url} must not be fetched")


def unmarked(name: str) -> str:
    """A name without the eight digits that tell its version."""
    mark, _, rest = name.partition("-")
    assert len(mark) == 8
    return rest


def newest_of(page: str, feed: str = "") -> PublishedFile:
    return newest_resource(Page(page), ADDRESS, title=TITLE, format="csv", feed=feed)


def newest_among(*resources: Any, feed: str = "") -> PublishedFile:
    return newest_of(json.dumps({"resources": resources}), feed)


def test_the_newest_is_chosen_by_its_title_and_never_by_the_order():
    older, newest, oldest = export("20260104-055132"), export("20260105-055132"), export("20251231-235959")
    older["last_modified"] = "2026-02-01T00:00:00+00:00"

    found = newest_among(older, newest, oldest)
    assert unmarked(found.name) == "export-dataset-20260105-055132.csv"
    assert found == PublishedFile(
        name=found.name,
        url=f"{FILES}/20260105-055132/export-dataset-20260105-055132.csv",
        kind="snapshot",
        stamp="20260105-055132",
        format="csv",
        last_modified="2026-01-05T04:51:32+00:00",
        size=1234,
    )
    assert newest_among(newest, oldest, older) == newest_among(oldest, older, newest)


@pytest.mark.parametrize(
    "other",
    [
        export("20270101-000000", title="export-resource-20270101-000000.csv"),
        export("20270101-000000", title="old export-dataset-20270101-000000.csv"),
        export("20270101-000000", title="export-dataset-20270101-000000.csv.gz"),
        export("20270101-000000", title="export-dataset-2027-01-01.csv"),
        export("20270101-000000", title="export-dataset-٢٠٢٧٠١٠١-٠٠٠٠٠٠.csv"),
        export("20270101-000000", title=None),
        {"url": f"{FILES}/a.csv"},
        {"title": "Documentation du catalogue", "url": "https://guides.data.gouv.fr/"},
        None,
        "export-dataset-20270101-000000.csv",
        [],
    ],
)
def test_other_resources_are_passed_over(other):
    assert newest_among(other, export("20260105-055132"), other).stamp == "20260105-055132"


def test_of_two_files_with_one_title_the_one_published_last_counts():
    first = export("20260105-055132", url=f"{FILES}/b/export.csv", last_modified="2026-01-05T06:00:00+00:00")
    again = export("20260105-055132", url=f"{FILES}/a/export.csv", last_modified="2026-01-05T09:00:00+02:00")

    assert newest_among(first, again).url == newest_among(again, first).url == f"{FILES}/a/export.csv"


def test_a_feed_is_part_of_the_name():
    file = newest_among(export("20260105-055132"), feed="jour")

    assert (file.feed, unmarked(file.name)) == ("jour", "jour-export-dataset-20260105-055132.csv")


@pytest.mark.parametrize("changed", [{"filesize": 99}, {"last_modified": "2026-01-06T00:00:00+00:00"}])
def test_a_file_published_again_under_its_title_is_another_file(changed):
    first, again = export("20260105-055132"), export("20260105-055132", **changed)

    assert newest_among(first).name != newest_among(again).name
    assert newest_among(first).name == newest_among(dict(first)).name


@pytest.mark.parametrize("size", [None, "1234", -5, 0, True, 12.5, {}])
def test_an_unusable_size_is_unknown(size):
    assert newest_among(export("20260105-055132", filesize=size)).size is None


@pytest.mark.parametrize("time", [None, "", "yesterday", 20260105, "0001-01-01T00:00:00+05:00"])
def test_an_unusable_time_is_unknown(time):
    assert newest_among(export("20260105-055132", last_modified=time)).last_modified is None


def test_a_time_without_zone_is_utc():
    file = newest_among(export("20260105-055132", last_modified="2026-01-05T05:51:32.123000"))

    assert file.last_modified == "2026-01-05T05:51:32.123000+00:00"


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<!doctype html><title>502</title>",
        "[",
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        '{"resources": {}}',
        "12",
    ],
)
def test_a_page_of_another_shape_is_an_error_of_the_upstream(page):
    with pytest.raises(UpstreamError) as caught:
        newest_of(page)

    assert ADDRESS in caught.value.problem
    assert caught.value.remedy


def test_a_page_without_the_series_says_what_was_looked_for():
    with pytest.raises(UpstreamError, match=r"no resource whose title is like export-dataset.* 2 resource"):
        newest_among({"title": "a"}, {"title": "b"})


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        7,
        "http://static.data.gouv.fr/a.csv",
        "ftp://static.data.gouv.fr/a.csv",
        "file:///etc/passwd",
        "//static.data.gouv.fr/a.csv",
        "https:///a.csv",
        "https://me:secret@static.data.gouv.fr/a.csv",
        "https://[static/a.csv",
        "https://static.data.gouv.fr/\ud800/a.csv",
        "https://static.data.gouv.fr/a\r\nHost: b/a.csv",
        "https://static.data.gouv.fr",
        "https://static.data.gouv.fr/a/",
        "https://static.data.gouv.fr/a/..",
        "https://static.data.gouv.fr/a/../b.csv",
        "https://static.data.gouv.fr/a/%2e%2e%2fb.csv",
        "https://static.data.gouv.fr/a/..%5cb.csv",
        "https://static.data.gouv.fr/a/.hidden",
        "https://static.data.gouv.fr/a/b%00.csv",
        "https://static.data.gouv.fr/a/b c.csv",
        f"https://static.data.gouv.fr/{'a' * 300}.csv",
    ],
)
def test_an_odd_address_is_refused_rather_than_an_older_file_taken(url):
    with pytest.raises(UpstreamError, match="20260105-055132"):
        newest_among(export("20260104-055132"), export("20260105-055132", url=url))


def test_a_mirror_that_links_to_itself_stands_for_the_upstream():
    own = f"{FILES}/x.csv".replace("https://", "http://mirror:8765/")

    assert newest_among(export("20260105-055132", url=own)).url == f"{FILES}/x.csv"


def test_the_query_of_an_address_is_no_part_of_the_name():
    address = f"{FILES}/x.csv?name=/../y"

    assert newest_among(export("20260105-055132", url=address)).name.endswith("-x.csv")


def test_a_page_is_read_in_a_folder_that_stands_for_the_host(tmp_path):
    folder = tmp_path / HOST / "api/1/datasets/catalogue"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(json.dumps({"resources": [export("20260105-055132")]}))
    with open_upstream(str(tmp_path), {HOST}, timeout=5, attempts=1, user_agent="tests") as upstream:
        file = newest_resource(upstream, ADDRESS, title=TITLE, format="csv", feed="")

    assert file.stamp == "20260105-055132"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([FILES, "..", "https://"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "title": st.just("export-dataset-20260105-055132.csv") | VALUES,
                "url": st.just(f"{FILES}/a.csv") | VALUES,
                "filesize": VALUES,
                "last_modified": VALUES,
            },
        )
        | VALUES,
        max_size=4,
    )
)
def test_any_answer_gives_a_safe_file_or_an_error_of_the_upstream(resources):
    with suppress(UpstreamError):
        file = newest_among(*resources)
        assert file.url.startswith("https://")
        assert "/" not in file.name
        assert file.name != ".."
