"""Search: a question in, ranked documents of one or several datasets out, each with its best passage.

What belongs here: what happens between a question and its answer, and what is said when a side or a dataset
cannot answer. What does not: engines, ranking, and how a question is embedded (a function is passed in).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mediatech_assets.errors import ConfigurationError, EmbeddingError, IndexUnavailableError
from mediatech_assets.index.bm25 import SparseVector
from mediatech_assets.index.engine import Candidates, Engine, Filter, Hit, Operator, Queries
from mediatech_assets.index.question import encode_question
from mediatech_assets.index.ranking import (
    Mode,
    RankedDocument,
    ScoreParts,
    best_passages,
    first_chunks,
    rank_documents,
)

#: Hits asked of each side, at least: ranking needs to see far beyond what is shown.
SMALLEST_DEPTH = 400

#: Chunks of the found documents among which the passages are chosen, for each document.
_CHUNKS_PER_DOCUMENT = 20

#: Turns a question into a vector of shape `(dimensions,)`.
EmbedQuery = Callable[[str], np.ndarray]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One document of an answer, with the passage that answers best.

    Args:
        rank: From 1.
        score: See `ranking.RankedDocument`; comparable within one answer only.
        dataset: Where the document comes from.
        doc_id: The document.
        chunk_id: The chunk that holds the passage.
        title: Title of the document; empty when it has none.
        text: The passage: text of the chunk.
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
        results: Best first, each document once.
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
    aliases: Mapping[str, str] | None = None,
) -> SearchAnswer:
    """Answer a question from the indexes of `datasets`.

    A hybrid search whose model fails is answered by BM25 alone, with a note. A dataset without an index is
    left out, with a note too; a busy or unreadable index is an error: a partial answer would look whole.

    Args:
        engine: Where the collections are.
        question: In French; of any length.
        datasets: Names of the datasets to search.
        embed_query: Embeds the question, or none when no model is at hand.
        mode: `hybrid`, `dense` or `sparse`.
        limit: Documents at most.
        filters: Conditions by dataset.
        aliases: The alias to ask by dataset; by default a dataset's name, its active profile's collection.

    Raises:
        ConfigurationError: an empty question, an unknown mode, a limit below 1, no dataset.
        EmbeddingError: the model fails in dense mode.
        IndexUnavailableError: none of the datasets has an index, or one is unreadable.
        BusyError: another process keeps an index too long.
    """
    wanted = _check(question, datasets, mode, limit)
    used, vector, notes = _embed(question, embed_query, wanted)
    terms = encode_question(question) if used is not Mode.DENSE else None
    if terms is not None and not terms.indices:
        notes.append("the question holds only function words or punctuation: BM25 cannot find anything")
    known = {dataset: (aliases or {}).get(dataset, dataset) for dataset in datasets}
    indexed = {name: alias for name, alias in known.items() if engine.collection_for(alias) is not None}
    if not indexed:
        raise IndexUnavailableError(
            f"no index yet for {', '.join(datasets)}",
            f"run `mediatech update --datasets {','.join(datasets)}`",
        )
    notes += [f"{name} has no index yet and was not searched" for name in known if name not in indexed]
    asked = _Asked(engine, indexed, filters or {}, vector, terms)
    # All steps in one opening of each collection.
    with engine.kept_open():
        found = asked.documents(max(SMALLEST_DEPTH, 4 * limit))
        documents = rank_documents(found, used, limit)
        passages = asked.shown(first_chunks(found, documents) | best_passages(asked.passages(documents)))
    results = [
        _result(rank, document, passages[document.key])
        for rank, document in enumerate((each for each in documents if each.key in passages), start=1)
    ]
    return SearchAnswer(used, results, notes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question on its way to the engine.

    Args:
        engine: Where the collections are.
        aliases: The alias of each dataset to search.
        filters: Conditions by dataset.
        vector: The question's vector, unless the mode is sparse.
        terms: Its terms, unless the mode is dense.
    """

    engine: Engine
    aliases: Mapping[str, str]
    filters: Mapping[str, Sequence[Filter]]
    vector: np.ndarray | None
    terms: SparseVector | None

    def documents(self, depth: int) -> dict[str, Candidates]:
        """Hits that tell which documents are near."""
        queries = Queries(dense=self.vector, document=self.terms)
        # By name: two searches that open the same collections in another order would wait for each other.
        return {
            name: self.engine.candidates(alias, queries, depth, self.filters.get(name, ()), ids_only=True)
            for name, alias in sorted(self.aliases.items())
        }

    def passages(self, documents: Sequence[RankedDocument]) -> dict[str, Candidates]:
        """Hits among the chunks of chosen documents."""
        queries = Queries(dense=self.vector, sparse=self.terms)
        found: dict[str, Candidates] = {}
        for name in sorted({document.dataset for document in documents}):
            chosen = tuple(document.doc_id for document in documents if document.dataset == name)
            among = [*self.filters.get(name, ()), Filter("doc_id", Operator.IN, chosen)]
            limit = _CHUNKS_PER_DOCUMENT * len(chosen)
            found[name] = self.engine.candidates(self.aliases[name], queries, limit, among, ids_only=True)
        return found

    def shown(self, passages: Mapping[tuple[str, str], Hit]) -> dict[tuple[str, str], Hit]:
        """The same passages with whole payloads: of some hundred chunks that were compared, only these are shown.

        A passage whose point went away meanwhile is left out.
        """
        whole = {
            name: self.engine.payloads(
                self.aliases[name], [hit.chunk_id for key, hit in passages.items() if key[0] == name]
            )
            for name in sorted({dataset for dataset, _ in passages})
        }
        return {
            key: replace(hit, payload=whole[key[0]][hit.chunk_id])
            for key, hit in passages.items()
            if hit.chunk_id in whole[key[0]]
        }


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


def _result(rank: int, document: RankedDocument, passage: Hit) -> SearchResult:
    payload = passage.payload
    return SearchResult(
        rank=rank,
        score=document.score,
        dataset=document.dataset,
        doc_id=document.doc_id,
        chunk_id=passage.chunk_id,
        title=str(payload.get("title") or ""),
        text=str(payload["text"]),
        source_url=str(payload.get("source_url") or ""),
        parts=document.parts,
    )
