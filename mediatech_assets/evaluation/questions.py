"""Questions as people ask them, each with the documents that answer it.

What belongs here: reading the question files of this package, the split into two parts, and which questions a
corpus can answer. What does not: asking them (see `run.py`).

Files are `questions/<dataset>.jsonl`, one JSON object a line: `id`, `question`, `relevant` (ids of the right
documents), `slips` (whether it is written with spelling slips), and two keys for people who check it:
`shared_title_words` (words that it shares with the titles of its documents) and `why` (what in them answers).
"""

import hashlib
import importlib.resources
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.resources.abc import Traversable
from typing import Any

from mediatech_assets.errors import ConfigurationError

_SUFFIX = ".jsonl"
_KEYS = frozenset({"id", "question", "relevant", "slips", "shared_title_words", "why"})
_BYTE_VALUES = 256


class Part(StrEnum):
    """What a question may be used for: tuning looks at the training part only."""

    TRAINING = "training"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the documents that answer it.

    Args:
        id: Unique within its dataset.
        dataset: Dataset that is asked.
        text: The question, in French.
        relevant: Ids of the documents that answer it, at least one.
        slips: Whether it is written with spelling slips.
    """

    id: str
    dataset: str
    text: str
    relevant: frozenset[str]
    slips: bool = False

    @property
    def part(self) -> Part:
        """The part it belongs to.

        The first byte of the SHA-256 of its text decides, half and half: nobody chooses, and a question
        stays where it is when others come or go.
        """
        first_byte = hashlib.sha256(self.text.encode()).digest()[0]
        return Part.TRAINING if first_byte < _BYTE_VALUES // 2 else Part.HELD_OUT

    @property
    def key(self) -> str:
        """Its id and a digest of what it asks for: another wording or other right documents make another key.

        Two evaluations can be compared on the keys they share, whatever became of the files in between.
        """
        return f"{self.id}@{digest([self])[:8]}"


def question_datasets() -> tuple[str, ...]:
    """Names of the datasets that have questions, sorted."""
    names = (file.name for file in _folder().iterdir()) if _folder().is_dir() else ()
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def load_questions(dataset: str) -> tuple[Question, ...]:
    """The questions of a dataset, in the order of its file; none when it has no file.

    Raises:
        ConfigurationError: the file breaks a rule of `parse_questions`.
    """
    if dataset not in question_datasets():
        return ()
    file = _folder() / f"{dataset}{_SUFFIX}"
    return parse_questions(file.read_bytes(), dataset, str(file))


def parse_questions(content: bytes, dataset: str, file: str) -> tuple[Question, ...]:
    """Reads the content of a question file.

    Args:
        content: One JSON object a line, in UTF-8; empty lines are passed over.
        dataset: Dataset that its questions ask.
        file: Name of the file, for errors.

    Raises:
        ConfigurationError: a line that is no such object, with other keys or without a right document, or an
            id or question that an earlier line has; the message names file and line.
    """
    questions: list[Question] = []
    line_of: dict[str, int] = {}
    # Not `splitlines`, which would also split at a line separator inside a question.
    for line, written in enumerate(content.split(b"\n"), start=1):
        if not written.strip():
            continue
        try:
            question = _parse_line(written, dataset)
            for name, value in (("id", question.id), ("question", _folded(question.text))):
                first = line_of.setdefault(f"{name} {value}", line)
                if first != line:
                    raise ValueError(f"its {name} is that of line {first}")
        except ValueError as error:
            raise ConfigurationError(f"{file}, line {line}: {error}", "correct that line") from error
        questions.append(question)
    return tuple(questions)


def answerable(questions: Iterable[Question], known_ids: Collection[str]) -> tuple[Question, ...]:
    """The questions that a corpus can answer, each with those of its right documents that are there.

    Args:
        questions: Of one dataset.
        known_ids: Ids of the documents of the corpus.
    """
    known = frozenset(known_ids)
    narrowed = (replace(question, relevant=question.relevant & known) for question in questions)
    return tuple(question for question in narrowed if question.relevant)


def digest(questions: Iterable[Question]) -> str:
    """SHA-256 over all that a judgement of `questions` depends on, whatever their order."""
    facts = sorted(
        [question.dataset, question.id, question.text, *sorted(question.relevant)] for question in questions
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _folder() -> Traversable:
    return importlib.resources.files("mediatech_assets.evaluation") / "questions"


def _folded(text: str) -> str:
    """The text without what makes two copies of one question look different."""
    return " ".join(text.casefold().split())


def _parse_line(line: bytes, dataset: str) -> Question:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON in UTF-8 ({error})") from error
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    _require_keys(row)
    return Question(
        id=_text(row, "id"),
        dataset=dataset,
        text=_text(row, "question"),
        relevant=_relevant(row["relevant"]),
        slips=row["slips"],
    )


def _require_keys(row: Mapping[str, Any]) -> None:
    for problem, keys in (("unknown", row.keys() - _KEYS), ("missing", _KEYS - row.keys())):
        if keys:
            raise ValueError(f"{problem} key {', '.join(sorted(keys))}")
    if not isinstance(row["slips"], bool):
        raise ValueError("slips is neither true nor false")
    shared = row["shared_title_words"]
    if not isinstance(shared, int) or isinstance(shared, bool) or shared < 0:
        raise ValueError("shared_title_words is no count")
    _text(row, "why")


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} is no text or an empty one")
    return value.strip()


def _relevant(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise ValueError("relevant is no list or an empty one: name the documents that answer the question")
    ids = [doc_id for doc_id in value if isinstance(doc_id, str) and doc_id.strip()]
    if len(ids) != len(value):
        raise ValueError("relevant holds something else than ids of documents")
    if len(set(ids)) != len(ids):
        raise ValueError("relevant names a document twice")
    return frozenset(ids)
