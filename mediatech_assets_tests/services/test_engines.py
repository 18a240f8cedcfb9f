"""What every engine promises, tried on all three: embedded, a server by URL, in memory."""

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediatech_assets.errors import ConfigurationError, EmbeddingError, IndexUnavailableError
from mediatech_assets.index import client, edge
from mediatech_assets.index.bm25 import encode_document, encode_query
from mediatech_assets.index.client_connection import memory_connection
from mediatech_assets.index.engine import (
    SPARSE_VECTOR,
    Candidates,
    CollectionSpec,
    Engine,
    EngineOptions,
    Filter,
    Operator,
    Queries,
    as_of,
    open_engine,
)
from mediatech_assets.index.points import Point, chunk_of, point_id
from mediatech_assets.index.question import encode_question
from mediatech_assets.index.ranking import Mode, best_passages
from mediatech_assets.index.search import search
from mediatech_assets.index.verify import ChangedPoint, sampled_ids, verify
from mediatech_assets_tests.law_points import AHEAD, SPEC, found, point, points
from mediatech_assets_tests.qdrant_front import qdrant_front

KEY = "une-cle"


@dataclass(frozen=True, slots=True)
class Store:
    """Where collections are.

    Args:
        kind: The engine's name.
        open: An engine of its own on the same collections.
        intrude: Writes a point into a collection as somebody else would: number, payload.
    """

    kind: str
    open: Callable[[], Engine]
    intrude: Callable[[str, str, dict[str, str]], None]


@pytest.fixture(params=["edge", "server", "memory"])
def store(request, tmp_path, monkeypatch) -> Iterator[Store]:
    folder = tmp_path / "index"
    monkeypatch.setattr(client, "POLL_SECONDS", 0.001)
    if request.param == "edge":
        yield Store("edge", lambda: open_engine("edge", folder), edge_intruder(folder))
    elif request.param == "memory":
        inside = memory_connection(folder.absolute())
        yield Store("memory", lambda: open_engine("memory", folder), client_intruder(inside._client))
    else:
        with qdrant_front(KEY) as front:
            options = EngineOptions(front.url, KEY)
            yield Store(
                "server", lambda: open_engine("server", folder, 5.0, options), client_intruder(front.client)
            )


def edge_intruder(folder: Path) -> Callable[[str, str, dict[str, str]], None]:
    import qdrant_edge

    def intrude(collection: str, number: str, payload: dict[str, str]) -> None:
        shard = qdrant_edge.EdgeShard.load(str(folder / collection / "shard"))
        vectors = {SPEC.vector: AHEAD.tolist(), SPARSE_VECTOR: qdrant_edge.SparseVector([1], [1.0])}
        shard.update(qdrant_edge.UpdateOperation.upsert_points([qdrant_edge.Point(number, vectors, payload)]))
        shard.close()

    return intrude


def client_intruder(inside) -> Callable[[str, str, dict[str, str]], None]:
    from qdrant_client import models

    def intrude(collection: str, number: str, payload: dict[str, str]) -> None:
        vectors = {
            client.vector_name(SPEC): AHEAD.tolist(),
            SPARSE_VECTOR: models.SparseVector(indices=[1], values=[1.0]),
        }
        inside.upsert(collection, [models.PointStruct(id=number, vector=vectors, payload=payload)])

    return intrude


@pytest.fixture
def engine(store) -> Engine:
    return store.open()


@pytest.fixture
def legi(engine) -> Engine:
    engine.create("legi-1", SPEC)
    engine.point_to("legi", "legi-1")
    return engine


def test_points_come_back_with_payload_and_both_scores(legi):
    impot = point(
        90,
        "impôt sur le revenu",
        status="VIGUEUR",
        nota=None,
        year=2024,
        rate=0.5,
        live=True,
        tags=["à", "b"],
    )
    legi.upsert("legi-1", [point(0, "congé payé"), impot])
    answer = legi.candidates("legi", Queries(dense=AHEAD, sparse=encode_query("impôts")), 10)
    assert [hit.chunk_id for hit in answer.dense] == ["LEGIARTI0_0", "LEGIARTI90_0"]
    assert answer.dense[0].score == pytest.approx(1.0)
    assert [hit.chunk_id for hit in answer.sparse] == ["LEGIARTI90_0"]
    assert answer.sparse[0].payload == impot.payload


def test_a_rare_term_outweighs_a_common_one(legi):
    common = [point(number, "congé") for number in range(20)]
    legi.upsert("legi-1", [*common, point(20, "préavis")])
    best = legi.search_sparse("legi", encode_query("congé préavis"), 2)
    assert best[0].chunk_id == "LEGIARTI20_0"
    assert best[0].score > 3 * best[1].score


def test_whole_documents_are_found_by_the_chunk_that_stands_for_them(legi):
    first = replace(point(1, "congé"), document=encode_document("congé payé et préavis"))
    legi.upsert(
        "legi-1", [first, point(2, "préavis"), replace(point(3, "impôt"), document=encode_document("impôt"))]
    )
    answer = legi.candidates("legi", Queries(document=encode_query("préavis")), 10)
    assert [hit.chunk_id for hit in answer.document] == ["LEGIARTI1_0"]
    assert (answer.dense, answer.sparse) == ((), ())
    stored = legi.stored("legi-1", ["LEGIARTI1_0", "LEGIARTI2_0"])
    assert stored[0].document is not None
    assert stored[0].document.indices == encode_document("congé payé et préavis").indices
    assert stored[1].document is None


def test_hits_carry_ids_alone_where_that_is_asked_for(legi):
    legi.upsert("legi-1", [point(1)])
    for _ in range(2):  # the second time from memory
        (hit,) = legi.candidates("legi", Queries(dense=AHEAD), 10, ids_only=True).dense
        assert hit.chunk_id == "LEGIARTI1_0"
        assert hit.payload == {"chunk_id": "LEGIARTI1_0", "doc_id": "LEGIARTI1"}


def test_remembered_ids_neither_hide_new_points_nor_show_removed_ones(legi):
    legi.upsert("legi-1", [point(1), point(2)])
    queries = Queries(dense=AHEAD)
    assert len(legi.candidates("legi", queries, 10, ids_only=True).dense) == 2
    legi.delete("legi-1", ["LEGIARTI1_0"])
    legi.upsert("legi-1", [point(3)])
    hits = legi.candidates("legi", queries, 10, ids_only=True).dense
    assert {hit.chunk_id for hit in hits} == {"LEGIARTI2_0", "LEGIARTI3_0"}


def test_payloads_come_whole_and_only_of_chunks_that_have_a_point(legi):
    written = [
        point(number, f"congé {number}", status="VIGUEUR", nota=None, tags=["à"]) for number in range(3)
    ]
    legi.upsert("legi-1", written)
    found_payloads = legi.payloads("legi", ["LEGIARTI2_0", "LEGIARTI7_0", "LEGIARTI0_0"])
    assert found_payloads == {each.chunk_id: each.payload for each in (written[0], written[2])}
    assert legi.payloads("legi", []) == {}


def test_payloads_follow_the_alias(legi):
    legi.upsert("legi-1", [point(1, "ancien")])
    assert legi.payloads("legi", ["LEGIARTI1_0"])["LEGIARTI1_0"]["text"] == "ancien"
    legi.create("legi-2", SPEC)
    legi.upsert("legi-2", [point(1, "nouveau")])
    legi.point_to("legi", "legi-2")
    legi.drop("legi-1")
    assert legi.payloads("legi", ["LEGIARTI1_0"])["LEGIARTI1_0"]["text"] == "nouveau"


WORDS = ("congé", "préavis", "impôt", "permis", "retraite", "loyer", "bail", "caution")


def chunks_of_documents(random: np.random.Generator) -> Iterator[Point]:
    """The chunks of 40 documents, one to five each, with words and vectors at random; no two have one text."""
    for document in range(40):
        texts = [
            f"{document} {chunk} {' '.join(random.choice(WORDS, 6))}"
            for chunk in range(random.integers(1, 6))
        ]
        for chunk, text in enumerate(texts):
            own = point(document, text, chunk_id=f"LEGIARTI{document}_{chunk}", chunk_index=chunk)
            yield replace(
                own,
                chunk_id=f"LEGIARTI{document}_{chunk}",
                dense=random.standard_normal(4).astype(np.float32),
                document=None if chunk else encode_document(" ".join(texts)),
            )


@pytest.mark.parametrize("mode", Mode)
def test_a_search_shows_the_passages_that_whole_payloads_would_give(legi, mode):
    random = np.random.default_rng(4)
    legi.upsert("legi-1", list(chunks_of_documents(random)))
    for asked in random.choice(WORDS, (10, 3)):
        question, vector = " ".join(asked), random.standard_normal(4).astype(np.float32)
        answer = search(legi, question, ["legi"], lambda _, vector=vector: vector, mode=mode, limit=5)
        among = Filter("doc_id", Operator.IN, tuple(result.doc_id for result in answer.results))
        queries = Queries(
            dense=None if mode is Mode.SPARSE else vector,
            sparse=None if mode is Mode.DENSE else encode_question(question),
        )
        whole = best_passages({"legi": legi.candidates("legi", queries, 100, [among])})
        assert len(answer.results) == 5
        for result in answer.results:
            passage = whole["legi", result.doc_id]
            assert (result.chunk_id, result.text) == (passage.chunk_id, passage.payload["text"])
            assert (result.title, result.source_url) == ("Titre", "https://www.legifrance.gouv.fr")


def test_both_sides_are_ranked_together_by_search(legi):
    texts = {0: "congé payé", 90: "impôt sur le revenu", 120: "rien", 150: "néant"}
    legi.upsert(
        "legi-1", [replace(point(n, text), document=encode_document(text)) for n, text in texts.items()]
    )
    answer = search(legi, "quel impôt ?", ["legi"], lambda _: AHEAD, limit=2)
    assert {result.chunk_id for result in answer.results} == {"LEGIARTI0_0", "LEGIARTI90_0"}
    assert answer.notes == []


def test_loading_again_replaces_and_deleting_removes(legi):
    legi.upsert("legi-1", points(range(600)))
    legi.upsert("legi-1", [point(3, "autre texte")])
    assert legi.count("legi-1") == 600
    assert legi.search_sparse("legi", encode_query("autre texte"), 5)[0].chunk_id == "LEGIARTI3_0"
    legi.delete("legi-1", [f"LEGIARTI{number}_0" for number in range(300)] + ["absent"])
    assert legi.count("legi-1") == 300
    assert set(legi.point_ids("legi-1")) == {f"LEGIARTI{number}_0" for number in range(300, 600)}


def test_of_two_points_of_a_chunk_the_last_one_stays(legi):
    legi.upsert("legi-1", [point(1, "avant"), *points(range(2, 300)), point(1, "après")])
    assert legi.count("legi-1") == 299
    assert legi.stored("legi-1", ["LEGIARTI1_0"])[0].payload["text"] == "après"


def test_stored_points_are_what_was_written_scaled_to_length_1(legi):
    long = replace(point(7, "congé de maternité", status="ABROGE"), dense=np.array([3, 4, 0, 0], np.float32))
    legi.upsert("legi-1", [long, point(8)])
    eighth, seventh = legi.stored("legi-1", ["LEGIARTI8_0", "absent", "LEGIARTI7_0"])
    assert (eighth.chunk_id, seventh.chunk_id) == ("LEGIARTI8_0", "LEGIARTI7_0")
    assert seventh.dense == pytest.approx([0.6, 0.8, 0, 0])
    assert seventh.dense.dtype == np.float32
    assert seventh.sparse.indices == long.sparse.indices
    assert seventh.sparse.values == pytest.approx(long.sparse.values)
    assert seventh.payload == long.payload
    assert legi.stored("legi-1", []) == []


def test_listing_goes_on_over_several_pages(legi, monkeypatch):
    for module in (edge, client):
        monkeypatch.setattr(module, "SCROLL_SIZE", 7)
    legi.upsert("legi-1", points(range(30)))
    listed = list(legi.point_ids("legi-1"))
    assert len(listed) == 30
    assert set(listed) == {f"LEGIARTI{number}_0" for number in range(30)}


def test_finishing_changes_no_answer(legi):
    legi.upsert("legi-1", points(range(50)))
    before = legi.search_dense("legi", AHEAD, 5)
    legi.finish("legi-1")
    assert legi.search_dense("legi", AHEAD, 5) == before
    assert legi.count("legi-1") == 50


def test_empty_requests_do_nothing(legi):
    legi.upsert("legi-1", [])
    legi.delete("legi-1", [])
    assert legi.candidates("legi", Queries(), 5) == Candidates()
    assert legi.search_sparse("legi", encode_query("de la"), 5) == []
    assert list(legi.point_ids("legi-1")) == []


@pytest.mark.parametrize(
    "vector", [np.ones(3), np.ones((1, 4)), np.array([1, np.nan, 0, 0]), np.array([np.inf, 0, 0, 0])]
)
def test_a_bad_vector_refuses_the_whole_batch(legi, vector):
    bad = Point("bad", vector.astype(np.float32), encode_document(""), {"chunk_id": "bad"})
    with pytest.raises(EmbeddingError):
        legi.upsert("legi-1", [*points(range(300)), bad])
    assert legi.count("legi-1") == 0


def test_a_question_from_another_model_is_refused(legi):
    with pytest.raises(EmbeddingError, match="vectors of 4 numbers"):
        legi.search_dense("legi", np.ones(8, dtype=np.float32), 5)


def test_dates_compare_as_dates(legi):
    spans = {
        1: ("2008-05-01", "2016-08-10"),
        2: ("2016-08-10", "2999-01-01"),
        3: ("2999-01-01", "2222-02-22"),
        4: ("0987-01-01", "1804-03-21"),
        5: (None, None),
    }
    legi.upsert("legi-1", [point(n, start_date=start, end_date=end) for n, (start, end) in spans.items()])
    assert found(legi, *as_of("2016-08-09")) == {"LEGIARTI1_0"}
    assert found(legi, *as_of("2016-08-10")) == {"LEGIARTI2_0"}
    assert found(legi, *as_of("2998-12-31")) == {"LEGIARTI2_0"}
    assert found(legi, *as_of("1000-01-01")) == {"LEGIARTI4_0"}
    assert found(legi, *as_of("2005-01-01")) == set()


def test_filters(legi):
    legi.upsert(
        "legi-1",
        [
            point(1, status="VIGUEUR", year=2001),
            point(2, status="ABROGE", year=2010),
            point(3, status="MODIFIE", year=2020),
            point(4),
        ],
    )
    one, two, three = "LEGIARTI1_0", "LEGIARTI2_0", "LEGIARTI3_0"
    assert found(legi, Filter("status", Operator.EQ, "VIGUEUR")) == {one}
    assert found(legi, Filter("status", Operator.IN, ("VIGUEUR", "ABROGE"))) == {one, two}
    assert found(legi, Filter("year", Operator.EQ, 2010)) == {two}
    assert found(legi, Filter("year", Operator.EQ, 2010.0)) == {two}
    assert found(legi, Filter("year", Operator.GTE, 2010)) == {two, three}
    assert found(legi, Filter("year", Operator.GT, 2010), Filter("status", Operator.EQ, "ABROGE")) == set()
    assert found(legi, Filter("year", Operator.LT, 2010.5), Filter("year", Operator.LTE, 2010)) == {one, two}
    assert found(legi, Filter("absent", Operator.EQ, "x")) == set()


@pytest.mark.parametrize("text", ["hier", "2024-13-01", "20240131", "2024-W05-3", "2024-01", ""])
def test_a_filter_refuses_what_is_no_date(text):
    with pytest.raises(ConfigurationError, match="YYYY-MM-DD"):
        as_of(text)


def test_a_filter_refuses_a_value_of_the_wrong_shape():
    with pytest.raises(ConfigurationError):
        Filter("status", Operator.IN, "VIGUEUR")
    with pytest.raises(ConfigurationError):
        Filter("status", Operator.EQ, ("VIGUEUR",))


def test_threads_of_one_process_take_turns(legi):
    def load(start: int) -> None:
        for first in range(start, start + 60, 20):
            legi.upsert("legi-1", points(range(first, first + 20)))

    run_together(lambda: load(0), lambda: load(100), lambda: load(200))
    assert legi.count("legi-1") == 180


def run_together(*works: Callable[[], None]) -> None:
    """Runs each in a thread of its own; what one of them raises is raised here."""
    errors: list[BaseException] = []

    def keeping(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=keeping, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for error in errors:
        raise error


def test_a_missing_alias_or_collection_names_the_command(engine):
    with pytest.raises(IndexUnavailableError, match="mediatech update --datasets cnil"):
        engine.search_sparse("cnil", encode_query("données"), 5)
    for refused in (
        lambda: engine.count("cnil-1"),
        lambda: list(engine.point_ids("cnil-1")),
        lambda: engine.stored("cnil-1", ["x"]),
        lambda: engine.upsert("cnil-1", points([1])),
        lambda: engine.delete("cnil-1", ["x"]),
        lambda: engine.finish("cnil-1"),
        lambda: engine.snapshot("cnil-1"),
        lambda: engine.point_to("cnil", "cnil-1"),
    ):
        with pytest.raises(IndexUnavailableError, match="no collection cnil-1"):
            refused()
    assert engine.collection_for("cnil") is None
    assert engine.aliases() == {}


def test_an_alias_moves_to_a_new_collection_and_the_old_one_goes(legi):
    legi.upsert("legi-1", points([1]))
    legi.create("legi-2", CollectionSpec("toy", 4))
    legi.upsert("legi-2", points([2]))
    assert found(legi) == {"LEGIARTI1_0"}
    legi.point_to("legi", "legi-2")
    legi.point_to("law", "legi-2")
    assert legi.aliases() == {"legi": "legi-2", "law": "legi-2"}
    assert found(legi) == {"LEGIARTI2_0"}
    legi.drop("legi-1")
    legi.drop("legi-1")
    assert legi.collections() == ["legi-2"]
    legi.drop("legi-2")
    assert (legi.aliases(), legi.collections()) == ({}, [])


def test_a_search_never_sees_an_alias_without_a_collection_while_it_moves(store, legi):
    legi.upsert("legi-1", points([0]))
    # Opening and closing a shard takes its time; other processes are tried in test_edge.py.
    swaps = 4 if store.kind == "edge" else 20
    answers: list[frozenset[str]] = []
    done = threading.Event()

    def read() -> None:
        reader = store.open()
        while not done.is_set() or not answers:
            answers.append(frozenset(found(reader)))

    def swap() -> None:
        try:
            for number in range(2, swaps):
                legi.create(f"legi-{number}", SPEC)
                legi.upsert(f"legi-{number}", points([number]))
                legi.point_to("legi", f"legi-{number}")
                legi.drop(f"legi-{number - 1}")
        finally:
            done.set()

    run_together(read, swap)
    assert set(answers) <= {frozenset({f"LEGIARTI{number}_0"}) for number in (0, *range(2, swaps))}
    assert found(legi) == {f"LEGIARTI{swaps - 1}_0"}


def test_creation_refuses_a_name_that_is_taken(legi):
    legi.upsert("legi-1", points([1]))
    with pytest.raises(ConfigurationError, match="exists already"):
        legi.create("legi-1", SPEC)
    assert legi.count("legi-1") == 1
    assert legi.exists("legi-1")
    assert not legi.exists("legi-2")


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a.b", "-x", "é", "x" * 121, "a\n"])
def test_names_cannot_leave_the_folder(engine, name):
    for refused in (
        engine.exists,
        engine.drop,
        engine.collection_for,
        lambda name: engine.create(name, SPEC),
        lambda name: engine.point_to(name, "legi-1"),
    ):
        with pytest.raises(ConfigurationError):
            refused(name)


def test_collections_outlive_the_engine_that_made_them(store, legi):
    legi.upsert("legi-1", points(range(20)))
    other = store.open()
    assert other.collections() == ["legi-1"]
    assert other.count("legi-1") == 20
    assert found(other) == {f"LEGIARTI{number}_0" for number in range(20)}


def test_everything_works_while_collections_are_kept_open(legi):
    with legi.kept_open():
        legi.upsert("legi-1", points(range(40)))
        legi.create("legi-2", SPEC)
        with legi.kept_open():
            legi.upsert("legi-2", points([50]))
            legi.finish("legi-2")
        assert legi.count("legi-1") == 40
        assert len(found(legi)) == 40
        legi.delete("legi-1", ["LEGIARTI0_0"])
        legi.point_to("legi", "legi-2")
        legi.drop("legi-1")
        assert found(legi) == {"LEGIARTI50_0"}
        assert not legi.exists("legi-1")
    assert found(legi) == {"LEGIARTI50_0"}


def test_threads_share_what_is_kept_open(legi):
    def load(first: int) -> None:
        legi.upsert("legi-1", points(range(first, first + 20)))

    with legi.kept_open():
        assert legi.count("legi-1") == 0
        run_together(lambda: load(0), lambda: load(100), lambda: load(200))
        assert legi.count("legi-1") == 60
    assert legi.count("legi-1") == 60


def test_only_a_server_has_snapshots(store, legi):
    name = legi.snapshot("legi-1")
    assert (name is not None) == (store.kind == "server")


def test_points_of_somebody_else_are_noticed_and_never_shown(store, legi):
    legi.upsert("legi-1", points([1]))
    # Another number than that of the chunk it names, and no chunk at all.
    for payload in ({"chunk_id": "LEGIARTI1_0", "text": "faux"}, {"text": "faux"}):
        store.intrude("legi-1", "11111111-2222-3333-4444-555555555555", payload)
        assert legi.count("legi-1") == 2
        assert found(legi) == {"LEGIARTI1_0"}
        assert legi.payloads("legi", ["LEGIARTI1_0"])["LEGIARTI1_0"]["text"] == "congé payé"
        with pytest.raises(IndexUnavailableError, match="changed by someone else") as caught:
            list(legi.point_ids("legi-1"))
        assert "mediatech update --layers index" in caught.value.remedy


@pytest.fixture
def cursor() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def expect(cursor: duckdb.DuckDBPyConnection, numbers: range) -> list[Point]:
    """The table of chunks that should have a point, and their points."""
    cursor.execute("CREATE OR REPLACE TABLE chunks (chunk_id VARCHAR)")
    cursor.executemany("INSERT INTO chunks VALUES (?)", [[f"LEGIARTI{number}_0"] for number in numbers])
    return points(numbers)


def test_a_collection_that_equals_the_table_is_verified(legi, cursor):
    expected = expect(cursor, range(30))
    legi.upsert("legi-1", expected)
    report = verify(legi, "legi-1", cursor, "chunks", expected)
    assert report.is_equal
    assert (report.points, report.expected, report.sampled) == (30, 30, 30)
    assert report.describe() == "legi-1: 30 points for 30 chunks, 30 compared; all equal"
    assert cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("chunks",)]


def test_every_difference_is_found_named_and_mended(legi, cursor):
    expected = expect(cursor, range(30))
    wrong = {
        3: replace(expected[3], dense=np.array([0, 0, 1, 0], np.float32)),
        4: replace(expected[4], sparse=encode_document("autre texte")),
        5: replace(expected[5], payload={**expected[5].payload, "status": "ABROGE"}),
        6: replace(expected[6], document=encode_document("autre texte")),
    }
    legi.upsert("legi-1", [*expected[2:], *wrong.values(), *points([100, 101])])
    report = verify(legi, "legi-1", cursor, "chunks", expected)
    assert not report.is_equal
    assert not report.needs_rebuild
    assert (report.missing_count, report.missing) == (2, ("LEGIARTI0_0", "LEGIARTI1_0"))
    assert (report.foreign_count, report.to_delete) == (2, ("LEGIARTI100_0", "LEGIARTI101_0"))
    assert report.changed == (
        ChangedPoint("LEGIARTI3_0", ("vector",)),
        ChangedPoint("LEGIARTI4_0", ("terms",)),
        ChangedPoint("LEGIARTI5_0", ("payload",)),
        ChangedPoint("LEGIARTI6_0", ("document",)),
    )
    assert "2 missing: LEGIARTI0_0, LEGIARTI1_0" in report.describe()
    assert "4 changed: LEGIARTI3_0 (vector)" in report.describe()

    legi.upsert("legi-1", [p for p in expected if p.chunk_id in report.to_rewrite])
    legi.delete("legi-1", report.to_delete)
    assert verify(legi, "legi-1", cursor, "chunks", expected).is_equal


def test_a_collection_that_cannot_be_trusted_is_to_be_built_again(store, legi, cursor):
    expected = expect(cursor, range(2))
    legi.upsert("legi-1", expected[:1])
    # The count is right: only the ids tell.
    store.intrude("legi-1", "11111111-2222-3333-4444-555555555555", {})
    report = verify(legi, "legi-1", cursor, "chunks", expected)
    assert report.needs_rebuild
    assert not report.is_equal
    assert "changed by someone else" in report.describe()


def test_a_point_that_somebody_else_overwrote_is_in_the_sample(store, legi, cursor):
    expected = expect(cursor, range(3))
    legi.upsert("legi-1", expected)
    store.intrude("legi-1", str(point_id("LEGIARTI1_0")), {"chunk_id": "LEGIARTI1_0"})
    report = verify(legi, "legi-1", cursor, "chunks", expected)
    assert report.changed == (ChangedPoint("LEGIARTI1_0", ("terms", "payload")),)


def test_a_sample_is_the_same_each_time_and_another_one_with_another_salt(cursor):
    expect(cursor, range(200))
    monday = sampled_ids(cursor, "chunks", 20, "2026-11-23")
    assert len(set(monday)) == 20
    assert sampled_ids(cursor, "chunks", 20, "2026-11-23") == monday
    assert set(sampled_ids(cursor, "chunks", 20, "2026-11-24")) != set(monday)
    assert len(sampled_ids(cursor, "chunks", 500)) == 200


def test_a_specification_changes_with_everything_that_needs_a_new_collection():
    specs = [
        SPEC,
        CollectionSpec("BAAI/bge-m3", 8, SPEC.fields),
        CollectionSpec("use-m3", 4, SPEC.fields),
        CollectionSpec("BAAI/bge-m3", 4),
        CollectionSpec("BAAI/bge-m3", 4, SPEC.fields, sparse_version="french-0"),
        CollectionSpec("BAAI/bge-m3", 4, SPEC.fields, layout="1"),
    ]
    assert len({spec.fingerprint for spec in specs}) == len(specs)


def test_point_numbers_are_those_of_stored_collections():
    assert str(point_id("LEGIARTI000006900785_0")) == "492cd465-2826-552e-9662-40e2b3afb9c5"


@given(st.text(max_size=40), st.integers(0, 15))
def test_a_number_is_known_as_that_of_its_chunk_and_no_other_is(chunk_id, byte):
    number = point_id(chunk_id)
    for form in (number, str(number)):
        assert chunk_of(form, {"chunk_id": chunk_id, "text": "x"}) == chunk_id
    if byte not in (6, 7, 8):
        other = bytearray(number.bytes)
        other[byte] ^= 1
        assert chunk_of(uuid.UUID(bytes=bytes(other)), {"chunk_id": chunk_id}) is None


@pytest.mark.parametrize("payload", [None, {}, {"chunk_id": 3}, {"chunk_id": None}])
def test_a_point_that_names_no_chunk_is_of_somebody_else(payload):
    assert chunk_of(point_id("a"), payload) is None
    assert chunk_of(17, {"chunk_id": "a"}) is None


def test_an_unknown_engine_names_the_known_ones(tmp_path):
    with pytest.raises(ConfigurationError, match="edge, server, memory"):
        open_engine("pinecone", tmp_path)
    assert not (tmp_path / "index").exists()
