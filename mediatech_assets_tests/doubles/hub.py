"""The Hugging Face Hub as its clients know it: datasets, commits, large files, over real HTTP.

What belongs here: the part of the hub's protocol that publishing and loading a dataset needs, and its faults. What
does not: tests, and Xet (clients must be told `HF_HUB_DISABLE_XET=1` before they start, or use `without_xet`).

The history lives in memory, large files lie in a folder. A commit is applied whole or not at all, and only on the
parent that it names. Faults are told beforehand:

    with serving_hub(folder) as hub:
        hub.meet("PUT", "/lfs/", answers(503), times=2)       # the next two uploads are refused
        hub.meet("POST", "/commit/", loses_answer())           # committed, and nobody hears of it
        hub.meet("POST", "/commit/", before(kill), after=1)    # `kill` is called when the second commit arrives
"""

import base64
import contextlib
import fnmatch
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from mediatech_assets_tests.doubles.service import listening

#: Accepted by every double: may write below `org`, may only read, may write below its own name alone.
WRITE_TOKEN = "hf_doubleOfAWriteToken"
READ_TOKEN = "hf_doubleOfAReadToken"
OTHER_TOKEN = "hf_doubleOfAnotherToken"

_GIT_ATTRIBUTES = "".join(
    f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n"
    for suffix in (".parquet", ".arrow", ".bin", ".zip", ".gz")
)
#: Larger files are always stored as large files.
_MOST_REGULAR_BYTES = 10 * 10**6


@dataclass(frozen=True, slots=True)
class Account:
    """Who a token belongs to."""

    name: str
    organizations: tuple[str, ...]
    role: str


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a commit: `oid` is git's, `sha256` is set for large files."""

    oid: str
    size: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit with the whole tree that it shows."""

    oid: str
    parent: str
    title: str
    date: datetime
    tree: Mapping[str, Blob]


@dataclass(slots=True)
class Repository:
    """A dataset: its commits, oldest first, and its tags."""

    name: str
    private: bool
    commits: list[Commit]
    tags: dict[str, str] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch, tag or commit name means."""
        if revision in ("main", "refs/heads/main", "HEAD"):
            return self.head
        revision = self.tags.get(revision.removeprefix("refs/tags/"), revision)
        return next((commit for commit in self.commits if commit.oid == revision), None)


@dataclass(slots=True)
class Request:
    """A request that came: its path without the query, and the bytes of its body that were read."""

    method: str
    path: str
    bytes: int = 0


#: What happens to a request instead of, or before, its ordinary answer; true when it was answered.
Behaviour = Callable[["Handler"], bool]


@dataclass(slots=True)
class Fault:
    """A behaviour for requests to come: passes over `after` of them, then meets `times`."""

    method: str
    pattern: re.Pattern[str]
    behaviour: Behaviour
    after: int
    times: int


@dataclass
class Hub:
    """What the double holds, and what it was asked.

    Args:
        folder: Where large files lie.
        url: Its address.
        accounts: Accounts by token.
        repositories: Datasets by `namespace/name`.
        requests: Every request, in the order in which they came.
        faults: Behaviours to come.
        page: Entries of a tree in one page.
        part_bytes: Size from which large files are sent in parts of this size; 0 for never.
        now: The time of the next commit.
    """

    folder: Path
    url: str = ""
    accounts: dict[str, Account] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    page: int = 1_000
    part_bytes: int = 0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def meet(self, method: str, path: str, behaviour: Behaviour, *, after: int = 0, times: int = 1) -> None:
        """Has requests meet a behaviour.

        Args:
            method: Their method.
            path: A regular expression that is searched in their path.
            behaviour: What happens.
            after: How many pass before.
            times: How many meet it.
        """
        with self.lock:
            self.faults.append(Fault(method, re.compile(path), behaviour, after, times))

    def asked(self, method: str, path: str = "") -> list[Request]:
        """Requests with this method whose path matches."""
        with self.lock:
            return [
                request
                for request in self.requests
                if request.method == method and re.search(path, request.path)
            ]

    @property
    def uploaded_bytes(self) -> int:
        """Bytes of large files that came, those of interrupted uploads included."""
        return sum(request.bytes for request in self.asked("PUT", "^/lfs/"))

    def create(self, name: str, *, private: bool = False) -> Repository:
        """A new dataset with the hub's first commit."""
        with self.lock:
            repository = Repository(name, private, [])
            self.repositories[name] = repository
            self._append(
                repository,
                "initial commit",
                {".gitattributes": self._put(repository, _GIT_ATTRIBUTES.encode())},
            )
            return repository

    def commit(
        self, name: str, files: Mapping[str, bytes], *, deleted: Sequence[str] = (), title: str = "by hand"
    ) -> Commit:
        """A commit that somebody else makes; `.parquet` files become large files."""
        with self.lock:
            repository = self.repositories[name]
            tree = dict(repository.head.tree)
            for path, content in files.items():
                large = path.endswith(".parquet")
                tree[path] = self.store(content) if large else self._put(repository, content)
            for path in deleted:
                del tree[path]
            return self._append(repository, title, tree)

    def store(self, content: bytes) -> Blob:
        """A large file."""
        sha256 = hashlib.sha256(content).hexdigest()
        (self.folder / sha256).write_bytes(content)
        return _pointer(sha256, len(content))

    def content(self, name: str, path: str, revision: str = "main") -> bytes:
        """Bytes of a file."""
        with self.lock:
            repository = self.repositories[name]
            commit = repository.at(revision)
            assert commit is not None
            return self.bytes_of(repository, commit.tree[path])

    def bytes_of(self, repository: Repository, blob: Blob) -> bytes:
        """Bytes of a file of a repository."""
        return (self.folder / blob.sha256).read_bytes() if blob.sha256 else repository.contents[blob.oid]

    def paths(self, name: str, revision: str = "main") -> list[str]:
        """Paths of a repository."""
        with self.lock:
            commit = self.repositories[name].at(revision)
            assert commit is not None
            return sorted(commit.tree)

    def come(self, handler: "Handler") -> Behaviour | None:
        """Notes a request, and finds what it meets."""
        with self.lock:
            self.requests.append(handler.noted)
            for fault in self.faults:
                if fault.method != handler.command or not fault.pattern.search(handler.route):
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault.behaviour
        return None

    def apply(self, repository: Repository, lines: Sequence[Mapping[str, Any]]) -> Commit:
        """Makes the commit that a client sends, whole or not at all.

        Raises:
            Refusal: it is not based on the head, or names something that is not there.
        """
        header = next(line["value"] for line in lines if line["key"] == "header")
        parent = header.get("parentCommit")
        if parent is not None and parent != repository.head.oid:
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        tree = dict(repository.head.tree)
        for line in lines:
            self._apply_line(repository, tree, line["key"], line["value"])
        folders = {folder for path in tree for folder in _folders(path)}
        if both := folders.intersection(tree):
            raise Refusal(400, f"{min(both)} is a file and a folder")
        return self._append(repository, header["summary"], tree)

    def _apply_line(
        self, repository: Repository, tree: dict[str, Blob], key: str, value: Mapping[str, Any]
    ) -> None:
        path = str(value.get("path", ""))
        if key == "file":
            content = base64.b64decode(value["content"])
            if _is_large(path, len(content), self._attributes(repository)):
                raise Refusal(400, f"{path} must be a large file")
            tree[path] = self._put(repository, content)
        elif key == "lfsFile":
            stored = self.folder / value["oid"]
            if not stored.is_file():
                raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {path}")
            tree[path] = _pointer(value["oid"], stored.stat().st_size)
        elif key == "deletedFile":
            if tree.pop(path, None) is None:
                raise Refusal(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        elif key == "deletedFolder":
            inside = [known for known in tree if known.startswith(f"{path.rstrip('/')}/")]
            if not inside:
                raise Refusal(404, f"A folder with this name doesn't exist: {path}", "EntryNotFound")
            for known in inside:
                del tree[known]
        elif key != "header":
            raise Refusal(400, f"unknown operation {key}")

    def _attributes(self, repository: Repository) -> str:
        blob = repository.head.tree.get(".gitattributes")
        return self.bytes_of(repository, blob).decode() if blob else ""

    def _put(self, repository: Repository, content: bytes) -> Blob:
        oid = _git_oid(content)
        repository.contents[oid] = content
        return Blob(oid, len(content))

    def _append(self, repository: Repository, title: str, tree: Mapping[str, Blob]) -> Commit:
        parent = repository.head.oid if repository.commits else ""
        facts = repr((parent, title, sorted(tree.items()), len(repository.commits)))
        commit = Commit(hashlib.sha1(facts.encode()).hexdigest(), parent, title, self.now(), dict(tree))
        repository.commits.append(commit)
        return commit


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Handler(BaseHTTPRequestHandler):
    """One connection; its class attribute is the double that it serves."""

    hub: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: the second would wait 40 ms for an acknowledgement
    route: str
    query: dict[str, list[str]]
    raw_route: str
    body: bytes | None
    silent: bool
    noted: Request

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def read_body(self, limit: int | None = None) -> bytes:
        """The body of the request, once; its first `limit` bytes only when told."""
        if self.body is None:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                self.body = b"".join(iter(self._read_chunk, b""))
            else:
                length = int(self.headers.get("Content-Length", 0))
                self.body = self.rfile.read(length if limit is None else min(limit, length))
            self.noted.bytes = len(self.body)
        return self.body

    def send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answers, unless the answer is to be lost."""
        if self.silent:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_json(self, status: int, answer: object, headers: Mapping[str, str] | None = None) -> None:
        """Answers with JSON."""
        self.send(
            status, json.dumps(answer).encode(), {"Content-Type": "application/json"} | dict(headers or {})
        )

    def refuse(self, status: int, message: str, code: str = "", **headers: str) -> None:
        """Answers with an error in the hub's form."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["X-Error-Message"] = message
        if code:
            named["X-Error-Code"] = code
        self.send_json(status, {"error": message}, named)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""

    def _read_chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _serve(self) -> None:
        address = urlsplit(self.path)
        self.raw_route, self.route, self.query = address.path, unquote(address.path), parse_qs(address.query)
        self.body, self.silent = None, False
        self.noted = Request(self.command, self.route)
        self.__dict__.pop(
            "send", None
        )  # a behaviour of the last request on this connection may have put one there
        # The client may be gone: it was killed, or waited long enough.
        with contextlib.suppress(ConnectionError):
            behaviour = self.hub.come(self)
            try:
                if not (behaviour and behaviour(self)):
                    self._answer()
            except Refusal as refusal:
                self.refuse(refusal.status, refusal.message, refusal.code)

    def _answer(self) -> None:
        self.read_body()
        for method, pattern, answer in _ROUTES:
            found = pattern.fullmatch(self.raw_route)
            if found and self.command in method:
                parts = {name: unquote(value or "") for name, value in found.groupdict().items()}
                # Uploads come side by side; everything else sees and leaves a whole state.
                with contextlib.nullcontext() if self.command == "PUT" else self.hub.lock:
                    answer(self, **parts)
                return
        raise Refusal(404, f"no such route: {self.command} {self.route}")

    # Who asks, and for what

    def account(self) -> Account | None:
        """Who asks; nobody without a token."""
        authorization = self.headers.get("Authorization", "")
        if not authorization:
            return None
        known = self.hub.accounts.get(authorization.removeprefix("Bearer "))
        if known is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return known

    def readable(self, name: str) -> Repository:
        """A dataset that the asking person may read."""
        account, repository = self.account(), self.hub.repositories.get(name)
        if repository is None or (repository.private and not _belongs(account, name)):
            if account is None:
                raise Refusal(401, "Invalid username or password.")
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return repository

    def writable(self, name: str) -> Repository:
        """A dataset that the asking person may write."""
        repository = self.readable(name)
        self.require_writer(name)
        return repository

    def require_writer(self, name: str) -> None:
        """Refuses who may not write below a namespace."""
        account = self.account()
        if account is None:
            raise Refusal(401, "Invalid username or password.")
        if account.role != "write" or not _belongs(account, name):
            raise Refusal(403, f"You don't have the rights to write below {name.partition('/')[0]}.")

    def commit_at(self, repository: Repository, revision: str) -> Commit:
        """A commit that exists."""
        commit = repository.at(revision)
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    # Repositories

    def whoami(self) -> None:
        account = self.account()
        if account is None:
            raise Refusal(401, "Invalid username or password.")
        self.send_json(
            200,
            {
                "type": "user",
                "name": account.name,
                "orgs": [{"name": name, "roleInOrg": account.role} for name in account.organizations],
                "auth": {"accessToken": {"role": account.role, "displayName": "double"}},
            },
        )

    def create_repository(self) -> None:
        asked = json.loads(self.read_body())
        name = f"{asked.get('organization') or getattr(self.account(), 'name', '')}/{asked['name']}"
        self.require_writer(name)
        url = f"{self.hub.url}/datasets/{name}"
        if name in self.hub.repositories:
            self.send_json(409, {"error": "You already created this dataset repo", "url": url})
            return
        self.hub.create(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
        self.send_json(200, {"url": url, "name": name, "id": name})

    def validate_yaml(self) -> None:
        json.loads(self.read_body())
        self.send_json(200, {"errors": [], "warnings": []})

    def information(self, name: str, revision: str = "") -> None:
        repository = self.readable(name)
        commit = self.commit_at(repository, revision or "main")
        self.send_json(
            200,
            {
                "_id": hashlib.sha1(name.encode()).hexdigest()[:24],
                "id": repository.name,
                "author": name.partition("/")[0],
                "sha": commit.oid,
                "lastModified": _time(commit.date),
                "createdAt": _time(repository.commits[0].date),
                "private": repository.private,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in sorted(commit.tree)],
            },
        )

    def references(self, name: str) -> None:
        repository = self.readable(name)
        self.send_json(
            200,
            {
                "branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head.oid}],
                "converts": [],
                "tags": [
                    {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid}
                    for tag, oid in repository.tags.items()
                ],
            },
        )

    def history(self, name: str, revision: str) -> None:
        repository = self.readable(name)
        position = repository.commits.index(self.commit_at(repository, revision))
        self.send_json(
            200,
            [
                {
                    "id": commit.oid,
                    "title": commit.title,
                    "message": "",
                    "authors": [{"user": "double"}],
                    "date": _time(commit.date),
                }
                for commit in reversed(repository.commits[: position + 1])
            ],
            {"X-Total-Count": str(position + 1)},
        )

    def tag(self, name: str, revision: str) -> None:
        repository = self.writable(name)
        if self.command == "DELETE":
            del repository.tags[revision]
            self.send(200, b"")
            return
        tag = json.loads(self.read_body())["tag"]
        if tag in repository.tags:
            raise Refusal(409, f"Tag reference exists already: {tag}")
        repository.tags[tag] = self.commit_at(repository, revision).oid
        self.send(200, b"")

    # Files

    def tree(self, name: str, revision: str, folder: str) -> None:
        commit = self.commit_at(self.readable(name), revision)
        entries = _entries(
            commit, folder, recursive=self.query.get("recursive", ["false"])[0].lower() == "true"
        )
        if folder and not entries:
            raise Refusal(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        start = int(self.query.get("cursor", ["0"])[0])
        headers = {}
        if start + self.hub.page < len(entries):
            query = "&".join(f"{key}={values[0]}" for key, values in self.query.items() if key != "cursor")
            link = f"{self.hub.url}{self.raw_route}?{query}&cursor={start + self.hub.page}"
            headers["Link"] = f'<{link}>; rel="next"'
        self.send_json(200, entries[start : start + self.hub.page], headers)

    def paths_info(self, name: str, revision: str) -> None:
        commit = self.commit_at(self.readable(name), revision)
        if "json" in self.headers.get("Content-Type", ""):
            asked = json.loads(self.read_body())["paths"]
        else:
            asked = parse_qs(self.read_body().decode()).get("paths", [])
        known = {entry["path"]: entry for entry in _entries(commit, "", recursive=True)}
        self.send_json(200, [known[path.rstrip("/")] for path in asked if path.rstrip("/") in known])

    def resolve(self, name: str, revision: str, path: str) -> None:
        repository = self.readable(name)
        commit = self.commit_at(repository, revision)
        blob = commit.tree.get(path)
        common = {"X-Repo-Commit": commit.oid}
        if blob is None:
            self.refuse(404, f"{path} does not exist", "EntryNotFound", **{"X_Repo_Commit": commit.oid})
            return
        content = self.hub.bytes_of(repository, blob)
        headers = {**common, "ETag": f'"{blob.sha256 or blob.oid}"', "Accept-Ranges": "bytes"}
        headers["Content-Type"] = "application/octet-stream"
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self.send(200, content, headers)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first >= len(content):
            self.send(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
            return
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self.send(206, content[first : last + 1], headers)

    # Commits

    def preupload(self, name: str, revision: str) -> None:
        repository = self.writable(name)
        tree = self.commit_at(repository, revision).tree
        asked = json.loads(self.read_body())
        attributes = self.hub._attributes(repository)
        ignored = asked.get("gitIgnore")
        if ignored is None:
            own = tree.get(".gitignore")
            ignored = self.hub.bytes_of(repository, own).decode() if own else ""
        answers = []
        for file in asked["files"]:
            blob = tree.get(file["path"])
            large = _is_large(file["path"], file["size"], attributes)
            answers.append(
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if large else "regular",
                    "shouldIgnore": _matches(file["path"], ignored.split()),
                    "oid": (blob.sha256 or blob.oid) if blob else None,
                }
            )
        self.send_json(200, {"files": answers})

    def commit(self, name: str, revision: str) -> None:
        repository = self.writable(name)
        if revision != "main":
            raise Refusal(400, f"only main can be committed to, not {revision}")
        made = self.hub.apply(repository, [json.loads(line) for line in self.read_body().splitlines()])
        self.send_json(
            200,
            {
                "success": True,
                "commitOid": made.oid,
                "commitUrl": f"{self.hub.url}/datasets/{name}/commit/{made.oid}",
                "pullRequestUrl": None,
            },
        )

    # Large files

    def batch(self, name: str) -> None:
        self.writable(name)
        asked = json.loads(self.read_body())
        objects = [self._upload_of(name, one["oid"], one["size"]) for one in asked["objects"]]
        self.send_json(200, {"transfer": "basic", "objects": objects})

    def _upload_of(self, name: str, oid: str, size: int) -> dict[str, Any]:
        if (self.hub.folder / oid).is_file():
            return {"oid": oid, "size": size}
        signed = "?X-Signature=onlyForThisUpload"
        target = f"{self.hub.url}/lfs/{oid}"
        upload: dict[str, Any] = {"href": f"{target}{signed}"}
        if self.hub.part_bytes and size > self.hub.part_bytes:
            count = -(-size // self.hub.part_bytes)
            parts = {str(part): f"{target}/{part}{signed}" for part in range(1, count + 1)}
            upload = {
                "href": f"{target}/complete{signed}",
                "header": {"chunk_size": str(self.hub.part_bytes), **parts},
            }
        verify = {"href": f"{self.hub.url}/datasets/{quote(name)}.git/info/lfs/objects/verify"}
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}

    def put_object(self, oid: str, part: str = "") -> None:
        if "X-Signature" not in self.query:
            raise Refusal(403, "the address of this upload is not signed")
        content = self.read_body()
        if part:
            (self.hub.folder / f"{oid}.part{int(part):05}").write_bytes(content)
            self.send(200, b"", {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'})
            return
        self._keep(oid, content)
        self.send(200, b"")

    def complete_object(self, oid: str) -> None:
        parts = sorted(self.hub.folder.glob(f"{oid}.part*"))
        if len(parts) != len(json.loads(self.read_body())["parts"]):
            raise Refusal(400, "parts are missing")
        self._keep(oid, b"".join(part.read_bytes() for part in parts))
        for part in parts:
            part.unlink()
        self.send_json(200, {})

    def _keep(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise Refusal(400, "the content does not have the SHA-256 that was announced")
        self.hub.store(content)

    def verify(self, name: str) -> None:
        self.writable(name)
        asked = json.loads(self.read_body())
        stored = self.hub.folder / asked["oid"]
        if not stored.is_file() or stored.stat().st_size != asked["size"]:
            raise Refusal(404, "the object was not uploaded")
        self.send_json(200, {})


_NAME = r"(?P<name>[^/]+/[^/]+)"
_API = rf"/api/datasets/{_NAME}"
_REVISION = r"(?P<revision>[^/]+)"
_ROUTES: list[tuple[tuple[str, ...], re.Pattern[str], Callable[..., None]]] = [
    (("GET",), re.compile("/api/whoami-v2"), Handler.whoami),
    (("POST",), re.compile("/api/repos/create"), Handler.create_repository),
    (("POST",), re.compile("/api/validate-yaml"), Handler.validate_yaml),
    (("GET", "HEAD"), re.compile(_API), Handler.information),
    (("GET", "HEAD"), re.compile(rf"{_API}/revision/{_REVISION}"), Handler.information),
    (("GET",), re.compile(rf"{_API}/refs"), Handler.references),
    (("GET",), re.compile(rf"{_API}/commits/{_REVISION}"), Handler.history),
    (("POST", "DELETE"), re.compile(rf"{_API}/tag/{_REVISION}"), Handler.tag),
    (("GET",), re.compile(rf"{_API}/tree/{_REVISION}(?:/(?P<folder>.*))?"), Handler.tree),
    (("POST",), re.compile(rf"{_API}/paths-info/{_REVISION}"), Handler.paths_info),
    (("POST",), re.compile(rf"{_API}/preupload/{_REVISION}"), Handler.preupload),
    (("POST",), re.compile(rf"{_API}/commit/{_REVISION}"), Handler.commit),
    (("GET", "HEAD"), re.compile(rf"/datasets/{_NAME}/resolve/{_REVISION}/(?P<path>.+)"), Handler.resolve),
    (("POST",), re.compile(rf"/datasets/{_NAME}\.git/info/lfs/objects/batch"), Handler.batch),
    (("POST",), re.compile(rf"/datasets/{_NAME}\.git/info/lfs/objects/verify"), Handler.verify),
    (("PUT",), re.compile(r"/lfs/(?P<oid>[0-9a-f]{64})(?:/(?P<part>\d+))?"), Handler.put_object),
    (("POST",), re.compile(r"/lfs/(?P<oid>[0-9a-f]{64})/complete"), Handler.complete_object),
]


# Behaviours


def answers(status: int, message: str = "", code: str = "", **headers: str) -> Behaviour:
    """Refuses; nothing is done."""

    def behave(handler: Handler) -> bool:
        handler.read_body()
        handler.refuse(status, message, code, **headers)
        return True

    return behave


def drops(handler: Handler) -> bool:
    """Ends the connection when the request has come; nothing is done."""
    handler.read_body()
    handler.close_connection = True
    return True


def cuts_upload(handler: Handler) -> bool:
    """Ends the connection in the middle of the body; nothing is done."""
    handler.read_body(limit=int(handler.headers.get("Content-Length", 2)) // 2)
    handler.close_connection = True
    return True


def cuts_answer(handler: Handler) -> bool:
    """Does what is asked, and ends the connection after the first half of the answer."""
    whole = handler.send

    def half(status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        whole(status, content[: len(content) // 2], {**(headers or {}), "Content-Length": str(len(content))})
        handler.close_connection = True

    handler.send = half  # type: ignore[method-assign]
    return False


def loses_answer(handler: Handler) -> bool:
    """Does what is asked and ends the connection without an answer."""
    handler.silent = True
    return False


def before(happens: Callable[[], object]) -> Behaviour:
    """Calls `happens` when the request has come, then does what is asked."""

    def behave(handler: Handler) -> bool:
        handler.read_body()
        happens()
        return False

    return behave


def afterwards(happens: Callable[[], object]) -> Behaviour:
    """Does what is asked, and calls `happens` before it answers."""

    def behave(handler: Handler) -> bool:
        whole = handler.send

        def send(status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
            happens()
            whole(status, content, headers)

        handler.send = send  # type: ignore[method-assign]
        return False

    return behave


@contextmanager
def serving_hub(folder: Path) -> Iterator[Hub]:
    """A hub on a free port while the block runs.

    Args:
        folder: Where large files lie; made when it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hub = Hub(folder)
    hub.accounts = {
        WRITE_TOKEN: Account("publisher", ("org", "AgentPublic"), "write"),
        READ_TOKEN: Account("reader", ("org",), "read"),
        OTHER_TOKEN: Account("stranger", (), "write"),
    }
    with listening(type("HubHandler", (Handler,), {"hub": hub})) as hub.url:
        yield hub


@contextmanager
def without_xet() -> Iterator[None]:
    """Has this process's hub client use the classic protocol of large files, which the double speaks."""
    from huggingface_hub import constants

    usual = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = usual


def _belongs(account: Account | None, name: str) -> bool:
    owner = name.partition("/")[0]
    return account is not None and owner in (account.name, *account.organizations)


def _entries(commit: Commit, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Files and folders below `folder`, as the hub lists them."""
    prefix = f"{folder.strip('/')}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in commit.tree.items():
        if not path.startswith(prefix):
            continue
        for outer in _folders(path):
            if outer.startswith(prefix) and (recursive or "/" not in outer.removeprefix(prefix)):
                oid = hashlib.sha1(outer.encode()).hexdigest()
                entries[outer] = {"type": "directory", "oid": oid, "size": 0, "path": outer}
        if recursive or "/" not in path.removeprefix(prefix):
            entries[path] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
            if blob.sha256:
                entries[path]["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 134}
    return [entries[path] for path in sorted(entries)]


def _folders(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _is_large(path: str, size: int, attributes: str) -> bool:
    patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]
    return bool(size) and (size > _MOST_REGULAR_BYTES or _matches(path, patterns))


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(path.rpartition("/")[2], pattern) for pattern in patterns)


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _pointer(sha256: str, size: int) -> Blob:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return Blob(_git_oid(text.encode()), size, sha256)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
