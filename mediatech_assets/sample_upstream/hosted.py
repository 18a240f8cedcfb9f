"""Files on the sample's hosts, and what a folder of the DILA shows.

What belongs here: a hosted file, the days of the sample, the times of snapshots, and the folder of a DILA fund
made of its deliveries. What does not: what any dataset delivers (`fixtures/`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from mediatech_assets.sample_upstream.archives import ArchivedFile, ListedFile, index_page, tar_gz

#: Days of the sample: the stock, then one increment a day.
SAMPLE_DAYS: tuple[int, ...] = (0, 1, 2)

STAMP_FORMAT = "%Y%m%d-%H%M%S"

#: When the stocks were made, and the increments of days 1 and 2.
STOCK_TIME = datetime(2026, 1, 5, 14, 0, 0, tzinfo=UTC)
INCREMENT_TIMES = (
    datetime(2026, 1, 6, 21, 14, 33, tzinfo=UTC),
    datetime(2026, 1, 7, 21, 27, 5, tzinfo=UTC),
)


@dataclass(frozen=True, slots=True)
class HostedFile:
    """A file of the tree: its path (`<host>/<path>`), bytes and Last-Modified."""

    path: str
    data: bytes
    modified: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """An archive of a DILA folder.

    Args:
        name: File name.
        stamp: The time in that name, UTC.
        day: First day of the sample on which the page lists it.
        data: Its bytes.
    """

    name: str
    stamp: datetime
    day: int
    data: bytes


def snapshot_time(day: int, hour: int) -> datetime:
    """When the snapshots shown on `day` were published: they only change on day 2."""
    return datetime(2026, 1, 7 if day >= 2 else 5, hour, 12, 0, tzinfo=UTC)


def stock(fund: str, documents: Iterable[tuple[str, bytes]]) -> Delivery:
    """The stock of a fund.

    Args:
        fund: Name of the folder (`CNIL`).
        documents: Path in the archive, from `<fund>/global/` on, and bytes of each document.
    """
    files = [ArchivedFile(path, data, STOCK_TIME) for path, data in documents]
    name = f"Freemium_{fund.lower()}_global_{STOCK_TIME:{STAMP_FORMAT}}.tar.gz"
    return Delivery(name, STOCK_TIME, 0, tar_gz(files, STOCK_TIME))


def increment(
    fund: str, day: int, documents: Iterable[tuple[str, bytes]], suppressed: Sequence[str] = ()
) -> Delivery:
    """The increment that a fund publishes on `day`, with its suppression list when there is any line.

    Args:
        fund: Name of the folder (`CNIL`).
        day: 1 or 2.
        documents: Path in the archive, from `<fund>/global/` on, and bytes of each document.
        suppressed: Lines of the list: paths without `.xml`.
    """
    stamp = INCREMENT_TIMES[day - 1]
    prefix = f"{stamp:{STAMP_FORMAT}}"
    files = [ArchivedFile(f"{prefix}/{path}", data, stamp) for path, data in documents]
    if suppressed:
        lines = "".join(f"{line}\n" for line in suppressed).encode("ascii")
        files.append(ArchivedFile(f"{prefix}/liste_suppression_{fund.lower()}.dat", lines, stamp))
    return Delivery(f"{fund}_{prefix}.tar.gz", stamp, day, tar_gz(files, stamp))


def fund_folder(
    fund: str, deliveries: Iterable[Delivery], day: int, extra: Sequence[HostedFile] = ()
) -> list[HostedFile]:
    """Files of a fund's folder on `day`: the archives listed by then and the index page.

    Args:
        fund: Name of the folder (`CNIL`).
        deliveries: All archives of the fund.
        day: Day of the sample.
        extra: Other files that the folder lists.
    """
    folder = f"/OPENDATA/{fund}"
    files = [
        HostedFile(f"echanges.dila.gouv.fr{folder}/{delivery.name}", delivery.data, delivery.stamp)
        for delivery in deliveries
        if delivery.day <= day
    ]
    files += extra
    listed = [ListedFile(PurePosixPath(file.path).name, len(file.data), file.modified) for file in files]
    newest = max(file.modified for file in files)
    page = HostedFile(f"echanges.dila.gouv.fr{folder}/index.html", index_page(folder, listed), newest)
    return [*files, page]
