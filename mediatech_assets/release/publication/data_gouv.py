"""data.gouv.fr: a dataset with a resource for each file of the release, linked or uploaded.

What belongs here: finding our dataset and resources again, what differs, and the order in which it is written. What
does not: metadata and the quality score (`data_gouv_metadata.py`), the API's calls (`data_gouv_service.py`).

Our dataset and our resources are known by their extras; others' resources are left alone. The API has no transaction:
resources are written first, vanished ones deleted, and the extra that names the release is written last, so that a
publication that did not end is recognised and done again. A resource is replaced in place: its stable link stays. A
new dataset is private until its last file is there.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mediatech_assets.errors import ConfigurationError, PublicationError
from mediatech_assets.layers import Sink
from mediatech_assets.progress import track
from mediatech_assets.release.publication.data_gouv_metadata import (
    dataset_metadata,
    expected_quality,
    metadata_digest,
    quality_notes,
    resource_metadata,
)
from mediatech_assets.release.publication.data_gouv_service import DataGouvService, Json
from mediatech_assets.release.publication.http import (
    NoAnswerError,
    Pacing,
    RefusedError,
    create_once,
    is_gone,
    repeated_without_answer,
    require_address,
    require_key,
    told_to_people,
)
from mediatech_assets.release.publication.sink import Plan, Published, Step
from mediatech_assets.release.stored import StoredFile, StoredRelease

Resources = Literal["remote", "upload"]

#: Extras of ours, on the dataset and on its resources.
_PREFIX = "mediatech:"
_DATASET = f"{_PREFIX}dataset"
_RELEASE = f"{_PREFIX}release"
_MANIFEST = f"{_PREFIX}manifest_sha256"
_METADATA = f"{_PREFIX}metadata_sha256"
_PATH = f"{_PREFIX}path"
_SHA256 = f"{_PREFIX}sha256"
_SHA1 = f"{_PREFIX}sha1"

#: What the site calls a resource that it hosts, and one that it links.
_FILETYPES: Mapping[Resources, str] = {"upload": "file", "remote": "remote"}

_PART_BYTES = 8_000_000
#: Digits of the SHA-256 in the name of an uploaded file.
_DIGITS = 12

_URL = "MEDIATECH_DATA_GOUV_URL"
_KEY = "MEDIATECH_DATA_GOUV_KEY"
_ORGANIZATION = "MEDIATECH_DATA_GOUV_ORGANIZATION"
_REMOTE = "the site may not take this kind of file: set MEDIATECH_DATA_GOUV_RESOURCES=remote to link to the hub instead"
#: An upload that is refused for what the file is: its extension, its content, its size.
_REFUSED_FILE = frozenset({400, 413, 415})
_REMEDIES = {
    400: "the site does not take a value; its own words say which",
    401: f"set {_KEY} to a valid API key of {_URL}",
    403: f"ask for an account that is editor of {_ORGANIZATION}, and set {_KEY} to its key",
    404: f"check {_URL} and {_ORGANIZATION}",
    410: "the dataset was deleted at data.gouv.fr: restore it in the site's administration",
    423: "the site takes no changes at the moment: run again later",
    429: "the account's limit is used up: run again later",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """A file of the release and what its resource lacks.

    Args:
        file: The file.
        resource: The resource that is its own; nothing when there is none.
        lacks: `nothing`, `metadata` (the bytes are there) or `content`.
    """

    file: StoredFile
    resource: Json | None
    lacks: Literal["nothing", "metadata", "content"]


@dataclass(frozen=True)
class _State:
    """What the site holds, beside what it should hold.

    Args:
        organization: Identifier of the organisation.
        dataset: Our dataset with its resources; nothing when there is none.
        metadata: The metadata that it should have.
        works: The files.
        surplus: Resources of ours that no file needs.
    """

    organization: str
    dataset: Json | None
    metadata: Mapping[str, Any]
    works: tuple[_Work, ...]
    surplus: tuple[Json, ...]

    @cached_property
    def to_do(self) -> list[_Work]:
        """The files that lack something, short ones first: a refusal of their kind comes early."""
        return sorted(
            (work for work in self.works if work.lacks != "nothing"), key=lambda work: work.file.bytes
        )


class DataGouvPublisher:
    """Publishes the releases of any dataset on data.gouv.fr.

    Args:
        url: Address of the API, such as `https://www.data.gouv.fr/api/1/`.
        key: API key.
        organization: Identifier or slug of the organisation that publishes.
        private: Whether the dataset is shown to the organisation only.
        resources: `remote` links to the files on the hub, `upload` sends them.
        hub_repository: Address of the dataset's repository on the hub, such as
            `https://huggingface.co/datasets/AgentPublic/legi`; links name the tag of the release. Needed for `remote`.
        pacing: Patience with the site.
        part_bytes: Bytes of a part of an upload.

    Raises:
        ConfigurationError: an address, the key or the organisation cannot be used.
    """

    sink = Sink.DATA_GOUV

    def __init__(
        self,
        *,
        url: str,
        key: str,
        organization: str,
        private: bool = False,
        resources: Resources = "remote",
        hub_repository: str = "",
        pacing: Pacing | None = None,
        part_bytes: int = _PART_BYTES,
    ) -> None:
        self._url = require_address(url, _URL)
        self._key = require_key(key, _KEY, "data.gouv.fr")
        if not re.fullmatch(r"[\w-]+", organization.strip()):
            raise ConfigurationError(
                f"{_ORGANIZATION} is no organisation: {organization!r}", "set it to its identifier or slug"
            )
        self._organization = organization.strip()
        self._private = private
        self._resources: Resources = resources
        self._hub = require_address(hub_repository, "the address on the hub") if resources == "remote" else ""
        self._pacing = pacing or Pacing()
        self._part_bytes = part_bytes

    def plan(self, release: StoredRelease) -> Plan:
        """See `Publisher.plan`; the notes tell the quality score to expect."""
        with self._told(release), self._service() as service:
            state = self._state(service, release)
        criteria = expected_quality(state.metadata, release.files)
        return Plan(
            self.sink,
            release.id,
            f"{self._organization}/{release.published_name}",
            tuple(self._steps(state, release)),
            (*quality_notes(criteria), *self._notes(state)),
        )

    def publish(self, release: StoredRelease) -> Published:
        """See `Publisher.publish`."""
        with self._told(release), self._service() as service:
            state = self._state(service, release)
            dataset = state.dataset or self._create(service, state, release)
            identifier = str(dataset["id"])
            total = sum(work.file.bytes for work in state.to_do)
            with track(f"{release.dataset}: data.gouv.fr", total, "bytes") as advance:
                for work in state.to_do:
                    self._bring(service, identifier, work, release)
                    advance(work.file.bytes)
            for resource in state.surplus:
                service.delete_resource(identifier, str(resource["id"]))
            described = state.dataset is None or self._is_outdated(state, release)
            changed = described or bool(state.to_do or state.surplus)
            if changed:
                dataset = service.update_dataset(identifier, self._whole(state, dataset, release))
            met = [criterion.met for criterion in expected_quality(state.metadata, release.files)]
            return Published(
                self.sink,
                release.id,
                str(dataset.get("page") or f"{self._url.partition('/api/')[0]}/datasets/{identifier}/"),
                changed=changed,
                facts={
                    "dataset_id": identifier,
                    "resources": len(state.works),
                    "written": len(state.to_do),
                    "deleted": len(state.surplus),
                    "expected_quality": round(sum(met) / len(met), 2),
                    "requests": service.requests,
                },
            )

    def remains(self, published_name: str, doc_ids: Sequence[str]) -> Sequence[str]:
        """See `Publisher.remains`."""
        several = f"{len(doc_ids):,} erased documents"
        if self._resources == "remote":
            return (
                f"data.gouv.fr: the dataset of {published_name} holds no file, only links to the hub; links to files "
                f"that held the {several} are replaced by the next publication, and what the hub keeps is said there.",
            )
        return (
            f"data.gouv.fr: the files of {published_name} hold the {several} until the next publication, which "
            "replaces every file that changed; as far as its public source tells, the site deletes what is replaced.",
            "data.gouv.fr: what the site keeps in backups, and copies that people downloaded, are not known here.",
        )

    def _service(self) -> DataGouvService:
        return DataGouvService(self._url, self._key, self._pacing, self._part_bytes)

    def _told(self, release: StoredRelease) -> AbstractContextManager[None]:
        return told_to_people(self.sink, release, _REMEDIES, _URL)

    def _state(self, service: DataGouvService, release: StoredRelease) -> _State:
        organization = service.organization(self._organization)
        dataset = self._find(service, organization, release)
        metadata = dataset_metadata(release, organization)
        resources = list(dataset["resources"]) if dataset else []
        works, surplus = self._compare(release, resources)
        works = self._without_dead_links(works, release)
        return _State(organization, dataset, metadata, works, surplus)

    def _find(self, service: DataGouvService, organization: str, release: StoredRelease) -> Json | None:
        """Our dataset of this name, with its resources.

        Raises:
            PublicationError: it was deleted there, or there are several.
        """
        mine = [
            item
            for item in service.datasets(organization)
            if (item.get("extras") or {}).get(_DATASET) == release.published_name
        ]
        living = [str(item["id"]) for item in mine if not item.get("deleted")]
        named = f"{self.sink.value}: release {release.id} of {release.dataset} is not published"
        if len(living) > 1:
            raise PublicationError(
                f"{named}: the organisation has several datasets whose extra {_DATASET} is "
                f"{release.published_name}: {', '.join(living)}",
                "delete all but one of them at data.gouv.fr (or take the extra away), then publish again",
            )
        if mine and not living:
            raise PublicationError(
                f"{named}: dataset {mine[0]['id']} was deleted at data.gouv.fr",
                f"restore it in the site's administration, or take its extra {_DATASET} away so that another one is "
                "made; then publish again",
            )
        return service.dataset(living[0]) if living else None

    def _create(self, service: DataGouvService, state: _State, release: StoredRelease) -> Json:
        metadata = {**state.metadata, "private": True, "extras": {_DATASET: release.published_name}}
        return create_once(
            lambda: self._find(service, state.organization, release),
            lambda: service.create_dataset(metadata),
            self._pacing,
        )

    def _whole(self, state: _State, dataset: Json, release: StoredRelease) -> dict[str, Any]:
        """All that the dataset should be, others' extras kept: what is not sent may be lost."""
        extras = {
            **(dataset.get("extras") or {}),
            _DATASET: release.published_name,
            _RELEASE: release.id,
            _MANIFEST: release.manifest_sha256,
            _METADATA: metadata_digest(state.metadata),
        }
        return {**state.metadata, "private": self._private, "extras": extras}

    def _is_outdated(self, state: _State, release: StoredRelease) -> bool:
        """Whether the dataset itself says something else than it should."""
        dataset = state.dataset or {}
        extras = dataset.get("extras") or {}
        return (
            extras.get(_RELEASE) != release.id
            or extras.get(_MANIFEST) != release.manifest_sha256
            or extras.get(_METADATA) != metadata_digest(state.metadata)
            or bool(dataset.get("private")) != self._private
        )

    def _compare(
        self, release: StoredRelease, resources: Sequence[Json]
    ) -> tuple[tuple[_Work, ...], tuple[Json, ...]]:
        """Each file with its resource, and the resources of ours that are left over."""
        left = {str(item["id"]): item for item in resources if self._is_ours(item, release)}
        works: list[_Work] = []
        for file in release.files:
            name = _upload_name(release, file)
            own = [item for item in left.values() if self._belongs(item, file, name)]
            resource = own[0] if own else None
            if resource is not None:
                del left[str(resource["id"])]
            works.append(_Work(file, resource, self._lack(file, resource)))
        return tuple(works), tuple(left.values())

    def _is_ours(self, resource: Json, release: StoredRelease) -> bool:
        """A resource with our extras, or one that a killed run uploaded and did not come to describe."""
        begun = rf"{re.escape(_upload_prefix(release))}[a-z0-9-]*-[0-9a-f]{{{_DIGITS}}}\.\w+"
        uploaded = resource.get("filetype") == "file" and re.fullmatch(begun, str(resource.get("title", "")))
        return _PATH in (resource.get("extras") or {}) or bool(uploaded)

    def _belongs(self, resource: Json, file: StoredFile, name: str) -> bool:
        """Whether a resource of ours is the file's: the site does not let a hosted one become a link."""
        if resource.get("filetype") != _FILETYPES[self._resources]:
            return False
        path = (resource.get("extras") or {}).get(_PATH)
        return path == file.path if path else resource.get("title") == name

    def _lack(self, file: StoredFile, resource: Json | None) -> Literal["nothing", "metadata", "content"]:
        if resource is None:
            return "content"
        extras, checksum = resource.get("extras") or {}, resource.get("checksum") or {}
        described = extras.get(_SHA256) == file.sha256
        if self._resources == "remote":
            # A file that did not change keeps its link to the tag of a former release: the same bytes are there.
            linked = str(resource.get("url", ""))
            ours = linked.startswith(f"{self._hub}/resolve/") and linked.endswith(f"/{file.path}")
            return "nothing" if described and ours and checksum.get("value") == file.sha256 else "content"
        if (
            described
            and checksum.get("value") == extras.get(_SHA1)
            and resource.get("filesize") == file.bytes
        ):
            return "nothing"
        return "metadata" if _holds(resource, file) else "content"

    def _without_dead_links(self, works: tuple[_Work, ...], release: StoredRelease) -> tuple[_Work, ...]:
        """The files, those linked at a tag that the hub does not have any more as lacking their content.

        An unchanged file keeps its link, so that its date tells when it last changed. Tags go when a person has the
        hub forget its history.
        """
        if self._resources == "upload":
            return works
        linked = {
            work: str((work.resource or {}).get("url", "")) for work in works if work.lacks == "nothing"
        }
        tags = {
            work: url.removeprefix(f"{self._hub}/resolve/").partition("/")[0] for work, url in linked.items()
        }
        one_of_each = {tag: linked[work] for work, tag in tags.items() if tag != release.id}
        gone = {tag for tag, url in one_of_each.items() if is_gone(url, self._pacing)}
        return tuple(replace(work, lacks="content") if tags.get(work) in gone else work for work in works)

    def _bring(self, service: DataGouvService, dataset: str, work: _Work, release: StoredRelease) -> None:
        """Writes one resource: content, then metadata."""
        if self._resources == "remote":
            self._link(service, dataset, work, release)
        else:
            resource = work.resource
            if resource is None or work.lacks == "content":
                resource = self._upload(service, dataset, work, release)
            self._describe(service, dataset, work.file, resource)

    def _link(self, service: DataGouvService, dataset: str, work: _Work, release: StoredRelease) -> None:
        file = work.file
        resource = {
            **resource_metadata(file),
            "filetype": "remote",
            "url": f"{self._hub}/resolve/{release.id}/{file.path}",
            "checksum": {"type": "sha256", "value": file.sha256},
            "extras": _resource_extras(work.resource, file),
        }
        if work.resource is not None:
            service.update_resource(dataset, str(work.resource["id"]), resource)
            return
        create_once(
            self._lookup(service, dataset, lambda item: (item.get("extras") or {}).get(_PATH) == file.path),
            lambda: service.create_link(dataset, resource),
            self._pacing,
        )

    def _upload(self, service: DataGouvService, dataset: str, work: _Work, release: StoredRelease) -> Json:
        """Uploads a file until the site holds it whole, always into the same resource.

        Raises:
            PublicationError: the site does not take such a file.
        """
        file, name = work.file, _upload_name(release, work.file)
        identifier = str(work.resource["id"]) if work.resource else ""
        find = self._lookup(
            service,
            dataset,
            lambda item: str(item["id"]) == identifier if identifier else item.get("title") == name,
        )
        for attempt in repeated_without_answer(self._pacing):
            with attempt:
                held = find() if attempt.num > 1 else None
                if held is not None:
                    if _holds(held, file):
                        return held
                    identifier = str(held["id"])
                try:
                    uploaded = service.upload(dataset, identifier, file.location, name)
                except RefusedError as refusal:
                    if refusal.status not in _REFUSED_FILE:
                        raise
                    raise PublicationError(
                        f"{self.sink.value}: release {release.id} of {release.dataset} is not (wholly) published: "
                        f"the site does not take {file.path}: {refusal.said}",
                        f"{_REMOTE}; then publish again",
                    ) from None
                if not _holds(uploaded, file):
                    raise NoAnswerError(
                        f"{file.path} arrived at data.gouv.fr with other bytes than were sent", answered=True
                    )
                return uploaded
        raise AssertionError("a retry context ends by returning or raising")

    def _describe(self, service: DataGouvService, dataset: str, file: StoredFile, resource: Json) -> None:
        extras = {**_resource_extras(resource, file), _SHA1: _sha1(file.location)}
        kept = {name: resource[name] for name in ("url", "checksum") if resource.get(name)}
        metadata = {**resource_metadata(file), **kept, "filetype": "file", "extras": extras}
        service.update_resource(dataset, str(resource["id"]), metadata)

    @staticmethod
    def _lookup(
        service: DataGouvService, dataset: str, wanted: Callable[[Json], bool]
    ) -> Callable[[], Json | None]:
        def find() -> Json | None:
            return next((item for item in service.dataset(dataset)["resources"] if wanted(item)), None)

        return find

    def _steps(self, state: _State, release: StoredRelease) -> Iterator[Step]:
        if state.dataset is None:
            yield Step(
                "create", f"dataset {release.published_name}", note="private until its last file is there"
            )
        for work in state.to_do:
            if self._resources == "remote":
                yield Step("update" if work.resource else "create", work.file.path, note="a link to the hub")
            elif work.lacks == "content":
                yield Step(
                    "upload",
                    work.file.path,
                    work.file.bytes,
                    "replaces the former file, its stable link stays" if work.resource else "",
                )
            else:
                yield Step("update", work.file.path, note="its bytes are there already")
        for resource in state.surplus:
            path = (resource.get("extras") or {}).get(_PATH) or resource.get("title")
            yield Step("delete", str(path), note="no file of the release needs it")
        if state.dataset is None or state.to_do or state.surplus or self._is_outdated(state, release):
            yield Step("update", f"dataset {release.published_name}", note="metadata, then names the release")

    def _notes(self, state: _State) -> Iterator[str]:
        yield "private: shown to the organisation only" if self._private else "public: shown to everybody"
        others = len(state.dataset["resources"]) if state.dataset else 0
        others -= sum(work.resource is not None for work in state.works) + len(state.surplus)
        if others > 0:
            yield f"{others:,} resources that others added stay as they are"


def _resource_extras(resource: Json | None, file: StoredFile) -> dict[str, Any]:
    return {**((resource or {}).get("extras") or {}), _PATH: file.path, _SHA256: file.sha256}


def _upload_prefix(release: StoredRelease) -> str:
    return f"mediatech-{_plain(release.published_name)}-"


def _upload_name(release: StoredRelease, file: StoredFile) -> str:
    """Name under which a file is uploaded: until it is described, its resource is known by it.

    Only what the site's own normalisation of names leaves alone is in it.
    """
    stem, _, extension = file.path.rpartition(".")
    return f"{_upload_prefix(release)}{_plain(stem)[-80:].strip('-')}-{file.sha256[:_DIGITS]}.{extension.lower()}"


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _holds(resource: Json, file: StoredFile) -> bool:
    """Whether the site holds exactly the file's bytes, by its own sum of them."""
    checksum = resource.get("checksum") or {}
    if resource.get("filesize") != file.bytes:
        return False
    if checksum.get("type") == "sha256":
        return checksum.get("value") == file.sha256
    return checksum.get("type") == "sha1" and checksum.get("value") == _sha1(file.location)


def _sha1(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
