"""What belongs here: legislative files of DOLE: where articles begin, that nothing is lost, and the sample's."""

import io
import tarfile
import unicodedata
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.chunks.build import Chunking, document_chunks
from mediatech_assets.datasets.dole import DATASET, heading, parse, wants
from mediatech_assets.documents.model import Document, Member, Refusal, plain_text
from mediatech_assets.documents.parse import Parser, parse_shard
from mediatech_assets.sample_upstream.fixtures.dole import EXPECTED, files
from mediatech_assets.sample_upstream.hosted import SAMPLE_DAYS
from mediatech_assets_tests.tiny import count_words, word_counter

PATH = "dole/global/JORF/DOLE/00/00/00/00/00/JORFDOLE000000000001.xml"
ID = "<ID>JORFDOLE000000000001</ID>"


def outcome_of(data: bytes) -> Document | Refusal:
    (outcome,) = parse(Member(PATH, data, 0.0, "archive.tar.gz"))
    return outcome


def xml(content: str, facts: str = "<TITRE>Les moulins</TITRE>") -> bytes:
    return (
        f"<DOSSIER_LEGISLATIF>\n<META>\n<META_COMMUN>\n{ID}\n</META_COMMUN>\n<META_DOSSIER_LEGISLATIF>\n{facts}\n"
        f"</META_DOSSIER_LEGISLATIF>\n</META>\n<CONTENU>\n{content}\n</CONTENU>\n</DOSSIER_LEGISLATIF>"
    ).encode()


def dossier(content: str, facts: str = "<TITRE>Les moulins</TITRE>") -> Document:
    outcome = outcome_of(xml(content, facts))
    assert isinstance(outcome, Document)
    return outcome


def paragraphs(*texts: str) -> str:
    return "\n".join(f"<p>{escape(text)}</p>" for text in texts)


def articles(tag: str, *texts: str) -> list[tuple[str, str, str]]:
    """Number, title and text of each section of an element that holds these paragraphs."""
    document = dossier(f"<{tag}>{paragraphs(*texts)}</{tag}>")
    return [
        (part.attributes.get("article_number", ""), part.attributes.get("article_title", ""), part.text)
        for part in document.sections
    ]


def squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.parametrize(
    ("line", "number", "title"),
    [
        ("Article 1er", "1", ""),
        ("Article 1 er", "1", ""),
        ("ARTICLE 1ER", "1", ""),
        ("Article premier", "1", ""),
        ("Article 2", "2", ""),
        ("Article\u00a02", "2", ""),
        ("Article 12.", "12", ""),
        ("Article unique", "unique", ""),
        ("Article Unique", "unique", ""),
        ("Article liminaire", "liminaire", ""),
        ("Articles 3 et 4", "3 et 4", ""),
        ("Articles 1er à 3", "1 à 3", ""),
        ("Articles 2, 3 et 4 bis", "2, 3 et 4 bis", ""),
        ("Article 5 bis A", "5 bis A", ""),
        ("Article 5 quinquies (nouveau)", "5 quinquies", ""),
        ("Article 1er A (Supprimé)", "1 A", ""),
        ("Article 2 : De la protection des berges", "2", "De la protection des berges"),
        ("Article 3 – Les vannes", "3", "Les vannes"),
        ("Article 3. - Les vannes", "3", "Les vannes"),
        ("Article 4 (nouveau) : Les roues", "4", "Les roues"),
        ("Article 6 :", "6", ""),
        ("Article 7. – Le meunier lève la vanne.", "7", ""),
        ("Article 8 : " + "la vanne " * 40, "8", ""),
    ],
)
def test_a_line_that_begins_an_article(line, number, title):
    for tag in ("EXPOSE_MOTIF", "CONTENU_DOSSIER_1", "CONTENU_DOSSIER_5"):
        assert articles(tag, "Avant.", line, "Après.") == [
            ("", "", "Avant."),
            (number, title, f"{' '.join(line.split())}\n\nAprès."),
        ]


@pytest.mark.parametrize(
    "line",
    [
        "L'article 2 est abrogé.",
        "L’article 2",
        "« Article 2",
        "« Art. L. 1. – Le meunier…",
        "Article 2 du code des moulins",
        "Article 2-1",
        "Article L. 2",
        "Article R*12-3",
        "Article",
        "Articles",
        "Article 2 et le meunier",
        "Articlé 2",
        "Article 2.3",
        "Voir : Article 2",
        "2. Article",
    ],
)
def test_a_line_that_begins_no_article(line):
    assert articles("CONTENU_DOSSIER_1", "Avant.", line) == [("", "", f"Avant.\n\n{line}")]


@pytest.mark.parametrize("end", ["<sup>er</sup>", "<i>er</i>", "er"])
@pytest.mark.parametrize("mark", ["<p>{}</p>", "<center>{}</center>", "<p><b>{}</b></p>", "<p>{}<br/></p>"])
def test_the_markup_of_a_heading_does_not_matter(end, mark):
    document = dossier(f"<EXPOSE_MOTIF>\n{mark.format(f'Article 1{end}')}\n<p>Il tourne.</p></EXPOSE_MOTIF>")

    (article,) = document.sections
    assert article.attributes["article_number"] == "1"
    assert article.attributes["article_synthesis"] == "Il tourne."


def test_a_heading_may_be_a_line_of_a_paragraph():
    document = dossier("<CONTENU_DOSSIER_1><p>Avant.<br/>Article 2<br/>Il tourne.</p></CONTENU_DOSSIER_1>")

    assert [part.text for part in document.sections] == ["Avant.", "Article 2\nIl tourne."]


@pytest.mark.parametrize(
    "division",
    [
        "TITRE Ier",
        "Titre II : Des vannes",
        "TITRE II BIS – DES VANNES",
        "CHAPITRE 3",
        "Section 1",
        "Sous-section 2",
        "Livre IV",
        "Première partie",
        "Annexe",
        "ANNEXE A",
        "Annexes",
    ],
)
def test_a_division_ends_an_article_and_opens_the_next(division):
    assert articles("CONTENU_DOSSIER_1", "Article 1er", "Il tourne.", division, "DES ROUES", "Article 2") == [
        ("1", "", "Article 1er\n\nIl tourne."),
        ("2", "", f"{division}\n\nDES ROUES\n\nArticle 2"),
    ]


def test_divisions_in_divisions_open_the_article_together():
    assert articles("EXPOSE_MOTIF", "Titre Ier", "Les moulins", "Chapitre Ier", "Les roues", "Article 2") == [
        ("2", "", "Titre Ier\n\nLes moulins\n\nChapitre Ier\n\nLes roues\n\nArticle 2"),
    ]


def test_a_division_that_says_something_is_a_section_of_its_own():
    assert articles("EXPOSE_MOTIF", "Article 1er", "Titre II", "Ce titre porte sur l'eau.", "Article 2") == [
        ("1", "", "Article 1er"),
        ("", "", "Titre II\n\nCe titre porte sur l'eau."),
        ("2", "", "Article 2"),
    ]


def test_a_word_like_titre_in_a_sentence_is_no_division():
    line = "Titre de séjour : le meunier en a un."

    assert articles("EXPOSE_MOTIF", "Article 1er", line) == [("1", "", f"Article 1er\n\n{line}")]


@pytest.mark.parametrize(
    ("texts", "synthesis"),
    [
        (
            ("Article 2", "L’article 2 vise à lever la vanne.", "Il coûte peu."),
            "L’article 2 vise à lever la vanne.",
        ),
        (("Article 2", "Lever la vanne", "L’article 2 la lève."), "L’article 2 la lève."),
        (("Article 2. – L’article 2 lève la vanne.", "Il coûte peu."), "L’article 2 lève la vanne."),
        (("Article 2 : La vanne", "Il la lève"), "Il la lève"),
        (("Article 2",), ""),
    ],
)
def test_the_synthesis_is_what_the_memorandum_says_first(texts, synthesis):
    for tag, expected in (("EXPOSE_MOTIF", synthesis), ("CONTENU_DOSSIER_1", "")):
        (article,) = dossier(f"<{tag}>{paragraphs(*texts)}</{tag}>").sections
        assert article.attributes["article_synthesis"] == expected


@pytest.mark.parametrize("tag", ["EXPOSE_MOTIF", "CONTENU_DOSSIER_2"])
def test_bare_text_is_kept_with_its_lines(tag):
    document = dossier(
        f"<{tag}>Les moulins\ntournent.\n\n Fin du début.\nArticle 1er\nUne vanne\t&amp; une roue.\n</{tag}>"
    )

    assert [part.text for part in document.sections] == [
        "Les moulins\ntournent.\n\nFin du début.",
        "Article 1er\nUne vanne & une roue.",
    ]


@pytest.mark.parametrize(
    "content", ["", "<EXPOSE_MOTIF/>", "<EXPOSE_MOTIF>\n<p>\n<br/>\n</p>\n</EXPOSE_MOTIF>"]
)
def test_a_file_without_text_is_a_document_without_sections(content):
    assert dossier(content).sections == ()


def test_a_file_without_content_or_facts_is_kept():
    outcome = outcome_of(
        f"<DOSSIER_LEGISLATIF><META><META_COMMUN>{ID}</META_COMMUN></META></DOSSIER_LEGISLATIF>".encode()
    )

    assert isinstance(outcome, Document)
    assert heading(outcome.metadata) == []
    assert set(outcome.metadata) == set(DATASET.metadata_schema.names)


def test_what_the_fund_may_add_is_text():
    document = dossier(
        "<TEXTE_ADOPTE>\n<p>Adopté.</p>\n</TEXTE_ADOPTE>\n<CONTENU_DOSSIER_6>Six.</CONTENU_DOSSIER_6>\nSeul."
    )

    assert [part.text for part in document.sections] == ["Adopté.", "Six.", "Seul."]
    assert {part.attributes["content_type"] for part in document.sections} == {"dossier_content"}


def test_a_label_that_repeats_the_title_is_no_context():
    content = (
        "<LIBELLE_TEXTE_1>LES MOULINS</LIBELLE_TEXTE_1>\n<LIBELLE_TEXTE_2>Loi</LIBELLE_TEXTE_2>\n"
        "<CONTENU_DOSSIER_1>Un.</CONTENU_DOSSIER_1>\n<CONTENU_DOSSIER_2>Deux.</CONTENU_DOSSIER_2>"
    )

    assert [(part.context, part.text) for part in dossier(content).sections] == [
        ((), "Un."),
        (("Loi",), "Deux."),
    ]


@pytest.mark.parametrize(
    ("modified", "updated"),
    [
        ("2025-07-14", "2025-07-14"),
        ("2999-01-01", None),
        ("2222-02-22", None),
        ("14/07/2025", None),
        ("2025-W29-1", None),
        ("20250714", None),
        ("2025-02-30", None),
        ("", None),
    ],
)
def test_the_date_of_the_source_is_a_known_iso_date(modified, updated):
    document = dossier("", f"<DATE_DERNIERE_MODIFICATION>{modified}</DATE_DERNIERE_MODIFICATION>")

    assert document.metadata["modification_date"] == modified
    assert document.source_updated_at == updated


LINES = st.sampled_from(
    [
        "Article 1er",
        "Article 2 : La vanne",
        "Article 2. – Elle se lève.",
        "TITRE II",
        "Des roues",
        "L’article 2 vise la vanne.",
        "« Art. L. 1",
        "|---|---|",
        "1° L'eau ;",
        "a&b < c",
    ]
)
BLOCKS = st.lists(
    st.tuples(
        st.sampled_from(
            ["<p>{}</p>", "{}<br/>", "<ul><li>{}</li></ul>", "<table><tr><td>{}</td></tr></table>", "{}\n"]
        ),
        LINES.map(escape),
    ).map(lambda pair: pair[0].format(pair[1])),
    max_size=12,
).map("\n".join)


@given(BLOCKS, BLOCKS, BLOCKS)
def test_no_word_is_lost_repeated_or_moved(memorandum, first, third):
    document = dossier(
        f"<CONTENU_DOSSIER_3>{third}</CONTENU_DOSSIER_3>\n<CONTENU_DOSSIER_1>{first}</CONTENU_DOSSIER_1>\n"
        f"<EXPOSE_MOTIF>{memorandum}</EXPOSE_MOTIF>"
    )
    source = "".join((memorandum, first, third))
    for tag in ("p", "br/", "ul", "li", "table", "tr", "td"):
        source = source.replace(f"<{tag}>", " ").replace(f"</{tag}>", " ")
    words = source.replace("&lt;", "<").replace("&amp;", "&")

    # The only line without a tab that is ours must not look like one of theirs: see `documents/markup.py`.
    assert squeezed(plain_text(document)) == squeezed(words)
    assert all(part.text == part.text.strip() != "" for part in document.sections)
    assert all(set(part.attributes) <= set(DATASET.section_columns.names) for part in document.sections)


def test_chunk_ids_are_unique_over_the_whole_file():
    texts = [text for n in range(1, 6) for text in (f"Article {n}", f"Le moulin {n} tourne. " * 9)]
    body = paragraphs(*texts)
    data = xml(f"<EXPOSE_MOTIF>{body}</EXPOSE_MOTIF><CONTENU_DOSSIER_1>{body}</CONTENU_DOSSIER_1>")
    parser = Parser(parse, DATASET.merge, "1", DATASET.metadata_schema)
    (row,) = parse_shard(parser, [[Member(PATH, data, 0.0, "archive.tar.gz")]]).rows.to_pylist()

    chunks = list(document_chunks(row, Chunking("words", 20, "", word_counter, heading, ()), count_words))  # type: ignore[arg-type]

    assert len(chunks) > 10
    assert [chunk["chunk_id"] for chunk in chunks] == [
        f"JORFDOLE000000000001_{n}" for n in range(1, len(chunks) + 1)
    ]
    numbers = {dict(chunk["attributes"])["article_number"] for chunk in chunks}  # type: ignore[arg-type]
    assert numbers == {"1", "2", "3", "4", "5"}
    assert squeezed("".join(str(chunk["text"]) for chunk in chunks)) == squeezed("".join(texts) * 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        xml("")[:200],
        b"<ARTICLE><ID>JORFDOLE000000000001</ID></ARTICLE>",
        xml("").replace(ID.encode(), b""),
        xml("").replace(b"JORFDOLE000000000001", b"JORFTEXT000000000001"),
        xml("").replace(b"JORFDOLE000000000001", b"JORFDOLE00000000001"),
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + xml("&a;"),
    ],
)
def test_refusals_name_the_member(data):
    refusal = outcome_of(data)

    assert isinstance(refusal, Refusal)
    assert refusal.subject == PATH


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (PATH, True),
        ("JORFDOLE000000000001.xml", True),
        ("dole/global/JORF/DOLE/JORFTEXT000000000001.xml", False),
        ("dole/global/JORF/DOLE/JORFDOLE000000000001.xml.bak", False),
        ("liste_suppression_dole.dat", False),
    ],
)
def test_only_files_of_the_fund_are_wanted(path, wanted):
    assert wants(path) is wanted


@given(st.integers(0, 900), st.binary(max_size=8))
def test_damaged_files_never_raise(position, noise):
    data = xml(f"<EXPOSE_MOTIF>{paragraphs('Article 1er', 'Il tourne.')}</EXPOSE_MOTIF>")

    assert isinstance(outcome_of(data[:position] + noise + data[position + len(noise) :]), Document | Refusal)


@pytest.mark.parametrize("day", SAMPLE_DAYS)
def test_the_sample_folds_to_the_expected_files(day):
    state = fold_sample(day)

    assert state.keys() == EXPECTED[day]
    assert [id_ for id_, document in state.items() if not document.sections] == ["JORFDOLE000099000005"]
    fines = " ".join(part.text for part in state["JORFDOLE000099000004"].sections)
    assert ("1 500 euros" in fines) is (day >= 1)


def test_the_sample_shows_every_content_type():
    types = {part.attributes["content_type"] for file in fold_sample(0).values() for part in file.sections}

    assert types == {"explanatory_memorandum", "article", "dossier_content"}


def fold_sample(day: int) -> dict[str, Document]:
    """The sample's folder on `day`, applied by hand: suppressions first, then deliveries."""
    archives = sorted((file.modified, file.data) for file in files(day) if file.path.endswith(".tar.gz"))
    state: dict[str, Document] = {}
    for _, data in archives:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = {item.name: archive.extractfile(item).read() for item in archive if item.isfile()}  # type: ignore[union-attr]
        for name, content in members.items():
            if "liste_suppression" in name:
                for line in content.decode().split():
                    state.pop(line.rpartition("/")[2])
        for name, content in members.items():
            if wants(name):
                (document,) = parse(Member(name, content, 0.0, "sample"))
                assert isinstance(document, Document), document
                state[document.doc_id] = document
    return state
