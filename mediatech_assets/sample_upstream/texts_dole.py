"""The words of the sample's legislative files.

What belongs here: invented bills, memoranda and laws, in our own words, that say plausible things about real
subjects so that questions find answers. **They are not the law**: identifiers in `0000990…` exist nowhere at the
DILA. What does not: how they are written and when they are delivered (`fixtures/dole.py`).

Oddities shown: a memorandum with and without titles of articles, one that is bare text, « 1<sup>er</sup> » and
« 1 er », divisions between articles, `<br/>` glued to sentences, an article added on the way, several texts, a
schedule of decrees, an empty TYPE, a file without any text, a correction under the same id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mediatech_assets.sample_upstream.legi_xml import NO_END


@dataclass(frozen=True, slots=True)
class Legislature:
    """A term of the Assemblée nationale."""

    number: str
    label: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Decree:
    """A decree that a law calls for, as ECHEANCIER lists it."""

    article: str
    basis: str
    subject: str
    due: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """A legislative file.

    Args:
        number: Last digits of its id.
        title: TITRE.
        kind: TYPE; empty for some.
        created: DATE_CREATION.
        modified: DATE_DERNIERE_MODIFICATION.
        legislature: When it was opened.
        memorandum: EXPOSE_MOTIF, as an XML fragment or bare text.
        labels: LIBELLE_TEXTE_n by n.
        contents: CONTENU_DOSSIER_n by n, as XML fragments.
        text_ids: ID_TEXTE_n by n.
        links: Label and address of the links.
        level: Title of the level of the tree that holds the links; empty for none.
        decrees: What ECHEANCIER lists.
    """

    number: int
    title: str
    kind: str
    created: str
    modified: str
    legislature: Legislature
    memorandum: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    contents: Mapping[int, str] = field(default_factory=dict)
    text_ids: Mapping[int, str] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    level: str = ""
    decrees: tuple[Decree, ...] = ()

    @property
    def id(self) -> str:
        """Its id, of a range that the DILA does not use."""
        return f"JORFDOLE{99_000_000 + self.number:012d}"


_SIXTEENTH = Legislature("16", "XVIème législature", "2022-06-22", "2024-06-09")
_SEVENTEENTH = Legislature("17", "XVIIème législature", "2024-07-18", NO_END)

LEAVE = Dossier(
    1,
    "LOI n° 2025-9901 du 12 mai 2025 visant à simplifier la prise des congés payés",
    "LOI_PUBLIEE",
    "2024-10-02",
    "2025-05-13",
    _SEVENTEENTH,
    memorandum="""<p>Mesdames, Messieurs,</p>
    <p>Chaque salarié a droit à trente jours ouvrables de congés payés par an. La manière de les demander varie
    pourtant d'une entreprise à l'autre, et les refus tardifs sont la première source de litiges.</p>
    <p align="center">Article 1<sup>er</sup> : Un délai de réponse</p>
    <p>L'article 1<sup>er</sup> donne quinze jours à l'employeur pour répondre à une demande de congés.<br/>Son
    silence vaut accord.</p>
    <p align="center">Article 2 : Le report des jours non pris</p>
    <p>L'article 2 vise à permettre de reporter dix jours de congés sur l'année suivante.</p>""",
    labels={1: "Projet de loi visant à simplifier la prise des congés payés", 2: "Texte de la loi"},
    contents={
        1: """<p>Article 1<sup>er</sup></p>
        <p>L'employeur répond à une demande de congés payés dans les quinze jours. À défaut, elle est acceptée.</p>
        <p>Article 2</p>
        <p>Dix jours de congés payés qui n'ont pas été pris peuvent être reportés sur l'année suivante.</p>""",
        2: """<p>Article 1 er</p>
        <p>L'employeur répond à une demande de congés payés dans les dix jours. À défaut, elle est acceptée.</p>
        <p>Article 2</p>
        <p>Six jours de congés payés qui n'ont pas été pris peuvent être reportés sur l'année suivante.</p>
        <p>La présente loi sera exécutée comme loi de l'État.</p>""",
    },
    text_ids={1: "JORFTEXT000099000901"},
    links=(("Texte adopté en première lecture", "https://www.assemblee-nationale.fr/"),),
    level="Assemblée nationale",
    decrees=(
        Decree("Article 1er", "Article L. 3141-16, code du travail", "Forme de la demande", "2025-09-01"),
        Decree("Article 2", "Article L. 3141-22, code du travail", "Modalités du report", "2025-12-01"),
    ),
)
RECORDS = Dossier(
    2,
    "Projet de loi relatif à l'accès des usagers à leur dossier administratif",
    "PROJET_LOI",
    "2025-02-19",
    "2025-11-03",
    _SEVENTEENTH,
    memorandum="""<p>Le présent projet de loi permet à chacun de consulter en ligne ce que l'administration sait de
    lui.</p>
    <p><b>TITRE Ier</b></p>
    <p><b>LE DROIT D'ACCÈS</b></p>
    <p>Article 1er</p>
    <p>L'article 1er crée un relevé unique des démarches de l'usager.</p>
    <p>Articles 2 et 3</p>
    <p>Ces articles fixent le délai de communication et les voies de recours.</p>""",
    labels={1: "Projet de loi relatif à l'accès des usagers à leur dossier administratif"},
    contents={
        1: """<p>TITRE Ier</p><p>LE DROIT D'ACCÈS</p>
        <p>Article 1er</p>
        <p>Tout usager consulte en ligne le relevé des démarches qu'il a faites depuis cinq ans.</p>
        <p>Article 2</p>
        <p>L'administration communique une pièce du dossier dans un délai d'un mois.</p>
        <p>TITRE II</p><p>DISPOSITIONS DIVERSES</p>
        <p>Article 2 bis (nouveau)</p>
        <ul><li>La consultation est gratuite.</li><li>Une copie coûte au plus vingt centimes la page.</li></ul>
        <p>Article 3</p>
        <p>(Supprimé)</p>"""
    },
    links=(("Dossier au Sénat", "https://www.senat.fr/"),),
)
GARDENS = Dossier(
    3,
    "Proposition de loi tendant à créer des jardins partagés dans les communes",
    "PROPOSITION_LOI",
    "2023-04-11",
    "2023-04-11",
    _SIXTEENTH,
    memorandum="""EXPOSÉ DES MOTIFS

Un jardin partagé rafraîchit la ville et rapproche ses habitants.

Article unique
L'article unique oblige les communes de plus de 20 000 habitants à ouvrir un jardin partagé.
""",
    contents={
        1: """<p>Article unique</p><p>Toute commune de plus de 20&amp;nbsp;000 habitants met à disposition un terrain
        d'au moins cinq cents mètres carrés, cultivé par ses habitants réunis en association.</p>"""
    },
    links=(("Texte déposé", "https://www.assemblee-nationale.fr/"),),
)
FERRIES = Dossier(
    4,
    "Ordonnance n° 2025-9902 du 8 juillet 2025 relative à la sécurité des bacs fluviaux",
    "ORDONNANCE_PUBLIEE",
    "2025-07-09",
    "2025-07-09",
    _SEVENTEENTH,
    labels={1: "Ordonnance", 3: "Rapport au Président de la République"},
    contents={
        1: """<p>Article 1er.<br/>Un bac fluvial porte autant de gilets de sauvetage que de passagers.<br/>Le pilote les
        compte avant chaque départ.</p><p>Article 2 - Sanctions</p><p>Le départ sans gilets est puni d'une amende de
        750 euros.</p>""",
        3: """<p>Deux accidents ont montré que les règles des navires de mer ne convenaient pas aux bacs.</p>""",
    },
    text_ids={1: "JORFTEXT000099000902", 3: "JORFTEXT000099000903"},
)
FERRIES_CORRECTED = replace(
    FERRIES,
    modified="2026-01-06",
    contents={**FERRIES.contents, 1: FERRIES.contents[1].replace("750 euros", "1 500 euros")},
)
TREATY = Dossier(
    5,
    "Dossier relatif à l'approbation d'une convention sur les sentiers frontaliers",
    "",
    "2025-12-01",
    NO_END,
    _SEVENTEENTH,
    links=(("Communiqué du Conseil des ministres", "https://www.gouvernement.fr/"),),
)
LIBRARIES = Dossier(
    6,
    "Proposition de loi visant à ouvrir les bibliothèques le dimanche",
    "PROPOSITION_LOI",
    "2025-01-15",
    "2025-01-15",
    _SEVENTEENTH,
    memorandum="""<p>Les bibliothèques municipales sont fermées le seul jour où les familles sont libres.</p>""",
    contents={
        1: """<p>Article unique</p><p>Les bibliothèques municipales ouvrent au moins un dimanche par mois.</p>"""
    },
)
NIGHT_TRAINS = Dossier(
    7,
    "Projet d'ordonnance relatif à l'accueil des voyageurs dans les trains de nuit",
    "PROJET_ORDONNANCE",
    "2026-01-07",
    "2026-01-07",
    _SEVENTEENTH,
    contents={
        2: """<p>Article 1er</p><p>Un train de nuit qui arrive avec plus d'une heure de retard sert un petit déjeuner à
        tous les voyageurs.</p>"""
    },
)
