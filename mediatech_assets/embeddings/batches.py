"""What embedding gives back, a batch at a time.

What belongs here: the record that passes from the work of embedding to the vector store. What does not: either
of them.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class RefusedText(Generic[Key]):
    """A text that has no vector: the model cannot take it, or gave no valid vector for it.

    Args:
        key: The text's key.
        reason: Why, in words for people.
    """

    key: Key
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedBatch(Generic[Key]):
    """Some texts' vectors, which can be stored at once.

    Args:
        keys: Keys of the texts.
        vectors: float32, shape `(len(keys), dimensions)`, valid for the profile.
        refused: Texts of the batch that got none.
    """

    keys: list[Key]
    vectors: np.ndarray
    refused: tuple[RefusedText[Key], ...] = field(default=())
