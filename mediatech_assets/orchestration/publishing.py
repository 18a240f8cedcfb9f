"""Decisions about releases, and their way to the sinks, with the settings of an installation.

What belongs here: finding a release, recording who decided, choosing the publisher of a sink, the rules that need
the lake, and the record of what was published. What does not: the gate itself (`release/approval.py`), any sink's
protocol (`release/publication/`), and Dagster (`publication_assets.py`).
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.errors import ApprovalError, ConfigurationError, PublicationError
from mediatech_assets.lake import exclusive, insert_row, quoted, utc_now
from mediatech_assets.layers import Sink
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.release.approval import (
    Decision,
    Person,
    Verdict,
    decide,
    decisions,
    require_approved,
)
from mediatech_assets.release.publication.albert import AlbertPublisher
from mediatech_assets.release.publication.data_gouv import DataGouvPublisher
from mediatech_assets.release.publication.hub_connection import hub_endpoint
from mediatech_assets.release.publication.huggingface import HuggingFacePublisher
from mediatech_assets.release.publication.sink import Plan, Published, Publisher, publication_facts
from mediatech_assets.release.stored import StoredRelease, read_release

_RELEASE_ID = re.compile(r"\d{8}-[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Publication:
    """A release that reached a sink.

    Args:
        sink: Where.
        release: Identifier of the release.
        url: Where people find it.
        rollback: Whether an earlier release was brought back.
        published_by: Who published, as named.
        published_at: When the sink had everything, UTC.
    """

    sink: Sink
    release: str
    url: str
    rollback: bool
    published_by: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """A release in the list of a dataset's releases.

    Args:
        id: Its identifier.
        created_at: When it was built, UTC.
        documents: Documents it was built from.
        rows: Its rows.
        profile: Embedding profile.
        state: `missing` (its folder is gone), `published` (it is the present one of a sink), `approved`, `rejected`
            or `candidate`.
        decision: The newest decision about it, if there is one.
        sinks: Sinks whose present release it is.
    """

    id: str
    created_at: datetime
    documents: int
    rows: int
    profile: str
    state: str
    decision: Decision | None
    sinks: tuple[Sink, ...]


def publication_lock(dataset: str) -> str:
    """Name of the lock that is held while a release of a dataset is sent.

    It is not the dataset's own: sending for an hour must not stop the next update.
    """
    return f"publish-{dataset}"


def find_release(platform: Platform, dataset: Dataset, release_id: str = "") -> StoredRelease:
    """A release of a dataset that stands on disk; the newest one when no identifier is given.

    Raises:
        ConfigurationError: there is none of that name, or none at all.
        RefusedFileError: its manifest cannot be used.
    """
    open_for_decisions(platform, dataset)
    known = [state.id for state in release_states(platform, dataset) if state.state != "missing"]
    if not known:
        raise ConfigurationError(
            f"no release of {dataset.name} stands on this machine",
            f"run `mediatech update --datasets {dataset.name}`",
        )
    wanted = release_id or known[-1]
    if not _RELEASE_ID.fullmatch(wanted) or wanted not in known:
        raise ConfigurationError(
            f"there is no release {wanted!r} of {dataset.name}", f"releases: {', '.join(known[-5:])}"
        )
    return read_release(platform.settings.releases_folder / dataset.name / wanted)


def open_for_decisions(platform: Platform, dataset: Dataset) -> None:
    """Opens the dataset's catalog.

    Raises:
        ConfigurationError: nothing was built of the dataset yet.
    """
    if not platform.lake.exists(dataset.name):
        raise ConfigurationError(
            f"nothing of {dataset.name} was built yet", f"run `mediatech update --datasets {dataset.name}`"
        )
    platform.open_catalog(dataset)


def release_states(platform: Platform, dataset: Dataset) -> list[ReleaseState]:
    """Every release that was ever built of a dataset, oldest first; its catalog is open."""
    with platform.lake.cursor() as cursor:
        rows = cursor.execute(
            f"""
            SELECT release, created_at, documents, rows, profile FROM {quoted(dataset.name)}.releases
            ORDER BY created_at
            """
        ).fetchall()
    decided = {decision.release: decision for decision in decisions(platform.lake, dataset.name)}
    present = present_releases(platform, dataset)
    folder = platform.settings.releases_folder / dataset.name
    states = []
    for release, created_at, documents, count, profile in rows:
        decision = decided.get(release)
        sinks = tuple(sink for sink, publication in present.items() if publication.release == release)
        state = decision.decision if decision else "candidate"
        if sinks:
            state = "published"
        if not (folder / release).is_dir():
            state = "missing"
        states.append(ReleaseState(release, created_at, documents, count, profile, state, decision, sinks))
    return states


def present_releases(platform: Platform, dataset: Dataset) -> dict[Sink, Publication]:
    """The newest publication of each sink that has one; the dataset's catalog is open."""
    return {publication.sink: publication for publication in publications(platform, dataset)}


def publications(platform: Platform, dataset: Dataset) -> list[Publication]:
    """Every publication of a dataset, oldest first; its catalog is open."""
    if not platform.lake.has_table(dataset.name, "publications"):
        return []  # a lake that is only read may be older than this table
    with platform.lake.cursor() as cursor:
        rows = cursor.execute(
            f"""
            SELECT sink, release, url, rollback, published_by, published_at
            FROM {quoted(dataset.name)}.publications ORDER BY published_at
            """
        ).fetchall()
    return [Publication(Sink(sink), *row) for sink, *row in rows]


def record_decision(
    platform: Platform, dataset_name: str, release_id: str, verdict: Verdict, person: Person, comment: str
) -> Decision:
    """Records that a person approves or rejects a release.

    Raises:
        MediatechError: see `release.approval.decide`.
    """
    dataset = dataset_named(dataset_name)
    release = find_release(platform, dataset, release_id)
    if verdict == "approved":
        _require_no_purged_document(platform, release)
    return decide(platform.lake, release, verdict, person, comment)


def publication_plan(platform: Platform, dataset_name: str, release_id: str, sink: Sink) -> Plan:
    """What publishing a release would do at a sink; nothing is changed, no approval is needed.

    Raises:
        PublicationError: the sink cannot be asked.
    """
    dataset = dataset_named(dataset_name)
    release = find_release(platform, dataset, release_id)
    return publisher(platform, dataset, sink).plan(release)


def publish(
    platform: Platform,
    dataset_name: str,
    release_id: str,
    sink: Sink,
    person: Person,
    *,
    rollback: bool = False,
) -> Published:
    """Publishes an approved release at a sink; may be repeated after any failure.

    Args:
        platform: The platform.
        dataset_name: Name of the dataset.
        release_id: The release.
        sink: Where.
        person: Who publishes.
        rollback: Bring back a release older than the present one of the sink.

    Raises:
        ApprovalError: the release may not leave.
        ConfigurationError: a setting of the sink is missing, or `rollback` does not fit.
        PublicationError: the sink did not take it.
        BusyError: another process publishes this dataset.
    """
    dataset = dataset_named(dataset_name)
    settings = platform.settings
    action = f"publishing {release_id} at {sink.value}"
    with exclusive(settings.locks_folder, publication_lock(dataset.name), action, settings.lock_timeout):
        release = find_release(platform, dataset, release_id)
        _require_direction(platform, dataset, release, sink, rollback=rollback)
        _require_publishable(platform, dataset, release, sink)
        published = publisher(platform, dataset, sink).publish(release)
        _record(platform, dataset, release, published, person, rollback=rollback)
    return published


def publisher(platform: Platform, dataset: Dataset, sink: Sink) -> Publisher:
    """The publisher of a sink, as the settings describe it.

    Raises:
        ConfigurationError: a setting is missing; the message names it.
    """
    return {Sink.HUGGINGFACE: _hub, Sink.DATA_GOUV: _data_gouv, Sink.ALBERT: _albert}[sink](platform, dataset)


def configured_sinks(platform: Platform) -> list[Sink]:
    """Sinks that the settings describe well enough to publish there."""
    settings = platform.settings
    required: dict[Sink, Sequence[str]] = {
        Sink.HUGGINGFACE: (settings.hub_namespace,),
        Sink.DATA_GOUV: (settings.data_gouv_organization, settings.data_gouv_key.get_secret_value()),
        Sink.ALBERT: (settings.albert_key.get_secret_value(),),
    }
    return [sink for sink, values in required.items() if all(values)]


def what_remains(
    platform: Platform, dataset: Dataset
) -> dict[Sink, Callable[[str, Sequence[str]], Sequence[str]]]:
    """What tells, for each sink that is set up, what it keeps of erased documents: `Publisher.remains`."""
    found = {}
    for sink in configured_sinks(platform):
        with suppress(ConfigurationError):
            found[sink] = publisher(platform, dataset, sink).remains
    return found


def _hub(platform: Platform, dataset: Dataset) -> Publisher:  # noqa: ARG001 - one signature for all sinks
    settings = platform.settings
    _require_setting(Sink.HUGGINGFACE, "hub_namespace", settings.hub_namespace)
    return HuggingFacePublisher(
        namespace=settings.hub_namespace,
        endpoint=settings.hub_endpoint,
        token=settings.hub_token.get_secret_value(),
        private=settings.hub_private,
        former_releases=settings.hub_former_releases,
    )


def _data_gouv(platform: Platform, dataset: Dataset) -> Publisher:
    settings = platform.settings
    _require_setting(Sink.DATA_GOUV, "data_gouv_organization", settings.data_gouv_organization)
    _require_setting(Sink.DATA_GOUV, "data_gouv_key", settings.data_gouv_key.get_secret_value())
    hub = ""
    if settings.data_gouv_resources == "remote":
        _require_setting(Sink.DATA_GOUV, "hub_namespace", settings.hub_namespace)
        endpoint = hub_endpoint(settings.hub_endpoint)
        hub = f"{endpoint}/datasets/{settings.hub_namespace}/{dataset.published_name}"
    return DataGouvPublisher(
        url=settings.data_gouv_url,
        key=settings.data_gouv_key.get_secret_value(),
        organization=settings.data_gouv_organization,
        private=settings.data_gouv_private,
        resources=settings.data_gouv_resources,
        hub_repository=hub,
    )


def _albert(platform: Platform, dataset: Dataset) -> Publisher:
    settings = platform.settings
    _require_setting(Sink.ALBERT, "albert_key", settings.albert_key.get_secret_value())
    return AlbertPublisher(
        lake=platform.lake,
        dataset=dataset.name,
        url=settings.albert_url,
        key=settings.albert_key.get_secret_value(),
        visibility=settings.albert_visibility,
    )


def _require_setting(sink: Sink, name: str, value: str) -> None:
    if not value:
        raise ConfigurationError(
            f"the sink {sink.value} is not set up: MEDIATECH_{name.upper()} is empty",
            f"set MEDIATECH_{name.upper()}; `mediatech doctor` lists every setting",
        )


def _require_direction(
    platform: Platform, dataset: Dataset, release: StoredRelease, sink: Sink, *, rollback: bool
) -> None:
    """Nobody goes back by mistake: an older release than the present one is only published by a rollback."""
    order = [state.id for state in release_states(platform, dataset)]
    present = present_releases(platform, dataset).get(sink)
    older = (
        present is not None
        and present.release in order
        and order.index(release.id) < order.index(present.release)
    )
    if older and not rollback:
        raise ConfigurationError(
            f"release {release.id} of {dataset.name} is older than {present.release if present else ''}, which is "
            f"published at {sink.value}",
            f"to bring it back: `mediatech rollback {dataset.name} {release.id} --sink {sink.value}`",
        )
    if rollback and present is None:
        raise ConfigurationError(
            f"nothing of {dataset.name} was published at {sink.value} from here, so nothing can be rolled back",
            f"use `mediatech publish {dataset.name} {release.id} --sink {sink.value}`",
        )


def _require_publishable(platform: Platform, dataset: Dataset, release: StoredRelease, sink: Sink) -> None:
    require_approved(platform.lake, release)
    _require_no_purged_document(platform, release)
    if release.manifest["about"]["redaction"] == "full" and not platform.settings.publish_personal_data:
        raise ApprovalError(
            f"release {release.id} of {dataset.name} holds personal data (MEDIATECH_REDACTION=full)",
            "publish one made with MEDIATECH_REDACTION=public, or allow it: MEDIATECH_PUBLISH_PERSONAL_DATA=true",
        )
    linked = sink is Sink.DATA_GOUV and platform.settings.data_gouv_resources == "remote"
    hub = present_releases(platform, dataset).get(Sink.HUGGINGFACE)
    if linked and (hub is None or hub.release != release.id):
        raise PublicationError(
            f"data_gouv would link to files of release {release.id} of {dataset.name} on the hub, and they are not "
            "there",
            f"first `mediatech publish {dataset.name} {release.id} --sink huggingface`, or set "
            "MEDIATECH_DATA_GOUV_RESOURCES=upload",
        )


def _require_no_purged_document(platform: Platform, release: StoredRelease) -> None:
    """A release that came back from a backup must not bring an erased document back with it."""
    if not platform.lake.has_table(release.dataset, "purged_documents"):
        return
    with platform.lake.cursor() as cursor:
        rows = cursor.execute(f"SELECT doc_id FROM {quoted(release.dataset)}.purged_documents").fetchall()
    purged = [doc_id for (doc_id,) in rows]
    if not purged:
        return
    for file in release.data_files:
        found = pq.read_table(file.location, columns=["doc_id"], filters=[("doc_id", "in", purged)])
        if found.num_rows:
            raise ApprovalError(
                f"{file.location} of release {release.id} holds {found['doc_id'][0].as_py()}, which was purged",
                f"remove the folder of the release; `mediatech update --datasets {release.dataset}` builds another",
            )


def _record(
    platform: Platform,
    dataset: Dataset,
    release: StoredRelease,
    published: Published,
    person: Person,
    *,
    rollback: bool,
) -> None:
    """Adds the publication to the record, unless the sink had it and the record says so already."""
    present = present_releases(platform, dataset).get(published.sink)
    if not published.changed and present is not None and present.release == release.id:
        return
    row: dict[str, Any] = {
        "sink": published.sink.value,
        "release": release.id,
        "manifest_sha256": release.manifest_sha256,
        "url": published.url,
        "facts": json.dumps(publication_facts(published), sort_keys=True),
        "rollback": rollback,
        "published_by": str(person),
        "published_at": utc_now(),
    }
    with platform.lake.transaction(dataset.name) as cursor:
        insert_row(cursor, f"{quoted(dataset.name)}.publications", row)
