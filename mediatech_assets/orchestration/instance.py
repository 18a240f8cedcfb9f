"""The Dagster instance of an installation: made once, used by every command.

What belongs here: `MEDIATECH_HOME/dagster`, its configuration file, and runs that died. What does not: what is run,
and what is taken out of its history (`event_retention.py`).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.lake import exclusive
from mediatech_assets.orchestration.pools import make_pools
from mediatech_assets.orchestration.storage import CONFIGURATION, storage_errors_explained, storage_works
from mediatech_assets.settings import Settings

#: Tag of a run made by the command line: the process that must be alive for the run to be.
PROCESS_TAG = "mediatech/process"

_LOCK_SECONDS = 120.0


def prepare_dagster_home(settings: Settings) -> Path:
    """The instance's folder, with its configuration and its storage ready.

    Raises:
        InstanceError: its configuration or its storage cannot be used.
    """
    with _opened(settings):
        return settings.dagster_home


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance that the UI shows, too.

    Raises:
        InstanceError: its configuration or its storage cannot be used, now or while the block runs.
    """
    with _opened(settings) as instance, storage_errors_explained(settings.dagster_home):
        end_dead_runs(instance)
        yield instance


@contextmanager
def _opened(settings: Settings) -> Iterator[DagsterInstance]:
    """The instance, made first where there is none yet.

    A new storage that several processes open at once is migrated by all of them and stays broken, also a database that
    an existing configuration names: so every opening happens under a lock.
    """
    home = settings.dagster_home
    with ExitStack() as stack:
        with exclusive(settings.locks_folder, "dagster", "preparing the Dagster instance", _LOCK_SECONDS):
            home.mkdir(parents=True, exist_ok=True)
            if not (home / CONFIGURATION).is_file():
                shutil.copyfile(_configuration(), home / CONFIGURATION)
            storage_works(home)
            with storage_errors_explained(home):
                instance = stack.enter_context(DagsterInstance.from_config(str(home)))
                make_pools(instance)
        os.environ["DAGSTER_HOME"] = str(home)
        yield instance


def end_dead_runs(instance: DagsterInstance) -> None:
    """Marks as failed the runs of the command line whose process is gone: nothing else would."""
    unfinished = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.NOT_STARTED]
    for run in instance.get_runs(RunsFilter(statuses=unfinished)):
        process = run.tags.get(PROCESS_TAG)
        # Asked again: it may have ended well, and its process with it, since the list was read.
        if process and not _alive(process) and not _ended(instance, run.run_id):
            instance.report_run_failed(run, f"the process {process} that ran it is gone")
            # Without a daemon nothing else does: the next run of the command line would wait for its pools for ever.
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _ended(instance: DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


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
