"""Commands that ask what is held, and change nothing: search, sql.

What belongs here: these commands, and how answers and rows are shown or written to a file. What does not: how an
answer is found (`index/search.py`), and what a query may read (`lake/query.py`).
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mediatech_assets.cli.application import (
    AsJson,
    app,
    comma_separated,
    err,
    examples,
    explained,
    out,
    print_json,
    say,
)
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from mediatech_assets.index.search import SearchAnswer


@app.command(
    epilog=examples(
        'mediatech search "combien de jours de congés payés par an"',
        'mediatech search "préavis de licenciement" --dataset legi --as-of 2024-01-01',
        'mediatech search "L. 3141-3" --mode sparse --limit 5 --json',
    )
)
@explained
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
    answer = ask(load_settings(), question, comma_separated(dataset), mode, limit, day)
    if not as_json:
        show_answer(answer)
        return
    print_json(
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
    epilog=examples(
        'mediatech sql "SELECT status, count(*) FROM legi.documents GROUP BY status"',
        'mediatech sql "SELECT doc_id, title FROM service_public.documents" --json',
        'mediatech sql "SELECT * FROM legi.chunks" --parquet chunks.parquet',
    )
)
@explained
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
        say(f"{rows:,} rows written to {parquet}")
    elif as_json:
        print_json({"rows": reader.read_all().to_pylist(maps_as_pydicts="lossy")})
    else:
        found = reader.read_all()
        table = Table(*found.column_names)
        for row in found.to_pylist():
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        out.print(table, markup=False)


def ask(
    settings: Settings,
    question: str,
    datasets: Sequence[str],
    mode: str,
    limit: int,
    day: date | None = None,
) -> "SearchAnswer":
    """The answer to a question; datasets, mode, limit and day as `mediatech search` takes them."""
    from mediatech_assets.orchestration.platform import Platform

    return Platform(settings, read_only=True).search(question, datasets, mode, limit, day)


def show_answer(answer: "SearchAnswer") -> None:
    """Prints the results of an answer, and its notes."""
    for note in answer.notes:
        err.print(f"note: {note}", markup=False, highlight=False)
    if not answer.results:
        out.print("nothing was found")
    for result in answer.results:
        out.print(f"{result.rank}. {result.title}", style="bold", markup=False, highlight=False)
        out.print(
            f"   {result.dataset} {result.doc_id}  score {result.score:.4f}", markup=False, highlight=False
        )
        out.print(f"   {result.source_url}", markup=False, highlight=False, soft_wrap=True)
        out.print(f"   {_shortened(result.text)}", markup=False, highlight=False)


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
