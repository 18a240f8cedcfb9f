"""The dataset card: what a person reads on the hub before using the data, in French and in English.

What belongs here: the text of the card. What does not: what is in the files (`export.py`), and the facts (`facts.py`).

The card is one of the files whose hashes make the release's identifier, so that it cannot name it.
"""

from collections.abc import Sequence

from mediatech_assets.release.export import ExportedFile
from mediatech_assets.release.facts import LICENCE_NAME, LICENCE_PAGE, ReleaseFacts
from mediatech_assets.release.stored import CROISSANT, DCAT, MANIFEST, REMOVED

#: Rows from which on the hub has another category of size.
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))  # fmt: skip


def card(facts: ReleaseFacts, files: Sequence[ExportedFile]) -> str:
    """The card as Markdown with the hub's YAML header.

    Args:
        facts: What the release says of itself.
        files: Its Parquet files.
    """
    parts = [
        _header(facts), f"# {facts.title}", _french(facts), _english(facts), _columns(facts), _usage(facts, files),
        _files(files),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(facts: ReleaseFacts) -> str:
    title = facts.title.replace("\\", "").replace('"', "'")
    return f"""---
language:
- fr
license: etalab-2.0
pretty_name: "{title}"
tags:
- france
- administration
- embeddings
- rag
task_categories:
- text-retrieval
- feature-extraction
size_categories:
- {_size(facts.rows)}
configs:
- config_name: latest
  data_files: "{facts.pattern}"
  default: true
---"""


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "10M<n<100M")


def _french(facts: ReleaseFacts) -> str:
    rejoined = (
        ", sans recouvrement : les valeurs de `text` mises bout à bout, dans l'ordre de `chunk_index`, redonnent le "
        "texte du document"
        if "text" in facts.columns
        else ", sans recouvrement ; `chunk_text` est le texte de l'extrait, précédé de ses titres"
    )
    persons = {
        "public": "**Données personnelles.** Les noms de personnes, leurs adresses électroniques et leurs lignes "
        "directes sont retirés des textes et des colonnes ; les fonctions et les coordonnées générales des services "
        "restent. Une personne nommée seulement au fil d'un texte libre peut ne pas être reconnue.",
        "full": "**Données personnelles.** Ce jeu contient les noms et coordonnées de personnes tels que la source "
        "les publie : leur réutilisation relève du RGPD.",
    }
    return _paragraphs(
        "## En français",
        f"**Contenu.** {facts.rows:,} extraits de {facts.documents:,} documents, prêts pour la recherche : texte, "
        "métadonnées et vecteurs.",
        f"**Source.** {facts.producer}, <{facts.homepage}>. Dernière mise à jour de la source : "
        f"{facts.source_updated_at or 'inconnue'}.",
        f"**Licence.** [{LICENCE_NAME}]({LICENCE_PAGE}). Réutilisation libre à condition de citer la source et la date "
        "ci-dessus. La réutilisation ne vaut pas approbation par le producteur.",
        f"**Traitements.** Les textes ne sont ni réécrits ni résumés. Ils sont découpés en extraits d'au plus "
        f"{facts.chunk_tokens:,} jetons (comptés par `{facts.tokenizer}`), titres compris{rejoined}.",
        f"**Intelligence artificielle.** Le seul traitement par intelligence artificielle est le calcul des vecteurs de "
        f"`chunk_text` avec le modèle `{facts.model}` (révision `{facts.revision or 'non précisée'}`, "
        f"{facts.dimensions:,} dimensions{', de norme 1' if facts.normalised else ''}).",
        "**Limites.** Seuls les documents qui ont un texte figurent ici. Les tableaux et les listes portent des marques "
        "Markdown (tabulations, barres verticales, tirets) qui ne sont pas dans la source. Seule la source fait foi : "
        "`source_url` y conduit, `source_updated_at` dit de quand date le document.",
        persons.get(facts.redaction),
        f"**Archives écartées.** N'ont pas été appliquées, par décision : {' ; '.join(facts.skipped)}."
        if facts.skipped
        else None,
        f"**Documents disparus.** `{REMOVED}` donne les {facts.removed:,} documents que la source a retirés "
        "(`doc_id`) et le jour de leur retrait (`removed_on`) : à retirer aussi de vos copies.",
        f"**Citer.** {facts.producer}, « {facts.title} », version du {facts.source_updated_at or 'jour inconnu'}, et "
        f"l'identifiant `release` de `{MANIFEST}`. Ce fichier donne aussi l'empreinte SHA-256 de chaque fichier, les "
        "fichiers bruts d'origine, les versions du code et les contrôles passés.",
    )


def _english(facts: ReleaseFacts) -> str:
    rejoined = (
        "without overlap: the `text` values joined in `chunk_index` order give the document back"
        if "text" in facts.columns
        else "without overlap; `chunk_text` is the text of the chunk below its headings"
    )
    persons = {
        "public": "**Personal data.** Names of persons, their mail addresses and direct lines are removed from texts "
        "and columns; functions and the services' general contacts stay. A person named only within free text may "
        "not be recognised.",
        "full": "**Personal data.** Names and contacts of persons are kept as the source publishes them: their "
        "re-use is subject to the GDPR.",
    }
    return _paragraphs(
        "## In English",
        f"**What.** {facts.description} {facts.rows:,} chunks of {facts.documents:,} documents with text, metadata and "
        "vectors.",
        f"**Source.** {facts.producer}, <{facts.homepage}>. Last update of the source: "
        f"{facts.source_updated_at or 'unknown'}.",
        f"**Licence.** [{LICENCE_NAME}]({LICENCE_PAGE}) (Etalab): name the source and its date of last update; no "
        "endorsement is implied.",
        f"**Processing.** Texts are neither rewritten nor summarised. Chunks have at most {facts.chunk_tokens:,} tokens "
        f"(counted by `{facts.tokenizer}`), headings included, {rejoined}.",
        f"**Use of AI.** Only the embedding of `chunk_text` with `{facts.model}` (revision "
        f"`{facts.revision or 'not named'}`, {facts.dimensions:,} dimensions"
        f"{', length 1' if facts.normalised else ''}).",
        "**Limits.** Documents without any text have no row. Tables and lists carry Markdown marks that are not in the "
        "source. The source alone is authoritative: `source_url` leads to it, `source_updated_at` dates the document.",
        persons.get(facts.redaction),
        f"**Skipped archives.** Not applied, by decision: {'; '.join(facts.skipped)}."
        if facts.skipped
        else None,
        f"**Removed documents.** `{REMOVED}` lists the {facts.removed:,} documents that the source took away (`doc_id`) "
        "and the day (`removed_on`): take them out of your copies too.",
        f"**Citation.** {facts.producer}, “{facts.title}”, version of {facts.source_updated_at or 'an unknown day'}, and "
        f"the identifier `release` of `{MANIFEST}`. That file also holds the SHA-256 of every file, the raw files it all "
        f"comes from, versions of the code, and checks. `{CROISSANT}` (Croissant) and `{DCAT}` (DCAT-AP) describe the "
        "dataset to machines.",
    )


def _columns(facts: ReleaseFacts) -> str:
    rows = "\n".join(f"| `{name}` | {facts.types[name]} | {text} |" for name, text in facts.columns.items())
    return f"## Colonnes / Columns\n\n| column | type | what it holds |\n|---|---|---|\n{rows}"


def _usage(facts: ReleaseFacts, files: Sequence[ExportedFile]) -> str:
    read = f'rows[0]["{facts.vector_column}"]'
    vector = (
        f"vector = json.loads({read})"
        if facts.encoding == "json"
        else f"vector = {read}  # a list of float32"
    )
    lines = [
        *(["import json", ""] if facts.encoding == "json" else []),
        "from datasets import load_dataset",
        "",
        f'rows = load_dataset("{facts.repository}", "latest", split="train")',
        vector,
    ]
    if folder := _first_folder(facts, files):
        lines += [
            "",
            f"# Une table seulement / one table only: {folder.rsplit('/', 1)[-1]}",
            f'rows = load_dataset("{facts.repository}", data_files="{folder}/*.parquet", split="train")',
        ]
    if "text" in facts.columns:
        lines += [
            "",
            "# Un document entier / a whole document",
            'chunks = rows.filter(lambda row: row["doc_id"] == rows[0]["doc_id"]).sort("chunk_index")',
            'document = "".join(chunks["text"])',
        ]
    code = "\n".join(lines)
    return f"## Utilisation / How to load\n\n```python\n{code}\n```"


def _first_folder(facts: ReleaseFacts, files: Sequence[ExportedFile]) -> str:
    """A folder of one table, for datasets of several: the one with the most rows."""
    data = [file for file in files if file.path.startswith("data/")]
    if not facts.tables or not data:
        return ""
    return max(data, key=lambda file: (file.rows, file.path)).path.rpartition("/")[0]


def _files(files: Sequence[ExportedFile]) -> str:
    listing = "\n".join(f"| `{file.path}` | {file.rows:,} | {file.bytes:,} |" for file in files)
    return f"## Fichiers / Files\n\n| file | rows | bytes |\n|---|---:|---:|\n{listing}"


def _paragraphs(*texts: str | None) -> str:
    return "\n\n".join(text for text in texts if text)
