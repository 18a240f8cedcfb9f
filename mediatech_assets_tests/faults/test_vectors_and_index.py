"""Bad vectors, services that fail and indexes that somebody changed, through whole commands.

Each test asks the same of a fault: does the exit code say so, does the message name the thing and what to do, is
what was there before intact, and does the next run without the fault mend everything? The embedding service is a
double whose vectors are hashes; the installation that works is built once, and copied by the tests that spoil it.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.embeddings.exchange import DESCRIPTION
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.index.points import Point
from mediatech_assets.lake import Lake, quoted
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.records import file_sha256
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import load_settings
from mediatech_assets_tests.command_line import SERVICE_CHUNK_TOKENS, Ran, mediatech, service_settings
from mediatech_assets_tests.faults.installation import INPUT_REFUSED, closed_port
from mediatech_assets_tests.pipeline.installation import Installation
from mediatech_assets_tests.qdrant_front import qdrant_front
from mediatech_assets_tests.services.embedding_double import (
    DIMENSIONS,
    MODEL,
    Double,
    Handler,
    data_of,
    refuses,
    serving,
)

DATASET = "travail_emploi"
PROFILE = "openai_api"
QUESTION = "combien de jours de congés payés par an"
ANSWER = "article990001"
#: Words of the texts that the service cannot embed: it has no number for one, and another is too large for it.
UNLUCKY, TOO_LARGE = "1 607 heures par an", "L'indemnité est égale au dixième"

#: Seconds that a server may not answer before a command gives up, and what a slow machine adds.
SERVER_WAIT, SLOWNESS = 10.0, 20.0


@pytest.fixture(scope="module")
def service() -> Iterator[Double]:
    with serving() as double:
        yield double


@pytest.fixture(scope="module")
def described(service: Double) -> Mapping[str, str]:
    """Settings with which the service embeds."""
    return {"profile": PROFILE, **service_settings(service.url, MODEL, DIMENSIONS)}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The sample upstream on a day. Never write inside it."""
    folder = tmp_path_factory.mktemp("upstream")

    def on(day: int) -> Path:
        return build_sample_upstream(folder / f"day{day}", day)

    return on


@pytest.fixture(scope="module")
def healthy(upstream, described, tmp_path_factory) -> Installation:
    """An installation that works. Never write inside it."""
    installation = Installation(tmp_path_factory.mktemp("healthy") / "home")
    update(installation, upstream(0), **described)
    return installation


@pytest.fixture
def installed(healthy: Installation, tmp_path: Path) -> Installation:
    """A copy of the installation that works, to be spoiled."""
    return healthy.copied_to(tmp_path / "home")


def update(installation: Installation, upstream: Path, *options: str, code: int = 0, **settings: Any) -> Ran:
    arguments = ("update", "--json", "--datasets", DATASET, "--upstream", str(upstream), *options)
    return mediatech(installation.home, *arguments, code=code, **settings)


def search(installation: Installation, question: str, *options: str, **settings: Any) -> dict:
    return mediatech(
        installation.home, "search", question, "--dataset", DATASET, "--json", *options, **settings
    ).json


def quarantined(installation: Installation) -> int:
    [(count,)] = installation.rows(f"SELECT count(*) FROM {DATASET}.quarantine")
    return count


def platform_of(installation: Installation, described: Mapping[str, str]) -> Platform:
    return Platform(load_settings(home=str(installation.home), **described), read_only=True)


def store_of(described: Mapping[str, str]) -> str:
    return f"{quoted('embeddings')}.{quoted(profile_named(PROFILE, load_settings(**described)).store)}"


def change_store(installation: Installation, sql: str) -> None:
    lake = Lake(installation.settings.lake_folder, installation.settings.locks_folder)
    lake.open("embeddings", {})
    with lake.transaction("embeddings") as cursor:
        cursor.execute(sql)
    lake.close()


# --- the embedding service --------------------------------------------------------------------------------


def refuses_two(handler: Handler, body: dict) -> None:
    """Answers 413 to what holds the one text, and NaN for the other; all else rightly, as numbers."""
    if any(TOO_LARGE in text for text in body["input"]):
        refuses(413, "Payload too large")(handler, body)
        return
    data = data_of({**body, "encoding_format": "float"})
    for item, text in zip(data, body["input"], strict=True):
        if UNLUCKY in text:
            item["embedding"][0] = float("nan")
    handler.send_data(data)


def test_texts_without_a_vector_wait_in_quarantine_and_the_others_go_on(
    service, described, upstream, tmp_path
):
    installation = Installation(tmp_path / "home")

    with pytest.MonkeyPatch.context() as fault:
        fault.setattr(service, "always", refuses_two)
        ran = update(installation, upstream(0), "--layers", "raw..index", code=INPUT_REFUSED, **described)
        refused = update(installation, upstream(0), "--layers", "release", code=1, **described)

    layers = ran.layers(DATASET)
    chunks = layers["chunks"]["rows"]
    assert (layers["embeddings"]["added"], layers["embeddings"]["quarantine"]) == (chunks - 2, 2)
    assert layers["index"]["rows"] == chunks - 2
    assert "2 chunks have no vector" in ran.said(DATASET)
    assert f"{DATASET}.quarantine" in ran.said(DATASET)
    in_quarantine = installation.rows(
        f"SELECT chunk_text, reason FROM {DATASET}.quarantine JOIN {DATASET}.chunks "
        "ON chunk_id = subject AND text_key = member WHERE source_file = 'embeddings'"
    )
    reasons = {word: said for word in (UNLUCKY, TOO_LARGE) for text, said in in_quarantine if word in text}
    assert len(reasons) == len(in_quarantine) == quarantined(installation) == 2
    assert "not finite" in reasons[UNLUCKY]
    assert "Payload too large" in reasons[TOO_LARGE]
    assert all(said.startswith(f"{PROFILE}: ") for said in reasons.values())
    assert search(installation, QUESTION, **described)["results"][0]["doc_id"] == ANSWER
    assert f"2 of {chunks} chunks of {DATASET} have no vector" in refused.said(DATASET)
    assert installation.rows(f"SELECT * FROM {DATASET}.releases") == [], "a release is whole or is none"

    asked = len(service.texts)
    layers = update(installation, upstream(0), **described).layers(DATASET)

    assert sorted(service.texts[asked:]) == sorted(text for text, _ in in_quarantine), (
        "no other is paid again"
    )
    assert layers["embeddings"]["added"] == 2
    assert layers["index"]["rows"] == layers["release"]["rows"] == chunks
    assert quarantined(installation) == 0


def test_a_service_that_is_down_stops_the_update_where_vectors_are_missing(installed, upstream, described):
    dead = {**described, "embedding_url": f"http://127.0.0.1:{closed_port()}/v1"}

    ran = update(installed, upstream(2), code=1, **dead)

    assert dead["embedding_url"].removesuffix("/v1") in ran.said(DATASET)
    assert "MEDIATECH_EMBEDDING_URL" in ran.said(DATASET)
    assert "MEDIATECH_EMBEDDING_URL" in ran.err
    assert list(ran.layers(DATASET)) == ["raw", "documents", "chunks"], "what needs no vector is done"
    answer = search(installed, QUESTION, **described)
    assert (answer["mode"], answer["results"][0]["doc_id"]) == ("hybrid", ANSWER), "the index is as it was"


def test_a_search_without_its_service_is_answered_by_words_and_says_so(healthy, described):
    dead = {**described, "embedding_url": f"http://127.0.0.1:{closed_port()}/v1"}

    answer = search(healthy, QUESTION, **dead)
    [note] = answer["notes"]
    assert answer["mode"] == "sparse"
    assert answer["results"][0]["doc_id"] == ANSWER
    assert "BM25 alone" in note
    assert dead["embedding_url"].removesuffix("/v1") in note

    refused = mediatech(healthy.home, "search", QUESTION, "--mode", "dense", "--json", code=1, **dead)
    assert refused.out == ""
    assert "MEDIATECH_EMBEDDING_URL" in refused.err


def test_a_service_with_vectors_of_another_length_stores_nothing(installed, upstream, described):
    other = {**described, "embedding_dimensions": str(2 * DIMENSIONS)}
    ran = update(installed, upstream(0), "--layers", "embeddings", code=1, **other)
    assert f"vectors of {DIMENSIONS} numbers, the profile has {2 * DIMENSIONS}" in ran.said(DATASET)
    assert "MEDIATECH_EMBEDDING_DIMENSIONS" in ran.said(DATASET)
    assert installed.rows(f"SELECT count(*) FROM {store_of(other)}") == [(0,)]


# --- the vector store -------------------------------------------------------------------------------------


def test_vectors_of_another_length_in_the_store_are_named_with_the_way_to_remove_them(
    installed, upstream, described
):
    store = store_of(described)
    change_store(
        installed,
        f"UPDATE {store} SET vector = vector[:3] WHERE text_key = (SELECT min(text_key) FROM {store})",
    )

    ran = update(installed, upstream(0), "--layers", "embeddings", code=1, **described)

    assert f"1 vectors in {store} have not the {DIMENSIONS} dimensions" in ran.said(DATASET)
    remedy = ran.said(DATASET).partition("(")[2].partition("), then")[0]
    assert remedy.startswith(f"DELETE FROM {store}")
    change_store(installed, remedy)
    mended = update(installed, upstream(0), "--layers", "embeddings", **described)
    assert mended.layers(DATASET)["embeddings"]["added"] == 1


def test_an_export_with_one_bad_vector_gives_the_others(healthy, described, tmp_path):
    folder = tmp_path / "vectors"
    written = mediatech(healthy.home, "vectors", "export", str(folder), "--json", **described).json
    spoil_one_vector(folder)

    ran = mediatech(
        tmp_path / "home", "vectors", "import", str(folder), "--json", code=INPUT_REFUSED, **described
    )

    assert (ran.json["added"], sum(ran.json["refused"].values())) == (written["rows"] - 1, 1)
    [reason] = ran.json["refused"]
    assert "not finite" in reason


def spoil_one_vector(folder: Path) -> None:
    """Puts NaN into a vector of an export, which lists the file as it then is."""
    [path] = folder.glob("*.parquet")
    table = pq.read_table(path)
    vectors = table["vector"].to_pylist()
    vectors[0][0] = float("nan")
    pq.write_table(table.set_column(1, "vector", pa.array(vectors, pa.list_(pa.float32()))), path)
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    description["files"][0]["sha256"] = file_sha256(path)
    (folder / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


# --- a collection that somebody changed -------------------------------------------------------------------


def change_four(platform: Platform, collection: str, points: list[Point]) -> None:
    """Removes a point, adds one, turns the vector of another, and gives another title to yet another."""
    removed, turned, renamed = points[:3]
    platform.engine.delete(collection, [removed.chunk_id])
    platform.engine.upsert(
        collection,
        [
            like(removed, chunk_id="article1_1", payload={**removed.payload, "chunk_id": "article1_1"}),
            like(turned, dense=-turned.dense),
            like(renamed, payload={**renamed.payload, "title": "Autre titre"}),
        ],
    )


def add_point_of_another_program(platform: Platform, collection: str, points: list[Point]) -> None:
    """Its number is not made of the chunk that it names."""
    platform.engine.upsert(collection, [like(points[0], chunk_id="article1_1")])


def like(point: Point, **changes: object) -> Point:
    names = ("chunk_id", "dense", "sparse", "payload", "document")
    return Point(**{name: getattr(point, name) for name in names} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        (
            change_four,
            ["1 missing: {0}", "1 too many: article1_1", "2 changed: ", "{1} (vector)", "{2} (payload)"],
        ),
        (add_point_of_another_program, ["was changed by someone else"]),
    ],
)
def test_a_collection_that_somebody_changed_is_found_and_mended(installed, described, change, differences):
    platform = platform_of(installed, described)
    platform.lake.open(DATASET, {})
    collection = platform.engine.collection_for(platform.index(dataset_named(DATASET)).alias)
    assert collection
    ids = sorted(platform.engine.point_ids(collection))
    points = [
        Point(stored.chunk_id, stored.dense, stored.sparse, stored.payload, stored.document)
        for stored in platform.engine.stored(collection, ids)
    ]
    points.sort(key=lambda point: point.chunk_id)
    change(platform, collection, points)
    platform.close()

    found = mediatech(installed.home, "verify", "--datasets", DATASET, code=1, **described)

    assert found.out.startswith(f"{collection}: ")
    assert [text for text in differences if text.format(*ids) not in found.out] == [], found.out
    repaired = mediatech(
        installed.home, "verify", "--datasets", DATASET, "--repair", "--json", **described
    ).json["datasets"][DATASET]
    assert (repaired["points"], repaired["missing_count"], repaired["foreign_count"]) == (len(ids), 0, 0)
    assert repaired["changed"] == []


def test_a_profile_without_an_index_cannot_be_verified(healthy):
    ran = mediatech(healthy.home, "verify", "--datasets", DATASET, "--json", code=1)
    assert ran.out == ""
    assert f"{DATASET} has no index of profile use" in ran.err
    assert "mediatech update" in ran.err


# --- questions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hybrid", "sparse"])
@pytest.mark.parametrize(
    "question",
    [
        "how many days of paid leave do employees get per year?",
        "congés payés " * 800,
        "a" * 10_000,
        "¿? … 🙂",
    ],
    ids=["English", "10,000 characters", "one word", "no word"],
)
def test_any_question_is_answered(healthy, described, service, question, mode):
    asked = len(service.texts)
    answer = search(healthy, question, "--mode", mode, **described)
    assert answer["mode"] == mode
    sent = service.texts[asked:]
    assert len(sent) == (mode != "sparse")
    if len(question) > 1_000:
        assert all(0 < len(text.split()) <= SERVICE_CHUNK_TOKENS for text in sent), (
            "no more than the model takes"
        )
        assert all(len(text) < len(question) for text in sent)
    has_words = question[0] != "¿"
    assert bool(answer["notes"]) == (not has_words)
    if mode != "sparse":
        assert answer["results"]


# --- a Qdrant server --------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_named_with_its_setting(healthy, described):
    url, started = f"http://127.0.0.1:{closed_port()}", time.monotonic()
    # In a process of its own: what libraries log about it must not be on standard output either.
    done = healthy.command(
        "search", QUESTION, "--dataset", DATASET, "--mode", "sparse", "--json",
        index_engine="server", index_url=url, **described,
    )  # fmt: skip
    assert time.monotonic() - started < SERVER_WAIT + SLOWNESS
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert url.removeprefix("http://") in done.stderr
    assert "MEDIATECH_INDEX_URL" in done.stderr


def test_a_server_without_an_address_is_a_missing_setting(healthy, described):
    ran = mediatech(healthy.home, "search", QUESTION, code=1, index_engine="server", **described)
    assert "MEDIATECH_INDEX_URL" in ran.err


def test_a_dataset_lives_on_a_server(described, upstream, tmp_path):
    installation = Installation(tmp_path / "home")
    with qdrant_front("cle") as front:
        server = {"index_engine": "server", "index_url": front.url, "index_key": "cle", **described}

        layers = update(installation, upstream(0), **server).layers(DATASET)
        collection = layers["index"]["collection"]
        points = front.client.count(collection).count
        assert points == layers["chunks"]["rows"] == layers["release"]["rows"]
        aliases = {alias.alias_name: alias.collection_name for alias in front.client.get_aliases().aliases}
        assert aliases == {DATASET: collection, f"{DATASET}--{PROFILE}": collection}

        for mode in ("hybrid", "sparse"):
            answer = search(installation, QUESTION, "--mode", mode, **server)
            assert (answer["mode"], answer["results"][0]["doc_id"]) == (mode, ANSWER)
        assert "all equal" in mediatech(installation.home, "verify", "--datasets", DATASET, **server).out

        front.client.delete(collection, [front.client.scroll(collection, limit=1)[0][0].id])
        lost = mediatech(installation.home, "verify", "--datasets", DATASET, code=1, **server)
        assert "1 missing" in lost.out
        mediatech(installation.home, "verify", "--datasets", DATASET, "--repair", **server)
        assert front.client.count(collection).count == points
    assert not list(installation.settings.index_folder.glob("*")), "nothing of the index lies in the home"
