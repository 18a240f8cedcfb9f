"""The index stage: chunks and vectors in Qdrant, and the questions asked of it.

What belongs here: French BM25, points, the engines behind one interface, fusion of results. What does not:
where chunks and vectors are stored, and which of them changed (the lake and the asset decide that).
"""
