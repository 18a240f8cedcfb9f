"""A folder of the DILA as a test wants it: archives of the mirror, and stocks that the mirror does not have.

What belongs here: taking archives apart, making a stock, listing a folder. What does not: what any test expects.
"""

import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from mediatech_assets.sample_upstream.archives import ArchivedFile, ListedFile, index_page, tar_gz

_STAMP_FOLDER = re.compile(r"^\d{8}-\d{6}/")


def publish(upstream: Path, fund: str, archives: Mapping[str, bytes]) -> None:
    """Makes the folder of a fund hold these archives, by name, and no other."""
    path = f"/OPENDATA/{fund.upper()}"
    folder = upstream / f"echanges.dila.gouv.fr{path}"
    folder.mkdir(parents=True, exist_ok=True)
    for former in folder.iterdir():
        former.unlink()
    for name, data in archives.items():
        (folder / name).write_bytes(data)
    shown = datetime(2025, 7, 20, tzinfo=UTC)
    page = index_page(path, [ListedFile(name, len(data), shown) for name, data in archives.items()])
    (folder / "index.html").write_bytes(page)


def stock(fund: str, made_at: datetime, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """A stock: its name and its bytes.

    Args:
        fund: Name of the dataset.
        made_at: Time of the stock and of all that it holds.
        files: Bytes by path in the archive.
    """
    name = f"Freemium_{fund}_global_{made_at:%Y%m%d-%H%M%S}.tar.gz"
    return name, tar_gz([ArchivedFile(path, data, made_at) for path, data in files.items()], made_at)


def newest_files(archives: Iterable[bytes]) -> dict[str, bytes]:
    """Files of archives by their path below the stamp's folder; of each path the last one."""
    found: dict[str, bytes] = {}
    for data in archives:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None:
                    found[_STAMP_FOLDER.sub("", member.name)] = file.read()
    return found
