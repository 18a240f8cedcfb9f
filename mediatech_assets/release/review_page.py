"""The review of a release as one HTML page.

What belongs here: the page, its sections in the order in which a reviewer asks, and their wording. What does not:
any figure (`review_facts.py`), and pictures (`review_plots.py`, `lineage.py`).

The page needs nothing but itself: no script, no font, no image from elsewhere, and its policy forbids them. Every
text of a source goes through `escaping.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mediatech_assets.release.escaping import html_text, is_web_address, shortened
from mediatech_assets.release.lineage import in_bytes, lineage_steps, lineage_svg
from mediatech_assets.release.review_facts import ChangedDocument, PastRelease, ReviewFacts, Sample
from mediatech_assets.release.review_plots import counts_plot, lengths_in_words, lengths_plot, scores_plot
from mediatech_assets.release.review_style import STYLE
from mediatech_assets.release.wording import Mark, Piece, Wording

_LISTED = 200
_FILES_LISTED = 100
_TITLE_LETTERS = 160
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_TAGS = {Mark.REMOVED: "del", Mark.ADDED: "ins"}


def review_page(facts: ReviewFacts) -> str:
    """The page."""
    release = facts.release
    sections = [
        ("overview", "Overview", _overview(facts)),
        ("documents", "Documents", _documents(facts)),
        ("made", "How it was made", _made(facts)),
        ("history", "History", _history(facts)),
        ("checks", "Checks", _checks(facts)),
        ("freshness", "Freshness of the source", _freshness(facts)),
        ("quarantine", "Quarantine", _quarantine(facts)),
        ("files", "Files", _files(facts)),
        ("decide", "Decide", _commands(facts)),
    ]
    contents = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "\n".join(
        f'<section id="{key}" aria-labelledby="{key}-title">'
        f'<h2 id="{key}-title">{name}</h2>\n{"".join(parts)}</section>'
        for key, name, parts in sections
    )
    title = html_text(f"{facts.title} – {release.id}")
    against = (
        f"compared with {_code(facts.previous.id)}" if facts.previous else "compared with nothing before it"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>"
        '<a class="skip" href="#overview">Skip to the overview</a>'
        f'<header><p class="kind">Review of a release</p><h1 lang="fr">{html_text(facts.title)}</h1>'
        f"<p>Release {_code(release.id)} of {_code(release.dataset)}, {against}.</p></header>\n"
        f'<div class="columns"><nav aria-label="Contents"><ol>{contents}</ol></nav>\n<main>{body}</main></div>\n'
        "</body></html>\n"
    )


# --- overview -----------------------------------------------------------------------------------------------


def _overview(facts: ReviewFacts) -> Iterator[str]:
    yield _attention(facts)
    manifest, difference = facts.release.manifest, facts.changes.difference
    before = facts.previous.manifest if facts.previous else None
    tiles = [
        ("documents", manifest["documents"], _step(manifest, before, "documents")),
        ("rows", manifest["rows"], _step(manifest, before, "rows")),
    ]
    if before:
        tiles += [
            ("added", len(difference.added), "documents"),
            ("changed", len(difference.changed), "documents"),
            ("removed", len(difference.removed), "documents"),
        ]
    tiles += [
        ("in quarantine", facts.quarantine.total, "inputs"),
        ("not applied", len(facts.pending), "files of the source"),
    ]
    yield '<dl class="tiles">'
    for name, number, note in tiles:
        yield (
            f'<div data-figure="{name}"><dt>{name}</dt><dd><strong>{number:,}</strong>'
            f"<span>{html_text(note)}</span></dd></div>"
        )
    yield "</dl>"
    about, profile = manifest["about"], manifest["profile"]
    yield _facts(
        {
            "Last update of the source": html_text(manifest.get("source_updated_at", "unknown")),
            "Producer": _link(about.get("homepage", ""), about.get("producer", "unknown")),
            "Model": f"{_code(profile.get('model', ''))}, revision {_code(profile.get('revision') or 'none')}",
            "Code": ", ".join(
                f"{html_text(name)} {_code(value)}" for name, value in manifest["code"].items()
            ),
            "SHA-256 of the manifest": _code(facts.release.manifest_sha256),
        }
    )


def _attention(facts: ReviewFacts) -> str:
    """What a reviewer should look at first; a plain word when there is nothing."""
    notes = list(attention(facts))
    if not notes:
        return '<div class="notice good"><p><strong>Nothing stands out.</strong> Look at the samples below.</p></div>'
    level = "bad" if any(urgent for urgent, _ in notes) else "careful"
    items = "".join(f"<li>{html_text(note)}</li>" for _, note in notes)
    return f'<div class="notice {level}"><p><strong>Look at these first</strong></p><ul>{items}</ul></div>'


def attention(facts: ReviewFacts) -> Iterator[tuple[bool, str]]:
    """What stands out: whether it forbids an approval, and what it is."""
    for check in facts.failed_checks:
        blocking = bool(check.get("blocking"))
        outcome = "failed, and the release cannot be approved" if blocking else "failed"
        yield blocking, f"The check “{check['name']}” {outcome}: {check.get('detail') or 'no detail'}"
    if facts.previous:
        before, removed = facts.previous.manifest["documents"], len(facts.changes.difference.removed)
        if before and removed / before >= 0.05:
            yield False, f"{removed:,} of {before:,} documents went away ({removed / before:.0%})"
        changed = len(facts.changes.difference.changed)
        if before and changed / before >= 0.5:
            yield False, f"{changed:,} of {before:,} documents changed ({changed / before:.0%})"
    for name, _, _ in facts.made_otherwise:
        yield False, f"Not as in the release before: {name}"
    scores = [past for past in facts.history if past.recall_10 is not None]
    if len(scores) > 1 and (scores[-1].recall_10 or 0) < (scores[-2].recall_10 or 0) - 0.02:
        yield False, f"Recall@10 fell from {scores[-2].recall_10:.3f} to {scores[-1].recall_10:.3f}"
    if facts.pending:
        yield False, f"{_counted(len(facts.pending), 'file')} of the source published and not applied"
    if facts.skipped_archives:
        yield False, f"{_counted(len(facts.skipped_archives), 'archive')} of the source skipped by decision"
    if facts.quarantine.total:
        yield False, f"{_counted(facts.quarantine.total, 'input')} in quarantine, and so not in the release"


def _step(now: Mapping[str, Any], before: Mapping[str, Any] | None, name: str) -> str:
    if before is None:
        return "first count"
    step = now[name] - before[name]
    return f"{step:+,} since the release before" if step else "as before"


# --- documents ----------------------------------------------------------------------------------------------


def _documents(facts: ReviewFacts) -> Iterator[str]:
    changes, difference = facts.changes, facts.changes.difference
    if facts.previous is None:
        yield (
            f"<p>Nothing can be compared: {_counted(facts.earlier, 'earlier release')} no longer on disk. "
            "Some of the documents:</p>"
            if facts.earlier
            else "<p>This is the first release: every document is new. Some of them:</p>"
        )
        yield _samples(changes.added)
        yield f"<p>{len(difference.added):,} documents have rows in this release.</p>"
        return
    others = len(difference.changed) - len(difference.reworded)
    if not (difference.added or difference.changed or difference.removed):
        yield "<p>No document was added, changed or removed.</p>"
    yield _kind("Added", difference.added, _samples(changes.added), changes.added)
    if difference.changed:
        yield f'<h3 id="changed">Changed <span class="count">{len(difference.changed):,}</span></h3>'
        yield (
            f"<p>{len(difference.reworded):,} in their text or its cut into chunks, {others:,} in metadata only. "
            "Removed words are <del>struck through</del>, added words are <ins>underlined</ins>.</p>"
        )
        yield from map(_changed, changes.changed)
        shown = {document.document.doc_id for document in changes.changed}
        yield _rest("changed", [doc_id for doc_id in difference.changed if doc_id not in shown])
    yield _kind("Removed", difference.removed, _samples(changes.removed), changes.removed)


def _kind(name: str, doc_ids: Sequence[str], samples: str, shown: Sequence[Sample]) -> str:
    if not doc_ids:
        return ""
    seen = {sample.doc_id for sample in shown}
    rest = _rest(name.lower(), [doc_id for doc_id in doc_ids if doc_id not in seen])
    return f'<h3 id="{name.lower()}">{name} <span class="count">{len(doc_ids):,}</span></h3>{samples}{rest}'


def _rest(name: str, doc_ids: Sequence[str]) -> str:
    if not doc_ids:
        return ""
    items = "".join(f"<li>{_code(doc_id)}</li>" for doc_id in doc_ids[:_LISTED])
    more = f"<p>… and {len(doc_ids) - _LISTED:,} more.</p>" if len(doc_ids) > _LISTED else ""
    return f'<details><summary>{len(doc_ids):,} more {name}</summary><ul class="ids">{items}</ul>{more}</details>'


def _samples(samples: Sequence[Sample]) -> str:
    rows = [
        (f'<span lang="fr">{_title(sample)}</span>', _code(sample.doc_id), _source(sample))
        for sample in samples
    ]
    return _table(("title", "document", "source"), rows)


def _changed(change: ChangedDocument) -> str:
    document = change.document
    source = f" · {_source(document)}" if is_web_address(document.source_url) else ""
    return (
        f'<article class="change"><h4 lang="fr">{_title(document)}</h4><p class="meta">{_code(document.doc_id)}{source}'
        f"</p>{''.join(_how_changed(change))}</article>"
    )


def _how_changed(change: ChangedDocument) -> Iterator[str]:
    if change.wording.passages:
        yield _wording(change.wording)
    else:
        yield f"<p>{_without_words(change)}</p>"
    if change.columns:
        rows = [
            (_code(column.name), _side(column.wording, Mark.REMOVED), _side(column.wording, Mark.ADDED))
            for column in change.columns
        ]
        yield _table(("column", "before", "now"), rows)
    if not change.complete:
        yield "<p>The document is huge: only its beginning was compared here.</p>"


def _without_words(change: ChangedDocument) -> str:
    before, now = change.chunks
    if change.columns:
        return "Only metadata changed."
    if before != now:
        return f"Text and metadata are as before; the cut is another: {before:,} chunks, now {now:,}."
    return "Text and metadata are as before; the cut into chunks or the headings before them are others."


def _wording(wording: Wording) -> str:
    passages = "".join(f"<p>{''.join(map(_piece, passage))}</p>" for passage in wording.passages)
    more = f'<p class="more">{_counted(wording.more, "more passage")} changed.</p>' if wording.more else ""
    return f'<div class="diff" lang="fr">{passages}{more}</div>'


def _side(wording: Wording, side: Mark) -> str:
    """One side of a changed value: what both have, and this side's own words marked."""
    other = Mark.ADDED if side is Mark.REMOVED else Mark.REMOVED
    passages = (
        "".join(_piece(piece) for piece in passage if piece.mark is not other) for passage in wording.passages
    )
    texts = [text for text in passages if text.strip()]
    more = f'<div class="more">{_counted(wording.more, "more passage")}</div>' if wording.more else ""
    return (
        f'<div class="value">{"<br>".join(texts)}</div>' if texts else '<em class="none">empty</em>'
    ) + more


def _piece(piece: Piece) -> str:
    if piece.mark is Mark.OMITTED:
        return f'<span class="omitted"> … {html_text(piece.text)} </span>'
    tag = _TAGS.get(piece.mark)
    text = html_text(piece.text)
    if not tag:
        return text
    # A line break alone would be marked by nothing that can be seen.
    return f"<{tag}>{text if piece.text.strip() else text.replace(chr(10), '¶' + chr(10))}</{tag}>"


def _title(sample: Sample) -> str:
    return html_text(shortened(sample.title, _TITLE_LETTERS))


def _source(sample: Sample) -> str:
    return _link(sample.source_url, "source\u00a0page") if is_web_address(sample.source_url) else "none"


# --- how it was made ----------------------------------------------------------------------------------------


def _made(facts: ReviewFacts) -> Iterator[str]:
    if facts.made_otherwise:
        yield "<h3>Not as in the release before</h3>"
        rows = [(html_text(name), _code(before), _code(now)) for name, before, now in facts.made_otherwise]
        yield _table(("what", "before", "now"), rows)
    yield "<h3>From raw files to the release</h3>"
    steps = lineage_steps(facts)
    for width, columns in (("wide", 3), ("narrow", 1)):
        yield f'<figure class="{width}">{lineage_svg(steps, columns)}</figure>'
    yield "<h3>Length of chunks</h3>"
    if facts.lengths.counts:
        words = html_text(lengths_in_words(facts.lengths))
        yield f'<figure class="plot">{lengths_plot(facts.lengths)}<figcaption>{words}.</figcaption></figure>'
    else:
        yield "<p>The release has no chunk.</p>"


# --- history ------------------------------------------------------------------------------------------------


def _history(facts: ReviewFacts) -> Iterator[str]:
    history = facts.history
    yield '<div class="plots">'
    yield f'<div><h3>Documents and rows</h3><figure class="plot">{counts_plot(history)}</figure></div>'
    yield "<div><h3>Retrieval score</h3>"
    measured = [past for past in history if past.recall_10 is not None]
    if measured:
        yield (
            f'<figure class="plot">{scores_plot(history)}<figcaption>Hybrid search over '
            f"{_counted(measured[-1].questions, 'question')} with known answers.</figcaption></figure></div>"
        )
    else:
        yield (
            '<p class="none">The search was not measured for any of these releases: no question about their documents '
            "is known, or the evaluation has not run.</p></div>"
        )
    yield "</div>"
    yield f"<details><summary>The same as a table</summary>{_history_table(history)}</details>"


def _history_table(history: Sequence[PastRelease]) -> str:
    rows = [
        (
            _code(past.id),
            f"{past.created_at:%Y-%m-%d %H:%M}" if past.created_at else "unknown",
            past.documents,
            past.rows,
            _score(past.recall_10),
            _score(past.mrr),
        )
        for past in reversed(history)
    ]
    return _table(("release", "built (UTC)", "documents", "rows", "recall@10", "MRR"), rows)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


# --- checks, freshness, quarantine --------------------------------------------------------------------------


def _checks(facts: ReviewFacts) -> Iterator[str]:
    if not facts.checks:
        yield "<p>The manifest of this release records no check.</p>"
        return
    failed = len(facts.failed_checks)
    yield f"<p>{len(facts.checks) - failed:,} of {_counted(len(facts.checks), 'check')} passed.</p>"
    rows = [
        (
            _outcome(check),
            f'<code class="name">{html_text(check["name"])}</code>',
            "yes" if check.get("blocking") else "no",
            html_text(check.get("detail") or ""),
        )
        for check in sorted(facts.checks, key=lambda check: (check["passed"], not check.get("blocking")))
    ]
    yield _table(("outcome", "check", "blocks approval", "detail"), rows)


def _outcome(check: Mapping[str, Any]) -> str:
    if check["passed"]:
        return '<span class="outcome good">✓ passed</span>'
    return '<span class="outcome bad">✗ failed</span>'


def _freshness(facts: ReviewFacts) -> Iterator[str]:
    manifest = facts.release.manifest
    updated = html_text(manifest.get("source_updated_at", "unknown"))
    yield f"<p>The source was last updated on <strong>{updated}</strong>. "
    if facts.pending:
        yield f"{_counted(len(facts.pending), 'file')} published and not applied:</p>"
        yield _ids(facts.pending)
    else:
        yield "Everything that was published had been applied when this page was written.</p>"
    if facts.upstream:
        yield "<h3>Newest files of the source</h3>"
        rows = [
            (
                _link(file["url"], file["file"]),
                html_text(" ".join(filter(None, (file["kind"], file["feed"])))),
                html_text(file["stamp"] or ""),
                html_text(file["last_modified"] or "unknown"),
                html_text(file["fetched_at"] or "never"),
                html_text(file["status"] + (f": {file['reason']}" if file["reason"] else "")),
            )
            for file in facts.upstream
        ]
        yield _table(("file", "kind", "version", "last modified", "fetched (UTC)", "status"), rows)
    if facts.skipped_archives:
        yield "<h3>Archives skipped by decision</h3>"
        rows = [
            (_code(row["file"]), html_text(row["reason"]), html_text(row["skipped_on"]))
            for row in facts.skipped_archives
        ]
        yield _table(("archive", "reason", "since"), rows)


def _quarantine(facts: ReviewFacts) -> Iterator[str]:
    quarantine = facts.quarantine
    if not quarantine.total:
        yield "<p>Nothing was refused.</p>"
        return
    yield f"<p>{_counted(quarantine.total, 'input')} refused, and so not in the release.</p>"
    yield _table(("reason", "inputs"), [(html_text(reason), count) for reason, count in quarantine.reasons])
    rows = [
        (
            _code(row["subject"]),
            html_text(row["reason"]),
            html_text(row["source_file"]),
            html_text(row["member"]),
        )
        for row in quarantine.samples
    ]
    shown = f"The newest {len(rows)}" if quarantine.total > len(rows) else "All of them"
    yield f"<details><summary>{shown}</summary>"
    yield f"{_table(('input', 'reason', 'file', 'member'), rows)}</details>"


# --- files and commands -------------------------------------------------------------------------------------


def _files(facts: ReviewFacts) -> Iterator[str]:
    files = [file for file in facts.release.files if file.path != "manifest.json"]
    size = in_bytes(sum(file.bytes for file in files))
    yield f"<p>{_counted(len(files), 'file')} with {size}, beside the manifest.</p>"
    rows = [(_code(file.path), file.rows, file.bytes, _code(file.sha256)) for file in files[:_FILES_LISTED]]
    yield f"<details><summary>Files of the release</summary>{_table(('path', 'rows', 'bytes', 'SHA-256'), rows)}"
    yield f"{_left_out(len(files))}</details>"
    raw = sorted(facts.release.manifest["raw_files"], key=lambda file: file["stamp"] or "", reverse=True)
    rows = [
        (_link(file["url"], file["file"]), html_text(file["stamp"] or ""), _code(file["sha256"] or ""))
        for file in raw[:_FILES_LISTED]
    ]
    yield f"<details><summary>{_counted(len(raw), 'raw file')} that it was built from</summary>"
    yield f"{_table(('file', 'version', 'SHA-256'), rows)}{_left_out(len(raw))}</details>"


def _left_out(count: int) -> str:
    return f"<p>… and {count - _FILES_LISTED:,} more: see manifest.json.</p>" if count > _FILES_LISTED else ""


def _commands(facts: ReviewFacts) -> Iterator[str]:
    dataset, release = facts.release.dataset, facts.release.id
    yield (
        "<p>A release reaches the public only after a person approved exactly these files. What was approved is the "
        "manifest's SHA-256 above: any later change to a file takes the approval away.</p>"
    )
    commands = [
        ("Approve", f"mediatech approve {dataset} {release}"),
        ("Reject, with the reason", f'mediatech reject {dataset} {release} --comment "…"'),
        (
            "See what a publication would do",
            f"mediatech publish {dataset} {release} --sink huggingface --dry-run",
        ),
        ("Publish", f"mediatech publish {dataset} {release} --sink huggingface"),
        ("Compare with another release", f"mediatech review {dataset} {release} --against RELEASE"),
    ]
    items = "".join(
        f"<dt>{name}</dt><dd><pre><code>{html_text(text)}</code></pre></dd>" for name, text in commands
    )
    yield f'<dl class="commands">{items}</dl>'


# --- pieces -------------------------------------------------------------------------------------------------


def _table(names: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """A table; a text is HTML already, a number is set to the right.

    It may scroll, and so must be reachable by keyboard. Roles are said again because the style of narrow screens
    takes them from the elements.
    """
    numbers = [isinstance(value, int) for value in rows[0]] if rows else [False] * len(names)
    head = "".join(
        f'<th scope="col" role="columnheader"{" class=number" * is_number}>{html_text(name)}</th>'
        for name, is_number in zip(names, numbers, strict=True)
    )
    body = "".join(f'<tr role="row">{_cells(names, row)}</tr>' for row in rows)
    return (
        '<div class="table" tabindex="0"><table role="table">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _cells(names: Sequence[str], row: Sequence[str | int]) -> str:
    return "".join(_cell(name, value) for name, value in zip(names, row, strict=True))


def _cell(name: str, value: str | int) -> str:
    kind = f'role="cell" data-label="{html_text(name)}"'
    return (
        f'<td class="number" {kind}>{value:,}</td>' if isinstance(value, int) else f"<td {kind}>{value}</td>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())
    return f'<dl class="facts">{items}</dl>'


def _ids(names: Sequence[str]) -> str:
    items = "".join(f"<li>{_code(name)}</li>" for name in names[:_LISTED])
    more = f"<p>… and {len(names) - _LISTED:,} more.</p>" if len(names) > _LISTED else ""
    return f'<ul class="ids">{items}</ul>{more}'


def _code(value: object) -> str:
    return f"<code>{html_text(value)}</code>"


def _link(url: str, text: str) -> str:
    if not is_web_address(url):
        return html_text(text)
    return f'<a href="{html_text(url)}" rel="noopener noreferrer">{html_text(text)}</a>'


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
