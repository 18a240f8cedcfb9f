"""The sample upstream from end to end, day after day: what every layer must hold, and that nothing is done twice.

Every dataset that is registered has a part in the sample and is under test here without an edit. The home is built
once for the module (the first day in Dagster runs, as `mediatech update` does; the others by the platform alone,
which takes a third of the time); tests that write take a copy of it.
"""

import itertools
import json
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.documents.model import SECTION_SEPARATOR
from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.records import file_sha256
from mediatech_assets.sample_upstream import SAMPLE_DAYS, SAMPLE_EXPECTED
from mediatech_assets_tests.pipeline.installation import DATASETS, Installation

QUESTION = "combien de jours de congés payés par an"
#: The documents that answer it, by dataset.
ANSWERS = {
    "legi": {"LEGIARTI000099000101", "LEGIARTI000099000102"},
    "service_public": {"F90002"},
    "travail_emploi": {"article990001"},
}

#: Documents that change on a day, written down by hand where the sample has more than one oddity of change.
CHANGED = {
    ("legi", 1): {"LEGIARTI000099000112", "LEGIARTI000099000128", "LEGIARTI000099000117"},
    ("legi", 2): {"LEGIARTI000099000208", "LEGIARTI000099000126", "LEGIARTI000099000127"},
    ("service_public", 1): set(),
    ("service_public", 2): {"F90003"},
    ("travail_emploi", 1): set(),
    ("travail_emploi", 2): {"article990004"},
}

FIRST_INCREMENT = "LEGI_20260106-211433.tar.gz"
SECOND_INCREMENT = "LEGI_20260107-212705.tar.gz"
INCREMENT_BEFORE_THE_STOCK = "LEGI_20260103-210000.tar.gz"

MOVED = "LEGIARTI000099000128"
SUPPRESSED_THEN_DELIVERED = "LEGIARTI000099000208"
UNDER_TWO_FOLDERS = "LEGIARTI000099000301"

MODEL_DIMENSIONS = 512
TOKENS_OF_A_CHUNK = 256

DIRECTORY = (
    "types name mission_description addresses phone_numbers mails urls social_medias mobile_applications opening_hours "
    "contact_forms additional_information modification_date siret siren people_in_charge organizational_chart "
    "hierarchy directory_url"
)
#: The contract with consumers of AgentPublic/*, in order (shared/guides/publishing-apis.md), beside
#: `chunk_id, doc_id, chunk_index, chunk_xxh64, …, chunk_text, embeddings_<model>` and our provenance.
CONTRACT = {
    "legi": "nature category ministry status title full_title subtitles number start_date end_date nota links text",
    "cnil": "nature status nature_delib title full_title number date text",
    "constit": "nature solution title number decision_date text",
    "dole": "category content_type title number wording creation_date article_number article_title article_synthesis "
    "text",
    "service_public": "audience theme title surtitle source introduction url related_questions web_services "
    "context text",
    "travail_emploi": "title surtitle source introduction date url context text",
    "state_administrations_directory": DIRECTORY,
    "local_administrations_directory": DIRECTORY,
    "data_gouv_datasets_catalog": "title acronym url organization organization_id owner owner_id description frequency "
    "license temporal_coverage_start temporal_coverage_end spatial_granularity spatial_zones featured created_at "
    "last_modified tags archived resources_count main_resources_count resources_formats harvest_backend "
    "harvest_domain harvest_created_at harvest_modified_at harvest_remote_url quality_score metric_discussions "
    "metric_reuses metric_reuses_by_months metric_followers metric_followers_by_months metric_views "
    "metric_resources_downloads",
}
#: Columns that consumers never had and that a reader of the rows should see.
BESIDE_THE_CONTRACT = frozenset(("instruction_like_phrases",))
KEY = ("chunk_id", "doc_id", "chunk_index", "chunk_xxh64")
VECTOR = "embeddings_use-m3"
PROVENANCE = ("source_url", "source_updated_at")

#: Files of a release's folder that its manifest does not list: itself, and what is for reviewers, which depends
#: on the release before.
BESIDE_THE_RELEASE = ("manifest.json", "review.html", "review.md", "review.json")


@pytest.mark.parametrize("day", SAMPLE_DAYS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_documents_are_those_of_the_day(run, dataset, day):
    assert set(run.held[day][dataset].documents) == SAMPLE_EXPECTED[dataset][day]


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_vanished_has_a_tombstone_and_no_trace_downstream(run, dataset):
    vanished = {
        doc_id
        for before, after in itertools.pairwise(SAMPLE_DAYS)
        for doc_id in SAMPLE_EXPECTED[dataset][before] - SAMPLE_EXPECTED[dataset][after]
    }
    held = run.held[SAMPLE_DAYS[-1]][dataset]
    assert vanished
    assert {doc_id for doc_id, _ in held.tombstones} == vanished
    assert not vanished & {row["doc_id"] for row in held.chunks.values()}
    published = read_release(run.installation, dataset)
    assert not vanished & {row["doc_id"] for row in published}


def test_a_tombstone_names_the_archive_that_removed_it(run):
    assert run.held[2]["legi"].tombstones == [
        ("LEGIARTI000099000107", SECOND_INCREMENT),
        ("LEGIARTI000099000204", FIRST_INCREMENT),
    ]


def test_an_increment_older_than_the_stock_is_recorded_and_never_applied(run):
    rows = run.installation.rows(
        "SELECT status FROM legi.raw_files WHERE file = ?", [INCREMENT_BEFORE_THE_STOCK]
    )
    assert rows == [("stale",)]
    assert not (run.installation.settings.raw_folder / "legi" / INCREMENT_BEFORE_THE_STOCK).exists()
    applied = [
        file for (file,) in run.installation.rows("SELECT file FROM legi.applied_archives ORDER BY stamp")
    ]
    assert applied == ["Freemium_legi_global_20260105-140000.tar.gz", FIRST_INCREMENT, SECOND_INCREMENT]


def test_an_article_that_changes_folder_survives_its_own_suppression(run):
    before, after = (run.held[day]["legi"].documents[MOVED] for day in (0, 1))
    assert before["source_member"] != after["source_member"]
    assert after["source_file"] == FIRST_INCREMENT
    assert after["first_seen"] == before["first_seen"]
    assert after["status"] == "ABROGE"


def test_an_article_suppressed_and_delivered_by_one_archive_is_present_in_its_new_version(run):
    before, after = (run.held[day]["legi"].documents[SUPPRESSED_THEN_DELIVERED] for day in (1, 2))
    assert after["source_file"] == SECOND_INCREMENT
    assert text_of(after) != text_of(before)


def test_of_an_id_under_two_folders_the_newer_file_is_the_document(run):
    assert "Ancienne copie" not in text_of(run.held[0]["legi"].documents[UNDER_TWO_FOLDERS])
    copies = run.installation.rows("SELECT doc_id, sections[1].text FROM legi.document_copies")
    assert [doc_id for doc_id, _ in copies] == [UNDER_TWO_FOLDERS]
    assert "Ancienne copie" in copies[0][1]


@pytest.mark.parametrize("day", SAMPLE_DAYS[1:])
@pytest.mark.parametrize("dataset", DATASETS)
def test_only_documents_whose_content_changed_get_a_new_date(run, dataset, day):
    before, after = (run.held[each][dataset] for each in (day - 1, day))
    both = set(before.documents) & set(after.documents)
    changed = {doc_id for doc_id in both if before.contents[doc_id] != after.contents[doc_id]}
    assert {doc_id for doc_id in both if before.changed_at[doc_id] != after.changed_at[doc_id]} == changed
    assert all(
        before.documents[doc_id]["first_seen"] == after.documents[doc_id]["first_seen"] for doc_id in both
    )
    assert run.done[day][dataset]["documents"]["changed"] == len(changed)
    if (dataset, day) in CHANGED:
        assert changed == CHANGED[dataset, day]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_of_the_sample_has_a_document_that_changes(run, dataset):
    """Else the test above would prove nothing of it."""
    assert sum(run.done[day][dataset]["documents"]["changed"] for day in SAMPLE_DAYS[1:]) > 0


@pytest.mark.parametrize("day", SAMPLE_DAYS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_chunks_joined_in_order_are_the_sections(run, dataset, day):
    held = run.held[day][dataset]
    pieces: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in held.chunks.values():
        pieces[row["doc_id"]].append((row["chunk_index"], row["text"]))
    for doc_id, document in held.documents.items():
        ordered = sorted(pieces[doc_id])
        assert [index for index, _ in ordered] == list(range(1, len(ordered) + 1)), doc_id
        assert "".join(text for _, text in ordered) == text_of(document), doc_id
    assert set(pieces) <= set(held.documents)


@pytest.mark.parametrize("dataset", DATASETS)
def test_no_chunk_is_longer_than_the_model_takes_well(run, dataset):
    tokens = {chunk_id: row["tokens"] for chunk_id, row in run.held[2][dataset].chunks.items()}
    assert {chunk_id: count for chunk_id, count in tokens.items() if not 0 < count <= TOKENS_OF_A_CHUNK} == {}


@pytest.mark.parametrize("day", SAMPLE_DAYS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_layer_holds_as_much_as_the_one_before(run, dataset, day):
    held, layers = run.held[day][dataset], run.done[day][dataset]
    assert len(held.chunks) == held.recorded == held.points == layers["release"]["rows"]
    assert held.vectors == len(held.text_keys)
    assert layers["documents"]["rows"] == layers["release"]["documents"] == len(held.documents)
    for layer in ("documents", "chunks", "embeddings"):
        assert layers[layer]["bytes"] > 0, layer


def test_every_vector_is_of_the_model_and_none_is_stored_twice(run):
    [(store,)] = run.installation.rows(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'embeddings' AND table_name <> 'lake_format'"
    )
    rows, keys, shortest, longest = run.installation.rows(
        f"SELECT count(*), count(DISTINCT text_key), min(len(vector)), max(len(vector)) FROM embeddings.{store}"
    )[0]
    assert (shortest, longest) == (MODEL_DIMENSIONS, MODEL_DIMENSIONS)
    assert rows == keys


@pytest.mark.parametrize("day", SAMPLE_DAYS[1:])
@pytest.mark.parametrize("dataset", DATASETS)
def test_only_texts_never_seen_are_embedded(run, dataset, day):
    seen = {key for before in range(day) for held in run.held[before].values() for key in held.text_keys}
    # Datasets are updated in order: one that came earlier today may have brought the same text.
    for earlier in DATASETS[: DATASETS.index(dataset)]:
        seen |= run.held[day][earlier].text_keys
    unseen = run.held[day][dataset].text_keys - seen
    assert run.done[day][dataset]["embeddings"]["added"] == len(unseen)


@pytest.mark.parametrize("mode", ["hybrid", "dense", "sparse"])
@pytest.mark.parametrize("dataset", ANSWERS)
def test_search_answers_the_question_from_each_dataset(run, dataset, mode):
    answer = run.installation.search(QUESTION, [dataset], mode, limit=3)
    assert (answer.mode, answer.notes) == (mode, [])
    assert [result.rank for result in answer.results] == [1, 2, 3]
    found = [(result.doc_id, result.title) for result in answer.results]
    assert ANSWERS[dataset] & {doc_id for doc_id, _ in found}, found
    held = run.held[2][dataset]
    assert all(held.chunks[result.chunk_id]["text"] == result.text for result in answer.results)


@pytest.mark.parametrize("dataset", DATASETS)
def test_search_finds_a_document_by_its_heading(run, dataset):
    held, heading = run.held[2][dataset], dataset_named(dataset).heading
    texts = [row for row in held.documents.values() if row["sections"]]
    sought = max(texts, key=lambda row: len(" ".join(heading(row))))
    answer = run.installation.search(" ".join(heading(sought)), [dataset], "hybrid", limit=3)
    assert (answer.mode, answer.notes) == ("hybrid", [])
    assert sought["doc_id"] in {result.doc_id for result in answer.results}


def test_search_over_everything_brings_every_dataset_that_answers(run):
    answer = run.installation.search(QUESTION, [], "hybrid", limit=20)
    assert set(ANSWERS) <= {result.dataset for result in answer.results} <= set(DATASETS)
    scores = [result.score for result in answer.results]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("dataset", DATASETS)
def test_release_has_the_published_columns_in_the_published_order(run, dataset):
    published = [name for name in dataset_named(dataset).published_columns if name not in BESIDE_THE_CONTRACT]
    assert published == CONTRACT.get(dataset, " ".join(published)).split()
    expected = [*KEY, *dataset_named(dataset).published_columns, "chunk_text", VECTOR, *PROVENANCE]
    for path in parquet_files(run.installation, dataset):
        file = pq.ParquetFile(path)
        assert file.schema_arrow.names == expected, path.name
        assert file.schema_arrow.field(VECTOR).type == "string", path.name
        compressions = {
            file.metadata.row_group(group).column(column).compression
            for group in range(file.metadata.num_row_groups)
            for column in range(file.metadata.num_columns)
        }
        assert compressions == {"ZSTD"}, path.name


@pytest.mark.parametrize("dataset", DATASETS)
def test_release_rows_are_the_chunks_in_order_with_a_vector_each(run, dataset):
    held = run.held[2][dataset]
    published = read_release(run.installation, dataset)
    assert {row["chunk_id"] for row in published} == set(held.chunks)
    assert len(published) == len(held.chunks)
    for row in published:
        assert row["chunk_text"] == held.chunks[row["chunk_id"]]["chunk_text"]
        vector = json.loads(row[VECTOR])
        assert len(vector) == MODEL_DIMENSIONS
        assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-3)
    for path in parquet_files(run.installation, dataset):
        places = [(row["doc_id"], row["chunk_index"]) for row in pq.read_table(path).to_pylist()]
        assert places == sorted(places), path.name


@pytest.mark.parametrize("dataset", [name for name in DATASETS if not dataset_named(name).release_tables])
def test_release_files_lie_where_consumers_look_for_them(run, dataset):
    found = [
        path.relative_to(run.installation.release_folder(dataset)).as_posix()
        for path in parquet_files(run.installation, dataset)
    ]
    assert found == [f"data/{dataset.replace('_', '-')}-latest/{dataset}_part_0.parquet"]


def test_files_of_a_release_of_several_tables_lie_in_a_folder_each(run):
    folder = run.installation.release_folder("legi")
    found = [path.relative_to(folder).parts for path in parquet_files(run.installation, "legi")]
    assert ("data", "legi-latest", "legi_code_du_travail", "legi_code_du_travail_part_0.parquet") in found
    assert len(found) == 3
    assert [
        parts for parts in found if parts != ("data", "legi-latest", parts[2], f"{parts[2]}_part_0.parquet")
    ] == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_card_begins_with_the_header_that_the_hub_reads(run, dataset):
    card = (run.installation.release_folder(dataset) / "README.md").read_text(encoding="utf-8")
    opening, header, _ = card.split("---\n", 2)
    assert opening == ""
    assert "license: etalab-2.0\n" in header
    assert "config_name: latest\n" in header
    name = dataset.replace("_", "-")
    pattern = f"data/{name}-latest/{'*/' if dataset_named(dataset).release_tables else ''}*.parquet"
    assert f'data_files: "{pattern}"\n' in header
    folder = run.installation.release_folder(dataset)
    assert sorted(folder.glob(pattern)) == parquet_files(run.installation, dataset)


@pytest.mark.parametrize("dataset", DATASETS)
def test_manifest_says_what_the_files_are(run, dataset):
    folder = run.installation.release_folder(dataset)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    listed = {file["path"]: (file["sha256"], file["bytes"]) for file in manifest["files"]}
    on_disk = {
        path.relative_to(folder).as_posix(): (file_sha256(path), path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in BESIDE_THE_RELEASE
    }
    assert listed == on_disk
    assert manifest["release"] == folder.name
    assert (manifest["rows"], manifest["documents"]) == (
        len(run.held[2][dataset].chunks),
        len(run.held[2][dataset].documents),
    )
    raw = run.installation.settings.raw_folder / dataset
    assert manifest["raw_files"]
    assert all(file_sha256(raw / file["file"]) == file["sha256"] for file in manifest["raw_files"])


@pytest.mark.parametrize("dataset", ["legi", "dole", "service_public"])
def test_a_release_built_again_from_the_same_state_has_the_same_bytes(run, dataset, tmp_path):
    copy = run.installation.copied_to(tmp_path / "home")
    released = copy.released_bytes(dataset)
    former = copy.release_folder(dataset)
    shutil.rmtree(former)
    again = copy.materialised("/nowhere", dataset, [Layer.RELEASE])
    assert again[Layer.RELEASE].facts["new"] == "true"
    assert copy.released_bytes(dataset) == released
    assert copy.release_folder(dataset).name.split("-")[1] == former.name.split("-")[1]


def test_a_second_run_writes_nothing_anywhere(run, sample_days):
    installation = run.installation
    snapshots = installation.snapshots()
    indexed = index_pointers(installation)
    for dataset in DATASETS:
        release = installation.release_folder(dataset)
        reports = installation.materialised(sample_days[2], dataset, BUILT_LAYERS)
        done = {layer: (report.added, report.changed, report.removed) for layer, report in reports.items()}
        assert done == dict.fromkeys(BUILT_LAYERS, (0, 0, 0)), dataset
        facts = reports[Layer.RELEASE].facts
        assert (facts["release"], facts["new"]) == (release.name, "false")
    assert installation.snapshots() == snapshots
    assert index_pointers(installation) == indexed


def test_one_layer_alone_can_be_run(run, sample_days, tmp_path):
    copy = run.installation.copied_to(tmp_path / "home")
    update = copy.updated(sample_days[2], "legi", [Layer.CHUNKS])
    assert list(update.layers) == ["chunks"]


def text_of(document: Mapping) -> str:
    return SECTION_SEPARATOR.join(section["text"] for section in document["sections"] or [])


def parquet_files(installation: Installation, dataset: str) -> list[Path]:
    return sorted((installation.release_folder(dataset) / "data").rglob("*.parquet"))


def read_release(installation: Installation, dataset: str) -> list[dict]:
    return [row for path in parquet_files(installation, dataset) for row in pq.read_table(path).to_pylist()]


def index_pointers(installation: Installation) -> dict[str, str]:
    folder = installation.settings.index_folder
    return {path.name: path.read_text() for path in folder.glob("*.alias.json")}
