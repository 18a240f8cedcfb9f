"""LEGI: articles of consolidated French law, one document per version of an article.

What belongs here: the facts of the fund, its articles' XML, and the rules on which title was in force. What
does not: how archives are fetched and applied (see `sources/` and `documents/`), and content markup.

Members that are documents: `…/article/…/LEGIARTI*.xml`. Sections, texts and their structures (roots
SECTION_TA, TEXTE_VERSION, TEXTELR) lie beside them in the archives and are skipped: an article's CONTEXTE
repeats what is needed of them.

Oddities of the fund that this module answers:

* dates 2999-01-01 (open end, or unknown) and 2222-02-22 (fixed later) are kept as published; an article
  MODIFIE_MORT_NE ends before it begins; ETAT may be absent;
* CONTEXTE lists former titles and the one of the Journal officiel, in no useful order: see `_in_force`;
* a NOTA may be markup without any text: it is then empty.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import lxml.etree as etree
import pyarrow as pa

from mediatech_assets.datasets.base import Dataset, DilaFund
from mediatech_assets.documents.dila import NO_DATE, links_json, parse_document, text_at
from mediatech_assets.documents.markup import element_text, line_text, one_line
from mediatech_assets.documents.model import Document, Member, MetadataValue, Outcome, Section
from mediatech_assets.release.table_rule import ReleaseTable, TableRule
from mediatech_assets.schemas import column

_WANTED = re.compile(r"(?:^|/)article/(?:.*/)?LEGIARTI[^/]*\.xml$")

_PUBLISHED = (
    column("nature", pa.string(), "Nature of the document: always « Article »."),
    column("category", pa.string(), "Nature of the text that holds the article: CODE, LOI, DECRET…"),
    column("ministry", pa.string(), "Ministry that issued the text, when it is known."),
    column("status", pa.string(), "Legal state of the version: VIGUEUR, ABROGE, MODIFIE…"),
    column("title", pa.string(), "Short title of the text, in force when the version begins."),
    column("full_title", pa.string(), "Full title of the text, in force when the version begins."),
    column("subtitles", pa.string(), "Section path in the text, outermost first, separated by « > »."),
    column("number", pa.string(), "Number of the article, as published."),
    column("start_date", pa.string(), "First day of the version, ISO (2222-02-22: fixed later)."),
    column("end_date", pa.string(), "Day after the last one, ISO (2999-01-01: no end)."),
    column("nota", pa.string(), "Notes on the article."),
    column("links", pa.string(), "Links to other texts, a JSON list."),
)
_PUBLISHED_NAMES = tuple(field.name for field in _PUBLISHED)


def wants(path: str) -> bool:
    """Whether a member is an article of the fund."""
    return _WANTED.search(path) is not None


def parse(member: Member) -> list[Outcome]:
    """The article of one member, or the reason why there is none."""
    return parse_document(member, "ARTICLE", "LEGIARTI", _document)


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The article's name, then its place in the text."""
    name = str(metadata["full_title"] or metadata["title"] or "")
    if metadata["number"]:
        name = f"{name} - Article {metadata['number']}" if name else f"Article {metadata['number']}"
    return [line for line in (name, str(metadata["subtitles"] or "")) if line]


def release_table(metadata: Mapping[str, MetadataValue]) -> ReleaseTable:
    """Table of an article in the release: one per code, one per category of other texts.

    A code is its identifier: its articles stay together although it had other titles, and two codes of one title
    keep apart. Its name comes from the title, so that it is the one that consumers already use
    (`legi_code_du_travail`).
    """
    category = str(metadata["category"] or "")
    title = str(metadata["title"] or metadata["full_title"] or "code")
    name = f"legi_{_slug(title if category == 'CODE' else category or 'uncategorized')}"
    cid = str(metadata["text_cid"] or "") if category == "CODE" else ""
    return ReleaseTable(cid or name, name)


def _document(article_id: str, article: etree._Element) -> Document:
    date = text_at(article, "META/META_SPEC/META_ARTICLE/DATE_DEBUT")
    number = text_at(article, "META/META_SPEC/META_ARTICLE/NUM")
    text = article.find("CONTEXTE/TEXTE")
    title = _in_force(text.findall("TITRE_TXT"), date) if text is not None else None
    full_title = line_text(title) if title is not None else ""
    category = _attribute(text, "nature")
    content = article.find("BLOC_TEXTUEL")
    body = element_text(content) if content is not None else ""
    note = article.find("NOTA")
    page = "codes" if category == "CODE" else "loda"
    return Document(
        doc_id=article_id,
        metadata={
            "nature": text_at(article, "META/META_COMMUN/NATURE"),
            "category": category,
            "ministry": _attribute(text, "ministere"),
            "status": text_at(article, "META/META_SPEC/META_ARTICLE/ETAT"),
            "title": _attribute(title, "c_titre_court") or full_title,
            "full_title": full_title,
            "subtitles": " > ".join(_section_titles(text, date)),
            "number": number,
            "start_date": date,
            "end_date": text_at(article, "META/META_SPEC/META_ARTICLE/DATE_FIN"),
            "nota": element_text(note) if note is not None else "",
            "links": links_json(article),
            "text_cid": _attribute(text, "cid"),
            "text_id": _attribute(title, "id_txt"),
        },
        sections=(Section(body, kind="article", attributes={"number": number}),) if body else (),
        source_url=f"https://www.legifrance.gouv.fr/{page}/article_lc/{article_id}",
    )


def _in_force(titles: Sequence[etree._Element], date: str) -> etree._Element | None:
    """The title whose period holds `date`; else the newest that began before; else the first to come.

    Former titles and the Journal officiel's own (whose period is empty or starts in 2999) are listed beside
    the present one, and their order says nothing. Of several that fit, the newest wins, then the one that
    lasts, then the consolidated text's (LEGITEXT).

    Args:
        titles: TITRE_TXT or TITRE_TM of one level, with `debut` and `fin` as ISO dates.
        date: The article's own beginning; unknown when empty.
    """
    if not titles:
        return None
    day = date or NO_DATE
    holding = [title for title in titles if _begin(title) <= day < _end(title)]
    started = [title for title in titles if _begin(title) < day]
    if holding or started:
        return max(holding or started, key=_precedence)
    return min(titles, key=_begin)


def _begin(title: etree._Element) -> str:
    return title.get("debut") or NO_DATE


def _end(title: etree._Element) -> str:
    return title.get("fin") or NO_DATE


def _precedence(title: etree._Element) -> tuple[str, str, bool]:
    return (_begin(title), _end(title), (title.get("id_txt") or "").startswith("LEGITEXT"))


def _section_titles(text: etree._Element | None, date: str) -> Iterator[str]:
    """Titles of the sections above the article, outermost first."""
    level = text.find("TM") if text is not None else None
    while level is not None:
        title = _in_force(level.findall("TITRE_TM"), date)
        if title is not None and (line := line_text(title)):
            yield line
        level = level.find("TM")


def _attribute(element: etree._Element | None, name: str) -> str:
    return one_line(element.get(name)) if element is not None else ""


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title.replace("œ", "oe").replace("Œ", "Oe"))
    without_accents = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "_", without_accents.lower()).strip("_")


DATASET = Dataset(
    name="legi",
    title="LEGI : codes, lois et règlements consolidés",
    description="Consolidated French law: every version of the articles of codes, laws and decrees.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/legi-codes-lois-et-reglements-consolides/",
    source=DilaFund("LEGI"),
    cadence=timedelta(days=1),
    wants=wants,
    parse=parse,
    parser_version="1",
    metadata_schema=pa.schema(
        [
            *_PUBLISHED,
            column("text_cid", pa.string(), "Common identifier of the text."),
            column("text_id", pa.string(), "Identifier of the text's version whose title is used."),
        ]
    ),
    published_columns=(*_PUBLISHED_NAMES, "text"),
    heading=heading,
    release_tables=TableRule(
        release_table, ("category", "title", "full_title", "text_cid"), newest="start_date"
    ),
    # ABROGE_DIFF: repealed from a later day on.
    in_force={"status": ("VIGUEUR", "ABROGE_DIFF")},
    retrieval_floors={"use": 0.15},
    filters=("status", "start_date", "end_date", "category", "text_cid", "number"),
)
