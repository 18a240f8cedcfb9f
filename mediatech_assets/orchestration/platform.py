"""The stages put together: what each layer of a dataset does, with the settings of an installation.

What belongs here: opening the lake and the engine, and calling the stage packages in the right way for a
dataset. What does not: Dagster (see `assets.py`) and the work itself (the stage packages).
"""

import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cache, cached_property, partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from mediatech_assets.chunks.build import TEMPLATE_VERSION, Chunking, Chunks
from mediatech_assets.chunks.splitter import SPLITTER_VERSION
from mediatech_assets.datasets.base import DataGouvResource, Dataset, DilaFund, Snapshot, SnapshotFile
from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.documents.apply import Documents
from mediatech_assets.documents.elsewhere import ParsedElsewhere
from mediatech_assets.documents.model import Member, Refusal
from mediatech_assets.documents.parse import Parser
from mediatech_assets.embeddings.backends import BackendOptions
from mediatech_assets.embeddings.elsewhere import embedded_elsewhere
from mediatech_assets.embeddings.profiles import Profile, profile_named
from mediatech_assets.embeddings.store import CATALOG, VectorStore
from mediatech_assets.embeddings.tokens import TokenCounter
from mediatech_assets.embeddings.work import embed_texts, query_embedder
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.evaluation.gate import judge
from mediatech_assets.evaluation.history import runs
from mediatech_assets.index.engine import (
    CollectionSpec,
    Engine,
    EngineOptions,
    FieldType,
    Filter,
    Operator,
    as_of,
    open_engine,
)
from mediatech_assets.index.expansion import load_expansion
from mediatech_assets.index.search import EmbedQuery, SearchAnswer, search
from mediatech_assets.index.sync import IndexSync, profile_alias
from mediatech_assets.lake import Lake, exclusive, number, quoted, utc_now
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.checks import chunks_checks, documents_checks, embeddings_checks
from mediatech_assets.orchestration.evaluation import evaluation_report
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.orchestration.review import release_review
from mediatech_assets.raw.archives import read_members
from mediatech_assets.raw.landing import LandingZone
from mediatech_assets.records import ArchiveMember, PublishedFile, RawFile, upstream_version
from mediatech_assets.release.build import ReleaseSpec, build_release
from mediatech_assets.release.checks import Check, judged, type_name, up_to_date
from mediatech_assets.release.export import ExportSpec
from mediatech_assets.release.facts import ReleaseFacts
from mediatech_assets.schemas import (
    CHUNKS,
    RAW_FILES,
    VECTORS,
    column,
    dataset_tables,
    description_of,
    documents_schema,
)
from mediatech_assets.settings import Settings
from mediatech_assets.shards import ShardFolder
from mediatech_assets.sources.data_gouv_resource import newest_resource
from mediatech_assets.sources.dila_archives import list_archives
from mediatech_assets.sources.download import RememberedPage, Upstream, open_upstream
from mediatech_assets.sources.http_file import current_version
from mediatech_assets.workers import default_workers

_LOG = logging.getLogger(__name__)

#: The host that GitHub sends raw files from, after a redirect.
_REDIRECT_HOSTS = {"github.com": ("raw.githubusercontent.com",)}


class Platform:
    """One installation: its settings, its lake, the profile it works with.

    Args:
        settings: The settings; they name the active profile.
        read_only: Only look: the lake is attached for reading.
        profile: Another profile to work with than the active one, to build it beside; empty: the active one.
        reparse: Read every raw file in use again, also those that are applied: a full refresh.
    """

    def __init__(
        self, settings: Settings, *, read_only: bool = False, profile: str = "", reparse: bool = False
    ) -> None:
        self.settings = settings
        self.reparse = reparse
        self._profile_name = profile or settings.profile
        self.lake = Lake(
            settings.lake_folder,
            settings.locks_folder,
            memory_limit=settings.memory_limit,
            threads=settings.duckdb_threads,
            read_only=read_only,
        )

    def check(self) -> None:
        """Refuses settings that name something unknown, before any work begins.

        Raises:
            ConfigurationError: an unknown profile.
        """
        _ = self.profile

    def close(self) -> None:
        """Lets go of the lake."""
        self.lake.close()

    @cached_property
    def profile(self) -> Profile:
        """The embedding profile to work with."""
        return profile_named(self._profile_name, self.settings)

    @property
    def is_active(self) -> bool:
        """Whether the profile to work with is the active one."""
        return self._profile_name == self.settings.profile

    @cached_property
    def engine(self) -> Engine:
        """The vector engine."""
        settings = self.settings
        options = EngineOptions(
            url=settings.index_url,
            key=settings.index_key.get_secret_value(),
            quantization=settings.index_quantization,
            on_disk=settings.index_on_disk,
        )
        return open_engine(settings.index_engine, settings.index_folder, options=options)

    @property
    def backend_options(self) -> BackendOptions:
        """Where models run and come from."""
        settings = self.settings
        return BackendOptions(
            device=settings.model_device,
            model_folder=settings.model_folder,
            service_url=settings.embedding_url,
            service_key=settings.embedding_key.get_secret_value(),
            service_requests=settings.embedding_requests,
            service_timeout=settings.embedding_timeout,
        )

    @cached_property
    def embed_query(self) -> Callable[[str], np.ndarray]:
        """Gives the vector of a question; loads the model at first use."""
        return query_embedder(self.profile, self.backend_options)

    @property
    def workers(self) -> int:
        """Worker processes to use."""
        return self.settings.workers or default_workers()

    def materialise(self, dataset_name: str, layer: Layer, shards: ShardFolder | None = None) -> LayerReport:
        """Brings one layer of a dataset up to date with the layer before it.

        One process at a time works on a dataset.

        Args:
            dataset_name: Name of the dataset.
            layer: The layer.
            shards: Results of workers to take, for documents and embeddings; what they lack is done in this process.

        Raises:
            MediatechError: what went wrong, with the remedy; what was committed before stays.
        """
        with self.working_on(dataset_name, f"making its {layer.value}") as dataset:
            started = time.monotonic()
            report = self._work_of(layer, shards)(dataset)
            report = replace(report, seconds=round(time.monotonic() - started, 3))
        _LOG.info(
            "%s %s: %s rows (+%s ~%s -%s) in %.1f s",
            dataset.name, layer.value, f"{report.rows:,}", report.added, report.changed, report.removed,
            report.seconds,
        )  # fmt: skip
        return report

    def skip_archive(self, dataset_name: str, archive: str, reason: str) -> None:
        """Passes over an archive of a dataset that stops the fold; see `LandingZone.skip`.

        Raises:
            ConfigurationError: the archive cannot be skipped.
        """
        with self.working_on(dataset_name, f"skipping {archive}") as dataset:
            self.landing(dataset).skip(archive, reason)

    @contextmanager
    def working_on(self, dataset_name: str, action: str) -> Iterator[Dataset]:
        """The dataset, open, with nobody else working on it.

        Args:
            dataset_name: Its name.
            action: What is done, for the message that others get.

        Raises:
            BusyError: another process works on it; the message names that process.
        """
        dataset = dataset_named(dataset_name)
        locks, wait = self.settings.locks_folder, self.settings.lock_timeout
        with exclusive(locks, dataset_lock(dataset.name), action, wait):
            self.open(dataset)
            yield dataset

    def open(self, dataset: Dataset) -> None:
        """Opens the catalogs that the dataset's layers use."""
        self.open_catalog(dataset)
        self.store.open()

    def open_catalog(self, dataset: Dataset) -> None:
        """Opens the dataset's own catalog."""
        self.lake.open(dataset.name, dataset_tables(dataset.metadata_schema))

    @property
    def store(self) -> VectorStore:
        """The vectors of the profile."""
        return VectorStore(self.lake, self.profile)

    def published(
        self, dataset: Dataset, pages: MutableMapping[str, RememberedPage] | None = None
    ) -> list[PublishedFile]:
        """What the upstream of a dataset offers now.

        Args:
            dataset: The dataset.
            pages: Pages read before, which need not be sent again; see `open_upstream`.

        Raises:
            UpstreamError: the upstream cannot be read.
        """
        with self._upstream(dataset, pages) as upstream:
            return _published(upstream, dataset)

    def landing(self, dataset: Dataset) -> LandingZone:
        """The raw files of a dataset."""
        files = dataset.source.files if isinstance(dataset.source, Snapshot) else ()
        records = {file.feed: file.records for file in files if file.records is not None}
        purged = self.purged(dataset)
        holds = partial(holds_document, dataset, purged) if purged else None
        return LandingZone(self.lake, dataset.name, self.settings.raw_folder / dataset.name, records, holds)

    def purged(self, dataset: Dataset) -> frozenset[str]:
        """Ids of the documents that a person had erased: they are never taken in again."""
        if not self.lake.has_table(dataset.name, "purged_documents"):
            return frozenset()  # a lake that is only read may be older than this table
        sql = f"SELECT doc_id FROM {quoted(dataset.name)}.purged_documents"
        return frozenset(name for (name,) in self.lake.cursor().execute(sql).fetchall())

    def documents(self, dataset: Dataset) -> Documents:
        """The documents of a dataset."""
        return Documents(
            lake=self.lake,
            dataset=dataset.name,
            parser=self.parser(dataset),
            wants=dataset.wants,
            read_members=_read_raw_file,
            workers=self.workers,
            # What is refused was not redacted: its reason and place are kept, its bytes are not.
            quarantine_bytes=0 if self._redacts(dataset) else self.settings.quarantine_bytes,
        )

    def _redacts(self, dataset: Dataset) -> bool:
        return dataset.parse_full is not None and self.settings.redaction == "public"

    def parser(self, dataset: Dataset) -> Parser:
        """The dataset's parser, with or without personal data as the installation chose."""
        parse, version = dataset.parse, dataset.parser_version
        if self.settings.redaction == "full" and dataset.parse_full is not None:
            # Another version: what was parsed before the choice changed is parsed again.
            parse, version = dataset.parse_full, f"{version}-full"
        return Parser(parse, dataset.merge, version, dataset.metadata_schema)

    def chunking(self, dataset: Dataset) -> Chunking:
        """How the dataset's documents are split for the profile."""
        divided_by = dataset.release_tables.columns if dataset.release_tables else ()
        published = {*dataset.published_columns, *dataset.filters, *divided_by}
        own = [name for name in dataset.metadata_schema.names if name in published]
        return Chunking(
            tokenizer=self.profile.tokenizer,
            size=self.profile.chunk_tokens,
            passage_prefix=self.profile.passage_prefix,
            counter=partial(_counter, self.profile),
            heading=dataset.heading,
            hashed_columns=(*own, "source_url", "source_updated_at"),
        )

    def index(self, dataset: Dataset) -> IndexSync:
        """The dataset's collection of the profile."""
        return IndexSync(
            lake=self.lake,
            engine=self.engine,
            dataset=dataset.name,
            profile=self.profile.name,
            active=self.is_active,
            chunking_id=self.chunking(dataset).id,
            vectors=self.store.table,
            spec=self.collection(dataset),
            title=partial(_title, dataset.heading),
            expansion=partial(load_expansion, self.settings.expansions, dataset.name),
        )

    def collection(self, dataset: Dataset) -> CollectionSpec:
        """What the dataset's collection of the profile holds."""
        return CollectionSpec(
            vector=self.profile.model_id,
            dimensions=self.profile.dimensions,
            fields={name: _field_type(name) for name in dataset.filters},
        )

    def search(
        self,
        question: str,
        datasets: Sequence[str],
        mode: str,
        limit: int,
        day: date | None = None,
        embed_query: EmbedQuery | None = None,
        in_force: bool = False,
    ) -> SearchAnswer:
        """Answers a question from the indexes; see `index.search.search`.

        Args:
            question: In French.
            datasets: Names; all that have an index when empty.
            mode: `hybrid`, `dense` or `sparse`.
            limit: Documents at most.
            day: Only versions of the law in force on that day, in datasets whose documents have such dates.
            embed_query: What embeds the question; by default the profile's model.
            in_force: Only documents that are valid today, in datasets that keep others too.
        """
        known = all_datasets()
        chosen = [dataset_named(name) for name in datasets] or list(known.values())
        if not datasets:
            indexed = [dataset for dataset in chosen if self.engine.collection_for(self._alias(dataset))]
            chosen = indexed or chosen
        filters: dict[str, Sequence[Filter]] = {}
        if in_force:
            filters = {dataset.name: _in_force(dataset) for dataset in chosen}
        if day is not None:
            dated = [dataset for dataset in chosen if {"start_date", "end_date"} <= set(dataset.filters)]
            if not dated:
                raise ConfigurationError(
                    f"none of {', '.join(dataset.name for dataset in chosen)} has dates of force",
                    "use --as-of with --dataset legi",
                )
            chosen = dated
            filters = {dataset.name: [*filters.get(dataset.name, ()), *as_of(day)] for dataset in dated}
        aliases = {dataset.name: self._alias(dataset) for dataset in chosen}
        embed = embed_query or self.embed_query
        return search(self.engine, question, list(aliases), embed, mode, limit, filters, aliases)

    def _alias(self, dataset: Dataset) -> str:
        """The alias of the dataset's collection of the profile: its vectors and the question's are the same model's."""
        return profile_alias(dataset.name, self.profile.name)

    def _work_of(self, layer: Layer, shards: ShardFolder | None) -> Callable[[Dataset], LayerReport]:
        return {
            Layer.RAW: self._raw,
            Layer.DOCUMENTS: partial(self._documents, shards=shards),
            Layer.CHUNKS: self._chunks,
            Layer.EMBEDDINGS: partial(self._embeddings, shards=shards),
            Layer.INDEX: self._index,
            Layer.EVALUATION: partial(evaluation_report, self),
            Layer.RELEASE: self._release,
        }[layer]

    def _raw(self, dataset: Dataset) -> LayerReport:
        with self._upstream(dataset) as upstream:
            published = _published(upstream, dataset)
            landed = self.landing(dataset).land(published, upstream)
        return LayerReport(
            Layer.RAW,
            rows=landed.held,
            added=len(landed.fetched),
            bytes=landed.bytes,
            facts={
                "upstream version": upstream_version(published),
                "newest published": max(file.stamp for file in published),
                "ignored as older than the stock": landed.stale,
                "requests": upstream.requests,
                **({"purged members taken out": landed.erased} if landed.erased else {}),
            },
            problems=landed.problems,
            columns=RAW_FILES,
        )

    def fetched(self, dataset: Dataset) -> list[RawFile]:
        """The raw files of a dataset, oldest first.

        Raises:
            ConfigurationError: there is none.
        """
        files = self.landing(dataset).files()
        if not files:
            raise ConfigurationError(
                f"nothing of {dataset.name} was fetched yet",
                f"run `mediatech update --datasets {dataset.name}`",
            )
        return files

    def _documents(self, dataset: Dataset, shards: ShardFolder | None) -> LayerReport:
        documents = self.documents(dataset)
        if shards is not None:
            elsewhere = ParsedElsewhere(dataset.name, shards, self.settings.scale_out_parse_bytes)
            documents = replace(documents, elsewhere=elsewhere)
        applied = documents.apply(self.fetched(dataset), again=self.reparse)
        return LayerReport(
            Layer.DOCUMENTS,
            rows=self.count(dataset.name, "documents"),
            added=applied.changes.added,
            changed=applied.changes.changed,
            removed=applied.changes.removed,
            bytes=self.lake.table_bytes(dataset.name, "documents"),
            facts={
                "files applied": ", ".join(applied.files) or "none",
                "lag": len(applied.pending),
                "quarantine": self.count(dataset.name, "quarantine"),
                **({"purged and delivered again": purged} if (purged := applied.changes.purged) else {}),
            },
            problems=applied.problems,
            refused=applied.changes.refused,
            columns=documents_schema(dataset.metadata_schema),
            checks=documents_checks(self, dataset),
        )

    def _chunks(self, dataset: Dataset) -> LayerReport:
        chunks = Chunks(self.lake, dataset.name, self.chunking(dataset), self.workers)
        changes = chunks.update()
        return LayerReport(
            Layer.CHUNKS,
            rows=chunks.count(),
            added=changes.added,
            changed=changes.changed,
            removed=changes.removed,
            bytes=self.lake.table_bytes(dataset.name, "chunks"),
            facts={"documents split": changes.documents, "chunking": chunks.chunking.id},
            columns=CHUNKS,
            checks=chunks_checks(self, dataset),
        )

    def _embeddings(self, dataset: Dataset, shards: ShardFolder | None) -> LayerReport:
        chunking = self.chunking(dataset)
        began, started = utc_now(), time.monotonic()
        workers = self.workers if shards is None else 1  # one of many workers has no pool of its own
        filled = self.store.fill(
            dataset.name,
            chunking.id,
            partial(embed_texts, self.profile, workers=workers, options=self.backend_options),
            done=() if shards is None else embedded_elsewhere(self.profile, shards),
        )
        seconds = time.monotonic() - started
        return LayerReport(
            Layer.EMBEDDINGS,
            rows=self.store.count(dataset.name, chunking.id),
            added=filled.embedded,
            bytes=self.lake.table_bytes(CATALOG, self.profile.store),
            facts={
                "profile": self.profile.name,
                "model": f"{self.profile.model_id} ({self.profile.revision or 'no revision'})",
                # Workers did it before: this process cannot say how fast.
                **({"texts a second": _rate(filled.embedded, seconds)} if shards is None else {}),
                "reused": filled.reused,
                "quarantine": filled.refused,
            },
            refused=filled.refused,
            columns=VECTORS,
            checks=embeddings_checks(self, dataset, filled, began),
        )

    def _index(self, dataset: Dataset) -> LayerReport:
        index = self.index(dataset)
        changes = index.update()
        problems = (
            [
                f"{changes.without_vector:,} chunks have no vector and cannot be found by meaning: run the "
                f"embeddings layer; texts that the model refused are in {dataset.name}.quarantine"
            ]
            if changes.without_vector
            else []
        )
        if changes.upserted or changes.deleted or changes.rebuilt:
            problems += [
                f"the index differs from the chunks: {difference}; run `mediatech verify --datasets {dataset.name} "
                "--repair`"
                for difference in index.check()
            ]
        return LayerReport(
            Layer.INDEX,
            rows=index.count(),
            added=changes.upserted,
            removed=changes.deleted,
            facts={
                "profile": self.profile.name,
                "collection": changes.collection,
                "rebuilt": str(changes.rebuilt).lower(),
                "activated": str(changes.activated).lower(),
                **({"documents with everyday phrases": changes.expanded} if changes.expanded else {}),
            },
            problems=problems,
        )

    def _release(self, dataset: Dataset) -> LayerReport:
        if not self.is_active:
            raise ConfigurationError(
                f"a release is made of the active profile ({self.settings.profile}), not of {self.profile.name}",
                f"set MEDIATECH_PROFILE={self.profile.name}, then run `mediatech update`",
            )
        release = build_release(self.lake, self._release_spec(dataset))
        review = release_review(self, dataset, release.id)
        return LayerReport(
            Layer.RELEASE,
            rows=release.rows,
            added=release.rows if release.new else 0,
            bytes=release.bytes,
            facts={
                "release": release.id,
                "path": str(release.folder),
                "review": str(review.page),
                "files": release.files,
                "documents": release.documents,
                "new": str(release.new).lower(),
            },
            columns=self.published_schema(dataset),
            shown={"review summary": review.markdown},
            checks=release.checks,
        )

    def _release_spec(self, dataset: Dataset) -> ReleaseSpec:
        profile = self.profile
        chunking = self.chunking(dataset)
        schema = self.published_schema(dataset)
        export = ExportSpec(
            dataset=dataset.name,
            published_name=dataset.published_name,
            published_columns=dataset.published_columns,
            chunking_id=chunking.id,
            vectors=self.store.table,
            vector_column=f"embeddings_{profile.slug}",
            rows_per_file=self.settings.rows_per_file,
            dimensions=profile.dimensions,
            normalised=profile.normalised,
            encoding=self.settings.release_encoding,
            tables=dataset.release_tables,
            section_columns=tuple(dataset.section_columns.names),
        )
        redaction = self.settings.redaction if dataset.parse_full is not None else ""
        return ReleaseSpec(
            export=export,
            facts=ReleaseFacts(
                published_name=dataset.published_name,
                title=dataset.title,
                description=dataset.description,
                producer=dataset.producer,
                homepage=dataset.homepage,
                model=profile.model_id,
                revision=profile.revision,
                dimensions=profile.dimensions,
                normalised=profile.normalised,
                encoding=export.encoding,
                vector_column=export.vector_column,
                tokenizer=profile.tokenizer,
                chunk_tokens=profile.chunk_tokens,
                columns={field.name: description_of(field) for field in schema},
                types={field.name: type_name(field.type) for field in schema},
                tables=dataset.release_tables is not None,
                cadence_days=max(1, dataset.cadence.days),
                redaction=redaction,
                namespace=self.settings.hub_namespace,
            ),
            profile={
                "name": profile.name,
                "model": profile.model_id,
                "revision": profile.revision,
                "dimensions": profile.dimensions,
                "fingerprint": profile.fingerprint,
                "chunk_tokens": profile.chunk_tokens,
            },
            parameters={
                "tokenizer": chunking.tokenizer,
                "chunk_tokens": chunking.size,
                "passage_prefix": chunking.passage_prefix,
                "template_version": TEMPLATE_VERSION,
                "splitter_version": SPLITTER_VERSION,
                "redaction": redaction,
            },
            parser_version=self.parser(dataset).version,
            folder=self.settings.releases_folder / dataset.name,
            most_tokens=profile.text_tokens,
            checks=(
                up_to_date(
                    [file.name for file in self.documents(dataset).pending(self.landing(dataset).files())]
                ),
                self._finds_the_right_documents(dataset),
            ),
        )

    def _finds_the_right_documents(self, dataset: Dataset) -> Check:
        """The newest evaluation of the profile against the dataset's floor alone.

        The comparison with the release before is the evaluation's own check: here, the same state has to give the
        same judgement after its release was built.
        """
        history = runs(self.lake, dataset.name, self.profile.name)
        name = "finds_the_right_documents"
        if not history:
            return judged(name, True, "not judged: there is no evaluation of this profile")
        floor = dataset.retrieval_floors.get(self.profile.name, 0.0)
        verdict = judge(history[-1], floor, None)
        return judged(name, verdict.passed, verdict.reasons[0])

    def published_schema(self, dataset: Dataset) -> pa.Schema:
        """Columns of a release with their descriptions, in order."""
        known = (*CHUNKS, *documents_schema(dataset.metadata_schema), *dataset.section_columns)
        fields = {field.name: field for field in known}
        vector = f"embeddings_{self.profile.slug}"
        written = {
            "json": (pa.string(), f"a JSON list of {self.profile.dimensions} numbers"),
            "float32": (pa.list_(pa.float32()), f"a list of {self.profile.dimensions} numbers"),
        }
        kind, text = written[self.settings.release_encoding]
        fields[vector] = column(vector, kind, f"Vector of chunk_text by {self.profile.model_id}, {text}.")
        names = (
            "chunk_id",
            "doc_id",
            "chunk_index",
            "chunk_xxh64",
            *dataset.published_columns,
            "chunk_text",
            vector,
        )
        return pa.schema([fields[name] for name in (*names, "source_url", "source_updated_at")])

    def count(self, dataset: str, table: str) -> int:
        """Rows of a table of the dataset's catalog."""
        return number(self.lake.cursor(), f"SELECT count(*) FROM {quoted(dataset)}.{quoted(table)}")

    def sample(self, dataset: str, layer: Layer, rows: int) -> list[dict[str, Any]]:
        """A few rows of a layer's table, long values shortened, for people to look at."""
        table = {
            Layer.RAW: f"{quoted(dataset)}.raw_files",
            Layer.DOCUMENTS: f"{quoted(dataset)}.documents",
            Layer.CHUNKS: f"{quoted(dataset)}.chunks",
        }.get(layer)
        if table is None:
            return []
        found = self.lake.cursor().execute(f"SELECT * FROM {table} LIMIT {int(rows)}").to_arrow_table()
        return [{name: _short(value) for name, value in row.items()} for row in found.to_pylist()]

    @contextmanager
    def _upstream(
        self, dataset: Dataset, pages: MutableMapping[str, RememberedPage] | None = None
    ) -> Iterator[Upstream]:
        settings = self.settings
        with open_upstream(
            settings.upstream_base,
            upstream_hosts(dataset)
            | {host.strip() for host in settings.allowed_hosts.split(",") if host.strip()},
            timeout=settings.http_timeout,
            attempts=settings.http_attempts,
            user_agent=settings.user_agent,
            pages=pages,
        ) as upstream:
            yield upstream


def dataset_lock(dataset: str) -> str:
    """Name of the lock that whoever works on a dataset holds."""
    return f"dataset-{dataset}"


def holds_document(dataset: Dataset, doc_ids: Collection[str], member: ArchiveMember, feed: str) -> bool:
    """Whether a member of a raw file is one of some documents, well-formed or not.

    A member that should be a document, cannot be parsed and names one of them counts as well: nobody can tell.

    Args:
        dataset: The dataset.
        doc_ids: The documents.
        member: The member, or the record.
        feed: Feed of its file.
    """
    if {PurePosixPath(member.path).stem, member.path.rpartition("[")[2].removesuffix("]")} & set(doc_ids):
        return True
    # Parsing is slow: most members do not even name one of them.
    named = [doc_id for doc_id in doc_ids if doc_id.encode() in member.data]
    if not named or not dataset.wants(member.path):
        return False
    outcomes = dataset.parse(Member(member.path, member.data, member.modified, source_file="", feed=feed))
    found = {outcome.doc_id for outcome in outcomes if not isinstance(outcome, Refusal)}
    if found or not outcomes:
        return bool(found & set(doc_ids))
    text = member.data.decode(errors="replace")
    return any(names(doc_id, text) for doc_id in named)


def names(doc_id: str, text: str) -> bool:
    """Whether a text names a document, or a chunk of it: its identifier, not as a part of a longer one."""
    return re.search(rf"(?<![\w-]){re.escape(doc_id)}(?:_\d+)?(?![\w-])", text) is not None


def upstream_hosts(dataset: Dataset) -> set[str]:
    """Hosts that the dataset is read from, redirects included."""
    source = dataset.source
    urls = [source.listing_url] if isinstance(source, DilaFund) else [_address(file) for file in source.files]
    hosts = {url.split("/")[2] for url in urls}
    if isinstance(source, Snapshot):
        hosts |= {file.file_host for file in source.files if isinstance(file, DataGouvResource)}
    return hosts | {extra for host in hosts for extra in _REDIRECT_HOSTS.get(host, ())}


def _address(file: SnapshotFile | DataGouvResource) -> str:
    return file.url if isinstance(file, SnapshotFile) else file.listing_url


def _published(upstream: Upstream, dataset: Dataset) -> list[PublishedFile]:
    source = dataset.source
    if isinstance(source, DilaFund):
        return list_archives(upstream, source.listing_url, source.fund)
    return [_published_snapshot(upstream, file) for file in source.files]


def _published_snapshot(upstream: Upstream, file: SnapshotFile | DataGouvResource) -> PublishedFile:
    if isinstance(file, SnapshotFile):
        return current_version(upstream, file.url, name=file.filename, format=file.format, feed=file.feed)
    return newest_resource(upstream, file.listing_url, title=file.title, format=file.format, feed=file.feed)


def _read_raw_file(file: RawFile) -> Iterator[ArchiveMember]:
    return read_members(file.path, file.format, file.records)


@cache
def _counter(profile: Profile) -> TokenCounter:
    """The token counter of this process, loaded once."""
    return TokenCounter(profile)


def _title(heading: Callable[[Mapping[str, Any]], list[str]], document: Mapping[str, Any]) -> str:
    """The first line that stands above a document's chunks: its title, with an article's number."""
    return next(filter(None, heading(document)), "")


def _in_force(dataset: Dataset) -> list[Filter]:
    return [Filter(name, Operator.IN, values) for name, values in dataset.in_force.items()]


def _field_type(name: str) -> FieldType:
    return FieldType.DATETIME if name == "date" or name.endswith("_date") else FieldType.KEYWORD


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if count else 0.0


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"
