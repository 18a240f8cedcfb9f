"""CONSTIT: decisions of the Conseil constitutionnel.

What belongs here: the facts of the fund and its fields. What does not: what all funds of the DILA share (see
`documents/dila.py`), how archives are fetched and applied, and content markup.

Oddities of the fund that this module answers:

* SAISINES and OBSERVATIONS have a CONTENU as the decision has: they are not its text, and follow it as sections
  under a heading of their own;
* a number may name several cases (`2026-321/322/323`) and is kept whole;
* the ECLI stands in META_JURI_CONSTIT, for some decisions in META_COMMUN;
* LOI_DEF without a law has the date 2999-01-01, and SUPPRIME for a NOR.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import lxml.etree as etree
import pyarrow as pa

from mediatech_assets.datasets.base import Dataset, DilaFund
from mediatech_assets.documents.dila import (
    NO_DATE,
    attribute_at,
    is_document_path,
    links_json,
    parse_document,
    sections_at,
    text_at,
)
from mediatech_assets.documents.model import Document, Member, MetadataValue, Outcome, Section
from mediatech_assets.schemas import column

_ID_PREFIX = "CONSTEXT"
_COMMON = "META/META_COMMUN"
_CASE_LAW = "META/META_SPEC/META_JURI"
_FIELDS = "META/META_SPEC/META_JURI_CONSTIT"
_LAW = f"{_FIELDS}/LOI_DEF"

#: Attributes of LOI_DEF that say « none ».
_NO_LAW = frozenset({NO_DATE, "SUPPRIME"})

_PUBLISHED = (
    column("nature", pa.string(), "Kind of decision: DC, QPC, L, AN, SEN, ORGA…"),
    column("solution", pa.string(), "What was decided: Conformité, Non conformité totale, Rejet…"),
    column("title", pa.string(), "Title."),
    column("number", pa.string(), "Number; of joined cases `2026-321/322/323`."),
    column("decision_date", pa.string(), "Date of the decision, ISO."),
)
_PUBLISHED_NAMES = tuple(field.name for field in _PUBLISHED)


def wants(path: str) -> bool:
    """Whether a member is a decision of the fund."""
    return is_document_path(path, _ID_PREFIX)


def parse(member: Member) -> list[Outcome]:
    """The decision of one member, or the reason why there is none."""
    return parse_document(member, "TEXTE_JURI_CONSTIT", _ID_PREFIX, _document)


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The decision's name, with its number where the title lacks it, then what was decided."""
    name, number = str(metadata["title"] or ""), str(metadata["number"] or "")
    if number and number not in name:
        decision = f"Décision n° {number} {metadata['nature'] or ''}".strip()
        name = f"{name} - {decision}" if name else decision
    return [line for line in (name, str(metadata["solution"] or "")) if line]


def _document(document_id: str, root: etree._Element) -> Document:
    return Document(
        doc_id=document_id,
        metadata={
            "nature": text_at(root, f"{_COMMON}/NATURE"),
            "solution": text_at(root, f"{_CASE_LAW}/SOLUTION"),
            "title": text_at(root, f"{_CASE_LAW}/TITRE"),
            "number": text_at(root, f"{_CASE_LAW}/NUMERO"),
            "decision_date": text_at(root, f"{_CASE_LAW}/DATE_DEC"),
            "qualified_nature": text_at(root, f"{_FIELDS}/NATURE_QUALIFIEE"),
            "ecli": text_at(root, f"{_FIELDS}/ECLI", f"{_COMMON}/ECLI"),
            "nor": text_at(root, f"{_FIELDS}/NOR"),
            "url_cc": text_at(root, f"{_FIELDS}/URL_CC"),
            "journal_title": text_at(root, f"{_FIELDS}/TITRE_JO"),
            "law": text_at(root, _LAW),
            "law_number": _law_fact(root, "num"),
            "law_date": _law_fact(root, "date"),
            "law_nor": _law_fact(root, "nor"),
            "links": links_json(root),
        },
        sections=tuple(_sections(root)),
        source_url=f"https://www.legifrance.gouv.fr/cons/id/{document_id}",
    )


def _sections(root: etree._Element) -> Iterator[Section]:
    yield from sections_at(root, "TEXTE/BLOC_TEXTUEL", "decision")
    yield from sections_at(root, "TEXTE/SAISINES", "referral", "Saisines")
    yield from sections_at(root, "TEXTE/OBSERVATIONS", "observations", "Observations")


def _law_fact(root: etree._Element, name: str) -> str:
    fact = attribute_at(root, _LAW, name)
    return "" if fact in _NO_LAW else fact


DATASET = Dataset(
    name="constit",
    title="CONSTIT : décisions du Conseil constitutionnel",
    description="Decisions of the Conseil constitutionnel since 1958.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/constit-les-decisions-du-conseil-constitutionnel/",
    source=DilaFund("CONSTIT"),
    cadence=timedelta(days=1),
    late_after=timedelta(days=30),
    wants=wants,
    parse=parse,
    parser_version="1",
    metadata_schema=pa.schema(
        [
            *_PUBLISHED,
            column("qualified_nature", pa.string(), "Kind of decision, as qualified by the Conseil."),
            column("ecli", pa.string(), "European Case Law Identifier."),
            column("nor", pa.string(), "NOR number."),
            column("url_cc", pa.string(), "Page of the decision at the Conseil constitutionnel."),
            column("journal_title", pa.string(), "Where the Journal officiel published it."),
            column("law", pa.string(), "Title of the law under review."),
            column("law_number", pa.string(), "Number of the law under review."),
            column("law_date", pa.string(), "Date of the law under review, ISO."),
            column("law_nor", pa.string(), "NOR number of the law under review."),
            column("links", pa.string(), "Links to other texts, a JSON list."),
        ]
    ),
    published_columns=(*_PUBLISHED_NAMES, "text"),
    heading=heading,
    filters=("nature", "solution", "decision_date", "number", "ecli"),
)
