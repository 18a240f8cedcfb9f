"""What belongs here: sheets of Service-Public, on hand-written ones in the feeds' dialect."""

import hashlib
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.datasets.service_public import DATASET, heading, merge, parse, wants
from mediatech_assets.documents.model import Document, Member, Refusal, strip_marks
from mediatech_assets.documents.xml import parse_xml

FIXTURES = Path(__file__).parents[1] / "fixtures/service_public"
PART = (FIXTURES / "part-F10.xml").read_bytes()
PRO = (FIXTURES / "pro-F10.xml").read_bytes()

#: Children of a sheet that are columns or navigation, written here again on purpose.
NOT_BODY = frozenset(
    [
        "FilDAriane",
        "DossierPere",
        "VoirAussi",
        "Canal",
        "SurTitre",
        "Audience",
        "Theme",
        "QuestionReponse",
        "ServiceEnLigne",
    ]
)


def sheet(data: bytes, feed: str = "part") -> Document:
    (outcome,) = parse(Member("F10.xml", data, 0.0, f"{feed}.zip", feed))
    assert isinstance(outcome, Document)
    return outcome


def test_metadata_of_a_sheet():
    document = sheet(PART)

    assert document.doc_id == "F10"
    assert set(document.metadata) == set(DATASET.metadata_schema.names)
    assert heading(document.metadata) == ["Ouvrir un moulin"]
    assert document.metadata["audience"] == "Particuliers, Professionnels"
    assert document.metadata["theme"] == "Logement, Travail"
    assert document.metadata["surtitle"] == "Fiche pratique"
    assert document.metadata["introduction"] == "Ouvrir un moulin demande une AMO."
    assert document.metadata["kind"] == "Fiche d'information"
    assert document.source_url == document.metadata["url"]
    assert document.source_url == "https://www.service-public.fr/particuliers/vosdroits/F10"
    assert document.source_updated_at == document.metadata["date"] == "2024-02-29"
    assert json.loads(str(document.metadata["related_questions"])) == [
        {
            "question": "Faut-il un permis ?",
            "sid": "F12",
            "url": "https://www.service-public.fr/particuliers/vosdroits/F12",
        }
    ]
    assert json.loads(str(document.metadata["web_services"])) == [
        {
            "title": "Demander une roue",
            "institution": "Ministère des moulins",
            "url": "https://exemple.test/demande",
            "type": "Téléservice",
        }
    ]


def test_sections_of_a_sheet():
    chapter = ("Moulin à eau", "Démarche")

    assert [(section.kind, section.context, section.text) for section in sheet(PART).sections] == [
        ("warning", ("Nouvelle règle",), "La règle change en avril."),
        ("introduction", (), "Ouvrir un moulin demande une AMO."),
        ("body", chapter, "Déposez le dossier avant le 1er mai, soit 20 € au plus."),
        ("body", (*chapter, "En mairie"), "1.\tprenez un ticket\n2.\tattendez"),
        ("body", chapter, "Cas sans texte"),
        (
            "body",
            chapter,
            "Vous recevez un reçu.\n\nTarifs\n\n|\tRoue\t|\tPrix\t|\n|---|---|\n"
            "|\tpetite ou moyenne\t|\t5 €\t|\n\n-\tMairie",
        ),
        ("body", (), "Un élément inattendu."),
        ("reference", ("Textes de référence",), "-\tCode des moulins\n  Article 1\n-\tCode de l'eau"),
        ("definition", ("Définitions",), "-\tBief\n  Canal qui mène l'eau."),
    ]


def test_every_word_of_the_body_is_in_text_or_context():
    root = parse_xml(PART)
    document = sheet(PART)
    held = [
        word
        for part in document.sections
        for word in " ".join((*part.context, strip_marks(part.text))).split()
    ]
    for child in list(root):
        if child.tag in NOT_BODY or "dc" in str(child.tag):
            root.remove(child)
    for node in list(root.iter("PivotLocal")):
        node.text = ""

    missing = set("".join(root.itertext()).split()) - set(held)

    assert missing == set()
    assert not {"navigation", "voisin", "ailleurs", "mairie_technique"} & set(held)


def test_the_hash_is_that_of_every_word_of_the_file():
    words = unicodedata.normalize("NFKC", "".join(parse_xml(PART).itertext())).split()

    assert json.loads(str(sheet(PART).metadata["source_text_sha256"])) == {
        "part": hashlib.sha256("".join(words).encode()).hexdigest()
    }


def test_without_spurl_the_id_and_the_page_come_from_the_feed():
    document = sheet(PRO, "pro")

    assert document.doc_id == "F10"
    assert document.source_url == "https://entreprendre.service-public.fr/vosdroits/F10"


def test_spurl_wins_over_id():
    assert sheet(PRO.replace(b'ID="F10" type', b'ID="F10" spUrl="https://x.test/F11/" type')).doc_id == "F11"


def test_a_sheet_without_introduction_is_kept():
    document = sheet(re.sub(rb"<Introduction>.*</Introduction>", b"", PRO, flags=re.DOTALL))

    assert document.metadata["introduction"] == ""
    assert [section.context for section in document.sections] == [("TVA",)]


def test_lists_of_a_file_are_text():
    data = (
        b'<Publication ID="N1" type="Dossier"><SousDossier ID="N1-1"><Titre>Roues</Titre>'
        b'<Fiche ID="F1">Une</Fiche>\n<Fiche ID="F2">Deux</Fiche></SousDossier></Publication>'
    )

    (section,) = sheet(data).sections

    assert (section.kind, section.context, section.text) == ("contents", ("Roues",), "-\tUne\n-\tDeux")


@pytest.mark.parametrize("container", ["Chapitre", "Texte", "Cas", "Inconnu"])
def test_text_beside_elements_is_neither_lost_nor_cut(container):
    text = f"a<{container}>le 1<Exposant>er</Exposant>, b</{container}>c"
    document = sheet(f"<Publication ID='F1'>{text}</Publication>".encode())

    assert [section.text for section in document.sections] == ["a", "le 1er, b", "c"]


def test_a_sheet_of_both_feeds_is_one_document():
    merged = merge(sheet(PART), sheet(PRO, "pro"))

    assert merged.doc_id == "F10"
    assert merged.metadata["title"] == "Ouvrir un moulin"
    assert merged.metadata["audience"] == "Particuliers, Professionnels"
    assert merged.metadata["feeds"] == ["part", "pro"]
    assert set(json.loads(str(merged.metadata["source_text_sha256"]))) == {"part", "pro"}
    assert [q["sid"] for q in json.loads(str(merged.metadata["related_questions"]))] == ["F12", "F13"]
    assert merged.sections[: len(sheet(PART).sections)] == sheet(PART).sections
    assert [(s.context, s.text) for s in merged.sections[len(sheet(PART).sections) :]] == [
        (("Professionnels", "TVA"), "La farine est taxée.")
    ]
    assert merged.source_updated_at == "2024-03-01"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PART[:500],
        b"<Autre ID='F1'/>",
        b"<Publication/>",
        b"<Publication ID='R1' spUrl='https://x.test/'/>",
    ],
)
def test_refusals_name_the_member(data):
    (refusal,) = parse(Member("F10.xml", data, 0.0, "part.zip", "part"))

    assert isinstance(refusal, Refusal)
    assert refusal.subject == "F10.xml"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("F1.xml", True), ("N12.xml", True), ("R1.xml", False), ("menu.xml", False), ("x/F1.xml", False)],
)
def test_only_sheets_are_wanted(path, wanted):
    assert wants(path) is wanted


@given(st.integers(0, len(PART)), st.binary(max_size=8))
def test_damaged_sheets_never_raise(position, noise):
    data = PART[:position] + noise + PART[position + len(noise) :]

    assert len(parse(Member("F10.xml", data, 0.0, "part.zip", "part"))) == 1
