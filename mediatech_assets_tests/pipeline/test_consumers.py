"""What was published, read the ways consumers read it, without any code of ours on their side.

The releases are those of the sample upstream. `datasets` reads them from disk as it reads them from the hub: by the
configuration in the card.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.documents.model import SECTION_SEPARATOR
from mediatech_assets.index.bm25 import encode_document
from mediatech_assets.index.question import encode_question
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets_tests.pipeline.installation import DATASETS, Installation
from mediatech_assets_tests.pipeline.sample_run import SampleRun

#: Loads what it is told, as a consumer does, and writes the rows down.
PROGRAM = """
import json, sys
from pathlib import Path
from datasets import load_dataset
folder = Path(sys.argv[1])
for name, (path, how) in json.loads(sys.argv[2]).items():
    options = how if isinstance(how, dict) else {"name": how}
    rows = load_dataset(path, split="train", cache_dir=str(folder / "cache"), **options)
    rows.to_parquet(str(folder / f"{name}.parquet"))
"""
CODE = "code"
CODE_FILES = "data/legi-latest/legi_code_du_travail/*.parquet"

Rows = Sequence[Mapping[str, Any]]

VECTOR = "embeddings_use-m3"
MODEL = "use-m3"
#: Datasets that publish the column `text`; the others publish `chunk_text` alone.
WITH_TEXT = tuple(name for name in DATASETS if "text" in dataset_named(name).published_columns)


@pytest.fixture(scope="module")
def installation(run: SampleRun) -> Installation:
    return run.installation


@pytest.fixture(scope="module")
def loaded(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Rows]:
    """Rows as `datasets` loads them, by dataset, and one code of the law alone.

    In one process of its own: `datasets` reads its settings when it is imported, and here it may reach no network.
    """
    folder = tmp_path_factory.mktemp("loaded")
    wanted = {name: [str(installation.release_folder(name)), "latest"] for name in DATASETS}
    code = {CODE: [str(installation.release_folder("legi")), {"data_files": CODE_FILES}]}
    environment = {
        **os.environ,
        "HF_HOME": str(folder / "hf-home"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    program = [sys.executable, "-c", PROGRAM, str(folder), json.dumps(wanted | code)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return {name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in wanted | code}


@pytest.mark.parametrize("dataset", DATASETS)
def test_datasets_loads_the_configuration_of_the_card(installation, loaded, dataset):
    rows = loaded[dataset]
    held = installation.rows(f"SELECT chunk_id, chunk_text FROM {dataset}.chunks")
    assert {row["chunk_id"]: row["chunk_text"] for row in rows} == dict(held)
    for row in rows:
        vector = np.array(json.loads(row[VECTOR]), dtype=np.float32)
        assert vector.shape == (512,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
        assert row["chunk_id"] == f"{row['doc_id']}_{row['chunk_index']}"


def test_datasets_loads_one_code_of_the_law(installation, loaded):
    rows = loaded[CODE]
    titles = {row["title"] for row in rows}
    assert rows
    assert all("travail" in title.lower() for title in titles), titles
    held = installation.rows(
        "SELECT count(*) FROM legi.chunks JOIN legi.documents USING (doc_id) "
        "WHERE category = 'CODE' AND title = 'Code du travail'"
    )
    assert len(rows) == held[0][0]


@pytest.mark.parametrize("dataset", WITH_TEXT)
def test_documents_are_rebuilt_by_joining_their_text_in_order(installation, loaded, dataset):
    texts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in loaded[dataset]:
        texts[row["doc_id"]].append((row["chunk_index"], row["text"]))
    rebuilt = {doc_id: "".join(text for _, text in sorted(pieces)) for doc_id, pieces in texts.items()}
    sources = {
        doc_id: SECTION_SEPARATOR.join(section["text"] for section in sections)
        for doc_id, sections in installation.rows(f"SELECT doc_id, sections FROM {dataset}.documents")
        if sections
    }
    assert rebuilt.keys() == sources.keys()
    assert rebuilt == sources


def test_qdrant_is_filled_from_the_files_and_answers_by_meaning_and_words(installation, loaded):
    """Named vectors as documented: the model's and `bm25`; reciprocal rank fusion; the usual filter on status."""
    from qdrant_client import QdrantClient, models

    rows = loaded["legi"]
    client = QdrantClient(":memory:")
    client.create_collection(
        "legi",
        vectors_config={MODEL: models.VectorParams(size=512, distance=models.Distance.COSINE)},
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    client.upsert("legi", [_point(number, row) for number, row in enumerate(rows)])
    question = "combien de jours de congés payés par an"
    words = encode_question(question)
    embed = Platform(installation.settings, read_only=True).embed_query
    in_force = models.Filter(
        must=[models.FieldCondition(key="status", match=models.MatchAny(any=["VIGUEUR", "ABROGE_DIFF"]))]
    )
    answer = client.query_points(
        "legi",
        prefetch=[
            models.Prefetch(query=embed(question).tolist(), using=MODEL, limit=20, filter=in_force),
            models.Prefetch(
                query=models.SparseVector(indices=list(words.indices), values=list(words.values)),
                using="bm25",
                limit=20,
                filter=in_force,
            ),
        ],
        query=models.FusionQuery(fusion=models.Fusion.RRF),
        limit=3,
    )
    found = [point.payload or {} for point in answer.points]
    assert {"LEGIARTI000099000101", "LEGIARTI000099000102"} & {payload["doc_id"] for payload in found}
    assert {payload["status"] for payload in found} <= {"VIGUEUR", "ABROGE_DIFF"}
    client.close()


def _point(number: int, row: Mapping[str, Any]) -> Any:
    from qdrant_client import models

    words = encode_document(row["chunk_text"])
    return models.PointStruct(
        id=number,
        vector={
            MODEL: json.loads(row[VECTOR]),
            "bm25": models.SparseVector(indices=list(words.indices), values=list(words.values)),
        },
        payload={name: value for name, value in row.items() if name != VECTOR},
    )
