"""A run killed (SIGKILL) inside each layer: running again ends where an undisturbed run ends.

The article fund of the mirror on day 3 (a stock and three increments) is brought once to its release; after
each layer the home is copied. A test starts from the copy before its layer, runs the command line, kills it
when files show that the layer is at work, and looks at three things: that it was killed inside that layer,
that what was committed is whole, and that the next run ends as if nothing had happened.
"""

import json
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets_tests.conftest import MirrorServer
from mediatech_assets_tests.pipeline.installation import (
    Holdings,
    Installation,
    wait_until,
    wait_until_gone,
)

DATASET = "legi"
DAY = 3
VECTOR = "embeddings_use-m3"
QUESTION = "durée du préavis en cas de licenciement"

#: So slow that the stock's 976 kB last longer than any test.
_SLOW_STOCK = "slow:*Freemium_legi*:9999:40000"


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed.

    Args:
        installation: It, after its release.
        after: Copies of its home after each layer.
        held: What it holds in the end.
        released: SHA-256 of the files of its release.
    """

    installation: Installation
    after: Mapping[Layer, Installation]
    held: Holdings
    released: Mapping[str, str]


@pytest.fixture(scope="module")
def undisturbed(mirror: MirrorServer, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    installation = Installation(folder / "home")
    mirror.set_day(DAY)
    after = {}
    for layer in BUILT_LAYERS:
        installation.materialised(mirror.url, DATASET, [layer])
        after[layer] = installation.copied_to(folder / f"after-{layer.value}")
    return Undisturbed(
        installation, after, installation.holdings(DATASET), installation.released_bytes(DATASET)
    )


@pytest.fixture(autouse=True)
def _mirror_of_the_day(mirror: MirrorServer) -> None:
    mirror.set_day(DAY)
    mirror.set_faults([])


def test_killed_while_downloading(undisturbed, mirror, tmp_path):
    installation = Installation(tmp_path / "home")
    raw = installation.settings.raw_folder / DATASET
    mirror.set_faults([_SLOW_STOCK])
    kill_inside(
        installation, mirror, Layer.RAW, lambda: any(part.stat().st_size for part in raw.glob("*.part"))
    )
    mirror.set_faults([])
    assert [path.name for path in raw.iterdir() if path.name.startswith("Freemium")] == []
    assert installation.rows("SELECT file FROM legi.raw_files WHERE status = 'ready'") == []
    lend_vectors(undisturbed, installation)
    finish(installation, mirror, undisturbed)
    assert list(raw.glob("*.part*")) == []
    assert released(installation) == undisturbed.released


def test_killed_while_committing_documents(undisturbed, mirror, tmp_path):
    installation = undisturbed.after[Layer.RAW].copied_to(tmp_path / "home")
    kill_inside(installation, mirror, Layer.DOCUMENTS, files_appear(installation, "legi/main/documents"))
    documents, archives = counts(installation, "legi.documents", "legi.applied_archives")
    # The stock and its record are one commit: both are there, or neither.
    assert (documents > 0) == (archives > 0), f"{documents} documents of {archives} archives"
    lend_vectors(undisturbed, installation)
    finish(installation, mirror, undisturbed)
    assert released(installation) == undisturbed.released


def test_killed_while_committing_chunks(undisturbed, mirror, tmp_path):
    installation = undisturbed.after[Layer.DOCUMENTS].copied_to(tmp_path / "home")
    kill_inside(installation, mirror, Layer.CHUNKS, files_appear(installation, "legi/main/chunks"))
    [(unaccounted,)] = installation.rows(
        "SELECT count(*) FROM legi.chunks AS chunk WHERE NOT EXISTS "
        "(SELECT 1 FROM legi.chunk_state AS state WHERE state.doc_id = chunk.doc_id)"
    )
    assert unaccounted == 0
    lend_vectors(undisturbed, installation)
    finish(installation, mirror, undisturbed)
    assert released(installation) == undisturbed.released


def test_killed_while_embedding(undisturbed, mirror, tmp_path):
    installation = undisturbed.after[Layer.CHUNKS].copied_to(tmp_path / "home")
    kill_inside(
        installation, mirror, Layer.EMBEDDINGS, files_appear(installation, "embeddings/main/use_*", 2)
    )
    texts = len(undisturbed.held.text_keys)
    kept = installation.holdings(DATASET).vectors
    assert 0 < kept < texts
    layers = finish(installation, mirror, undisturbed)
    assert layers["embeddings"]["added"] == texts - kept, (
        "what was embedded before the kill is not done again"
    )
    # The last bits of a vector vary with the texts beside it in a batch, so files are compared by value.
    assert_same_release_but_for_the_last_bits(installation, undisturbed.installation)


def test_killed_while_indexing(undisturbed, mirror, tmp_path):
    installation = undisturbed.after[Layer.EMBEDDINGS].copied_to(tmp_path / "home")
    kill_inside(installation, mirror, Layer.INDEX, files_appear(installation, "legi/main/index_state"))
    # A collection that is not complete is not served.
    assert installation.holdings(DATASET).points is None
    finish(installation, mirror, undisturbed)
    assert released(installation) == undisturbed.released
    expected = undisturbed.installation.search(QUESTION, [DATASET], "hybrid", 5)
    found = installation.search(QUESTION, [DATASET], "hybrid", 5)
    assert [result.chunk_id for result in found.results] == [result.chunk_id for result in expected.results]
    collections = [
        path for path in installation.settings.index_folder.iterdir() if path.name.startswith("legi-")
    ]
    assert sum(path.is_dir() for path in collections) == 1, "the collection begun is gone on with"


def test_killed_while_writing_the_release(undisturbed, mirror, tmp_path):
    installation = undisturbed.after[Layer.INDEX].copied_to(tmp_path / "home")
    folder = installation.settings.releases_folder / DATASET
    kill_inside(
        installation,
        mirror,
        Layer.RELEASE,
        lambda: any(path.suffix == ".parquet" for path in folder.rglob("*")),
    )
    complete = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert counts(installation, "legi.releases") == [0] or len(complete) == 1
    finish(installation, mirror, undisturbed)
    assert released(installation) == undisturbed.released
    left = [path.name for path in folder.iterdir()]
    assert left == [installation.release_folder(DATASET).name], "what the killed run wrote is swept away"


def test_killed_inside_a_second_update_the_first_state_stays_whole(undisturbed, mirror, tmp_path):
    """A day of changes dies between two archives of the fold: what the day before gave is still served."""
    installation = Installation(tmp_path / "home")
    lend_vectors(undisturbed, installation)
    mirror.set_day(1)
    installation.updated(mirror.url, DATASET)
    before, answer = installation.holdings(DATASET), installation.search(QUESTION, [DATASET], "hybrid", 5)
    mirror.set_day(DAY)
    kill_inside(installation, mirror, Layer.DOCUMENTS, files_appear(installation, "legi/main/documents"))
    found = installation.search(QUESTION, [DATASET], "hybrid", 5)
    assert [result.chunk_id for result in found.results] == [result.chunk_id for result in answer.results]
    assert installation.holdings(DATASET).chunk_rows == before.chunk_rows
    finish(installation, mirror, undisturbed)


def kill_inside(
    installation: Installation, mirror: MirrorServer, layer: Layer, at_work: Callable[[], bool]
) -> None:
    """Runs the command up to a layer and kills it with its workers' parent there, without any warning."""
    with installation.started(
        "update", "--datasets", DATASET, "--layers", f"raw..{layer.value}", upstream_base=mirror.url
    ) as process:
        wait_until(at_work, f"the {layer.value} layer is at work", process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        wait_until_gone(process)
    note = json.loads(
        (installation.settings.locks_folder / f"dataset-{DATASET}.holder.json").read_text("utf-8")
    )
    assert (note["pid"], note["action"]) == (process.pid, f"making its {layer.value}")
    assert run_states(installation)[0] is DagsterRunStatus.STARTED


def finish(installation: Installation, mirror: MirrorServer, undisturbed: Undisturbed) -> Mapping:
    """Runs again to the end, by the command line, and compares everything with the undisturbed run."""
    again = installation.command(
        "update", "--datasets", DATASET, "--json", upstream_base=mirror.url, lock_timeout="5"
    )
    assert again.returncode == 0, again.stderr
    states = run_states(installation)
    assert (states[0], states[1]) == (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE), states
    held, expected = installation.holdings(DATASET), undisturbed.held
    assert held.contents == expected.contents
    assert sorted(held.tombstones) == sorted(expected.tombstones)
    assert held.chunk_rows == expected.chunk_rows
    assert held.vectors == expected.vectors == len(expected.text_keys)
    assert held.points == held.recorded == expected.points
    [(store,)] = installation.rows(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'embeddings' AND table_name <> 'lake_format'"
    )
    stored = {key for (key,) in installation.rows(f"SELECT text_key FROM embeddings.{store}")}
    assert expected.text_keys <= stored
    assert counts(installation, f"embeddings.{store}") == [len(stored)], "a vector is stored twice"
    return json.loads(again.stdout)["datasets"][DATASET]["layers"]


def run_states(installation: Installation) -> list[DagsterRunStatus]:
    """Status of the runs that Dagster knows, newest first."""
    with DagsterInstance.from_config(str(installation.settings.dagster_home)) as instance:
        return [run.status for run in instance.get_runs()]


def files_appear(installation: Installation, table: str, files: int = 1) -> Callable[[], bool]:
    """Whether a table of the lake has data files that it did not have: a commit is going on, or just over."""
    folder = installation.settings.lake_folder
    before = set(folder.glob(f"{table}/*.parquet"))
    return lambda: len(set(folder.glob(f"{table}/*.parquet")) - before) >= files


def lend_vectors(undisturbed: Undisturbed, installation: Installation) -> None:
    """Copies the vectors of the undisturbed run: only the killed layer is to be done again, not the model's work."""
    source, target = undisturbed.installation.settings.lake_folder, installation.settings.lake_folder
    shutil.rmtree(target / "embeddings", ignore_errors=True)
    for left in target.glob("embeddings.sqlite*"):
        left.unlink()
    shutil.copytree(source / "embeddings", target / "embeddings")
    for file in source.glob("embeddings.sqlite*"):
        shutil.copyfile(file, target / file.name)


def counts(installation: Installation, *tables: str) -> list[int]:
    return [installation.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def released(installation: Installation) -> Mapping[str, str]:
    return installation.released_bytes(DATASET)


def assert_same_release_but_for_the_last_bits(one: Installation, other: Installation) -> None:
    folders = [installation.release_folder(DATASET) for installation in (one, other)]
    names = [
        sorted(path.relative_to(folder) for path in (folder / "data").rglob("*.parquet"))
        for folder in folders
    ]
    assert names[0] == names[1]
    for name in names[0]:
        first, second = (pq.read_table(Path(folder, name)) for folder in folders)
        assert first.drop_columns([VECTOR]).equals(second.drop_columns([VECTOR])), name
        vectors = [
            np.array([json.loads(row) for row in table[VECTOR].to_pylist()]) for table in (first, second)
        ]
        assert np.allclose(*vectors, atol=1e-5), name
