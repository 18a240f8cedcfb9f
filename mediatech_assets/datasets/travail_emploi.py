"""Travail-emploi: sheets of the Ministry of Labour, as collected by the ministries' digital team.

What belongs here: the facts of the one JSON file and its sheets' fields. What does not: how the file is cut into
sheets (`raw/record_files.py`), and how HTML becomes text (`documents/markup.py`).

The file is a list of sheets, which come here one by one: `pubId`, `title`, `url`, `date` (`dd/mm/yyyy`),
`intro` (HTML), `description` and `sections`, each with `title`, `html` and `text`. We read `html`: `text` says the
same words without any mark between paragraphs (« fin.Début »), so that it only serves when `html` is empty. In one
section of seven, `text` also runs on into the titles and words of the sections that follow, which have their own
`html`: those words are in our document once, at their own place. The few words that no `html` holds (one section
in two hundred: the end of a list of files) come last, under the kind `complement`.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from mediatech_assets.datasets.base import Dataset, Snapshot, SnapshotFile
from mediatech_assets.documents.markup import html_text, one_line, well_formed_text, words_sha256
from mediatech_assets.documents.model import (
    Document,
    Member,
    MetadataValue,
    Outcome,
    Refusal,
    Section,
    strip_marks,
)
from mediatech_assets.records import JsonRecords
from mediatech_assets.schemas import column

_URL = "https://github.com/SocialGouv/fiches-travail-data/raw/master/data/fiches-travail.json"

_PUBLISHED = (
    column("title", pa.string(), "Title."),
    column("surtitle", pa.string(), "Kind of sheet: always « Travail-Emploi »."),
    column("source", pa.string(), "Name of the source: always « travail-emploi »."),
    column("introduction", pa.string(), "Introduction of the sheet."),
    column("date", pa.string(), "ISO date of the last change."),
    column("url", pa.string(), "Page of the sheet."),
)
_PUBLISHED_NAMES = tuple(field.name for field in _PUBLISHED)


class _FieldError(ValueError):
    """A field of a sheet that is missing or of another type; the message names it."""


def wants(path: str) -> bool:
    """Every sheet; the file has nothing else."""
    return path.startswith("sheet[")


def parse(member: Member) -> list[Outcome]:
    """The document of one sheet, or why it cannot be used."""
    try:
        sheet = json.loads(member.data)
    # RecursionError: brackets nested some thousands deep.
    except (ValueError, RecursionError) as error:
        return [Refusal(member.path, f"not a sheet as JSON: {error}")]
    return [_outcome(sheet, member.path)]


def heading(metadata: Mapping[str, MetadataValue]) -> list[str]:
    """The sheet's title."""
    return [str(metadata["title"])] if metadata["title"] else []


def _outcome(sheet: Any, place: str) -> Outcome:  # noqa: ANN401 - whatever the JSON holds
    subject = place
    try:
        if not isinstance(sheet, dict):
            return Refusal(place, f"the sheet is {_type_name(sheet)} and not an object")
        subject = _line(sheet, "pubId") or place
        if subject == place:
            return Refusal(place, "the field pubId is empty")
        return _document(subject, sheet)
    except _FieldError as error:
        return Refusal(subject, str(error))


def _document(sheet_id: str, sheet: Mapping[str, Any]) -> Document:
    title = _line(sheet, "title")
    url = _line(sheet, "url")
    introduction = html_text(_text(sheet, "intro"))
    date = _line(sheet, "date")
    iso_date = _iso_date(date)
    parts = _objects(sheet, "sections")
    sections = [Section(introduction, kind="introduction")] if introduction else []
    sections += _sections(parts, title)
    return Document(
        doc_id=sheet_id,
        metadata={
            "title": title,
            # The two constants are those of the datasets that consumers already use.
            "surtitle": "Travail-Emploi",
            "source": "travail-emploi",
            "introduction": introduction,
            "date": iso_date or date,
            "url": url,
            "description": _line(sheet, "description"),
            "source_text_sha256": _source_hash(parts),
        },
        sections=tuple(sections),
        source_url=url,
        source_updated_at=iso_date,
    )


def _sections(parts: list[Mapping[str, Any]], sheet_title: str) -> Iterator[Section]:
    read = [(part, _section(part, sheet_title)) for part in parts]
    held = _without_spaces(
        " ".join((*section.context, strip_marks(section.text))) for _, section in read if section is not None
    )
    yield from (section for _, section in read if section is not None)
    for part, section in read:
        if section is not None and (rest := _not_held(_line(part, "text"), held)):
            yield Section(rest, kind="complement")


def _not_held(text: str, held: str) -> str:
    """End of `text`, from the first word on that follows its beginning in `text` and not in `held`.

    Args:
        text: What upstream says of a section, as one line.
        held: All that the document says, without white space.
    """
    words = text.split(" ")
    first = bisect_left(range(len(words)), True, key=lambda last: "".join(words[: last + 1]) not in held)
    return " ".join(words[first:])


def _without_spaces(texts: Iterable[str]) -> str:
    return "".join("".join(texts).split())


def _section(part: Mapping[str, Any], sheet_title: str) -> Section | None:
    title = _line(part, "title")
    text = html_text(_text(part, "html")) or _line(part, "text")
    own_title = title if title != sheet_title else ""
    if not text:
        # A title with nothing under it would be in no section's context.
        return Section(own_title) if own_title else None
    return Section(text, context=(own_title,) if own_title else ())


def _source_hash(parts: list[Mapping[str, Any]]) -> str:
    """Hash of the words of every section as published: proof of which version was read."""
    return words_sha256("\n".join(f"{_text(part, 'title')}\n{_text(part, 'text')}" for part in parts))


def _iso_date(date: str) -> str | None:
    try:
        return datetime.strptime(date, "%d/%m/%Y").date().isoformat()
    except ValueError:
        return None


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = _value(holder, name)
    if not isinstance(value, str):
        raise _FieldError(f"the field {name} is {_type_name(value)} and not a text")
    return value


def _line(holder: Mapping[str, Any], name: str) -> str:
    return one_line(well_formed_text(_text(holder, name)))


def _objects(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = _value(holder, name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _FieldError(f"the field {name} is not a list of objects")
    return value


def _value(holder: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever the JSON holds
    if name not in holder:
        raise _FieldError(f"the field {name} is missing")
    return holder[name]


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


DATASET = Dataset(
    name="travail_emploi",
    title="Travail-emploi : fiches pratiques du ministère du travail",
    description="Sheets of the Ministry of Labour on employment law and schemes.",
    producer="Ministère chargé du travail",
    homepage="https://travail-emploi.gouv.fr/",
    source=Snapshot((SnapshotFile(_URL, "json", records=JsonRecords("sheet", "item", "pubId")),)),
    cadence=timedelta(days=1),
    late_after=timedelta(days=21),
    wants=wants,
    parse=parse,
    parser_version="1",
    metadata_schema=pa.schema(
        [
            *_PUBLISHED,
            column("description", pa.string(), "Short description."),
            column("source_text_sha256", pa.string(), "SHA-256 of the source's text."),
        ]
    ),
    published_columns=(*_PUBLISHED_NAMES, "context", "text"),
    heading=heading,
    retrieval_floors={"use": 0.75},
    filters=("date",),
)
