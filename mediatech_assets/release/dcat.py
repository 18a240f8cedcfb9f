"""A release described in DCAT-AP, the vocabulary of European data catalogues.

What belongs here: `dcat.jsonld`. What does not: the facts (`facts.py`), and loading rows (`croissant.py`). Addresses
are relative to the description: it does not know where it will be published, and no base address may be written here.
"""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from mediatech_assets.release.export import ExportedFile
from mediatech_assets.release.facts import LICENCE_PAGE, ReleaseFacts

_EU = "http://publications.europa.eu/resource/authority"
#: Most days between two changes, by name in the EU's list of frequencies.
_FREQUENCIES = ((1, "DAILY"), (7, "WEEKLY"), (31, "MONTHLY"), (92, "QUARTERLY"), (366, "ANNUAL"))
_MEDIA_TYPES = {
    ".parquet": ("application/vnd.apache.parquet", "PARQUET"),
    ".json": ("application/ld+json", "JSON_LD"),
    ".md": ("text/markdown", "TXT"),
}

_CONTEXT: dict[str, Any] = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def dcat(facts: ReleaseFacts, files: Sequence[ExportedFile]) -> str:
    """The description as JSON-LD.

    Args:
        facts: What the release says of itself.
        files: The files to describe.
    """
    described: dict[str, Any] = {
        "@context": _CONTEXT,
        "@id": "",
        "@type": "dcat:Dataset",
        "dct:identifier": facts.published_name,
        "dct:title": _text(facts.title, "fr"),
        "dct:description": [_text(facts.description, "en"), _text(_description(facts), "fr")],
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": facts.producer},
        "dct:source": {"@id": facts.homepage},
        "dcat:landingPage": {"@id": facts.homepage},
        "dct:license": {"@id": LICENCE_PAGE},
        "dct:language": {"@id": f"{_EU}/language/FRA"},
        "dct:accessRights": {"@id": f"{_EU}/access-right/PUBLIC"},
        "dct:spatial": {"@id": f"{_EU}/country/FRA"},
        "dct:accrualPeriodicity": {"@id": f"{_EU}/frequency/{_frequency(facts.cadence_days)}"},
        "dcat:theme": {"@id": f"{_EU}/data-theme/GOVE"},
        "dcat:keyword": [
            _text(word, "fr") for word in ("administration", "recherche sémantique", "vecteurs")
        ],
        "dcat:distribution": [_distribution(file) for file in files],
    }
    if facts.source_updated_at:
        day = {"@value": facts.source_updated_at, "@type": "xsd:date"}
        described["dct:modified"] = day
        described["dct:temporal"] = {"@type": "dct:PeriodOfTime", "dcat:endDate": day}
    return json.dumps(described, ensure_ascii=False, indent=2) + "\n"


def _distribution(file: ExportedFile) -> dict[str, Any]:
    media_type, kind = _MEDIA_TYPES[PurePosixPath(file.path).suffix]
    address = {"@id": file.path}
    return {
        "@id": f"#{file.path}",
        "@type": "dcat:Distribution",
        "dct:title": file.path,
        "dcat:accessURL": address,
        "dcat:downloadURL": address,
        "dcat:mediaType": {"@id": f"https://www.iana.org/assignments/media-types/{media_type}"},
        "dct:format": {"@id": f"{_EU}/file-type/{kind}"},
        "dct:license": {"@id": LICENCE_PAGE},
        "dcat:byteSize": {"@value": str(file.bytes), "@type": "xsd:nonNegativeInteger"},
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": {"@value": file.sha256, "@type": "xsd:hexBinary"},
        },
    }


def _description(facts: ReleaseFacts) -> str:
    return (
        f"{facts.title} : {facts.rows} extraits de {facts.documents} documents, avec leurs métadonnées et leurs "
        f"vecteurs calculés par {facts.model}."
    )


def _frequency(days: int) -> str:
    return next((name for most, name in _FREQUENCIES if 0 < days <= most), "IRREG" if days else "UNKNOWN")


def _text(value: str, language: str) -> dict[str, str]:
    return {"@value": value, "@language": language}
