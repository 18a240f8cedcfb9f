"""The mirror's truth: what a database must hold of each source on each day.

What belongs here: reading `truth.json`, which the mirror's own programs wrote from the published packages, and
the hash that it compares texts by. What does not: how this project reads any source.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

#: Days of the mirror: the stock, then one increment a day. Snapshots change on the days 0, 1 and 3.
DAYS = (0, 1, 2, 3)

#: Feeds of the mirror's sources by dataset: a fact of the mirror's programs, not of this project. A dataset that
#: is not here has no source in the mirror; the test of the truth's sources fails when the mirror gets another.
FEEDS: Mapping[str, Sequence[str]] = {
    "legi": ("",),
    "cnil": ("",),
    "constit": ("",),
    "dole": ("",),
    "service_public": ("part", "pro"),
    "travail_emploi": ("",),
    "state_administrations_directory": ("",),
    "local_administrations_directory": ("",),
    "data_gouv_datasets_catalog": ("",),
}


@dataclass(frozen=True)
class Stage:
    """What the truth says of one source on one day.

    Args:
        expected: Everything that must be there, by id.
        upserts: Ids that the day's file brings.
        deletes: Ids that it takes away.
        facts: The truth's own record of the stage.
        is_news: Whether a file was published on that day.
    """

    expected: Mapping[str, Mapping[str, Any]]
    upserts: frozenset[str]
    deletes: frozenset[str]
    facts: Mapping[str, Any]
    is_news: bool


#: Stages by dataset, feed (empty when there is one) and day.
Truth = Mapping[str, Mapping[str, Sequence[Stage]]]


def source_name(dataset: str, feed: str) -> str:
    """Name of a source in the truth."""
    return f"{dataset}_{feed}" if feed else dataset


def read_truth(mirror: Path) -> Truth:
    """The truth of a mirror."""
    sources = json.loads((mirror / "truth.json").read_text(encoding="utf-8"))["sources"]
    assert set(sources) == {source_name(dataset, feed) for dataset, feeds in FEEDS.items() for feed in feeds}
    return {
        dataset: {feed: _stages_by_day(sources[source_name(dataset, feed)]["stages"]) for feed in feeds}
        for dataset, feeds in FEEDS.items()
    }


def _stages_by_day(stages: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """The stage in force on each of DAYS: DILA stages are one a day, snapshots say their day."""
    found: list[Stage] = []
    expected: dict[str, Mapping[str, Any]] = {}
    by_day = {stage.get("day", position): stage for position, stage in enumerate(stages)}
    for day in DAYS:
        stage = by_day.get(day)
        if stage is None:
            last = found[-1]
            found.append(Stage(last.expected, frozenset(), frozenset(), last.facts, is_news=False))
            continue
        expected = {**expected, **stage["upserts"]}
        for doc_id in stage["deletes"]:
            del expected[doc_id]
        upserts, deletes = frozenset(stage["upserts"]), frozenset(stage["deletes"])
        found.append(Stage(expected, upserts, deletes, stage, is_news=True))
    return found


@cache
def words_hash(text: str) -> str:
    """The truth's `nsha`: SHA-256 of the text after NFKC, without any white space."""
    return hashlib.sha256("".join(unicodedata.normalize("NFKC", text).split()).encode()).hexdigest()
