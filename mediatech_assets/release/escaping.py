"""Texts of third parties inside pages: they show as they are, and do nothing.

What belongs here: what HTML and Markdown need so that a text stays a text, and links that may be followed. What
does not: any page.

A reviewer must see what is there: letters that cannot be seen, or that turn the order of what follows, are named.
"""

import re
from html import escape
from urllib.parse import urlsplit

#: Control characters but tab and newline, marks of writing direction, blanks of no width.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\u061c\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
#: What Markdown or HTML would read as a mark.
_MARKS = frozenset("\\|`*_<>[]#&~")
_LONGEST_LINK = 2_000


def html_text(value: object) -> str:
    """The text for an element or an attribute between double quotes."""
    return escape(_seen(str(value)))


def markdown_text(value: object) -> str:
    """The text for one cell or line of Markdown."""
    flat = " ".join(_seen(str(value)).split())
    return "".join(f"\\{letter}" if letter in _MARKS else letter for letter in flat)


def is_web_address(url: str) -> bool:
    """Whether a link to it may be offered: an ordinary address of the web."""
    if len(url) > _LONGEST_LINK or _UNSEEN.search(url) or any(letter.isspace() for letter in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def shortened(text: str, letters: int) -> str:
    """The text in one line of at most so many letters."""
    line = " ".join(text.split())
    return line if len(line) <= letters else f"{line[: letters - 1]}…"


def _seen(text: str) -> str:
    return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)
