"""Worker processes: order, bounded memory, errors, and nobody left behind."""

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from mediatech_assets import workers
from mediatech_assets.errors import EmbeddingError
from mediatech_assets.workers import WorkerDiedError, default_workers, map_shards

ROOT = Path(__file__).parents[2]


def square(number: int) -> int:
    return number * number


def process_facts(_shard: int) -> tuple[int, dict[str, str | None]]:
    return os.getpid(), {name: os.environ.get(name) for name in workers.ONE_THREAD_VARIABLES}


def refuse_three(number: int) -> int:
    if number == 3:
        raise EmbeddingError("three is refused", "use another number")
    return number


def refuse_to_start() -> None:
    raise EmbeddingError("no model here", "install it")


def kill_itself_at_two(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def announce_and_block(pipe: str, _number: int) -> None:
    """Writes its process id (atomic: far below PIPE_BUF), then never ends."""
    with Path(pipe).open("a") as file:
        file.write(f"{os.getpid()}\n")
    threading.Event().wait()


def announce_unless_first(pipe: str, number: int) -> int:
    if number:
        announce_and_block(pipe, number)
    return number


def block_for_ever(pipe: str) -> None:
    """A parent for tests that kill it."""
    list(map_shards(partial(announce_and_block, pipe), range(8), 2, step="test"))


def wait_for_end(process_ids: list[int], seconds: float) -> list[int]:
    """Those of the processes that are still there after some seconds."""
    alive = []
    for process_id in process_ids:
        try:
            descriptor = os.pidfd_open(process_id)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor):
            if not select.select([descriptor], [], [], seconds)[0]:
                alive.append(process_id)
    return alive


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "processes"
    os.mkfifo(path)
    return path


def announced_processes(pipe: Path) -> list[int]:
    """The first two processes that announce themselves. Open for writing too, the pipe has no end of file."""
    with os.fdopen(os.open(pipe, os.O_RDWR), closefd=True) as lines:
        return [int(lines.readline()) for _ in range(2)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_results_come_in_the_order_of_the_shards(count):
    assert list(map_shards(square, iter(range(50)), count, step="test")) == [n * n for n in range(50)]


def test_no_shards_give_no_results():
    assert list(map_shards(square, [], 2, step="test")) == []


def test_few_shards_are_taken_ahead_of_the_consumer():
    taken = []

    def shards():
        for number in range(100):
            taken.append(number)
            yield number

    for done, _ in enumerate(map_shards(square, shards(), 2, step="test"), start=1):
        assert len(taken) <= done + 4
    assert len(taken) == 100


def test_workers_have_one_thread_each(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    facts = list(map_shards(process_facts, range(6), 2, step="test"))
    for process_id, variables in facts:
        assert process_id != os.getpid()
        assert set(variables.values()) == {"1"}
    assert "OMP_NUM_THREADS" not in os.environ


def test_one_shard_stays_in_this_process():
    assert next(map_shards(process_facts, [0], 2, step="test"))[0] == os.getpid()


def test_one_worker_stays_in_this_process():
    assert next(map_shards(process_facts, [0, 1], 1, step="test"))[0] == os.getpid()


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_the_work_reaches_the_caller(count):
    results = []
    with pytest.raises(EmbeddingError) as caught:  # noqa: PT012 - the loop is what raises
        for result in map_shards(refuse_three, range(9), count, step="test"):
            results.append(result)
    assert caught.value.remedy == "use another number"
    assert results == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_the_initializer_reaches_the_caller(count):
    with pytest.raises(EmbeddingError, match="no model here"):
        list(map_shards(square, range(9), count, step="test", initializer=refuse_to_start))


def test_a_killed_worker_is_named_by_step_and_shards():
    with pytest.raises(WorkerDiedError, match=r"cnil: parsing: a worker process died while shards \d to \d"):
        list(map_shards(kill_itself_at_two, range(9), 2, step="cnil: parsing"))
    assert multiprocessing.active_children() == []


def test_work_of_the_main_module_is_refused(monkeypatch):
    monkeypatch.setattr(square, "__module__", "__main__")
    with pytest.raises(ValueError, match="main module"):
        list(map_shards(square, range(9), 2, step="test"))


def test_closing_the_iterator_ends_workers_that_are_busy(pipe):
    iterator = map_shards(partial(announce_unless_first, str(pipe)), range(9), 2, step="test")
    assert next(iterator) == 0
    process_ids = announced_processes(pipe)
    iterator.close()
    assert wait_for_end(process_ids, 10) == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(pipe, blow):
    # A process inherits what is ignored: Ctrl-C of tests that run in the background, SIGTERM of tests that ignored it.
    heed = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)"
    )
    code = f"{heed}; from {__name__} import block_for_ever; block_for_ever({str(pipe)!r})"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        process_ids = announced_processes(pipe)
        parent.send_signal(blow)
        parent.wait(20)
        assert wait_for_end(process_ids, 10) == []
    finally:
        parent.kill()
        parent.wait(20)


def test_a_console_script_is_not_imported_again_by_its_workers(tmp_path):
    """The script lies outside any package and, like a real one, has no guard for a second import."""
    script = tmp_path / "mediatech"
    script.write_text(
        "print('started', flush=True)\n"
        "from mediatech_assets.workers import map_shards\n"
        f"from {__name__} import square\n"
        "print(list(map_shards(square, range(4), 2, step='test')))\n"
    )
    answer = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.splitlines() == ["started", "[0, 1, 4, 9]"]


def test_default_workers_respects_affinity_and_container(monkeypatch, tmp_path):
    limit = tmp_path / "cpu.max"
    monkeypatch.setattr(workers, "_CGROUP_V2_LIMIT", limit)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    expected = {"max 100000": 8, "250000 100000": 2, "50000 100000": 1}
    for text, count in expected.items():
        limit.write_text(text)
        assert default_workers() == count
