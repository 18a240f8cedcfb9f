"""Real input: every source of the small mirror from day 0 to day 3, up to chunks, against the mirror's truth.

The truth was written by the mirror's own programs from the published packages, not by this project. Days are
played once for the whole tier (`history`); the tests only look.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from mediatech_assets.documents.model import SECTION_SEPARATOR
from mediatech_assets.layers import Layer
from mediatech_assets_tests.pipeline.history import (
    FUNDS,
    MIRRORED,
    SNAPSHOTS,
    History,
    assert_documents_are_those_of_the_truth,
)
from mediatech_assets_tests.pipeline.installation import TEXT_LAYERS, Holdings, Installation
from mediatech_assets_tests.pipeline.truth import DAYS, FEEDS, Stage, Truth, words_hash

TOKENS_OF_A_CHUNK = 256

#: What the truth says of a LEGI article beside its text: a difference must be one of ours, too.
COLUMNS_OF_AN_ARTICLE = {"etat": "status", "num": "number", "debut": "start_date", "fin": "end_date"}


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("dataset", MIRRORED)
def test_documents_are_those_of_the_truth_word_for_word(history, truth, dataset, day):
    assert_documents_are_those_of_the_truth(history, truth, dataset, day)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("fund", FUNDS)
def test_a_document_of_a_fund_comes_from_the_path_of_the_truth(history, truth, fund, day):
    documents = history.documents(fund, day)
    expected = {doc_id: facts["path"] for doc_id, facts in truth[fund][""][day].expected.items()}
    assert {doc_id: documents[doc_id]["source_member"] for doc_id in expected} == expected


@pytest.mark.parametrize("day", DAYS)
def test_legi_holds_the_state_number_and_dates_of_the_truth(history, truth, day):
    documents = history.documents("legi", day)
    wrong = [
        (doc_id, documents[doc_id][column], article[fact])
        for doc_id, article in truth["legi"][""][day].expected.items()
        for fact, column in COLUMNS_OF_AN_ARTICLE.items()
        if (documents[doc_id][column] or "") != " ".join((article[fact] or "").split())
    ]
    assert wrong == []


def test_documents_without_any_text_are_documents_and_make_no_chunk(history, truth):
    """Two thirds of the CNIL's real base have none."""
    nothing = words_hash("")
    empty = {doc_id for doc_id, facts in truth["cnil"][""][3].expected.items() if facts["nsha"] == nothing}
    held = history.held[3]["cnil"]
    assert len(empty) > 20
    assert {doc_id for doc_id, row in held.documents.items() if not row["sections"]} == empty
    assert not empty & {row["doc_id"] for row in held.chunks.values()}
    assert all(held.documents[doc_id]["title"] for doc_id in empty)


@pytest.mark.parametrize("day", DAYS)
def test_service_public_makes_one_document_of_a_sheet_in_both_feeds(history, truth, day):
    expected: dict[str, list[str]] = defaultdict(list)
    for feed, stages in truth["service_public"].items():
        for doc_id in stages[day].expected:
            expected[doc_id].append(feed)
    documents = history.documents("service_public", day)
    assert {doc_id: row["feeds"] for doc_id, row in documents.items()} == expected
    assert any(len(feeds) == 2 for feeds in expected.values())


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize(
    ("dataset", "fact", "column"),
    [
        ("travail_emploi", "title", "title"),
        ("state_administrations_directory", "nom", "name"),
        ("local_administrations_directory", "nom", "name"),
    ],
)
def test_a_snapshot_holds_the_names_of_the_truth(history, truth, dataset, fact, column, day):
    documents = history.documents(dataset, day)
    assert {doc_id: row[column] for doc_id, row in documents.items()} == {
        doc_id: " ".join(element[fact].split())
        for doc_id, element in truth[dataset][""][day].expected.items()
    }


@pytest.mark.parametrize("day", DAYS[1:])
@pytest.mark.parametrize("fund", FUNDS)
def test_an_increment_changes_only_what_it_brings(history, truth, fund, day):
    former, stage = truth[fund][""][day - 1], truth[fund][""][day]
    must_change = {
        doc_id
        for doc_id in set(former.expected) & set(stage.expected)
        if any(
            former.expected[doc_id].get(fact) != stage.expected[doc_id].get(fact)
            for fact in ("nsha", *COLUMNS_OF_AN_ARTICLE)
        )
    }
    assert_only_the_difference_is_dated(history, fund, day, must_change, stage.upserts)
    tombstones = history.new_tombstones(fund, day)
    assert sorted(doc_id for doc_id, _ in tombstones) == sorted(stage.deletes)
    assert {file for _, file in tombstones} == ({stage.facts["label"]} if stage.deletes else set())


@pytest.mark.parametrize(
    ("dataset", "day"), [(dataset, day) for dataset in SNAPSHOTS for day in DAYS[1:] if day != 2]
)
def test_a_snapshot_changes_only_what_differs(history, truth, dataset, day):
    before, now = (elements(truth, dataset, each) for each in (day - 1, day))
    held_before, held_now = ({doc_id for _, doc_id in found} for found in (before, now))
    staying = held_before & held_now
    must_change = {doc_id for _, doc_id in dict(before.items() ^ now.items())} & staying
    may_change = {
        doc_id for stages in truth[dataset].values() for doc_id in stages[day].upserts | stages[day].deletes
    }
    if dataset == "service_public":
        # A word of its navigation (a renamed theme) is no content of the sheet: it may stay as it was.
        must_change = set()
    assert_only_the_difference_is_dated(history, dataset, day, must_change, may_change & staying)
    assert {doc_id for doc_id, _ in history.new_tombstones(dataset, day)} == held_before - held_now
    assert history.reports[day][dataset][Layer.DOCUMENTS].added == len(held_now - held_before)


@pytest.mark.parametrize("fund", FUNDS)
def test_the_increment_older_than_the_stock_is_recorded_as_stale_and_not_applied(history, truth, fund):
    stale = truth[fund][""][0].facts["stale_archive"]["name"]
    rows = history.installation.rows(f"SELECT status, sha256 FROM {fund}.raw_files WHERE file = ?", [stale])
    assert rows == [("stale", None)]
    assert history.held[3][fund].applied == [truth[fund][""][day].facts["label"] for day in DAYS]


@pytest.mark.parametrize("fund", FUNDS)
def test_members_of_an_archive_that_are_no_documents_are_counted_not_lost(history, truth, fund):
    applied = {
        file: counts
        for file, *counts in history.installation.rows(
            f"SELECT file, delivered, skipped, suppressions FROM {fund}.applied_archives"
        )
    }
    stock = truth[fund][""][0].facts
    others, duplicates = stock.get("other_xml", 0), stock.get("duplicates", ())
    assert applied[stock["label"]] == [stock["count"] + len(duplicates), others, 0]
    for day in DAYS[1:]:
        stage = truth[fund][""][day]
        delivered, _, lines = applied[stage.facts["label"]]
        assert delivered == len(stage.upserts)
        assert lines >= stage.facts.get("suppression_lines", len(stage.deletes))


@pytest.mark.parametrize("feed", FEEDS["service_public"])
def test_members_of_a_feed_that_are_no_sheets_are_counted_not_lost(history, truth, feed):
    stage = truth["service_public"][feed][0].facts
    [(skipped,)] = history.installation.rows(
        "SELECT skipped FROM service_public.applied_archives WHERE feed = ? ORDER BY applied_at LIMIT 1",
        [feed],
    )
    assert skipped == stage["members"] - stage["count"]


def test_of_ids_under_two_folders_the_older_file_is_kept_beside_the_document(history, truth):
    copies = history.installation.rows("SELECT doc_id, source_modified FROM legi.document_copies")
    documents = history.documents("legi", 3)
    assert {doc_id for doc_id, _ in copies} <= set(truth["legi"][""][0].facts["duplicates"])
    assert all(modified <= documents[doc_id]["source_modified"] for doc_id, modified in copies)


@pytest.mark.parametrize("dataset", MIRRORED)
def test_nothing_is_refused(history, dataset):
    assert [history.held[day][dataset].refused for day in DAYS] == [[], [], [], []]


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("dataset", MIRRORED)
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
    assert set(pieces) <= set(held.documents)
    assert max(row["tokens"] for row in held.chunks.values()) <= TOKENS_OF_A_CHUNK


def test_a_second_run_writes_nothing(history, mirror, tmp_path):
    mirror.set_day(DAYS[-1])
    installation = history.installation.copied_to(tmp_path / "home")
    snapshots = installation.snapshots()
    for dataset in MIRRORED:
        reports = installation.materialised(mirror.url, dataset, TEXT_LAYERS)
        assert {
            layer: (report.added, report.changed, report.removed) for layer, report in reports.items()
        } == dict.fromkeys(TEXT_LAYERS, (0, 0, 0)), dataset
    assert installation.snapshots() == snapshots


@pytest.mark.parametrize("dataset", ["legi", "service_public", "local_administrations_directory"])
def test_coming_back_after_days_gives_what_going_day_by_day_gives(history, mirror, tmp_path, dataset):
    late = history.after[DAYS[0]].copied_to(tmp_path / "home")
    mirror.set_day(DAYS[-1])
    late.materialised(mirror.url, dataset)
    daily, jumped = history.held[DAYS[-1]][dataset], late.holdings(dataset)
    assert jumped.contents == daily.contents
    assert jumped.chunk_rows == daily.chunk_rows
    # An unchanged sheet keeps the name of the snapshot that brought it: only members can be compared.
    assert members(jumped) == members(daily)


def test_the_first_update_of_a_late_installation_gives_the_same(history, mirror, tmp_path):
    mirror.set_day(DAYS[-1])
    late = Installation(tmp_path / "home")
    late.materialised(mirror.url, "legi")
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
    former, now = texts_by_document(before), texts_by_document(after)
    # The first point of a document holds what its whole text says.
    written |= {f"{doc_id}_1" for doc_id, texts in now.items() if former.get(doc_id) != texts}
    assert layers["index"]["added"] == len(written)
    assert layers["index"]["removed"] == len(set(before.chunks) - set(after.chunks))
    assert len(after.chunks) == after.points == after.recorded == layers["release"]["rows"]
    assert after.vectors == len(after.text_keys)


def texts_by_document(held: Holdings) -> dict[str, set[tuple[int, str]]]:
    """Position and key of the texts of each document's chunks."""
    texts: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for row in held.chunks.values():
        texts[row["doc_id"]].add((row["chunk_index"], row["text_key"]))
    return texts


def elements(truth: Truth, dataset: str, day: int) -> dict[tuple[str, str], str]:
    """Hash of each element of a snapshot on a day, by feed and id."""
    stages: Iterable[tuple[str, Stage]] = ((feed, days[day]) for feed, days in truth[dataset].items())
    return {
        (feed, doc_id): element["nsha"]
        for feed, stage in stages
        for doc_id, element in stage.expected.items()
    }


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
    assert history.reports[day][dataset][Layer.DOCUMENTS].changed == len(dated)
    unchanged = {row["chunk_id"] for row in former.chunks.values() if row["doc_id"] in both - dated}
    assert all(former.chunk_rows[chunk_id] == now.chunk_rows[chunk_id] for chunk_id in unchanged)


def members(held: Holdings) -> dict[str, str]:
    return {doc_id: row["source_member"] for doc_id, row in held.documents.items()}


def files(held: Holdings) -> dict[str, str]:
    return {doc_id: row["source_file"] for doc_id, row in held.documents.items()}


def sections_text(document: Mapping[str, Any]) -> str:
    return SECTION_SEPARATOR.join(section["text"] for section in document["sections"] or [])
