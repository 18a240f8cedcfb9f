"""The words of the sample's labour sheets, and the shape of the file that publishes them.

What belongs here: six invented sheets, in our own words, plausible and **not official**, with the fields of
SocialGouv's `fiches-travail.json`. What does not: where the file lies (`builder.py`).

As in the real file, `html` holds the mark-up, `text` the same words with the tags dropped (which glues some
of them), and non-breaking spaces stand before high punctuation and inside numbers.
"""

import json
import re
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

_LABOUR_CODE = "LEGITEXT000006072050"
_SITE = "https://travail-emploi.gouv.fr"
_NON_BREAKING = "\u00a0"
_DESCRIPTION_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a labour sheet.

    Args:
        title: Its heading (a sheet without headings has one section with the sheet's title).
        html: Its content.
        anchor: Anchor in the page; empty for the first one.
        articles: Articles of the Code du travail that it quotes, `(as written, number, id)`.
    """

    title: str
    html: str
    anchor: str = ""
    articles: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LabourSheet:
    """A labour sheet.

    Args:
        id: `pubId`.
        title: Its title.
        page: Last part of its address.
        date: Day of the last change, `dd/mm/yyyy`.
        intro: Introduction, HTML.
        sections: Its sections, in order.
    """

    id: str
    title: str
    page: str
    date: str
    intro: str
    sections: tuple[Section, ...]


_PAID_LEAVE = LabourSheet(
    "article990001",
    "Les congés payés",
    "les-conges-payes",
    "14/10/2025",
    "<p>Tout salarié a droit à des <strong>congés payés</strong>. Combien de jours, quand les prendre,"
    " comment sont-ils payés ?</p>",
    (
        Section(
            "Combien de jours de congés payés par an ?",
            "<p>Le salarié acquiert 2,5 jours ouvrables de congés payés par mois de travail, soit 30 jours"
            " ouvrables par an, ou 5 semaines. Le salarié à temps partiel a les mêmes droits que celui qui"
            " travaille à temps plein.</p><p>Depuis avril 2024, les absences pour maladie ouvrent aussi des"
            " droits : 2 jours ouvrables par mois, dans la limite de 24 jours par an.</p>",
            "combien-de-jours",
            (("L. 3141-3", "L3141-3", "LEGIARTI000099000102"),),
        ),
        Section(
            "Qui décide des dates ?",
            "<p>L'employeur fixe les dates après avis du comité social et économique. Il tient compte"
            " :</p><ul><li>de la situation de famille ;</li><li>de l'ancienneté ;</li><li>de l'activité chez"
            " d'autres employeurs.</li></ul><p>Il ne peut plus les changer moins d'un mois avant le départ,"
            " sauf circonstances exceptionnelles. Les époux ou partenaires qui travaillent dans la même"
            " entreprise ont droit à un congé simultané.</p><h4>Le fractionnement</h4><p>Le salarié qui"
            " prend une partie du congé principal hors de la période de mai à octobre gagne un ou deux jours"
            " de plus, sauf s'il y renonce par écrit.</p>",
            "qui-decide-des-dates",
            (("L. 3141-13", "L3141-13", "LEGIARTI000099000104"),),
        ),
        Section(
            "Comment sont-ils payés ?",
            "<p>L'indemnité est égale au dixième du salaire brut de l'année de référence, sans pouvoir être"
            " inférieure au salaire habituel. Elle figure sur le bulletin de paie du mois pendant lequel les"
            " congés sont pris.</p><p>Un employeur ne peut pas remplacer les congés par de l'argent, sauf à"
            " la fin du contrat.</p>",
            "comment-sont-ils-payes",
        ),
    ),
)

_REMOTE_WORK = LabourSheet(
    "article990002",
    "Le télétravail : mode d'emploi",
    "le-teletravail-mode-d-emploi",
    "02/09/2025",
    "<p>Le télétravail repose sur le volontariat et sur un accord entre le salarié et l'employeur.</p>",
    (
        Section(
            "Mettre en place le télétravail",
            "<p>Trois voies existent : l'accord collectif, la charte de l'employeur après avis du comité"
            " social et économique, ou l'accord de gré à gré, par tout moyen (courriel,"
            " avenant).</p><p>Refuser d'être télétravailleur n'est pas un motif de rupture du contrat.</p>",
        ),
        Section(
            "Droits du télétravailleur",
            "<p>Le télétravailleur a les mêmes droits que ses collègues : formation, titres-restaurant,"
            " durée du travail, droit à la déconnexion. L'accident survenu sur le lieu du télétravail"
            " pendant les heures de travail est présumé être un accident du travail.</p><p>L'employeur peut"
            " verser une indemnité forfaitaire : jusqu'à 2,70 € par jour, elle est exonérée de"
            " cotisations.</p><p>Les outils qui mesurent le temps de travail sont annoncés au salarié avant"
            " leur emploi. Une caméra allumée en permanence est excessive : l'employeur fixe plutôt des"
            " objectifs et des plages pendant lesquelles le salarié répond.</p><p>Chaque année, un entretien"
            " porte sur la charge de travail du télétravailleur. Celui-ci est prioritaire pour reprendre un"
            " poste sans télétravail lorsqu'il le demande et qu'un tel poste se libère.</p>",
            "droits-du-teletravailleur",
            (("L. 1222-9", "L1222-9", "LEGIARTI000099000117"),),
        ),
    ),
)

_WORKING_TIME = LabourSheet(
    "article990003",
    "La durée légale du travail",
    "la-duree-legale-du-travail",
    "20/03/2025",
    "<p>La durée légale est de 35 heures par semaine, ou 1 607 heures par an.</p>",
    (
        Section(
            "Durées maximales",
            '<div class="fr-table"><table><thead><tr><th>Période</th><th>Maximum</th></tr></thead>'
            "<tbody><tr><td>Jour</td>"
            "<td>10 heures</td></tr><tr><td>Semaine</td><td>48 heures</td></tr><tr><td>12 semaines de suite,"
            " en moyenne</td><td>44 heures</td></tr></tbody></table></div><p>Ces maximums s'appliquent même"
            " si le salarié travaille pour plusieurs employeurs.</p>",
            "durees-maximales",
        ),
        Section(
            "Heures supplémentaires",
            "<p>Les heures faites au-delà de 35 heures sont majorées : 25 % de la 36e à la 43e heure, 50 %"
            " ensuite. Un accord peut fixer un autre taux, au moins égal à 10 %.</p><p>Le contingent annuel"
            " est de 220 heures, sauf accord. Au-delà, chaque heure donne droit à un repos obligatoire.</p>",
            "heures-supplementaires",
            (("L. 3121-36", "L3121-36", "LEGIARTI000099000112"),),
        ),
    ),
)

_DISMISSAL = LabourSheet(
    "article990004",
    "Le licenciement pour motif personnel : procédure et préavis",
    "le-licenciement-pour-motif-personnel",
    "11/12/2025",
    "<p>Le licenciement repose sur une cause réelle et sérieuse et suit une procédure.</p>",
    (
        Section(
            "La convocation et l'entretien",
            "<p>L'employeur convoque le salarié par lettre recommandée ou remise en main propre. Cinq jours"
            " ouvrables au moins séparent la présentation de la lettre et l'entretien. Le salarié peut se"
            " faire assister.</p>",
            "la-convocation",
        ),
        Section(
            "La lettre de licenciement",
            "<p>Elle est envoyée au moins deux jours ouvrables après l'entretien et énonce les motifs. Le"
            " salarié a quinze jours pour demander des précisions.</p>",
            "la-lettre",
        ),
        Section(
            "Le préavis",
            "<p>Sauf faute grave ou lourde, le salarié effectue un préavis :</p><ul><li>1 mois entre 6 mois"
            " et 2 ans d'ancienneté ;</li><li>2 mois à partir de 2 ans.</li></ul><p>L'employeur peut l'en"
            " dispenser : il lui paie alors l'indemnité compensatrice de préavis, égale au salaire qu'il"
            " aurait reçu.</p>",
            "le-preavis",
            (("L. 1234-1", "L1234-1", "LEGIARTI000099000122"),),
        ),
        Section(
            "Les documents de fin de contrat",
            "<p>L'employeur remet un certificat de travail, un reçu pour solde de tout compte et une"
            " attestation destinée à France Travail.</p>",
            "les-documents",
        ),
    ),
)
_DISMISSAL_REVISED = replace(
    _DISMISSAL,
    date="07/01/2026",
    sections=(
        *_DISMISSAL.sections[:3],
        replace(
            _DISMISSAL.sections[3],
            html=_DISMISSAL.sections[3].html
            + "<p>Depuis janvier 2026, l'attestation est transmise en ligne par l'employeur le jour du"
            " départ.</p>",
        ),
    ),
)

_AGREED_TERMINATION = LabourSheet(
    "article990005",
    "La rupture conventionnelle du contrat de travail",
    "la-rupture-conventionnelle",
    "05/05/2025",
    "",
    (
        Section(
            "La rupture conventionnelle du contrat de travail",
            "<p>Salarié et employeur peuvent rompre d'un commun accord le contrat à durée indéterminée. Un"
            " ou plusieurs entretiens précèdent la signature de la convention ; chacun a ensuite 15 jours"
            " calendaires pour se rétracter.</p><p>La demande d'homologation est faite en ligne."
            " L'administration a 15 jours ouvrables pour répondre ; son silence vaut homologation. Le"
            " salarié reçoit une indemnité au moins égale à celle du licenciement et peut prétendre à"
            " l'allocation chômage.</p>",
        ),
    ),
)

_SEASONAL_NOTICE = LabourSheet(
    "article990006",
    "Fortes chaleurs : les conseils de l'été 2025",
    "fortes-chaleurs-ete-2025",
    "01/07/2025",
    "<p>En période de canicule, l'employeur adapte l'organisation du travail.</p>",
    (
        Section(
            "Mesures à prendre",
            "<ul><li>Fournir de l'eau fraîche, au moins 3 litres par jour et par salarié sur les"
            " chantiers.</li><li>Décaler les horaires et multiplier les pauses.</li></ul>",
        ),
    ),
)

_SHEETS = (_PAID_LEAVE, _REMOTE_WORK, _WORKING_TIME, _DISMISSAL, _AGREED_TERMINATION, _SEASONAL_NOTICE)


def labour_sheets_file(day: int) -> bytes:
    """`fiches-travail.json` as it is on `day`: from day 2, one sheet is revised and one withdrawn."""
    sheets = _SHEETS
    if day >= 2:
        sheets = tuple(
            _DISMISSAL_REVISED if sheet is _DISMISSAL else sheet
            for sheet in sheets
            if sheet is not _SEASONAL_NOTICE
        )
    records = [_sheet_record(sheet) for sheet in sheets]
    return json.dumps(records, ensure_ascii=False, indent=2, sort_keys=True).encode()


def _sheet_record(sheet: LabourSheet) -> dict[str, Any]:
    sections = [_section_record(section) for section in sheet.sections]
    return {
        "pubId": sheet.id,
        "title": _typeset(sheet.title),
        "url": f"{_SITE}/{sheet.page}",
        "date": sheet.date,
        "intro": _typeset(sheet.intro),
        "description": _without_tags(_typeset(sheet.intro)) or sections[0]["description"],
        "sections": sections,
    }


def _section_record(section: Section) -> dict[str, Any]:
    html = _typeset(section.html)
    text = _without_tags(html)
    return {
        "anchor": section.anchor,
        "title": _typeset(section.title),
        "text": text,
        "html": html,
        "description": text[:_DESCRIPTION_LENGTH],
        "references": _references(section.articles),
    }


def _references(articles: tuple[tuple[str, str, str], ...]) -> dict[str, Any]:
    if not articles:
        return {}
    quoted = [{"text": text, "fmt": number, "cid": id_, "id": id_} for text, number, id_ in articles]
    return {_LABOUR_CODE: {"articles": quoted, "name": "code du travail"}}


def _typeset(text: str) -> str:
    """`text` with the non-breaking spaces of French typography."""
    before_punctuation = re.sub(r" (?=[?:;!%€])", _NON_BREAKING, text)
    return re.sub(r"(?<=\d) (?=\d{3})", _NON_BREAKING, before_punctuation)


def _without_tags(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html)).strip()
