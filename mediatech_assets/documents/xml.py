"""Reading XML that others wrote, safely.

What belongs here: the one place that turns bytes into an lxml tree, and what it refuses. What does not: the
meaning of any element (see `markup.py` for content, `datasets/` for sources).
"""

import lxml.etree as etree


class UnreadableXml(ValueError):
    """Bytes that are not an XML document that we accept; the message says why in one sentence."""


def parse_xml(data: bytes) -> etree._Element:
    """Root element of `data`, without comments and processing instructions.

    Nothing outside `data` is ever read, and entities are never expanded: a document that declares one is
    refused, whatever it would stand for, because the upstreams never declare any (their schemas do not use
    them) and both entity bombs and external entities start with a declaration.

    Args:
        data: A whole XML document, in the encoding that it declares (UTF-8 by default).

    Raises:
        UnreadableXml: `data` is empty, truncated, malformed, too deep, wrongly encoded or declares entities.
    """
    try:
        root = etree.fromstring(data, _new_parser())
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise UnreadableXml(f"not well-formed XML: {_first_line(error)}") from None
    if root is None:
        raise UnreadableXml("not well-formed XML: the document is empty")
    _refuse_entities(root)
    return root


def local_name(element: etree._Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _new_parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _refuse_entities(root: etree._Element) -> None:
    declarations = root.getroottree().docinfo.internalDTD
    if declarations is not None and next(declarations.iterentities(), None) is not None:
        raise UnreadableXml("the document declares XML entities, which are refused")
    # A reference may stay unresolved without any declaration when an external DTD is named.
    unresolved = next(root.iter(etree.Entity), None)
    if unresolved is not None:
        raise UnreadableXml(f"the entity {unresolved.text} is not defined in the document")


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
