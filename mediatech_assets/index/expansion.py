"""Document expansion: what people say where a document speaks officially, for BM25 to find it by.

What belongs here: the phrases, their files, and what they weigh in a document's terms. What does not: the words of
questions (`question.py`), and any text that is shown, embedded or published: phrases are searched, and nothing else.

« Trouble anormal de voisinage » and « mon voisin fait la fête toutes les nuits » share no word, and a small model
does not bring them together. So a document may have a few phrases in everyday words. Files are `<dataset>.tsv`: the
document's id, a tab, and phrases separated by ` | `; lines that begin with `#` are remarks. Those of the platform
stand in `expansions/`; docs/retrieval.md says who wrote them and what they bring.
"""

import hashlib
import importlib.resources
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.index.bm25 import AVERAGE_DOCUMENT_LENGTH, SparseVector, encode_document

#: How often the phrases count beside the document's own words: see docs/retrieval.md.
PHRASE_WEIGHT = 3

#: Value of the setting that leaves all phrases out.
NO_EXPANSION = "none"

_SUFFIX = ".tsv"


def load_expansion(folder: str, dataset: str) -> Mapping[str, str]:
    """The phrases of a dataset's documents, by id, as they are written; none for a dataset without a file.

    Args:
        folder: Folder of the files; empty for those of the platform, `none` for no phrases at all.
        dataset: Name of the dataset.

    Raises:
        ConfigurationError: the folder is missing, or a line of the file is not an id, a tab and phrases, or its id was
            there before; the message names file and line.
    """
    file = _file(folder, dataset)
    return parse_expansion(file.read_bytes(), str(file)) if file else {}


def expansion_version(folder: str, dataset: str) -> str:
    """Eight hexadecimal digits that differ between different phrases; empty without a file."""
    file = _file(folder, dataset)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:8] if file else ""


def parse_expansion(content: bytes, file: str) -> Mapping[str, str]:
    """Reads the content of a file of phrases.

    Args:
        content: Lines in UTF-8; empty lines and remarks are passed over.
        file: Name of the file, for errors.

    Raises:
        ConfigurationError: see `load_expansion`.
    """
    phrases: dict[str, str] = {}
    for line, written in enumerate(content.split(b"\n"), start=1):
        try:
            text = written.decode().strip()
            if not text or text.startswith("#"):
                continue
            doc_id, _, said = (part.strip() for part in text.partition("\t"))
            if not doc_id or not said:
                raise ValueError("it is not an id, a tab and phrases")
            if doc_id in phrases:
                raise ValueError(f"{doc_id} has phrases on an earlier line")
        except ValueError as error:
            raise ConfigurationError(f"{file}, line {line}: {error}", "correct that line") from error
        phrases[doc_id] = said
    return phrases


def encode_expanded(text: str, phrases: str | None) -> SparseVector:
    """What BM25 says of a whole document: its own words, and `PHRASE_WEIGHT` times those of its phrases."""
    said = [phrases] * PHRASE_WEIGHT if phrases else []
    return encode_document("\n".join([text, *said]), AVERAGE_DOCUMENT_LENGTH)


def _file(folder: str, dataset: str) -> Traversable | None:
    if folder == NO_EXPANSION:
        return None
    if folder and not Path(folder).is_dir():
        raise ConfigurationError(
            f"MEDIATECH_EXPANSIONS names no folder: {folder}",
            f"name a folder of <dataset>{_SUFFIX} files, `{NO_EXPANSION}`, or nothing for the platform's own",
        )
    own = importlib.resources.files("mediatech_assets.index") / "expansions"
    file = (Path(folder) if folder else own) / f"{dataset}{_SUFFIX}"
    return file if file.is_file() else None
