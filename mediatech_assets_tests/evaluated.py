"""Evaluations made of ranks, for tests of what comes after asking.

What belongs here: questions and evaluations with chosen ranks. What does not: any test.
"""

from collections.abc import Mapping, Sequence

from mediatech_assets.errors import EmbeddingError
from mediatech_assets.evaluation.questions import Question
from mediatech_assets.evaluation.run import MODES, Evaluation, evaluate


def questions(count: int) -> list[Question]:
    return [
        Question(f"q{n:03d}", "service_public", f"Question {n} ?", frozenset([f"F{n}"])) for n in range(count)
    ]


def answer(relevant: str, rank: int | None) -> list[str]:
    """Twelve documents, with the right one in place `rank`."""
    others = [f"other{n}" for n in range(12)]
    return others if rank is None else [*others[: rank - 1], relevant, *others[rank - 1 :]][:12]


def evaluation_of(
    ranks: Mapping[str, Sequence[int | None]], asked: Sequence[Question] | None = None
) -> Evaluation:
    """The evaluation of a search that puts right documents at these ranks; other modes have no model."""
    asked = asked if asked is not None else questions(len(next(iter(ranks.values()))))
    place = {question.text: index for index, question in enumerate(asked)}

    def ask(text: str, mode: str) -> list[str]:
        if mode not in ranks:
            raise EmbeddingError(f"no model for {mode}", "set one")
        index = place[text]
        (relevant,) = asked[index].relevant
        return answer(relevant, ranks[mode][index])

    return evaluate(asked, ask, MODES)
