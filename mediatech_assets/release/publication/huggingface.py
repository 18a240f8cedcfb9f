"""The Hugging Face Hub: each dataset a repository, each publication one commit.

What belongs here: what is refused before anything is sent, the plan, and the order of a publication. What does not:
the layout of a repository (`hub_layout.py`) and the client (`hub_connection.py`).

Large files travel first and are seen by nobody. Then one commit, on the head that the plan was made from, sets the
new `-latest`, keeps the former one under its day, drops what is not kept any longer and sets the card. So a reader
sees the former release or the new one, never a part. A tag comes last. Every step is found done or undone from what
the hub holds, and nothing else is remembered: a publication that was killed is simply repeated, and publishing an
earlier release again (rollback) is the same call.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import stamina

from mediatech_assets.errors import PublicationError
from mediatech_assets.layers import Sink
from mediatech_assets.progress import track
from mediatech_assets.release.publication.hub_connection import (
    HubConnection,
    TryAgainError,
    hub_endpoint,
    is_web_address,
)
from mediatech_assets.release.publication.hub_layout import (
    MOST_BYTES_IN_A_FILE,
    Changes,
    Repository,
    changes,
    clash,
    crowding,
    dated_folders,
    is_same,
    oversize,
    paths_after,
    release_id_of,
)
from mediatech_assets.release.publication.sink import Plan, Published, Step
from mediatech_assets.release.stored import MANIFEST, StoredRelease
from mediatech_assets.retries import log_retries

#: The names that existing consumers load, and the model that their vectors come from.
_ESTABLISHED_NAMESPACE = "agentpublic"
_ESTABLISHED_MODEL = "BAAI/bge-m3"

Answer = TypeVar("Answer")

_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_NOTHING_SENT = "nothing was sent"
_LONGEST_WAIT = 60.0
#: Attempts to look at what the hub holds: somebody waits for the answer.
_ATTEMPTS_TO_READ = 3
#: Operations of a commit up to which the hub answers in time, as it says.
_USUAL_OPERATIONS = 100


@dataclass
class HuggingFacePublisher:
    """Publishes releases on a hub.

    Args:
        namespace: Organisation or account.
        endpoint: Address of the hub; empty for HF_ENDPOINT, else the public one.
        token: Token with write access; empty for HF_TOKEN.
        private: Whether new repositories are private; those that exist stay as they are.
        former_releases: Dated folders of former releases that stay.
        attempts: How often a publication is tried when the hub fails or somebody else commits.
        first_wait: Seconds before the second attempt; they double with each.
        seconds: Longest silence of a connection.
    """

    namespace: str
    endpoint: str = ""
    token: str = field(default="", repr=False)
    private: bool = False
    former_releases: int = 3
    attempts: int = 8
    first_wait: float = 1.0
    seconds: float = 120.0
    sink: Sink = field(default=Sink.HUGGINGFACE, init=False)

    def plan(self, release: StoredRelease) -> Plan:
        """See `Publisher.plan`."""
        self._require_allowed(release)
        connection = self._connection(release.published_name, f"release {release.id}")

        def ask() -> tuple[Repository, Changes]:
            repository = connection.state()
            return repository, self.difference(connection, release, repository)

        repository, difference = self._persistently(connection, ask, _ATTEMPTS_TO_READ)
        steps = [
            *([] if repository.head else [Step("create", connection.repository)]),
            *difference.steps(),
            *([] if release.id in repository.tags else [Step("tag", release.id)]),
        ]
        notes = self._notes(connection, repository, difference)
        return Plan(self.sink, release.id, connection.repository, tuple(steps), tuple(notes))

    def publish(self, release: StoredRelease) -> Published:
        """See `Publisher.publish`."""
        self._require_allowed(release)
        connection = self._connection(release.published_name, f"release {release.id}")
        if not connection.token:
            raise PublicationError(
                f"{self.sink}, {connection.repository}, release {release.id}: there is no token",
                "set MEDIATECH_HUB_TOKEN (or HF_TOKEN) to a token with write access to "
                f"{self.namespace}; {_NOTHING_SENT}",
            )
        publication = _Publication(self, connection, release)
        return self._persistently(connection, publication.attempt, self.attempts)

    def remains(self, published_name: str, doc_ids: Sequence[str]) -> Sequence[str]:
        """See `Publisher.remains`."""
        if not doc_ids:
            return []
        rows = "the rows of 1 document" if len(doc_ids) == 1 else f"the rows of {len(doc_ids)} documents"
        try:
            self._require_address("this erasure")
            connection = self._connection(published_name, "what remains after an erasure")
            repository = self._persistently(connection, connection.state, _ATTEMPTS_TO_READ)
        except PublicationError as error:
            return [
                f"The hub could not be asked what it keeps ({error.problem}). If {published_name} was published "
                f"there, its commits, tags and dated folders may hold {rows}."
            ]
        if not repository.head:
            return []
        return _remaining(connection, repository, published_name, rows, self.former_releases)

    def difference(
        self, connection: HubConnection, release: StoredRelease, repository: Repository
    ) -> Changes:
        """What the repository lacks, if it can become what the release wants.

        Raises:
            PublicationError: a path would be a file and a folder, there would be too many files, or the release's tag
                names something else.
        """
        subject = f"release {release.id} in {connection.repository}"
        difference = changes(release, repository, self.former_releases)
        if path := clash(repository, difference):
            raise PublicationError(
                f"{self.sink}: {subject} cannot be published: {path} would be a file and a folder",
                f"remove or rename {path} in the repository, then repeat; {_NOTHING_SENT}",
            )
        self._require_room(subject, crowding(paths_after(repository, difference)))
        if release.id in repository.tags:
            manifest = next(file for file in release.files if file.path == MANIFEST)
            if not is_same(connection.file_at(MANIFEST, release.id), manifest):
                raise PublicationError(
                    f"{self.sink}: {subject} cannot be published: the tag {release.id} is there and shows "
                    "something else",
                    f"find out who set it, delete it on the hub, then repeat; {_NOTHING_SENT}",
                )
        return difference

    def _notes(self, connection: HubConnection, repository: Repository, difference: Changes) -> list[str]:
        notes = []
        if not repository.head:
            notes.append(f"the new repository will be {'private' if self.private else 'public'}")
        if difference.unchanged:
            notes.append(f"{difference.unchanged:,} files are there already and do not travel")
        if difference.former:
            former = release_id_of(repository.manifest) or "what was published without a manifest of ours"
            notes.append(f"{difference.former} keeps the former release ({former})")
        if difference.operations > _USUAL_OPERATIONS:
            notes.append(
                f"{difference.operations:,} operations go in one commit, so that readers never see a part; the hub "
                f"recommends {_USUAL_OPERATIONS} and may answer late: the next attempt finds what it did meanwhile"
            )
        if not connection.token:
            notes.append("there is no token: publishing needs one (MEDIATECH_HUB_TOKEN or HF_TOKEN)")
        return notes

    def _require_allowed(self, release: StoredRelease) -> None:
        """Refuses what can be known to be wrong without asking the hub."""
        subject = f"release {release.id} of {release.published_name}"
        self._require_address(subject)
        model = str((release.manifest.get("profile") or {}).get("model", ""))
        if self.namespace.strip().lower() == _ESTABLISHED_NAMESPACE and model != _ESTABLISHED_MODEL:
            raise PublicationError(
                f"{self.sink}: {subject} has vectors of {model or 'no model'}; only releases of "
                f"{_ESTABLISHED_MODEL} may replace those of {self.namespace}, whose consumers rely on it",
                "build the release with MEDIATECH_PROFILE=bge-m3, or set MEDIATECH_HUB_NAMESPACE to another "
                f"namespace; {_NOTHING_SENT}",
            )
        if file := oversize(release):
            raise PublicationError(
                f"{self.sink}: {file.path} of {subject} has {file.bytes:,} bytes, the hub takes "
                f"{MOST_BYTES_IN_A_FILE:,}",
                f"build the release with a smaller MEDIATECH_ROWS_PER_FILE; {_NOTHING_SENT}",
            )
        self._require_room(subject, crowding(file.path for file in release.files))
        for file in release.files:
            if not file.location.is_file() or file.location.stat().st_size != file.bytes:
                raise PublicationError(
                    f"{self.sink}: {file.location} of {subject} is missing or was changed after the release was built",
                    f"build the release again and have it approved; {_NOTHING_SENT}",
                )

    def _require_address(self, subject: str) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            named = f"{self.namespace!r} is no name of a" if self.namespace else "there is no"
            raise PublicationError(
                f"{self.sink}: {subject} cannot be published: {named} namespace on the hub",
                f"set MEDIATECH_HUB_NAMESPACE to an organisation or account; {_NOTHING_SENT}",
            )
        if not is_web_address(hub_endpoint(self.endpoint)):
            raise PublicationError(
                f"{self.sink}: {subject} cannot be published: the hub's address is not one of http or https, or "
                "holds a password",
                "write MEDIATECH_HUB_ENDPOINT (or HF_ENDPOINT) as https://host, and give the token apart; "
                f"{_NOTHING_SENT}",
            )

    def _require_room(self, subject: str, problem: str) -> None:
        if problem:
            raise PublicationError(
                f"{self.sink}: {subject} is too much for the hub: {problem}",
                "build the release with a larger MEDIATECH_ROWS_PER_FILE, or keep fewer former releases "
                f"(MEDIATECH_HUB_FORMER_RELEASES); {_NOTHING_SENT}",
            )

    def _connection(self, published_name: str, purpose: str) -> HubConnection:
        token = (self.token or os.environ.get("HF_TOKEN", "")).strip()
        if not re.fullmatch(r"[!-~]*", token):
            # As it would break the header, the client would show it in its error.
            raise PublicationError(
                f"{self.sink}, {published_name}, {purpose}: the token holds characters that no token has",
                f"copy it again into MEDIATECH_HUB_TOKEN (or HF_TOKEN); {_NOTHING_SENT}",
            )
        return HubConnection(
            hub_endpoint(self.endpoint),
            token,
            f"{self.namespace}/{published_name}",
            purpose,
            self.seconds,
        )

    def _persistently(self, connection: HubConnection, ask: Callable[[], Answer], attempts: int) -> Answer:
        """What `ask` gives, asked again while the hub fails in ways that may pass."""
        log_retries()
        try:
            for attempt in stamina.retry_context(
                on=_pause,
                attempts=attempts,
                timeout=None,
                wait_initial=self.first_wait,
                wait_jitter=self.first_wait,
                wait_max=_LONGEST_WAIT,
            ):
                with attempt, connection.open():
                    return ask()
        except TryAgainError as error:
            raise error.problem from None
        raise AssertionError("the last attempt raises")


@dataclass
class _Publication:
    """One publication, over all of its attempts.

    Args:
        publisher: How it is published.
        connection: Where.
        release: What.
        changed: Whether anything was asked of the hub, in this attempt or an earlier one whose answer was lost.
        done: What the last commit was to change; nothing before there was one.
    """

    publisher: HuggingFacePublisher
    connection: HubConnection
    release: StoredRelease
    changed: bool = False
    done: Changes | None = None

    def attempt(self) -> Published:
        """Does what is not done yet."""
        connection, release = self.connection, self.release
        repository = connection.state()
        difference = self.publisher.difference(connection, release, repository)
        if not repository.head:
            self.changed = True
            connection.create(private=self.publisher.private)
            repository = connection.state()
            difference = self.publisher.difference(connection, release, repository)
        commit = self._commit(repository, difference) if difference.any else repository.head
        if release.id not in repository.tags:
            self.changed = True
            connection.tag(release.id, commit)
        done = self.done or difference
        facts = {
            "repository": connection.repository,
            "commit": commit,
            "tag": release.id,
            "files_uploaded": len(done.uploads),
            "bytes_uploaded": sum(file.bytes for file in done.uploads),
            "files_copied": len(done.copies),
            "files_unchanged": done.unchanged,
            "former": done.former,
        }
        return Published(self.publisher.sink, release.id, connection.url, self.changed, facts)

    def _commit(self, repository: Repository, difference: Changes) -> str:
        """Sends what is missing, commits, and makes sure that the commit shows the release."""
        connection, release = self.connection, self.release
        operations = []
        bytes_to_send = sum(file.bytes for file in difference.uploads)
        with track(f"{release.dataset}: sending {release.id} to the hub", bytes_to_send, "bytes") as advance:
            for sent, batch in connection.upload(difference.uploads):
                operations.extend(batch)
                advance(sent)
        self.changed, self.done = True, difference
        commit = connection.commit(
            repository.head,
            operations,
            difference,
            f"Release {release.id}",
            f"SHA-256 of manifest.json: {release.manifest_sha256}",
        )
        # The client makes no commit when somebody else's made it needless meanwhile, and gives theirs.
        shown = connection.state(commit)
        if changes(release, shown, self.publisher.former_releases).any:
            raise connection.stale()
        return commit


def _pause(error: Exception) -> bool | float:
    """Whether to try again, or the seconds to wait before."""
    if not isinstance(error, TryAgainError):
        return False
    return True if error.pause is None else error.pause


def _remaining(
    connection: HubConnection, repository: Repository, published_name: str, rows: str, former_releases: int
) -> list[str]:
    """What stays in a repository whatever is published next, in sentences."""
    sentences = [
        f"{connection.url}: earlier commits keep {rows} if a release held them; whoever knows a commit can read them.",
    ]
    if folders := dated_folders(repository.files, published_name):
        sentences.append(
            f"{connection.repository}: {', '.join(folders)} hold former releases, until later ones push them out "
            "(MEDIATECH_HUB_FORMER_RELEASES=0 drops them with the next publication)."
        )
    present = release_id_of(repository.manifest) or "a release"
    kept = ", which then keeps it as a dated folder" if former_releases else ""
    sentences.append(
        f"{connection.repository}: data/{published_name}-latest shows {present} until another one is published{kept}."
    )
    if repository.tags:
        sentences.append(
            f"{connection.repository}: tags show releases: {', '.join(sorted(repository.tags))}."
        )
    sentences.append(
        f"{connection.repository}: to forget the history too, a person deletes those tags and calls "
        "HfApi.super_squash_history, which cannot be undone and breaks citations; it is never done automatically. "
        "Copies that others made stay."
    )
    return sentences
