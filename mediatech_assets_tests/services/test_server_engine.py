"""What a server has and what can go wrong with it: the real client, by URL, against `qdrant_front`."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediatech_assets.errors import ConfigurationError, IndexUnavailableError
from mediatech_assets.index import client, client_connection
from mediatech_assets.index.engine import (
    DOCUMENT_VECTOR,
    SPARSE_VECTOR,
    CollectionSpec,
    Engine,
    EngineOptions,
    UnreachableError,
    open_engine,
)
from mediatech_assets_tests.law_points import AHEAD, SPEC, found, point, points
from mediatech_assets_tests.qdrant_front import QdrantFront, Request, qdrant_front

KEY = "cle-tres-secrete"
NOWHERE = Path("/nowhere")


@pytest.fixture
def front(monkeypatch) -> Iterator[QdrantFront]:
    monkeypatch.setattr(client, "POLL_SECONDS", 0.001)
    with qdrant_front(KEY) as running:
        yield running


def engine_of(front: QdrantFront, wait_seconds: float = 5.0, **options) -> Engine:
    return open_engine("server", NOWHERE, wait_seconds, EngineOptions(front.url, KEY, **options))


@pytest.fixture
def legi(front) -> Engine:
    engine = engine_of(front)
    engine.create("legi-1", SPEC)
    engine.point_to("legi", "legi-1")
    return engine


def asked(front: QdrantFront, method: str, end: str) -> list[Request]:
    return [request for request in front.requests if request.method == method and request.path.endswith(end)]


def test_a_server_without_address_names_the_setting():
    with pytest.raises(ConfigurationError, match="no address") as caught:
        open_engine("server", NOWHERE)
    assert "MEDIATECH_INDEX_URL" in caught.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6333",
        "ftp://host",
        "http://",
        "http://u:p@host:6333",
        "http://host:port",
        "http://[::1",
        "http://h/?k=v",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url):
    with pytest.raises(ConfigurationError, match="MEDIATECH_INDEX_URL") as caught:
        open_engine("server", NOWHERE, options=EngineOptions(url))
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("key", ["secret\n", " secret", "clé-secret", "secret\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key):
    with pytest.raises(ConfigurationError, match="MEDIATECH_INDEX_KEY") as caught:
        open_engine("server", NOWHERE, options=EngineOptions("http://127.0.0.1:1", key))
    assert "secret" not in str(caught.value)


def test_options_do_not_show_the_key():
    assert KEY not in repr(EngineOptions("http://127.0.0.1:6333", KEY))


def test_a_key_that_is_refused_names_the_setting_and_not_the_key(front):
    wrong = open_engine("server", NOWHERE, 0.0, EngineOptions(front.url, KEY + "-fausse"))
    for refused in (
        wrong.collections,
        lambda: wrong.collection_for("legi"),
        lambda: wrong.create("x-1", SPEC),
    ):
        with pytest.raises(ConfigurationError, match="MEDIATECH_INDEX_KEY") as caught:
            refused()
        assert KEY not in str(caught.value)
    read_only = engine_of(front)
    front.fail("PUT /collections/x-1", "403")
    with pytest.raises(ConfigurationError, match="MEDIATECH_INDEX_KEY"):
        read_only.create("x-1", SPEC)


def test_a_host_that_does_not_answer_is_named_with_a_remedy():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    engine = open_engine("server", NOWHERE, 0.0, EngineOptions(f"http://127.0.0.1:{port}", KEY))
    for unanswered in (engine.collections, lambda: engine.count("legi-1"), lambda: found(engine)):
        with pytest.raises(UnreachableError, match=rf"127\.0\.0\.1:{port} does not answer") as caught:
            unanswered()
        assert "MEDIATECH_INDEX_URL" in caught.value.remedy
        assert KEY not in str(caught.value)


def test_failures_that_pass_are_waited_for(front, legi):
    front.fail("PUT .*/points", "503", "429", "drop", "502")
    legi.upsert("legi-1", points(range(600)))
    front.fail("POST .*/points/query/batch", "drop", "500")
    front.fail("GET /aliases", "504")
    assert len(found(legi)) == 50
    assert legi.count("legi-1") == 600


def test_a_server_that_stays_in_trouble_is_unreachable_and_keeps_what_it_has(front, legi):
    legi.upsert("legi-1", points(range(3)))
    impatient = engine_of(front, wait_seconds=0.0)
    front.fail("PUT .*/points", "503")
    with pytest.raises(UnreachableError, match=r"in trouble.*503"):
        impatient.upsert("legi-1", points(range(5)))
    front.fail("GET /collections", "503")
    with pytest.raises(UnreachableError):
        impatient.count("legi-1")
    assert impatient.count("legi-1") == 3


@pytest.mark.parametrize(("fault", "said"), [("html", "does not answer as it should"), ("301", "301")])
def test_an_answer_that_is_not_qdrants_is_said(front, legi, fault, said):
    front.fail("GET /aliases", fault)
    with pytest.raises(UnreachableError, match=said):
        legi.collection_for("legi")


@pytest.mark.usefixtures("legi")
def test_a_server_that_hangs_is_given_up(front, monkeypatch):
    monkeypatch.setattr(client_connection, "TIMEOUT_SECONDS", 1)
    impatient = engine_of(front, wait_seconds=0.0)
    front.fail("POST .*/points/query/batch", "hang")
    with pytest.raises(UnreachableError, match="ReadTimeout"):
        found(impatient)


def test_a_bulk_load_is_many_small_requests_of_which_only_the_last_waits(front, legi):
    legi.upsert("legi-1", points(range(1_000)))
    requests = asked(front, "PUT", "/points")
    assert [len(request.body["points"]) for request in requests].count(client.UPDATE_SIZE) == 3
    assert sum(len(request.body["points"]) for request in requests) == 1_000
    assert [request.query["wait"] for request in requests] == ["false", "false", "false", "true"]
    assert legi.count("legi-1") == 1_000


def test_requests_stay_below_five_megabytes(front, legi):
    long = [point(number, "é" * 300_000) for number in range(20)]
    legi.upsert("legi-1", long)
    requests = asked(front, "PUT", "/points")
    assert len(requests) > 1
    assert all(request.size < client.UPDATE_BYTES for request in requests)
    assert legi.count("legi-1") == 20


def test_an_update_that_was_acknowledged_and_lost_is_noticed(front, legi, monkeypatch):
    monkeypatch.setattr(client, "UPDATE_STALL_SECONDS", 0.05)
    front.fail("PUT .*/points", "lose")
    with pytest.raises(UnreachableError, match="no progress in storing points"):
        legi.upsert("legi-1", points(range(600)))
    legi.upsert("legi-1", points(range(600)))
    assert legi.count("legi-1") == 600


def test_a_failed_optimiser_is_reported_with_its_words(front, legi):
    front.break_optimiser("legi-1")
    for failing in (lambda: legi.upsert("legi-1", points([1])), lambda: legi.finish("legi-1")):
        with pytest.raises(IndexUnavailableError, match="No space left on device"):
            failing()


def test_a_graph_is_built_once_the_points_are_there_and_waited_for(front, legi, monkeypatch):
    assert front.settings("legi-1")["hnsw_config"] == {"m": 0}
    legi.finish("legi-1")
    assert front.settings("legi-1")["hnsw_config"]["m"] == client.GRAPH_LINKS
    looks = [request.method for request in front.requests]
    assert looks[-4:] == ["GET"] * 4  # yellow twice, then green twice

    monkeypatch.setattr(client, "GRAPH_STALL_SECONDS", 0.0)
    with pytest.raises(UnreachableError, match="no progress in building the graph"):
        legi.finish("legi-1")


def test_fields_that_people_filter_on_are_indexed_and_indexed_again(front, legi):
    expected = {"dataset": "keyword", "doc_id": "keyword"} | {
        name: kind.value for name, kind in SPEC.fields.items()
    }
    assert front.indexed("legi-1") == expected
    del front.indexed("legi-1")["status"]
    legi.finish("legi-1")
    assert front.indexed("legi-1") == expected


def test_quantisation_and_disk_are_asked_for_when_set(front):
    engine = engine_of(front, quantization="int8", on_disk=True)
    engine.create("legi-1", SPEC)
    settings = front.settings("legi-1")
    assert settings["quantization_config"]["scalar"]["type"] == "int8"
    assert settings["vectors"]["BAAI-bge-m3"]["on_disk"] is True
    sparse = {"index": {"on_disk": True}, "modifier": "idf"}
    assert settings["sparse_vectors"] == {SPARSE_VECTOR: sparse, DOCUMENT_VECTOR: sparse}
    assert settings["hnsw_config"] == {"m": 0, "on_disk": True}
    assert settings["on_disk_payload"] is True
    engine_of(front).create("legi-2", SPEC)
    plain = front.settings("legi-2")
    assert plain.get("quantization_config") is None
    assert plain.get("on_disk_payload") is None


def test_a_model_whose_name_servers_refuse_has_its_vector_under_another(front, legi):
    legi.upsert("legi-1", points([1]))
    assert found(legi) == {"LEGIARTI1_0"}
    assert list(front.settings("legi-1")["vectors"]) == ["BAAI-bge-m3"]


def test_an_alias_moves_in_one_call(front, legi):
    legi.create("legi-2", SPEC)
    legi.point_to("legi", "legi-2")
    (*_, last) = asked(front, "POST", "/aliases")
    assert [next(iter(action)) for action in last.body["actions"]] == ["delete_alias", "create_alias"]


def test_a_search_follows_an_alias_that_moved_since_it_was_read(front, legi):
    other = engine_of(front)
    legi.upsert("legi-1", points([1]))
    assert found(other) == {"LEGIARTI1_0"}
    legi.create("legi-2", SPEC)
    legi.upsert("legi-2", points([2]))
    aliases = iter([{"legi": "legi-1"}, {"legi": "legi-2"}])
    legi.point_to("legi", "legi-2")
    legi.drop("legi-1")
    other.aliases = lambda: next(aliases)  # what a search reads right before and right after the move
    assert found(other) == {"LEGIARTI2_0"}


def test_collections_of_others_are_neither_listed_nor_taken_for_ours(front, legi):
    from qdrant_client import models

    front.client.create_collection("autre", models.VectorParams(size=2, distance=models.Distance.DOT))
    assert legi.collections() == ["legi-1"]
    assert legi.exists("autre")
    with pytest.raises(IndexUnavailableError, match="changed by someone else"):
        legi.count("autre")
    with pytest.raises(IndexUnavailableError, match="autre"):
        legi.point_to("autre", "legi-1")
    assert front.client.collection_exists("autre")


@pytest.mark.parametrize("change", ["size", "distance", "name", "sparse", "idf", "specification"])
def test_a_collection_that_somebody_made_anew_is_noticed_and_can_be_built_again(front, legi, change):
    from qdrant_client import models

    legi.upsert("legi-1", points([1]))
    metadata = front.client.get_collection("legi-1").config.metadata
    front.client.delete_collection("legi-1")
    dense = models.VectorParams(
        size=8 if change == "size" else 4,
        distance=models.Distance.DOT if change == "distance" else models.Distance.COSINE,
    )
    sparse = models.SparseVectorParams(modifier=None if change == "idf" else models.Modifier.IDF)
    front.client.create_collection(
        "legi-1",
        {"other" if change == "name" else client.vector_name(SPEC): dense},
        sparse_vectors_config=None
        if change == "sparse"
        else {
            SPARSE_VECTOR: sparse,
            DOCUMENT_VECTOR: models.SparseVectorParams(modifier=models.Modifier.IDF),
        },
        metadata=None if change == "specification" else metadata,
    )
    for refused in (
        lambda: legi.count("legi-1"),
        lambda: legi.upsert("legi-1", points([1])),
        lambda: legi.stored("legi-1", ["LEGIARTI1_0"]),
        lambda: list(legi.point_ids("legi-1")),
    ):
        with pytest.raises(IndexUnavailableError, match="changed by someone else") as caught:
            refused()
        assert "mediatech update --layers index" in caught.value.remedy
    legi.drop("legi-1")
    legi.create("legi-1", SPEC)
    legi.point_to("legi", "legi-1")
    legi.upsert("legi-1", points([1]))
    assert found(legi) == {"LEGIARTI1_0"}


def test_a_search_in_a_collection_that_somebody_made_anew_fails_instead_of_answering(front, legi):
    from qdrant_client import models

    legi.upsert("legi-1", points([1]))
    assert found(legi) == {"LEGIARTI1_0"}
    front.client.delete_collection("legi-1")
    front.client.create_collection("legi-1", models.VectorParams(size=8, distance=models.Distance.COSINE))
    legi_alias = models.CreateAlias(collection_name="legi-1", alias_name="legi")
    front.client.update_collection_aliases([models.CreateAliasOperation(create_alias=legi_alias)])
    with pytest.raises(IndexUnavailableError):
        legi.search_dense("legi", AHEAD, 5)


def test_a_creation_that_was_cut_short_is_seen_and_completed(front, legi):
    front.fail("PUT .*/legi-2/index", "403")
    with pytest.raises(ConfigurationError):
        legi.create("legi-2", SPEC)
    assert legi.collections() == ["legi-1", "legi-2"]
    legi.finish("legi-2")
    assert set(front.indexed("legi-2")) == {"dataset", "doc_id", *SPEC.fields}


def test_a_snapshot_has_the_servers_name(legi):
    assert legi.snapshot("legi-1") == "legi-1-0.snapshot"
    assert legi.snapshot("legi-1") == "legi-1-1.snapshot"


def test_an_address_may_have_a_path(front):
    behind_a_proxy = open_engine(
        "server", NOWHERE, 0.0, replace(EngineOptions(front.url, KEY), url=f"{front.url}/qdrant")
    )
    with pytest.raises(IndexUnavailableError):
        behind_a_proxy.collections()
    assert front.requests[-1].path == "/qdrant/collections"


def test_a_specification_without_fields_works_on_a_server(front):
    engine = engine_of(front)
    engine.create("toy-1", CollectionSpec("toy", 4))
    engine.upsert("toy-1", points([1]))
    assert engine.count("toy-1") == 1
