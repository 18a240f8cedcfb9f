"""A double of an embedding service that fails as it is told, over real HTTP.

What belongs here: the server, its faults, and what it noted. What does not: any test.
"""

import base64
import contextlib
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np

DIMENSIONS = 8
MODEL = "modele-de-test"

#: Writes an answer to a request for vectors, whose JSON it is given.
Behaviour = Callable[["Handler", dict], None]


def vector_of(text: str) -> np.ndarray:
    """The one vector of a text: the double's model."""
    numbers = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint8)[:DIMENSIONS]
    vector = numbers.astype(np.float32) + 1
    return vector / np.linalg.norm(vector)


def data_of(body: dict) -> list[dict]:
    """The list `data` of the right answer."""
    return [
        {"object": "embedding", "index": index, "embedding": encoded(vector_of(text), body)}
        for index, text in enumerate(body["input"])
    ]


def encoded(vector: np.ndarray, body: dict) -> str | list[float]:
    if body.get("encoding_format") == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(value) for value in vector]


@dataclass
class Double:
    """What the service does, and what it saw.

    Args:
        url: Its base.
        script: Behaviours of the next requests for vectors, one each; then `always`.
        always: Behaviour when the script is at its end.
        listing: Answer to `GET /models`: status and JSON.
        info: Answer to `GET /info`.
        asked: Texts of every request for vectors, in the order in which they came.
        bodies: JSON of every request for vectors.
        headers: Headers of every request.
        paths: Method and path of every request.
        most_at_once: Most requests for vectors that were under way together since it was last set to 0.
        released: Ends the wait of `hang`.
    """

    url: str = ""
    script: deque[Behaviour] = field(default_factory=deque)
    always: Behaviour = field(default=lambda handler, body: handler.send_data(data_of(body)))
    listing: tuple[int, object] = (404, {"error": {"message": "no such route"}})
    info: tuple[int, object] = (404, "not found")
    asked: list[list[str]] = field(default_factory=list)
    bodies: list[dict] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    most_at_once: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    under_way: int = 0

    @property
    def texts(self) -> list[str]:
        """Every text that was asked, as often as it was."""
        return [text for texts in self.asked for text in texts]

    def come(self, body: dict) -> Behaviour:
        """Notes a request, and gives what it will get."""
        with self.lock:
            self.asked.append(list(body["input"]))
            self.bodies.append(body)
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
            return self.script.popleft() if self.script else self.always

    def leave(self) -> None:
        """Notes that a request has its answer."""
        with self.lock:
            self.under_way -= 1


class Handler(BaseHTTPRequestHandler):
    """One connection; its class attribute is the double that it serves."""

    double: Double
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: the second would wait 40 ms for an acknowledgement

    def do_GET(self) -> None:
        self._note()
        path = urlsplit(self.path).path
        status, answer = {"/v1/models": self.double.listing, "/info": self.double.info}.get(path, (404, {}))
        self.send_json(status, answer)

    def do_POST(self) -> None:
        self._note()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour = self.double.come(body)
        try:
            # The client may be gone: it was closed, or waited long enough.
            with contextlib.suppress(ConnectionError):
                behaviour(self, body)
        finally:
            self.double.leave()

    def do_CONNECT(self) -> None:
        self._note()
        self.send_json(502, {"message": "no way out"})

    def _note(self) -> None:
        with self.double.lock:
            self.double.paths.append(f"{self.command} {self.path}")
            self.double.headers.append(dict(self.headers))

    def send_data(self, data: list[dict]) -> None:
        self.send_json(200, {"object": "list", "data": data, "model": MODEL})

    def send_json(self, status: int, answer: object, headers: Mapping[str, str] | None = None) -> None:
        self.send_body(status, json.dumps(answer).encode(), headers)

    def send_body(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def refuses(status: int, message: str = "", **headers: str) -> Behaviour:
    """Answers with an error in OpenAI's form."""

    def behave(handler: Handler, body: dict) -> None:  # noqa: ARG001
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.send_json(status, {"error": {"message": message}}, named)

    return behave


def edits(change: Callable[[list[dict]], list[dict]]) -> Behaviour:
    """Answers rightly but for a change of the list `data`."""

    def behave(handler: Handler, body: dict) -> None:
        handler.send_data(change(data_of(body)))

    return behave


def refuses_texts(judge: Callable[[list[str]], bool], status: int, message: str) -> Behaviour:
    """Refuses the batches that `judge` tells, and answers the others."""

    def behave(handler: Handler, body: dict) -> None:
        if judge(body["input"]):
            refuses(status, message)(handler, body)
        else:
            handler.send_data(data_of(body))

    return behave


def drops(handler: Handler, body: dict) -> None:
    """Ends the connection in the middle of a right answer."""
    content = json.dumps({"data": data_of(body)}).encode()
    handler.send_body(200, content[: len(content) // 2], {"Content-Length": str(len(content))})
    handler.close_connection = True


def truncates(handler: Handler, body: dict) -> None:
    """Sends half of a right answer as if it were whole."""
    content = json.dumps({"data": data_of(body)}).encode()
    handler.send_body(200, content[: len(content) // 2])


def hangs(handler: Handler, body: dict) -> None:
    """Answers only when the test is over."""
    handler.double.released.wait(30)
    handler.send_data(data_of(body))


def floods(handler: Handler, body: dict) -> None:  # noqa: ARG001
    """Answers with far more than the vectors of the texts can be."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 30))
    handler.end_headers()
    for _ in range(1 << 10):
        handler.wfile.write(b" " * (1 << 20))


@contextmanager
def serving() -> Iterator[Double]:
    """A double on a free port while the block runs."""
    double = Double()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("DoubleHandler", (Handler,), {"double": double}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield double
    double.released.set()
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)
