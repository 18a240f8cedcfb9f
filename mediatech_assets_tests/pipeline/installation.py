"""An installation under test: a home folder, the commands run on it, and what it holds.

What belongs here: running the platform for real (in this process through Dagster, or as a process of its own)
and reading its state back through its public, read-only side. What does not: what a test expects.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pytest

from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.definitions import build_defs
from mediatech_assets.index.search import SearchAnswer
from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.orchestration.instance import dagster_instance
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.orchestration.update import DatasetUpdate, update_dataset
from mediatech_assets.settings import Settings, load_settings
from mediatech_assets_tests.process_groups import group_alive

#: Whatever is registered: a new dataset is under test without a change here.
DATASETS = tuple(all_datasets())

#: For tests that cost too much for each of them: an ordered fold of archives, a snapshot of two feeds that are merged,
#: a snapshot that is cut into records.
REPRESENTATIVES = ("legi", "service_public", "state_administrations_directory")

#: Layers up to the texts: what a source becomes, before any model.
TEXT_LAYERS = (Layer.RAW, Layer.DOCUMENTS, Layer.CHUNKS)

_CHUNK_COLUMNS = "chunk_id, doc_id, chunk_index, text, chunk_text, text_key, tokens, row_hash"

_PROGRAM = ("-m", "mediatech_assets.cli")
_PROCESS_SECONDS = 400.0
_POLL_SECONDS = 0.002


@dataclass(frozen=True)
class Holdings:
    """What an installation holds of one dataset at one moment.

    Args:
        documents: Rows by id.
        tombstones: `(doc_id, removed_by)` of everything that ever vanished.
        applied: Raw files applied, in order.
        refused: `(subject, reason)` of what is in quarantine.
        chunks: Rows of the active chunking by chunk id.
        vectors: Texts of these chunks that have a vector.
        points: Points that the engine itself counts in the collection that searches use; none without one.
        recorded: Chunks that our records say have a point in it.
    """

    documents: Mapping[str, Mapping[str, Any]]
    tombstones: Sequence[tuple[str, str]]
    applied: Sequence[str]
    refused: Sequence[tuple[str, str]]
    chunks: Mapping[str, Mapping[str, Any]]
    vectors: int
    points: int | None
    recorded: int

    @cached_property
    def changed_at(self) -> dict[str, datetime]:
        """When each document's content last changed, by id."""
        return {doc_id: row["changed_at"] for doc_id, row in self.documents.items()}

    @cached_property
    def contents(self) -> dict[str, str]:
        """Content hash of each document, by id."""
        return {doc_id: row["content_hash"] for doc_id, row in self.documents.items()}

    @cached_property
    def chunk_rows(self) -> dict[str, str]:
        """Row hash of each chunk, by id."""
        return {chunk_id: row["row_hash"] for chunk_id, row in self.chunks.items()}

    @cached_property
    def text_keys(self) -> set[str]:
        """Keys of the different texts to embed."""
        return {row["text_key"] for row in self.chunks.values()}


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of the platform.

    Args:
        home: Its MEDIATECH_HOME.
        redaction: What it keeps of persons, where it is materialised directly.
    """

    home: Path
    redaction: Literal["public", "full"] = "public"

    def copied_to(self, home: Path) -> "Installation":
        """The same installation in another folder: a home may be moved."""
        # An index of a few points announces 200 MB, nearly all of them holes: `shutil` would write them out.
        subprocess.run(["cp", "-a", self.home, home], check=True)
        return Installation(home, self.redaction)

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return load_settings(home=str(self.home), redaction=self.redaction)

    def materialised(
        self, upstream: str | Path, dataset: str, layers: Sequence[Layer] = TEXT_LAYERS
    ) -> dict[Layer, LayerReport]:
        """Brings layers up to date without Dagster, which takes most of the time of a small update.

        Fails the test when anything went wrong.
        """
        settings = load_settings(home=str(self.home), upstream_base=str(upstream), redaction=self.redaction)
        platform = Platform(settings)
        try:
            reports = {layer: platform.materialise(dataset, layer) for layer in layers}
        finally:
            platform.close()
        wrong = [problem for report in reports.values() for problem in report.problems]
        assert wrong == [], f"{dataset}: {wrong}"
        return reports

    def update(
        self, upstream: str | Path, dataset: str, layers: Sequence[Layer] = BUILT_LAYERS
    ) -> DatasetUpdate:
        """Updates a dataset in this process, in a real Dagster run."""
        resource = PlatformResource(home=str(self.home), upstream_base=str(upstream))
        definitions = build_defs({"platform": resource})
        with pytest.MonkeyPatch.context() as environment:
            # The instance names itself in the environment; the next installation must not see it.
            environment.setenv("DAGSTER_HOME", "")
            with dagster_instance(self.settings) as instance:
                return update_dataset(definitions, instance, dataset, layers)

    def updated(
        self, upstream: str | Path, dataset: str, layers: Sequence[Layer] = BUILT_LAYERS
    ) -> DatasetUpdate:
        """Updates a dataset, and fails the test when anything went wrong."""
        update = self.update(upstream, dataset, layers)
        assert update.succeeded, f"{dataset}: {[*update.errors, *update.problems]}"
        return update

    def search(self, question: str, datasets: Sequence[str], mode: str, limit: int = 10) -> SearchAnswer:
        """Answers a question."""
        return Platform(self.settings, read_only=True).search(question, datasets, mode, limit)

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query on the lake. Only the catalogs that it names are opened: each takes its time."""
        platform = Platform(self.settings, read_only=True)
        try:
            for name in platform.lake.catalogs():
                if name in query:
                    platform.lake.open(name, {})
            return platform.lake.cursor().execute(query, parameters).fetchall()
        finally:
            platform.close()

    def holdings(self, dataset: str) -> Holdings:
        """What it holds of a dataset now."""
        platform = Platform(self.settings, read_only=True)
        try:
            for name in (dataset, "embeddings"):
                platform.lake.open(name, {})
            chunking = platform.chunking(dataset_named(dataset)).id

            def table(sql: str, *parameters: object) -> list[dict[str, Any]]:
                return platform.lake.cursor().execute(sql, parameters).to_arrow_table().to_pylist()

            collection = platform.engine.collection_for(dataset)
            tombstones = table(f"SELECT doc_id, removed_by FROM {dataset}.tombstones ORDER BY ALL")
            applied = table(f"SELECT file FROM {dataset}.applied_archives ORDER BY applied_at, stamp, file")
            refused = table(f"SELECT subject, reason FROM {dataset}.quarantine ORDER BY ALL")
            chunks = table(f"SELECT {_CHUNK_COLUMNS} FROM {dataset}.chunks WHERE chunking_id = ?", chunking)
            return Holdings(
                documents={row["doc_id"]: row for row in table(f"SELECT * FROM {dataset}.documents")},
                tombstones=[(row["doc_id"], row["removed_by"]) for row in tombstones],
                applied=[row["file"] for row in applied],
                refused=[(row["subject"], row["reason"]) for row in refused],
                chunks={row["chunk_id"]: row for row in chunks},
                vectors=platform.store.count(dataset, chunking),
                points=platform.engine.count(collection) if collection else None,
                recorded=platform.index(dataset_named(dataset)).count(),
            )
        finally:
            platform.close()

    def snapshots(self) -> dict[str, int]:
        """Number of snapshots of each catalog: it grows with every commit, whatever was written."""
        catalogs = Platform(self.settings, read_only=True).lake.catalogs()
        counts = (f"SELECT '{name}', count(*) FROM ducklake_snapshots('{name}')" for name in catalogs)
        return dict(self.rows(" UNION ALL ".join(counts)))

    def release_folder(self, dataset: str) -> Path:
        """The newest release of a dataset."""
        [(path,)] = self.rows(f"SELECT path FROM {dataset}.releases ORDER BY created_at DESC LIMIT 1")
        return self.settings.releases_folder / path

    def released_bytes(self, dataset: str) -> dict[str, str]:
        """SHA-256 of the Parquet files and the card of the newest release, by path."""
        folder = self.release_folder(dataset)
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in [*folder.rglob("*.parquet"), folder / "README.md"]
        }

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the command line to its end."""
        with self.started(*arguments, **settings) as process:
            output, errors = process.communicate(timeout=_PROCESS_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    @contextmanager
    def started(
        self, *arguments: str, program: Sequence[str] = _PROGRAM, **settings: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Starts a command in a process group of its own, which is gone when the block ends.

        Args:
            *arguments: Arguments of `mediatech`.
            program: What Python runs.
            **settings: Settings by name (`lock_timeout="0"`).
        """
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MEDIATECH_") and name != "DAGSTER_HOME"
        }
        environment["MEDIATECH_HOME"] = str(self.home)
        environment |= {f"MEDIATECH_{name.upper()}": value for name, value in settings.items()}
        process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if group_alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_until(
    happened: Callable[[], object],
    what: str,
    process: subprocess.Popen[str],
    seconds: float = _PROCESS_SECONDS,
) -> None:
    """Looks at a state again and again until it is there; fails when the process ends or the time is over.

    Args:
        happened: Looks.
        what: What is waited for, for the message.
        process: The process that should bring it about.
        seconds: How long.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if process.poll() is not None:
            output, errors = process.communicate()
            pytest.fail(f"the process ended ({process.returncode}) before {what}\n{output}\n{errors}")
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:g} s")
        time.sleep(_POLL_SECONDS)


def wait_until_gone(process: subprocess.Popen[str], seconds: float = 20.0) -> None:
    """Waits for what a killed process leaves: its children must end by themselves.

    Args:
        process: It.
        seconds: How long.
    """
    deadline = time.monotonic() + seconds
    while group_alive(process.pid):
        if time.monotonic() > deadline:
            pytest.fail(f"children of the process {process.pid} outlive it by {seconds:g} s")
        time.sleep(_POLL_SECONDS)
