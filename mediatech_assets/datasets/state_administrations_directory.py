"""Directory of the State's administrations: ministries, their services, jurisdictions, public bodies.

What belongs here: where the directory is published. What does not: its records, which are those of the local
administrations' directory too (`documents/directory.py`).

The archive holds one file, whose name is not fixed: any `.json` is taken.
"""

from datetime import timedelta

from mediatech_assets.datasets.base import SHORT_RETENTION, Dataset, Snapshot, SnapshotFile
from mediatech_assets.documents import directory

_URL = (
    "https://echanges.dila.gouv.fr/OPENDATA/RefOrgaAdminEtat/FluxAnneeCourante/"
    "dila_refOrga_admin_Etat_fr_latest.zip"
)

DATASET = Dataset(
    name="state_administrations_directory",
    title="Référentiel de l'organisation administrative de l'État",
    description="Ministries, their services and other bodies of the State: missions, contacts, hierarchy.",
    producer="Direction de l'information légale et administrative (DILA)",
    homepage="https://www.data.gouv.fr/datasets/referentiel-de-lorganisation-administrative-de-letat/",
    source=Snapshot((SnapshotFile(_URL, "zip", records=directory.records("*.json")),)),
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
