"""The review page: what differs between two releases, and nothing hostile in it."""

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediatech_assets.lake import Lake
from mediatech_assets.release.review import Difference, compare, release_before, write_review
from mediatech_assets.schemas import column, dataset_tables

Rows = dict[str, list[str]]


@pytest.fixture
def lake(tmp_path: Path):
    lake = Lake(tmp_path / "lake", tmp_path / "locks")
    lake.open("legi", dataset_tables(pa.schema([column("title", pa.string(), "Title.")])))
    yield lake
    lake.close()


def release(folder: Path, documents: Rows, vector: str = "[0.1]", text: str = "text") -> Path:
    rows = [
        {
            "chunk_id": f"{doc_id}_{index}",
            "doc_id": doc_id,
            "chunk_index": index,
            text: words,
            "embeddings_use-m3": vector,
            "source_updated_at": None,
        }
        for doc_id, texts in documents.items()
        for index, words in enumerate(texts, start=1)
    ]
    data = folder / "data" / "legi-latest" / "legi_code"
    data.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), data / "legi_code_part_0.parquet")
    manifest = {
        "release": folder.name,
        "documents": len(documents),
        "rows": len(rows),
        "source_updated_at": "2026-01-05",
        "profile": {"model": "use-m3", "revision": "1"},
        "code": {"mediatech-assets": "0", "parser": "1"},
        "lake_snapshot": 3,
        "skipped_archives": [],
        "raw_files": [{"file": "a.tar.gz", "url": "https://host/a", "stamp": "20260105", "sha256": "00"}],
        "files": [],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_compare_tells_added_changed_and_removed_documents(tmp_path):
    before = release(tmp_path / "1", {"a": ["un ", "deux"], "b": ["trois"], "c": ["quatre"]})
    after = release(tmp_path / "2", {"a": ["un ", "deux"], "b": ["autre"], "d": ["cinq"]}, vector="[0.2]")

    difference = compare(duckdb.connect(), after, before)

    assert (difference.added, difference.changed, difference.removed) == (["d"], ["b"], ["c"])


def test_files_that_both_releases_share_hold_no_difference(tmp_path):
    before = release(tmp_path / "1", {"a": ["un"], "b": ["deux"]})
    after = release(tmp_path / "2", {"c": ["trois"]})
    shared = Path("data/legi-latest/legi_code/legi_code_part_0.parquet")
    own = after / shared
    own.rename(own.with_name("legi_code_part_1.parquet"))
    own.hardlink_to(before / shared)

    assert compare(duckdb.connect(), after, before) == Difference(["c"], [], [])
    own.with_name("legi_code_part_1.parquet").unlink()
    assert compare(duckdb.connect(), after, before) == Difference([], [], [])


def test_a_first_release_is_all_new(tmp_path):
    difference = compare(duckdb.connect(), release(tmp_path / "1", {"b": ["x"], "a": ["y"]}), None)

    assert (difference.added, difference.changed, difference.removed) == (["a", "b"], [], [])


def test_the_page_shows_the_words_that_changed_and_escapes_them(lake, tmp_path):
    before = release(tmp_path / "1", {"a": ["une durée de <b>30</b> jours"]})
    after = release(tmp_path / "2", {"a": ["une durée de <script>alert(1)</script> jours"]})

    page = write_review(lake, "legi", "Codes & lois", after, before).read_text(encoding="utf-8")

    assert "<del>-une durée de &lt;b&gt;30&lt;/b&gt; jours</del>" in page
    assert "<ins>+une durée de &lt;script&gt;alert(1)&lt;/script&gt; jours</ins>" in page
    assert "<script" not in page
    assert "Codes &amp; lois" in page
    assert "src=" not in page
    assert "Nothing was refused." in page


def test_a_dataset_without_text_column_shows_what_was_embedded(lake, tmp_path):
    before = release(tmp_path / "1", {"a": ["Mairie. Ouverte le lundi."]}, text="chunk_text")
    after = release(tmp_path / "2", {"a": ["Mairie. Ouverte le mardi."]}, text="chunk_text")

    page = write_review(lake, "legi", "Annuaire", after, before).read_text(encoding="utf-8")

    assert "<ins>+Mairie. Ouverte le mardi.</ins>" in page


def test_the_page_lists_archives_skipped_by_decision(lake, tmp_path):
    folder = release(tmp_path / "1", {"a": ["x"]})
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    skipped = {"file": "LEGI_1.tar.gz", "stamp": "1", "reason": "<cut>", "skipped_on": "2026-01-07"}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"skipped_archives": [skipped]}), "utf-8")

    page = write_review(lake, "legi", "Codes", folder, None).read_text(encoding="utf-8")

    assert "LEGI_1.tar.gz" in page
    assert "&lt;cut&gt;" in page


def test_the_page_lists_what_is_in_quarantine(lake, tmp_path):
    with lake.transaction("legi") as cursor:
        cursor.execute(
            "INSERT INTO legi.quarantine (subject, member, reason, source_file, seen_at) "
            "VALUES ('F1', 'F1.xml', 'no <id>', 'a.zip', TIMESTAMP '2026-01-01 00:00:00')"
        )

    page = write_review(lake, "legi", "Codes", release(tmp_path / "1", {"a": ["x"]}), None)

    assert "no &lt;id&gt;" in page.read_text(encoding="utf-8")


def test_release_before_is_the_newest_older_one_that_stands(lake, tmp_path):
    releases = tmp_path / "releases"
    for day, name in enumerate(("one", "two", "three"), start=1):
        if name != "two":
            (releases / name).mkdir(parents=True)
        with lake.transaction("legi") as cursor:
            cursor.execute(
                "INSERT INTO legi.releases (release, profile, input_digest, manifest_sha256, path, created_at) "
                f"VALUES (?, 'use', '', '', '', TIMESTAMP '2026-01-0{day} 00:00:00')",
                [name],
            )

    assert release_before(lake, "legi", "three", releases) == releases / "one"
    assert release_before(lake, "legi", "one", releases) is None
