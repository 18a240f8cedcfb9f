"""The landing zone: upstream files as published, verified, immutable, each with a row in `raw_files`.

What belongs here: deciding what to fetch, verifying and keeping it, reading archives safely. What does not:
talking to hosts (`sources/`) and understanding documents (`documents/`, `datasets/`).
"""
