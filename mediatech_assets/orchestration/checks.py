"""What the tables of a layer are held to, judged by the run that made the layer.

What belongs here: the rules of documents, chunks and embeddings, and the SQL that judges them: narrow columns only, so
that a run with nothing new stays cheap. What does not: the rules of a release, which stand in its manifest
(`release/checks.py`), and those that a layer's own report answers (`assets.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.embeddings.validity import find_faults
from mediatech_assets.lake import number, quoted
from mediatech_assets.lake.connection import sql_type
from mediatech_assets.layers import Layer
from mediatech_assets.release.checks import Check, Rule
from mediatech_assets.schemas import CHUNKS, REFUSED_BY_MODEL, documents_schema

if TYPE_CHECKING:
    from mediatech_assets.embeddings.store import Filled
    from mediatech_assets.orchestration.platform import Platform

#: From this share of refused inputs on, it is not the inputs that are bad: the upstream's format is another one, or the
#: parser is wrong. A handful of refusals says nothing, whatever their share.
MOST_REFUSED, FEWEST_REFUSED = 0.2, 50

#: How far a count may be from what it used to be before a person should look, and how many rows are worth it.
MOST_DRIFT, LEAST_DRIFT = 0.2, 50

#: Rules by layer and name of the check. What blocks keeps the layers after it from being made.
RULES: Mapping[Layer, Mapping[str, Rule]] = {
    Layer.DOCUMENTS: {
        "schema": Rule("The table has the columns and types that the schema registry says.", True),
        "ids_unique": Rule("No two documents have the same doc_id.", True),
        "few_refused": Rule(
            f"Less than {MOST_REFUSED:.0%} of the inputs are in quarantine, or fewer than {FEWEST_REFUSED}.",
            True,
        ),
    },
    Layer.CHUNKS: {
        "schema": Rule("The table has the columns and types that the schema registry says.", True),
        "ids_unique": Rule("No two chunks have the same chunk_id.", True),
        "counts_reconcile": Rule(
            "Every document is split as it is now, has the chunks that it gave, and no chunk is an orphan.",
            True,
        ),
        "within_the_models_limit": Rule("The model will see every chunk whole.", True),
    },
    Layer.EMBEDDINGS: {
        "counts_reconcile": Rule("Every text has a vector, or is in quarantine.", False),
        "vectors_sound": Rule(
            "New vectors, read back, have the model's length, finite numbers, and norm 1 where it says so.",
            True,
        ),
    },
}


def documents_checks(platform: "Platform", dataset: Dataset) -> list[Check]:
    """Judges the documents of a dataset."""
    table = f"{quoted(dataset.name)}.documents"
    with platform.lake.cursor() as cursor:
        rows, ids = cursor.execute(f"SELECT count(*), count(DISTINCT doc_id) FROM {table}").fetchone() or (
            0,
            0,
        )
        refused = number(
            cursor,
            f"SELECT count(*) FROM {quoted(dataset.name)}.quarantine WHERE source_file <> ?",
            [REFUSED_BY_MODEL],
        )
    rate = refused / max(1, refused + rows)
    return [
        _schema(platform, Layer.DOCUMENTS, table, documents_schema(dataset.metadata_schema)),
        _check(Layer.DOCUMENTS, "ids_unique", ids == rows, f"{ids:,} identifiers for {rows:,} documents"),
        _check(
            Layer.DOCUMENTS,
            "few_refused",
            rate < MOST_REFUSED or refused < FEWEST_REFUSED,
            f"{refused:,} inputs in quarantine beside {rows:,} documents ({rate:.2%}); see {dataset.name}.quarantine",
        ),
    ]


def chunks_checks(platform: "Platform", dataset: Dataset) -> list[Check]:
    """Judges the chunks of a dataset in the profile's chunking."""
    catalog, chunking = quoted(dataset.name), platform.chunking(dataset).id
    with platform.lake.cursor() as cursor:
        chunks, ids, tokens = cursor.execute(
            f"SELECT count(*), count(DISTINCT chunk_id), coalesce(max(tokens), 0) FROM {catalog}.chunks "
            "WHERE chunking_id = ?",
            [chunking],
        ).fetchone() or (0, 0, 0)
        unsplit, orphans, miscounted = cursor.execute(
            f"""
            WITH split AS (SELECT doc_id, content_hash, chunks FROM {catalog}.chunk_state WHERE chunking_id = $id),
              held AS (SELECT doc_id, count(*) AS chunks FROM {catalog}.chunks WHERE chunking_id = $id GROUP BY doc_id)
            SELECT (SELECT count(*) FROM {catalog}.documents ANTI JOIN split USING (doc_id, content_hash)),
              (SELECT count(*) FROM held ANTI JOIN {catalog}.documents USING (doc_id)),
              (SELECT count(*) FROM split FULL JOIN held USING (doc_id)
               WHERE coalesce(split.chunks, 0) <> coalesce(held.chunks, 0))
            """,
            {"id": chunking},
        ).fetchone() or (0, 0, 0)
    limit = platform.profile.text_tokens
    return [
        _schema(platform, Layer.CHUNKS, f"{catalog}.chunks", CHUNKS),
        _check(Layer.CHUNKS, "ids_unique", ids == chunks, f"{ids:,} identifiers for {chunks:,} chunks"),
        _check(
            Layer.CHUNKS,
            "counts_reconcile",
            not (unsplit or orphans or miscounted),
            f"{unsplit:,} documents are not split, {orphans:,} split documents are gone, {miscounted:,} have another "
            f"number of chunks than they gave; {chunks:,} chunks",
        ),
        _check(
            Layer.CHUNKS,
            "within_the_models_limit",
            tokens <= limit,
            f"the longest chunk has {tokens:,} tokens, the model takes {limit:,}",
        ),
    ]


def embeddings_checks(
    platform: "Platform", dataset: Dataset, filled: "Filled", began: datetime
) -> list[Check]:
    """Judges the vectors of a dataset's texts.

    Args:
        platform: The platform.
        dataset: The dataset.
        filled: What the run did.
        began: When it began, UTC without a zone: vectors added since are read back.
    """
    profile, chunking = platform.profile, platform.chunking(dataset).id
    with platform.lake.cursor() as cursor:
        texts = number(
            cursor,
            f"SELECT count(DISTINCT text_key) FROM {quoted(dataset.name)}.chunks WHERE chunking_id = ?",
            [chunking],
        )
    vectors = platform.store.count(dataset.name, chunking)
    judged, faulty = 0, 0
    for batch in platform.store.added_since(began) if filled.embedded else ():
        judged += len(batch)
        faulty += int((~find_faults(batch, profile.dimensions, normalised=profile.normalised).valid).sum())
    length = f"{profile.dimensions:,} finite numbers" + (", length 1" if profile.normalised else "")
    return [
        _check(
            Layer.EMBEDDINGS,
            "counts_reconcile",
            vectors + filled.refused == texts,
            f"{vectors:,} vectors and {filled.refused:,} refusals for {texts:,} texts",
        ),
        _check(
            Layer.EMBEDDINGS,
            "vectors_sound",
            not faulty,
            f"{faulty:,} of {judged:,} new vectors are not what they should be: {length}",
        ),
    ]


def count_verdict(count: int, earlier: Sequence[int]) -> tuple[bool, str]:
    """Whether a count is near the median of the earlier ones, and why.

    Args:
        count: Rows now.
        earlier: Rows of earlier runs, in any order.
    """
    if not earlier:
        return True, f"{count:,} rows, and no earlier run to compare with"
    usual = int(median(earlier))
    drift = abs(count - usual)
    return (
        drift < LEAST_DRIFT or drift <= MOST_DRIFT * usual,
        f"{count:,} rows; {usual:,} in the middle of the last {len(earlier)} runs",
    )


def _schema(platform: "Platform", layer: Layer, table: str, expected: pa.Schema) -> Check:
    with platform.lake.cursor() as cursor:
        found = _types(cursor.execute(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema)
    wanted = _types(expected)
    differences = [
        f"{name}: {found.get(name, 'missing')} instead of {wanted.get(name, 'no column')}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    return _check(
        layer, "schema", not differences, "; ".join(differences) or f"{len(wanted)} columns as they should be"
    )


def _types(fields: Iterable[pa.Field]) -> dict[str, str]:
    return {field.name: _type_name(field.type) for field in fields}


def _type_name(kind: pa.DataType) -> str:
    try:
        return sql_type(kind)
    except TypeError:
        return str(kind)  # a type that no schema of ours uses, which is a difference


def _check(layer: Layer, name: str, passed: bool, detail: str) -> Check:
    return Check(name, bool(passed), RULES[layer][name].blocking, detail)
