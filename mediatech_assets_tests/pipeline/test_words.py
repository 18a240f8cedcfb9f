"""No word is lost: the words of each snapshot's elements, as published, are in the sections of their documents.

Of the funds, the truth holds our text itself; of the others it only holds a hash of the source's element, which
proves that it was read and not what became of it. Here the words of the mirror's own files, taken with the standard
library, are counted and looked for in the sections, and in their headings where titles stand.
"""

import json
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.documents.model import strip_marks
from mediatech_assets.layers import Layer
from mediatech_assets_tests.conftest import serving
from mediatech_assets_tests.pipeline.installation import Installation
from mediatech_assets_tests.pipeline.published import administrations, catalogue_rows, labour_sheets, sheets

#: Days on which the snapshots have news.
DAYS = (0, 1, 3)
DIRECTORIES = ("state_administrations_directory", "local_administrations_directory")

Row = Mapping[str, Any]


def words(text: str) -> list[str]:
    """What white space separates. Control characters, which no XML may hold, are none of a word's."""
    return unicodedata.normalize("NFKC", re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)).split()


# --- service-public: the body of a sheet ------------------------------------------------------------------

#: Children of a sheet that are columns or navigation, as the dataset's docstring promises; dc:* come with these.
NOT_BODY = frozenset(
    words(
        "SurTitre Audience Theme QuestionReponse ServiceEnLigne FilDAriane DossierPere SousDossierPere SousThemePere "
        "VoirAussi Canal Cible"
    )
)
#: The one element inside the body that no reader sees.
TECHNICAL_KEY = "PivotLocal"
#: Elements that do not end a word.
INLINE = frozenset(
    words(
        "LienInterne LienExterne LienIntra Valeur Exposant Indice MiseEnEvidence Expression Citation TermeEtranger "
        "Variable"
    )
)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("feed", ["part", "pro"])
def test_no_word_of_a_sheets_body_is_lost(history, mirror_small, feed, day):
    documents = history.documents("service_public", day)
    published = dict(sheets(mirror_small, feed, day))
    assert len(published) > 100
    assert lost_words({sheet_id: body(sheet) for sheet_id, sheet in published.items()}, documents) == {}


def body(sheet: ElementTree.Element) -> str:
    """Text of a sheet's body, with a line end wherever an element ends a word."""
    children = (child for child in sheet if child.tag not in NOT_BODY and not child.tag.startswith("{"))
    return "".join(piece for child in children for piece in pieces(child))


def pieces(element: ElementTree.Element) -> Iterator[str]:
    """Runs of text below an element, in order."""
    end = "" if element.tag in INLINE else "\n"
    yield end
    if element.tag != TECHNICAL_KEY:
        yield element.text or ""
        for child in element:
            yield from pieces(child)
            yield child.tail or ""
    yield end


# --- travail-emploi: html and text of a sheet's sections --------------------------------------------------

#: Elements of HTML that do not end a word.
INLINE_HTML = frozenset(words("a abbr b cite em font i mark s small span strong sub sup u wbr"))


class HtmlText(HTMLParser):
    """The text of a piece of HTML, with a line end wherever a tag ends a word."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.pieces.append("" if tag in INLINE_HTML else "\n")

    def handle_endtag(self, tag: str) -> None:
        self.pieces.append("" if tag in INLINE_HTML else "\n")

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def html_text(html: str) -> str:
    parser = HtmlText()
    parser.feed(html)
    parser.close()
    # Some entities are escaped twice.
    return unescape("".join(parser.pieces))


@pytest.mark.parametrize("day", DAYS)
def test_no_word_of_a_labour_sheet_is_lost(history, mirror_small, day):
    documents = history.documents("travail_emploi", day)
    published = {sheet["pubId"]: sheet for sheet in labour_sheets(mirror_small, day)}
    assert len(published) == 60
    words = {
        sheet_id: "\n".join(html_text(part["html"]) for part in sheet["sections"])
        for sheet_id, sheet in published.items()
    }
    assert lost_words(words, documents) == {}


@pytest.mark.parametrize("day", DAYS)
def test_no_word_is_lost_that_a_labour_sheet_says_in_its_plain_text_alone(history, mirror_small, day):
    """The plain text joins words (« fin.Début ») and repeats sections, so its words are looked for, not counted."""
    documents = history.documents("travail_emploi", day)
    lost = {}
    for sheet in labour_sheets(mirror_small, day):
        document = documents[sheet["pubId"]]
        held = "".join("".join(words(text)) for text in (document["title"], *texts(document)))
        missing = [
            word
            for part in sheet["sections"]
            for word in words(unescape(f"{part['title']}\n{part['text']}"))
            if word not in held
        ]
        if missing:
            lost[sheet["pubId"]] = missing
    assert lost == {}


# --- directories: the values of a record ------------------------------------------------------------------

#: Fields that no reader reads as text: technical ones, and identifiers, codes and dates, which are columns.
NOT_TEXT = frozenset(
    words(
        "ancien_code_pivot ancien_identifiant copyright date_diffusion itm_identifiant partenaire_date_modification "
        "partenaire_identifiant statut_de_diffusion type_repertoire version_etat_modification version_source "
        "version_type id siren siret categorie partenaire code_insee_commune pivot hierarchie date_creation "
        "date_modification url_service_public longitude latitude"
    )
)
#: Codes that the text says in words.
ACCESSIBILITY = {
    "ACC": "accessible aux personnes à mobilité réduite",
    "DEM": "accessible aux personnes à mobilité réduite sur demande",
    "NAC": "non accessible aux personnes à mobilité réduite",
}


@pytest.fixture(scope="module")
def whole_directories(
    mirror_small: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[int, Mapping[str, Mapping[str, Row]]]:
    """Documents of the directories with everything that is published of persons, by day and dataset."""
    installation = Installation(tmp_path_factory.mktemp("whole") / "home", redaction="full")
    held: dict[int, dict[str, Mapping[str, Row]]] = {}
    with serving(mirror_small) as server:
        for day in DAYS:
            server.set_day(day)
            held[day] = {}
            for dataset in DIRECTORIES:
                installation.materialised(server.url, dataset, (Layer.RAW, Layer.DOCUMENTS))
                held[day][dataset] = installation.holdings(dataset).documents
    return held


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("dataset", DIRECTORIES)
def test_no_word_of_an_administrations_record_is_lost(whole_directories, mirror_small, dataset, day):
    published = {record["id"]: record for record in administrations(mirror_small, dataset, day)}
    assert len(published) > 100
    said = {record_id: "\n".join(values(record)) for record_id, record in published.items()}
    titles = {
        record_id: dataset_named(dataset).heading(row)
        for record_id, row in whole_directories[day][dataset].items()
    }
    assert lost_words(said, whole_directories[day][dataset], titles) == {}


def values(part: object, name: str = "", *, is_french: bool = False) -> Iterator[str]:
    """Texts of a record that a reader reads, with days and hours as they are said."""
    if isinstance(part, Mapping):
        is_french = part.get("pays") == "France"
        for key, value in part.items():
            if key not in NOT_TEXT and not (key == "nom_jour_fin" and value == part["nom_jour_debut"]):
                yield from values(value, key, is_french=is_french)
    elif isinstance(part, list):
        for entry in part:
            yield from values(entry, name, is_french=is_french)
    elif name == "continent" and is_french and part == "Europe":
        pass  # says no more than the country
    elif name == "accessibilite":
        yield ACCESSIBILITY.get(str(part), str(part))
    elif name.startswith("nom_jour"):
        yield str(part).lower()
    elif name.startswith("valeur_heure"):
        yield re.sub(r":00$", "", str(part))
    else:
        yield str(part)


@pytest.mark.parametrize("dataset", DIRECTORIES)
def test_identifiers_codes_and_dates_of_a_record_are_columns(whole_directories, mirror_small, dataset):
    documents = whole_directories[0][dataset]
    columns = {
        "siren": "siren", "siret": "siret", "categorie": "category", "partenaire": "partner",
        "code_insee_commune": "insee_code", "url_service_public": "directory_url",
    }  # fmt: skip
    for record in administrations(mirror_small, dataset, 0):
        row = documents[record["id"]]
        assert {field: row[column] for field, column in columns.items()} == {
            field: record[field] for field in columns
        }
        day, month, year = (
            record["date_modification"].partition(" ")[0].split("/")
            if record["date_modification"]
            else ("", "", "")
        )
        assert row["modification_date"] == "-".join(filter(None, (year, month, day)))
        assert [(child["type_hierarchie"], child["service"]) for child in json.loads(row["hierarchy"])] == [
            (child["type_hierarchie"], child["service"]) for child in record["hierarchie"]
        ]
        places = [(address["longitude"], address["latitude"]) for address in record["adresse"]]
        assert [
            (address["longitude"], address["latitude"]) for address in json.loads(row["addresses"])
        ] == places


# --- catalogue: the description of a dataset --------------------------------------------------------------

#: The document's id, and a column of the export that consumers never had: the page's address ends in it.
NOT_OF_THE_CONTRACT = frozenset(("id", "slug"))


@pytest.mark.parametrize("day", DAYS)
def test_no_word_of_a_description_of_the_catalogue_is_lost(history, mirror_small, day):
    documents = history.documents("data_gouv_datasets_catalog", day)
    rows = {row["id"]: row for row in catalogue_rows(mirror_small, day)}
    assert len(rows) > 200
    assert lost_words({key: html_text(row["description"]) for key, row in rows.items()}, documents) == {}


@pytest.mark.parametrize("day", DAYS)
def test_every_value_of_the_catalogue_is_a_column_and_a_missing_one_is_null(history, mirror_small, day):
    documents = history.documents("data_gouv_datasets_catalog", day)
    wrong = {}
    for row in catalogue_rows(mirror_small, day):
        document = documents[row["id"]]
        for name, value in row.items():
            column = name.replace(".", "_")
            if name not in NOT_OF_THE_CONTRACT and not is_value(document[column], value):
                wrong[row["id"], name] = (value, document[column])
    assert wrong == {}


def is_value(held: object, published: str) -> bool:
    """Whether a column holds what was published, white space and types aside."""
    if not published.strip():
        return held is None
    if isinstance(held, bool):
        return str(held) == published
    if isinstance(held, int | float):
        return float(published) == held
    listed = ",".join(held) if isinstance(held, list) else str(held)
    return "".join(words(listed)) == "".join(words(published))


# --- words --------------------------------------------------------------------------------------------------


def lost_words(
    published: Mapping[str, str],
    documents: Mapping[str, Row],
    titles: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, Counter[str]]:
    """Words that a document has fewer times than its source, by id.

    Args:
        published: Text of each source element.
        documents: Rows by id.
        titles: Further headings of each document, where the source's words may stand.
    """
    assert set(published) <= set(documents)
    lost = {}
    for doc_id, text in published.items():
        held = Counter(tokens("\n".join([*texts(documents[doc_id]), *(titles or {}).get(doc_id, ())])))
        missing = Counter(tokens(text)) - held
        if missing:
            lost[doc_id] = missing
    return lost


def texts(document: Row) -> list[str]:
    """Texts of the sections, without our marks, and each heading above them."""
    sections = document["sections"] or []
    return [text for section in sections for text in (*section["context"], strip_marks(section["text"]))]


def tokens(text: str) -> list[str]:
    """Runs of letters and digits."""
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text))
