"""Search: a question in, ranked chunks of one or several datasets out.

What belongs here: what happens between a question and its answer, and what is said when a side or a dataset
cannot answer. What does not: engines, fusion, and how a question is embedded (a function is passed in).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mediatech_assets.errors import ConfigurationError, EmbeddingError, IndexUnavailableError
from mediatech_assets.index.bm25 import SparseVector, encode_query
from mediatech_assets.index.engine import Candidates, Engine, Filter
from mediatech_assets.index.hybrid import FusedHit, Mode, ScoreParts, fuse

#: Hits asked of each side at least: fusion needs to see beyond what is shown.
SMALLEST_DEPTH = 50

#: Turns a question into a vector of shape `(dimensions,)`.
EmbedQuery = Callable[[str], np.ndarray]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One chunk of an answer.

    Args:
        rank: From 1.
        score: See `hybrid.FusedHit`; comparable within one answer only.
        dataset: Where the chunk comes from.
        doc_id: Its document.
        chunk_id: The chunk.
        title: Title of the document; empty when it has none.
        text: Text of the chunk.
        source_url: Page where a person reads the source.
        parts: What the score is made of.
    """

    rank: int
    score: float
    dataset: str
    doc_id: str
    chunk_id: str
    title: str
    text: str
    source_url: str
    parts: ScoreParts


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a question got.

    Args:
        mode: The mode that was really used.
        results: Best first.
        notes: What the reader has to know: a side or a dataset that could not answer.
    """

    mode: Mode
    results: list[SearchResult]
    notes: list[str]


def search(
    engine: Engine,
    question: str,
    datasets: Sequence[str],
    embed_query: EmbedQuery | None,
    mode: str = Mode.HYBRID,
    limit: int = 10,
    filters: Mapping[str, Sequence[Filter]] | None = None,
) -> SearchAnswer:
    """Answer a question from the indexes of `datasets`.

    A hybrid search whose model fails is answered by BM25 alone, with a note. A dataset without an index is
    left out, with a note too; a busy or unreadable index is an error: a partial answer would look whole.

    Args:
        engine: Where the collections are; each dataset's alias is its name.
        question: In French; of any length.
        datasets: Names of the datasets to search.
        embed_query: Embeds the question, or none when no model is at hand.
        mode: `hybrid`, `dense` or `sparse`.
        limit: Results at most.
        filters: Conditions by dataset.

    Raises:
        ConfigurationError: an empty question, an unknown mode, a limit below 1, no dataset.
        EmbeddingError: the model fails in dense mode.
        IndexUnavailableError: none of the datasets has an index, or one is unreadable.
        BusyError: another process keeps an index too long.
    """
    wanted = _check(question, datasets, mode, limit)
    used, vector, notes = _embed(question, embed_query, wanted)
    sparse = encode_query(question) if used is not Mode.DENSE else None
    if sparse is not None and not sparse.indices:
        notes.append("the question holds only function words or punctuation: BM25 cannot find anything")
    indexed = [dataset for dataset in datasets if engine.collection_for(dataset) is not None]
    if not indexed:
        raise IndexUnavailableError(
            f"no index yet for {', '.join(datasets)}",
            f"run `mediatech update --datasets {','.join(datasets)}`",
        )
    missing = [dataset for dataset in datasets if dataset not in indexed]
    notes += [f"{dataset} has no index yet and was not searched" for dataset in missing]
    found = _ask(engine, indexed, vector, sparse, max(SMALLEST_DEPTH, 4 * limit), filters or {})
    results = [_result(rank, hit) for rank, hit in enumerate(fuse(found, used, limit), start=1)]
    return SearchAnswer(used, results, notes)


def _check(question: str, datasets: Sequence[str], mode: str, limit: int) -> Mode:
    if not question.strip():
        raise ConfigurationError("the question is empty", "ask something, for example « congés payés »")
    if not datasets:
        raise ConfigurationError("no dataset to search", "name at least one dataset")
    if limit < 1:
        raise ConfigurationError(f"limit {limit} is below 1", "ask for at least one result")
    try:
        return Mode(mode)
    except ValueError as error:
        raise ConfigurationError(
            f"unknown search mode {mode!r}", f"choose among {', '.join(known.value for known in Mode)}"
        ) from error


def _embed(
    question: str, embed_query: EmbedQuery | None, wanted: Mode
) -> tuple[Mode, np.ndarray | None, list[str]]:
    """The mode that can be used, the question's vector, and a note when the mode had to change."""
    if wanted is Mode.SPARSE:
        return wanted, None, []
    try:
        if embed_query is None:
            raise EmbeddingError("no model is at hand to embed the question", "search with --mode sparse")
        return wanted, embed_query(question), []
    except EmbeddingError as error:
        if wanted is Mode.DENSE:
            raise
        return Mode.SPARSE, None, [f"answered by BM25 alone: {error.problem}"]


def _ask(
    engine: Engine,
    datasets: Sequence[str],
    vector: np.ndarray | None,
    sparse: SparseVector | None,
    depth: int,
    filters: Mapping[str, Sequence[Filter]],
) -> dict[str, Candidates]:
    return {
        dataset: engine.candidates(dataset, vector, sparse, depth, filters.get(dataset, ()))
        for dataset in datasets
    }


def _result(rank: int, found: FusedHit) -> SearchResult:
    payload = found.hit.payload
    return SearchResult(
        rank=rank,
        score=found.score,
        dataset=found.dataset,
        doc_id=str(payload["doc_id"]),
        chunk_id=found.hit.chunk_id,
        title=str(payload.get("title") or ""),
        text=str(payload["text"]),
        source_url=str(payload.get("source_url") or ""),
        parts=found.parts,
    )
