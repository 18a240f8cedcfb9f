"""What belongs here: text of Markdown with stray HTML."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.documents.markdown import markdown_text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("", ""),
        (" \n\t\r\n", ""),
        ("Un texte.", "Un texte."),
        # Markdown stays.
        (
            "## Contenu\r\n\r\n* champ ; `type`\r\n* **date**\r\n",
            "## Contenu\n\n* champ ; `type`\n* **date**",
        ),
        ("[la fiche](https://a.fr/?x=1&y=2)", "[la fiche](https://a.fr/?x=1&y=2)"),
        ("| a | b |\n| - | - |\n| 1 | 2 |", "| a | b |\n| - | - |\n| 1 | 2 |"),
        # Lines and paragraphs stay, other white space is single.
        ("un\ndeux\n\n\n\ntrois", "un\ndeux\n\ntrois"),
        ("un  \u00a0deux\t\ttrois\u2028quatre", "un deux trois\nquatre"),
        ("  * a\n      * b", "* a\n* b"),
        # HTML is read.
        (
            '<p>Voir <a href="https://a.fr">la fiche</a> &amp; l\'aide.</p>suite',
            "Voir la fiche & l'aide.\n\nsuite",
        ),
        ("<p>un</p>\n\n<p>deux</p>", "un\n\ndeux"),
        ("un<br />\ndeux<BR>trois", "un\ndeux\ntrois"),
        ("1<sup>er</sup> <b>janvier</b>\n2026", "1er janvier\n2026"),
        ("avant\n<ul>\n<li>un</li>\n<li>deux</li>\n</ul>\naprès", "avant\n\n-\tun\n-\tdeux\n\naprès"),
        (
            "<table>\n<tr>\n<th>A</th>\n<th>B</th>\n</tr>\n<tr><td>1</td>\n<td>2</td></tr>\n</table>",
            "|\tA\t|\tB\t|\n|---|---|\n|\t1\t|\t2\t|",
        ),
        ("&eacute;t&eacute;&nbsp;&lt;2026&gt;", "été <2026>"),
        ("<html>\n<head><title>Titre</title></head>\n<body>Texte</body></html>", "Titre\n\nTexte"),
        # What only looks like HTML is text.
        ("a < b et R&D", "a < b et R&D"),
        ("<https://a.fr/?a=1&copy=2> <nom@exemple.fr> <nom_du_champ>", None),
        ("<!-- note --> <script>x()</script> <style>p {}</style>", None),
        ("la balise `<p>` et ```\n<a>\n```", "la balise `<p>` et ```\n<a>\n```"),
        ("<p", None),
        ("</", None),
        ("&inconnue; &", None),
        # A quote that an attribute leaves open hides nothing.
        ('<a href="https://a.fr>la fiche</a> et la suite', "la fiche et la suite"),
        ("<a\nhref='x'>lien</a>", "lien"),
        ("a\x00b", "a b"),
    ],
)
def test_text_of_markdown(markdown, text):
    assert markdown_text(markdown) == (markdown if text is None else text)


def test_a_line_that_is_like_a_rule_of_ours_keeps_its_marks():
    assert markdown_text("| a | b |\n|---|---|\n| 1 | 2 |").splitlines()[1] == "| ---|---|"


PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<br/>",
        "<b>",
        "</b>",
        "<ul>",
        "<li>",
        "</li>",
        "</ul>",
        "<table>",
        "<tr>",
        "<td>",
        "<th>",
        "</td>",
        "</tr>",
        "</table>",
        "<div>",
        "</div>",
        '<a\xa0href="x',
        '">',
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<style>",
        "<title>",
        "</html>",
        "<body>",
        "<select>",
        "<pre>",
        "</pre>",
        "<dl>",
        "<dt>",
        "<h1>",
        "&amp;",
        "&nbsp;",
        "&eacute;",
        "&",
        "<",
        ">",
        "`",
        "```",
        "|---|",
        "*",
        "#",
        "<col>",
        "<img\xa0src='x'>",
        "<textarea>",
        "<svg>",
        "<p/>",
    ]
) | st.sampled_from(["\n", "\n\n", "\r\n", " ", "\t", "\u2028", "1.\t", "-\t"])


@given(st.lists(PIECES | st.text(max_size=3), max_size=25))
def test_no_word_is_lost_glued_or_moved_whatever_the_markup(pieces):
    # Every other piece is a word, apart from its neighbours by its own ends.
    markdown = "".join(f"{piece}a{number}z" for number, piece in enumerate(pieces))
    outside_tags = re.findall(r"a(\d+)z", re.sub(r"<[^<>]*>", "", markdown))
    held = re.findall(r"a(\d+)z", markdown_text(markdown))

    assert set(outside_tags) <= set(held)
    assert held == sorted(set(held), key=int)


@given(st.lists(st.sampled_from(["mot", "fin.", "Début", "é"]), min_size=1), st.data())
def test_white_space_between_words_stays_white_space(words, data):
    gaps = st.sampled_from([" ", "\n", "\r\n", "\n\n", "<br>", "<p>", "</p>\n<p>", "<hr/>", "\t", "\u00a0"])
    markdown = words[0] + "".join(data.draw(gaps) + word for word in words[1:])

    assert markdown_text(markdown).split() == words


@pytest.mark.parametrize("piece", ["`", "<", "<p ", " ", "\n", "&", "<p>", "```a", "<b", "<br ", "&#"])
def test_a_long_run_of_one_mark_takes_linear_time(piece):
    # Fifty thousand of them would take minutes if each looked at all that follow.
    assert isinstance(markdown_text(piece * 50_000), str)
