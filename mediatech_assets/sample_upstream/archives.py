"""Archives and listing pages, byte-identical at each build.

What belongs here: how members become a tar, a zip or an Apache index page, with every time given by the
caller. What does not: what the members say, and where files lie on a host.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file to put in an archive.

    Args:
        path: Path inside the archive.
        data: Its bytes.
        modified: Time written in the archive.
    """

    path: str
    data: bytes
    modified: datetime


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A line of an index page.

    Args:
        name: File name.
        size: Length in bytes.
        modified: Time shown, UTC.
    """

    name: str
    size: int
    modified: datetime


def tar_gz(files: Iterable[ArchivedFile], stamp: datetime) -> bytes:
    """A gzipped GNU tar of `files`, sorted by path, with a member for every folder as the DILA's have.

    Args:
        files: What it holds.
        stamp: Time of the folders and of the gzip header.
    """
    by_path = {file.path: file for file in files}
    folders = {str(folder) for path in by_path for folder in PurePosixPath(path).parents} - {"."}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(folders | by_path.keys()):
            member = tarfile.TarInfo(path)
            if path in by_path:
                member.size = len(by_path[path].data)
                member.mtime = _seconds(by_path[path].modified)
                member.mode = 0o644
                archive.addfile(member, io.BytesIO(by_path[path].data))
            else:
                member.type = tarfile.DIRTYPE
                member.mtime = _seconds(stamp)
                member.mode = 0o755
                archive.addfile(member)
    return gzip.compress(plain.getvalue(), compresslevel=6, mtime=_seconds(stamp))


def zip_of(members: Mapping[str, bytes], stamp: datetime) -> bytes:
    """A zip of `members` at its root, sorted by name, all dated `stamp`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date_time=stamp.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
    return buffer.getvalue()


def index_page(folder: str, files: Iterable[ListedFile]) -> bytes:
    """The page that Apache's mod_autoindex shows for a folder: sort links, parent link, one row a file.

    Args:
        folder: Path of the folder on its host, such as `/OPENDATA/LEGI`.
        files: What the folder holds.
    """
    parent = f"{PurePosixPath(folder).parent}/"
    columns = (("N;O=D", "Name"), ("M;O=A", "Last modified"), ("S;O=A", "Size"), ("D;O=A", "Description"))
    headings = "".join(f'<th><a href="?C={order}">{label}</a></th>' for order, label in columns)
    lines = [
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">',
        "<html>",
        f" <head>\n  <title>Index of {folder}</title>\n </head>",
        f" <body>\n<h1>Index of {folder}</h1>",
        "  <table>",
        f'   <tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th>{headings}</tr>',
        '   <tr><th colspan="5"><hr></th></tr>',
        _row("back", "[PARENTDIR]", parent, "Parent Directory", "&nbsp;", "-"),
        *(_file_row(file) for file in sorted(files, key=lambda file: file.name.lower())),
        '   <tr><th colspan="5"><hr></th></tr>',
        "</table>",
        "</body></html>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _file_row(file: ListedFile) -> str:
    icon, alternative = ("layout", "[   ]") if file.name.endswith(".pdf") else ("compressed", "[   ]")
    when = f"{file.modified:%Y-%m-%d %H:%M}  "
    return _row(icon, alternative, file.name, file.name, when, _readable_size(file.size))


def _row(icon: str, alternative: str, target: str, label: str, when: str, size: str) -> str:
    return (
        f'<tr><td valign="top"><img src="/icons/{icon}.gif" alt="{alternative}"></td>'
        f'<td><a href="{target}">{label}</a></td><td align="right">{when}</td>'
        f'<td align="right">{size} </td><td>&nbsp;</td></tr>'
    )


def _readable_size(size: int) -> str:
    if size < 1024:
        return str(size)
    kibibytes = size / 1024
    return f"{kibibytes:.1f}K" if kibibytes < 10 else f"{kibibytes:.0f}K"


def _seconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp())
