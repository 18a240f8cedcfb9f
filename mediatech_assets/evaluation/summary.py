"""An evaluation as Markdown, for the page of the asset.

What belongs here: tables of figures and of the questions that failed. What does not: how they were computed.
"""

from collections.abc import Iterator, Mapping, Sequence

from mediatech_assets.evaluation.gate import Verdict
from mediatech_assets.evaluation.metrics import METRICS
from mediatech_assets.evaluation.questions import Part
from mediatech_assets.evaluation.run import MODES, PARTS, Evaluation, Judgement

_NAMES = {
    "recall_1": "recall@1",
    "recall_5": "recall@5",
    "recall_10": "recall@10",
    "mrr": "MRR",
    "ndcg_10": "nDCG@10",
    "found_10": "found@10",
}
_TITLES_SHOWN = 3
#: What Markdown or HTML would read as a mark.
_MARKS = frozenset("\\|`*_<>[]#&")


def summary_markdown(
    evaluation: Evaluation, verdict: Verdict, titles: Mapping[str, str] | None = None
) -> str:
    """The verdict, the figures by mode and part, and the training questions that failed worst.

    Args:
        evaluation: The evaluation.
        verdict: What the rule says of it.
        titles: Titles by document, for the failures; a document without one is shown by its id.
    """
    blocks = [
        f"**{'passed' if verdict.passed else 'failed'}**: " + "; ".join(map(_escaped, verdict.reasons)),
        _counts(evaluation),
        _table(("mode", "questions", *(_NAMES[metric] for metric in METRICS)), _figures(evaluation)),
        *(f"{mode} was not measured: {_escaped(why)}" for mode, why in evaluation.unmeasured.items()),
    ]
    worst = evaluation.worst()
    if worst:
        blocks.append("Worst training questions in hybrid mode:")
        blocks.append(
            _table(
                ("question", "rank", "right", "found instead"),
                [_failure(judgement, titles or {}) for judgement in worst],
            )
        )
    return "\n\n".join(block for block in blocks if block) + "\n"


def _counts(evaluation: Evaluation) -> str:
    held_out = sum(question.part is Part.HELD_OUT for question in evaluation.questions)
    slips = sum(question.slips for question in evaluation.questions)
    total = len(evaluation.questions)
    return f"{total} questions: {total - held_out} for training, {held_out} held out; {slips} with spelling slips"


def _figures(evaluation: Evaluation) -> Iterator[Sequence[str]]:
    for part in PARTS:
        for mode in MODES:
            scores = evaluation.scores(mode, part)
            if scores is not None:
                figures = (f"{getattr(scores, metric):.3f}" for metric in METRICS)
                yield mode, f"{str(part).replace('_', ' ')} ({scores.questions})", *figures


def _failure(judgement: Judgement, titles: Mapping[str, str]) -> Sequence[str]:
    """One line of the table of failures: what was asked, what is right, and what was found that is not."""
    relevant = judgement.question.relevant
    wrong = [doc_id for doc_id in judgement.found if doc_id not in relevant][:_TITLES_SHOWN]
    return (
        judgement.question.text,
        str(judgement.rank or "none"),
        "; ".join(titles.get(doc_id, doc_id) for doc_id in sorted(relevant)),
        "; ".join(titles.get(doc_id, doc_id) for doc_id in wrong) or "nothing",
    )


def _table(names: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    """A Markdown table; nothing when there is no row."""
    lines = [f"| {' | '.join(map(_escaped, row))} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}", *lines])


def _escaped(text: str) -> str:
    """A text that stays in its cell and shows as it is: titles come from third parties."""
    flat = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in _MARKS else letter for letter in flat)
