"""The command line in this process: what a command printed, and how it ended.

What belongs here: running a command as typer does, with chosen settings and no other. What does not: a process of
its own (`pipeline/installation.py` and `faults/installation.py` start them), and what a test expects.
"""

import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mediatech_assets.cli import app

#: Tokens of a chunk where a service embeds: half of what the profile `use` takes, so that chunks differ.
SERVICE_CHUNK_TOKENS = 128
_SPECIAL_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, which has to be one JSON value on one line."""
        assert len(self.out.splitlines()) == 1, self.out
        return json.loads(self.out)

    def layers(self, dataset: str) -> dict[str, dict[str, Any]]:
        """Metadata of the layers of a dataset, of `update --json`."""
        return self.json["datasets"][dataset]["layers"]

    def said(self, dataset: str) -> str:
        """Errors and problems of a dataset, of `update --json`."""
        found = self.json["datasets"][dataset]
        return "\n".join([*found["errors"], *found["problems"]])


def mediatech(home: Path, *arguments: str, code: int = 0, **settings: str) -> Ran:
    """Runs a command, which must end with `code` and without a traceback.

    Args:
        home: MEDIATECH_HOME.
        *arguments: Arguments of `mediatech`.
        code: Exit code that it must have.
        **settings: Settings by name (`index_url="http://…"`); those of the caller do not count.
    """
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith("MEDIATECH_"):
                environment.delenv(name)
        # The Dagster instance names itself in the environment; the next installation must not see it.
        environment.setenv("DAGSTER_HOME", "")
        for name, value in {"home": str(home), **settings}.items():
            environment.setenv(f"MEDIATECH_{name.upper()}", value)
        result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        pytest.fail("".join(traceback.format_exception(result.exception)))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return Ran(result.exit_code, result.stdout, result.stderr)


def service_settings(url: str, model: str, dimensions: int) -> Mapping[str, str]:
    """Settings that describe the profile `openai_api`: the service at `url`, and chunks smaller than those of `use`."""
    return {
        "embedding_url": f"{url}/v1",
        "embedding_model": model,
        "embedding_dimensions": str(dimensions),
        "embedding_max_tokens": str(SERVICE_CHUNK_TOKENS + _SPECIAL_TOKENS),
        "embedding_tokenizer": "use",
    }
