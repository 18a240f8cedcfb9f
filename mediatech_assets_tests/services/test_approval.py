"""Decisions about releases: the newest one counts, for exactly the files that were judged."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediatech_assets.errors import ApprovalError, ConfigurationError, MediatechError, RefusedFileError
from mediatech_assets.lake import Lake
from mediatech_assets.release.approval import (
    Person,
    Verdict,
    decide,
    decisions,
    failed_checks,
    person_named,
    require_approved,
)
from mediatech_assets.release.stored import MANIFEST, StoredRelease, read_release
from mediatech_assets_tests.stored_release import Documents, make_release
from mediatech_assets_tests.tiny import new_lake, open_dataset, rows

DATASET = "tiny_code"
CAMILLE = Person("Camille", "declared")
PATH = "data/tiny-code-latest/part_0.parquet"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("approval"))
    open_dataset(lake, DATASET)
    yield lake
    lake.close()


@pytest.fixture
def lake(opened: Lake) -> Lake:
    """A lake without any decision."""
    with opened.transaction(DATASET) as cursor:
        cursor.execute(f"DELETE FROM {DATASET}.approvals")
    return opened


def make_tiny(folder: Path, documents: Documents, day: str = "20260101") -> StoredRelease:
    return make_release(folder / "releases", {"part_0.parquet": documents}, dataset=DATASET, day=day)


@pytest.fixture
def release(tmp_path: Path) -> StoredRelease:
    return make_tiny(tmp_path, {"a": ["un"], "b": ["deux"]})


def with_manifest(release: StoredRelease, **changes: object) -> StoredRelease:
    """The release after somebody edited its manifest."""
    path = release.folder / MANIFEST
    path.write_text(json.dumps({**release.manifest, **changes}), encoding="utf-8")
    return read_release(release.folder)


def refusal(lake: Lake, release: StoredRelease) -> MediatechError:
    with pytest.raises(MediatechError) as raised:
        require_approved(lake, release)
    return raised.value


def test_nobody_approved_says_how_to(lake, release):
    error = refusal(lake, release)
    assert isinstance(error, ApprovalError)
    assert error.problem == f"release {release.id} of {DATASET} was not approved"
    assert f"mediatech approve {DATASET} {release.id}" in error.remedy


def test_an_approval_lets_exactly_this_release_out(lake, release, tmp_path):
    made = decide(lake, release, "approved", CAMILLE, " relue ")
    assert require_approved(lake, release) == made
    assert (made.manifest_sha256, made.comment) == (release.manifest_sha256, "relue")
    other = make_tiny(tmp_path, {"a": ["autre"]}, day="20260102")
    assert "was not approved" in refusal(lake, other).problem


def test_the_newest_decision_counts_and_none_is_forgotten(lake, release):
    made: list[tuple[Verdict, str]] = [
        ("approved", ""),
        ("rejected", "chute des comptes"),
        ("approved", "expliqué"),
    ]
    for decision, comment in made:
        decide(lake, release, decision, CAMILLE, comment)
        if decision == "rejected":
            assert "rejected by Camille (self-declared): chute des comptes" in refusal(lake, release).problem
    assert require_approved(lake, release).comment == "expliqué"
    assert [(each.decision, each.comment) for each in decisions(lake, DATASET, release.id)] == made
    assert decisions(lake, DATASET, "20200101-00000000") == []


def test_a_rejection_needs_a_reason(lake, release):
    with pytest.raises(ConfigurationError, match="needs a reason"):
        decide(lake, release, "rejected", CAMILLE, "  ")
    assert decisions(lake, DATASET) == []


@pytest.mark.parametrize("damage", ["other bytes", "missing"])
def test_a_release_that_is_changed_after_its_approval_does_not_leave(lake, release, damage):
    decide(lake, release, "approved", CAMILLE)
    file = release.folder / PATH
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    error = refusal(lake, read_release(release.folder))
    assert isinstance(error, RefusedFileError)
    assert str(file) in error.problem


def test_another_manifest_is_not_what_was_approved(lake, release):
    decide(lake, release, "approved", CAMILLE)
    edited = with_manifest(release, documents=99)
    assert "is not what Camille (self-declared) approved" in refusal(lake, edited).problem


def test_a_changed_file_cannot_be_approved(lake, release):
    (release.folder / PATH).write_bytes(b"x")
    with pytest.raises(RefusedFileError):
        decide(lake, release, "approved", CAMILLE)
    assert decisions(lake, DATASET) == []


def test_a_failed_blocking_check_stands_before_approval_and_publication(lake, release):
    decide(lake, release, "approved", CAMILLE)
    checks = [
        {"name": "counts_reconcile", "passed": False, "blocking": True, "detail": "2 rows, 3 chunks"},
        {"name": "nothing_refused", "passed": False, "blocking": False, "detail": "1 in quarantine"},
    ]
    failed = with_manifest(release, checks=checks)
    assert failed_checks(failed) == ["counts_reconcile (2 rows, 3 chunks)"]
    with pytest.raises(ApprovalError, match="counts_reconcile"):
        decide(lake, failed, "approved", CAMILLE)
    decide(lake, failed, "rejected", CAMILLE, "comptes")
    passed = with_manifest(release, checks=[{**checks[0], "passed": True}, checks[1]])
    decide(lake, passed, "approved", CAMILLE)
    assert require_approved(lake, passed).decision == "approved"


def test_the_record_is_made_of_rows_that_say_how_a_name_is_known(lake, release):
    decide(lake, release, "approved", person_named(), "")
    decide(lake, release, "approved", person_named(" Camille "), "vu")
    found = rows(
        lake,
        f"SELECT identity, decided_by = '', manifest_sha256 FROM {DATASET}.approvals ORDER BY decided_at",
    )
    assert found == [
        ("account", False, release.manifest_sha256),
        ("declared", False, release.manifest_sha256),
    ]
    assert str(person_named("Camille")) == "Camille (self-declared)"


def test_nothing_is_written_into_the_release(lake, release):
    before = sorted((path, path.stat().st_mtime_ns) for path in release.folder.rglob("*"))
    decide(lake, release, "approved", CAMILLE)
    assert sorted((path, path.stat().st_mtime_ns) for path in release.folder.rglob("*")) == before


@pytest.mark.parametrize("path", ["../elsewhere", "/etc/passwd", "data/../../x"])
def test_a_manifest_that_names_files_elsewhere_is_refused(release, path):
    files = [*release.manifest["files"], {"path": path, "rows": 0, "bytes": 1, "sha256": "0"}]
    with pytest.raises(RefusedFileError, match="outside of the release"):
        with_manifest(release, files=files)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"files": 3}'])
def test_a_manifest_that_cannot_be_used_is_named(release, content):
    (release.folder / MANIFEST).write_bytes(content)
    with pytest.raises(RefusedFileError, match=MANIFEST):
        read_release(release.folder)


def test_a_folder_without_a_manifest_is_no_release(tmp_path):
    with pytest.raises(RefusedFileError, match="holds no release"):
        read_release(tmp_path)
