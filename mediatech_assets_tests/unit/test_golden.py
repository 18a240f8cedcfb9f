"""What belongs here: the runner of the golden cases, hand-written inputs with the documents that they must give.

A case is a folder `fixtures/golden/<dataset>/<case>/` with `input.xml` or `input.json` (one member of the
upstream, in its dialect), `expected.json` (what parsing gives, written by hand) and, when the member's path or
feed matter, `member.json`. Only the keys that `expected.json` has are compared, so that a case says what it is
about and nothing else; a section without `context` or `attributes` may have any. A list or an object is also the
expectation of a column that holds JSON text. No outcome at all means that the dataset passes the member over by
its path, which `member.json` must give.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.documents.model import Document, Member, Outcome, Refusal, Section

GOLDEN = Path(__file__).parents[1] / "fixtures/golden"
CASES = sorted(path for path in GOLDEN.glob("*/*") if path.is_dir())
SOURCE_FILE = "golden"

MEMBER_KEYS = {"path", "feed", "full"}
EXPECTED_KEYS = {"about", "outcomes"}
DOCUMENT_KEYS = {"doc_id", "metadata", "sections", "source_url", "source_updated_at"}
REFUSAL_KEYS = {"refused", "reason"}
SECTION_KEYS = {"text", "context", "kind", "attributes"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_golden_case(case: Path):
    expected = expected_of(case)
    if not expected:
        assert not dataset_named(case.parent.name).wants(member_of(case)["path"])
        return

    outcomes = outcomes_of(case)

    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["Refusal" if "refused" in entry else "Document" for entry in expected], outcomes
    for outcome, entry in zip(outcomes, expected, strict=True):
        assert seen(outcome, entry) == entry


def test_there_are_golden_cases():
    assert CASES


def outcomes_of(case: Path) -> list[Outcome]:
    """What the dataset's parser makes of the case's input."""
    dataset = dataset_named(case.parent.name)
    facts = member_of(case)
    source = input_of(case)
    path = facts.get("path", source.name)
    parse = dataset.parse
    if facts.get("full"):
        assert dataset.parse_full is not None, f"{dataset.name} has no parser with personal data"
        parse = dataset.parse_full
    if "path" in facts:
        assert dataset.wants(path), f"{dataset.name} passes {path} over"
    return parse(Member(path, source.read_bytes(), 0.0, SOURCE_FILE, facts.get("feed", "")))


def input_of(case: Path) -> Path:
    """The one input of the case."""
    names = {path.name for path in case.iterdir()}
    inputs = names & {"input.xml", "input.json"}
    assert len(inputs) == 1, f"{case} must hold one input.xml or one input.json"
    unknown = names - inputs - {"expected.json", "member.json"}
    assert not unknown, f"{case} holds unknown files: {sorted(unknown)}"
    return case / inputs.pop()


def member_of(case: Path) -> dict[str, Any]:
    path = case / "member.json"
    facts = json.loads(path.read_bytes()) if path.exists() else {}
    refuse_unknown(path, facts, MEMBER_KEYS)
    return facts


def expected_of(case: Path) -> list[dict[str, Any]]:
    """The outcomes that the case writes down; each has an identity and something to compare."""
    path = case / "expected.json"
    assert path.exists(), f"{case} must hold an expected.json"
    expected = json.loads(path.read_bytes())
    refuse_unknown(path, expected, EXPECTED_KEYS)
    assert expected.get("about"), f"{path} must say what the case is about"
    assert "outcomes" in expected, f"{path} must say what it expects"
    assert expected["outcomes"] or "path" in member_of(case), f"{case} must give the path that is passed over"
    for entry in expected["outcomes"]:
        identity = "refused" if "refused" in entry else "doc_id"
        refuse_unknown(path, entry, REFUSAL_KEYS if identity == "refused" else DOCUMENT_KEYS)
        assert len(entry) > 1, f"{path} compares nothing: {entry}"
        assert identity in entry, f"{path} expects an outcome without doc_id or refused: {entry}"
        for section in entry.get("sections", []):
            refuse_unknown(path, section, SECTION_KEYS)
            assert "text" in section, f"{path} expects a section without text: {section}"
    return expected["outcomes"]


def refuse_unknown(path: Path, entry: dict[str, Any], known: set[str]) -> None:
    unknown = entry.keys() - known
    assert not unknown, f"{path} has unknown keys: {sorted(unknown)}"


def seen(outcome: Outcome, entry: dict[str, Any]) -> dict[str, Any]:
    """The outcome, reduced to the keys that `entry` has."""
    if isinstance(outcome, Refusal):
        reason = entry.get("reason", "")
        whole = {"refused": outcome.subject, "reason": reason if reason in outcome.reason else outcome.reason}
        return {key: whole[key] for key in entry}
    return {key: seen_value(outcome, key, entry[key]) for key in entry}


def seen_value(document: Document, key: str, expected: Any) -> Any:
    if key == "metadata":
        return {name: seen_column(document, name, wanted) for name, wanted in expected.items()}
    if key == "sections":
        return seen_sections(document.sections, expected)
    return getattr(document, key)


def seen_column(document: Document, name: str, expected: Any) -> Any:
    value = document.metadata.get(name, "no such column")
    if isinstance(expected, list | dict) and isinstance(value, str):
        return json.loads(value)
    return value


def seen_sections(sections: tuple[Section, ...], expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All sections, each reduced to the keys of the expected one at its place; whole where none is expected."""
    shown = [{key: section_value(section, key) for key in sorted(SECTION_KEYS)} for section in sections]
    for position, (section, entry) in enumerate(zip(shown, expected, strict=False)):
        shown[position] = {key: section[key] for key in entry}
    return shown


def section_value(section: Section, key: str) -> Any:
    value = getattr(section, key)
    return list(value) if key == "context" else dict(value) if key == "attributes" else value


WHOLE = {"about": "A case.", "outcomes": [{"doc_id": "JORFDOLE000000000001", "metadata": {"title": "Un"}}]}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"expected.json": None}, "must hold an expected.json"),
        ({"input.xml": None}, "one input.xml or one input.json"),
        ({"input.json": "{}"}, "one input.xml or one input.json"),
        ({"notes.txt": ""}, "unknown files"),
        ({"member.json": {"feeds": "part"}}, "unknown keys"),
        ({"expected.json": {**WHOLE, "notes": ""}}, "unknown keys"),
        ({"expected.json": {**WHOLE, "about": ""}}, "must say what the case is about"),
        ({"expected.json": {"about": "A case."}}, "must say what it expects"),
        ({"expected.json": {**WHOLE, "outcomes": []}}, "must give the path"),
        ({"expected.json": {**WHOLE, "outcomes": [{"doc_id": "A"}]}}, "compares nothing"),
        ({"expected.json": {**WHOLE, "outcomes": [{"metadata": {}, "sections": []}]}}, "without doc_id"),
        ({"expected.json": {**WHOLE, "outcomes": [{"doc_id": "A", "section": []}]}}, "unknown keys"),
        (
            {"expected.json": {**WHOLE, "outcomes": [{"doc_id": "A", "sections": [{"kind": "x"}]}]}},
            "without text",
        ),
        ({"expected.json": {**WHOLE, "outcomes": [{"doc_id": "A", "metadata": {"title": "Un"}}]}}, "A"),
        ({"expected.json": {**WHOLE, "outcomes": [{**WHOLE["outcomes"][0], "sections": []}]}}, "sections"),
        (
            {"expected.json": {**WHOLE, "outcomes": [{**WHOLE["outcomes"][0], "metadata": {"titel": "Un"}}]}},
            "titel",
        ),
        ({"expected.json": {**WHOLE, "outcomes": [{"refused": "A", "reason": "b"}]}}, "Refusal"),
        ({"member.json": {"path": "liste_suppression_dole.dat"}}, "passes .* over"),
    ],
)
def test_a_damaged_case_fails(tmp_path, damage, message):
    folder = tmp_path / "dole" / "case"
    folder.mkdir(parents=True)
    source = (
        "<DOSSIER_LEGISLATIF><META><META_COMMUN><ID>JORFDOLE000000000001</ID></META_COMMUN><META_DOSSIER_LEGISLATIF>"
        "<TITRE>Un</TITRE></META_DOSSIER_LEGISLATIF></META><CONTENU><EXPOSE_MOTIF>Texte.</EXPOSE_MOTIF></CONTENU>"
        "</DOSSIER_LEGISLATIF>"
    )
    put(folder, {"input.xml": source, "expected.json": WHOLE})
    test_golden_case(folder)

    put(folder, damage)

    with pytest.raises(AssertionError, match=message):
        test_golden_case(folder)


def put(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        if content is None:
            (folder / name).unlink()
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8")
