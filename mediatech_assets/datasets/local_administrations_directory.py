"""Directory of the local administrations: town halls, prefectures, local services of the State, social bodies.

What belongs here: where the directory is published. What does not: its records, which are those of the State's
directory too (`documents/directory.py`).

The archive holds one JSON file of some 270 MB, named after the time of its making, and a zip of the communes'
codes, which is left alone.
"""

from datetime import timedelta

from mediatech_assets.datasets.base import SHORT_RETENTION, Dataset, Snapshot, SnapshotFile
from mediatech_assets.documents import directory

_URL = "https://lecomarquage.service-public.fr/donnees_locales_v4/all_latest.tar.bz2"

DATASET = Dataset(
    name="local_administrations_directory",
    title="Annuaire de l'administration : base de données locales",
    description="Town halls, prefectures and other local services: missions, contacts, opening hours.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/"
    "service-public-fr-annuaire-de-l-administration-base-de-donnees-locales/",
    source=Snapshot((SnapshotFile(_URL, "tarbz2", records=directory.records("*data.gouv_local.json")),)),
    cadence=timedelta(days=1),
    wants=directory.wants,
    parse=directory.parse,
    parse_full=directory.parse_full,
    parser_version="1",
    metadata_schema=directory.METADATA_SCHEMA,
    published_columns=directory.PUBLISHED_NAMES,
    heading=directory.heading,
    filters=directory.FILTERS,
    retention=SHORT_RETENTION,
)
