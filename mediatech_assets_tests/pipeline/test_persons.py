"""The public profile: nothing that a directory publishes of persons is in any column of any table of its catalog.

What belongs here: persons of published files, looked for in everything that was made of them. What does not: the
rules of redaction one by one (unit tests).

The mirror's records name persons and give neither their mails nor their lines, so these are planted into a copy of
the State's directory, at every place where the upstream has them.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mediatech_assets.datasets.base import Snapshot, SnapshotFile
from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.layers import Layer
from mediatech_assets.sample_upstream.archives import zip_of
from mediatech_assets_tests.pipeline.installation import Installation
from mediatech_assets_tests.pipeline.published import administrations

STATE = "state_administrations_directory"
DIRECTORIES = (STATE, "local_administrations_directory")

#: Words that stand in nothing but what is planted.
FAMILY_NAMES = ("Quatrepointe", "D’Hautecombe-Vidalou", "LE GUÉRANDEC", "Zwickelmann")
FIRST_NAMES = ("Théodrade", "Anne-Wilfride", "Gwenolé", "Ottoline")


@pytest.mark.parametrize("day", [0, 1, 3])
@pytest.mark.parametrize("dataset", DIRECTORIES)
def test_no_person_of_the_mirror_is_in_any_table(history, mirror_small, dataset, day):
    persons = [
        post["personne"]
        for record in administrations(mirror_small, dataset, day)
        for post in record["affectation_personne"]
        if post["personne"]
    ]
    assert persons
    names = {person["nom"] for person in persons} | {
        f"{person['prenom']} {person['nom']}" for person in persons
    }
    tables = everything(history.after[day], dataset)
    assert len(tables["documents"]) > 100_000
    assert [(table, name) for name in names for table, text in tables.items() if name in text] == []


@pytest.fixture(scope="module")
def planted(mirror_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, str]]:
    """All that is held of a State's directory with persons in it, by redaction and table."""
    folder = tmp_path_factory.mktemp("planted")
    records = administrations(mirror_small, STATE, 0)
    for position, record in enumerate(records):
        plant(record, position)
    published = datetime(2026, 1, 5, tzinfo=UTC)
    data = json.dumps({"service": records}, ensure_ascii=False).encode()
    source = dataset_named(STATE).source
    assert isinstance(source, Snapshot)
    assert isinstance(source.files[0], SnapshotFile)
    path = folder / "upstream" / source.files[0].url.removeprefix("https://")
    path.parent.mkdir(parents=True)
    path.write_bytes(zip_of({"etat.json": data}, published))
    held = {}
    for redaction in ("public", "full"):
        installation = Installation(folder / redaction, redaction)  # type: ignore[arg-type]
        reports = installation.materialised(folder / "upstream", STATE)
        assert reports[Layer.DOCUMENTS].rows == len(records)
        held[redaction] = everything(installation, STATE)
    return held


def plant(record: dict[str, Any], position: int) -> None:
    """Puts a person, their mail and their line wherever the upstream has such."""
    family, first = FAMILY_NAMES[position % 4], FIRST_NAMES[position // 4 % 4]
    line, mail = f"01 99 00 {position // 100:02d} {position % 100:02d}", mail_of(first, family, position)
    record["affectation_personne"].append(
        {
            "fonction": "Cheffe de projet",
            "personne": {
                "nom": family, "prenom": first, "civilite": ("Mme", "M.", "")[position % 3], "grade": "",
                "texte_reference": [{"libelle": f"Arrêté nommant {first} {family}", "valeur": ""}],
                "adresse_courriel": [{"libelle": "", "valeur": mail}],
            },
            "telephone": line,
        }
    )  # fmt: skip
    record["telephone"].append({"valeur": line, "description": f"ligne directe de {first} {family}"})
    record["telephone"].append({"valeur": line.replace("99", "98"), "description": "Ligne directe"})
    record["adresse_courriel"] += [mail, f"{mail_word(family)}.secretariat@exemple.gouv.example"]
    record["information_complementaire"] += (
        f"\r\nÉcrire à {first} {family.upper()} ({mail}) ou appeler le {line.replace(' ', '.')}."
    )


def mail_of(first: str, family: str, position: int) -> str:
    return f"{mail_word(first)}.{mail_word(family)}{position}@exemple.gouv.example"


def mail_word(name: str) -> str:
    return re.sub(r"[^a-z-]", "", name.lower().replace("é", "e"))


def test_no_planted_person_mail_or_line_is_in_any_table(planted):
    found = [(table, trace) for table, text in planted["public"].items() for trace in traces(text)]
    assert found == []


def test_the_full_profile_has_them_all(planted):
    """Else the test above would look for nothing."""
    assert {"99 00", "98 00", *map(mail_word, FAMILY_NAMES)} <= set(traces(planted["full"]["documents"]))
    assert set(traces(planted["full"]["chunks"])) >= set(traces(planted["full"]["documents"]))


def test_the_public_profile_keeps_the_function_and_what_else_is_said(planted):
    assert planted["public"]["documents"].count("Cheffe de projet") >= 121
    assert planted["public"]["documents"].count("01 40 00 00 00") > 50


def traces(text: str) -> list[str]:
    """What of the planted persons stands in a text: names without accents, mails, lines however written."""
    plain = text.lower().replace("é", "e")
    names = [
        mail_word(name)
        for name in (*FAMILY_NAMES, *FIRST_NAMES)
        if mail_word(name) in re.sub(r"[’ ]", "", plain)
    ]
    lines = [
        line for line in ("99 00", "98 00") if re.search(rf"01\W?{line.replace(' ', chr(92) + 'W?')}", text)
    ]
    return [*names, *lines, *(["@"] if re.search(r"\d@exemple\.gouv", plain) else [])]


def everything(installation: Installation, dataset: str) -> dict[str, str]:
    """All values of all columns of the catalog's tables, as one text a table."""
    tables = installation.rows(f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{dataset}'")
    rows = installation.rows(
        " UNION ALL ".join(
            f"SELECT '{table}', to_json(row)::VARCHAR FROM {dataset}.\"{table}\" AS row"
            for (table,) in tables
        )
    )
    found = {table: "" for (table,) in tables}
    for table, row in rows:
        found[table] += f"{row}\n"
    return found
