"""The calls of the Albert API that publication needs.

What belongs here: collections, documents and chunks over HTTP, page by page. What does not: what should be there
(`albert_records.py`) and the order of things (`albert.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mediatech_assets.release.publication.http import (
    NoAnswerError,
    Pacing,
    RefusedError,
    SinkClient,
    SinkService,
)

Visibility = Literal["private", "public"]

_PER_PAGE = 100
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of the service; `documents` is nothing when the service does not count them."""

    id: str
    description: str
    documents: int | None


class AlbertService(SinkService):
    """One account's view of the API; may be used by several threads.

    Args:
        url: Address of the API, `/v1` included.
        key: Its key.
        pacing: Patience with it.
    """

    def __init__(self, url: str, key: str, pacing: Pacing) -> None:
        super().__init__(SinkClient(url, {"Authorization": f"Bearer {key}"}, key, pacing))

    def collections(self, name: str) -> list[Mapping[str, Any]]:
        """Collections of this name that the account sees, those of others among them."""
        # A version of the service that does not know the filter sends all.
        return [item for item in self._pages("collections", {"name": name}) if item["name"] == name]

    def owned(self, candidates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The collections of the account itself: a listing also shows the public ones of others."""
        public = [item for item in candidates if item.get("visibility") == "public"]
        account = self._account() if public else ""
        return [
            item for item in candidates if item not in public or (account and item.get("owner") == account)
        ]

    def _account(self) -> str:
        """Mail address of the account, as collections name their owner; empty when the service does not tell."""
        try:
            return str((self._client.ask("GET", "me/info") or {}).get("email") or "")
        except RefusedError as refusal:
            if refusal.status == _NOT_FOUND:
                return ""
            raise

    def create_collection(self, name: str, description: str, visibility: Visibility) -> str:
        """Makes a collection, and gives its identifier."""
        body = {"name": name, "description": description, "visibility": visibility}
        return _identifier(self._client.ask("POST", "collections", json=body))

    def describe(self, collection: str, description: str) -> None:
        """Changes the description of a collection."""
        self._client.ask("PATCH", f"collections/{collection}", json={"description": description})

    def documents(self, collection: str, name: str = "") -> Iterator[Mapping[str, Any]]:
        """Documents of a collection, or those of one name."""
        named = {"name": name} if name else {}
        for item in self._pages("documents", {"collection_id": collection, **named}):
            if not name or item["name"] == name:
                yield item

    def create_document(self, collection: str, name: str) -> str:
        """Makes a document without content, and gives its identifier."""
        fields = {"collection_id": collection, "name": name, "disable_chunking": "true"}
        # Without a file, httpx sends a multipart form only if told so field by field.
        parts = {key: (None, value) for key, value in fields.items()}
        return _identifier(self._client.ask("POST", "documents", files=parts))

    def add_chunks(self, remote_id: str, chunks: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Appends chunks to a document, and gives their identifiers in order."""
        answer = self._client.ask("POST", f"documents/{remote_id}/chunks", json={"chunks": list(chunks)})
        ids = answer.get("ids") if isinstance(answer, dict) else None
        if not isinstance(ids, list) or len(ids) != len(chunks):
            raise NoAnswerError(
                f"POST documents/{remote_id}/chunks did not acknowledge the {len(chunks)} chunks it was sent",
                answered=True,
            )
        return ids

    def delete(self, remote_id: str) -> None:
        """Deletes a document; one that is gone already is as good."""
        try:
            self._client.ask("DELETE", f"documents/{remote_id}")
        except RefusedError as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def _pages(self, path: str, parameters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        seen: set[str] = set()
        for offset in range(0, 1 << 31, _PER_PAGE):
            page = {"limit": _PER_PAGE, "offset": offset, "order_by": "id"}
            answer = self._client.ask("GET", path, params={**parameters, **page})
            items = answer.get("data") if isinstance(answer, dict) else None
            if not isinstance(items, list):
                raise RefusedError(200, f"GET {path} answered without a list `data`")
            fresh = [item for item in items if str(item["id"]) not in seen]
            yield from fresh
            seen.update(str(item["id"]) for item in fresh)
            if len(items) < _PER_PAGE or not fresh:
                return


def _identifier(answer: object) -> str:
    if not isinstance(answer, dict) or "id" not in answer:
        raise RefusedError(201, "the service made something and did not say its id")
    return str(answer["id"])
