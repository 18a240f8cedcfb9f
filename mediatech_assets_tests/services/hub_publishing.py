"""Publishing one small dataset on a double of the hub: what is there before and after, and processes that do it.

What belongs here: what the tests of publishing on the hub share. What does not: the tests, and the double
(`doubles/hub.py`).

    HF_TOKEN=… HF_HUB_DISABLE_XET=1 python -m mediatech_assets_tests.services.hub_publishing FOLDER NAMESPACE URL

publishes a release and prints the outcome, and every address that it connected to, as one JSON object.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.release.publication.huggingface import HuggingFacePublisher
from mediatech_assets.release.publication.sink import publication_facts
from mediatech_assets.release.stored import CARD, REMOVED, StoredRelease, read_release
from mediatech_assets_tests.doubles.hub import WRITE_TOKEN, Hub
from mediatech_assets_tests.stored_release import make_release

#: Texts of each document's chunks.
Texts = Mapping[str, Sequence[str]]

REPOSITORY = "org/tiny-code"
#: What other processes need to publish.
ENVIRONMENT = {"HF_TOKEN": WRITE_TOKEN, "HF_HUB_DISABLE_XET": "1"}
LATEST = "data/tiny-code-latest/"
FIRST: dict[str, Texts] = {"part_0.parquet": {"a": ["un"]}, "part_1.parquet": {"b": ["deux"]}}
SECOND: dict[str, Texts] = {"part_0.parquet": {"a": ["un"]}, "part_2.parquet": {"c": ["trois"]}}


def make_hub_release(
    folder: Path,
    files: Mapping[str, Texts],
    *,
    padding: int = 0,
    besides: Mapping[str, str] | None = None,
    **options: Any,
) -> StoredRelease:
    """A release of `tiny_code` with all that ours bring to the hub: the card that names the files, and the removed ids.

    Args:
        folder: Folder of the dataset's releases.
        files: Texts of each Parquet file, by its path as `make_release` takes it.
        padding: Bytes of incompressible text that each chunk gets, so that files have a size.
        besides: Contents of further files, by path.
        options: Further options of `make_release`.
    """
    padded = {
        path: {
            doc_id: [text + _noise(doc_id + text, padding) for text in texts]
            for doc_id, texts in documents.items()
        }
        for path, documents in files.items()
    }
    others = {CARD: _card(files), REMOVED: _removed(), **(besides or {})}
    return make_release(folder, padded, dataset="tiny_code", besides=others, **options)


def publisher(hub: Hub, **options) -> HuggingFacePublisher:
    return HuggingFacePublisher(
        **{"namespace": "org", "endpoint": hub.url, "token": WRITE_TOKEN, "first_wait": 0.01, **options}
    )


def shown(hub: Hub, repository: str = REPOSITORY) -> dict[str, bytes]:
    """Everything that readers of the main branch see, without the hub's own file."""
    return {path: hub.content(repository, path) for path in hub.paths(repository) if path != ".gitattributes"}


def held(release: StoredRelease) -> dict[str, bytes]:
    return {file.path: file.location.read_bytes() for file in release.files}


def dated(release: StoredRelease, day: str = "") -> dict[str, bytes]:
    """The release's data as a former one."""
    folder = f"data/tiny-code-{day or release.day}/"
    return {file.path.replace(LATEST, folder): file.location.read_bytes() for file in release.data_files}


def commits(hub: Hub) -> list[str]:
    return [commit.title for commit in hub.repositories[REPOSITORY].commits]


def publish_quickly(folder: str, namespace: str, url: str) -> None:
    """Publishes from a process that was started for it."""
    HuggingFacePublisher(namespace, url, first_wait=0.01).publish(read_release(Path(folder)))


def program(*arguments: object) -> "subprocess.Popen[str]":
    """This module as a program."""
    return subprocess.Popen(
        [sys.executable, "-m", "mediatech_assets_tests.services.hub_publishing", *map(str, arguments)],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _publish_watched(folder: str, namespace: str, url: str) -> None:
    addresses: set[str] = set()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            addresses.add(":".join(map(str, arguments[1][:2])))
        elif event == "socket.getaddrinfo":
            addresses.add(":".join(map(str, arguments[:2])))

    sys.addaudithook(watch)
    published = HuggingFacePublisher(namespace, url).publish(read_release(Path(folder)))
    print(json.dumps({**publication_facts(published), "addresses": sorted(addresses)}))


def _noise(seed: str, length: int) -> str:
    blocks = (hashlib.sha256(f"{seed}{number}".encode()).hexdigest() for number in range(length // 64 + 1))
    return "".join(blocks)[:length]


def _card(files: Mapping[str, Texts]) -> str:
    pattern = f"{LATEST}{'*/' if any('/' in path for path in files) else ''}*.parquet"
    rows = sum(len(texts) for documents in files.values() for texts in documents.values())
    return (
        "---\nlanguage:\n- fr\nlicense: etalab-2.0\nconfigs:\n- config_name: latest\n"
        f'  data_files: "{pattern}"\n  default: true\n---\n\n# tiny-code\n\n{rows} lignes.\n'
    )


def _removed() -> bytes:
    content = pa.BufferOutputStream()
    none = pa.schema([("doc_id", pa.string()), ("date", pa.string())]).empty_table()
    pq.write_table(none, content)
    return content.getvalue().to_pybytes()


if __name__ == "__main__":
    _publish_watched(*sys.argv[1:])
