"""Plots of a review page: sizes and scores over past releases, lengths of chunks.

What belongs here: drawing figures as SVG that stands inside a page. What does not: reading them
(`review_facts.py`), and the picture of the flow (`lineage.py`).

The same figures give the same bytes. Ink is the page's own colour, so that one picture suits light and dark; the
colours of lines have a contrast of at least 3 with both grounds, and markers and dashes tell lines apart without
colour. Words are drawn as paths: no font of the reader is needed. matplotlib keeps a list of fonts in its cache
folder, which the environment variable MPLCONFIGDIR names.
"""

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lxml import etree

from mediatech_assets.release.review_facts import Lengths, PastRelease

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#767676"  # becomes the colour of the page's text
_BLUE, _PINK, _GREEN = "#2f7fd1", "#b5538f", "#2e8b57"
_WIDTH, _HEIGHT = 5.6, 2.9  # inches
_BINS = 32
_LABELS = 5
_LEAST_SPAN = 0.02
_XLINK = "{http://www.w3.org/1999/xlink}href"
_SVG = "{http://www.w3.org/2000/svg}"
_FIXED = {
    "svg.hashsalt": "mediatech",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def counts_plot(history: Sequence[PastRelease]) -> str:
    """Documents and rows of each release, in two panels: each has its own scale.

    Args:
        history: Releases, oldest first; at least one.
    """

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(2, 1, sharex=True)
        documents, rows = ([past.documents for past in history], [past.rows for past in history])
        for axes, name, values, colour, marker in (
            (panels[0], "documents", documents, _BLUE, "o"),
            (panels[1], "rows", rows, _PINK, "s"),
        ):
            axes.plot(range(len(values)), values, color=colour, marker=marker, markersize=4)
            axes.set_title(f"{name}: {values[-1]:,}", loc="left")
            _scale(axes, values)
            _plain(axes)
        _name_releases(panels[1], history)

    last = history[-1]
    return _drawn(
        "counts",
        f"Plot of documents and rows over {_releases(len(history))}; the newest has {last.documents:,} documents "
        f"and {last.rows:,} rows.",
        draw,
    )


def lengths_plot(lengths: Lengths) -> str:
    """Histogram of the lengths of chunks, with the limit that the model sets.

    Args:
        lengths: At least one chunk.
    """
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        values, weights = list(lengths.counts), list(lengths.counts.values())
        most = max(*values, lengths.limit or 0, 1)
        width = max(1, math.ceil((most + 1) / _BINS))
        borders = range(0, most + 1 + width, width)
        axes.hist(values, bins=list(borders), weights=weights, color=_BLUE, rwidth=0.9)
        if lengths.limit is not None:
            axes.axvline(lengths.limit, color=_PINK, linestyle="--", linewidth=1.2)
            axes.annotate(
                f"limit {lengths.limit}",
                (lengths.limit, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-4, -2),
                textcoords="offset points",
                ha="right",
                va="top",
            )
        axes.set_xlabel(f"{lengths.unit} of a chunk")
        axes.set_ylabel("chunks")
        axes.margins(y=0.15)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _plain(axes)

    return _drawn("lengths", f"Histogram of chunk lengths: {lengths_in_words(lengths)}.", draw)


def scores_plot(history: Sequence[PastRelease]) -> str:
    """Recall@10 and MRR of hybrid search at each release; a gap where it was not measured.

    Args:
        history: Releases, oldest first; at least one was measured.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for name, values, colour, marker, dashes in (
            ("recall@10", [past.recall_10 for past in history], _PINK, "o", "-"),
            ("MRR", [past.mrr for past in history], _GREEN, "^", "--"),
        ):
            drawn = [math.nan if value is None else value for value in values]
            axes.plot(
                range(len(drawn)),
                drawn,
                color=colour,
                marker=marker,
                linestyle=dashes,
                markersize=5,
                label=name,
            )
        axes.set_ylim(-0.02, 1.04)
        axes.set_ylabel("score, 1 is best")
        axes.legend(frameon=False, loc="lower left", ncols=2)
        _plain(axes)
        _name_releases(axes, history)

    newest = next(past for past in reversed(history) if past.recall_10 is not None)
    return _drawn(
        "scores",
        f"Plot of the retrieval score over {_releases(len(history))}; the newest measured has recall@10 "
        f"{newest.recall_10:.3f} and MRR {newest.mrr or 0:.3f}.",
        draw,
    )


def lengths_in_words(lengths: Lengths) -> str:
    """Number, median and longest of the chunks."""
    total, seen, median = sum(lengths.counts.values()), 0, 0
    for length in sorted(lengths.counts):
        seen += lengths.counts[length]
        if 2 * seen >= total:
            median = length
            break
    return f"{total:,} chunks, median {median:,} {lengths.unit}, longest {max(lengths.counts, default=0):,}"


def _releases(count: int) -> str:
    return "one release" if count == 1 else f"{count} releases"


def _scale(axes: "Axes", values: Sequence[int]) -> None:
    """A scale that shows small changes as small: never less than a few percent from bottom to top."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    margin = max(0.15 * (high - low), _LEAST_SPAN * high, 1)
    axes.set_ylim(max(0, low - margin), high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _name_releases(axes: "Axes", history: Sequence[PastRelease]) -> None:
    step = max(1, math.ceil(len(history) / _LABELS))
    places = range(len(history) - 1, -1, -step)  # the newest has a label in any case
    axes.set_xticks(list(places), [history[place].id.replace("-", "\n") for place in places])
    axes.set_xlim(-0.5, len(history) - 0.5)


def _plain(axes: "Axes") -> None:
    axes.grid(axis="y", color=_INK, alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _drawn(name: str, words: str, draw: Callable[["Figure"], None]) -> str:
    """A figure as an SVG element of a page; `name` begins its identifiers, which a page may have once."""
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.style.context([_FIXED], after_reset=True):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(drawn.getvalue(), name, words)


def _inline(svg: bytes, name: str, words: str) -> str:
    root = etree.fromstring(svg, etree.XMLParser(resolve_entities=False, no_network=True))
    # Its style sheet would hold for the whole page.
    for tag in ("metadata", "style"):
        for element in root.findall(f".//{_SVG}{tag}"):
            parent = element.getparent()
            if parent is not None:
                parent.remove(element)
    for element in root.iter(etree.Element):
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == _XLINK:
                element.set(key, value.replace("#", f"#{name}-", 1))
            else:
                element.set(key, value.replace("url(#", f"url(#{name}-").replace(_INK, "currentColor"))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", words)
    etree.cleanup_namespaces(root)
    return etree.tostring(root, encoding="unicode")
