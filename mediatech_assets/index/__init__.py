"""The index stage: chunks and vectors in Qdrant, and the questions asked of it.

What belongs here: French BM25, points, the engines behind one interface, ranking of results. What does not:
where chunks and vectors are stored, and which of them changed (the lake and the asset decide that).

`search` is the function that other programs call; its signature is a contract (docs/retrieval.md).
"""

from mediatech_assets.index.search import search

__all__ = ["search"]
