"""Alerts through Apprise to a real HTTP target: what is told, to whom, and that addresses stay secret."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest

from mediatech_assets.definitions import build_defs
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration.alerts import AlertError, notify
from mediatech_assets.orchestration.polling import poll_event
from mediatech_assets.settings import load_settings

SECRET = "tres-secret"


@dataclass
class Target:
    """A service that takes alerts.

    Args:
        status: What it answers.
        alerts: What it got.
    """

    status: int = 200
    alerts: list[dict[str, str]] = field(default_factory=list)
    address: str = ""


class _Takes(BaseHTTPRequestHandler):
    def __init__(self, target: Target, *args) -> None:
        self.target = target
        super().__init__(*args)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.target.alerts.append(json.loads(body))
        self.send_response(self.target.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    taken = Target()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Takes, taken))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    taken.address = f"json://user:{SECRET}@127.0.0.1:{server.server_address[1]}/"
    monkeypatch.setenv("MEDIATECH_ALERTS", taken.address)
    yield taken
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


@pytest.mark.usefixtures("home")
def test_nothing_is_told_and_nothing_needed_without_an_address():
    notify(load_settings(), "title", "body")


@pytest.mark.usefixtures("home")
def test_alert_sensors_run_where_an_address_is_configured(monkeypatch):
    monkeypatch.setenv("MEDIATECH_AUTOMATION", "true")
    monkeypatch.setenv("MEDIATECH_ALERTS", "json://127.0.0.1:1/")
    for name in ("alert_on_failure", "alert_on_late_data"):
        sensor = build_defs().resolve_sensor_def(name)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


@pytest.mark.usefixtures("home")
def test_an_alert_arrives(target):
    notify(load_settings(), "données en retard", "legi")
    (alert,) = target.alerts
    assert alert["title"] == "données en retard"
    assert alert["message"] == "legi"


@pytest.mark.usefixtures("home")
def test_an_address_that_refuses_is_named_by_its_place_and_not_shown(target, caplog, capfd):
    target.status = 500
    with pytest.raises(AlertError) as refused:
        notify(load_settings(), "title", "body")
    assert "address 1" in str(refused.value)
    _shows_no_secret(str(refused.value), caplog.text, *capfd.readouterr())


@pytest.mark.usefixtures("home")
def test_an_address_that_is_none_is_named_by_its_place_and_not_shown(monkeypatch, caplog, capfd):
    monkeypatch.setenv("MEDIATECH_ALERTS", f"nothing-known://{SECRET}@host")
    with pytest.raises(ConfigurationError) as unknown:
        notify(load_settings(), "title", "body")
    assert "address 1" in str(unknown.value)
    _shows_no_secret(str(unknown.value), caplog.text, *capfd.readouterr())


def _shows_no_secret(*texts: str) -> None:
    assert not [text for text in texts if SECRET in text]


@pytest.mark.usefixtures("home")
def test_a_failed_run_is_told_with_its_reason(target, monkeypatch, tmp_path):
    monkeypatch.setenv("MEDIATECH_UPSTREAM_BASE", str(tmp_path / "gone"))
    definitions = build_defs()
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("update_legi").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset_key("legi", Layer.RAW))],
            raise_on_error=False,
        )
        assert not result.success
        context = dg.build_run_status_sensor_context(
            sensor_name="alert_on_failure",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources=dict(definitions.resources or {}),
        ).for_run_failure()
        with context as scoped:
            definitions.resolve_sensor_def("alert_on_failure")(scoped)
    (alert,) = target.alerts
    assert alert["title"] == "mediatech: a run of legi failed"
    assert "does not exist" in alert["message"]
    assert result.run_id in alert["message"]


@pytest.mark.usefixtures("home")
def test_late_data_is_told_once_and_so_is_its_end(target):
    definitions = build_defs()
    sensor = definitions.resolve_sensor_def("alert_on_late_data")
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = None

        def tick() -> list[dict[str, str]]:
            nonlocal cursor
            target.alerts.clear()
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, resources=dict(definitions.resources or {})
            ) as context:
                cursor = sensor.evaluate_tick(context).cursor
            return list(target.alerts)

        assert tick() == []
        instance.report_runless_asset_event(poll_event("legi", "1", "20200101-000000"))
        instance.report_runless_asset_event(_age("legi", passed=False))
        target.status = 500
        tick()
        target.status = 200
        (alert,) = tick()  # what could not be sent is sent later
        assert "legi: its upstream publishes nothing" in alert["message"]
        assert tick() == []
        instance.report_runless_asset_event(_age("legi", passed=True))
        (alert,) = tick()
        assert "over: legi: its upstream publishes nothing" in alert["message"]
        assert tick() == []


def _age(dataset: str, *, passed: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset_key(dataset, Layer.UPSTREAM)),
        check_name="recent",
        passed=passed,
        description="published long ago",
    )
