"""The administrations' directories: from one record to a document, for the State's and the local ones alike.

What belongs here: what the two directories share: the columns, what they hold, and the text that is searched. What
does not: reading a record (`directory_record.py`), what is personal in it (`directory_redaction.py`), and where
each directory is published (`datasets/`).

A document has one section, which reads as a person would tell it: the mission, how to reach the service, when it is
open, who runs it, and what else there is to know. Every word of the record is in it, or in the heading (`nom`,
`sigle`), but for what nobody reads as text:

* the fields of `directory_record.TECHNICAL`, which become nothing;
* identifiers, codes and dates, which are columns only: `id`, `siren`, `siret`, `categorie`, `partenaire`,
  `code_insee_commune`, `pivot`, `hierarchie` (the children's identifiers), `date_creation`, `date_modification`,
  `url_service_public`, longitude and latitude;
* what the text says in other words: codes of accessibility, hours (`08:30:00` is « 08 h 30 ») and the continent of
  an address in metropolitan France, which says no more than the country.

Two profiles: `parse` gives the public one, `parse_full` the whole record with the data of persons. They differ in
the record that they begin with and in nothing else.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pyarrow as pa

from mediatech_assets.documents.directory_record import (
    Adresse,
    AffectationPersonne,
    Autre,
    Entry,
    FieldError,
    Personne,
    PlageOuverture,
    Record,
    json_text,
    read_record,
    type_name,
)
from mediatech_assets.documents.directory_redaction import redacted
from mediatech_assets.documents.markup import one_line, well_formed_text, words_sha256
from mediatech_assets.documents.model import Document, Member, MetadataValue, Outcome, Refusal, Section
from mediatech_assets.records import JsonRecords
from mediatech_assets.schemas import column

_RECORD_NAME = "service"

#: How accessible an address is to persons of reduced mobility, by upstream's code.
_ACCESSIBILITY = {
    "ACC": "accessible aux personnes à mobilité réduite",
    "DEM": "accessible aux personnes à mobilité réduite sur demande",
    "NAC": "non accessible aux personnes à mobilité réduite",
}

_TEXTS = pa.list_(pa.string())

#: Columns of the published contract, in its order.
PUBLISHED = (
    column("types", pa.string(), "Kinds of local service, then the kind of body in parentheses."),
    column("name", pa.string(), "Name of the administration."),
    column("mission_description", pa.string(), "What it does."),
    column("addresses", pa.string(), "Addresses, a JSON list."),
    column("phone_numbers", _TEXTS, "Telephone numbers, each with what it is for."),
    column("mails", _TEXTS, "Mail addresses."),
    column("urls", _TEXTS, "Web sites."),
    column("social_medias", _TEXTS, "Social networks: platform and address."),
    column("mobile_applications", _TEXTS, "Mobile applications: name, platform and address."),
    column("opening_hours", pa.string(), "Opening hours in French, one line for each run of days."),
    column("contact_forms", _TEXTS, "Addresses of contact forms."),
    column("additional_information", pa.string(), "Further information."),
    column("modification_date", pa.string(), "ISO date of the last change; empty when unknown."),
    column("siret", pa.string(), "SIRET number."),
    column("siren", pa.string(), "SIREN number."),
    column("people_in_charge", pa.string(), "Functions and who holds them, a JSON list."),
    column("organizational_chart", _TEXTS, "Organisation charts."),
    column("hierarchy", pa.string(), "Identifiers of the services below, a JSON list."),
    column("directory_url", pa.string(), "Page of the administration in the directory."),
)
PUBLISHED_NAMES = tuple(field.name for field in PUBLISHED)

METADATA_SCHEMA = pa.schema(
    [
        *PUBLISHED,
        column("acronym", pa.string(), "Acronym."),
        column("former_names", _TEXTS, "Names that it had."),
        column("insee_code", pa.string(), "INSEE code of its commune."),
        column("served_communes", _TEXTS, "INSEE codes of the communes that it serves."),
        column(
            "category", pa.string(), "Category, as published: SI (State), SL (local), SIL (State, local)."
        ),
        column("partner", pa.string(), "Code of the partner that provides the record."),
        column("fax_numbers", _TEXTS, "Fax numbers."),
        column("accessible_phones", _TEXTS, "Telephone services for deaf and hard of hearing persons."),
        column("electronic_referrals", _TEXTS, "Where to refer to it electronically."),
        column("chats", _TEXTS, "Addresses of chats."),
        column("directories", _TEXTS, "Its own directories."),
        column("legal_references", _TEXTS, "Texts that it rests on."),
        column("created", pa.string(), "Time of creation, ISO; as published when it is no date."),
        column("modified", pa.string(), "Time of the last change, ISO; as published when it is no date."),
        column(
            "other_fields", pa.string(), "Fields unknown to this platform: a JSON object of lists by path."
        ),
        column("source_text_sha256", pa.string(), "SHA-256 of the record as published."),
    ]
)

#: Columns that searches filter on.
FILTERS = ("types", "category", "insee_code", "served_communes", "siren", "siret", "modification_date")


def records(member: str) -> JsonRecords:
    """How a directory's file is cut into records.

    Args:
        member: Pattern of the file's name in its archive.
    """
    return JsonRecords(name=_RECORD_NAME, prefix=f"{_RECORD_NAME}.item", key="id", member=member)


def wants(path: str) -> bool:
    """Whether a member is a record."""
    return path.startswith(f"{_RECORD_NAME}[")


def parse(member: Member) -> list[Outcome]:
    """The administration of one record without personal data, or the reason why there is none."""
    return [_outcome(member, redacted)]


def parse_full(member: Member) -> list[Outcome]:
    """The administration of one record with all that is published of it, persons included."""
    return [_outcome(member, _whole)]


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The name, with the acronym that it does not hold."""
    name, acronym = str(metadata["name"]), str(metadata["acronym"])
    is_in_name = re.search(rf"(?<!\w){re.escape(acronym)}(?!\w)", name) is not None
    return [name if not acronym or is_in_name else f"{name} ({acronym})"]


def _whole(record: Record) -> Record:
    return record


def _outcome(member: Member, profile: Callable[[Record], Record]) -> Outcome:
    subject = member.path
    try:
        published = json.loads(member.data)
    # RecursionError: brackets nested some thousands deep.
    except (ValueError, RecursionError) as error:
        return Refusal(subject, f"not a JSON object: {error}")
    if not isinstance(published, dict):
        return Refusal(subject, f"the record is {type_name(published)} and not an object")
    if isinstance(published.get("id"), str):
        subject = one_line(well_formed_text(published["id"])) or subject
    try:
        record = read_record(published)
    except FieldError as error:
        return Refusal(subject, str(error))
    return _document(profile(record), _source_hash(published))


def _document(record: Record, source_hash: str) -> Document:
    metadata = _metadata(record, source_hash)
    return Document(
        doc_id=record.id,
        metadata=metadata,
        sections=(Section(_text(record)),),
        source_url=record.url_service_public,
        source_updated_at=str(metadata["modification_date"]) or None,
    )


def _source_hash(published: Mapping[str, Any]) -> str:
    """Hash of the record as published: proof of which version was read."""
    return words_sha256(json.dumps(published, ensure_ascii=False, sort_keys=True))


# ---------------------------------------------------------------- columns


def _metadata(record: Record, source_hash: str) -> dict[str, MetadataValue]:
    created, modified = _time(record.date_creation), _time(record.date_modification)
    return {
        "types": _types(record),
        "name": record.nom,
        "mission_description": record.mission,
        "addresses": json_text([_address_columns(address) for address in record.adresse]),
        "phone_numbers": [_phone_column(entry) for entry in record.telephone],
        "mails": _values(record.adresse_courriel),
        "urls": _values(record.site_internet),
        "social_medias": [_social_column(entry) for entry in record.reseau_social],
        "mobile_applications": [_application_column(entry) for entry in record.application_mobile],
        "opening_hours": "\n".join(_opening_lines(record)),
        "contact_forms": _values(record.formulaire_contact),
        "additional_information": record.information_complementaire,
        "modification_date": modified.date().isoformat() if modified else "",
        "siret": record.siret,
        "siren": record.siren,
        "people_in_charge": json_text([_post_columns(post) for post in record.affectation_personne]),
        "organizational_chart": [_link_words(entry) for entry in record.organigramme],
        "hierarchy": json_text([asdict(child) for child in record.hierarchie]),
        "directory_url": record.url_service_public,
        "acronym": record.sigle,
        "former_names": list(record.ancien_nom),
        "insee_code": record.code_insee_commune,
        "served_communes": sorted({code for pivot in record.pivot for code in pivot.code_insee_commune}),
        "category": record.categorie,
        "partner": record.partenaire,
        "fax_numbers": [_phone_column(entry) for entry in record.telecopie],
        "accessible_phones": [_link_words(entry) for entry in record.telephone_accessible],
        "electronic_referrals": [_link_words(entry) for entry in record.sve],
        "chats": [_link_words(entry) for entry in record.tchat],
        "directories": [_link_words(entry) for entry in record.annuaire],
        "legal_references": [_link_words(entry) for entry in record.texte_reference],
        "created": created.isoformat() if created else record.date_creation,
        "modified": modified.isoformat() if modified else record.date_modification,
        "other_fields": _other_columns(record.autres),
        "source_text_sha256": source_hash,
    }


def _types(record: Record) -> str:
    """The contract's form: kinds of service by their codes, then the kind of body."""
    services = ", ".join(filter(None, (pivot.type_service_local for pivot in record.pivot)))
    body = record.type_organisme
    return f"{services} ({body})" if services and body else services or body


def _address_columns(address: Adresse) -> dict[str, str]:
    """The contract's six keys, then what they leave out, under upstream's names."""
    street = (address.complement1, address.complement2, address.numero_voie)
    return {
        "adresse": " ".join(filter(None, street)),
        "code_postal": address.code_postal,
        "commune": address.nom_commune,
        "pays": address.pays,
        "longitude": address.longitude,
        "latitude": address.latitude,
        "type_adresse": address.type_adresse,
        "service_distribution": address.service_distribution,
        "continent": address.continent,
        "accessibilite": address.accessibilite,
        "note_accessibilite": address.note_accessibilite,
    }


def _phone_column(entry: Entry) -> str:
    """The contract's form: `01 23 45 67 89. Standard`."""
    return ". ".join(filter(None, (entry.valeur, entry.libelle, entry.description)))


def _social_column(entry: Entry) -> str:
    """The contract's form: `Facebook (description) : address`."""
    platform = entry.custom_dico2 or entry.libelle
    title = (
        f"{platform} ({entry.description})"
        if platform and entry.description
        else platform or entry.description
    )
    return _titled(title, entry.valeur)


def _application_column(entry: Entry) -> str:
    """The contract's form: `description (platform) : address`."""
    name = entry.description or entry.libelle
    title = f"{name} ({entry.custom_dico2})" if name and entry.custom_dico2 else name or entry.custom_dico2
    return _titled(title, entry.valeur)


def _values(entries: Sequence[Entry]) -> list[str]:
    return [entry.valeur for entry in entries if entry.valeur]


def _post_columns(post: AffectationPersonne) -> dict[str, object]:
    """A function as published; `personne` is `{}` where nobody is named."""
    return {
        "fonction": post.fonction,
        "personne": _person_columns(post.personne) if post.personne != Personne() else {},
        "telephone": post.telephone,
    }


def _person_columns(person: Personne) -> dict[str, object]:
    return {
        "civilite": person.civilite,
        "prenom": person.prenom,
        "nom": person.nom,
        "grade": person.grade,
        "texte_reference": [
            {"libelle": reference.libelle, "valeur": reference.valeur} for reference in person.texte_reference
        ],
        "adresse_courriel": _values(person.adresse_courriel),
    }


def _other_columns(others: Iterable[Autre]) -> str:
    """Values by path; a path without values is one that the public profile holds back."""
    by_path: dict[str, list[Any]] = {}
    for other in others:
        values = by_path.setdefault(other.chemin, [])
        if other.valeur is not None:
            values.append(other.valeur)
    return json_text(by_path)


def _time(text: str) -> datetime | None:
    """A time as upstream writes it, in French legal time; None when it is none."""
    try:
        return datetime.strptime(text, "%d/%m/%Y %H:%M:%S")
    except ValueError:
        return None


# ---------------------------------------------------------------- text


def _text(record: Record) -> str:
    """All that the record says; its name where it says nothing else, so that a search finds it."""
    paragraphs = (
        record.mission,
        "\n".join(_contact_lines(record)),
        _headed("Horaires d'ouverture :", _opening_lines(record)),
        _headed("Responsables :", _post_lines(record.affectation_personne)),
        _headed("Textes de référence :", [f"-\t{_link_words(entry)}" for entry in record.texte_reference]),
        record.information_complementaire,
        "\n".join(_other_lines(record.autres)),
    )
    return "\n\n".join(filter(None, paragraphs)) or record.nom


def _headed(title: str, lines: Iterable[str]) -> str:
    written = "\n".join(lines)
    return f"{title}\n{written}" if written else ""


def _contact_lines(record: Record) -> Iterator[str]:
    """How to reach the service, one line for each way."""
    yield from _labelled("Type d'organisme", [record.type_organisme])
    yield from _labelled("Ancien nom", record.ancien_nom)
    for address in record.adresse:
        yield from _labelled(address.type_adresse or "Adresse", [_address_words(address)])
    ways: tuple[tuple[str, tuple[Entry, ...]], ...] = (
        ("Téléphone", record.telephone),
        ("Téléphone pour les personnes sourdes ou malentendantes", record.telephone_accessible),
        ("Télécopie", record.telecopie),
        ("Courriel", record.adresse_courriel),
        ("Site internet", record.site_internet),
        ("Formulaire de contact", record.formulaire_contact),
        ("Saisine par voie électronique", record.sve),
        ("Messagerie instantanée", record.tchat),
        ("Réseaux sociaux", record.reseau_social),
        ("Application mobile", record.application_mobile),
        ("Annuaire", record.annuaire),
        ("Organigramme", record.organigramme),
    )
    for label, entries in ways:
        yield from _labelled(label, [_link_words(entry) for entry in entries])
    yield from _labelled("Service disponible", [record.service_disponible])


def _labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    written = " ; ".join(filter(None, texts))
    if written:
        yield f"{label} : {written}"


def _address_words(address: Adresse) -> str:
    """An address as on an envelope, on one line, with how accessible it is."""
    is_french = address.pays == "France" and address.continent == "Europe"
    country = address.pays if is_french else _in_parentheses(address.pays, address.continent)
    place = ", ".join(
        filter(
            None,
            (
                address.complement1,
                address.complement2,
                address.numero_voie,
                address.service_distribution,
                " ".join(filter(None, (address.code_postal, address.nom_commune))),
                country,
            ),
        )
    )
    access = _ACCESSIBILITY.get(address.accessibilite, address.accessibilite)
    return _in_parentheses(place, " : ".join(filter(None, (access, address.note_accessibilite))))


def _in_parentheses(text: str, addition: str) -> str:
    return f"{text} ({addition})" if text and addition else text or addition


def _link_words(entry: Entry) -> str:
    """A number or address with what it leads to."""
    kinds = ", ".join(filter(None, (entry.custom_dico1, entry.custom_dico2)))
    title = _in_parentheses(entry.libelle, kinds)
    return _in_parentheses(_titled(title, entry.valeur), entry.description)


def _titled(title: str, value: str) -> str:
    return " : ".join(filter(None, (title, value)))


def _opening_lines(record: Record) -> list[str]:
    """Opening hours in words, then what is said of them all."""
    hours = [_opening_words(hours) for hours in record.plage_ouverture]
    return list(filter(None, (*hours, record.commentaire_plage_ouverture)))


def _opening_words(hours: PlageOuverture) -> str:
    """`Du lundi au vendredi : de 08 h 30 à 12 h 00 et de 13 h 30 à 17 h 00 (Sur rendez-vous.)`."""
    runs = (
        _run_words(hours.valeur_heure_debut_1, hours.valeur_heure_fin_1),
        _run_words(hours.valeur_heure_debut_2, hours.valeur_heure_fin_2),
    )
    when = _titled(_days_words(hours.nom_jour_debut, hours.nom_jour_fin), " et ".join(filter(None, runs)))
    return _in_parentheses(when, hours.commentaire)


def _days_words(first: str, last: str) -> str:
    if first and last and first != last:
        return f"Du {first.lower()} au {last.lower()}"
    day = first or last
    return f"Le {day.lower()}" if day else ""


def _run_words(start: str, end: str) -> str:
    if start and end:
        return f"de {_hour_words(start)} à {_hour_words(end)}"
    if start:
        return f"à partir de {_hour_words(start)}"
    return f"jusqu'à {_hour_words(end)}" if end else ""


def _hour_words(hour: str) -> str:
    """`08:30:00` as « 08 h 30 »; whatever else as it is."""
    parts = hour.split(":")
    is_hour = (
        len(parts) == 3 and all(len(part) == 2 and part.isdecimal() for part in parts) and parts[2] == "00"
    )
    return f"{parts[0]} h {parts[1]}" if is_hour else hour


def _post_lines(posts: Iterable[AffectationPersonne]) -> Iterator[str]:
    for post in posts:
        words = _titled(post.fonction, _person_words(post))
        if words:
            yield f"-\t{words}"


def _person_words(post: AffectationPersonne) -> str:
    """`M. Jean Dupont, préfet, tél. 01 23 45 67 89, jean.dupont@example.fr (order of appointment)`."""
    person = post.personne
    name = " ".join(filter(None, (person.civilite, person.prenom, person.nom)))
    phone = f"tél. {post.telephone}" if post.telephone else ""
    mails = [_link_words(entry) for entry in person.adresse_courriel]
    orders = " ; ".join(_link_words(entry) for entry in person.texte_reference)
    return _in_parentheses(", ".join(filter(None, (name, person.grade, phone, *mails))), orders)


def _other_lines(others: Iterable[Autre]) -> Iterator[str]:
    """What upstream says in fields that are unknown here; in the public profile nothing."""
    for other in others:
        words = " ; ".join(_leaves(other.valeur))
        if words:
            yield f"{other.chemin.rpartition('.')[2]} : {words}"


def _leaves(value: object) -> Iterator[str]:
    """Texts and numbers of a JSON value, in its order."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting.extend(reversed(list(part.values())))
        elif isinstance(part, list):
            waiting.extend(reversed(part))
        elif isinstance(part, str):
            if text := one_line(well_formed_text(part)):
                yield text
        elif part is not None:
            yield json.dumps(part)
