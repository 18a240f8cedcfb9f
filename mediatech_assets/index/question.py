"""A question as BM25 asks it: its own terms, and the official words for its everyday ones.

What belongs here: the lexicon of everyday French and the weights of terms. What does not: what a term is
(`bm25.py`), and ranking.

People write « mon proprio » and « papier rose » where official texts say « propriétaire bailleur » and « permis de
conduire »: sharing no word, they cannot meet. `everyday_french.tsv` says which official words stand for an everyday
expression. They are added to the question with a smaller weight; nothing is taken away from it, and the texts are
indexed as they are.
"""

import importlib.resources
from collections.abc import Iterator, Mapping
from functools import cache

from mediatech_assets.index.bm25 import SparseVector, term_id, terms, words

#: Weight of an official word beside 1 for a word of the question: see docs/retrieval.md.
EXPANSION_WEIGHT = 0.25

_LEXICON = "everyday_french.tsv"

#: Shorter words are compared as they are written: « caf » is no « café », nor « virer » what a « virement » does.
_SHORTEST_STEMMED = 6

#: Everyday expressions as sequences of word forms, with the terms that are added for each.
Lexicon = Mapping[tuple[str, ...], tuple[str, ...]]


def encode_question(text: str) -> SparseVector:
    """The sparse vector of a question: weight 1 for each of its terms, less for the official words of the lexicon.

    Returns:
        Empty when the question holds nothing but function words and punctuation.
    """
    weights = dict.fromkeys(official_terms(text), EXPANSION_WEIGHT)
    weights |= dict.fromkeys(terms(text), 1.0)
    by_id = {term_id(term): weight for term, weight in weights.items()}
    indices = tuple(sorted(by_id))
    return SparseVector(indices, tuple(by_id[index] for index in indices))


def official_terms(text: str) -> Iterator[str]:
    """The terms that the lexicon adds to a question, in reading order.

    The longest expression is taken where several begin at a word: « boîte de nuit » is no « boîte ».
    """
    lexicon, longest = _everyday_french()
    forms = _forms(text)
    start = 0
    while start < len(forms):
        lengths = range(min(longest, len(forms) - start), 0, -1)
        length = next((size for size in lengths if forms[start : start + size] in lexicon), 0)
        yield from lexicon.get(forms[start : start + length], ())
        start += max(1, length)


def _forms(text: str) -> tuple[str, ...]:
    """Words in the form in which expressions are compared: short ones without a plural's ending, others stemmed."""
    return tuple(
        word.rstrip("sx") or word if len(word) < _SHORTEST_STEMMED else term for word, term in words(text)
    )


@cache
def _everyday_french() -> tuple[Lexicon, int]:
    """The lexicon, and the number of words of its longest expression; expressions of the same forms are joined."""
    lexicon: dict[tuple[str, ...], tuple[str, ...]] = {}
    file = importlib.resources.files("mediatech_assets.index") / _LEXICON
    for line in file.read_text(encoding="utf-8").splitlines():
        everyday, _, official = line.partition("\t")
        expression = _forms(everyday)
        if line.startswith("#") or not official or not expression:
            continue
        own = set(terms(everyday))
        added = tuple(term for term in terms(official) if term not in own)
        lexicon[expression] = tuple(dict.fromkeys(lexicon.get(expression, ()) + added))
    return lexicon, max(map(len, lexicon), default=0)
