"""The API of data.gouv.fr as its clients know it, over real HTTP.

What belongs here: organisations, datasets, resources and uploads with the habits of udata, as far as they are known
from its public sources: `private` that is not sent becomes false, extras are replaced whole, a hosted resource never
becomes a link, parts of an upload are taken once. What does not: search, moderation, and tests.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mediatech_assets_tests.doubles.service import Double, Refusal, Request

EDITOR_KEY = "double-of-an-editors-key"
READER_KEY = "double-of-a-readers-key"
ORGANIZATION = "63e3ae4082ddaa6c806b8417"
SLUG = "mediatech"

#: In the former enumeration and in the present one.
_FREQUENCIES = frozenset(
    {"unknown", "irregular", "daily", "weekly", "biweekly", "monthly", "bimonthly", "quarterly", "annual"}
)
_TYPES = frozenset({"main", "documentation", "update", "api", "code", "other"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass
class DataGouvDouble(Double):
    """The site.

    Args:
        extensions: Extensions of files that it hosts.
        most_bytes: Longest file or part that it takes.
        read_only: Whether it takes no change at all.
        damage: Changes the bytes of an upload on their way.
        forgotten: Tags that the hub, which the site's links lead to, does not have any more.
        datasets: Datasets by identifier.
        hosted: Content of hosted resources, by identifier.
    """

    extensions: frozenset[str] = frozenset({"parquet", "json", "jsonld", "md", "csv"})
    most_bytes: int = 1 << 30
    read_only: bool = False
    damage: Callable[[bytes], bytes] = field(default=lambda content: content)
    forgotten: set[str] = field(default_factory=set)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosted: dict[str, bytes] = field(default_factory=dict)
    _parts: dict[tuple[str, int], bytes] = field(default_factory=dict)

    @property
    def only(self) -> dict[str, Any]:
        """The one dataset."""
        (dataset,) = self.datasets.values()
        return dataset

    def resources(self) -> dict[str, dict[str, Any]]:
        """Resources of the one dataset by title; no title is there twice."""
        found = {item["title"]: item for item in self.only["resources"]}
        assert len(found) == len(self.only["resources"]), "a resource is there twice"
        return found

    @property
    def hub(self) -> str:
        """Address of the dataset on the hub."""
        return f"{self.url}/hub/datasets/AgentPublic/code"

    def answer(self, request: Request) -> tuple[int, object]:
        if request.path.startswith("/hub/"):
            return self._linked(request)
        key = request.headers.get("x-api-key")
        if key not in {EDITOR_KEY, READER_KEY}:
            raise Refusal(401, {"message": "Invalid API Key"})
        if request.method != "GET":
            if self.read_only:
                raise Refusal(423, {"message": "The site is read only"})
            if key == READER_KEY:
                raise Refusal(403, {"message": "You do not have the permission to edit this dataset"})
        for method, pattern, behaviour in self._routes():
            match = re.fullmatch(f"/api/1/{pattern}", request.path)
            if match and method == request.method:
                return behaviour(request, *match.groups())
        raise Refusal(404, {"message": "Not Found"})

    def _routes(self) -> list[tuple[str, str, Callable[..., tuple[int, object]]]]:
        resource = r"datasets/([^/]+)/resources/([^/]+)/"
        return [
            ("GET", "organizations/([^/]+)/", self._organization),
            ("GET", "datasets/", self._list),
            ("POST", "datasets/", self._create),
            ("GET", "datasets/([^/]+)/", lambda request, key: (200, self._dataset(key))),  # noqa: ARG005
            ("PUT", "datasets/([^/]+)/", self._update),
            ("POST", "datasets/([^/]+)/resources/", self._link),
            ("POST", "datasets/([^/]+)/upload/", self._upload_new),
            ("POST", f"{resource}upload/", self._upload_again),
            ("PUT", resource, self._describe),
            ("DELETE", resource, self._delete),
        ]

    def _linked(self, request: Request) -> tuple[int, object]:
        assert "x-api-key" not in request.headers, "the key is for the site alone"
        tag = request.path.removeprefix("/hub/datasets/AgentPublic/code/resolve/").partition("/")[0]
        return (404 if tag in self.forgotten else 200), None

    def _organization(self, request: Request, name: str) -> tuple[int, object]:  # noqa: ARG002
        if name not in {ORGANIZATION, SLUG}:
            raise Refusal(404, {"message": "Organization not found"})
        return 200, {"id": ORGANIZATION, "slug": SLUG}

    def _list(self, request: Request) -> tuple[int, object]:
        if not re.fullmatch(r"[0-9a-f]{24}", request.query.get("organization", "")):
            raise Refusal(400, {"message": "Organization arg must be an identifier"})
        # As small pages as the site would have with many datasets.
        page, size = int(request.query["page"]), 2
        items = [
            item for item in self.datasets.values() if item["organization"] == request.query["organization"]
        ]
        more = page * size < len(items)
        return 200, {
            "data": items[(page - 1) * size : page * size],
            "next_page": f"{self.url}/api/1/datasets/?page={page + 1}" if more else None,
            "total": len(items),
        }

    def add_dataset(self, **facts: Any) -> dict[str, Any]:
        """Puts a dataset there as a person would."""
        key = uuid.uuid4().hex[:24]
        dataset = {
            "id": key,
            "page": f"{self.url}/datasets/{key}/",
            "organization": ORGANIZATION,
            "private": False,
            "deleted": None,
            "extras": {},
            "resources": [],
            **facts,
        }
        self.datasets[key] = dataset
        return dataset

    def _create(self, request: Request) -> tuple[int, object]:
        body = request.json
        _require_dataset(body)
        return 201, self.add_dataset(**{**body, "private": body.get("private", False)})

    def _dataset(self, key: str) -> dict[str, Any]:
        if key not in self.datasets:
            raise Refusal(404, {"message": "Dataset not found"})
        return self.datasets[key]

    def _living(self, key: str) -> dict[str, Any]:
        dataset = self._dataset(key)
        if dataset["deleted"]:
            raise Refusal(410, {"message": "Dataset has been deleted"})
        return dataset

    def _update(self, request: Request, key: str) -> tuple[int, object]:
        dataset, body = self._living(key), request.json
        _require_dataset(body)
        dataset.update({**body, "private": body.get("private", False)})
        return 200, dataset

    def _link(self, request: Request, key: str) -> tuple[int, object]:
        dataset, body = self._living(key), request.json
        if body.get("filetype") != "remote":
            raise Refusal(400, {"message": "This endpoint only supports remote resources"})
        _require_resource(body)
        resource = {"id": str(uuid.uuid4()), **body}
        dataset["resources"].append(resource)
        return 201, resource

    def _resource(self, key: str, identifier: str) -> dict[str, Any]:
        for resource in self._living(key)["resources"]:
            if resource["id"] == identifier:
                return resource
        raise Refusal(404, {"message": "Resource does not exist"})

    def _describe(self, request: Request, key: str, identifier: str) -> tuple[int, object]:
        resource, body = self._resource(key, identifier), request.json
        _require_resource(body)
        if body["filetype"] != resource["filetype"]:
            raise Refusal(400, {"message": "Cannot modify filetype after creation"})
        fixed = {"url": resource["url"]} if resource["filetype"] == "file" else {}
        resource.update(body | fixed)
        return 200, resource

    def _delete(self, request: Request, key: str, identifier: str) -> tuple[int, object]:  # noqa: ARG002
        self._living(key)["resources"].remove(self._resource(key, identifier))
        self.hosted.pop(identifier, None)
        return 204, None

    def _upload_new(self, request: Request, key: str) -> tuple[int, object]:
        dataset = self._living(key)
        taken = self._take(request)
        if taken is None:
            return 200, {"success": True, "error": None}
        resource = {"id": str(uuid.uuid4()), "filetype": "file", "type": "main", "extras": {}}
        dataset["resources"].append(resource)
        return 201, self._host(resource, *taken)

    def _upload_again(self, request: Request, key: str, identifier: str) -> tuple[int, object]:
        resource = self._resource(key, identifier)
        taken = self._take(request)
        if taken is None:
            return 200, {"success": True, "error": None}
        return 200, self._host(resource, *taken)

    def _take(self, request: Request) -> tuple[str, bytes] | None:
        """Name and content of a file that is there whole."""
        fields, files = request.form, request.files
        if int(fields.get("totalparts", 1)) <= 1:
            if "file" not in files:
                raise Refusal(400, {"success": False, "error": "Missing file parameter"})
            name, content = files["file"]
        elif "file" in files:
            self._keep_part(fields, files["file"][1])
            return None
        else:
            name = fields["filename"]
            parts = [(fields["uuid"], index) for index in range(int(fields["totalparts"]))]
            self._require_extension(name)
            content = b"".join(self._parts.pop(part) for part in parts)
        self._require_extension(name)
        if len(content) > self.most_bytes:
            raise Refusal(413, {"message": "Request Entity Too Large"})
        return name, self.damage(content)

    def _keep_part(self, fields: Mapping[str, str], content: bytes) -> None:
        part = (fields["uuid"], int(fields["partindex"]))
        if len(self.damage(content)) != int(fields["chunksize"]):
            raise Refusal(400, {"success": False, "error": "Chunk size mismatch"})
        if part in self._parts:
            raise Refusal(400, {"success": False, "error": "File already exists"})
        self._parts[part] = content

    def _require_extension(self, name: str) -> None:
        if name.rpartition(".")[2] not in self.extensions:
            raise Refusal(400, {"message": "This file type is not allowed"})

    def _host(self, resource: dict[str, Any], name: str, content: bytes) -> dict[str, Any]:
        normal = re.sub(r"[^a-z0-9.]+", "-", name.lower())
        self.hosted[resource["id"]] = content
        resource.update(
            title=normal,
            url=f"{self.url}/resources/{uuid.uuid4().hex}/{normal}",
            format=normal.rpartition(".")[2],
            mime="application/octet-stream",
            filesize=len(content),
            checksum={"type": "sha1", "value": hashlib.sha1(content, usedforsecurity=False).hexdigest()},
        )
        return {**resource, "success": True}


def _require_dataset(body: Mapping[str, Any]) -> None:
    errors = {}
    if not 1 <= len(body.get("title", "")) <= 350:
        errors["title"] = ["Field must be between 1 and 350 characters long."]
    if not 1 <= len(body.get("description", "")) <= 100_000:
        errors["description"] = ["Field must be between 1 and 100000 characters long."]
    if body.get("frequency") not in _FREQUENCIES:
        errors["frequency"] = ["Not a valid choice"]
    if body.get("license") not in {"lov2", "notspecified"}:
        errors["license"] = ["Unknown identifier"]
    if body.get("organization") != ORGANIZATION:
        errors["organization"] = ["Unknown identifier"]
    if not isinstance(body.get("private", False), bool):
        errors["private"] = ["Not a boolean"]
    for day in (body.get("temporal_coverage") or {}).values():
        if not _DAY.fullmatch(day):
            errors["temporal_coverage"] = ["Unable to parse date range"]
    if errors:
        raise Refusal(400, {"message": "Validation error", "errors": errors})


def _require_resource(body: Mapping[str, Any]) -> None:
    errors = {}
    if not body.get("title"):
        errors["title"] = ["This field is required."]
    if body.get("type") not in _TYPES:
        errors["type"] = ["Not a valid choice"]
    if body.get("filetype") == "remote" and not str(body.get("url", "")).startswith("http"):
        errors["url"] = ["Invalid URL"]
    if errors:
        raise Refusal(400, {"message": "Validation error", "errors": errors})
