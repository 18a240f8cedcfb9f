"""From marked-up content to text, with the conventions of `model.py`.

What belongs here: how blocks, line breaks, lists and tables become text, whatever the vocabulary of tags.
What does not: which elements of a source hold text and which headings they stand under (see `datasets/`),
and reading XML safely (see `xml.py`).

Promises, which the tests check on random trees:

* nothing is dropped but `script` and `style`: tails, captions, unknown tags and badly nested tags are kept,
  in the order of the source;
* words that a block, a line break, a list item or a table cell separates are never glued, and words are
  never split where an inline tag begins or ends;
* depth costs no recursion.
"""

import hashlib
import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from html.parser import HTMLParser

import lxml.etree as etree

from mediatech_assets.documents.model import strip_marks
from mediatech_assets.documents.xml import local_name


class Role(Enum):
    """What a tag does to the text around it."""

    INLINE = auto()
    BLOCK = auto()
    BREAK = auto()
    LIST = auto()
    ORDERED_LIST = auto()
    ITEM = auto()
    TABLE = auto()
    ROW = auto()
    CELL = auto()
    HEADER_CELL = auto()
    DROPPED = auto()


#: Tags of HTML and of the DILA's CONTENU (which is made of old HTML tags), by role.
HTML_ROLES: Mapping[str, Role] = {
    tag: role
    for role, tags in {
        Role.BLOCK: "address article aside blockquote body caption center contenu dd details dialog div dl "
        "dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend main nav "
        "option p pre section select summary tbody tfoot thead title",
        Role.INLINE: "a abbr acronym b bdi bdo big button cite code data del dfn em font i img input ins kbd "
        "label mark nobr output q rp rt ruby s samp small span strike strong sub sup time tt u var wbr",
        Role.BREAK: "br",
        Role.LIST: "ul menu dir",
        Role.ORDERED_LIST: "ol",
        Role.ITEM: "li",
        Role.TABLE: "table",
        Role.ROW: "tr",
        Role.CELL: "td",
        Role.HEADER_CELL: "th",
        Role.DROPPED: "script style",
    }.items()
    for tag in tags.split()
}

#: Entities that were escaped twice upstream (`&amp;nbsp;`) and so are still there after parsing.
_ESCAPED_TWICE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

#: Characters that JSON can carry and XML cannot: controls, lone surrogates, non-characters.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_LIKE_TABLE_RULE = re.compile(r"(?:\|---)+\|")

#: Groups of rows outside a table and of items outside a list, which stay together all the same.
_LOOSE_ROWS = object()
_LOOSE_ITEMS = object()


def element_text(element: etree._Element, vocabulary: Mapping[str, Role] = HTML_ROLES) -> str:
    """Text of an element with its structure, without the element's tail.

    Args:
        element: Root of what to write; its own tag counts.
        vocabulary: Role of each tag, in lower case and without namespace. A tag that is not in it is inline
            where text touches it and a block elsewhere.
    """
    builder = TextBuilder(vocabulary)
    builder.add(element)
    return builder.text()


def html_text(markup: str) -> str:
    """Text of a piece of HTML, whatever its faults, with its structure."""
    data = well_formed_text(markup).encode()
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True
    )
    # The wrapper gives the parser something to hold when the markup is empty or only a comment.
    root = etree.fromstring(b"<html><body><div>" + data + b"</div></body></html>", parser)
    # libxml2 gives an empty tree, without an exception, when tags are nested more than 2,048 deep.
    if any(entry.level == etree.ErrorLevels.FATAL for entry in parser.error_log):
        return _FlatHtml().text_of(well_formed_text(markup))
    return element_text(root)


def line_text(element: etree._Element, vocabulary: Mapping[str, Role] = HTML_ROLES) -> str:
    """Text of an element on one line: for titles."""
    return one_line(strip_marks(element_text(element, vocabulary)))


def one_line(text: str | None) -> str:
    """`text` with every run of white space as one space; twice escaped entities are read."""
    return " ".join(_unescape(text).split()) if text else ""


def words_sha256(published: str) -> str:
    """SHA-256 of a text's characters after NFKC, without white space: proof of which version was read.

    JSON can carry lone surrogates: they count as they are.
    """
    words = unicodedata.normalize("NFKC", published).split()
    return hashlib.sha256("".join(words).encode(errors="surrogatepass")).hexdigest()


def well_formed_text(text: str) -> str:
    """`text` without the characters that neither XML nor UTF-8 can carry: each becomes a space."""
    return _NOT_XML.sub(" ", text)


@dataclass(slots=True)
class _List:
    ordered: bool
    items: int = 0

    def next_mark(self) -> str:
        self.items += 1
        return f"{self.items}.\t" if self.ordered else "-\t"


@dataclass(slots=True)
class _Row:
    node: etree._Element
    group: object
    is_header: bool
    cell: etree._Element | None = None
    texts: list[str] = field(default_factory=list)


class TextBuilder:
    """Writes elements one after the other into one text.

    Args:
        vocabulary: Role of each tag, in lower case and without namespace.
    """

    def __init__(self, vocabulary: Mapping[str, Role] = HTML_ROLES) -> None:
        self._vocabulary = vocabulary
        self._output: list[str] = []
        self._last_group: object = None
        self._pieces: list[str] = []
        self._lines: list[str] = []
        self._lists: list[_List] = []
        self._tables: list[object] = []
        self._open_items = 0
        self._mark = ""
        self._row: _Row | None = None

    def text(self) -> str:
        """All that was added, with the conventions of `model.py`."""
        return "".join(self._output).strip()

    def add(self, element: etree._Element) -> None:
        """Adds an element as blocks of their own, without its tail."""
        self._end_block()
        walk = etree.iterwalk(element, events=("start", "end"))
        for event, node in walk:
            role = self._role(node)
            if event == "start":
                if role is Role.DROPPED:
                    walk.skip_subtree()
                else:
                    self._open(node, role)
                    self._write(node.text)
                continue
            if role is not Role.DROPPED:
                self._close(node, role)
            if node is not element:
                self._write(node.tail)
        self._end_block()

    def _role(self, node: etree._Element) -> Role:
        known = self._vocabulary.get(local_name(node).lower())
        if known is not None:
            return known
        return Role.INLINE if _touches_text(node) else Role.BLOCK

    def _write(self, text: str | None) -> None:
        if text:
            self._pieces.append(text)

    def _open(self, node: etree._Element, role: Role) -> None:
        if role is Role.INLINE:
            return
        if self._row is not None:
            self._open_in_row(self._row, node, role)
        elif role is Role.BREAK:
            self._end_line()
        else:
            self._end_block()
            self._open_block(node, role)

    def _open_block(self, node: etree._Element, role: Role) -> None:
        if role in (Role.LIST, Role.ORDERED_LIST):
            self._lists.append(_List(ordered=role is Role.ORDERED_LIST or node.get("type") == "numero"))
        elif role is Role.ITEM:
            indent = "  " * self._open_items
            self._open_items += 1
            self._mark = indent + (self._lists[-1].next_mark() if self._lists else "-\t")
        elif role is Role.TABLE:
            self._tables.append(object())
        elif role is Role.ROW:
            group = self._tables[-1] if self._tables else _LOOSE_ROWS
            self._row = _Row(node, group, is_header=_is_header(node))

    def _open_in_row(self, row: _Row, node: etree._Element, role: Role) -> None:
        """Inside a row everything is one line: nested blocks, lists and tables only separate words."""
        self._pieces.append(" ")
        if row.cell is None and role in (Role.CELL, Role.HEADER_CELL):
            self._end_stray_cell(row)
            row.cell = node

    def _close(self, node: etree._Element, role: Role) -> None:
        if role is Role.INLINE:
            return
        if self._row is not None:
            self._close_in_row(self._row, node)
            return
        if role is Role.BREAK:
            return
        self._end_block()
        if role in (Role.LIST, Role.ORDERED_LIST):
            self._lists.pop()
        elif role is Role.ITEM:
            self._open_items -= 1
            self._mark = ""
        elif role is Role.TABLE:
            self._tables.pop()

    def _close_in_row(self, row: _Row, node: etree._Element) -> None:
        self._pieces.append(" ")
        if node is row.cell:
            row.texts.append(self._take_line())
            row.cell = None
        elif node is row.node:
            self._end_stray_cell(row)
            self._row = None
            self._write_row(row)

    def _end_stray_cell(self, row: _Row) -> None:
        """Text that stands in a row beside its cells is a cell of its own."""
        text = self._take_line()
        if text:
            row.texts.append(text)

    def _write_row(self, row: _Row) -> None:
        if not any(row.texts):
            return
        is_first = self._last_group is not row.group
        self._emit("|\t" + "\t|\t".join(row.texts) + "\t|", row.group)
        if is_first and row.is_header:
            self._emit("|---" * len(row.texts) + "|", row.group)

    def _take_line(self) -> str:
        line = one_line("".join(self._pieces))
        self._pieces.clear()
        return line

    def _end_line(self) -> None:
        line = self._take_line()
        # The only line without a tab that `strip_marks` removes: it must not be taken for ours.
        self._lines.append(line.replace("|", "| ", 1) if _LIKE_TABLE_RULE.fullmatch(line) else line)

    def _end_block(self) -> None:
        self._end_line()
        lines, self._lines = self._lines, []
        if not any(lines):
            return
        if self._open_items or self._lists:
            self._emit_in_list([line for line in lines if line])
        else:
            self._emit(_paragraphs(lines), object())

    def _emit_in_list(self, lines: list[str]) -> None:
        group = self._lists[0] if self._lists else _LOOSE_ITEMS
        for line in lines:
            self._emit((self._mark or "  " * self._open_items) + line, group)
            self._mark = ""

    def _emit(self, text: str, group: object) -> None:
        if self._output:
            self._output.append("\n" if group is self._last_group else "\n\n")
        self._output.append(text)
        self._last_group = group


class _FlatHtml(HTMLParser):
    """Text of HTML that is nested too deep for a tree: words and paragraphs, no lists and no tables."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._dropped = 0

    def text_of(self, markup: str) -> str:
        self.feed(markup)
        self.close()
        lines = (one_line(line) for line in "".join(self._pieces).split("\0"))
        return "\n\n".join(line for line in lines if line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._separate(tag)
        self._dropped += HTML_ROLES.get(tag) is Role.DROPPED

    def handle_endtag(self, tag: str) -> None:
        self._separate(tag)
        if self._dropped and HTML_ROLES.get(tag) is Role.DROPPED:
            self._dropped -= 1

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self._pieces.append(data)

    def _separate(self, tag: str) -> None:
        if HTML_ROLES.get(tag) is not Role.INLINE:
            self._pieces.append("\0")


def _paragraphs(lines: list[str]) -> str:
    """Lines joined; runs of empty ones, which upstream uses as paragraph marks, become one empty line."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip("\n"))


def _touches_text(node: etree._Element) -> bool:
    previous, parent = node.getprevious(), node.getparent()
    before = previous.tail if previous is not None else parent.text if parent is not None else None
    return bool((before and before.strip()) or (node.tail and node.tail.strip()))


def _is_header(row: etree._Element) -> bool:
    if row.get("type") == "header":
        return True
    cells = [child for child in row if isinstance(child.tag, str)]
    return bool(cells) and all(local_name(cell).lower() == "th" for cell in cells)


def _unescape(text: str) -> str:
    if "&" not in text:
        return text
    return _ESCAPED_TWICE.sub(lambda entity: html.unescape(entity.group()), text)
