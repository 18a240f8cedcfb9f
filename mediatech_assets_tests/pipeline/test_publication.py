"""From a candidate to the public and back, by the commands and by the UI's run, against doubles of the sinks.

One story, told in order on one installation: what each test leaves is what the next one begins with.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mediatech_assets.definitions import build_defs
from mediatech_assets.layers import BUILT_LAYERS, Layer, Sink, asset_key
from mediatech_assets.orchestration.instance import dagster_instance
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.orchestration.update import PublicationRun, publish_release
from mediatech_assets.records import file_sha256
from mediatech_assets.settings import load_settings
from mediatech_assets_tests.command_line import Ran, mediatech
from mediatech_assets_tests.doubles.albert import KEY as ALBERT_KEY
from mediatech_assets_tests.doubles.albert import AlbertDouble
from mediatech_assets_tests.doubles.data_gouv import EDITOR_KEY as DATA_GOUV_KEY
from mediatech_assets_tests.doubles.data_gouv import ORGANIZATION, DataGouvDouble
from mediatech_assets_tests.doubles.hub import WRITE_TOKEN, Hub, serving_hub, without_xet
from mediatech_assets_tests.doubles.service import serving
from mediatech_assets_tests.pipeline.installation import Installation

DATASET = "travail_emploi"
REPOSITORY = "org/travail-emploi"
LATEST = "data/travail-emploi-latest/"


@dataclass
class Story:
    """The installation, the sinks, and the releases in the order in which they were built."""

    installation: Installation
    hub: Hub
    data_gouv: DataGouvDouble
    albert: AlbertDouble
    releases: list[str]

    @property
    def home(self) -> Path:
        return self.installation.home

    @property
    def sinks(self) -> Mapping[str, str]:
        """Settings of the sinks."""
        return {
            "hub_namespace": "org",
            "hub_endpoint": self.hub.url,
            "hub_token": WRITE_TOKEN,
            "data_gouv_url": f"{self.data_gouv.url}/api/1/",
            "data_gouv_key": DATA_GOUV_KEY,
            "data_gouv_organization": ORGANIZATION,
            "albert_url": f"{self.albert.url}/v1",
            "albert_key": ALBERT_KEY,
        }

    def run(self, *arguments: str, code: int = 0) -> Ran:
        """Runs a command with the sinks set up."""
        return mediatech(self.home, *arguments, code=code, **self.sinks)

    def state(self, release: str) -> str:
        """State of a release in the list of releases."""
        listed = self.run("releases", DATASET, "--json").json["releases"]
        return next(each["state"] for each in listed if each["id"] == release)

    def update(self, upstream: Path) -> str:
        """Builds the release of a day."""
        self.installation.materialised(upstream, DATASET, BUILT_LAYERS)
        self.releases.append(self.installation.release_folder(DATASET).name)
        return self.releases[-1]

    def on_hub(self) -> dict[str, str]:
        """SHA-256 of the files of `-latest`, by path."""
        tree = self.hub.repositories[REPOSITORY].head.tree
        return {path: blob.sha256 for path, blob in tree.items() if path.startswith(LATEST)}

    def in_release(self, release: str) -> dict[str, str]:
        """The same of a release's folder."""
        folder = self.installation.settings.releases_folder / DATASET / release
        return {
            path.relative_to(folder).as_posix(): file_sha256(path)
            for path in (folder / "data").rglob("*.parquet")
        }

    def run_in_the_ui(self, sink: Sink, **config: object) -> PublicationRun:
        """Materialises the asset of a sink with a run configuration, as the launchpad does."""
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DAGSTER_HOME", "")
            for name, value in self.sinks.items():
                environment.setenv(f"MEDIATECH_{name.upper()}", value)
            definitions = build_defs({"platform": PlatformResource(home=str(self.home))})
            with dagster_instance(load_settings(home=str(self.home))) as instance:
                return publish_release(definitions, instance, DATASET, sink, config)

    def events(self, stage: Layer | Sink) -> list[Mapping[str, Any]]:
        """Metadata of the observations of an asset, newest first."""
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DAGSTER_HOME", "")
            with dagster_instance(self.installation.settings) as instance:
                found = instance.fetch_observations(dg.AssetKey(asset_key(DATASET, stage)), limit=10)
                return [
                    {name: value.value for name, value in record.asset_observation.metadata.items()}
                    for record in found.records
                    if record.asset_observation
                ]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, sample_days: Mapping[int, Path]) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("publication")
    with (
        without_xet(),
        serving_hub(folder / "hub") as hub,
        serving(DataGouvDouble()) as data_gouv,
        serving(AlbertDouble()) as albert,
    ):
        told = Story(Installation(folder / "home"), hub, data_gouv, albert, [])
        told.update(sample_days[0])
        yield told


def test_1_what_nobody_approved_does_not_leave(story):
    [first] = story.releases
    assert story.state(first) == "candidate"
    for sink in Sink:
        refused = story.run("publish", DATASET, first, "--sink", sink.value, code=1)
        assert f"release {first} of {DATASET} was not approved" in refused.err
        assert f"mediatech approve {DATASET} {first}" in refused.err
    assert story.hub.repositories == {}


def test_2_a_rejection_is_shown_to_who_tries(story):
    [first] = story.releases
    story.run("reject", DATASET, first, "--comment", "un titre manque", "--by", "Camille")
    assert story.state(first) == "rejected"
    refused = story.run("publish", DATASET, first, "--sink", "huggingface", code=1)
    assert "rejected by Camille (self-declared): un titre manque" in refused.err


def test_3_an_approval_is_a_row_and_an_event(story):
    [first] = story.releases
    approved = story.run("approve", DATASET, first, "--comment", "relu", "--json").json
    assert (approved["decision"], approved["person"]["identity"]) == ("approved", "account")
    assert story.state(first) == "approved"
    newest, older = story.events(Layer.RELEASE)[:2]
    assert (newest["decision"], newest["release"], newest["comment"]) == ("approved", first, "relu")
    assert older["decided by"] == "Camille (self-declared)"
    status = story.run("status", "--json").json["datasets"][DATASET]
    assert status["release"] == {
        "id": first,
        "path": str(story.installation.release_folder(DATASET)),
        "state": "approved",
    }


def test_4_a_dry_run_says_what_would_be_done_and_does_nothing(story):
    [first] = story.releases
    plan = story.run("publish", DATASET, first, "--sink", "huggingface", "--dry-run", "--json").json
    assert plan["steps"][0]["action"] == "create"
    assert {step["target"] for step in plan["steps"]} >= {
        *story.in_release(first),
        "README.md",
        "manifest.json",
    }
    assert plan["bytes"] > 0
    assert story.hub.repositories == {}


def test_5_a_publication_is_the_release_and_is_not_made_twice(story):
    [first] = story.releases
    done = story.run("publish", DATASET, first, "--sink", "huggingface", "--json").json
    assert done["succeeded"]
    assert story.on_hub() == story.in_release(first)
    assert story.state(first) == "published"
    assert story.hub.repositories[REPOSITORY].tags.keys() == {first}
    commits = len(story.hub.repositories[REPOSITORY].commits)
    again = story.run("publish", DATASET, first, "--sink", "huggingface")
    assert "was published already" in again.out
    assert len(story.hub.repositories[REPOSITORY].commits) == commits
    [(count,)] = story.installation.rows(f"SELECT count(*) FROM {DATASET}.publications")
    assert count == 1


def test_6_links_on_data_gouv_go_to_the_tag_on_the_hub(story):
    [first] = story.releases
    story.run("publish", DATASET, first, "--sink", "data_gouv")
    dataset = story.data_gouv.only
    assert dataset["private"] is False
    links = {resource["url"] for resource in dataset["resources"]}
    base = f"{story.hub.url}/datasets/{REPOSITORY}/resolve/{first}/"
    assert {f"{base}{path}" for path in story.in_release(first)} <= links


def test_7_albert_gets_every_document_once(story):
    [first] = story.releases
    story.run("publish", DATASET, first, "--sink", "albert")
    [(documents,)] = story.installation.rows(f"SELECT count(DISTINCT doc_id) FROM {DATASET}.chunks")
    assert len(story.albert.documents) == documents
    requests = len(story.albert.requests)
    story.run("publish", DATASET, first, "--sink", "albert")
    assert len(story.albert.requests) - requests < 10
    assert story.run("status", "--json").json["datasets"][DATASET]["published"] == dict.fromkeys(Sink, first)


def test_8_the_next_release_is_approved_and_published_by_one_run_of_the_ui(story, sample_days):
    first, second = story.releases[0], story.update(sample_days[2])
    refused = story.run_in_the_ui(Sink.HUGGINGFACE, release=second)
    assert "was not approved" in refused.errors[0]
    planned = story.run_in_the_ui(Sink.HUGGINGFACE, release=second, dry_run=True, approved_by="Dominique")
    assert (planned.facts, planned.errors) == ({}, [])
    assert f"| tag | `{second}` |" in story.events(Sink.HUGGINGFACE)[0]["plan"]
    assert story.state(second) == "candidate"
    done = story.run_in_the_ui(Sink.HUGGINGFACE, release=second, approved_by="Dominique", comment="vu")
    assert not done.errors
    assert story.on_hub() == story.in_release(second)
    assert story.events(Layer.RELEASE)[0]["decided by"] == "Dominique (self-declared)"
    tree = story.hub.repositories[REPOSITORY].head.tree
    former = f"data/travail-emploi-{first[:8]}/"
    assert {path.replace(LATEST, former): sha256 for path, sha256 in story.in_release(first).items()} == {
        path: blob.sha256 for path, blob in tree.items() if path.startswith(former)
    }


def test_9_an_older_release_comes_back_by_a_rollback_only(story):
    first, second = story.releases
    refused = story.run("publish", DATASET, first, "--sink", "huggingface", code=1)
    assert f"mediatech rollback {DATASET} {first} --sink huggingface" in refused.err
    story.run("rollback", DATASET, first, "--sink", "huggingface")
    assert story.on_hub() == story.in_release(first)
    assert story.state(first) == "published"
    assert story.state(second) == "approved"
    [newest, *_] = story.installation.rows(
        f"SELECT release, rollback FROM {DATASET}.publications WHERE sink = 'huggingface' ORDER BY published_at DESC"
    )
    assert newest == (first, True)


def test_only_what_changed_is_sent_to_albert(story):
    second = story.releases[1]
    known = set(story.albert.documents)
    story.run("publish", DATASET, second, "--sink", "albert")
    changed = story.installation.rows(
        f"SELECT count(*) FROM {DATASET}.documents WHERE changed_at > (SELECT min(changed_at) FROM {DATASET}.documents)"
    )
    new = set(story.albert.documents) - known
    assert 0 < len(new) < len(known)
    assert len(new) == changed[0][0]


def test_a_release_that_somebody_changed_does_not_leave(story):
    second = story.releases[1]
    folder = story.installation.settings.releases_folder / DATASET / second
    file = next((folder / "data").rglob("*.parquet"))
    good = file.read_bytes()
    file.unlink()  # both releases may share the file by a link
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refused = story.run("publish", DATASET, second, "--sink", "huggingface", code=1)
    assert str(file) in refused.err
    assert "was changed after the release was built" in refused.err
    assert story.on_hub() == story.in_release(story.releases[0])
    file.write_bytes(good)


def test_no_secret_stands_anywhere_below_the_home(story):
    secrets = [secret.encode() for secret in (WRITE_TOKEN, DATA_GOUV_KEY, ALBERT_KEY)]
    files = [path for path in story.home.rglob("*") if path.is_file() and path.stat().st_size < 50_000_000]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret not in content, path


def test_what_is_asked_for_wrongly_is_said(story):
    first = story.releases[0]
    assert "choose among huggingface" in story.run("publish", DATASET, first, "--sink", "hub", code=1).err
    assert "there is no release" in story.run("approve", DATASET, "20200101-00000000", code=1).err
    assert "there is no release" in story.run("approve", DATASET, "../../etc", code=1).err
    assert "nothing of legi was built yet" in story.run("releases", "legi", code=1).err
    unset = mediatech(story.home, "publish", DATASET, story.releases[1], "--sink", "albert", code=1)
    assert "MEDIATECH_ALBERT_KEY is empty" in unset.err


def test_the_lists_are_for_people_too(story):
    shown = story.run("releases", DATASET).out
    for release in story.releases:
        assert release in shown
    assert "huggingface" in shown
    assert json.loads(story.run("releases", DATASET, "--json").out)["dataset"] == DATASET
