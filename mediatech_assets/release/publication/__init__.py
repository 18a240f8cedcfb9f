"""Publication: what an approved release becomes at each sink, atomically where the sink allows it.

What belongs here: one module a sink, and what they share (`sink.py`). What does not: whether a release may leave
(`release/approval.py`), and credentials (they come from the settings).
"""
