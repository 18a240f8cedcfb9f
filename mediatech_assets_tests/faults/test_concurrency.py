"""Several processes on one home: each gets its work done or a message that names who is in the way."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from mediatech_assets.index.search import SearchAnswer
from mediatech_assets.index.sync import profile_alias
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.sample_upstream import SAMPLE_EXPECTED
from mediatech_assets.settings import Settings
from mediatech_assets_tests.pipeline.installation import (
    REPRESENTATIVES,
    Holdings,
    Installation,
    wait_until,
)

QUESTION = "combien de jours de congés payés par an"
LIMIT = 5

#: So slow that a download lasts longer than any test: its process is ended, not waited for.
_STALLED = "slow:*Freemium_legi*:9999:2000"


def test_processes_that_open_a_fresh_home_at_once_all_succeed(home, sample_days):
    installation = Installation(home)
    with ExitStack() as running:
        processes = {
            dataset: running.enter_context(
                installation.started("update", "--datasets", dataset, upstream_base=str(sample_days[0]))
            )
            for dataset in REPRESENTATIVES
        }
        for dataset, process in processes.items():
            output, errors = process.communicate(timeout=200)
            assert process.returncode == 0, f"{dataset}: {output}{errors}"
    for dataset in REPRESENTATIVES:
        held = installation.holdings(dataset)
        assert set(held.documents) == SAMPLE_EXPECTED[dataset][0]
        assert_complete(held)
    assert_no_vector_twice(installation)


def test_two_updates_of_one_dataset_take_turns(home, sample_days):
    installation = Installation(home)
    installation.updated(sample_days[0], "legi")
    with ExitStack() as running:
        processes = [
            running.enter_context(
                installation.started("update", "--datasets", "legi", upstream_base=str(sample_days[2]))
            )
            for _ in range(2)
        ]
        for process in processes:
            output, errors = process.communicate(timeout=200)
            assert process.returncode == 0, f"{output}{errors}"
    held = installation.holdings("legi")
    assert set(held.documents) == SAMPLE_EXPECTED["legi"][2]
    assert_complete(held)
    applied = installation.rows("SELECT file FROM legi.applied_archives ORDER BY stamp")
    assert len(applied) == len(set(applied)) == 3, applied
    assert_no_vector_twice(installation)


def test_an_update_that_may_not_wait_names_the_process_in_its_way(home, mirror_server, sample_days):
    installation = Installation(home)
    installation.updated(sample_days[0], "travail_emploi")
    mirror_server.set_faults([_STALLED])
    with installation.started("update", "--datasets", "legi", upstream_base=mirror_server.url) as holder:
        note = installation.settings.locks_folder / "dataset-legi.holder.json"
        wait_until(note.is_file, "the first update holds the dataset", holder)
        refused = installation.command(
            "update", "--datasets", "legi", upstream_base=mirror_server.url, lock_timeout="0.2"
        )
        assert refused.returncode == 1, refused.stderr
        message = " ".join(refused.stderr.split())
        assert f"process {holder.pid} " in message
        assert "making its raw" in message
        assert "Traceback" not in refused.stderr
        # Other datasets are not concerned.
        other = installation.command(
            "update", "--datasets", "travail_emploi", upstream_base=str(sample_days[2]), lock_timeout="0.2"
        )
        assert other.returncode == 0, other.stderr
    assert set(installation.holdings("travail_emploi").documents) == SAMPLE_EXPECTED["travail_emploi"][2]
    # Its holder is gone without a word: the dataset is free again, and nothing is left half done.
    installation.updated(sample_days[0], "legi")
    held = installation.holdings("legi")
    assert set(held.documents) == SAMPLE_EXPECTED["legi"][0]
    assert_complete(held)


@pytest.mark.parametrize("dataset", ["legi", "travail_emploi"])
def test_searches_during_an_update_are_whole_answers(home, sample_days, dataset):
    installation = Installation(home)
    installation.updated(sample_days[0], dataset)
    reader = Platform(installation.settings, read_only=True)
    before = ask(reader, dataset)
    answers: list[SearchAnswer] = []
    with installation.started("update", "--datasets", dataset, upstream_base=str(sample_days[2])) as process:
        while process.poll() is None:
            answers.append(ask(reader, dataset))
        assert process.returncode == 0
    held = installation.holdings(dataset)
    assert set(held.documents) == SAMPLE_EXPECTED[dataset][2]
    after = ask(reader, dataset)
    assert len(answers) > 1
    for answer in answers:
        assert (answer.mode, answer.notes) == ("hybrid", [])
        assert len(answer.results) == LIMIT
        assert answer.results[0].doc_id == before.results[0].doc_id == after.results[0].doc_id
    gone = SAMPLE_EXPECTED[dataset][0] - SAMPLE_EXPECTED[dataset][2]
    assert not gone & {result.doc_id for result in after.results}


def test_searches_while_a_collection_is_replaced_find_the_old_or_the_new_one(home, sample_days):
    """As after a change of profile: the new collection is filled beside the one that is served."""
    dataset, installation = "service_public", Installation(home)
    installation.updated(sample_days[0], dataset)
    reader = Platform(installation.settings, read_only=True)
    expected = [result.chunk_id for result in ask(reader, dataset).results]
    served = reader.engine.collection_for(dataset)
    assert served is not None
    make_unlike_its_specification(installation.settings, served, dataset)
    answers: list[list[str]] = []
    with installation.started(
        "update", "--datasets", dataset, "--layers", "index", upstream_base=str(sample_days[0])
    ) as process:
        while process.poll() is None:
            answers.append([result.chunk_id for result in ask(reader, dataset).results])
        assert process.returncode == 0
    assert answers
    assert all(answer == expected for answer in answers), "an answer came from half an index"
    replacement = reader.engine.collection_for(dataset)
    assert replacement != served
    assert reader.engine.collections() == [replacement]
    assert_complete(installation.holdings(dataset))


def make_unlike_its_specification(settings: Settings, collection: str, alias: str) -> None:
    """Renames a collection as if another specification had made it, with the aliases that serve it."""
    foreign = re.sub(r"-[0-9a-f]{8}-", "-00000000-", collection)
    (settings.index_folder / collection).rename(settings.index_folder / foreign)
    for name in (alias, profile_alias(alias, settings.profile)):
        pointer: Path = settings.index_folder / f"{name}.alias.json"
        pointer.write_text(pointer.read_text(encoding="utf-8").replace(collection, foreign), encoding="utf-8")


def ask(reader: Platform, dataset: str) -> SearchAnswer:
    return reader.search(QUESTION, [dataset], "hybrid", LIMIT)


def assert_complete(held: Holdings) -> None:
    assert len(held.chunks) == held.recorded == held.points
    assert held.vectors == len(held.text_keys)


def assert_no_vector_twice(installation: Installation) -> None:
    [(store,)] = installation.rows(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'embeddings' AND table_name <> 'lake_format'"
    )
    [(rows, keys)] = installation.rows(f"SELECT count(*), count(DISTINCT text_key) FROM embeddings.{store}")
    assert rows == keys
