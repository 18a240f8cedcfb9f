"""What belongs here: locks between processes, with real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from mediatech_assets.errors import BusyError, ConfigurationError
from mediatech_assets.lake import exclusive

HOLDER = """
import sys
from pathlib import Path
from mediatech_assets.lake.locks import exclusive
with exclusive(Path(sys.argv[1]), "index", "writing 2,048 points", 5):
    print("holding", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(folder):
    """Another process that holds the lock until its standard input closes."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate("", timeout=10)


def can_be_had(folder, wait_seconds=0.0):
    try:
        with exclusive(folder, "index", "looking", wait_seconds):
            return True
    except BusyError:
        return False


def test_the_message_names_the_holder_and_what_it_does(tmp_path):
    with held_elsewhere(tmp_path) as holder:
        with pytest.raises(BusyError) as caught, exclusive(tmp_path, "index", "searching", 0.05):
            pass

        assert f"process {holder.pid} on {socket.gethostname()}" in caught.value.problem
        assert "writing 2,048 points" in caught.value.problem
        assert str(tmp_path / "index") in caught.value.problem
        assert caught.value.remedy
    assert can_be_had(tmp_path), "free again when the holder has finished"


def test_a_killed_holder_frees_the_lock(tmp_path):
    with held_elsewhere(tmp_path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(timeout=10)

        assert (tmp_path / "index.holder.json").is_file(), "its note stays"
        assert can_be_had(tmp_path, 1.0)


@pytest.mark.parametrize("note", ["dead", "{}", "no json", "[]", '{"pid": "x"}', ""])
def test_a_note_of_nobody_is_not_believed(tmp_path, note):
    if note == "dead":
        with subprocess.Popen([sys.executable, "-c", ""]) as finished:
            finished.wait(timeout=10)
        note = json.dumps(
            {"pid": finished.pid, "host": socket.gethostname(), "action": "dreaming", "since": "never"}
        )

    with held_elsewhere(tmp_path):
        (tmp_path / "index.holder.json").write_text(note, encoding="utf-8")
        with (
            pytest.raises(BusyError, match="another process that left no note"),
            exclusive(tmp_path, "index", "x", 0.05),
        ):
            pass


def test_a_stale_note_does_not_keep_anybody_out(tmp_path):
    (tmp_path / "index.holder.json").write_text("{}", encoding="utf-8")

    assert can_be_had(tmp_path)
    assert not (tmp_path / "index.holder.json").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="file/locks cannot be written") as caught:
        can_be_had(tmp_path / "file" / "locks")

    assert "MEDIATECH_HOME" in caught.value.remedy


def test_the_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path, "index", "failing", 1):
        raise ZeroDivisionError

    assert can_be_had(tmp_path)


def test_different_names_do_not_exclude_each_other(tmp_path):
    with exclusive(tmp_path, "legi", "a", 0), exclusive(tmp_path, "cnil", "b", 0):
        assert (tmp_path / "legi.holder.json").is_file()


def test_a_waiting_thread_gets_its_turn_before_the_holder_comes_back(tmp_path):
    order = []

    def wait():
        with exclusive(tmp_path, "index", "waiting", 20):
            order.append("waiter")

    waiter = threading.Thread(target=wait)
    with exclusive(tmp_path, "index", "first", 0):
        waiter.start()
        while can_be_queued(tmp_path):
            pass
    with exclusive(tmp_path, "index", "again", 20):
        order.append("holder")
    waiter.join(timeout=20)

    assert order == ["waiter", "holder"]


def can_be_queued(folder):
    """Whether nobody stands in the queue yet."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / "index.queue").acquire(timeout=0):
            return True
    except Timeout:
        return False
