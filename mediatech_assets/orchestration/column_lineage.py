"""Column lineage: which columns of which layer a column is made of.

What belongs here: the origin of each column of documents, chunks, vectors and releases. What does not: what the columns
are (`schemas.py`) and how they are computed (the stages).

The bytes of a raw file are no column: what a parser reads has the manifest's `file` as its only origin.
"""

from collections.abc import Callable, Iterable, Mapping

import dagster as dg

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.release.export import CHUNK_COLUMNS, PROVENANCE

#: A column's origins: layer and column.
_Origins = tuple[tuple[Layer, str], ...]

_FILE: _Origins = ((Layer.RAW, "file"),)
_SECTIONS: _Origins = ((Layer.DOCUMENTS, "sections"),)

#: Columns of documents that no file holds: the lake's own knowledge.
_OWN = frozenset({"parser_version", "first_seen", "changed_at"})
#: Columns of chunks in which headings stand before the text.
_WITH_HEADINGS = frozenset({"chunk_text", "chunk_xxh64", "text_key", "tokens"})


def column_lineage(dataset: Dataset, layer: Layer, columns: Iterable[str]) -> dg.TableColumnLineage:
    """The origin of each column of a layer of a dataset; a column without one is not named.

    Args:
        dataset: The dataset.
        layer: The layer.
        columns: The layer's columns.
    """
    found = {name: _origins(dataset, layer, name) for name in columns}
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(asset_key=dg.AssetKey(asset_key(dataset.name, origin)), column_name=column)
                for origin, column in origins
            ]
            for name, origins in found.items()
            if origins
        }
    )


def _origins(dataset: Dataset, layer: Layer, name: str) -> _Origins:
    match layer:
        case Layer.DOCUMENTS:
            return () if name in _OWN else _FILE
        case Layer.CHUNKS:
            return _of_a_chunk(dataset, name)
        case Layer.EMBEDDINGS:
            of_a_vector = {"text_key": "text_key", "vector": "chunk_text"}
            return ((Layer.CHUNKS, of_a_vector[name]),) if name in of_a_vector else ()
        case Layer.RELEASE:
            return _published(dataset, name)
        case _:
            return ()


def _of_a_chunk(dataset: Dataset, name: str) -> _Origins:
    if name == "chunking_id":
        return ()
    if name == "doc_id":
        return ((Layer.DOCUMENTS, "doc_id"),)
    if name == "chunk_id":
        return ((Layer.DOCUMENTS, "doc_id"), *_SECTIONS)
    if name in _WITH_HEADINGS:
        return (*_SECTIONS, *_of_documents(_columns_read(dataset.heading, dataset.metadata_schema.names)))
    if name == "row_hash":
        return (*_SECTIONS, *_of_documents(dataset.metadata_schema.names), *_of_documents(PROVENANCE))
    return _SECTIONS


def _published(dataset: Dataset, name: str) -> _Origins:
    if name in CHUNK_COLUMNS:
        return ((Layer.CHUNKS, name),)
    if name in dataset.section_columns.names:
        return ((Layer.CHUNKS, "attributes"),)
    if name in (*dataset.metadata_schema.names, *PROVENANCE):
        return ((Layer.DOCUMENTS, name),)
    return ((Layer.EMBEDDINGS, "vector"),)


def _of_documents(names: Iterable[str]) -> _Origins:
    return tuple((Layer.DOCUMENTS, name) for name in names)


def _columns_read(heading: Callable[[Mapping[str, str]], list[str]], names: Iterable[str]) -> list[str]:
    """The metadata columns that a dataset's heading looks at, whether they are empty or not."""
    read: dict[str, None] = {}

    class Recorded(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            read[name] = None
            return super().__getitem__(name)

    names = list(names)
    for row in ({name: name for name in names}, dict.fromkeys(names, "")):
        heading(Recorded(row))
    return list(read)
