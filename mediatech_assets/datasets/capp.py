"""CAPP: a selection of decisions of the courts of appeal, and of some courts of first instance.

What belongs here: the facts of the fund and its fields, written in the DILA's dialect of judicial case law (root
TEXTE_JURI_JUDI, which the funds CASS and INCA share). What does not: what all funds of the DILA share (see
`documents/dila.py`), how archives are fetched and applied, and content markup.

Oddities of the fund that this module answers:

* parties, judges and lawyers are named: those columns are empty in `parse` and filled in `parse_full`;
* NUMERO may be empty while the numbers of the cases stand in NUMEROS_AFFAIRES;
* the SOMMAIRE of a decision, with titles (SCT) and analyses (ANA), is text too: it comes first, under its heading;
* paragraphs are separated by `<br/>` pairs, entities may be escaped twice (`&amp;nbsp;`). Broken accents are kept as
  they are published: mending them would be a guess.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import lxml.etree as etree
import pyarrow as pa

from mediatech_assets.datasets.base import SHORT_RETENTION, Dataset, DilaFund
from mediatech_assets.documents.dila import (
    attribute_at,
    is_document_path,
    links_json,
    parse_document,
    sections_at,
    text_at,
    texts_at,
)
from mediatech_assets.documents.model import (
    SECTION_SEPARATOR,
    Document,
    Member,
    MetadataValue,
    Outcome,
    Section,
)
from mediatech_assets.schemas import column

_ID_PREFIX = "JURITEXT"
_COMMON = "META/META_COMMUN"
_CASE_LAW = "META/META_SPEC/META_JURI"
_FIELDS = "META/META_SPEC/META_JURI_JUDI"

_PUBLISHED = (
    column("nature", pa.string(), "Nature of the decision: ARRET, JUGEMENT, ORDONNANCE…"),
    column("jurisdiction", pa.string(), "Court that decided."),
    column("formation", pa.string(), "Chamber, by name or by code."),
    column("solution", pa.string(), "What was decided, when it is known."),
    column("title", pa.string(), "Title: court, chamber, date, number."),
    column("number", pa.string(), "Number of the decision; else those of its cases."),
    column("decision_date", pa.string(), "Date of the decision, ISO."),
    column("ecli", pa.string(), "European Case Law Identifier, when there is one."),
    column("themes", pa.string(), "Titles of the summary, one a line."),
    column("summary", pa.string(), "Summary: titles and analyses."),
)
_PUBLISHED_NAMES = tuple(field.name for field in _PUBLISHED)

#: Columns that name persons, and where the names stand.
_PERSONS = {
    "claimant": "DEMANDEUR",
    "defendant": "DEFENDEUR",
    "president": "PRESIDENT",
    "advocate_general": "AVOCAT_GL",
    "lawyers": "AVOCATS",
    "rapporteur": "RAPPORTEUR",
}


def wants(path: str) -> bool:
    """Whether a member is a decision of the fund."""
    return is_document_path(path, _ID_PREFIX)


def parse(member: Member) -> list[Outcome]:
    """The decision of one member without the columns that name persons, or why there is none."""
    return parse_document(member, "TEXTE_JURI_JUDI", _ID_PREFIX, _public_document)


def parse_full(member: Member) -> list[Outcome]:
    """As `parse`, with the columns that name persons."""
    return parse_document(member, "TEXTE_JURI_JUDI", _ID_PREFIX, _full_document)


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The title; for a decision without one, its court, date and number."""
    title = str(metadata["title"] or "")
    facts = (str(metadata[name] or "") for name in ("jurisdiction", "decision_date", "number"))
    name = title or ", ".join(fact for fact in facts if fact)
    return [name] if name else []


def _public_document(document_id: str, root: etree._Element) -> Document:
    return _document(document_id, root, persons=dict.fromkeys(_PERSONS, ""))


def _full_document(document_id: str, root: etree._Element) -> Document:
    names = {name: ", ".join(texts_at(root, f"{_FIELDS}/{element}")) for name, element in _PERSONS.items()}
    return _document(document_id, root, persons=names)


def _document(document_id: str, root: etree._Element, persons: Mapping[str, str]) -> Document:
    case_numbers = list(texts_at(root, f"{_FIELDS}/NUMEROS_AFFAIRES/NUMERO_AFFAIRE"))
    summary = list(sections_at(root, "TEXTE/SOMMAIRE", "summary", "Sommaire"))
    return Document(
        doc_id=document_id,
        metadata={
            "nature": text_at(root, f"{_COMMON}/NATURE"),
            "jurisdiction": text_at(root, f"{_CASE_LAW}/JURIDICTION"),
            "formation": text_at(root, f"{_FIELDS}/FORMATION"),
            "solution": text_at(root, f"{_CASE_LAW}/SOLUTION"),
            "title": text_at(root, f"{_CASE_LAW}/TITRE"),
            "number": text_at(root, f"{_CASE_LAW}/NUMERO") or ", ".join(case_numbers),
            "decision_date": text_at(root, f"{_CASE_LAW}/DATE_DEC"),
            "ecli": text_at(root, f"{_FIELDS}/ECLI", f"{_COMMON}/ECLI"),
            "themes": "\n".join(texts_at(root, "TEXTE/SOMMAIRE/SCT")),
            "summary": _texts(summary),
            "case_numbers": case_numbers,
            "bulletin": attribute_at(root, f"{_FIELDS}/PUBLI_BULL", "publie"),
            "appeal_seat": text_at(root, f"{_FIELDS}/SIEGE_APPEL"),
            "contested_decision": text_at(root, f"{_FIELDS}/FORM_DEC_ATT"),
            "contested_decision_date": text_at(root, f"{_FIELDS}/DATE_DEC_ATT"),
            "first_court": text_at(root, f"{_FIELDS}/JURI_PREM"),
            "first_court_place": text_at(root, f"{_FIELDS}/LIEU_PREM"),
            "citations": _texts(sections_at(root, "TEXTE/CITATION_JP", "citations")),
            "links": links_json(root),
            **persons,
        },
        sections=(*summary, *sections_at(root, "TEXTE/BLOC_TEXTUEL", "decision")),
        source_url=f"https://www.legifrance.gouv.fr/juri/id/{document_id}",
    )


def _texts(sections: Iterable[Section]) -> str:
    return SECTION_SEPARATOR.join(section.text for section in sections)


DATASET = Dataset(
    name="capp",
    title="CAPP : décisions des cours d'appel",
    description="A selection of decisions of the French courts of appeal and courts of first instance.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/capp/",
    source=DilaFund("CAPP"),
    cadence=timedelta(days=1),
    late_after=timedelta(days=45),
    wants=wants,
    parse=parse,
    parse_full=parse_full,
    parser_version="1",
    metadata_schema=pa.schema(
        [
            *_PUBLISHED,
            column("case_numbers", pa.list_(pa.string()), "Numbers of the cases."),
            column("bulletin", pa.string(), "Whether a bulletin published it: oui or non."),
            column("appeal_seat", pa.string(), "Seat of the court of appeal."),
            column("contested_decision", pa.string(), "Court and chamber of the contested decision."),
            column("contested_decision_date", pa.string(), "Date of the contested decision, ISO."),
            column("first_court", pa.string(), "Court of first instance."),
            column("first_court_place", pa.string(), "Place of the court of first instance."),
            column("citations", pa.string(), "Decisions to compare."),
            column("links", pa.string(), "Links to other texts, a JSON list."),
            *(
                column(name, pa.string(), f"Names, as in {element}; empty in the public profile.")
                for name, element in _PERSONS.items()
            ),
        ]
    ),
    published_columns=(*_PUBLISHED_NAMES, "text"),
    heading=heading,
    filters=("nature", "jurisdiction", "solution", "decision_date", "number", "ecli"),
    retention=SHORT_RETENTION,
)
