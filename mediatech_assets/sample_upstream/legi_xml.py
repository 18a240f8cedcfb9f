"""The DILA's XML dialect for consolidated law.

What belongs here: what an article, a section and a text are in this sample, and how the LEGI base writes
them: one tag a line without indentation, attributes in alphabetical order, `<X/>` for what is empty. What
does not: the words (`texts_legi.py`) and which archive delivers them (`legi_deliveries.py`).
"""

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

#: The base writes an open end, and the unknown dates of codes, so.
NO_END = "2999-01-01"


@dataclass(frozen=True, slots=True)
class SectionTitle:
    """A level of a text's plan.

    Args:
        id: Its LEGISCTA id.
        title: Its heading.
        parent: Id of the level above; empty at the top.
        start: First day of force.
    """

    id: str
    title: str
    parent: str
    start: str


@dataclass(frozen=True, slots=True)
class LegalText:
    """A code, or a text that is not codified.

    Args:
        cid: Identifier that names its folder.
        id: Identifier of the consolidated version (that of codes is the cid).
        title: Full title.
        nature: `CODE`, `DECRET`…
        start: First day of force.
        sections: Its plan, parents before children.
        short_title: `c_titre_court`, when it is another one.
        signed: Day of signature (codes have none).
        number: Official number.
        nor: NOR number.
        ministry: Ministry that carried it.
    """

    cid: str
    id: str
    title: str
    nature: str
    start: str
    sections: tuple[SectionTitle, ...] = ()
    short_title: str = ""
    signed: str = NO_END
    number: str = ""
    nor: str = ""
    ministry: str = ""

    @property
    def folder(self) -> str:
        """Folder of the text in the base."""
        origin = self.cid[:4]
        shelf = "code_en_vigueur" if self.nature == "CODE" else "TNC_en_vigueur"
        return f"legi/global/code_et_TNC_en_vigueur/{shelf}/{origin}/TEXT/{folders_of(self.cid)}/{self.cid}"

    def section_path(self, section_id: str) -> tuple[SectionTitle, ...]:
        """The levels from the top down to `section_id`, included; empty for no section."""
        by_id = {section.id: section for section in self.sections}
        path: list[SectionTitle] = []
        while section_id:
            path.append(by_id[section_id])
            section_id = by_id[section_id].parent
        return tuple(reversed(path))


@dataclass(frozen=True, slots=True)
class Version:
    """A line of an article's history."""

    id: str
    state: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another text, as LIENS gives them.

    Args:
        label: Words shown.
        kind: `CREE`, `MODIFIE`, `CITATION`…
        direction: `source` or `cible`.
        text: cid of the other text.
        article: Id of the other article.
        number: Number of the other article.
        nature: Nature of the other text.
    """

    label: str
    kind: str
    direction: str
    text: str
    article: str = ""
    number: str = ""
    nature: str = "CODE"


@dataclass(frozen=True, slots=True)
class Article:
    """One version of an article.

    Args:
        id: Its LEGIARTI id.
        number: Number as the base writes it (`L3141-3`).
        section: LEGISCTA id of its section; empty when the text has no plan.
        content: The body as an XML fragment; white space is free between words.
        state: `VIGUEUR`, `MODIFIE`…; empty for a version that the base never qualified.
        start: First day of force.
        end: Day on which it stops.
        note: The NOTA as an XML fragment.
        history: All versions, oldest first; the article's own when empty.
        links: What LIENS holds.
    """

    id: str
    number: str
    section: str
    content: str
    state: str = "VIGUEUR"
    start: str = "2016-08-10"
    end: str = NO_END
    note: str = ""
    history: tuple[Version, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def path(self) -> str:
        """Path of the article below its text's folder."""
        return f"article/LEGI/ARTI/{folders_of(self.id)}/{self.id}.xml"


def folders_of(identifier: str) -> str:
    """The five folders that the base makes of an identifier's first ten digits: `00/00/99/00/01`."""
    digits = identifier[8:18]
    return "/".join(digits[start : start + 2] for start in range(0, 10, 2))


def article_xml(article: Article, text: LegalText) -> bytes:
    """The article's file."""
    own_version = Version(article.id, article.state, article.start, article.end)
    return _file(
        "<ARTICLE>",
        *_common(article.id, "LEGI", article.path, "Article"),
        "<META_SPEC>",
        "<META_ARTICLE>",
        _leaf("NUM", article.number),
        _leaf("ETAT", article.state),
        _leaf("DATE_DEBUT", article.start),
        _leaf("DATE_FIN", article.end),
        _leaf("TYPE", "AUTONOME"),
        "</META_ARTICLE>",
        "</META_SPEC>",
        "</META>",
        *_context(text, text.section_path(article.section)),
        "<VERSIONS>",
        *(_version(version, article.number) for version in article.history or (own_version,)),
        "</VERSIONS>",
        *_content("NOTA", article.note),
        *_content("BLOC_TEXTUEL", article.content),
        *_links(article.links),
        "</ARTICLE>",
    )


def section_xml(section: SectionTitle, text: LegalText, articles: tuple[Article, ...]) -> bytes:
    """The section's SECTION_TA file: its place, its sub-sections and its articles."""
    depth = len(text.section_path(section.id))
    children = [child for child in text.sections if child.parent == section.id]
    entries = [
        *(
            _tag("LIEN_ART", debut=a.start, etat=a.state, fin=a.end, id=a.id, num=a.number, origine="LEGI")
            for a in articles
            if a.section == section.id
        ),
        *(_section_link(child, depth + 1) for child in children),
    ]
    return _file(
        "<SECTION_TA>",
        _leaf("ID", section.id),
        _leaf("TITRE_TA", section.title),
        "<COMMENTAIRE/>",
        *_group("STRUCTURE_TA", entries),
        *_context(text, text.section_path(section.parent)),
        "</SECTION_TA>",
    )


def structure_xml(text: LegalText, articles: tuple[Article, ...], day: str) -> bytes:
    """The text's TEXTELR file: its top-level sections and the articles outside any section."""
    entries = [
        *(
            _tag("LIEN_ART", debut=a.start, etat=a.state, fin=a.end, id=a.id, num=a.number, origine="LEGI")
            for a in articles
            if not a.section
        ),
        *(_section_link(section, 1) for section in text.sections if not section.parent),
    ]
    return _file(
        "<TEXTELR>",
        *_common(text.id, text.cid[:4], f"texte/struct/{text.id}.xml", text.nature),
        "<META_SPEC>",
        *_chronicle(text, day),
        "</META_SPEC>",
        "</META>",
        "<VERSIONS>",
        '<VERSION etat="VIGUEUR">',
        _tag("LIEN_TXT", debut=text.start, fin=NO_END, id=text.id, num=text.number),
        "</VERSION>",
        "</VERSIONS>",
        *_group("STRUCT", entries),
        "</TEXTELR>",
    )


def version_xml(text: LegalText, day: str) -> bytes:
    """The text's TEXTE_VERSION file."""
    empty_blocks = [
        line for tag in ("VISAS", "SIGNATAIRES", "TP", "NOTA", "ABRO", "RECT") for line in _content(tag, "")
    ]
    return _file(
        "<TEXTE_VERSION>",
        *_common(text.id, text.cid[:4], f"texte/version/{text.id}.xml", text.nature),
        "<META_SPEC>",
        *_chronicle(text, day),
        "<META_TEXTE_VERSION>",
        _leaf("TITRE", text.short_title or text.title),
        _leaf("TITREFULL", text.title),
        _leaf("ETAT", "VIGUEUR"),
        _leaf("DATE_DEBUT", text.start),
        _leaf("DATE_FIN", NO_END),
        "<AUTORITE/>",
        _leaf("MINISTERE", text.ministry),
        "<LIENS/>",
        "</META_TEXTE_VERSION>",
        "</META_SPEC>",
        "</META>",
        *empty_blocks,
        "</TEXTE_VERSION>",
    )


def _file(*lines: str) -> bytes:
    return "\n".join(('<?xml version="1.0" encoding="UTF-8"?>', *lines, "")).encode()


def _leaf(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>" if value else f"<{name}/>"


def _opening(name: str, attributes: dict[str, str]) -> str:
    return " ".join((f"<{name}", *(f"{key}={quoteattr(value)}" for key, value in sorted(attributes.items()))))


def _tag(name: str, content: str = "", /, **attributes: str) -> str:
    opening = _opening(name, attributes)
    return f"{opening}>{escape(content)}</{name}>" if content else f"{opening}/>"


def _group(name: str, lines: list[str]) -> list[str]:
    return [f"<{name}>", *lines, f"</{name}>"] if lines else [f"<{name}/>"]


def _common(identifier: str, origin: str, url: str, nature: str) -> list[str]:
    return [
        "<META>",
        "<META_COMMUN>",
        _leaf("ID", identifier),
        "<ANCIEN_ID/>",
        _leaf("ORIGINE", origin),
        _leaf("URL", url),
        _leaf("NATURE", nature),
        "</META_COMMUN>",
    ]


def _chronicle(text: LegalText, day: str) -> list[str]:
    return [
        "<META_TEXTE_CHRONICLE>",
        _leaf("CID", text.cid),
        _leaf("NUM", text.number),
        "<NUM_SEQUENCE>0</NUM_SEQUENCE>",
        _leaf("NOR", text.nor),
        _leaf("DATE_PUBLI", text.signed),
        _leaf("DATE_TEXTE", text.signed),
        _leaf("DERNIERE_MODIFICATION", day),
        "<VERSIONS_A_VENIR/>",
        "<ORIGINE_PUBLI/>",
        "<PAGE_DEB_PUBLI>0</PAGE_DEB_PUBLI>",
        "<PAGE_FIN_PUBLI>0</PAGE_FIN_PUBLI>",
        "</META_TEXTE_CHRONICLE>",
    ]


def _context(text: LegalText, sections: tuple[SectionTitle, ...]) -> list[str]:
    opening = _opening(
        "TEXTE",
        {
            "autorite": "",
            "cid": text.cid,
            "date_publi": text.signed,
            "date_signature": text.signed,
            "ministere": text.ministry,
            "nature": text.nature,
            "nor": text.nor,
            "num": text.number,
            "num_parution_jo": "",
        },
    )
    title = _tag(
        "TITRE_TXT",
        text.title,
        c_titre_court=text.short_title or text.title,
        debut=text.start,
        fin=NO_END,
        id_txt=text.id,
    )
    levels: list[str] = []
    for section in sections:
        levels += ["<TM>", _tag("TITRE_TM", section.title, debut=section.start, fin=NO_END, id=section.id)]
    return [
        "<CONTEXTE>",
        f"{opening}>",
        title,
        *levels,
        *["</TM>"] * len(sections),
        "</TEXTE>",
        "</CONTEXTE>",
    ]


def _version(version: Version, number: str) -> str:
    link = _tag(
        "LIEN_ART",
        debut=version.start,
        etat=version.state,
        fin=version.end,
        id=version.id,
        num=number,
        origine="LEGI",
    )
    return f"<VERSION etat={quoteattr(version.state)}>\n{link}\n</VERSION>"


def _content(name: str, fragment: str) -> list[str]:
    body = _as_serialised(fragment)
    return [f"<{name}>", *([f"<CONTENU>\n{body}\n</CONTENU>"] if body else ["<CONTENU/>"]), f"</{name}>"]


def _as_serialised(fragment: str) -> str:
    """`fragment` with single spaces in text and a newline between two tags, as the base's writer does."""
    return re.sub(r"> ?<", ">\n<", re.sub(r"[ \n]+", " ", fragment).strip())


def _section_link(section: SectionTitle, level: int) -> str:
    url = f"/LEGI/SCTA/{folders_of(section.id)}/{section.id}.xml"
    return _tag(
        "LIEN_SECTION_TA",
        section.title,
        cid=section.id,
        debut=section.start,
        etat="VIGUEUR",
        fin=NO_END,
        id=section.id,
        niv=str(level),
        url=url,
    )


def _links(links: tuple[Link, ...]) -> list[str]:
    return _group(
        "LIENS",
        [
            _tag(
                "LIEN",
                link.label,
                cidtexte=link.text,
                datesignatexte=NO_END,
                id=link.article,
                naturetexte=link.nature,
                nortexte="",
                num=link.number,
                numtexte="",
                sens=link.direction,
                typelien=link.kind,
            )
            for link in links
        ],
    )
