"""How a release describes itself on data.gouv.fr, and the quality score that this earns.

What belongs here: the metadata of the dataset and of its resources, in French, and the nine criteria of the site.
What does not: sending anything (`data_gouv.py`).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mediatech_assets.release.stored import StoredFile, StoredRelease

_LONGEST_TITLE = 350
_LONGEST_DESCRIPTION = 100_000
#: The site calls a description good from here on.
_GOOD_DESCRIPTION = 100

#: Licence Ouverte 2.0, as the site names it.
_LICENCE = "lov2"
_SPATIAL = {"granularity": "country", "zones": ["country:fr"]}
_TAGS = ("administration", "embeddings", "intelligence-artificielle", "recherche-semantique")

#: Longest number of days between two changes for each frequency. All are in the site's former list and in its
#: present one, the vocabulary of the European Union.
_FREQUENCIES = (
    (1, "daily"), (7, "weekly"), (14, "biweekly"), (31, "monthly"), (62, "bimonthly"), (92, "quarterly"),
    (366, "annual"),
)  # fmt: skip
_RARE = "irregular"
_UNKNOWN = "unknown"

#: Columns that date a document, the first that a release has counts.
_DATE_COLUMNS = ("start_date", "decision_date", "date", "creation_date")
#: Earlier and later dates stand for "none" in the sources (0001-01-01, 2999-01-01).
_EARLIEST = "1000-01-01"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

_MIMES = {
    "parquet": "application/vnd.apache.parquet",
    "md": "text/markdown",
    "json": "application/json",
    "jsonld": "application/ld+json",
}
#: Type and description of the files beside the data.
_BESIDE = {
    "README.md": (
        "documentation",
        "Fiche du jeu de données, en français et en anglais : contenu, source, colonnes.",
    ),
    "manifest.json": (
        "documentation",
        "Empreintes SHA-256 de chaque fichier, fichiers sources, versions du code et du modèle, contrôles.",
    ),
    "removed.parquet": (
        "update",
        "Identifiants et dates des documents disparus de la source, à retirer des copies.",
    ),
    "croissant.json": ("documentation", "Description du jeu de données au format Croissant."),
    "dcat.jsonld": ("documentation", "Description du jeu de données au format DCAT-AP."),
}


def dataset_metadata(release: StoredRelease, organization: str) -> dict[str, Any]:
    """The dataset's metadata as the API takes them, without `private` and `extras`.

    Args:
        release: The release.
        organization: Identifier of the organisation.
    """
    about = release.manifest["about"]
    coverage = temporal_coverage(release)
    return {
        "title": _cut(str(about.get("title") or release.published_name), _LONGEST_TITLE),
        "description": _cut(_description(release), _LONGEST_DESCRIPTION),
        "license": _LICENCE,
        "frequency": frequency(int(about.get("cadence_days") or 0)),
        "spatial": _SPATIAL,
        "tags": sorted({*_TAGS, release.published_name}),
        "organization": organization,
        **({"temporal_coverage": {"start": coverage[0], "end": coverage[1]}} if coverage else {}),
    }


def resource_metadata(file: StoredFile) -> dict[str, Any]:
    """The metadata of a file as the API takes them, without where it lies."""
    name = file.path.rpartition("/")[2]
    kind, description = _BESIDE.get(
        file.path, ("main", f"{file.rows} extraits avec leurs métadonnées et leurs vecteurs (Parquet, ZSTD).")
    )
    extension = name.rpartition(".")[2].lower()
    return {
        "title": name,
        "description": description,
        "type": kind,
        "format": extension,
        "mime": _MIMES.get(extension, "application/octet-stream"),
        "filesize": file.bytes,
    }


def metadata_digest(metadata: Mapping[str, Any]) -> str:
    """SHA-256 of metadata: tells whether the site has them, which normalises what it stores."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def frequency(cadence_days: int) -> str:
    """The site's name for a change every so many days; 0 when it is not known."""
    if cadence_days <= 0:
        return _UNKNOWN
    return next((name for longest, name in _FREQUENCIES if cadence_days <= longest), _RARE)


def temporal_coverage(release: StoredRelease) -> tuple[str, str] | None:
    """First and last day that the data are about, ISO; nothing when neither they nor their source tell.

    Data without a date of their own (a directory, sheets) are the state of the source's last update.
    """
    last = f"{release.day[:4]}-{release.day[4:6]}-{release.day[6:8]}"
    bounds = [found for file in release.data_files if (found := _days(file, last))]
    if bounds:
        return min(first for first, _ in bounds), max(end for _, end in bounds)
    updated = str(release.manifest.get("source_updated_at") or "")[:10]
    return (updated, updated) if _DAY.fullmatch(updated) else None


def _days(file: StoredFile, last: str) -> tuple[str, str] | None:
    """First and last day in the dates of a file that are not after `last`."""
    with pq.ParquetFile(file.location) as parquet:
        column = next((name for name in _DATE_COLUMNS if name in parquet.schema_arrow.names), None)
        if column is None or not pa.types.is_string(parquet.schema_arrow.field(column).type):
            return None
        found: list[tuple[str, str]] = []
        for batch in parquet.iter_batches(columns=[column]):
            values = batch.column(0)
            days = pc.utf8_slice_codeunits(  # type: ignore[attr-defined]
                values.filter(pc.match_substring_regex(values, r"^\d{4}-\d{2}-\d{2}")),  # type: ignore[attr-defined]
                0,
                10,
            )
            inside = pc.and_(pc.greater_equal(days, _EARLIEST), pc.less_equal(days, last))  # type: ignore[attr-defined]
            bounds = pc.min_max(days.filter(inside)).as_py()  # type: ignore[attr-defined]
            if bounds["min"] is not None:
                found.append((bounds["min"], bounds["max"]))
    return (min(first for first, _ in found), max(end for _, end in found)) if found else None


def _description(release: StoredRelease) -> str:
    manifest, about = release.manifest, release.manifest["about"]
    updated = manifest.get("source_updated_at") or "inconnue"
    profile = manifest.get("profile") or {}
    model = f"`{profile.get('model', 'inconnu')}` (révision `{profile.get('revision', 'inconnue')}`)"
    personal = {
        "public": "Les noms de personnes, leurs adresses électroniques et leurs lignes directes en sont retirés.",
        "full": "Ce jeu contient des données personnelles telles que la source les publie : leur réutilisation "
        "relève du RGPD.",
    }.get(str(about.get("redaction") or ""), "")
    return f"""{about.get("title") or release.published_name} : {manifest.get("rows", 0)} extraits de \
{manifest.get("documents", 0)} documents, prêts pour la recherche : texte, métadonnées et vecteurs.

**Source.** {about.get("producer", "")}, <{about.get("homepage", "")}>. Dernière mise à jour de la source : {updated}.

**Licence.** Licence Ouverte 2.0 : réutilisation libre à condition de citer la source et la date ci-dessus. La \
réutilisation ne vaut pas approbation par le producteur.

**Traitements.** Les textes sont découpés en extraits, sans réécriture ni résumé. Les vecteurs (colonne \
`{about.get("vector_column", "")}`) sont calculés par le modèle {model} ; c'est le seul traitement par intelligence \
artificielle.

**Fichiers.** Format Parquet. La fiche `README.md` décrit les colonnes, `manifest.json` donne l'empreinte SHA-256 de \
chaque fichier et les fichiers sources.

**Version.** `{release.id}`. {personal}
""".rstrip()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One of the site's nine criteria of quality.

    Args:
        name: What is judged.
        met: Whether it is expected to be met.
        reason: Why.
    """

    name: str
    met: bool
    reason: str


def expected_quality(metadata: Mapping[str, Any], files: Sequence[StoredFile]) -> tuple[Criterion, ...]:
    """The nine criteria as the site will judge them right after publication."""
    often = metadata["frequency"]
    coverage = metadata.get("temporal_coverage")
    documented = sum(bool(resource_metadata(file)["description"]) for file in files)
    return (
        Criterion("license", True, f"{_LICENCE}, Licence Ouverte 2.0"),
        Criterion(
            "temporal coverage",
            coverage is not None,
            f"{coverage['start']} to {coverage['end']}"
            if coverage
            else "neither the rows nor the source carry a date",
        ),
        Criterion("spatial coverage", True, "France, by country"),
        Criterion(
            "update frequency",
            often != _UNKNOWN,
            often if often != _UNKNOWN else "the dataset's module does not tell its cadence (cadence_days)",
        ),
        Criterion(
            "updated in time",
            often != _UNKNOWN,
            "from this publication until the next one is due"
            if often != _UNKNOWN
            else "nothing is due without a frequency",
        ),
        Criterion(
            "description",
            len(metadata["description"]) > _GOOD_DESCRIPTION,
            f"{len(metadata['description']):,} characters; more than {_GOOD_DESCRIPTION} are asked for",
        ),
        Criterion("open format", bool(files), "Parquet" if files else "there is no file"),
        Criterion(
            "resources available",
            bool(files),
            "the site tries each file itself, after publication" if files else "there is no file",
        ),
        Criterion("resources documented", documented > 0, f"{documented:,} files have a description"),
    )


def quality_notes(criteria: Sequence[Criterion]) -> Iterator[str]:
    """The expected score, then each criterion, in sentences for people."""
    met = sum(criterion.met for criterion in criteria)
    yield f"expected quality score: {met}/{len(criteria)} ({met / len(criteria):.0%})"
    for criterion in criteria:
        yield f"{'met' if criterion.met else 'NOT met'}: {criterion.name} ({criterion.reason})"
