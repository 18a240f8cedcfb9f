"""The XML dialect of the service-public sheets, schema 3.4.

What belongs here: what a sheet and a complementary service are in this sample, how they are written, and the
few blocks that a body is made of. What does not: the words (`texts_service_public.py`) and the archives.

Blocks take XML fragments, so that a text can hold inline marks (`<MiseEnEvidence>`, `<LienInterne …>`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

_PUBLISHER = "Direction de l'information légale et administrative"
_NAMESPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_SHEET_ADDRESS = {
    "part": "https://www.service-public.fr/particuliers/vosdroits/",
    "pro": "https://entreprendre.service-public.fr/vosdroits/",
}
_AUDIENCE = {"part": "Particuliers", "pro": "Professionnels"}
#: `dc:type` and `SurTitre` of each type of publication.
_KIND_LABEL = {
    "Fiche d'information": "Fiche pratique",
    "Fiche d'information conditionnée": "Fiche pratique",
    "Fiche Question-réponse": "Question-réponse",
    "Dossier": "Dossier",
}


@dataclass(frozen=True, slots=True)
class Theme:
    """Where a sheet stands in a feed: theme, sub-theme and folder, each `(id, title)`."""

    theme: tuple[str, str]
    subtheme: tuple[str, str]
    folder: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet (F…) or a folder (N…).

    Args:
        id: Identifier in the feed.
        title: Its title.
        description: Summary, plain text.
        modified: ISO day of the last change.
        themes: Its place in each feed that publishes it (`part`, `pro`).
        body: What follows the introduction, as an XML fragment.
        introduction: Blocks of the introduction; empty when there is none.
        kind: Type of publication.
        related: Blocks that close the sheet: services, references, questions.
        has_address: Whether the feed gives `spUrl` (many sheets of `pro` have none).
    """

    id: str
    title: str
    description: str
    modified: str
    themes: dict[str, Theme]
    body: str
    introduction: str = ""
    kind: str = "Fiche d'information"
    related: str = ""
    has_address: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """A complementary service (R…): an online service or a form.

    Args:
        id: Identifier in the feed.
        title: Its title.
        kind: `Formulaire`, `Téléservice`…
        address: Where it is.
        modified: ISO day of the last change.
        form_number: CERFA number; empty for a service.
    """

    id: str
    title: str
    kind: str
    address: str
    modified: str
    form_number: str = ""


def paragraphs(*texts: str) -> str:
    """One `Paragraphe` a text."""
    return "".join(f"<Paragraphe>{text}</Paragraphe>" for text in texts)


def bullets(*texts: str) -> str:
    """A bulleted list, one item a text."""
    items = "".join(f"<Item>{paragraphs(text)}</Item>" for text in texts)
    return f'<Liste type="puce">{items}</Liste>'


def chapter(title: str, *blocks: str) -> str:
    """A chapter with its heading."""
    return f"<Chapitre><Titre>{paragraphs(title)}</Titre>{''.join(blocks)}</Chapitre>"


def subchapter(title: str, *blocks: str) -> str:
    """A sub-chapter with its heading."""
    return f"<SousChapitre><Titre>{paragraphs(title)}</Titre>{''.join(blocks)}</SousChapitre>"


def body_text(*blocks: str) -> str:
    """The `Texte` element around blocks."""
    return f"<Texte>{''.join(blocks)}</Texte>"


def callout(element: str, title: str, *blocks: str) -> str:
    """A boxed remark: `ASavoir`, `ANoter`, `Attention`, `Rappel`."""
    return f"<{element}><Titre>{title}</Titre>{''.join(blocks)}</{element}>"


def cases(*alternatives: tuple[str, str]) -> str:
    """Alternatives that the reader chooses among, each `(title, blocks)`."""
    inner = "".join(f"<Cas><Titre>{title}</Titre>{blocks}</Cas>" for title, blocks in alternatives)
    return f'<BlocCas affichage="radio">{inner}</BlocCas>'


def situations(*alternatives: tuple[str, str]) -> str:
    """Situations shown as tabs, each `(title, blocks)`."""
    inner = "".join(
        f"<Situation><Titre>{title}</Titre>{body_text(blocks)}</Situation>" for title, blocks in alternatives
    )
    return f'<ListeSituations affichage="onglet">{inner}</ListeSituations>'


def table(title: str, *rows: Sequence[str]) -> str:
    """A table whose first row and first column are headings."""
    columns = "".join(
        f'<Colonne largeur="{100 // len(rows[0])}" type="{"header" if position == 0 else "normal"}"/>'
        for position in range(len(rows[0]))
    )
    lines = "".join(
        f'<Rangée type="{"header" if position == 0 else "normal"}">'
        + "".join(f"<Cellule>{paragraphs(cell)}</Cellule>" for cell in row)
        + "</Rangée>"
        for position, row in enumerate(rows)
    )
    return f"<Tableau><Titre>{title}</Titre>{columns}{lines}</Tableau>"


def definition(identifier: str, title: str, text: str) -> str:
    """A glossary entry at the end of a sheet."""
    return f'<Definition ID="{identifier}"><Titre>{title}</Titre>{body_text(paragraphs(text))}</Definition>'


def reference(identifier: str, title: str, address: str) -> str:
    """A reference to a legal text."""
    return (
        f'<Reference type="Texte de référence" URL={quoteattr(address)} ID="{identifier}">'
        f"<Titre>{title}</Titre></Reference>"
    )


def online_service(service: Service) -> str:
    """The mention of a complementary service at the end of a sheet."""
    number = f' numerocerfa="{service.form_number}"' if service.form_number else ""
    return (
        f'<ServiceEnLigne ID="{service.id}" URL={quoteattr(service.address)}{number} type="{service.kind}">'
        f'<Titre>{escape(service.title)}</Titre><Source ID="R30603">Ministère chargé de l\'intérieur</Source>'
        "</ServiceEnLigne>"
    )


def question(sheet_id: str, audience: str, title: str) -> str:
    """A related question at the end of a sheet."""
    return f'<QuestionReponse ID="{sheet_id}" audience="{audience}">{title}</QuestionReponse>'


def sheet_file(sheet: Sheet, feed: str) -> bytes:
    """The sheet as `feed` publishes it."""
    place, audience = sheet.themes[feed], _AUDIENCE[feed]
    address = f' spUrl="{_SHEET_ADDRESS[feed]}{sheet.id}"' if sheet.has_address else ""
    theme_id, theme_title = place.theme
    folder_id, folder_title = place.folder
    is_folder = sheet.id == folder_id
    parents = [
        f'<Theme ID="{theme_id}"><Titre>{escape(theme_title)}</Titre></Theme>',
        f'<SousThemePere ID="{place.subtheme[0]}">{escape(place.subtheme[1])}</SousThemePere>',
    ]
    if not is_folder:
        parents.append(f'<DossierPere ID="{folder_id}"><Titre>{escape(folder_title)}</Titre></DossierPere>')
    introduction = (
        f"<Introduction>{body_text(sheet.introduction)}</Introduction>" if sheet.introduction else ""
    )
    return _file(
        f'<Publication {_NAMESPACES} ID="{sheet.id}" type="{sheet.kind}"'
        f' xsi:noNamespaceSchemaLocation="../Schemas/3.4/Publication.xsd"{address}>',
        *_dublin_core(
            sheet.id,
            sheet.title,
            sheet.description,
            sheet.modified,
            _KIND_LABEL[sheet.kind],
            subject=theme_title,
            relation=f"isPartOf {theme_id if is_folder else folder_id}",
        ),
        *_banner(_KIND_LABEL[sheet.kind], audience),
        "<FilDAriane>",
        f'<Niveau ID="{audience}">Accueil {audience.lower()}</Niveau>',
        f'<Niveau ID="{theme_id}">{escape(theme_title)}</Niveau>',
        "" if is_folder else f'<Niveau ID="{folder_id}">{escape(folder_title)}</Niveau>',
        f'<Niveau ID="{sheet.id}" type="{sheet.kind}">{escape(sheet.title)}</Niveau>',
        "</FilDAriane>",
        *parents,
        introduction,
        sheet.body,
        sheet.related,
        "</Publication>",
    )


def service_file(service: Service, feed: str) -> bytes:
    """The complementary service as `feed` publishes it."""
    number = f"<NumeroCerfa>{service.form_number}</NumeroCerfa>" if service.form_number else ""
    return _file(
        f'<ServiceComplementaire {_NAMESPACES} ID="{service.id}" type="{service.kind}"'
        ' xsi:noNamespaceSchemaLocation="../Schemas/3.4/ServiceComplementaire.xsd"'
        f' spUrl="{_SHEET_ADDRESS[feed]}{service.id}">',
        *_dublin_core(service.id, service.title, service.title, service.modified, service.kind),
        *_banner(service.kind, _AUDIENCE[feed]),
        number,
        f"<LienWeb URL={quoteattr(service.address)}>",
        "<Source>Ministère chargé de l'intérieur</Source>",
        "</LienWeb>",
        "</ServiceComplementaire>",
    )


def tree_file(sheets: Sequence[Sheet]) -> bytes:
    """`arborescence.xml`: the feed's plan, which is no sheet."""
    items = [
        f'<Item ID="{sheet.id}" type="{sheet.kind}"><Titre>{escape(sheet.title)}</Titre></Item>'
        for sheet in sheets
    ]
    return _file("<Arborescence>", *items, "</Arborescence>")


def menu_file() -> bytes:
    """`menu.xml`: the site's menu, which is no sheet."""
    return _file('<Menu ID="menu">', "<Titre>Menu</Titre>", "</Menu>")


def _dublin_core(
    identifier: str,
    title: str,
    description: str,
    modified: str,
    kind: str,
    subject: str = "",
    relation: str = "",
) -> list[str]:
    fields = (
        ("title", title),
        ("creator", _PUBLISHER),
        ("subject", subject),
        ("description", description),
        ("publisher", _PUBLISHER),
        ("contributor", f"{_PUBLISHER} (Premier ministre)"),
        ("date", f"modified {modified}"),
        ("type", kind),
        ("format", "text/xml"),
        ("identifier", identifier),
        ("language", "Fr"),
        ("relation", relation),
        ("coverage", "France entière"),
        ("rights", "https://www.service-public.fr/a-propos/mentions-legales"),
    )
    return [f"<dc:{name}>{escape(value)}</dc:{name}>" for name, value in fields if value]


def _banner(label: str, audience: str) -> list[str]:
    return [
        f"<SurTitre>{escape(label)}</SurTitre>",
        f"<Audience>{audience}</Audience>",
        "<Canal>www.service-public.fr</Canal>",
    ]


def _file(*lines: str) -> bytes:
    body = re.sub(r"[ \n]+", " ", "\n".join(filter(None, lines)))
    one_tag_a_line = re.sub(r"> ?<", ">\n<", body)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{one_tag_a_line}\n'.encode()
