"""One evaluation: every question asked in every mode, and what came back.

What belongs here: asking, and the results by mode and part. What does not: the definitions of figures
(`metrics.py`), and where results are kept (`history.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mediatech_assets.errors import EmbeddingError
from mediatech_assets.evaluation.metrics import DEPTH, Scores, first_right_rank, mean, score
from mediatech_assets.evaluation.questions import Part, Question
from mediatech_assets.progress import track

#: The mode that people use, and that is held to a floor.
HYBRID = "hybrid"
#: Modes of a search, in the order in which they are shown.
MODES = (HYBRID, "dense", "sparse")

#: Both parts together.
ALL = "all"
#: What figures are given for: all questions, then each part.
PARTS = (ALL, *Part)

#: Answers a question in a mode with ids of documents, best first. An id may come again (several chunks of one
#: document): its first place counts. At least `DEPTH` different documents should come back where there are as
#: many, which takes more than `DEPTH` chunks. It raises EmbeddingError when the mode cannot be used as asked:
#: a hybrid search that sparse alone would answer must raise, not answer.
Ask = Callable[[str, str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a question got in one mode.

    Args:
        question: The question.
        found: The documents of the first `DEPTH` ranks.
        rank: Rank of the first right document, beyond `DEPTH` too; none when it did not come back.
        scores: The figures of this question.
    """

    question: Question
    found: tuple[str, ...]
    rank: int | None
    scores: Scores


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What all questions got.

    Args:
        questions: The questions that were asked.
        judgements: For each mode that was measured, one for each question, in the same order.
        unmeasured: For each other mode, why it was not: such a mode has no figures, which is not 0.
    """

    questions: tuple[Question, ...]
    judgements: Mapping[str, tuple[Judgement, ...]]
    unmeasured: Mapping[str, str]

    def scores(self, mode: str, part: str = ALL) -> Scores | None:
        """Figures of a mode over a part of the questions; none when it was not measured or has no question."""
        chosen = self._of_part(mode, part)
        return mean(judgement.scores for judgement in chosen) if chosen else None

    def ranks(self, mode: str, part: str = ALL) -> dict[str, int | None]:
        """Rank of the first right document by the key of the question."""
        return {judgement.question.key: judgement.rank for judgement in self._of_part(mode, part)}

    def worst(self, mode: str = HYBRID, part: str = Part.TRAINING, limit: int = 10) -> list[Judgement]:
        """The questions whose right document stands lowest, worst first; those found first are left out.

        Of the training part unless asked otherwise: who reads why held-out questions fail begins to tune on them.
        """
        failed = [judgement for judgement in self._of_part(mode, part) if judgement.rank != 1]
        failed.sort(key=lambda judgement: (-(judgement.rank or float("inf")), judgement.question.id))
        return failed[:limit]

    def _of_part(self, mode: str, part: str) -> list[Judgement]:
        return [
            judgement for judgement in self.judgements.get(mode, ()) if part in (ALL, judgement.question.part)
        ]


def evaluate(questions: Iterable[Question], ask: Ask, modes: Sequence[str] = MODES) -> Evaluation:
    """Asks every question in every mode.

    The modes of a question follow each other, so that `ask` can keep the vector of the last question. A mode
    whose model fails once is not asked again.

    Args:
        questions: Questions that the corpus can answer (see `questions.answerable`).
        ask: The search.
        modes: Modes to measure.
    """
    asked = tuple(questions)
    judgements: dict[str, list[Judgement]] = {mode: [] for mode in modes}
    unmeasured: dict[str, str] = {}
    with track(_title(asked), len(asked), "questions") as advance:
        for question in asked:
            for mode in judgements:
                if mode in unmeasured:
                    continue
                try:
                    answer = ask(question.text, mode)
                except EmbeddingError as error:
                    unmeasured[mode] = error.problem
                else:
                    judgements[mode].append(_judge(question, answer))
            advance(1)
    measured = {mode: tuple(found) for mode, found in judgements.items() if mode not in unmeasured}
    return Evaluation(asked, measured, unmeasured)


def _judge(question: Question, answer: Sequence[str]) -> Judgement:
    ranked = tuple(dict.fromkeys(answer))
    return Judgement(
        question=question,
        found=ranked[:DEPTH],
        rank=first_right_rank(ranked, question.relevant),
        scores=score(ranked, question.relevant),
    )


def _title(questions: Sequence[Question]) -> str:
    datasets = sorted({question.dataset for question in questions})
    return f"{', '.join(datasets) or 'no dataset'}: evaluating the search"
