"""What a release is held to: judgements that stand in its manifest.

What belongs here: the judgements that the lake's tables and the written files allow. What does not: those that need
other layers (the caller hands them in), and refusing a release (`approval.py`).

A release with a failed check is built all the same, so that people can look at it. The same state of the lake gives
the same judgements in the same words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.lake import Lake, quoted
from mediatech_assets.release.export import Exported, ExportedFile, ExportSpec


@dataclass(frozen=True, slots=True)
class Rule:
    """What a release is held to.

    Args:
        text: What has to be so, for people.
        blocking: Whether a release of which it is not so can be neither approved nor published.
    """

    text: str
    blocking: bool


#: Every rule, by the name of its check.
RULES = {
    "chunk_ids_unique": Rule("No two rows have the same chunk_id.", True),
    "chunks_within_the_models_limit": Rule("The model saw every chunk whole.", True),
    "counts_reconcile": Rule("Every chunk has its row, every document with text is in a file.", True),
    "documents_in_one_file": Rule("No document is split over two files.", True),
    "files_as_described": Rule(
        "Every file can be opened, with the columns and types of the card and the rows of the manifest.", True
    ),
    "finds_the_right_documents": Rule("The newest evaluation reaches the dataset's floor.", True),
    "nothing_refused": Rule("No input stands in quarantine.", False),
    "up_to_date": Rule("Everything that the upstream published is applied.", False),
    "vectors_sound": Rule(
        "Vectors have the model's length, finite numbers, and norm 1 where it says so.", True
    ),
}


@dataclass(frozen=True, slots=True)
class Check:
    """A judgement of a release.

    Args:
        name: Its name.
        passed: Whether it is as it should be.
        blocking: Whether a release that fails it can be neither approved nor published.
        detail: What was found, for people.
    """

    name: str
    passed: bool
    blocking: bool
    detail: str


def check_release(lake: Lake, spec: ExportSpec, exported: Exported, most_tokens: int) -> list[Check]:
    """Judges what was exported.

    Args:
        lake: The lake; the dataset's catalog is open.
        spec: What was exported.
        exported: What came of it.
        most_tokens: Tokens that the model takes of a text.
    """
    dataset = quoted(spec.dataset)
    row = (
        lake.cursor()
        .execute(
            f"""
            SELECT count(*), count(DISTINCT chunk_id), count(DISTINCT doc_id), coalesce(max(tokens), 0)
            FROM {dataset}.chunks WHERE chunking_id = ?
            """,
            [spec.chunking_id],
        )
        .fetchone()
    )
    chunks, identifiers, documents, tokens = row or (0, 0, 0, 0)
    written = sum(file.rows for file in exported.files)
    bad_vectors = sum(file.bad_vectors for file in exported.files)
    length = f"{spec.dimensions:,} finite numbers" + (", length 1" if spec.normalised else "")
    return [
        judged(
            "counts_reconcile",
            written == chunks and exported.documents == documents,
            f"{written:,} rows for {chunks:,} chunks, {exported.documents:,} documents in files for {documents:,} "
            "with text",
        ),
        judged(
            "chunk_ids_unique", identifiers == chunks, f"{identifiers:,} identifiers for {chunks:,} chunks"
        ),
        judged(
            "documents_in_one_file",
            exported.split_documents == 0,
            f"{exported.split_documents:,} documents are in more than one file",
        ),
        judged(
            "vectors_sound",
            bad_vectors == 0,
            f"{bad_vectors:,} of {written:,} vectors are not what they should be: {length}",
        ),
        judged(
            "chunks_within_the_models_limit",
            tokens <= most_tokens,
            f"the longest chunk has {tokens:,} tokens, the model takes {most_tokens:,}",
        ),
        _nothing_refused(lake, dataset),
    ]


def files_as_described(folder: Path, files: Sequence[ExportedFile], types: Mapping[str, str]) -> Check:
    """Opens every file with rows, as consumers do: one with other columns makes the whole release unreadable.

    Args:
        folder: The release's folder.
        files: Its files with rows.
        types: Names of types by column, in order, as the card says them.
    """
    differing = [file.path for file in files if not _is_as_described(folder / file.path, file.rows, types)]
    return judged(
        "files_as_described",
        not differing,
        f"{len(differing):,} of {len(files):,} files are not as they are described: {', '.join(differing[:3])}"
        if differing
        else f"{len(files):,} files with {len(types)} columns",
    )


def _is_as_described(path: Path, rows: int, types: Mapping[str, str]) -> bool:
    try:
        footer = pq.read_metadata(path)
        found = {field.name: type_name(field.type) for field in footer.schema.to_arrow_schema()}
    except (OSError, pa.ArrowException):
        return False
    return footer.num_rows == rows and list(found.items()) == list(types.items())


def type_name(kind: pa.DataType) -> str:
    """Name of a type of a release's column, as cards say it."""
    return f"list<{kind.value_type}>" if pa.types.is_list(kind) else str(kind)


def judged(name: str, passed: bool, detail: str) -> Check:
    """The check of one of `RULES`."""
    return Check(name, passed, RULES[name].blocking, detail)


def up_to_date(pending: Sequence[str]) -> Check:
    """Whether all that the upstream published is in the documents.

    Args:
        pending: Files that are not, oldest first.
    """
    more = f" and {len(pending) - 3:,} more" if len(pending) > 3 else ""
    detail = (
        f"not applied: {', '.join(pending[:3])}{more}" if pending else "all that was published is applied"
    )
    return judged("up_to_date", not pending, detail)


def _nothing_refused(lake: Lake, dataset: str) -> Check:
    row = (
        lake.cursor()
        .execute(
            f"SELECT (SELECT count(*) FROM {dataset}.quarantine), (SELECT count(*) FROM {dataset}.documents)"
        )
        .fetchone()
    )
    refused, documents = row or (0, 0)
    rate = refused / max(1, refused + documents)
    detail = f"{refused:,} inputs in quarantine beside {documents:,} documents ({rate:.2%})"
    return judged("nothing_refused", refused == 0, detail)
