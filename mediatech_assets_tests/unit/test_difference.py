"""What differs between two releases, by their files alone."""

import duckdb

from mediatech_assets.release.difference import Difference, compare, contents_of, data_files
from mediatech_assets.release.review_facts import spread
from mediatech_assets_tests.stored_release import LEGI_FILES, VECTOR_COLUMN, make_legi_release


def test_compare_tells_added_changed_and_removed_documents(tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["un ", "deux"], "b": ["trois"], "c": ["quatre"]})
    after = make_legi_release(
        tmp_path / "2",
        {"a": ["un ", "deux"], "b": ["autre"], "d": ["cinq"]},
        columns={VECTOR_COLUMN: "[0.2]"},
    )

    assert compare(duckdb.connect(), after, before) == Difference(["d"], ["b"], ["c"], ["b"])


def test_a_document_with_other_metadata_is_changed_but_not_reworded(tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": {"texts": ["un"], "status": "VIGUEUR"}, "b": ["deux"]})
    after = make_legi_release(tmp_path / "2", {"a": {"texts": ["un"], "status": "ABROGE"}, "b": ["deux"]})

    assert compare(duckdb.connect(), after, before) == Difference([], ["a"], [], [])


def test_a_column_that_only_one_release_has_changes_no_document(tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["un"], "b": ["deux"]})
    after = make_legi_release(
        tmp_path / "2", {"a": {"texts": ["un"], "new": "x"}, "b": {"texts": ["autre"], "new": "y"}}
    )

    assert compare(duckdb.connect(), after, before) == Difference([], ["b"], [], ["b"])


def test_files_that_both_releases_share_hold_no_difference(tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["un"], "b": ["deux"]})
    after = make_legi_release(tmp_path / "2", {"c": ["trois"]})
    own = after / LEGI_FILES / "legi_code_part_0.parquet"
    own.rename(own.with_name("legi_code_part_1.parquet"))
    own.hardlink_to(before / LEGI_FILES / own.name)

    assert compare(duckdb.connect(), after, before) == Difference(["c"], [], [])
    own.with_name("legi_code_part_1.parquet").unlink()
    assert compare(duckdb.connect(), after, before) == Difference([], [], [])


def test_shared_files_are_not_read(tmp_path):
    """The proof is that their bytes may be anything."""
    before = make_legi_release(tmp_path / "1", {"a": ["un"]})
    after = make_legi_release(tmp_path / "2", {"a": ["deux"]})
    shared = before / LEGI_FILES / "legi_code_part_9.parquet"
    shared.write_bytes(b"no Parquet")
    (after / LEGI_FILES / shared.name).hardlink_to(shared)

    assert compare(duckdb.connect(), after, before).changed == ["a"]


def test_only_files_below_data_are_compared(tmp_path):
    before = make_legi_release(tmp_path / "1", {"a": ["un"]})
    after = make_legi_release(tmp_path / "2", {"a": ["un"]})
    (after / "removed.parquet").write_bytes(b"ids that vanished")

    assert compare(duckdb.connect(), after, before) == Difference([], [], [])


def test_a_first_release_is_all_new(tmp_path):
    folder = make_legi_release(tmp_path / "1", {"b": ["x"], "a": ["y"]})

    assert compare(duckdb.connect(), folder, None) == Difference(["a", "b"], [], [])


def test_contents_join_the_chunks_in_order_and_leave_the_vector(tmp_path):
    documents = {"a": {"texts": [f"{n}," for n in range(1, 12)], "status": "VIGUEUR", "mails": ["x", "y"]}}
    folder = make_legi_release(tmp_path / "1", documents | {"b": {"texts": [""], "status": "", "mails": []}})

    contents = contents_of(duckdb.connect(), data_files(folder), ["a"])

    assert list(contents) == ["a"]
    assert contents["a"].text == "1,2,3,4,5,6,7,8,9,10,11,"
    assert contents["a"].metadata["mails"] == "x\ny"
    assert contents["a"].complete
    assert not [name for name in contents["a"].metadata if name.startswith("embeddings")]


def test_of_a_huge_document_only_the_beginning_is_held(tmp_path):
    folder = make_legi_release(tmp_path / "1", {"a": ["mot " * 100] * 1_000})

    content = contents_of(duckdb.connect(), data_files(folder), ["a"])["a"]

    assert not content.complete
    assert len(content.text) < 250_000


def test_samples_are_spread_over_all():
    assert spread([str(n) for n in range(100)], 4) == ["0", "25", "50", "75"]
    assert spread(["a", "b"], 4) == ["a", "b"]
