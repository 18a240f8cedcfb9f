"""The datasets that the platform knows, found by looking into this package.

What belongs here: scanning, and looking up by name. What does not: any list of datasets to keep up to date;
adding a module with a `DATASET` adds the dataset.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from types import ModuleType

from mediatech_assets import datasets
from mediatech_assets.datasets.base import Dataset
from mediatech_assets.errors import ConfigurationError

#: Modules of the package that describe no dataset.
NOT_DATASETS = frozenset({"base", "registry"})


@cache
def _known_datasets() -> tuple[Dataset, ...]:
    names = (module.name for module in pkgutil.iter_modules(datasets.__path__))
    return collect(
        importlib.import_module(f"{datasets.__name__}.{name}") for name in names if name not in NOT_DATASETS
    )


def all_datasets() -> dict[str, Dataset]:
    """Every dataset by its name, sorted by name."""
    return {dataset.name: dataset for dataset in _known_datasets()}


def dataset_named(name: str) -> Dataset:
    """The dataset called `name`; a hyphen is as good as an underscore, as published names have them.

    Raises:
        ConfigurationError: there is none; the remedy lists the known names and the closest one.
    """
    known = all_datasets()
    wanted = name.strip().replace("-", "_")
    if wanted in known:
        return known[wanted]
    close = get_close_matches(wanted, known, n=1)
    suggestion = f"did you mean {close[0]}? " if close else ""
    raise ConfigurationError(
        f"there is no dataset {name!r}", f"{suggestion}known datasets: {', '.join(known) or 'none'}"
    )


def collect(modules: Iterable[ModuleType]) -> tuple[Dataset, ...]:
    """The `DATASET` of each module that has one, sorted by name.

    Raises:
        ConfigurationError: two modules use the same name.
    """
    found: dict[str, tuple[Dataset, ModuleType]] = {}
    for module in modules:
        dataset = getattr(module, "DATASET", None)
        if dataset is None:
            continue
        if dataset.name in found:
            other = found[dataset.name][1]
            raise ConfigurationError(
                f"dataset {dataset.name!r} is declared by {other.__name__} and {module.__name__}",
                "give one of them another name",
            )
        found[dataset.name] = (dataset, module)
    return tuple(found[name][0] for name in sorted(found))
