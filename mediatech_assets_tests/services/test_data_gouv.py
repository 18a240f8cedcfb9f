"""Publishing on data.gouv.fr: everything described, nothing twice, others' things left alone."""

import hashlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediatech_assets.errors import ConfigurationError, PublicationError
from mediatech_assets.release.publication.data_gouv import DataGouvPublisher
from mediatech_assets.release.publication.data_gouv_metadata import (
    dataset_metadata,
    expected_quality,
    frequency,
    temporal_coverage,
)
from mediatech_assets.release.stored import StoredRelease, read_release
from mediatech_assets_tests.doubles.data_gouv import (
    EDITOR_KEY,
    ORGANIZATION,
    READER_KEY,
    SLUG,
    DataGouvDouble,
)
from mediatech_assets_tests.doubles.service import (
    QUICK,
    afterwards,
    answers,
    before,
    drops,
    fails_afterwards,
    loses_answer,
    serving,
)
from mediatech_assets_tests.services.mortals import Mortals, mortals
from mediatech_assets_tests.stored_release import code_files, make_release

DOCUMENTS = {"a": ["un", "deux"], "b": ["trois"], "c": ["quatre"]}
MODES = ["remote", "upload"]
PART = 2_000


@dataclass
class Site:
    """The site and a folder for releases."""

    folder: Path
    double: DataGouvDouble

    def publisher(self, **options) -> DataGouvPublisher:
        given = {
            "url": f"{self.double.url}/api/1/",
            "key": EDITOR_KEY,
            "organization": SLUG,
            "hub_repository": self.double.hub,
            "pacing": QUICK,
            "part_bytes": PART,
        }
        return DataGouvPublisher(**(given | options))

    def release(self, documents=None, **options) -> StoredRelease:
        return make_release(self.folder, code_files(documents or DOCUMENTS, per_file=1), **options)

    def require(self, release: StoredRelease, mode: str, *, private: bool = False) -> None:
        """The site shows exactly this release."""
        dataset = self.double.only
        assert dataset["extras"]["mediatech:release"] == release.id
        assert dataset["extras"]["mediatech:manifest_sha256"] == release.manifest_sha256
        assert dataset["private"] is private
        resources = {
            item["extras"]["mediatech:path"]: item
            for item in dataset["resources"]
            if "mediatech:path" in item["extras"]
        }
        assert resources.keys() == {file.path for file in release.files}
        self.double.resources()  # each is there once
        for file in release.files:
            resource = resources[file.path]
            assert resource["title"] == file.path.rpartition("/")[2]
            assert resource["filesize"] == file.bytes
            assert resource["extras"]["mediatech:sha256"] == file.sha256
            assert resource["filetype"] == {"remote": "remote", "upload": "file"}[mode]
            if mode == "remote":
                assert resource["checksum"] == {"type": "sha256", "value": file.sha256}
                assert resource["url"].startswith(f"{self.double.hub}/resolve/")
                assert resource["url"].endswith(f"/{file.path}")
            else:
                content = self.double.hosted[resource["id"]]
                assert hashlib.sha256(content).hexdigest() == file.sha256
        if mode == "upload":
            assert len(self.double.hosted) == len(release.files)


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    with serving(DataGouvDouble()) as double:
        yield Site(tmp_path, double)


def stable_links(site: Site) -> dict[str, str]:
    return {item["extras"]["mediatech:path"]: item["id"] for item in site.double.only["resources"]}


@pytest.mark.parametrize("mode", MODES)
def test_a_first_publication_makes_the_dataset_with_all_its_metadata(site, mode):
    release = site.release()
    published = site.publisher(resources=mode).publish(release)
    site.require(release, mode)
    dataset = site.double.only
    assert dataset["license"] == "lov2"
    assert dataset["frequency"] == "daily"
    assert dataset["temporal_coverage"] == {"start": "2020-02-03", "end": "2020-02-03"}
    assert dataset["spatial"] == {"granularity": "country", "zones": ["country:fr"]}
    assert dataset["organization"] == ORGANIZATION
    assert dataset["extras"]["mediatech:dataset"] == "code"
    assert "La DILA" in dataset["description"]
    assert "2026-11-27" in dataset["description"]
    assert release.id in dataset["description"]
    data = site.double.resources()["code_part_0.parquet"]
    assert (data["format"], data["mime"], data["type"]) == (
        "parquet",
        "application/vnd.apache.parquet",
        "main",
    )
    assert data["description"]
    assert published.url == dataset["page"]
    assert published.changed
    assert published.facts["expected_quality"] == 1.0


@pytest.mark.parametrize("mode", MODES)
def test_an_unchanged_release_writes_nothing(site, mode):
    release = site.release()
    site.publisher(resources=mode).publish(release)
    site.double.requests.clear()
    again = site.publisher(resources=mode).publish(release)
    assert not again.changed
    assert {item.method for item in site.double.requests} == {"GET"}
    assert len(site.double.requests) == 3
    assert site.publisher(resources=mode).plan(release).steps == ()


@pytest.mark.parametrize("mode", MODES)
def test_only_what_changed_is_written_and_stable_links_stay(site, mode):
    publisher = site.publisher(resources=mode)
    publisher.publish(site.release())
    links = stable_links(site)
    second = site.release({"a": ["un", "deux"], "b": ["autre"]}, day="20261129")
    plan = publisher.plan(second)
    site.double.requests.clear()
    publisher.publish(second)
    site.require(second, mode)
    for path, identifier in stable_links(site).items():
        assert identifier == links[path]
    changed = {"data/code-latest/code_part_1.parquet", "manifest.json"}
    described = {item.path.split("/")[-2] for item in site.double.asked("PUT", "/resources/")}
    assert described == {links[path] for path in changed}
    done = [(step.action, step.target) for step in plan.steps]
    assert {target for _, target in done} == {
        *changed,
        "data/code-latest/code_part_2.parquet",
        "dataset code",
    }
    assert done[-2:] == [("delete", "data/code-latest/code_part_2.parquet"), ("update", "dataset code")]
    expected = sum(file.bytes for file in second.files if file.path in changed)
    assert plan.bytes == (expected if mode == "upload" else 0)
    # Vanished files go after everything that is new is there; the release is named last of all.
    order = [item.method for item in site.double.requests if item.method != "GET"]
    assert order[-2:] == ["DELETE", "PUT"]


def test_one_percent_of_a_hundred_files_changed_costs_two_writes_and_the_dataset(site):
    documents = {f"d{number:03}": [f"texte {number}"] for number in range(100)}
    site.publisher().publish(site.release(documents))
    site.double.requests.clear()
    site.publisher().publish(site.release(documents | {"d050": ["autre"]}, day="20261129"))
    assert len([item for item in site.double.requests if item.method in {"POST", "PUT", "DELETE"}]) == 3
    assert len(site.double.requests) == 7


def test_a_plan_changes_nothing_and_tells_the_expected_quality(site):
    release = site.release(about={"cadence_days": 0})
    plan = site.publisher().plan(release)
    assert plan.steps[0].action == "create"
    assert plan.notes[0] == "expected quality score: 7/9 (78%)"
    assert [note for note in plan.notes if note.startswith("NOT met")] == [
        "NOT met: update frequency (the dataset's module does not tell its cadence (cadence_days))",
        "NOT met: updated in time (nothing is due without a frequency)",
    ]
    assert site.double.datasets == {}
    assert {item.method for item in site.double.requests} == {"GET"}


@pytest.mark.parametrize("private", [False, True])
def test_private_is_sent_with_every_write_and_a_new_dataset_is_private_until_it_is_whole(site, private):
    publisher = site.publisher(private=private)
    first = site.release()
    site.double.meet("POST", "/resources/$", answers(403), after=2)
    with pytest.raises(PublicationError):
        publisher.publish(first)
    assert site.double.only["private"] is True
    publisher.publish(first)
    site.require(first, "remote", private=private)
    second = site.release({"a": ["autre"]}, day="20261129")
    publisher.publish(second)
    site.require(second, "remote", private=private)
    written = [*site.double.asked("POST", "/datasets/$"), *site.double.asked("PUT", "/datasets/[^/]+/$")]
    assert len(written) == 3
    assert all(isinstance(item.json["private"], bool) for item in written)


def test_a_dataset_that_was_shown_by_mistake_is_hidden_again(site):
    release = site.release()
    site.publisher(private=True).publish(release)
    site.double.only["private"] = False
    assert site.publisher(private=True).publish(release).changed
    site.require(release, "remote", private=True)


def test_resources_and_extras_of_others_stay(site):
    first = site.release()
    site.publisher().publish(first)
    other = {"id": "theirs", "title": "mediatech-notes.csv", "filetype": "file", "extras": {}}
    site.double.only["resources"].insert(0, other)
    site.double.only["extras"]["harvest:domain"] = "example.org"
    second = site.release({"a": ["autre"]}, day="20261129")
    assert "1 resources that others added stay as they are" in site.publisher().plan(second).notes
    site.publisher().publish(second)
    assert other in site.double.only["resources"]
    assert site.double.only["extras"]["harvest:domain"] == "example.org"
    site.double.only["resources"].remove(other)
    site.require(second, "remote")


def test_the_dataset_is_found_among_others_page_by_page(site):
    for number in range(5):
        site.double.add_dataset(title="Le code de test", extras={"mediatech:dataset": f"other{number}"})
    first = site.release()
    site.publisher().publish(first)
    site.publisher().publish(site.release({"a": ["autre"]}, day="20261129"))
    assert len(site.double.datasets) == 6


def test_several_datasets_of_ours_are_an_error_that_names_them(site):
    ours = [site.double.add_dataset(extras={"mediatech:dataset": "code"})["id"] for _ in range(2)]
    with pytest.raises(PublicationError, match="several datasets") as caught:
        site.publisher().publish(site.release())
    assert all(identifier in str(caught.value) for identifier in ours)


def test_a_deleted_dataset_is_said(site):
    release = site.release()
    site.publisher().publish(release)
    site.double.only["deleted"] = "2026-11-01T00:00:00"
    with pytest.raises(PublicationError, match=r"was deleted at data\.gouv\.fr") as caught:
        site.publisher().publish(release)
    assert release.id in str(caught.value)
    assert "restore it" in caught.value.remedy


@pytest.mark.parametrize(
    "fault",
    [
        drops,
        loses_answer,
        answers(503, Retry_After="0"),
        answers(429, Retry_After="0"),
        fails_afterwards(504),
    ],
    ids=["drop", "lost", "503", "429", "504-done"],
)
@pytest.mark.parametrize(
    ("mode", "method", "path", "after"),
    [
        ("remote", "POST", "/datasets/$", 0),
        ("remote", "POST", "/resources/$", 1),
        ("remote", "PUT", "/resources/", 0),
        ("remote", "DELETE", "/resources/", 0),
        ("remote", "PUT", "/datasets/[^/]+/$", 0),
        ("upload", "POST", "[^/]{24}/upload/$", 0),
        ("upload", "POST", "[^/]{24}/upload/$", 5),
        ("upload", "POST", "/resources/[^/]+/upload/$", 3),
        ("upload", "PUT", "/resources/", 2),
    ],
)
def test_faults_that_pass_leave_no_trace(site, fault, mode, method, path, after):
    publisher = site.publisher(resources=mode)
    site.double.meet(method, path, fault, after=after, times=2)
    publisher.publish(site.release())
    second = site.release({"a": ["autre"], "b": ["encore"]}, day="20261129")
    publisher.publish(second)
    assert site.double.met >= 1
    site.require(second, mode)


def test_files_are_uploaded_in_parts_of_their_true_size(site):
    release = site.release({"a": [f"texte {number} " * 9 for number in range(900)]})
    site.publisher(resources="upload").publish(release)
    site.require(release, "upload")
    (large,) = release.data_files
    assert large.bytes > 3 * PART
    forms = [item for item in site.double.asked("POST", "/upload/$") if "uuid" in item.form]
    mine = [item for item in forms if "code-part-0" in item.form["filename"]]
    *parts, last = mine
    assert [len(item.files["file"][1]) for item in parts] == [int(item.form["chunksize"]) for item in parts]
    assert [int(item.form["partbyteoffset"]) for item in parts] == [
        number * PART for number in range(len(parts))
    ]
    assert sum(len(item.files["file"][1]) for item in parts) == large.bytes
    assert last.files == {}
    assert len({item.form["uuid"] for item in mine}) == 1


def test_bytes_that_were_damaged_on_their_way_are_sent_again_into_the_same_resource(site):
    harm = iter([b"short", b""])
    site.double.damage = lambda content: next(harm, content) or content[:-1] + b"X"
    release = site.release()
    site.publisher(resources="upload").publish(release)
    site.require(release, "upload")


def test_a_kind_of_file_that_the_site_does_not_host_is_an_error_that_names_the_other_way(site):
    site.double.extensions = frozenset({"md", "json"})
    release = site.release()
    with pytest.raises(PublicationError, match="does not take data/code-latest") as caught:
        site.publisher(resources="upload").publish(release)
    assert "MEDIATECH_DATA_GOUV_RESOURCES=remote" in caught.value.remedy
    assert release.id in caught.value.problem
    assert "mediatech:release" not in site.double.only["extras"]
    site.publisher(resources="remote").publish(release)
    site.require(release, "remote")


def test_a_file_that_is_too_large_is_an_error_that_names_it(site):
    site.double.most_bytes = 1_000
    with pytest.raises(PublicationError, match="413") as caught:
        site.publisher(resources="upload").publish(site.release())
    assert "MEDIATECH_DATA_GOUV_RESOURCES=remote" in caught.value.remedy


def test_going_from_links_to_uploads_and_back_leaves_one_resource_a_file(site):
    release = site.release()
    for mode in ("remote", "upload", "remote"):
        site.publisher(resources=mode).publish(release)
        site.require(release, mode)
    assert site.double.hosted == {}


def test_a_file_that_somebody_replaced_on_the_site_is_put_right(site):
    release = site.release()
    publisher = site.publisher(resources="upload")
    publisher.publish(release)
    data = site.double.resources()["code_part_0.parquet"]
    site.double.hosted[data["id"]] = b"other"
    data.update(filesize=5, checksum={"type": "sha1", "value": "0" * 40})
    assert publisher.publish(release).facts["written"] == 1
    site.require(release, "upload")


def test_links_to_a_tag_that_the_hub_forgot_are_made_anew(site):
    first, second = site.release(), site.release(DOCUMENTS | {"c": ["autre"]}, day="20261129")
    site.publisher().publish(first)
    site.publisher().publish(second)
    kept = [item["url"] for item in site.double.only["resources"] if f"/{first.id}/" in item["url"]]
    assert len(kept) == 3
    site.double.forgotten.add(first.id)
    assert len(site.publisher().plan(second).steps) == 3 + 1
    site.publisher().publish(second)
    site.require(second, "remote")
    assert all(f"/{second.id}/" in item["url"] for item in site.double.only["resources"])


def test_a_hub_that_does_not_answer_is_no_reason_to_make_links_anew(site):
    site.publisher().publish(site.release())
    second = site.release(DOCUMENTS | {"c": ["autre"]}, day="20261129")
    site.double.meet("HEAD", "/hub/", drops)
    assert site.publisher().publish(second).facts["written"] == 2
    site.require(second, "remote")


def test_going_back_to_an_earlier_release_is_a_publication_like_any_other(site):
    first = site.release()
    site.publisher().publish(first)
    site.publisher().publish(site.release({"a": ["autre"]}, day="20261129"))
    site.publisher().publish(first)
    site.require(first, "remote")


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "its own words"),
        (401, "MEDIATECH_DATA_GOUV_KEY"),
        (403, "MEDIATECH_DATA_GOUV_ORGANIZATION"),
        (404, "MEDIATECH_DATA_GOUV_URL"),
        (410, "was deleted"),
        (423, "no changes at the moment"),
        (429, "limit"),
        (500, "check the network"),
    ],
)
def test_a_refusal_names_sink_release_and_remedy_and_the_run_can_be_repeated(site, status, remedy):
    release = site.release()
    site.double.meet("POST", "/resources/$", answers(status, f"non, {EDITOR_KEY}"), after=2, times=99)
    with pytest.raises(PublicationError) as caught:
        site.publisher().publish(release)
    assert f"data_gouv: release {release.id} of code" in caught.value.problem
    assert str(status) in caught.value.problem
    assert remedy in caught.value.remedy
    assert EDITOR_KEY not in str(caught.value)
    assert "mediatech:release" not in site.double.only["extras"]
    site.double.forgive()
    site.publisher().publish(release)
    site.require(release, "remote")


def test_wrong_keys_are_said_without_being_shown(site):
    release = site.release()
    with pytest.raises(PublicationError, match="MEDIATECH_DATA_GOUV_KEY") as caught:
        site.publisher(key="another-secret").plan(release)
    assert "another-secret" not in str(caught.value)
    with pytest.raises(PublicationError, match="is editor of"):
        site.publisher(key=READER_KEY).publish(release)
    assert site.double.datasets == {}


def test_a_site_that_is_read_only_is_said(site):
    site.double.read_only = True
    with pytest.raises(PublicationError, match=r"423 \(The site is read only"):
        site.publisher().publish(site.release())


def test_validation_errors_are_told_field_by_field(site):
    site.double.meet(
        "POST", "/datasets/$", lambda handler, carry_out: handler.send_json(  # noqa: ARG005
            400, {"message": "Validation error", "errors": {"tags": ["Tag too short"]}}
        )
    )  # fmt: skip
    with pytest.raises(PublicationError, match="Validation error; tags: Tag too short"):
        site.publisher().publish(site.release())


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"url": "data.gouv.fr"}, "MEDIATECH_DATA_GOUV_URL"),
        ({"url": "https://me:secret@www.data.gouv.fr/api/1/"}, "MEDIATECH_DATA_GOUV_URL"),
        ({"key": ""}, "MEDIATECH_DATA_GOUV_KEY"),
        ({"organization": "../me"}, "MEDIATECH_DATA_GOUV_ORGANIZATION"),
        ({"hub_repository": ""}, "address on the hub"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_anything_is_sent(site, options, setting):
    with pytest.raises(ConfigurationError, match=setting) as caught:
        site.publisher(**options)
    assert "secret" not in str(caught.value)


def test_an_organisation_that_does_not_exist_is_said(site):
    with pytest.raises(PublicationError, match="Organization not found") as caught:
        site.publisher(organization="nobody").publish(site.release())
    assert "MEDIATECH_DATA_GOUV_ORGANIZATION" in caught.value.remedy


def publish_there(folder: str, url: str, mode: str, hub: str) -> None:
    """Publishes from another process, which will be killed."""
    DataGouvPublisher(
        url=url,
        key=EDITOR_KEY,
        organization=SLUG,
        hub_repository=hub,
        resources=mode,  # type: ignore[arg-type]
        pacing=QUICK,
        part_bytes=PART,
    ).publish(read_release(Path(folder)))


@pytest.fixture(scope="module")
def publishing() -> Iterator[Mortals]:
    with mortals(publish_there) as running:
        yield running


@pytest.mark.parametrize(
    ("mode", "method", "path", "after", "when"),
    [
        ("remote", "POST", "/datasets/$", 0, afterwards),
        ("remote", "POST", "/resources/$", 2, afterwards),
        ("upload", "POST", "[^/]{24}/upload/$", 7, before),
        ("upload", "PUT", "/resources/", 1, before),
        ("remote", "PUT", "/datasets/[^/]+/$", 0, before),
    ],
)
def test_a_publication_that_is_killed_is_ended_by_the_next_one(
    site, publishing, mode, method, path, after, when
):
    release = site.release()
    site.double.meet(method, path, when(publishing.kill), after=after)
    there = (release.folder, f"{site.double.url}/api/1/", mode, site.double.hub)
    assert publishing.call(*there) == -signal.SIGKILL
    publisher = site.publisher(resources=mode)
    publisher.publish(release)
    site.require(release, mode)
    assert len(site.double.datasets) == 1
    assert not publisher.publish(release).changed


def test_a_newer_release_takes_over_what_a_killed_one_left(site):
    first, second = site.release(), site.release({"a": ["autre"], "b": ["trois"]}, day="20261129")
    site.double.meet("PUT", "/resources/", answers(403), after=1)
    with pytest.raises(PublicationError):
        site.publisher(resources="upload").publish(first)
    site.publisher(resources="upload").publish(second)
    site.require(second, "upload")


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, "unknown"), (1, "daily"), (2, "weekly"), (7, "weekly"), (30, "monthly"), (90, "quarterly"),
     (365, "annual"), (1_000, "irregular")],
)  # fmt: skip
def test_a_cadence_has_the_name_that_the_site_knows(days, name):
    assert frequency(days) == name


def test_dates_that_mean_none_are_no_coverage(site):
    release = site.release({"a": ["un"], "b": ["deux"]}, columns={"start_date": "2999-01-01"})
    assert temporal_coverage(release) == ("2026-11-27", "2026-11-27")
    assert temporal_coverage(site.release(day="20261129", columns={"start_date": "1804-03-21"})) == (
        "1804-03-21",
        "1804-03-21",
    )


def test_without_any_date_the_criterion_is_not_met(site):
    release = site.release(columns={"date": ""}, manifest={"source_updated_at": "inconnue"})
    criteria = expected_quality(dataset_metadata(release, ORGANIZATION), release.files)
    assert [one.name for one in criteria if not one.met] == ["temporal coverage"]


def test_titles_and_descriptions_keep_the_limits(site):
    release = site.release(about={"title": "é" * 400, "producer": "x" * 200_000})
    site.publisher().publish(release)
    assert len(site.double.only["title"]) == 350
    assert len(site.double.only["description"]) == 100_000


@pytest.mark.parametrize(
    ("mode", "words"), [("remote", "only links"), ("upload", "until the next publication")]
)
def test_what_remains_is_said_as_far_as_it_is_known(site, mode, words):
    assert words in site.publisher(resources=mode).remains("code", ["a", "b"])[0]
