"""The calls of the API of data.gouv.fr that publication needs.

What belongs here: datasets, resources and uploads over HTTP. What does not: what they should be
(`data_gouv_metadata.py`) and the order of things (`data_gouv.py`).
"""

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mediatech_assets.release.publication.http import (
    NoAnswerError,
    Pacing,
    RefusedError,
    SinkClient,
    SinkService,
)

_PER_PAGE = 100
_NOT_FOUND = 404
_BAD_REQUEST = 400

Json = Mapping[str, Any]


class DataGouvService(SinkService):
    """One account's view of the API.

    Args:
        url: Address of the API, `/api/1` included.
        key: Its key.
        pacing: Patience with it.
        part_bytes: Bytes of a part of an upload.
    """

    def __init__(self, url: str, key: str, pacing: Pacing, part_bytes: int) -> None:
        super().__init__(SinkClient(url, {"X-API-KEY": key}, key, pacing))
        self._part_bytes = part_bytes

    def organization(self, name: str) -> str:
        """Identifier of the organisation with this identifier or slug."""
        return str(_object(self._client.ask("GET", f"organizations/{name}/"))["id"])

    def datasets(self, organization: str) -> Iterator[Json]:
        """Datasets of an organisation, private and deleted ones too if the account is a member."""
        page = 1
        while True:
            parameters = {"organization": organization, "page": page, "page_size": _PER_PAGE}
            answer = _object(self._client.ask("GET", "datasets/", params=parameters))
            yield from answer["data"]
            if not answer.get("next_page"):
                return
            page += 1

    def dataset(self, identifier: str) -> Json:
        """A dataset with its resources."""
        return _object(self._client.ask("GET", f"datasets/{identifier}/"))

    def create_dataset(self, metadata: Json) -> Json:
        """Makes a dataset."""
        return _object(self._client.ask("POST", "datasets/", json=metadata))

    def update_dataset(self, identifier: str, metadata: Json) -> Json:
        """Changes a dataset; what is not told stays, but for `private`, which becomes false."""
        return _object(self._client.ask("PUT", f"datasets/{identifier}/", json=metadata))

    def create_link(self, dataset: str, resource: Json) -> Json:
        """Adds a remote resource."""
        return _object(self._client.ask("POST", f"datasets/{dataset}/resources/", json=resource))

    def update_resource(self, dataset: str, identifier: str, resource: Json) -> Json:
        """Changes the metadata of a resource, and the address of a remote one."""
        path = f"datasets/{dataset}/resources/{identifier}/"
        return _object(self._client.ask("PUT", path, json=resource))

    def delete_resource(self, dataset: str, identifier: str) -> None:
        """Deletes a resource; one that is gone already is as good."""
        try:
            self._client.ask("DELETE", f"datasets/{dataset}/resources/{identifier}/")
        except RefusedError as refusal:
            if refusal.status != _NOT_FOUND:
                raise

    def upload(self, dataset: str, resource: str, file: Path, name: str) -> Json:
        """Uploads a file once, in parts when it is long.

        Every try has an identifier of its own: the site refuses a part that it already has.

        Args:
            dataset: Identifier of the dataset.
            resource: Identifier of the resource whose file is replaced; empty: a new one is made.
            file: The file.
            name: Name that it gets there.

        Raises:
            RefusedError: the site does not take it.
            NoAnswerError: it is not known whether the site has it.
        """
        path = f"datasets/{dataset}/{f'resources/{resource}/' if resource else ''}upload/"
        size = file.stat().st_size
        parts = max(1, -(-size // self._part_bytes))
        if parts == 1:
            return _object(self._send(path, {}, (name, file.read_bytes())))
        identifier = str(uuid.uuid4())
        with file.open("rb") as content:
            for index in range(parts):
                part = content.read(self._part_bytes)
                fields = _fields(identifier, name, index, index * self._part_bytes, parts, len(part))
                self._send(path, fields, (name, part))
        # Without a file: the parts are put together.
        last = (parts - 1) * self._part_bytes
        return _object(self._send(path, _fields(identifier, name, parts - 1, last, parts, size - last), None))

    def _send(self, path: str, fields: Mapping[str, str], file: tuple[str, bytes] | None) -> object:
        form: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
        if file is not None:
            form["file"] = (*file, "application/octet-stream")
        try:
            answer = self._client.ask("POST", path, files=form)
        except RefusedError as refusal:
            if refusal.status == _BAD_REQUEST and "size mismatch" in refusal.said.lower():
                raise NoAnswerError(refusal.said, answered=True) from None  # cut on its way: once more
            raise
        if isinstance(answer, dict) and answer.get("success") is False:
            raise RefusedError(_BAD_REQUEST, f"POST {path}: {answer.get('error') or 'no success'}")
        return answer


def _fields(identifier: str, name: str, index: int, offset: int, parts: int, size: int) -> dict[str, str]:
    return {
        "uuid": identifier,
        "filename": name,
        "partindex": str(index),
        "partbyteoffset": str(offset),
        "totalparts": str(parts),
        "chunksize": str(size),
    }


def _object(answer: object) -> Json:
    if not isinstance(answer, dict):
        raise RefusedError(200, "the API answered with something else than a JSON object")
    return answer
