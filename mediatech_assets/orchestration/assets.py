"""Assets: one factory, a layer and a dataset in, an asset out.

What belongs here: keys, descriptions, metadata and checks of assets. What does not: what a layer does
(`platform.py`).

`from __future__ import annotations` must stay out of this module: Dagster reads the type of `context`.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
import pyarrow as pa

from mediatech_assets.datasets.base import Dataset, DilaFund
from mediatech_assets.layers import BUILT_LAYERS, Layer, asset_key, layer_before
from mediatech_assets.orchestration.automation import automation_condition
from mediatech_assets.orchestration.checks import RULES, count_verdict
from mediatech_assets.orchestration.code_versions import code_version
from mediatech_assets.orchestration.column_lineage import column_lineage
from mediatech_assets.orchestration.failures import told_to_people
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.polling import freshness_windows, poll_event
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.orchestration.scale_out import DIVIDED_LAYERS
from mediatech_assets.orchestration.scaled_out_assets import LayerAttributes, scaled_out_asset
from mediatech_assets.orchestration.sensors import UP_TO_DATE
from mediatech_assets.release.checks import RULES as RELEASE_RULES
from mediatech_assets.release.checks import Rule
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

#: Name of the check on the number of documents, and runs that it is compared with.
_LIKE_BEFORE, _RUNS_COMPARED = "count_like_before", 10

#: Checks that are not rules of a table (`checks.py`) or of a release: name, and what has to be so.
_CHECKS = {
    Layer.RAW: {"files_readable": "Every published file could be fetched and read to its end."},
    Layer.DOCUMENTS: {
        UP_TO_DATE: "Every published file is applied: no archive stopped the fold.",
        "nothing_refused": "No input had to go to quarantine.",
        _LIKE_BEFORE: "About as many documents as in the runs before.",
    },
    Layer.INDEX: {"complete": "Every chunk has a point, and a sample of points equals the chunks."},
    Layer.EVALUATION: {
        "finds_the_right_documents": "Hybrid search reaches the dataset's floor and is as good as at the last "
        "release."
    },
}

#: Checks whose failure keeps the layers after them from being made.
_BLOCKING = frozenset({"finds_the_right_documents"})


#: For what is no error of ours, which says itself that a retry would meet the same. Runs are not retried for a step
#: that failed (`dagster.yaml`), so this does not multiply; hours later automation asks again (`automation.py`).
_RETRY_POLICY = dg.RetryPolicy(max_retries=1, delay=10, jitter=dg.Jitter.PLUS_MINUS)


def dataset_assets(
    dataset: Dataset, platform: Platform, *, scaled_out: bool = False
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The upstream and the built layers of a dataset, as Dagster assets.

    Args:
        dataset: The dataset.
        platform: The platform with the settings of this process, which say the versions of the code.
        scaled_out: Divide the heavy layers into steps that workers share. The assets are the same.
    """
    divided = DIVIDED_LAYERS if scaled_out else ()
    return [
        _upstream(dataset),
        *(
            _layer_asset(dataset, layer, code_version(platform, dataset, layer), divided=layer in divided)
            for layer in BUILT_LAYERS
        ),
    ]


def _upstream(dataset: Dataset) -> dg.AssetSpec:
    warn_window, fail_window = freshness_windows(dataset)
    return dg.AssetSpec(
        key=dg.AssetKey(asset_key(dataset.name, Layer.UPSTREAM)),
        group_name=dataset.name,
        description=f"{dataset.title} ({dataset.producer}). {dataset.description}",
        tags={"layer": Layer.UPSTREAM.value},
        kinds={"http"},
        metadata={"homepage": dg.MetadataValue.url(dataset.homepage)},
        # Every successful poll materialises it. How old the upstream itself is, a check says (`sensors.py`).
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fail_window, warn_window=warn_window),
    )


def _pool(dataset: Dataset, layer: Layer) -> str | None:
    """What a layer shares with the other datasets' runs; `dagster.yaml` says how many may use it at once."""
    if layer is Layer.RAW:
        return "dila" if isinstance(dataset.source, DilaFund) else None
    return {Layer.EMBEDDINGS: "embedding", Layer.INDEX: "qdrant", Layer.EVALUATION: "qdrant"}.get(layer)


def _layer_asset(dataset: Dataset, layer: Layer, version: str, *, divided: bool) -> dg.AssetsDefinition:
    key = dg.AssetKey(asset_key(dataset.name, layer))
    before = dg.AssetKey(asset_key(dataset.name, layer_before(layer)))
    attributes: LayerAttributes = {
        "key": key,
        "group_name": dataset.name,
        "description": _DESCRIPTIONS[layer],
        "tags": {"layer": layer.value},
        "kinds": _KINDS[layer],
        "owners": ["team:mediatech"],
        "code_version": version,
        "automation_condition": automation_condition(layer),
        "check_specs": [
            dg.AssetCheckSpec(name, asset=key, description=rule.text, blocking=rule.blocking)
            for name, rule in _checks_of(layer).items()
        ],
    }
    if divided:
        return scaled_out_asset(dataset, layer, before, attributes, _result)

    @dg.asset(
        **attributes,
        deps=[before],
        op_tags={"layer": layer.value},
        pool=_pool(dataset, layer),
        retry_policy=_RETRY_POLICY,
    )
    def materialise(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult:
        with told_to_people():
            report = platform.platform.materialise(dataset.name, layer)
        if layer is Layer.RAW:
            _report_upstream(context, dataset, report)
        return _result(context.instance, platform.platform, dataset, report)

    return materialise


def _result(
    instance: dg.DagsterInstance, platform: Platform, dataset: Dataset, report: LayerReport
) -> dg.MaterializeResult:
    sample = platform.sample(dataset.name, report.layer, _SAMPLE_ROWS)
    return dg.MaterializeResult(
        metadata=_metadata(dataset, report, sample),
        check_results=_check_results(instance, dataset, report),
    )


def _report_upstream(context: dg.AssetExecutionContext, dataset: Dataset, report: LayerReport) -> None:
    """Says in the event log which version the upstream showed: the poll that this run made."""
    context.instance.report_runless_asset_event(
        poll_event(dataset.name, str(report.facts["upstream version"]), str(report.facts["newest published"]))
    )
    # Dagster noted the upstream's version before this step polled: unless it looks again, the raw files would be
    # recorded as made from the version before, and the UI would call them out of date ("unsynced") at once.
    step = context.op_execution_context.get_step_execution_context()
    step.wipe_input_asset_version_info(dg.AssetKey(asset_key(dataset.name, Layer.UPSTREAM)))


def _metadata(
    dataset: Dataset, report: LayerReport, sample: Sequence[dict[str, str]]
) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(report.rows),
        "rows": dg.MetadataValue.int(report.rows),
        "added": dg.MetadataValue.int(report.added),
        "changed": dg.MetadataValue.int(report.changed),
        "removed": dg.MetadataValue.int(report.removed),
        "seconds": dg.MetadataValue.float(report.seconds),
    }
    if report.bytes is not None:
        metadata["bytes"] = dg.MetadataValue.int(report.bytes)
    for name, value in report.facts.items():
        metadata[name] = _metadata_value(name, value)
    if report.columns is not None:
        metadata["dagster/column_schema"] = dg.MetadataValue.table_schema(_table_schema(report.columns))
        lineage = column_lineage(dataset, report.layer, report.columns.names)
        metadata["dagster/column_lineage"] = dg.MetadataValue.column_lineage(lineage)
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


def _checks_of(layer: Layer) -> Mapping[str, Rule]:
    """The checks of a layer, by name; those of a release stand in its manifest too."""
    if layer is Layer.RELEASE:
        return RELEASE_RULES
    own = {name: Rule(text, name in _BLOCKING) for name, text in _CHECKS.get(layer, {}).items()}
    return {**own, **RULES.get(layer, {})}


def _check_results(
    instance: dg.DagsterInstance, dataset: Dataset, report: LayerReport
) -> list[dg.AssetCheckResult]:
    results = [*_reported(report), *_judged(report)]
    if report.layer is Layer.DOCUMENTS:
        results.append(_like_before(instance, dataset, report.rows))
    return results


def _judged(report: LayerReport) -> list[dg.AssetCheckResult]:
    """Rules of tables and releases. What does not block is a warning: it was told where it happened."""
    return [
        dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            metadata={"detail": check.detail},
        )
        for check in report.checks
    ]


def _reported(report: LayerReport) -> list[dg.AssetCheckResult]:
    """Checks that the layer's own work answers."""
    problems = {"problems": "\n".join(report.problems)} if report.problems else {}
    quarantined = int(report.facts.get("quarantine", 0))
    results = {
        "files_readable": (not report.problems, problems),
        UP_TO_DATE: (not report.problems and not report.facts.get("lag"), problems),
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
        if name in results
    ]


def _like_before(instance: dg.DagsterInstance, dataset: Dataset, rows: int) -> dg.AssetCheckResult:
    """The number of documents against that of the runs before: a warning, a person knows whether it is meant."""
    key = dg.AssetKey(asset_key(dataset.name, Layer.DOCUMENTS))
    events = [
        record.asset_materialization
        for record in instance.fetch_materializations(key, limit=_RUNS_COMPARED).records
    ]
    earlier = [
        int(str(event.metadata["rows"].value)) for event in events if event and "rows" in event.metadata
    ]
    passed, why = count_verdict(rows, earlier)
    return dg.AssetCheckResult(
        check_name=_LIKE_BEFORE, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata={"detail": why}
    )


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
