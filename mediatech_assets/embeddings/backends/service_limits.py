"""What a service takes at once, read where it tells.

What belongs here: the limits of a request, the two places where services publish theirs, and the comparison with
the profile before any text is paid. What does not: forming batches, or asking for vectors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.errors import EmbeddingError

#: What text-embeddings-inference takes unless told otherwise; gateways such as the Albert API have it behind them.
_TEXTS = 32

#: Half of what text-embeddings-inference takes.
_BYTES = 1_000_000

_SHOWN_MODELS = 10

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Bounds of one request.

    Args:
        tokens: Most tokens of a request, unless it is a single text.
        texts: Most texts of a request.
        bytes: Most bytes of the texts of a request, as JSON.
        fields: What this kind of server wants to be told besides the texts.
    """

    tokens: int
    texts: int = _TEXTS
    bytes: int = _BYTES
    fields: Mapping[str, object] = field(default_factory=dict)


def limits_from_models(
    profile: Profile, listing: object, limits: ServiceLimits
) -> tuple[ServiceLimits, bool]:
    """Limits of `GET {base}/models` (Albert API, vLLM).

    Args:
        profile: What will be asked.
        listing: The JSON of the answer, whatever it is; nothing when the service has no listing.
        limits: What is assumed of a service that tells nothing.

    Returns:
        The limits, and whether the service told the length that the model takes.

    Raises:
        EmbeddingError: the model is not in the listing, or takes less than the profile says.
    """
    data = listing.get("data") if isinstance(listing, dict) else None
    models = [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []
    if not models:
        return limits, False
    found = next((model for model in models if model.get("id") == profile.model_id), None)
    if found is None:
        raise _missing(profile, models)
    told = _positive(found.get("max_context_length")) or _positive(found.get("max_model_len"))
    _require_length(profile, told)
    if found.get("owned_by") == "vllm":
        # Its base64 has the byte order of its machine unless asked.
        limits = replace(limits, fields={"endianness": "little"})
    return limits, told is not None


def limits_from_info(profile: Profile, info: object, limits: ServiceLimits) -> ServiceLimits:
    """Limits of `GET /info` (text-embeddings-inference).

    It cuts longer texts silently unless it was started with `--auto-truncate false`, and its OpenAI route
    reads no `truncate` (version 1.9): what is compared here, and our own count of every text, is what protects
    from that. It also cuts at `max_batch_tokens`. `truncate` is sent for the versions that will read it.

    Raises:
        EmbeddingError: the model takes less than the profile says, or is of another revision.
    """
    if not isinstance(info, dict) or "max_client_batch_size" not in info:
        return limits
    batch_tokens = _positive(info.get("max_batch_tokens"))
    for told in (_positive(info.get("max_input_length")), batch_tokens):
        _require_length(profile, told)
    revision = info.get("model_sha")
    both = isinstance(revision, str) and _COMMIT.fullmatch(revision) and _COMMIT.fullmatch(profile.revision)
    if both and revision != profile.revision:
        raise EmbeddingError(
            f"profile {profile.name}: the service has revision {revision} of its model, the profile "
            f"{profile.revision}: their vectors may not be mixed",
            "start the service with the profile's revision, or set MEDIATECH_EMBEDDING_REVISION to the service's",
        )
    return ServiceLimits(
        tokens=min(limits.tokens, batch_tokens or limits.tokens),
        texts=_positive(info.get("max_client_batch_size")) or limits.texts,
        bytes=limits.bytes,
        fields={**limits.fields, "truncate": False},
    )


def _missing(profile: Profile, models: list[dict[str, object]]) -> EmbeddingError:
    for model in models:
        aliases = model.get("aliases")
        if isinstance(aliases, list) and profile.model_id in aliases:
            return EmbeddingError(
                f"profile {profile.name}: {profile.model_id!r} is an alias of {_shown(model)}, and aliases change "
                "without notice",
                "set MEDIATECH_EMBEDDING_MODEL to the model's own id",
            )
    names = ", ".join(_shown(model) for model in models[:_SHOWN_MODELS])
    more = f" and {len(models) - _SHOWN_MODELS} more" if len(models) > _SHOWN_MODELS else ""
    return EmbeddingError(
        f"profile {profile.name}: the service has no model {profile.model_id!r}; it has {names}{more}",
        "set MEDIATECH_EMBEDDING_MODEL, or MEDIATECH_EMBEDDING_URL to a service that has it",
    )


def _shown(model: Mapping[str, object]) -> str:
    return ascii(str(model.get("id"))[:80])


def _require_length(profile: Profile, told: int | None) -> None:
    if told is not None and told < profile.max_tokens:
        raise EmbeddingError(
            f"profile {profile.name}: the service takes {told:,} tokens of a text, the profile promises "
            f"{profile.max_tokens:,}: longer texts would be refused or cut",
            f"set MEDIATECH_EMBEDDING_MAX_TOKENS to at most {told} (profile openai_api), or start the service "
            f"with a limit of {profile.max_tokens} tokens",
        )


def _positive(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None
