"""What the public profile leaves out of a record of the directories: the data of persons.

What belongs here: the rules that say what is personal, and the record without it. What does not: reading a record
(`directory_record.py`) and writing columns and text (`directory.py`), which only ever see the record that this
module gives, so that nothing left out can come back.

A *listed person* is one whom the record itself names in `affectation_personne`. The rules:

1. Of `affectation_personne`, only `fonction` stays. Name, civility, grade, mails and telephone go, and so does the
   person's `texte_reference`: the order that appoints somebody names them.
2. A telephone, accessible telephone, fax or mail of the service goes when its label says « ligne directe » or
   « numéro direct », or names somebody: a listed person, or anybody after a civility (« Mme Martin »).
3. A number of a person, or one that went by rule 2, goes wherever it is written. But a number that the service
   gives as its own as well stays: it is the service's.
4. A mail of a person goes wherever it is written, and so does any mail whose local part holds the family name of a
   listed person: whole, between separators, or with a first name or its initial (`dupont`, `secretariat.dupont`,
   `j.dupont`, `jdupont`, `jean-dupont`). A family name of fewer than three letters only counts with a first name.
   Where a common noun is a family name, a mail of the service can go that is nobody's (`bois@…` beside M. Bois).
5. The name of a listed person goes wherever it is written: first and family name in either order, joined or apart
   (also in an address of the web), an initial with its dot and the family name, a civility and the family name.
   Case, accents and hyphens do not count.
6. In free text, a civility followed by a name goes, whoever bears it. Not in names of services, streets and
   communes (« rue Madame de Sévigné », « Collège Monsieur Vincent »).
7. Of a field that this platform does not know (`Record.autres`), only the name stays: nobody can tell what it holds.

Inside a text, what goes is replaced by a mark that says so. An entry of a list whose number or address holds
something personal goes whole, since what would be left leads nowhere; and so does `url_service_public`. No column
goes: values become empty.

What the rules cannot see: somebody whom a text names without a civility and whom the record does not list; a
listed person called by the family name alone, or after a title (« la préfète Dupont »); a mail of the form
`prenom.nom` of somebody whom the record does not list; a name of which each half stands in another field; names
written to escape a reader of texts. The identifier is kept as it is.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from mediatech_assets.documents.directory_record import AffectationPersonne, Autre, Entry, Personne, Record

NAME_MARK = "[nom retiré]"
MAIL_MARK = "[courriel retiré]"
NUMBER_MARK = "[numéro retiré]"

#: Fields that name places and services, after which a civility does not announce a person (rule 6).
_PLACES = frozenset(("nom", "ancien_nom", "numero_voie", "nom_commune"))

#: Family names of fewer letters are too common as syllables of a mail.
_SHORTEST_FAMILY_NAME = 3

#: Names have at most this many words; what follows is not read, so that patterns stay small.
_MOST_NAME_WORDS = 8

#: Shorter numbers are extensions and years.
_SHORTEST_NUMBER = 6

_PARTICLES = frozenset(("del", "der", "des", "las", "les", "los", "van", "von"))

_LETTER = r"[^\W\d_]"
_START, _END = rf"(?<!{_LETTER})", rf"(?!{_LETTER})"
#: Between the words of a name: a space, a hyphen, a dot, an escaped space of a web address…
_BETWEEN = r"(?:[\W_]|%[0-9a-f]{2}){1,3}"
#: Inside a compound name, which is also written as one word (« Annelise », « Legoff »).
_INSIDE = r"(?:[\W_]|%[0-9a-f]{2}){0,3}"
_CIVILITY = (
    r"(?:mm?|mrs?|mmes?|mlles?|mes?|drs?|prs?|mesdames|messieurs|madame|monsieur|mademoiselle|mesdemoiselles"
    r"|maitres?|docteurs?|professeurs?)\.?"
)

_DIRECT_LINE = re.compile(r"\blignes? directes?\b|\b(?:numeros?|postes?|telephones?) directs?\b")

_CAPITALISED = r"[A-ZÀ-ÖØ-Þ][\w'’-]*"
#: A civility and up to three capitalised words, particles between them: rule 6.
_ANNOUNCED_NAME = re.compile(
    r"\b(?:MM?\.|Mr\.?|Mmes?\.?|Mlles?\.?|Mesdames|Messieurs|Madame|Monsieur|Mademoiselle|Maître|Dr\.?|Docteur"
    # In capitals, nothing tells « MONSIEUR LE MAIRE » from a name but the article.
    r"|(?:MME|MLLE|MADAME|MONSIEUR|MADEMOISELLE)(?!\s+(?:LA|LE|LES)\b))\s+"
    rf"(?:[A-Z]\.\s?-?)*{_CAPITALISED}(?:\s+(?:(?i:des?|du|la|le)\s+)*{_CAPITALISED}){{0,2}}"
)

_MAIL = re.compile(r"(?<![^\s<>()\[\],;:\"«»])[^\s@<>()\[\],;:\"«»]+@[\w.-]*\w")
#: What people write between the digits of a number.
_GAP = r"\W{0,3}"
_FRENCH_PREFIX = rf"(?<!\d)(?:(?:\+|00)33{_GAP}(?:0{_GAP})?|0{_GAP})"
_FRENCH_NUMBER = re.compile(rf"{_FRENCH_PREFIX}([1-9](?:{_GAP}\d){{8}})(?!\d)")


def redacted(record: Record) -> Record:
    """The record without what the rules of this module call personal."""
    return _Redaction(record).public_record()


class _Redaction:
    """The rules applied to one record.

    Args:
        record: The record, whole.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        posts = record.affectation_personne
        self._names = _Names([post.personne for post in posts if post.personne.nom or post.personne.prenom])
        self._mails = _mails_in(
            entry.valeur for post in posts for entry in post.personne.adresse_courriel
        ) | _mails_in(entry.valeur for entry in record.adresse_courriel if self._is_somebodys(entry))

    def public_record(self) -> Record:
        """The record that the public profile shows."""
        record = replace(
            self._record,
            affectation_personne=tuple(
                AffectationPersonne(fonction=post.fonction) for post in self._record.affectation_personne
            ),
            telephone=self._not_somebodys(self._record.telephone),
            telephone_accessible=self._not_somebodys(self._record.telephone_accessible),
            telecopie=self._not_somebodys(self._record.telecopie),
            adresse_courriel=self._not_somebodys(self._record.adresse_courriel),
        )
        url = record.url_service_public
        return replace(
            self._without_persons(record),
            id=record.id,
            url_service_public="" if self._holds_a_person(url) else url,
            autres=self._names_of_others(),
        )

    def _names_of_others(self) -> tuple[Autre, ...]:
        paths = dict.fromkeys(self._text(other.chemin) for other in self._record.autres)
        return tuple(Autre(path, None) for path in paths)

    def _without_persons(self, value: Any, name: str = "") -> Any:  # noqa: ANN401 - any part of a record
        """Any part of a record, all its texts redacted, and without the entries that lead to a person."""
        if not value:
            return value
        if isinstance(value, str):
            text = self._text(value)
            return text if name in _PLACES else _ANNOUNCED_NAME.sub(NAME_MARK, text)
        if isinstance(value, tuple):
            return tuple(
                self._without_persons(part, name)
                for part in value
                if not (isinstance(part, Entry) and self._holds_a_person(part.valeur))
            )
        if is_dataclass(value) and not isinstance(value, type):
            parts = {field.name: getattr(value, field.name) for field in fields(value)}
            return replace(value, **{key: self._without_persons(part, key) for key, part in parts.items()})
        return value

    def _text(self, text: str) -> str:
        """`text` without mails, numbers and names of persons."""
        if "@" in text:
            text = self._without_mails(text)
        if self._numbers is not None:
            text = self._numbers.sub(NUMBER_MARK, text)
        return self._names.removed_from(text)

    def _holds_a_person(self, address: str) -> bool:
        return any(self._text(reading) != reading for reading in (address, unquote(address)))

    def _without_mails(self, text: str) -> str:
        for mail in sorted(self._mails, key=len, reverse=True):
            text = re.sub(re.escape(mail), MAIL_MARK, text, flags=re.IGNORECASE)
        return _MAIL.sub(
            lambda mail: MAIL_MARK if self._names.are_in_mail(mail.group()) else mail.group(), text
        )

    @cached_property
    def _numbers(self) -> re.Pattern[str] | None:
        """Pattern of the numbers that are persons' and not the service's; None when there is none."""
        record = self._record
        lines = (*record.telephone, *record.telephone_accessible, *record.telecopie)
        own = _numbers_in(entry.valeur for entry in self._not_somebodys(lines))
        direct = _numbers_in(entry.valeur for entry in lines if self._is_somebodys(entry))
        personal = _numbers_in(post.telephone for post in record.affectation_personne)
        patterns = [_number_pattern(number) for number in sorted((personal | direct) - own)]
        return re.compile("|".join(patterns)) if patterns else None

    def _not_somebodys(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        return tuple(entry for entry in entries if not self._is_somebodys(entry))

    def _is_somebodys(self, entry: Entry) -> bool:
        """Whether the label of a number or mail gives it to somebody: rule 2."""
        label = " ".join(filter(None, (entry.valeur, entry.libelle, entry.description)))
        return bool(
            _DIRECT_LINE.search(_folded(label))
            or _ANNOUNCED_NAME.search(label)
            or self._names.are_in_label(" ".join(filter(None, (entry.libelle, entry.description))))
            or self._names.removed_from(label) != label
        )


class _Names:
    """The names of the listed persons of a record, and how to find them.

    Args:
        persons: The persons; each has a family or a first name.
    """

    def __init__(self, persons: Sequence[Personne]) -> None:
        names = map(_Name, persons)
        self._persons = [name for name in names if name.family]
        self._words = {word for name in self._persons for word in name.telling_words or name.family}

    def removed_from(self, text: str) -> str:
        """`text` with the mark in place of every name."""
        if not self._words:
            return text
        folded = _folded(text)
        # Building the pattern costs far more than looking whether any text holds a family name at all.
        plain = _without_ligatures(folded)
        if not any(word in plain for word in self._words):
            return text
        pieces, end = [], 0
        for found in self._pattern.finditer(folded):
            pieces += (text[end : found.start()], NAME_MARK)
            end = found.end()
        return "".join(pieces) + text[end:]

    def are_in_label(self, text: str) -> bool:
        """Whether a short label holds a family name, even alone."""
        words = set(_words(text))
        return any(words.intersection(name.telling_words) for name in self._persons)

    def are_in_mail(self, mail: str) -> bool:
        """Whether the local part of `mail` is made from a person's name: rule 4."""
        forms = self._mail_forms
        longest = max(map(len, forms), default=0)
        words = _words(mail.rpartition("@")[0])
        for first in range(len(words)):
            joined = ""
            for word in words[first:]:
                joined += word
                if len(joined) > longest:
                    break
                if joined in forms:
                    return True
        return False

    @cached_property
    def _mail_forms(self) -> frozenset[str]:
        return frozenset(form for name in self._persons for form in name.mail_forms())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        families = "|".join(name.family_pattern for name in self._persons)
        several = rf"(?:{families})(?:\s*(?:,|et|&)\s*(?:{families}))*"
        full = "|".join(pattern for name in self._persons for pattern in name.full_patterns())
        whole_name = rf"(?:{_CIVILITY}{_BETWEEN})?(?:{full})|" if full else ""
        return re.compile(rf"{_START}(?:{whole_name}{_CIVILITY}{_BETWEEN}{several}){_END}")


class _Name:
    """The words of one person's name, without case, accents and hyphens."""

    def __init__(self, person: Personne) -> None:
        nom, prenom = _words(person.nom)[:_MOST_NAME_WORDS], _words(person.prenom)[:_MOST_NAME_WORDS]
        # Upstream leaves one of the two empty at times: the other then holds what there is.
        self.family = nom or prenom
        self._given = prenom if nom else []
        self.telling_words = [
            word for word in self.family if len(word) >= _SHORTEST_FAMILY_NAME and word not in _PARTICLES
        ]

    @property
    def family_pattern(self) -> str:
        """The family name, or a part of it that can stand for it (« Martin » for « Martin-Dupont »)."""
        return "(?:" + "|".join(_INSIDE.join(map(_word_pattern, run)) for run in self._family_runs()) + ")"

    def full_patterns(self) -> list[str]:
        """First and family name in either order; the family name alone where it holds both."""
        if not self._given:
            both = len(self.family) > 1 and len(self.telling_words) == len(self.family)
            return [_BETWEEN.join(map(_word_pattern, self.family))] if both else []
        initial = "(?:" + "|".join(sorted({re.escape(word[0]) for word in self._given})) + r")\."
        initials = rf"{initial}(?:[\s-]?{initial})*"
        family = self.family_pattern
        patterns = [rf"{initials}[\W_]{{0,2}}{family}", rf"{family}[\W_]{{1,2}}{initials}"]
        # One letter with an apostrophe is an article (« l'école »): it only counts as an initial, with its dot.
        if words := [word for word in self._given if len(word) > 1]:
            given = "(?:" + "|".join(map(_word_pattern, words)) + ")"
            several = f"{given}(?:{_INSIDE}{given})*"
            patterns += [f"{several}{_BETWEEN}{family}", f"{family}{_BETWEEN}{several}"]
        return patterns + self._joined_patterns()

    def mail_forms(self) -> set[str]:
        """Runs of letters that a mail of this person may hold."""
        given = "".join(self._given)
        initials = {given[:1], "".join(word[0] for word in self._given)} - {""}
        forms: set[str] = set()
        for family in map("".join, self._family_runs()):
            prefixes = {given, *self._given} - {""}
            if len(family) >= _SHORTEST_FAMILY_NAME:
                forms.add(family)
                prefixes |= initials
            forms |= {both for prefix in prefixes for both in (prefix + family, family + prefix)}
        return forms

    def _family_runs(self) -> list[list[str]]:
        """Words that follow each other in the family name and say who is meant, the longest first."""
        sizes = range(len(self.family), 0, -1)
        runs = [self.family[at : at + size] for size in sizes for at in range(len(self.family) - size + 1)]
        return [run for run in runs if run == self.family or set(run) & set(self.telling_words)]

    def _joined_patterns(self) -> list[str]:
        """Both names without anything between them, as in addresses of the web."""
        family, given = "".join(self.family), "".join(self._given)
        if min(len(family), len(given)) < _SHORTEST_FAMILY_NAME:
            return []
        return [_word_pattern(given + family), _word_pattern(family + given)]


class _Folding(dict[int, str]):
    """Letters without case and accents, one for one, so that places in a text stay the same."""

    def __missing__(self, code: int) -> str:
        letters = (
            char for char in unicodedata.normalize("NFKD", chr(code)) if not unicodedata.combining(char)
        )
        candidates = ("".join(letters).casefold(), chr(code).lower(), chr(code))
        self[code] = next(candidate for candidate in candidates if len(candidate) == 1)
        return self[code]


_FOLDING = _Folding()

#: Letters that a name may be written with or without (« Lœb », « Loeb »).
_LIGATURES = {"œ": "oe", "æ": "ae", "ß": "ss"}


def _folded(text: str) -> str:
    return text.translate(_FOLDING)


def _without_ligatures(folded: str) -> str:
    for ligature, letters in _LIGATURES.items():
        folded = folded.replace(ligature, letters)
    return folded


def _words(text: str) -> list[str]:
    """Runs of letters of a text, without case, accents and ligatures."""
    return re.findall(rf"{_LETTER}+", _without_ligatures(_folded(text)))


def _word_pattern(word: str) -> str:
    pattern = re.escape(word)
    for ligature, letters in _LIGATURES.items():
        pattern = pattern.replace(letters, f"(?:{letters}|{ligature})")
    return pattern


def _mails_in(texts: Iterable[str]) -> set[str]:
    return {mail.group() for text in texts for mail in _MAIL.finditer(text)}


def _numbers_in(texts: Iterable[str]) -> set[str]:
    """Numbers of the texts, as digits only; French ones with their leading 0."""
    numbers: set[str] = set()
    for text in texts:
        french = {f"0{_digits(number)}" for number in _FRENCH_NUMBER.findall(text)}
        numbers |= french or {_digits(text)}
    return {number for number in numbers if len(number) >= _SHORTEST_NUMBER}


def _number_pattern(number: str) -> str:
    """The number with anything that people write between its digits."""
    if re.fullmatch(r"0[1-9]\d{8}", number):
        return rf"{_FRENCH_PREFIX}{_GAP.join(number[1:])}(?!\d)"
    return rf"(?<!\d){_GAP.join(number)}(?!\d)"


def _digits(text: str) -> str:
    return "".join(char for char in text if "0" <= char <= "9")
