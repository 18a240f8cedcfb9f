"""The client of one embedding service: it asks, waits, asks again, and asks for less.

What belongs here: requests over HTTP, what is tried again and how, and batches that are halved. What does not:
how an answer is read (`service_answers.py`), how fast is fast enough (`pacing.py`), or where texts come from.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import httpx
import numpy as np
import orjson

from mediatech_assets.embeddings.backends.base import PROBE, BackendOptions, Kind, invalid_vectors
from mediatech_assets.embeddings.backends.pacing import AdaptiveLimit, Pacing
from mediatech_assets.embeddings.backends.service_answers import (
    Answer,
    NoBase64Error,
    PassingError,
    TooMuchError,
    raise_for,
    read_json,
    read_vectors,
)
from mediatech_assets.embeddings.backends.service_limits import (
    ServiceLimits,
    limits_from_info,
    limits_from_models,
)
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.errors import ConfigurationError, EmbeddingError

_ALBERT_URL = "https://albert.api.etalab.gouv.fr/v1"

#: A number of a vector in JSON takes some 25 bytes with its indentation.
_BYTES_PER_NUMBER = 64
_BYTES_BESIDE_VECTORS = 1_000_000
_BYTES_OF_A_REFUSAL = 65_536

#: A wrong address should not take a minute to find out.
_ATTEMPTS_TO_BEGIN = 3

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What came of a batch of texts.

    Args:
        rows: Positions of the texts that got a vector.
        vectors: float32, shape `(len(rows), dimensions)`, valid for the profile.
        refused: Reasons, by position of the texts that got none.
    """

    rows: list[int]
    vectors: np.ndarray
    refused: dict[int, str] = field(default_factory=dict)


class ServiceClient:
    """Asks one service for vectors; all its methods but the constructor run in one event loop.

    Proxies of the environment (HTTPS_PROXY, NO_PROXY) are used: hosts behind the State's proxies reach nothing
    without them. Redirects are not followed: the key is for the host that was named.

    Args:
        profile: What is asked.
        options: The service, its key, and the bounds of requests.
        pacing: Patience with the service.

    Raises:
        ConfigurationError: the address or the key cannot be used.
    """

    def __init__(self, profile: Profile, options: BackendOptions, pacing: Pacing) -> None:
        self.limits = ServiceLimits(tokens=profile.shard_tokens)
        self._profile = profile
        self._base = _service_base(profile, options)
        self._key = _service_key(profile, options)
        self._timeout = options.service_timeout
        self._requests = AdaptiveLimit(options.service_requests, pacing)
        self._asks_base64 = True
        self._has_answered = False
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            follow_redirects=False,
            timeout=None,  # noqa: S113 - one for the whole request, in `_ask`
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=options.service_requests),
        )

    async def read_limits(self) -> None:
        """Reads what the service tells of its limits; one that tells nothing is taken as it is.

        Raises:
            EmbeddingError: the service cannot be reached, refuses the key, or does not take what the profile
                promises.
        """
        listing = await self._told(f"{self._base}/models")
        self.limits, told = limits_from_models(self._profile, listing, self.limits)
        if not told:
            info = await self._told(f"{self._base.removesuffix('/v1')}/info")
            self.limits = limits_from_info(self._profile, info, self.limits)

    async def embed(self, texts: Sequence[str], kind: Kind) -> Answered:
        """Vectors of a batch of texts that fit into one request.

        Args:
            texts: Texts without prefix, checked; at least one.
            kind: Whether they are passages or questions.

        Raises:
            EmbeddingError: the service cannot be used, with the reason.
            StoppedError: `stop` was called before.
        """
        try:
            vectors = await self._vectors(texts, kind)
        except TooMuchError as refusal:
            return await self._embed_less(texts, kind, refusal)
        refused = invalid_vectors(self._profile, vectors)
        if len(refused) == len(texts):
            await self._require_a_working_service(refused[0], kind)
        else:
            self._has_answered = True
        rows = [row for row in range(len(texts)) if row not in refused]
        return Answered(rows, vectors[rows] if refused else vectors, refused)

    async def stop(self) -> None:
        """Sends nothing more; what is under way may still be answered."""
        await self._requests.stop()

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._http.aclose()

    async def _embed_less(self, texts: Sequence[str], kind: Kind, refusal: TooMuchError) -> Answered:
        """A batch that was refused, in halves; in the end each text that the service does not take is alone."""
        if len(texts) == 1:
            await self._require_a_working_service(refusal.words, kind)
            words = f": {refusal.words}" if refusal.words else ""
            reason = f"the service refuses it with status {refusal.status}{words}"
            return Answered([], np.empty((0, self._profile.dimensions), dtype=np.float32), {0: reason})
        middle = len(texts) // 2
        first = await self.embed(texts[:middle], kind)
        second = await self.embed(texts[middle:], kind)
        if not first.refused and not second.refused:
            # No text was to blame, so their number was: later batches are smaller.
            self.limits = replace(self.limits, texts=min(self.limits.texts, middle))
        return Answered(
            first.rows + [middle + row for row in second.rows],
            np.concatenate([first.vectors, second.vectors]),
            first.refused | {middle + row: reason for row, reason in second.refused.items()},
        )

    async def _require_a_working_service(self, problem: str, kind: Kind) -> None:
        """Tells texts that get no vector from a service that has none for anything; asked once."""
        if self._has_answered:
            return
        try:
            invalid = invalid_vectors(self._profile, await self._vectors([PROBE], kind))
        except TooMuchError:
            invalid = {0: problem}
        if invalid:
            raise EmbeddingError(
                f"profile {self._profile.name}: {self._base} has no vector for any text: {problem or 'no reason'}",
                f"check that {self._profile.model_id} is an embedding model, and the service's log",
            )
        self._has_answered = True

    async def _vectors(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        async def ask() -> np.ndarray:
            if self._asks_base64:
                try:
                    return await self._vectors_as("base64", texts, kind)
                except NoBase64Error:
                    self._asks_base64 = False
            return await self._vectors_as("float", texts, kind)

        return await self._with_retries(ask, self._requests.pacing.attempts)

    async def _vectors_as(self, encoding: str, texts: Sequence[str], kind: Kind) -> np.ndarray:
        prefix = self._profile.query_prefix if kind == "query" else self._profile.passage_prefix
        body = orjson.dumps(
            {
                "model": self._profile.model_id,
                "input": [prefix + text for text in texts],
                "encoding_format": encoding,
                **self.limits.fields,
            }
        )
        most_bytes = _BYTES_BESIDE_VECTORS + len(texts) * self._profile.dimensions * _BYTES_PER_NUMBER
        answer = await self._ask("POST", f"{self._base}/embeddings", most_bytes, body)
        raise_for(self._profile, answer, self._key, asked_base64=encoding == "base64")
        if len(answer.body) > most_bytes:
            raise EmbeddingError(
                f"profile {self._profile.name}: {answer.address} answered more than {most_bytes:,} bytes",
                "check that MEDIATECH_EMBEDDING_URL is an embedding service with the profile's dimensions",
            )
        return read_vectors(self._profile, read_json(answer.body), len(texts))

    async def _told(self, address: str) -> object:
        """The JSON at an address that not every service has; nothing if this one tells none."""

        async def ask() -> object:
            answer = await self._ask("GET", address, _BYTES_BESIDE_VECTORS)
            try:
                raise_for(self._profile, answer, self._key, asked_base64=False)
            except TooMuchError:
                return None
            except EmbeddingError:
                # A gateway may forbid this address only; a key that is wrong is wrong for everything.
                if answer.status == httpx.codes.UNAUTHORIZED:
                    raise
                return None
            try:
                return read_json(answer.body)
            except PassingError:
                return None

        attempts = min(_ATTEMPTS_TO_BEGIN, self._requests.pacing.attempts)
        return await self._with_retries(ask, attempts)

    async def _with_retries(self, ask: Callable[[], Awaitable[Result]], attempts: int) -> Result:
        """What `ask` gives, tried again after failures that pass by themselves."""
        pacing = self._requests.pacing
        for attempt in range(1, attempts + 1):
            async with self._requests.slot() as failures_before:
                try:
                    result = await ask()
                except PassingError as failure:
                    self._requests.failed(failures_before)
                    last = failure
                else:
                    self._requests.succeeded(failures_before)
                    return result
            if last.wait is not None and last.wait > pacing.longest_wait:
                raise EmbeddingError(
                    f"profile {self._profile.name}: {last.problem}, and asks to wait {last.wait:,.0f} s",
                    "run again after that time: what was embedded is kept",
                )
            if attempt < attempts:
                await self._requests.pause(pacing.wait_after(attempt) if last.wait is None else last.wait)
        raise EmbeddingError(
            f"profile {self._profile.name}: {last.problem}, after {attempts} attempts",
            "check the network, MEDIATECH_EMBEDDING_URL and the service, then run again: what was embedded is kept",
        )

    async def _ask(self, method: str, address: str, most_bytes: int, body: bytes | None = None) -> Answer:
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._http.stream(method, address, content=body, headers=headers) as response,
            ):
                successful = response.status_code == httpx.codes.OK
                received = await _beginning(response, most_bytes if successful else _BYTES_OF_A_REFUSAL)
                return Answer(address, response.status_code, response.headers, received)
        except TimeoutError:
            raise PassingError(f"{address} gave no answer within {self._timeout:g} s") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise PassingError(f"{address} cannot be read: {type(error).__name__} {error}".strip()) from None


async def _beginning(response: httpx.Response, most_bytes: int) -> bytes:
    """An answer, or little more than its first `most_bytes`, however much is sent."""
    received = bytearray()
    async for block in response.aiter_bytes():
        received += block
        if len(received) > most_bytes:
            break
    return bytes(received)


def _service_base(profile: Profile, options: BackendOptions) -> str:
    base = options.service_url.strip() or (_ALBERT_URL if profile.name == "albert" else "")
    if not base:
        raise ConfigurationError(
            f"profile {profile.name} has no service",
            "set MEDIATECH_EMBEDDING_URL to its address, such as …/v1",
        )
    try:
        address = httpx.URL(base)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise ConfigurationError(
            "MEDIATECH_EMBEDDING_URL is no http or https address", "write it as https://host/v1"
        )
    if address.userinfo or address.query or address.fragment:
        raise ConfigurationError(
            f"MEDIATECH_EMBEDDING_URL (host {address.host}) holds more than an address",
            "leave out user, password and parameters, which messages would show, and put the key into "
            "MEDIATECH_EMBEDDING_KEY",
        )
    return base.rstrip("/")


def _service_key(profile: Profile, options: BackendOptions) -> str:
    key = options.service_key.strip()
    if not all("!" <= mark <= "~" for mark in key):
        # httpx would repeat it in its own message.
        raise ConfigurationError(
            "MEDIATECH_EMBEDDING_KEY holds a character that no key has (a space, a line break, a letter with accent)",
            "copy the key again",
        )
    if not key and not options.service_url and profile.name == "albert":
        raise ConfigurationError(
            "the Albert API answers nobody without a key",
            "ask for one at https://albert.sites.beta.gouv.fr and set MEDIATECH_EMBEDDING_KEY",
        )
    return key
