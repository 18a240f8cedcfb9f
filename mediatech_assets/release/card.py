"""The dataset card: what a person reads on the hub before using the data, in French and in English.

What belongs here: the text of the card. What does not: what is in the files (`export.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediatech_assets.release.export import ExportedFile


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that a card states.

    Args:
        published_name: Name in paths, with hyphens.
        title: French title.
        description: English description.
        producer: Who publishes the source.
        homepage: Page of the source.
        source_updated_at: Date of the source's last update, ISO.
        release: Release identifier without which nothing can be cited; empty while it is not known yet.
        documents: Documents in the dataset.
        rows: Rows of the release.
        model: Name of the embedding model.
        revision: Its revision.
        dimensions: Length of a vector.
        vector_column: Column of the vectors.
        chunk_tokens: Size of a chunk, in tokens of the model.
        columns: Columns with their descriptions, in order.
        tables: Whether the rows are in one folder a table.
        redaction: What is kept of persons: `public` or `full`; empty for sources without personal data.
        skipped: Archives of the source that were passed over by decision, each with its reason.
    """

    published_name: str
    title: str
    description: str
    producer: str
    homepage: str
    source_updated_at: str
    documents: int
    rows: int
    model: str
    revision: str
    dimensions: int
    vector_column: str
    chunk_tokens: int
    columns: Mapping[str, str]
    tables: bool
    redaction: str = ""
    skipped: tuple[str, ...] = ()


def card(facts: CardFacts, files: Sequence[ExportedFile]) -> str:
    """The card as Markdown with the hub's YAML header."""
    pattern = f"data/{facts.published_name}-latest/{'*/' if facts.tables else ''}*.parquet"
    columns = "\n".join(f"| `{name}` | {text} |" for name, text in facts.columns.items())
    listing = "\n".join(f"| `{file.path}` | {file.rows:,} | {file.bytes:,} |" for file in files)
    return f"""---
language:
- fr
license: etalab-2.0
pretty_name: "{facts.title.replace('"', "'")}"
tags:
- france
- administration
- embeddings
configs:
- config_name: latest
  data_files: "{pattern}"
  default: true
---

# {facts.title}

## En français

**Contenu.** {facts.rows:,} extraits de {facts.documents:,} documents, prêts pour la recherche : texte,
métadonnées et vecteurs.

**Source.** {facts.producer}, <{facts.homepage}>. Dernière mise à jour de la source : {facts.source_updated_at}.

**Licence.** [Licence Ouverte 2.0](https://www.etalab.gouv.fr/licence-ouverte-open-licence). Réutilisation libre à
condition de citer la source et la date ci-dessus. La réutilisation ne vaut pas approbation par le producteur.

**Traitements.** Les textes ne sont ni réécrits ni résumés. Ils sont découpés en extraits d'au plus
{facts.chunk_tokens} jetons, titres compris, sans recouvrement : les valeurs de `text` mises bout à bout, dans
l'ordre de `chunk_index`, redonnent le texte du document. Le seul traitement par intelligence artificielle est le
calcul des vecteurs avec le modèle `{facts.model}` (révision `{facts.revision}`, {facts.dimensions} dimensions).

**Limites.** Seuls les documents qui ont un texte figurent ici. Les tableaux et les listes portent des marques
Markdown (tabulations, barres verticales, tirets) qui ne sont pas dans la source.{_in_french(facts)}

## In English

**What.** {facts.description} {facts.rows:,} chunks of {facts.documents:,} documents with text, metadata and vectors.

**Source.** {facts.producer}, <{facts.homepage}>. Last update of the source: {facts.source_updated_at}.

**Licence.** Licence Ouverte 2.0 (Etalab): name the source and its date of last update; no endorsement is implied.

**Processing.** Texts are neither rewritten nor summarised. Chunks have at most {facts.chunk_tokens} tokens, headings
included, without overlap: the `text` values joined in `chunk_index` order give the document back. The only use of
AI is the embedding with `{facts.model}` (revision `{facts.revision}`, {facts.dimensions} dimensions).

**Limits.** Documents without any text have no row. Tables and lists carry Markdown marks that are not in the source.{_in_english(facts)}

## Colonnes / Columns

| column | what it holds |
|---|---|
{columns}

## Utilisation / How to load

```python
import json
from datasets import load_dataset

rows = load_dataset("parquet", data_files="{pattern}", split="train")
vector = json.loads(rows[0]["{facts.vector_column}"])
```

## Fichiers / Files

| file | rows | bytes |
|---|---:|---:|
{listing}
"""


def _in_french(facts: CardFacts) -> str:
    """Paragraphs on personal data and on archives that are missing, where there is something to say."""
    texts = {
        "public": "**Données personnelles.** Les noms de personnes, leurs adresses électroniques et leurs lignes "
        "directes sont retirés des textes et des colonnes ; les fonctions et les coordonnées générales des services "
        "restent. Une personne nommée seulement au fil d'un texte libre peut ne pas être reconnue.",
        "full": "**Données personnelles.** Ce jeu contient les noms et coordonnées de personnes tels que la source "
        "les publie : leur réutilisation relève du RGPD.",
    }
    missing = (
        "**Archives écartées.** N'ont pas été appliquées, par décision : " + " ; ".join(facts.skipped) + "."
    )
    return _paragraphs(texts.get(facts.redaction), missing if facts.skipped else None)


def _in_english(facts: CardFacts) -> str:
    texts = {
        "public": "**Personal data.** Names of persons, their mail addresses and direct lines are removed from texts "
        "and columns; functions and the services' general contacts stay. A person named only within free text may "
        "not be recognised.",
        "full": "**Personal data.** Names and contacts of persons are kept as the source publishes them: their "
        "re-use is subject to the GDPR.",
    }
    missing = "**Skipped archives.** Not applied, by decision: " + "; ".join(facts.skipped) + "."
    return _paragraphs(texts.get(facts.redaction), missing if facts.skipped else None)


def _paragraphs(*texts: str | None) -> str:
    return "".join(f"\n\n{text}" for text in texts if text)
