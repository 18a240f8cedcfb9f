"""What every backend does: refuse texts that the model would not see whole, and vectors that are not valid.

What belongs here: the interface of a model runner and the checks on both sides of it. What does not: any
model.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from mediatech_assets.embeddings.batches import EmbeddedBatch, Key, RefusedText
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.tokens import TokenCounter
from mediatech_assets.errors import EmbeddingError

#: What a text is: models with prefixes tell questions from the passages that answer them.
Kind = Literal["passage", "query"]

#: How far the length of a normalised vector may be from 1.
_LENGTH_TOLERANCE = 1e-3

_EXCERPT_CHARACTERS = 60

#: A text that every model embeds: when it gets no vector either, the text before it is not to blame.
PROBE = "Bonjour."


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """Where a model runs; nothing here changes what a vector means.

    Args:
        device: Device of a torch model (`cpu`, `cuda`, `cuda:1`, `mps`); empty: the best there is.
        model_folder: Folder with the model's files, read instead of the hub; empty: the hub and its cache.
        service_url: Base URL of an embedding service (`…/v1`); empty: the backend's own default, if it has one.
        service_key: Key of the service; empty: none is sent. It never appears in a message or representation.
        service_requests: Most requests to the service at the same time.
        service_timeout: Seconds without an answer before a retry.
    """

    device: str = ""
    model_folder: str = ""
    service_url: str = ""
    service_key: str = field(default="", repr=False)
    service_requests: int = 8
    service_timeout: float = 60.0


class Encoder(Protocol):
    """A model as its library runs it."""

    def encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """Vectors of `texts`, shape `(len(texts), dimensions)`."""
        ...


class TextCheck:
    """Tells which texts a model sees whole.

    Args:
        profile: The model's profile.
    """

    def __init__(self, profile: Profile) -> None:
        self._limit = profile.text_tokens
        self._tokens = TokenCounter(profile)

    def tokens(self, text: str) -> int:
        """Tokens of `text`, without special tokens and prefix; never fewer than the tokenizer finds."""
        return self._tokens(text)

    def reason_against(self, text: str) -> str | None:
        """Why `text` cannot be embedded; nothing when it can. The text's own words are not repeated in it."""
        return self.examine(text)[1]

    def examine(self, text: str) -> tuple[int, str | None]:
        """The tokens of `text` and the reason against it, counted once."""
        if not text.strip():
            return 0, "an empty text has no meaning to embed"
        try:
            text.encode()
        except UnicodeEncodeError:
            return 0, "not valid Unicode"
        tokens = self._tokens(text)
        # The sum over words is quick and never too low; only a text near the limit is counted again.
        if tokens > self._limit and (tokens := self._tokens.exact(text)) > self._limit:
            return tokens, f"a text of {tokens:,} tokens is above the model's {self._limit:,}"
        return tokens, None


class Backend:
    """A loaded model whose every answer keeps the profile's promise.

    Args:
        profile: What is promised.
        encoder: The model.
    """

    def __init__(self, profile: Profile, encoder: Encoder) -> None:
        self.profile = profile
        self._encoder = encoder
        self._check = TextCheck(profile)

    def embed(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """Vectors of texts that all have to get one.

        Args:
            texts: Texts without prefix, none blank, none above `profile.text_tokens`.
            kind: Whether they are passages or questions.

        Returns:
            float32, shape `(len(texts), dimensions)`, every row of length 1 if the profile is normalised.

        Raises:
            EmbeddingError: a text or a vector is refused, or the model is another than the profile names.
        """
        batch = self._embed(list(range(len(texts))), texts, kind)
        for refused in batch.refused:
            raise EmbeddingError(
                f"profile {self.profile.name}: {refused.reason}: {_excerpt(texts[refused.key])}",
                f"leave the text out, or split it into chunks of at most {self.profile.chunk_tokens} tokens",
            )
        return batch.vectors

    def embed_passages(self, keys: Sequence[Key], texts: Sequence[str]) -> EmbeddedBatch[Key]:
        """Vectors of the passages that can have one; the others are refused, each with its reason.

        Args:
            keys: Keys of the texts.
            texts: Passages without prefix.

        Raises:
            EmbeddingError: the model is another than the profile names, or gives no valid vector for anything.
        """
        return self._embed(keys, texts, "passage")

    def _embed(self, keys: Sequence[Key], texts: Sequence[str], kind: Kind) -> EmbeddedBatch[Key]:
        reasons = {
            position: reason
            for position, text in enumerate(texts)
            if (reason := self._check.reason_against(text)) is not None
        }
        fit = [position for position in range(len(texts)) if position not in reasons]
        vectors = self._encode([texts[position] for position in fit], kind)
        invalid = invalid_vectors(self.profile, vectors)
        if invalid and len(invalid) == len(fit):
            self._require_a_working_model(kind)
        reasons |= {fit[row]: reason for row, reason in invalid.items()}
        valid = [row for row in range(len(fit)) if row not in invalid]
        return EmbeddedBatch(
            keys=[keys[fit[row]] for row in valid],
            vectors=vectors[valid] if invalid else vectors,
            refused=tuple(RefusedText(keys[position], reasons[position]) for position in sorted(reasons)),
        )

    def _encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """Raises for what is wrong with the whole answer: then the model is, not one of the texts."""
        expected = (len(texts), self.profile.dimensions)
        if not texts:
            return np.empty(expected, dtype=np.float32)
        vectors = self._encoder.encode(texts, kind)
        if vectors.shape != expected:
            raise self._other_model(f"the model gave an array of shape {vectors.shape} instead of {expected}")
        if vectors.dtype != np.float32:
            raise self._other_model(f"the model gave numbers of type {vectors.dtype} instead of float32")
        return vectors

    def _require_a_working_model(self, kind: Kind) -> None:
        """Tells texts without a valid vector from a model that has none for anything."""
        problem = invalid_vectors(self.profile, self._encode([PROBE], kind)).get(0)
        if problem:
            raise self._other_model(problem)

    def _other_model(self, problem: str) -> EmbeddingError:
        return EmbeddingError(
            f"profile {self.profile.name}: {problem}; none of these vectors was stored",
            "check the model's files and the installed package versions against the profile",
        )


def invalid_vectors(profile: Profile, vectors: np.ndarray) -> dict[int, str]:
    """What is wrong with single vectors, by row.

    Args:
        profile: What they have to be.
        vectors: float32, shape `(texts, profile.dimensions)`.
    """
    finite = np.isfinite(vectors).all(axis=1)
    reasons = {
        int(row): "the model gave a vector with a number that is not finite"
        for row in np.flatnonzero(~finite)
    }
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    if profile.normalised:
        for row in np.flatnonzero(finite & (np.abs(lengths - 1) > _LENGTH_TOLERANCE)):
            reasons[int(row)] = (
                f"the model gave a vector whose length differs from 1 by {abs(lengths[row] - 1):.4f}"
            )
    else:
        for row in np.flatnonzero(finite & (lengths == 0)):
            reasons[int(row)] = "the model gave a vector of zeros"
    return reasons


def verify_weights(profile: Profile, path: Path) -> None:
    """Compares a weight file with the digest in the profile's revision.

    Raises:
        EmbeddingError: the file is missing or is another one.
    """
    try:
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        found = str(error)
    if found != profile.revision:
        raise EmbeddingError(
            f"{path} does not hold the weights of profile {profile.name}: {found}, not {profile.revision}",
            "install the package version of requirements/, or add a profile for the new weights",
        )


def _excerpt(text: str) -> str:
    return ascii(text[:_EXCERPT_CHARACTERS]) if not text.isprintable() else repr(text[:_EXCERPT_CHARACTERS])
