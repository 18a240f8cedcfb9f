"""The Dagster instance of an installation: made once, used by every command.

What belongs here: `MEDIATECH_HOME/dagster`, its configuration file, and runs that died. What does not: what
is run.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.lake import exclusive
from mediatech_assets.settings import Settings

CONFIGURATION = "dagster.yaml"
#: Tag of a run made by the command line: the process that must be alive for the run to be.
PROCESS_TAG = "mediatech/process"

_LOCK_SECONDS = 120.0


def prepare_dagster_home(settings: Settings) -> Path:
    """The instance's folder, with its configuration and its storage ready.

    A new storage that several processes open at once is migrated by all of them and stays broken, so the
    first opening happens under a lock.
    """
    home = settings.dagster_home
    with exclusive(settings.locks_folder, "dagster", "preparing the Dagster instance", _LOCK_SECONDS):
        home.mkdir(parents=True, exist_ok=True)
        if not (home / CONFIGURATION).is_file():
            shutil.copyfile(_configuration(), home / CONFIGURATION)
            with DagsterInstance.from_config(str(home)) as instance:
                instance.get_runs_count()
    os.environ["DAGSTER_HOME"] = str(home)
    return home


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance that the UI shows, too."""
    home = prepare_dagster_home(settings)
    with DagsterInstance.from_config(str(home)) as instance:
        end_dead_runs(instance)
        yield instance


def end_dead_runs(instance: DagsterInstance) -> None:
    """Marks as failed the runs of the command line whose process is gone: nothing else would."""
    unfinished = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED]
    for run in instance.get_runs(RunsFilter(statuses=unfinished)):
        process = run.tags.get(PROCESS_TAG)
        if process and not _alive(process):
            instance.report_run_failed(run, f"the process {process} that ran it is gone")


def process_tag() -> str:
    """This process, told apart from a later one with the same number."""
    return f"{os.getpid()}@{_started(os.getpid())}"


def _alive(process: str) -> bool:
    number, _, started = process.partition("@")
    return _started(int(number)) == started


def _started(process: int) -> str:
    """When a process started, as the kernel counts; empty when there is none (or no `/proc`)."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _configuration() -> Path:
    """`dagster.yaml` at the project's root, or the copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent, package):
        if (folder / CONFIGURATION).is_file():
            return folder / CONFIGURATION
    raise ConfigurationError(
        f"{CONFIGURATION} was not found beside {package}", "install mediatech-assets again"
    )
