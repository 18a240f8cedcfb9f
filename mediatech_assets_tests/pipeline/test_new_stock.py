"""A new stock, as the upstream publishes one some time: it is the new base, and costs what differs from before.

The mirror has one stock a fund, so a later one is made of its archives here: the state after day 2, without three
documents, with two others changed and one under another folder. As upstream, the folder then lists the new stock in
place of the former one, and the increments before it stay listed. The CNIL's fund is the smallest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets_tests.pipeline.fund_folder import newest_files, publish, stock
from mediatech_assets_tests.pipeline.history import plain_text
from mediatech_assets_tests.pipeline.installation import Holdings, Installation
from mediatech_assets_tests.pipeline.truth import words_hash

FUND = "cnil"
FOLDER = "echanges.dila.gouv.fr/OPENDATA/CNIL"
NEW_STOCK_TIME = datetime(2025, 7, 16, 14, 0, 0, tzinfo=UTC)
NEW_STOCK = "Freemium_cnil_global_20250716-140000.tar.gz"
CORRECTION = "Le présent paragraphe a été ajouté par le nouveau stock."


@dataclass(frozen=True)
class Rebased:
    """What was held before and after the new stock, after the increment that follows it, and what was done.

    Args:
        missing: Ids that the new stock does not have.
        changed: Ids whose text it changes.
        moved: The id that it has under another folder.
    """

    installation: Installation
    before: Holdings
    at_once: Mapping[Layer, LayerReport]
    after: Holdings
    next_day: Holdings
    missing: frozenset[str]
    changed: frozenset[str]
    moved: str


@pytest.fixture(scope="module")
def rebased(mirror_small: Path, truth, tmp_path_factory: pytest.TempPathFactory) -> Rebased:
    folder = tmp_path_factory.mktemp("new-stock")
    upstream, installation = folder / "upstream", Installation(folder / "home")
    labels = [stage.facts["label"] for stage in truth[FUND][""]]
    archives = {label: (mirror_small / FOLDER / label).read_bytes() for label in labels}
    expected = truth[FUND][""][2].expected

    publish(upstream, FUND, {label: archives[label] for label in labels[:3]})
    installation.materialised(upstream, FUND, BUILT_LAYERS)
    before = installation.holdings(FUND)

    written = sorted(doc_id for doc_id, row in before.documents.items() if row["sections"])
    next_day = truth[FUND][""][3]
    touched_later = next_day.upserts | next_day.deletes
    free = [doc_id for doc_id in written if doc_id not in touched_later]
    missing, changed, moved = frozenset(free[:3]), frozenset(free[3:5]), free[5]
    files = newest_files(archives[label] for label in labels[:3])
    kept = {doc_id: files[expected[doc_id]["path"]] for doc_id in expected if doc_id not in missing}
    for doc_id in changed:
        kept[doc_id] = kept[doc_id].replace(b"</CONTENU>", f"<p>{CORRECTION}</p></CONTENU>".encode())
    paths = {doc_id: expected[doc_id]["path"] for doc_id in kept}
    paths[moved] = paths[moved].replace("/TEXT/00/", "/TEXT/99/")
    name, data = stock(FUND, NEW_STOCK_TIME, {paths[doc_id]: kept[doc_id] for doc_id in kept})
    assert name == NEW_STOCK
    archives[name] = data
    publish(upstream, FUND, {name: archives[name] for name in (NEW_STOCK, *labels[1:3])})
    at_once = installation.materialised(upstream, FUND, BUILT_LAYERS)
    after = installation.holdings(FUND)

    publish(upstream, FUND, {name: archives[name] for name in (NEW_STOCK, *labels[1:])})
    installation.materialised(upstream, FUND)
    return Rebased(installation, before, at_once, after, installation.holdings(FUND), missing, changed, moved)


def test_documents_are_those_of_the_new_stock_and_no_other(rebased):
    assert set(rebased.after.documents) == set(rebased.before.documents) - rebased.missing
    assert {file for file in rebased.after.applied if "Freemium" in file} >= {NEW_STOCK}
    for doc_id in rebased.changed:
        assert CORRECTION in plain_text(rebased.after.documents[doc_id])
    assert "/TEXT/99/" in rebased.after.documents[rebased.moved]["source_member"]


def test_what_the_new_stock_lacks_has_a_tombstone_that_names_it(rebased):
    new = set(rebased.after.tombstones) - set(rebased.before.tombstones)
    assert new == {(doc_id, NEW_STOCK) for doc_id in rebased.missing}


def test_only_what_differs_is_dated_as_changed(rebased):
    both = set(rebased.before.documents) & set(rebased.after.documents)
    dated = {
        doc_id for doc_id in both if rebased.before.changed_at[doc_id] != rebased.after.changed_at[doc_id]
    }
    assert dated == rebased.changed
    report = rebased.at_once[Layer.DOCUMENTS]
    assert (report.added, report.changed, report.removed) == (0, 2, 3)
    assert all(
        rebased.before.documents[doc_id]["first_seen"] == rebased.after.documents[doc_id]["first_seen"]
        for doc_id in both
    )


def test_nothing_that_was_seen_is_embedded_again(rebased):
    unseen = rebased.after.text_keys - rebased.before.text_keys
    assert rebased.at_once[Layer.EMBEDDINGS].added == len(unseen)
    assert 1 <= len(unseen) <= 4, "the paragraphs added, and what shifted with them"


def test_no_ghost_is_left_in_chunks_index_and_release(rebased):
    held = rebased.after
    assert not rebased.missing & {row["doc_id"] for row in held.chunks.values()}
    assert len(held.chunks) == held.points == held.recorded == rebased.at_once[Layer.RELEASE].rows
    gone = {chunk_id for chunk_id in rebased.before.chunks if chunk_id not in held.chunks}
    assert rebased.at_once[Layer.INDEX].removed == len(gone) > 0
    touched = {
        chunk_id
        for chunk_id, row in held.chunk_rows.items()
        if rebased.before.chunk_rows.get(chunk_id) != row
    }
    assert {held.chunks[chunk_id]["doc_id"] for chunk_id in touched} == rebased.changed


def test_a_run_after_it_writes_nothing(rebased, tmp_path):
    """The files that were applied are on our disk: the same listing gives nothing to do."""
    installation = rebased.installation.copied_to(tmp_path / "home")
    snapshots = installation.snapshots()
    installation.materialised(rebased.installation.home.parent / "upstream", FUND)
    assert installation.snapshots() == snapshots


def test_the_increment_after_it_is_applied_to_it(rebased, truth):
    stages = truth[FUND][""]
    expected = {
        doc_id: facts["nsha"] for doc_id, facts in stages[3].expected.items() if doc_id not in rebased.missing
    }
    found = {doc_id: words_hash(plain_text(row)) for doc_id, row in rebased.next_day.documents.items()}
    assert set(found) == set(expected)
    assert {doc_id for doc_id in expected if found[doc_id] != expected[doc_id]} == rebased.changed
    assert {
        doc_id for doc_id, file in rebased.next_day.tombstones if file == stages[3].facts["label"]
    } == stages[3].deletes
