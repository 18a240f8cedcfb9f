"""Locks between processes of one machine: who holds what, first come first served.

What belongs here: an advisory lock with a time limit, a fair queue before it, and the note that lets a
waiting process name the holder. What does not: what is done while the lock is held.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from filelock import FileLock, Timeout

from mediatech_assets.errors import BusyError, ConfigurationError

_POLL_SECONDS = 0.01


@contextmanager
def exclusive(folder: Path, name: str, action: str, wait_seconds: float) -> Iterator[None]:
    """Hold the lock `name` of `folder`.

    A waiting process takes `<name>.queue` first and keeps it until it has `<name>.lock`. Without it, a
    process that releases the lock and takes it again at once (an update, batch after batch) would win every
    time, and a search would wait in vain. Both locks vanish with their process, however it ends.

    Args:
        folder: Where the lock files are.
        name: What is locked.
        action: What the holder does, for the message that others get ("writing 2,048 points").
        wait_seconds: How long to wait.

    Raises:
        BusyError: the lock was not free in time; the message names its holder.
        ConfigurationError: the folder cannot be written.
    """
    _make_writable(folder)
    deadline = monotonic() + wait_seconds
    note = folder / f"{name}.holder.json"
    lock = FileLock(folder / f"{name}.lock", poll_interval=_POLL_SECONDS)
    try:
        with FileLock(folder / f"{name}.queue", poll_interval=_POLL_SECONDS).acquire(timeout=wait_seconds):
            lock.acquire(timeout=max(0.0, deadline - monotonic()))
    except Timeout as error:
        raise BusyError(
            f"{folder / name} is in use by {_holder(note)}; waited {wait_seconds:g} s",
            "try again when it has finished, or stop it",
        ) from error
    try:
        _sign(note, action)
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "" if writable else "no permission to write in it"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise ConfigurationError(
            f"{folder} cannot be written: {reason}",
            "make it writable, or point MEDIATECH_HOME at another folder",
        )


def _sign(note: Path, action: str) -> None:
    # No fsync: a note matters only while its writer lives.
    note.write_text(
        json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "action": action,
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        ),
        encoding="utf-8",
    )


def _holder(note: Path) -> str:
    """Who signed the note, unless that process is gone: then it was killed and another one holds the lock."""
    try:
        signed = json.loads(note.read_text(encoding="utf-8"))
        pid, host = int(signed["pid"]), str(signed["host"])
        words = f"process {pid} on {host} ({signed['action']}, since {signed['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process that left no note"
    if host == socket.gethostname() and not _is_alive(pid):
        return "another process that left no note"
    return words


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
