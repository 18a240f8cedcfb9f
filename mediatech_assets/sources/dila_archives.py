"""Archive folders of the DILA: which stock and increments a listing page shows.

What belongs here: reading the page. What does not: fetching the archives, or applying them in order.

The page is an Apache index. It also links column sorts, its parent and a PDF, which are not archives, and
still lists increments older than the stock, which must not be applied after it.
"""

import re
from urllib.parse import unquote, urljoin, urlsplit

import lxml.etree
import lxml.html

from mediatech_assets.errors import UpstreamError
from mediatech_assets.records import PublishedFile
from mediatech_assets.sources.download import Upstream

_ARCHIVE = re.compile(
    r"(?:Freemium_(?P<stock>\w+?)_global|(?P<increment>[A-Za-z]+))_(?P<stamp>\d{8}-\d{6})\.tar\.gz",
    re.ASCII,
)


def list_archives(upstream: Upstream, listing_url: str, fund: str) -> list[PublishedFile]:
    """Archives of a fund, oldest first.

    Args:
        upstream: Where to read.
        listing_url: Address of the folder.
        fund: Name of the fund (`LEGI`).

    Raises:
        UpstreamError: the page cannot be read, or lists no stock of the fund.
    """
    names = archive_names(upstream.read_page(listing_url))
    files = [_published(name, match, listing_url) for name, match in _archives_of(names, fund)]
    if not any(file.kind == "stock" for file in files):
        raise UpstreamError(
            f"{listing_url} lists no stock of the fund {fund} (Freemium_{fund.lower()}_global_*.tar.gz); "
            f"it shows {len(names)} archive(s)",
            "check the address in a browser: the page is no DILA folder, or its layout has changed",
        )
    return sorted(files, key=lambda file: (file.stamp, file.kind != "stock"))


def archive_names(page: str) -> list[str]:
    """File names of the archives that a listing page links, without duplicates, in the page's order."""
    try:
        # Bytes: text with an encoding declaration of its own is refused.
        parser = lxml.html.HTMLParser(encoding="utf-8")
        document = lxml.html.document_fromstring(page.encode("utf-8", "replace"), parser=parser)
    except lxml.etree.ParserError:  # nothing in it
        return []
    names = (_file_name(link.get("href", "")) for link in document.iterfind(".//a[@href]"))
    return list(dict.fromkeys(name for name in names if _ARCHIVE.fullmatch(name)))


def _file_name(link: str) -> str:
    try:
        return unquote(urlsplit(link.strip()).path).rpartition("/")[2]
    except ValueError:  # such as a bracket where the host would be
        return ""


def _archives_of(names: list[str], fund: str) -> list[tuple[str, re.Match[str]]]:
    found = []
    for name in names:
        match = _ARCHIVE.fullmatch(name)
        if match and (match["stock"] or match["increment"]).upper() == fund.upper():
            found.append((name, match))
    return found


def _published(name: str, match: re.Match[str], listing_url: str) -> PublishedFile:
    return PublishedFile(
        name=name,
        url=urljoin(listing_url, name),
        kind="stock" if match["stock"] else "increment",
        stamp=match["stamp"],
        format="targz",
    )
