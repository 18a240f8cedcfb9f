"""CNIL: deliberations and decisions of the French data protection authority.

What belongs here: the facts of the fund and its fields. What does not: what all funds of the DILA share (see
`documents/dila.py`), how archives are fetched and applied, and content markup.

Oddities of the fund that this module answers:

* two documents of three have no text (the registers of authorised transfers): they are documents all the same,
  with metadata and no section;
* BLOC_TEXTUEL stands directly under the root;
* NOR, NUMERO and NATURE_DELIB may be empty; a date of publication 2999-01-01 means that there is none, and is kept
  as published.
"""

import textwrap
from collections.abc import Mapping
from datetime import timedelta

import lxml.etree as etree
import pyarrow as pa

from mediatech_assets.datasets.base import Dataset, DilaFund
from mediatech_assets.documents.dila import (
    is_document_path,
    links_json,
    parse_document,
    sections_at,
    text_at,
)
from mediatech_assets.documents.model import Document, Member, MetadataValue, Outcome
from mediatech_assets.schemas import column

_ID_PREFIX = "CNILTEXT"
_FIELDS = "META/META_SPEC/META_CNIL"

#: Full titles name every party and purpose, in up to 539 characters: this much says what a decision is about.
_LONGEST_HEADING = 160

_PUBLISHED = (
    column("nature", pa.string(), "Nature of the document: DELIBERATION or DECISION."),
    column("status", pa.string(), "Legal state: VIGUEUR, ABROGE…"),
    column("nature_delib", pa.string(), "Kind of deliberation: Avis, Sanction, Autorisation de recherche…"),
    column("title", pa.string(), "Short title."),
    column("full_title", pa.string(), "Full title, with the object of the decision."),
    column("number", pa.string(), "Official number."),
    column("date", pa.string(), "Date of the decision, ISO."),
)
_PUBLISHED_NAMES = tuple(field.name for field in _PUBLISHED)


def wants(path: str) -> bool:
    """Whether a member is a document of the fund."""
    return is_document_path(path, _ID_PREFIX)


def parse(member: Member) -> list[Outcome]:
    """The decision of one member, or the reason why there is none."""
    return parse_document(member, "TEXTE_CNIL", _ID_PREFIX, _document)


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The full title, which says the object, cut at a word when it is long; else the short one."""
    name = str(metadata["full_title"] or metadata["title"] or metadata["number"] or "")
    return [textwrap.shorten(name, _LONGEST_HEADING, placeholder=" …")] if name else []


def _document(document_id: str, root: etree._Element) -> Document:
    return Document(
        doc_id=document_id,
        metadata={
            "nature": text_at(root, "META/META_COMMUN/NATURE"),
            "status": text_at(root, f"{_FIELDS}/ETAT_JURIDIQUE"),
            "nature_delib": text_at(root, f"{_FIELDS}/NATURE_DELIB"),
            "title": text_at(root, f"{_FIELDS}/TITRE"),
            "full_title": text_at(root, f"{_FIELDS}/TITREFULL"),
            "number": text_at(root, f"{_FIELDS}/NUMERO"),
            "date": text_at(root, f"{_FIELDS}/DATE_TEXTE"),
            "publication_date": text_at(root, f"{_FIELDS}/DATE_PUBLI"),
            "nor": text_at(root, f"{_FIELDS}/NOR"),
            "links": links_json(root),
        },
        sections=tuple(sections_at(root, "BLOC_TEXTUEL", "decision")),
        source_url=f"https://www.legifrance.gouv.fr/cnil/id/{document_id}",
    )


DATASET = Dataset(
    name="cnil",
    title="CNIL : délibérations et décisions",
    description="Deliberations and decisions of the CNIL, the French data protection authority.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/les-deliberations-de-la-cnil/",
    source=DilaFund("CNIL"),
    cadence=timedelta(days=1),
    late_after=timedelta(days=21),
    wants=wants,
    parse=parse,
    parser_version="1",
    metadata_schema=pa.schema(
        [
            *_PUBLISHED,
            column("publication_date", pa.string(), "Date of publication, ISO (2999-01-01: none)."),
            column("nor", pa.string(), "NOR number, when there is one."),
            column("links", pa.string(), "Links to other texts, a JSON list."),
        ]
    ),
    published_columns=(*_PUBLISHED_NAMES, "text"),
    heading=heading,
    filters=("status", "nature", "nature_delib", "date", "number"),
)
