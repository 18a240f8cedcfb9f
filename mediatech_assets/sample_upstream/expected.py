"""What a database must hold after each day of the sample.

What belongs here: identifiers written down by hand, so that they can contradict the builder and the pipeline
alike. What does not: anything derived from the texts.
"""

from collections.abc import Mapping

#: Days of the sample: the stock, then one increment a day.
SAMPLE_DAYS: tuple[int, ...] = (0, 1, 2)


def _law(*numbers: int) -> frozenset[str]:
    return frozenset(f"LEGIARTI000099000{number}" for number in numbers)


_LAW_OF_THE_STOCK = _law(*range(101, 130), *range(201, 214), 301, 302)
_LAW_OF_DAY_1 = (_LAW_OF_THE_STOCK | _law(130, 131)) - _law(204)
_LAW_OF_DAY_2 = (_LAW_OF_DAY_1 | _law(214)) - _law(107)

_SHEETS = frozenset(
    {
        "F90001",
        "F90002",
        "F90003",
        "F90004",
        "F90005",
        "F90006",
        "F90007",
        "N90100",
        "F90010",
        "F90011",
        "F90012",
        "F90013",
    }
)
_LABOUR_SHEETS = frozenset(f"article99000{number}" for number in range(1, 7))

#: Ids present by dataset and day. `N90100` is a folder: a document of the feed whose sheet holds no text.
SAMPLE_EXPECTED: Mapping[str, Mapping[int, frozenset[str]]] = {
    "legi": {0: _LAW_OF_THE_STOCK, 1: _LAW_OF_DAY_1, 2: _LAW_OF_DAY_2},
    "service_public": {0: _SHEETS, 1: _SHEETS, 2: _SHEETS - {"F90013"}},
    "travail_emploi": {0: _LABOUR_SHEETS, 1: _LABOUR_SHEETS, 2: _LABOUR_SHEETS - {"article990006"}},
}
