"""The files of `deploy/`, read for tests.

What belongs here: reading compose file and Dockerfile. What does not: what a test expects of them.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
DEPLOY = PROJECT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"


@cache
def compose() -> dict[str, Any]:
    """`compose.yaml` with its anchors resolved."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@cache
def dockerfile() -> tuple[tuple[str, str], ...]:
    """The instructions of the Dockerfile in order: name and the rest, with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return tuple(
        (name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line.strip())
    )


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each build stage by the stage's name, its FROM first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, rest in dockerfile():
        if name == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        if found:
            found[next(reversed(found))].append((name, rest))
    return found


def command_of_image(target: str) -> list[str]:
    """What a container of the image starts when it is given no command."""
    return next(json.loads(rest) for name, rest in stages()[target] if name == "CMD")
