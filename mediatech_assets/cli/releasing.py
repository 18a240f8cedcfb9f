"""Commands about releases: releases, review, approve, reject, publish, rollback.

What belongs here: these commands, and how releases, plans and decisions are shown. What does not: what a decision or
a publication does (`orchestration/publishing.py`), and what a review says (`release/review.py`).
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown
from rich.table import Column, Table

from mediatech_assets.cli.application import (
    AsJson,
    OfDataset,
    app,
    err,
    examples,
    explained,
    out,
    print_json,
    progress_shown,
    say,
)
from mediatech_assets.layers import Sink, parse_sink
from mediatech_assets.settings import load_settings

if TYPE_CHECKING:
    from mediatech_assets.orchestration.update import PublicationRun
    from mediatech_assets.release.approval import Verdict

OfRelease = Annotated[
    str, typer.Argument(help="Identifier of the release; `mediatech releases DATASET` lists them.")
]
By = Annotated[
    str,
    typer.Option(
        "--by",
        help="Who decides; recorded as self-declared. The account that runs the command when not given.",
        show_default=False,
    ),
]
AtSink = Annotated[str, typer.Option("--sink", help="Where: huggingface, data_gouv or albert.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print the plan: what would be done at the sink.")
]


@app.command(
    epilog=examples(
        "mediatech releases legi",
        "mediatech releases service_public --json",
    )
)
@explained
def releases(dataset: OfDataset, as_json: AsJson = False) -> None:
    """List the releases of a dataset: what each holds, who decided what about it, and where it is published."""
    from mediatech_assets.datasets.registry import dataset_named
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.publishing import open_for_decisions, release_states

    platform = Platform(load_settings(), read_only=True)
    chosen = dataset_named(dataset)
    open_for_decisions(platform, chosen)
    states = release_states(platform, chosen)
    if as_json:
        print_json({"dataset": chosen.name, "releases": [asdict(state) for state in states]})
        return
    table = Table(
        "release",
        "built (UTC)",
        Column("documents", justify="right"),
        Column("rows", justify="right"),
        "profile",
        "state",
        "decided by",
        "published at",
    )
    for state in states:
        decided = f"{state.decision.person}: {state.decision.comment}" if state.decision else "-"
        table.add_row(
            state.id,
            f"{state.created_at:%Y-%m-%d %H:%M}",
            f"{state.documents:,}",
            f"{state.rows:,}",
            state.profile,
            state.state,
            decided,
            ", ".join(state.sinks) or "-",
        )
    out.print(table, markup=False)


@app.command(
    epilog=examples(
        "mediatech review legi",
        "mediatech review legi 20260105-0f3a9c1d --against 20251222-5be2f7d0",
        "mediatech review service_public --json",
    )
)
@explained
def review(
    dataset: OfDataset,
    release: Annotated[
        str,
        typer.Argument(help="Identifier of the release; the newest one when not given.", show_default=False),
    ] = "",
    against: Annotated[
        str,
        typer.Option(
            "--against",
            help="Release to compare it with; the one built before when not given.",
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what a release changes and where it comes from: a summary, and a page that opens from disk."""
    from mediatech_assets.datasets.registry import dataset_named
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.publishing import open_for_decisions
    from mediatech_assets.orchestration.review import release_review

    platform = Platform(load_settings(), read_only=True)
    chosen = dataset_named(dataset)
    open_for_decisions(platform, chosen)
    with progress_shown():
        made = release_review(platform, chosen, release, against)
    if as_json:
        print_json(made.summary)
        return
    out.print(Markdown(made.markdown))
    say(f"page: {made.page}")


@app.command(
    epilog=examples(
        "mediatech approve legi 20260105-0f3a9c1d",
        'mediatech approve legi 20260105-0f3a9c1d --by "Camille Martin" --comment "diff read, counts as expected"',
    )
)
@explained
def approve(
    dataset: OfDataset,
    release: OfRelease,
    by: By = "",
    comment: Annotated[str, typer.Option("--comment", help="Why, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Allow a release to be published, after looking at its review page.

    The decision names the release's exact files; one that is changed afterwards cannot be published.
    """
    _decide(dataset, release, "approved", by, comment, as_json=as_json)


@app.command(
    epilog=examples(
        'mediatech reject legi 20260105-0f3a9c1d --comment "3,000 articles vanished"',
        'mediatech reject cnil 20260105-77aa01bc --comment "titles in capitals" --by "Camille Martin" --json',
    )
)
@explained
def reject(
    dataset: OfDataset,
    release: OfRelease,
    comment: Annotated[
        str, typer.Option("--comment", help="Why; shown to everybody who tries to publish it.")
    ],
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Keep a release from being published; a later approval takes that back."""
    _decide(dataset, release, "rejected", by, comment, as_json=as_json)


@app.command(
    epilog=examples(
        "mediatech publish legi 20260105-0f3a9c1d --sink huggingface --dry-run",
        "mediatech publish legi 20260105-0f3a9c1d --sink huggingface",
        "mediatech publish cnil 20260105-77aa01bc --sink albert --json",
    )
)
@explained
def publish(
    dataset: OfDataset,
    release: OfRelease,
    sink: AtSink,
    dry_run: DryRun = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Make an approved release the present one at a sink. May be repeated: what is there is not sent again."""
    _publish(dataset, release, sink, by, dry_run=dry_run, rollback=False, as_json=as_json)


@app.command(
    epilog=examples(
        "mediatech rollback legi 20251222-5be2f7d0 --sink huggingface --dry-run",
        "mediatech rollback legi 20251222-5be2f7d0 --sink huggingface",
    )
)
@explained
def rollback(
    dataset: OfDataset,
    release: OfRelease,
    sink: AtSink,
    dry_run: DryRun = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Bring an earlier approved release back at a sink, in the same atomic way as a publication."""
    _publish(dataset, release, sink, by, dry_run=dry_run, rollback=True, as_json=as_json)


def _decide(dataset: str, release: str, verdict: "Verdict", by: str, comment: str, *, as_json: bool) -> None:
    from mediatech_assets.datasets.registry import dataset_named
    from mediatech_assets.orchestration.instance import dagster_instance
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.publication_assets import decision_event
    from mediatech_assets.orchestration.publishing import record_decision
    from mediatech_assets.release.approval import person_named

    settings = load_settings()
    name = dataset_named(dataset).name
    with progress_shown(), dagster_instance(settings) as instance:
        decision = record_decision(Platform(settings), name, release, verdict, person_named(by), comment)
        instance.report_runless_asset_event(decision_event(name, decision))
    if as_json:
        print_json({"dataset": name, **asdict(decision)})
        return
    say(f"release {decision.release} of {name} is {verdict} by {decision.person}")
    if verdict == "approved":
        say(f"publish it: mediatech publish {name} {decision.release} --sink huggingface --dry-run")


def _publish(
    dataset: str, release: str, sink: str, by: str, *, dry_run: bool, rollback: bool, as_json: bool
) -> None:
    from mediatech_assets.datasets.registry import dataset_named

    name, chosen = dataset_named(dataset).name, parse_sink(sink)
    if dry_run:
        _show_plan(name, release, chosen, as_json=as_json)
        return
    run = _publication_run(name, release, chosen, by, rollback=rollback)
    for error in run.errors:
        err.print(f"error: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(
            {
                "succeeded": not run.errors,
                "dataset": name,
                "sink": chosen.value,
                "release": release,
                "run_id": run.run_id,
                "published": run.facts,
                "errors": run.errors,
            }
        )
    elif not run.errors:
        state = "is published" if run.facts.get("changed") else "was published already"
        say(f"release {release} of {name} {state} at {chosen.value}: {run.facts.get('url')}")
    if run.errors:
        raise typer.Exit(1)


def _publication_run(dataset: str, release: str, sink: Sink, by: str, *, rollback: bool) -> "PublicationRun":
    from mediatech_assets.definitions import build_defs
    from mediatech_assets.orchestration.instance import dagster_instance
    from mediatech_assets.orchestration.resources import PlatformResource
    from mediatech_assets.orchestration.update import publish_release

    settings = load_settings()
    resource = PlatformResource(home=str(settings.home), profile=settings.profile)
    config = {"release": release, "published_by": by, "rollback": rollback}
    with progress_shown(), dagster_instance(settings) as instance:
        return publish_release(
            build_defs({"platform": resource}, one_process=True), instance, dataset, sink, config
        )


def _show_plan(dataset: str, release: str, sink: Sink, *, as_json: bool) -> None:
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.publishing import publication_plan

    with progress_shown():
        plan = publication_plan(Platform(load_settings()), dataset, release, sink)
    if as_json:
        print_json({**asdict(plan), "bytes": plan.bytes, "dry_run": True})
        return
    table = Table("step", "what", Column("bytes", justify="right"), "note")
    for step in plan.steps:
        table.add_row(step.action, step.target, f"{step.bytes:,}" if step.bytes else "", step.note)
    if plan.steps:
        out.print(table, markup=False)
    else:
        say("the sink has this release already: nothing would be done")
    for note in plan.notes:
        say(f"note: {note}")
    say(f"{plan.target}: {plan.bytes:,} bytes to send at most; nothing was changed")
