"""Shards of a heavy step as files, for work that other processes and machines do.

What belongs here: the folder that the planner, the workers and the committer share, and what makes it safe to kill any
of them. What does not: what a shard holds and what is done to it (`documents/elsewhere.py`, `embeddings/elsewhere.py`),
and who starts the workers (`orchestration/`).

A shard is named by the hash of its input, and its result is a file of the same name that appears whole or not at all.
So a result that is there is the right one, whoever made it: what was finished before a kill is not done again.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.errors import MediatechError

_Item = TypeVar("_Item")

_INPUT = ".input.parquet"
_RESULT = ".result.parquet"


class ShardError(MediatechError):
    """A shard that a worker or the committer does not find, or that is meant for other code or other settings."""


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """Inputs and results of one layer of one dataset, in a folder that every process of the work sees.

    Args:
        folder: Where; it is made when something is written.
    """

    folder: Path

    def put(self, name: str, rows: pa.Table) -> None:
        """Writes the input of a shard, unless it or its result is there.

        Args:
            name: Name by `shard_name`.
            rows: The input, with what its worker must agree on in the metadata of the schema.
        """
        if not self._path(name, _INPUT).is_file() and not self.is_finished(name):
            self._write(self._path(name, _INPUT), rows)

    def rows(self, name: str) -> pa.Table:
        """The input of a shard.

        Raises:
            ShardError: it is not there.
        """
        try:
            return pq.read_table(self._path(name, _INPUT))
        except FileNotFoundError:
            raise ShardError(
                f"shard {name} is not in {self.folder}",
                "MEDIATECH_HOME has to be one folder that all workers share; if it is, another run has committed this "
                "shard: run again",
            ) from None

    def finish(self, name: str, rows: pa.Table) -> None:
        """Writes the result of a shard: whole, or not at all."""
        self._write(self._path(name, _RESULT), rows)

    def is_finished(self, name: str) -> bool:
        """Whether the result of a shard is there."""
        return self._path(name, _RESULT).is_file()

    def result(self, name: str) -> pa.Table | None:
        """The result of a shard; nothing when there is none."""
        return pq.read_table(self._path(name, _RESULT)) if self.is_finished(name) else None

    def results(self) -> Iterator[pa.Table]:
        """All results that are there, one at a time, also those that an earlier plan asked for."""
        for name in self.finished():
            yield pq.read_table(self._path(name, _RESULT))

    def finished(self) -> list[str]:
        """Names of the shards that have a result."""
        return [path.name.removesuffix(_RESULT) for path in sorted(self.folder.glob(f"*{_RESULT}"))]

    def unfinished(self) -> list[str]:
        """Names of the shards without a result."""
        names = (path.name.removesuffix(_INPUT) for path in sorted(self.folder.glob(f"*{_INPUT}")))
        return [name for name in names if not self.is_finished(name)]

    def keep_inputs(self, names: Iterable[str]) -> None:
        """Removes the inputs that are not of this plan; results stay, they may be of use."""
        kept = set(names)
        for path in self.folder.glob(f"*{_INPUT}"):
            if path.name.removesuffix(_INPUT) not in kept:
                path.unlink(missing_ok=True)

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / f"{name}{ending}"

    def _write(self, path: Path, rows: pa.Table) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # A name of its own: two workers may do one shard at the same time, when one of them was given up for dead.
        unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            with unfinished.open("wb") as file:
                pq.write_table(rows, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def shard_name(*facts: str) -> str:
    """Name of a shard: a hash of all that its result depends on. Letters and digits only."""
    digest = hashlib.sha256()
    for fact in facts:
        encoded = fact.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big"))  # no two lists of facts join to the same bytes
        digest.update(encoded)
    return digest.hexdigest()[:32]


def cut_by_size(
    items: Iterable[_Item], size_of: Callable[[_Item], int], shard_size: int
) -> Iterator[list[_Item]]:
    """Items in their order, as shards of at least the size; the last one may be smaller.

    Args:
        items: What is cut.
        size_of: Size of one of them.
        shard_size: Size from which a shard is full.
    """
    shard: list[_Item] = []
    size = 0
    for item in items:
        shard.append(item)
        size += size_of(item)
        if size >= shard_size:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard
