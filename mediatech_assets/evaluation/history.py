"""The history of evaluations: the table `retrieval_runs` of a dataset's catalog, append-only.

What belongs here: writing a run once, and reading runs back. What does not: judging a run against another
(`gate.py`) and drawing them (`plot.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import duckdb
import pyarrow as pa

from mediatech_assets.evaluation.metrics import Scores
from mediatech_assets.evaluation.run import ALL, PARTS, Evaluation
from mediatech_assets.lake import Lake, quoted, utc_now
from mediatech_assets.schemas import RETRIEVAL_RUNS

TABLE = "retrieval_runs"

_SMALLEST_STEP = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a run measured; two subjects are equal when a run on one says the same as a run on the other.

    Args:
        profile: Name of the embedding profile.
        fingerprint: Its fingerprint.
        collection: Name of the collection; built again with the same content, it is the same subject.
        index_digest: Digest of what the collection holds.
        questions_digest: See `questions.digest`.
        code_version: Version of the code that searches.
    """

    profile: str
    fingerprint: str
    collection: str = field(compare=False)
    index_digest: str
    questions_digest: str
    code_version: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the history.

    Args:
        run_at: When it was recorded, UTC.
        subject: What it measured.
        scores: Figures by mode and part; a mode that could not be measured is not there.
        ranks: For each mode, rank of the first right document by the key of the question.
    """

    run_at: datetime
    subject: Subject
    scores: Mapping[tuple[str, str], Scores]
    ranks: Mapping[str, Mapping[str, int | None]]


def record(lake: Lake, dataset: str, subject: Subject, evaluation: Evaluation) -> int:
    """Adds a run to the history, unless the profile's last run already says it.

    A mode that the last run could not measure is added to that run.

    Args:
        lake: The lake; the dataset's catalog is open with the table `retrieval_runs`.
        dataset: Name of the dataset.
        subject: What was measured.
        evaluation: What came out.

    Returns:
        Rows written: one for each mode and part, 0 when nothing is new.
    """
    with lake.transaction(dataset) as cursor:
        last = _last_run(cursor, dataset, subject.profile)
        continued = last if last and last.subject == subject else None
        known = continued.ranks.keys() if continued else set()
        rows = [row for row in _rows(evaluation) if row["mode"] not in known]
        if not rows:
            return 0
        # A clock that was set back must not put a run before the one it follows.
        run_at = continued.run_at if continued else max(utc_now(), _earliest_after(last))
        shared = {"run_at": run_at, **asdict(subject)}
        table = pa.Table.from_pylist([shared | row for row in rows], schema=RETRIEVAL_RUNS)
        cursor.register("incoming_runs", table)
        cursor.execute(f"INSERT INTO {quoted(dataset)}.{TABLE} BY NAME SELECT * FROM incoming_runs")
        cursor.unregister("incoming_runs")
    return len(rows)


def runs(lake: Lake, dataset: str, profile: str) -> list[Run]:
    """Runs of a profile, oldest first; none when the catalog has no history yet.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        profile: Name of the embedding profile.
    """
    if not lake.has_table(dataset, TABLE):
        return []
    with lake.cursor() as cursor:
        return _read(cursor, dataset, profile, "true")


def last_run_before(history: Sequence[Run], moment: datetime) -> Run | None:
    """The run that tells how the search was at `moment` (UTC), such as the time of a release."""
    return max((run for run in history if run.run_at <= moment), key=lambda run: run.run_at, default=None)


def _rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for mode in evaluation.judgements:
        for part in PARTS:
            scores = evaluation.scores(mode, part)
            if scores is None:
                continue
            ranks = [
                {"question": key, "rank": rank} for key, rank in sorted(evaluation.ranks(mode, part).items())
            ]
            yield {"mode": mode, "part": str(part), **asdict(scores), "ranks": ranks}


def _earliest_after(run: Run | None) -> datetime:
    return run.run_at + _SMALLEST_STEP if run else datetime.min


def _last_run(cursor: duckdb.DuckDBPyConnection, dataset: str, profile: str) -> Run | None:
    table = f"{quoted(dataset)}.{TABLE}"
    latest = f"run_at = (SELECT max(run_at) FROM {table} WHERE profile = $profile)"
    return next(iter(_read(cursor, dataset, profile, latest)), None)


def _read(cursor: duckdb.DuckDBPyConnection, dataset: str, profile: str, condition: str) -> list[Run]:
    rows = (
        cursor.execute(
            f"""
            SELECT * FROM {quoted(dataset)}.{TABLE} WHERE profile = $profile AND {condition}
            ORDER BY run_at, mode, part
            """,
            {"profile": profile},
        )
        .to_arrow_table()
        .to_pylist()
    )
    return [_run(run_at, list(group)) for run_at, group in groupby(rows, key=lambda row: row["run_at"])]


def _run(run_at: datetime, rows: Sequence[Mapping[str, Any]]) -> Run:
    return Run(
        run_at=run_at,
        subject=Subject(**_picked(rows[0], Subject)),
        scores={(row["mode"], row["part"]): Scores(**_picked(row, Scores)) for row in rows},
        ranks={
            row["mode"]: {entry["question"]: entry["rank"] for entry in row["ranks"]}
            for row in rows
            if row["part"] == ALL
        },
    )


def _picked(row: Mapping[str, Any], record_type: type[Subject] | type[Scores]) -> dict[str, Any]:
    """The columns of a row that are fields of a record."""
    return {each.name: row[each.name] for each in fields(record_type)}
