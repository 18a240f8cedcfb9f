"""Processes that share out the heavy work of a step.

What belongs here: running one function over shards in a pool of processes that keeps memory flat, the order
of the shards, and no orphans. What does not: what a shard is or what is done to it.

The pool starts its processes from a fork server: a plain fork of a process with threads (Dagster has some)
can deadlock, and a spawn imports the caller's main module again in every worker.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from mediatech_assets.errors import MediatechError

Shard = TypeVar("Shard")
Result = TypeVar("Result")

#: One thread a process: the processes already fill the cores (OpenBLAS with 4 threads on 2 cores is 20 times
#: slower). Libraries read these when they are loaded, so workers set them before any other import.
ONE_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

#: Shards handed out for each worker: one that it works on, one that waits for it.
_SHARDS_IN_FLIGHT_PER_WORKER = 2

_CGROUP_V2_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1_FOLDER = Path("/sys/fs/cgroup/cpu")

_main_module_lock = threading.Lock()


class WorkerDiedError(MediatechError):
    """A worker process ended without an answer: killed, out of memory, or crashed in native code."""


def default_workers() -> int:
    """Cores that this process may use, at least one: its CPU affinity, lowered by a container's limit."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    limit = _container_cores()
    return max(1, cores if limit is None else min(cores, int(limit)))


def map_shards(
    work: Callable[[Shard], Result],
    shards: Iterable[Shard],
    workers: int,
    *,
    step: str,
    initializer: Callable[[], object] | None = None,
) -> Generator[Result, None, None]:
    """Applies `work` to every shard and yields the results in the order of the shards.

    At most two shards for each worker are taken from `shards` ahead of the consumer, so memory stays flat.
    With one worker or a single shard, or inside a process that may not have children, everything happens in
    this process. Closing the iterator, an exception, Ctrl-C or the death of this process ends the workers.

    Args:
        work: Function of an importable module (not of `__main__`), pure, of one shard.
        shards: Inputs of `work`; each has to be picklable.
        workers: Number of processes; 0 and 1 mean this process.
        step: What is being done, for messages, such as `legi: parsing`.
        initializer: Called once in each process before its first shard, such as to load a model.

    Yields:
        The results, one for each shard.

    Raises:
        WorkerDiedError: a worker process ended without an answer.
        Exception: whatever `work` or `initializer` raises.
    """
    remaining = iter(shards)
    first_two = list(islice(remaining, 2))
    shards = chain(first_two, remaining)
    if workers <= 1 or len(first_two) < 2 or multiprocessing.current_process().daemon:
        yield from _map_here(work, shards, initializer)
    else:
        yield from _map_in_pool(work, shards, workers, step, initializer)


def _map_here(
    work: Callable[[Shard], Result],
    shards: Iterable[Shard],
    initializer: Callable[[], object] | None,
) -> Iterator[Result]:
    if initializer is not None:
        initializer()
    for shard in shards:
        yield work(shard)


def _map_in_pool(
    work: Callable[[Shard], Result],
    shards: Iterable[Shard],
    workers: int,
    step: str,
    initializer: Callable[[], object] | None,
) -> Iterator[Result]:
    for function in (work, initializer):
        if getattr(function, "__module__", None) == "__main__":
            raise ValueError(f"{function} is defined in the main module, which workers do not import")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    leash_end, leash = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        workers, context, initializer=_prepare_worker, initargs=(leash_end, pickle.dumps(initializer))
    )
    in_flight: deque[Future[Result]] = deque()
    shards = iter(shards)
    finished = 0
    try:
        while True:
            for shard in islice(shards, workers * _SHARDS_IN_FLIGHT_PER_WORKER - len(in_flight)):
                with _main_module_hidden():
                    in_flight.append(executor.submit(_work_on, work, shard))
            if not in_flight:
                break
            result = in_flight[0].result()
            in_flight.popleft()
            finished += 1
            yield result
        executor.shutdown(wait=True)
    except BrokenProcessPool:
        raise WorkerDiedError(
            f"{step}: a worker process died while shards {finished + 1} to "
            f"{finished + max(1, len(in_flight))} were in work",
            "look for the out-of-memory killer (dmesg), give the machine more memory or set "
            "MEDIATECH_WORKERS lower, then run again: finished work is kept",
        ) from None
    finally:
        leash.close()
        executor.shutdown(wait=True, cancel_futures=True)
        leash_end.close()


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """While a worker may be started: it would import the caller's main module, with all that this imports."""
    with _main_module_lock:
        main_module = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main_module


#: The caller's initializer in a worker, until the first shard.
_pending_initializer: bytes | None = None


def _prepare_worker(leash_end: Connection, initializer: bytes) -> None:
    """First thing in a worker. `initializer` stays pickled until the thread counts are set."""
    global _pending_initializer
    for variable in ONE_THREAD_VARIABLES:
        os.environ[variable] = "1"
    # Ctrl-C reaches the whole terminal group: the parent decides, and its leash ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_leash, args=(leash_end,), daemon=True).start()
    _pending_initializer = initializer


def _end_with_leash(leash_end: Connection) -> None:
    """Ends this worker at once when the parent lets go of its end of the pipe, or is killed.

    A worker of a pool holds both ends of the pool's queues, so it would wait for ever for a parent that died.
    """
    try:
        leash_end.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _work_on(work: Callable[[Shard], Result], shard: Shard) -> Result:
    """Runs in a worker; the initializer runs here so that its errors reach the caller as they are."""
    global _pending_initializer
    if _pending_initializer is not None:
        initializer = pickle.loads(_pending_initializer)  # noqa: S301 - written by our own parent process
        if initializer is not None:
            initializer()
        _pending_initializer = None
    return work(shard)


def _container_cores() -> float | None:
    """Cores that the container's control group allows; nothing when it sets no limit."""
    try:
        if _CGROUP_V2_LIMIT.is_file():
            quota, period = _CGROUP_V2_LIMIT.read_text().split()
        else:
            quota = (_CGROUP_V1_FOLDER / "cpu.cfs_quota_us").read_text()
            period = (_CGROUP_V1_FOLDER / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None
