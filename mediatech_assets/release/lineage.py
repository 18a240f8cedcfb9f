"""The way from raw files to a release, as a picture with the versions that each step had.

What belongs here: the steps and their facts, and drawing them as SVG. What does not: reading the facts.

Text in SVG does not wrap. Facts are set in a font whose letters are all equally wide, so that they can be broken
here at the width of their box, and a page shows the picture in the width that suits it: three boxes in a row, or one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mediatech_assets.release.escaping import html_text
from mediatech_assets.release.review_facts import ReviewFacts

_BOX, _GAP, _PADDING = 330, 34, 14
_TITLE, _LINE = 26, 19
_FONT = 13
#: Width of a letter of any common font of one width, over its size: 0.6, and a little for rounding.
_LETTER = 0.615
_LETTERS = int((_BOX - 2 * _PADDING) / (_FONT * _LETTER))
_FACT_LINES = 3
_SHORT_HASH = 12


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the flow: its name and what is known of it, a fact a line."""

    name: str
    facts: tuple[str, ...]


def lineage_steps(facts: ReviewFacts) -> list[Step]:
    """The steps behind a release, first to last."""
    manifest, release = facts.release.manifest, facts.release
    raw, profile = manifest["raw_files"], manifest["profile"]
    newest = (
        max(raw, key=lambda file: (file.get("last_modified") or file["stamp"] or "", file["file"]))
        if raw
        else None
    )
    collection, points = facts.collection or ("none", 0)
    data = release.data_files
    return [
        Step(
            "Raw files",
            (
                _counted(len(raw), "file"),
                *((f"newest {newest['file']}", f"version {newest['stamp']}") if newest else ()),
                *((f"sha256 {newest['sha256'][:_SHORT_HASH]}…",) if newest else ()),
            ),
        ),
        Step(
            "Documents",
            (
                _counted(manifest["documents"], "document"),
                f"parser {manifest['code'].get('parser', 'unknown')}",
                f"lake snapshot {manifest.get('lake_snapshot', 'unknown')}",
            ),
        ),
        Step(
            "Chunks",
            (
                _counted(manifest["rows"], "chunk"),
                f"chunking {manifest.get('chunking', 'unknown')}",
                *((f"at most {profile['chunk_tokens']} tokens",) if profile.get("chunk_tokens") else ()),
            ),
        ),
        Step(
            "Embeddings",
            (
                f"model {profile.get('model', 'unknown')}",
                f"revision {profile.get('revision') or 'none'}",
                f"{_counted(facts.lengths.texts or manifest['rows'], 'vector')} of "
                f"{profile.get('dimensions', 'unknown')} dimensions",
            ),
        ),
        Step("Index", (f"collection {collection}", _counted(points, "point"))),
        Step(
            "Release",
            (
                release.id,
                f"{_counted(manifest['rows'], 'row')} in {_counted(len(data), 'file')}",
                f"{in_bytes(sum(file.bytes for file in data))} of Parquet",
                f"sha256 {manifest.get('content_sha256', '')[:_SHORT_HASH]}…",
            ),
        ),
    ]


def lineage_svg(steps: Sequence[Step], columns: int) -> str:
    """The steps as boxes with arrows; every second row runs backwards, so that arrows stay short.

    Args:
        steps: First to last.
        columns: Boxes in a row.
    """
    lines = [[line for fact in step.facts for line in _fact_lines(fact)] for step in steps]
    heights = [
        2 * _PADDING + _TITLE + _LINE * max(map(len, lines[first : first + columns]))
        for first in range(0, len(steps), columns)
    ]
    boxes = [_box_of(number, columns, heights) for number in range(len(steps))]
    width = columns * _BOX + (columns - 1) * _GAP + 2
    words = "; ".join(f"{step.name}: {', '.join(step.facts)}" for step in steps)
    parts = [
        f'<svg class="lineage" viewBox="-1 -1 {width} {sum(heights) + _GAP * (len(heights) - 1) + 2}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" style="max-width: {width}px" '
        f'aria-label="{html_text(f"From raw files to the release. {words}")}">',
        *(_drawn(box, step.name, text) for box, step, text in zip(boxes, steps, lines, strict=True)),
        *(_arrow(first, second) for first, second in pairwise(boxes)),
        "</svg>",
    ]
    return "".join(parts)


def broken(text: str, letters: int) -> list[str]:
    """The text in lines of at most so many letters, between words where that is possible."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) <= letters:
            lines[-1] += f" {word}"
            continue
        pieces = [word[start : start + letters] for start in range(0, len(word), letters)]
        lines[-1:] = [*filter(None, lines[-1:]), *pieces]
    return lines


def _fact_lines(fact: str) -> list[str]:
    """A fact in its lines; what would take more of them than the picture has room for ends in an ellipsis."""
    lines = broken(fact, _LETTERS)
    if len(lines) > _FACT_LINES:
        lines = [*lines[: _FACT_LINES - 1], f"{lines[_FACT_LINES - 1][: _LETTERS - 1]}…"]
    return lines


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a step is drawn: its left upper corner, and its height."""

    x: int
    y: int
    height: int


def _box_of(number: int, columns: int, heights: Sequence[int]) -> _Box:
    row, column = divmod(number, columns)
    if row % 2:
        column = columns - 1 - column
    return _Box(column * (_BOX + _GAP), sum(heights[:row]) + row * _GAP, heights[row])


def _drawn(box: _Box, name: str, lines: Sequence[str]) -> str:
    left, top = box.x + _PADDING, box.y + _PADDING + 14
    texts = "".join(
        f'<text class="fact" x="{left}" y="{top + _TITLE + number * _LINE}">{html_text(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<g><rect x="{box.x}" y="{box.y}" width="{_BOX}" height="{box.height}" rx="8"/>'
        f'<text class="step" x="{left}" y="{top}">{html_text(name)}</text>{texts}</g>'
    )


def _arrow(first: _Box, second: _Box) -> str:
    if first.y == second.y:
        forward = second.x > first.x
        start, stop = (first.x + _BOX, second.x) if forward else (first.x, second.x + _BOX)
        middle, head = first.y + first.height // 2, 7 if forward else -7
        return (
            f'<path class="arrow" d="M{start} {middle}H{stop - head}"/>'
            f'<path class="head" d="M{stop} {middle}l{-head} -5v10z"/>'
        )
    middle = first.x + _BOX // 2
    return (
        f'<path class="arrow" d="M{middle} {first.y + first.height}V{second.y - 7}"/>'
        f'<path class="head" d="M{middle} {second.y}l-5 -7h10z"/>'
    )


def in_bytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
