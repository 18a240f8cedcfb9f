"""Publication assets: one a dataset and sink, after the release, made only by a person's run.

What belongs here: the run configuration, the plan shown for a dry run, and decisions and publications as Dagster
events. What does not: the rules and the work (`publishing.py`).

`from __future__ import annotations` must stay out of this module: Dagster reads the type of `context`.
"""

from collections.abc import Iterator, Mapping

import dagster as dg
from pydantic import Field

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.errors import MediatechError, unusable_file
from mediatech_assets.layers import Layer, Sink, asset_key
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.publishing import publication_plan, publish, record_decision
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.release.approval import Decision, Person, person_named
from mediatech_assets.release.publication.sink import Plan

_DESCRIPTIONS = {
    Sink.HUGGINGFACE: "The release as the present one on the Hugging Face Hub, in one commit, with its tag.",
    Sink.DATA_GOUV: "The dataset on data.gouv.fr: metadata and a resource for each file of the release.",
    Sink.ALBERT: "The documents of the release in the dataset's Albert collection: only what changed is sent.",
}

_KINDS = {Sink.HUGGINGFACE: {"huggingface"}, Sink.DATA_GOUV: {"http"}, Sink.ALBERT: {"http"}}


class PublicationConfig(dg.Config):
    """What a person decides when a publication is started; nothing is published without."""

    release: str = Field(
        description="Identifier of the release to publish. It must be approved: by `mediatech approve`, or here by "
        "`approved_by`."
    )
    approved_by: str = Field(
        default="",
        description="Your name, if you approve the release with this run after looking at its review. It is recorded "
        "as self-declared.",
    )
    comment: str = Field(default="", description="Why, for the record of the approval.")
    published_by: str = Field(
        default="", description="Who publishes. Empty: the account that runs this process."
    )
    dry_run: bool = Field(default=False, description="Only show the plan: nothing is approved or published.")
    rollback: bool = Field(
        default=False, description="Bring back a release older than the present one of the sink."
    )


def op_name(dataset: str, sink: Sink) -> str:
    """Name of the asset's op, under which run configuration stands."""
    return f"{dataset}__{sink.value}"


def publication_assets(dataset: Dataset) -> list[dg.AssetsDefinition]:
    """The sinks of a dataset, as Dagster assets."""
    return [_publication_asset(dataset, sink) for sink in Sink]


def decision_event(dataset: str, decision: Decision) -> dg.AssetObservation:
    """A decision about a release, as an event on the release's asset."""
    return dg.AssetObservation(
        asset_key=dg.AssetKey(asset_key(dataset, Layer.RELEASE)),
        description=f"{decision.decision} by {decision.person}",
        metadata={
            "release": decision.release,
            "decision": decision.decision,
            "decided by": str(decision.person),
            "comment": decision.comment,
            "manifest sha256": decision.manifest_sha256,
        },
    )


def plan_markdown(plan: Plan) -> str:
    """A plan as a Markdown table, for the asset's page."""
    lines = [f"`{plan.target}`: {len(plan.steps):,} steps, {plan.bytes:,} bytes at most", ""]
    if plan.steps:
        lines += ["| step | what | bytes | note |", "|---|---|---:|---|"]
        lines += [
            f"| {step.action} | `{step.target}` | {step.bytes:,} | {step.note} |" for step in plan.steps
        ]
    return "\n".join([*lines, "", *(f"- {note}" for note in plan.notes)])


def _publication_asset(dataset: Dataset, sink: Sink) -> dg.AssetsDefinition:
    key = dg.AssetKey(asset_key(dataset.name, sink))

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(asset_key(dataset.name, Layer.RELEASE))],
        group_name=dataset.name,
        description=f"{_DESCRIPTIONS[sink]} Runs only for a release that a person approved.",
        tags={"layer": "publication"},
        kinds=_KINDS[sink],
        owners=["team:mediatech"],
        op_tags={"layer": "publication"},
        output_required=False,  # a dry run makes nothing
    )
    def materialise(
        context: dg.AssetExecutionContext, config: PublicationConfig, platform: PlatformResource
    ) -> Iterator[dg.MaterializeResult]:
        try:
            if config.dry_run:
                _show_plan(context, platform.platform, dataset.name, config, sink)
                return
            yield dg.MaterializeResult(
                metadata=_publish(context, platform.platform, dataset.name, config, sink)
            )
        except MediatechError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        except OSError as error:
            raise dg.Failure(description=str(unusable_file(error)), allow_retries=False) from error

    return materialise


def _show_plan(
    context: dg.AssetExecutionContext,
    platform: Platform,
    dataset: str,
    config: PublicationConfig,
    sink: Sink,
) -> None:
    plan = publication_plan(platform, dataset, config.release, sink)
    context.log_event(
        dg.AssetObservation(
            asset_key=dg.AssetKey(asset_key(dataset, sink)),
            description=f"plan of publishing {config.release}",
            metadata={"plan": dg.MetadataValue.md(plan_markdown(plan)), "release": config.release},
        )
    )


def _publish(
    context: dg.AssetExecutionContext,
    platform: Platform,
    dataset: str,
    config: PublicationConfig,
    sink: Sink,
) -> Mapping[str, dg.MetadataValue]:
    if config.approved_by.strip():
        person = person_named(config.approved_by)
        decision = record_decision(platform, dataset, config.release, "approved", person, config.comment)
        context.log_event(decision_event(dataset, decision))
    published = publish(platform, dataset, config.release, sink, _publishes(config), rollback=config.rollback)
    return {
        "release": dg.MetadataValue.text(published.release),
        "url": dg.MetadataValue.url(published.url),
        "changed": dg.MetadataValue.bool(published.changed),
        "rollback": dg.MetadataValue.bool(config.rollback),
        **{name: _metadata_value(value) for name, value in published.facts.items()},
    }


def _publishes(config: PublicationConfig) -> Person:
    return person_named(config.published_by or config.approved_by)


def _metadata_value(value: str | int | float) -> dg.MetadataValue:
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    return dg.MetadataValue.text(value)
