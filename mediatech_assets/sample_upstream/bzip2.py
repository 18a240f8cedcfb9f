"""Tar archives compressed with bzip2, byte-identical at each build.

What belongs here: how members become such an archive. What does not: the other formats (`archives.py`), and what
the members say.
"""

import bz2
import io
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime


def tar_bz2(members: Mapping[str, bytes], stamp: datetime) -> bytes:
    """A GNU tar of `members` at its root, in the given order, all dated `stamp`, compressed with bzip2."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mtime = int(stamp.astimezone(UTC).timestamp())
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(data))
    return bz2.compress(plain.getvalue())
