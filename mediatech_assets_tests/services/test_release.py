"""Releases: same state, same bytes; nothing lost, split or half-written."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediatech_assets.embeddings.batches import EmbeddedBatch
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.lake import Lake
from mediatech_assets.records import file_sha256
from mediatech_assets.release.build import Release, ReleaseSpec, build_release
from mediatech_assets.release.card import CardFacts
from mediatech_assets.release.export import (
    ExportSpec,
    IncompleteVectorsError,
    PlannedFile,
    _cut,
    _DocumentRows,
    _Writer,
    json_vectors,
)
from mediatech_assets_tests.tiny import chunking, new_lake, open_dataset, put_document, rows, split

COLUMNS = (
    "chunk_id", "doc_id", "chunk_index", "chunk_xxh64", "title", "status", "text", "context", "chunk_text",
    "embeddings_tiny", "source_url", "source_updated_at",
)  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("release"))
    open_dataset(lake, "code")
    yield lake
    lake.close()


def embed(store: VectorStore) -> None:
    def from_hash(texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
        keys = [key for key, _ in texts]
        vectors = [[int(key[:4], 16) / 65_537, 1e-30, -3.0] for key in keys]
        yield EmbeddedBatch(keys, np.array(vectors, dtype=np.float32))

    store.fill("code", chunking().id, from_hash)


@pytest.fixture
def store(lake) -> VectorStore:
    store = VectorStore(lake, replace(profile_named("use"), dimensions=3, normalised=False))
    store.open()
    with lake.transaction("code") as cursor:
        for table in (
            "documents",
            "chunks",
            "chunk_state",
            "releases",
            "raw_files",
            "applied_archives",
            "quarantine",
            "skipped_archives",
        ):
            cursor.execute(f"DELETE FROM code.{table}")
        cursor.execute(
            "INSERT INTO code.raw_files (file, url, kind, format, stamp, size, sha256, status, last_modified) VALUES "
            "('stock.tar.gz', 'https://example.org/stock.tar.gz', 'stock', 'targz', '20260101-000000', 12, 'abc', "
            "'ready', '2026-01-03T04:05:06Z')"
        )
        cursor.execute("INSERT INTO code.applied_archives (file, sha256) VALUES ('stock.tar.gz', 'abc')")
        cursor.execute(
            "INSERT INTO code.quarantine (subject, member, reason, source_file, seen_at) VALUES "
            "('x', 'x.xml', 'bad', 'stock.tar.gz', TIMESTAMP '2026-01-01')"
        )
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"DELETE FROM {store.table}")
    long = "Une phrase de cinq mots. " * 7
    put_document(lake, "code", "b", [long, "Fin."], category="DECRET")
    put_document(lake, "code", "a", [long], category="CODE")
    put_document(lake, "code", "c", [long], category="CODE")
    put_document(lake, "code", "empty", [], category="CODE")
    split(lake, "code")
    embed(store)
    return store


@pytest.fixture
def spec(store, tmp_path) -> ReleaseSpec:
    export = ExportSpec(
        dataset="code",
        published_name="code",
        published_columns=("title", "status", "text", "context"),
        chunking_id=chunking().id,
        vectors=store.table,
        vector_column="embeddings_tiny",
        rows_per_file=50_000,
    )
    facts = CardFacts(
        published_name="code",
        title='Le « code "civil" »',
        description="Articles.",
        producer="La DILA",
        homepage="https://example.org",
        source_updated_at="",
        documents=0,
        rows=0,
        model="tiny-model",
        revision="r1",
        dimensions=3,
        vector_column="embeddings_tiny",
        chunk_tokens=12,
        columns=dict.fromkeys(COLUMNS, "what it holds"),
        tables=False,
    )
    return ReleaseSpec(
        export, facts, {"name": "tiny", "model": "tiny-model"}, "7", tmp_path / "releases" / "code"
    )


def with_tables(spec: ReleaseSpec, rows_per_file: int = 50_000) -> ReleaseSpec:
    export = replace(
        spec.export,
        rows_per_file=rows_per_file,
        release_table=lambda row: f"code_{str(row['category']).lower()}",
        release_table_columns=("category",),
    )
    return replace(spec, export=export, card=replace(spec.card, tables=True))


def parquet_files(release: Release) -> dict[str, list[dict]]:
    return {
        path.relative_to(release.folder).as_posix(): pq.read_table(path).to_pylist()
        for path in sorted(release.folder.rglob("*.parquet"))
    }


def manifest(release: Release) -> dict:
    return json.loads((release.folder / "manifest.json").read_text("utf-8"))


def contents(release: Release) -> dict[str, str]:
    paths = (path for path in release.folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(release.folder).as_posix(): file_sha256(path) for path in paths}


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
    column = pa.array([given, given], pa.list_(pa.float32()))
    for text in json_vectors(column).to_pylist():
        assert np.array(json.loads(text), dtype=np.float32).tobytes() == given.tobytes()


def test_the_same_state_gives_the_same_bytes_and_the_same_id(lake, spec, tmp_path):
    first = build_release(lake, spec)
    with lake.transaction("code") as cursor:
        cursor.execute("DELETE FROM code.releases")
    second = build_release(lake, replace(spec, folder=tmp_path / "elsewhere"))
    assert second.new
    assert first.id == second.id
    assert contents(first) == contents(second)
    assert manifest(first) == manifest(second)


def test_a_release_of_an_unchanged_state_is_the_one_that_exists(lake, spec):
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
    changed = replace(spec, card=replace(spec.card, revision="r2")) if what == "profile" else spec
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
        {path.name: path.stat().st_ino for path in release.folder.rglob("*.parquet")}
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
    parquet = next(first.folder.rglob("*.parquet"))
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
    for path in (path for path in contents(release) if path != "README.md"):
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
    release = build_release(lake, replace(spec, card=replace(spec.card, redaction=redaction)))
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
            "embeddings_tiny": pa.array([[number / 7.0] for number in range(25_000)], pa.list_(pa.float32())),
        }
    )
    digests = set()
    for size in (1_999, 2_048, 25_000):
        plan = PlannedFile(0, "data/code.parquet", table.num_rows, "")
        writer = _Writer(tmp_path / str(size), spec.export, {0: plan})
        for batch in table.to_batches(max_chunksize=size):
            writer.take(batch)
        writer.finish()
        digests.add(tuple(file.sha256 for file in writer.files))
    assert len(digests) == 1
