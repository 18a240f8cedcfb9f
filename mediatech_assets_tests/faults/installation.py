"""An installation with a folder for its upstream, both of which a test may spoil.

What belongs here: running the command line as a person does, reading what is held, publishing other bytes. What does
not: what any test spoils or expects.
"""

import functools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mediatech_assets.datasets.base import DilaFund, SnapshotFile
from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.lake import Lake
from mediatech_assets.sample_upstream import build_sample_upstream

DATASETS = tuple(all_datasets())

PART = "lecomarquage.service-public.fr/vdd/3.4/part/zip/vosdroits-latest.zip"
PRO = "lecomarquage.service-public.fr/vdd/3.4/pro/zip/vosdroits-latest.zip"
HTML = b"<!DOCTYPE html><html><body>503 Service Unavailable</body></html>"

#: Exit code of a command that did all, without some input that could not be used.
INPUT_REFUSED = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    def said(self, dataset: str) -> str:
        """Errors and problems of one dataset."""
        found = self.json["datasets"][dataset]
        return "\n".join([*found["errors"], *found["problems"]])


class Installation:
    """A home of its own, and the folder that is its upstream."""

    def __init__(self, home: Path, upstream: Path) -> None:
        self.home = home
        self.upstream = upstream

    def run(self, *arguments: str, code: int, settings: Mapping[str, str] | None = None) -> Answer:
        """Runs a command, which must end with `code` and without a traceback."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MEDIATECH_", "DAGSTER_"))
        }
        environment |= {
            "MEDIATECH_HOME": str(self.home),
            "MEDIATECH_HTTP_ATTEMPTS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "mediatech_assets.cli", *arguments],
            capture_output=True, text=True, timeout=400, check=False, env=environment | dict(settings or {}),
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    def update(
        self, dataset: str, *, code: int, upstream: str = "", layers: str = "raw..documents"
    ) -> Answer:
        return self.run(
            "update", "--json", "--datasets", dataset, "--layers", layers,
            "--upstream", upstream or str(self.upstream), code=code,
        )  # fmt: skip

    def status(self, dataset: str):
        return self.run("status", "--json", code=0).json["datasets"][dataset]

    def hashes(self, dataset: str) -> dict[str, str]:
        """Content hash of every document: the state that must survive."""
        return dict(self.rows(dataset, f"SELECT doc_id, content_hash FROM {dataset}.documents"))

    def rows(self, dataset: str, sql: str) -> list[tuple]:
        lake = Lake(self.home / "lake", self.home / "locks", read_only=True)
        try:
            lake.open(dataset, {})
            return lake.cursor().execute(sql).fetchall()
        finally:
            lake.close()

    def show_day(self, day: int) -> None:
        build_sample_upstream(self.upstream, day)

    def spoil(self, path: str, data: bytes) -> None:
        """Publishes other bytes at an address, as a new version."""
        target = self.upstream / path
        newer = target.stat().st_mtime + 60
        target.write_bytes(data)
        os.utime(target, (newer, newer))

    def newest_files(self, dataset: str) -> list[str]:
        """Where the newest file of each feed of a dataset lies now."""
        source = dataset_named(dataset).source
        if isinstance(source, DilaFund):
            folder = source.listing_url.removeprefix("https://").rstrip("/")
            archives = (self.upstream / folder).glob("*.tar.gz")
            newest = max(archives, key=lambda path: re.findall(r"\d{8}-\d{6}", path.name))
            return [f"{folder}/{newest.name}"]
        return [
            file.url.removeprefix("https://")
            if isinstance(file, SnapshotFile)
            else self._newest_resource(file.listing_url, file.title)
            for file in source.files
        ]

    def _newest_resource(self, listing_url: str, title: str) -> str:
        page = self.upstream / listing_url.removeprefix("https://") / "index.html"
        resources = json.loads(page.read_text(encoding="utf-8"))["resources"]
        exports = [resource for resource in resources if re.fullmatch(title, resource["title"])]
        return max(exports, key=lambda export: export["title"])["url"].removeprefix("https://")

    def truncate(self, path: str) -> None:
        data = (self.upstream / path).read_bytes()
        self.spoil(path, data[: len(data) // 2])

    def change_sheet(self, name: str, change) -> None:
        """Publishes a feed in which one sheet is another."""
        path = self.upstream / PART
        with zipfile.ZipFile(path) as archive:
            members = {info: archive.read(info) for info in archive.infolist()}
        spoiled = path.with_name("spoiled.zip")
        with zipfile.ZipFile(spoiled, "w") as archive:
            for info, data in members.items():
                archive.writestr(info, change(data) if info.filename == name else data)
        data = spoiled.read_bytes()
        spoiled.unlink()
        self.spoil(PART, data)

    def sheet_of_one_feed(self) -> str:
        names = []
        for feed in (PART, PRO):
            with zipfile.ZipFile(self.upstream / feed) as archive:
                names.append({name for name in archive.namelist() if re.fullmatch(r"F\d+\.xml", name)})
        return min(names[0] - names[1])


@contextmanager
def served(folder: Path, announced_beyond: int = 0) -> Iterator[str]:
    """The folder over HTTP.

    Args:
        folder: It.
        announced_beyond: Bytes that are announced for each file beyond those that it has; pages are told rightly.
    """

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

        def send_header(self, keyword: str, value: str) -> None:
            if keyword == "Content-Length" and not self.path.endswith("/"):
                value = str(int(value) + announced_beyond)
            super().send_header(keyword, value)

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
