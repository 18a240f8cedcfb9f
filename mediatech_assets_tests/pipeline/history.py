"""The days of a mirror, played once and kept: what was done and held on each of them.

What belongs here: playing days, and questions about two days that several tests ask. What does not: what any day
must hold (`truth.py` and the tests).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediatech_assets.datasets.base import DilaFund
from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.documents.model import SECTION_SEPARATOR, strip_marks
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets_tests.conftest import MirrorServer
from mediatech_assets_tests.pipeline.installation import DATASETS, TEXT_LAYERS, Holdings, Installation
from mediatech_assets_tests.pipeline.mortal import before_each_statement
from mediatech_assets_tests.pipeline.truth import DAYS, FEEDS, Truth, words_hash

#: Datasets whose source is in the mirror; those published as archives to be folded, those published whole.
MIRRORED = tuple(dataset for dataset in DATASETS if dataset in FEEDS)
FUNDS = tuple(dataset for dataset in MIRRORED if isinstance(dataset_named(dataset).source, DilaFund))
SNAPSHOTS = tuple(dataset for dataset in MIRRORED if dataset not in FUNDS)


@dataclass(frozen=True)
class History:
    """An installation that was updated on each day on which its upstream had news.

    Args:
        installation: It, after the last day.
        after: Copies of its home after each day.
        reports: What the layers said, by day and dataset.
        held: What it held after each day, by dataset; on a day without news what it held before.
        statements: Statements to DuckDB that the update made, by day and dataset.
    """

    installation: Installation
    after: Mapping[int, Installation]
    reports: Mapping[int, Mapping[str, Mapping[Layer, LayerReport]]]
    held: Mapping[int, Mapping[str, Holdings]]
    statements: Mapping[int, Mapping[str, int]]

    def documents(self, dataset: str, day: int) -> Mapping[str, Mapping[str, Any]]:
        """The documents of a dataset after a day, by id."""
        return self.held[day][dataset].documents

    def new_tombstones(self, dataset: str, day: int) -> list[tuple[str, str]]:
        """Tombstones that a day added."""
        before = list(self.held[day - 1][dataset].tombstones)
        return [tombstone for tombstone in self.held[day][dataset].tombstones if tombstone not in before]


def assert_documents_are_those_of_the_truth(history: History, truth: Truth, dataset: str, day: int) -> None:
    """Compares ids, counts and words: of a fund our text, of a snapshot the source's element as we read it."""
    documents = history.documents(dataset, day)
    for feed, stages in truth[dataset].items():
        expected = {doc_id: facts["nsha"] for doc_id, facts in stages[day].expected.items()}
        found = (
            {doc_id: words_hash(plain_text(row)) for doc_id, row in documents.items()}
            if dataset in FUNDS
            else source_hashes(documents, feed)
        )
        assert set(found) == set(expected)
        assert len(found) == stages[day].facts["count"]
        wrong = [doc_id for doc_id, words in expected.items() if found[doc_id] != words]
        assert wrong == [], f"{len(wrong)} of {len(found)} differ from the source's words"


def plain_text(document: Mapping[str, Any]) -> str:
    """As `documents.model.plain_text`, from the sections as the lake stores them."""
    return SECTION_SEPARATOR.join(strip_marks(section["text"]) for section in document["sections"] or [])


def source_hashes(documents: Mapping[str, Mapping[str, Any]], feed: str) -> dict[str, str]:
    """Hash of the source's element of each document of a feed; of several feeds it is a JSON object."""
    if not feed:
        return {doc_id: row["source_text_sha256"] for doc_id, row in documents.items()}
    hashes = {doc_id: json.loads(row["source_text_sha256"]) for doc_id, row in documents.items()}
    return {doc_id: by_feed[feed] for doc_id, by_feed in hashes.items() if feed in by_feed}


def days_with_news(truth: Truth, dataset: str) -> list[int]:
    """Days on which a file of the dataset was published."""
    return [day for day in DAYS if any(stages[day].is_news for stages in truth[dataset].values())]


def play(
    server: MirrorServer,
    truth: Truth,
    folder: Path,
    datasets: Iterable[str],
    layers: Sequence[Layer] = TEXT_LAYERS,
) -> History:
    """Updates an installation day by day.

    Args:
        server: The mirror.
        truth: Its truth.
        folder: Where the installation and the copies of its home are made.
        datasets: Datasets to update.
        layers: Layers to bring up to date.
    """
    installation = Installation(folder / "home")
    after: dict[int, Installation] = {}
    reports: dict[int, dict[str, Mapping[Layer, LayerReport]]] = {}
    held: dict[int, dict[str, Holdings]] = {}
    statements: dict[int, dict[str, int]] = {}
    for day in DAYS:
        server.set_day(day)
        reports[day], held[day], statements[day] = {}, {}, {}
        for dataset in datasets:
            if day in days_with_news(truth, dataset):
                made: list[None] = []
                with before_each_statement(lambda made=made: made.append(None)):
                    reports[day][dataset] = installation.materialised(server.url, dataset, layers)
                statements[day][dataset] = len(made)
                held[day][dataset] = installation.holdings(dataset)
            else:
                held[day][dataset] = held[day - 1][dataset]
        after[day] = installation.copied_to(folder / f"after-{day}")
    return History(installation, after, reports, held, statements)
