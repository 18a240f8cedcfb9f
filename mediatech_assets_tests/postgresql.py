"""A PostgreSQL server for tests: Debian's programs, in a folder of its own, on a free port.

What belongs here: starting it, stopping it, and its client programs. What does not: what is kept in it.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediatech_assets_tests.conftest import IN_CI

_USER = "dagster"
_LIMIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server with the user and database of `compose.yaml`.

    Args:
        port: Its port on the loopback.
        password: The user's password.
        programs: Folder of the server's own programs.
        folder: Where its files are; those of the databases are below `data`.
    """

    port: int
    password: str
    programs: Path
    folder: Path

    def run(self, program: str, *arguments: str | Path, database: str = "dagster") -> str:
        """Runs a client program as the user; what it printed."""
        done = subprocess.run(
            [self.programs / program, *self._where, "--dbname", database, *arguments],
            env={"PGPASSWORD": self.password, "PATH": os.defpath},
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def value(self, query: str, database: str = "dagster") -> str:
        """The one value that a query gives."""
        return self.run("psql", "--tuples-only", "--no-align", "--command", query, database=database)

    def create(self, database: str) -> None:
        """Makes an empty database."""
        self.run("psql", "--command", f"CREATE DATABASE {database}")

    def variables(self, database: str = "dagster") -> dict[str, str]:
        """The environment that `dagster.production.yaml` reads."""
        return {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self.port),
            "DAGSTER_PG_DB": database,
            "DAGSTER_PG_USERNAME": _USER,
            "DAGSTER_PG_PASSWORD": self.password,
        }

    def start(self) -> None:
        """Starts the server, and waits until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} "
            "-c fsync=off -c lc_messages=C"
        )
        self._as_server(
            "pg_ctl", "start", "-w", "-D", self._data, "-l", str(self.folder / "log"), "-o", options
        )

    def stop(self) -> None:
        """Ends the server and every connection at once; what was committed stays."""
        self._as_server("pg_ctl", "stop", "-w", "-m", "fast", "-D", self._data)

    def _initialise(self) -> None:
        password = self.folder / "password"
        password.write_text(self.password, encoding="utf-8")
        if account := _account():
            shutil.chown(self.folder, account)
            shutil.chown(password, account)
        login = ("--username", _USER, "--pwfile", str(password), "--auth", "scram-sha-256")
        self._as_server("initdb", "--pgdata", self._data, *login, "--no-sync", "--locale", "C.UTF-8")

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def _where(self) -> tuple[str, ...]:
        return ("--host", "127.0.0.1", "--port", str(self.port), "--username", _USER)

    def _as_server(self, program: str, *arguments: str) -> None:
        errors = self.folder / "errors"
        with errors.open("wb") as stream:
            done = subprocess.run(
                [self.programs / program, *arguments],
                # Files: what the server inherits would keep a pipe open.
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                user=_account(),
                cwd=self.folder,
                env={"PGPASSWORD": self.password, "LC_ALL": "C.UTF-8", "PATH": os.defpath},
                timeout=_LIMIT_SECONDS,
                check=False,
            )
        assert done.returncode == 0, errors.read_text(encoding="utf-8")


@contextmanager
def running_postgresql() -> Iterator[Postgres]:
    """A server of its own with an empty database `dagster`, gone afterwards with all it held."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        reason = "Debian's package postgresql is not installed: `make postgresql` does it as root"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="mediatech-postgresql-") as name:
        server = Postgres(free_port(), secrets.token_hex(16), programs, Path(name))
        server._initialise()
        server.start()
        try:
            server.run("psql", "--command", "CREATE DATABASE dagster", database="postgres")
            yield server
        finally:
            server.stop()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _account() -> str | None:
    """The server refuses to run as root, which tests in containers often do; pytest's folders are root's alone."""
    return "postgres" if os.getuid() == 0 else None
