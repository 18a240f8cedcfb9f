"""What belongs here: the text that markup becomes, and the promises of `markup.py` on random trees."""

from xml.sax.saxutils import escape

import lxml.etree as etree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.documents.markup import element_text, html_text, one_line
from mediatech_assets.documents.model import strip_marks
from mediatech_assets.documents.xml import parse_xml


def text_of(content: str) -> str:
    return element_text(parse_xml(f"<CONTENU>{content}</CONTENU>".encode()))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<p>Un.</p><p>Deux.</p>", "Un.\n\nDeux."),
        ("<p>\n<br/>fin.<br/>Début</p>", "fin.\nDébut"),
        ("Un.<br/><br/>\n<br/>Deux.", "Un.\n\nDeux."),
        ("1<sup>er</sup> mai, <a href='x'>L. 1</a><font>-2</font>", "1er mai, L. 1-2"),
        ("<p> espaces \u00a0\u202f\n de  toute\tsorte </p>", "espaces de toute sorte"),
        ("a&amp;nbsp;b&amp;eacute; &amp;inconnu; R&amp;D", "a bé &inconnu; R&D"),
        ("avant<div>dedans</div>après", "avant\n\ndedans\n\naprès"),
        ("x<script>non</script>y<style>non</style>z", "xyz"),
        ("<p>ﬁn m² ½</p>", "ﬁn m² ½"),
        (
            "<ul><li>un</li><li>deux<ul><li>trois</li></ul>quatre</li></ul>",
            "-\tun\n-\tdeux\n  -\ttrois\n  quatre",
        ),
        ("<ol><li>un</li><li>\n</li><li>deux</li></ol>", "1.\tun\n3.\tdeux"),
        ("<p>Liste :</p><li>un</li><li>deux</li><p>Fin</p>", "Liste :\n\n-\tun\n-\tdeux\n\nFin"),
        ("<li><p>un</p><p>deux</p></li>", "-\tun\n  deux"),
        (
            "<table><caption>Titre</caption><tr><th>a</th><th>b</th></tr>"
            "<tr><td rowspan='9'><p>1</p><p>2</p></td><td/></tr><tr><td> </td></tr></table>",
            "Titre\n\n|\ta\t|\tb\t|\n|---|---|\n|\t1 2\t|\t\t|",
        ),
        (
            "<table><tr><td>a<table><tr><td>b</td><td>c<ul><li>d</li></ul></td></tr></table>e</td></tr></table>",
            "|\ta b c d e\t|",
        ),
        ("<table>hors<tr>perdu<td>a</td>fin</tr>après</table>", "hors\n\n|\tperdu\t|\ta\t|\tfin\t|\n\naprès"),
        ("<li><table><tr><td>a</td></tr></table>b</li>", "|\ta\t|\n\n-\tb"),
        ("mot <inconnu>a</inconnu>ttaché", "mot attaché"),
        ("<inconnu>un</inconnu>\n<inconnu>deux</inconnu>", "un\n\ndeux"),
        ("<td>seule</td>", "seule"),
        ("", ""),
        ("<p/><br/>\n<ul><li/></ul><table><tr><td/></tr></table>", ""),
    ],
)
def test_conventions(content, text):
    assert text_of(content) == text


def test_a_source_line_like_our_table_rule_survives():
    assert strip_marks(text_of("<p>|---|---|</p>")).replace(" ", "") == "|---|---|"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Un<p>Deux <b>trois", "Un\n\nDeux trois"),
        ("a &amp; b &lt; c &nbsp;&eacute;", "a & b < c é"),
        ("texte nu", "texte nu"),
        ("<!-- rien -->", ""),
        ("", ""),
        ("a\x00b\x1bc\ud800d", "a b c d"),
        ('<?xml version="1.0" encoding="utf-16"?><p>é</p>', "é"),
        ("<div>" * 30_000 + "fond<script>non</script>" + "</div>" * 30_000 + "<b>f</b>in", "fond\n\nfin"),
    ],
)
def test_html(markup, text):
    assert html_text(markup) == text


def test_titles_are_one_line():
    assert one_line(" Livre Ier :\n\u00a0Les&nbsp;roues ") == "Livre Ier : Les roues"
    assert one_line(None) == ""


BLOCK_TAGS = ("p", "div", "ul", "ol", "li", "table", "tr", "td", "th", "center", "blockquote", "h2", "tbody")
INLINE_TAGS = ("a", "b", "sup", "font")
WORDS = st.text("abcé0.|&<>\u0301²", min_size=1, max_size=4)


@st.composite
def trees(draw, depth=4):
    """A random tree, as markup in which every text node is one word."""
    tag = draw(st.sampled_from((*BLOCK_TAGS, *INLINE_TAGS, "inconnu")))
    parts = [escape(draw(WORDS)) if draw(st.booleans()) else ""]
    for _ in range(draw(st.integers(0, 3)) if depth else 0):
        parts.append(draw(trees(depth=depth - 1)))
        parts.append(escape(draw(WORDS)) if draw(st.booleans()) else "")
    return f"<{tag}>{''.join(parts)}</{tag}>"


def words_expected(root: etree._Element) -> list[str]:
    """Words of a tree, cut at each boundary of a block and nowhere else."""
    pieces: list[str] = []
    for event, node in etree.iterwalk(root, events=("start", "end")):
        is_cut = node.tag in BLOCK_TAGS or node is root
        if event == "start":
            pieces += [" " if is_cut else "", node.text or ""]
        else:
            pieces += [" " if is_cut else "", node.tail or ""]
    return "".join(pieces).split()


@given(trees())
def test_no_word_is_lost_glued_split_or_moved(markup):
    root = parse_xml(f"<CONTENU>{markup.replace('inconnu', 'span')}</CONTENU>".encode())

    assert strip_marks(element_text(root)).split() == words_expected(root)


@given(trees())
def test_unknown_tags_lose_nothing(markup):
    root = parse_xml(f"<CONTENU>{markup}</CONTENU>".encode())

    assert "".join(strip_marks(element_text(root)).split()) == "".join("".join(root.itertext()).split())


@given(trees())
def test_text_is_trimmed_and_tabs_are_only_ours(markup):
    text = element_text(parse_xml(f"<CONTENU>{markup}</CONTENU>".encode()))

    assert text == text.strip()
    assert "\t" not in strip_marks(text)
    assert "\n\n\n" not in text


@given(st.text(max_size=80))
def test_any_text_is_html(markup):
    assert isinstance(html_text(markup), str)
    html_text(markup).encode()
