"""Splitting of a text into pieces of bounded length in tokens.

What belongs here: where a French text may be cut, and how the parts are packed into pieces. What does not:
what a token is (a function is given) and what is put around a piece.

The pieces joined give the text back exactly: white space after a cut stays at the end of the piece before it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

#: Changes whenever the same text would be cut elsewhere; part of the chunking's identity.
SPLITTER_VERSION = "1"

#: Only these separate words. A non-breaking space holds « n° 12 » or « 10 000 » together, and tokenizers
#: disagree on rarer separators: a word is counted whole, so what counts as a word must be certain.
_WORD = re.compile(r"[^ \t\n\r]+")

#: A word longer than this number of characters for each token of the budget exceeds it: no need to count.
_LONGEST_TOKEN = 16

#: A last piece below one part in eight of the budget is a scrap.
_SCRAP = 8

#: Characters for each token of the budget at which the cutting of an over-long word starts.
_FRAGMENT_START = 4

_SENTENCE_END = re.compile(r"[.!?…][»”\"’')\]\s]*$")
_CLAUSE_END = re.compile(r"[;:][»”\"’')\]\s]*$")

#: Words with a full stop that does not end a sentence: one letter (« L. », « M. »), list numbers (« 1. »)
#: and the abbreviations of French administrative and legal texts.
_ABBREVIATION = re.compile(
    r"""[«“"'‘(\[]*
    (?: (?:[a-z]['’])? [^\W\d_] | [^\W\d_](?:\.-?[^\W\d_])+ | \d{1,2}
      | (?:[dl]['’])?(?:art|al|arr|av|bd|bull|cass|cf|ch|chap|circ|civ|coll|dr|éd|env|ex|fasc|fig|hab|ibid
      | janv|févr|avr|juill|sept|oct|nov|déc|mm|mme|mlle|me|mgr|min|max|n°|no|nos|not|obs|p|pp|par|pl|préf
      | rec|réf|sect|soc|st|ste|suiv|t|tél|tit|trib|vol|v)
    )\.$""",
    re.VERBOSE | re.IGNORECASE,
)


class _Boundary(IntEnum):
    """What ends after a word, strongest first."""

    PARAGRAPH = 0
    LINE = 1
    SENTENCE = 2
    CLAUSE = 3
    WORD = 4


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a text, each with the white space after it.

    Args:
        ends: Position in the text after each word and its white space.
        boundaries: What ends after each word.
        tokens_before: Tokens before each word, and of the whole text as the last number.
    """

    ends: list[int]
    boundaries: list[_Boundary]
    tokens_before: list[int]

    def tokens(self, first: int, stop: int) -> int:
        """Tokens of the words from `first` to before `stop`."""
        return self.tokens_before[stop] - self.tokens_before[first]


def split_text(text: str, budget: int, count_tokens: Callable[[str], int]) -> list[str]:
    """Cuts `text` into pieces of at most `budget` tokens.

    A paragraph, then a line (table row, list item), then a sentence, then a clause stays whole when it fits
    into a piece; consecutive parts share a piece as long as they fit. A single word above the budget is cut
    between characters. Time grows with the length of the text: every word is counted once.

    Args:
        text: Any text; it may be empty.
        budget: Most tokens of a piece, at least 1.
        count_tokens: Tokens of one word. The tokens of a text must never exceed the sum over its words.

    Returns:
        Pieces whose join is `text`, none empty; none at all for an empty text. A piece exceeds the budget
        only if it is a single character that does.

    Raises:
        ValueError: the budget is below 1.
    """
    if budget < 1:
        raise ValueError(f"a piece needs room for at least one token, not {budget}")
    if not text:
        return []
    words = _words(text, budget, count_tokens)
    if not words.ends:
        return [text]
    cuts = _cuts(words, budget)
    starts = [0, *(words.ends[cut - 1] for cut in cuts)]
    return [text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]


def _words(text: str, budget: int, count_tokens: Callable[[str], int]) -> _Words:
    """The words of `text`; those above the budget are already cut into fragments."""
    words = _Words(ends=[], boundaries=[], tokens_before=[0])
    total = 0
    match = _WORD.search(text)
    while match is not None:
        following = _WORD.search(text, match.end())
        end = following.start() if following else len(text)
        word, start = match.group(), match.start()
        too_long = len(word) > _LONGEST_TOKEN * budget
        tokens = 0 if too_long else max(1, count_tokens(word))
        if too_long or tokens > budget:
            for length, tokens in _fragments(word, budget, count_tokens):
                start += length
                # A fragment fills its piece: joined to the next one it would be another word.
                total += budget if start < match.end() else tokens
                words.ends.append(start)
                words.boundaries.append(_Boundary.WORD)
                words.tokens_before.append(total)
            words.ends[-1] = end
        else:
            total += tokens
            words.ends.append(end)
            words.boundaries.append(_Boundary.WORD)
            words.tokens_before.append(total)
        words.boundaries[-1] = _boundary(word, text[match.end() : end], text[end : end + 1])
        match = following
    return words


def _fragments(word: str, budget: int, count_tokens: Callable[[str], int]) -> Iterator[tuple[int, int]]:
    """Length in characters and in tokens of the parts of a word above the budget."""
    start = 0
    while start < len(word):
        length = min(len(word) - start, _FRAGMENT_START * budget)
        tokens = max(1, count_tokens(word[start : start + length]))
        while tokens > budget and length > 1:
            length = max(1, min(length - 1, length * budget // tokens))
            tokens = max(1, count_tokens(word[start : start + length]))
        yield length, min(tokens, budget)
        start += length


def _boundary(word: str, space: str, next_character: str) -> _Boundary:
    """What ends after `word`, given the white space and the character that follow."""
    lines = space.count("\n")
    if lines:
        return _Boundary.LINE if lines == 1 else _Boundary.PARAGRAPH
    if word[-1].isalnum():
        return _Boundary.WORD
    if _SENTENCE_END.search(word) and not _ABBREVIATION.match(word) and not next_character.islower():
        return _Boundary.SENTENCE
    return _Boundary.CLAUSE if _CLAUSE_END.search(word) else _Boundary.WORD


def _cuts(words: _Words, budget: int) -> list[int]:
    """Indexes of the words that begin a piece, but the first."""
    part_ends = list(_part_ends(words, 0, len(words.ends), _Boundary.PARAGRAPH, budget))
    cuts: list[int] = []
    start = part_start = 0
    for part_end in part_ends:
        if words.tokens(start, part_end) > budget:
            # The first part always fits: a cut lies after at least one part.
            cuts.append(part_start)
            start = part_start
        part_start = part_end
    if cuts:
        cuts[-1] = _balanced_last_cut(words, cuts, part_ends, budget)
    return cuts


def _part_ends(words: _Words, first: int, stop: int, level: int, budget: int) -> Iterator[int]:
    """Ends of the largest parts of the words from `first` to before `stop` that fit into a piece."""
    if words.tokens(first, stop) <= budget or level > _Boundary.WORD:
        yield stop
        return
    start = first
    for index in range(first, stop):
        if words.boundaries[index] <= level or index == stop - 1:
            yield from _part_ends(words, start, index + 1, level + 1, budget)
            start = index + 1


def _balanced_last_cut(words: _Words, cuts: list[int], part_ends: list[int], budget: int) -> int:
    """The last cut, moved back over whole sentences when the last piece would be a scrap."""
    stop = len(words.ends)
    previous, last = (cuts[-2] if len(cuts) > 1 else 0), cuts[-1]
    if words.tokens(last, stop) * _SCRAP >= budget:
        return last
    earlier = [
        end
        for end in part_ends
        if previous < end < last
        and words.boundaries[end - 1] <= _Boundary.SENTENCE
        and words.tokens(end, stop) <= min(budget, words.tokens(previous, end))
    ]
    return min(earlier, default=last)
