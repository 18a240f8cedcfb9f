"""Publishing on the hub, with the real client against a double over HTTP: one commit, whatever fails."""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import pytest

from mediatech_assets.errors import PublicationError
from mediatech_assets.release.stored import StoredRelease
from mediatech_assets_tests.doubles.hub import (
    OTHER_TOKEN,
    READ_TOKEN,
    WRITE_TOKEN,
    Behaviour,
    Handler,
    Hub,
    answers,
    before,
    cuts_answer,
    cuts_upload,
    drops,
    loses_answer,
    serving_hub,
)
from mediatech_assets_tests.services.hub_publishing import (
    FIRST,
    LATEST,
    REPOSITORY,
    SECOND,
    Texts,
    commits,
    dated,
    held,
    publisher,
    shown,
)

# One commit


def test_first_publication_makes_the_repository_and_shows_the_release(hub, make):
    release = make(FIRST, besides={"croissant.json": "{}", "dcat.jsonld": "{}"})
    published = publisher(hub).publish(release)
    repository = hub.repositories[REPOSITORY]
    assert shown(hub) == held(release)
    assert commits(hub) == ["initial commit", f"Release {release.id}"]
    assert repository.tags == {release.id: repository.head.oid}
    assert all(blob.sha256 for path, blob in repository.head.tree.items() if path.endswith(".parquet"))
    assert not repository.private
    assert published.changed
    assert published.url == f"{hub.url}/datasets/{REPOSITORY}"
    assert published.facts["commit"] == repository.head.oid


def test_next_release_replaces_the_former_and_keeps_it_under_its_day(hub, make):
    first, second = make(FIRST, besides={"croissant.json": "{}"}), make(SECOND, day="20260203")
    publisher(hub).publish(first)
    hub.commit(REPOSITORY, {"LICENSE": b"of others", "data/other/x.parquet": b"of others"})
    sent = hub.uploaded_bytes
    publisher(hub).publish(second)
    others = {"LICENSE": b"of others", "data/other/x.parquet": b"of others"}
    assert shown(hub) == {**held(second), **dated(first), **others}  # the former croissant.json is gone
    assert commits(hub)[-2:] == ["by hand", f"Release {second.id}"]
    assert sorted(hub.repositories[REPOSITORY].tags) == [first.id, second.id]
    assert (
        hub.content(REPOSITORY, f"{LATEST}part_1.parquet", first.id) == held(first)[f"{LATEST}part_1.parquet"]
    )
    new = {f"{LATEST}part_2.parquet"}
    assert hub.uploaded_bytes - sent == sum(file.bytes for file in second.files if file.path in new)


def test_publishing_again_does_nothing_but_a_missing_tag(hub, make):
    release = make(FIRST)
    publisher(hub).publish(release)
    before_again = len(hub.requests)
    again = publisher(hub).publish(release)
    assert not again.changed
    assert {request.method for request in hub.requests[before_again:]} <= {"GET", "POST"}
    assert [
        request.path.split("/")[5] for request in hub.requests[before_again:] if request.method == "POST"
    ] == ["paths-info"]
    hub.repositories[REPOSITORY].tags.clear()
    tagged = publisher(hub).publish(release)
    assert tagged.changed
    assert hub.repositories[REPOSITORY].tags == {release.id: hub.repositories[REPOSITORY].head.oid}
    assert len(commits(hub)) == 2


def test_files_that_somebody_changed_on_the_hub_are_put_right(hub, make):
    release = make(FIRST)
    publisher(hub).publish(release)
    hub.commit(REPOSITORY, {f"{LATEST}extra.parquet": b"?"}, deleted=[f"{LATEST}part_0.parquet"])
    assert publisher(hub).publish(release).changed
    assert shown(hub) == held(release)


def test_rollback_is_a_publication_without_large_uploads(hub, make):
    first, second = make(FIRST), make(SECOND, day="20260203")
    for release in (first, second):
        publisher(hub).publish(release)
    sent = hub.uploaded_bytes
    assert publisher(hub).publish(first).changed
    assert shown(hub) == {**held(first), **dated(first), **dated(second)}
    assert hub.uploaded_bytes == sent
    publisher(hub).publish(second)
    assert shown(hub) == {**held(second), **dated(first), **dated(second)}


def test_two_releases_of_one_day_leave_the_later_one_as_former(hub, make):
    first, second, third = make(FIRST), make(SECOND), make(FIRST, day="20260102")
    for release in (first, second, third):
        publisher(hub).publish(release)
    assert shown(hub) == {**held(third), **dated(second)}
    assert sorted(hub.repositories[REPOSITORY].tags) == sorted([first.id, second.id, third.id])


@pytest.mark.parametrize(("kept", "days"), [(0, []), (1, ["20260104"]), (2, ["20260103", "20260104"])])
def test_former_releases_beyond_those_that_stay_go(hub, make, kept, days):
    for day in range(1, 6):
        publisher(hub, former_releases=kept).publish(
            make({"a.parquet": {"a": [str(day)]}}, day=f"2026010{day}")
        )
    folders = {path.split("/")[1] for path in hub.paths(REPOSITORY) if path.startswith("data/")}
    assert folders == {"tiny-code-latest", *(f"tiny-code-{day}" for day in days)}


def test_after_a_rollback_the_release_that_was_replaced_stays_before_newer_ones(hub, make):
    first, second, third = make(FIRST), make(SECOND, day="20260202"), make(FIRST, day="20260303")
    for release in (first, second, first, third):
        publisher(hub, former_releases=1).publish(release)
    assert shown(hub) == {**held(third), **dated(first)}


def test_what_somebody_else_published_is_kept_under_the_day_of_its_last_commit(hub, make):
    hub.now = lambda: datetime(2025, 12, 24, 23, 30, tzinfo=UTC)
    hub.create(REPOSITORY)
    theirs = {f"{LATEST}old.parquet": b"PAR1 of theirs", "README.md": b"theirs", "notes.txt": b"theirs"}
    hub.commit(REPOSITORY, theirs)
    release = make(FIRST)
    publisher(hub).publish(release)
    kept = {"data/tiny-code-20251224/old.parquet": b"PAR1 of theirs", "notes.txt": b"theirs"}
    assert shown(hub) == {**held(release), **kept}


def test_a_repository_without_large_files_for_parquet_works_too(hub, make):
    hub.create(REPOSITORY)
    hub.commit(REPOSITORY, {".gitattributes": b"", ".gitignore": b"*.parquet\nmanifest.json\n"})
    first, second = make(FIRST), make(SECOND, day="20260203")
    for release in (first, second, second):
        publisher(hub).publish(release)
    assert shown(hub) == {**held(second), **dated(first), ".gitignore": b"*.parquet\nmanifest.json\n"}
    assert len(commits(hub)) == 4


def test_one_percent_of_changed_documents_sends_less_than_a_tenth(hub, make):
    """By file hashes: 200 documents in 50 files of 4, of which 2 change, in one file each."""

    def files(changed: set[int]) -> dict[str, Texts]:
        texts = [f"{number}{'!' if number in changed else ''}" for number in range(200)]
        documents = [(f"doc{number:03}", [text]) for number, text in enumerate(texts)]
        return {f"part_{part:02}.parquet": dict(documents[4 * part : 4 * part + 4]) for part in range(50)}

    first = make(files(set()), padding=4_000)
    second = make(files({17, 142}), day="20260203", padding=4_000)
    publisher(hub).publish(first)
    sent = hub.uploaded_bytes
    publisher(hub).publish(second)
    assert hub.uploaded_bytes - sent == sum(
        file.bytes for file in second.data_files if file.path[-10:-8] in ("04", "35")
    )
    assert hub.uploaded_bytes - sent < 0.1 * sum(file.bytes for file in second.files)


def test_a_file_that_moved_is_copied(hub, make):
    publisher(hub).publish(make(FIRST))
    sent = hub.uploaded_bytes
    moved = make(
        {"livre/a.parquet": FIRST["part_0.parquet"], "b.parquet": FIRST["part_1.parquet"]}, day="20260203"
    )
    publisher(hub).publish(moved)
    assert {path: content for path, content in shown(hub).items() if path.startswith(LATEST)} == {
        path: content for path, content in held(moved).items() if path.startswith(LATEST)
    }
    assert hub.uploaded_bytes == sent


def test_listings_in_pages_and_files_in_parts(hub, make):
    hub.page, hub.part_bytes = 3, 1_000
    first, second = make(FIRST, padding=3_000), make(SECOND, day="20260203", padding=3_000)
    for release in (first, second):
        publisher(hub).publish(release)
    assert shown(hub) == {**held(second), **dated(first)}
    assert hub.asked("POST", "/complete$")


def test_new_repositories_are_private_when_told_and_others_stay_as_they_are(hub, make):
    publisher(hub, private=True).publish(make(FIRST))
    assert hub.repositories[REPOSITORY].private
    publisher(hub, private=False).publish(make(SECOND))
    assert hub.repositories[REPOSITORY].private


def test_address_and_token_come_from_the_hubs_own_variables_when_not_set(hub, make, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.url}/")
    monkeypatch.setenv("HF_TOKEN", f"{WRITE_TOKEN}\n")
    release = make(FIRST)
    published = publisher(hub, endpoint="", token="").publish(release)
    assert shown(hub) == held(release)
    assert published.url == f"{hub.url}/datasets/{REPOSITORY}"


# The plan


def test_plan_says_what_publishing_does_and_does_nothing(hub, make):
    first, second = make(FIRST, besides={"croissant.json": "{}"}), make(SECOND, day="20260203")
    fresh = publisher(hub).plan(first)
    assert [(step.action, step.target) for step in fresh.steps] == [
        ("create", REPOSITORY),
        *(("upload", file.path) for file in first.files),
        ("tag", first.id),
    ]
    assert fresh.bytes == sum(file.bytes for file in first.files)
    assert not hub.repositories
    publisher(hub).publish(first)
    head = hub.repositories[REPOSITORY].head
    plan = publisher(hub).plan(second)
    assert hub.repositories[REPOSITORY].head is head
    changed = {file.path: file.bytes for file in second.files}
    assert [(step.action, step.target, step.bytes) for step in plan.steps] == [
        ("upload", f"{LATEST}part_2.parquet", changed[f"{LATEST}part_2.parquet"]),
        ("update", "manifest.json", changed["manifest.json"]),
        ("copy", "data/tiny-code-20260101/part_0.parquet", 0),
        ("copy", "data/tiny-code-20260101/part_1.parquet", 0),
        ("delete", "croissant.json", 0),
        ("delete", f"{LATEST}part_1.parquet", 0),
        ("tag", second.id, 0),
    ]
    assert any(first.id in note for note in plan.notes)
    publisher(hub).publish(second)
    assert publisher(hub).plan(second).steps == ()


def test_plan_says_when_a_commit_is_large(hub, make):
    plan = publisher(hub).plan(make({f"{n}.parquet": {str(n): ["x"]} for n in range(100)}))
    assert any("operations go in one commit" in note for note in plan.notes)
    assert not any("operations go" in note for note in publisher(hub).plan(make(FIRST)).notes)


def test_plan_of_a_public_repository_needs_no_token(hub, make):
    release = make(FIRST)
    publisher(hub).publish(release)
    plan = publisher(hub, token="").plan(release)
    assert plan.steps == ()
    assert any("token" in note for note in plan.notes)


# Whatever fails for a while

FAULTS: Mapping[str, tuple[str, str, Behaviour]] = {
    "information 503": ("GET", "/tiny-code$", answers(503)),
    "information dropped": ("GET", "/tiny-code$", drops),
    "creation 500": ("POST", "/repos/create", answers(500)),
    "creation without answer": ("POST", "/repos/create", loses_answer),
    "listing cut": ("GET", "/tree/", cuts_answer),
    "preupload 429": ("POST", "/preupload/", answers(429, "slow down", Retry_After="0")),
    "batch 502": ("POST", "/objects/batch", answers(502)),
    "upload 503": ("PUT", "/lfs/", answers(503)),
    "upload cut": ("PUT", "/lfs/", cuts_upload),
    "upload without answer": ("PUT", "/lfs/", loses_answer),
    "verification dropped": ("POST", "/objects/verify", drops),
    "commit 429": ("POST", "/commit/", answers(429, "slow down", Retry_After="0")),
    "commit dropped": ("POST", "/commit/", drops),
    "commit without answer": ("POST", "/commit/", loses_answer),
    "commit with half an answer": ("POST", "/commit/", cuts_answer),
    "tag 503": ("POST", "/tag/", answers(503)),
    "tag without answer": ("POST", "/tag/", loses_answer),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_changes_nothing_of_the_outcome(hub, make, fault):
    release = make(FIRST)
    hub.meet(*FAULTS[fault])
    published = publisher(hub).publish(release)
    assert not hub.faults, "the fault was met"
    assert published.changed
    assert published.facts["files_uploaded"] == len(release.files)
    assert shown(hub) == held(release)
    assert commits(hub) == ["initial commit", f"Release {release.id}"]
    assert list(hub.repositories[REPOSITORY].tags) == [release.id]


def test_the_pause_that_the_hub_asks_for_is_kept(hub, make):
    hub.meet("POST", "/repos/create", answers(429, Retry_After="1"))
    began = time.monotonic()
    publisher(hub).publish(make(FIRST))
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_pause_that_is_too_long_is_for_the_person(hub, make, form):
    until = datetime.now(UTC) + timedelta(hours=3)
    pause = "7200" if form == "seconds" else format_datetime(until)
    hub.meet("POST", "/repos/create", answers(429, Retry_After=pause))
    with pytest.raises(PublicationError, match=r"wait (7,200|10,\d{3}) s"):
        publisher(hub).publish(make(FIRST))
    assert not hub.faults


def test_a_commit_that_sneaks_in_is_kept_and_ours_follows(hub, make):
    first, second = make(FIRST), make(SECOND, day="20260203")
    publisher(hub).publish(first)
    sent = hub.uploaded_bytes
    for name in ("one", "two"):
        hub.meet("POST", "/commit/", before(partial(hub.commit, REPOSITORY, {name: b"of others"})))
    publisher(hub).publish(second)
    assert shown(hub) == {**held(second), **dated(first), "one": b"of others", "two": b"of others"}
    assert commits(hub)[2:] == ["by hand", "by hand", f"Release {second.id}"]
    assert hub.uploaded_bytes - sent == next(
        file.bytes for file in second.files if file.path.endswith("part_2.parquet")
    )


def test_the_same_release_published_by_two_at_once_is_one_commit(hub, make):
    release = make(FIRST)
    hub.create(REPOSITORY)
    other = publisher(hub)
    hub.meet("POST", "/commit/", before(partial(other.publish, release)))
    assert publisher(hub).publish(release).changed
    assert shown(hub) == held(release)
    assert commits(hub) == ["initial commit", f"Release {release.id}"]


def test_a_page_that_lags_behind_the_branch_does_no_harm(hub, make):
    """The hub answers the page of a dataset from a cache."""
    first, second, third = make(FIRST), make(SECOND, day="20260203"), make(FIRST, day="20260304")
    publisher(hub).publish(first)
    old = hub.repositories[REPOSITORY].head

    def lags(handler: Handler) -> bool:
        page = {
            "id": REPOSITORY,
            "sha": old.oid,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "private": False,
        }
        handler.send_json(
            200, {**page, "_id": "0" * 24, "tags": [], "downloads": 0, "likes": 0, "siblings": []}
        )
        return True

    publisher(hub).publish(second)
    hub.meet("GET", "/tiny-code$", lags, times=99)
    assert not publisher(hub).publish(second).changed
    publisher(hub).publish(third)
    assert shown(hub) == {**held(third), **dated(first), **dated(second)}
    assert len(hub.asked("POST", "/commit/")) == 3


def test_a_repository_that_never_rests_is_given_up(hub, make):
    first, second = make(FIRST), make(SECOND, day="20260203")
    publisher(hub).publish(first)
    hub.meet("POST", "/commit/", before(partial(hub.commit, REPOSITORY, {"x": b"of others"})), times=99)
    with refused(hub, second, "somebody else commits", unchanged=False):
        publisher(hub, attempts=3).publish(second)
    assert shown(hub) == {**held(first), "x": b"of others"}
    assert len(hub.asked("POST", "/commit/")) == 1 + 3


def test_a_silent_hub_is_not_waited_for_for_ever(hub, make):
    released = threading.Event()
    hub.meet("GET", "/tree/", before(lambda: released.wait(20)), times=99)
    hub.create(REPOSITORY)
    hub.meet("GET", "/tiny-code$", before(lambda: released.wait(20)), times=99)
    began = time.monotonic()
    try:
        with refused(hub, release := make(FIRST), "cannot be reached"):
            publisher(hub, attempts=2, seconds=0.3).publish(release)
    finally:
        released.set()
    assert time.monotonic() - began < 10


# Whatever is refused


@contextmanager
def refused(hub: Hub, release: StoredRelease, *words: str, unchanged: bool = True) -> Iterator[None]:
    """What happens in the block is an error that says where, what and why, and that changes nothing for readers."""
    trees = {name: repository.head for name, repository in hub.repositories.items()}
    with pytest.raises(PublicationError) as caught:
        yield
    text = str(caught.value)
    assert "huggingface" in caught.value.problem
    assert release.id in caught.value.problem
    assert release.published_name in caught.value.problem
    assert all(word in text for word in words), text
    assert not any(secret in text for secret in (WRITE_TOKEN, READ_TOKEN, OTHER_TOKEN, "hf_", "X-Signature"))
    assert len(caught.value.remedy) > 10
    assert caught.value.__cause__ is None
    if unchanged:
        assert {
            name: repository.head for name, repository in hub.repositories.items() if name in trees
        } == trees


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("hf_wrong", ("wrong or expired", "MEDIATECH_HUB_TOKEN", "Invalid credentials")),
        ("hf_with\ninside", ("characters that no token has",)),
        ("", ("there is no token", "MEDIATECH_HUB_TOKEN")),
        (READ_TOKEN, ("may not write", "don't have the rights")),
        (OTHER_TOKEN, ("may not write", "MEDIATECH_HUB_NAMESPACE")),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_token_that_does_not_do(hub, make, token, words, exists):
    release = make(FIRST)
    if exists:
        hub.create(REPOSITORY)
    with refused(hub, release, *words):
        publisher(hub, token=token).publish(release)
    assert not hub.asked("PUT")


def test_a_private_repository_of_others_is_a_clash(hub, make):
    hub.create(REPOSITORY, private=True)
    with refused(hub, release := make(FIRST), "may not write"):
        publisher(hub, token=OTHER_TOKEN).publish(release)


def no_room(handler: Handler) -> bool:
    """Refuses every object of a batch in the way of large file storages."""
    asked = json.loads(handler.read_body())["objects"]
    error = {"code": 413, "message": "You have exceeded your storage quota"}
    handler.send_json(200, {"objects": [{**one, "error": error} for one in asked]})
    return True


@pytest.mark.parametrize(
    ("method", "path", "behaviour"),
    [
        ("POST", "/objects/batch", answers(403, "Private repository storage limit reached")),
        ("POST", "/objects/batch", no_room),
        ("PUT", "/lfs/", answers(507, "Insufficient Storage")),
        ("POST", "/commit/", answers(413, "Payload Too Large")),
        ("POST", "/repos/create", answers(402, "Payment required")),
    ],
)
def test_no_room(hub, make, method, path, behaviour):
    release = make(FIRST)
    if "create" not in path:
        hub.create(REPOSITORY)
    hub.meet(method, path, behaviour)
    with refused(hub, release, "no room", "MEDIATECH_HUB_FORMER_RELEASES", "can be repeated"):
        publisher(hub).publish(release)
    publisher(hub).publish(release)
    assert shown(hub) == held(release)


def test_a_hub_that_fails_all_the_time(hub, make):
    release = make(FIRST)
    hub.create(REPOSITORY)
    hub.meet("POST", "/commit/", answers(503, "Over capacity"), times=99)
    with refused(hub, release, "503", "Over capacity", "can be repeated"):
        publisher(hub, attempts=3).publish(release)
    assert len(hub.asked("POST", "/commit/")) == 3


def test_network_loss(hub, make):
    with serving_hub(hub.folder / "other") as lost:
        pass
    release = make(FIRST)
    for ask in (
        publisher(hub, endpoint=lost.url).plan,
        publisher(hub, endpoint=lost.url, attempts=2).publish,
    ):
        with refused(hub, release, "cannot be reached", lost.url, "MEDIATECH_HUB_ENDPOINT"):
            ask(release)


def test_something_that_is_no_hub(hub, make):
    hub.meet("GET", "/tiny-code$", lambda handler: handler.send(200, b"<html>hello</html>") or True, times=99)
    with refused(hub, release := make(FIRST), "did not answer as one"):
        publisher(hub, attempts=2).publish(release)


@pytest.mark.parametrize(
    "endpoint", ["ftp://example.org", "example.org", "https://", "https://me:secret@example.org", "http://[x"]
)
def test_an_address_that_is_none(hub, make, endpoint):
    with refused(hub, release := make(FIRST), "address"):
        publisher(hub, endpoint=endpoint).publish(release)


@pytest.mark.parametrize("namespace", ["", "  ", "a/b", "../x", "a b"])
def test_a_namespace_that_is_none(hub, make, namespace):
    for ask in (publisher(hub, namespace=namespace).plan, publisher(hub, namespace=namespace).publish):
        with refused(hub, release := make(FIRST), "MEDIATECH_HUB_NAMESPACE"):
            ask(release)
    assert release
    assert not hub.requests


@pytest.mark.parametrize("namespace", ["AgentPublic", "agentpublic", "AGENTPUBLIC"])
def test_only_bge_m3_replaces_what_consumers_rely_on(hub, make, namespace):
    with refused(hub, release := make(FIRST), "BAAI/bge-m3", "MEDIATECH_PROFILE"):
        publisher(hub, namespace=namespace).publish(release)
    assert not hub.requests


def test_bge_m3_may_replace_it(hub, make):
    release = make(FIRST, manifest={"profile": {"name": "bge-m3", "model": "BAAI/bge-m3"}})
    publisher(hub, namespace="AgentPublic").publish(release)
    assert shown(hub, "AgentPublic/tiny-code") == held(release)


def with_files(release: StoredRelease, files: list[dict]) -> StoredRelease:
    return replace(release, manifest={**release.manifest, "files": [*release.manifest["files"], *files]})


def file_facts(path: str, size: int = 1) -> dict:
    return {"path": path, "rows": 1, "bytes": size, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([file_facts(f"{LATEST}big.parquet", 50 * 10**9 + 1)], ("50,000,000,001", "MEDIATECH_ROWS_PER_FILE")),
        ([file_facts(f"{LATEST}{n}.parquet") for n in range(10_001)], ("10,000", LATEST.rstrip("/"))),
    ],
)
def test_too_large_or_too_many_before_anything_is_sent(hub, make, files, words):
    release = with_files(make(FIRST), files)
    with refused(hub, release, *words, "nothing was sent"):
        publisher(hub).publish(release)
    assert not hub.requests


def test_too_many_together_with_what_is_there(hub, make):
    hub.create(REPOSITORY)
    hub.commit(REPOSITORY, {f"data/{n}": b"of others" for n in range(10_000)})
    with refused(hub, release := make(FIRST), "data would have 10,001 entries", "nothing was sent"):
        publisher(hub).publish(release)
    assert not hub.asked("PUT")


@pytest.mark.parametrize("path", ["data/tiny-code-latest", f"{LATEST}part_0.parquet/x", "README.md/x"])
def test_a_path_that_would_be_a_file_and_a_folder(hub, make, path):
    hub.create(REPOSITORY)
    hub.commit(REPOSITORY, {path: b"of others"})
    with refused(hub, release := make(FIRST), "a file and a folder", "remove or rename"):
        publisher(hub).publish(release)
    assert not hub.asked("PUT")


def test_a_tag_that_names_something_else(hub, make):
    release = make(FIRST)
    repository = hub.create(REPOSITORY)
    repository.tags[release.id] = repository.head.oid
    with refused(hub, release, "tag", "something else"):
        publisher(hub).publish(release)
    assert not hub.asked("PUT")


def test_a_repository_that_was_renamed(hub, make):
    hub.create(REPOSITORY).name = "org/other-name"
    with refused(hub, release := make(FIRST), "org/other-name"):
        publisher(hub).publish(release)


def test_a_file_that_changed_after_the_release_was_built(hub, make):
    release = make(FIRST)
    target = release.folder / LATEST / "part_1.parquet"
    target.write_bytes(target.read_bytes()[::-1])
    with refused(hub, release, "part_1.parquet", "changed after"):
        publisher(hub).publish(release)
    assert not hub.asked("POST", "/commit/")


def test_a_file_that_is_missing(hub, make):
    release = make(FIRST)
    (release.folder / LATEST / "part_1.parquet").unlink()
    with refused(hub, release, "part_1.parquet", "missing", "nothing was sent"):
        publisher(hub).publish(release)
    assert not hub.requests


def test_a_large_file_that_the_hub_takes_for_a_small_one(hub, make):
    def all_regular(handler: Handler) -> bool:
        files = json.loads(handler.read_body())["files"]
        told = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
        handler.send_json(200, {"files": told})
        return True

    hub.meet("POST", "/preupload/", all_regular, times=99)
    with refused(
        hub, release := make(FIRST, besides={"long.json": "x" * 5_000_001}), "long.json", "filter=lfs"
    ):
        publisher(hub).publish(release)


def test_offline_mode_is_respected(hub, make, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with refused(hub, release := make(FIRST), "HF_HUB_OFFLINE"):
        publisher(hub).publish(release)
    assert not hub.requests


def test_a_hub_without_xet_is_told_apart(hub, make, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with refused(hub, release := make(FIRST), "HF_HUB_DISABLE_XET=1"):
        publisher(hub, attempts=1).publish(release)
    assert not hub.asked("POST", "/commit/")


def test_no_secret_is_logged_or_shown(hub, make, caplog, capfd):
    """The token, and the signatures of upload addresses, which the client writes into its own log."""
    caplog.set_level(logging.DEBUG)
    for method, path in (("PUT", "/lfs/"), ("POST", "/commit/"), ("GET", "/tree/")):
        hub.meet(method, path, answers(503))
    publishing = publisher(hub)
    published = publishing.publish(make(FIRST))
    printed, told = capfd.readouterr()
    texts = [caplog.text, told, repr(publishing), repr(published), repr(publishing.plan(make(SECOND)))]
    assert "/lfs/" in caplog.text, "requests are logged"
    assert not any(secret in text for text in texts for secret in (WRITE_TOKEN, "onlyForThisUpload"))
    assert printed == ""


# What remains


def test_what_remains_after_an_erasure_is_told(hub, make):
    first, second = make(FIRST), make(SECOND, day="20260203")
    for release in (first, second):
        publisher(hub).publish(release)
    head = hub.repositories[REPOSITORY].head
    text = "\n".join(publisher(hub).remains("tiny-code", ["a", "b"]))
    for word in (
        "2 documents",
        "data/tiny-code-20260101",
        first.id,
        second.id,
        "super_squash_history",
        "earlier commits",
    ):
        assert word in text
    assert hub.repositories[REPOSITORY].head is head
    assert {request.method for request in hub.requests[-4:]} == {"GET"}


def test_nothing_remains_of_what_was_never_published(hub):
    assert publisher(hub).remains("never", ["a"]) == []


def test_a_hub_that_cannot_be_asked_is_told_too(hub):
    hub.meet("GET", "/tiny-code$", answers(401, "Invalid credentials in Authorization header"))
    (sentence,) = publisher(hub).remains("tiny-code", ["a"])
    assert "could not be asked" in sentence
    assert "1 document" in sentence
