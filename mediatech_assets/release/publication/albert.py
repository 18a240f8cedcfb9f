"""The Albert API: one collection a dataset, kept the same as the release document by document.

What belongs here: finding what differs, sending and deleting it, and recording what the service acknowledged. What
does not: the form of what is sent (`albert_documents.py`).

The service has no transaction over documents, so each document is atomic by itself: a changed one is uploaded whole
under a name of its own before the former one is deleted, and what vanished is deleted last. Table `albert_documents`
has a row for each document that the service holds. A killed run leaves documents that no row names; the collection
then holds another number of documents than the table, is listed, and each document is adopted, finished or deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from mediatech_assets.errors import PublicationError
from mediatech_assets.lake import Lake
from mediatech_assets.layers import Sink
from mediatech_assets.progress import track
from mediatech_assets.release.publication.albert_documents import AlbertDocument, read_documents
from mediatech_assets.release.publication.albert_records import AlbertRecords, Difference
from mediatech_assets.release.publication.albert_service import AlbertService, Collection, Visibility
from mediatech_assets.release.publication.http import (
    NoAnswerError,
    Pacing,
    RefusedError,
    create_once,
    repeated_without_answer,
    require_address,
    require_key,
    told_to_people,
)
from mediatech_assets.release.publication.sink import Plan, Published, Step
from mediatech_assets.release.stored import StoredRelease

#: Documents sent before what was acknowledged is recorded: each record is a commit and a file of the lake.
_DOCUMENTS_PER_COMMIT = 64
_BYTES_PER_COMMIT = 8_000_000
#: Documents in a row that the service has no answer for until the service is to blame, not the documents.
_MOST_FAILURES_IN_A_ROW = 5
_SHOWN = 5

#: Statuses that are about the document which was sent.
_ABOUT_THE_DOCUMENT = frozenset({413, 422})
_FORBIDDEN = 403

_URL = "MEDIATECH_ALBERT_URL"
_KEY = "MEDIATECH_ALBERT_KEY"
_REMEDIES = {
    400: f"check the storage and the budget of the account that {_KEY} stands for",
    401: f"set {_KEY} to a valid key",
    403: f"set {_KEY} to a valid key of an account that may write collections",
    404: f"check that {_URL} ends with /v1 and that nobody deleted the collection",
    429: "the account's limit is used up: run again later",
}


@dataclass(frozen=True, slots=True)
class _Refused:
    """A document that was not taken, and why."""

    doc_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Job:
    """A document to send, and whether a former version of it is there."""

    document: AlbertDocument
    changed: bool


@dataclass
class _Outcome:
    """What a synchronisation did."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    superseded: int = 0
    refused: list[_Refused] = field(default_factory=list)


class AlbertPublisher:
    """Publishes the releases of one dataset as a collection of the Albert API.

    Args:
        lake: The lake; the dataset's catalog is open for writing, for `plan` reading is enough.
        dataset: Name of the dataset in tables.
        url: Address of the API, `/v1` included.
        key: Key of the API.
        visibility: Who can search the collection, when it is made.
        collection: Name of the collection; empty: the dataset's published name.
        requests: Documents that are sent at the same time.
        pacing: Patience with the service.

    Raises:
        ConfigurationError: the address or the key cannot be used.
    """

    sink = Sink.ALBERT

    def __init__(
        self,
        lake: Lake,
        dataset: str,
        *,
        url: str,
        key: str,
        visibility: Visibility = "private",
        collection: str = "",
        requests: int = 4,
        pacing: Pacing | None = None,
    ) -> None:
        self._lake = lake
        self._dataset = dataset
        self._url = require_address(url, _URL)
        self._key = require_key(key, _KEY, "the Albert API")
        self._visibility: Visibility = visibility
        self._name = collection.strip()
        self._requests = requests
        self._pacing = pacing or Pacing()

    def plan(self, release: StoredRelease) -> Plan:
        """See `Publisher.plan`."""
        name = self._name or release.published_name
        with self._told(release), self._service() as service, self._lake.cursor() as cursor:
            found = self._find(service, name)
            records = AlbertRecords(self._lake, self._dataset, cursor, found.id if found else "")
            records.want(release)
            difference = records.difference()
            return Plan(
                self.sink, release.id, name, tuple(_steps(name, found, difference, release)),
                tuple(_notes(found, difference, records.count())),
            )  # fmt: skip

    def publish(self, release: StoredRelease) -> Published:
        """See `Publisher.publish`.

        Raises:
            PublicationError: the service could not be used, or did not take some of the documents; all others are
                as in the release then.
        """
        name = self._name or release.published_name
        with self._told(release), self._service() as service, self._lake.cursor() as cursor:
            found = self._find(service, name)
            collection = found or self._create(service, name, release)
            records = AlbertRecords(self._lake, self._dataset, cursor, collection.id)
            records.want(release)
            if collection.documents != records.count():
                self._reconcile(service, records)
            outcome = _Sync(service, records, release, self._requests, self._pacing).run()
            if outcome.refused:
                raise _not_all_taken(release, records.wanted(), outcome)
            described = collection.description == _description(release)
            if not described:
                service.describe(collection.id, _description(release))
            done = (outcome.added, outcome.changed, outcome.removed, outcome.superseded)
            return Published(
                self.sink,
                release.id,
                f"{self._url}/collections/{collection.id}",
                changed=any(done) or found is None or not described,
                facts={
                    "collection": collection.id,
                    "documents": records.count(),
                    "added": outcome.added,
                    "changed": outcome.changed,
                    "removed": outcome.removed,
                    "requests": service.requests,
                },
            )

    def remains(self, published_name: str, doc_ids: Sequence[str]) -> Sequence[str]:
        """See `Publisher.remains`."""
        name = self._name or published_name
        with self._lake.cursor() as cursor:
            held = AlbertRecords(self._lake, self._dataset, cursor, "").held_anywhere(doc_ids)
        now = (
            f"Albert API: collection {name} holds {held:,} of them until the next publication deletes them "
            f"(`mediatech publish {self._dataset} RELEASE --sink albert`)."
            if held
            else f"Albert API: as far as is recorded, collection {name} holds none of them."
        )
        return (
            now,
            "Albert API: what its operators keep of deleted documents in backups and logs is not known here; "
            "ask them.",
        )

    def _service(self) -> AlbertService:
        return AlbertService(self._url, self._key, self._pacing)

    def _told(self, release: StoredRelease) -> AbstractContextManager[None]:
        return told_to_people(self.sink, release, _REMEDIES, _URL)

    def _find(self, service: AlbertService, name: str) -> Collection | None:
        """Our collection of this name: the recorded one, else the oldest that the account owns."""
        candidates = service.collections(name)
        if not candidates:
            return None
        with self._lake.cursor() as cursor:
            recorded = AlbertRecords(self._lake, self._dataset, cursor, "").collections()
        known = [item for item in candidates if str(item["id"]) in recorded]
        own = known or service.owned(candidates)
        if not own:
            return None
        oldest = min(own, key=lambda item: (item.get("created") or 0, len(str(item["id"])), str(item["id"])))
        count = oldest.get("documents")
        return Collection(
            str(oldest["id"]),
            str(oldest.get("description") or ""),
            count if isinstance(count, int) else None,
        )

    def _create(self, service: AlbertService, name: str, release: StoredRelease) -> Collection:
        def create() -> Collection:
            # Without a version: a collection that is being filled holds none.
            described = _description(release).partition(_VERSION)[0]
            return Collection(service.create_collection(name, described, self._visibility), described, 0)

        try:
            return create_once(lambda: self._find(service, name), create, self._pacing)
        except RefusedError as refusal:
            if refusal.status == _FORBIDDEN and self._visibility == "public":
                raise PublicationError(
                    f"{self.sink.value}: release {release.id} of {release.dataset} is not published: the account may "
                    f"not make the public collection {name} ({refusal.said})",
                    "ask the service for that permission, or set MEDIATECH_ALBERT_VISIBILITY=private",
                ) from None
            raise

    def _reconcile(self, service: AlbertService, records: AlbertRecords) -> None:
        """Makes our records name exactly what the collection holds of ours; see the module."""
        for remote_id in records.reconcile(service.documents(records.collection)):
            service.delete(remote_id)


class _Sync:
    """One run: sends what is missing, then deletes what is too much."""

    def __init__(
        self,
        service: AlbertService,
        records: AlbertRecords,
        release: StoredRelease,
        requests: int,
        pacing: Pacing,
    ) -> None:
        self._service = service
        self._records = records
        self._release = release
        self._requests = requests
        self._pacing = pacing
        self._outcome = _Outcome()
        self._failures_in_a_row = 0

    def run(self) -> _Outcome:
        """Makes the collection the release, but for the documents that are refused."""
        missing = self._records.missing()
        total = sum(map(len, missing.values()))
        with ThreadPoolExecutor(self._requests, thread_name_prefix="albert") as pool:
            # Of a run that was killed between the two.
            self._outcome.superseded += self._delete(pool, self._records.superseded())
            with track(f"{self._release.dataset}: sending to Albert", total, "documents") as advance:
                for group in self._groups(missing):
                    self._send(pool, group)
                    advance(len(group))
            self._outcome.removed += self._delete(pool, self._records.removed())
        return self._outcome

    def _groups(self, missing: Mapping[str, Mapping[str, bool]]) -> Iterator[list[_Job]]:
        """The documents to send, as many as are recorded at once."""
        group: list[_Job] = []
        size = 0
        for file in self._release.data_files:
            among = missing.get(file.path)
            for document in read_documents(self._release, file) if among else ():
                if among is None or document.doc_id not in among:
                    continue
                group.append(_Job(document, among[document.doc_id]))
                size += document.bytes
                if len(group) >= _DOCUMENTS_PER_COMMIT or size >= _BYTES_PER_COMMIT:
                    yield group
                    group, size = [], 0
        if group:
            yield group

    def _send(self, pool: ThreadPoolExecutor, group: Sequence[_Job]) -> None:
        """Sends a group, records it, and deletes the former versions of what arrived."""
        sent: dict[str, _Job] = {}
        try:
            for job, remote_id in self._results(pool, group):
                sent[remote_id] = job
        finally:
            # Also when one of them ends the run: what the others reached must not be done again.
            self._records.record({remote_id: job.document for remote_id, job in sent.items()}, ())
            changed = [job.document.doc_id for job in sent.values() if job.changed]
            self._outcome.changed += len(changed)
            self._outcome.added += len(sent) - len(changed)
        if changed:
            self._outcome.superseded += self._delete(pool, self._records.superseded(changed))

    def _results(self, pool: ThreadPoolExecutor, group: Sequence[_Job]) -> Iterator[tuple[_Job, str]]:
        """Documents of a group with their identifiers, as they are acknowledged.

        Raises:
            RefusedError: of whatever is not about a single document, after all others were told.
            NoAnswerError: the service is out of order.
        """
        futures = {pool.submit(self._send_one, job.document): job for job in group}
        fatal: Exception | None = None
        for future in as_completed(futures):
            if future.cancelled():
                continue
            try:
                remote_id = future.result()
            except (RefusedError, NoAnswerError) as error:
                fatal = self._judge(futures[future].document, error) or fatal
                if fatal:
                    _cancel(futures)
            else:
                self._failures_in_a_row = 0
                yield futures[future], remote_id
        if fatal:
            raise fatal

    def _judge(self, document: AlbertDocument, error: RefusedError | NoAnswerError) -> Exception | None:
        """The error, if no other document would fare better; else the document is noted and passed over."""
        if isinstance(error, RefusedError):
            if error.status not in _ABOUT_THE_DOCUMENT:
                return error
        else:
            self._failures_in_a_row += 1
            if not error.answered or self._failures_in_a_row >= _MOST_FAILURES_IN_A_ROW:
                return error
        self._outcome.refused.append(_Refused(document.doc_id, error.said))
        return None

    def _send_one(self, document: AlbertDocument) -> str:
        """Uploads a document whole, and gives its identifier; what was begun and not finished is deleted."""
        for attempt in repeated_without_answer(self._pacing):
            with attempt:
                if attempt.num > 1:
                    self._discard(document)
                try:
                    return self._upload(document)
                except RefusedError as refusal:
                    if refusal.status not in _ABOUT_THE_DOCUMENT:
                        raise
                    self._discard(document)
                    raise
        raise AssertionError("a retry context ends by returning or raising")

    def _upload(self, document: AlbertDocument) -> str:
        remote_id = self._service.create_document(self._records.collection, document.name)
        following: int | None = None
        for chunks in document.calls():
            ids = self._service.add_chunks(remote_id, chunks)
            if following is not None and ids[0] != following:  # the service counts a document's chunks
                raise NoAnswerError(
                    f"document {document.doc_id}: its chunks were numbered {ids[0]}… instead of {following}…",
                    answered=True,
                )
            following = ids[-1] + 1 if isinstance(ids[-1], int) else None
        return remote_id

    def _discard(self, document: AlbertDocument) -> None:
        """Deletes whatever bears the name of a document that is being sent: nothing of that name was recorded."""
        for item in list(self._service.documents(self._records.collection, document.name)):
            self._service.delete(str(item["id"]))

    def _delete(self, pool: ThreadPoolExecutor, remote_ids: Sequence[str]) -> int:
        for first in range(0, len(remote_ids), _DOCUMENTS_PER_COMMIT):
            group = remote_ids[first : first + _DOCUMENTS_PER_COMMIT]
            futures = {pool.submit(self._service.delete, remote_id): remote_id for remote_id in group}
            gone: list[str] = []
            try:
                for future in as_completed(futures):
                    future.result()
                    gone.append(futures[future])
            finally:
                _cancel(futures)
                self._records.record({}, gone)
        return len(remote_ids)


def _cancel(futures: Mapping[Future[Any], Any]) -> None:
    for future in futures:
        future.cancel()


#: Begins the last sentence of a description; what stands there is what the whole collection holds.
_VERSION = " Version "


def _description(release: StoredRelease) -> str:
    about = release.manifest["about"]
    updated = release.manifest.get("source_updated_at") or "inconnue"
    return (
        f"{about.get('title') or release.published_name}. Source : {about.get('producer', '')}, "
        f"{about.get('homepage', '')}. Dernière mise à jour de la source : {updated}. Licence Ouverte 2.0."
        f"{_VERSION}{release.id}."
    )


def _steps(
    name: str, found: Collection | None, difference: Difference, release: StoredRelease
) -> Iterator[Step]:
    if found is None:
        yield Step("create", f"collection {name}")
    if difference.added:
        yield Step("upload", f"{difference.added:,} added documents", difference.added_bytes)
    if difference.changed:
        yield Step(
            "update",
            f"{difference.changed:,} changed documents",
            difference.changed_bytes,
            "each is uploaded whole before its former version is deleted",
        )
    if difference.superseded:
        yield Step("delete", f"{difference.superseded:,} former versions", note="a newer one is there")
    if difference.removed:
        yield Step("delete", f"{difference.removed:,} removed documents", note="after everything else")
    if found is None or found.description != _description(release):
        yield Step("update", f"description of collection {name}", note=f"names release {release.id}")


def _notes(found: Collection | None, difference: Difference, recorded: int) -> Iterator[str]:
    yield f"about {difference.requests:,} requests; the service computes its own vectors of what is sent"
    if found is not None and found.documents != recorded:
        held = "an unknown number of" if found.documents is None else f"{found.documents:,}"
        yield (
            f"the collection holds {held} documents, {recorded:,} are recorded here: it will be listed first, and "
            "what a killed run left there adopted or deleted"
        )


def _not_all_taken(release: StoredRelease, wanted: int, outcome: _Outcome) -> PublicationError:
    refused = sorted(outcome.refused, key=lambda one: one.doc_id)
    shown = "; ".join(f"{one.doc_id}: {one.reason}" for one in refused[:_SHOWN])
    more = f"; and {len(refused) - _SHOWN:,} more" if len(refused) > _SHOWN else ""
    return PublicationError(
        f"{Sink.ALBERT.value}: release {release.id} of {release.dataset} is published but for {len(refused):,} of "
        f"{wanted:,} documents, which the service refused: {shown}{more}",
        f"mend these documents or ask the service why; `mediatech publish {release.dataset} {release.id} --sink "
        "albert` tries only these again",
    )
