"""Two versions of a text side by side in words.

What belongs here: finding the passages that differ, with a little of what stands around them. What does not: HTML.

Lines are compared first, then the words of lines that differ: a reader sees one changed figure in an article, not the
article twice. Cost and length are bounded, whatever the texts are.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

#: A line break, or a word or sign with the blanks behind it.
_TOKEN = re.compile(r"\n|[^\S\n]+|\w+[^\S\n]*|[^\w\s][^\S\n]*")

_WORDS_AROUND = 14
_TOKENS_COMPARED = 1_200
#: Pairs of equal lines or words that a comparison may look at: repeated ones would make it take minutes.
_PAIRS_COMPARED = 200_000
#: Below this likeness two passages are shown whole, one after the other: marks on every second word tell nothing.
_LIKENESS = 0.35
#: A piece between two changes that is shorter than this is taken into them.
_SHORTEST_PIECE = 4
_PASSAGES_SHOWN = 25
_CHARACTERS_OF_A_PIECE = 1_500


class Mark(StrEnum):
    """What became of a piece of text."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"
    OMITTED = "omitted"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a passage; of an omitted one the text says what is not shown."""

    mark: Mark
    text: str


Passage = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """How a text changed.

    Args:
        passages: Passages that differ, in order.
        more: Passages that differ too and are not shown.
    """

    passages: tuple[Passage, ...]
    more: int = 0


def changed_wording(before: str, after: str) -> Wording:
    """The passages that differ between two texts; none when the texts are equal."""
    if before == after:
        return Wording(())
    old, new = _lines(before), _lines(after)
    if _pairs(old, new) > _PAIRS_COMPARED:
        return Wording((tuple(_cut(_words(before, after))),))
    groups = list(SequenceMatcher(None, old, new).get_grouped_opcodes(1))
    passages = [tuple(_cut(_passage(group, old, new))) for group in groups[:_PASSAGES_SHOWN]]
    return Wording(tuple(passages), len(groups) - len(passages))


def _lines(text: str) -> list[str]:
    """The lines with their line breaks, so that joined they are the text."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _passage(
    group: Sequence[tuple[str, int, int, int, int]], old: Sequence[str], new: Sequence[str]
) -> list[Piece]:
    pieces: list[Piece] = []
    for tag, old_start, old_stop, new_start, new_stop in group:
        removed, added = "".join(old[old_start:old_stop]), "".join(new[new_start:new_stop])
        if tag == "equal":
            pieces.append(Piece(Mark.SAME, added))
        elif tag == "replace":
            pieces.extend(_words(removed, added))
        else:
            pieces.append(Piece(Mark.REMOVED, removed) if tag == "delete" else Piece(Mark.ADDED, added))
    return _joined(pieces)


def _words(before: str, after: str) -> list[Piece]:
    """Two passages as one, word by word, or one after the other where they have little in common."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    head, tail = "".join(new[:start]), "".join(new[len(new) - end :])
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    middle = list(_between(old, new))
    return _joined([Piece(Mark.SAME, head), *middle, Piece(Mark.SAME, tail)])


def _between(old: Sequence[str], new: Sequence[str]) -> Iterator[Piece]:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    too_much = max(len(old), len(new)) > _TOKENS_COMPARED or _pairs(old, new) > _PAIRS_COMPARED
    if too_much or matcher.ratio() < _LIKENESS:
        yield Piece(Mark.REMOVED, "".join(old))
        yield Piece(Mark.ADDED, "".join(new))
        return
    removed = added = ""
    for tag, old_start, old_stop, new_start, new_stop in matcher.get_opcodes():
        same = "".join(new[new_start:new_stop])
        if tag == "equal" and len(same.strip()) >= _SHORTEST_PIECE:
            yield Piece(Mark.REMOVED, removed)
            yield Piece(Mark.ADDED, added)
            yield Piece(Mark.SAME, same)
            removed = added = ""
        else:
            removed += "".join(old[old_start:old_stop])
            added += same
    yield Piece(Mark.REMOVED, removed)
    yield Piece(Mark.ADDED, added)


def _pairs(old: Sequence[str], new: Sequence[str]) -> int:
    """How many pairs of equal items there are: what one pass over both costs."""
    counted = Counter(new)
    return sum(counted[item] for item in old)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces that have a text, neighbours of one mark as one."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].mark is piece.mark:
            joined[-1] = Piece(piece.mark, joined[-1].text + piece.text)
        elif piece.text:
            joined.append(piece)
    return joined


def _cut(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces, without most of what is the same on both sides, and without the end of endless changes."""
    last = len(pieces) - 1
    for place, piece in enumerate(pieces):
        if piece.mark is not Mark.SAME:
            yield Piece(piece.mark, piece.text[:_CHARACTERS_OF_A_PIECE])
            hidden = len(piece.text) - _CHARACTERS_OF_A_PIECE
            if hidden > 0:
                yield Piece(Mark.OMITTED, f"{hidden:,} more characters")
            continue
        words = _TOKEN.findall(piece.text)
        head = 0 if place == 0 else _WORDS_AROUND
        tail = 0 if place == last else _WORDS_AROUND
        if len(words) <= head + tail + 2:
            yield piece
            continue
        if head:
            yield Piece(Mark.SAME, "".join(words[:head]))
        yield Piece(Mark.OMITTED, "")
        if tail:
            yield Piece(Mark.SAME, "".join(words[-tail:]))
