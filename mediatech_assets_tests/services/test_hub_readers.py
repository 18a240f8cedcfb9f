"""What readers of the hub see while a release is published, fails, is killed and is published again.

A look is one listing of the main branch, which the hub answers from one commit. That is how the official clients
read too: they ask for the commit first, and then for files of that commit.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest

from mediatech_assets_tests.doubles.hub import (
    Behaviour,
    Handler,
    Hub,
    afterwards,
    answers,
    before,
    cuts_answer,
    loses_answer,
)
from mediatech_assets_tests.services.hub_publishing import (
    ENVIRONMENT,
    FIRST,
    LATEST,
    REPOSITORY,
    SECOND,
    commits,
    dated,
    held,
    program,
    publish_quickly,
    publisher,
    shown,
)
from mediatech_assets_tests.services.mortals import Mortals, mortals


@pytest.fixture(scope="module")
def publishing() -> Iterator[Mortals]:
    with mortals(publish_quickly, "huggingface_hub.hf_api", **ENVIRONMENT) as running:
        yield running


class Reader:
    """Looks at the head of the repository all the time, as `load_dataset` does first: at one commit.

    Args:
        hub: The hub.
    """

    def __init__(self, hub: Hub) -> None:
        self.seen: set[frozenset[tuple[str, str]]] = set()
        self._looked = threading.Event()
        self._hub = hub
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=10)

    def look_again(self) -> None:
        """Waits for a look that began after this call."""
        for _ in range(2):
            self._looked.clear()
            assert self._looked.wait(10)

    def _look(self) -> None:
        with httpx.Client(base_url=self._hub.url) as client:
            while not self._ended.wait(0.002):
                entries = client.get(
                    f"/api/datasets/{REPOSITORY}/tree/main", params={"recursive": "true"}
                ).json()
                self.seen.add(
                    frozenset(
                        (entry["path"], entry.get("lfs", entry)["oid"])
                        for entry in entries
                        if entry["type"] == "file" and _is_of_the_release(entry["path"])
                    )
                )
                self._looked.set()


def _is_of_the_release(path: str) -> bool:
    return path.startswith(LATEST) or path in ("README.md", "manifest.json", "removed.parquet")


def view(hub: Hub) -> frozenset[tuple[str, str]]:
    """What a reader sees now of the release."""
    tree = hub.repositories[REPOSITORY].head.tree
    return frozenset(
        (path, blob.sha256 or blob.oid) for path, blob in tree.items() if _is_of_the_release(path)
    )


MOMENTS: Mapping[str, tuple[str, str, int, Callable[[Callable[[], None]], Behaviour]]] = {
    "when it begins": ("GET", "/tree/[0-9a-f]{40}", 0, before),
    "before the preupload": ("POST", "/preupload/", 0, before),
    "before the first upload": ("PUT", "/lfs/", 0, before),
    "after the second upload": ("PUT", "/lfs/", 1, afterwards),
    "before the commit": ("POST", "/commit/", 0, before),
    "after the commit": ("POST", "/commit/", 0, afterwards),
    "while it looks at the commit": ("GET", "/tree/[0-9a-f]{40}", 1, before),
    "before the tag": ("POST", "/tag/", 0, before),
    "after the tag": ("POST", "/tag/", 0, afterwards),
}


@pytest.mark.parametrize("moment", [*MOMENTS, "in the middle of an upload"])
def test_killed_at_any_moment_readers_see_one_release_and_a_repetition_completes(
    hub, make, publishing, moment
):
    first = make(FIRST, padding=2_000)
    second = make({"part_0.parquet": {"a": ["un"]}, **{f"new_{n}.parquet": {f"d{n}": ["x"]} for n in range(3)}},
                  day="20260203", padding=50_000)  # fmt: skip
    publisher(hub).publish(first)
    views = [view(hub)]

    def kill_midway(handler: Handler) -> bool:
        handler.read_body(limit=1_000)
        publishing.kill()
        handler.close_connection = True
        return True

    if moment in MOMENTS:
        method, path, after, happens = MOMENTS[moment]
        hub.meet(method, path, happens(publishing.kill), after=after)
    else:
        hub.meet("PUT", "/lfs/", kill_midway)
    with Reader(hub) as reader:
        reader.look_again()
        assert publishing.call(second.folder, "org", hub.url) == -signal.SIGKILL
        publisher(hub).publish(second)
        reader.look_again()
    views.append(view(hub))
    assert shown(hub) == {**held(second), **dated(first)}
    assert commits(hub) == ["initial commit", f"Release {first.id}", f"Release {second.id}"]
    assert sorted(hub.repositories[REPOSITORY].tags) == [first.id, second.id]
    assert reader.seen == set(views)


def test_readers_see_one_release_whatever_fails(hub, make):
    releases = [
        make({f"part_{n}.parquet": {f"d{n}": [str(day + n)]} for n in range(3)}, day=f"2026010{day}")
        for day in range(1, 5)
    ]
    publisher(hub).publish(releases[0])
    views = [view(hub)]
    with Reader(hub) as reader:
        reader.look_again()
        for release in releases[1:]:
            hub.meet("POST", "/commit/", answers(503))
            hub.meet("POST", "/commit/", loses_answer)
            hub.meet("GET", "/tree/[0-9a-f]{40}", cuts_answer, after=1)
            publisher(hub, former_releases=1).publish(release)
            views.append(view(hub))
            reader.look_again()
    assert not hub.faults, "all were met"
    assert reader.seen == set(views)
    assert len(reader.seen) == 4


def test_only_the_hub_is_talked_to(hub, make):
    release = make(FIRST)
    process = program(release.folder, "org", hub.url)
    answer, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    facts = json.loads(answer)
    assert facts["addresses"] == [hub.url.removeprefix("http://")]
    assert facts["release"] == release.id
    assert errors == ""


_LOAD = """
import json, sys
from datasets import load_dataset
rows = load_dataset(sys.argv[1], "latest", split="train")
one = load_dataset(sys.argv[1], data_files="data/tiny-code-latest/part_2.parquet", split="train")
vectors = [json.loads(vector) for vector in rows["embeddings_tiny"]]
print(json.dumps([sorted(rows["doc_id"]), sorted(one["doc_id"]), vectors]))
"""


def test_consumers_load_the_latest_release_from_the_hub(hub, make, tmp_path):
    for release in (make(FIRST), make(SECOND, day="20260203")):
        publisher(hub).publish(release)
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    loaded = subprocess.run(
        [sys.executable, "-c", _LOAD, REPOSITORY],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout.splitlines()[-1]) == [["a", "c"], ["c"], [[0.6, 0.8]] * 2]
