"""A release described in Croissant, the vocabulary by which machine-learning tools load a dataset.

What belongs here: `croissant.json`. What does not: the facts (`facts.py`), and the catalogue's description
(`dcat.py`). Paths are relative to the description, so that it is true of a copy as well.
"""

import json
from collections.abc import Sequence
from typing import Any

from mediatech_assets.release.export import ExportedFile
from mediatech_assets.release.facts import LICENCE_PAGE, ReleaseFacts
from mediatech_assets.release.stored import REMOVED

_PARQUET = "application/x-parquet"
_DATA = "data-files"
_TYPES = {
    "string": "sc:Text",
    "int64": "sc:Integer",
    "double": "sc:Float",
    "bool": "sc:Boolean",
    "list<string>": "sc:Text",
    "list<float>": "sc:Float",
}

#: The context that the specification 1.0 gives.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            "citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes",
            "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
            "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}  # fmt: skip


def croissant(facts: ReleaseFacts, files: Sequence[ExportedFile]) -> str:
    """The description as JSON-LD.

    Args:
        facts: What the release says of itself.
        files: Its Parquet files.
    """
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": facts.published_name,
        "alternateName": facts.title,
        "description": facts.description,
        "inLanguage": "fr",
        "license": LICENCE_PAGE,
        "url": facts.homepage,
        "isBasedOn": facts.homepage,
        "creator": {"@type": "sc:Organization", "name": facts.producer},
        "isLiveDataset": True,
        "citeAs": f"{facts.producer}, {facts.title}, {facts.source_updated_at}, {facts.homepage}",
        "distribution": [*map(_file_object, files), _file_set(facts)],
        "recordSet": [*_rows(facts, files), _removed()],
    }
    if facts.source_updated_at:
        # Of the source: a file that held the time of its making would differ each time.
        described["datePublished"] = described["dateModified"] = facts.source_updated_at
        described["version"] = ".".join(str(int(part)) for part in facts.source_updated_at.split("-"))
    return json.dumps(described, ensure_ascii=False, indent=2) + "\n"


def _file_object(file: ExportedFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": file.sha256,
    }


def _file_set(facts: ReleaseFacts) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _DATA,
        "name": _DATA,
        "description": "All rows.",
        "encodingFormat": _PARQUET,
        "includes": facts.pattern,
    }


def _rows(facts: ReleaseFacts, files: Sequence[ExportedFile]) -> list[dict[str, Any]]:
    """The rows as records; none where there is no file to read them from."""
    if not any(file.path != REMOVED for file in files):
        return []
    return [
        {
            "@type": "cr:RecordSet",
            "@id": "rows",
            "name": "rows",
            "description": f"{facts.rows} chunks of {facts.documents} documents, with text, metadata and vectors.",
            "key": {"@id": "rows/chunk_id"},
            "field": [
                _field("rows", name, text, facts.types[name], {"fileSet": {"@id": _DATA}})
                for name, text in facts.columns.items()
            ],
        }
    ]


def _removed() -> dict[str, Any]:
    source = {"fileObject": {"@id": REMOVED}}
    return {
        "@type": "cr:RecordSet",
        "@id": "removed",
        "name": "removed",
        "description": "Documents that vanished from the source.",
        "key": {"@id": "removed/doc_id"},
        "field": [
            _field("removed", "doc_id", "Identifier of the document.", "string", source),
            _field("removed", "removed_on", "Day on which the source removed it, ISO.", "string", source),
        ],
    }


def _field(records: str, name: str, text: str, kind: str, source: dict[str, Any]) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": name,
        "description": text,
        "dataType": _TYPES[kind],
        "source": {**source, "extract": {"column": name}},
    }
    if kind.startswith("list"):
        field["repeated"] = True
    return field
