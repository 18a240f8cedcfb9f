"""What the embedded engine alone has: a lock a collection, shards that stay open, files that break."""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediatech_assets.errors import BusyError, ConfigurationError, IndexUnavailableError
from mediatech_assets.index import edge
from mediatech_assets.index.bm25 import encode_query
from mediatech_assets.index.edge import EdgeEngine
from mediatech_assets_tests.law_points import AHEAD, SPEC, found, points

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine(tmp_path: Path) -> EdgeEngine:
    return EdgeEngine(tmp_path / "index")


@pytest.fixture
def legi(engine: EdgeEngine) -> EdgeEngine:
    engine.create("legi-1", SPEC)
    engine.point_to("legi", "legi-1")
    return engine


@contextmanager
def process(folder: Path, program: str):
    """A second process that knows `engine` and `points`; its first line is printed when it has begun."""
    prelude = (
        "from pathlib import Path\n"
        "from mediatech_assets.index.edge import EdgeEngine\n"
        "from mediatech_assets.lake.locks import exclusive\n"
        "from mediatech_assets_tests.law_points import points\n"
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


def test_points_of_a_shard_that_stays_open_survive_a_killed_process_unflushed(legi, tmp_path):
    writer = (
        "import os\n"
        "with engine.kept_open():\n"
        "    engine.upsert('legi-1', points(range(300)))\n"
        "    engine.upsert('legi-1', points(range(200, 500)))\n"
        "    engine.delete('legi-1', ['LEGIARTI0_0'])\n"
        "    print('done', flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    with process(tmp_path / "index", writer) as child:
        assert child.wait(20) == -9
    assert set(legi.point_ids("legi-1")) == {f"LEGIARTI{number}_0" for number in range(1, 500)}


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


def test_a_session_keeps_the_collections_that_it_opened_and_only_while_it_lasts(legi, tmp_path):
    legi.create("legi-2", SPEC)
    impatient = EdgeEngine(tmp_path / "index", wait_seconds=0.05)
    with legi.kept_open():
        assert impatient.count("legi-1") == 0
        with legi.kept_open():
            legi.upsert("legi-1", points([1]))
        with pytest.raises(BusyError, match="a session that keeps it open"):
            impatient.count("legi-1")
        assert impatient.count("legi-2") == 0
        assert found(legi) == {"LEGIARTI1_0"}
    assert impatient.count("legi-1") == 1


def test_a_session_ends_with_the_error_that_ends_its_block(legi, tmp_path):
    def failing_session() -> None:
        with legi.kept_open():
            legi.upsert("legi-1", points([1]))
            raise KeyError

    with pytest.raises(KeyError):
        failing_session()
    assert EdgeEngine(tmp_path / "index", wait_seconds=0.05).count("legi-1") == 1


def test_a_session_lets_go_of_what_its_alias_pointed_to_before(legi, tmp_path):
    other = EdgeEngine(tmp_path / "index", wait_seconds=0.05)
    legi.upsert("legi-1", points([1]))
    other.create("legi-2", SPEC)
    other.upsert("legi-2", points([2]))
    with legi.kept_open():
        assert found(legi) == {"LEGIARTI1_0"}
        other.point_to("legi", "legi-2")
        with pytest.raises(BusyError):
            other.drop("legi-1")
        assert found(legi) == {"LEGIARTI2_0"}
        other.drop("legi-1")
    assert other.collections() == ["legi-2"]


def test_a_shard_that_breaks_is_not_kept(legi, tmp_path):
    legi.upsert("legi-1", points([1]))
    (tmp_path / "index" / "legi-1" / "spec.json").write_text("{}")
    with legi.kept_open():
        for _ in range(2):
            with pytest.raises(IndexUnavailableError, match="unreadable"):
                legi.count("legi-1")
        legi.drop("legi-1")
        legi.create("legi-1", SPEC)
        assert legi.count("legi-1") == 0


def test_a_graph_is_built_only_where_comparing_with_every_vector_would_be_slow(legi, tmp_path, monkeypatch):
    config = tmp_path / "index" / "legi-1" / "shard" / "edge_config.json"

    def links() -> int:
        return json.loads(config.read_text())["hnsw_config"]["m"]

    legi.upsert("legi-1", points(range(300)))
    best = legi.search_dense("legi", AHEAD, 10)
    legi.finish("legi-1")
    assert links() == 0
    monkeypatch.setattr(edge, "GRAPH_BYTES", 300 * 4 * 4)
    legi.finish("legi-1")
    assert links() == edge.GRAPH_LINKS
    assert legi.search_dense("legi", AHEAD, 10) == best
    monkeypatch.setattr(edge, "GRAPH_BYTES", 300 * 4 * 4 + 1)
    with legi.kept_open():
        legi.finish("legi-1")
        assert legi.count("legi-1") == 300
    assert links() == 0


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
