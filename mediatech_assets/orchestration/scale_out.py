"""The heavy layers in three steps, for workers on other machines: plan, work on a shard, commit.

What belongs here: which layers are divided, where their shards are, and what each step does on the platform. What does
not: Dagster (`scaled_out_assets.py`), what a shard holds (`documents/elsewhere.py`, `embeddings/elsewhere.py`) and who
starts the workers (`executors.py`).

Only `plan` and `commit` open the lake, which has one writer. `work_on` reads a file and writes a file.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.documents.elsewhere import PlannedParsing, parse_elsewhere
from mediatech_assets.embeddings.elsewhere import embed_elsewhere, plan_embedding
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.shards import ShardError, ShardFolder

#: Layers whose work is divided into shards.
DIVIDED_LAYERS = (Layer.DOCUMENTS, Layer.EMBEDDINGS)


@dataclass(frozen=True, slots=True)
class Plan:
    """The shards of a layer's work.

    Args:
        unfinished: Names of those to be worked on.
        finished: How many have a result, from a run that did not come to its commit.
    """

    unfinished: list[str]
    finished: int


def plan(platform: Platform, dataset_name: str, layer: Layer) -> Plan:
    """Writes the work of a layer as shards.

    Raises:
        MediatechError: what went wrong, with the remedy; nothing was changed.
    """
    with platform.working_on(dataset_name, f"planning its {layer.value}") as dataset:
        folder = _folder(platform, dataset, layer)
        names = list(dict.fromkeys(_PLANS[layer](platform, dataset, folder)))
        folder.keep_inputs(names)
    unfinished = [name for name in names if not folder.is_finished(name)]
    return Plan(unfinished, len(names) - len(unfinished))


def work_on(platform: Platform, dataset_name: str, layer: Layer, name: str) -> None:
    """Does one shard, in this process and without the lake; nothing, when its result is there.

    Raises:
        ShardError: the shard is not there, or is meant for other code or settings than this worker's.
        EmbeddingError: the model cannot be used.
    """
    dataset = dataset_named(dataset_name)
    folder = _folder(platform, dataset, layer)
    if layer is Layer.DOCUMENTS:
        parse_elsewhere(dataset.name, platform.parser(dataset), folder, name)
    else:
        embed_elsewhere(platform.profile, platform.backend_options, folder, name)


def commit(platform: Platform, dataset_name: str, layer: Layer) -> LayerReport:
    """Brings the layer up to date with what workers did, and removes the shards.

    Raises:
        ShardError: results are missing.
        MediatechError: what else went wrong, with the remedy; what was committed before stays.
    """
    folder = _folder(platform, dataset_named(dataset_name), layer)
    if unfinished := folder.unfinished():
        raise ShardError(
            f"{len(unfinished)} shards in {folder.folder} have no result, such as {unfinished[0]}",
            "MEDIATECH_HOME has to be one folder that all workers share; run again: finished shards are kept",
        )
    shards = len(folder.finished())
    report = platform.materialise(dataset_name, layer, folder)
    shutil.rmtree(folder.folder.parent, ignore_errors=True)  # also those of a former profile
    return replace(report, facts={**report.facts, "shards": shards})


def _folder(platform: Platform, dataset: Dataset, layer: Layer) -> ShardFolder:
    """Shards of one version of the work: results of another parser or model are never mistaken for this one's."""
    version = platform.parser(dataset).version if layer is Layer.DOCUMENTS else platform.profile.fingerprint
    return ShardFolder(platform.settings.scale_out_folder / dataset.name / layer.value / version)


def _plan_documents(platform: Platform, dataset: Dataset, folder: ShardFolder) -> list[str]:
    parsing = PlannedParsing(dataset.name, folder, platform.settings.scale_out_parse_bytes)
    platform.documents(dataset).plan(platform.fetched(dataset), parsing, again=platform.reparse)
    return parsing.names


def _plan_embeddings(platform: Platform, dataset: Dataset, folder: ShardFolder) -> list[str]:
    texts = platform.store.waiting_texts(dataset.name, platform.chunking(dataset).id)
    return plan_embedding(platform.profile, texts, folder, platform.settings.scale_out_embed_bytes)


_PLANS: dict[Layer, Callable[[Platform, Dataset, ShardFolder], list[str]]] = {
    Layer.DOCUMENTS: _plan_documents,
    Layer.EMBEDDINGS: _plan_embeddings,
}
