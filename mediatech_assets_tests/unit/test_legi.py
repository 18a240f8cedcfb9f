"""What belongs here: articles of LEGI, on a hand-written one in the fund's dialect and its variations."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.datasets.legi import DATASET, heading, parse, release_table, wants
from mediatech_assets.documents.model import Document, Member, Refusal, plain_text
from mediatech_assets.release.table_rule import ReleaseTable

ARTICLE = (Path(__file__).parents[1] / "fixtures/legi/LEGIARTI000000000001.xml").read_bytes()
PATH = "legi/global/code_et_TNC_en_vigueur/x/article/LEGI/ARTI/00/00/LEGIARTI000000000001.xml"


def outcome_of(data: bytes) -> Document | Refusal:
    (outcome,) = parse(Member(PATH, data, 0.0, "archive.tar.gz"))
    return outcome


def article(*changes: tuple[str, str]) -> Document:
    text = ARTICLE.decode()
    for before, after in changes:
        assert re.search(before, text, flags=re.DOTALL)
        text = re.sub(before, after, text, flags=re.DOTALL)
    outcome = outcome_of(text.encode())
    assert isinstance(outcome, Document)
    return outcome


def test_metadata_of_an_article():
    document = article()

    assert document.doc_id == "LEGIARTI000000000001"
    assert set(document.metadata) == set(DATASET.metadata_schema.names)
    assert {name: document.metadata[name] for name in document.metadata if name not in ("links", "nota")} == {
        "nature": "Article",
        "category": "CODE",
        "ministry": "Ministère des moulins",
        "status": "VIGUEUR",
        "title": "Code des moulins et étangs",
        "full_title": "Code des moulins et des étangs",
        "subtitles": "Partie réglementaire > Livre Ier : Les roues et les vannes",
        "number": "R*12-3",
        "start_date": "2015-01-01",
        "end_date": "2999-01-01",
        "text_cid": "LEGITEXT000000000010",
        "text_id": "LEGITEXT000000000011",
    }
    assert heading(document.metadata) == [
        "Code des moulins et des étangs - Article R*12-3",
        "Partie réglementaire > Livre Ier : Les roues et les vannes",
    ]
    assert document.source_url == "https://www.legifrance.gouv.fr/codes/article_lc/LEGIARTI000000000001"


def test_text_keeps_its_structure_and_every_word():
    document = article()

    (section,) = document.sections
    assert section.text == (
        "Le meunier lève la vanne.\nIl la baisse le 1er mai.\n\nLes droits sont :\n\n"
        "-\tla mouture ;\n-\tl'eau,\n  en saison.\n\n"
        "|\tGrain\t|\tPrix\t|\n|---|---|\n|\tBlé tendre\t|\t2 €\t|\n\nFin du texte."
    )
    assert (section.kind, dict(section.attributes)) == ("article", {"number": "R*12-3"})
    assert " ".join(plain_text(document).split()) == (
        "Le meunier lève la vanne. Il la baisse le 1er mai. Les droits sont : la mouture ; l'eau, en saison. "
        "Grain Prix Blé tendre 2 € Fin du texte."
    )


def test_nota_is_whole():
    assert article().metadata["nota"] == "Nota : le moulin tourne.\n\nIl s'arrête la nuit."


@pytest.mark.parametrize(
    "nota",
    [
        "",
        "<NOTA/>",
        "<NOTA><CONTENU/></NOTA>",
        '<NOTA><CONTENU><p>\n</p><p><br clear="none"/></p></CONTENU></NOTA>',
    ],
)
def test_nota_of_markup_only_is_empty(nota):
    assert article((r"<NOTA>.*</NOTA>", nota)).metadata["nota"] == ""


def test_links_keep_their_attributes_in_a_stable_order():
    (link,) = json.loads(str(article().metadata["links"]))

    assert list(link)[:2] == ["cidtexte", "datesignatexte"]
    assert link["text"] == "Loi n°50-1 du 1er janvier 1950"
    assert article((r"<LIENS>.*</LIENS>", "<LIENS/>")).metadata["links"] == "[]"


@pytest.mark.parametrize(
    ("start", "title"),
    [
        ("1990-01-01", "Code des moulins"),
        ("2009-12-31", "Code des moulins"),
        ("2010-01-01", "Code des moulins et étangs"),
        ("2222-02-22", "Code des moulins et étangs"),
        ("2999-01-01", "Code des moulins et étangs"),
        ("", "Code des moulins et étangs"),
        ("1900-01-01", "Code des moulins"),
    ],
)
def test_the_title_is_the_one_in_force_when_the_article_begins(start, title):
    document = article(("<DATE_DEBUT>2015-01-01", f"<DATE_DEBUT>{start}"))

    assert document.metadata["title"] == title
    assert document.metadata["start_date"] == start


def test_an_ended_title_gives_way_to_the_newest_before():
    document = article(('debut="2010-01-01" fin="2999-01-01"', 'debut="2010-01-01" fin="2012-01-01"'))

    assert document.metadata["title"] == "Code des moulins et étangs"


def test_titles_of_sections_follow_the_same_rule():
    document = article(("<DATE_DEBUT>2015-01-01", "<DATE_DEBUT>2000-01-01"))

    assert document.metadata["subtitles"] == "Partie réglementaire > Livre Ier : Les roues"


def test_an_article_that_ends_before_it_begins_is_kept():
    document = article(
        ("<ETAT>VIGUEUR", "<ETAT>MODIFIE_MORT_NE"), ("<DATE_FIN>2999-01-01", "<DATE_FIN>2014-01-01")
    )

    assert (document.metadata["start_date"], document.metadata["end_date"]) == ("2015-01-01", "2014-01-01")


@pytest.mark.parametrize("state", ["", "<ETAT/>"])
def test_an_absent_state_is_empty(state):
    assert article(("<ETAT>VIGUEUR</ETAT>", state)).metadata["status"] == ""


@pytest.mark.parametrize("block", ["", "<BLOC_TEXTUEL/>", "<BLOC_TEXTUEL><CONTENU/></BLOC_TEXTUEL>"])
def test_no_text_makes_no_section(block):
    assert article((r"<BLOC_TEXTUEL>.*</BLOC_TEXTUEL>", block)).sections == ()


def test_an_article_without_context_is_kept():
    document = article((r"<CONTEXTE>.*</CONTEXTE>", ""))

    assert release_table(document.metadata).name == "legi_uncategorized"
    assert heading(document.metadata) == ["Article R*12-3"]
    assert document.source_url.startswith("https://www.legifrance.gouv.fr/loda/article_lc/")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ARTICLE[:900],
        b"<SECTION_TA><ID>LEGISCTA000000000001</ID></SECTION_TA>",
        ARTICLE.replace(b"<ID>LEGIARTI000000000001</ID>", b""),
        ARTICLE.replace(b"<ID>LEGIARTI000000000001</ID>", b"<ID>JORFARTI000000000001</ID>"),
        ARTICLE.replace(b"<ID>LEGIARTI000000000001</ID>", b"<ID>LEGIARTI00000000000</ID>"),
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
        ("legi/global/x/section_ta/LEGI/SCTA/00/LEGISCTA000000000001.xml", False),
        ("legi/global/x/texte/version/LEGITEXT000000000010.xml", False),
        ("legi/global/x/article/JORF/ARTI/00/JORFARTI000000000001.xml", False),
        ("liste_suppression_legi.dat", False),
    ],
)
def test_only_articles_are_wanted(path, wanted):
    assert wants(path) is wanted


LONG = "Code général des établissements de meunerie, de brasserie et de distillation réunies"


@pytest.mark.parametrize(
    ("category", "title", "identity", "table"),
    [
        ("CODE", "Code du travail", "LEGITEXT1", "legi_code_du_travail"),
        ("CODE", "Code de l'œuvre à l'Étang", "LEGITEXT1", "legi_code_de_l_oeuvre_a_l_etang"),
        ("CODE", "", "LEGITEXT1", "legi_code"),
        ("LOI", "LOI n° 1", "legi_loi", "legi_loi"),
        ("DECRET_LOI", "", "legi_decret_loi", "legi_decret_loi"),
        ("", "Code du travail", "legi_uncategorized", "legi_uncategorized"),
    ],
)
def test_release_tables(category, title, identity, table):
    metadata = {"category": category, "title": title, "full_title": "", "text_cid": "LEGITEXT1"}

    assert release_table(metadata) == ReleaseTable(identity, table)


def test_a_code_without_identifier_is_its_name():
    metadata = {"category": "CODE", "title": "Code rural", "full_title": "", "text_cid": ""}

    assert release_table(metadata) == ReleaseTable("legi_code_rural", "legi_code_rural")


@given(st.integers(0, len(ARTICLE)), st.binary(max_size=8))
def test_damaged_articles_never_raise(position, noise):
    outcome = outcome_of(ARTICLE[:position] + noise + ARTICLE[position + len(noise) :])

    assert isinstance(outcome, Document | Refusal)
