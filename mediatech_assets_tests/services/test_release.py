"""Releases: same state, same bytes; nothing lost, split or half-written."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediatech_assets.documents.model import MetadataValue
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.errors import ApprovalError, LakeError
from mediatech_assets.lake import Lake
from mediatech_assets.release.approval import Person, decide
from mediatech_assets.release.build import Release, ReleaseSpec, build_release
from mediatech_assets.release.checks import RULES, Check, judged, up_to_date
from mediatech_assets.release.export import (
    EXPORT_VERSION,
    IncompleteVectorsError,
    PlannedFile,
    _cut,
    _DocumentRows,
    _Writer,
    json_vectors,
)
from mediatech_assets.release.stored import read_release
from mediatech_assets.release.table_rule import ReleaseTable, TableRule
from mediatech_assets_tests.released import (
    COLUMNS,
    as_float32,
    contents,
    embed,
    fill,
    manifest,
    parquet_files,
    release_spec,
    tiny_profile,
    with_tables,
)
from mediatech_assets_tests.tiny import new_lake, open_dataset, put_document, rows, split


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("release"))
    open_dataset(lake, "code")
    yield lake
    lake.close()


@pytest.fixture
def store(lake) -> VectorStore:
    return fill(lake)


@pytest.fixture
def spec(store, tmp_path) -> ReleaseSpec:
    return release_spec(store, tmp_path)


def test_rows_have_the_published_columns_and_order(lake, spec):
    release = build_release(lake, spec)
    (path, found), *others = parquet_files(release).items()
    assert path == "data/code-latest/code_part_0.parquet"
    assert others == []
    assert tuple(found[0]) == COLUMNS
    order = [(row["doc_id"], row["chunk_index"]) for row in found]
    assert order == sorted(order)
    assert release.rows == len(found) == rows(lake, "SELECT count(*) FROM code.chunks")[0][0]
    assert release.documents == 4
    assert {row["doc_id"] for row in found} == {"a", "b", "c"}


def test_a_vector_is_a_json_list_of_the_same_float32(lake, spec, store):
    vectors = {
        key: np.array(vector, np.float32)
        for key, vector in rows(lake, f"SELECT text_key, vector FROM {store.table}")
    }
    keys = dict(rows(lake, "SELECT chunk_id, text_key FROM code.chunks"))
    (found,) = parquet_files(build_release(lake, spec)).values()
    for row in found:
        read = np.array(json.loads(row["embeddings_tiny"]), dtype=np.float32)
        assert read.tobytes() == vectors[keys[row["chunk_id"]]].tobytes()


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=1, max_size=50))
@example([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3.4028234663852886e38, 16_777_216.0, 0.1, 1e10, 1e-10])
def test_what_is_written_of_floats_is_json_that_gives_them_back(floats):
    given = np.array(floats, dtype=np.float32)
    for text in json_vectors(np.stack([given, given])).to_pylist():
        assert np.array(json.loads(text), dtype=np.float32).tobytes() == given.tobytes()


@pytest.mark.parametrize("chosen", [with_tables, as_float32])
def test_the_same_state_gives_the_same_bytes_and_the_same_id(lake, spec, tmp_path, chosen):
    spec = chosen(spec)
    first = build_release(lake, spec)
    with lake.transaction("code") as cursor:
        cursor.execute("DELETE FROM code.releases")
    second = build_release(lake, replace(spec, folder=tmp_path / "elsewhere"))
    assert second.new
    assert first.id == second.id
    assert contents(first) == contents(second)
    assert manifest(first) == manifest(second)


@pytest.mark.parametrize("chosen", [with_tables, as_float32])
def test_a_copied_lake_gives_the_same_bytes(tmp_path, chosen):
    first_lake = new_lake(tmp_path / "first")
    open_dataset(first_lake, "code")
    spec = chosen(release_spec(fill(first_lake), tmp_path / "first"))
    first_lake.close()
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    made = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        lake = new_lake(folder)
        open_dataset(lake, "code")
        VectorStore(lake, tiny_profile()).open()
        release = build_release(lake, replace(spec, folder=folder / "releases"))
        lake.close()
        made.append((release.id, contents(release), manifest(release)))
    assert made[0] == made[1]


@pytest.mark.parametrize("chosen", [with_tables, as_float32])
def test_a_release_of_an_unchanged_state_is_the_one_that_exists(lake, spec, chosen):
    spec = chosen(spec)
    first = build_release(lake, spec)
    assert first.new
    again = build_release(lake, spec)
    assert again == replace(first, new=False)
    assert [path.name for path in spec.folder.iterdir()] == [first.id]


@pytest.mark.parametrize("what", ["text", "metadata", "profile"])
def test_a_change_gives_another_release_and_leaves_the_first_alone(lake, spec, store, what):
    first = build_release(lake, spec)
    before = contents(first)
    if what == "text":
        put_document(lake, "code", "a", ["Autre chose."])
    elif what == "metadata":
        put_document(lake, "code", "a", ["Une phrase de cinq mots. " * 7], status="ABROGE")
    split(lake, "code")
    embed(store)
    changed = replace(spec, facts=replace(spec.facts, revision="r2")) if what == "profile" else spec
    second = build_release(lake, changed)
    assert second.new
    assert second.id != first.id
    assert contents(first) == before
    assert rows(lake, "SELECT count(*) FROM code.releases") == [(2,)]


@pytest.mark.parametrize("rows_per_file", [1, 2, 3, 4, 7, 1_000])
def test_no_document_is_split_over_two_files(lake, spec, rows_per_file):
    release = build_release(lake, with_tables(spec, rows_per_file))
    files = parquet_files(release)
    seen: set[str] = set()
    for path, found in files.items():
        documents = {row["doc_id"] for row in found}
        assert documents.isdisjoint(seen), path
        seen |= documents
        longest = max(sum(r["doc_id"] == d for r in found) for d in documents)
        assert len(found) < rows_per_file * 1.1 + longest
    assert seen == {"a", "b", "c"}
    assert sum(map(len, files.values())) == release.rows


def test_tables_have_a_folder_each_and_parts_are_numbered_from_zero(lake, spec):
    assert list(parquet_files(build_release(lake, with_tables(spec, 1)))) == [
        "data/code-latest/code_code/code_code_part_0.parquet",
        "data/code-latest/code_code/code_code_part_1.parquet",
        "data/code-latest/code_decret/code_decret_part_0.parquet",
    ]


def test_only_files_with_other_rows_are_written_again(lake, spec, store):
    by_table = with_tables(spec)
    first = build_release(lake, by_table)
    put_document(lake, "code", "b", ["Un autre texte du décret."], category="DECRET")
    split(lake, "code")
    embed(store)
    second = build_release(lake, by_table)
    assert second.id != first.id
    inodes = [
        {path.name: path.stat().st_ino for path in (release.folder / "data").rglob("*.parquet")}
        for release in (first, second)
    ]
    assert inodes[0].keys() == inodes[1].keys() == {"code_code_part_0.parquet", "code_decret_part_0.parquet"}
    same = {name for name, inode in inodes[0].items() if inodes[1][name] == inode}
    assert same == {"code_code_part_0.parquet"}
    # What was linked is what writing everything gives.
    held = contents(second)
    shutil.rmtree(first.folder)
    shutil.rmtree(second.folder)
    assert contents(build_release(lake, by_table)) == held


def test_an_earlier_file_that_was_touched_is_not_linked(lake, spec, store):
    by_table = with_tables(spec)
    first = build_release(lake, by_table)
    touched = first.folder / "data/code-latest/code_code/code_code_part_0.parquet"
    good = touched.read_bytes()
    touched.write_bytes(good[:-1] + b"X")
    put_document(lake, "code", "b", ["Un autre texte du décret."], category="DECRET")
    split(lake, "code")
    embed(store)
    second = build_release(lake, by_table)
    assert (second.folder / touched.relative_to(first.folder)).read_bytes() == good


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_one_document_more_leaves_nearly_all_borders_where_they_were(data):
    documents = [_DocumentRows("t", f"d{number:05}", 1 + number % 3, "") for number in range(20_000)]
    place = data.draw(st.integers(0, len(documents)))
    more = [
        *documents[:place],
        _DocumentRows("t", f"d{place:05}a", data.draw(st.integers(1, 5)), ""),
        *documents[place:],
    ]

    def borders(rows):
        return {file[0].doc_id for file in _cut(iter(rows), 2_000)}

    before, after = borders(documents), borders(more)
    assert len(before) > 15
    assert len(before - after) <= len(before) // 2


def test_missing_vectors_are_an_error_and_leave_nothing(lake, spec):
    put_document(lake, "code", "d", ["Sans vecteur."])
    split(lake, "code")
    with pytest.raises(IncompleteVectorsError, match="1 of"):
        build_release(lake, spec)
    assert list(spec.folder.iterdir()) == []
    assert rows(lake, "SELECT * FROM code.releases") == []


def test_what_a_killed_build_left_is_swept_away_and_is_no_release(lake, spec):
    (spec.folder / ".building-1" / "data").mkdir(parents=True)
    release = build_release(lake, spec)
    assert [path.name for path in spec.folder.iterdir()] == [release.id]


def test_a_build_killed_before_its_record_is_done_again(lake, spec):
    first = build_release(lake, spec)
    with lake.transaction("code") as cursor:
        cursor.execute("DELETE FROM code.releases")
    again = build_release(lake, spec)
    assert again == first
    assert rows(lake, "SELECT release FROM code.releases") == [(first.id,)]


@pytest.mark.parametrize("damage", ["manifest", "shorter", "missing", "folder"])
def test_a_damaged_release_is_built_again(lake, spec, damage):
    first = build_release(lake, spec)
    before = contents(first)
    parquet = next((first.folder / "data").rglob("*.parquet"))
    if damage == "manifest":
        (first.folder / "manifest.json").write_text("{}")
    elif damage == "shorter":
        parquet.write_bytes(parquet.read_bytes()[:-1])
    elif damage == "missing":
        parquet.unlink()
    else:
        shutil.rmtree(first.folder)
    again = build_release(lake, spec)
    assert again == first
    assert contents(again) == before


def test_the_manifest_says_all_that_the_release_was_built_from(lake, spec):
    release = build_release(lake, spec)
    found = manifest(release)
    assert found["release"] == release.id
    assert {file["path"]: file["sha256"] for file in found["files"]} == contents(release)
    identity = hashlib.sha256("\n".join(sorted(contents(release).values())).encode()).hexdigest()
    assert found["content_sha256"] == identity
    assert release.id.endswith(f"-{identity[:8]}")
    assert found["columns"] == list(COLUMNS)
    assert found["rows"] == release.rows
    assert found["quarantine"] == 1
    assert found["code"]["parser"] == "7"
    assert [(raw["file"], raw["sha256"], raw["url"]) for raw in found["raw_files"]] == [
        ("stock.tar.gz", "abc", "https://example.org/stock.tar.gz")
    ]
    assert found["source_updated_at"] == "2026-01-03"
    (recorded,) = rows(lake, "SELECT release, path, rows, documents, snapshot_id FROM code.releases")
    assert recorded == (release.id, f"code/{release.id}", release.rows, 4, found["lake_snapshot"])


def test_commits_that_change_no_row_do_not_move_the_snapshot(lake, spec):
    first = build_release(lake, spec)
    with lake.transaction("code") as cursor:
        cursor.execute("INSERT INTO code.index_state VALUES ('c', 'a_1', 'hash')")
        cursor.execute("DELETE FROM code.releases")
    assert manifest(build_release(lake, spec)) == manifest(first)


@pytest.mark.parametrize("tables", [False, True])
def test_the_card_states_source_licence_model_and_files(lake, spec, tables):
    release = build_release(lake, with_tables(spec) if tables else spec)
    text = (release.folder / "README.md").read_text("utf-8")
    pattern = f"data/code-latest/{'*/' if tables else ''}*.parquet"
    assert text.startswith("---\nlanguage:\n- fr\nlicense: etalab-2.0\n")
    assert f'data_files: "{pattern}"' in text
    assert "pretty_name: \"Le « code 'civil' »\"" in text
    for fact in (
        "La DILA",
        "https://example.org",
        "2026-01-03",
        "tiny-model",
        "r1",
        f"{release.rows:,} extraits de 4",
    ):
        assert fact in text
    for path in (path for path in contents(release) if path.endswith(".parquet")):
        assert f"`{path}`" in text
    for name in COLUMNS:
        assert f"| `{name}` |" in text


@pytest.mark.parametrize(
    ("redaction", "french", "english"),
    [
        ("public", "sont retirés des textes et des colonnes", "are removed from texts"),
        ("full", "relève du RGPD", "subject to the GDPR"),
    ],
)
def test_the_card_says_what_is_kept_of_persons(lake, spec, redaction, french, english):
    release = build_release(lake, replace(spec, facts=replace(spec.facts, redaction=redaction)))
    text = (release.folder / "README.md").read_text("utf-8")
    assert french in text
    assert english in text


def test_a_source_without_persons_has_no_such_paragraph(lake, spec):
    text = (build_release(lake, spec).folder / "README.md").read_text("utf-8")
    assert "Données personnelles" not in text
    assert "Archives écartées" not in text


def test_a_skipped_archive_makes_another_release_that_names_it_until_the_next_stock(lake, spec):
    before = build_release(lake, spec)
    with lake.transaction("code") as cursor:
        cursor.execute(
            "INSERT INTO code.skipped_archives VALUES ('CODE_2.tar.gz', '20260102', 'tronquée', TIMESTAMP '2026-01-03')"
        )
    skipping = build_release(lake, spec)
    assert skipping.id != before.id
    [entry] = manifest(skipping)["skipped_archives"]
    assert entry == {
        "file": "CODE_2.tar.gz",
        "stamp": "20260102",
        "reason": "tronquée",
        "skipped_on": "2026-01-03",
    }
    text = (skipping.folder / "README.md").read_text("utf-8")
    assert text.count("CODE_2.tar.gz (tronquée)") == 2
    with lake.transaction("code") as cursor:
        cursor.execute(
            "INSERT INTO code.applied_archives (file, sha256, kind, stamp, applied_at) "
            "VALUES ('stock2.tar.gz', 'x', 'stock', '20260103', TIMESTAMP '2026-01-04')"
        )
    assert manifest(build_release(lake, spec))["skipped_archives"] == []


def test_groups_do_not_depend_on_how_rows_were_batched(spec, tmp_path):
    table = pa.table(
        {
            "file": [0] * 25_000,
            **{name: [f"{number % 25_000}" for number in range(25_000)] for name in COLUMNS},
            "embeddings_tiny": pa.array(
                [[number / 7.0] * 3 for number in range(25_000)], pa.list_(pa.float32())
            ),
        }
    )
    digests = set()
    for size in (1_999, 2_048, 25_000):
        plan = PlannedFile(0, "data/code.parquet", table.num_rows, "")
        with closing(_Writer(tmp_path / str(size), spec.export, {0: plan})) as writer:
            for batch in table.to_batches(max_chunksize=size):
                writer.take(pa.Table.from_batches([batch]))
            digests.add(tuple(file.sha256 for file in writer.finish()))
    assert len(digests) == 1


def test_another_encoding_is_another_release_with_the_same_numbers(lake, spec):
    texts, lists = (build_release(lake, chosen) for chosen in (spec, as_float32(spec)))
    assert texts.id != lists.id
    (path,) = parquet_files(lists)
    schema = pq.read_schema(lists.folder / path)
    assert schema.field("embeddings_tiny").type == pa.list_(pa.field("element", pa.float32()))
    pairs = zip(parquet_files(texts)[path], parquet_files(lists)[path], strict=True)
    for text, numbers in pairs:
        read = np.array(json.loads(text.pop("embeddings_tiny")), dtype=np.float32)
        assert read.tobytes() == np.array(numbers.pop("embeddings_tiny"), dtype=np.float32).tobytes()
        assert text == numbers
    assert manifest(lists)["parameters"]["release_encoding"] == "float32"
    assert manifest(lists)["column_types"]["embeddings_tiny"] == "list<float>"


def test_a_table_keeps_its_folder_although_its_title_changes(lake, spec, store):
    by_title = TableRule(titled, ("title", "category"), newest="status")
    spec = replace(spec, export=replace(spec.export, tables=by_title), facts=replace(spec.facts, tables=True))
    put_document(lake, "code", "empty", title="Vide", status="2019", category="CODE")
    put_document(lake, "code", "a", ["Un."], title="Ancien", status="2020", category="CODE")
    put_document(lake, "code", "c", ["Trois."], title="Nouveau", status="2024", category="CODE")
    put_document(lake, "code", "b", ["Deux."], title="Nouveau", status="2022", category="DECRET")
    split(lake, "code")
    embed(store)
    assert (
        {path.split("/")[2] for path in parquet_files(build_release(lake, spec))}
        == {
            "code_nouveau",  # its newest title, for the articles under the former one too
            f"code_nouveau_{hashlib.sha256(b'DECRET').hexdigest()[:8]}",
        }
    )
    put_document(lake, "code", "c", ["Trois."], title="Autre", status="2025", category="CODE")
    split(lake, "code")
    embed(store)
    found = parquet_files(build_release(lake, spec))
    assert {row["doc_id"] for row in found["data/code-latest/code_nouveau/code_nouveau_part_0.parquet"]} == {
        "a",
        "c",
    }


def titled(row: Mapping[str, MetadataValue]) -> ReleaseTable:
    return ReleaseTable(str(row["category"]), f"code_{str(row['title']).lower()}")


def bury(lake: Lake, doc_id: str, removed_by: str = "stock.tar.gz", at: str = "2026-05-06") -> None:
    with lake.transaction("code") as cursor:
        cursor.execute(
            "INSERT INTO code.tombstones (doc_id, removed_at, removed_by) VALUES (?, CAST(? AS TIMESTAMP), ?)",
            [doc_id, at, removed_by],
        )


def removed(release: Release) -> list[tuple[str, str]]:
    table = pq.read_table(release.folder / "removed.parquet")
    assert table.schema.names == ["doc_id", "removed_on"]
    return [(row["doc_id"], row["removed_on"]) for row in table.to_pylist()]


def test_what_vanished_is_listed_with_the_upstreams_day(lake, spec):
    first = build_release(lake, spec)
    assert removed(first) == []
    with lake.transaction("code") as cursor:
        cursor.execute(
            "INSERT INTO code.raw_files (file, url, kind, format, stamp, status) VALUES "
            "('sheets.zip', 'https://example.org/sheets.zip', 'snapshot', 'zip', '2026-02-03T04:05:06Z', 'ready'), "
            "('tagged.zip', 'https://example.org/tagged.zip', 'snapshot', 'zip', '\"5f3a\"', 'ready')"
        )
    bury(lake, "z")
    bury(lake, "sheet", "sheets.zip")
    bury(lake, "unknown", "gone.tar.gz")
    bury(lake, "tagged", "tagged.zip", "2026-05-07")
    bury(lake, "a")  # it came back
    bury(lake, "twice", "sheets.zip", "2026-05-06")
    bury(lake, "twice", "gone.tar.gz", "2026-05-08")
    second = build_release(lake, spec)
    assert second.id != first.id
    assert second.rows == first.rows
    assert removed(second) == [
        ("sheet", "2026-02-03"),
        ("tagged", "2026-05-07"),
        ("twice", "2026-05-08"),
        ("unknown", "2026-05-06"),
        ("z", "2026-01-01"),
    ]
    listed = {file["path"]: file["rows"] for file in manifest(second)["files"]}
    assert listed["removed.parquet"] == 5
    assert [file.path for file in read_release(second.folder).data_files] == list(parquet_files(second))
    assert build_release(lake, spec) == replace(second, new=False)


def checks(release: Release) -> dict[str, dict]:
    found = manifest(release)["checks"]
    assert [check["name"] for check in found] == sorted(check["name"] for check in found)
    assert [Check(**check) for check in found] == list(release.checks)
    return {check["name"]: check for check in found}


def test_the_manifest_says_what_was_checked(lake, spec):
    others = (up_to_date(["late.tar.gz"]), judged("finds_the_right_documents", True, "it does"))
    found = checks(build_release(lake, replace(spec, checks=others)))
    assert found.keys() == RULES.keys()
    failed = {name for name, check in found.items() if not check["passed"]}
    assert failed == {"nothing_refused", "up_to_date"}
    assert {name for name, check in found.items() if check["blocking"]} == found.keys() - failed
    assert (
        found["counts_reconcile"]["detail"] == "12 rows for 12 chunks, 3 documents in files for 3 with text"
    )
    assert found["nothing_refused"]["detail"].startswith("1 inputs in quarantine beside 4 documents")
    assert "late.tar.gz" in found["up_to_date"]["detail"]


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        ("UPDATE code.chunks SET tokens = 13 WHERE chunk_id = 'a_1'", "chunks_within_the_models_limit"),
        ("UPDATE {store} SET vector = [0.1::FLOAT, 'nan'::FLOAT, 1::FLOAT]", "vectors_sound"),
        ("UPDATE {store} SET vector = [0.1, 0.2]", "vectors_sound"),
        (
            "UPDATE code.chunks SET chunk_id = 'c_1', chunk_index = 99 WHERE chunk_id = 'a_2'",
            "chunk_ids_unique",
        ),
    ],
)
def test_a_release_that_fails_a_check_is_built_and_cannot_be_approved(lake, spec, store, damage, name):
    catalog = "embeddings" if "{store}" in damage else "code"
    with lake.transaction(catalog) as cursor:
        cursor.execute(damage.format(store=store.table))
    release = build_release(lake, spec)
    assert {
        check["name"] for check in checks(release).values() if check["blocking"] and not check["passed"]
    } == {name}
    with pytest.raises(ApprovalError, match=name):
        decide(lake, read_release(release.folder), "approved", Person("Ada", "declared"))


def test_vectors_that_are_not_of_length_one_are_counted_where_the_profile_says_so(lake, spec):
    normalised = replace(spec, export=replace(spec.export, normalised=True))
    assert checks(build_release(lake, normalised))["vectors_sound"]["passed"] is False


def test_a_linked_file_keeps_what_was_found_of_its_vectors(lake, spec, store):
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"UPDATE {store.table} SET vector = [0.1::FLOAT, 'nan'::FLOAT, 1::FLOAT]")
    by_table = with_tables(spec)
    build_release(lake, by_table)
    put_document(lake, "code", "b", ["Un autre texte du décret."], category="DECRET")
    split(lake, "code")
    embed(store)
    linked = checks(build_release(lake, by_table))
    with lake.transaction("code") as cursor:
        cursor.execute("DELETE FROM code.releases")
    assert checks(build_release(lake, by_table)) == linked
    assert linked["vectors_sound"]["passed"] is False


def test_a_candidate_that_failed_is_looked_at_again_and_one_that_passed_is_not(lake, spec):
    def judged(passed: bool) -> ReleaseSpec:
        return replace(spec, checks=(Check("finds_the_right_documents", passed, True, f"it is {passed}"),))

    failed = build_release(lake, judged(False))
    assert build_release(lake, judged(False)) == replace(failed, new=False)
    passed = build_release(lake, judged(True))
    assert (passed.new, passed.id) == (True, failed.id)
    assert checks(passed)["finds_the_right_documents"]["passed"] is True
    assert build_release(lake, judged(False)) == replace(passed, new=False)


def test_the_manifest_names_what_shaped_the_bytes(lake, spec):
    found = manifest(build_release(lake, spec))
    assert found["parameters"] == {
        "chunk_tokens": 12,
        "export_version": EXPORT_VERSION,
        "release_encoding": "json",
        "rows_per_file": 50_000,
    }
    assert found["code"]["pyarrow"] == pa.__version__
    assert {"duckdb", "orjson", "mediatech-assets", "parser"} <= found["code"].keys()


def test_rows_without_a_document_are_an_error_and_leave_nothing(lake, spec):
    with lake.transaction("code") as cursor:
        cursor.execute("UPDATE code.chunks SET doc_id = 'a' WHERE chunk_id = 'c_1'")
        cursor.execute("INSERT INTO code.documents SELECT * FROM code.documents WHERE doc_id = 'a'")
    with pytest.raises(LakeError, match="contradicts itself"):
        build_release(lake, spec)
    assert list(spec.folder.iterdir()) == []
