"""What an embedding service says, read with distrust.

What belongs here: an answer's bytes as vectors, its refusals as errors for people, and its own words made safe
to show. What does not: sending anything, or trying again.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson

from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.errors import EmbeddingError
from mediatech_assets.retries import seconds_to_wait

#: Statuses that pass by themselves. 424: the provider behind the Albert API did not answer.
_PASSING = frozenset({408, 424, 425, 429, 500, 502, 503, 504, 529})
_TOO_MUCH = frozenset({413, 422})
_OK = 200

#: vLLM answers 400, not 422, to a text that is too long.
_TELLS_OF_LENGTH = re.compile(
    r"context length|too (?:long|large|many tokens)|max(?:imum)?[ _].{0,40}(?:tokens|length|len)|longer than",
    re.IGNORECASE,
)
_TELLS_OF_ENCODING = re.compile(r"encoding_format|base64", re.IGNORECASE)

#: What looks like a key, in case a service repeats another one than ours, or ours in part.
_KEY_LIKE = re.compile(r"\b(?:sk|hf|key)[-_][\w*.-]{4,}|\bBearer\s+\S+", re.IGNORECASE)
_LONGEST_WORDS = 200

#: Lengths of vectors that a model gives before they are normalised.
_SHORTEST, _LONGEST = 1e-3, 1e4


class PassingError(Exception):
    """A failure that passes by itself.

    Args:
        problem: What happened.
        wait: Seconds that the service asks to wait, if it does.
    """

    def __init__(self, problem: str, wait: float | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.wait = wait


class TooMuchError(Exception):
    """A batch or text that the service does not take.

    Args:
        words: The service's words, safe to show.
        status: The status of its answer.
    """

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class NoBase64Error(Exception):
    """The service does not know `encoding_format: base64`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from a service.

    Args:
        address: What was asked.
        status: The status.
        headers: The headers, by name without regard to case.
        body: The body, or its beginning.
    """

    address: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def raise_for(profile: Profile, answer: Answer, key: str, *, asked_base64: bool) -> None:
    """Raises what an answer other than 200 means.

    Args:
        profile: Whose service it is.
        answer: The answer.
        key: The service's key, which is shown to nobody.
        asked_base64: Whether the request asked for vectors in base64.

    Raises:
        PassingError: it may be asked again.
        TooMuchError: less may be asked.
        NoBase64Error: numbers may be asked.
        EmbeddingError: nothing helps but a person.
    """
    status = answer.status
    if status == _OK:
        return
    words = shown_words(answer.body, key)
    said = f"{answer.address} answered {status}" + (f" ({words})" if words else "")
    if status in _PASSING:
        raise PassingError(said, seconds_to_wait(answer.headers.get("retry-after", "")))
    if asked_base64 and status in {400, 422} and _TELLS_OF_ENCODING.search(words):
        raise NoBase64Error(said)
    if status in _TOO_MUCH or (status == 400 and _TELLS_OF_LENGTH.search(words)):
        raise TooMuchError(words, status)
    raise EmbeddingError(f"profile {profile.name}: {said}", _remedy(profile, status))


def _remedy(profile: Profile, status: int) -> str:
    if status in {401, 403}:
        return (
            "set MEDIATECH_EMBEDDING_KEY to a valid key of this service: missing, wrong or expired as it is"
        )
    if status in {400, 402}:
        return "check the budget that MEDIATECH_EMBEDDING_KEY stands for, then run again: what was embedded is kept"
    if status in {404, 405, 410}:
        return (
            f"check that MEDIATECH_EMBEDDING_URL ends before /embeddings and that {profile.model_id} is served "
            "there for MEDIATECH_EMBEDDING_KEY"
        )
    if 300 <= status < 400:
        return "redirects are not followed: set MEDIATECH_EMBEDDING_URL to the address it leads to"
    return "check MEDIATECH_EMBEDDING_URL and the service's own log"


def shown_words(body: bytes, key: str) -> str:
    """The service's own words in one short line, without keys and without the texts that it repeats."""
    try:
        message = _message(orjson.loads(body))
    except orjson.JSONDecodeError:
        message = body.decode("utf-8", errors="replace")
    if key:
        message = message.replace(key, "…")
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in message).split())
    line = _KEY_LIKE.sub("…", line)
    return line if len(line) <= _LONGEST_WORDS else f"{line[:_LONGEST_WORDS]}…"


def _message(answer: object) -> str:
    """The message inside the forms in which services wrap it (OpenAI, vLLM, TEI, FastAPI)."""
    for _ in range(4):
        if isinstance(answer, list) and answer:
            answer = answer[0]
        elif isinstance(answer, dict):
            location = answer.get("loc")
            parts = location if isinstance(location, list) else []
            place = "".join(f"{part} " for part in parts if isinstance(part, str))
            found = next(
                (answer[name] for name in ("error", "message", "detail", "msg") if answer.get(name)), ""
            )
            answer = f"{place}{found}" if isinstance(found, str) else found
    return answer if isinstance(answer, str) else ""


def read_json(body: bytes) -> object:
    """The JSON of an answer.

    Raises:
        PassingError: it is none: a connection or a proxy cut it.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        # Python's servers write NaN, which is no JSON: it costs its text a vector, not the batch.
        return json.loads(body)
    except (ValueError, RecursionError):
        raise PassingError(f"an answer of {len(body):,} bytes is no JSON") from None


def read_vectors(profile: Profile, answer: object, count: int) -> np.ndarray:
    """The vectors of an answer, in the order in which the texts were asked.

    Args:
        profile: What they have to be.
        answer: The answer's JSON.
        count: Texts that were asked.

    Returns:
        float32, shape `(count, dimensions)`; if the profile is normalised, of length 1 wherever that can be made.

    Raises:
        EmbeddingError: not exactly one vector for each text, or of another length.
    """
    items = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise _unusable(profile, "the answer has no list `data`")
    if len(items) != count:
        raise _unusable(profile, f"{len(items)} vectors for {count} texts")
    vectors = np.empty((count, profile.dimensions), dtype=np.float32)
    seen: set[int] = set()
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        if type(index) is not int or not 0 <= index < count:
            raise _unusable(profile, f"a vector for text {ascii(index)[:20]} of {count}")
        if index in seen:
            raise _unusable(profile, f"two vectors for text {index}")
        seen.add(index)
        vector = _read_vector(profile, item.get("embedding"))
        if vector.shape != (profile.dimensions,):
            raise _other_length(profile, vector.shape)
        vectors[index] = vector
    if profile.normalised:
        _normalise(vectors)
    return vectors


def _normalise(vectors: np.ndarray) -> None:
    """Not every service normalises; a vector of nearly no or of absurd length is left as it is, to be refused."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    sane = (lengths > _SHORTEST) & (lengths < _LONGEST)
    vectors[sane] /= lengths[sane, np.newaxis].astype(np.float32)


def _read_vector(profile: Profile, embedding: object) -> np.ndarray:
    try:
        if isinstance(embedding, str):
            return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
        if isinstance(embedding, list):
            # A missing number (TEI's NaN is a null) becomes NaN; one too large for float32 infinite.
            with np.errstate(over="ignore"):
                return np.array(embedding, dtype=np.float64).astype(np.float32)
    except (binascii.Error, ValueError, TypeError, OverflowError):
        pass
    raise _unusable(profile, "a vector that is neither numbers nor base64")


def _unusable(profile: Profile, problem: str) -> EmbeddingError:
    return EmbeddingError(
        f"profile {profile.name}: the service cannot be trusted: {problem}; none of them was stored",
        "check that MEDIATECH_EMBEDDING_URL is an OpenAI-compatible embedding service, and its log",
    )


def _other_length(profile: Profile, shape: tuple[int, ...]) -> EmbeddingError:
    found = f"{shape[0]:,} numbers" if len(shape) == 1 else f"shape {shape}"
    return EmbeddingError(
        f"profile {profile.name}: the service gives vectors of {found}, the profile has {profile.dimensions:,}; "
        "none of them was stored",
        f"check that the service serves {profile.model_id}, or set MEDIATECH_EMBEDDING_DIMENSIONS",
    )
