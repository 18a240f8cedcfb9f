"""The evaluation of one dataset's index: questions with known answers, asked of the collection that was built.

What belongs here: which questions, what is asked of which collection, and what is reported. What does not: the
figures and the rule (`evaluation/`), and searching (`index/`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.errors import EmbeddingError, IndexUnavailableError
from mediatech_assets.evaluation.gate import judge
from mediatech_assets.evaluation.history import Run, Subject, last_run_before, record, runs
from mediatech_assets.evaluation.metrics import DEPTH
from mediatech_assets.evaluation.questions import Question, answerable, digest, load_questions
from mediatech_assets.evaluation.run import ALL, HYBRID, MODES, evaluate
from mediatech_assets.evaluation.summary import summary_markdown
from mediatech_assets.index.ranking import RANKING_VERSION
from mediatech_assets.lake import quoted
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.schemas import RETRIEVAL_RUNS

if TYPE_CHECKING:
    from mediatech_assets.orchestration.platform import Platform


def evaluation_report(platform: Platform, dataset: Dataset) -> LayerReport:
    """Asks the questions of a dataset that its documents can answer, records the figures and judges them.

    Nothing is asked again when the collection, the questions and the code are those of the last run.

    Raises:
        IndexUnavailableError: the dataset has no collection of the profile yet.
    """
    questions = answerable(load_questions(dataset.name), _known(platform, dataset))
    if not questions:
        return LayerReport(
            Layer.EVALUATION,
            rows=0,
            facts={"profile": platform.profile.name, "questions": 0},
            columns=RETRIEVAL_RUNS,
            verdict=(True, "not judged: no question about the documents that are here"),
        )
    subject = _subject(platform, dataset, questions)
    history = runs(platform.lake, dataset.name, platform.profile.name)
    new = not history or history[-1].subject != subject or set(history[-1].ranks) != set(MODES)
    shown: dict[str, str] = {}
    floor = dataset.retrieval_floors.get(platform.profile.name, 0.0)
    if new:
        with platform.engine.kept_open():
            evaluation = evaluate(questions, _asking(platform, dataset))
        verdict = judge(evaluation, floor, _at_last_release(platform, dataset, history))
        record(platform.lake, dataset.name, subject, evaluation)
        history = runs(platform.lake, dataset.name, platform.profile.name)
        titles = _titles(platform, dataset, [doc for each in evaluation.worst() for doc in each.found])
        shown["summary"] = summary_markdown(evaluation, verdict, titles)
    else:
        verdict = judge(history[-1], floor, _at_last_release(platform, dataset, history[:-1]))
    return LayerReport(
        Layer.EVALUATION,
        rows=len(history),
        added=int(new),
        facts={**_facts(platform, history[-1]), "plot": str(_plot(platform, dataset, history))},
        columns=RETRIEVAL_RUNS,
        shown=shown,
        verdict=(verdict.passed, "; ".join(verdict.reasons)),
    )


def _known(platform: Platform, dataset: Dataset) -> set[str]:
    """Which of the documents that the questions name have chunks of the profile."""
    wanted = sorted({doc_id for question in load_questions(dataset.name) for doc_id in question.relevant})
    rows = (
        platform.lake.cursor()
        .execute(
            f"""
            SELECT DISTINCT doc_id FROM {quoted(dataset.name)}.chunks
            WHERE chunking_id = ? AND list_contains(?, doc_id)
            """,
            [platform.chunking(dataset).id, wanted],
        )
        .fetchall()
    )
    return {doc_id for (doc_id,) in rows}


def _subject(platform: Platform, dataset: Dataset, questions: Sequence[Question]) -> Subject:
    index = platform.index(dataset)
    collection = platform.engine.collection_for(index.alias)
    if collection is None:
        raise IndexUnavailableError(
            f"{dataset.name} has no index of profile {platform.profile.name} yet",
            f"run `mediatech update --datasets {dataset.name} --layers index`",
        )
    row = (
        platform.lake.cursor()
        .execute(
            f"""
            SELECT count(*), bit_xor(md5_number_lower(chunk_id || row_hash))
            FROM {quoted(dataset.name)}.index_state WHERE collection = ?
            """,
            [collection],
        )
        .fetchone()
    )
    return Subject(
        profile=platform.profile.name,
        fingerprint=platform.profile.fingerprint,
        collection=collection,
        index_digest=hashlib.sha256(repr((row, index.spec.fingerprint)).encode()).hexdigest(),
        questions_digest=digest(questions),
        code_version=RANKING_VERSION,
    )


def _asking(platform: Platform, dataset: Dataset) -> Callable[[str, str], Sequence[str]]:
    """Asks one question in one mode; the three modes of a question share its vector.

    People ask about the law as it is: of a dataset that keeps former versions, only those in force may answer.
    """

    @lru_cache(maxsize=1)
    def vector(question: str) -> np.ndarray:
        return platform.embed_query(question)

    def ask(question: str, mode: str) -> Sequence[str]:
        answer = platform.search(
            question, [dataset.name], mode, DEPTH, embed_query=lambda text: vector(text), in_force=True
        )
        if answer.mode != mode:
            raise EmbeddingError("; ".join(answer.notes), "start the embedding service, then evaluate again")
        return [result.doc_id for result in answer.results]

    return ask


def _at_last_release(platform: Platform, dataset: Dataset, history: Sequence[Run]) -> Run | None:
    """The run that tells how the search was when the profile's last release was built."""
    row = (
        platform.lake.cursor()
        .execute(
            f"SELECT max(created_at) FROM {quoted(dataset.name)}.releases WHERE profile = ?",
            [platform.profile.name],
        )
        .fetchone()
    )
    return last_run_before(history, row[0]) if row and row[0] else None


def _facts(platform: Platform, run: Run) -> dict[str, str | int | float]:
    """Figures by name; the profile is in the names, so that Dagster draws one line a profile."""
    facts: dict[str, str | int | float] = {"profile": platform.profile.name}
    for mode in MODES:
        scores = run.scores.get((mode, ALL))
        if scores is not None:
            facts["questions"] = scores.questions
            facts[f"{platform.profile.name} {mode} recall@10"] = round(scores.recall_10, 4)
            if mode == HYBRID:
                facts[f"{platform.profile.name} {mode} MRR"] = round(scores.mrr, 4)
    return facts


def _titles(platform: Platform, dataset: Dataset, doc_ids: Sequence[str]) -> dict[str, str]:
    rows = (
        platform.lake.cursor()
        .execute(
            f"SELECT * EXCLUDE (sections) FROM {quoted(dataset.name)}.documents WHERE list_contains(?, doc_id)",
            [sorted(set(doc_ids))],
        )
        .to_arrow_table()
        .to_pylist()
    )
    title = platform.index(dataset).title
    return {row["doc_id"]: title(row) for row in rows}


def _plot(platform: Platform, dataset: Dataset, history: Sequence[Run]) -> Path:
    """Draws the history; the picture is too large for metadata, so its path is given."""
    # matplotlib writes a list of fonts into its cache: nothing is written outside of home.
    os.environ.setdefault("MPLCONFIGDIR", str(platform.settings.home / "cache" / "matplotlib"))
    from mediatech_assets.evaluation.plot import history_svg

    target = platform.settings.evaluation_folder / f"{dataset.name}-{platform.profile.name}.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(history_svg(history), encoding="utf-8")
    return target
