"""An HTTP front that speaks Qdrant's REST paths over qdrant-client's in-memory mode.

What belongs here: the paths and JSON of what `index/client.py` asks, what a server has and the in-memory mode has
not (a queue of updates, a graph to build, payload indexes, snapshots, a key), and faults on demand. What does not:
anything of ours. It is no Qdrant server: search is the client's own, and so is everything it accepts or refuses.
"""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from qdrant_client import QdrantClient, models

#: Looks at a collection that a server calls yellow after it was told to build a graph.
_LOOKS_WHILE_BUILDING = 2


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    size: int


class RefusedError(Exception):
    """An answer with another status than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class _ServerSide:
    """What a server keeps of a collection beside what the in-memory mode keeps."""

    settings: dict[str, Any] = field(default_factory=dict)
    indexed: dict[str, str] = field(default_factory=dict)
    waiting: list[Callable[[], object]] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    looks_until_green: int = 0
    red: bool = False


class QdrantFront:
    """The collections and the behaviour of one server.

    Args:
        key: What every request has to carry; empty: nothing.

    Attributes:
        requests: Everything asked so far.
        client: The collections themselves: what somebody else on the server would change.
        url: Where it answers.
        ended: Set when it ends.
    """

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.requests: list[Request] = []
        self.client = QdrantClient(":memory:")
        self.url = ""
        self.ended = threading.Event()
        self._sides: dict[str, _ServerSide] = defaultdict(_ServerSide)
        self._faults: list[tuple[re.Pattern[str], str]] = []
        self._turn = threading.RLock()

    def fail(self, where: str, *faults: str) -> None:
        """Answer the next requests whose `METHOD path` matches `where` with these faults, one each.

        Args:
            where: Regular expression.
            faults: A status (`503`), `drop` (the connection closes after the work is done, without an answer),
                `html` (a page of a proxy), `hang` (no answer before the front ends), or `lose` (an update is
                acknowledged and never done).
        """
        with self._turn:
            self._faults += [(re.compile(where), fault) for fault in faults]

    def break_optimiser(self, collection: str) -> None:
        """Call a collection red from now on."""
        self._sides[collection].red = True

    def settings(self, collection: str) -> dict[str, Any]:
        """The body that created a collection, with what was changed since."""
        return self._sides[collection].settings

    def indexed(self, collection: str) -> dict[str, str]:
        """Fields with a payload index, and their types."""
        return self._sides[collection].indexed

    def answer(self, request: Request, key: str) -> tuple[int, bytes] | None:
        """Status and body, or none to close the connection."""
        with self._turn:
            self.requests.append(request)
            fault = self._next_fault(request)
        if fault == "hang":
            self.ended.wait(30)
            return None
        with self._turn:
            if fault.isdigit():
                return int(fault), _error(f"fault {fault}")
            if fault == "html":
                return 200, b"<html>Bienvenue</html>"
            try:
                if self.key and key != self.key:
                    raise RefusedError(401, "Invalid API key or JWT")
                result = self._result(request, lose=fault == "lose")
            except RefusedError as error:
                return error.status, _error(str(error))
            except ValueError as error:
                return _status_of(str(error)), _error(str(error))
            if fault == "drop":
                return None
            return 200, json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()

    def _next_fault(self, request: Request) -> str:
        for number, (where, fault) in enumerate(self._faults):
            if where.search(f"{request.method} {request.path}"):
                del self._faults[number]
                return fault
        return ""

    def _result(self, request: Request, *, lose: bool) -> Any:
        match [request.method, *request.path.strip("/").split("/")]:
            case ["GET", "collections"]:
                return _json(self.client.get_collections())
            case ["GET", "aliases"]:
                return _json(self.client.get_aliases())
            case ["POST", "collections", "aliases"]:
                changes = models.ChangeAliasesOperation(**request.body)
                return self.client.update_collection_aliases(changes.actions)
            case [method, "collections", name]:
                return self._collection(method, name, request.body)
            case ["PUT", "collections", name, "index"]:
                self._existing(name)
                self._sides[name].indexed[request.body["field_name"]] = request.body["field_schema"]
                return _updated("completed")
            case ["POST", "collections", name, "snapshots"]:
                self._existing(name)
                snapshot = f"{name}-{len(self._sides[name].snapshots)}.snapshot"
                self._sides[name].snapshots.append(snapshot)
                return {"name": snapshot, "creation_time": "2026-11-22T00:00:00", "size": 1}
            case [method, "collections", name, "points", *rest]:
                return self._points(method, name, "/".join(rest), request, lose=lose)
        raise RefusedError(404, "")

    def _collection(self, method: str, name: str, body: Any) -> Any:
        if method == "PUT":
            wanted = models.CreateCollection(**body)
            created = self.client.create_collection(
                name, wanted.vectors, sparse_vectors_config=wanted.sparse_vectors, metadata=wanted.metadata
            )
            self._sides[name] = _ServerSide(settings=body)
            return created
        self._existing(name)
        side = self._sides[name]
        if method == "DELETE":
            del self._sides[name]
            return self.client.delete_collection(name)
        if method == "PATCH":
            models.UpdateCollection(**body)
            side.settings |= body
            side.looks_until_green = _LOOKS_WHILE_BUILDING
            return True
        return self._looked_at(name, side)

    def _looked_at(self, name: str, side: _ServerSide) -> Any:
        info = _json(self.client.get_collection(name))
        info["payload_schema"] = {
            field: {"data_type": kind, "points": 0} for field, kind in side.indexed.items()
        }
        info["update_queue"] = {"length": len(side.waiting)}
        self._work(side, 1)
        if side.red:
            info |= {"status": "red", "optimizer_status": {"error": "No space left on device"}}
        elif side.looks_until_green:
            side.looks_until_green -= 1
            info["status"] = "yellow"
        return info

    def _points(self, method: str, name: str, what: str, request: Request, *, lose: bool) -> Any:
        self._existing(name)
        body, side = request.body, self._sides[name]
        match method, what:
            case "PUT", "":
                points = models.PointsList(**body).points
                update = lambda: self.client.upsert(name, points)  # noqa: E731
            case "POST", "delete":
                selector = models.PointIdsList(**body)
                update = lambda: self.client.delete(name, selector)  # noqa: E731
            case _:
                return self._read(name, method, what, body)
        if not lose:
            side.waiting.append(update)
        if request.query.get("wait") != "true":
            return _updated("acknowledged")
        self._work(side, len(side.waiting))
        return _updated("completed")

    def _work(self, side: _ServerSide, updates: int) -> None:
        """Do the oldest waiting updates, in their order."""
        for update in side.waiting[:updates]:
            update()
        del side.waiting[:updates]

    def _read(self, name: str, method: str, what: str, body: Any) -> Any:
        match method, what:
            case "POST", "":
                wanted = models.PointRequest(**body)
                return _json_list(
                    self.client.retrieve(
                        name, wanted.ids, wanted.with_payload or False, wanted.with_vector or False
                    )
                )
            case "POST", "count":
                return _json(self.client.count(name))
            case "POST", "scroll":
                page = models.ScrollRequest(**body)
                records, offset = self.client.scroll(
                    name, limit=page.limit or 10, offset=page.offset, with_payload=page.with_payload or False
                )
                return {"points": _json_list(records), "next_page_offset": offset}
            case "POST", "query/batch":
                searches = models.QueryRequestBatch(**body).searches
                for search in searches:
                    search.params = None  # means nothing in memory, and the client would warn
                return _json_list(self.client.query_batch_points(name, searches))
        raise RefusedError(404, "")

    def _existing(self, name: str) -> None:
        if not self.client.collection_exists(name):
            raise RefusedError(404, f"Not found: Collection `{name}` doesn't exist!")


@contextmanager
def qdrant_front(key: str = "") -> Iterator[QdrantFront]:
    """A front on a free port of this machine, until the block ends."""
    front = QdrantFront(key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(front))
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), name="qdrant-front", daemon=True)
    thread.start()
    front.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield front
    finally:
        front.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def _handler(front: QdrantFront) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_request(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            content = self.rfile.read(size)
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = json.loads(content) if content else {}
            request = Request(self.command, unquote(parts.path), query, body, size)
            answer = front.answer(request, self.headers.get("api-key", ""))
            if answer is None:
                self.close_connection = True
                return
            status, content = answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_request

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test's output is the test's."""

    return Handler


def _error(message: str) -> bytes:
    return json.dumps({"status": {"error": message}, "time": 0.0}).encode()


def _status_of(message: str) -> int:
    if "not found" in message:
        return 404
    return 409 if "already exists" in message else 400


def _updated(status: str) -> dict[str, Any]:
    return {"operation_id": 0, "status": status}


def _json(model: Any) -> Any:
    return json.loads(model.model_dump_json())


def _json_list(found: list[Any]) -> list[Any]:
    return [_json(model) for model in found]
