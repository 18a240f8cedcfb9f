"""The steps from a crude search to ours, each by exact search in memory.

What belongs here: ways to cut documents into chunks, exact rankings, ways to join two rankings, and the steps made
of them. What does not: where documents, vectors and questions come from, and tables (`retrieval.py`).

Nothing is approximated and no engine is asked: two steps differ by what their names say and by nothing else.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from mediatech_assets.chunks.build import Chunking, document_chunks
from mediatech_assets.chunks.splitter import split_text
from mediatech_assets.index.bm25 import SparseVector, encode_document, term_id, terms
from mediatech_assets.index.expansion import encode_expanded
from mediatech_assets.index.question import EXPANSION_WEIGHT, official_terms
from mediatech_assets.index.ranking import DENSE_WEIGHT, Mode
from mediatech_assets.index.search import SMALLEST_DEPTH

#: Words of a window of the crude baseline.
WINDOW_WORDS = 150
#: Hits that it asks of each side.
CRUDE_DEPTH = 100
#: Its constant of reciprocal rank fusion, that of the paper (Cormack, Clarke and Büttcher, 2009).
RRF_CONSTANT = 60

#: Weights of the official words of everyday ones that are tried beside ours.
OTHER_EXPANSION_WEIGHTS = (0.5, 1.0)

#: Id of a document, and a text of it.
Passage = tuple[str, str]

#: A document: a row of the table `documents`.
Row = Mapping[str, Any]

#: Turns the scores of one side, best first, into what its hits add to the sum of both sides.
Share = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Chunks that one side found, best first.

    Args:
        chunks: Their numbers, shape `(hits,)`.
        scores: Their scores, in the same order.
    """

    chunks: np.ndarray
    scores: np.ndarray

    def first(self, depth: int) -> "Ranking":
        """The best `depth` hits."""
        return Ranking(self.chunks[:depth], self.scores[:depth])


#: What one side found for each question, by its text; deep enough for every step.
Side = Mapping[str, Ranking]


@dataclass(frozen=True, eq=False)
class Chunks:
    """The chunks of all documents of a dataset, numbered from 0.

    Args:
        passages: Their texts.
        vectors: Their vectors of length 1, shape `(chunks, dimensions)`.
    """

    passages: Sequence[Passage]
    vectors: np.ndarray

    @cached_property
    def first_of(self) -> np.ndarray:
        """For each chunk, the number of its document's first chunk."""
        first: dict[str, int] = {}
        return np.array([first.setdefault(doc_id, chunk) for chunk, (doc_id, _) in enumerate(self.passages)])

    def dense(self, vectors: Mapping[str, np.ndarray]) -> Side:
        """Chunks by cosine similarity with the vector of each question."""
        chunks = np.arange(len(self.passages))
        return {question: _best(chunks, self.vectors @ vector) for question, vector in vectors.items()}

    def sparse(self, questions: Iterable[str]) -> Side:
        """Chunks by BM25."""
        index = _TermIndex([encode_document(text) for _, text in self.passages])
        chunks = np.arange(len(self.passages))
        return {question: _found(chunks, index.scores(question_weights(question))) for question in questions}

    def sparse_documents(
        self,
        questions: Iterable[str],
        *official_weights: float,
        phrases: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Side]:
        """Documents by BM25 over all their chunks, each as its first chunk: a side for each weight.

        Args:
            questions: The questions.
            official_weights: What the official words of everyday ones weigh.
            phrases: Everyday phrases by document.
        """
        texts: dict[int, list[str]] = defaultdict(list)
        for first, (_, text) in zip(self.first_of.tolist(), self.passages, strict=True):
            texts[first].append(text)
        ids = [self.passages[first][0] for first in texts]
        index = _TermIndex(
            [
                encode_expanded("\n".join(parts), phrases.get(doc_id))
                for doc_id, parts in zip(ids, texts.values(), strict=True)
            ]
        )
        documents = np.array(list(texts))
        return [
            {
                question: _found(documents, index.scores(question_weights(question, weight)))
                for question in questions
            }
            for weight in official_weights
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A way to search: two sides and how they are joined.

    Args:
        name: What it is, for the table.
        chunks: What the sides number.
        dense: Chunks by meaning.
        sparse: By words, chunks or documents.
        share: How scores of both sides are made comparable.
        depth: Hits asked of each side.
        by_document: Whether hits become documents before the sides are joined, and not after.
        dense_weight: What the dense side weighs, the sparse one weighing 1.
    """

    name: str
    chunks: Chunks
    dense: Side
    sparse: Side
    share: Share
    depth: int = CRUDE_DEPTH
    by_document: bool = False
    dense_weight: float = 1.0

    def ask(self, question: str, mode: str) -> list[str]:
        """Ids of the documents found, best first; one comes again for each of its chunks that was found."""
        sides = ((self.dense, Mode.SPARSE, self.dense_weight), (self.sparse, Mode.DENSE, 1.0))
        totals: dict[int, float] = defaultdict(float)
        for side, weight in ((side, weight) for side, other, weight in sides if mode != other):
            hits = side[question].first(self.depth)
            if self.by_document:
                hits = self._documents(hits)
            for chunk, share in zip(hits.chunks.tolist(), self.share(hits.scores).tolist(), strict=True):
                totals[chunk] += weight * share
        ranked = sorted(totals, key=lambda chunk: (-totals[chunk], chunk))
        return [self.chunks.passages[chunk][0] for chunk in ranked]

    def _documents(self, hits: Ranking) -> Ranking:
        """The documents of hits, each as its first chunk with the score of its best one."""
        documents = self.chunks.first_of[hits.chunks]
        best = np.sort(np.unique(documents, return_index=True)[1])
        return Ranking(documents[best], hits.scores[best])


def cumulative_steps(
    windows: Chunks,
    sections: Chunks,
    packed: Chunks,
    vectors: Mapping[str, np.ndarray],
    phrases: Mapping[str, str],
) -> Iterator[Step]:
    """Every step, each with all that the numbered ones before it added; a letter marks what was tried instead.

    Args:
        windows: Chunks of `word_windows`.
        sections: Chunks of `section_chunks`.
        packed: The chunks of the platform.
        vectors: The vector of each question, by its text.
        phrases: Everyday phrases by document.
    """
    crude = reciprocal_ranks
    yield Step(
        "0  title + 150-word windows, RRF", windows, windows.dense(vectors), windows.sparse(vectors), crude
    )
    yield Step("1  a chunk a section", sections, sections.dense(vectors), sections.sparse(vectors), crude)
    dense = packed.dense(vectors)
    yield Step("2  sections packed into chunks", packed, dense, packed.sparse(vectors), crude)
    own, ours, *others = packed.sparse_documents(vectors, 0.0, EXPANSION_WEIGHT, *OTHER_EXPANSION_WEIGHTS)

    def by_document(name: str, sparse: Side, share: Share, depth: int, dense_weight: float = 1.0) -> Step:
        return Step(name, packed, dense, sparse, share, depth, by_document=True, dense_weight=dense_weight)

    yield by_document("3  BM25 over whole documents", own, crude, CRUDE_DEPTH)
    yield by_document("4  min-max fusion", own, min_max, CRUDE_DEPTH)
    yield by_document("4b DBSF instead", own, distribution_based, CRUDE_DEPTH)
    yield by_document(f"5  {SMALLEST_DEPTH} hits a side", own, min_max, SMALLEST_DEPTH)
    yield by_document(f"6  everyday words, {EXPANSION_WEIGHT}", ours, min_max, SMALLEST_DEPTH)
    for letter, weight, side in zip("bc", OTHER_EXPANSION_WEIGHTS, others, strict=True):
        yield by_document(f"6{letter} weight {weight} instead", side, min_max, SMALLEST_DEPTH)
    (expanded,) = packed.sparse_documents(vectors, EXPANSION_WEIGHT, phrases=phrases)
    yield by_document("7  phrases of documents", expanded, min_max, SMALLEST_DEPTH)
    yield by_document(f"8  dense side weighs {DENSE_WEIGHT}", expanded, min_max, SMALLEST_DEPTH, DENSE_WEIGHT)


def word_windows(document: Row, chunking: Chunking, limit: int) -> Iterator[Passage]:
    """The crude baseline: the title, then 150 words, wherever they end.

    Args:
        document: The document.
        chunking: The platform's, for the title and the tokenizer.
        limit: Tokens that the model takes; a window of long words is cut there.
    """
    title = " ".join(chunking.heading(document))
    count_tokens = chunking.counter()
    words = " ".join(section["text"] for section in document["sections"] or ()).split()
    for start in range(0, len(words), WINDOW_WORDS):
        window = f"{title}\n{' '.join(words[start : start + WINDOW_WORDS])}"
        yield document["doc_id"], split_text(window, limit, count_tokens)[0]


def section_chunks(document: Row, chunking: Chunking) -> Iterator[Passage]:
    """The platform's chunks if sections never shared one."""
    count_tokens = chunking.counter()
    for section in document["sections"] or ():
        for chunk in document_chunks({**document, "sections": [section]}, chunking, count_tokens):
            yield document["doc_id"], str(chunk["chunk_text"])


def question_weights(question: str, official_weight: float = 0.0) -> dict[int, float]:
    """Weights of a question's terms by their numbers: 1, and `official_weight` for what the lexicon adds."""
    added = dict.fromkeys(official_terms(question), official_weight)
    weights = added | dict.fromkeys(terms(question), 1.0)
    return {term_id(term): weight for term, weight in weights.items()}


def reciprocal_ranks(scores: np.ndarray) -> np.ndarray:
    """Reciprocal rank fusion."""
    return 1 / (RRF_CONSTANT + 1 + np.arange(len(scores)))


def min_max(scores: np.ndarray) -> np.ndarray:
    """0 for the lowest score, 1 for the highest."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)


def distribution_based(scores: np.ndarray) -> np.ndarray:
    """Distribution-based score fusion, as in Qdrant: 0 and 1 are three standard deviations from the mean."""
    spread = scores.std(ddof=1) if len(scores) > 1 else 0.0
    return 0.5 + (scores - scores.mean()) / (6 * spread) if spread else np.full_like(scores, 0.5)


class _TermIndex:
    """BM25 over sparse vectors: for each term, the texts that hold it and its weight in them."""

    def __init__(self, vectors: Sequence[SparseVector]) -> None:
        self._count = len(vectors)
        term_of = np.concatenate([np.array(vector.indices, dtype=np.uint32) for vector in vectors])
        order = np.argsort(term_of, kind="stable")
        self._texts = np.repeat(np.arange(self._count), [len(vector.indices) for vector in vectors])[order]
        weights = np.concatenate([np.array(vector.values, dtype=np.float32) for vector in vectors])
        self._weights = weights[order]
        known, starts = np.unique(term_of[order], return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        self._entries = {
            term: slice(start, end)
            for term, start, end in zip(known.tolist(), starts.tolist(), ends, strict=True)
        }

    def scores(self, weights: Mapping[int, float]) -> np.ndarray:
        """The score of every text, shape `(texts,)`, with the inverse document frequency that Qdrant computes."""
        scores = np.zeros(self._count, dtype=np.float32)
        for term, weight in weights.items():
            if term in self._entries:
                entries = self._entries[term]
                holding = entries.stop - entries.start
                rarity = np.log1p((self._count - holding + 0.5) / (holding + 0.5))
                scores[self._texts[entries]] += self._weights[entries] * np.float32(weight * rarity)
        return scores


def _best(chunks: np.ndarray, scores: np.ndarray) -> Ranking:
    """The ranking of scored chunks, as deep as the deepest step asks."""
    best = np.argsort(-scores, kind="stable")[:SMALLEST_DEPTH]
    return Ranking(chunks[best], scores[best])


def _found(chunks: np.ndarray, scores: np.ndarray) -> Ranking:
    """The same of those alone that hold a term of the question."""
    holding = np.flatnonzero(scores > 0)
    return _best(chunks[holding], scores[holding])
