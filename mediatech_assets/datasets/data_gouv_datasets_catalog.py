"""Catalogue of data.gouv.fr: one document for each dataset that the platform lists.

What belongs here: the facts of the export and of its columns. What does not: how its rows are told apart
(`raw/record_files.py`), how Markdown becomes text, and which phrases are flagged (`documents/`).

The site exports its catalogue every night as one CSV file (`;`, most texts quoted), listed by its own API beside
the exports of other kinds and older ones. Each row comes here as a JSON object of texts by column name. The
export knows no null: an empty value is absent, and a number that is none refuses its row.

Descriptions are Markdown with stray HTML, of any length: the column keeps them as published, the document's text
has them whole. A title without description is a document without text. Columns that the contract does not have
(`slug`, `badges`…) are passed over. `owner` is the account name of a person who publishes outside of an
organisation: it is published as the site shows it.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta

import pyarrow as pa

from mediatech_assets.datasets.base import DataGouvResource, Dataset, Snapshot
from mediatech_assets.documents.instruction_phrases import instruction_like_phrases
from mediatech_assets.documents.markdown import markdown_text
from mediatech_assets.documents.markup import one_line, well_formed_text, words_sha256
from mediatech_assets.documents.model import Document, Member, MetadataValue, Outcome, Refusal, Section
from mediatech_assets.records import CsvRecords
from mediatech_assets.schemas import column

_PUBLISHED = (
    column("title", pa.string(), "Title."),
    column("acronym", pa.string(), "Acronym."),
    column("url", pa.string(), "Page of the dataset."),
    column("organization", pa.string(), "Name of the organisation that publishes it."),
    column("organization_id", pa.string(), "Identifier of that organisation."),
    column("owner", pa.string(), "Account that publishes it, when no organisation does."),
    column("owner_id", pa.string(), "Identifier of that account."),
    column("description", pa.string(), "Description as published: Markdown with stray HTML."),
    column("frequency", pa.string(), "How often it is updated, as announced."),
    column("license", pa.string(), "Licence."),
    column("temporal_coverage_start", pa.string(), "ISO date from which the data count."),
    column("temporal_coverage_end", pa.string(), "ISO date until which the data count."),
    column("spatial_granularity", pa.string(), "Territorial level of the data."),
    column("spatial_zones", pa.string(), "Territories covered."),
    column("featured", pa.bool_(), "Whether the site puts it forward."),
    column("created_at", pa.string(), "ISO time of creation."),
    column("last_modified", pa.string(), "ISO time of the last change."),
    column("tags", pa.string(), "Keywords, separated by commas."),
    column("archived", pa.string(), "ISO time of archiving; nothing for a live dataset."),
    column("resources_count", pa.int64(), "Resources."),
    column("main_resources_count", pa.int64(), "Resources that are main files."),
    column("resources_formats", pa.string(), "Formats of the resources, separated by commas."),
    column("harvest_backend", pa.string(), "Kind of catalogue it is harvested from."),
    column("harvest_domain", pa.string(), "Domain it is harvested from."),
    column("harvest_created_at", pa.string(), "ISO time of creation in that catalogue."),
    column("harvest_modified_at", pa.string(), "ISO time of the last change in that catalogue."),
    column("harvest_remote_url", pa.string(), "Page of the dataset in that catalogue."),
    column("quality_score", pa.float64(), "Quality of the metadata as the site scores it, from 0 to 1."),
    column("metric_discussions", pa.int64(), "Discussions."),
    column("metric_reuses", pa.int64(), "Reuses."),
    column("metric_reuses_by_months", pa.string(), "Reuses by month."),
    column("metric_followers", pa.int64(), "Followers."),
    column("metric_followers_by_months", pa.string(), "Followers by month."),
    column("metric_views", pa.int64(), "Views of the page."),
    column("metric_resources_downloads", pa.int64(), "Downloads of the resources."),
)

#: Beside the contract, and published: whoever writes a prompt with the text should see it.
_FLAGGED = column(
    "instruction_like_phrases",
    pa.list_(pa.string()),
    "Phrases of title and description that read like instructions to a language model, as written; "
    "nothing when there are none. The text itself is not altered.",
)

#: Columns of the export where a group stands before a dot (`harvest.backend`), as the contract writes it.
_GROUPS = ("temporal_coverage", "spatial", "harvest", "metric")

_ID = re.compile(r"[0-9a-f]{24}")
_PATH = re.compile(r"dataset\[.+\]")
# Eighteen digits fit the column's type.
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?![\d-])", re.ASCII)
_TRUTHS = {"true": True, "false": False}


class _ColumnError(ValueError):
    """A column of a row that is missing or holds something else; the message names it."""


def wants(path: str) -> bool:
    """Rows of the export; the file itself is never a member."""
    return _PATH.fullmatch(path) is not None


def parse(member: Member) -> list[Outcome]:
    """The document of one row, or why it cannot be used."""
    try:
        row = json.loads(member.data)
    except (ValueError, RecursionError) as error:
        return [Refusal(member.path, f"not a row as JSON: {error}")]
    if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
        return [Refusal(member.path, "the row is not an object of texts by column name")]
    subject = member.path
    try:
        dataset_id = _source_text(row, "id")
        if not _ID.fullmatch(dataset_id):
            return [Refusal(subject, "the column id is not 24 hexadecimal digits")]
        subject = dataset_id
        return [_document(dataset_id, row)]
    except _ColumnError as error:
        return [Refusal(subject, str(error))]


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The dataset's title, then who publishes it."""
    return [str(value) for value in (metadata["title"], metadata["organization"]) if value]


def _document(dataset_id: str, row: Mapping[str, str]) -> Document:
    title, description = _source_text(row, "title"), _source_text(row, "description")
    metadata: dict[str, MetadataValue] = {field.name: _value(row, field) for field in _PUBLISHED}
    metadata["title"] = one_line(well_formed_text(title)) or None
    metadata[_FLAGGED.name] = instruction_like_phrases(well_formed_text(f"{title}\n{description}")) or None
    metadata["source_text_sha256"] = _source_hash(title, description)
    text = markdown_text(description)
    return Document(
        doc_id=dataset_id,
        metadata=metadata,
        sections=(Section(text),) if text else (),
        source_url=_web_address(metadata["url"]),
        source_updated_at=_iso_day(_source_text(row, "last_modified")),
    )


def _value(row: Mapping[str, str], field: pa.Field) -> MetadataValue:
    """Value of a published column; nothing for an empty one, whatever its type."""
    name = _source_name(field.name)
    text = well_formed_text(_source_text(row, name))
    if not text.strip():
        return None
    # The description is kept to the character: it is what the site publishes.
    read = _READERS.get(field.type, _as_published if field.name == "description" else str.strip)
    try:
        return read(text)
    except ValueError as error:
        raise _ColumnError(f"the column {name} is {text.strip()[:40]!r} and not {error}") from error


def _as_published(text: str) -> str:
    return text


def _truth(text: str) -> bool:
    try:
        return _TRUTHS[text.strip().lower()]
    except KeyError:
        raise ValueError("True or False") from None


def _whole_number(text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text.strip()):
        raise ValueError("a whole number")
    return int(text)


def _number(text: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text.strip()) else math.inf
    if not math.isfinite(number):
        raise ValueError("a number")
    return number


_READERS: Mapping[pa.DataType, Callable[[str], MetadataValue]] = {
    pa.bool_(): _truth,
    pa.int64(): _whole_number,
    pa.float64(): _number,
}


def _source_name(name: str) -> str:
    for group in _GROUPS:
        if name.startswith(f"{group}_"):
            return f"{group}.{name.removeprefix(f'{group}_')}"
    return name


def _source_text(row: Mapping[str, str], name: str) -> str:
    if name not in row:
        raise _ColumnError(f"the column {name} is missing")
    return row[name]


def _source_hash(title: str, description: str) -> str:
    """Hash of the words as published: proof of which version was read."""
    return words_sha256(f"{title}\n{description}")


def _web_address(url: MetadataValue) -> str:
    """`url` when a reader may follow it."""
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""


def _iso_day(time: str) -> str | None:
    day = _DAY.match(time.strip())
    try:
        return date.fromisoformat(day.group()).isoformat() if day else None
    except ValueError:
        return None


DATASET = Dataset(
    name="data_gouv_datasets_catalog",
    title="Catalogue des jeux de données de data.gouv.fr",
    description="Every dataset that data.gouv.fr lists, with its description, publisher, licence and metrics.",
    producer="Direction interministérielle du numérique (data.gouv.fr)",
    homepage="https://www.data.gouv.fr/datasets/catalogue-des-donnees-de-data-gouv-fr",
    source=Snapshot(
        (
            DataGouvResource(
                dataset="catalogue-des-donnees-de-data-gouv-fr",
                title=r"export-dataset-(?P<stamp>\d{8}-\d{6})\.csv",
                file_host="static.data.gouv.fr",
                format="csv",
                records=CsvRecords(name="dataset", key="id", key_pattern="[0-9a-f]{24}"),
            ),
        )
    ),
    cadence=timedelta(days=1),
    wants=wants,
    parse=parse,
    parser_version="1",
    metadata_schema=pa.schema(
        [
            *_PUBLISHED,
            _FLAGGED,
            column("source_text_sha256", pa.string(), "SHA-256 of the source's title and description."),
        ]
    ),
    published_columns=(*(field.name for field in _PUBLISHED), _FLAGGED.name),
    heading=heading,
    filters=(
        "organization",
        "organization_id",
        "license",
        "frequency",
        "spatial_granularity",
        "featured",
        "quality_score",
        "created_at",
        "last_modified",
        "instruction_like_phrases",
    ),
)
