"""What belongs here: what is understood of the pages that list DILA archives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.errors import UpstreamError
from mediatech_assets.sources.dila_archives import archive_names, list_archives
from mediatech_assets.sources.download import open_upstream

HOST = "echanges.dila.gouv.fr"
ADDRESS = f"https://{HOST}/OPENDATA/LEGI/"
STOCK = "Freemium_legi_global_20250713-140000.tar.gz"
INCREMENT = "LEGI_20250714-212043.tar.gz"

PAGE = f"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /OPENDATA/LEGI</title></head><body><pre>
<a href="?C=N;O=D">Name</a> <a href="?C=M;O=A">Last modified</a>
<a href="/OPENDATA/">Parent Directory</a>
<a href="DILA_LEGI_Presentation_20170824.pdf">DILA_LEGI_Presentation_20170824.pdf</a>
<a href="{INCREMENT}">{INCREMENT}</a>
<a href="{STOCK}">{STOCK}</a>
<a href="{STOCK}">again</a>
<a href="LEGI_20250712-211706.tar.gz">older than the stock</a>
<a href="JORF_20250714-212043.tar.gz">of another fund</a>
<a href="LEGI_20250714-212043.tar.gz.md5">checksum</a>
<a href="LEGI_2025.tar.gz">no stamp</a>
<a>no address</a>
</pre></body></html>"""


def listed(tmp_path, page, fund="LEGI"):
    folder = tmp_path / HOST / "OPENDATA" / "LEGI"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(page, encoding="utf-8")
    with open_upstream(str(tmp_path), {HOST}, timeout=5, attempts=1, user_agent="tests") as upstream:
        return list_archives(upstream, ADDRESS, fund)


def test_the_archives_of_the_fund_come_oldest_first_and_once(tmp_path):
    files = listed(tmp_path, PAGE)

    assert [(file.name, file.kind, file.stamp) for file in files] == [
        ("LEGI_20250712-211706.tar.gz", "increment", "20250712-211706"),
        (STOCK, "stock", "20250713-140000"),
        (INCREMENT, "increment", "20250714-212043"),
    ]
    assert {file.url for file in files} == {f"{ADDRESS}{file.name}" for file in files}
    assert {file.format for file in files} == {"targz"}


def test_the_stock_comes_before_an_increment_of_the_same_instant(tmp_path):
    page = f'<a href="LEGI_20250713-140000.tar.gz">i</a><a href="{STOCK}">s</a>'

    assert [file.kind for file in listed(tmp_path, page)] == ["stock", "increment"]


@pytest.mark.parametrize(
    "link",
    [
        STOCK,
        f"./{STOCK}",
        f"/OPENDATA/LEGI/{STOCK}",
        f"{ADDRESS}{STOCK}",
        f"https://evil.example/{STOCK}",
        "Freemium%5Flegi%5Fglobal%5F20250713%2D140000.tar.gz",
        f" {STOCK}\n",
        f"{STOCK}?v=1#top",
    ],
)
def test_a_link_gives_its_file_name_whatever_its_form(tmp_path, link):
    files = listed(tmp_path, f'<a href="{link}">x</a>')

    assert [(file.name, file.url) for file in files] == [(STOCK, ADDRESS + STOCK)]


@pytest.mark.parametrize(
    "link",
    [
        "http://[broken",
        "",
        "#",
        "..%2F..%2FLEGI_20250714-212043.tar.gz.exe",
        "LEGI_٢٠٢٥٠٧١٤-٢١٢٠٤٣.tar.gz",
        "LEGI_1-2.tar.gz",
    ],
)
def test_other_links_are_no_archives(link):
    assert archive_names(f'<a href="{link}">x</a>') == []


@pytest.mark.parametrize("page", ["", "   \n", "<!-- nothing -->", "<html></html>", "\0", "Index of nothing"])
def test_a_page_without_links_has_no_archives(page):
    assert archive_names(page) == []


def test_a_page_that_declares_an_encoding_is_read():
    assert archive_names(f'<?xml version="1.0" encoding="ISO-8859-1"?><a href="{STOCK}">é</a>') == [STOCK]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("", id="empty"),
        pytest.param("<html><h1>503 Service Unavailable</h1></html>", id="error page"),
        pytest.param(f'<a href="{INCREMENT}">x</a>', id="no stock"),
        pytest.param('<a href="Freemium_jorf_global_20250713-140000.tar.gz">x</a>', id="another fund"),
    ],
)
def test_a_page_without_a_stock_of_the_fund_is_refused_by_its_address(tmp_path, page):
    with pytest.raises(UpstreamError, match=r"OPENDATA/LEGI/ lists no stock of the fund LEGI") as caught:
        listed(tmp_path, page)

    assert "browser" in caught.value.remedy


@given(st.one_of(st.text(), st.text(alphabet="<>a href=\"!-?[]&;#/\\\0\ud800'=%LEGI_0123456789-.targz")))
def test_no_page_breaks_the_reader(page):
    assert all(name.endswith(".tar.gz") and "/" not in name for name in archive_names(page))


@given(st.lists(st.sampled_from([STOCK, INCREMENT, "LEGI_20250715-200000.tar.gz"]), max_size=8), st.text())
def test_every_linked_archive_is_found_once_in_order(names, noise):
    visible = noise.translate(dict.fromkeys(map(ord, "<>&")))
    page = "".join(f'<p>{visible}<a href="{name}">{visible}</a></p>' for name in names)

    assert archive_names(page) == list(dict.fromkeys(names))
