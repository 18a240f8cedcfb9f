"""An update of each kind of source killed (SIGKILL) at a random moment: the next run ends as if it had not been.

`faults/test_kill.py` chooses its moments, one inside each layer; here chance does, over all that an update does up to
chunks. CI draws the same moments each time; another run draws others, and the test's name tells its seed:
MEDIATECH_TESTS_SEED=4711 draws them again, MEDIATECH_TESTS_SEED=1,2,3 draws three times.
"""

import os
import random
import signal
from collections.abc import Mapping

import pytest

from mediatech_assets.datasets.base import Dataset, DilaFund
from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets_tests.conftest import IN_CI
from mediatech_assets_tests.pipeline.history import MIRRORED, days_with_news
from mediatech_assets_tests.pipeline.installation import Installation, wait_until_gone

_SEED_IN_CI = 3
#: All workers of pytest-xdist draw the same seed, for they must collect tests of the same names; none draws any.
_SHARED = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))
_DRAWN = str(_SEED_IN_CI if IN_CI else _SHARED.randrange(10_000))
SEEDS = [int(seed) for seed in os.environ.get("MEDIATECH_TESTS_SEED", _DRAWN).split(",")]


def kind_of(dataset: Dataset) -> str:
    """How a source is published and read: what could make a difference to a kill."""
    if isinstance(dataset.source, DilaFund):
        return "archives"
    files = [f"{file.format} of records" if file.records else file.format for file in dataset.source.files]
    return ", ".join(files)


#: A dataset of each kind, the first one by name.
KINDS = {kind_of(dataset_named(name)): name for name in reversed(MIRRORED)}


@pytest.mark.parametrize("dataset", sorted(KINDS.values()))
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_anywhere_and_run_again(history, truth, mirror, tmp_path, dataset, seed):
    drawn = random.Random(f"{seed} {dataset}")
    day = drawn.choice(days_with_news(truth, dataset))
    statement = drawn.randint(1, history.statements[day][dataset])
    home = tmp_path / "home"
    installation = history.after[day - 1].copied_to(home) if day else Installation(home)
    mirror.set_day(day)

    with installation.started(
        *("update", "--datasets", dataset, "--layers", "raw..chunks"),
        program=("-m", "mediatech_assets_tests.pipeline.mortal", str(statement)),
        upstream_base=mirror.url,
    ) as process:
        output, errors = process.communicate(timeout=120)
        wait_until_gone(process)
    assert process.returncode == -signal.SIGKILL, (
        f"not killed at statement {statement} of day {day}: {output}{errors}"
    )

    expected = history.held[day][dataset]
    before = history.held[day - 1][dataset].contents if day else {}
    assert committed(installation, dataset) in (before, expected.contents), (
        f"half of a file is committed after statement {statement} of day {day}"
    )
    installation.materialised(mirror.url, dataset)
    held = installation.holdings(dataset)
    assert held.contents == expected.contents
    assert held.chunk_rows == expected.chunk_rows
    assert held.tombstones == expected.tombstones
    assert held.applied == expected.applied
    assert held.refused == expected.refused
    assert places(held.documents) == places(expected.documents)


def committed(installation: Installation, dataset: str) -> dict[str, str]:
    """Content hash of each document that is there; nothing before the dataset's catalog is."""
    if dataset not in Platform(installation.settings, read_only=True).lake.catalogs():
        return {}
    tables = installation.rows(
        f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{dataset}' AND table_name = 'documents'"
    )
    return dict(installation.rows(f"SELECT doc_id, content_hash FROM {dataset}.documents")) if tables else {}


def places(documents: Mapping[str, Mapping]) -> dict[str, tuple[str, str]]:
    return {doc_id: (row["source_file"], row["source_member"]) for doc_id, row in documents.items()}
