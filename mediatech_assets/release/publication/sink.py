"""What every sink does: say what it would do, then do it.

What belongs here: the plan, the outcome, and the interface of a publisher. What does not: any protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mediatech_assets.layers import Sink
from mediatech_assets.release.stored import StoredRelease


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a publication does at the sink.

    Args:
        action: A verb: `create`, `upload`, `copy`, `update`, `delete`, `tag`, `keep`.
        target: What it is done to: a path, a resource, a document.
        bytes: Bytes that travel, when known.
        note: Why, or from where, when that is not plain.
    """

    action: str
    target: str
    bytes: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a publication would do.

    Args:
        sink: Where.
        release: Identifier of the release.
        target: What it is published as, such as `AgentPublic/legi`.
        steps: What would be done, in order; nothing when the sink has the release already.
        notes: What a person should know before, such as the expected quality score.
    """

    sink: Sink
    release: str
    target: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes that would travel at most: the sink may know some already."""
        return sum(step.bytes for step in self.steps)


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did.

    Args:
        sink: Where.
        release: Identifier of the release.
        url: Where people find it.
        changed: Whether anything had to be done.
        facts: What the sink answered: commit, identifiers, counts.
    """

    sink: Sink
    release: str
    url: str
    changed: bool
    facts: Mapping[str, str | int | float] = field(default_factory=dict)


class Publisher(Protocol):
    """Publishes releases of any dataset at one sink. Every method may be repeated after a failure or a kill."""

    sink: Sink

    def plan(self, release: StoredRelease) -> Plan:
        """What `publish` would do, from what the sink holds now; changes nothing.

        Raises:
            PublicationError: the sink cannot be asked.
        """
        ...

    def publish(self, release: StoredRelease) -> Published:
        """Makes the release the present one at the sink.

        Raises:
            PublicationError: the sink did not take it; what readers see is what they saw before, or all of the new.
        """
        ...

    def remains(self, published_name: str, doc_ids: Sequence[str]) -> Sequence[str]:
        """What the sink keeps of erased documents even after the next release, in sentences for people.

        Args:
            published_name: Name of the dataset in published paths.
            doc_ids: The erased documents.
        """
        ...


def publication_facts(published: Published) -> dict[str, Any]:
    """The outcome as one JSON object, for the record and for `--json`."""
    return {
        "sink": published.sink.value,
        "release": published.release,
        "url": published.url,
        "changed": published.changed,
        **published.facts,
    }
