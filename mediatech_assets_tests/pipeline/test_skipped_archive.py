"""An archive that stays unreadable: the fold waits before it until a person decides to go on without it.

Told as a story over one installation of the smallest fund: the increment of day 2 is truncated at the upstream and
stays so; somebody skips it; at last a new stock brings what was missed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from mediatech_assets.layers import BUILT_LAYERS
from mediatech_assets_tests.pipeline.fund_folder import newest_files, publish, stock
from mediatech_assets_tests.pipeline.history import plain_text
from mediatech_assets_tests.pipeline.installation import Holdings, Installation
from mediatech_assets_tests.pipeline.truth import words_hash

FUND = "cnil"
REASON = "truncated at the DILA since the 15th, ticket 1234"
NEW_STOCK_TIME = datetime(2025, 7, 17, 14, 0, 0, tzinfo=UTC)
INPUT_REFUSED = 3


@dataclass(frozen=True)
class Story:
    """What happened, in order.

    Args:
        labels: Names of the stock and of the increments of the days 1 to 3; that of day 2 is unreadable.
        stopped: The update that met it.
        waiting: What was held then.
        refused: Answers to attempts to skip what may not be skipped, by what it was.
        skipped: The answer to the decision.
        resumed: What was held after the next update.
        manifest: Manifest of the release that followed.
        review: Its review page.
        mended: What was held when the upstream had mended the archive all the same.
        rebased: What was held after the next stock.
        last_manifest: Manifest of the release that followed.
    """

    installation: Installation
    labels: list[str]
    stopped: CompletedProcess[str]
    waiting: Holdings
    refused: Mapping[str, CompletedProcess[str]]
    skipped: CompletedProcess[str]
    resumed: Holdings
    manifest: Mapping
    review: str
    mended: Holdings
    rebased: Holdings
    last_manifest: Mapping


@pytest.fixture(scope="module")
def story(mirror_small: Path, truth, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("skipped")
    upstream, installation = folder / "upstream", Installation(folder / "home")
    labels = [stage.facts["label"] for stage in truth[FUND][""]]
    published = mirror_small / "echanges.dila.gouv.fr/OPENDATA/CNIL"
    good = {label: (published / label).read_bytes() for label in labels}
    unreadable = labels[2]

    publish(upstream, FUND, good | {unreadable: good[unreadable][:500]})
    stopped = installation.command(
        "update", "--datasets", FUND, "--layers", "raw..documents", "--json", upstream_base=str(upstream)
    )
    waiting = installation.holdings(FUND)
    attempts = {
        "applied": (labels[1], REASON),
        "unknown": ("CNIL_20300101-000000.tar.gz", REASON),
        "without a reason": (unreadable, " "),
    }
    refused = {
        what: installation.command("skip-archive", FUND, name, "--reason", reason)
        for what, (name, reason) in attempts.items()
    }
    skipped = installation.command("skip-archive", FUND, unreadable, "--reason", REASON, "--json")

    installation.materialised(upstream, FUND, BUILT_LAYERS)
    resumed, release = installation.holdings(FUND), installation.release_folder(FUND)
    publish(upstream, FUND, good)
    installation.materialised(upstream, FUND)
    mended = installation.holdings(FUND)

    files = newest_files(good.values())
    expected = truth[FUND][""][3].expected
    name, data = stock(
        FUND, NEW_STOCK_TIME, {facts["path"]: files[facts["path"]] for facts in expected.values()}
    )
    publish(upstream, FUND, {name: data} | {label: good[label] for label in labels[1:]})
    installation.materialised(upstream, FUND, BUILT_LAYERS)
    return Story(
        installation, labels, stopped, waiting, refused, skipped, resumed, manifest_in(release),
        (release / "review.html").read_text(encoding="utf-8"), mended, installation.holdings(FUND),
        manifest_in(installation.release_folder(FUND)),
    )  # fmt: skip


def test_the_fold_stops_before_the_archive_and_those_after_it_wait(story, truth):
    assert story.stopped.returncode == INPUT_REFUSED, story.stopped.stderr
    said = json.loads(story.stopped.stdout)["datasets"][FUND]
    assert story.labels[2] in "\n".join(said["problems"])
    assert said["layers"]["documents"]["lag"] == 2
    assert story.waiting.applied == story.labels[:2]
    assert texts(story.waiting) == expected_texts(truth, 1)


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("applied", "was applied already"),
        ("unknown", "has no archive CNIL_20300101-000000.tar.gz"),
        ("without a reason", "no reason is given"),
    ],
)
def test_what_may_not_be_skipped_is_refused_with_the_reason_and_a_remedy(story, what, problem):
    answer = story.refused[what]
    assert answer.returncode == 1
    message = " ".join(answer.stderr.split())
    assert problem in message
    assert "->" in message
    assert "Traceback" not in message


def test_an_unknown_archive_is_answered_with_those_that_wait(story):
    assert story.labels[2] in story.refused["unknown"].stderr


def test_the_decision_is_recorded_with_its_reason(story):
    assert json.loads(story.skipped.stdout) == {
        "dataset": FUND,
        "archive": story.labels[2],
        "reason": REASON,
    }
    rows = story.installation.rows(f"SELECT file, stamp, reason FROM {FUND}.skipped_archives")
    assert rows == [(story.labels[2], story.labels[2].removeprefix("CNIL_").removesuffix(".tar.gz"), REASON)]


def test_the_archives_after_it_are_applied_and_nothing_lags(story, truth):
    assert story.resumed.applied == [*story.labels[:2], story.labels[3]]
    day = truth[FUND][""][3]
    expected = expected_texts(truth, 1)
    expected |= {doc_id: facts["nsha"] for doc_id, facts in day.expected.items() if doc_id in day.upserts}
    assert texts(story.resumed) == {
        doc_id: words for doc_id, words in expected.items() if doc_id not in day.deletes
    }


def test_the_release_says_what_was_skipped_and_why(story):
    [skipped] = story.manifest["skipped_archives"]
    assert (skipped["file"], skipped["reason"]) == (story.labels[2], REASON)
    assert story.labels[2] in story.review
    assert REASON in story.review
    assert story.labels[2] not in {file["file"] for file in story.manifest["raw_files"]}


def test_the_decision_holds_although_the_archive_is_mended_later(story):
    assert story.mended.applied == story.resumed.applied
    assert story.mended.contents == story.resumed.contents


def test_the_next_stock_ends_it(story, truth):
    assert texts(story.rebased) == expected_texts(truth, 3)
    assert story.last_manifest["skipped_archives"] == []


def texts(held: Holdings) -> dict[str, str]:
    return {doc_id: words_hash(plain_text(row)) for doc_id, row in held.documents.items()}


def expected_texts(truth, day: int) -> dict[str, str]:
    return {doc_id: facts["nsha"] for doc_id, facts in truth[FUND][""][day].expected.items()}


def manifest_in(release: Path) -> Mapping:
    return json.loads((release / "manifest.json").read_text(encoding="utf-8"))
