"""From Markdown with stray HTML, as people type it into a form, to text.

What belongs here: telling the HTML of such a text from what only looks like it. What does not: how HTML becomes
text (`markup.py`).

Markdown stays as it was typed: it is text already, and its marks say what its lines are. Of its white space,
lines and paragraphs are kept. Tags and entities of HTML are read as everywhere else; the attributes of a tag
are no text. Whatever else has angle brackets stays as typed: `<https://…>`, `<nom_de_champ>`, `a < b`, a comment,
a script, and tags between back quotes.
"""

import re
from html import escape

from mediatech_assets.documents.markup import HTML_ROLES, Role, html_text

#: Tags that have a place in HTML only once: what they hold is a block like others.
_ONCE = {"html", "head", "body", "title"}
_TAGS = {tag for tag, role in HTML_ROLES.items() if role is not Role.DROPPED}
_BLOCK_TAGS = {tag for tag in _TAGS if HTML_ROLES[tag] not in (Role.INLINE, Role.BREAK)}

_PARTS = re.compile(
    rf"""
    (?P<code> ```[^`]+``` | ``[^`\n]+`` | `[^`\n]+` )
    | (?P<break> </?br \s* /? > [ \t]* (?: \r\n | [\r\n] )? )
    | < (?P<slash> /? ) (?P<tag> {"|".join(sorted(_TAGS))} ) (?: [\s/] [^<>]* )? >
    | (?P<entity> & (?: \#[0-9]{{1,7}} | \#[xX][0-9a-fA-F]{{1,6}} | [A-Za-z][A-Za-z0-9]{{1,31}} ) ; )
    | (?P<spaces> \s+ )
    | [<&]
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BLOCK_TAG = re.compile(rf"</?(?:{'|'.join(sorted(_BLOCK_TAGS))})[\s/>]", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|[\r\n\v\f\x85\u2028\u2029]")


def markdown_text(markdown: str) -> str:
    """Text of a piece of Markdown, whatever HTML it has, with its lines and paragraphs."""
    pieces: list[str] = []
    at, behind_block = 0, True
    for part in _PARTS.finditer(markdown):
        if part.start() > at:
            pieces.append(markdown[at : part.start()])
            behind_block = False
        at = part.end()
        if part["spaces"]:
            # White space between blocks only lays out the HTML.
            is_layout = behind_block or _BLOCK_TAG.match(markdown, at)
            pieces.append(" " if is_layout else _lines(part["spaces"]))
        else:
            pieces.append(_markup(part))
            behind_block = (part["tag"] or "").lower() in _BLOCK_TAGS
    pieces.append(markdown[at:])
    return html_text("".join(pieces))


def _markup(part: re.Match[str]) -> str:
    """HTML that is read as `part` is meant."""
    if part["break"]:
        return "<br>"
    if part["tag"]:
        # Without its attributes: a quote that one of them leaves open would hide what follows.
        name = part["tag"].lower()
        return f"<{part['slash']}{'div' if name in _ONCE else name}>"
    if part["entity"]:
        return part["entity"]
    return _lines(escape(part.group(), quote=False))


def _lines(text: str) -> str:
    return _LINE_END.sub("<br>", text)
