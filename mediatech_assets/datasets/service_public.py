"""Service-Public: practical sheets for private persons (`part`) and for professionals (`pro`).

What belongs here: the facts of the two feeds, the rule that says which element of a sheet is what, and how
the two versions of one sheet become one document. What does not: how tags become text (see
`documents/markup.py`).

Members that are documents: `F*.xml` and `N*.xml` at the archive's root. `R*.xml` (forms and services),
`menu.xml` and `arborescence.xml` are skipped.

What becomes of the children of `Publication`:

====================================================================  =======================================
element                                                               becomes
====================================================================  =======================================
dc:*, SurTitre, Audience, Theme, QuestionReponse, ServiceEnLigne      metadata columns
FilDAriane, DossierPere, SousDossierPere, SousThemePere, VoirAussi,   nothing: where the sheet stands among
Canal, Cible                                                          others, repeated on each of them
Introduction, Avertissement, Texte, ListeSituations, SousDossier,     sections; Chapitre, SousChapitre, Cas,
SousTheme, Questionnaire, Problematiques, **and anything unknown**    Situation… give their title as context
Definition, Abreviation, Reference, OuSAdresser, PourEnSavoirPlus,    one section a kind, a list of all items
CommentFaireSi, LienExterneCommente
====================================================================  =======================================

An element that upstream adds tomorrow is therefore text, never lost. Inside the body one element alone is
dropped: PivotLocal, a technical key (`pole_emploi`) that no reader sees. A title that is in a section's
context is not repeated in its text. The same service or form inside the body is text; at the top it is a
row of `web_services`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import lxml.etree as etree
import pyarrow as pa

from mediatech_assets.datasets.base import Dataset, Snapshot, SnapshotFile
from mediatech_assets.documents.markup import (
    Role,
    TextBuilder,
    element_text,
    line_text,
    one_line,
    words_sha256,
)
from mediatech_assets.documents.model import Document, Member, MetadataValue, Outcome, Refusal, Section
from mediatech_assets.documents.xml import UnreadableXml, local_name, parse_xml
from mediatech_assets.schemas import column

PART, PRO = "part", "pro"

_DC = "{http://purl.org/dc/elements/1.1/}"
_WANTED = re.compile(r"[FN]\d+\.xml")
_SHEET_ID = re.compile(r"[FN]\d+")
_MODIFIED = re.compile(r"modified (\d{4}-\d{2}-\d{2})")

#: Context of what only the professionals' version of a sheet says.
_PRO_CONTEXT = "Professionnels"

#: Children of the sheet that are columns or navigation: see the table above.
_COLUMNS_OF_SHEET = frozenset(("SurTitre", "Audience", "Theme", "QuestionReponse", "ServiceEnLigne"))
_NAVIGATION = frozenset(
    ("FilDAriane", "DossierPere", "SousDossierPere", "SousThemePere", "VoirAussi", "Canal", "Cible")
)

#: Children of the sheet of which there are many short ones: kind and heading of their common section.
_GATHERED = {
    "Definition": ("definition", "Définitions"),
    "Abreviation": ("abbreviation", "Abréviations"),
    "Reference": ("reference", "Textes de référence"),
    "OuSAdresser": ("contact", "Où s'adresser ?"),
    "PourEnSavoirPlus": ("further_reading", "Pour en savoir plus"),
    "CommentFaireSi": ("how_to", "Comment faire si…"),
    "LienExterneCommente": ("further_reading", "Pour en savoir plus"),
}

_KINDS = {
    "Introduction": "introduction",
    "Avertissement": "warning",
    "SousDossier": "contents",
    "SousTheme": "contents",
    "Questionnaire": "questionnaire",
    "Problematiques": "questionnaire",
}

#: Elements whose first Titre is the heading of what follows in them.
_HEADED = frozenset(
    ("Avertissement", "Chapitre", "SousChapitre", "Cas", "Situation", "SousDossier", "SousTheme")
)

#: Elements that only hold others.
_TRANSPARENT = frozenset(("Introduction", "Texte", "BlocCas", "ListeSituations", "FragmentConditionne"))

_ROLES: Mapping[str, Role] = {
    tag: role
    for role, tags in {
        Role.BLOCK: "paragraphe titre texte chapitre souschapitre cas situation complement source "
        "description commentaire contenu credits legende textederemplacement attention asavoir anoter rappel",
        Role.INLINE: "lieninterne lienexterne lienintra valeur exposant indice miseenevidence expression "
        "citation termeetranger variable",
        Role.LIST: "liste",
        Role.ITEM: "item definition abreviation reference ousadresser pourensavoirplus commentfairesi "
        "lienexternecommente serviceenligne fiche dossier",
        Role.TABLE: "tableau",
        Role.ROW: "rangée",
        Role.CELL: "cellule",
        Role.DROPPED: "pivotlocal",
    }.items()
    for tag in tags.split()
}


def wants(path: str) -> bool:
    """Whether a member is a sheet."""
    return _WANTED.fullmatch(path) is not None


def parse(member: Member) -> list[Outcome]:
    """The sheet of one member, or the reason why there is none."""
    try:
        sheet = parse_xml(member.data)
    except UnreadableXml as error:
        return [Refusal(member.path, str(error))]
    if local_name(sheet) != "Publication":
        return [Refusal(member.path, f"the root element is {local_name(sheet)}, not Publication")]
    sheet_id = _sheet_id(sheet)
    if not sheet_id:
        return [Refusal(member.path, "neither the spUrl attribute nor the ID attribute holds a sheet's id")]
    return [_document(sheet_id, sheet, member.feed)]


def merge(first: Document, second: Document) -> Document:
    """One document from the two feeds' versions of a sheet.

    What both say is kept once, in the first one's order; what the second alone says follows, under the
    context of its feed.

    Args:
        first: The version of the earlier feed (`part`), whose metadata and address win.
        second: The version of the later feed (`pro`).
    """
    known = {(section.text, section.context) for section in first.sections}
    is_other_feed = _feeds(first) != _feeds(second)
    added = (section for section in second.sections if (section.text, section.context) not in known)
    dates = [date for date in (first.source_updated_at, second.source_updated_at) if date]
    return Document(
        doc_id=first.doc_id,
        metadata=_united(first.metadata, second.metadata),
        sections=(
            *first.sections,
            *(
                replace(section, context=(_PRO_CONTEXT, *section.context)) if is_other_feed else section
                for section in added
            ),
        ),
        source_url=first.source_url,
        source_updated_at=max(dates, default=None),
    )


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The sheet's title."""
    return [str(metadata["title"])] if metadata["title"] else []


def _sheet_id(sheet: etree._Element) -> str:
    """Id of the sheet: 1 % of the sheets of `part` and a third of those of `pro` have no spUrl."""
    candidates = (sheet.get("spUrl", "").strip().rstrip("/").rpartition("/")[2], sheet.get("ID", "").strip())
    return next((candidate for candidate in candidates if _SHEET_ID.fullmatch(candidate)), "")


def _document(sheet_id: str, sheet: etree._Element, feed: str) -> Document:
    url = sheet.get("spUrl", "").strip() or _page(sheet_id, feed)
    date = _MODIFIED.search(_first_text(sheet, f"{_DC}date"))
    modified = date.group(1) if date else None
    return Document(
        doc_id=sheet_id,
        metadata={
            "audience": ", ".join(_texts(sheet, "Audience")),
            "theme": ", ".join(_texts(sheet, "Theme/Titre")),
            "title": _first_text(sheet, f"{_DC}title"),
            "surtitle": _first_text(sheet, "SurTitre"),
            "source": "service-public",
            "introduction": "\n\n".join(
                filter(None, (element_text(part, _ROLES) for part in sheet.findall("Introduction")))
            ),
            "url": url,
            "related_questions": _json(_related_questions(sheet, feed)),
            "web_services": _json(_web_services(sheet)),
            "kind": one_line(sheet.get("type")),
            "feeds": [feed],
            "source_text_sha256": _json({feed: _source_hash(sheet)}),
            "date": modified or "",
        },
        sections=tuple(_sections(sheet)),
        source_url=url,
        source_updated_at=modified,
    )


def _page(sheet_id: str, feed: str) -> str:
    if feed == PRO:
        return f"https://entreprendre.service-public.fr/vosdroits/{sheet_id}"
    return f"https://www.service-public.fr/particuliers/vosdroits/{sheet_id}"


def _source_hash(sheet: etree._Element) -> str:
    """Hash of every word of the sheet, navigation included: proof of which version was read."""
    return words_sha256("".join(sheet.itertext()))


def _related_questions(sheet: etree._Element, feed: str) -> Iterator[dict[str, str]]:
    for question in sheet.iterfind("QuestionReponse"):
        sid = question.get("ID", "")
        audience = question.get("audience")
        is_pro = audience == "Professionnels" or (feed == PRO and not audience)
        yield {
            "question": line_text(question, _ROLES),
            "sid": sid,
            "url": _page(sid, PRO if is_pro else PART) if sid else "",
        }


def _web_services(sheet: etree._Element) -> Iterator[dict[str, str]]:
    for service in sheet.iterfind("ServiceEnLigne"):
        link = service.find(".//LienWeb")
        yield {
            "title": _first_text(service, "Titre"),
            "institution": _first_text(service, "Source"),
            "url": service.get("URL") or (link.get("URL", "") if link is not None else ""),
            "type": service.get("type", ""),
        }


def _sections(sheet: etree._Element) -> Iterator[Section]:
    yield from _paragraph_sections(sheet.text)
    gathered: dict[str, tuple[str, TextBuilder]] = {}
    for child in sheet:
        name = local_name(child)
        if name in _GATHERED:
            kind, title = _GATHERED[name]
            gathered.setdefault(title, (kind, TextBuilder(_ROLES)))[1].add(child)
        elif name not in _COLUMNS_OF_SHEET | _NAVIGATION and not str(child.tag).startswith(_DC):
            yield from _Walk(_KINDS.get(name, "body")).sections(child)
        yield from _paragraph_sections(child.tail)
    for title, (kind, builder) in gathered.items():
        if text := builder.text():
            yield Section(text, context=(title,), kind=kind)


def _paragraph_sections(text: str | None) -> Iterator[Section]:
    """Text that stands in the sheet beside every element: none today, but nothing is dropped."""
    if line := one_line(text):
        yield Section(line)


@dataclass(slots=True)
class _Open:
    """A headed element that is being walked."""

    node: etree._Element
    title: etree._Element | None
    heading: str
    sections_before: int


class _Walk:
    """Cuts one element of the body into sections, a new one at each change of headings."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._found: list[Section] = []
        self._open: list[_Open] = []
        self._builder = TextBuilder(_ROLES)

    def sections(self, element: etree._Element) -> list[Section]:
        walk = etree.iterwalk(element, events=("start", "end"))
        for event, node in walk:
            if event == "end":
                self._leave(node)
            elif not self._enter(node):
                walk.skip_subtree()
        self._flush()
        return self._found

    def _enter(self, node: etree._Element) -> bool:
        """Whether the children of `node` are to be walked too."""
        name = local_name(node)
        if self._open and node is self._open[-1].title:
            return False
        if name not in _HEADED | _TRANSPARENT or _has_own_text(node):
            self._builder.add(node)
            return False
        if name in _HEADED:
            self._flush()
            title = node.find("Titre")
            text = line_text(title, _ROLES) if title is not None else ""
            self._open.append(_Open(node, title, text, len(self._found)))
        return True

    def _leave(self, node: etree._Element) -> None:
        if not self._open or node is not self._open[-1].node:
            return
        self._flush()
        closed = self._open.pop()
        if closed.heading and len(self._found) == closed.sections_before:
            # A title with nothing under it would be in no section's context.
            self._found.append(Section(closed.heading, context=self._context(), kind=self._kind))

    def _flush(self) -> None:
        if text := self._builder.text():
            self._found.append(Section(text, context=self._context(), kind=self._kind))
        self._builder = TextBuilder(_ROLES)

    def _context(self) -> tuple[str, ...]:
        return tuple(level.heading for level in self._open if level.heading)


def _has_own_text(node: etree._Element) -> bool:
    """Whether text stands directly in `node`: it is then one piece, and cutting it could split words."""
    return any(text and text.strip() for text in (node.text, *(child.tail for child in node)))


def _united(
    first: Mapping[str, MetadataValue], second: Mapping[str, MetadataValue]
) -> dict[str, MetadataValue]:
    united = {name: value or second[name] for name, value in first.items()}
    audiences = [name for sheet in (first, second) for name in str(sheet["audience"]).split(", ") if name]
    united["audience"] = ", ".join(dict.fromkeys(audiences))
    united["feeds"] = list(dict.fromkeys([*_list(first["feeds"]), *_list(second["feeds"])]))
    united["source_text_sha256"] = _json(
        {**_loaded(second["source_text_sha256"]), **_loaded(first["source_text_sha256"])}
    )
    for name in ("related_questions", "web_services"):
        united[name] = _json(_distinct([*_loaded(first[name]), *_loaded(second[name])]))
    return united


def _feeds(document: Document) -> list[str]:
    return _list(document.metadata["feeds"])


def _list(value: MetadataValue) -> list[str]:
    return value if isinstance(value, list) else []


def _distinct(entries: list[dict[str, str]]) -> list[dict[str, str]]:
    return list({json.dumps(entry, sort_keys=True): entry for entry in reversed(entries)}.values())[::-1]


def _loaded(value: MetadataValue):  # noqa: ANN202 - a list or an object, as this module wrote it
    return json.loads(str(value))


def _json(value: Iterable[object]) -> str:
    return json.dumps(value if isinstance(value, dict) else list(value), ensure_ascii=False, sort_keys=False)


def _texts(element: etree._Element, path: str) -> list[str]:
    texts = (line_text(found, _ROLES) for found in element.iterfind(path))
    return list(dict.fromkeys(text for text in texts if text))


def _first_text(element: etree._Element, path: str) -> str:
    return next(iter(_texts(element, path)), "")


_PUBLISHED = (
    column("audience", pa.string(), "Whom the sheet is for, separated by commas."),
    column("theme", pa.string(), "Theme of the sheet."),
    column("title", pa.string(), "Title."),
    column("surtitle", pa.string(), "Kind of sheet as shown above the title."),
    column("source", pa.string(), "Name of the source: always « service-public »."),
    column("introduction", pa.string(), "Introduction of the sheet."),
    column("url", pa.string(), "Page of the sheet."),
    column("related_questions", pa.string(), "Questions that lead to other sheets, a JSON list."),
    column("web_services", pa.string(), "Online services and forms, a JSON list."),
)
_PUBLISHED_NAMES = tuple(field.name for field in _PUBLISHED)

DATASET = Dataset(
    name="service_public",
    title="Service-Public : fiches pratiques pour les particuliers et les professionnels",
    description="Practical sheets on rights and procedures, for private persons and for professionals.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/service-public-fr-guide-vos-droits-et-demarches-particuliers/",
    source=Snapshot(
        tuple(
            SnapshotFile(
                f"https://lecomarquage.service-public.fr/vdd/3.4/{feed}/zip/vosdroits-latest.zip", "zip", feed
            )
            for feed in (PART, PRO)
        )
    ),
    cadence=timedelta(days=1),
    wants=wants,
    parse=parse,
    parser_version="1",
    metadata_schema=pa.schema(
        [
            *_PUBLISHED,
            column("kind", pa.string(), "Type of the publication, as published."),
            column("feeds", pa.list_(pa.string()), "Feeds that hold the sheet: part, pro."),
            column("source_text_sha256", pa.string(), "SHA-256 of the source's text by feed, a JSON object."),
            column("date", pa.string(), "ISO date of the last change."),
        ]
    ),
    published_columns=(*_PUBLISHED_NAMES, "context", "text"),
    heading=heading,
    merge=merge,
    retrieval_floors={"use": 0.42},
    filters=("audience", "theme", "kind"),
)
