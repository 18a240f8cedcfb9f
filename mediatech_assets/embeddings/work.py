"""The work of embedding: texts into shards, shards into vectors, questions into vectors.

What belongs here: the pure functions that run in worker processes and the sharing out between them. What
does not: which texts need a vector, and where vectors are stored.
"""

import re
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import TypeVar

import numpy as np

from mediatech_assets.embeddings.backends import Backend, BackendOptions, load_backend
from mediatech_assets.embeddings.batches import EmbeddedBatch
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.tokens import TokenCounter
from mediatech_assets.errors import EmbeddingError
from mediatech_assets.workers import map_shards

Key = TypeVar("Key", bound=Hashable)

#: Texts that are sorted and shared out together: enough for shards of like lengths, and a few MB.
_WINDOW_TEXTS = 4_096

#: French in these tokenizers: exact counts are not needed to share out work.
_CHARACTERS_PER_TOKEN = 4

#: The last shards of a window may be this many times smaller, so that no worker ends long after the others.
_SMALLEST_SHARD = 8

_WORD = re.compile(r"[^ \t\n\r]+")


def embed_texts(
    profile: Profile,
    texts: Iterable[tuple[Key, str]],
    workers: int,
    options: BackendOptions | None = None,
) -> Generator[EmbeddedBatch[Key], None, None]:
    """Embeds any number of passages in bounded memory.

    Args:
        profile: Which model.
        texts: Passages without prefix, each with a key of the caller's (a hash, a position).
        workers: Processes. A large torch model or one on a GPU stays in this process; a service is asked from
            this process.
        options: Where the model runs.

    Yields:
        Batches. Every key comes once, with a vector or refused, not in the order of `texts`.

    Raises:
        EmbeddingError: the model cannot be loaded or is another than the profile names, or the service cannot
            be used.
        ConfigurationError: the address or the key of a service cannot be used.
        WorkerDiedError: a worker process was killed.
    """
    options = options or BackendOptions()
    if profile.backend == "openai_api":
        from mediatech_assets.embeddings.backends.openai_api import embed_through_service

        yield from embed_through_service(profile, texts, options)
        return
    if profile.backend == "sentence_transformers":
        from mediatech_assets.embeddings.backends.sentence_transformers import processes_for

        workers = processes_for(profile, options, workers)
    work = partial(_embed_keyed, profile, options)
    shards = _shards(texts, profile.shard_tokens, max(1, workers))
    yield from map_shards(work, shards, workers, step=f"embedding with profile {profile.name}")


def query_embedder(profile: Profile, options: BackendOptions | None = None) -> Callable[[str], np.ndarray]:
    """A function that gives the vector of a question, shape `(dimensions,)`; it loads the model at first use.

    A question above the model's limit is cut after the last word that fits.
    """

    def embed_query(question: str) -> np.ndarray:
        if not question.strip():
            raise EmbeddingError("the question is empty", "ask something")
        backend = _backend_of_process(profile, options or BackendOptions())
        return backend.embed([_first_words(question, profile.text_tokens, _counter(profile))], "query")[0]

    return embed_query


@lru_cache(maxsize=2)
def _backend_of_process(profile: Profile, options: BackendOptions) -> Backend:
    return load_backend(profile, options)


@lru_cache(maxsize=2)
def _counter(profile: Profile) -> TokenCounter:
    return TokenCounter(profile)


def _embed_keyed(
    profile: Profile, options: BackendOptions, shard: tuple[list[Key], list[str]]
) -> EmbeddedBatch[Key]:
    return _backend_of_process(profile, options).embed_passages(*shard)


def _shards(
    texts: Iterable[tuple[Key, str]], shard_tokens: int, workers: int
) -> Iterator[tuple[list[Key], list[str]]]:
    """Shards of texts of like lengths, longest texts first, the last shards of each window smaller.

    What fits into one shard stays one: starting processes would take longer than embedding it here.
    """
    texts = iter(texts)
    largest = shard_tokens * _CHARACTERS_PER_TOKEN
    while window := sorted(islice(texts, _WINDOW_TEXTS), key=lambda keyed: len(keyed[1]), reverse=True):
        remaining = sum(len(text) for _, text in window)
        smallest = largest if remaining <= largest else largest // _SMALLEST_SHARD
        position = 0
        while position < len(window):
            room = min(largest, max(smallest, remaining // (2 * workers)))
            stop, size = position, 0
            while stop < len(window) and (stop == position or size + len(window[stop][1]) <= room):
                size += len(window[stop][1])
                stop += 1
            yield [key for key, _ in window[position:stop]], [text for _, text in window[position:stop]]
            remaining -= size
            position = stop


def _first_words(text: str, limit: int, count_tokens: Callable[[str], int]) -> str:
    """The longest beginning of `text`, in whole words, of at most `limit` tokens."""
    end = tokens = 0
    for word in _WORD.finditer(text):
        tokens += count_tokens(word.group())
        if tokens > limit:
            break
        end = word.end()
    else:
        return text
    if end:
        return text[:end]
    beginning = text.lstrip()[:limit]
    while count_tokens(beginning) > limit:
        beginning = beginning[: len(beginning) // 2]
    return beginning
