"""One way to reach upstream files: over HTTP, or in a folder that stands for the hosts.

What belongs here: rewriting addresses to a mirror, the allow-list of hosts, time-outs, retries, redirects,
and downloads that resume. What does not: which addresses a dataset needs, or what the files hold.
"""

import logging
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpx
import stamina

from mediatech_assets.errors import ConfigurationError, UpstreamError
from mediatech_assets.retries import log_retries

_LOG = logging.getLogger(__name__)

_REDIRECTS = 5
_PAGE_LIMIT = 20_000_000
#: Ten times the largest file of the upstreams: what goes on longer is a mistake that would fill the disk.
_FILE_LIMIT = 16 * 1024**3
_BLOCK = 1 << 20
_LONGEST_WAIT = 30.0

_REMEDY_BY_STATUS = {
    401: "the host wants credentials: check the address",
    403: "the host refuses: check the address and MEDIATECH_USER_AGENT",
    404: "nothing is there: check --upstream and the dataset's address",
    410: "it was withdrawn: check the dataset's address",
}

_CONTENT_RANGE = re.compile(r"bytes (\d+)-", re.ASCII)

#: Told the number of bytes just written.
OnBytes = Callable[[int], None]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a host says of a file without sending it.

    Args:
        etag: ETag, when there is one.
        last_modified: Last-Modified as ISO 8601 UTC, when there is one.
        size: Bytes, when known.
    """

    etag: str | None
    last_modified: str | None
    size: int | None


class Upstream(Protocol):
    """Reads what lies at the address of an upstream host."""

    #: Requests made until now, retries and redirects included.
    requests: int

    def read_page(self, url: str) -> str:
        """Text of a small page, such as a listing."""
        ...

    def upstream_address(self, link: str) -> str:
        """The upstream's own address of what a page links: a mirror may link to itself."""
        ...

    def facts(self, url: str) -> FileFacts:
        """What the host says of a file."""
        ...

    def download(self, url: str, target: Path, on_bytes: OnBytes) -> FileFacts:
        """Writes the file to `target`, whole or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class RememberedPage:
    """A page as it was last read.

    Args:
        text: What it said.
        validators: Headers that ask for it only if it changed (RFC 9110, 13.1).
    """

    text: str
    validators: Mapping[str, str]


@contextmanager
def open_upstream(
    base: str,
    hosts: Iterable[str],
    *,
    timeout: float,
    attempts: int,
    user_agent: str,
    pages: MutableMapping[str, RememberedPage] | None = None,
) -> Iterator[Upstream]:
    """The upstream hosts, or what stands for them.

    Args:
        base: Empty for the real hosts; else a URL or folder under which `host/path` is found.
        hosts: Host names that may be read.
        timeout: Seconds without an answer before a retry.
        attempts: Attempts for each request.
        user_agent: How we introduce ourselves.
        pages: Pages read before, by the address asked: a host that gives them an ETag or a time is asked for a page
            only if it changed. Pages read are added.

    Raises:
        ConfigurationError: the base is neither a URL nor an existing folder.
    """
    allowed = frozenset(hosts)
    if base and "://" not in base:
        folder = Path(base).expanduser()
        if not folder.is_dir():
            raise ConfigurationError(
                f"the upstream folder {base} does not exist",
                "give an existing folder, or a URL that begins with http:// or https://",
            )
        yield FolderUpstream(folder.resolve(), allowed)
        return
    if base and not _is_web_address(base):
        raise ConfigurationError(
            f"the upstream base {base} is no http or https address", "write it as http://host:port"
        )
    log_retries()
    with httpx.Client(timeout=timeout, headers={"User-Agent": user_agent}, follow_redirects=False) as client:
        yield HttpUpstream(client, base.rstrip("/"), allowed, attempts, {} if pages is None else pages)


class HttpUpstream:
    """The hosts themselves, or an HTTP mirror of them."""

    def __init__(
        self,
        client: httpx.Client,
        base: str,
        hosts: frozenset[str],
        attempts: int,
        pages: MutableMapping[str, RememberedPage],
    ) -> None:
        self._client = client
        self._pages = pages
        self._base = base
        self._hosts = hosts
        self._attempts = attempts
        self.requests = 0

    def read_page(self, url: str) -> str:
        """See `Upstream.read_page`."""
        asked = self._physical(url)
        known = self._pages.get(asked)

        def read() -> str:
            with self._answer("GET", url, dict(known.validators) if known else None) as response:
                if known and response.status_code == httpx.codes.NOT_MODIFIED:
                    return known.text
                body = bytearray()
                for block in response.iter_bytes(_BLOCK):
                    body += block
                    if len(body) > _PAGE_LIMIT:
                        raise UpstreamError(
                            f"{url} is larger than {_PAGE_LIMIT:,} bytes", "check that it is a listing"
                        )
                text = body.decode(response.encoding or "utf-8", errors="replace")
                if validators := _validators(response):
                    self._pages[asked] = RememberedPage(text, validators)
                return text

        return self._with_retries(url, read)

    def upstream_address(self, link: str) -> str:
        """See `Upstream.upstream_address`."""
        if self._base and link.startswith(self._base + "/"):
            return "https://" + link.removeprefix(self._base + "/")
        return link

    def facts(self, url: str) -> FileFacts:
        """See `Upstream.facts`."""

        def ask() -> FileFacts:
            with self._answer("HEAD", url) as response:
                return _facts(response)

        return self._with_retries(url, ask)

    def download(self, url: str, target: Path, on_bytes: OnBytes) -> FileFacts:
        """See `Upstream.download`: resumes a broken transfer where it stopped, if the file is still the same."""
        part = target.with_name(target.name + ".part")
        mark = target.with_name(target.name + ".part.version")
        target.parent.mkdir(parents=True, exist_ok=True)
        facts = self._with_retries(url, lambda: self._transfer(url, part, mark, on_bytes))
        part.replace(target)
        mark.unlink(missing_ok=True)
        return facts

    def _transfer(self, url: str, part: Path, mark: Path, on_bytes: OnBytes) -> FileFacts:
        version = mark.read_text(encoding="utf-8") if mark.is_file() and part.is_file() else ""
        have = part.stat().st_size if version else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": version}
        with self._answer("GET", url, headers) as response:
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            if not response.is_success or (resumed and _first_byte(response) != have):
                mark.unlink(missing_ok=True)  # what we hold is no part of the file: begin anew
                raise httpx.RemoteProtocolError(
                    "the host cannot resume the transfer", request=response.request
                )
            mark.write_text(_strong_version(response), encoding="utf-8")
            written = have if resumed else 0
            with part.open("ab" if resumed else "wb") as file:
                # Blocks as they come: when the transfer breaks, one that is still being gathered is lost.
                for block in response.iter_raw():
                    written += len(block)
                    if written > _FILE_LIMIT:
                        raise UpstreamError(
                            f"{url} is larger than {_FILE_LIMIT:,} bytes", "check the address in a browser"
                        )
                    file.write(block)
                    on_bytes(len(block))
            return _facts(response, complete_size=written)

    @contextmanager
    def _answer(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The successful answer to a request, redirects followed within the allowed hosts."""
        address = url
        for _ in range(_REDIRECTS + 1):
            self.requests += 1
            with self._client.stream(method, self._physical(address), headers=headers) as response:
                if not response.has_redirect_location:
                    refused_range = response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
                    not_modified = response.status_code == httpx.codes.NOT_MODIFIED and bool(headers)
                    if not (not_modified or (refused_range and headers and "Range" in headers)):
                        response.raise_for_status()
                    yield response
                    return
                address = self._redirected(address, response.headers["Location"])
        raise UpstreamError(f"{url} redirects more than {_REDIRECTS} times", "check the address in a browser")

    def _redirected(self, address: str, location: str) -> str:
        try:
            target = self.upstream_address(urljoin(self._physical(address), location))
            scheme = urlsplit(target).scheme
        except ValueError:
            scheme = ""
        if scheme not in {"http", "https"}:
            raise UpstreamError(
                f"{address} redirects to {location!r}, which is no http or https address",
                "check the address in a browser",
            )
        return target

    def _physical(self, url: str) -> str:
        """Where `url` is really read: at the mirror when there is one, and only at allowed hosts."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host not in self._hosts:
            raise UpstreamError(
                f"{url} is on host {host or '(none)'}, which is not allowed",
                f"add it to MEDIATECH_ALLOWED_HOSTS if it should be; allowed: {', '.join(sorted(self._hosts))}",
            )
        if not self._base:
            return url
        query = f"?{parts.query}" if parts.query else ""
        return f"{self._base}/{host}{parts.path}{query}"

    def _with_retries(self, url: str, request: Callable[[], Result]) -> Result:
        """The result of `request`, tried again after failures that pass by themselves."""
        try:
            for attempt in stamina.retry_context(
                on=_wait_before_retry, attempts=self._attempts, timeout=None, wait_max=_LONGEST_WAIT
            ):
                with attempt:
                    return request()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise UpstreamError(
                f"{url} answered {status} {error.response.reason_phrase} (asked {error.request.url})",
                _REMEDY_BY_STATUS.get(status, "try again later; the host is in trouble"),
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            asked = self._physical(url)
            raise UpstreamError(
                f"{url} cannot be read at {asked}: {type(error).__name__} {error}".rstrip(),
                "check the network, --upstream and MEDIATECH_UPSTREAM_BASE, then run again: "
                "what was downloaded is kept",
            ) from error
        raise AssertionError("a retry context ends by returning or raising")


class FolderUpstream:
    """A folder `<host>/<path>` that stands for the hosts: a copied mirror, the sample upstream."""

    def __init__(self, folder: Path, hosts: frozenset[str]) -> None:
        self._folder = folder
        self._hosts = hosts
        self.requests = 0

    def read_page(self, url: str) -> str:
        """See `Upstream.read_page`; a folder without an index page is listed."""
        path = self._path(url)
        if path.is_dir() and not (path / "index.html").is_file():
            names = sorted(entry.name for entry in path.iterdir())
            return "\n".join(f'<a href="{quote(name)}">{name}</a>' for name in names)
        page = path / "index.html" if path.is_dir() else path
        with _readable(self._existing(page, url), url) as file:
            return file.read(_PAGE_LIMIT).decode("utf-8", errors="replace")

    def upstream_address(self, link: str) -> str:
        """See `Upstream.upstream_address`: files in a folder keep the upstream's links."""
        return link

    def facts(self, url: str) -> FileFacts:
        """See `Upstream.facts`."""
        stat = self._existing(self._path(url), url).stat()
        modified = datetime.fromtimestamp(int(stat.st_mtime), UTC).isoformat()
        return FileFacts(etag=None, last_modified=modified, size=stat.st_size)

    def download(self, url: str, target: Path, on_bytes: OnBytes) -> FileFacts:
        """See `Upstream.download`."""
        source = self._existing(self._path(url), url)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        with _readable(source, url) as original, part.open("wb") as copy:
            shutil.copyfileobj(original, copy, _BLOCK)
        on_bytes(part.stat().st_size)
        part.replace(target)
        return self.facts(url)

    def _path(self, url: str) -> Path:
        parts = urlsplit(url)
        host = parts.hostname or ""
        below = PurePosixPath(unquote(parts.path).lstrip("/"))
        if host not in self._hosts or ".." in below.parts:
            raise UpstreamError(f"{url} is outside of the allowed hosts", "check the dataset's address")
        return self._folder / host / below

    @staticmethod
    def _existing(path: Path, url: str) -> Path:
        if not path.is_file():
            raise UpstreamError(
                f"{url} is not in the upstream folder (no file {path})",
                "check --upstream, or add the file to the folder",
            )
        return path


def _is_web_address(base: str) -> bool:
    try:
        parts = urlsplit(base)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


@contextmanager
def _readable(path: Path, url: str) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UpstreamError(
            f"{url} cannot be read at {path}: {error.strerror}",
            "check the permissions of the upstream folder",
        ) from error
    with file:
        yield file


def _wait_before_retry(error: Exception) -> bool | float:
    """Whether the failure passes by itself; the host's own Retry-After, in seconds, when it gives one."""
    if isinstance(error, httpx.HTTPStatusError):
        if error.response.status_code not in {429, 500, 502, 503, 504}:
            return False
        wanted = error.response.headers.get("Retry-After", "")
        return min(float(wanted), _LONGEST_WAIT) if wanted.isdecimal() else True
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _first_byte(response: httpx.Response) -> int | None:
    """Where the part that was sent begins in the file."""
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _facts(response: httpx.Response, complete_size: int | None = None) -> FileFacts:
    length = response.headers.get("Content-Length")
    return FileFacts(
        etag=response.headers.get("ETag"),
        last_modified=_iso(response.headers.get("Last-Modified")),
        size=complete_size if complete_size is not None else (int(length) if length else None),
    )


def _validators(response: httpx.Response) -> dict[str, str]:
    """Headers that ask for the page only if it changed; of the two, the ETag is the sharper one."""
    if etag := response.headers.get("ETag"):
        return {"If-None-Match": etag}
    modified = response.headers.get("Last-Modified")
    return {"If-Modified-Since": modified} if modified else {}


def _iso(http_date: str | None) -> str | None:
    if not http_date:
        return None
    try:
        return parsedate_to_datetime(http_date).astimezone(UTC).isoformat()
    except (TypeError, ValueError):
        return None


def _strong_version(response: httpx.Response) -> str:
    """What proves, at a resume, that the file is still the same; weak ETags prove nothing (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
