"""What doubles with a JSON interface share: a server, a record of what was asked, and faults told beforehand.

What belongs here: requests as they came, multipart forms, faults, and a client's patience with them. What does
not: the protocol of any service, and tests.

    with serving(AlbertDouble()) as albert:
        albert.meet("POST", "/chunks", answers(503), times=2)      # the next two such requests are refused
        albert.meet("POST", "/documents", loses_answer)            # carried out, and nobody hears of it
        albert.meet("POST", "/documents", before(kill), after=3)   # `kill` is called when the fourth arrives
"""

import contextlib
import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from mediatech_assets.release.publication.http import Pacing

#: Patience of a client with a double: as with a real service, in milliseconds.
QUICK = Pacing(attempts=4, first_wait=0.005, longest_wait=0.05, timeout=10)

_NAME = re.compile(rb'name="([^"]*)"')
_FILE_NAME = re.compile(rb'filename="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came.

    Args:
        method: Its method.
        path: Its path, without the query.
        query: Values of the query by name.
        headers: Its headers, names in small letters.
        body: Its body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """Fields of a multipart form that are no files."""
        return {name: value.decode() for name, (value, file) in self._parts().items() if file is None}

    @property
    def files(self) -> dict[str, tuple[str, bytes]]:
        """File name and content by field."""
        return {name: (file, value) for name, (value, file) in self._parts().items() if file is not None}

    def _parts(self) -> dict[str, tuple[bytes, str | None]]:
        kind, _, boundary = self.headers.get("content-type", "").partition("boundary=")
        if not kind.startswith("multipart/form-data"):
            raise Refusal(422, "not a multipart form")
        parts: dict[str, tuple[bytes, str | None]] = {}
        for part in (b"\r\n" + self.body).split(b"\r\n--" + boundary.encode())[1:-1]:
            head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            name, file = _NAME.search(head), _FILE_NAME.search(head)
            if name is None:
                raise Refusal(422, "a part without a name")
            parts[name[1].decode()] = (value, file[1].decode() if file else None)
        return parts


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, answer: object, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.answer = {"detail": answer} if isinstance(answer, str) else answer
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


#: Meets a request; the function that it is given answers rightly.
Behaviour = Callable[["Handler", Callable[[], None]], None]


@dataclass(slots=True)
class _Fault:
    method: str
    path: re.Pattern[str]
    behaviour: Behaviour
    after: int
    times: int


@dataclass
class Double(ABC):
    """A service, and what it saw.

    Args:
        url: Where it listens.
        requests: Every request, in the order in which they came.
        met: Faults that have come.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    met: int = 0
    guard: threading.RLock = field(default_factory=threading.RLock)
    _faults: list[_Fault] = field(default_factory=list)

    @abstractmethod
    def answer(self, request: Request) -> tuple[int, object]:
        """Carries a request out, alone.

        Returns:
            Status and JSON; no body when it is nothing.

        Raises:
            Refusal: it is not carried out.
        """

    def meet(self, method: str, path: str, behaviour: Behaviour, *, after: int = 0, times: int = 1) -> None:
        """Has requests of a method, whose path has the pattern `path` in it, met by a behaviour."""
        self._faults.append(_Fault(method, re.compile(path), behaviour, after, times))

    def forgive(self) -> None:
        """Takes back the faults that have not come yet."""
        with self.guard:
            self._faults.clear()

    def asked(self, method: str, path: str = "") -> list[Request]:
        """The requests of a method, whose path has the pattern `path` in it."""
        with self.guard:
            return [item for item in self.requests if item.method == method and re.search(path, item.path)]

    def come(self, request: Request) -> Behaviour | None:
        """Notes a request, and gives the fault that it meets."""
        with self.guard:
            self.requests.append(request)
            for fault in self._faults:
                if fault.method == request.method and fault.path.search(request.path):
                    if fault.after:
                        fault.after -= 1
                    elif fault.times:
                        fault.times -= 1
                        self.met += 1
                        return fault.behaviour
        return None


class Handler(BaseHTTPRequestHandler):
    """One connection; its class attribute is the double that it serves."""

    double: Double
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: the second would wait for an acknowledgement
    announced: Mapping[str, str] = {}

    def serve(self) -> None:
        """Meets one request."""
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            {name: values[0] for name, values in parse_qs(parts.query).items()},
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        behaviour = self.double.come(request)
        # The client may be gone: it was killed, or waited long enough.
        with contextlib.suppress(ConnectionError):
            if behaviour is None:
                self.carry_out(request)
            else:
                behaviour(self, lambda: self.carry_out(request))

    do_HEAD = do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def carry_out(self, request: Request) -> None:
        try:
            with self.double.guard:
                status, answer = self.double.answer(request)
            self.send_json(status, answer)
        except Refusal as refusal:
            self.send_json(refusal.status, refusal.answer, refusal.headers)

    def send_json(self, status: int, answer: object, headers: Mapping[str, str] | None = None) -> None:
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in (
            {"Content-Length": str(len(content))} | {**self.announced, **(headers or {})}
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def answers(status: int, message: str = "", **headers: str) -> Behaviour:
    """Refuses, and carries nothing out."""

    def behave(handler: Handler, carry_out: Callable[[], None]) -> None:  # noqa: ARG001
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.send_json(status, {"message": message}, named)

    return behave


def announces(**headers: str) -> Behaviour:
    """Carries the request out, and answers with further headers."""

    def behave(handler: Handler, carry_out: Callable[[], None]) -> None:
        handler.announced = {name.replace("_", "-"): value for name, value in headers.items()}
        carry_out()
        handler.announced = {}

    return behave


def drops(handler: Handler, carry_out: Callable[[], None]) -> None:  # noqa: ARG001
    """Ends the connection without carrying anything out."""
    handler.close_connection = True


def loses_answer(handler: Handler, carry_out: Callable[[], None]) -> None:
    """Carries the request out, and ends the connection instead of answering."""
    out, handler.wfile = handler.wfile, _Nowhere()  # type: ignore[assignment]
    carry_out()
    handler.wfile = out
    handler.close_connection = True


def fails_afterwards(status: int) -> Behaviour:
    """Carries the request out, and answers that it is in trouble."""

    def behave(handler: Handler, carry_out: Callable[[], None]) -> None:
        out, handler.wfile = handler.wfile, _Nowhere()  # type: ignore[assignment]
        carry_out()
        handler.wfile = out
        handler.send_json(status, {"message": "in trouble"})

    return behave


def before(happens: Callable[[], object]) -> Behaviour:
    """Lets something happen when the request has come, then ends the connection."""

    def behave(handler: Handler, carry_out: Callable[[], None]) -> None:
        happens()
        drops(handler, carry_out)

    return behave


def afterwards(happens: Callable[[], object]) -> Behaviour:
    """Carries the request out, lets something happen, and does not answer."""

    def behave(handler: Handler, carry_out: Callable[[], None]) -> None:
        loses_answer(handler, carry_out)
        happens()

    return behave


class _Nowhere:
    """Takes what is written, and keeps nothing."""

    def write(self, content: bytes) -> int:
        return len(content)

    def flush(self) -> None:
        """Has nothing to send."""


AnyDouble = TypeVar("AnyDouble", bound=Double)


@contextmanager
def serving(double: AnyDouble) -> Iterator[AnyDouble]:
    """Serves a double on a free port while the block runs."""
    with listening(type("DoubleHandler", (Handler,), {"double": double})) as double.url:
        yield double


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answers on a free port of this machine while the block runs, and gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
