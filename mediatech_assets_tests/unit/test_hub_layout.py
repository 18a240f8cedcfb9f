"""The layout of a repository on the hub: what a release makes of any repository."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from mediatech_assets.release.publication.hub_layout import (
    MOST_FILES,
    Changes,
    RemoteFile,
    Repository,
    changes,
    clash,
    crowding,
    dated_folders,
    paths_after,
    release_id_of,
)
from mediatech_assets.release.stored import StoredRelease

LATEST = "data/code-latest/"
OTHERS = (
    "LICENSE",
    ".gitattributes",
    "data/code-2026/x.parquet",
    "data/code-extra-20260101/y.parquet",
    "data/z",
)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def remote(path: str, content: str) -> RemoteFile:
    return RemoteFile(path, len(content), f"pointer to {content}", sha256(content))


def a_release(day: int, files: Mapping[str, str]) -> StoredRelease:
    """A release of that day; `files` gives contents by path. It has no files on disk: hashes tell everything."""
    named = [
        {"path": path, "rows": 0, "bytes": len(text), "sha256": sha256(text)} for path, text in files.items()
    ]
    manifest = {
        "release": f"202601{day:02}-{sha256(repr(sorted(files.items())))[:8]}",
        "dataset": "code",
        "about": {"published_name": "code"},
        "files": named,
    }
    text = json.dumps(manifest)
    return StoredRelease(Path("nowhere"), manifest, sha256(text), len(text))


def publish(repository: Repository, release: StoredRelease, difference: Changes) -> Repository:
    """What the hub holds after the commit."""
    files = {
        path: file for path, file in repository.files.items() if path in paths_after(repository, difference)
    }
    for copy in difference.copies:
        files[copy.target] = replace(copy.source, path=copy.target)
    for file in difference.uploads:
        files[file.path] = RemoteFile(file.path, file.bytes, f"pointer {file.sha256}", file.sha256)
    return replace(repository, files=files, manifest=release.manifest)


def below(files: Mapping[str, RemoteFile], folder: str) -> dict[str, str]:
    return {path.removeprefix(folder): file.sha256 for path, file in files.items() if path.startswith(folder)}


names = st.sampled_from(["a.parquet", "b.parquet", "t/a.parquet", "t/c.parquet"])
contents = st.sampled_from(["one", "two", "three"])
releases = st.builds(
    lambda day, rows, beside: a_release(
        day,
        {
            **{f"{LATEST}{name}": text for name, text in rows.items()},
            **dict.fromkeys(beside, f"beside {day}"),
            "README.md": f"card {day}",
        },
    ),
    st.integers(1, 5),
    st.dictionaries(names, contents, min_size=1),
    st.sets(st.sampled_from(["croissant.json", "removed.parquet"])),
)


@given(st.lists(st.tuples(releases, st.integers(0, 3)), min_size=1, max_size=8), st.booleans())
@example(
    [(a_release(1, {f"{LATEST}a.parquet": "one"}), 0), (a_release(1, {f"{LATEST}b.parquet": "one"}), 1)], True
)
def test_any_history_shows_the_release_and_keeps_the_former(history, foreign):
    """Also what was published by others, several releases of a day, releases that come back, fewer that stay."""
    files = {path: remote(path, "of others") for path in OTHERS}
    if foreign:
        path = f"{LATEST}theirs.parquet"
        files[path] = remote(path, "theirs")
    repository = Repository("0" * 40, files, day="20251231")
    for release, kept in history:
        before = repository
        difference = changes(release, before, kept)
        repository = publish(before, release, difference)
        assert not changes(release, repository, kept).any, "nothing is left to do"
        assert below(repository.files, LATEST) == {
            file.path.removeprefix(LATEST): file.sha256 for file in release.data_files
        }
        assert all(repository.files[file.path].sha256 == file.sha256 for file in release.files)
        assert {path: repository.files.get(path) for path in OTHERS} == {path: files[path] for path in OTHERS}
        assert len(dated_folders(repository.files, "code")) <= kept
        known = {*OTHERS, *(file.path for file in release.files)}
        dated = tuple(f"{folder}/" for folder in dated_folders(repository.files, "code"))
        assert all(path in known or path.startswith(dated) for path in repository.files)
        replaced = below(before.files, LATEST)
        if kept and replaced and release_id_of(before.manifest) != release.id:
            day = (release_id_of(before.manifest) or "20251231")[:8]
            assert below(repository.files, f"data/code-{day}/") == replaced
        assert not {file.sha256 for file in difference.uploads if file.path.startswith("data/")} & {
            file.sha256 for file in before.files.values()
        }, "what the repository holds does not travel"


@given(st.lists(st.text("ab/", min_size=1).map(lambda path: path.strip("/") or "a"), max_size=30))
def test_crowding_counts_files_and_entries(paths: Sequence[str]):
    assert crowding(paths) == ""


def test_too_many_files_or_entries():
    assert "100,001 files" in crowding(f"{n % 100}/{n % 7}/{n}" for n in range(MOST_FILES + 1))
    assert crowding(f"{n % 100}/{n}" for n in range(MOST_FILES)) == ""
    assert "a/b would have 10,001 entries" in crowding(f"a/b/{n}" for n in range(10_001))
    assert "a would have 10,001 entries" in crowding(f"a/{n}/x" for n in range(10_001))
    assert "the top folder would have 10,001" in crowding(f"{n}/x" for n in range(10_001))


def test_a_path_is_a_file_or_a_folder():
    release = a_release(1, {f"{LATEST}a.parquet": "one"})
    for path in ("data", "data/code-latest", f"{LATEST}a.parquet/b"):
        repository = Repository("0" * 40, {path: remote(path, "x")})
        assert clash(repository, changes(release, repository, 3)) in (path, f"{LATEST}a.parquet")
    free = Repository("0" * 40, {"data/other": remote("data/other", "x")})
    assert clash(free, changes(release, free, 3)) == ""


def test_manifests_of_others_are_not_trusted():
    assert release_id_of({"release": "20260101-0123abcd"}) == "20260101-0123abcd"
    for foreign in ({}, {"release": 3}, {"release": "v1"}, {"release": "20260101-0123abcd/../x"}):
        assert release_id_of(foreign) == ""
