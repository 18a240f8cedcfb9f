"""What headers and answers of a sink mean, without any sink."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from mediatech_assets.release.publication.http import _words, asked_pause


def headers(**values: str) -> httpx.Headers:
    return httpx.Headers({name.replace("_", "-"): value for name, value in values.items()})


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-1"}, None),
        ({"X_RateLimit_Reset": "12"}, 12.0),
        ({"Retry_After": "3", "X_RateLimit_Reset": "12"}, 3.0),
        ({"X_RateLimit_Reset": "1000000001"}, 0.0),
    ],
)
def test_asked_pause(given, seconds):
    assert asked_pause(headers(**given)) == seconds


def test_a_wait_may_be_a_moment():
    moment = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < (asked_pause(headers(Retry_After=format_datetime(moment, usegmt=True))) or 0) <= 60
    assert 50 < (asked_pause(headers(X_RateLimit_Reset=str(int(time.time()) + 60))) or 0) <= 60


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"detail": "Not authenticated"}, "Not authenticated"),
        (
            {"message": "Validation error", "errors": {"title": ["too long"]}},
            "Validation error; title: too long",
        ),
        ({"detail": [{"loc": ["body", "name"], "msg": "too long"}]}, "body.name: too long"),
        ({"message": "key abc-123 is unknown"}, "key … is unknown"),
        ({"message": "Bearer sk-somebodyelses"}, "…"),
        ({"message": "a\nb\x1b[0m"}, "a b [0m"),
        ({"message": "x" * 1_000}, "x" * 300 + "…"),
        (17, ""),
    ],
)
def test_a_sinks_own_words_are_short_and_without_keys(answer, words):
    assert _words(httpx.Response(400, json=answer), "abc-123") == words


def test_a_page_is_not_repeated():
    page = httpx.Response(502, html="<h1>Bad Gateway</h1>")
    assert _words(page, "abc-123") == ""
