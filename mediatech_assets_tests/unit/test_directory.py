"""What belongs here: records of the administrations' directories, and what redaction takes out of them."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediatech_assets.datasets import local_administrations_directory, state_administrations_directory
from mediatech_assets.documents import directory
from mediatech_assets.documents.directory_record import TECHNICAL
from mediatech_assets.documents.directory_redaction import MAIL_MARK, NAME_MARK, NUMBER_MARK
from mediatech_assets.documents.model import Document, Member, Refusal, plain_text
from mediatech_assets.records import JsonRecords

#: Every field of a record, as upstream writes it when it has nothing to say.
EMPTY_TEXTS = (
    *("id", "nom", "sigle", "mission", "type_organisme", "categorie"),
    *("partenaire", "service_disponible", "siren", "siret", "code_insee_commune", "date_creation"),
    *("date_modification", "url_service_public", "commentaire_plage_ouverture", "information_complementaire"),
)
EMPTY_LISTS = (
    *("ancien_identifiant", "ancien_nom", "pivot", "adresse", "plage_ouverture", "telephone"),
    *("telephone_accessible", "telecopie", "adresse_courriel", "site_internet", "formulaire_contact", "sve"),
    *("tchat", "reseau_social", "application_mobile", "annuaire", "organigramme", "texte_reference"),
    *("affectation_personne", "hierarchie"),
)
EMPTY: dict[str, Any] = {
    **dict.fromkeys((*TECHNICAL, *EMPTY_TEXTS), ""),
    **{name: [] for name in EMPTY_LISTS},
}

#: A record that says something in every field.
FULL: dict[str, Any] = {
    **dict.fromkeys(TECHNICAL, "technique"),
    "id": "0f0e0d0c-0001-4000-8000-000000000001",
    "nom": "Bureau des moulins à vent",
    "sigle": "BMV",
    "ancien_nom": ["Office des ailes"],
    "ancien_identifiant": ["ancien"],
    "mission": "Le bureau veille aux moulins. \r\n\r\n-compter les ailes ; \r\n-graisser\u00a0les meules.",
    "type_organisme": "Administration centrale (ou Ministère)",
    "categorie": "SI",
    "partenaire": "meuniers_de_france",
    "service_disponible": "Visite guidée",
    "siren": "123456789",
    "siret": "12345678900012",
    "code_insee_commune": "99001",
    "date_creation": "01/02/2003 04:05:06",
    "date_modification": "16/12/2025 10:35:29",
    "url_service_public": "https://lannuaire.example/moulins",
    "commentaire_plage_ouverture": "Fermé en août.",
    "information_complementaire": "Accès par le pont.\r\nStationnement gratuit.",
    "pivot": [{"type_service_local": "moulin", "code_insee_commune": ["99001", "99002"]}],
    "adresse": [
        {
            "type_adresse": "Adresse postale",
            "complement1": "Bâtiment B",
            "complement2": "Escalier deux",
            "numero_voie": "3 rue du Grain",
            "service_distribution": "BP 12",
            "code_postal": "99000",
            "nom_commune": "Moulinville Cedex",
            "pays": "Meunerie",
            "continent": "Atlantide",
            "longitude": "2.5",
            "latitude": "48.5",
            "accessibilite": "ACC",
            "note_accessibilite": "rampe à gauche",
        }
    ],
    "plage_ouverture": [
        {
            "nom_jour_debut": "Lundi",
            "nom_jour_fin": "Vendredi",
            "valeur_heure_debut_1": "08:30:00",
            "valeur_heure_fin_1": "12:00:00",
            "valeur_heure_debut_2": "13:30:00",
            "valeur_heure_fin_2": "17:00:00",
            "commentaire": "Sur rendez-vous uniquement.",
        }
    ],
    "telephone": [{"valeur": "01 99 00 00 01", "description": "standard"}],
    "telephone_accessible": [
        {
            "valeur": "https://sourds.example",
            "description": "Langue des signes",
            "custom_dico1": ["LSF", "LPC"],
        }
    ],
    "telecopie": ["01 99 00 00 02"],
    "adresse_courriel": ["contact@moulins.example"],
    "site_internet": [{"libelle": "Portail", "valeur": "https://moulins.example"}],
    "formulaire_contact": ["https://moulins.example/ecrire"],
    "sve": ["https://moulins.example/sve"],
    "tchat": [{"libelle": "Robot", "valeur": "https://moulins.example/tchat"}],
    "reseau_social": [
        {"valeur": "https://social.example/moulins", "description": "actualités", "custom_dico2": "Facebook"}
    ],
    "application_mobile": [
        {"valeur": "https://app.example", "description": "MoulinPocket", "custom_dico2": "Android"}
    ],
    "annuaire": [{"libelle": "Agents", "valeur": "https://moulins.example/annuaire"}],
    "organigramme": [{"libelle": "Schéma", "valeur": "https://moulins.example/organigramme"}],
    "texte_reference": [{"libelle": "Décret des moulins", "valeur": "https://textes.example/1"}],
    "affectation_personne": [
        {
            "fonction": "Cheffe du bureau",
            "personne": {
                "civilite": "Mme",
                "prenom": "Zélie",
                "nom": "DUBOCAGE",
                "grade": "meunière principale",
                "texte_reference": [{"libelle": "JORF des meules", "valeur": "https://textes.example/2"}],
                "adresse_courriel": ["zelie@moulins.example"],
            },
            "telephone": "01 99 00 00 03",
        }
    ],
    "hierarchie": [{"type_hierarchie": "Service Fils", "service": "enfant-1"}],
    "etage": {"numero": "troisième étage", "niveau": 3},
}

#: What the text does not say as published: identifiers, codes, dates, coordinates, and what it says in words.
NOT_IN_TEXT = TECHNICAL | {
    *("id", "siren", "siret", "categorie", "partenaire", "code_insee_commune", "pivot", "hierarchie"),
    *("date_creation", "date_modification", "url_service_public"),
    *("longitude", "latitude", "accessibilite"),
}
PERSONAL = {"personne", "adresse_courriel", "telephone"}


def member_of(record: object) -> Member:
    return Member(
        "service[x]", json.dumps(record, ensure_ascii=False).encode(errors="replace"), 0.0, "annuaire"
    )


def full_of(record: object) -> Document:
    (outcome,) = directory.parse_full(member_of(record))
    assert isinstance(outcome, Document), outcome
    return outcome


def public_of(record: object) -> Document:
    (outcome,) = directory.parse(member_of(record))
    assert isinstance(outcome, Document), outcome
    return outcome


def record_of(**fields: object) -> dict[str, Any]:
    return {**deepcopy(EMPTY), "id": "a", "nom": "Bureau", **fields}


def with_people(*people: tuple[str, str, str], **fields: object) -> dict[str, Any]:
    """A record whose listed persons are `(civility, first name, family name)`."""
    posts = [
        {
            "fonction": "Chef",
            "personne": {"civilite": civility, "prenom": first, "nom": family},
            "telephone": "",
        }
        for civility, first, family in people
    ]
    return record_of(affectation_personne=posts, **fields)


def said_by(document: Document) -> str:
    """Everything that the document says, as a reader of its rows would see it."""
    values = [document.doc_id, document.source_url, *directory.heading(document.metadata)]
    for name, value in document.metadata.items():
        values += value if isinstance(value, list) else [str(value)] if name != "source_text_sha256" else []
    for section in document.sections:
        values += [section.text, *section.context, section.kind, *section.attributes.values()]
    return "\n".join(values)


def shown_text(document: Document) -> str:
    return "\n".join([*directory.heading(document.metadata), plain_text(document)])


def leaves(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Texts of a record with the names of their fields, without those that the text does not say."""
    if name in NOT_IN_TEXT:
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part, name)
    elif isinstance(value, str):
        yield name, value


def words_missing(record: dict[str, Any], document: Document) -> list[tuple[str, str]]:
    """Words of the record's texts that neither the text nor the heading holds."""
    held = set(re.findall(r"\w+", unicodedata.normalize("NFKC", shown_text(document)).lower()))
    missing = []
    for name, text in leaves(record):
        # Seconds are not said: no service opens on one.
        said = text.removesuffix(":00") if name.startswith("valeur_heure") else text
        words = re.findall(r"\w+", unicodedata.normalize("NFKC", said).lower())
        missing += [(name, word) for word in words if word not in held]
    return missing


# ---------------------------------------------------------------- text and columns


def test_the_text_reads_well():
    assert full_of(FULL).sections[0].text.split("\n\n") == [
        "Le bureau veille aux moulins.",
        "-compter les ailes ;\n-graisser les meules.",
        "Type d'organisme : Administration centrale (ou Ministère)\n"
        "Ancien nom : Office des ailes\n"
        "Adresse postale : Bâtiment B, Escalier deux, 3 rue du Grain, BP 12, 99000 Moulinville Cedex, "
        "Meunerie (Atlantide) (accessible aux personnes à mobilité réduite : rampe à gauche)\n"
        "Téléphone : 01 99 00 00 01 (standard)\n"
        "Téléphone pour les personnes sourdes ou malentendantes : LSF, LPC : https://sourds.example "
        "(Langue des signes)\n"
        "Télécopie : 01 99 00 00 02\n"
        "Courriel : contact@moulins.example\n"
        "Site internet : Portail : https://moulins.example\n"
        "Formulaire de contact : https://moulins.example/ecrire\n"
        "Saisine par voie électronique : https://moulins.example/sve\n"
        "Messagerie instantanée : Robot : https://moulins.example/tchat\n"
        "Réseaux sociaux : Facebook : https://social.example/moulins (actualités)\n"
        "Application mobile : Android : https://app.example (MoulinPocket)\n"
        "Annuaire : Agents : https://moulins.example/annuaire\n"
        "Organigramme : Schéma : https://moulins.example/organigramme\n"
        "Service disponible : Visite guidée",
        "Horaires d'ouverture :\nDu lundi au vendredi : de 08 h 30 à 12 h 00 et de 13 h 30 à 17 h 00 "
        "(Sur rendez-vous uniquement.)\nFermé en août.",
        "Responsables :\n-\tCheffe du bureau : Mme Zélie DUBOCAGE, meunière principale, tél. 01 99 00 00 03, "
        "zelie@moulins.example (JORF des meules : https://textes.example/2)",
        "Textes de référence :\n-\tDécret des moulins : https://textes.example/1",
        "Accès par le pont.\nStationnement gratuit.",
        "etage : troisième étage ; 3",
    ]


def test_columns_follow_the_contract():
    document = full_of(FULL)
    metadata = dict(document.metadata)
    addresses, people = (
        json.loads(str(metadata.pop("addresses"))),
        json.loads(str(metadata.pop("people_in_charge"))),
    )

    assert list(document.metadata) == directory.METADATA_SCHEMA.names
    assert metadata == {
        "types": "moulin (Administration centrale (ou Ministère))",
        "name": "Bureau des moulins à vent",
        "mission_description": "Le bureau veille aux moulins.\n\n-compter les ailes ;\n-graisser les meules.",
        "phone_numbers": ["01 99 00 00 01. standard"],
        "mails": ["contact@moulins.example"],
        "urls": ["https://moulins.example"],
        "social_medias": ["Facebook (actualités) : https://social.example/moulins"],
        "mobile_applications": ["MoulinPocket (Android) : https://app.example"],
        "opening_hours": "Du lundi au vendredi : de 08 h 30 à 12 h 00 et de 13 h 30 à 17 h 00 "
        "(Sur rendez-vous uniquement.)\nFermé en août.",
        "contact_forms": ["https://moulins.example/ecrire"],
        "additional_information": "Accès par le pont.\nStationnement gratuit.",
        "modification_date": "2025-12-16",
        "siret": "12345678900012",
        "siren": "123456789",
        "organizational_chart": ["Schéma : https://moulins.example/organigramme"],
        "hierarchy": '[{"type_hierarchie": "Service Fils", "service": "enfant-1"}]',
        "directory_url": "https://lannuaire.example/moulins",
        "acronym": "BMV",
        "former_names": ["Office des ailes"],
        "insee_code": "99001",
        "served_communes": ["99001", "99002"],
        "category": "SI",
        "partner": "meuniers_de_france",
        "fax_numbers": ["01 99 00 00 02"],
        "accessible_phones": ["LSF, LPC : https://sourds.example (Langue des signes)"],
        "electronic_referrals": ["https://moulins.example/sve"],
        "chats": ["Robot : https://moulins.example/tchat"],
        "directories": ["Agents : https://moulins.example/annuaire"],
        "legal_references": ["Décret des moulins : https://textes.example/1"],
        "created": "2003-02-01T04:05:06",
        "modified": "2025-12-16T10:35:29",
        "other_fields": '{"etage": [{"numero": "troisième étage", "niveau": 3}]}',
        "source_text_sha256": metadata["source_text_sha256"],
    }
    assert list(addresses[0])[:6] == ["adresse", "code_postal", "commune", "pays", "longitude", "latitude"]
    assert addresses[0]["adresse"] == "Bâtiment B Escalier deux 3 rue du Grain"
    assert set(FULL["adresse"][0].values()) - set(addresses[0].values()) == {
        "Bâtiment B",
        "Escalier deux",
        "3 rue du Grain",
    }
    assert people == FULL["affectation_personne"]


def test_identity_and_provenance():
    document = full_of(FULL)

    assert document.doc_id == FULL["id"]
    assert directory.heading(document.metadata) == ["Bureau des moulins à vent (BMV)"]
    assert document.source_url == FULL["url_service_public"]
    assert document.source_updated_at == "2025-12-16"


def test_the_columns_fit_their_schema():
    for document in (full_of(FULL), public_of(FULL), public_of(record_of())):
        pa.Table.from_pylist([dict(document.metadata)], schema=directory.METADATA_SCHEMA).validate(full=True)


def test_every_word_of_a_record_is_in_the_text():
    assert words_missing(FULL, full_of(FULL)) == []
    public_words = {**FULL, "etage": None, "affectation_personne": [{"fonction": "Cheffe du bureau"}]}
    assert words_missing(public_words, public_of(FULL)) == []


def test_the_check_for_missing_words_sees_them():
    assert words_missing({"mission": "Le bureau dort."}, full_of(FULL)) == [("mission", "dort")]


def test_the_hash_is_that_of_the_record_as_published():
    published = json.dumps(FULL, ensure_ascii=False, sort_keys=True)
    words = re.sub(r"\s+", "", unicodedata.normalize("NFKC", published))
    expected = hashlib.sha256(words.encode()).hexdigest()

    assert full_of(FULL).metadata["source_text_sha256"] == expected
    assert public_of(FULL).metadata["source_text_sha256"] == expected


def test_a_record_that_says_nothing_is_found_by_its_name():
    document = public_of(record_of(nom="Mairie - Moulinville"))

    assert [section.text for section in document.sections] == ["Mairie - Moulinville"]
    assert document.metadata["modification_date"] == ""
    assert document.source_updated_at is None
    assert document.metadata["addresses"] == document.metadata["people_in_charge"] == "[]"
    assert document.metadata["other_fields"] == "{}"


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (("Lundi", "Lundi", "09:00:00", "12:00:00", "", ""), "Le lundi : de 09 h 00 à 12 h 00"),
        (("Mardi", "", "09:00:00", "12:00:00", "", ""), "Le mardi : de 09 h 00 à 12 h 00"),
        (("", "", "09:00:00", "12:00:00", "", ""), "de 09 h 00 à 12 h 00"),
        (("Lundi", "Mardi", "", "", "14:00:00", "17:15:00"), "Du lundi au mardi : de 14 h 00 à 17 h 15"),
        (("Lundi", "Lundi", "", "", "", ""), "Le lundi"),
        (
            ("Lundi", "Lundi", "09:00:00", "", "", "18:00:00"),
            "Le lundi : à partir de 09 h 00 et jusqu'à 18 h 00",
        ),
        (("Lundi", "Lundi", "8h", "12:00:30", "", ""), "Le lundi : de 8h à 12:00:30"),
    ],
)
def test_opening_hours_in_words(hours, words):
    names = list(FULL["plage_ouverture"][0])
    record = record_of(plage_ouverture=[dict(zip(names, (*hours, ""), strict=True))])

    assert public_of(record).metadata["opening_hours"] == words


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ACC", "3 rue du Grain (accessible aux personnes à mobilité réduite)"),
        ("DEM", "3 rue du Grain (accessible aux personnes à mobilité réduite sur demande)"),
        ("NAC", "3 rue du Grain (non accessible aux personnes à mobilité réduite)"),
        ("Autre", "3 rue du Grain (Autre)"),
        ("", "3 rue du Grain"),
    ],
)
def test_codes_of_accessibility_are_said_in_words(code, words):
    record = record_of(adresse=[{"numero_voie": "3 rue du Grain", "accessibilite": code}])

    assert plain_text(public_of(record)) == f"Adresse : {words}"


def test_the_continent_is_said_but_for_metropolitan_france():
    places = [("France", "Europe"), ("France", "Amérique"), ("", "Afrique"), ("Bénin", "Afrique")]
    record = record_of(adresse=[{"pays": country, "continent": continent} for country, continent in places])

    assert plain_text(public_of(record)).splitlines() == [
        "Adresse : France",
        "Adresse : France (Amérique)",
        "Adresse : Afrique",
        "Adresse : Bénin (Afrique)",
    ]


def test_an_acronym_that_the_name_holds_is_not_repeated():
    assert directory.heading({"name": "Bureau (BMV) - Sud", "acronym": "BMV"}) == ["Bureau (BMV) - Sud"]
    assert directory.heading({"name": "Bureau BMVX", "acronym": "BMV"}) == ["Bureau BMVX (BMV)"]
    assert directory.heading({"name": "Bureau", "acronym": ""}) == ["Bureau"]


def test_an_impossible_date_is_kept_as_published():
    document = public_of(record_of(date_modification="31/02/2025 10:00:00", date_creation="hier"))

    assert document.metadata["modified"] == "31/02/2025 10:00:00"
    assert document.metadata["created"] == "hier"
    assert document.metadata["modification_date"] == ""
    assert document.source_updated_at is None


@pytest.mark.parametrize(
    ("listed", "values"),
    [
        (["01", {"valeur": "02"}], ["01", "02"]),
        ([["01", ["02"]], "03"], ["01", "02", "03"]),
        ([{"valeur": ["01", "02"]}], ["01", "02"]),
        ([{"valeur": ""}, {}, "", None], []),
        ([], []),
        ("", []),
        (None, []),
    ],
)
def test_lists_of_texts_and_of_objects_are_read_alike(listed, values):
    assert public_of(record_of(telecopie=listed)).metadata["fax_numbers"] == values


# ---------------------------------------------------------------- refusals


def refusal_of(record: object) -> Refusal:
    outcomes = [*directory.parse(member_of(record)), *directory.parse_full(member_of(record))]
    assert len(outcomes) == 2
    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[0], Refusal), outcomes[0]
    return outcomes[0]


@pytest.mark.parametrize("name", ["id", "nom"])
def test_a_record_without_name_or_identifier_is_refused(name):
    missing = {key: value for key, value in FULL.items() if key != name}
    subject = "service[x]" if name == "id" else FULL["id"]

    assert refusal_of(missing) == Refusal(subject, f"the field {name} is missing")
    for empty in ("", " \u00a0", None):
        assert refusal_of({**FULL, name: empty}) == Refusal(subject, f"the field {name} is empty")


def test_optional_fields_may_be_missing_or_null():
    document = full_of({"id": "a", "nom": "Bureau"})

    whole = full_of(record_of())
    assert {**document.metadata, "source_text_sha256": ""} == {**whole.metadata, "source_text_sha256": ""}
    nothing = {name: None for name in EMPTY if name not in ("id", "nom")}
    assert full_of(record_of(**nothing)).sections == document.sections


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": 3}, "the field id is a number and not a text"),
        ({"nom": ["Bureau"]}, "the field nom is a list and not a text"),
        ({"mission": {"texte": "a"}}, "the field mission is an object and not a text"),
        ({"siret": 123}, "the field siret is a number and not a text"),
        ({"sigle": True}, "the field sigle is a boolean and not a text"),
        ({"adresse": {"pays": "France"}}, "the field adresse is an object and not a list"),
        ({"adresse": ["3 rue du Grain"]}, "the field adresse holds a text and not an object"),
        ({"adresse": [{"code_postal": 99000}]}, "the field adresse.code_postal is a number and not a text"),
        ({"telephone": "01 99 00 00 01"}, "the field telephone is a text and not a list"),
        ({"telephone": [{"valeur": 199}]}, "the field telephone.valeur is a number and not a text"),
        ({"telephone": [199]}, "the field telephone holds a number and not a text or an object"),
        ({"plage_ouverture": [["Lundi"]]}, "the field plage_ouverture holds a list and not an object"),
        (
            {"pivot": [{"code_insee_commune": [1]}]},
            "the field pivot.code_insee_commune is a number and not a text",
        ),
        (
            {"affectation_personne": [{"personne": "Mme X"}]},
            "the field affectation_personne.personne holds a text and not an object",
        ),
        (
            {"affectation_personne": [{"personne": {"nom": 1}}]},
            "the field affectation_personne.personne.nom is a number and not a text",
        ),
    ],
)
def test_a_field_of_another_type_refuses_the_record_by_name(fields, reason):
    assert refusal_of(record_of(**fields)).reason == reason


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"3", b'{"id"', b"\xff\xfe", b"[" * 200_000])
def test_what_is_no_record_is_refused(data):
    (refusal,) = directory.parse(Member("service[#1]", data, 0.0, "annuaire"))

    assert isinstance(refusal, Refusal)
    assert refusal.subject == "service[#1]"


def test_characters_that_no_store_takes_are_replaced():
    document = full_of({**FULL, "mission": "a\ud800b\x00c", "etage": "\x01d"})

    said_by(document).encode()
    assert document.metadata["mission_description"] == "a?b c"


NAMES = st.sampled_from([*EMPTY, "personne", "valeur", "libelle", "prenom", "nom", "fonction", "etage"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=9),
)


@given(ANYTHING)
def test_any_json_never_raises(value):
    for parse in (directory.parse, directory.parse_full):
        assert all(isinstance(outcome, Document | Refusal) for outcome in parse(member_of(value)))


@given(st.dictionaries(NAMES, ANYTHING))
def test_any_record_never_raises(fields):
    for parse in (directory.parse, directory.parse_full):
        assert len(parse(member_of({**record_of(), **fields}))) == 1


# ---------------------------------------------------------------- unknown fields


def test_an_unknown_field_is_kept_in_full_and_only_named_in_public():
    record = record_of(
        couleur="rouge vif",
        vide=[],
        adresse=[{"pays": "France", "etage": "troisième"}, {"etage": "quatrième"}],
        telephone=[{"valeur": "01 99 00 00 01", "note": {"heures": "le matin"}}],
        affectation_personne=[{"fonction": "Chef", "personne": {"portable": "06 99 00 00 09"}}],
    )

    assert json.loads(str(full_of(record).metadata["other_fields"])) == {
        "adresse.etage": ["troisième", "quatrième"],
        "telephone.note": [{"heures": "le matin"}],
        "affectation_personne.personne.portable": ["06 99 00 00 09"],
        "couleur": ["rouge vif"],
    }
    assert words_missing(record, full_of(record)) == []
    public = public_of(record)
    assert json.loads(str(public.metadata["other_fields"])) == {
        "adresse.etage": [],
        "telephone.note": [],
        "affectation_personne.personne.portable": [],
        "couleur": [],
    }
    assert not re.search("rouge|troisième|quatrième|matin|06 99", said_by(public))


@pytest.mark.parametrize("name", sorted(TECHNICAL))
def test_technical_fields_are_passed_over_whatever_they_hold(name):
    for value in ("technique", 3, {"a": ["b"]}):
        document = full_of(record_of(**{name: value}))
        assert document.sections == full_of(record_of()).sections
        assert document.metadata["other_fields"] == "{}"


# ---------------------------------------------------------------- redaction


def test_the_public_profile_keeps_functions_and_nothing_of_persons():
    public = public_of(FULL)

    assert json.loads(str(public.metadata["people_in_charge"])) == [
        {"fonction": "Cheffe du bureau", "personne": {}, "telephone": ""}
    ]
    assert not re.search(
        r"(?i)z[ée]lie|dubocage|\bmme\b|meunière|jorf|textes\.example/2|00 00 03", said_by(public)
    )
    assert "Responsables :\n- Cheffe du bureau" in public.sections[0].text.replace("\t", " ")
    assert list(public.metadata) == list(full_of(FULL).metadata)


def test_a_record_without_persons_is_the_same_in_both_profiles():
    record = {**FULL, "affectation_personne": [], "etage": ""}

    assert public_of(record) == full_of(record)


NAMED = ("Mme", "Anne-Lise", "LE GOËFF-MARTIN")


@pytest.mark.parametrize(
    "text",
    [
        "Anne-Lise Le Goëff-Martin",
        "LE GOEFF MARTIN Anne Lise",
        "Mme Anne-Lise LE GOËFF-MARTIN",
        "Madame Le Goëff-Martin",
        "mme le goeff",
        "Mme Martin",
        "Anne Le Goëff",
        "Lise Martin",
        "A.-L. Le Goëff-Martin",
        "A. Martin",
        "Le Goëff-Martin, A.",
        "anne-lise_le-goeff-martin",
        "annelise.martin",
        "Anne%20Lise%20Martin",
        "anneliselegoeffmartin",
        "ANNE-LISE LE GOE\u0308FF-MARTIN",
        "Anne‑Lise Le Goëff–Martin",
        "Dr Martin",
        "Maître Anne-Lise Martin",
    ],
)
def test_the_name_of_a_listed_person_goes_from_any_text(text):
    record = with_people(NAMED, mission=f"Avant {text} après", nom=f"Cabinet : {text}.")
    public = public_of(record)

    assert public.metadata["mission_description"] == f"Avant {NAME_MARK} après"
    assert public.metadata["name"] == f"Cabinet : {NAME_MARK}."


@pytest.mark.parametrize(
    "text",
    [
        "Il agit dans le cadre de la loi.",
        "La rue Martin est le long du goëff.",
        "Les martinets annelés volent.",
        "Saint-Martin-de-Ré et Anne de Bretagne",
        "Monsieur le préfet, Madame la maire",
        "l'école et la lise",
    ],
)
def test_other_words_stay(text):
    record = with_people(NAMED, ("M.", "Fabrice", "LE CADRE"), ("M.", "L.", "ECOLE"), mission=text)

    assert public_of(record).metadata["mission_description"] == text


def test_several_persons_under_one_civility_all_go():
    record = with_people(
        ("M.", "Jean", "DUPONT"),
        ("M.", "Paul", "DURAND"),
        mission="MM. Dupont et Durand, M. Martinet reçoivent.",
    )

    assert public_of(record).metadata["mission_description"] == f"{NAME_MARK}, {NAME_MARK} reçoivent."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Permanence de Mme Martin le lundi.", f"Permanence de {NAME_MARK} le lundi."),
        ("M. Jean-Pierre DE LA TOUR reçoit.", f"{NAME_MARK} reçoit."),
        ("Voir Monsieur J. Du Moulin, adjoint", f"Voir {NAME_MARK}, adjoint"),
        ("Écrire à Madame la Directrice ou M. le Maire", "Écrire à Madame la Directrice ou M. le Maire"),
        ("MONSIEUR LE MAIRE", "MONSIEUR LE MAIRE"),
        ("MADAME DURAND", NAME_MARK),
    ],
)
def test_a_civility_and_a_name_go_from_free_text_whoever_it_is(text, shown):
    assert public_of(record_of(information_complementaire=text)).metadata["additional_information"] == shown


def test_names_of_places_after_a_civility_stay():
    record = record_of(
        nom="Collège Monsieur Vincent",
        ancien_nom=["Collège Madame Royale"],
        adresse=[{"numero_voie": "3 rue Madame Curie", "nom_commune": "Monsieur Bourg"}],
    )

    assert public_of(record) == full_of(record)


@pytest.mark.parametrize(
    "mail",
    [
        "zelie.dubocage@x.example",
        "dubocage.zelie@x.example",
        "dubocage@x.example",
        "Z.DUBOCAGE@x.example",
        "zdubocage@x.example",
        "dubocagez@x.example",
        "secretariat-dubocage@x.example",
        "dubocage2@x.example",
        "zélie_dubocage+presse@x.example",
    ],
)
def test_a_mail_made_from_the_name_of_a_listed_person_goes(mail):
    record = with_people(
        ("Mme", "Zélie", "DUBOCAGE"),
        adresse_courriel=[mail, "contact@x.example"],
        information_complementaire=f"Écrire à <{mail}>, merci.",
        formulaire_contact=[f"mailto:{mail}", "https://x.example/contact"],
    )
    public = public_of(record)

    assert public.metadata["mails"] == ["contact@x.example"]
    assert public.metadata["contact_forms"] == ["https://x.example/contact"]
    assert public.metadata["additional_information"] == f"Écrire à <{MAIL_MARK}>, merci."


@pytest.mark.parametrize(
    "mail",
    ["contact@dubocage.example", "ubo@x.example", "zelie@x.example", "cage.dubo@x.example", "li@x.example"],
)
def test_other_mails_of_the_service_stay(mail):
    record = with_people(("Mme", "Zélie", "DUBOCAGE"), ("M.", "Wei", "LI"), adresse_courriel=[mail])

    assert public_of(record).metadata["mails"] == [mail]


def test_a_short_family_name_counts_with_the_first_name():
    record = with_people(("M.", "Wei", "LI"), adresse_courriel=["wei.li@x.example", "liwei@x.example"])

    assert public_of(record).metadata["mails"] == []


def test_the_mail_of_a_person_goes_wherever_it_is():
    person = {"prenom": "A", "nom": "B", "adresse_courriel": ["cellule7@x.example"]}
    record = record_of(
        affectation_personne=[{"fonction": "Chef", "personne": person}],
        adresse_courriel=["Cellule7@x.example", {"valeur": "autre@x.example"}],
        mission="Courriel : cellule7@x.example.",
    )
    public = public_of(record)

    assert public.metadata["mails"] == ["autre@x.example"]
    assert public.metadata["mission_description"] == f"Courriel : {MAIL_MARK}."


def post_of(telephone: str) -> list[dict[str, object]]:
    return [{"fonction": "Chef", "personne": {}, "telephone": telephone}]


WRITTEN = [
    *(
        "01 53 18 28 68",
        "0153182868",
        "01.53.18.28.68",
        "01-53-18-28-68",
        "01\u00a053\u00a018\u00a028\u00a068",
    ),
    *("+33 1 53 18 28 68", "+33 (0)1 53 18 28 68", "0033153182868", "+33153182868"),
]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("listed", WRITTEN)
def test_the_number_of_a_person_goes_wherever_it_is(listed, written):
    record = record_of(
        affectation_personne=post_of(f"{listed} / 06 99 00 00 09"),
        telephone=[{"valeur": "01 40 04 04 04", "description": f"ou {written}"}],
        formulaire_contact=[f"tel:{written}"],
        mission=f"Appeler le {written} ou le 0699000009 (2025-2026).",
    )
    public = public_of(record)

    assert public.metadata["phone_numbers"] == [f"01 40 04 04 04. ou {NUMBER_MARK}"]
    assert public.metadata["contact_forms"] == []
    assert (
        public.metadata["mission_description"] == f"Appeler le {NUMBER_MARK} ou le {NUMBER_MARK} (2025-2026)."
    )


def test_a_foreign_number_and_an_extension():
    record = record_of(
        affectation_personne=[*post_of("+225 27 20 20 04 00"), *post_of("poste 2024")],
        mission="Abidjan : (225) 27.20.20.04.00. En 2024, 42 visites.",
    )

    assert (
        public_of(record).metadata["mission_description"] == f"Abidjan : ({NUMBER_MARK}. En 2024, 42 visites."
    )


def test_a_number_that_is_also_the_services_stays_the_services():
    record = record_of(
        affectation_personne=post_of("+33 1 53 18 28 68"),
        telephone=[{"valeur": "01 53 18 28 68", "description": "standard"}],
        mission="Appeler le 01 53 18 28 68.",
    )
    public = public_of(record)

    assert public.metadata["phone_numbers"] == ["01 53 18 28 68. standard"]
    assert public.metadata["mission_description"] == "Appeler le 01 53 18 28 68."
    assert json.loads(str(public.metadata["people_in_charge"]))[0]["telephone"] == ""


@pytest.mark.parametrize(
    "label",
    [
        "Ligne directe",
        "lignes directes des élus",
        "numéro direct du chef",
        "Mme Zélie Dubocage",
        "Dubocage",
        "secrétariat de M. Meunier",
    ],
)
def test_a_direct_line_goes_and_so_does_its_number_elsewhere(label):
    record = with_people(
        ("Mme", "Zélie", "DUBOCAGE"),
        telephone=[
            {"valeur": "01 99 00 00 04", "description": label},
            {"valeur": "01 99 00 00 05", "description": "standard"},
        ],
        telecopie=[{"valeur": "01 99 00 00 06", "libelle": label}],
        adresse_courriel=[{"valeur": "cellule@x.example", "libelle": label}],
        information_complementaire="Le 0199000004, le 0199000005 ou cellule@x.example",
    )
    public = public_of(record)

    assert public.metadata["phone_numbers"] == ["01 99 00 00 05. standard"]
    assert public.metadata["fax_numbers"] == public.metadata["mails"] == []
    assert public.metadata["additional_information"] == f"Le {NUMBER_MARK}, le 0199000005 ou {MAIL_MARK}"


def test_an_extension_that_is_a_direct_line_goes_too():
    record = record_of(
        telephone=[{"valeur": "poste 12", "description": "ligne directe"}], mission="Poste 12."
    )
    public = public_of(record)

    assert public.metadata["phone_numbers"] == []
    # Too short to tell from any other number.
    assert public.metadata["mission_description"] == "Poste 12."


@pytest.mark.parametrize(
    "label", ["numéro d'astreinte", "Secrétariat de Monsieur le Préfet", "accueil direct", ""]
)
def test_other_numbers_of_the_service_stay(label):
    record = with_people(
        ("Mme", "Zélie", "DUBOCAGE"), telephone=[{"valeur": "01 99 00 00 04", "description": label}]
    )

    assert public_of(record).metadata["phone_numbers"] == [
        f"01 99 00 00 04. {label}" if label else "01 99 00 00 04"
    ]


def test_links_that_name_a_person_go_whole_and_their_labels_are_redacted():
    record = with_people(
        ("Mme", "Zélie", "DUBOCAGE"),
        url_service_public="https://x.example/zelie-dubocage",
        site_internet=["https://x.example/zeliedubocage", "https://x.example/Z%C3%A9lie%20Dubocage"],
        reseau_social=[{"valeur": "https://x.example/1", "description": "Page de Zélie Dubocage"}],
        organigramme=[{"libelle": "Zélie Dubocage", "valeur": "https://x.example/2"}],
        texte_reference=[{"libelle": "Nomination de Mme Dubocage", "valeur": "https://x.example/3"}],
    )
    public = public_of(record)

    assert public.source_url == public.metadata["directory_url"] == ""
    assert public.metadata["urls"] == []
    assert public.metadata["social_medias"] == [f"Page de {NAME_MARK} : https://x.example/1"]
    assert public.metadata["organizational_chart"] == [f"{NAME_MARK} : https://x.example/2"]
    assert public.metadata["legal_references"] == [f"Nomination de {NAME_MARK} : https://x.example/3"]


def test_a_name_in_the_function_goes():
    record = record_of(
        affectation_personne=[
            {"fonction": "Cheffe (Zélie Dubocage)", "personne": {"prenom": "Zélie", "nom": "DUBOCAGE"}}
        ]
    )

    assert (
        json.loads(str(public_of(record).metadata["people_in_charge"]))[0]["fonction"]
        == f"Cheffe ({NAME_MARK})"
    )


@pytest.mark.parametrize(
    ("first", "family", "text", "shown"),
    [
        ("", "Zélie DUBOCAGE", "Voir Zélie Dubocage.", f"Voir {NAME_MARK}."),
        ("Zélie", "", "Voir Mme Zélie.", f"Voir {NAME_MARK}."),
        ("", "DUBOCAGE", "Voir Dr Dubocage. Dubocage.", f"Voir {NAME_MARK}. Dubocage."),
        ("", "LE CADRE", "Dans le cadre.", "Dans le cadre."),
        ("?", "-", "Voir - et ?.", "Voir - et ?."),
        ("Loïc", "LŒB", "Voir Loïc Loeb, Loic LŒB.", f"Voir {NAME_MARK}, {NAME_MARK}."),
        ("Straße", "AE", "Voir Strasse Æ.", f"Voir {NAME_MARK}."),
    ],
)
def test_names_that_are_not_whole(first, family, text, shown):
    assert public_of(with_people(("", first, family), mission=text)).metadata["mission_description"] == shown


def test_a_name_of_any_length_is_read_in_time():
    family = " ".join(["abc"] * 20_000)
    record = with_people(
        ("Mme", family, family),
        mission=f"{'abc ' * 20_000}{'a' * 100_000}@{'1 ' * 100_000}",
        adresse_courriel=[f"{'abc.' * 20_000}@x.example"],
    )

    public_of(record)


LETTERS = st.text(alphabet="abcdeéèëghijklmnoœpqrstuüvwxyzçñ", min_size=3, max_size=9)
COMPOUND = st.lists(LETTERS, min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from(["-", " ", "'"]).map(lambda between: between.join(words))
)
DIGITS = st.text(alphabet="0123456789", min_size=8, max_size=8)
PEOPLE = st.fixed_dictionaries(
    {
        "civilite": st.sampled_from(["M.", "Mme", ""]),
        "prenom": COMPOUND,
        "nom": COMPOUND.map(str.upper),
        "mail": st.emails() | LETTERS.map(lambda name: f"{name}@perso.example"),
        "telephone": DIGITS.map(lambda digits: f"06{digits}"),
    }
)
#: Fields of a record that hold a text, and lists of numbers, mails and addresses.
TEXT_FIELDS = (
    *("nom", "sigle", "mission", "type_organisme", "partenaire", "service_disponible"),
    *("commentaire_plage_ouverture", "information_complementaire", "categorie", "url_service_public"),
)
LIST_FIELDS = (
    *("ancien_nom", "telecopie", "adresse_courriel", "site_internet", "formulaire_contact", "sve"),
    *("tchat", "reseau_social", "application_mobile", "annuaire", "organigramme", "texte_reference"),
)


def traces_of(person: dict[str, str]) -> list[str]:
    """What a record may say of a person outside its own place."""
    first, family, digits = person["prenom"], person["nom"].title(), person["telephone"]
    pairs = " ".join(digits[place : place + 2] for place in range(0, 10, 2))
    plain = re.sub(r"[^a-z]", "", unaccented(family))
    return [
        f"{first} {family}",
        f"{family}, {first}",
        f"Mme {family}",
        f"{person['civilite']} {first} {family}".strip(),
        person["mail"],
        f"{unaccented(first)}.{unaccented(family)}@service.example".replace(" ", "-").replace("'", ""),
        f"{plain}@service.example",
        digits,
        pairs,
        f"+33 {pairs[1:]}",
    ]


def unaccented(text: str) -> str:
    plain = text.casefold().replace("œ", "oe")
    return "".join(char for char in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(char))


def found_of(person: dict[str, str], text: str) -> list[str]:
    """Traces of a person in a text, read by other rules than those of the parser."""
    seen = unaccented(unquote(text))
    words, digits = re.sub(r"[^a-z]+", " ", seen), re.sub(r"\D", "", seen)
    first, family = (re.sub(r"[^a-z]+", " ", unaccented(person[key])).strip() for key in ("prenom", "nom"))
    patterns = [f"{first} {family}", f"{family} {first}", f"mme {family}"]
    found = [pattern for pattern in patterns if f" {pattern} " in f" {words} "]
    found += [person["mail"]] if person["mail"].casefold() in text.casefold() else []
    found += [digits] if person["telephone"][1:] in digits else []
    locals_of_mails = re.findall(r"([^\s@]+)@", seen)
    return found + [mail for mail in locals_of_mails if family.replace(" ", "") in re.sub("[^a-z]", "", mail)]


@st.composite
def records_with_people(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, str]]]:
    people = draw(st.lists(PEOPLE, min_size=1, max_size=3))
    record = record_of(nom="Bureau")
    record["affectation_personne"] = [
        {
            "fonction": draw(st.sampled_from(["Chef", f"Adjoint de {person['prenom']} {person['nom']}"])),
            "personne": {
                "civilite": person["civilite"],
                "prenom": person["prenom"],
                "nom": person["nom"],
                "grade": f"grade de {person['nom']}",
                "adresse_courriel": [person["mail"]],
                "texte_reference": [
                    {"libelle": f"Nomination de {person['nom']}", "valeur": "https://x.example"}
                ],
            },
            "telephone": person["telephone"],
        }
        for person in people
    ]
    traces = st.sampled_from([trace for person in people for trace in traces_of(person)])
    around = st.sampled_from(["{}", "Voir {}.", "({})", "« {} »", "a {} b", "https://x.example/ {}"])
    written = st.builds(str.format, around, traces)
    for name in draw(st.sets(st.sampled_from(TEXT_FIELDS))):
        record[name] = draw(written)
    for name in draw(st.sets(st.sampled_from(LIST_FIELDS))):
        as_object = st.fixed_dictionaries({"valeur": written, "libelle": written, "description": written})
        record[name] = draw(st.lists(written | as_object, max_size=3))
    lines = st.fixed_dictionaries(dict.fromkeys(FULL["adresse"][0], written))
    record["adresse"] = draw(st.lists(lines, max_size=1))
    hours = st.fixed_dictionaries({"nom_jour_debut": st.just("Lundi"), "commentaire": written})
    record["plage_ouverture"] = draw(st.lists(hours, max_size=1))
    record["inconnu"] = draw(written)
    return record, people


@settings(max_examples=300, deadline=None)
@given(records_with_people())
def test_nothing_of_a_listed_person_is_in_the_public_document(drawn):
    record, people = drawn
    # A number that the service gives as its own is the service's.
    record["telecopie"] = []
    public = said_by(public_of(record))

    for person in people:
        assert found_of(person, public.replace(NAME_MARK, "|").replace(MAIL_MARK, "|")) == []


@settings(max_examples=50, deadline=None)
@given(records_with_people())
def test_the_full_document_holds_every_word(drawn):
    record, _ = drawn

    assert words_missing(record, full_of(record)) == []


# ---------------------------------------------------------------- datasets


@pytest.mark.parametrize(
    ("module", "file_format", "pattern"),
    [
        (state_administrations_directory, "zip", "*.json"),
        (local_administrations_directory, "tarbz2", "*data.gouv_local.json"),
    ],
)
def test_the_datasets_name_their_file_and_its_records(module, file_format, pattern):
    (file,) = module.DATASET.source.files

    assert file.format == file_format
    assert file.records == JsonRecords(name="service", prefix="service.item", key="id", member=pattern)
    assert module.DATASET.wants("service[0f0e]")
    assert not module.DATASET.wants("2026-01-05_060202-data.gouv.commune.zip")
    assert module.DATASET.parse is directory.parse
    assert module.DATASET.parse_full is directory.parse_full


def test_published_columns_are_those_of_the_contract():
    assert local_administrations_directory.DATASET.published_columns == (
        *(
            "types",
            "name",
            "mission_description",
            "addresses",
            "phone_numbers",
            "mails",
            "urls",
            "social_medias",
        ),
        *(
            "mobile_applications",
            "opening_hours",
            "contact_forms",
            "additional_information",
            "modification_date",
        ),
        *("siret", "siren", "people_in_charge", "organizational_chart", "hierarchy", "directory_url"),
    )
