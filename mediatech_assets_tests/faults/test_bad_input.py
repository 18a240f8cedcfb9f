"""What belongs here: what a person sees when the input is bad, through the real command line.

Each test spoils one thing of an installation that works, and asks three questions. Does the exit code say so?
Does the message name the thing and what to do, without a traceback? Is what was there before intact?
"""

import os
import re
import sqlite3
from pathlib import Path

import pytest

from mediatech_assets.lake import Lake, exclusive
from mediatech_assets_tests.faults.installation import (
    HTML,
    INPUT_REFUSED,
    PART,
    Installation,
    closed_port,
    served,
)

DATASETS = ("legi", "service_public", "travail_emploi")
LEGI = "echanges.dila.gouv.fr/OPENDATA/LEGI"
LABOUR = "github.com/SocialGouv/fiches-travail-data/raw/master/data/fiches-travail.json"


# --- the upstream cannot be read --------------------------------------------------------------------------


def test_an_upstream_that_does_not_answer(installed):
    before = installed.hashes("legi")
    base = f"http://127.0.0.1:{closed_port()}"

    answer = installed.update("legi", code=1, upstream=base)

    assert base in answer.said("legi")
    assert "check the network" in answer.said("legi")
    assert base in answer.err
    assert installed.hashes("legi") == before


def test_a_wrong_address(installed, tmp_path):
    before = installed.hashes("travail_emploi")
    (tmp_path / "nothing").mkdir()

    with served(tmp_path / "nothing") as base:
        answer = installed.update("travail_emploi", code=1, upstream=base)

    assert "answered 404" in answer.said("travail_emploi")
    assert "fiches-travail.json" in answer.said("travail_emploi")
    assert "--upstream" in answer.said("travail_emploi")
    assert installed.hashes("travail_emploi") == before


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ("/no/such/folder", "/no/such/folder does not exist"),
        ("ftp://127.0.0.1", "ftp://127.0.0.1 is no http"),
    ],
)
def test_a_base_that_cannot_be_used(installed, base, problem):
    answer = installed.update("travail_emploi", code=1, upstream=base)

    assert problem in answer.said("travail_emploi")
    assert "http://" in answer.said("travail_emploi")


def test_a_listing_that_is_an_error_page(installed):
    before = installed.hashes("legi")
    installed.spoil(f"{LEGI}/index.html", HTML)

    answer = installed.update("legi", code=1)

    assert "OPENDATA/LEGI/ lists no stock" in answer.said("legi")
    assert "browser" in answer.said("legi")
    assert installed.hashes("legi") == before


# --- files that are not what they should be ---------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "path"), [("service_public", PART), ("travail_emploi", LABOUR)])
def test_html_instead_of_a_snapshot(installed, dataset, path):
    before = installed.hashes(dataset)
    installed.spoil(path, HTML)

    answer = installed.update(dataset, code=INPUT_REFUSED)

    assert "is an HTML page" in answer.said(dataset)
    assert "the version before it stays in use" in answer.said(dataset)
    assert installed.hashes(dataset) == before
    assert answer.json["datasets"][dataset]["layers"]["documents"]["lag"] == 1


def test_an_increment_that_is_truncated_stops_the_fold_and_heals(installed):
    before = installed.hashes("legi")
    held = {name for (name,) in installed.rows("legi", "SELECT file FROM legi.raw_files")}
    installed.show_day(2)
    (name,) = {path.name for path in (installed.upstream / LEGI).glob("*.tar.gz")} - held
    good = (installed.upstream / LEGI / name).read_bytes()
    installed.truncate(f"{LEGI}/{name}")

    answer = installed.update("legi", code=INPUT_REFUSED, layers="raw..chunks")

    assert name in answer.said("legi")
    assert answer.json["datasets"]["legi"]["layers"]["chunks"]["rows"] > 0, "what is downstream goes on"
    assert installed.hashes("legi") == before, "what was applied stays"
    status = installed.status("legi")
    assert status["lag"] == 1
    assert status["applied"] < status["upstream"]
    assert not list((installed.home / "raw" / "legi").glob(f"*{name}*"))

    installed.spoil(f"{LEGI}/{name}", good)
    healed = installed.update("legi", code=0)

    assert healed.json["datasets"]["legi"]["layers"]["documents"]["lag"] == 0
    assert installed.hashes("legi") != before
    assert installed.rows("legi", f"SELECT status FROM legi.raw_files WHERE file = '{name}'") == [("ready",)]


def test_a_stock_that_is_truncated_fails_alone_and_heals(empty):
    (stock,) = (path.name for path in (empty.upstream / LEGI).glob("Freemium_*"))
    good = (empty.upstream / LEGI / stock).read_bytes()
    empty.truncate(f"{LEGI}/{stock}")

    answer = empty.update(",".join(DATASETS), code=1)

    assert stock in answer.said("legi")
    assert "run again" in answer.said("legi")
    assert len(empty.hashes("legi")) == 0
    assert len(empty.hashes("service_public")) > 0, "one failing dataset does not stop the others"
    assert len(empty.hashes("travail_emploi")) > 0
    assert answer.json["datasets"]["travail_emploi"]["errors"] == []

    empty.spoil(f"{LEGI}/{stock}", good)
    empty.update("legi", code=0)
    assert len(empty.hashes("legi")) > 0


def test_json_that_ends_too_early(installed):
    before = installed.hashes("travail_emploi")
    installed.truncate(LABOUR)

    answer = installed.update("travail_emploi", code=INPUT_REFUSED)

    assert "fiches-travail.json: the file is no complete JSON (it ends too early)" in answer.said(
        "travail_emploi"
    )
    assert installed.hashes("travail_emploi") == before


def test_a_snapshot_without_any_document_changes_nothing(installed):
    before = installed.hashes("travail_emploi")
    installed.spoil(LABOUR, b"[]")

    answer = installed.update("travail_emploi", code=1)

    assert "holds no document" in answer.said("travail_emploi")
    assert "nothing was changed" in answer.said("travail_emploi")
    assert installed.hashes("travail_emploi") == before


# --- documents that cannot be used ------------------------------------------------------------------------


def test_xml_that_does_not_parse_waits_in_quarantine_until_it_is_mended(installed):
    before = installed.hashes("service_public")
    sheet = installed.sheet_of_one_feed()
    good = (installed.upstream / PART).read_bytes()
    broken = b"<?xml version='1.0'?><Publication ID='x'><Texte>sans fin"
    installed.change_sheet(sheet, lambda _: broken)

    answer = installed.update("service_public", code=INPUT_REFUSED)

    assert "nothing_refused" in answer.said("service_public")
    quarantined = installed.rows(
        "service_public", "SELECT member, reason, content, size FROM service_public.quarantine"
    )
    assert len(quarantined) == 1
    member, reason, content, size = quarantined[0]
    assert (member, bytes(content), size) == (sheet, broken, len(broken))
    assert reason
    assert installed.hashes("service_public") == before, "the version before stays, and so does the rest"

    installed.spoil(PART, good)
    installed.update("service_public", code=0)
    assert installed.rows("service_public", "SELECT count(*) FROM service_public.quarantine") == [(0,)]
    assert installed.hashes("service_public") == before


def test_a_sheet_without_an_id_is_refused_and_the_others_come_in(empty):
    sheet = empty.sheet_of_one_feed()
    empty.change_sheet(sheet, lambda data: re.sub(rb'\s(?:spUrl|ID)="[^"]*"', b"", data, count=2))

    empty.update("service_public", code=INPUT_REFUSED)

    assert sheet.removesuffix(".xml") not in empty.hashes("service_public")
    assert len(empty.hashes("service_public")) > 5
    ((member, reason),) = empty.rows("service_public", "SELECT member, reason FROM service_public.quarantine")
    assert member == sheet
    assert "ID" in reason


def test_a_sheet_without_an_introduction_is_a_sheet(empty):
    sheet = empty.sheet_of_one_feed()
    empty.change_sheet(
        sheet, lambda data: re.sub(rb"<Introduction.*?</Introduction>", b"", data, flags=re.DOTALL)
    )

    empty.update("service_public", code=0)

    ((introduction, sections),) = empty.rows(
        "service_public",
        "SELECT introduction, len(sections) FROM service_public.documents "
        f"WHERE doc_id = '{sheet.removesuffix('.xml')}'",
    )
    assert introduction == ""
    assert sections > 0


# --- names and settings -----------------------------------------------------------------------------------


def test_an_unknown_dataset_is_answered_with_a_suggestion(empty):
    answer = empty.run("update", "--datasets", "travail_emplois", code=1)

    assert "no dataset 'travail_emplois'" in answer.err
    assert "did you mean travail_emploi" in answer.err
    assert not empty.home.exists(), "nothing is begun"


@pytest.mark.parametrize(
    ("name", "value"),
    [("MEDIATECH_HTTP_TIMEOUT", "soon"), ("MEDIATECH_WORKERS", "-1"), ("MEDIATECH_MEMORY_LIMIT", "much")],
)
def test_a_setting_that_cannot_be_used_is_named(empty, name, value):
    answer = empty.run(
        "update", "--datasets", "travail_emploi", "--layers", "raw", "--upstream", str(empty.upstream),
        code=1, settings={name: value},
    )  # fmt: skip

    assert name in answer.err
    assert "->" in answer.err


@pytest.mark.parametrize("command", [["update", "--layers", "raw"], ["demo", "--datasets", "legi"]])
def test_a_home_that_cannot_be_written(tmp_path, command):
    (tmp_path / "file").write_text("", encoding="utf-8")
    installation = Installation(tmp_path / "file" / "home", tmp_path / "upstream")

    answer = installation.run(*command, code=1)

    assert "file/home" in answer.err
    assert "MEDIATECH_HOME" in answer.err


# --- the installation itself ------------------------------------------------------------------------------


def make_newer_format(home: Path) -> None:
    lake = Lake(home / "lake", home / "locks")
    lake.open("legi", {})
    with lake.transaction("legi") as cursor:
        cursor.execute("UPDATE legi.lake_format SET format = 99, written_by = '9.9'")
    lake.close()


def make_newer_ducklake(home: Path) -> None:
    with sqlite3.connect(home / "lake" / "legi.sqlite") as catalog:
        catalog.execute("UPDATE ducklake_metadata SET value = '99.0' WHERE key = 'version'")
    catalog.close()


def make_rubbish(home: Path) -> None:
    (home / "lake" / "legi.sqlite").write_bytes(b"no database at all" * 100)
    for name in ("legi.sqlite-wal", "legi.sqlite-shm"):
        (home / "lake" / name).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("spoil", "problem", "remedy"),
    [
        (make_newer_format, "format 99, written by mediatech 9.9", "upgrade"),
        (make_newer_ducklake, "cannot be opened", "upgrade"),
        (make_rubbish, "cannot be opened", "backup"),
    ],
)
def test_a_lake_that_this_version_cannot_read_is_left_as_it_is(installed, spoil, problem, remedy):
    spoil(installed.home)
    before = (installed.home / "lake" / "legi.sqlite").read_bytes()

    answer = installed.update("legi,travail_emploi", code=1)
    shown = installed.run("status", code=1)

    for text in (answer.said("legi"), " ".join(shown.err.split())):
        assert "legi.sqlite" in text
        assert problem in text
        assert remedy in text
    assert answer.said("travail_emploi") == "", "one failing dataset does not stop the others"
    assert (installed.home / "lake" / "legi.sqlite").read_bytes() == before


def test_an_index_in_use_by_another_process_is_named_with_its_holder(installed):
    installed.update("travail_emploi", code=0, layers="raw..index")
    (collection,) = (path.parent.name for path in (installed.home / "index").glob("*/spec.json"))

    with exclusive(installed.home / "index", collection, "copying the index by hand", 1):
        answer = installed.run("search", "congés payés", "--dataset", "travail_emploi", "--json", code=1)

    assert f"process {os.getpid()}" in answer.err
    assert "copying the index by hand" in answer.err
    assert "try again" in answer.err
    assert answer.out == ""
    assert installed.run("search", "congés payés", "--dataset", "travail_emploi", "--json", code=0).json[
        "results"
    ]


def test_a_raw_file_deleted_by_hand_is_fetched_again(installed):
    before = installed.hashes("legi")
    for path in (installed.home / "raw" / "legi").iterdir():
        path.unlink()

    answer = installed.update("legi", code=0)

    assert answer.json["datasets"]["legi"]["layers"]["raw"]["added"] == 2
    assert answer.json["datasets"]["legi"]["layers"]["documents"]["changed"] == 0
    assert installed.hashes("legi") == before
