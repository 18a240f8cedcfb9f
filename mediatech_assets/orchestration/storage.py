"""Dagster's storage: whether it can be reached, told to people.

What belongs here: what `dagster.yaml` says about the storage, a trial of it, and its errors as messages with a remedy.
What does not: making the instance (`instance.py`), and what is kept in it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from dagster import DagsterInvalidConfigError
from dagster._config import process_config
from dagster._core.instance.ref import InstanceRef
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mediatech_assets.errors import InstanceError, MediatechError

CONFIGURATION = "dagster.yaml"

#: Seconds that a server that does not answer at all is waited for; Dagster itself waits for minutes, six times.
_CONNECT_SECONDS = 10
_FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


@dataclass(frozen=True, slots=True)
class _Server:
    """A PostgreSQL server that `dagster.yaml` names.

    Args:
        url: Its address with user, password and database.
        settings: Where these come from: variables of the environment, else fields of the file.
    """

    url: sa.URL
    settings: str

    @property
    def place(self) -> str:
        """The server for people, without the password."""
        url = self.url
        host = url.host or url.query.get("host") or "the local socket"
        return f"PostgreSQL at {host}:{url.port or 5432} (database {url.database}, user {url.username})"


def storage_works(home: Path) -> str:
    """Tries the storage of the instance in `home`, which holds its `dagster.yaml`; nothing is made there.

    Returns:
        What was found, for people.

    Raises:
        InstanceError: a variable is not set, the configuration cannot be used, or the server does not answer.
    """
    _require_variables(home)
    server = _server(home)
    if server is None:
        return f"configured in {home / CONFIGURATION}, not on PostgreSQL"
    try:
        engine = sa.create_engine(
            server.url, poolclass=sa.NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS}
        )
        with engine.connect() as connection:
            version = connection.scalar(sa.text("SHOW server_version"))
    except (SQLAlchemyError, ImportError) as error:
        raise _unreachable(home, server, error) from None  # its text may hold the password
    return f"{server.place}: version {version}"


@contextmanager
def storage_errors_explained(home: Path) -> Iterator[None]:
    """Shows what the storage of the instance in `home` refuses, while the block runs, as an error for people.

    Raises:
        InstanceError: the storage failed, or its configuration cannot be used.
    """
    try:
        yield
    except MediatechError:
        raise  # said already
    except DagsterInvalidConfigError as error:
        raise _unusable(home, "; ".join(each.message for each in error.errors)) from error
    except Exception as error:
        if (cause := _database_error(error)) is None:
            raise
        raise _unreachable(home, _server(home), cause) from None


def _require_variables(home: Path) -> None:
    """Dagster names one variable a start, below a traceback; people want all of them at once."""
    missing = sorted({name for name in _variables(_read(home)) if name not in os.environ})
    if missing:
        raise InstanceError(
            f"{home / CONFIGURATION} needs variables of the environment that are not set: {', '.join(missing)}",
            "set them where this command runs; in a container of deploy/: `with-secrets COMMAND` sets the secrets",
        )


def _server(home: Path) -> _Server | None:
    try:
        storage = InstanceRef.from_dir(str(home)).storage_data
    except DagsterInvalidConfigError as error:
        raise _unusable(home, "; ".join(each.message for each in error.errors)) from error
    if storage is None or storage.class_name != "DagsterPostgresStorage":
        return None
    from dagster_postgres.utils import pg_config, pg_url_from_config

    raw = yaml.safe_load(storage.config_yaml)
    if raw.get("auth_provider"):
        return None  # tokens of a cloud: only Dagster's own connections get them
    resolved = process_config(pg_config(), raw)
    if not resolved.success or resolved.value is None:
        raise _unusable(home, "; ".join(each.message for each in resolved.errors or ()))
    settings = ", ".join(sorted(_variables(raw))) or f"storage.postgres in {home / CONFIGURATION}"
    try:
        url = sa.make_url(pg_url_from_config(resolved.value))
    except (ArgumentError, ValueError):
        raise InstanceError(
            f"the address of Dagster's PostgreSQL ({settings}) cannot be read", f"write {_FORM}"
        ) from None  # the library's text repeats the address, password and all
    return _Server(url, settings)


def _read(home: Path) -> Any:  # noqa: ANN401 - whatever YAML holds
    try:
        return yaml.safe_load((home / CONFIGURATION).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise _unusable(home, str(error).splitlines()[0]) from error


def _variables(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Names of the variables of the environment that a configuration reads."""
    if isinstance(value, Mapping):
        if set(value) == {"env"} and isinstance(value["env"], str):
            yield value["env"]
        for below in value.values():
            yield from _variables(below)
    elif isinstance(value, list):
        for below in value:
            yield from _variables(below)


def _database_error(error: BaseException | None) -> SQLAlchemyError | None:
    """The database's error that an exception is, or was made from."""
    while error is not None and not isinstance(error, SQLAlchemyError):
        error = error.__cause__ or error.__context__
    return error


def _unusable(home: Path, reason: str) -> InstanceError:
    return InstanceError(
        f"{home / CONFIGURATION} cannot be used: {reason}",
        "correct it, or remove it: the next command writes the default one",
    )


def _unreachable(home: Path, server: _Server | None, error: Exception) -> InstanceError:
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    if server is None:
        return InstanceError(
            f"Dagster's storage ({home}) failed: {said}",
            "end other commands that use it, make room on the disk, then run the same command again",
        )
    if server.url.password:
        said = said.replace(str(server.url.password), "***")
    return InstanceError(
        f"Dagster's storage, {server.place}, cannot be used: {said}",
        f"start the server, or correct {server.settings}; then run the same command again: what was committed is kept",
    )
