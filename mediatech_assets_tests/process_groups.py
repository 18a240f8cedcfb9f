"""Processes that a test started with `start_new_session`, and all that they started.

What belongs here: whether any of them still runs. What does not: starting and ending them (each kind has its own way).
"""

import os

import psutil


def group_alive(group: int) -> bool:
    """Whether any process of a group still runs: the dead whom nobody buries stay listed, as zombies."""
    return any(
        _group(other.pid) == group and other.info["status"] != psutil.STATUS_ZOMBIE
        for other in psutil.process_iter(["status"])
    )


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
