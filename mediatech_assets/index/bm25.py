"""French BM25 as sparse vectors: the same encoder for chunks and for questions.

What belongs here: cutting French text into terms, giving each term a stable number and weighing it. What does
not: inverse document frequency (the engine computes it over the live collection) and any ranking.

What a term is, in the order in which the text is tried:

* an **article reference**, spaces, dots and the star of `R*` removed: « L. 1221-1 », « L1221-1 » and
  « l 1221-1 » are the term `l1221-1`. The star only tells by which kind of decree an article was made, and
  readers leave it out, so it is left out here. A lone `a` before a number is the verb or the preposition
  (« a 10 ans », « à 10 »), so `A` needs its dot or no space at all (« A. 123-4 », « A123-4 »);
* `aujourd'hui` and the family of `prud'homme`, whose apostrophes are no elision; an elided function word
  (l', d', qu', jusqu'…) is dropped;
* a **number**, whole: thousands joined (« 5 000 » is `5000`), one mark for decimals (`2,5`), hyphens kept
  (law `2008-1249`, article `16-1`);
* a **word**, without stop words, stemmed by Snowball.

Case, accents and ligatures are folded before anything else, so that a question typed without accents finds
the same terms. That costs the stemmer some accented endings, on both sides alike.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import xxhash

#: Changes whenever the same text gives another vector: collections of another version must be filled anew.
BM25_VERSION = "french-1"

#: Saturation of a term's frequency: the customary value of BM25, between 1.2 and 2.
K = 1.2
#: Share of the length normalisation: the customary value of BM25.
B = 0.75
#: Terms of an average chunk. Fixed, because a moving average would change the vector of every chunk each
#: time one is added. In the Travail sheets, 1,100 characters (256 tokens) hold 89 terms, without the heading.
AVERAGE_LENGTH = 100.0

#: The same of a whole document: the median of service-public's sheets is 402, and retrieval is the same from 300
#: to 750 (docs/retrieval.md).
AVERAGE_DOCUMENT_LENGTH = 400.0

#: Longest word that is stemmed and remembered; longer runs of letters are data (base64), not French.
LONGEST_WORD = 64

_REMEMBERED_TERMS = 1 << 17

_WRITTEN_OTHERWISE = {
    **dict.fromkeys("’‘ʼ‛′", "'"),
    **dict.fromkeys("‐‑‒–—−", "-"),
    "œ": "oe",
    "Œ": "oe",
    "æ": "ae",
    "Æ": "ae",
}
_LETTERS = re.compile(f"[{''.join(_WRITTEN_OTHERWISE)}]")
#: Accents once split from their letters, soft hyphens and zero-width characters: nothing that a reader types.
_MARKS = re.compile("[\u0300-\u036f\u00ad\u200b-\u200d\u2060\ufeff]+")

_REFERENCE_TEXT = r"(?:(?:l\.?[ ]?o|[lrd])[.\s*]{0,4}|a(?:\.[.\s*]{0,3}|\*\s?)?)\d++(?:-\d++)*+(?![^\W_])"
_NUMBER_TEXT = (
    r"(?:\d{1,3}(?:[ ]\d{3})++(?:[.,]\d++)?|(?<!\d[.,])\d++[.,]\d++(?![.,]\d)|\d++(?:-\d++)*+)(?![^\W_])"
)
_REFERENCE = re.compile(_REFERENCE_TEXT)
_NUMBER = re.compile(_NUMBER_TEXT)
_TERM = re.compile(
    rf"{_REFERENCE_TEXT}"
    r"|aujourd'hui|prud'hom[^\W_]*"
    r"|(?:[ljmtsncd]|qu|jusqu|lorsqu|puisqu|quoiqu|quelqu)'(?=[^\W_])"
    rf"|{_NUMBER_TEXT}"
    r"|[^\W_]+"
)
_REFERENCE_PUNCTUATION = re.compile(r"[.\s*]+")

_FUNCTION_WORDS = """
a afin ai ainsi ait alors apres au aucun aucune aussi autre autres aux avait avant avec avez avoir avons
ayant ca ce ceci cela celle celles celui ces cet cette ceux chaque chez ci comme comment dans de depuis des
deux donc dont du elle elles en encore entre est et etaient etait etant etes etre eux fait faut font furent
fut hors il ils j je l la laquelle le lequel les lesquelles lesquels leur leurs lors lui m ma mais me meme
memes mes moi moins mon n ne ni nos notre nous on ont ou par parmi pas pendant peut peuvent plus pour
pourquoi pouvez puis qu quand que quel quelle quelles quels qui quoi sa se selon sera seront ses si soi
soient soit son sont sous suis sur ta te tel telle telles tels tes toi ton tous tout toute toutes tres tu un
une vers via vos votre vous y
"""
#: Function words, without accents. Not among them, because they name things once accents are folded: `car`
#: (vehicle), `or` (gold), `ete` (summer), `sans`, and the letters of categories and permits (`b`, `d`).
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True, slots=True)
class SparseVector:
    """A vector given by its non-zero entries.

    Args:
        indices: Term numbers, ascending, each once, unsigned 32-bit.
        values: Weight of each term, in the same order.
    """

    indices: tuple[int, ...]
    values: tuple[float, ...]


def encode_document(text: str, average_length: float = AVERAGE_LENGTH) -> SparseVector:
    """Weigh the terms of a text by the term-frequency part of BM25.

    Args:
        text: What is searched: a chunk with its title and context, or a whole document.
        average_length: Terms of an average text of the kind.

    Returns:
        One entry a distinct term: `tf·(K+1) / (tf + K·(1 - B + B·length/average_length))`, where `length`
        counts all terms of the text (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009,
        without its IDF factor). Empty when the text holds no term.
    """
    frequencies = Counter(_term_ids(text))
    saturation = K * (1 - B + B * frequencies.total() / average_length)
    indices = sorted(frequencies)
    return SparseVector(
        tuple(indices),
        tuple(frequencies[index] * (K + 1) / (frequencies[index] + saturation) for index in indices),
    )


def encode_query(text: str) -> SparseVector:
    """Give each distinct term of a question the weight 1: the engine multiplies it by the term's IDF.

    Returns:
        Empty when the question holds nothing but function words and punctuation.
    """
    indices = tuple(sorted(set(_term_ids(text))))
    return SparseVector(indices, (1.0,) * len(indices))


def terms(text: str) -> list[str]:
    """Terms of `text` in reading order: what the encoders count."""
    return [term for _, term in words(text)]


def words(text: str) -> list[tuple[str, str]]:
    """Words of `text` in reading order, folded but not stemmed, each with its term; function words are left out."""
    return [(found, term) for found in _TERM.findall(_fold(text)) if (term := _term(found))]


def term_id(term: str) -> int:
    """The number of a term, as `terms` gives it, in sparse vectors."""
    return xxhash.xxh32_intdigest(term.encode("utf-8", "surrogatepass"))


def _term_ids(text: str) -> list[int]:
    return [number for found in _TERM.findall(_fold(text)) if (number := _term_id(found)) is not None]


def _fold(text: str) -> str:
    if not text.isascii():
        # NFKD turns the spacing acute accent into a space, and people type it as an apostrophe.
        text = unicodedata.normalize("NFKD", text.replace("´", "'"))
        text = _MARKS.sub("", text)
        text = _LETTERS.sub(lambda letter: _WRITTEN_OTHERWISE[letter.group()], text)
    return text.casefold()


def _term_id(found: str) -> int | None:
    # Long runs would fill the memory of the cache; they are rare enough to be computed each time.
    return _remembered_term_id(found) if len(found) <= LONGEST_WORD else _hash(_term(found))


@lru_cache(maxsize=_REMEMBERED_TERMS)
def _remembered_term_id(found: str) -> int | None:
    return _hash(_term(found))


def _hash(term: str | None) -> int | None:
    return term_id(term) if term else None


def _term(found: str) -> str | None:
    """The term that a match of `_TERM` stands for, or none for a function word."""
    if _REFERENCE.fullmatch(found):
        return _REFERENCE_PUNCTUATION.sub("", found)
    if _NUMBER.fullmatch(found):
        return found.replace(" ", "").replace(".", ",")
    if found in STOP_WORDS or found.endswith("'"):
        return None
    if found == "aujourd'hui" or len(found) > LONGEST_WORD or not found.replace("'", "").isalpha():
        return found
    return _french_stem()(found.replace("'", ""))


@cache
def _french_stem() -> Callable[[str], str]:
    # The package describes its class in a file that type checkers do not look at.
    from py_rust_stemmers import SnowballStemmer  # pyright: ignore[reportAttributeAccessIssue]

    return SnowballStemmer("french").stem_word
