"""The layers of the platform, in order, the sinks of releases, and the names derived from them.

What belongs here: the order of the layers, where releases go, and pure functions on both. What does not:
anything that does work, and anything of Dagster (asset keys are plain tuples here).
"""

from enum import StrEnum

from mediatech_assets.errors import ConfigurationError


class Layer(StrEnum):
    """One stage of the flow; the value is the second part of the asset key."""

    UPSTREAM = "upstream"
    RAW = "raw"
    DOCUMENTS = "documents"
    CHUNKS = "chunks"
    EMBEDDINGS = "embeddings"
    INDEX = "index"
    EVALUATION = "evaluation"
    RELEASE = "release"


#: Layers that the platform materialises itself; `upstream` is only observed.
BUILT_LAYERS: tuple[Layer, ...] = tuple(layer for layer in Layer if layer is not Layer.UPSTREAM)


class Sink(StrEnum):
    """Where an approved release is published; the value is the second part of the asset key."""

    HUGGINGFACE = "huggingface"
    DATA_GOUV = "data_gouv"
    ALBERT = "albert"


def asset_key(dataset: str, stage: Layer | Sink) -> tuple[str, str]:
    """Key of the asset of a layer or of a sink: `(dataset, stage)`."""
    return (dataset, stage.value)


def parse_sink(text: str) -> Sink:
    """The sink named by `text`; a hyphen is as good as an underscore.

    Raises:
        ConfigurationError: there is none of that name.
    """
    wanted = text.strip().lower().replace("-", "_")
    if wanted not in set(Sink):
        raise ConfigurationError(f"unknown sink {text!r}", f"choose among {', '.join(Sink)}")
    return Sink(wanted)


def layer_before(layer: Layer) -> Layer:
    """The layer that `layer` reads.

    Raises:
        ValueError: `upstream` has none.
    """
    order = list(Layer)
    position = order.index(layer)
    if position == 0:
        raise ValueError("upstream is the first layer")
    return order[position - 1]


def parse_layers(text: str) -> tuple[Layer, ...]:
    """Layers named by `text`: one (`raw`), a range (`raw..chunks`) or a list (`raw,documents`).

    Raises:
        ConfigurationError: an unknown layer, or a range written backwards.
    """
    chosen: set[Layer] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dots, last = part.partition("..")
        start, stop = _layer(first), _layer(last if dots else first)
        order = list(BUILT_LAYERS)
        if order.index(start) > order.index(stop):
            raise ConfigurationError(
                f"layer range {part!r} is backwards", f"write it as {stop.value}..{start.value}"
            )
        chosen.update(order[order.index(start) : order.index(stop) + 1])
    if not chosen:
        raise ConfigurationError("no layer was named", f"choose among {_known_layers()}")
    return tuple(layer for layer in BUILT_LAYERS if layer in chosen)


def _layer(name: str) -> Layer:
    for layer in BUILT_LAYERS:
        if layer.value == name.strip():
            return layer
    raise ConfigurationError(f"unknown layer {name.strip()!r}", f"choose among {_known_layers()}")


def _known_layers() -> str:
    return ", ".join(layer.value for layer in BUILT_LAYERS)
