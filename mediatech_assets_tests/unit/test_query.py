"""What belongs here: what a person's SQL can do to the lake and around it."""

import sqlite3

import pyarrow as pa
import pytest

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.lake import Lake
from mediatech_assets.lake.query import run_query

TABLES = {
    "documents": pa.schema([("doc_id", pa.string()), ("number", pa.int64()), ("tags", pa.list_(pa.string()))])
}


@pytest.fixture(scope="module")
def lake_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("query")
    lake = Lake(folder / "lake", folder / "locks")
    for catalog in ("legi", "service_public"):
        lake.open(catalog, TABLES)
        with lake.transaction(catalog) as cursor:
            cursor.execute(
                f"INSERT INTO {catalog}.documents SELECT 'D' || i, i, ['a', 'b'] FROM range(25000) t(i)"
            )
    lake.close()
    with sqlite3.connect(folder / "other.sqlite") as other:
        other.execute("CREATE TABLE t AS SELECT 'secret' AS word")
    other.close()
    (folder / "secret.csv").write_text("word\nsecret\n", encoding="utf-8")
    return folder


@pytest.fixture
def query(lake_folder):
    lake = Lake(lake_folder / "lake", lake_folder / "locks", read_only=True)
    yield lambda sql: run_query(lake, sql, lake.catalogs()).read_all().to_pylist()
    lake.close()


@pytest.fixture(scope="module")
def refused(lake_folder):
    """As `query`, with one lake for all: what is refused by its text never comes to close it."""
    lake = Lake(lake_folder / "lake", lake_folder / "locks", read_only=True)
    yield lambda sql: run_query(lake, sql, lake.catalogs())
    lake.close()


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix == ".parquet" or path.suffix == ".sqlite")


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT count(*) AS n FROM legi.documents", [{"n": 25_000}]),
        ("FROM legi.documents SELECT doc_id, tags WHERE number = 3", [{"doc_id": "D3", "tags": ["a", "b"]}]),
        ("WITH a AS (SELECT 1 AS n) SELECT n FROM a -- with a comment", [{"n": 1}]),
        (
            "SELECT l.number FROM legi.documents l JOIN service_public.documents s USING (doc_id) WHERE l.number = 7;",
            [{"number": 7}],
        ),
        (
            "SELECT tag FROM (SELECT unnest(tags) AS tag FROM legi.documents LIMIT 2)",
            [{"tag": "a"}, {"tag": "b"}],
        ),
        ("SELECT i FROM range(2) t(i)", [{"i": 0}, {"i": 1}]),
        ("VALUES (1)", [{"col0": 1}]),
        ("SELECT 'drop table x; -- attach' AS text", [{"text": "drop table x; -- attach"}]),
    ],
)
def test_a_select_is_answered(query, sql, rows):
    assert query(sql) == rows


def test_tables_can_be_described(query):
    assert [row["column_name"] for row in query("DESCRIBE legi.documents")] == ["doc_id", "number", "tags"]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        ";",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE legi.documents",
        "DROP TABLE legi.documents",
        "DELETE FROM legi.documents",
        "UPDATE legi.documents SET number = 0",
        "INSERT INTO legi.documents VALUES ('x', 1, [])",
        "CREATE TABLE t AS SELECT 1",
        "CREATE MACRO m() AS 1",
        "ATTACH '/tmp/x.duckdb'",
        "DETACH legi",
        "COPY legi.documents TO '/tmp/x.csv'",
        "EXPORT DATABASE '/tmp/x'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL ducklake_expire_snapshots('legi', older_than => now())",
        "EXPLAIN ANALYZE SELECT 1",
        "CHECKPOINT",
        "USE legi",
        "VACUUM",
        "BEGIN",
        "SELEKT 1",
        "WITH a AS (DELETE FROM legi.documents RETURNING *) SELECT * FROM a",
        "SELECT * INTO t FROM legi.documents",
    ],
)
def test_anything_but_one_select_is_refused(refused, sql, lake_folder):
    before = files_of(lake_folder)

    with pytest.raises(ConfigurationError, match=r"single SELECT|cannot be parsed") as caught:
        refused(sql)

    assert "SELECT" in caught.value.remedy
    assert files_of(lake_folder) == before


@pytest.mark.parametrize(
    "source",
    [
        "read_text('{folder}/secret.csv')",
        "read_blob('{folder}/lake/../secret.csv')",
        "read_csv('{folder}/secret.csv')",
        "Main.READ_CSV('{folder}/secret.csv')",
        "read_json('/proc/self/environ')",
        "sniff_csv('{folder}/secret.csv')",
        "glob('{folder}/*')",
        "read_csv('http://127.0.0.1:9/x.csv')",
        "sqlite_scan('{folder}/other.sqlite', 't')",
        "sqlite_attach('{folder}/other.sqlite')",
        "query('SELECT * FROM sqlite_scan(''{folder}/other.sqlite'', ''t'')')",
        "json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "duckdb_secrets()",
    ],
)
@pytest.mark.parametrize(
    "form", ["SELECT * FROM {}", "SELECT (SELECT count(*) FROM {}) AS n", "SELECT 1 WHERE EXISTS (FROM {})"]
)
def test_functions_that_reach_out_of_the_lake_are_refused(refused, lake_folder, source, form):
    with pytest.raises(ConfigurationError, match="can reach beyond the lake"):
        refused(form.format(source.format(folder=lake_folder)))


@pytest.mark.parametrize(
    "source",
    ["'{folder}/secret.csv'", "read_parquet('{folder}/*.parquet')", "parquet_schema('{folder}/x.parquet')"],
)
def test_no_file_outside_of_the_lake_is_read(query, lake_folder, source):
    with pytest.raises(ConfigurationError, match=r"disabled by configuration|does not exist"):
        query(f"SELECT * FROM {source.format(folder=lake_folder)}")


@pytest.mark.parametrize(
    "function",
    [
        "ducklake_expire_snapshots('legi', older_than => now())",
        "ducklake_delete_orphaned_files('legi', cleanup_all => true)",
        "ducklake_cleanup_old_files('legi', cleanup_all => true)",
        "ducklake_merge_adjacent_files('legi')",
        "ducklake_rewrite_data_files('legi')",
        "ducklake_flush_inlined_data('legi')",
        "ducklake_set_option('legi', 'encrypted', 'true')",
        "ducklake_add_data_files('legi', 'documents', '/etc/passwd')",
        "checkpoint()",
        "enable_logging()",
    ],
)
def test_functions_that_change_things_are_refused(refused, lake_folder, function):
    before = files_of(lake_folder)

    with pytest.raises(ConfigurationError, match="can reach beyond the lake"):
        refused(f"SELECT * FROM {function}")

    assert files_of(lake_folder) == before


def test_the_lock_is_in_force_below_the_list_of_functions(lake_folder):
    lake = Lake(lake_folder / "lake", lake_folder / "locks", read_only=True)
    run_query(lake, "SELECT 1", lake.catalogs()).read_all()
    cursor = lake.cursor()

    for sql in (f"SELECT * FROM read_text('{lake_folder}/secret.csv')", "SET enable_external_access = true"):
        with pytest.raises(Exception, match=r"disabled by configuration|has been locked"):
            cursor.execute(sql)
    with pytest.raises(Exception, match="read-only"):
        cursor.execute("DELETE FROM legi.documents")
    assert cursor.execute("SELECT count(*) FROM legi.documents").fetchone() == (25_000,)
    lake.close()


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT * FROM legi.nothing", "nothing does not exist"),
        ("SELECT * FROM dole.documents", "dole"),
        ("SELECT colour FROM legi.documents", "colour"),
        ("SELECT CAST(doc_id AS INTEGER) FROM legi.documents", "Conversion Error"),
        (
            "SELECT CAST(CASE WHEN number > 24990 THEN doc_id ELSE '1' END AS INTEGER) FROM legi.documents",
            "Conversion",
        ),
        ("SELECT error('oh')", "oh"),
    ],
)
def test_an_error_in_a_query_is_explained_with_the_tables_there_are(query, sql, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        query(sql)

    assert "legi, service_public" in caught.value.remedy


def test_a_query_with_many_parentheses_is_answered(query):
    assert query("SELECT " + "(" * 3_000 + "1" + ")" * 3_000 + " AS n") == [{"n": 1}]


def test_a_sum_of_many_terms_is_refused_with_words(query):
    with pytest.raises(ConfigurationError, match=r"too deeply|depth"):
        query("SELECT " + " + ".join("1" * 5_000))
