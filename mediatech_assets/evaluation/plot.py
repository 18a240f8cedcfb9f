"""The history of an index's recall as a picture.

What belongs here: drawing runs as SVG. What does not: reading them (`history.py`).

The same runs give the same bytes. The ground is transparent and every colour has a contrast of at least 4 with
white and with GitHub's dark grey, so that one picture suits light and dark pages; markers and dashes tell the
lines apart without colour. matplotlib keeps a list of fonts in its cache folder, which the environment variable
MPLCONFIGDIR names.
"""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mediatech_assets.evaluation.history import Run
from mediatech_assets.evaluation.run import ALL, MODES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Runs shown at most, the newest.
SHOWN_RUNS = 40

_INK = "#767676"
#: Colour, marker and dashes of each mode.
_STYLES = {"hybrid": ("#b5538f", "o", "-"), "dense": ("#2f7fd1", "s", "--"), "sparse": ("#2e8b57", "^", ":")}
_DATES_SHOWN = 5
_WIDTH, _HEIGHT = 8.0, 4.0  # inches
_FIXED = {
    "svg.hashsalt": "mediatech",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def history_svg(runs: Sequence[Run]) -> str:
    """Recall@10 over all questions by mode, one point a run; a gap where a mode was not measured.

    Args:
        runs: Runs of one dataset and profile, oldest first.
    """
    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.style.context([_FIXED], after_reset=True):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        FigureCanvasSVG(figure)
        _draw(figure.add_subplot(), runs[-SHOWN_RUNS:])
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return drawn.getvalue()


def _draw(axes: "Axes", runs: Sequence[Run]) -> None:
    axes.set_title("Recall@10 of the search, by run")
    axes.set_ylabel("questions answered in the first 10")
    axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="y", color=_INK, alpha=0.3, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    for mode in MODES:
        colour, marker, dashes = _STYLES[mode]
        axes.plot(
            _recalls(runs, mode), color=colour, marker=marker, linestyle=dashes, markersize=4, label=mode
        )
    step = max(1, math.ceil(len(runs) / _DATES_SHOWN))
    places = range(0, len(runs), step)
    axes.set_xticks(list(places), [f"{runs[place].run_at:%Y-%m-%d}" for place in places])
    if runs:
        axes.legend(frameon=False, loc="best", ncols=len(MODES))
    else:
        axes.text(0.5, 0.5, "no run yet", transform=axes.transAxes, ha="center")


def _recalls(runs: Sequence[Run], mode: str) -> list[float]:
    """Recall@10 of each run; NaN leaves a gap."""
    found = (run.scores.get((mode, ALL)) for run in runs)
    return [scores.recall_10 if scores else math.nan for scores in found]
