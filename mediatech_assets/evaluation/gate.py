"""The rule that an evaluation has to pass.

What belongs here: the rule, as a pure function. What does not: floors of datasets, and what happens when the
rule is broken (the caller knows both).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from mediatech_assets.evaluation.history import Run
from mediatech_assets.evaluation.metrics import DEPTH, Scores, hit, paired_difference, reciprocal_rank
from mediatech_assets.evaluation.run import ALL, HYBRID, Evaluation

#: With fewer questions a single one moves recall by more than any sensible tolerance.
SMALLEST_SAMPLE = 20
#: Largest fall against the last release that is let through.
TOLERANCE = 0.05

#: Figures compared with the last release, from the rank of the first right document.
_COMPARED = {f"recall@{DEPTH}": partial(hit, k=DEPTH), "MRR": reciprocal_rank}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rule says.

    Args:
        passed: Whether the evaluation is good enough.
        reasons: Why not, or what was and what was not looked at; at least one.
    """

    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Hybrid:
    """What the rule looks at: hybrid search, in an evaluation or in the run that recorded one."""

    questions: int
    scores: Scores | None
    ranks: Mapping[str, int | None]
    problem: str


def judge(
    current: Evaluation | Run, floor: float, last_release_run: Run | None, *, tolerance: float = TOLERANCE
) -> Verdict:
    """Judges hybrid search against a floor and against the last release.

    It fails when recall@10 is below the floor. It fails when, over the questions that both runs asked,
    recall@10 or MRR fell by more than the tolerance and the 95 % interval of the paired bootstrap is wholly
    below 0: a fall that noise explains is let through. It fails when hybrid search could not be measured:
    what was not looked at is not vouched for. Too few questions for a judgement pass, and the reason says so.

    Args:
        current: The evaluation, of questions that the corpus can answer, or the run that recorded it.
        floor: Least recall@10 of hybrid search, from 0 to 1.
        last_release_run: Run that tells how the search was at the last release; none when there is none.
        tolerance: Largest fall that is let through whatever the number of questions.
    """
    measured = _of_run(current) if isinstance(current, Run) else _of_evaluation(current)
    count = measured.questions
    if count < SMALLEST_SAMPLE:
        return Verdict(True, (f"not judged: {count} questions can be answered here",))
    scores = measured.scores
    if scores is None:
        return Verdict(False, (f"hybrid search could not be measured: {measured.problem}",))
    reasons = [f"hybrid recall@{DEPTH} is {scores.recall_10:.3f} over {count} questions, floor {floor:.3f}"]
    fell, comparison = _compare(measured.ranks, last_release_run, tolerance)
    return Verdict(scores.recall_10 >= floor and not fell, (*reasons, *comparison))


def _of_evaluation(evaluation: Evaluation) -> _Hybrid:
    return _Hybrid(
        questions=len(evaluation.questions),
        scores=evaluation.scores(HYBRID),
        ranks=evaluation.ranks(HYBRID),
        problem=evaluation.unmeasured.get(HYBRID, "it was not asked"),
    )


def _of_run(run: Run) -> _Hybrid:
    return _Hybrid(
        questions=max(
            (scores.questions for (_, part), scores in run.scores.items() if part == ALL), default=0
        ),
        scores=run.scores.get((HYBRID, ALL)),
        ranks=run.ranks.get(HYBRID, {}),
        problem="it was not measured when the run was recorded",
    )


def _compare(ranks: Mapping[str, int | None], former: Run | None, tolerance: float) -> tuple[bool, list[str]]:
    """Whether hybrid search fell too far against a former run, and the figures that say so."""
    if former is None:
        return False, ["no earlier release to compare with"]
    pairs = _common_ranks(ranks, former)
    if len(pairs) < SMALLEST_SAMPLE:
        return False, [f"not compared with the last release: {len(pairs)} questions are common to both"]
    fell, reasons = False, []
    for name, figure in _COMPARED.items():
        now, before = ([figure(rank) for rank in ranks] for ranks in zip(*pairs, strict=True))
        difference = paired_difference(now, before)
        too_far = difference.mean < -tolerance and difference.high < 0
        fell |= too_far
        reasons.append(
            f"hybrid {name} {difference.mean:+.3f} against the last release over {len(pairs)} common questions "
            f"(95 % interval {difference.low:+.3f} to {difference.high:+.3f})"
            + (f", more than the tolerance of {tolerance:.3f}" if too_far else "")
        )
    return fell, reasons


def _common_ranks(now: Mapping[str, int | None], former: Run) -> list[tuple[int | None, int | None]]:
    """Ranks now and then of each question that both asked in hybrid mode."""
    before = former.ranks.get(HYBRID, {})
    return [(now[key], before[key]) for key in sorted(now.keys() & before.keys())]
