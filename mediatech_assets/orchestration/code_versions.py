"""Code versions of layers: what, when it changes, makes a layer give other rows for the same input.

What belongs here: one version a layer, from the versions that the stages themselves name. What does not: these
versions (they stand beside the code that they describe) and what Dagster does with them (`automation.py`).
"""

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.index.expansion import expansion_version
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.release.export import EXPORT_VERSION

#: Of layers whose work depends on no version of a stage; and of what all layers share.
_COMMON = "1"


def code_version(platform: Platform, dataset: Dataset, layer: Layer) -> str:
    """Version of what makes a layer of a dataset: of its parser, splitter, model, collection with phrases or files.

    Only the layer's own: Dagster sees itself that what a layer reads has changed.

    Args:
        platform: The platform with the settings that the layer will be made with.
        dataset: The dataset.
        layer: A layer that is built.
    """
    match layer:
        case Layer.DOCUMENTS:
            own = platform.parser(dataset).version
        case Layer.CHUNKS:
            own = platform.chunking(dataset).id
        case Layer.EMBEDDINGS:
            own = platform.profile.fingerprint
        case Layer.INDEX:
            phrases = expansion_version(platform.settings.expansions, dataset.name)
            own = "-".join(filter(None, (platform.collection(dataset).fingerprint, phrases)))
        case Layer.RELEASE:
            own = f"{EXPORT_VERSION}-{platform.settings.release_encoding}"
        case _:
            own = ""
    return f"{_COMMON}-{own}" if own else _COMMON
