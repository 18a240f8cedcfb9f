"""Vectors: the profiles, the models that make them, and the store that keeps each of them once.

What belongs here: everything between a text and its vector. What does not: how documents become texts
(`chunks/`) and where vectors are searched (`index/`).
"""
