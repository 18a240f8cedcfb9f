"""What the doctor says of sinks and alerts (off, set up, or half set up; none is contacted) and of what is down."""

from contextlib import closing
from socket import socket

import pytest

from mediatech_assets.layers import Sink
from mediatech_assets.orchestration.doctor import _alerts, _engine, _sink, _tested
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.settings import load_settings

WHOLE = {
    "hub_namespace": "org",
    "data_gouv_key": "secret-of-data-gouv",
    "data_gouv_organization": "mediatech",
    "albert_key": "secret-of-albert",
}


@pytest.mark.parametrize("sink", Sink)
def test_a_sink_without_settings_is_off(home, sink):  # noqa: ARG001
    finding = _sink(Platform(load_settings()), sink)
    assert (finding.state, finding.found.split(":")[0]) == ("ok", "off")


@pytest.mark.parametrize("sink", Sink)
def test_a_sink_with_settings_is_set_up_and_tells_no_secret(home, sink):  # noqa: ARG001
    finding = _sink(Platform(load_settings(**WHOLE)), sink)
    assert (finding.state, finding.found.split(":")[0]) == ("ok", "set up")
    assert "secret" not in repr(finding)


@pytest.mark.parametrize(
    ("change", "sink", "named"),
    [
        ({"hub_namespace": ""}, Sink.DATA_GOUV, "MEDIATECH_HUB_NAMESPACE"),
        ({"data_gouv_url": "ftp://example.org"}, Sink.DATA_GOUV, "MEDIATECH_DATA_GOUV_URL"),
        ({"albert_url": "albert"}, Sink.ALBERT, "MEDIATECH_ALBERT_URL"),
    ],
)
def test_a_sink_that_is_half_set_up_names_the_variable(home, change, sink, named):  # noqa: ARG001
    finding = _sink(Platform(load_settings(**(WHOLE | change))), sink)
    assert finding.state == "failure"
    assert named in finding.found + finding.remedy


@pytest.mark.parametrize(
    ("value", "state", "said"),
    [
        ("", "ok", "off"),
        ("json://127.0.0.1:1/?token=secret-of-alerts", "ok", "1 address(es)"),
        ("nothing-known://secret-of-alerts@host", "failure", "address 1 of MEDIATECH_ALERTS"),
    ],
)
def test_addresses_of_alerts_are_looked_at_and_not_shown(home, value, state, said):  # noqa: ARG001
    finding = _tested("alerts", lambda: _alerts(load_settings(alerts=value)))
    assert finding.state == state
    assert said in finding.found
    assert "secret" not in repr(finding)


def test_a_qdrant_server_that_is_down_is_named_with_what_to_do(home):  # noqa: ARG001
    with closing(socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken and not listened on: nobody answers
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        platform = Platform(load_settings(index_engine="server", index_url=url))
        finding = _tested("vector engine", lambda: _engine(platform))
    assert finding.state == "failure"
    assert url.removeprefix("http://") in finding.found
    assert "MEDIATECH_INDEX_URL" in finding.remedy


def test_an_engine_without_its_address_names_the_variable(home):  # noqa: ARG001
    finding = _tested("vector engine", lambda: _engine(Platform(load_settings(index_engine="server"))))
    assert finding.state == "failure"
    assert "MEDIATECH_INDEX_URL" in finding.found + finding.remedy
