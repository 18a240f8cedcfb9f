"""Retrieval evaluation: does a search find the right document?

What belongs here: questions with their right documents, the figures computed from rankings, the history of
these figures, the rule that judges them, and how they are shown. What does not: searching (a function is
passed in), and where an evaluation stands in the flow.
"""
