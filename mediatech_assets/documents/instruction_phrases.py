"""Phrases of a text that read like instructions to a language model.

What belongs here: finding them. What does not: deciding what to do about them. The text itself is never altered:
whoever builds a prompt from it sees in a column of its own what it may try.

Publishers of open data write their descriptions freely, so anybody can put such a phrase where an assistant will
read it. Only phrases that address a model count, in French and in English: « ne pas tenir compte des consignes
de tri » or "installation instructions" are ordinary. A phrase that hides well is not found: this is a warning
to readers, no protection.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Family:
    """Phrases of one kind.

    Args:
        signs: A text without any of these, in lower case, needs no further look. They have no accents.
        phrases: The phrases, any of them.
    """

    signs: tuple[str, ...]
    phrases: re.Pattern[str]


#: Between two words: white space, with emphasis, quotes, a comma or characters without width.
_GAP = r"[\s,*_\"«»\u200b-\u200d\u2060]{1,5}"
#: Ends of words; a mark of emphasis (`_`) is no letter.
_NO_LETTER_BEFORE, _NO_LETTER_BEHIND = r"(?<![^\W_])", r"(?![^\W_])"
#: A phrase that begins with one of these is a mark of a dialogue, which may stand anywhere.
_MARKS = r"<\#"
_ACCENTS = {"é": "e\u0301", "è": "e\u0300", "ê": "e\u0302", "à": "a\u0300"}


def _family(signs: str, *phrases: str) -> _Family:
    """A family whose phrases are written with plain spaces, apostrophes, accents and ends of words."""
    pattern = "|".join(
        phrase if phrase[0] in _MARKS else f"{_NO_LETTER_BEFORE}(?:{phrase})" for phrase in phrases
    )
    for letter, decomposed in _ACCENTS.items():
        pattern = pattern.replace(letter, f"(?:{letter}|{decomposed}?)")
    pattern = pattern.replace("'", "['’ʼ]").replace(" ", _GAP).replace(r"\b", _NO_LETTER_BEHIND)
    return _Family(tuple(signs.split(",")), re.compile(pattern, re.IGNORECASE))


_FORGET = "(?:ignore|disregard|forget|override|bypass|(?:do not|don't|never|stop) (?:follow|following|obey|obeying))"
_ORDERS = "(?:instructions?|directions?|directives?|guidelines?|prompts?|orders?)"
_OUBLIE = (
    "(?:ignore[rz]?|oublie[rz]?|néglige[rz]?|outrepasse[rz]?|contourne[rz]?|passe[rz]? outre"
    "|n'obéi(?:s|ssez) (?:pas|plus)|(?:fais|faites|faire) abstraction"
    "|(?:ne |n')?(?:tiens|tenez|tenir|pas tenir) (?:(?:pas|plus|aucun) )?compte)"
)
_CONSIGNES = "(?:instructions?|consignes?|directives?|prompts?)"
_ASSISTANT = (
    "(?:assistante?|ia|intelligence artificielle|chatbot|agent conversationnel|modèle de langage|llm|gpt)"
)
_MODEL = "(?:ai|assistant|chatbot|language model|llm|gpt|dan)"

_FAMILIES = (
    _family(
        "instruction,direction,directive,guideline,prompt,order,rule,message,context,constraint,programming",
        f"{_FORGET}(?: (?:all|any|every|of|the|these|those|your|my|our|other)){{0,4}}"
        " (?:previous|prior|above|earlier|preceding|foregoing|former|initial|original|system|hidden|safety)"
        rf"(?: \w{{1,20}}){{0,2}}? (?:{_ORDERS}|rules?|messages?|context|constraints?)\b",
        f"{_FORGET}(?: (?:all|any|of|the)){{0,3}} (?:all|any|your|these|those)(?: of)?(?: (?:the|your|these|those))?"
        r" (?:instructions|prompts?|guidelines|programming)\b",
        rf"{_FORGET}(?: (?:all|the|any|your)){{0,2}} {_ORDERS} (?:above|before|given|you (?:were|have been))\b",
    ),
    _family(
        "ignore,disregard,forget",
        r"(?:ignore|disregard|forget) (?:everything|anything|all)(?: (?:that|was|is|said|written|you|were|have|been"
        r"|told|i|we)){0,5} (?:above|before|previously|earlier|so far|know|learned)\b",
    ),
    _family(
        "you",
        r"you(?: are|'re) now (?:an?|the|my|our|acting|playing|operating|pretending|roleplaying|no longer|free"
        r"|unrestricted|jailbroken|called|named|dan|chatgpt|gpt|going to|in (?:\w{1,20} ){1,2}mode)\b",
        r"from now on you(?:'ll)?(?: (?:are|will|must|should|shall))?\b",
        r"you(?: are|'re) (?:an?|the|my) (?:\w{1,20} ){0,2}(?:ai|chatbot|language model|llm|gpt)\b",
        r"your new (?:instructions?|tasks?|role|objective|goal) (?:is|are)\b",
        r"(?:reveal|print|show|repeat|output|display|leak|disclose|give|tell)(?: me| us)? your"
        r"(?: (?:system|hidden|secret|initial|original|full|complete|internal))? (?:prompt|instructions?)\b",
    ),
    _family(
        "act,behave,respond,answer,pretend",
        rf"(?:act|behave|respond|answer) as (?:(?:if|though) you were )?(?:an? |the |my )?(?:\w{{1,20}} )?{_MODEL}\b",
        r"pretend (?:that )?(?:you are|you're|to be) (?:an?|the|my)\b",
    ),
    _family(
        "prompt,invite",
        r"system(?: |-)?prompts?\b",
        r"(?:prompt|invite)(?: |-)(?:du )?système\b",
        r"(?:révèle[rz]?|révélez|affiche[rz]?|répète[rz]?|répétez|donne[rz]?|montre[rz]?|divulgue[rz]?)(?:-moi|-nous)?"
        r" (?:le|ton|votre) prompt\b",
    ),
    _family(
        "only",
        r"(?:respond|reply|answer) (?:\w{1,20} )?only (?:with|in|by)\b",
        r"only (?:respond|reply|answer) (?:with|in|by)\b",
    ),
    _family(
        "the user,the end user",
        r"(?:do not|don't|never|without) (?:tell|inform|alert|warn|notify|telling|informing|alerting|warning|notifying)"
        r" the (?:end )?user\b",
    ),
    _family(
        "mode", r"(?:developer|debug|god|admin|dan|jailbreak|unrestricted) mode (?:enabled|activated|on)\b"
    ),
    _family(
        "instruction,consigne,directive,prompt,message,gle",
        f"{_OUBLIE}(?: (?:de|d'|du|des|toutes?|tous|tout|les|la|le|tes|vos|ces|mes|l'ensemble)){{0,4}}"
        rf" (?:précédente?s? )?(?:{_CONSIGNES}|règles?|messages?)(?: (?:\w{{1,20}} ){{0,2}}?| )?"
        r"(?:précédente?s?|précédemment|antérieure?s?|ci-dessus|ci dessus|initiale?s?|d'origine|système|plus haut"
        r"|jusqu'(?:ici|à présent))\b",
        f"{_OUBLIE}(?: (?:de|des|les)){{0,2}} précédente?s? {_CONSIGNES}",
        f"{_OUBLIE}(?: de)? (?:toutes?(?: (?:les|tes|vos|ces))?|l'ensemble (?:des|de (?:tes|vos))|tes) {_CONSIGNES}"
        r"\b(?! (?:de|du|des|d'|sur|relatives?|concernant)(?:\b|(?<=')))",
        "(?:tes|vos) nouvelles (?:instructions|directives)(?! (?:de|du|des)\\b)",
        r"(?:révèle|affiche|répète|donne|montre|divulgue)(?:-moi|-nous)? tes (?:instructions|consignes)\b",
    ),
    _family(
        "ce qui pr,ce qui est",
        f"{_OUBLIE}(?: de)?(?: tout)? ce qui (?:précède|est (?:écrit|dit|indiqué) (?:avant|ci-dessus|plus haut))",
    ),
    _family(
        "tu es,vous ",
        r"tu es (?:maintenant|désormais|dorénavant|à présent)\b",
        rf"tu es (?:un |une |l'|mon )(?:\w{{1,20}} ){{0,2}}{_ASSISTANT}\b",
        r"vous êtes (?:maintenant|désormais|dorénavant|à présent) (?:un |une |l'|mon )(?:\w{1,20} ){0,2}"
        rf"{_ASSISTANT}\b(?! (?:maternel|social|familial|dentaire|vétérinaire|parlementaire))",
    ),
    _family(
        "maintenant,navant,sormais",
        r"(?:(?:à partir|à compter) de maintenant|dès maintenant|dorénavant|désormais) tu\b",
        r"(?:(?:à partir|à compter) de maintenant|dès maintenant|dorénavant|désormais) vous"
        r" (?:répond(?:ez|rez)|agi(?:ssez|rez)) (?:comme|en|par|uniquement)\b",
    ),
    _family(
        "agi,comporte,pond,si tu,semblant,imagine",
        r"(?:agi(?:s|ssez)|comporte-toi|comportez-vous|répond(?:s|ez)) (?:comme|en tant qu(?:e|'))"
        rf"(?: si (?:tu étais|vous étiez))?(?: (?:un|une|mon|le) | l'| )(?:\w{{1,20}} ){{0,2}}{_ASSISTANT}\b",
        r"(?:fais comme si tu|fais semblant d'être|imagine que tu es)\b",
    ),
    _family(
        "uniquement,seulement,exclusivement,pond",
        r"(?:réponds|répondez|répondre) (?:uniquement|seulement|exclusivement) (?:par|avec|en)\b",
        r"ne (?:réponds|répondez) (?:que|qu')(?: ?(?:par|avec|en))\b",
    ),
    _family(
        "utilisateur",
        r"(?:ne (?:le )?|n'en |n')(?:dis|dites|révèle|révélez|préviens|prévenez|informez|avertis|avertissez"
        r"|parle|parlez) (?:pas|jamais|rien) (?:(?:à|de) )?l'utilisateur\b",
    ),
    _family(
        "<|,[inst],[/inst],<<sys>>,<</sys>>,<system,</system,<assistant>,</assistant>,_of_turn>,###",
        r"<\|\w{2,30}\|>",
        r"\[/?INST\]",
        r"<</?SYS>>",
        r"</?(?:system(?:[-_](?:prompt|message|reminder|instructions?))?|assistant|(?:start|end)_of_turn)>",
        r"###\s?(?:system|instruction|assistant|response):",
    ),
)


def instruction_like_phrases(text: str) -> list[str]:
    """The phrases in the order of the text, each once and exactly as written.

    A phrase that lies within a longer one is not given apart.
    """
    lowered = text.lower()
    found = [
        match.span()
        for family in _FAMILIES
        if any(sign in lowered for sign in family.signs)
        for match in family.phrases.finditer(text)
    ]
    phrases, reached = [], 0
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if end > reached:
            phrases.append(text[start:end])
            reached = end
    return list(dict.fromkeys(phrases))
