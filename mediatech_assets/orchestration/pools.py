"""Pools: what runs of different datasets share, made before the first of them needs it.

What belongs here: their names, their first limits, and how a run waits for one. What does not: which layer uses which
pool (`assets.py`), and how many may use one at once (`dagster.yaml`: `concurrency.pools.default_limit`, or the UI).

Dagster makes a pool when a step first asks for it. On PostgreSQL, when several steps ask at the same moment, all but
one fail: its second statement meets a transaction that the first one broke. So pools are made where one process is
alone.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from dagster import DagsterInstance
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

_LOG = logging.getLogger("mediatech")

#: An upstream that is to be asked politely; a model, of which one is loaded at a time; the vector engine.
POOLS = ("dila", "embedding", "qdrant")


def make_pools(instance: DagsterInstance, names: Sequence[str] = POOLS) -> None:
    """Makes the pools that the instance does not know yet; those that it knows keep their limits."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    known = {pool.name for pool in storage.get_pool_limits()}
    for name in names:
        if name not in known:
            storage.initialize_concurrency_limit_to_default(name)


def wait_for_pools_asleep() -> None:
    """Makes a run that waits for a pool sleep until it may ask again, and say that it waits.

    Dagster means to do so, but takes the smaller of zero and the seconds that are left (dagster-io/dagster#20367, which
    was closed without being merged): a run that waits for another one's embedding would keep a core busy for hours.
    """
    waiting: Any = InstanceConcurrencyContext
    waiting.interval_to_next_pending_claim_check = _seconds_to_next_claim


def _seconds_to_next_claim(context: InstanceConcurrencyContext) -> float:
    """Seconds until the first of the steps that wait may ask again; the storage says which they are."""
    now = time.time()
    due = {step: context._pending_timeouts.get(step, now) for step in context._pending_claims}
    for step in due:
        if context._pending_claim_counts[step] == 1:
            _LOG.info("%s waits for its turn: another run uses the same upstream, model or index", step)
    return max(0.0, min(due.values(), default=now) - now)


if __name__ == "__main__":
    with DagsterInstance.get() as opened:
        make_pools(opened)
