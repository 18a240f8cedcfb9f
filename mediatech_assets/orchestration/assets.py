"""Assets: one factory, a layer and a dataset in, an asset out.

What belongs here: keys, descriptions, metadata and checks of assets. What does not: what a layer does
(`platform.py`).

`from __future__ import annotations` must stay out of this module: Dagster reads the type of `context`.
"""

from collections.abc import Sequence

import dagster as dg
import pyarrow as pa

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.errors import MediatechError, unusable_file
from mediatech_assets.layers import BUILT_LAYERS, Layer, asset_key, layer_before
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.schemas import description_of

_SAMPLE_ROWS = 5

_DESCRIPTIONS = {
    Layer.RAW: "Upstream files as published, verified and immutable, each with its SHA-256.",
    Layer.DOCUMENTS: "One row a document: metadata, sections of text, and where it comes from.",
    Layer.CHUNKS: "The text to embed: pieces of bounded length with their headings, nothing lost, no overlap.",
    Layer.EMBEDDINGS: "A vector for each different text, computed once for the active profile.",
    Layer.INDEX: "Points to search: dense and French BM25 vectors, equal to the table of chunks.",
    Layer.EVALUATION: "Whether the index finds the right documents: questions with known answers, by mode, over time.",
    Layer.RELEASE: "Immutable snapshot in the published form: Parquet, card and manifest.",
}

_KINDS = {
    Layer.RAW: {"file"},
    Layer.DOCUMENTS: {"ducklake", "duckdb"},
    Layer.CHUNKS: {"ducklake", "duckdb"},
    Layer.EMBEDDINGS: {"ducklake", "python"},
    Layer.INDEX: {"qdrant"},
    Layer.EVALUATION: {"qdrant", "python"},
    Layer.RELEASE: {"parquet"},
}

_CODE_VERSION = "1"

#: Checks of a layer: name and what it means when it fails.
_CHECKS = {
    Layer.RAW: {"files_readable": "Every published file could be fetched and read to its end."},
    Layer.DOCUMENTS: {
        "up_to_date": "Every published file is applied: no archive stopped the fold.",
        "nothing_refused": "No input had to go to quarantine.",
    },
    Layer.INDEX: {"complete": "Every chunk has a point, and a sample of points equals the chunks."},
    Layer.EVALUATION: {
        "finds_the_right_documents": "Hybrid search reaches the dataset's floor and is as good as at the last "
        "release."
    },
}

#: Checks whose failure keeps the layers after them from being made.
_BLOCKING = frozenset({"finds_the_right_documents"})


def dataset_assets(dataset: Dataset) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The upstream and the built layers of a dataset, as Dagster assets."""
    return [_upstream(dataset), *(_layer_asset(dataset, layer) for layer in BUILT_LAYERS)]


def _upstream(dataset: Dataset) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=dg.AssetKey(asset_key(dataset.name, Layer.UPSTREAM)),
        group_name=dataset.name,
        description=f"{dataset.title} ({dataset.producer}). {dataset.description}",
        tags={"layer": Layer.UPSTREAM.value},
        kinds={"http"},
        metadata={"homepage": dg.MetadataValue.url(dataset.homepage)},
    )


def _layer_asset(dataset: Dataset, layer: Layer) -> dg.AssetsDefinition:
    key = dg.AssetKey(asset_key(dataset.name, layer))
    deps = [dg.AssetKey(asset_key(dataset.name, layer_before(layer)))]
    checks = [
        dg.AssetCheckSpec(name, asset=key, description=text, blocking=name in _BLOCKING)
        for name, text in _CHECKS.get(layer, {}).items()
    ]

    @dg.asset(
        key=key,
        deps=deps,
        group_name=dataset.name,
        description=_DESCRIPTIONS[layer],
        tags={"layer": layer.value},
        kinds=_KINDS[layer],
        owners=["team:mediatech"],
        code_version=f"{_CODE_VERSION}-{dataset.parser_version}",
        check_specs=checks,
        op_tags={"layer": layer.value},
    )
    def materialise(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
        try:
            report = platform.platform.materialise(dataset.name, layer)
        except MediatechError as error:
            # The message is for people: a traceback of ours adds nothing, and a retry would meet the same.
            raise dg.Failure(description=str(error), allow_retries=False) from error
        except OSError as error:
            raise dg.Failure(description=str(unusable_file(error)), allow_retries=False) from error
        if layer is Layer.RAW:
            _report_upstream(context, dataset, report)
        sample = platform.platform.sample(dataset.name, layer, _SAMPLE_ROWS)
        return dg.MaterializeResult(
            metadata=_metadata(report, sample),
            check_results=_check_results(report),
        )

    return materialise


def _report_upstream(context: dg.AssetExecutionContext, dataset: Dataset, report: LayerReport) -> None:
    """Says in the event log which version the upstream showed: the poll that this run made."""
    context.instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key=dg.AssetKey(asset_key(dataset.name, Layer.UPSTREAM)),
            metadata={"newest published": str(report.facts["newest published"])},
            tags={"dagster/data_version": str(report.facts["upstream version"])},
        )
    )


def _metadata(report: LayerReport, sample: Sequence[dict[str, str]]) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(report.rows),
        "rows": dg.MetadataValue.int(report.rows),
        "added": dg.MetadataValue.int(report.added),
        "changed": dg.MetadataValue.int(report.changed),
        "removed": dg.MetadataValue.int(report.removed),
        "seconds": dg.MetadataValue.float(report.seconds),
        "bytes": dg.MetadataValue.int(report.bytes),
    }
    for name, value in report.facts.items():
        metadata[name] = _metadata_value(name, value)
    if report.columns is not None:
        metadata["dagster/column_schema"] = dg.MetadataValue.table_schema(_table_schema(report.columns))
    for name, text in report.shown.items():
        metadata[name] = dg.MetadataValue.md(text)
    if sample:
        metadata["sample"] = dg.MetadataValue.md(_markdown_table(sample))
    if report.problems:
        metadata["problems"] = dg.MetadataValue.md("\n".join(f"- {problem}" for problem in report.problems))
    return metadata


def _metadata_value(name: str, value: str | int | float) -> dg.MetadataValue:
    if name in {"path", "plot", "review"}:
        return dg.MetadataValue.path(str(value))
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    return dg.MetadataValue.text(value)


def _check_results(report: LayerReport) -> list[dg.AssetCheckResult]:
    problems = {"problems": "\n".join(report.problems)} if report.problems else {}
    quarantined = int(report.facts.get("quarantine", 0))
    results = {
        "files_readable": (not report.problems, problems),
        "up_to_date": (not report.problems and not report.facts.get("lag"), problems),
        "nothing_refused": (
            not report.refused,
            {"refused now": report.refused, "in quarantine": quarantined},
        ),
        "complete": (not report.problems, problems),
        "finds_the_right_documents": (report.verdict[0], {"verdict": report.verdict[1]}),
    }
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=results[name][0],
            severity=dg.AssetCheckSeverity.ERROR,
            metadata=results[name][1],
        )
        for name in _CHECKS.get(report.layer, {})
    ]


def _table_schema(schema: pa.Schema) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=description_of(field) or None,
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )


def _markdown_table(rows: Sequence[dict[str, str]]) -> str:
    def line(values: Sequence[str]) -> str:
        cells = (value.replace("|", "\\|").replace("\n", " ").replace("\t", " ") for value in values)
        return "| " + " | ".join(cells) + " |"

    names = list(rows[0])
    return "\n".join([line(names), line(["---"] * len(names)), *(line(list(row.values())) for row in rows)])
