"""Every benchmark, one after the other: `python -m benchmarks` (`make bench`).

What belongs here: the order. Each module can be run alone, and has `--help`.
"""

import subprocess
import sys

MODULES = (
    "benchmarks.pipeline",
    "benchmarks.layers",
    "benchmarks.embedding",
    "benchmarks.index",
    "benchmarks.retrieval",
)


def main() -> None:
    """Runs each module in a process of its own, so that none measures what another left in memory."""
    failed = []
    for module in MODULES:
        print(f"\n=== {module} ===", flush=True)
        if subprocess.run([sys.executable, "-m", module], check=False).returncode:
            failed.append(module)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
