"""Figures of retrieval, from the ranked documents of a question and the set of its right ones.

What belongs here: definitions, as pure functions, means over questions, and how sure a difference is. What
does not: questions and searches (see `run.py`).

Definitions, for `k` = 1, 5 and 10:

- **recall@k** is the share of questions with at least one right document among the first `k`. For a question
  with one right document it is recall in the strict sense; for others it is what a reader notices, and what
  is often called hit rate or success@k.
- **found@10** is recall in the strict sense: the share of a question's right documents among the first 10.
- **MRR** is the mean over questions of `1 / rank` of the first right document, 0 when it is not in the first 10.
- **nDCG@10** is the discounted gain `sum(1 / log2(rank + 1))` of the right documents among the first 10,
  divided by that of a ranking that begins with all right documents.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

#: Ranks that count.
DEPTH = 10

#: Figures of `Scores`, in the order in which they are shown.
METRICS = ("recall_1", "recall_5", "recall_10", "mrr", "ndcg_10", "found_10")

_RESAMPLES = 10_000
_DRAWS_AT_ONCE = 500_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over questions of the figures defined in this module, each from 0 to 1.

    Args:
        questions: Number of questions.
        recall_1: Share of questions with a right document in the first place.
        recall_5: The same in the first 5.
        recall_10: The same in the first 10.
        mrr: Mean reciprocal rank of the first right document.
        ndcg_10: Mean normalised discounted gain.
        found_10: Mean share of the right documents among the first 10.
    """

    questions: int
    recall_1: float
    recall_5: float
    recall_10: float
    mrr: float
    ndcg_10: float
    found_10: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one system is than another, over the same questions.

    Args:
        mean: Mean of the differences; above 0 when the first system is better.
        low: Lower end of the 95 % confidence interval of that mean.
        high: Its upper end.
    """

    mean: float
    low: float
    high: float


def first_right_rank(ranked: Sequence[str], relevant: Collection[str]) -> int | None:
    """Rank, from 1, of the first right document; none when there is none."""
    return next((rank for rank, doc_id in enumerate(ranked, start=1) if doc_id in relevant), None)


def hit(rank: int | None, k: int) -> float:
    """1 when the first right document stands among the first `k`, else 0: the mean is recall@k."""
    return float(rank is not None and rank <= k)


def reciprocal_rank(rank: int | None) -> float:
    """`1 / rank` of the first right document, 0 beyond `DEPTH`: the mean is MRR."""
    return 1 / rank if rank is not None and rank <= DEPTH else 0.0


def found_share(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Share of the right documents that stand among the first `k`: recall in the strict sense."""
    return len(set(ranked[:k]) & set(relevant)) / len(relevant)


def ndcg(ranked: Sequence[str], relevant: Collection[str]) -> float:
    """Discounted gain within `DEPTH` as a share of the best possible one."""
    gain = math.fsum(
        _gain_at(rank) for rank, doc_id in enumerate(ranked[:DEPTH], start=1) if doc_id in relevant
    )
    return gain / math.fsum(_gain_at(rank) for rank in range(1, min(len(relevant), DEPTH) + 1))


def score(ranked: Sequence[str], relevant: Collection[str]) -> Scores:
    """The figures of one question.

    Args:
        ranked: Ids of documents, best first, each once.
        relevant: Ids of the right documents, at least one.

    Raises:
        ValueError: no right document, or a document that is ranked twice.
    """
    if not relevant:
        raise ValueError("a question without a right document cannot be judged")
    if len(set(ranked)) != len(ranked):
        raise ValueError("a document is ranked twice")
    rank = first_right_rank(ranked, relevant)
    return Scores(
        questions=1,
        recall_1=hit(rank, 1),
        recall_5=hit(rank, 5),
        recall_10=hit(rank, 10),
        mrr=reciprocal_rank(rank),
        ndcg_10=ndcg(ranked, relevant),
        found_10=found_share(ranked, relevant, 10),
    )


def mean(scores: Iterable[Scores]) -> Scores:
    """The mean of several figures, each weighing as much as it has questions.

    Raises:
        ValueError: there is no question: no figure is not the figure 0.
    """
    all_scores = list(scores)
    questions = sum(each.questions for each in all_scores)
    if not questions:
        raise ValueError("no question, no mean")
    means = {
        metric: math.fsum(getattr(each, metric) * each.questions for each in all_scores) / questions
        for metric in METRICS
    }
    return Scores(questions=questions, **means)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """The difference of two systems' results over the same questions, with its 95 % confidence interval.

    The interval is that of the paired bootstrap: the questions are drawn again with replacement many times,
    and the ends are the percentiles of the mean difference. The same input always gives the same interval.

    Args:
        first: Results of one system, a number for each question.
        second: Results of the other, in the same order of questions.

    Raises:
        ValueError: no question, or not the same number of results.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} results cannot be paired")
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    means = np.concatenate(list(_resampled_means(differences)))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Difference(float(differences.mean()), float(low), float(high))


def _resampled_means(values: np.ndarray) -> Iterator[np.ndarray]:
    """Means of `_RESAMPLES` resamples of `values`, some at a time: memory does not grow with their number."""
    draw = np.random.default_rng(seed=0)
    count = len(values)
    at_once = max(1, _DRAWS_AT_ONCE // count)
    for first in range(0, _RESAMPLES, at_once):
        resamples = min(at_once, _RESAMPLES - first)
        yield values[draw.integers(count, size=(resamples, count))].mean(axis=1)


def _gain_at(rank: int) -> float:
    return 1 / math.log2(rank + 1)
