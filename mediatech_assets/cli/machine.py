"""Commands about the machine that this runs on: ui, doctor.

What belongs here: starting Dagster's UI, and how the findings about the installation are shown. What does not: what
is examined (`orchestration/doctor.py`), and how Dagster is set up (`orchestration/instance.py`).
"""

import os
import sys
from typing import Annotated

import typer
from rich.table import Table

from mediatech_assets.cli.application import AsJson, app, examples, explained, out, print_json, say
from mediatech_assets.settings import load_settings


@app.command(
    epilog=examples(
        "mediatech ui",
        "mediatech ui --port 3100",
    )
)
@explained
def ui(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 3000,
) -> None:
    """Open the Dagster UI on the same instance that every command uses (Ctrl-C ends it)."""
    from mediatech_assets.orchestration.instance import prepare_dagster_home

    settings = load_settings()
    os.environ["MEDIATECH_HOME"] = str(settings.home)
    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(settings))
    say(f"Dagster UI: http://{host}:{port}")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "mediatech_assets.definitions"]
    # The program itself becomes Dagster, so that Ctrl-C and signals reach it.
    os.execv(sys.executable, [*command, "-h", host, "-p", str(port)])  # noqa: S606 - no shell, our own arguments


@app.command(
    epilog=examples(
        "mediatech doctor",
        "mediatech doctor --json",
    )
)
@explained
def doctor(as_json: AsJson = False) -> None:
    """Test every dependency, setting and upstream host, and say what to do about each."""
    from mediatech_assets.orchestration.doctor import examine

    findings = examine()
    if as_json:
        print_json({"findings": [finding.as_json() for finding in findings]})
    else:
        table = Table("", "what", "found", "remedy")
        marks = {"ok": "ok", "warning": "!", "failure": "FAILED"}
        for finding in findings:
            table.add_row(marks[finding.state], finding.subject, finding.found, finding.remedy)
        out.print(table, markup=False)
    if any(finding.state == "failure" for finding in findings):
        raise typer.Exit(1)
