"""Ranking and search: documents, their passages, and what an answer says when a side or a dataset is missing."""

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mediatech_assets.index
from mediatech_assets.errors import ConfigurationError, EmbeddingError, IndexUnavailableError
from mediatech_assets.index.bm25 import encode_document
from mediatech_assets.index.engine import (
    Candidates,
    CollectionSpec,
    Engine,
    Filter,
    Hit,
    Operator,
    open_engine,
)
from mediatech_assets.index.expansion import encode_expanded
from mediatech_assets.index.points import Point
from mediatech_assets.index.ranking import Mode, best_passages, rank_documents
from mediatech_assets.index.search import search

SPEC = CollectionSpec("toy", 2)
TEXTS = {
    "conges": "Les congés payés du salarié",
    "impots": "L'impôt sur le revenu",
    "permis": "Le permis de conduire",
}
#: « permis » is also found by words that it has not.
PHRASES = {"permis": "apprendre avec sa grand-mère le dimanche"}
DIRECTIONS = {"conges": [1.0, 0.0], "impots": [0.6, 0.8], "permis": [0.0, 1.0]}


def hits(*pairs: tuple[str, float]) -> list[Hit]:
    """Hits on chunks `<document>_<number>`, or on the only chunk of a document."""
    return [Hit(chunk_id, score, {"doc_id": chunk_id.partition("_")[0]}) for chunk_id, score in pairs]


def fill(engine: Engine, dataset: str, names: Sequence[str]) -> None:
    engine.create(f"{dataset}-1", SPEC)
    points = [
        Point(
            chunk_id=f"{dataset}_{name}",
            dense=np.array(DIRECTIONS[name], dtype=np.float32),
            sparse=encode_document(TEXTS[name]),
            document=encode_expanded(TEXTS[name], PHRASES.get(name)),
            payload={
                "dataset": dataset,
                "doc_id": name,
                "chunk_id": f"{dataset}_{name}",
                "chunk_index": 0,
                "title": name.title(),
                "text": TEXTS[name],
                "source_url": f"https://example.fr/{name}",
            },
        )
        for name in names
    ]
    engine.upsert(f"{dataset}-1", points)
    engine.point_to(dataset, f"{dataset}-1")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_engine("edge", tmp_path / "index")
    fill(engine, "sheets", ["conges", "impots"])
    fill(engine, "guides", ["permis"])
    return engine


def about_leave(question: str) -> np.ndarray:
    assert question
    return np.array([1.0, 0.1], dtype=np.float32)


def broken_model(question: str) -> np.ndarray:
    raise EmbeddingError(f"no model for {question!r}", "install it")


def test_hybrid_adds_what_each_side_says_between_its_worst_and_its_best():
    found = {
        "d": Candidates(
            dense=hits(("a", 0.9), ("b", 0.8), ("c", 0.5)), document=hits(("b", 7.0), ("d", 3.0), ("e", 2.0))
        )
    }
    ranked = rank_documents(found, Mode.HYBRID, 10)
    assert [document.doc_id for document in ranked] == ["b", "a", "d", "c", "e"]
    assert ranked[0].score == pytest.approx(0.5 * 0.75 + 1.0)
    assert ranked[1].score == pytest.approx(0.5 * 1.0)
    assert (ranked[0].parts.dense_rank, ranked[0].parts.sparse_rank) == (2, 1)
    assert (ranked[0].parts.dense_score, ranked[0].parts.sparse_score) == (0.8, 7.0)
    assert (ranked[2].parts.dense_rank, ranked[2].parts.dense_score) == (None, None)


def test_a_document_counts_with_its_nearest_chunk():
    found = {"d": Candidates(dense=hits(("a_1", 0.5), ("b_1", 0.7), ("a_2", 0.9)))}
    ranked = rank_documents(found, Mode.DENSE, 10)
    assert [(document.doc_id, document.score) for document in ranked] == [("a", 0.9), ("b", 0.7)]


def test_ranks_are_over_all_datasets_and_not_one_list_each():
    found = {
        "good": Candidates(dense=hits(("g1", 0.9), ("g2", 0.8))),
        "poor": Candidates(dense=hits(("p1", 0.1))),
    }
    assert [document.doc_id for document in rank_documents(found, Mode.HYBRID, 10)] == ["g1", "g2", "p1"]


def test_the_same_id_in_two_datasets_stays_two_documents():
    found = {"x": Candidates(dense=hits(("1", 0.5))), "y": Candidates(dense=hits(("1", 0.5)))}
    assert [document.dataset for document in rank_documents(found, Mode.HYBRID, 10)] == ["x", "y"]


def test_a_single_mode_gives_raw_scores_and_ignores_the_other_side():
    found = {"d": Candidates(dense=hits(("a", 0.9)), document=hits(("b", 7.0)))}
    assert [(each.doc_id, each.score) for each in rank_documents(found, Mode.DENSE, 10)] == [("a", 0.9)]
    assert [(each.doc_id, each.score) for each in rank_documents(found, Mode.SPARSE, 10)] == [("b", 7.0)]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([0.1, 0.5, 0.9])), unique_by=lambda p: p[0]
    ),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([1.0, 2.0])), unique_by=lambda p: p[0]),
    st.sampled_from(Mode),
    st.integers(1, 10),
    st.randoms(),
)
def test_the_order_in_which_hits_arrive_changes_nothing(dense, sparse, mode, limit, random):
    def ranked():
        return rank_documents({"d": Candidates(dense=hits(*dense), document=hits(*sparse))}, mode, limit)

    expected = ranked()
    random.shuffle(dense)
    random.shuffle(sparse)
    assert ranked() == expected
    assert len(expected) <= limit
    scores = [document.score for document in expected]
    assert scores == sorted(scores, reverse=True)


def test_the_passage_of_a_document_is_the_chunk_that_both_sides_prefer():
    found = {
        "d": Candidates(
            dense=hits(("a_1", 0.9), ("a_2", 0.85), ("b_1", 0.2)), sparse=hits(("a_2", 5.0), ("b_1", 1.0))
        )
    }
    passages = best_passages(found)
    assert {key: hit.chunk_id for key, hit in passages.items()} == {("d", "a"): "a_2", ("d", "b"): "b_1"}


def test_the_signature_that_other_programs_call():
    assert mediatech_assets.index.search is search
    assert list(inspect.signature(search).parameters) == [
        "engine",
        "question",
        "datasets",
        "embed_query",
        "mode",
        "limit",
        "filters",
        "aliases",
    ]


def test_hybrid_search_over_two_datasets(engine):
    answer = search(engine, "congés payés", ["sheets", "guides"], about_leave, limit=2)
    assert answer.mode == "hybrid"
    assert answer.notes == []
    first = answer.results[0]
    assert (first.rank, first.dataset, first.doc_id, first.chunk_id) == (
        1,
        "sheets",
        "conges",
        "sheets_conges",
    )
    assert (first.title, first.text) == ("Conges", TEXTS["conges"])
    assert first.source_url == "https://example.fr/conges"
    assert (first.parts.dense_rank, first.parts.sparse_rank) == (1, 1)
    assert [result.rank for result in answer.results] == [1, 2]


@pytest.mark.parametrize("model", [None, broken_model])
def test_without_a_model_hybrid_becomes_sparse_and_says_so(engine, model):
    answer = search(engine, "impôts", ["sheets"], model)
    assert answer.mode == "sparse"
    assert [result.doc_id for result in answer.results] == ["impots"]
    assert "BM25 alone" in answer.notes[0]


def test_without_a_model_dense_mode_fails(engine):
    with pytest.raises(EmbeddingError):
        search(engine, "impôts", ["sheets"], None, mode="dense")


def test_sparse_mode_never_calls_the_model(engine):
    assert search(engine, "permis", ["guides"], broken_model, mode="sparse").notes == []


@pytest.mark.parametrize("model", [None, about_leave])
def test_a_document_that_its_phrases_alone_find_is_shown_with_its_first_passage(engine, model):
    answer = search(engine, "ma grand-mère le dimanche", ["sheets", "guides"], model)
    (found,) = [result for result in answer.results if result.doc_id == "permis"]
    assert found.rank == 1
    assert found.text == TEXTS["permis"]
    assert found.parts.sparse_rank == 1


def test_dense_mode_finds_without_a_common_word(engine):
    answer = search(engine, "vacances", ["sheets"], about_leave, mode="dense")
    assert answer.results[0].doc_id == "conges"
    assert answer.results[0].score == pytest.approx(1 / np.sqrt(1.01), abs=1e-5)


def test_a_dataset_without_index_is_left_out_with_a_note(engine):
    answer = search(engine, "congés", ["legi", "sheets"], about_leave)
    assert answer.results
    assert "legi" in answer.notes[0]


def test_no_index_at_all_is_an_error_with_the_command_that_builds_it(engine):
    with pytest.raises(IndexUnavailableError, match="mediatech update --datasets legi,cnil"):
        search(engine, "congés", ["legi", "cnil"], about_leave)


def test_filters_apply_to_their_dataset_only(engine):
    chosen = {"sheets": [Filter("doc_id", Operator.EQ, "impots")]}
    answer = search(engine, "congés permis", ["sheets", "guides"], about_leave, filters=chosen)
    assert {result.doc_id for result in answer.results} == {"impots", "permis"}


def test_a_question_of_function_words_says_why_bm25_is_silent(engine):
    answer = search(engine, "et de la", ["sheets"], None)
    assert answer.results == []
    assert any("function words" in note for note in answer.notes)


def test_a_very_long_question_is_answered(engine):
    question = "congés " + " ".join(f"mot{n}" for n in range(1_500))
    assert len(question) > 10_000
    assert search(engine, question, ["sheets"], about_leave).results[0].doc_id == "conges"


@pytest.mark.parametrize(
    ("question", "datasets", "mode", "limit"),
    [
        (" \n", ["sheets"], "hybrid", 5),
        ("q", [], "hybrid", 5),
        ("q", ["sheets"], "fuzzy", 5),
        ("q", ["sheets"], "dense", 0),
    ],
)
def test_what_cannot_be_asked(engine, question, datasets, mode, limit):
    with pytest.raises(ConfigurationError):
        search(engine, question, datasets, about_leave, mode=mode, limit=limit)


def test_a_question_embedded_with_another_model_is_refused(engine):
    with pytest.raises(EmbeddingError, match="sheets"):
        search(engine, "congés", ["sheets"], lambda _: np.ones(3, dtype=np.float32), mode="dense")
