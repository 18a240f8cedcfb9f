"""Talking to the Hugging Face Hub: the official client, bounded in time, and its errors in words for people.

What belongs here: everything that knows the client library. What does not: what is published (`hub_layout.py`) and
in which order (`huggingface.py`).

Three of the client's habits are mended here. It waits for ever on a connection that went silent. It writes whole
addresses into its log and errors: those of uploads carry a signature that lets anybody write for some time. And,
whatever hub it is told to use, it asks the public one for a list of programs to report in its headers.
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mediatech_assets.errors import MediatechError, PublicationError
from mediatech_assets.release.publication.hub_layout import (
    Changes,
    RemoteFile,
    Repository,
    release_id_of,
)
from mediatech_assets.release.stored import MANIFEST, StoredFile
from mediatech_assets.retries import seconds_to_wait

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile, RepoFolder

_DATASET = "dataset"
_BRANCH = "main"
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
#: The head moved between the plan and the commit.
_STALE = frozenset({409, 412})
_QUOTA = frozenset({402, 413, 507})
_QUOTA_WORDS = re.compile(r"quota|storage limit|limit reached|exceeded your|billing|payment", re.IGNORECASE)
#: The Xet client tells the status of an answer in words only.
_STATUS_IN_WORDS = re.compile(r"HTTP status (?:client|server) error \((\d{3})")
#: Loggers of the client that write whole addresses: of its retries, and of every request.
_LOGS_WITH_ADDRESSES = ("huggingface_hub.utils._http", "httpx2")
#: A hub that asks for a longer pause is asked again by the person, not by us.
_LONGEST_PAUSE = 600.0
#: Files and bytes that are sent before progress is shown again.
_BATCH_FILES = 64
_BATCH_BYTES = 200 * 10**6
#: A file that is committed as such, not as an object of the large file storage.
_MOST_BYTES_IN_A_REGULAR_FILE = 5 * 10**6
#: A manifest is read into memory.
_MOST_BYTES_OF_A_MANIFEST = 64 * 2**20
_LONGEST_MESSAGE = 500

_REPEAT = (
    "the same command can be repeated: what arrived is not sent again, and readers see what they saw before, or all "
    "of the new release"
)


class TryAgainError(Exception):
    """Something that may pass.

    Args:
        problem: What people read when it does not.
        pause: Seconds that the hub asks us to wait; nothing when it does not say.
    """

    def __init__(self, problem: PublicationError, pause: float | None = None) -> None:
        super().__init__(problem.problem)
        self.problem = problem
        self.pause = pause


@dataclass(frozen=True)
class HubConnection:
    """One dataset repository on a hub, for one release.

    Args:
        endpoint: Address of the hub, without a slash at its end.
        token: Token; empty to ask as anybody.
        repository: `namespace/name`.
        purpose: What is being done, for messages, such as `release 20260101-abcdef12`.
        seconds: Longest silence of a connection.
    """

    endpoint: str
    token: str = field(repr=False)
    repository: str
    purpose: str
    seconds: float

    @property
    def url(self) -> str:
        """Page of the dataset."""
        return f"{self.endpoint}/datasets/{self.repository}"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Makes the client bounded and discreet while the block runs, and its errors readable.

        Raises:
            PublicationError: the hub refuses for good.
            TryAgainError: it may do it later.
        """
        from huggingface_hub import constants
        from huggingface_hub.utils import (
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
        )

        constants.HF_HUB_DISABLE_TELEMETRY = (
            True  # for the process: the variable counts before the import only
        )
        _bound_silence(self.seconds)
        shown = not are_progress_bars_disabled()
        disable_progress_bars()
        discreet = _Discreet(self.token)
        logs = [logging.getLogger(name) for name in _LOGS_WITH_ADDRESSES]
        for log in logs:
            log.addFilter(discreet)
        try:
            yield
        except (MediatechError, TryAgainError):
            raise
        # The client raises whatever its layers raise. Its own errors are not chained: they show signed addresses.
        except Exception as error:
            raise self._readable(error) from None
        finally:
            for log in logs:
                log.removeFilter(discreet)
            if shown:
                enable_progress_bars()

    def state(self, commit: str = "") -> Repository:
        """What the repository holds at its head, or at a commit.

        The head comes from the list of branches: the hub answers the page of a dataset from a cache, which may lag
        behind a commit, so that every further attempt would be based on a parent that is none any longer.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            information = self._api.dataset_info(self.repository, timeout=self.seconds)
        except RepositoryNotFoundError as error:
            if error.response.status_code == HTTPStatus.NOT_FOUND:
                return Repository()
            raise
        if (information.id or "").lower() != self.repository.lower():
            raise PublicationError(
                f"{self._thing}: the hub says that this dataset is now {information.id}",
                f"set MEDIATECH_HUB_NAMESPACE so that it is published there, or give {self.repository} back its name",
            )
        references = self._api.list_repo_refs(self.repository, repo_type=_DATASET)
        heads = (branch.target_commit for branch in references.branches if branch.name == _BRANCH)
        revision = commit or next(heads, information.sha or "")
        files = self._files(revision)
        changed = information.last_modified
        return Repository(
            revision,
            files,
            frozenset(tag.name for tag in references.tags),
            f"{changed.astimezone(UTC):%Y%m%d}" if changed else "",
            self._manifest(revision, files),
        )

    def file_at(self, path: str, revision: str) -> RemoteFile | None:
        """A file at a revision; nothing when it is not there."""
        found = self._api.get_paths_info(self.repository, [path], revision=revision, repo_type=_DATASET)
        return next((_remote_file(entry) for entry in found if entry.path == path), None)

    def create(self, *, private: bool) -> None:
        """Creates the repository; one that exists is as good."""
        self._api.create_repo(self.repository, repo_type=_DATASET, private=private, exist_ok=True)

    def upload(self, files: Sequence[StoredFile]) -> Iterator[tuple[int, list["CommitOperationAdd"]]]:
        """Sends files to the large file storage, in batches; readers see nothing of it.

        Yields:
            Bytes of a batch, and its operations for the commit.

        Raises:
            PublicationError: a file changed since it was approved, or is too large for what the hub makes of it.
        """
        from huggingface_hub import CommitOperationAdd

        for batch in _batches(files):
            operations = [CommitOperationAdd(file.path, file.location) for file in batch]
            for file, operation in zip(batch, operations, strict=True):
                if operation.upload_info.sha256.hex() != file.sha256:
                    raise PublicationError(
                        f"{self._thing}: {file.location} was changed after the release was built",
                        "build the release again and have it approved; nothing was published",
                    )
            # An empty list of ignored files: a .gitignore in the repository would leave files out silently.
            self._api.preupload_lfs_files(
                self.repository, operations, repo_type=_DATASET, gitignore_content=""
            )
            for file, operation in zip(batch, operations, strict=True):
                if operation._upload_mode == "regular" and file.bytes > _MOST_BYTES_IN_A_REGULAR_FILE:
                    raise PublicationError(
                        f"{self._thing}: {file.path} has {file.bytes:,} bytes and the hub would not store it as a "
                        f"large file; others may have {_MOST_BYTES_IN_A_REGULAR_FILE:,} bytes",
                        "add its name with filter=lfs to .gitattributes in the repository, then repeat; "
                        "nothing was published",
                    )
            yield sum(file.bytes for file in batch), operations

    def commit(
        self,
        parent: str,
        additions: Sequence["CommitOperationAdd"],
        difference: Changes,
        title: str,
        description: str,
    ) -> str:
        """Makes one commit of everything, on `parent` or not at all.

        Returns:
            The commit.
        """
        from huggingface_hub import CommitOperationCopy, CommitOperationDelete

        operations = [
            *additions,
            *(
                CommitOperationCopy(copy.source.path, copy.target, src_revision=parent)
                for copy in difference.copies
            ),
            *(CommitOperationDelete(path, is_folder=False) for path in difference.deleted_files),
            *(CommitOperationDelete(path, is_folder=True) for path in difference.deleted_folders),
        ]
        return self._api.create_commit(
            self.repository,
            operations,
            commit_message=title,
            commit_description=description,
            repo_type=_DATASET,
            parent_commit=parent,
        ).oid

    def tag(self, name: str, commit: str) -> None:
        """Tags a commit; a tag that exists is as good."""
        self._api.create_tag(self.repository, tag=name, revision=commit, repo_type=_DATASET, exist_ok=True)

    def stale(self) -> TryAgainError:
        """The error of a repository that somebody else changes all the time."""
        return TryAgainError(
            PublicationError(
                f"{self._thing}: somebody else commits to the repository at the same time, again and again",
                f"find out who, and wait until it is quiet; {_REPEAT}",
            )
        )

    @property
    def _api(self) -> "HfApi":
        from huggingface_hub import HfApi

        return HfApi(self.endpoint, token=self.token or False, library_name="mediatech-assets")

    @property
    def _thing(self) -> str:
        return f"huggingface, {self.repository}, {self.purpose}"

    def _files(self, revision: str) -> dict[str, RemoteFile]:
        entries = self._api.list_repo_tree(
            self.repository, recursive=True, revision=revision, repo_type=_DATASET
        )
        return {file.path: file for file in map(_remote_file, entries) if file}

    def _manifest(self, head: str, files: Mapping[str, RemoteFile]) -> Mapping[str, Any]:
        """The manifest at a commit; empty when it is not one of ours."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

        file = files.get(MANIFEST)
        if file is None or file.bytes > _MOST_BYTES_OF_A_MANIFEST:
            return {}
        url = hf_hub_url(self.repository, MANIFEST, repo_type=_DATASET, revision=head, endpoint=self.endpoint)
        answer = http_backoff("GET", url, headers=build_hf_headers(token=self.token or False))
        hf_raise_for_status(answer)
        try:
            manifest = json.loads(answer.content)
        except ValueError:
            return {}
        return manifest if isinstance(manifest, dict) and release_id_of(manifest) else {}

    def _readable(self, error: Exception) -> PublicationError | TryAgainError:
        """An error of the client as one for people, or as one to try again after."""
        import httpx2
        from huggingface_hub.errors import OfflineModeIsEnabled

        if response := _response_of(error):
            return self._refused(
                response.status_code,
                f"{response.request.method} {response.request.url.path}",
                _message_of(response),
                response.headers.get("Retry-After", ""),
            )
        if isinstance(error, OfflineModeIsEnabled):
            return PublicationError(
                f"{self._thing}: HF_HUB_OFFLINE forbids to reach the hub", f"unset it; {_REPEAT}"
            )
        said = self._discreet(f"{type(error).__name__}: {error}")
        if status := _STATUS_IN_WORDS.search(said):
            return self._refused(int(status[1]), "an upload through Xet", said)
        if _QUOTA_WORDS.search(said):
            return self._quota(said)
        if isinstance(error, OSError) and error.filename:
            return PublicationError(
                f"{self._thing}: {error.filename} cannot be read: {error.strerror}",
                f"mend its permissions, or build the release again; {_REPEAT}",
            )
        lost_connections = httpx2.TransportError | ConnectionError | TimeoutError
        lost = f"check the network, the proxy and MEDIATECH_HUB_ENDPOINT ({self.endpoint}); {_REPEAT}"
        if any(isinstance(cause, lost_connections) for cause in _causes(error)):
            problem = f"{self._thing}: the hub cannot be reached, or the connection was lost: {said}"
            return TryAgainError(PublicationError(problem, lost))
        if isinstance(error, json.JSONDecodeError | RuntimeError):
            problem = f"{self._thing}: the hub did not answer as one: {said}"
            return TryAgainError(PublicationError(problem, lost))
        return PublicationError(
            f"{self._thing}: the hub did not take it: {said}", f"mend what it says; {_REPEAT}"
        )

    def _refused(
        self, status: int, request: str, message: str, retry_after: str = ""
    ) -> PublicationError | TryAgainError:
        """What the status of an answer means.

        Args:
            status: The status.
            request: What was asked: method and path.
            message: What the hub says.
            retry_after: Its Retry-After; empty when it does not say.
        """
        said = self._discreet(f"{request} answered {status}{f': {message}' if message else ''}")
        if status in _STALE and "/commit/" in request:
            return self.stale()
        if status in _QUOTA or (status == HTTPStatus.FORBIDDEN and _QUOTA_WORDS.search(message)):
            return self._quota(said)
        if status in _TRANSIENT:
            return self._unavailable(said, retry_after)
        owner = self.repository.partition("/")[0]
        if status == HTTPStatus.UNAUTHORIZED:
            known = "the token is wrong or expired" if self.token else "the hub wants a token"
            remedy = f"set MEDIATECH_HUB_TOKEN (or HF_TOKEN) to a valid token with write access to {owner}"
            return PublicationError(f"{self._thing}: {known} ({said})", f"{remedy}; {_REPEAT}")
        if status == HTTPStatus.FORBIDDEN:
            return PublicationError(
                f"{self._thing}: the token may not write there ({said})",
                f"use a token with write access to {owner}, or set MEDIATECH_HUB_NAMESPACE to a place that is yours; "
                f"{_REPEAT}",
            )
        if status == HTTPStatus.NOT_FOUND and "xet" in said.lower():
            return PublicationError(
                f"{self._thing}: this hub does not know Xet ({said})",
                f"set HF_HUB_DISABLE_XET=1 before the program starts; {_REPEAT}",
            )
        return PublicationError(f"{self._thing}: the hub refused ({said})", f"mend what it says; {_REPEAT}")

    def _quota(self, said: str) -> PublicationError:
        return PublicationError(
            f"{self._thing}: the hub has no room for it ({said})",
            "free room on the hub or ask for more (public repositories have more than private ones), or keep fewer "
            f"former releases: MEDIATECH_HUB_FORMER_RELEASES; {_REPEAT}",
        )

    def _unavailable(self, said: str, retry_after: str) -> PublicationError | TryAgainError:
        pause = seconds_to_wait(retry_after)
        problem = PublicationError(
            f"{self._thing}: the hub cannot do it now ({said})", f"wait a little; {_REPEAT}"
        )
        if pause is not None and pause > _LONGEST_PAUSE:
            return PublicationError(problem.problem, f"wait {pause:,.0f} s, as the hub asks; {_REPEAT}")
        return TryAgainError(problem, pause)

    def _discreet(self, text: str) -> str:
        return _without_secrets(text, self.token)[:_LONGEST_MESSAGE]


def hub_endpoint(configured: str) -> str:
    """Address of the hub: as configured, else HF_ENDPOINT, else the public one; no slash at its end."""
    from huggingface_hub import constants

    return (configured or os.environ.get("HF_ENDPOINT", "") or constants.ENDPOINT).strip().rstrip("/")


def is_web_address(endpoint: str) -> bool:
    """Whether an address is one of http or https, without a name or password in it."""
    try:
        parts = urlsplit(endpoint)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


class _Discreet(logging.Filter):
    """Takes queries of addresses, and the token, out of what the client logs."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _without_secrets(record.getMessage(), self._token), ()
        return True


def _without_secrets(text: str, token: str) -> str:
    text = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1?…", text)
    return text.replace(token, "…") if token else text


_bounded_by: list[float] = []


def _bound_silence(seconds: float) -> None:
    """Has the client give up on a connection that is silent; once for a process, as its connections are shared."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory  # its hooks are to stay

    if _bounded_by == [seconds]:
        return

    def bound(request: "httpx2.Request") -> None:
        # Some calls of the client say `timeout=None`, which would win over the default.
        limits = request.extensions.get("timeout", {})
        kinds = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = {kind: limits.get(kind) or seconds for kind in kinds}

    def client() -> "httpx2.Client":
        made = default_client_factory()
        made.event_hooks = {**made.event_hooks, "request": [*made.event_hooks["request"], bound]}
        return made

    set_client_factory(client)
    _bounded_by[:] = [seconds]


def _batches(files: Sequence[StoredFile]) -> Iterator[list[StoredFile]]:
    batch: list[StoredFile] = []
    for file in files:
        if batch and (
            len(batch) == _BATCH_FILES or sum(known.bytes for known in batch) + file.bytes > _BATCH_BYTES
        ):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def _remote_file(entry: "RepoFile | RepoFolder") -> RemoteFile | None:
    """A file of a listing; nothing for a folder."""
    from huggingface_hub.hf_api import RepoFile

    if not isinstance(entry, RepoFile):
        return None
    return RemoteFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from: the client wraps what happens in its threads."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _response_of(error: Exception) -> "httpx2.Response | None":
    from huggingface_hub.errors import HfHubHTTPError

    return next((cause.response for cause in _causes(error) if isinstance(cause, HfHubHTTPError)), None)


def _message_of(response: "httpx2.Response") -> str:
    """What the hub says of an error, in its own words."""
    if header := response.headers.get("X-Error-Message"):
        return header
    try:
        answer = response.json()
    except (ValueError, RuntimeError):  # no JSON, or an answer that was not read
        return ""
    error = answer.get("error", "") if isinstance(answer, dict) else ""
    return error if isinstance(error, str) else json.dumps(error)
