"""How fast a service is asked: the limit that adapts, pauses, and the waits that services ask for."""

import asyncio
from datetime import UTC, datetime

import pytest

from mediatech_assets.embeddings.backends.pacing import AdaptiveLimit, Pacing, StoppedError
from mediatech_assets.retries import seconds_to_wait


def after(limit: AdaptiveLimit, *outcomes: str) -> list[int]:
    """The limit after each of some requests that came one after the other."""

    async def ask() -> list[int]:
        limits = []
        for outcome in outcomes:
            async with limit.slot() as failures_before:
                (limit.succeeded if outcome == "." else limit.failed)(failures_before)
            limits.append(limit.limit)
        return limits

    return asyncio.run(ask())


def test_a_failure_halves_and_a_run_of_successes_adds_one():
    assert after(AdaptiveLimit(8, Pacing()), *"x....x.x") == [4, 4, 4, 4, 5, 2, 2, 1]


def test_it_never_falls_below_one_nor_rises_above_what_is_allowed():
    assert after(AdaptiveLimit(3, Pacing()), *"xxx......") == [1, 1, 1, 2, 2, 3, 3, 3, 3]


def test_requests_that_fail_together_count_once_and_late_successes_not_at_all():
    async def together() -> list[int]:
        limit = AdaptiveLimit(8, Pacing())
        limits = []
        slots = [limit.slot() for _ in range(8)]
        before = [await slot.__aenter__() for slot in slots]
        for failures in before[:4]:
            limit.failed(failures)
            limits.append(limit.limit)
        for failures in before[4:]:
            limit.succeeded(failures)
            limits.append(limit.limit)
        for slot in slots:
            await slot.__aexit__(None, None, None)
        return limits

    assert asyncio.run(together()) == [4] * 8


def test_no_more_are_under_way_than_the_limit_and_none_during_a_pause():
    async def many() -> tuple[int, list[str]]:
        events: list[str] = []
        awake = asyncio.Event()
        limit = AdaptiveLimit(3, Pacing(sleep=lambda _: awake.wait()))
        under_way = most = 0

        async def request() -> None:
            nonlocal under_way, most
            async with limit.slot():
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0)
                under_way -= 1
                events.append("request")

        async def end_pause() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            events.append("awake")
            awake.set()

        pause = asyncio.create_task(limit.pause(60))
        await asyncio.sleep(0)
        await asyncio.gather(end_pause(), *(request() for _ in range(20)))
        await pause
        return most, events

    most, events = asyncio.run(many())
    assert most == 3
    assert events == ["awake", *["request"] * 20]


def test_nothing_is_sent_after_a_stop():
    async def stopped() -> None:
        limit = AdaptiveLimit(1, Pacing())
        async with limit.slot():
            waiting = asyncio.create_task(limit.slot().__aenter__())
            await asyncio.sleep(0)
            await limit.stop()
        with pytest.raises(StoppedError):
            await waiting

    asyncio.run(stopped())


def test_a_cancelled_request_gives_its_place_back():
    async def cancelled() -> int:
        limit = AdaptiveLimit(1, Pacing())

        async def hold() -> None:
            async with limit.slot():
                await asyncio.Event().wait()

        holder = asyncio.create_task(hold())
        waiting = asyncio.create_task(hold())
        await asyncio.sleep(0)
        for task in (waiting, holder):
            task.cancel()
        await asyncio.gather(holder, waiting, return_exceptions=True)
        async with asyncio.timeout(1), limit.slot() as failures:
            return failures

    assert asyncio.run(cancelled()) == 0


def test_waits_double_up_to_the_longest():
    pacing = Pacing(first_wait=1, longest_wait=6)
    for attempt, seconds in [(1, 1), (2, 2), (3, 4), (4, 6), (50, 6)]:
        assert 0.8 * seconds <= pacing.wait_after(attempt) <= 1.2 * seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("-1", None),
        ("nan", None),
        ("1e9", None),
        ("٣", None),
        ("9" * 40, None),
        ("demain", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
        ("Sun, 22 Nov 2026 13:00:30 +0100", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 99 Nov 2026 11:00:00 GMT", None),
    ],
)
def test_a_wait_is_read_in_seconds_or_as_a_date(header, seconds):
    assert seconds_to_wait(header, now=datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds
