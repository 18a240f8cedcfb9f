"""Real input: the small mirror from day 0 to day 3, layer by layer up to chunks, against the mirror's truth.

The truth was written by the mirror's own programs from the published packages, not by this project. Days are
played once for the module; the tests only look.
"""

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mediatech_assets.documents.model import SECTION_SEPARATOR, strip_marks
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.update import DatasetUpdate
from mediatech_assets_tests.conftest import MirrorServer
from mediatech_assets_tests.pipeline.installation import DATASETS, Holdings, Installation

DAYS = (0, 1, 2, 3)
TEXT_LAYERS = (Layer.RAW, Layer.DOCUMENTS, Layer.CHUNKS)
FEEDS = ("part", "pro")
TOKENS_OF_A_CHUNK = 256

#: What the truth says of an article beside its text: a difference must be one of ours, too.
FACTS_OF_AN_ARTICLE = ("nsha", "etat", "num", "debut", "fin")


@dataclass(frozen=True)
class Stage:
    """What the truth says of one source on one day.

    Args:
        expected: Everything that must be there, by id.
        upserts: Ids that the day's file brings.
        deletes: Ids that it takes away.
        facts: The truth's own record of the stage.
    """

    expected: Mapping[str, Mapping[str, Any]]
    upserts: frozenset[str]
    deletes: frozenset[str]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class History:
    """The installation after day 3, what was held after each day, and what the updates said."""

    installation: Installation
    updates: Mapping[int, Mapping[str, DatasetUpdate]]
    held: Mapping[int, Mapping[str, Holdings]]


@pytest.fixture(scope="module")
def truth(mirror_small: Path) -> Mapping[str, Sequence[Stage]]:
    """Stages by source of the truth, one for each of DAYS."""
    sources = json.loads((mirror_small / "truth.json").read_text(encoding="utf-8"))["sources"]
    names = ("legi", "service_public_part", "service_public_pro", "travail_emploi")
    return {name: stages_by_day(sources[name]["stages"]) for name in names}


@pytest.fixture(scope="module")
def history(mirror: MirrorServer, tmp_path_factory: pytest.TempPathFactory) -> History:
    installation = Installation(tmp_path_factory.mktemp("mirror-history") / "home")
    updates: dict[int, dict[str, DatasetUpdate]] = {}
    held: dict[int, dict[str, Holdings]] = {}
    for day in DAYS:
        mirror.set_day(day)
        updates[day] = {name: installation.updated(mirror.url, name, TEXT_LAYERS) for name in DATASETS}
        held[day] = {name: installation.holdings(name) for name in DATASETS}
    return History(installation, updates, held)


@pytest.mark.parametrize("day", DAYS)
def test_legi_holds_the_articles_of_the_truth_word_for_word(history, truth, day):
    stage, documents = truth["legi"][day], history.held[day]["legi"].documents
    assert set(documents) == set(stage.expected)
    assert len(documents) == stage.facts["count"]
    wrong = [
        doc_id
        for doc_id, article in stage.expected.items()
        if words_hash(plain_text(documents[doc_id])) != article["nsha"]
    ]
    assert wrong == [], f"{len(wrong)} of {len(documents)} articles differ from the source's words"


@pytest.mark.parametrize("day", DAYS)
def test_legi_holds_the_state_number_and_dates_of_the_truth(history, truth, day):
    columns = {"etat": "status", "num": "number", "debut": "start_date", "fin": "end_date"}
    documents = history.held[day]["legi"].documents
    wrong = [
        (doc_id, documents[doc_id][column], article[fact])
        for doc_id, article in truth["legi"][day].expected.items()
        for fact, column in columns.items()
        if (documents[doc_id][column] or "") != " ".join((article[fact] or "").split())
    ]
    assert wrong == []


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("feed", FEEDS)
def test_service_public_holds_the_sheets_of_each_feed_as_published(history, truth, feed, day):
    stage = truth[f"service_public_{feed}"][day]
    published = {
        doc_id: json.loads(row["source_text_sha256"])[feed]
        for doc_id, row in history.held[day]["service_public"].documents.items()
        if feed in row["feeds"]
    }
    assert published == {doc_id: sheet["nsha"] for doc_id, sheet in stage.expected.items()}
    assert len(published) == stage.facts["count"]


@pytest.mark.parametrize("day", DAYS)
def test_service_public_makes_one_document_of_a_sheet_in_both_feeds(history, truth, day):
    expected: dict[str, list[str]] = defaultdict(list)
    for feed in FEEDS:
        for doc_id in truth[f"service_public_{feed}"][day].expected:
            expected[doc_id].append(feed)
    documents = history.held[day]["service_public"].documents
    assert {doc_id: row["feeds"] for doc_id, row in documents.items()} == expected
    assert any(len(feeds) == 2 for feeds in expected.values())


@pytest.mark.parametrize("day", DAYS)
def test_travail_emploi_holds_the_sheets_of_the_truth_as_published(history, truth, day):
    expected = truth["travail_emploi"][day].expected
    documents = history.held[day]["travail_emploi"].documents
    assert {doc_id: row["source_text_sha256"] for doc_id, row in documents.items()} == {
        doc_id: sheet["nsha"] for doc_id, sheet in expected.items()
    }
    assert {doc_id: row["title"] for doc_id, row in documents.items()} == {
        doc_id: " ".join(sheet["title"].split()) for doc_id, sheet in expected.items()
    }


@pytest.mark.parametrize("day", DAYS[1:])
def test_legi_increment_changes_only_what_it_brings(history, truth, day):
    former, stage = truth["legi"][day - 1], truth["legi"][day]
    must_change = {
        doc_id
        for doc_id in set(former.expected) & set(stage.expected)
        if facts_of(former.expected[doc_id]) != facts_of(stage.expected[doc_id])
    }
    assert_only_the_difference_is_dated(history, "legi", day, must_change, stage.upserts)
    assert {doc_id for doc_id, _ in new_tombstones(history, "legi", day)} == stage.deletes
    assert {file for _, file in new_tombstones(history, "legi", day)} == {stage.facts["label"]}


@pytest.mark.parametrize("day", DAYS[1:])
def test_service_public_snapshot_changes_only_what_differs(history, truth, day):
    former, now = (
        {
            (feed, doc_id): sheet["nsha"]
            for feed in FEEDS
            for doc_id, sheet in truth[f"service_public_{feed}"][each].expected.items()
        }
        for each in (day - 1, day)
    )
    held_before, held_now = {doc_id for _, doc_id in former}, {doc_id for _, doc_id in now}
    touched = {doc_id for _, doc_id in dict(former.items() ^ now.items())}
    # A word of its navigation (a renamed theme) is no content of the sheet: it may stay as it was.
    assert_only_the_difference_is_dated(
        history, "service_public", day, set(), touched & held_before & held_now
    )
    assert {doc_id for doc_id, _ in new_tombstones(history, "service_public", day)} == held_before - held_now
    added = history.updates[day]["service_public"].layers["documents"]["added"]
    assert added == len(held_now - held_before)


@pytest.mark.parametrize("day", DAYS[1:])
def test_travail_emploi_snapshot_changes_only_what_differs(history, truth, day):
    former, stage = truth["travail_emploi"][day - 1], truth["travail_emploi"][day]
    must_change = {
        doc_id
        for doc_id, sheet in stage.expected.items()
        if doc_id in former.expected and former.expected[doc_id]["nsha"] != sheet["nsha"]
    }
    may_change = {doc_id for doc_id in stage.upserts if doc_id in former.expected}
    assert_only_the_difference_is_dated(history, "travail_emploi", day, must_change, may_change)


def test_the_increment_older_than_the_stock_is_recorded_as_stale_and_not_applied(history, truth):
    stale = truth["legi"][0].facts["stale_archive"]["name"]
    rows = history.installation.rows("SELECT status, sha256 FROM legi.raw_files WHERE file = ?", [stale])
    assert rows == [("stale", None)]
    applied = history.installation.rows("SELECT file FROM legi.applied_archives ORDER BY applied_at")
    assert [file for (file,) in applied] == [truth["legi"][day].facts["label"] for day in DAYS]


def test_members_that_are_no_documents_are_counted_not_lost(history, truth):
    stock = truth["legi"][0].facts
    [(delivered, skipped)] = history.installation.rows(
        "SELECT delivered, skipped FROM legi.applied_archives WHERE file = ?", [stock["label"]]
    )
    assert skipped == stock["other_xml"]
    assert delivered == stock["count"] + len(stock["duplicates"])
    for day in DAYS[1:]:
        label = truth["legi"][day].facts["label"]
        [(delivered, lines)] = history.installation.rows(
            "SELECT delivered, suppressions FROM legi.applied_archives WHERE file = ?", [label]
        )
        assert delivered == len(truth["legi"][day].upserts)
        assert lines >= truth["legi"][day].facts["suppression_lines"]
    for feed in FEEDS:
        stage = truth[f"service_public_{feed}"][0].facts
        [(skipped,)] = history.installation.rows(
            "SELECT skipped FROM service_public.applied_archives WHERE feed = ? ORDER BY applied_at LIMIT 1",
            [feed],
        )
        assert skipped == stage["members"] - stage["count"]


def test_of_ids_under_two_folders_the_older_file_is_kept_beside_the_document(history, truth):
    copies = history.installation.rows("SELECT doc_id, source_modified FROM legi.document_copies")
    documents = history.held[3]["legi"].documents
    assert {doc_id for doc_id, _ in copies} <= set(truth["legi"][0].facts["duplicates"])
    assert all(modified <= documents[doc_id]["source_modified"] for doc_id, modified in copies)


def test_nothing_is_refused(history):
    for dataset in DATASETS:
        assert history.installation.rows(f"SELECT subject, reason FROM {dataset}.quarantine") == []


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_chunks_joined_in_order_are_the_sections(history, dataset, day):
    held = history.held[day][dataset]
    pieces: dict[str, dict[int, str]] = defaultdict(dict)
    for row in held.chunks.values():
        pieces[row["doc_id"]][row["chunk_index"]] = row["text"]
    wrong = [
        doc_id
        for doc_id, document in held.documents.items()
        if "".join(pieces[doc_id][index] for index in sorted(pieces[doc_id])) != sections_text(document)
    ]
    assert wrong == []
    assert max(row["tokens"] for row in held.chunks.values()) <= TOKENS_OF_A_CHUNK


def test_a_second_run_writes_nothing(history, mirror):
    mirror.set_day(DAYS[-1])
    snapshots = history.installation.snapshots()
    for dataset in DATASETS:
        layers = history.installation.updated(mirror.url, dataset, TEXT_LAYERS).layers
        assert {
            layer: (found["added"], found["changed"], found["removed"]) for layer, found in layers.items()
        } == {layer.value: (0, 0, 0) for layer in TEXT_LAYERS}
    assert history.installation.snapshots() == snapshots


@pytest.mark.parametrize("dataset", DATASETS)
def test_coming_back_after_days_gives_what_going_day_by_day_gives(history, mirror, tmp_path, dataset):
    late = Installation(tmp_path / "home")
    for day in (DAYS[0], DAYS[-1]):
        mirror.set_day(day)
        late.updated(mirror.url, dataset, TEXT_LAYERS)
    daily, jumped = history.held[DAYS[-1]][dataset], late.holdings(dataset)
    assert jumped.contents == daily.contents
    assert jumped.chunk_rows == daily.chunk_rows
    # An unchanged sheet keeps the name of the snapshot that brought it: only members can be compared.
    assert members(jumped) == members(daily)


def test_the_first_update_of_a_late_installation_gives_the_same(history, mirror, tmp_path):
    mirror.set_day(DAYS[-1])
    late = Installation(tmp_path / "home")
    late.updated(mirror.url, "legi", TEXT_LAYERS)
    daily, first = history.held[DAYS[-1]]["legi"], late.holdings("legi")
    assert first.contents == daily.contents
    assert members(first) == members(daily)
    assert files(first) == files(daily)


def test_a_day_of_real_changes_reaches_the_release_and_embeds_only_unseen_texts(mirror, tmp_path):
    dataset, installation = "travail_emploi", Installation(tmp_path / "home")
    mirror.set_day(0)
    installation.updated(mirror.url, dataset)
    before = installation.holdings(dataset)
    assert len(before.chunks) == before.points == before.recorded
    assert before.vectors == len(before.text_keys)
    mirror.set_day(1)
    layers = installation.updated(mirror.url, dataset).layers
    after = installation.holdings(dataset)
    assert layers["embeddings"]["added"] == len(after.text_keys - before.text_keys) > 0
    written = {
        chunk_id for chunk_id, row in after.chunk_rows.items() if before.chunk_rows.get(chunk_id) != row
    }
    assert layers["index"]["added"] == len(written)
    assert layers["index"]["removed"] == len(set(before.chunks) - set(after.chunks))
    assert len(after.chunks) == after.points == after.recorded == layers["release"]["rows"]
    assert after.vectors == len(after.text_keys)


def stages_by_day(stages: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """The stage in force on each of DAYS: DILA stages are one a day, snapshots say their day."""
    found: list[Stage] = []
    expected: dict[str, Mapping[str, Any]] = {}
    by_day = {stage.get("day", position): stage for position, stage in enumerate(stages)}
    for day in DAYS:
        stage = by_day.get(day)
        if stage is None:
            found.append(Stage(found[-1].expected, frozenset(), frozenset(), found[-1].facts))
            continue
        expected = {**expected, **stage["upserts"]}
        for doc_id in stage["deletes"]:
            del expected[doc_id]
        found.append(Stage(expected, frozenset(stage["upserts"]), frozenset(stage["deletes"]), stage))
    return found


def assert_only_the_difference_is_dated(
    history: History, dataset: str, day: int, must_change: set[str], may_change: set[str] | frozenset[str]
) -> None:
    former, now = history.held[day - 1][dataset], history.held[day][dataset]
    both = set(former.documents) & set(now.documents)
    dated = {doc_id for doc_id in both if former.changed_at[doc_id] != now.changed_at[doc_id]}
    assert dated == {doc_id for doc_id in both if former.contents[doc_id] != now.contents[doc_id]}
    assert must_change <= dated, f"changed upstream and not here: {sorted(must_change - dated)}"
    assert dated <= may_change, f"changed here and not upstream: {sorted(dated - may_change)}"
    assert all(
        former.documents[doc_id]["first_seen"] == now.documents[doc_id]["first_seen"] for doc_id in both
    )
    assert history.updates[day][dataset].layers["documents"]["changed"] == len(dated)
    unchanged = {row["chunk_id"] for row in former.chunks.values() if row["doc_id"] in both - dated}
    assert all(former.chunk_rows[chunk_id] == now.chunk_rows[chunk_id] for chunk_id in unchanged)


def new_tombstones(history: History, dataset: str, day: int) -> list[tuple[str, str]]:
    former, now = (list(history.held[each][dataset].tombstones) for each in (day - 1, day))
    return [tombstone for tombstone in now if tombstone not in former]


def facts_of(article: Mapping[str, Any]) -> list[object]:
    return [article[name] for name in FACTS_OF_AN_ARTICLE]


def members(held: Holdings) -> dict[str, str]:
    return {doc_id: row["source_member"] for doc_id, row in held.documents.items()}


def files(held: Holdings) -> dict[str, str]:
    return {doc_id: row["source_file"] for doc_id, row in held.documents.items()}


def sections_text(document: Mapping[str, Any]) -> str:
    return SECTION_SEPARATOR.join(section["text"] for section in document["sections"] or [])


def plain_text(document: Mapping[str, Any]) -> str:
    """As `documents.model.plain_text`, from the sections as the lake stores them."""
    return SECTION_SEPARATOR.join(strip_marks(section["text"]) for section in document["sections"] or [])


@cache
def words_hash(text: str) -> str:
    """The truth's `nsha`: SHA-256 of the text after NFKC, without any white space."""
    return hashlib.sha256("".join(unicodedata.normalize("NFKC", text).split()).encode()).hexdigest()
