"""Everything that the review of a release says, as plain records.

What belongs here: reading the two releases and the lake once, and choosing samples. What does not: HTML, Markdown,
pictures (`review_page.py`, `review_summary.py`, `review_plots.py`, `lineage.py`).

Nothing here looks at a clock: a page tells the state it was built from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from mediatech_assets.lake import Lake, literal, quoted
from mediatech_assets.release.difference import (
    Difference,
    DocumentContent,
    compare,
    contents_of,
    data_files,
    unshared_files,
)
from mediatech_assets.release.stored import StoredRelease
from mediatech_assets.release.wording import Wording, changed_wording

#: Documents shown of each kind.
SAMPLES = 10
#: Releases in plots and tables, the newest.
SHOWN_RELEASES = 40

_REASONS = 20
_REFUSED_SHOWN = 20
_UPSTREAM_FILES = 8
#: Left out of reasons to group them: many name a line or a size.
_FIGURES = "[0-9]+"


@dataclass(frozen=True, slots=True)
class Sample:
    """A document of one release, for a list."""

    doc_id: str
    title: str
    source_url: str


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A metadata column with another value than before."""

    name: str
    wording: Wording


@dataclass(frozen=True, slots=True)
class ChangedDocument:
    """A document that changed, and how.

    Args:
        document: It, as the newer release has it.
        wording: How its text changed.
        columns: Metadata columns that changed.
        chunks: Number of its chunks before and now.
        complete: Whether all of it was compared here; of huge documents only the beginning is.
    """

    document: Sample
    wording: Wording
    columns: tuple[ColumnChange, ...]
    chunks: tuple[int, int]
    complete: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in the documents since the release before.

    Args:
        difference: All of it, by id.
        added: Some that are new; for a first release, some of all.
        removed: Some that went away, as they were.
        changed: Some that changed.
    """

    difference: Difference
    added: Sequence[Sample]
    removed: Sequence[Sample]
    changed: Sequence[ChangedDocument]


@dataclass(frozen=True, slots=True)
class PastRelease:
    """A release of the dataset's history, with the search as it was measured when it was built.

    Args:
        id: Its identifier.
        created_at: When it was built, UTC.
        documents: Documents it was built from.
        rows: Its rows.
        recall_10: Recall@10 of hybrid search; none when it was not measured.
        mrr: Mean reciprocal rank of hybrid search; none when it was not measured.
        questions: Questions that were asked.
    """

    id: str
    created_at: datetime | None
    documents: int
    rows: int
    recall_10: float | None = None
    mrr: float | None = None
    questions: int = 0


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long chunks are.

    Args:
        counts: Number of chunks by length.
        unit: What the length counts: tokens, or characters where the lake no longer knows.
        limit: Most tokens of a chunk; none when the unit is another.
        texts: Different texts among the chunks; none when unknown.
    """

    counts: Mapping[int, int]
    unit: str
    limit: int | None
    texts: int | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Inputs that were refused and are in no release.

    Args:
        total: All of them.
        reasons: Numbers by reason, most frequent first; figures in a reason are left out to group it.
        samples: Some: subject, reason, file, member.
    """

    total: int
    reasons: Sequence[tuple[str, int]]
    samples: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """What the review of a release says.

    Args:
        title: The dataset's French title.
        release: The release.
        previous: The one that it is compared with.
        earlier: Releases that were built before it, whether they stand or not.
        changes: What changed in the documents.
        made_otherwise: What else is not as before: fact, before, now.
        history: Releases up to this one, oldest first.
        lengths: How long chunks are.
        upstream: Newest raw files, newest first.
        pending: Names of files that were published and are not applied.
        quarantine: What was refused.
        collection: Collection of the index and its points; none without an index.
    """

    title: str
    release: StoredRelease
    previous: StoredRelease | None
    earlier: int
    changes: Changes
    made_otherwise: Sequence[tuple[str, str, str]]
    history: Sequence[PastRelease]
    lengths: Lengths
    upstream: Sequence[Mapping[str, Any]]
    pending: Sequence[str]
    quarantine: Quarantine
    collection: tuple[str, int] | None

    @property
    def checks(self) -> Sequence[Mapping[str, Any]]:
        """Checks that the manifest records: name, passed, blocking, detail."""
        return self.release.manifest.get("checks", ())

    @property
    def failed_checks(self) -> Sequence[Mapping[str, Any]]:
        """Checks that did not pass."""
        return [check for check in self.checks if not check["passed"]]

    @property
    def skipped_archives(self) -> Sequence[Mapping[str, Any]]:
        """Archives passed over by a person's decision."""
        return self.release.manifest.get("skipped_archives", ())


def gather_facts(
    lake: Lake, title: str, release: StoredRelease, previous: StoredRelease | None, pending: Sequence[str]
) -> ReviewFacts:
    """Reads what the review says.

    Args:
        lake: The lake; the dataset's catalog is open.
        title: The dataset's French title.
        release: The release.
        previous: The release to compare it with, if there is one.
        pending: Names of files that were published and are not applied.
    """
    with lake.cursor() as cursor:
        earlier, history = _history(lake, cursor, release)
        return ReviewFacts(
            title=title,
            release=release,
            previous=previous,
            earlier=earlier,
            changes=_changes(cursor, release, previous),
            made_otherwise=_made_otherwise(release.manifest, previous.manifest) if previous else (),
            history=history,
            lengths=_lengths(cursor, release),
            upstream=_upstream(cursor, release.dataset),
            pending=tuple(pending),
            quarantine=_quarantine(cursor, release.dataset),
            collection=_collection(cursor, release),
        )


def spread(items: Sequence[str], count: int) -> list[str]:
    """At most `count` of the items, evenly spread: the first ones alone would be of one kind."""
    if len(items) <= count:
        return list(items)
    return [items[place * len(items) // count] for place in range(count)]


def _changes(
    cursor: duckdb.DuckDBPyConnection, release: StoredRelease, previous: StoredRelease | None
) -> Changes:
    difference = compare(cursor, release.folder, previous.folder if previous else None)
    if previous is None:
        added = _samples(cursor, data_files(release.folder), difference.added)
        return Changes(difference, added, (), ())
    new, old = unshared_files(release.folder, previous.folder)
    chosen = _chosen_changes(difference)
    before, after = contents_of(cursor, old, chosen), contents_of(cursor, new, chosen)
    return Changes(
        difference,
        added=_samples(cursor, new, difference.added),
        removed=_samples(cursor, old, difference.removed),
        changed=[_changed(doc_id, before[doc_id], after[doc_id]) for doc_id in chosen],
    )


def _chosen_changes(difference: Difference) -> list[str]:
    """Documents to show: of both kinds where there are both, those with other words first."""
    reworded = set(difference.reworded)
    others = [doc_id for doc_id in difference.changed if doc_id not in reworded]
    words = spread(difference.reworded, SAMPLES - min(len(others), SAMPLES // 3))
    return [*words, *spread(others, SAMPLES - len(words))]


def _samples(cursor: duckdb.DuckDBPyConnection, files: Sequence[Any], doc_ids: Sequence[str]) -> list[Sample]:
    chosen = spread(doc_ids, SAMPLES)
    contents = contents_of(cursor, files, chosen)
    return [_sample(doc_id, contents[doc_id]) for doc_id in chosen]


def _sample(doc_id: str, content: DocumentContent) -> Sample:
    return Sample(doc_id, content.title, content.source_url)


def _changed(doc_id: str, before: DocumentContent, after: DocumentContent) -> ChangedDocument:
    names = dict.fromkeys([*after.metadata, *before.metadata])
    columns = [
        ColumnChange(name, changed_wording(before.metadata[name], after.metadata[name]))
        for name in names
        if name in before.metadata
        and name in after.metadata
        and before.metadata[name] != after.metadata[name]
    ]
    return ChangedDocument(
        document=_sample(doc_id, after),
        wording=changed_wording(before.text, after.text),
        columns=tuple(columns),
        chunks=(before.chunks, after.chunks),
        complete=before.complete and after.complete,
    )


def _made_otherwise(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Facts of how a release is made that are not those of the release before."""
    facts = [(_making(before), _making(now))]
    return [(name, old[name], new[name]) for old, new in facts for name in new if old[name] != new[name]]


def _making(manifest: Mapping[str, Any]) -> dict[str, str]:
    profile, about, code = manifest["profile"], manifest["about"], manifest["code"]
    return {
        "model": f"{profile.get('model', '')} ({profile.get('revision') or 'no revision'})",
        "chunking": str(manifest.get("chunking", "")),
        "parser": str(code.get("parser", "")),
        "code": str(code.get("mediatech-assets", "")),
        "personal data": str(about.get("redaction") or "none in the source"),
        "encoding of vectors": str(manifest.get("parameters", {}).get("release_encoding", "json")),
        "columns": ", ".join(manifest.get("columns", ())),
    }


def _history(
    lake: Lake, cursor: duckdb.DuckDBPyConnection, release: StoredRelease
) -> tuple[int, list[PastRelease]]:
    """Number of releases before this one, and the newest of the history up to it, oldest first."""
    catalog = quoted(release.dataset)
    measured = lake.has_table(release.dataset, "retrieval_runs")
    score = (
        f"""
        SELECT recall_10, mrr, questions FROM {catalog}.retrieval_runs AS run
        WHERE run.profile = past.profile AND run.run_at <= past.created_at AND mode = 'hybrid' AND part = 'all'
        ORDER BY run_at DESC LIMIT 1
        """
        if measured
        else "SELECT NULL::DOUBLE AS recall_10, NULL::DOUBLE AS mrr, 0 AS questions"
    )
    rows = cursor.execute(
        f"""
        SELECT release, created_at, documents, rows, recall_10, mrr, coalesce(questions, 0)
        FROM {catalog}.releases AS past LEFT JOIN LATERAL ({score}) AS score ON true
        WHERE created_at <= coalesce(
          (SELECT max(created_at) FROM {catalog}.releases WHERE release = $release), created_at)
        ORDER BY created_at, release = $release
        """,
        {"release": release.id},
    ).fetchall()
    history = [PastRelease(*row) for row in rows]
    if not any(past.id == release.id for past in history):  # a release of another lake, or one just built
        counts = release.manifest["documents"], release.manifest["rows"]
        history.append(PastRelease(release.id, None, *counts))
    return len(history) - 1, history[-SHOWN_RELEASES:]


def _lengths(cursor: duckdb.DuckDBPyConnection, release: StoredRelease) -> Lengths:
    """Lengths of the release's chunks, from the lake as it was; from the files when it has forgotten."""
    manifest = release.manifest
    chunks = f"{quoted(release.dataset)}.chunks AT (VERSION => {int(manifest.get('lake_snapshot', 0))})"
    condition = f"chunking_id = {literal(str(manifest.get('chunking', '')))}"
    try:
        rows = cursor.execute(
            f"SELECT tokens, count(*) FROM {chunks} WHERE {condition} GROUP BY 1 ORDER BY 1"
        )
        counts = dict(rows.fetchall())
        texts = cursor.execute(f"SELECT count(DISTINCT text_key) FROM {chunks} WHERE {condition}").fetchone()
    except duckdb.Error:  # the snapshot was expired, or is of another lake
        counts, texts = {}, None
    if counts and None not in counts and sum(counts.values()) == manifest["rows"]:
        return Lengths(counts, "tokens", manifest["profile"].get("chunk_tokens"), texts[0] if texts else None)
    files = data_files(release.folder)
    if not files:
        return Lengths({}, "characters", None, None)
    names = ", ".join(literal(str(path)) for path in files)
    rows = cursor.execute(
        f"SELECT length(chunk_text), count(*) FROM read_parquet([{names}], union_by_name = true) "
        "GROUP BY 1 ORDER BY 1"
    )
    return Lengths(dict(rows.fetchall()), "characters", None, None)


def _upstream(cursor: duckdb.DuckDBPyConnection, dataset: str) -> list[dict[str, Any]]:
    """The raw files that were published last, of those in use or to be used."""
    return (
        cursor.execute(
            f"""
            SELECT file, url, kind, feed, stamp, last_modified, strftime(fetched_at, '%Y-%m-%d %H:%M') AS fetched_at,
              status, reason
            FROM {quoted(dataset)}.raw_files WHERE status IN ('ready', 'unreadable')
            ORDER BY coalesce(last_modified, stamp) DESC, fetched_at DESC, file LIMIT {_UPSTREAM_FILES}
            """
        )
        .to_arrow_table()
        .to_pylist()
    )


def _quarantine(cursor: duckdb.DuckDBPyConnection, dataset: str) -> Quarantine:
    table = f"{quoted(dataset)}.quarantine"
    row = cursor.execute(f"SELECT count(*) FROM {table}").fetchone()
    reasons = cursor.execute(
        f"""
        SELECT min(reason), count(*) FROM {table} GROUP BY regexp_replace(reason, '{_FIGURES}', '#', 'g')
        ORDER BY 2 DESC, 1 LIMIT {_REASONS}
        """
    ).fetchall()
    samples = (
        cursor.execute(
            f"SELECT subject, reason, source_file, member FROM {table} ORDER BY seen_at DESC, subject, member "
            f"LIMIT {_REFUSED_SHOWN}"
        )
        .to_arrow_table()
        .to_pylist()
    )
    return Quarantine(int(row[0]) if row else 0, reasons, samples)


def _collection(cursor: duckdb.DuckDBPyConnection, release: StoredRelease) -> tuple[str, int] | None:
    """The collection that holds most of the chunks as they are now, and how many points were acknowledged."""
    catalog = quoted(release.dataset)
    row = cursor.execute(
        f"""
        SELECT collection, count(*) FROM {catalog}.index_state AS point
        JOIN {catalog}.chunks AS chunk
          ON chunk.chunk_id = point.chunk_id AND starts_with(point.row_hash, chunk.row_hash)
        WHERE chunk.chunking_id = ? GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
        """,
        [str(release.manifest.get("chunking", ""))],
    ).fetchone()
    return (row[0], int(row[1])) if row else None
