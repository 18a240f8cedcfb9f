"""What materialising a layer did, in words that need no Dagster.

What belongs here: the record. What does not: how it is shown (`assets.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mediatech_assets.layers import Layer
from mediatech_assets.release.checks import Check


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What materialising one layer of one dataset did.

    Args:
        layer: The layer.
        rows: Rows that the layer holds now.
        added: Rows that were not there before.
        changed: Rows that are others than before.
        removed: Rows that went away.
        seconds: Wall time.
        bytes: Raw files: fetched by this run. Tables and releases: of their files. None where it means nothing.
        facts: Further facts worth showing, by name.
        problems: Inputs that could not be used, each naming its file and the remedy.
        refused: Inputs sent to quarantine by this run.
        columns: Schema of the rows.
        shown: Texts in Markdown for the layer's page, by name.
        verdict: For the evaluation: whether it is good enough, and why.
        checks: What its tables, or a release, are held to.
    """

    layer: Layer
    rows: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    seconds: float = 0.0
    bytes: int | None = None
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    problems: Sequence[str] = ()
    refused: int = 0
    columns: pa.Schema | None = None
    shown: Mapping[str, str] = field(default_factory=dict)
    verdict: tuple[bool, str] = (True, "")
    checks: Sequence[Check] = ()
