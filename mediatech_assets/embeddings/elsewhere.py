"""Embedding that other processes do: texts written as files, and vectors read back.

What belongs here: the Parquet form of a shard of texts and of its vectors, and the three steps on it (plan, work,
take). What does not: which texts need a vector and where vectors are stored (`store.py`), and who starts the workers.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from mediatech_assets.embeddings.backends import BackendOptions
from mediatech_assets.embeddings.batches import EmbeddedBatch, RefusedText
from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.embeddings.validity import VECTOR_TYPE, matrix, vector_column
from mediatech_assets.embeddings.work import embed_texts
from mediatech_assets.shards import ShardError, ShardFolder, cut_by_size, shard_name

_RESULT = pa.schema([("text_key", pa.string()), ("vector", VECTOR_TYPE), ("reason", pa.string())])

#: Key in the metadata of a shard's schema: the profile that it is meant for.
_PROFILE = b"profile"


def plan_embedding(
    profile: Profile, texts: Iterable[tuple[str, str]], folder: ShardFolder, shard_bytes: int
) -> list[str]:
    """Writes texts as shards.

    Args:
        profile: Which model.
        texts: Keys and passages without prefix.
        folder: Where the shards go.
        shard_bytes: Bytes of text in one shard.

    Returns:
        Names of the shards.
    """
    names = []
    for shard in cut_by_size(texts, _bytes_of, shard_bytes):
        name = shard_name(profile.fingerprint, *(key for key, _ in shard))
        keys, passages = zip(*shard, strict=True)
        rows = pa.table({"text_key": pa.array(keys, pa.string()), "text": pa.array(passages, pa.string())})
        folder.put(name, rows.replace_schema_metadata({_PROFILE: profile.fingerprint.encode()}))
        names.append(name)
    return names


def embed_elsewhere(
    profile: Profile, options: BackendOptions, folder: ShardFolder, name: str, workers: int = 1
) -> None:
    """The work of one shard: texts in, vectors and refusals out. Does nothing when the result is there.

    Args:
        profile: Which model.
        options: Where the model runs.
        folder: Where the shard is.
        name: Its name.
        workers: Processes; 1 where the caller is one of many workers.

    Raises:
        ShardError: the shard is not there, or is meant for another profile.
        EmbeddingError: the model cannot be loaded, or the service cannot be used.
    """
    if folder.is_finished(name):
        return
    texts = folder.rows(name)
    asked = (texts.schema.metadata or {}).get(_PROFILE, b"").decode()
    if asked != profile.fingerprint:
        raise ShardError(
            f"shard {name} is to be embedded with profile {asked}, and this worker has {profile.fingerprint} "
            f"({profile.name})",
            "set the same MEDIATECH_PROFILE and MEDIATECH_EMBEDDING_* on every worker, then run again",
        )
    keyed = zip(texts["text_key"].to_pylist(), texts["text"].to_pylist(), strict=True)
    batches = [_result(batch) for batch in embed_texts(profile, keyed, workers, options)]
    folder.finish(name, pa.concat_tables(batches) if batches else _RESULT.empty_table())


def embedded_elsewhere(profile: Profile, folder: ShardFolder) -> Iterator[EmbeddedBatch[str]]:
    """What workers embedded, a shard at a time."""
    for result in folder.results():
        vectors = result.filter(result["reason"].is_null())
        refused = result.filter(result["reason"].is_valid())
        column = vectors["vector"].combine_chunks()
        yield EmbeddedBatch(
            vectors["text_key"].to_pylist(),
            matrix(column, profile.dimensions),
            tuple(map(RefusedText, refused["text_key"].to_pylist(), refused["reason"].to_pylist())),
        )


def _result(batch: EmbeddedBatch[str]) -> pa.Table:
    keys = [*batch.keys, *(refusal.key for refusal in batch.refused)]
    vectors = pa.concat_arrays([vector_column(batch.vectors), pa.nulls(len(batch.refused), VECTOR_TYPE)])
    reasons = [*(None for _ in batch.keys), *(refusal.reason for refusal in batch.refused)]
    return pa.table([pa.array(keys, pa.string()), vectors, pa.array(reasons, pa.string())], schema=_RESULT)


def _bytes_of(text: tuple[str, str]) -> int:
    return len(text[1].encode("utf-8", "surrogatepass"))
