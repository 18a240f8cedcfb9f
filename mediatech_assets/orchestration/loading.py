"""Whether `datasets` loads a release, as most consumers will.

What belongs here: the check, and the program that loads. What does not: what else a release is held to
(`release/checks.py`).

It is a check of its own, which the release train runs and a person may run from the UI: an update should not pay for
the start of another process. `datasets` is no dependency: without it nothing is judged, and the check says so.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import dagster as dg

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.layers import Layer, asset_key

#: Name of the check.
LOADS_WITH_DATASETS = "loads_with_datasets"

_SECONDS = 300.0
#: Characters of what the program wrote about its failure.
_LONGEST_REASON = 2_000

#: The configuration of the card, and a first row of it; nothing is copied into a cache. It ends without Python's own
#: clearing up: a reader that was left in the middle has threads, which now and then abort a process that goes away.
_PROGRAM = """
import json, os, sys
from datasets import load_dataset
rows = load_dataset(sys.argv[1], "latest", split="train", streaming=True)
first = next(iter(rows), {})
print(json.dumps({"columns": list(rows.features or first), "rows": bool(first)}), flush=True)
os._exit(0)
"""


def loading_check_key(dataset: Dataset) -> dg.AssetCheckKey:
    """Key of a dataset's check."""
    return dg.AssetCheckKey(dg.AssetKey(asset_key(dataset.name, Layer.RELEASE)), LOADS_WITH_DATASETS)


def loading_check(dataset: Dataset) -> dg.AssetChecksDefinition:
    """The check that `datasets` loads the newest release of a dataset by the configuration in its card."""
    key = dg.AssetKey(asset_key(dataset.name, Layer.RELEASE))

    @dg.asset_check(
        asset=key,
        name=LOADS_WITH_DATASETS,
        description="`datasets` loads the newest release by the configuration in its card.",
        blocking=True,
    )
    def loads_with_datasets(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        event = context.instance.get_latest_materialization_event(key)
        release = event.asset_materialization if event else None
        if release is None:
            return _not_judged("there is no release yet")
        if find_spec("datasets") is None:
            return _not_judged("`datasets` is not installed here: pip install datasets")
        passed, detail = loads(Path(str(release.metadata["path"].value)))
        return dg.AssetCheckResult(
            passed=passed,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"release": str(release.metadata["release"].value), "detail": detail},
        )

    return loads_with_datasets


def loads(folder: Path) -> tuple[bool, str]:
    """Whether `datasets` loads the release in a folder, and what it saw.

    In a process of its own: `datasets` reads its settings at import, and here it may neither reach the network nor
    write anything that stays.
    """
    with tempfile.TemporaryDirectory(prefix="mediatech-loading-") as cache:
        environment = {
            **os.environ,
            "HF_HOME": cache,
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        program = [sys.executable, "-c", _PROGRAM, str(folder)]
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                program,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False, f"{folder} was not loaded within {_SECONDS:g} s"
    if done.returncode:
        return False, done.stderr[-_LONGEST_REASON:]
    seen = json.loads(done.stdout.splitlines()[-1])
    return True, f"{len(seen['columns'])} columns{'' if seen['rows'] else ', no row'}"


def _not_judged(reason: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=True, severity=dg.AssetCheckSeverity.WARN, metadata={"detail": f"not judged: {reason}"}
    )
