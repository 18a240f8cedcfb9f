"""The review of a release as a short Markdown text, for the page of the asset.

What belongs here: the same answers as on the review page, in the length that fits beside other metadata. What does
not: any figure (`review_facts.py`).
"""

from collections.abc import Iterator, Sequence

from mediatech_assets.release.escaping import is_web_address, markdown_text, shortened
from mediatech_assets.release.review_facts import SAMPLES, ChangedDocument, ReviewFacts, Sample
from mediatech_assets.release.review_page import attention
from mediatech_assets.release.wording import Mark, Piece

_TITLE_LETTERS = 90
_CHANGE_LETTERS = 140
_NAMED = 5
_AROUND = 30


def review_markdown(facts: ReviewFacts, page: str) -> str:
    """The summary.

    Args:
        facts: What the review says.
        page: Where the whole page is.
    """
    return "\n\n".join(block for block in _blocks(facts, page) if block) + "\n"


def _blocks(facts: ReviewFacts, page: str) -> Iterator[str]:
    release, difference = facts.release, facts.changes.difference
    against = f"compared with `{facts.previous.id}`" if facts.previous else "nothing to compare with"
    yield f"**{markdown_text(facts.title)}**, release `{release.id}`, {against}"
    manifest = facts.release.manifest
    counts = [("documents", manifest["documents"]), ("rows", manifest["rows"])]
    if facts.previous:
        counts += [
            ("added", len(difference.added)),
            ("changed", len(difference.changed)),
            ("removed", len(difference.removed)),
        ]
    yield _table([name for name, _ in counts], [[f"{number:,}" for _, number in counts]])
    yield "\n".join(f"- {markdown_text(note)}" for _, note in attention(facts))
    yield _table(("", "document", "title", "what changed"), _sample_rows(facts))
    yield _score(facts)
    yield _checks(facts)
    yield _freshness(facts)
    yield _quarantine(facts)
    yield f"Whole page: {markdown_text(page)}"


def _sample_rows(facts: ReviewFacts) -> list[Sequence[str]]:
    """At most ten documents: first what changed, then what came and what went."""
    changes = facts.changes
    changed = [("changed", change.document, _in_short(change)) for change in changes.changed]
    added = [("added", sample, "") for sample in changes.added]
    removed = [("removed", sample, "") for sample in changes.removed]
    share = max(1, SAMPLES // 3)
    kept = [*removed[:share], *added[:share]]
    rows = [*changed[: SAMPLES - len(kept)], *kept]
    rows += [row for row in (*added[share:], *removed[share:]) if len(rows) < SAMPLES][: SAMPLES - len(rows)]
    if facts.previous is None:
        rows = [("document", sample, "") for sample in changes.added]
    return [(kind, _link(sample), _short(sample.title), what) for kind, sample, what in rows]


def _link(sample: Sample) -> str:
    name = markdown_text(sample.doc_id)
    # Angle brackets keep any other letter of an address from ending the link.
    url = sample.source_url
    return f"[{name}](<{url}>)" if is_web_address(url) and not set(url) & set("<>\\|") else name


def _short(title: str) -> str:
    return markdown_text(shortened(title, _TITLE_LETTERS))


def _in_short(change: ChangedDocument) -> str:
    pieces = change.wording.passages[0] if change.wording.passages else ()
    place = next((n for n, piece in enumerate(pieces) if piece.mark in {Mark.REMOVED, Mark.ADDED}), None)
    if place is None:
        names = ", ".join(column.name for column in change.columns)
        return f"metadata: {markdown_text(names)}" if names else "cut into chunks"
    around = pieces[place - 1].text[-_AROUND:] if place else ""
    marked = "".join(map(_marked, pieces[place : place + 2]))
    return f"{markdown_text(around)} {marked}".strip()


def _marked(piece: Piece) -> str:
    text = markdown_text(shortened(piece.text, _CHANGE_LETTERS))
    sign = {Mark.REMOVED: "−", Mark.ADDED: "+"}.get(piece.mark)
    return f"{sign}“{text}” " if sign else ""


def _score(facts: ReviewFacts) -> str:
    newest = facts.history[-1] if facts.history else None
    if newest is None or newest.recall_10 is None or newest.mrr is None:
        return "Retrieval: not measured."
    before = [past for past in facts.history[:-1] if past.recall_10 is not None]
    change = f" ({newest.recall_10 - (before[-1].recall_10 or 0):+.3f})" if before else ""
    return (
        f"Retrieval (hybrid, {newest.questions:,} questions): recall@10 {newest.recall_10:.3f}{change}, "
        f"MRR {newest.mrr:.3f}."
    )


def _checks(facts: ReviewFacts) -> str:
    if not facts.checks:
        return "Checks: none recorded."
    failed = ", ".join(markdown_text(check["name"]) for check in facts.failed_checks)
    return f"Checks: {len(facts.checks) - len(facts.failed_checks)} of {len(facts.checks)} passed" + (
        f"; failed: {failed}." if failed else "."
    )


def _freshness(facts: ReviewFacts) -> str:
    updated = markdown_text(facts.release.manifest.get("source_updated_at", "unknown"))
    if not facts.pending:
        return f"Source: last updated {updated}; everything published was applied."
    names = ", ".join(markdown_text(name) for name in facts.pending[:_NAMED])
    more = f" and {len(facts.pending) - _NAMED:,} more" if len(facts.pending) > _NAMED else ""
    return f"Source: last updated {updated}; published and not applied: {names}{more}."


def _quarantine(facts: ReviewFacts) -> str:
    quarantine = facts.quarantine
    if not quarantine.total:
        return "Quarantine: empty."
    reasons = "; ".join(
        f"{markdown_text(shortened(reason, _CHANGE_LETTERS))} ({count:,})"
        for reason, count in quarantine.reasons[:_NAMED]
    )
    return f"Quarantine: {quarantine.total:,} refused: {reasons}."


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are escaped already; nothing when there is no row."""
    if not rows:
        return ""
    head = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])
