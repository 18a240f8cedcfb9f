"""What runs the steps of a run: this process, processes of this machine, Celery or Kubernetes.

What belongs here: the executor that a setting names, with its configuration. What does not: what the steps do, and how
workers are started (`docs/scale-out.md`).
"""

from typing import Any

import dagster as dg

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.settings import Settings

#: Celery queue of the shards, which any worker may serve. All other steps open the lake: they stay in Dagster's default
#: queue, `dagster`, which only a worker beside the lake serves.
WORK_QUEUE = "mediatech-work"

#: Tags of the steps that work on a shard.
WORK_TAGS = {"dagster-celery/queue": WORK_QUEUE}

#: A shard whose worker died is given to another one. At once, if a process died and its worker lives; else after this
#: time, which no shard may need: it would be done twice, for nothing.
_SECONDS_UNTIL_GIVEN_UP = 3_600

#: Settings of the Celery application: executor and workers have to agree.
CELERY_SETTINGS: dict[str, Any] = {
    "worker_prefetch_multiplier": 1,
    "broker_transport_options": {"visibility_timeout": _SECONDS_UNTIL_GIVEN_UP},
    "broker_connection_retry_on_startup": True,
}


def executor_for(settings: Settings) -> dg.ExecutorDefinition:
    """The executor that the settings name.

    Raises:
        ConfigurationError: the package that it comes from is not installed, or its broker is not named.
    """
    if settings.scale_out == "celery":
        return _celery(settings)
    if settings.scale_out == "kubernetes":
        return _kubernetes()
    if settings.scale_out == "multiprocess":
        # Forked from a server that has loaded the definitions: a new interpreter would need seconds for each step.
        start = {"forkserver": {"preload_modules": ["mediatech_assets.definitions"]}}
        config = {"max_concurrent": settings.workers, "start_method": start}
        return dg.multiprocess_executor.configured(config, name="multiprocess")
    return dg.in_process_executor


def celery_urls(settings: Settings) -> tuple[str, str]:
    """Broker and result backend.

    Raises:
        ConfigurationError: no broker is named.
    """
    broker, backend = settings.celery_broker.get_secret_value(), settings.celery_backend.get_secret_value()
    if not broker:
        raise ConfigurationError(
            "MEDIATECH_SCALE_OUT=celery needs a broker",
            "set MEDIATECH_CELERY_BROKER, such as redis://host:6379/0",
        )
    return broker, backend or (broker if broker.startswith("redis") else "rpc://")


def _celery(settings: Settings) -> dg.ExecutorDefinition:
    try:
        from dagster_celery import celery_executor
    except ImportError as error:
        raise _missing("celery", "dagster-celery") from error
    broker, backend = celery_urls(settings)
    # By the variables' names: a password must not be seen in the configuration of a run.
    broker_variable = {"env": "MEDIATECH_CELERY_BROKER"}
    backend_variable = {"env": "MEDIATECH_CELERY_BACKEND"} if backend != broker else broker_variable
    return celery_executor.configured(
        {
            "broker": broker_variable,
            "backend": backend if backend == "rpc://" else backend_variable,
            "config_source": CELERY_SETTINGS,
        },
        name="celery",
    )


def _kubernetes() -> dg.ExecutorDefinition:
    try:
        from dagster_k8s import k8s_job_executor  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _missing("kubernetes", "dagster-k8s") from error
    return k8s_job_executor


def _missing(choice: str, package: str) -> ConfigurationError:
    return ConfigurationError(
        f"MEDIATECH_SCALE_OUT={choice} needs {package}, which is not installed",
        "install it (docs/scale-out.md), or unset MEDIATECH_SCALE_OUT",
    )
