"""Points: what one chunk is inside an engine.

What belongs here: the record handed to an engine and the rule that numbers it. What does not: how an engine
stores it.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mediatech_assets.index.bm25 import SparseVector

#: Values that a payload can hold.
PayloadValue = str | int | float | bool | list[str] | None

#: Keys that the payload of every point has, whatever the dataset; filter fields come on top.
PAYLOAD_KEYS = ("dataset", "doc_id", "chunk_id", "chunk_index", "title", "text", "source_url")

#: Which of them say what a point is. They never change: a chunk's id is the point's, and names its document.
IDENTITY = ("chunk_id", "doc_id")

_NAMESPACE_HASH = hashlib.sha1(uuid.NAMESPACE_DNS.bytes, usedforsecurity=False)
#: All bits of a number but bytes 6 to 8.
_HASHED_BITS = ~(0xFFFFFF << 56)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One chunk as it is searched.

    Args:
        chunk_id: Identifier of the chunk, unique in its collection.
        dense: The chunk's vector, shape `(dimensions,)`, finite.
        sparse: The chunk's BM25 weights; may be empty.
        payload: `PAYLOAD_KEYS` and the filter fields of the dataset, dates as ISO text.
        document: BM25 weights of the whole document, on one point of each document only.
    """

    chunk_id: str
    dense: np.ndarray
    sparse: SparseVector
    payload: Mapping[str, PayloadValue]
    document: SparseVector | None = None


def point_id(chunk_id: str) -> uuid.UUID:
    """The number of a chunk's point: version 5 UUID of `chunk_id` in the DNS namespace of RFC 9562.

    It depends on nothing else, so that loading a chunk again replaces its point, in any engine and any year.
    """
    return uuid.uuid5(uuid.NAMESPACE_DNS, chunk_id)


def chunk_of(number: uuid.UUID | str | int, payload: Mapping[str, Any] | None) -> str | None:
    """The chunk of a stored point, or none when someone else made the point.

    Searches ask it of some hundred hits, so the number is compared without being made: as in `point_id`, all but
    bytes 6 to 8, which hold version and variant, are those of the hash. As whole numbers, from a copy of the hash
    that has read the namespace, that takes two thirds of what comparing bytes takes.

    Args:
        number: The point's number, in whatever type an engine gives it.
        payload: At least its `chunk_id`.
    """
    chunk_id = payload.get("chunk_id") if payload else None
    if not isinstance(chunk_id, str) or isinstance(number, int):
        return None
    given = (number if isinstance(number, uuid.UUID) else uuid.UUID(number)).int
    own = _NAMESPACE_HASH.copy()
    own.update(chunk_id.encode())
    return None if (given ^ int.from_bytes(own.digest()[:16])) & _HASHED_BITS else chunk_id
