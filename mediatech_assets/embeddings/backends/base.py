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

from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.tokens import TokenCounter
from mediatech_assets.errors import EmbeddingError

#: What a text is: models with prefixes tell questions from the passages that answer them.
Kind = Literal["passage", "query"]

#: How far the length of a normalised vector may be from 1.
_LENGTH_TOLERANCE = 1e-3

_EXCERPT_CHARACTERS = 60


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


class Backend:
    """A loaded model whose every answer keeps the profile's promise.

    Args:
        profile: What is promised.
        encoder: The model.
    """

    def __init__(self, profile: Profile, encoder: Encoder) -> None:
        self.profile = profile
        self._encoder = encoder
        self._tokens = TokenCounter(profile)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, without special tokens and prefix."""
        return self._tokens.exact(text)

    def embed(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """Vectors of `texts`.

        Args:
            texts: Texts without prefix, none blank, none above `profile.text_tokens`.
            kind: Whether they are passages or questions.

        Returns:
            float32, shape `(len(texts), dimensions)`, every row of length 1 if the profile is normalised.

        Raises:
            EmbeddingError: a text or a vector is refused; nothing of the batch may be stored.
        """
        if not texts:
            return np.empty((0, self.profile.dimensions), dtype=np.float32)
        for text in texts:
            self._refuse_unfit(text)
        vectors = self._encoder.encode(texts, kind)
        self._refuse_invalid(vectors, len(texts))
        return vectors

    def _refuse_unfit(self, text: str) -> None:
        if not text.strip():
            raise EmbeddingError(
                f"profile {self.profile.name}: an empty text has no meaning to embed",
                "make no chunk of an empty text",
            )
        try:
            text.encode()
        except UnicodeEncodeError:
            raise EmbeddingError(
                f"profile {self.profile.name}: not valid Unicode: {_excerpt(text)}",
                "quarantine the document that holds this text",
            ) from None
        limit = self.profile.text_tokens
        # The sum over words is quick and never too low; only a text near the limit is counted again.
        if self._tokens(text) > limit and (tokens := self._tokens.exact(text)) > limit:
            raise EmbeddingError(
                f"profile {self.profile.name}: a text of {tokens:,} tokens is above the model's "
                f"{limit}: {_excerpt(text)}",
                f"split it into chunks of at most {self.profile.chunk_tokens} tokens",
            )

    def _refuse_invalid(self, vectors: np.ndarray, count: int) -> None:
        problem = self._problem_of(vectors, count)
        if problem:
            raise EmbeddingError(
                f"profile {self.profile.name}: {problem}; none of these vectors was stored",
                "check the model's files and the installed package versions against the profile",
            )

    def _problem_of(self, vectors: np.ndarray, count: int) -> str | None:
        expected = (count, self.profile.dimensions)
        if vectors.shape != expected:
            return f"the model gave an array of shape {vectors.shape} instead of {expected}"
        if vectors.dtype != np.float32:
            return f"the model gave numbers of type {vectors.dtype} instead of float32"
        if not np.isfinite(vectors).all():
            return "the model gave a vector with a number that is not finite"
        if self.profile.normalised:
            worst = float(np.abs(np.linalg.norm(vectors, axis=1) - 1).max())
            if worst > _LENGTH_TOLERANCE:
                return f"the model gave a vector whose length differs from 1 by {worst:.4f}"
        return None


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
