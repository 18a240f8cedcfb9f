"""Does the search find the right documents? The questions of `evaluation/questions`, on the small mirror.

`service_public` is embedded with the profile `use`. The two other datasets that have questions are embedded by a
service whose vectors mean nothing: embedding them with a model would take a minute, and what is held to a floor
there is search by words. Floors stand a little below what was measured on 2026-11-22, written beside each.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mediatech_assets.evaluation.gate import SMALLEST_SAMPLE
from mediatech_assets.evaluation.questions import load_questions, question_datasets
from mediatech_assets.lake import Lake, quoted
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration.instance import dagster_instance
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets_tests.command_line import mediatech, service_settings
from mediatech_assets_tests.conftest import MirrorServer
from mediatech_assets_tests.pipeline.history import History
from mediatech_assets_tests.pipeline.installation import Installation
from mediatech_assets_tests.services.embedding_double import DIMENSIONS, MODEL, Double, serving

DATASET = "service_public"
BY_WORDS = ("travail_emploi", "legi")
MODES = ("hybrid", "dense", "sparse")
PARTS = 3

#: Measured 0.78, 0.74, 0.64 over 73 questions; MRR of hybrid 0.56.
RECALL_FLOORS = {"hybrid": 0.72, "dense": 0.68, "sparse": 0.59}
MRR_FLOOR = 0.50
#: Measured 0.88 over 16 questions, 0.57 over 23.
RECALL_FLOORS_BY_WORDS = {"travail_emploi": 0.80, "legi": 0.50}

#: Chunks as the profile `use` makes them, so that they need not be made again.
CHUNKS_OF_USE = {"embedding_chunk_tokens": "256", "embedding_max_tokens": "512"}

TITLES_ASKED = 50
CHECK = "finds_the_right_documents"


@dataclass(frozen=True)
class Evaluated:
    """An installation whose search was evaluated.

    Args:
        installation: It. Never write inside it.
        layers: Metadata of the layers that were made, by dataset.
        asked: Texts that the embedding service was asked, by dataset: for the chunks, then for the questions.
    """

    installation: Installation
    layers: Mapping[str, Mapping[str, Mapping[str, Any]]]
    asked: Mapping[str, tuple[list[str], list[str]]]


@pytest.fixture(scope="module")
def evaluated(history: History, mirror: MirrorServer, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """One dataset of day 0, up to its release, with the profile `use`."""
    installation = history.after[0].copied_to(tmp_path_factory.mktemp("retrieval") / "home")
    installation.materialised(mirror.url, DATASET, [Layer.EMBEDDINGS, Layer.INDEX])
    update = installation.updated(mirror.url, DATASET, [Layer.EVALUATION, Layer.RELEASE])
    return Evaluated(installation, {DATASET: update.layers}, {})


@pytest.fixture(scope="module")
def service() -> Iterator[Double]:
    with serving() as double:
        yield double


@pytest.fixture
def by_words_only(service: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the installation `by_words`."""
    described = {**service_settings(service.url, MODEL, DIMENSIONS), **CHUNKS_OF_USE}
    for name, value in {"profile": "openai_api", **described}.items():
        monkeypatch.setenv(f"MEDIATECH_{name.upper()}", value)


@pytest.fixture(scope="module")
def by_words(history, mirror, service, tmp_path_factory) -> Evaluated:
    """The other datasets of day 0, with vectors that mean nothing."""
    installation = history.after[0].copied_to(tmp_path_factory.mktemp("by-words") / "home")
    layers, asked = {}, {}
    with pytest.MonkeyPatch.context() as environment:
        by_words_only.__wrapped__(service, environment)
        for dataset in BY_WORDS:
            before = len(service.texts)
            installation.materialised(mirror.url, dataset, [Layer.EMBEDDINGS, Layer.INDEX])
            embedded = len(service.texts)
            reports = installation.materialised(mirror.url, dataset, [Layer.EVALUATION])
            layers[dataset] = {layer.value: report.facts for layer, report in reports.items()}
            asked[dataset] = service.texts[before:embedded], service.texts[embedded:]
    return Evaluated(installation, layers, asked)
