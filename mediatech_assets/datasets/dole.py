"""DOLE: legislative files of Légifrance, from the bill and its memorandum to the published law.

What belongs here: the facts of the fund, its files' XML, and the rule that says where an article begins. What
does not: what all funds of the DILA share (see `documents/dila.py`), how archives are fetched and applied, and
content markup.

Members that are documents: `JORFDOLE*.xml`. What becomes of the children of `CONTENU`:

====================================  =====================================================================
element                               becomes
====================================  =====================================================================
EXPOSE_MOTIF                          sections: the general part of the memorandum, then each article
CONTENU_DOSSIER_1 to _5               sections in the same way, under LIBELLE_TEXTE_n
LIBELLE_TEXTE_n, ARBORESCENCE         columns (`texts`, `links`)
ECHEANCIER, **and anything unknown**  sections after the others: an element of tomorrow is text, never lost
====================================  =====================================================================

Rule of articles, the same in the memorandum and in a text. A line of its own begins an article when it is
« Article » and a number, whatever markup it stands in: « Article 1er », « Article unique », « Articles 3 et
4 », « Article 5 bis A (nouveau) ». A colon, a full stop or a dash may follow and, after it, the article's
title (« Article 2 : De la protection des berges ») or already its text, which a full stop, semicolon or colon
at the end gives away. The heading of a division (« TITRE II », « Chapitre Ier », « Annexe ») ends an article; when
only titles stand between it and the next article, it opens that one, else it begins a section of its own.
So a quotation (« Art. L. 1 »), a reference (« L'article 2 du code… ») and the articles of a treaty that a
memorandum comments on begin nothing. Lines are cut into sections and never moved or removed: the heading
stays the first line of its article, and is in its context for those who read only a part.

The published values of `content_type` are those of the dataset that consumers already use (card of
AgentPublic/dole): `explanatory_memorandum`, `article`, `dossier_content`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import lxml.etree as etree
import pyarrow as pa

from mediatech_assets.datasets.base import Dataset, DilaFund
from mediatech_assets.documents.dila import NO_DATE, is_document_path, parse_document, text_at
from mediatech_assets.documents.markup import HTML_ROLES, Role, element_text, line_text, one_line
from mediatech_assets.documents.model import (
    Document,
    Member,
    MetadataValue,
    Outcome,
    Section,
    strip_marks,
)
from mediatech_assets.schemas import column

MEMORANDUM, ARTICLE, CONTENT = "explanatory_memorandum", "article", "dossier_content"

_ID_PREFIX = "JORFDOLE"
_FACTS = "META/META_DOSSIER_LEGISLATIF"
_TEXTS = range(1, 6)

#: Children of CONTENU that are columns, or sections with a rule of their own.
_KNOWN_CHILDREN = frozenset(
    {
        "ARBORESCENCE",
        "EXPOSE_MOTIF",
        "ECHEANCIER",
        *(f"LIBELLE_TEXTE_{rank}" for rank in _TEXTS),
        *(f"CONTENU_DOSSIER_{rank}" for rank in _TEXTS),
    }
)

#: What the DILA writes for « no date » and for « fixed later ».
_UNKNOWN_DATES = frozenset({NO_DATE, "2222-02-22"})

#: The schedule of decrees to come: one item a line, one line a field.
_SCHEDULE_ROLES: Mapping[str, Role] = {
    **HTML_ROLES,
    "echeancier": Role.LIST,
    "ligne": Role.ITEM,
    **dict.fromkeys(
        ("numero_ordre", "article", "base_legale", "objet", "decret", "date_prevue", "cid_loi_cible"),
        Role.BLOCK,
    ),
    "lien_article": Role.INLINE,
}

#: A number: « 1er », « 1 er » (the end of it was superscript), « unique », with « bis », « quinquies », « A ».
_NUMBER = (
    r"(?:\d{1,3}(?: ?(?:er|ER|ère))?|(?i:premier|unique|liminaire))"
    r"(?: (?:(?i:bis|ter|quater|[a-z]{2,12}ies)|[A-Z]{1,3}))*"
)
_ARTICLE_LINE = re.compile(
    rf"(?i:articles?) (?P<number>{_NUMBER}(?:(?:,| et| à) {_NUMBER})*)(?: ?\([^()]*\))?"
    r"(?:(?: ?[:.](?: ?[-–—])?| [-–—])(?: (?P<rest>.+))?)?"
)
_DIVISION_LINE = re.compile(
    r"(?i:(?:(?:livre|titre|chapitre|sous-section|section)"
    r" (?:[ivxlc]+|\d{1,3}|premi[eè]re?|unique|liminaire|pr[ée]liminaire)(?: ?er| ?ère)?"
    r"|(?:premi[eè]re|deuxi[eè]me|seconde|troisi[eè]me|quatri[eè]me) partie"
    r"|annexes?(?: (?:[ivxlc]+|\d{1,3}|[a-z]))?)"
    r"(?: (?:bis|ter|quater))?)"
    r"(?: ?[:.](?: ?[-–—])?(?: .+)?| [-–—] .+)?"
)
_NUMBERS_IN_WORDS = {"premier": "1", "unique": "unique", "liminaire": "liminaire"}
_SEPARATORS = " :.-–—"
_LONGEST_TITLE = 300
_ORDINAL = re.compile(r"(?<=\d) ?(?:er|ER|ère)\b")

#: Marks at the end of a sentence, which a title does not have.
_SENTENCE_ENDS = (".", ";", ":", "…", "?", "!")

_METADATA = (
    column("category", pa.string(), "Kind of file: LOI_PUBLIEE, PROJET_LOI, PROPOSITION_LOI…"),
    column("title", pa.string(), "Title of the file."),
    column("number", pa.string(), "Number of the legislature."),
    column("wording", pa.string(), "Name of the legislature: « XVIème législature »."),
    column("creation_date", pa.string(), "Day on which the file was opened, ISO."),
    column("modification_date", pa.string(), "Day of the file's last change, ISO."),
    column("texts", pa.string(), "The texts that the file leads to (rank, id, label), a JSON list."),
    column("links", pa.string(), "Links to the stages in Parliament and elsewhere, a JSON list."),
)
_SECTION_COLUMNS = (
    column(
        "content_type", pa.string(), "What the text is: explanatory_memorandum, article, dossier_content."
    ),
    column("article_number", pa.string(), "Number of the article: 1, 2, unique, 3 et 4, 5 bis A."),
    column("article_title", pa.string(), "Title of the article, when its heading has one."),
    column("article_synthesis", pa.string(), "What the memorandum says first of the article."),
)


def wants(path: str) -> bool:
    """Whether a member is a file of the fund."""
    return is_document_path(path, _ID_PREFIX)


def parse(member: Member) -> list[Outcome]:
    """The file of one member, or the reason why there is none."""
    return parse_document(member, "DOSSIER_LEGISLATIF", _ID_PREFIX, _document)


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The file's title."""
    return [str(metadata["title"])] if metadata["title"] else []


def _document(dossier_id: str, dossier: etree._Element) -> Document:
    title = text_at(dossier, f"{_FACTS}/TITRE")
    modified = text_at(dossier, f"{_FACTS}/DATE_DERNIERE_MODIFICATION")
    labels = {rank: text_at(dossier, f"CONTENU/LIBELLE_TEXTE_{rank}") for rank in _TEXTS}
    return Document(
        doc_id=dossier_id,
        metadata={
            "category": text_at(dossier, f"{_FACTS}/TYPE"),
            "title": title,
            "number": text_at(dossier, f"{_FACTS}/LEGISLATURE/NUMERO"),
            "wording": text_at(dossier, f"{_FACTS}/LEGISLATURE/LIBELLE"),
            "creation_date": text_at(dossier, f"{_FACTS}/DATE_CREATION"),
            "modification_date": modified,
            "texts": _texts(dossier, labels),
            "links": _links(dossier),
        },
        sections=tuple(_sections(dossier, title, labels)),
        source_url=f"https://www.legifrance.gouv.fr/dossierlegislatif/{dossier_id}/",
        source_updated_at=modified if _is_known_date(modified) else None,
    )


def _texts(dossier: etree._Element, labels: Mapping[int, str]) -> str:
    ids = {rank: text_at(dossier, f"{_FACTS}/ID_TEXTE_{rank}") for rank in _TEXTS}
    texts = [
        {"rank": rank, "id": ids[rank], "label": labels[rank]} for rank in _TEXTS if ids[rank] or labels[rank]
    ]
    return json.dumps(texts, ensure_ascii=False)


def _links(dossier: etree._Element) -> str:
    """The links of the tree, each with the titles of the levels above it; a level without links is one too."""
    links = [
        {
            "label": one_line(node.get("libelle")),
            "url": one_line(node.get("lien")),
            "text": line_text(node),
            "levels": [one_line(level.get("libelle")) for level in node.iterancestors("NIVEAU")][::-1],
        }
        for node in dossier.iterfind("CONTENU/ARBORESCENCE//*")
        if len(node) == 0
    ]
    return json.dumps(links, ensure_ascii=False)


def _sections(dossier: etree._Element, title: str, labels: Mapping[int, str]) -> Iterator[Section]:
    content = dossier.find("CONTENU")
    if content is None:
        return
    for memorandum in content.iterfind("EXPOSE_MOTIF"):
        yield from _cut(_lines(memorandum), MEMORANDUM, ("Exposé des motifs",))
    for rank in _TEXTS:
        label = labels[rank]
        # The first text often has the name of the file, which every chunk says already.
        context = (label,) if label and label.casefold() != title.casefold() else ()
        for text in content.iterfind(f"CONTENU_DOSSIER_{rank}"):
            yield from _cut(_lines(text), CONTENT, context)
    for child in content:
        if child.tag == "ECHEANCIER":
            yield from _whole(element_text(child, _SCHEDULE_ROLES), ("Échéancier",))
        elif child.tag not in _KNOWN_CHILDREN:
            yield from _whole(element_text(child))
    yield from _whole(one_line(" ".join([content.text or "", *(child.tail or "" for child in content)])))


def _whole(text: str, context: tuple[str, ...] = ()) -> Iterator[Section]:
    if text:
        yield Section(text, context, kind=CONTENT, attributes={"content_type": CONTENT})


def _lines(element: etree._Element) -> list[str]:
    """Lines of an element's text; an empty one between two paragraphs.

    Without any child element, the line breaks of the text are the only structure that there is.
    """
    if len(element):
        return element_text(element).split("\n")
    broken = etree.Element("div")
    for line in (element.text or "").splitlines():
        etree.SubElement(broken, "br").tail = line
    return element_text(broken).split("\n")


@dataclass(slots=True)
class _Part:
    """A run of lines: an article, a division, or what stands before both.

    Args:
        article: Match of the heading, when the run is an article.
        is_division: Whether the run begins with the heading of a division.
        opening: Headings of divisions that stand right above.
        lines: All lines, from the heading on.
    """

    article: re.Match[str] | None = None
    is_division: bool = False
    opening: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self.opening, *self.lines]).strip("\n")

    @property
    def is_only_headings(self) -> bool:
        """Whether it is a division that says nothing but its title."""
        # A tab is the mark of a list or a table.
        return self.is_division and not any(
            line.endswith(_SENTENCE_ENDS) or "\t" in line for line in self.lines
        )

    @property
    def number(self) -> str:
        """Number of the article: « 1er » and « premier » are 1, as in the published dataset."""
        number = self.article["number"] if self.article else ""
        words = (_NUMBERS_IN_WORDS.get(word.lower(), word) for word in _ORDINAL.sub("", number).split())
        return " ".join(words)

    @property
    def title(self) -> str:
        """Title of the article that its heading has."""
        rest = self._rest
        return "" if rest.endswith(_SENTENCE_ENDS) or len(rest) > _LONGEST_TITLE else rest

    @property
    def heading(self) -> str:
        """The heading, without the text that may begin on the same line."""
        return self.lines[0] if self.title else self.lines[0].removesuffix(self._rest).rstrip(_SEPARATORS)

    @property
    def synthesis(self) -> str:
        """The first paragraph under the heading that is a sentence; the first one when none is."""
        below = "\n".join(self.lines[1:]).split("\n\n")
        paragraphs = ["" if self.title else self._rest, *(one_line(strip_marks(text)) for text in below)]
        sentences = [text for text in paragraphs if text.endswith(_SENTENCE_ENDS)]
        return next(filter(None, [*sentences, *paragraphs]), "")

    @property
    def _rest(self) -> str:
        return (self.article["rest"] or "") if self.article else ""


def _cut(lines: list[str], content_type: str, context: tuple[str, ...]) -> Iterator[Section]:
    """Sections of a memorandum or of a text: its articles, and what stands outside of them."""
    parts = [_Part()]
    for line in lines:
        article = _ARTICLE_LINE.fullmatch(line)
        if article or _DIVISION_LINE.fullmatch(line):
            above = parts.pop() if parts[-1].is_only_headings else _Part()
            above.opening.extend(above.lines)
            parts.append(_Part(article, not article, above.opening))
        parts[-1].lines.append(line)
    for part in parts:
        if not part.text:
            continue
        if part.article is None:
            yield Section(part.text, context, kind=content_type, attributes={"content_type": content_type})
            continue
        attributes = {
            "content_type": ARTICLE,
            "article_number": part.number,
            "article_title": part.title,
            "article_synthesis": part.synthesis if content_type == MEMORANDUM else "",
        }
        yield Section(part.text, (*context, part.heading), kind=content_type, attributes=attributes)


def _is_known_date(text: str) -> bool:
    try:
        # Other notations of ISO 8601, such as weeks, are not the one that the fund uses.
        return date.fromisoformat(text).isoformat() == text and text not in _UNKNOWN_DATES
    except ValueError:
        return False


DATASET = Dataset(
    name="dole",
    title="DOLE : dossiers législatifs",
    description="Legislative files: bills with their explanatory memoranda, articles, and the texts they became.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/dole-les-dossiers-legislatifs/",
    source=DilaFund("DOLE"),
    cadence=timedelta(days=1),
    late_after=timedelta(days=14),
    wants=wants,
    parse=parse,
    parser_version="1",
    metadata_schema=pa.schema(_METADATA),
    published_columns=(
        "category",
        "content_type",
        "title",
        "number",
        "wording",
        "creation_date",
        "article_number",
        "article_title",
        "article_synthesis",
        "text",
    ),
    heading=heading,
    filters=("category", "number", "creation_date", "modification_date"),
    section_columns=pa.schema(_SECTION_COLUMNS),
)
