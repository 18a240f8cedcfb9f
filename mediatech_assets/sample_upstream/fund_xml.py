"""The DILA's XML for funds whose documents are one file each: CNIL, CONSTIT, CAPP.

What belongs here: how the DILA writes elements (one tag a line without indentation, attributes in alphabetical
order, `<X/>` for what is empty) and the META_COMMUN of every file. What does not: a fund's own fields and words
(`fixtures/`), and the dialect of consolidated law (`legi_xml.py`).
"""

import re
from xml.sax.saxutils import escape, quoteattr

from mediatech_assets.sample_upstream.legi_xml import folders_of


def document_path(fund: str, folder: str, document_id: str) -> str:
    """Path of a document in the fund's archives.

    Args:
        fund: Name of the fund (`CNIL`).
        folder: Where the fund keeps its documents (`CNIL/TEXT`).
        document_id: The document's id.
    """
    return f"{fund.lower()}/global/{folder}/{folders_of(document_id)}/{document_id}.xml"


def leaf(tag: str, text: str = "", **attributes: str) -> str:
    """An element that holds only text."""
    written = "".join(f" {name}={quoteattr(attributes[name])}" for name in sorted(attributes))
    return f"<{tag}{written}>{escape(text)}</{tag}>" if text else f"<{tag}{written}/>"


def group(tag: str, *elements: str) -> str:
    """An element that holds elements, one a line."""
    return "\n".join((f"<{tag}>", *elements, f"</{tag}>")) if elements else f"<{tag}/>"


def content(tag: str, fragment: str) -> str:
    """An element whose CONTENU is an XML fragment; white space is free between its words.

    A newline stands between two tags that touch, and none beside text.
    """
    one_line = re.sub(r"\s+", " ", fragment).strip()
    serialised = re.sub(r"> ?<", ">\n<", one_line)
    return group(tag, f"<CONTENU>\n{serialised}\n</CONTENU>" if serialised else "<CONTENU/>")


def common_fields(document_id: str, origin: str, folder: str, nature: str, *others: str) -> str:
    """META_COMMUN of a document.

    Args:
        document_id: Its id.
        origin: Name of the collection (`CNIL`, `JURI`).
        folder: Where the DILA's base keeps it (`texte/CNIL/TEXT`).
        nature: Its nature.
        others: Elements that some funds add.
    """
    return group(
        "META_COMMUN",
        leaf("ID", document_id),
        leaf("ANCIEN_ID"),
        leaf("ORIGINE", origin),
        leaf("URL", f"{folder}/{folders_of(document_id)}/{document_id}.xml"),
        leaf("NATURE", nature),
        *others,
    )


def document_file(root: str, *elements: str) -> bytes:
    """The file of a document."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{group(root, *elements)}\n'.encode()
