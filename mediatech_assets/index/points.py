"""Points: what one chunk is inside an engine.

What belongs here: the record handed to an engine and the rule that numbers it. What does not: how an engine
stores it.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mediatech_assets.index.bm25 import SparseVector

#: Values that a payload can hold.
PayloadValue = str | int | float | bool | list[str] | None

#: Keys that the payload of every point has, whatever the dataset; filter fields come on top.
PAYLOAD_KEYS = ("dataset", "doc_id", "chunk_id", "chunk_index", "title", "text", "source_url")


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One chunk as it is searched.

    Args:
        chunk_id: Identifier of the chunk, unique in its collection.
        dense: The chunk's vector, shape `(dimensions,)`, finite.
        sparse: The chunk's BM25 weights; may be empty.
        payload: `PAYLOAD_KEYS` and the filter fields of the dataset, dates as ISO text.
    """

    chunk_id: str
    dense: np.ndarray
    sparse: SparseVector
    payload: Mapping[str, PayloadValue]


def point_id(chunk_id: str) -> uuid.UUID:
    """The number of a chunk's point: version 5 UUID of `chunk_id` in the DNS namespace of RFC 9562.

    It depends on nothing else, so that loading a chunk again replaces its point, in any engine and any year.
    """
    return uuid.uuid5(uuid.NAMESPACE_DNS, chunk_id)
