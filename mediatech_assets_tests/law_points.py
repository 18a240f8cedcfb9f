"""Small points of made-up articles, for tests of engines.

What belongs here: the specification and the points that several test files share. What does not: engines.
"""

from collections.abc import Iterable

import numpy as np

from mediatech_assets.index.bm25 import encode_document
from mediatech_assets.index.engine import CollectionSpec, Engine, FieldType, Filter
from mediatech_assets.index.points import PAYLOAD_KEYS, PayloadValue, Point

SPEC = CollectionSpec(
    "BAAI/bge-m3",
    4,
    {
        "status": FieldType.KEYWORD,
        "start_date": FieldType.DATETIME,
        "end_date": FieldType.DATETIME,
        "year": FieldType.INTEGER,
    },
)

#: The direction of point 0; the others lie further from it, the higher their number (up to 314).
AHEAD = np.array([1.0, 0, 0, 0], dtype=np.float32)


def point(number: int, text: str = "congé payé", **fields: PayloadValue) -> Point:
    """The only chunk of article `number`, with `fields` in its payload."""
    angle = number / 100
    chunk_id = f"LEGIARTI{number}_0"
    values = ("legi", f"LEGIARTI{number}", chunk_id, 0, "Titre", text, "https://www.legifrance.gouv.fr")
    return Point(
        chunk_id,
        np.array([np.cos(angle), np.sin(angle), 0, 0], dtype=np.float32),
        encode_document(text),
        dict(zip(PAYLOAD_KEYS, values, strict=True)) | fields,
    )


def points(numbers: Iterable[int]) -> list[Point]:
    """Several of them, all with the same text."""
    return [point(number) for number in numbers]


def found(engine: Engine, *filters: Filter) -> set[str]:
    """Chunks that the alias `legi` gives for a question straight ahead."""
    return {hit.chunk_id for hit in engine.search_dense("legi", AHEAD, 50, filters)}
