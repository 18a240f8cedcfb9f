"""A code location for many runs at once: the platform's own definitions, and a job that crowds at the pools.

What belongs here: the definitions that the processes of `test_concurrent_runs.py` load. What does not: what is
expected of the runs.
"""

import time
from pathlib import Path

import dagster as dg

from mediatech_assets.definitions import build_defs

#: Events of each kind that a step writes, numbered.
MESSAGES = 20
MATERIALIZATIONS = 4
POOLS = ("embedding", "qdrant")

#: Tags of a run: a folder that the runs of a round share, how many they are, and whether this one waits for its end.
FOLDER, RUNS, HELD = "crowd/folder", "crowd/runs", "crowd/held"

_LIMIT_SECONDS = 400.0
_POLL_SECONDS = 0.2


@dg.op(out=dg.Out(dg.Nothing))
def together(context: dg.OpExecutionContext):
    """Waits until all runs of the round work at the same time, and takes no pool meanwhile."""
    folder = Path(context.run.tags[FOLDER])
    (folder / context.run_id).touch()
    deadline = time.monotonic() + _LIMIT_SECONDS
    while len(list(folder.iterdir())) < int(context.run.tags[RUNS]):
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"after {_LIMIT_SECONDS:g} s only {len(list(folder.iterdir()))} runs work at once"
            )
        time.sleep(_POLL_SECONDS)


def _crowd(context: dg.OpExecutionContext, pool: str) -> None:
    folder = Path(context.run.tags[FOLDER])
    for number in range(MESSAGES):
        context.log.info(f"{pool} message {number}")
    for number in range(MATERIALIZATIONS):
        context.log_event(dg.AssetMaterialization(["crowd", pool], metadata={"number": number}))
    if HELD in context.run.tags and pool == POOLS[-1]:
        (folder.parent / f"{context.run_id}.holds").touch()
        time.sleep(_LIMIT_SECONDS)
        raise RuntimeError("nobody ended this run")


@dg.op(ins={"start": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), pool=POOLS[0])
def embed(context: dg.OpExecutionContext):
    """A step in the first pool."""
    _crowd(context, POOLS[0])


@dg.op(ins={"start": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing), pool=POOLS[1])
def index(context: dg.OpExecutionContext):
    """A step in the second pool."""
    _crowd(context, POOLS[1])


@dg.job(executor_def=dg.in_process_executor)
def crowd():
    """One run of a round."""
    index(embed(together()))


defs = dg.Definitions.merge(build_defs(), dg.Definitions(jobs=[crowd]))
