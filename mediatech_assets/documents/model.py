r"""The typed document that crosses every stage, and its plain text.

What belongs here: the shape of a member of an upstream file, of a parsed document and of a refused input,
and the rule that turns a document back into the upstream's own words. What does not: how any source is
parsed (see `datasets/`) or stored (see `schemas.py` and `commit.py`).

Text conventions, on which `plain_text` relies: parsers collapse every white space of the source to single
spaces and newlines, so **a tab never comes from a source**. The marks that we add carry one:

* list item: `-\titem` or `1.\titem`, nested items indented by two spaces a level;
* table row: `|\tcell\t|\tcell\t|`, the header's rule being a line `|---|---|` without tabs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Values that a metadata column can hold (dates are ISO text, JSON columns are JSON text).
MetadataValue = str | int | float | bool | list[str] | None

#: Text between two sections of a document, so that joining sections never glues two words.
SECTION_SEPARATOR = "\n\n"

_LIST_MARK = re.compile(r"^ *(?:-|\d+\.)\t", re.MULTILINE)
_TABLE_RULE = re.compile(r"^(?:\|---)+\|$\n?", re.MULTILINE)
_TABLE_ROW = re.compile(r"^\|\t.*\t\|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside an upstream file (or the upstream file itself).

    Args:
        path: Path inside the archive, without the DILA's leading stamp folder; for a single file, its name.
        data: The bytes as published.
        modified: Time written in the archive, seconds since 1970 UTC.
        source_file: Name of the raw file that holds the member.
        feed: Which feed of the dataset the raw file belongs to (`part`, `pro`); empty when there is one.
    """

    path: str
    data: bytes
    modified: float
    source_file: str
    feed: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A run of text under one heading.

    Args:
        text: Text with the conventions of this module, no leading or trailing white space.
        context: Headings above the text, outermost first, without the document's title.
        kind: What the text is (`body`, `introduction`, `definition`…), chosen by the dataset.
        attributes: Further facts of the section, such as an article's number.
    """

    text: str
    context: tuple[str, ...] = ()
    kind: str = "body"
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """One document as parsed.

    Args:
        doc_id: Identifier of the published contract.
        metadata: Values by column name: the columns of the dataset's `metadata_schema`, all present.
        sections: Non-empty sections in reading order; none for a document without text.
        source_url: Page where a person reads the source.
        source_updated_at: ISO date of the source's own last change, when it says one.
    """

    doc_id: str
    metadata: Mapping[str, MetadataValue]
    sections: tuple[Section, ...]
    source_url: str
    source_updated_at: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that cannot become a document, with the reason that the quarantine shows.

    Args:
        subject: Identifier when one could be read, else the member's path.
        reason: Why, in one sentence that a person can act on.
    """

    subject: str
    reason: str


#: What parsing one member gives: documents and refusals, in the member's order.
Outcome = Document | Refusal


def plain_text(document: Document) -> str:
    """The document's text without any mark of ours: what is compared with the source."""
    return SECTION_SEPARATOR.join(strip_marks(section.text) for section in document.sections)


def strip_marks(text: str) -> str:
    """`text` without the list and table marks that our parsers add."""
    text = _TABLE_RULE.sub("", text)
    text = _TABLE_ROW.sub(lambda row: row.group()[2:-2].replace("\t|\t", " "), text)
    return _LIST_MARK.sub("", text)
