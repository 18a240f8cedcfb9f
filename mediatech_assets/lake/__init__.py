"""The lake: DuckLake catalogs, transactions, snapshots and locks between processes.

What belongs here: opening catalogs, making their tables, writing them atomically, and the locks that keep
processes apart. What does not: the content of any table (see `schemas.py` and the stage packages).
"""

from mediatech_assets.lake.connection import Lake, literal, quoted
from mediatech_assets.lake.locks import exclusive
from mediatech_assets.lake.statements import insert_row, number, utc_now

__all__ = ["Lake", "exclusive", "insert_row", "literal", "number", "quoted", "utc_now"]
