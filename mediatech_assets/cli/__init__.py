"""The command line `mediatech`.

What belongs here: commands, options, and how results are shown; a module a purpose, all on the application of
`application.py`. What does not: anything that a command does.

Names, options and JSON fields are a contract with scripts. With `--json`, one object goes to standard output
and nothing else does; everything for people goes to standard error. Exit codes: 0 when everything that was
asked for succeeded, 1 for an error, 2 for a wrong use, 3 when it was done but some input could not be used.
"""

# Importing a module of commands registers them.
from mediatech_assets.cli import asking, machine, releasing, updating, upkeep  # noqa: F401
from mediatech_assets.cli.application import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the console command."""
    app()
