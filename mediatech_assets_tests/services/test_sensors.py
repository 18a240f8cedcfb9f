"""Sensors that poll the sample upstream over HTTP: what they report, and what an upstream in trouble does to them."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.definitions import build_defs
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration import polling, sensors
from mediatech_assets.orchestration.alerts import late_data
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.polling import PollState, age_verdict, poll_interval
from mediatech_assets.orchestration.sensors import upstream_sensor_name
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import load_settings

FUND, SNAPSHOT, CATALOGUE = "constit", "service_public", "data_gouv_datasets_catalog"


@dataclass
class Host:
    """The sample upstream as a web server, with faults on demand.

    Args:
        folder: What it serves; another day takes its place.
        faults: What happens to addresses with a text in them: a status, `hang` or `drip`.
        retry_after: Header of a failure.
        requests: `(method, path, status)` answered until now.
        etags: Whether it sends them, and answers 304.
        released: Ends answers that hang.
    """

    folder: Path
    faults: dict[str, int | str] = field(default_factory=dict)
    retry_after: str = ""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    etags: bool = False
    agents: set[str] = field(default_factory=set)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)


class _Answers(SimpleHTTPRequestHandler):
    def __init__(self, host: Host, *args) -> None:
        self.host = host
        super().__init__(*args, directory=str(host.folder))

    def do_GET(self) -> None:
        if not self._fails() and not self._not_modified():
            super().do_GET()

    def do_HEAD(self) -> None:
        if not self._fails():
            super().do_HEAD()

    def end_headers(self) -> None:
        if self.host.etags and (etag := self._etag()):
            self.send_header("ETag", etag)
        super().end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:  # noqa: ARG002
        self.host.requests.append((self.command, self.path, int(str(getattr(code, "value", code)))))
        self.host.agents.add(self.headers.get("User-Agent", ""))

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _etag(self) -> str:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        return f'"{sha256(path.read_bytes()).hexdigest()[:16]}"' if path.is_file() else ""

    def _not_modified(self) -> bool:
        if not self.host.etags or self.headers.get("If-None-Match") != self._etag():
            return False
        self.send_response(304)
        self.end_headers()
        return True

    def _fails(self) -> bool:
        fault = next((fault for part, fault in self.host.faults.items() if part in self.path), None)
        if fault is None:
            return False
        if isinstance(fault, int):
            self.send_response(fault)
            if self.host.retry_after:
                self.send_header("Retry-After", self.host.retry_after)
            self.send_header("Content-Length", "0")
            super().end_headers()
        elif fault == "hang":
            self.host.released.wait(30)
        else:
            self.send_response(200)
            super().end_headers()
            while not self.host.released.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()
        return True


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("sample")
    return {day: build_sample_upstream(folder / f"day{day}", day) for day in (0, 2)}


@pytest.fixture
def host(days: dict[int, Path]) -> Iterator[Host]:
    served = Host(days[0])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answers, served))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    served.released.set()
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


@dataclass
class Ticks:
    """Evaluates sensors as the daemon does, which reports what they saw."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    cursors: dict[str, str | None] = field(default_factory=dict)

    def tick(self, dataset: str) -> str:
        """One tick; gives what the UI shows of it."""
        sensor = self.definitions.resolve_sensor_def(upstream_sensor_name(dataset))
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(dataset),
            resources=dict(self.definitions.resources or {}),
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursors[dataset] = data.cursor
        assert not data.run_requests  # what starts is automation's business
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        return data.skip_message or ""

    def state(self, dataset: str) -> PollState:
        return PollState.from_cursor(self.cursors[dataset])

    def rewind(self, dataset: str, by: timedelta) -> None:
        """As if everything that the sensor remembers had happened earlier."""
        state = json.loads(self.cursors[dataset] or "{}")
        for name in ("since", "not_before"):
            state[name] = max(state[name] - by.total_seconds(), 0)
        self.cursors[dataset] = json.dumps(state)

    def versions(self, dataset: str) -> list[str]:
        """Data versions reported, newest first."""
        key = dg.AssetKey(asset_key(dataset, Layer.UPSTREAM))
        records = self.instance.fetch_materializations(key, limit=10).records
        found = [record.asset_materialization for record in records]
        return [event.tags["dagster/data_version"] for event in found if event and event.tags]

    def check(self, dataset: str, layer: Layer, name: str) -> dg.AssetCheckEvaluation | None:
        key = dg.AssetCheckKey(dg.AssetKey(asset_key(dataset, layer)), name)
        records = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
        return records[key].evaluation if key in records else None


@pytest.fixture
def ticks(home: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticks]:
    monkeypatch.setenv("MEDIATECH_UPSTREAM_BASE", host.url)
    monkeypatch.setattr(sensors, "_PAGES", {})
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticks(build_defs(), instance)
    assert not (home / "lake").exists()  # a poll only looks


@pytest.mark.parametrize("dataset", all_datasets())
def test_each_poll_is_reported_with_the_version_that_raw_reports(ticks, host, dataset, tmp_path):
    assert "a new version" in ticks.tick(dataset)
    assert "unchanged" in ticks.tick(dataset)
    seen = ticks.versions(dataset)
    assert len(seen) == 2
    assert len(set(seen)) == 1
    platform = Platform(load_settings(home=str(tmp_path / "other")))
    assert platform.materialise(dataset, Layer.RAW).facts["upstream version"] == seen[0]
    platform.close()
    assert all("mediatech-assets" in agent for agent in host.agents)


@pytest.mark.parametrize("dataset", [FUND, SNAPSHOT, CATALOGUE])
def test_a_poll_is_cheap_and_sees_a_new_day(ticks, host, days, dataset):
    ticks.tick(dataset)
    files = 2 if dataset == SNAPSHOT else 1
    assert [method for method, _, _ in host.requests] == (["HEAD"] * 2 if files == 2 else ["GET"])
    host.folder = days[2]
    assert "a new version" in ticks.tick(dataset)
    assert len(set(ticks.versions(dataset))) == 2
    assert len(host.requests) == 2 * files


def test_an_unchanged_listing_is_not_sent_again_where_the_host_allows_it(ticks, host, days):
    host.etags = True
    ticks.tick(FUND)
    assert "unchanged" in ticks.tick(FUND)
    assert [status for _, _, status in host.requests] == [200, 304]
    host.folder = days[2]
    assert "a new version" in ticks.tick(FUND)
    assert [status for _, _, status in host.requests] == [200, 304, 200]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (503, "503"),
        (404, "404"),
        (410, "410"),
        (429, "429"),
        ("hang", "Timeout"),
        ("drip", "did not answer within"),
    ],
)
def test_an_upstream_in_trouble_is_a_skipped_tick_and_hides_no_other(ticks, host, monkeypatch, fault, told):
    ticks.tick(FUND)
    host.faults = {"CONSTIT": fault}
    with monkeypatch.context() as hurried:
        hurried.setattr(polling, "POLL_SECONDS", 2.0)
        hurried.setattr(polling, "_REQUEST_SECONDS", 0.5)
        assert told in ticks.tick(FUND)
    assert "a new version" in ticks.tick("cnil")  # the same host
    assert "a new version" in ticks.tick(SNAPSHOT)
    assert len(ticks.versions(FUND)) == 1
    state = ticks.state(FUND)
    assert state.failures == 1
    assert state.version == ticks.versions(FUND)[0]


def test_a_host_in_trouble_is_left_alone_for_a_time_that_doubles(ticks, host):
    host.faults = {"CONSTIT": 503}
    interval = poll_interval(dataset_named(FUND))
    pauses = []
    for _ in range(3):
        ticks.tick(FUND)
        asked = len(host.requests)
        assert "failed in a row" in ticks.tick(FUND)
        assert len(host.requests) == asked
        pauses.append(ticks.state(FUND).not_before - time.time())
        ticks.rewind(FUND, timedelta(hours=13))
    assert pauses == pytest.approx([interval.total_seconds() * factor for factor in (1, 2, 4)], abs=20)
    assert len(host.requests) == 3  # one attempt a poll
    host.faults = {}
    assert "a new version" in ticks.tick(FUND)
    assert ticks.state(FUND).failures == 0


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_host_that_says_when_to_come_again_is_obeyed(ticks, host, form):
    moment = datetime.now(UTC) + timedelta(hours=5)
    host.retry_after = "18000" if form == "seconds" else format_datetime(moment, usegmt=True)
    host.faults = {"CONSTIT": 503}
    ticks.tick(FUND)
    assert ticks.state(FUND).not_before - time.time() == pytest.approx(18_000, abs=20)


def test_an_upstream_that_publishes_nothing_is_told(ticks):
    ticks.tick(FUND)  # the sample was published in January 2026
    age = ticks.check(FUND, Layer.UPSTREAM, "recent")
    assert age is not None
    assert not age.passed
    assert age.severity is dg.AssetCheckSeverity.WARN
    assert "published 2026-01-05" in str(age.description)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("automation", ["true", "false"])
def test_sensors_and_schedules_run_only_where_that_is_asked_for(monkeypatch, automation):
    monkeypatch.setenv("MEDIATECH_AUTOMATION", automation)
    definitions = build_defs()
    states = {
        sensor.default_status.value
        for sensor in definitions.sensors or ()
        if not sensor.name.startswith("alert")
    } | {schedule.default_status.value for schedule in definitions.schedules or ()}
    assert states == {"RUNNING" if automation == "true" else "STOPPED"}
    assert {
        sensor.default_status.value for sensor in definitions.sensors or () if sensor.name.startswith("alert")
    } == {"STOPPED"}


@pytest.mark.parametrize(
    ("newest", "since", "passed", "told"),
    [
        ("20260301-211433", 0, True, "published 2026-03-01 21:14 UTC, 0 days ago"),
        ("20260101-211433", 0, False, "published 2026-01-01 21:14 UTC, 59 days ago"),
        ("2026-02-28T04:00:00+01:00", 0, True, "published 2026-02-28 03:00 UTC"),
        ("2026-02-10", 0, True, "published 2026-02-10 00:00 UTC, 20 days ago"),
        ('W/"8e6f"', 1_772_000_000, True, "first seen 2026-02-25"),
        ('W/"8e6f"', 1_760_000_000, False, "first seen 2025-10-09"),
        ('W/"8e6f"', 0, True, "gives no time"),
    ],
)
def test_the_age_of_an_upstream_is_that_of_its_newest_file(newest, since, passed, told):
    now = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
    verdict, why = age_verdict(dataset_named(FUND), newest, since, now)
    assert verdict is passed
    assert told in why


def test_a_version_that_is_not_taken_in_is_a_lag_after_a_while(ticks, host, days):
    instance, documents = ticks.instance, Layer.DOCUMENTS
    ticks.tick(FUND)
    raw = dg.AssetKey(asset_key(FUND, Layer.RAW))
    taken = dg.AssetMaterialization(raw, metadata={"upstream version": ticks.versions(FUND)[0]})
    instance.report_runless_asset_event(taken)
    host.folder = days[2]
    ticks.tick(FUND)
    assert ticks.check(FUND, documents, "up_to_date") is None
    ticks.rewind(FUND, timedelta(hours=4))
    ticks.tick(FUND)
    lag = ticks.check(FUND, documents, "up_to_date")
    assert lag is not None
    assert not lag.passed
    assert "what was published is not taken in" in late_data(instance, dataset_named(FUND), time.time())


def test_a_silent_sensor_is_late_data(ticks):
    dataset = dataset_named("legi")
    assert late_data(ticks.instance, dataset, time.time()) == {}
    ticks.tick("legi")
    assert "its upstream is not polled" not in late_data(ticks.instance, dataset, time.time())
    assert "its upstream is not polled" in late_data(ticks.instance, dataset, time.time() + 25 * 3600)
