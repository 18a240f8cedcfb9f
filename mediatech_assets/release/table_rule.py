"""How a dataset says which table of a release a document belongs to.

What belongs here: the two records, without anything heavy, because modules of `datasets/` fill them in. What does
not: naming folders (`tables.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mediatech_assets.documents.model import MetadataValue


@dataclass(frozen=True, slots=True)
class ReleaseTable:
    """The table that a document belongs to.

    Args:
        identity: What the table is: the same for all its documents, whatever they call it.
        name: The name that this document gives it: lower-case letters, digits and `_`.
    """

    identity: str
    name: str


@dataclass(frozen=True, slots=True)
class TableRule:
    """How the documents of a dataset are divided into tables.

    Args:
        table: Table of a document, from the metadata columns named next.
        columns: Metadata columns that `table` reads.
        newest: Metadata column that is greatest where a table has its newest name.
    """

    table: Callable[[Mapping[str, MetadataValue]], ReleaseTable]
    columns: tuple[str, ...]
    newest: str
