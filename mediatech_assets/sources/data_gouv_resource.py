"""Series of files that a dataset of data.gouv.fr publishes under dated titles: which one is the newest.

What belongs here: reading the page that describes the dataset. What does not: fetching the file, or comparing
it with what we hold.

The catalogue's page lists one export a kind (datasets, resources, organisations, reuses…) and a day, in no
promised order, and keeps older ones: the title alone says what a file is and when it was made.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from mediatech_assets.errors import UpstreamError
from mediatech_assets.records import PublishedFile, versioned_name
from mediatech_assets.sources.download import Upstream

#: Names that are kept as they are in the landing zone.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")

_LOOK = "open the address in a browser: it is no dataset of data.gouv.fr, or the site's answers have changed"


def newest_resource(
    upstream: Upstream, listing_url: str, *, title: str, format: str, feed: str
) -> PublishedFile:
    """The newest file of the series.

    Args:
        upstream: Where to read.
        listing_url: Address that describes the dataset and its resources, as JSON.
        title: Regular expression of a resource's whole title, whose group `stamp` is its sortable date.
        format: How to read the file (`csv`).
        feed: Feed of the dataset; empty when there is one.

    Raises:
        UpstreamError: the page cannot be read, lists no such resource, or the newest one cannot be fetched
            safely. An older one never takes its place.
    """
    resources = _resources(upstream.read_page(listing_url), listing_url)
    series = _series(resources, re.compile(title, re.ASCII))
    if not series:
        raise UpstreamError(
            f"{listing_url} lists no resource whose title is like {title}; it shows {len(resources)} resource(s)",
            _LOOK,
        )
    stamp, resource = max(series, key=_age)
    url = upstream.upstream_address(_text(resource, "url"))
    name = _file_name(url, f"the resource {_text(resource, 'title')!r} of {listing_url}")
    last_modified, size = _iso_utc(_text(resource, "last_modified")), _size(resource.get("filesize"))
    # A file that is published again under its old title is another file.
    return PublishedFile(
        name=versioned_name(f"{feed}-{name}" if feed else name, url, last_modified, size),
        url=url,
        kind="snapshot",
        stamp=stamp,
        format=format,
        feed=feed,
        last_modified=last_modified,
        size=size,
    )


def _resources(page: str, listing_url: str) -> list[Any]:
    try:
        answer = json.loads(page)
    except (ValueError, RecursionError) as error:
        raise UpstreamError(f"{listing_url} did not answer with JSON ({error})", _LOOK) from error
    resources = answer.get("resources") if isinstance(answer, dict) else None
    if not isinstance(resources, list):
        raise UpstreamError(f"{listing_url} answered without a list of resources", _LOOK)
    return resources


def _series(resources: list[Any], title: re.Pattern[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Resources of the series, each with its stamp."""
    found = []
    for resource in resources:
        match = title.fullmatch(_text(resource, "title")) if isinstance(resource, dict) else None
        if match:
            found.append((match["stamp"], resource))
    return found


def _age(dated: tuple[str, Mapping[str, Any]]) -> tuple[str, str, str]:
    """Sorts by stamp; of one stamp, what was published last is a correction."""
    stamp, resource = dated
    return stamp, _iso_utc(_text(resource, "last_modified")) or "", _text(resource, "url")


def _file_name(url: str, resource: str) -> str:
    """Last part of the address, which becomes a file's name on our disk."""
    try:
        parts = urlsplit(url)
        is_web_address = (
            url.isprintable() and parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:
        is_web_address = False
    if not is_web_address:
        raise UpstreamError(f"{resource} has the address {url!r}, which is no https address", _LOOK)
    path = unquote(parts.path)
    name = path.rpartition("/")[2]
    if not _FILE_NAME.fullmatch(name) or ".." in path.split("/"):
        raise UpstreamError(f"{resource} has the address {url!r}, which ends in no usable file name", _LOOK)
    return name


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _iso_utc(time: str) -> str | None:
    try:
        moment = datetime.fromisoformat(time)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None
