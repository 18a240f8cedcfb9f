"""The review of a release: when it is written, when it is used again, and what the page and the summary say."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediatech_assets.errors import ConfigurationError, RefusedFileError
from mediatech_assets.lake import Lake
from mediatech_assets.release.difference import data_files
from mediatech_assets.release.review import (
    REVIEW,
    release_before,
    review_files,
    review_release,
    standing_review,
)
from mediatech_assets_tests.stored_release import make_legi_release
from mediatech_assets_tests.tiny import new_lake, open_dataset, record_release, record_run


@pytest.fixture(scope="module")
def one_lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("review"))
    open_dataset(lake, "legi")
    yield lake
    lake.close()


@pytest.fixture
def lake(one_lake) -> Lake:
    """The lake of the module, with nothing in the tables that a review reads."""
    with one_lake.transaction("legi") as cursor:
        for table in ("releases", "retrieval_runs", "quarantine", "raw_files"):
            cursor.execute(f"DELETE FROM legi.{table}")
    return one_lake


def test_a_review_is_written_once(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["un"], "b": ["deux"]})
    after = make_legi_release(tmp_path / "2", {"a": ["autre"], "c": ["trois"]})

    review = review_release(lake, "legi", "Codes", after, before)

    assert review.new
    assert review.summary == {
        "dataset": "legi", "release": "2", "against": "1", "added": 1, "changed": 1, "removed": 1,
        "page": str(after / REVIEW),
    }  # fmt: skip
    for path in data_files(before):
        path.unlink()  # nothing is compared again
    again = review_release(lake, "legi", "Codes", after, before)
    assert not again.new
    assert (again.summary, again.markdown) == (review.summary, review.markdown)


def test_a_page_with_the_release_before_outlives_that_release(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["un"]})
    after = make_legi_release(tmp_path / "2", {"a": ["deux"]})
    written = review_release(lake, "legi", "Codes", after, before)

    assert review_release(lake, "legi", "Codes", after, None).summary == written.summary


def test_the_same_state_gives_the_same_bytes(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["un"], "b": ["deux"]})
    after = make_legi_release(tmp_path / "2", {"a": ["autre"], "c": ["trois"]})
    record_release(lake, "1", 1)
    record_release(lake, "2", 2)

    def written() -> dict[str, bytes]:
        review_release(lake, "legi", "Codes", after, before)
        found = {path.name: path.read_bytes() for path in review_files(after)}
        for path in review_files(after):
            path.unlink()
        return found

    first = written()
    assert set(first) == {"review.html", "review.md", "review.json"}
    assert written() == first


def test_a_review_that_a_kill_left_unfinished_is_written_again(lake, tmp_path):
    folder = make_legi_release(tmp_path / "1", {"a": ["un"]})
    whole = review_release(lake, "legi", "Codes", folder, None)
    for path in review_files(folder):
        content = path.read_bytes()
        path.unlink()
        assert standing_review(folder) is None, path.name
        path.write_bytes(content)
    assert standing_review(folder) is not None

    (folder / "review.json").unlink()
    again = review_release(lake, "legi", "Codes", folder, None)
    assert again.new
    assert again.summary == whole.summary


def test_a_damaged_record_is_not_believed(lake, tmp_path):
    folder = make_legi_release(tmp_path / "1", {"a": ["un"]})
    review_release(lake, "legi", "Codes", folder, None)
    for content in ("", "[]", "{", '{"manifest_sha256": 3}', "\0"):
        (folder / "review.json").write_text(content, "utf-8")
        assert standing_review(folder) is None, content


def test_a_page_of_another_manifest_is_written_again(lake, tmp_path):
    folder = make_legi_release(tmp_path / "1", {"a": ["un"]})
    review_release(lake, "legi", "Codes", folder, None)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest | {"lake_snapshot": 4}), "utf-8")

    assert standing_review(folder) is None


def test_a_chosen_comparison_has_a_page_of_its_own(lake, tmp_path):
    oldest = make_legi_release(tmp_path / "1", {"a": ["un"]})
    before = make_legi_release(tmp_path / "2", {"a": ["un"], "b": ["deux"]})
    after = make_legi_release(tmp_path / "3", {"a": ["un"], "b": ["deux"], "c": ["trois"]})
    usual = review_release(lake, "legi", "Codes", after, before)

    chosen = review_release(lake, "legi", "Codes", after, oldest, chosen=True)

    assert chosen.page == after / "review-against-1.html"
    assert (chosen.added, usual.added) == (2, 1)
    assert review_release(lake, "legi", "Codes", after, before) == standing_review(after)
    assert not review_release(lake, "legi", "Codes", after, oldest, chosen=True).new
    assert review_release(lake, "legi", "Codes", after, before, chosen=True).page == usual.page
    assert {path.name for path in review_files(after)} == {
        f"{stem}{suffix}" for stem in ("review", "review-against-1") for suffix in (".html", ".md", ".json")
    }


def test_a_release_is_compared_with_another_of_its_dataset_only(lake, tmp_path):
    folder = make_legi_release(tmp_path / "1", {"a": ["un"]})
    other = make_legi_release(tmp_path / "2", {"a": ["un"]}, dataset="cnil")

    with pytest.raises(ConfigurationError, match="with itself"):
        review_release(lake, "legi", "Codes", folder, folder)
    with pytest.raises(ConfigurationError, match="a release of cnil"):
        review_release(lake, "legi", "Codes", folder, other)
    with pytest.raises(RefusedFileError, match="holds no release"):
        review_release(lake, "legi", "Codes", tmp_path / "nowhere", None)
    assert review_files(folder) == []


def test_release_before_is_the_newest_older_one_that_stands(lake, tmp_path):
    releases = tmp_path / "releases"
    for day, name in enumerate(("one", "two", "half", "three"), start=1):
        if name in {"one", "three"}:
            make_legi_release(releases / name, {"a": ["x"]})
        record_release(lake, name, day)
    (releases / "half").mkdir()

    assert release_before(lake, "legi", "three", releases) == releases / "one"
    assert release_before(lake, "legi", "one", releases) is None


def test_the_page_shows_the_words_that_changed_and_escapes_them(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["une durée de 30 jours"]})
    after = make_legi_release(tmp_path / "2", {"a": ["une durée de <script>alert(1)</script> jours"]})

    page = page_of(lake, after, before, title="Codes & lois")

    assert "<del>30 </del>" in page
    assert "<ins>&lt;script&gt;alert(1)&lt;/script&gt; </ins>" in page
    assert "<script" not in page
    assert '<h1 lang="fr">Codes &amp; lois</h1>' in page
    assert "src=" not in page


@pytest.mark.parametrize(
    "scheme", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//host/x"]
)
def test_a_link_leads_to_the_web_or_nowhere(lake, tmp_path, scheme):
    folder = make_legi_release(tmp_path / "1", {"a": {"texts": ["un"], "source_url": scheme}})

    page = page_of(lake, folder, None)

    assert scheme not in page
    assert "<a href" in page


def test_every_text_of_third_parties_is_escaped(lake, tmp_path):
    """One hostile text in every place that a source, a person or a service can write to."""
    evil = '"><img src=x onerror=alert(1)>\u202e'
    url = 'https://example.org/"onmouseover="alert(1)'
    raw = {"file": evil, "url": url, "stamp": evil, "last_modified": evil, "sha256": evil}
    facts = {
        "raw_files": [raw],
        "skipped_archives": [{"file": evil, "reason": evil, "skipped_on": evil}],
        "checks": [{"name": evil, "passed": False, "blocking": True, "detail": evil}],
        "profile": {"name": "use", "model": evil, "revision": evil, "dimensions": 3},
        "source_updated_at": evil,
        "code": {evil: evil, "parser": evil},
    }
    document = {"title": evil, "source_url": url, "status": "un"}
    before = make_legi_release(
        tmp_path / "1", {"a": {"texts": ["un"], **document}, "b": {"texts": [""], **document}}
    )
    changed = {"texts": [evil], **document, "status": evil}
    after = make_legi_release(tmp_path / "2", {"a": changed, evil: changed}, **facts)
    with lake.transaction("legi") as cursor:
        cursor.execute(
            "INSERT INTO legi.quarantine (subject, member, reason, source_file, seen_at) "
            "VALUES ($1, $1, $1, $1, TIMESTAMP '2026-01-01')",
            [evil],
        )
        cursor.execute(
            "INSERT INTO legi.raw_files (file, url, kind, format, stamp, last_modified, status, reason) "
            "VALUES ($1, $1, $1, 'targz', $1, $1, 'unreadable', $1)",
            [evil],
        )

    review = review_release(lake, "legi", evil, after, before, pending=[evil])

    page = review.page.read_text("utf-8")
    assert page.count("&lt;img src=x onerror=alert(1)&gt;[U+202E]") >= 20
    assert "<img" not in page
    assert 'onmouseover="' not in page
    assert "\u202e" not in page
    assert "<img" not in review.markdown.replace("\\<", "")
    assert "\u202e" not in review.markdown


NO_TEXT = {"text": None}


def test_a_dataset_without_text_column_shows_what_was_embedded(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["Mairie. Ouverte le lundi."]}, columns=NO_TEXT)
    after = make_legi_release(tmp_path / "2", {"a": ["Mairie. Ouverte le mardi."]}, columns=NO_TEXT)

    assert "<del>lundi</del><ins>mardi</ins>" in page_of(lake, after, before)


def test_a_change_of_metadata_is_shown_column_by_column(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": {"texts": ["un"], "status": "VIGUEUR", "number": "12"}})
    after = make_legi_release(tmp_path / "2", {"a": {"texts": ["un"], "status": "ABROGE", "number": "12"}})

    page = page_of(lake, after, before)

    assert "Only metadata changed." in page
    assert "<del>VIGUEUR</del>" in page
    assert "<ins>ABROGE</ins>" in page
    assert "<code>number</code>" not in page


def test_the_page_lists_what_was_decided_refused_and_not_applied(lake, tmp_path):
    skipped = {"file": "LEGI_1.tar.gz", "stamp": "1", "reason": "cut short", "skipped_on": "2026-01-07"}
    folder = make_legi_release(tmp_path / "1", {"a": ["x"]}, skipped_archives=[skipped])
    with lake.transaction("legi") as cursor:
        for number in range(3):
            cursor.execute(
                "INSERT INTO legi.quarantine (subject, member, reason, source_file, seen_at) "
                "VALUES (?, 'F1.xml', ?, 'a.zip', TIMESTAMP '2026-01-01 00:00:00')",
                [f"F{number}", f"no id in line {number}"],
            )

    review = review_release(lake, "legi", "Codes", folder, None, pending=["LEGI_2.tar.gz"])

    page = review.page.read_text("utf-8")
    for words in ("LEGI_1.tar.gz", "cut short", "no id in line", "1 file published and not applied"):
        assert words in page
    assert "LEGI\\_2.tar.gz" in review.markdown
    assert "3 refused: no id in line 0 (3)" in review.markdown


def test_checks_are_listed_and_a_failed_one_stands_first(lake, tmp_path):
    checks = [
        {"name": "rows_complete", "passed": True, "blocking": True, "detail": "44 of 44"},
        {"name": "retrieval", "passed": False, "blocking": True, "detail": "recall@10 is 0.51, floor 0.60"},
    ]
    folder = make_legi_release(tmp_path / "1", {"a": ["x"]}, checks=checks)

    review = review_release(lake, "legi", "Codes", folder, None)

    page = review.page.read_text("utf-8")
    assert "failed, and the release cannot be approved: recall@10 is 0.51" in page
    assert page.index(">retrieval</code>") < page.index(">rows_complete</code>")
    assert "1 of 2 passed; failed: retrieval" in review.markdown


def test_scores_are_those_measured_before_each_release(lake, tmp_path):
    for day in (1, 2, 3):
        record_release(lake, str(day), 10 * day, documents=day, rows=day)
    record_run(lake, 5, 0.71, 0.61)
    record_run(lake, 25, 0.82, 0.62)
    record_run(lake, 31, 0.99, 0.99)  # after the last release
    folder = make_legi_release(tmp_path / "3", {"a": ["x"]})

    review = review_release(lake, "legi", "Codes", folder, None)

    assert "recall@10 0.820 (+0.110), MRR 0.620" in review.markdown
    page = review.page.read_text("utf-8")
    assert page.count(">0.710</td>") == 2
    assert page.count(">0.820</td>") == 1
    assert "0.990" not in page


def test_releases_that_came_later_are_not_in_the_history(lake, tmp_path):
    for day in (1, 2, 3):
        record_release(lake, f"release-{day}", day)
    folder = make_legi_release(tmp_path / "release-2", {"a": ["x"]})

    page = page_of(lake, folder, None)

    assert "<code>release-1</code>" in page
    assert "<code>release-3</code>" not in page


def test_a_release_whose_earlier_ones_are_gone_is_not_called_the_first(lake, tmp_path):
    record_release(lake, "1", 1)
    record_release(lake, "2", 2)

    page = page_of(lake, make_legi_release(tmp_path / "2", {"a": ["x"]}), None)

    assert "This is the first release" not in page
    assert "1 earlier release no longer on disk" in page
    assert "This is the first release" in page_of(lake, make_legi_release(tmp_path / "1", {"a": ["x"]}), None)


def test_what_is_made_otherwise_is_named(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["x"]})
    after = make_legi_release(tmp_path / "2", {"a": ["x"]}, code={"mediatech-assets": "0", "parser": "2"})

    review = review_release(lake, "legi", "Codes", after, before)

    assert "Not as in the release before: parser" in review.markdown
    assert "No document was added, changed or removed." in review.page.read_text("utf-8")


def test_lists_are_bounded(lake, tmp_path):
    before = make_legi_release(tmp_path / "1", {f"old{n}": ["x"] for n in range(1_000)})
    after = make_legi_release(tmp_path / "2", {f"new{n}": ["x"] for n in range(1_000)})

    page = page_of(lake, after, before)

    assert page.count("<li><code>new") == 200
    assert "… and 790 more." in page
    assert len(page) < 200_000


def page_of(lake: Lake, folder: Path, previous: Path | None, title: str = "Codes") -> str:
    return review_release(lake, "legi", title, folder, previous).page.read_text(encoding="utf-8")
