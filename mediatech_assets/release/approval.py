"""Approval: a person says that a release may leave, and nothing leaves without.

What belongs here: recording decisions, and the one gate before every publication. What does not: how a person is
asked (the command line, the UI) and what a sink does.

A decision names the SHA-256 of the manifest, which names the SHA-256 of every file: what was approved is what is
published. Decisions are rows that are only added, in the lake and never in the release's folder. Names are what the
operating system or the person says: nobody proves an identity here, and each row says which of the two it was.
"""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mediatech_assets.errors import ApprovalError, ConfigurationError
from mediatech_assets.lake import Lake, insert_row, quoted, utc_now
from mediatech_assets.release.stored import StoredRelease

Verdict = Literal["approved", "rejected"]
Identity = Literal["account", "declared"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who decides or publishes.

    Args:
        name: The name.
        identity: `account` when it is the operating system's account, `declared` when it was typed.
    """

    name: str
    identity: Identity

    def __str__(self) -> str:
        return self.name if self.identity == "account" else f"{self.name} (self-declared)"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about a release.

    Args:
        release: Identifier of the release.
        manifest_sha256: SHA-256 of its manifest when it was judged.
        decision: `approved` or `rejected`.
        person: Who decided.
        comment: Why, as the person wrote it.
        decided_at: When, UTC.
    """

    release: str
    manifest_sha256: str
    decision: Verdict
    person: Person
    comment: str
    decided_at: datetime


def person_named(name: str = "") -> Person:
    """The person called `name`, or the account that runs this process.

    Raises:
        ConfigurationError: no name was given and the account has none.
    """
    if name.strip():
        return Person(name.strip(), "declared")
    try:
        return Person(getpass.getuser(), "account")
    except (OSError, KeyError) as error:
        raise ConfigurationError(
            "the account that runs this process has no name", "say who decides: --by NAME"
        ) from error


def decide(
    lake: Lake, release: StoredRelease, decision: Verdict, person: Person, comment: str = ""
) -> Decision:
    """Adds a decision about a release; the newest one counts.

    Args:
        lake: The lake; the dataset's catalog is open.
        release: The release, as it stands.
        decision: The decision.
        person: Who decided.
        comment: Why; a rejection needs one.

    Raises:
        RefusedFileError: the release is not what its manifest says.
        ApprovalError: a blocking check of it failed, so that it cannot be approved.
        ConfigurationError: a rejection without a reason.
    """
    if decision == "approved":
        release.require_unchanged()
        _require_checks(release)
    elif not comment.strip():
        raise ConfigurationError(f"a rejection of {release.id} needs a reason", 'say why: --comment "…"')
    made = Decision(release.id, release.manifest_sha256, decision, person, comment.strip(), utc_now())
    row = {
        "release": made.release,
        "manifest_sha256": made.manifest_sha256,
        "decision": made.decision,
        "decided_by": person.name,
        "identity": person.identity,
        "comment": made.comment,
        "decided_at": made.decided_at,
    }
    with lake.transaction(release.dataset) as cursor:
        insert_row(cursor, f"{quoted(release.dataset)}.approvals", row)
    return made


def decisions(lake: Lake, dataset: str, release: str = "") -> list[Decision]:
    """Decisions about a dataset's releases, or about one of them, oldest first.

    Args:
        lake: The lake; the dataset's catalog is open.
        dataset: Name of the dataset.
        release: Identifier of a release; all when empty.
    """
    if not lake.has_table(dataset, "approvals"):
        return []  # a lake that is only read may be older than this table
    with lake.cursor() as cursor:
        rows = cursor.execute(
            f"""
            SELECT release, manifest_sha256, decision, decided_by, identity, comment, decided_at
            FROM {quoted(dataset)}.approvals WHERE $release = '' OR release = $release ORDER BY decided_at
            """,
            {"release": release},
        ).fetchall()
    return [
        Decision(name, sha256, verdict, Person(by, identity), comment or "", at)
        for name, sha256, verdict, by, identity, comment, at in rows
    ]


def require_approved(lake: Lake, release: StoredRelease) -> Decision:
    """The approval of a release, if it may be published.

    Every file is read: what leaves is what was approved.

    Raises:
        ApprovalError: nobody approved it, it was rejected, it is not what was approved, or a blocking check failed.
        RefusedFileError: a file is missing or was changed.
    """
    known = decisions(lake, release.dataset, release.id)
    approve = f"look at its review.html, then `mediatech approve {release.dataset} {release.id}`"
    if not known:
        raise ApprovalError(f"release {release.id} of {release.dataset} was not approved", approve)
    newest = known[-1]
    if newest.decision == "rejected":
        raise ApprovalError(
            f"release {release.id} of {release.dataset} was rejected by {newest.person}: {newest.comment}",
            f"build another one, or approve it after all: {approve}",
        )
    if newest.manifest_sha256 != release.manifest_sha256:
        raise ApprovalError(
            f"release {release.id} of {release.dataset} is not what {newest.person} approved: its manifest has "
            f"SHA-256 {release.manifest_sha256[:12]}…, approved was {newest.manifest_sha256[:12]}…",
            approve,
        )
    _require_checks(release)
    release.require_unchanged()
    return newest


def failed_checks(release: StoredRelease) -> Sequence[str]:
    """Blocking checks of a release that failed, each with its detail."""
    return [
        f"{check['name']} ({check['detail']})"
        for check in release.manifest.get("checks", ())
        if check["blocking"] and not check["passed"]
    ]


def _require_checks(release: StoredRelease) -> None:
    if failed := failed_checks(release):
        raise ApprovalError(
            f"release {release.id} of {release.dataset} failed what it must pass: {'; '.join(failed)}",
            f"mend the cause, then `mediatech update --datasets {release.dataset}` builds another one",
        )
