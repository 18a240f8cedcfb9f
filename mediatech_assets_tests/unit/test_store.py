"""The vector store: each text once, committed as it goes, every bit kept."""

import threading
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.lake import Lake
from mediatech_assets_tests.tiny import new_lake, open_dataset, put_document, rows, split

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


class Embedder:
    """Embeds a text as its length, in batches, and notes what it was asked for."""

    def __init__(self, batch: int = 4, fail_after: int | None = None) -> None:
        self.asked: list[str] = []
        self._batch = batch
        self._fail_after = fail_after

    def __call__(self, texts: Iterable[tuple[str, str]]) -> Iterator[tuple[list[str], np.ndarray]]:
        waiting = list(texts)
        for start in range(0, len(waiting), self._batch):
            if self._fail_after is not None and start >= self._fail_after:
                raise RuntimeError("the model crashed")
            batch = waiting[start : start + self._batch]
            self.asked += [text for _, text in batch]
            yield [key for key, _ in batch], np.array([[len(text), 1] for _, text in batch], dtype=np.float32)


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("store"))
    yield lake
    lake.close()


@pytest.fixture
def store(lake) -> VectorStore:
    store = VectorStore(lake, profile_named("use"))
    store.open()
    for name in ("one", "two"):
        open_dataset(lake, name)
        with lake.transaction(name) as cursor:
            for table in ("documents", "chunks", "chunk_state"):
                cursor.execute(f"DELETE FROM {name}.{table}")
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"DELETE FROM {store.table}")
    return store


def put_texts(lake: Lake, dataset: str, *texts: str) -> str:
    for number, text in enumerate(texts):
        put_document(lake, dataset, f"{dataset}{number}", [text], title="")
    return split(lake, dataset)


def stored(store: VectorStore) -> int:
    return rows(store.lake, f"SELECT count(*) FROM {store.table}")[0][0]


def test_only_texts_without_a_vector_are_embedded(lake, store):
    chunking = put_texts(lake, "one", "un", "deux", "deux", "trois")
    embed = Embedder()
    assert store.fill("one", chunking, embed) == 3
    assert sorted(embed.asked) == ["deux", "trois", "un"]
    assert store.count("one", chunking) == 3
    put_document(lake, "one", "new", ["quatre"], title="")
    split(lake, "one")
    again = Embedder()
    assert store.fill("one", chunking, again) == 1
    assert again.asked == ["quatre"]
    assert store.fill("one", chunking, again) == 0


def test_a_text_that_two_datasets_share_is_embedded_once(lake, store):
    chunking = put_texts(lake, "one", "commun", "un")
    put_texts(lake, "two", "commun", "deux")
    first, second = Embedder(), Embedder()
    store.fill("one", chunking, first)
    store.fill("two", chunking, second)
    assert sorted(first.asked + second.asked) == ["commun", "deux", "un"]
    assert store.count("two", chunking) == 2


def test_a_failure_midway_keeps_what_was_committed(lake, store):
    text = " ".join(f"mot{number}." for number in range(1_500 * 12))
    chunking = put_texts(lake, "one", text)
    with pytest.raises(RuntimeError, match="crashed"):
        store.fill("one", chunking, Embedder(batch=64, fail_after=1_100))
    kept = stored(store)
    assert 0 < kept <= 1_152
    rest = Embedder(batch=64)
    assert store.fill("one", chunking, rest) == len(rest.asked) > 0
    assert kept + len(rest.asked) == stored(store) == store.count("one", chunking)


def test_threads_that_add_the_same_keys_leave_one_row_each(store):
    keys = [f"key{number}" for number in range(50)]
    vectors = np.ones((50, 2), dtype=np.float32)
    threads = [threading.Thread(target=store.add, args=(keys, vectors)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored(store) == len(keys)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=20))
def test_every_float32_comes_back_as_it_was(lake, vectors):
    store = VectorStore(lake, profile_named("use"))
    store.open()
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"DELETE FROM {store.table}")
    given = np.array(vectors, dtype=np.float32)
    store.add([str(number) for number in range(len(vectors))], given)
    found = dict(rows(lake, f"SELECT text_key, vector FROM {store.table}"))
    back = np.array([found[str(number)] for number in range(len(vectors))], dtype=np.float32)
    assert back.tobytes() == given.tobytes()
