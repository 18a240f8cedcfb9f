"""`mediatech doctor`: is everything there that the platform needs?

What belongs here: tests of the machine, the packages, the settings and the hosts. What does not: mending.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.errors import ConfigurationError, MediatechError
from mediatech_assets.lake import Lake
from mediatech_assets.layers import Sink
from mediatech_assets.orchestration.alerts import known_addresses
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.publishing import configured_sinks, publisher
from mediatech_assets.orchestration.storage import CONFIGURATION, storage_works
from mediatech_assets.settings import Settings, load_settings

_PACKAGES = ("dagster", "duckdb", "duckdb-extension-ducklake", "pyarrow", "qdrant-edge-py", "lxml", "httpx")
_FREE_BYTES = 5_000_000_000
_HOST_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing tested.

    Args:
        state: `ok`; `warning` when the platform still works; `failure` when it does not.
        subject: What was tested.
        found: What was found.
        remedy: What to do; empty when nothing is needed.
    """

    state: Literal["ok", "warning", "failure"]
    subject: str
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding as a JSON object."""
        return asdict(self)


def examine() -> list[Finding]:
    """Tests everything; one failure never hides another."""
    findings = [_python(), *map(_package, _PACKAGES)]
    try:
        settings = load_settings()
    except ConfigurationError as error:
        return [*findings, _failure("settings", error)]
    findings += _settings(settings)
    findings += [_tested("home folder", lambda: _home(settings)), _disk(settings)]
    findings.append(_tested("lake", lambda: _lake(settings)))
    findings.append(_tested("Dagster's storage", lambda: _storage(settings)))
    platform = Platform(settings, read_only=True)
    findings.append(_tested("embedding model", lambda: _model(platform)))
    findings.append(_tested("vector engine", lambda: _engine(platform)))
    findings.append(_tested("alerts", lambda: _alerts(settings)))
    findings += [_sink(platform, sink) for sink in Sink]
    findings += [_upstream(platform, dataset) for dataset in all_datasets().values()]
    return findings


def _python() -> Finding:
    return Finding("ok", "Python", f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")


def _package(name: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("failure", name, "not installed", f"pip install {name}")


def _settings(settings: Settings) -> Iterator[Finding]:
    for name in type(settings).model_fields:
        variable = f"MEDIATECH_{name.upper()}"
        origin = "environment" if variable in os.environ else "default"
        yield Finding("ok", variable, f"{getattr(settings, name)!s} ({origin})")


def _tested(subject: str, test: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", subject, test())
    except MediatechError as error:
        return _failure(subject, error)


def _failure(subject: str, error: MediatechError) -> Finding:
    return Finding("failure", subject, error.problem, error.remedy)


def _home(settings: Settings) -> str:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.home):
            return f"{settings.home} can be written"
    except OSError as error:
        raise ConfigurationError(
            f"{settings.home} cannot be written: {error}", "set MEDIATECH_HOME to a folder of yours"
        ) from error


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.home if settings.home.exists() else Path.cwd()).free
    found = f"{free / 1e9:.0f} GB free"
    if free < _FREE_BYTES:
        return Finding(
            "warning", "disk", found, "the nine datasets need more: free some, or move MEDIATECH_HOME"
        )
    return Finding("ok", "disk", found)


def _lake(settings: Settings) -> str:
    """Writes and reads a catalog of its own, then opens the existing ones."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Lake(Path(folder), Path(folder))
        trial.open("trial", {})
        trial.close()
    lake = Lake(settings.lake_folder, settings.locks_folder, read_only=True)
    names = lake.catalogs()
    for name in names:
        lake.open(name, {})
    lake.close()
    return f"works; catalogs: {', '.join(names) or 'none yet'}"


def _storage(settings: Settings) -> str:
    if not (settings.dagster_home / CONFIGURATION).is_file():
        return "none yet: the first command makes one in SQLite"
    return storage_works(settings.dagster_home)


def _model(platform: Platform) -> str:
    vector = platform.embed_query("quelle est la durée du congé annuel ?")
    return f"profile {platform.profile.name}: {platform.profile.model_id}, {len(vector)} dimensions"


def _engine(platform: Platform) -> str:
    collections = platform.engine.collections()
    return f"{platform.settings.index_engine}: {len(collections)} collection(s)"


def _alerts(settings: Settings) -> str:
    """Whether alerts could be sent; none is."""
    addresses = known_addresses(settings)
    if not addresses:
        return "off: MEDIATECH_ALERTS is empty"
    return f"{addresses} address(es), not contacted" + (
        "" if settings.automation else "; MEDIATECH_AUTOMATION is false: their sensors are stopped"
    )


def _sink(platform: Platform, sink: Sink) -> Finding:
    """Whether the settings of a sink can be used; it is not contacted: `publish --dry-run` does that."""
    subject = f"sink {sink.value}"
    if sink not in configured_sinks(platform):
        return Finding("ok", subject, "off: its settings are empty (docs/publishing.md)")
    dataset = next(iter(all_datasets().values()))
    return _tested(
        subject, lambda: f"set up: {type(publisher(platform, dataset, sink)).__name__}, not contacted"
    )


def _upstream(platform: Platform, dataset: Dataset) -> Finding:
    """A host that does not answer is a warning: what is already here works without it."""
    hurried = platform.settings.model_copy(update={"http_timeout": _HOST_TIMEOUT, "http_attempts": 1})
    subject = f"upstream of {dataset.name}"
    try:
        published = Platform(hurried, read_only=True).published(dataset)
    except MediatechError as error:
        return Finding("warning", subject, error.problem, error.remedy)
    return Finding("ok", subject, f"{len(published)} file(s), newest {max(file.stamp for file in published)}")
