"""Datasets: one module each, facts and a parser.

What belongs here: what is particular to one dataset. What does not: how files are fetched, stored or indexed.
"""
