"""Publishing at the Albert API: only what differs, whatever happens on the way, and nothing twice."""

import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediatech_assets.errors import ConfigurationError, PublicationError
from mediatech_assets.lake import Lake
from mediatech_assets.release.publication.albert import AlbertPublisher
from mediatech_assets.release.stored import StoredRelease, read_release
from mediatech_assets.schemas import APPROVALS
from mediatech_assets_tests.doubles.albert import KEY, AlbertDouble
from mediatech_assets_tests.doubles.service import (
    QUICK,
    announces,
    answers,
    before,
    drops,
    fails_afterwards,
    loses_answer,
    serving,
)
from mediatech_assets_tests.services.mortals import Mortals, mortals
from mediatech_assets_tests.stored_release import code_files, make_release
from mediatech_assets_tests.tiny import new_lake, open_dataset, rows

DOCUMENTS = {"a": ["un", "deux"], "b": ["trois"], "c": ["quatre", "cinq", "six"]}
#: Of DuckDB: for tables of a hundred rows, a second one costs more processor time than the work itself.
THREADS = 1


@dataclass
class Place:
    """A lake in its home, a folder for releases, and the service."""

    home: Path
    folder: Path
    lake: Lake
    albert: AlbertDouble

    def publisher(self, **options) -> AlbertPublisher:
        given = {"url": f"{self.albert.url}/v1", "key": KEY, "pacing": QUICK} | options
        return AlbertPublisher(self.lake, "code", **given)

    def release(self, documents=None, per_file=1_000, **options) -> StoredRelease:
        return make_release(self.folder / "releases", code_files(documents or DOCUMENTS, per_file), **options)

    def recorded(self) -> list[tuple]:
        return rows(self.lake, "SELECT doc_id, remote_id FROM code.albert_documents ORDER BY doc_id")

    def require(self, documents) -> None:
        """The collection holds exactly these documents, and our table says so."""
        wanted = {
            name: [f"Titre {name}\n{text}" for text in texts if text]
            for name, texts in documents.items()
            if any(texts)
        }
        assert self.albert.held("code") == wanted
        assert [doc_id for doc_id, _ in self.recorded()] == sorted(wanted)
        assert {int(remote_id) for _, remote_id in self.recorded()} == set(self.albert.documents)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("albert")


@pytest.fixture(scope="module")
def shared_lake(home) -> Iterator[Lake]:
    lake = new_lake(home, threads=THREADS)
    yield lake
    lake.close()


@pytest.fixture
def place(home, shared_lake, tmp_path) -> Iterator[Place]:
    open_dataset(shared_lake, "code")
    with shared_lake.transaction("code") as cursor:
        cursor.execute("DELETE FROM code.albert_documents")
    with serving(AlbertDouble()) as albert:
        yield Place(home, tmp_path, shared_lake, albert)


NO_REQUEST_LEFT = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "0.04"}


def many(count: int) -> dict[str, list[str]]:
    return {f"d{number:04}": [f"texte {number}"] for number in range(count)}


def test_a_first_publication_makes_a_collection_with_every_document(place):
    release = place.release(per_file=2)
    published = place.publisher().publish(release)
    place.require(DOCUMENTS)
    assert published.changed
    assert (published.facts["added"], published.facts["changed"], published.facts["removed"]) == (3, 0, 0)
    (collection,) = place.albert.collections.values()
    assert collection["visibility"] == "private"
    assert release.id in collection["description"]
    assert "La DILA" in collection["description"]
    assert "2026-11-27" in collection["description"]


def test_what_is_sent_tells_where_it_comes_from_and_keeps_the_limits(place):
    place.publisher().publish(place.release(columns={"status": "x" * 300, "nota": "  ", "number": 7}))
    (document,) = [item for item in place.albert.documents.values() if item.name.startswith("c@")]
    assert document.chunks[1]["metadata"] == {
        "doc_id": "c",
        "chunk_id": "c_2",
        "chunk_index": 2,
        "title": "Titre c",
        "source_url": "https://example.org/c",
        "status": "x" * 255,
        "number": 7,
        "date": "2020-02-03",
    }
    assert document.chunks[1]["content"] == "Titre c\ncinq"


def test_an_unchanged_release_costs_one_request(place):
    release = place.release()
    place.publisher().publish(release)
    before_it = len(place.albert.requests)
    again = place.publisher().publish(release)
    assert not again.changed
    assert len(place.albert.requests) - before_it == 1
    assert place.publisher().plan(release).steps == ()


def test_only_added_changed_and_removed_documents_travel(place):
    place.publisher().publish(place.release())
    former = dict(place.recorded())
    second = {"a": DOCUMENTS["a"], "b": ["autre"], "d": ["neuf"]}
    release = place.release(second, day="20261129")
    plan = place.publisher().plan(release)
    assert [(step.action, step.target.partition(" ")[0]) for step in plan.steps] == [
        ("upload", "1"), ("update", "1"), ("delete", "1"), ("delete", "1"), ("update", "description"),
    ]  # fmt: skip
    assert plan.bytes > 0
    place.albert.requests.clear()
    published = place.publisher().publish(release)
    place.require(second)
    assert (published.facts["added"], published.facts["changed"], published.facts["removed"]) == (1, 1, 1)
    assert len(place.albert.asked("POST", "/documents$")) == 2
    assert dict(place.recorded())["a"] == former["a"]
    # The new version was whole before the former one went, and what vanished went last.
    order = [(item.method, item.path.removeprefix("/v1/")) for item in place.albert.requests]
    deleted = [path for method, path in order if method == "DELETE"]
    assert deleted == [f"documents/{former['b']}", f"documents/{former['c']}"]
    last_upload = max(place for place, (method, _) in enumerate(order) if method == "POST")
    assert order.index(("DELETE", deleted[0])) > last_upload


def test_one_percent_changed_costs_about_three_requests_a_document(place):
    documents = many(300)
    place.publisher().publish(place.release(documents))
    place.albert.requests.clear()
    changed = documents | {name: ["autre texte"] for name in list(documents)[::100]}
    place.publisher().publish(place.release(changed, day="20261129"))
    place.require(changed)
    assert len(place.albert.requests) == 1 + 3 * 3 + 1  # find; create, fill, delete former; describe


def test_metadata_alone_is_a_change_and_the_date_of_the_source_is_none(place):
    place.publisher().publish(place.release())
    same = place.publisher().publish(
        place.release(day="20261129", columns={"source_updated_at": "2026-11-28"})
    )
    assert same.facts["changed"] == 0
    other = place.publisher().publish(place.release(day="20261130", columns={"status": "ABROGE"}))
    assert other.facts["changed"] == 3
    place.require(DOCUMENTS)


def test_texts_that_are_empty_are_never_sent(place):
    documents = {"a": ["un", "", "  "], "b": ["", ""]}
    place.publisher().publish(place.release(documents))
    assert place.albert.held("code") == {"a": ["Titre a\nun", "Titre a\n  "]}


def test_a_long_document_goes_in_calls_of_64_chunks(place):
    documents = {"long": [f"texte {number}" for number in range(200)], "x" * 400: ["nom long"]}
    release = place.release(documents)
    requests = place.publisher().plan(release).notes[0]
    place.publisher().publish(release)
    chunks = [texts for name, texts in place.albert.held("code").items() if name == "long"]
    assert [len(texts) for texts in chunks] == [200]
    assert len(place.albert.asked("POST", "/chunks$")) == math.ceil(200 / 64) + 1
    assert requests.startswith(f"about {2 + 4 + 1} requests")


def test_chunks_of_many_bytes_go_in_several_calls(place):
    place.publisher().publish(place.release({"a": ["é" * 6_000_000, "è" * 6_000_000]}))
    assert [len(item.body) > 6_000_000 for item in place.albert.asked("POST", "/chunks$")] == [True, True]
    assert all(len(item.body) <= 20_000_000 for item in place.albert.asked("POST", "/chunks$"))


@pytest.mark.parametrize(
    "fault",
    [drops, loses_answer, answers(503, Retry_After="0"), answers(429, Retry_After="0"),
     fails_afterwards(504)],
    ids=["drop", "lost", "503", "429", "504-done"],
)  # fmt: skip
def test_faults_that_pass_leave_no_trace(place, fault):
    places = [("GET", "/collections$"), ("POST", "/collections$"), ("POST", "/documents$"), ("POST", "/chunks$"),
              ("PATCH", "/collections/")]  # fmt: skip
    for method, path in places:
        place.albert.meet(method, path, fault)
    place.publisher().publish(place.release())
    place.require(DOCUMENTS)
    assert place.albert.met == len(places)
    second = {"a": ["autre"], "b": DOCUMENTS["b"]}
    place.albert.meet("DELETE", "/documents/", fault)
    place.albert.meet("POST", "/chunks$", fault)
    place.publisher().publish(place.release(second, day="20261129"))
    assert place.albert.met == len(places) + 2
    place.require(second)
    assert len(place.albert.collections) == 1


@pytest.mark.parametrize("announced", [answers(429, **NO_REQUEST_LEFT), announces(**NO_REQUEST_LEFT)])
def test_a_limit_that_is_announced_is_waited_for(place, announced):
    place.albert.meet("POST", "/documents$", announced)
    began = time.monotonic()
    place.publisher().publish(place.release())
    assert time.monotonic() - began >= 0.04
    place.require(DOCUMENTS)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "MEDIATECH_ALBERT_KEY stands for"),
        (401, "set MEDIATECH_ALBERT_KEY"),
        (403, "set MEDIATECH_ALBERT_KEY"),
        (404, "MEDIATECH_ALBERT_URL"),
        (503, "check the network"),
    ],
)
def test_a_refusal_names_sink_release_and_remedy_and_the_run_can_be_repeated(place, status, words):
    documents = many(80)
    release = place.release(documents)
    place.albert.meet("POST", "/documents$", answers(status, "non"), after=70, times=1_000)
    with pytest.raises(PublicationError) as caught:
        place.publisher().publish(release)
    told = str(caught.value)
    assert "albert: release" in told
    assert release.id in told
    assert str(status) in told
    assert words in told
    assert KEY not in told
    recorded = len(place.recorded())
    assert 64 <= recorded < 80
    assert release.id not in str(place.albert.collections)
    place.albert.forgive()
    place.albert.requests.clear()
    place.publisher().publish(release)
    place.require(documents)
    assert len(place.albert.asked("POST", "/documents$")) <= 80 - recorded + 4


def test_a_wrong_key_is_said_without_showing_it(place):
    release = place.release()
    with pytest.raises(PublicationError, match="set MEDIATECH_ALBERT_KEY") as caught:
        place.publisher(key="sk-anotherSecret").publish(release)
    assert "anotherSecret" not in str(caught.value)
    with pytest.raises(PublicationError):
        place.publisher(key="sk-anotherSecret").plan(release)


@pytest.mark.parametrize("key", ["", "  ", "sk-a b", "sk-é"])
def test_a_key_that_is_none_is_refused_before_anything_is_sent(place, key):
    with pytest.raises(ConfigurationError, match="MEDIATECH_ALBERT_KEY"):
        place.publisher(key=key)


@pytest.mark.parametrize("url", ["ftp://host/v1", "albert", "https://user:secret@host/v1", "http://[::1"])
def test_an_address_that_is_none_is_refused(place, url):
    with pytest.raises(ConfigurationError, match="MEDIATECH_ALBERT_URL") as caught:
        place.publisher(url=url)
    assert "secret" not in str(caught.value)


def test_a_service_that_is_not_there_is_an_error_for_people(place):
    with pytest.raises(PublicationError, match="got no answer"):
        place.publisher(url="http://127.0.0.1:9/v1").publish(place.release())


def test_a_wait_longer_than_our_patience_ends_the_run_and_says_how_long(place):
    place.albert.meet("GET", "/collections", answers(429, Retry_After="3600"), times=9)
    with pytest.raises(PublicationError, match="wait 3,600 s"):
        place.publisher().publish(place.release())
    assert len(place.albert.requests) == 1


@pytest.mark.parametrize("status", [413, 422])
def test_a_document_that_is_refused_for_good_stops_no_other(place, status):
    documents = many(100) | {"bad": ["un", "poison"], "worse": ["poison"]}
    place.albert.judge = lambda chunks: status * any("poison" in chunk["content"] for chunk in chunks)
    release = place.release(documents)
    with pytest.raises(PublicationError, match="but for 2 of 102 documents") as caught:
        place.publisher().publish(release)
    assert "bad: " in str(caught.value)
    assert "worse: " in str(caught.value)
    place.require(many(100))  # nothing of the two is left, half or whole
    place.albert.requests.clear()
    place.albert.judge = lambda chunks: 0  # noqa: ARG005
    place.publisher().publish(release)
    place.require(documents)
    assert len(place.albert.asked("POST", "/documents$")) == 2


def test_a_change_that_is_refused_leaves_the_former_version(place):
    place.publisher().publish(place.release())
    place.albert.judge = lambda chunks: 422 * any("poison" in chunk["content"] for chunk in chunks)
    changed = {"a": ["poison"], "b": ["autre"]}
    with pytest.raises(PublicationError, match="1 of 2"):
        place.publisher().publish(place.release(changed, day="20261129"))
    place.require({"a": DOCUMENTS["a"], "b": ["autre"]})


def test_a_document_that_always_fails_is_passed_over_and_a_service_that_always_fails_ends_the_run(place):
    place.albert.judge = lambda chunks: 500 * any("poison" in chunk["content"] for chunk in chunks)
    with pytest.raises(PublicationError, match="1 of 4 documents"):
        place.publisher().publish(place.release(DOCUMENTS | {"p": ["poison"]}))
    assert place.albert.held("code").keys() >= set(DOCUMENTS)
    place.albert.judge = lambda chunks: 500  # noqa: ARG005
    place.albert.requests.clear()
    with pytest.raises(PublicationError, match="not \\(wholly\\) published"):
        place.publisher().publish(place.release(many(300), day="20261129"))
    assert len(place.albert.requests) < 300


def test_a_public_collection_needs_a_permission(place):
    release = place.release()
    with pytest.raises(PublicationError, match="MEDIATECH_ALBERT_VISIBILITY=private") as caught:
        place.publisher(visibility="public").publish(release)
    assert release.id in str(caught.value)
    place.albert.may_publish = True
    place.publisher(visibility="public").publish(release)
    place.require(DOCUMENTS)


def test_a_public_collection_of_others_is_not_ours(place):
    theirs = place.albert.add_collection("code", "someone@example.org", "public")
    place.albert.may_publish = True
    place.publisher(visibility="public").publish(place.release())
    assert all(item.collection != theirs for item in place.albert.documents.values())
    place.publisher(visibility="public").publish(place.release({"a": ["un"]}, day="20261129"))
    assert len(place.albert.collections) == 2
    assert len(place.albert.documents) == 1


def test_a_collection_whose_records_were_lost_is_adopted_not_filled_again(place):
    release = place.release()
    place.publisher().publish(release)
    with place.lake.transaction("code") as cursor:
        cursor.execute("DELETE FROM code.albert_documents")
    assert "will be listed first" in place.publisher().plan(release).notes[1]
    place.albert.requests.clear()
    place.publisher().publish(release)
    place.require(DOCUMENTS)
    assert place.albert.asked("POST") == []


def test_documents_that_were_deleted_at_the_service_are_sent_again(place):
    release = place.release()
    place.publisher().publish(release)
    place.albert.documents.pop(int(dict(place.recorded())["b"]))
    place.publisher().publish(release)
    place.require(DOCUMENTS)


def test_documents_of_other_people_in_the_collection_stay(place):
    place.publisher().publish(place.release())
    (collection,) = place.albert.collections
    place.albert.documents[900] = type(place.albert.documents[min(place.albert.documents)])(
        collection, "note.pdf"
    )
    place.publisher().publish(place.release({"a": ["autre"]}, day="20261129"))
    assert 900 in place.albert.documents
    assert len(place.albert.documents) == 2


def test_going_back_to_an_earlier_release_is_a_synchronisation_like_any_other(place):
    first = place.release()
    place.publisher().publish(first)
    place.publisher().publish(place.release({"a": ["autre"], "z": ["neuf"]}, day="20261129"))
    place.publisher().publish(first)
    place.require(DOCUMENTS)
    (collection,) = place.albert.collections.values()
    assert first.id in collection["description"]


def test_what_remains_is_said_as_far_as_it_is_known(place):
    publisher = place.publisher()
    assert "none of them" in publisher.remains("code", ["a"])[0]
    publisher.publish(place.release())
    assert "holds 2 of them" in publisher.remains("code", ["a", "b", "nowhere"])[0]
    publisher.publish(place.release({"c": ["x"]}, day="20261129"))
    told = publisher.remains("code", ["a", "b"])
    assert "none of them" in told[0]
    assert "not known" in told[1]


def test_a_plan_needs_no_table_in_a_lake_that_is_older(place, tmp_path):
    lake = new_lake(tmp_path / "older", threads=THREADS)
    lake.open("code", {"approvals": APPROVALS})
    plan = AlbertPublisher(lake, "code", url=f"{place.albert.url}/v1", key=KEY).plan(place.release())
    lake.close()
    assert [step.target for step in plan.steps][:2] == ["collection code", "3 added documents"]
    assert place.albert.collections == {}


def publish_there(home: str, release: str, url: str) -> None:
    """Publishes from another process, which will be killed."""
    lake = new_lake(Path(home), threads=THREADS)
    open_dataset(lake, "code")
    options = {"url": url, "key": KEY, "pacing": QUICK}
    AlbertPublisher(lake, "code", **options).publish(read_release(Path(release)))


@pytest.fixture(scope="module")
def publishing() -> Iterator[Mortals]:
    with mortals(publish_there) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "after"),
    [
        ("POST", "/collections$", 0),
        ("POST", "/documents$", 66),
        ("POST", "/chunks$", 70),
        ("DELETE", "/documents/", 1),
    ],
)
def test_a_publication_that_is_killed_is_ended_by_the_next_one(place, publishing, method, path, after):
    documents = many(100) | {"long": [f"texte {number}" for number in range(150)]}
    if method == "DELETE":
        place.publisher().publish(place.release(many(70)))
        documents = {name: ["autre"] for name in list(many(70))[:3]} | {"z": ["neuf"]}
    release = place.release(documents, day="20261129")
    place.lake.close()
    place.albert.meet(method, path, before(publishing.kill), after=after)
    assert publishing.call(place.home, release.folder, f"{place.albert.url}/v1") == -signal.SIGKILL
    open_dataset(place.lake, "code")
    place.publisher().publish(release)
    place.require(documents)
    assert len(place.albert.collections) == 1
    place.albert.requests.clear()
    assert not place.publisher().publish(release).changed
    assert len(place.albert.requests) == 1
