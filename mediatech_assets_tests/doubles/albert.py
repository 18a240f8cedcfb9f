"""The Albert API's collections as their clients know them, over real HTTP.

What belongs here: collections, documents and chunks with the limits and refusals of OpenGateRAG, as far as they are
known from its public sources. What does not: embeddings and search, and tests.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediatech_assets_tests.doubles.service import Double, Refusal, Request

KEY = "sk-doubleOfAnAlbertKey"
ACCOUNT = "mediatech@example.org"

_MOST_CHUNKS = 64
_MOST_CHARACTERS = 20 * 1024 * 1024
_LONGEST = 255


@dataclass(slots=True)
class Document:
    """A document that the service holds."""

    collection: int
    name: str
    chunks: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class AlbertDouble(Double):
    """The service.

    Args:
        may_publish: Whether the account may make public collections.
        judge: Tells the status that a call with chunks is refused with; 0 when it is taken.
        collections: Collections by identifier.
        documents: Documents by identifier.
    """

    may_publish: bool = False
    judge: Callable[[Sequence[Mapping[str, Any]]], int] = field(default=lambda chunks: 0)  # noqa: ARG005
    collections: dict[int, dict[str, Any]] = field(default_factory=dict)
    documents: dict[int, Document] = field(default_factory=dict)
    _last: int = 0

    def held(self, name: str) -> dict[str, list[str]]:
        """Texts of the documents of the collection of this name, by our identifiers; each is there once."""
        (collection,) = [key for key, item in self.collections.items() if item["name"] == name]
        mine = [item for item in self.documents.values() if item.collection == collection]
        found = {item.name.rpartition("@")[0]: [chunk["content"] for chunk in item.chunks] for item in mine}
        assert len(found) == len(mine), "a document is there twice"
        return found

    def answer(self, request: Request) -> tuple[int, object]:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refusal(403, "Invalid API key.")
        for method, pattern, behaviour in self._routes():
            match = re.fullmatch(f"/v1/{pattern}", request.path)
            if match and method == request.method:
                return behaviour(request, *map(int, match.groups()))
        raise Refusal(404, "Not Found")

    def _routes(self) -> list[tuple[str, str, Callable[..., tuple[int, object]]]]:
        return [
            ("GET", "me/info", lambda request: (200, {"email": ACCOUNT})),  # noqa: ARG005
            ("GET", "collections", self._list_collections),
            ("POST", "collections", self._create_collection),
            ("PATCH", r"collections/(\d+)", self._update_collection),
            ("GET", "documents", self._list_documents),
            ("POST", "documents", self._create_document),
            ("POST", r"documents/(\d+)/chunks", self._create_chunks),
            ("DELETE", r"documents/(\d+)", self._delete_document),
        ]

    def _identifier(self) -> int:
        self._last += 1
        return self._last

    def _list_collections(self, request: Request) -> tuple[int, object]:
        name = request.query.get("name")
        items = [
            {
                "id": key,
                **item,
                "documents": sum(one.collection == key for one in self.documents.values()),
            }
            for key, item in self.collections.items()
            if name in {None, item["name"]} and (item["owner"] == ACCOUNT or item["visibility"] == "public")
        ]
        return 200, _page(request, items)

    def _create_collection(self, request: Request) -> tuple[int, object]:
        body = request.json
        if body["visibility"] == "public" and not self.may_publish:
            raise Refusal(403, "Insufficient permission.")
        return 201, {
            "id": self.add_collection(body["name"], ACCOUNT, body["visibility"], body["description"])
        }

    def add_collection(
        self, name: str, owner: str, visibility: str = "private", description: str = ""
    ) -> int:
        """Makes a collection, and gives its identifier."""
        key = self._identifier()
        self.collections[key] = {
            "name": name,
            "owner": owner,
            "visibility": visibility,
            "description": description,
        }
        return key

    def _update_collection(self, request: Request, key: int) -> tuple[int, object]:
        self._own(key).update({name: value for name, value in request.json.items() if value is not None})
        return 204, None

    def _own(self, key: int) -> dict[str, Any]:
        if self.collections.get(key, {}).get("owner") != ACCOUNT:
            raise Refusal(404, "Collection not found.")
        return self.collections[key]

    def _list_documents(self, request: Request) -> tuple[int, object]:
        name, collection = request.query.get("name"), request.query.get("collection_id")
        items = [
            {"id": key, "name": item.name, "collection_id": item.collection, "chunks": len(item.chunks)}
            for key, item in self.documents.items()
            if name in {None, item.name} and collection in {None, str(item.collection)}
        ]
        return 200, _page(request, items)

    def _create_document(self, request: Request) -> tuple[int, object]:
        form = request.form
        if not 1 <= len(form.get("name", "")) <= _LONGEST:
            raise Refusal(
                422, [{"loc": ["body", "name"], "msg": "String should have at most 255 characters"}]
            )
        self._own(int(form["collection_id"]))
        key = self._identifier()
        self.documents[key] = Document(int(form["collection_id"]), form["name"])
        return 201, {"id": key}

    def _create_chunks(self, request: Request, key: int) -> tuple[int, object]:
        document, chunks = self._document(key), request.json["chunks"]
        for problem in _problems(chunks):
            raise Refusal(422, [{"loc": ["body", "chunks"], "msg": problem}])
        if status := self.judge(chunks):
            raise Refusal(status, "this text is not taken")
        first = len(document.chunks)
        document.chunks += chunks
        return 201, {"document_id": key, "ids": list(range(first, len(document.chunks)))}

    def _delete_document(self, request: Request, key: int) -> tuple[int, object]:  # noqa: ARG002
        self._document(key)
        del self.documents[key]
        return 204, None

    def _document(self, key: int) -> Document:
        if key not in self.documents:
            raise Refusal(404, "Document not found.")
        return self.documents[key]


def _problems(chunks: Sequence[Mapping[str, Any]]) -> list[str]:
    problems = []
    if not 1 <= len(chunks) <= _MOST_CHUNKS:
        problems.append("1 to 64 chunks")
    if sum(len(chunk["content"]) for chunk in chunks) > _MOST_CHARACTERS:
        problems.append("Chunks content total size exceeds 20MB")
    for chunk in chunks:
        metadata = chunk["metadata"]
        texts = [*metadata, *(value for value in metadata.values() if isinstance(value, str))]
        if not 1 <= len(metadata) <= 10 or not all(1 <= len(text) <= _LONGEST for text in texts):
            problems.append("metadata out of bounds")
        if not all(isinstance(value, str | int | float | bool) for value in metadata.values()):
            problems.append("metadata that is no scalar")
        if not chunk["content"].strip():
            problems.append("an empty text")
    return problems


def _page(request: Request, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    limit, offset = int(request.query.get("limit", 10)), int(request.query.get("offset", 0))
    if not 1 <= limit <= 100:
        raise Refusal(422, "limit out of bounds")
    return {"object": "list", "data": list(items)[offset : offset + limit]}
