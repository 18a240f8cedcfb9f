"""XML documents of the DILA's funds: what every fund writes in the same way.

What belongs here: recognising a file of a fund by its root and its id, and reading the places that the funds
share (META, CONTENU, LIENS). What does not: a fund's own fields and its rules (see `datasets/`), content markup
(`markup.py`), and archives with their suppression lists (`apply.py`).

A file is one document: `META/META_COMMUN` (ID, ANCIEN_ID, ORIGINE, URL, NATURE), `META/META_SPEC` (the fund's own
fields), a text below `BLOC_TEXTUEL`, and `LIENS`. Any of them but the id may be absent or empty: an absent field is
an empty text, a block without words gives no section.
"""

import json
import re
from collections.abc import Callable, Iterator

import lxml.etree as etree

from mediatech_assets.documents.markup import element_text, line_text, one_line
from mediatech_assets.documents.model import Document, Member, Outcome, Refusal, Section
from mediatech_assets.documents.xml import UnreadableXml, parse_xml

#: What the DILA writes for « no date »: no end, no law, not published.
NO_DATE = "2999-01-01"

_ID = "META/META_COMMUN/ID"


def parse_document(
    member: Member,
    root_tag: str,
    id_prefix: str,
    read_document: Callable[[str, etree._Element], Document],
) -> list[Outcome]:
    """The document of one file, or the reason why there is none.

    Args:
        member: The file.
        root_tag: Root element of the fund's documents (`TEXTE_CNIL`).
        id_prefix: Letters that the fund's ids begin with (`CNILTEXT`); twelve digits follow.
        read_document: Makes the document of its id and root element.
    """
    try:
        root = parse_xml(member.data)
    except UnreadableXml as error:
        return [Refusal(member.path, str(error))]
    if root.tag != root_tag:
        return [Refusal(member.path, f"the root element is {root.tag}, not {root_tag}")]
    document_id = text_at(root, _ID)
    if not re.fullmatch(rf"{id_prefix}[0-9]{{12}}", document_id):
        return [Refusal(member.path, f"{_ID} is {document_id!r}, not {id_prefix} and twelve digits")]
    return [read_document(document_id, root)]


def is_document_path(path: str, id_prefix: str) -> bool:
    """Whether a member is an XML file named after an id of the fund, in whatever folder."""
    name = path.rpartition("/")[2]
    return name.startswith(id_prefix) and name.endswith(".xml")


def text_at(root: etree._Element, *paths: str) -> str:
    """The first text, on one line, that is not empty at one of `paths`; empty when there is none."""
    return next(texts_at(root, *paths), "")


def texts_at(root: etree._Element, *paths: str) -> Iterator[str]:
    """The texts that are not empty, each on one line, of all elements at `paths`."""
    for path in paths:
        for element in root.iterfind(path):
            # Fields rarely hold markup: then their text is all there is, and cheap to read.
            if text := line_text(element) if len(element) else one_line(element.text):
                yield text


def attribute_at(root: etree._Element, path: str, name: str) -> str:
    """An attribute of the element at `path`, on one line; empty when either is missing."""
    element = root.find(path)
    return one_line(element.get(name)) if element is not None else ""


def sections_at(root: etree._Element, path: str, kind: str, *context: str) -> Iterator[Section]:
    """A section for each element at `path` that has words.

    Args:
        root: Root element of the document.
        path: Where the elements stand, such as `TEXTE/BLOC_TEXTUEL`.
        kind: Kind of the sections.
        context: Headings above them.
    """
    for element in root.iterfind(path):
        if text := element_text(element):
            yield Section(text, context=context, kind=kind)


def links_json(root: etree._Element) -> str:
    """LIENS as a JSON list: the attributes of each link in alphabetical order, then its words as `text`."""
    links = [
        {**{name: link.attrib[name] for name in sorted(link.attrib)}, "text": line_text(link)}
        for link in root.iterfind("LIENS/LIEN")
    ]
    return json.dumps(links, ensure_ascii=False)
