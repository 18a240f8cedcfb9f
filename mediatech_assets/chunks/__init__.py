"""Chunks: documents cut into pieces of bounded length, ready to be embedded.

What belongs here: where texts are cut, what is put before a piece, and the table. What does not: models.
"""
