"""One record of the administrations' directories, read into types, with nothing left out.

What belongs here: the fields of a record, their types, and what was not expected among them. What does not: which
of them are personal (`directory_redaction.py`), and how they become columns and text (`directory.py`).

The State's and the local administrations' directories publish the same fields, each always present: an empty text
or an empty list says that there is nothing. A missing field, and null, count as empty as well, save for `id` and
`nom`, without which a record names nothing. A field of another type refuses the whole record, and its name is told:
a part that we do not understand is neither guessed nor dropped.

A field that upstream adds is kept too, as JSON, under the path of its name (`adresse.etage`): see `Record.autres`.
Only the fields of `TECHNICAL` are passed over: they serve the publisher's own tools.

The classes and their fields bear the upstream's names.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from mediatech_assets.documents.markup import one_line, well_formed_text

#: Fields of no use to a reader: copyright, former and partners' identifiers, versions, state of publication.
TECHNICAL = frozenset(
    (
        "ancien_code_pivot",
        "ancien_identifiant",
        "copyright",
        "date_diffusion",
        "itm_identifiant",
        "partenaire_date_modification",
        "partenaire_identifiant",
        "statut_de_diffusion",
        "type_repertoire",
        "version_etat_modification",
        "version_source",
        "version_type",
    )
)


class FieldError(ValueError):
    """A field that is missing or of another type; the message names it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the contacts or links of a record: a number, a mail, an address of the web.

    Upstream writes some lists as texts and others as objects, and not always the same: both become this.

    Args:
        valeur: The number, mail or address.
        libelle: What it leads to.
        description: What it is for.
        custom_dico1: Names of a service's kinds, such as that of an accessible telephone.
        custom_dico2: Name of the platform (`Facebook`, `Android`).
    """

    valeur: str
    libelle: str = ""
    description: str = ""
    custom_dico1: str = ""
    custom_dico2: str = ""


@dataclass(frozen=True, slots=True)
class Adresse:
    """A postal address; the State's directory has no `accessibilite` and no `note_accessibilite`."""

    type_adresse: str = ""
    complement1: str = ""
    complement2: str = ""
    numero_voie: str = ""
    service_distribution: str = ""
    code_postal: str = ""
    nom_commune: str = ""
    pays: str = ""
    continent: str = ""
    longitude: str = ""
    latitude: str = ""
    accessibilite: str = ""
    note_accessibilite: str = ""


@dataclass(frozen=True, slots=True)
class PlageOuverture:
    """Days and hours on which a service is open; hours are `HH:MM:SS`."""

    nom_jour_debut: str = ""
    nom_jour_fin: str = ""
    valeur_heure_debut_1: str = ""
    valeur_heure_fin_1: str = ""
    valeur_heure_debut_2: str = ""
    valeur_heure_fin_2: str = ""
    commentaire: str = ""


@dataclass(frozen=True, slots=True)
class Personne:
    """A person; all empty where upstream names nobody (`{}`)."""

    civilite: str = ""
    prenom: str = ""
    nom: str = ""
    grade: str = ""
    texte_reference: tuple[Entry, ...] = ()
    adresse_courriel: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class AffectationPersonne:
    """A function and who holds it; the telephone is that person's."""

    fonction: str = ""
    personne: Personne = Personne()
    telephone: str = ""


@dataclass(frozen=True, slots=True)
class Hierarchie:
    """A service below this one: `service` is the identifier of the child."""

    type_hierarchie: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Pivot:
    """Kind of a local service (`mairie`), and the communes that it serves."""

    type_service_local: str = ""
    code_insee_commune: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Autre:
    """A value that this module does not know: its path, and the value as parsed from JSON."""

    chemin: str
    valeur: Any


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a directory. Texts are cleaned of odd white space; those of several lines keep their lines."""

    id: str
    nom: str
    sigle: str
    ancien_nom: tuple[str, ...]
    mission: str
    type_organisme: str
    categorie: str
    partenaire: str
    service_disponible: str
    siren: str
    siret: str
    code_insee_commune: str
    date_creation: str
    date_modification: str
    url_service_public: str
    commentaire_plage_ouverture: str
    information_complementaire: str
    pivot: tuple[Pivot, ...]
    adresse: tuple[Adresse, ...]
    plage_ouverture: tuple[PlageOuverture, ...]
    telephone: tuple[Entry, ...]
    telephone_accessible: tuple[Entry, ...]
    telecopie: tuple[Entry, ...]
    adresse_courriel: tuple[Entry, ...]
    site_internet: tuple[Entry, ...]
    formulaire_contact: tuple[Entry, ...]
    sve: tuple[Entry, ...]
    tchat: tuple[Entry, ...]
    reseau_social: tuple[Entry, ...]
    application_mobile: tuple[Entry, ...]
    annuaire: tuple[Entry, ...]
    organigramme: tuple[Entry, ...]
    texte_reference: tuple[Entry, ...]
    affectation_personne: tuple[AffectationPersonne, ...]
    hierarchie: tuple[Hierarchie, ...]
    autres: tuple[Autre, ...]


def read_record(value: Mapping[str, Any]) -> Record:
    """The record that a JSON object says.

    Raises:
        FieldError: a field that must be there is empty, or one is of another type.
    """
    record = _Fields(value)
    record.pass_over(TECHNICAL)
    return Record(
        id=record.required_line("id"),
        nom=record.required_line("nom"),
        sigle=record.line("sigle"),
        ancien_nom=tuple(_words_of(entry) for entry in record.entries("ancien_nom")),
        mission=record.paragraphs("mission"),
        type_organisme=record.line("type_organisme"),
        categorie=record.line("categorie"),
        partenaire=record.line("partenaire"),
        service_disponible=record.line("service_disponible"),
        siren=record.line("siren"),
        siret=record.line("siret"),
        code_insee_commune=record.line("code_insee_commune"),
        date_creation=record.line("date_creation"),
        date_modification=record.line("date_modification"),
        url_service_public=record.line("url_service_public"),
        commentaire_plage_ouverture=record.paragraphs("commentaire_plage_ouverture"),
        information_complementaire=record.paragraphs("information_complementaire"),
        pivot=tuple(_pivot(part) for part in record.objects("pivot")),
        adresse=tuple(_of_lines(Adresse, part) for part in record.objects("adresse")),
        plage_ouverture=tuple(_of_lines(PlageOuverture, part) for part in record.objects("plage_ouverture")),
        telephone=record.entries("telephone"),
        telephone_accessible=record.entries("telephone_accessible"),
        telecopie=record.entries("telecopie"),
        adresse_courriel=record.entries("adresse_courriel"),
        site_internet=record.entries("site_internet"),
        formulaire_contact=record.entries("formulaire_contact"),
        sve=record.entries("sve"),
        tchat=record.entries("tchat"),
        reseau_social=record.entries("reseau_social"),
        application_mobile=record.entries("application_mobile"),
        annuaire=record.entries("annuaire"),
        organigramme=record.entries("organigramme"),
        texte_reference=record.entries("texte_reference"),
        affectation_personne=tuple(_affectation(part) for part in record.objects("affectation_personne")),
        hierarchie=tuple(_of_lines(Hierarchie, part) for part in record.objects("hierarchie")),
        # Last, once every field that is known has been asked for.
        autres=record.others(),
    )


def type_name(value: object) -> str:
    """What a value of JSON is called in a message."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


class _Fields:
    """Fields of an object of the JSON, each asked for once; those that nobody asks for are the others.

    Args:
        value: The object.
        path: Path of the object in the record, ending in a dot; empty for the record.
        others: Where the unknown fields of all parts of one record are gathered.
    """

    def __init__(self, value: Mapping[str, Any], path: str = "", others: list[Autre] | None = None) -> None:
        self._left = dict(value)
        self._path = path
        self._others: list[Autre] = [] if others is None else others

    def pass_over(self, names: frozenset[str]) -> None:
        for name in names:
            self._left.pop(name, None)

    def required_line(self, name: str) -> str:
        if name not in self._left:
            raise FieldError(f"the field {self._path}{name} is missing")
        text = self.line(name)
        if not text:
            raise FieldError(f"the field {self._path}{name} is empty")
        return text

    def line(self, name: str) -> str:
        return _line(self._text(name))

    def paragraphs(self, name: str) -> str:
        return _paragraphs(self._text(name))

    def lines(self, name: str) -> tuple[str, ...]:
        """Texts of a list, or the one text that stands in its place."""
        value = self._take(name)
        values = value if isinstance(value, list) else [value]
        return tuple(filter(None, (_line(self._as_text(name, entry)) for entry in values)))

    def entries(self, name: str) -> tuple[Entry, ...]:
        """Texts and objects of a list, also of lists inside it."""
        return tuple(
            entry for value in self._flat(name) for entry in self._entries_of(name, value) if _words_of(entry)
        )

    def objects(self, name: str) -> Iterator["_Fields"]:
        for value in self._list(name):
            if not _is_empty(value):
                yield self._inner(name, value)

    def inner(self, name: str) -> "_Fields":
        value = self._take(name)
        return self._inner(name, {} if _is_empty(value) else value)

    def others(self) -> tuple[Autre, ...]:
        """All that nobody asked for, in this object and in those that came out of it."""
        for name, value in self._left.items():
            if not _is_empty(value):
                self._others.append(Autre(f"{self._path}{name}", value))
        self._left.clear()
        return tuple(self._others)

    def _entries_of(self, name: str, value: object) -> Iterator[Entry]:
        if isinstance(value, str):
            yield Entry(_line(value))
        elif isinstance(value, dict):
            part = self._inner(name, value)
            values = part.lines("valeur") or ("",)
            libelle, description = part.line("libelle"), part.line("description")
            kinds, platform = ", ".join(part.lines("custom_dico1")), ", ".join(part.lines("custom_dico2"))
            part.others()
            for valeur in values:
                yield Entry(valeur, libelle, description, kinds, platform)
        elif value is not None:
            raise FieldError(
                f"the field {self._path}{name} holds {type_name(value)} and not a text or an object"
            )

    def _inner(self, name: str, value: object) -> "_Fields":
        if not isinstance(value, dict):
            raise FieldError(f"the field {self._path}{name} holds {type_name(value)} and not an object")
        return _Fields(value, f"{self._path}{name}.", self._others)

    def _flat(self, name: str) -> Iterator[object]:
        waiting = list(reversed(self._list(name)))
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting.extend(reversed(value))
            else:
                yield value

    def _list(self, name: str) -> list[Any]:
        value = self._take(name)
        if isinstance(value, list):
            return value
        if _is_empty(value):
            return []
        raise FieldError(f"the field {self._path}{name} is {type_name(value)} and not a list")

    def _text(self, name: str) -> str:
        return self._as_text(name, self._take(name))

    def _as_text(self, name: str, value: object) -> str:
        if isinstance(value, str):
            return value
        if value is None:
            return ""
        raise FieldError(f"the field {self._path}{name} is {type_name(value)} and not a text")

    def _take(self, name: str) -> object:
        return self._left.pop(name, None)


_Lines = TypeVar("_Lines", Adresse, PlageOuverture, Hierarchie)


def _of_lines(kind: type[_Lines], part: _Fields) -> _Lines:
    """A class whose fields are all texts of one line."""
    read = kind(**{field.name: part.line(field.name) for field in fields(kind)})
    part.others()
    return read


def _pivot(part: _Fields) -> Pivot:
    read = Pivot(part.line("type_service_local"), part.lines("code_insee_commune"))
    part.others()
    return read


def _affectation(part: _Fields) -> AffectationPersonne:
    read = AffectationPersonne(
        part.line("fonction"), _personne(part.inner("personne")), part.line("telephone")
    )
    part.others()
    return read


def _personne(part: _Fields) -> Personne:
    read = Personne(
        civilite=part.line("civilite"),
        prenom=part.line("prenom"),
        nom=part.line("nom"),
        grade=part.line("grade"),
        texte_reference=part.entries("texte_reference"),
        adresse_courriel=part.entries("adresse_courriel"),
    )
    part.others()
    return read


def _words_of(entry: Entry) -> str:
    parts = (entry.valeur, entry.libelle, entry.description, entry.custom_dico1, entry.custom_dico2)
    return " ".join(filter(None, parts))


def _is_empty(value: object) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _line(text: str) -> str:
    return one_line(_composed(text)) if text else ""


def _paragraphs(text: str) -> str:
    lines = [one_line(line) for line in _composed(text).splitlines()] if text else []
    paragraphs: list[str] = []
    for position, line in enumerate(lines):
        if line or (position and lines[position - 1]):
            paragraphs.append(line)
    return "\n".join(paragraphs).strip()


def _composed(text: str) -> str:
    """Well-formed text whose accents are one character with their letters, so that names compare."""
    return unicodedata.normalize("NFC", well_formed_text(text))


def json_text(value: object) -> str:
    """JSON as columns hold it."""
    return well_formed_text(json.dumps(value, ensure_ascii=False))
