"""The vector store: one append-only table a profile, keyed by the text's hash.

What belongs here: which texts still need a vector, and adding vectors. What does not: computing them
(`work.py`), and what a text is used for. A text that two datasets share is embedded once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from mediatech_assets.embeddings.batches import EmbeddedBatch
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.lake import Lake, number, quoted, utc_now
from mediatech_assets.progress import track
from mediatech_assets.schemas import VECTORS

#: The catalog that all datasets share.
CATALOG = "embeddings"

#: Vectors in one commit: little is lost when a run is killed, and few small files are made.
_VECTORS_PER_COMMIT = 1_024
_TEXTS_PER_READ = 4_096

#: Embeds keyed texts, in batches.
EmbedTexts = Callable[[Iterable[tuple[str, str]]], Iterator[EmbeddedBatch[str]]]


@dataclass(frozen=True, slots=True)
class VectorStore:
    """The vectors of one profile.

    Args:
        lake: The lake.
        profile: The profile.
    """

    lake: Lake
    profile: Profile

    @property
    def table(self) -> str:
        """The table's name in SQL."""
        return f"{quoted(CATALOG)}.{quoted(self.profile.store)}"

    def open(self) -> None:
        """Opens the catalog and makes the profile's table when it is missing."""
        self.lake.open(CATALOG, {self.profile.store: VECTORS})

    def fill(self, dataset: str, chunking_id: str, embed: EmbedTexts) -> int:
        """Embeds the texts of a dataset's chunks that have no vector yet, committing often.

        Args:
            dataset: Name of the dataset.
            chunking_id: Its chunking.
            embed: Embeds keyed texts.

        Returns:
            Number of vectors computed.
        """
        with self.lake.cursor() as cursor:
            waiting = self._find_work(cursor, dataset, chunking_id)
            if not waiting:
                return 0
            keys: list[str] = []
            vectors: list[np.ndarray] = []
            with track(f"{dataset}: embedding with {self.profile.name}", waiting, "texts") as advance:
                for batch in embed(_waiting_texts(cursor, waiting)):
                    keys += batch.keys
                    vectors.append(batch.vectors)
                    advance(len(batch.keys) + len(batch.refused))
                    if len(keys) >= _VECTORS_PER_COMMIT:
                        self.add(keys, np.concatenate(vectors))
                        keys, vectors = [], []
            if keys:
                self.add(keys, np.concatenate(vectors))
        return waiting

    def add(self, keys: Sequence[str], vectors: np.ndarray) -> None:
        """Adds vectors in one commit; keys that another process added meanwhile are passed over.

        Args:
            keys: Keys of the texts.
            vectors: float32, shape `(len(keys), dimensions)`.
        """
        rows = pa.table({"text_key": pa.array(keys, pa.string()), "vector": vector_column(vectors)})
        with self.lake.transaction(CATALOG) as cursor:
            cursor.register("incoming", rows)
            cursor.execute(
                f"""
                INSERT INTO {self.table} (text_key, vector, created_at)
                SELECT text_key, vector, ? FROM incoming ANTI JOIN {self.table} USING (text_key)
                """,
                [utc_now()],
            )
            cursor.unregister("incoming")

    def count(self, dataset: str, chunking_id: str) -> int:
        """Different texts of a dataset's chunks that have a vector."""
        return number(
            self.lake.cursor(),
            f"""
            SELECT count(DISTINCT text_key) FROM {quoted(dataset)}.chunks
            SEMI JOIN {self.table} USING (text_key) WHERE chunking_id = ?
            """,
            [chunking_id],
        )

    def _find_work(self, cursor: duckdb.DuckDBPyConnection, dataset: str, chunking_id: str) -> int:
        """Copies the texts without vector into `waiting`, numbered by length, and counts them."""
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE waiting AS
            SELECT text_key, chunk_text, row_number() OVER (ORDER BY length(chunk_text) DESC, text_key) AS place
            FROM (
              SELECT text_key, any_value(chunk_text) AS chunk_text FROM {quoted(dataset)}.chunks
              WHERE chunking_id = ? AND text_key NOT IN (SELECT text_key FROM {self.table})
              GROUP BY text_key
            )
            """,
            [chunking_id],
        )
        return number(cursor, "SELECT count(*) FROM waiting")


def vector_column(vectors: np.ndarray) -> pa.Array:
    """Rows of a matrix as an Arrow list column, without a copy for each number."""
    count, dimensions = vectors.shape
    offsets = np.arange(0, (count + 1) * dimensions, dimensions, dtype=np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(vectors.astype(np.float32, copy=False).ravel())
    )


def _waiting_texts(cursor: duckdb.DuckDBPyConnection, waiting: int) -> Iterator[tuple[str, str]]:
    for first in range(1, waiting + 1, _TEXTS_PER_READ):
        yield from cursor.execute(
            "SELECT text_key, chunk_text FROM waiting WHERE place BETWEEN ? AND ? ORDER BY place",
            [first, first + _TEXTS_PER_READ - 1],
        ).fetchall()
