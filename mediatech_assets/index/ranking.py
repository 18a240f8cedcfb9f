"""Ranking: documents from the hits of both sides and of several datasets, and the passage that shows each of them.

What belongs here: pure functions on hits. What does not: asking an engine (see `search.py`).

A question is answered by a document, so documents are ranked: by their nearest chunk on the dense side, by BM25 over
their whole text on the sparse side (the words of a question are seldom all in one chunk). What was measured is in
docs/retrieval.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from mediatech_assets.index.engine import Candidates, Hit

#: Changes whenever the same collection gives another ranking: the treatment of questions, fusion, depths.
RANKING_VERSION = "2"

#: What the dense side weighs in hybrid mode, the sparse side weighing 1: documents with phrases are found by words more
#: surely than by vectors (docs/retrieval.md).
DENSE_WEIGHT = 0.5


class Mode(StrEnum):
    """Which sides of the index answer."""

    HYBRID = "hybrid"
    DENSE = "dense"
    SPARSE = "sparse"


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """Where a score comes from; a side that did not find the document has neither score nor rank.

    Args:
        dense_score: Cosine similarity of the nearest chunk.
        dense_rank: Rank among the documents that the dense side found in all datasets, from 1.
        sparse_score: BM25 score of the whole document.
        sparse_rank: Rank among the documents that the sparse side found in all datasets, from 1.
    """

    dense_score: float | None = None
    dense_rank: int | None = None
    sparse_score: float | None = None
    sparse_rank: int | None = None


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document in the merged ranking.

    Args:
        dataset: Where it comes from.
        doc_id: Its id.
        score: Hybrid: the weighed sum of both sides' scores, each brought to the range from 0 to 1; else the one
            side's own.
        parts: What the score is made of.
    """

    dataset: str
    doc_id: str
    score: float
    parts: ScoreParts

    @property
    def key(self) -> tuple[str, str]:
        """Dataset and id."""
        return self.dataset, self.doc_id


@dataclass(frozen=True, slots=True)
class _Found:
    """A document as one side found it: its rank, its score, and that score's place between worst and best."""

    rank: int
    score: float
    share: float


def rank_documents(candidates: Mapping[str, Candidates], mode: Mode, limit: int) -> list[RankedDocument]:
    """Merge the hits of all datasets into one ranking of documents.

    Each side is ranked first, over all datasets together and by raw score: a dataset whose best hit is poor does not
    get a first rank of its own. Equal scores are ordered by id, so that the same hits always give the same ranking.

    Args:
        candidates: Hits by dataset: `dense` are chunks, `document` are documents.
        mode: Which sides count.
        limit: Length of the ranking at most.
    """
    dense = _side((name, hit) for name, found in candidates.items() for hit in found.dense)
    sparse = _side((name, hit) for name, found in candidates.items() for hit in found.document)
    if mode is Mode.SPARSE:
        dense = {}
    if mode is Mode.DENSE:
        sparse = {}
    scores = {key: _score(mode, dense.get(key), sparse.get(key)) for key in dense | sparse}
    # Of some 700 documents ten are shown: only those become records.
    best = nsmallest(limit, scores, key=lambda key: (-scores[key], key[1], key[0]))
    return [_ranked(key, scores[key], dense.get(key), sparse.get(key)) for key in best]


def first_chunks(
    candidates: Mapping[str, Candidates], documents: Iterable[RankedDocument]
) -> dict[tuple[str, str], Hit]:
    """The chunk that stands for each ranked document that the sparse side found.

    It is shown when no passage of the document has a word of the question: its phrases alone did (`expansion.py`).

    Args:
        candidates: Hits by dataset: `document` are documents.
        documents: The ranking.
    """
    ranked = {document.key for document in documents}
    standing = {
        (name, str(hit.payload["doc_id"])): hit
        for name, found in candidates.items()
        for hit in found.document
    }
    return {key: hit for key, hit in standing.items() if key in ranked}


def best_passages(candidates: Mapping[str, Candidates]) -> dict[tuple[str, str], Hit]:
    """The chunk of each document that answers best, from hits on the chunks of chosen documents.

    Args:
        candidates: Hits by dataset: `dense` and `sparse` are chunks.

    Returns:
        One hit for each document that has any, by dataset and document.
    """
    best: dict[tuple[str, str], tuple[float, str, Hit]] = {}
    for name, found in candidates.items():
        scores: dict[str, float] = {}
        hits: dict[str, Hit] = {}
        for side in (found.dense, found.sparse):
            shares = _shares([hit.score for hit in side])
            for hit, share in zip(side, shares, strict=True):
                scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + share
                hits[hit.chunk_id] = hit
        for chunk_id, score in scores.items():
            key = (name, str(hits[chunk_id].payload["doc_id"]))
            candidate = (-score, chunk_id, hits[chunk_id])
            if key not in best or candidate[:2] < best[key][:2]:
                best[key] = candidate
    return {key: hit for key, (_, _, hit) in best.items()}


def _side(hits: Iterable[tuple[str, Hit]]) -> dict[tuple[str, str], _Found]:
    """Documents of one side with rank and score; of the hits of one document the best counts."""
    scores: dict[tuple[str, str], float] = {}
    for dataset, hit in hits:
        key = (dataset, str(hit.payload["doc_id"]))
        scores[key] = max(hit.score, scores.get(key, hit.score))
    ordered = sorted(scores, key=lambda key: (-scores[key], key[1], key[0]))
    shares = _shares([scores[key] for key in ordered])
    return {
        key: _Found(rank, scores[key], share)
        for rank, (key, share) in enumerate(zip(ordered, shares, strict=True), start=1)
    }


def _shares(scores: Sequence[float]) -> list[float]:
    """Scores between 0 for the lowest and 1 for the highest; 1 for all when they are equal."""
    if not scores:
        return []
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def _score(mode: Mode, dense: _Found | None, sparse: _Found | None) -> float:
    """What a document that at least one side found is ranked by."""
    if mode is Mode.HYBRID:
        return DENSE_WEIGHT * (dense.share if dense else 0.0) + (sparse.share if sparse else 0.0)
    found = dense or sparse
    if found is None:
        raise ValueError("a ranked document needs at least one side")
    return found.score


def _ranked(
    key: tuple[str, str], score: float, dense: _Found | None, sparse: _Found | None
) -> RankedDocument:
    return RankedDocument(
        dataset=key[0],
        doc_id=key[1],
        score=score,
        parts=ScoreParts(
            dense_score=dense.score if dense else None,
            dense_rank=dense.rank if dense else None,
            sparse_score=sparse.score if sparse else None,
            sparse_rank=sparse.rank if sparse else None,
        ),
    )
