"""What is said of a release to people and machines: in its card, its Croissant and its DCAT description.

What belongs here: the facts, and what follows from them alone. What does not: any format.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mediatech_assets.release.export import Encoding

LICENCE_NAME = "Licence Ouverte 2.0"
LICENCE_PAGE = "https://www.etalab.gouv.fr/licence-ouverte-open-licence"


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """Everything that a release states of itself.

    Args:
        published_name: Name in paths, with hyphens.
        title: French title.
        description: English description.
        producer: Who publishes the source.
        homepage: Page of the source.
        model: Name of the embedding model.
        revision: Its revision.
        dimensions: Length of a vector.
        normalised: Whether vectors have length 1.
        encoding: How vectors are written.
        vector_column: Column of the vectors.
        tokenizer: Tokenizer that counts the tokens of a chunk.
        chunk_tokens: Size of a chunk, in these tokens.
        columns: Columns with their descriptions, in order.
        types: Types of the columns, as Arrow names them (`string`, `list<float>`).
        tables: Whether the rows are in one folder a table.
        cadence_days: Days between two changes of the source, as a rule; 0 when it is not known.
        redaction: What is kept of persons: `public` or `full`; empty for sources without personal data.
        namespace: Organisation or account on the hub; empty when it is not known.
        source_updated_at: Date of the source's last update, ISO; empty when it is not known.
        documents: Documents in the dataset.
        rows: Rows of the release.
        removed: Documents that vanished.
        skipped: Archives of the source that were passed over by decision, each with its reason.
    """

    published_name: str
    title: str
    description: str
    producer: str
    homepage: str
    model: str
    revision: str
    dimensions: int
    normalised: bool
    encoding: Encoding
    vector_column: str
    tokenizer: str
    chunk_tokens: int
    columns: Mapping[str, str]
    types: Mapping[str, str]
    tables: bool
    cadence_days: int = 0
    redaction: str = ""
    namespace: str = ""
    source_updated_at: str = ""
    documents: int = 0
    rows: int = 0
    removed: int = 0
    skipped: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """Paths of the data files, as a pattern."""
        return f"data/{self.published_name}-latest/{'*/' if self.tables else ''}*.parquet"

    @property
    def repository(self) -> str:
        """Name on the hub, as `load_dataset` takes it."""
        return f"{self.namespace or '<namespace>'}/{self.published_name}"
