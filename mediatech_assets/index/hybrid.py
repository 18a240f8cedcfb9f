"""Fusion: one ranking from the hits of both sides and of several datasets.

What belongs here: pure functions on hits. What does not: asking an engine (see `search.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mediatech_assets.index.engine import Candidates, Hit

#: Constant of reciprocal rank fusion: how little the first ranks weigh more than the next. 60 is the value of
#: Cormack, Clarke and Büttcher (SIGIR 2009), and Qdrant's own.
RANK_CONSTANT = 60


class Mode(StrEnum):
    """Which sides of the index answer."""

    HYBRID = "hybrid"
    DENSE = "dense"
    SPARSE = "sparse"


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """Where a score comes from; a side that did not find the chunk has neither score nor rank.

    Args:
        dense_score: Cosine similarity.
        dense_rank: Rank among the dense hits of all datasets, from 1.
        sparse_score: BM25 score.
        sparse_rank: Rank among the sparse hits of all datasets, from 1.
    """

    dense_score: float | None = None
    dense_rank: int | None = None
    sparse_score: float | None = None
    sparse_rank: int | None = None


@dataclass(frozen=True, slots=True)
class FusedHit:
    """A chunk in the merged ranking.

    Args:
        dataset: Where it comes from.
        hit: The engine's hit, for its payload.
        score: Sum of `1 / (RANK_CONSTANT + rank)` in hybrid mode, else the score of the one side.
        parts: What the score is made of.
    """

    dataset: str
    hit: Hit
    score: float
    parts: ScoreParts


@dataclass(frozen=True, slots=True)
class _Ranked:
    rank: int
    dataset: str
    hit: Hit


def fuse(candidates: Mapping[str, Candidates], mode: Mode, limit: int) -> list[FusedHit]:
    """Merge the hits of all datasets into one ranking.

    Each side is ranked first, over all datasets together and by raw score: a dataset whose best hit is poor
    does not get a first rank of its own. Equal scores are ordered by chunk id, so that the same hits always
    give the same ranking.

    Args:
        candidates: Hits by dataset.
        mode: Which sides count.
        limit: Length of the ranking at most.
    """
    dense = _rank(candidates, lambda found: found.dense) if mode is not Mode.SPARSE else {}
    sparse = _rank(candidates, lambda found: found.sparse) if mode is not Mode.DENSE else {}
    fused = [_fused(mode, dense.get(key), sparse.get(key)) for key in dense | sparse]
    return sorted(fused, key=lambda found: (-found.score, found.hit.chunk_id, found.dataset))[:limit]


def _rank(
    candidates: Mapping[str, Candidates], side: Callable[[Candidates], Sequence[Hit]]
) -> dict[tuple[str, str], _Ranked]:
    merged = [(dataset, hit) for dataset, found in candidates.items() for hit in side(found)]
    merged.sort(key=lambda pair: (-pair[1].score, pair[1].chunk_id, pair[0]))
    return {
        (dataset, hit.chunk_id): _Ranked(rank, dataset, hit)
        for rank, (dataset, hit) in enumerate(merged, start=1)
    }


def _fused(mode: Mode, dense: _Ranked | None, sparse: _Ranked | None) -> FusedHit:
    found = dense or sparse
    if found is None:
        raise ValueError("a fused hit needs at least one side")
    ranks = [side.rank for side in (dense, sparse) if side]
    return FusedHit(
        dataset=found.dataset,
        hit=found.hit,
        score=sum(1 / (RANK_CONSTANT + rank) for rank in ranks) if mode is Mode.HYBRID else found.hit.score,
        parts=ScoreParts(
            dense_score=dense.hit.score if dense else None,
            dense_rank=dense.rank if dense else None,
            sparse_score=sparse.hit.score if sparse else None,
            sparse_rank=sparse.rank if sparse else None,
        ),
    )
