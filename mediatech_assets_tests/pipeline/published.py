"""The mirror's files as published, read with the standard library alone.

What belongs here: finding a source's file of a day and taking its elements out. What does not: any rule of this
project; what is read here contradicts it where it is wrong.
"""

import csv
import io
import json
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SHEETS = "lecomarquage.service-public.fr/vdd/3.4/{feed}/zip/vosdroits-latest.zip"
_LABOUR = "raw.githubusercontent.com/SocialGouv/fiches-travail-data/master/data/fiches-travail.json"
_STATE = (
    "echanges.dila.gouv.fr/OPENDATA/RefOrgaAdminEtat/FluxAnneeCourante/dila_refOrga_admin_Etat_fr_latest.zip"
)
_LOCAL = "lecomarquage.service-public.fr/donnees_locales_v4/all_latest.tar.bz2"
_CATALOGUE = "static.data.gouv.fr/resources/catalogue-des-donnees-de-data-gouv-fr"


def sheets(mirror: Path, feed: str, day: int) -> Iterator[tuple[str, ElementTree.Element]]:
    """Sheets of a feed of service-public: file id and root element."""
    with zipfile.ZipFile(_on(mirror, day, _SHEETS.format(feed=feed))) as archive:
        for name in archive.namelist():
            if name[0] in "FN":
                yield name.removesuffix(".xml"), ElementTree.fromstring(archive.read(name))


def labour_sheets(mirror: Path, day: int) -> list[dict[str, Any]]:
    """Sheets of travail-emploi."""
    return json.loads(_on(mirror, day, _LABOUR).read_text(encoding="utf-8"))


def administrations(mirror: Path, dataset: str, day: int) -> list[dict[str, Any]]:
    """Records of one of the two directories."""
    if dataset == "state_administrations_directory":
        with zipfile.ZipFile(_on(mirror, day, _STATE)) as archive:
            [name] = archive.namelist()
            return json.loads(archive.read(name))["service"]
    with tarfile.open(_on(mirror, day, _LOCAL)) as archive:
        [name] = [name for name in archive.getnames() if name.endswith("data.gouv_local.json")]
        member = archive.extractfile(name)
        assert member is not None
        return json.load(member)["service"]


def catalogue_rows(mirror: Path, day: int) -> list[dict[str, str]]:
    """Rows of the catalogue of data.gouv.fr."""
    folder = mirror / "_days" / str(day) if day else mirror
    [path] = (folder / _CATALOGUE).glob("*/export-dataset-*.csv")
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), delimiter=";"))


def _on(mirror: Path, day: int, path: str) -> Path:
    """A file as it is on a day of which its source has news."""
    return (mirror / "_days" / str(day) if day else mirror) / path
