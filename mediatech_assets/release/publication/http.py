"""A thin client of a sink's HTTP interface, and what its refusals mean to people.

What belongs here: one request with its time-out, retries that harm nothing, the pauses that a service asks for,
and answers read with distrust. What does not: which requests a sink needs (`data_gouv.py`, `albert.py`).

A request that may have been carried out without our knowing is never sent twice unless sending it twice changes
nothing: a POST that got no answer raises `NoAnswerError`, and the sink looks what became of it.
"""

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import stamina

from mediatech_assets.errors import ConfigurationError, PublicationError
from mediatech_assets.layers import Sink
from mediatech_assets.release.stored import StoredRelease
from mediatech_assets.retries import log_retries, seconds_to_wait, written_seconds

_LOG = logging.getLogger(__name__)

_TOO_MANY = 429
#: Statuses that pass by themselves. 424: the provider of a model behind the Albert API did not answer.
_PASSING = frozenset({408, 424, 425, 500, 502, 503, 504})
_LONGEST_WORDS = 300
#: A number of seconds above this is no wait but a time since 1970.
_A_CLOCK = 1_000_000_000.0

#: What looks like a key, in case a service repeats another one than ours.
_KEY_LIKE = re.compile(r"\b(?:sk|hf|key)[-_][\w*.-]{4,}|\bBearer\s+\S+", re.IGNORECASE)


Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Pacing:
    """Patience with a sink.

    Args:
        attempts: Attempts for each request.
        first_wait: Seconds before the second attempt; each later wait is twice as long.
        longest_wait: Most seconds between two attempts; a sink that asks for more ends the run instead.
        timeout: Seconds without an answer before an attempt is given up.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 120.0
    timeout: float = 120.0


class RefusedError(Exception):
    """An answer that no repetition will change.

    Args:
        status: Its status.
        said: What was asked and what was answered, safe to show.
        wait: Seconds that the sink asks to wait, when that is too long to sit out.
    """

    def __init__(self, status: int, said: str, wait: float | None = None) -> None:
        super().__init__(status, said)
        self.status = status
        self.said = said
        self.wait = wait


class NoAnswerError(Exception):
    """A request of which nobody knows whether it was carried out.

    Args:
        said: What happened, safe to show.
        answered: Whether the sink answered at all, if only that it is in trouble.
    """

    def __init__(self, said: str, *, answered: bool) -> None:
        super().__init__(said)
        self.said = said
        self.answered = answered


class SinkClient:
    """Asks one sink; may be used by several threads.

    Proxies of the environment are used, redirects are not followed: the key is for the host that was named.

    Args:
        base: Address that every path is below.
        headers: Headers of every request, the key included.
        key: The key, which is shown to nobody.
        pacing: Patience with the sink.
    """

    def __init__(self, base: str, headers: Mapping[str, str], key: str, pacing: Pacing) -> None:
        log_retries()
        self._base = base.rstrip("/")
        self._key = key
        self._pacing = pacing
        self._http = httpx.Client(
            headers=dict(headers), timeout=pacing.timeout, follow_redirects=False, verify=_trusted()
        )
        self._guard = threading.Lock()
        self._not_before = 0.0
        #: Requests sent until now, repetitions included.
        self.requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **content: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The JSON that a request is answered with; nothing when the answer is empty.

        Args:
            method: The method. A POST is repeated only when it surely was not carried out.
            path: Path below the base, without a slash at its beginning.
            content: What httpx takes: `params`, `json`, `data`, `files` (as bytes, not as open files).

        Raises:
            RefusedError: the sink does not do it.
            NoAnswerError: it is not known whether the sink did it.
        """
        address = f"{self._base}/{path}"
        try:
            for attempt in stamina.retry_context(
                on=self._when_to_repeat(method != "POST"),
                attempts=self._pacing.attempts,
                timeout=None,
                wait_initial=self._pacing.first_wait,
                wait_jitter=self._pacing.first_wait,
                wait_max=self._pacing.longest_wait,
            ):
                with attempt:
                    return self._answer(method, address, content)
        except httpx.HTTPStatusError as error:
            raise self._refusal(error.response) from None
        except httpx.UnsupportedProtocol:
            raise ConfigurationError(f"{address} is no http or https address", "correct it") from None
        except httpx.TransportError as error:
            what = f"{type(error).__name__} {error}".strip()
            raise NoAnswerError(f"{method} {address} got no answer ({what})", answered=False) from None
        raise AssertionError("a retry context ends by returning or raising")

    def _answer(self, method: str, address: str, content: Mapping[str, Any]) -> object:
        self._wait_for_our_turn()
        with self._guard:
            self.requests += 1
        response = self._http.request(method, address, **content)
        self._note_pause(response.headers)
        response.raise_for_status()
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise RefusedError(
                response.status_code,
                f"{method} {address} answered {response.status_code} with something else than JSON",
            ) from None

    def _when_to_repeat(self, harmless: bool) -> Callable[[Exception], bool | float]:
        """Whether a failure passes by itself and may be asked again, after how many seconds when that is told.

        Args:
            harmless: Whether doing the same twice changes nothing.
        """

        def judge(error: Exception) -> bool | float:
            if isinstance(error, httpx.HTTPStatusError):
                status = error.response.status_code
                if not (status == _TOO_MANY or (harmless and status in _PASSING)):
                    return False
                wait = asked_pause(error.response.headers)
                if wait is None:
                    return True
                return wait if wait <= self._pacing.longest_wait else False
            if isinstance(error, httpx.UnsupportedProtocol):
                return False
            never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            return never_sent or (harmless and isinstance(error, httpx.TransportError))

        return judge

    def _refusal(self, response: httpx.Response) -> RefusedError | NoAnswerError:
        status = response.status_code
        words = _words(response, self._key)
        said = f"{response.request.method} {response.url.copy_with(query=None)} answered {status}"
        said += f" ({words})" if words else ""
        wait = asked_pause(response.headers)
        too_long = wait is not None and wait > self._pacing.longest_wait
        if status in _PASSING and not too_long:
            return NoAnswerError(said, answered=True)
        return RefusedError(status, said, wait if too_long else None)

    def _wait_for_our_turn(self) -> None:
        wait = self._not_before - time.monotonic()
        if wait > 0:
            _LOG.info("%s asks for a pause: %.1f s", self._base, wait)
            time.sleep(wait)

    def _note_pause(self, headers: httpx.Headers) -> None:
        """A sink that says that no request is left gets none until it says so."""
        if headers.get("x-ratelimit-remaining", "").strip() != "0":
            return
        wait = _until(headers.get("x-ratelimit-reset", ""))
        if wait is not None:
            self._not_before = time.monotonic() + min(wait, self._pacing.longest_wait)


class SinkService:
    """One account's view of a sink; a subclass names the calls that publication needs.

    Args:
        client: Asks the sink; closed together with this.
    """

    def __init__(self, client: SinkClient) -> None:
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.__exit__(None, None, None)

    @property
    def requests(self) -> int:
        """Requests sent until now."""
        return self._client.requests


def create_once(find: Callable[[], Made | None], create: Callable[[], Made], pacing: Pacing) -> Made:
    """Makes one thing at a sink, however often the answer gets lost on its way.

    Args:
        find: Finds the thing, if an earlier attempt made it.
        create: Makes it.
        pacing: Patience with the sink.

    Raises:
        RefusedError: the sink does not make it.
        NoAnswerError: no attempt was answered.
    """
    for attempt in repeated_without_answer(pacing):
        with attempt:
            found = find() if attempt.num > 1 else None
            return create() if found is None else found
    raise AssertionError("a retry context ends by returning or raising")


def repeated_without_answer(pacing: Pacing) -> Iterator[stamina.Attempt]:
    """Attempts that go on while `NoAnswerError` is raised inside."""
    return iter(
        stamina.retry_context(
            on=NoAnswerError,
            attempts=pacing.attempts,
            timeout=None,
            wait_initial=pacing.first_wait,
            wait_jitter=pacing.first_wait,
            wait_max=pacing.longest_wait,
        )
    )


def asked_pause(headers: httpx.Headers) -> float | None:
    """Seconds that a refusal asks to wait, by Retry-After, else by X-RateLimit-Reset; nothing if by neither."""
    wanted = seconds_to_wait(headers.get("retry-after", ""))
    return _until(headers.get("x-ratelimit-reset", "")) if wanted is None else wanted


def _until(reset: str) -> float | None:
    """Seconds until a limit is lifted: services write a number of seconds, or a time since 1970."""
    seconds = written_seconds(reset)
    if seconds is None or seconds <= _A_CLOCK:
        return seconds
    return max(0.0, seconds - time.time())


def _words(response: httpx.Response, key: str) -> str:
    """The sink's own words in one short line, without keys."""
    try:
        message = _message(response.json())
    except ValueError:
        message = "" if "html" in response.headers.get("content-type", "") else response.text
    if key:
        message = message.replace(key, "…")
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in message).split())
    line = _KEY_LIKE.sub("…", line)
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}…"


def _message(answer: object) -> str:
    """The message inside the forms in which services wrap it (udata, FastAPI): texts in order, with their names."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return "; ".join(filter(None, map(_message, answer)))
    if isinstance(answer, dict):
        place = ".".join(map(str, answer["loc"])) if isinstance(answer.get("loc"), list) else ""
        told = [_message(answer[name]) for name in ("message", "detail", "error", "msg") if answer.get(name)]
        fields = answer.get("errors")
        if isinstance(fields, dict):
            told += [f"{name}: {_message(problem)}" for name, problem in fields.items()]
        return ": ".join(filter(None, (place, "; ".join(filter(None, told)))))
    return ""


def is_gone(url: str, pacing: Pacing) -> bool:
    """Whether a host says that nothing is at a public address; trouble on the way is no such word.

    Asked without any key: the address may be another host's.
    """
    try:
        response = httpx.head(url, timeout=pacing.timeout, follow_redirects=False, verify=_trusted())
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.GONE}


@cache
def _trusted() -> ssl.SSLContext:
    """Whom TLS trusts, read once: it takes longer than a request, and each link that is looked at is a client."""
    return httpx.create_ssl_context()


def require_address(address: str, setting: str) -> str:
    """`address` without a slash at its end, if it is one that a key may be sent to.

    Raises:
        ConfigurationError: it is no http or https address, or holds more than one.
    """
    try:
        parts = httpx.URL(address.strip())
    except httpx.InvalidURL:
        parts = httpx.URL()
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise ConfigurationError(f"{setting} is no http or https address", "write it as https://host/path")
    if parts.userinfo or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{setting} (host {parts.host}) holds more than an address",
            "leave out user, password and parameters, which messages would show",
        )
    return address.strip().rstrip("/")


def require_key(key: str, setting: str, where: str) -> str:
    """`key` without blanks around it, if it can be one.

    Raises:
        ConfigurationError: it is empty or holds a character that no header takes.
    """
    stripped = key.strip()
    if not stripped:
        raise ConfigurationError(f"{setting} is not set", f"set it to a key of {where}")
    if not all("!" <= mark <= "~" for mark in stripped):
        # httpx would repeat it in its own message.
        raise ConfigurationError(
            f"{setting} holds a character that no key has (a space, a line break, a letter with accent)",
            "copy the key again",
        )
    return stripped


@contextmanager
def told_to_people(
    sink: Sink, release: StoredRelease, remedies: Mapping[int, str], address_setting: str
) -> Iterator[None]:
    """Turns what a sink refuses in the block into an error that names sink, release and remedy.

    Args:
        sink: The sink.
        release: What is published.
        remedies: What to do, by status.
        address_setting: Setting that holds the sink's address.

    Raises:
        PublicationError: the sink refused something or did not answer.
    """
    named = f"{sink.value}: release {release.id} of {release.dataset}"
    again = f"then `mediatech publish {release.dataset} {release.id} --sink {sink.value}` goes on where it stopped"
    try:
        yield
    except RefusedError as refusal:
        if refusal.wait is not None:
            remedy = f"it asks to wait {refusal.wait:,.0f} s: wait that long"
        else:
            remedy = remedies.get(refusal.status, f"check {address_setting} and the sink's own state")
        raise PublicationError(
            f"{named} is not (wholly) published: {refusal.said}", f"{remedy}; {again}"
        ) from None
    except NoAnswerError as silence:
        raise PublicationError(
            f"{named} is not (wholly) published: {silence.said}",
            f"check the network, {address_setting} and the sink's own state; {again}",
        ) from None
