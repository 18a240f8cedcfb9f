"""The sample upstream taken in on all its days, once for every test that looks at the result.

What belongs here: the run, and what it did and held on each day. What does not: what a test expects.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.orchestration.platform import LayerReport
from mediatech_assets.sample_upstream import SAMPLE_DAYS
from mediatech_assets_tests.pipeline.installation import DATASETS, Holdings, Installation


@dataclass(frozen=True)
class SampleRun:
    """The installation after the last day, with what was done (figures by layer) and held on each day."""

    installation: Installation
    done: Mapping[int, Mapping[str, Mapping[str, Mapping[str, Any]]]]
    held: Mapping[int, Mapping[str, Holdings]]


def run_sample(sample_days: Mapping[int, Path], home: Path) -> SampleRun:
    """Takes in every day: the first in Dagster runs, the others by the platform alone, which is three times faster."""
    installation = Installation(home)
    first, *later = SAMPLE_DAYS
    done: dict[int, dict[str, Mapping[str, Mapping[str, Any]]]] = {
        first: {name: installation.updated(sample_days[first], name).layers for name in DATASETS}
    }
    held = {first: {name: installation.holdings(name) for name in DATASETS}}
    for day in later:
        reports = {name: installation.materialised(sample_days[day], name, BUILT_LAYERS) for name in DATASETS}
        done[day] = {name: figures(report) for name, report in reports.items()}
        held[day] = {name: installation.holdings(name) for name in DATASETS}
    return SampleRun(installation, done, held)


def figures(reports: Mapping[Layer, LayerReport]) -> dict[str, dict[str, Any]]:
    """What layers say they did, as Dagster shows it: facts beside counts."""
    return {layer.value: {**report.facts, **asdict(report)} for layer, report in reports.items()}
