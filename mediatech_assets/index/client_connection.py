"""One way to talk to qdrant-client: a server by URL, or its collections in memory.

What belongs here: where the server is and with which key, retries, and the client's errors in our words. What does
not: what is asked of it (see `client.py`).
"""

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

import stamina

from mediatech_assets.errors import ConfigurationError, IndexUnavailableError
from mediatech_assets.index.engine import EngineOptions, UnreachableError
from mediatech_assets.retries import log_retries

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

#: Seconds without an answer to one request.
TIMEOUT_SECONDS = 60
#: Seconds for what a server answers only when it has done it: a snapshot, another configuration.
LONG_TIMEOUT_SECONDS = 3_600

#: Answers of a server or a proxy that pass by themselves.
_PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})
_LONGEST_PAUSE = 2.0
_REBUILD = "`mediatech update --layers index` rebuilds it from the lake"

Answer = TypeVar("Answer")


class Connection(Protocol):
    """A client, its errors in our words.

    Args:
        place: What it talks to, for messages.
        is_server: Whether that is a server, with optimisers, payload indexes and snapshots.
    """

    place: str
    is_server: bool

    def ask(self, action: str, request: "Callable[[QdrantClient], Answer]") -> Answer:
        """What the client answers to `request`, asked again after failures that pass by themselves.

        Args:
            action: What is asked, for the message.
            request: Must do the same when it is done twice.

        Raises:
            UnreachableError: nobody answers, or the server stays in trouble.
            ConfigurationError: the server refuses the key.
            IndexUnavailableError: it refuses the request; a missing collection is one reason.
        """
        ...

    def ask_once(self, action: str, request: "Callable[[QdrantClient], Answer]") -> Answer:
        """The same for what must not be asked twice, and may take long."""
        ...


class ServerConnection:
    """A Qdrant server over HTTP.

    Proxies are taken from the environment, as everywhere else in the platform.

    Args:
        options: Its address and key.
        wait_seconds: How long to try again before giving up.

    Raises:
        ConfigurationError: an address or a key that cannot be used.
    """

    is_server = True

    def __init__(self, options: EngineOptions, wait_seconds: float) -> None:
        log_retries()
        self.place = f"the Qdrant server at {_checked_host(options.url)}"
        _check_key(options.key)
        self._wait_seconds = wait_seconds
        self._client = _server_client(options, TIMEOUT_SECONDS)
        self._patient_client = _server_client(options, LONG_TIMEOUT_SECONDS)

    def ask(self, action: str, request: "Callable[[QdrantClient], Answer]") -> Answer:
        """See `Connection.ask`."""
        with self._failures(action):
            for attempt in stamina.retry_context(
                on=_pause_before_retry,
                attempts=None if self._wait_seconds else 1,
                timeout=self._wait_seconds or None,
                wait_max=_LONGEST_PAUSE,
                wait_jitter=0.1,
            ):
                with attempt:
                    return request(self._client)
        raise AssertionError("a retry context ends by returning or raising")

    def ask_once(self, action: str, request: "Callable[[QdrantClient], Answer]") -> Answer:
        """See `Connection.ask_once`."""
        with self._failures(action):
            return request(self._patient_client)

    @contextmanager
    def _failures(self, action: str) -> Iterator[None]:
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            yield
        except UnexpectedResponse as error:
            self._refuse(action, error.status_code or 0, _told_by(error.content), error)
        except ResponseHandlingException as error:
            self._give_up(action, error.source, error)
        except (QdrantException, json.JSONDecodeError, AssertionError) as error:
            # The client asserts that an answer is not empty, and reads every 200 as JSON.
            self._give_up(action, error, error)

    def _refuse(self, action: str, status: int, told: str, error: Exception) -> NoReturn:
        if status in (401, 403):
            raise ConfigurationError(
                f"{self.place} refuses MEDIATECH_INDEX_KEY ({action}: {status})",
                "set MEDIATECH_INDEX_KEY to a key of that server that may write",
            ) from error
        if status in _PASSING_STATUSES or not 400 <= status < 500:
            raise UnreachableError(
                f"{self.place} is in trouble ({action}: {status} {told})",
                "try again later; its log says more",
            ) from error
        raise IndexUnavailableError(f"{self.place} refuses {action}: {status} {told}", _REBUILD) from error

    def _give_up(self, action: str, reason: BaseException, error: Exception) -> NoReturn:
        raise UnreachableError(
            f"{self.place} does not answer as it should ({action}: {type(reason).__name__} {_short(str(reason))})",
            "start it, or correct MEDIATECH_INDEX_URL; if it is up, check that its version fits qdrant-client's",
        ) from error


class MemoryConnection:
    """The client's own collections in this process: exact search in Python, for trials of some thousand points.

    Args:
        folder: What they stand for, for messages.
    """

    is_server = False

    def __init__(self, folder: Path) -> None:
        from qdrant_client import QdrantClient

        self.place = f"the index in memory that stands for {folder}"
        self._client = QdrantClient(":memory:")
        # The client's local mode is not made for threads.
        self._turn = RLock()

    def ask(self, action: str, request: "Callable[[QdrantClient], Answer]") -> Answer:
        """See `Connection.ask`."""
        try:
            with self._turn:
                return request(self._client)
        except ValueError as error:
            raise IndexUnavailableError(f"{self.place} refuses {action}: {error}", _REBUILD) from error

    def ask_once(self, action: str, request: "Callable[[QdrantClient], Answer]") -> Answer:
        """See `Connection.ask_once`."""
        return self.ask(action, request)


@cache
def memory_connection(folder: Path) -> MemoryConnection:
    """The collections in memory that stand for `folder`: the same ones whenever this process asks."""
    return MemoryConnection(folder)


def _server_client(options: EngineOptions, timeout: int) -> "QdrantClient":
    from qdrant_client import QdrantClient

    with warnings.catch_warnings():
        # A key over plain HTTP: right inside a private network, and said in the documentation.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return QdrantClient(
            url=options.url,
            api_key=options.key or None,
            timeout=timeout,
            prefer_grpc=False,
            check_compatibility=False,
        )


def _checked_host(url: str) -> str:
    """Host and port of a server's address, without the words that may stand before them."""
    if not url:
        raise ConfigurationError(
            "the index engine is server, but no address is set",
            "set MEDIATECH_INDEX_URL, for example http://127.0.0.1:6333",
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if parts is None or parts.scheme not in ("http", "https") or not host or parts.username or parts.query:
        raise ConfigurationError(
            "MEDIATECH_INDEX_URL is no address of a Qdrant server",
            "write it as http(s)://host:port, and the key into MEDIATECH_INDEX_KEY",
        )
    return f"{host}:{port or 6333}"


def _check_key(key: str) -> None:
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise ConfigurationError(
            "MEDIATECH_INDEX_KEY holds characters that no key has (a space, a line break, an accent)",
            "copy the key again",
        )


def _pause_before_retry(error: Exception) -> bool | float:
    """Whether a failure may pass, or after how many seconds when the server says so."""
    import httpx
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResourceExhaustedResponse):
        return float(error.retry_after_s)
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _PASSING_STATUSES
    return isinstance(error, ResponseHandlingException) and isinstance(error.source, httpx.TransportError)


def _told_by(content: bytes) -> str:
    """What a server says of its refusal: Qdrant's own words when they are there."""
    import orjson

    try:
        return _short(str(orjson.loads(content)["status"]["error"]))
    except (ValueError, KeyError, TypeError):
        return _short(content.decode("utf-8", errors="replace"))


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
