r"""The words of the sample's administrations, and the records that publish them.

What belongs here: invented administrations of places that do not exist, in our own words, plausible and **not
official**, with every field of the directories' records. What does not: where their files lie (`fixtures/`).

As in the real files, every field is always there, an empty text or list when it says nothing; dates are
`dd/mm/yyyy HH:MM:SS`; a mission breaks its lines with `\r\n`; an address of the State's directory knows nothing of
accessibility; and a person can be `{}`. Numbers are those reserved for works of fiction, names of persons are made up.
"""

from typing import Any

Record = dict[str, Any]

_TEXTS = (
    *("ancien_code_pivot", "categorie", "code_insee_commune", "commentaire_plage_ouverture", "date_creation"),
    *(
        "date_diffusion",
        "date_modification",
        "id",
        "information_complementaire",
        "itm_identifiant",
        "mission",
    ),
    *("nom", "partenaire", "partenaire_date_modification", "partenaire_identifiant", "service_disponible"),
    *("sigle", "siren", "siret", "type_organisme", "type_repertoire", "url_service_public"),
    *("version_etat_modification", "version_source"),
)
_LISTS = (
    *("adresse", "adresse_courriel", "affectation_personne", "ancien_identifiant", "ancien_nom", "annuaire"),
    *("application_mobile", "formulaire_contact", "hierarchie", "organigramme", "pivot", "plage_ouverture"),
    *("reseau_social", "site_internet", "sve", "tchat", "telecopie", "telephone", "telephone_accessible"),
    "texte_reference",
)
_SITE = "https://lannuaire.service-public.gouv.fr"


def state_records(day: int) -> list[Record]:
    """The State's administrations on a day of the sample."""
    changed = day >= 2
    records = [_ministry(), _division(changed), _bureau(), _observatory(), _inspectorate()]
    return records if changed else [*records, _mission()]


def local_records(day: int) -> list[Record]:
    """The local administrations on a day of the sample."""
    changed = day >= 2
    records = [_town_hall(changed), _village_hall(), _one_stop_shop(), _tax_office(), _labour_office()]
    return records if changed else [*records, _gendarmerie()]


# ---------------------------------------------------------------- State


def _ministry() -> Record:
    return _state_record(
        "9a000000-0000-4000-8000-000000000001",
        nom="Ministère des rivières et des canaux",
        sigle="MRC",
        mission="Le ministère prépare et conduit la politique des voies d'eau intérieures. \r\n"
        "Il veille à la navigation, à la qualité des eaux et à la sécurité des berges.",
        adresse=[_state_address("12 quai des Péniches", "99075", "Confluence")],
        telephone=[{"valeur": "01 99 00 10 00", "description": "standard"}],
        site_internet=[{"libelle": "", "valeur": "https://www.rivieres.example/"}],
        organigramme=[{"libelle": "Organigramme du ministère", "valeur": "https://www.rivieres.example/qui"}],
        hierarchie=[
            {"type_hierarchie": "Service Fils", "service": "9a000000-0000-4000-8000-000000000002"},
            {"type_hierarchie": "Autre hiérarchie", "service": "9a000000-0000-4000-8000-000000000004"},
        ],
        date_modification="03/11/2025 09:12:44",
    )


def _division(changed: bool) -> Record:
    """Its mission is another one from day 2 on."""
    mission = (
        "La sous-direction délivre les permis de navigation des bateaux de plaisance. \r\n"
        "Elle tient le fichier des écluses et fixe leurs heures d'ouverture."
    )
    added = " \r\nElle instruit aussi les demandes de stationnement des bateaux-logements."
    return _state_record(
        "9a000000-0000-4000-8000-000000000002",
        nom="Sous-direction de la navigation fluviale",
        mission=mission + added if changed else mission,
        adresse=[
            _state_address("12 quai des Péniches", "99075", "Confluence"),
            {
                **_state_address("12 quai des Péniches", "99575", "Confluence Cedex 7"),
                "type_adresse": "Adresse postale",
                "service_distribution": "CS 40012",
                "longitude": "",
                "latitude": "",
            },
        ],
        affectation_personne=[
            {
                "fonction": "Sous-directrice",
                "personne": _person("Mme", "Ondine", "TRÉMAZAN-VOLE", "ingénieure en chef"),
                "telephone": "01 99 00 10 21",
            },
            {"fonction": "Adjoint", "personne": {}, "telephone": ""},
        ],
        telephone=[
            {"valeur": "01 99 00 10 20", "description": ""},
            {"valeur": "01 99 00 10 21", "description": "ligne directe de la sous-directrice"},
        ],
        adresse_courriel=["permis-navigation@rivieres.example", "ondine.tremazan-vole@rivieres.example"],
        hierarchie=[{"type_hierarchie": "Service Fils", "service": "9a000000-0000-4000-8000-000000000003"}],
        date_modification="07/01/2026 08:30:02" if changed else "16/12/2025 10:35:29",
    )


def _bureau() -> Record:
    return _state_record(
        "9a000000-0000-4000-8000-000000000003",
        nom="Bureau des écluses - NF2",
        ancien_nom=["Bureau des ouvrages hydrauliques"],
        adresse=[_state_address("12 quai des Péniches", "99075", "Confluence")],
        affectation_personne=[{"fonction": "Chef du bureau", "personne": {}, "telephone": "01 99 00 10 33"}],
        telephone=[{"valeur": "01 99 00 10 30", "description": ""}],
        telecopie=["01 99 00 10 31"],
        formulaire_contact=["https://www.rivieres.example/ecrire"],
        sve=["https://www.rivieres.example/saisine"],
        date_modification="13/01/2025 09:29:06",
    )


def _observatory() -> Record:
    return _state_record(
        "9a000000-0000-4000-8000-000000000004",
        nom="Observatoire national des crues lentes",
        sigle="ONCL",
        type_organisme="Établissement public",
        mission="L'observatoire mesure la hauteur des rivières et publie chaque matin un bulletin de vigilance.",
        information_complementaire="Les relevés des dix dernières années sont consultables sur place, "
        "sur demande de M. Barnabé Orvalet, responsable des archives.",
        adresse=[
            {
                **_state_address("", "", "Port-Lagon", continent="Océanie"),
                "complement1": "Bâtiment du vieux moulin",
                "service_distribution": "BP 14",
            }
        ],
        affectation_personne=[
            {"fonction": "Président", "personne": _person("M.", "Barnabé", "ORVALET", ""), "telephone": ""}
        ],
        annuaire=[{"libelle": "Stations de mesure", "valeur": "https://crues.example/stations"}],
        texte_reference=[
            {"libelle": "Décret relatif à l'observatoire", "valeur": "https://textes.example/decret-crues"}
        ],
        date_modification="30/06/2025 17:00:00",
    )


def _inspectorate() -> Record:
    """Nothing but a name and a kind."""
    return _state_record("9a000000-0000-4000-8000-000000000005", nom="Inspection générale des berges")


def _mission() -> Record:
    """Gone from day 2 on."""
    return _state_record(
        "9a000000-0000-4000-8000-000000000006",
        nom="Mission temporaire pour le centenaire du grand canal",
        mission="La mission organise les fêtes du centenaire, puis disparaît.",
        date_modification="02/02/2025 12:00:00",
    )


# ---------------------------------------------------------------- local


def _town_hall(changed: bool) -> Record:
    """Its hours are others from day 2 on."""
    evening = "19:00:00" if changed else "17:30:00"
    return _local_record(
        "9b000000-0000-4000-8000-000000000001",
        "mairie",
        "99101",
        nom="Mairie - Valclair-sur-Onde",
        siren="219900101",
        siret="21990010100017",
        adresse=[
            {**_local_address("1 place du Lavoir", "99100", "Valclair-sur-Onde"), "accessibilite": "DEM"}
        ],
        plage_ouverture=[
            _hours("Lundi", "Jeudi", "08:30:00", "12:00:00", "13:30:00", "17:00:00"),
            _hours("Vendredi", "Vendredi", "08:30:00", "12:00:00", "13:30:00", evening),
            {**_hours("Samedi", "", "09:00:00", "12:00:00"), "commentaire": "État civil uniquement."},
        ],
        telephone=[
            {"valeur": "02 61 91 00 01", "description": ""},
            {"valeur": "06 39 98 00 01", "description": "numéro d'astreinte"},
        ],
        adresse_courriel=["mairie@valclair.example"],
        site_internet=[{"libelle": "", "valeur": "https://www.valclair.example/"}],
        reseau_social=[
            {"valeur": "https://reseau.example/valclair", "description": "", "custom_dico2": "Facebook"}
        ],
        application_mobile=[
            {
                "valeur": "https://appli.example/valclair",
                "description": "Valclair Poche",
                "custom_dico2": "Android",
            }
        ],
        date_modification="07/01/2026 11:02:51" if changed else "06/10/2025 09:10:54",
    )


def _village_hall() -> Record:
    """A small town hall whose address of the mail is the mayor's."""
    return _local_record(
        "9b000000-0000-4000-8000-000000000002",
        "mairie",
        "99102",
        nom="Mairie - Petit-Bief",
        adresse=[
            {
                **_local_address("4 chemin de la Vanne", "99102", "Petit-Bief"),
                "pays": "",
                "continent": "",
                "accessibilite": "ACC",
                "note_accessibilite": "Rampe à gauche de l'entrée.",
            }
        ],
        plage_ouverture=[_hours("Mardi", "Mardi", "", "", "17:00:00", "19:00:00")],
        commentaire_plage_ouverture="Fermé la deuxième quinzaine d'août.",
        affectation_personne=[
            {"fonction": "Maire", "personne": _person("Mme", "Léopoldine", "GRAVELINE", ""), "telephone": ""}
        ],
        telephone=[{"valeur": "02 61 91 00 02", "description": ""}],
        adresse_courriel=["l.graveline@petit-bief.example"],
        # Unknown in the source for some records.
        date_modification="",
    )


def _one_stop_shop() -> Record:
    return _local_record(
        "9b000000-0000-4000-8000-000000000003",
        "france_services",
        "99101",
        nom="France services - Valclair-sur-Onde",
        partenaire="france_service",
        partenaire_identifiant="9901",
        mission="Les conseillers vous aident dans vos démarches en ligne : impôts, retraite, santé, emploi, carte "
        "grise. \r\nIls impriment et numérisent vos pièces et vous orientent vers le bon interlocuteur.",
        adresse=[
            {**_local_address("3 rue du Halage", "99100", "Valclair-sur-Onde"), "complement1": "Médiathèque"}
        ],
        plage_ouverture=[_hours("Lundi", "Vendredi", "09:00:00", "12:30:00", "14:00:00", "17:30:00")],
        commentaire_plage_ouverture="De préférence sur rendez-vous.",
        telephone=[{"valeur": "02 61 91 00 03", "description": ""}],
        telephone_accessible=[
            {
                "valeur": "https://accessible.example/valclair",
                "description": "Interprète en langue des signes",
                "custom_dico1": ["LSF"],
            }
        ],
        information_complementaire="Le véhicule itinérant passe à Petit-Bief le premier jeudi du mois.",
        date_modification="03/06/2025 14:21:31",
    )


def _tax_office() -> Record:
    return _local_record(
        "9b000000-0000-4000-8000-000000000004",
        "sie",
        "99103",
        categorie="SIL",
        nom="Service des impôts des entreprises (SIE) - Confluence",
        sigle="SIE",
        type_organisme="Service déconcentré",
        siren="139900103",
        mission="Le service des impôts des entreprises reçoit les professionnels : \r\n"
        "- déclaration et paiement de la TVA ; \r\n- cotisation foncière des entreprises ; \r\n- remboursements.",
        adresse=[
            _local_address("20 rue des Mariniers", "99103", "Confluence"),
            {
                **_local_address("20 rue des Mariniers", "99503", "Confluence Cedex"),
                "type_adresse": "Adresse postale",
                "service_distribution": "BP 203",
            },
        ],
        plage_ouverture=[_hours("Lundi", "Mercredi", "08:45:00", "12:00:00")],
        telephone=[{"valeur": "02 61 91 00 04", "description": ""}],
        telecopie=["02 61 91 00 05"],
        adresse_courriel=["sie.confluence@impots.example"],
        tchat=[{"libelle": "Assistant en ligne", "valeur": "https://impots.example/assistant"}],
        date_modification="27/08/2025 08:16:31",
    )


def _labour_office() -> Record:
    return _local_record(
        "9b000000-0000-4000-8000-000000000005",
        "inspection_travail",
        "99103",
        nom="Inspection du travail - Confluence",
        mission="L'inspection du travail renseigne les salariés et les employeurs sur leurs droits et contrôle "
        "l'application du code du travail dans les entreprises.",
        adresse=[{**_local_address("8 quai du Charbon", "99103", "Confluence"), "accessibilite": "NAC"}],
        plage_ouverture=[
            {
                **_hours("Lundi", "Vendredi", "09:00:00", "11:30:00"),
                "commentaire": "Sur rendez-vous uniquement.",
            }
        ],
        telephone=[{"valeur": "08 36 49 00 00", "description": "renseignements en droit du travail"}],
        service_disponible="Renseignements sur le contrat de travail",
        date_modification="15/05/2025 16:40:00",
    )


def _gendarmerie() -> Record:
    """Gone from day 2 on."""
    return _local_record(
        "9b000000-0000-4000-8000-000000000006",
        "gendarmerie",
        "99102",
        nom="Brigade de gendarmerie - Petit-Bief",
        adresse=[_local_address("2 route du Barrage", "99102", "Petit-Bief")],
        telephone=[{"valeur": "02 61 91 00 06", "description": ""}],
        date_modification="09/08/2023 13:30:19",
    )


# ---------------------------------------------------------------- fields


def _record(identifier: str, facts: Record) -> Record:
    """Every field of a record, those that are not in `facts` empty."""
    return {
        **dict.fromkeys(sorted(_TEXTS), ""),
        **{name: [] for name in _LISTS},
        "copyright": "Direction de l'information légale et administrative (Premier ministre)",
        "date_creation": "30/06/2008 00:00:00",
        "id": identifier,
        "itm_identifiant": str(900_000 + int(identifier[-4:])),
        "statut_de_diffusion": "true",
        "version_type": "Publiable",
        **facts,
    }


def _state_record(identifier: str, **facts: object) -> Record:
    common = {
        "categorie": "SI",
        "type_organisme": "Administration centrale (ou Ministère)",
        "url_service_public": f"{_SITE}/gouvernement/{identifier}",
    }
    return _record(identifier, {**common, **facts})


def _local_record(identifier: str, kind: str, insee_code: str, **facts: object) -> Record:
    common = {
        "ancien_code_pivot": f"{kind}-{insee_code}-01",
        "categorie": "SL",
        "code_insee_commune": insee_code,
        "pivot": [{"type_service_local": kind, "code_insee_commune": [insee_code]}],
        "url_service_public": f"{_SITE}/val-d-onde/haute-onde/{identifier}",
    }
    return _record(identifier, {**common, **facts})


def _state_address(street: str, postal_code: str, commune: str, continent: str = "Europe") -> Record:
    return {
        "type_adresse": "Adresse",
        "complement1": "",
        "complement2": "",
        "numero_voie": street,
        "service_distribution": "",
        "code_postal": postal_code,
        "nom_commune": commune,
        "pays": "France",
        "continent": continent,
        "longitude": "2.345678",
        "latitude": "48.765432",
    }


def _local_address(street: str, postal_code: str, commune: str) -> Record:
    return {**_state_address(street, postal_code, commune), "accessibilite": "", "note_accessibilite": ""}


def _hours(first: str, last: str, *hours: str) -> Record:
    names = ("valeur_heure_debut_1", "valeur_heure_fin_1", "valeur_heure_debut_2", "valeur_heure_fin_2")
    padded = (*hours, *("" for _ in names[len(hours) :]))
    return {
        "nom_jour_debut": first,
        "nom_jour_fin": last,
        **dict(zip(names, padded, strict=True)),
        "commentaire": "",
    }


def _person(civility: str, first_name: str, family_name: str, grade: str) -> Record:
    return {
        "adresse_courriel": [],
        "civilite": civility,
        "grade": grade,
        "nom": family_name,
        "prenom": first_name,
        "texte_reference": [
            {
                "libelle": "JORF n°0001 du 2 janvier 2025",
                "valeur": f"https://textes.example/nomination-{family_name.lower()}",
            }
        ],
    }
