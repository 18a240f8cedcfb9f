"""Fixtures of every tier, and the guard that keeps the tiers apart.

What belongs here: the fresh home of a test, the offline mirror and its server, and the rules of the tiers.
What does not: fixtures of one module (they stand in its test file) and test data (`fixtures/`).

The mirror is made by the programs in `../shared/mirror`. Where they are missing its tests are skipped; with
`CI=true` they fail instead, so that a green CI has always run on real input.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn
from urllib.parse import urlencode

import httpx
import hypothesis
import pytest
from filelock import FileLock

from mediatech_assets.sample_upstream import SAMPLE_DAYS, build_sample_upstream

TESTS = Path(__file__).resolve().parent
MIRROR_PROGRAMS = TESTS.parents[1] / "shared" / "mirror"
MIRROR_OPTIONS = ("--scale", "small", "--seed", "1", "--increments", "3")
#: What the mirror can do otherwise: another code and other draws, an increment before the stock that is older
#: than it, flags behind the lines of suppression lists.
OTHER_MIRROR_OPTIONS = (
    *("--scale", "small", "--seed", "7", "--increments", "3", "--codes", "css"),
    *("--stale-increment", "older", "--flagged-suppressions"),
)

FAST_TIERS = frozenset({"unit", "graph"})
#: A test that asks for one of these is slow, and marked `mirror`.
MIRROR_FIXTURES = frozenset({"mirror_small", "mirror_server", "mirror_other"})

IN_CI = os.environ.get("CI", "").lower() == "true"

# CI tries the same examples each time, so that it judges the change and not its luck; other runs explore.
hypothesis.settings.register_profile("ci", derandomize=True)
if IN_CI:
    hypothesis.settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use the mirror, and refuses them in the fast tiers."""
    for item in items:
        asked = MIRROR_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        if not asked:
            continue
        item.add_marker(pytest.mark.mirror)
        tier = item.path.relative_to(TESTS).parts[0]
        if tier in FAST_TIERS:
            raise pytest.UsageError(
                f"{item.nodeid} asks for {', '.join(sorted(asked))}, which is slow: move it to pipeline/"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI, turns the skip of a test on real input into a failure, whatever the reason of the skip."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("mirror"):
        report.outcome = "failed"
        report.longrepr = f"a test on real input may not be skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def no_settings_of_the_caller() -> Iterator[None]:
    """Removes the caller's settings for homes that outlive one test; others ask for `home`."""
    with pytest.MonkeyPatch.context() as environment:
        forget_settings(environment)
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty MEDIATECH_HOME; no other setting of the caller's environment is left."""
    forget_settings(monkeypatch)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("MEDIATECH_HOME", str(folder))
    return folder


def forget_settings(environment: pytest.MonkeyPatch) -> None:
    """Removes the caller's settings until the environment is undone."""
    for name in list(os.environ):
        if name.startswith("MEDIATECH_") or name == "DAGSTER_HOME":
            environment.delenv(name)


@pytest.fixture(scope="session")
def mirror_small() -> Path:
    """The mirror at its small scale with three increments: built once, then reused. Never write inside it."""
    return _mirror(MIRROR_OPTIONS)


@pytest.fixture(scope="session")
def mirror_other() -> Path:
    """A mirror of the same scale with the other options: built once, then reused. Never write inside it."""
    return _mirror(OTHER_MIRROR_OPTIONS)


@pytest.fixture(scope="session")
def sample_days(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Path]:
    """The sample upstream on each of its days. Never write inside it."""
    folder = tmp_path_factory.mktemp("sample")
    return {day: build_sample_upstream(folder / f"day{day}", day) for day in SAMPLE_DAYS}


def _mirror(options: Sequence[str]) -> Path:
    builder = MIRROR_PROGRAMS / "build_mirror.py"
    if not builder.is_file():
        _no_mirror(f"the mirror's builder is missing: {builder}")
    if shutil.which("npm") is None:
        _no_mirror("npm is missing on the PATH: the mirror is made of packages that it fetches")
    cache = Path(tempfile.gettempdir()) / f"mediatech-tests-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    mirror = cache / f"mirror-{_mirror_key(options)}"
    with FileLock(f"{mirror}.lock"):
        if not mirror.is_dir():
            _build_mirror(builder, mirror, options, npm_cache=cache / "npm")
    return mirror


def _build_mirror(builder: Path, mirror: Path, options: Sequence[str], npm_cache: Path) -> None:
    unfinished = mirror.with_name(f"{mirror.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [sys.executable, "-B", builder, "--out", unfinished, "--cache", npm_cache, *options]
    built = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    if built.returncode != 0:
        _no_mirror(f"{builder} failed:\n{built.stdout}{built.stderr}")
    unfinished.rename(mirror)


def _mirror_key(options: Sequence[str]) -> str:
    """Identifies what a mirror's bytes depend on: its options, the programs and their samples."""
    digest = hashlib.sha256(" ".join(options).encode())
    for path in sorted(MIRROR_PROGRAMS.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(MIRROR_PROGRAMS)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _no_mirror(reason: str) -> NoReturn:
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass(frozen=True, slots=True)
class MirrorServer:
    """A running server of the mirror.

    Args:
        url: Its base, for MEDIATECH_UPSTREAM_BASE: `<url>/<host>/<path>`.
    """

    url: str

    def set_day(self, day: int) -> None:
        """Shows the stock, the first `day` increments and the newest snapshots not after that day."""
        self._control("day", [("k", str(day))])

    def set_faults(self, faults: Sequence[str]) -> None:
        """Misbehaves as told (`503:*.tar.gz:2`, `drop:`, `truncate:`…, see serve.py); `[]` ends it."""
        self._control("fault", [("f", fault) for fault in faults])

    def _control(self, what: str, query: list[tuple[str, str]]) -> None:
        httpx.get(f"{self.url}/_control/{what}?{urlencode(query)}", trust_env=False).raise_for_status()


@pytest.fixture
def mirror_server(mirror_small: Path) -> Iterator[MirrorServer]:
    """The small mirror served on a free port, at day 0 and without faults."""
    with serving(mirror_small) as server:
        yield server


@pytest.fixture(scope="module")
def mirror(mirror_small: Path) -> Iterator[MirrorServer]:
    """The small mirror on a free port for all tests of a module; each sets the day that it needs."""
    with serving(mirror_small) as server:
        yield server


@contextmanager
def serving(mirror: Path) -> Iterator[MirrorServer]:
    """Serves a mirror on a free port while the block runs, at day 0 and without faults."""
    server = _serve_module().make_server(mirror, day=0)
    thread = threading.Thread(target=server.serve_forever, name="mirror", daemon=True)
    thread.start()
    host, port = server.server_address[:2]
    yield MirrorServer(url=f"http://{host}:{port}")
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


def _serve_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mirror_serve", MIRROR_PROGRAMS / "serve.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
