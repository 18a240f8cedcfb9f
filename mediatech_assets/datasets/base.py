"""What a dataset is: facts and one parser.

What belongs here: the `Dataset` record that each module of this package fills, and the source descriptions
it can name. What does not: any dataset's own facts, and any work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa

from mediatech_assets.documents.model import Document, Member, MetadataValue, Outcome
from mediatech_assets.errors import MediatechError
from mediatech_assets.records import Records
from mediatech_assets.release.table_rule import TableRule


@dataclass(frozen=True, slots=True)
class DilaFund:
    """An archive folder of the DILA: a stock, then increments with suppression lists.

    Args:
        fund: Folder name on the host (`LEGI`).
    """

    fund: str

    @property
    def listing_url(self) -> str:
        """Address of the folder's index page."""
        return f"https://echanges.dila.gouv.fr/OPENDATA/{self.fund}/"


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A file that the upstream publishes whole, again and again, at one address.

    Args:
        url: Its address.
        format: How to read it: `zip` or `tarbz2` (members), `json` or `csv` (one member, the file).
        feed: Label of the feed when a dataset has several (`part`, `pro`).
        records: How a member is cut into records, when a member holds many documents.
    """

    url: str
    format: str
    feed: str = ""
    records: Records | None = None

    @property
    def filename(self) -> str:
        """Name under which its versions are kept."""
        name = self.url.rsplit("/", 1)[-1]
        return f"{self.feed}-{name}" if self.feed else name


@dataclass(frozen=True, slots=True)
class DataGouvResource:
    """The newest file of a series that a dataset of data.gouv.fr publishes under dated titles.

    Args:
        dataset: Slug or id of the dataset on data.gouv.fr.
        title: Regular expression of the resource's title, whose group `stamp` is its sortable date.
        file_host: Host that the resources are served from.
        format: How to read it, as for `SnapshotFile`.
        feed: Label of the feed when a dataset has several.
        records: How the file is cut into records, when it holds many documents.
    """

    dataset: str
    title: str
    file_host: str
    format: str
    feed: str = ""
    records: Records | None = None

    @property
    def listing_url(self) -> str:
        """Address that describes the dataset and its resources, as JSON."""
        return f"https://www.data.gouv.fr/api/1/datasets/{self.dataset}/"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files that together are the dataset; a document missing from all of them has vanished."""

    files: tuple[SnapshotFile | DataGouvResource, ...]


Source = DilaFund | Snapshot


class DuplicateDocumentError(MediatechError):
    """Two members of one snapshot give the same id and the dataset has no rule to merge them."""


def refuse_duplicates(first: Document, second: Document) -> Document:
    """The default merge: an id that comes twice is an error of the upstream."""
    raise DuplicateDocumentError(
        f"document {first.doc_id} is published twice in the same snapshot: {first.source_url}, {second.source_url}",
        "the first one is kept; report the duplicate to the publisher",
    )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long an installation keeps what something newer took the place of; `mediatech prune` applies it.

    The newest release, the newest approved one, the newest one at each sink, and those of the last day stay whatever is
    said here; so do raw files that documents come from.

    Args:
        releases: Local releases that stay, the newest included.
        age: Age at which a former release goes all the same; none: no matter how old.
        raw: Time after its download until a superseded raw file may go.
    """

    releases: int = 10
    age: timedelta | None = None
    raw: timedelta = timedelta(days=7)


#: For sources that name persons.
SHORT_RETENTION = Retention(releases=2, age=timedelta(days=30), raw=timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything the platform has to know about one dataset.

    Args:
        name: Name in asset keys, tables and settings (`service_public`).
        title: What it is called in French, for cards and the UI.
        description: One or two English sentences for the UI.
        producer: Who publishes the source, in French.
        homepage: Page of the source for people.
        source: Where it comes from.
        cadence: How often the upstream changes, as a rule: how often it is asked follows from it.
        late_after: Age of the newest publication from which the upstream counts as late: longer than the longest
            pause that is usual (weekends, bank holidays, sessions of an assembly).
        wants: Whether a member (by its path) is a document; all others are skipped by rule.
        parse: Gives the documents and refusals of one member. Never raises for bad input.
        parser_version: Changes whenever `parse` gives other results for the same bytes.
        metadata_schema: The dataset's own columns of the `documents` table.
        published_columns: Columns of a release between `chunk_xxh64` and `chunk_text`, in the contract's order.
        heading: Lines put before a chunk's text, outermost first, from metadata (section context is added).
        merge: Joins two documents of one snapshot with the same id (first comes from the earlier file).
        release_tables: How the rows of a release are divided into folders; none for datasets of one table.
        filters: Metadata columns that searches filter on (copied into every point's payload).
        section_columns: Published columns that differ from section to section: their values are the section's
            attributes of the same names, an empty text where a section has none.
        in_force: Values by filter column of documents that are valid today, for a dataset that keeps others too.
        retrieval_floors: Least recall@10 of hybrid search over the dataset's questions, by profile. A release is
            not built below it. Profiles without one are measured and compared, not held to a floor.
        parse_full: As `parse`, with the personal data that `parse` leaves out. Only datasets whose source
            names persons have it; which one is used is the installation's choice (MEDIATECH_REDACTION).
        retention: How long former releases and superseded raw files stay.
    """

    name: str
    title: str
    description: str
    producer: str
    homepage: str
    source: Source
    cadence: timedelta
    wants: Callable[[str], bool]
    parse: Callable[[Member], list[Outcome]]
    parser_version: str
    metadata_schema: pa.Schema
    published_columns: tuple[str, ...]
    heading: Callable[[Mapping[str, MetadataValue]], list[str]]
    merge: Callable[[Document, Document], Document] = refuse_duplicates
    release_tables: TableRule | None = None
    filters: tuple[str, ...] = field(default=())
    section_columns: pa.Schema = field(default_factory=lambda: pa.schema([]))
    parse_full: Callable[[Member], list[Outcome]] | None = None
    in_force: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    retrieval_floors: Mapping[str, float] = field(default_factory=dict)
    late_after: timedelta = timedelta(days=5)
    retention: Retention = field(default_factory=Retention)

    @property
    def published_name(self) -> str:
        """Name in published paths: hyphens, as on the hub."""
        return self.name.replace("_", "-")
