"""The embedded engine: what survives, who may open, and what people read when they cannot."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mediatech_assets.errors import BusyError, ConfigurationError, EmbeddingError, IndexUnavailableError
from mediatech_assets.index.bm25 import encode_document, encode_query
from mediatech_assets.index.edge import EdgeEngine
from mediatech_assets.index.engine import (
    Candidates,
    CollectionSpec,
    FieldType,
    Filter,
    Operator,
    as_of,
    open_engine,
)
from mediatech_assets.index.points import PAYLOAD_KEYS, Point, point_id

ROOT = Path(__file__).resolve().parents[2]
SPEC = CollectionSpec(
    "BAAI/bge-m3",
    4,
    {
        "status": FieldType.KEYWORD,
        "start_date": FieldType.DATETIME,
        "end_date": FieldType.DATETIME,
        "year": FieldType.INTEGER,
    },
)


@pytest.fixture
def engine(tmp_path: Path) -> EdgeEngine:
    return EdgeEngine(tmp_path / "index")


@pytest.fixture
def legi(engine: EdgeEngine) -> EdgeEngine:
    engine.create("legi-1", SPEC)
    engine.point_to("legi", "legi-1")
    return engine


def point(number: int, text: str = "congé payé", **fields: str | int | float | bool | None) -> Point:
    angle = number / 100
    chunk_id = f"LEGIARTI{number}_0"
    values = ("legi", f"LEGIARTI{number}", chunk_id, 0, "Titre", text, "https://www.legifrance.gouv.fr")
    return Point(
        chunk_id,
        np.array([np.cos(angle), np.sin(angle), 0, 0], dtype=np.float32),
        encode_document(text),
        dict(zip(PAYLOAD_KEYS, values, strict=True)) | fields,
    )


def points(numbers: Iterable[int]) -> list[Point]:
    return [point(number) for number in numbers]


def found(engine: EdgeEngine, *filters: Filter) -> set[str]:
    return {hit.chunk_id for hit in engine.search_dense("legi", np.array([1.0, 0, 0, 0]), 50, filters)}


@contextmanager
def process(folder: Path, program: str):
    """A second process that knows `engine` and `points`; its first line is printed when it has begun."""
    prelude = (
        "from pathlib import Path\n"
        "from mediatech_assets.index.edge import EdgeEngine\n"
        "from mediatech_assets.lake.locks import exclusive\n"
        "from mediatech_assets_tests.services.test_edge import points\n"
        f"folder = Path({str(folder)!r})\nengine = EdgeEngine(folder)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", prelude + program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline(), "the process ended before it began"
        yield child
    finally:
        child.kill()
        child.communicate()


def holding(folder: Path):
    return process(
        folder,
        "with exclusive(folder, 'legi-1', 'rebuilding', 5):\n    print('holding', flush=True)\n    input()\n",
    )


def test_points_come_back_with_payload_and_both_scores(legi):
    legi.upsert("legi-1", [point(0, "congé payé"), point(90, "impôt sur le revenu")])
    answer = legi.candidates("legi", np.array([1.0, 0, 0, 0]), encode_query("impôts"), 10)
    assert [hit.chunk_id for hit in answer.dense] == ["LEGIARTI0_0", "LEGIARTI90_0"]
    assert answer.dense[0].score == pytest.approx(1.0)
    assert [hit.chunk_id for hit in answer.sparse] == ["LEGIARTI90_0"]
    assert answer.sparse[0].payload == point(90, "impôt sur le revenu").payload


def test_a_rare_term_outweighs_a_common_one(legi):
    common = [point(number, "congé") for number in range(20)]
    legi.upsert("legi-1", [*common, point(20, "préavis")])
    best = legi.search_sparse("legi", encode_query("congé préavis"), 2)
    assert best[0].chunk_id == "LEGIARTI20_0"
    assert best[0].score > 3 * best[1].score


def test_loading_again_replaces_and_deleting_removes(legi):
    legi.upsert("legi-1", points(range(600)))
    legi.upsert("legi-1", [point(3, "autre texte")])
    assert legi.count("legi-1") == 600
    assert legi.search_sparse("legi", encode_query("autre texte"), 5)[0].chunk_id == "LEGIARTI3_0"
    legi.delete("legi-1", [f"LEGIARTI{number}_0" for number in range(300)] + ["absent"])
    assert legi.count("legi-1") == 300
    assert set(legi.point_ids("legi-1")) == {f"LEGIARTI{number}_0" for number in range(300, 600)}


def test_listing_goes_on_over_several_pages(legi, monkeypatch):
    monkeypatch.setattr("mediatech_assets.index.edge.SCROLL_SIZE", 7)
    legi.upsert("legi-1", points(range(30)))
    listed = list(legi.point_ids("legi-1"))
    assert len(listed) == 30
    assert set(listed) == {f"LEGIARTI{number}_0" for number in range(30)}


def test_finishing_changes_no_answer(legi):
    legi.upsert("legi-1", points(range(50)))
    before = legi.search_dense("legi", np.array([1.0, 0, 0, 0]), 5)
    legi.finish("legi-1")
    assert legi.search_dense("legi", np.array([1.0, 0, 0, 0]), 5) == before
    assert legi.count("legi-1") == 50


def test_empty_requests_do_nothing(legi):
    legi.upsert("legi-1", [])
    legi.delete("legi-1", [])
    assert legi.candidates("legi", None, None, 5) == Candidates()
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


def test_acknowledged_points_survive_a_killed_process(legi, tmp_path):
    writer = (
        "import os\n"
        "engine.upsert('legi-1', points(range(500)))\n"
        "print('done', flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with process(tmp_path / "index", writer) as child:
        assert child.wait(20) == -9
    assert legi.count("legi-1") == 500
    assert len(legi.search_sparse("legi", encode_query("congé"), 10)) == 10


def test_a_process_killed_while_writing_keeps_what_was_acknowledged(legi, tmp_path):
    writer = (
        "for n in range(1000):\n"
        "    engine.upsert('legi-1', points(range(n * 50, n * 50 + 50)))\n"
        "    print(n, flush=True)\n"
    )
    with process(tmp_path / "index", writer) as child:
        assert child.stdout is not None
        acknowledged = [0, *(int(child.stdout.readline()) for _ in range(3))]
        child.kill()
        acknowledged += [int(line) for line in child.stdout.read().split()]
    listed = set(legi.point_ids("legi-1"))
    assert {f"LEGIARTI{n}_0" for n in range(len(acknowledged) * 50)} <= listed


def test_a_busy_collection_names_its_holder(legi, tmp_path):
    impatient = EdgeEngine(tmp_path / "index", wait_seconds=0.1)
    with holding(tmp_path / "index") as holder:
        for refused in (lambda: impatient.count("legi-1"), lambda: found(impatient)):
            with pytest.raises(
                BusyError, match=rf"process {holder.pid} on .*\(rebuilding, since 2"
            ) as caught:
                refused()
        assert "legi-1" in caught.value.problem
        holder.communicate("go on\n", timeout=20)
    assert legi.count("legi-1") == 0


def test_a_killed_holder_frees_the_collection_and_its_note_misleads_nobody(legi, tmp_path):
    with holding(tmp_path / "index") as holder:
        holder.kill()
        holder.wait(20)
    note = tmp_path / "index" / "legi-1.holder.json"
    stale = note.read_text()
    assert json.loads(stale)["pid"] == holder.pid
    assert legi.count("legi-1") == 0
    assert not note.exists()
    with holding(tmp_path / "index"):
        note.write_text(stale)
        with pytest.raises(BusyError) as caught:
            EdgeEngine(tmp_path / "index", wait_seconds=0.05).count("legi-1")
    assert str(holder.pid) not in caught.value.problem
    assert "left no note" in caught.value.problem


def test_a_program_that_ignores_our_lock_is_reported_as_busy(legi, tmp_path):
    import qdrant_edge

    stranger = qdrant_edge.EdgeShard.load(str(tmp_path / "index" / "legi-1" / "shard"))
    with pytest.raises(BusyError, match="legi-1"):
        legi.count("legi-1")
    stranger.close()
    assert legi.count("legi-1") == 0


def test_searches_are_answered_while_another_process_writes_without_pause(legi, tmp_path):
    legi.upsert("legi-1", points(range(5)))
    writer = "print('writing', flush=True)\nwhile True: engine.upsert('legi-1', points(range(100)))"
    with process(tmp_path / "index", writer) as child:
        seen = [len(legi.search_sparse("legi", encode_query("congé"), 200)) for _ in range(8)]
        assert child.poll() is None
    # Batches of 256 are whole or absent: never a part of one.
    assert set(seen) <= {5, 100}
    assert seen == sorted(seen)


def test_threads_of_one_process_take_turns(legi):
    def load(start: int) -> None:
        for first in range(start, start + 100, 20):
            legi.upsert("legi-1", points(range(first, first + 20)))

    threads = [threading.Thread(target=load, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert legi.count("legi-1") == 300


@pytest.mark.parametrize(
    "broken", ["shard/edge_config.json", "shard/wal/first-index", "spec.json", "status.dat", "missing"]
)
def test_an_unreadable_collection_says_how_to_rebuild_it(legi, tmp_path, broken):
    legi.upsert("legi-1", points(range(5)))
    folder = tmp_path / "index" / "legi-1"
    if broken == "missing":
        shutil.rmtree(folder / "shard")
    elif broken == "status.dat":
        # Cut in half, this file makes the library panic, which is no Exception.
        for path in folder.rglob("status.dat"):
            os.truncate(path, path.stat().st_size // 2)
    else:
        (folder / broken).write_bytes(b"garbage")
    for refused in (
        lambda: legi.count("legi-1"),
        lambda: found(legi),
        lambda: legi.upsert("legi-1", points([1])),
    ):
        with pytest.raises(IndexUnavailableError, match="legi-1 is unreadable") as caught:
            refused()
        assert "mediatech update --layers index" in caught.value.remedy
    legi.drop("legi-1")
    legi.create("legi-1", SPEC)
    assert legi.count("legi-1") == 0


def test_a_missing_alias_or_collection_names_the_command(engine, tmp_path):
    with pytest.raises(IndexUnavailableError, match="mediatech update --datasets cnil"):
        engine.search_sparse("cnil", encode_query("données"), 5)
    with pytest.raises(IndexUnavailableError, match="no collection cnil-1"):
        engine.count("cnil-1")
    with pytest.raises(IndexUnavailableError):
        engine.point_to("cnil", "cnil-1")
    assert engine.collection_for("cnil") is None
    assert list((tmp_path / "index").glob("cnil*")) == []


def test_an_alias_moves_to_a_new_collection_and_the_old_one_goes(legi):
    legi.upsert("legi-1", points([1]))
    legi.create("legi-2", CollectionSpec("toy", 4))
    legi.upsert("legi-2", points([2]))
    assert found(legi) == {"LEGIARTI1_0"}
    legi.point_to("legi", "legi-2")
    assert legi.collection_for("legi") == "legi-2"
    assert found(legi) == {"LEGIARTI2_0"}
    legi.drop("legi-1")
    legi.drop("legi-1")
    assert legi.collections() == ["legi-2"]
    legi.drop("legi-2")
    assert (legi.collection_for("legi"), legi.collections()) == (None, [])


def test_an_alias_that_swaps_is_never_seen_missing(legi, tmp_path):
    legi.upsert("legi-1", points([1]))
    legi.create("legi-2", SPEC)
    legi.upsert("legi-2", points([2]))
    swapper = (
        "print('swapping', flush=True)\n"
        "while True:\n"
        "    for n in (1, 2):\n"
        "        engine.point_to('legi', f'legi-{n}')\n"
    )
    with process(tmp_path / "index", swapper) as child:
        read = {legi.collection_for("legi") for _ in range(3_000)}
        answers = {frozenset(found(legi)) for _ in range(30)}
        assert child.poll() is None
    assert read == {"legi-1", "legi-2"}
    assert answers <= {frozenset({"LEGIARTI1_0"}), frozenset({"LEGIARTI2_0"})}


def test_a_search_follows_an_alias_that_moves_while_it_waits(legi, tmp_path):
    legi.create("legi-2", SPEC)
    legi.upsert("legi-2", points([2]))
    mover = (
        "import shutil\n"
        "with exclusive(folder, 'legi-1', 'moving', 5):\n"
        "    print('holding', flush=True)\n"
        "    input()\n"
        "    engine.point_to('legi', 'legi-2')\n"
        "    shutil.rmtree(folder / 'legi-1')\n"
    )
    answers: list[set[str]] = []
    with process(tmp_path / "index", mover) as child:
        search = threading.Thread(target=lambda: answers.append(found(legi)))
        search.start()
        child.communicate("go on\n", timeout=20)
        search.join(20)
    assert answers == [{"LEGIARTI2_0"}]


def test_creation_is_whole_or_not_at_all(legi, tmp_path):
    with pytest.raises(ConfigurationError, match="exists already"):
        legi.create("legi-1", SPEC)
    leftover = tmp_path / "index" / ".unfinished" / "legi-2"
    (leftover / "shard").mkdir(parents=True)
    assert not legi.exists("legi-2")
    assert legi.collections() == ["legi-1"]
    legi.create("legi-2", SPEC)
    assert legi.count("legi-2") == 0
    assert not leftover.exists()


def test_a_senseless_alias_file_counts_as_no_alias(legi, tmp_path):
    pointer = tmp_path / "index" / "legi.alias.json"
    for text in ("", "[]", "{}", '{"collection": "../../etc"}', '{"collection": 3}'):
        pointer.write_text(text)
        assert legi.collection_for("legi") is None


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a.b", "-x", "é", "x" * 121, "a\n"])
def test_names_cannot_leave_the_folder(engine, name):
    for refused in (
        engine.exists,
        engine.drop,
        engine.collection_for,
        lambda name: engine.create(name, SPEC),
    ):
        with pytest.raises(ConfigurationError):
            refused(name)


def test_a_specification_changes_with_everything_that_needs_a_new_collection():
    specs = [
        SPEC,
        CollectionSpec("BAAI/bge-m3", 8, SPEC.fields),
        CollectionSpec("use-m3", 4, SPEC.fields),
        CollectionSpec("BAAI/bge-m3", 4),
        CollectionSpec("BAAI/bge-m3", 4, SPEC.fields, sparse_version="french-0"),
    ]
    assert len({spec.fingerprint for spec in specs}) == len(specs)


def test_point_numbers_are_those_of_stored_collections():
    assert str(point_id("LEGIARTI000006900785_0")) == "492cd465-2826-552e-9662-40e2b3afb9c5"


def test_an_unknown_engine_names_the_known_ones(tmp_path):
    with pytest.raises(ConfigurationError, match="edge"):
        open_engine("pinecone", tmp_path)
    assert not (tmp_path / "index").exists()
