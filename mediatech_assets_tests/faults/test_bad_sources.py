"""Bad files of every source, and bad documents inside good ones, through the real command line.

Two groups. A file that is not what it should be (an error page, half of it, another length) is refused whole, and all
that it would have replaced stays. Inside a file that can be read, each document is refused alone, with its reason and
its bytes in quarantine; the version before stays, and the others come in.

A run over all datasets takes its time: each spoiled upstream is run once, and the tests look at what came of it.
"""

import bz2
import gzip
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mediatech_assets.datasets.base import DataGouvResource, DilaFund, Snapshot
from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.sample_upstream.archives import ListedFile, index_page
from mediatech_assets_tests.faults.installation import (
    DATASETS,
    HTML,
    INPUT_REFUSED,
    Answer,
    Installation,
    served,
)

CNIL, STATE, LOCAL = "cnil", "state_administrations_directory", "local_administrations_directory"
LABOUR, CATALOGUE, SHEETS = "travail_emploi", "data_gouv_datasets_catalog", "service_public"


@dataclass(frozen=True)
class Outcome:
    """What came of one update of a spoiled upstream.

    Args:
        installation: It, after the update.
        answer: What the update said.
        before: Content hash of each document before it, by dataset.
        after: The same after it.
    """

    installation: Installation
    answer: Answer
    before: Mapping[str, Mapping[str, str]]
    after: Mapping[str, Mapping[str, str]]


def updated(installation: Installation, upstream: str = "") -> Outcome:
    """Updates all datasets of an installation whose upstream has been spoiled."""
    before = {dataset: installation.hashes(dataset) for dataset in DATASETS}
    answer = installation.update(",".join(DATASETS), code=INPUT_REFUSED, upstream=upstream)
    return Outcome(
        installation, answer, before, {dataset: installation.hashes(dataset) for dataset in DATASETS}
    )


# --- files that are not what they should be ---------------------------------------------------------------


@pytest.fixture(scope="module")
def html_everywhere(copy_of_first_day) -> Outcome:
    """An error page in place of the newest file of every feed."""
    installation = copy_of_first_day()
    installation.show_day(2)
    for dataset in DATASETS:
        for path in installation.newest_files(dataset):
            installation.spoil(path, HTML)
    return updated(installation)


@pytest.fixture(scope="module")
def truncated_everywhere(copy_of_first_day) -> Outcome:
    """Half of the newest file of every feed."""
    installation = copy_of_first_day()
    installation.show_day(2)
    for dataset in DATASETS:
        for path in installation.newest_files(dataset):
            installation.truncate(path)
    return updated(installation)


@pytest.fixture(scope="module")
def lengths_wrong_everywhere(copy_of_first_day) -> Outcome:
    """The newest files whole, and a length announced that is not theirs."""
    installation = copy_of_first_day()
    installation.show_day(2)
    with served(installation.upstream, announced_beyond=1000) as base:
        return updated(installation, base)


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_error_page_in_place_of_a_file(html_everywhere, dataset):
    assert_file_is_refused(html_everywhere, dataset)
    assert "is an HTML page" in html_everywhere.answer.said(dataset)


@pytest.mark.parametrize("dataset", DATASETS)
def test_half_a_file(truncated_everywhere, dataset):
    assert_file_is_refused(truncated_everywhere, dataset)
    assert re.search(r"no complete|ends (?:too early|within)", truncated_everywhere.answer.said(dataset))


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_file_shorter_than_announced(lengths_wrong_everywhere, dataset):
    assert_file_is_refused(lengths_wrong_everywhere, dataset)


def test_a_file_announced_rightly_afterwards_is_taken(lengths_wrong_everywhere):
    """After the others: it goes on with their installation."""
    installation = lengths_wrong_everywhere.installation
    with served(installation.upstream) as base:
        answer = installation.update(STATE, code=0, upstream=base)
    assert answer.json["datasets"][STATE]["layers"]["documents"]["lag"] == 0
    assert installation.hashes(STATE) != lengths_wrong_everywhere.before[STATE]


def assert_file_is_refused(outcome: Outcome, dataset: str) -> None:
    """The message names every file; documents, lag and landing zone are as before."""
    found, installation = outcome.answer.json["datasets"][dataset], outcome.installation
    assert found["errors"] == []
    files = [Path(path).name for path in installation.newest_files(dataset)]
    assert [name for name in files if name not in outcome.answer.said(dataset)] == []
    assert outcome.after[dataset] == outcome.before[dataset]
    assert len(outcome.after[dataset]) > 0
    assert found["layers"]["documents"]["lag"] == len(files)
    rows = installation.rows(
        dataset, f"SELECT file, reason FROM {dataset}.raw_files WHERE status = 'unreadable'"
    )
    assert len(rows) == len(files)
    assert all(reason for _, reason in rows)
    kept = {path.name for path in (installation.home / "raw" / dataset).iterdir()}
    assert not {name for name, _ in rows} & kept
    # What has come of a file is kept as a part, to be gone on with where its host says that there is more.
    assert not [
        name for name in kept if name.startswith("incoming") and not re.search(r"\.part(?:\.version)?$", name)
    ]
    assert installation.rows(dataset, f"SELECT count(*) FROM {dataset}.quarantine") == [(0,)]


# --- documents of a fund ----------------------------------------------------------------------------------

#: What an external entity would bring in.
FIRST_ACCOUNT = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()[0]

NEW_EXPORT = "20260108-060000"

PUBLISHED_THEN = datetime(2026, 1, 8, 21, 0, 0, tzinfo=UTC)
BAD_INCREMENT = "CNIL_20260108-210000.tar.gz"
BETTER_INCREMENT = "CNIL_20260109-210000.tar.gz"

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
BOMB = (
    '<!DOCTYPE TEXTE_CNIL [<!ENTITY a "boum">'
    + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>\n"
)
EXTERNAL = '<!DOCTYPE TEXTE_CNIL [<!ENTITY secret SYSTEM "file:///etc/passwd">]>\n'
ELSEWHERE = '<!DOCTYPE TEXTE_CNIL SYSTEM "http://127.0.0.1:9/cnil.dtd">\n'


def decision(
    number: int, text: str = "Une décision.", date: str = "2026-01-08", *, document_id: str = ""
) -> str:
    """A decision of the CNIL without its XML declaration."""
    return f"""<TEXTE_CNIL>
<META>
<META_COMMUN>
<ID>{document_id or decision_id(number)}</ID>
<NATURE>DELIBERATION</NATURE>
</META_COMMUN>
<META_SPEC>
<META_CNIL>
<TITRE>Décision n° {number}</TITRE>
<DATE_TEXTE>{date}</DATE_TEXTE>
</META_CNIL>
</META_SPEC>
</META>
<BLOC_TEXTUEL>
<CONTENU>
<p>{text}</p>
</CONTENU>
</BLOC_TEXTUEL>
</TEXTE_CNIL>
"""


def in_encoding(encoding: str, number: int, text: str) -> bytes:
    """A decision in the encoding that it declares."""
    return (XML.replace("UTF-8", encoding) + decision(number, text)).encode(encoding)


def decision_id(number: int) -> str:
    return f"CNILTEXT{99_000_000 + number:012d}"


def decision_path(number: int) -> str:
    return f"cnil/global/CNIL/TEXT/00/00/99/00/00/{decision_id(number)}.xml"


#: Decisions that cannot be used, by number: bytes and what the reason says. The first ones are in the stock.
BAD_DECISIONS: Mapping[int, tuple[bytes, str]] = {
    1: ((XML + BOMB + decision(1, "&i;")).encode(), "entit"),
    2: ((XML + EXTERNAL + decision(2, "&secret;")).encode(), "entit"),
    3: ((XML + ELSEWHERE + decision(3, "&secret;")).encode(), "entity"),
    4: ((XML + decision(4)).encode()[:300], "not well-formed XML"),
    20: ((XML + decision(20, "Liberté, égalité")).encode("iso-8859-1"), "not well-formed XML"),
    21: ((XML.replace("UTF-8", "KLINGON-8") + decision(21)).encode(), "not well-formed XML"),
    22: (b"", "empty"),
    23: ((XML + decision(23, document_id=" ")).encode(), "META/META_COMMUN/ID"),
    24: ((XML + decision(24, document_id="../../etc/passwd")).encode(), "META/META_COMMUN/ID"),
    25: (HTML, "not"),
    26: ((XML + decision(26).replace("TEXTE_CNIL", "ARTICLE")).encode(), "the root element is ARTICLE"),
    27: (b"\x00" * 400, "not well-formed XML"),
}
#: Decisions that can be, whatever one may think of them, by number: bytes, text and date.
ODD_DECISIONS: Mapping[int, tuple[bytes, str, str]] = {
    30: (in_encoding("ISO-8859-1", 30, "Déjà l'été"), "Déjà l'été", "2026-01-08"),
    31: (in_encoding("UTF-16", 31, "Noël à Paris"), "Noël à Paris", "2026-01-08"),
    32: (in_encoding("windows-1252", 32, "Dix € de plus"), "Dix € de plus", "2026-01-08"),
    33: (("\ufeff" + XML + decision(33, "Avec une marque")).encode(), "Avec une marque", "2026-01-08"),
    34: ((XML + decision(34, "Sans fin", "2999-01-01")).encode(), "Sans fin", "2999-01-01"),
    35: ((XML + decision(35, "Plus tard", "2222-02-22")).encode(), "Plus tard", "2222-02-22"),
    36: ((XML + decision(36, "Jamais", "2026-02-31")).encode(), "Jamais", "2026-02-31"),
    37: ((XML + decision(37, "Hier", "hier")).encode(), "Hier", "hier"),
}
#: Members that no archive may hold, by their path, and their kind.
HOSTILE_MEMBERS = {
    "../../CNILTEXT000099000041.xml": tarfile.REGTYPE,
    "/etc/cron.d/CNILTEXT000099000042.xml": tarfile.REGTYPE,
    "cnil/global/CNIL/TEXT/CNILTEXT000099000043.xml": tarfile.SYMTYPE,
    "cnil/global/CNIL/TEXT/CNILTEXT000099000044.xml": tarfile.LNKTYPE,
    "cnil/global/CNIL/TEXT/CNILTEXT000099000045.xml": tarfile.CHRTYPE,
    "cnil/global/CNIL/TEXT/CNILTEXT000099000046.xml": tarfile.FIFOTYPE,
}


def tar_of(members: Mapping[str, bytes], hostile: Mapping[str, bytes]) -> bytes:
    """A tar of files, then of hostile members by path and kind; links lead to the list of accounts."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, data in members.items():
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(data), int(PUBLISHED_THEN.timestamp())
            archive.addfile(info, io.BytesIO(data))
        for path, kind in hostile.items():
            info = tarfile.TarInfo(path)
            info.type, info.linkname = kind, "/etc/passwd"
            data = (XML + decision(41)).encode() if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return plain.getvalue()


def deliver(installation: Installation, name: str, plain: bytes) -> None:
    """Adds an archive to the CNIL's folder and its page."""
    source = dataset_named(CNIL).source
    assert isinstance(source, DilaFund)
    folder = installation.upstream / source.listing_url.removeprefix("https://")
    (folder / name).write_bytes(gzip.compress(plain, mtime=0))
    listed = [
        ListedFile(path.name, path.stat().st_size, PUBLISHED_THEN) for path in sorted(folder.glob("*.tar.gz"))
    ]
    (folder / "index.html").write_bytes(index_page("/OPENDATA/CNIL", listed))


# --- records of the other sources -------------------------------------------------------------------------


def spoil_state(installation: Installation) -> None:
    """Breaks two records of the State's directory, adds bad and odd ones, and members that leave the zip."""
    [path] = installation.newest_files(STATE)
    with zipfile.ZipFile(installation.upstream / path) as archive:
        [name] = archive.namelist()
        records = json.loads(archive.read(name))["service"]
    records[0]["telephone"] = 12
    del records[1]["nom"]
    good = dict(records[2])
    added = [
        {key: value for key, value in good.items() if key != "id"},
        {**good, "id": ""},
        {**good, "id": 7},
        {**good, "nom": "La même une deuxième fois"},
        "une administration",
        None,
        {**good, "id": "9a000000-0000-4000-8000-0000000000a1", "date_modification": "31/02/2999 25:61:00"},
        {**good, "id": "9a000000-0000-4000-8000-0000000000a2", "adresse": [["12 rue"]]},
        {
            **good,
            "id": "9a000000-0000-4000-8000-0000000000a3",
            "affectation_personne": {"fonction": "Cheffe"},
        },
    ]
    data = json.dumps({"service": [*records, *added]}, ensure_ascii=False).encode()
    spoiled = io.BytesIO()
    with zipfile.ZipFile(spoiled, "w") as archive:
        archive.writestr(name, data)
        for hostile in ("../dehors.json", "/etc/absolu.json", "..\\fenêtre.json"):
            archive.writestr(hostile, b'{"service": []}')
    installation.spoil(path, spoiled.getvalue())


def spoil_local(installation: Installation) -> None:
    """Adds hostile members beside the file of the local directory, some under its own name."""
    [path] = installation.newest_files(LOCAL)
    plain = bz2.decompress((installation.upstream / path).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        members = {member.name: file.read() for member in archive if (file := archive.extractfile(member))}
    hostile = {
        "../x-data.gouv_local.json": tarfile.REGTYPE,
        "/etc/x-data.gouv_local.json": tarfile.REGTYPE,
        "lien-data.gouv_local.json": tarfile.SYMTYPE,
        "dur-data.gouv_local.json": tarfile.LNKTYPE,
    }
    installation.spoil(path, bz2.compress(tar_of(members, hostile)))


def spoil_labour(installation: Installation) -> None:
    """Breaks sheets of travail-emploi and adds bad and odd ones."""
    [path] = installation.newest_files(LABOUR)
    sheets = json.loads((installation.upstream / path).read_bytes())
    good = dict(sheets[3])
    sheets[0]["sections"] = "trois sections"
    del sheets[1]["title"]
    sheets[2]["sections"][0]["html"] = ["<p>non</p>"]
    sheets += [
        {**good, "pubId": None},
        {key: value for key, value in good.items() if key != "pubId"},
        {**good, "title": "La même une deuxième fois"},
        ["une fiche"],
        {**good, "pubId": "article999901", "date": "32/13/2026"},
        {**good, "pubId": "article999902", "date": "01/01/2999"},
        {**good, "pubId": "article999903", "title": "\ud800 demi"},
    ]
    installation.spoil(path, json.dumps(sheets).encode())


def spoil_catalogue(installation: Installation) -> None:
    """Breaks rows of the catalogue and adds bad and odd ones."""
    [path] = installation.newest_files(CATALOGUE)
    text = (installation.upstream / path).read_bytes().decode()
    header, rows = catalogue_rows(text)

    def added(key: str, **values: str) -> str:
        names = [name.strip('"\r\n') for name in header.split(";")]
        row = {**dict.fromkeys(names, ""), "id": key, "title": "Ajouté", **values}
        return ";".join(f'"{row[name]}"' for name in names) + "\r\n"

    first, second, between, third, *others = rows
    spoiled = [
        first.replace('";"', '";"un guillemet " dedans";"', 1),
        second.rstrip("\r\n") + ';"de trop"\r\n',
        between,
        third.replace('"', "", 1),
        *others,
        others[0],
        added("pas-un-identifiant"),
        added("f" * 23 + "1", **{"metric.views": "beaucoup"}),
        added("f" * 23 + "2", featured="peut-être"),
        added("f" * 23 + "3", description="jamais fermé").replace('fermé"', "fermé", 1),
        added("f" * 23 + "4", created_at="2999-01-01T00:00:00", last_modified="2026-02-31"),
    ]
    data = (header + "".join(spoiled)).encode() + added("f" * 23 + "5", title="Libert\xe9").encode(
        "iso-8859-1"
    )
    publish_export(installation, path, data)


def publish_export(installation: Installation, former: str, data: bytes) -> None:
    """Lists a newer export of the catalogue beside the former one: an export never changes once it is published."""
    source = dataset_named(CATALOGUE).source
    assert isinstance(source, Snapshot)
    assert isinstance(source.files[0], DataGouvResource)
    page = installation.upstream / source.files[0].listing_url.removeprefix("https://") / "index.html"
    [stamp] = set(re.findall(r"\d{8}-\d{6}", former))
    target = installation.upstream / former.replace(stamp, NEW_EXPORT)
    target.parent.mkdir(parents=True)
    target.write_bytes(data)
    listing = json.loads(page.read_bytes())
    [resource] = [entry for entry in listing["resources"] if entry["title"] == Path(former).name]
    listing["resources"].append(json.loads(json.dumps(resource).replace(stamp, NEW_EXPORT)))
    page.write_text(json.dumps(listing), encoding="utf-8")


def catalogue_rows(text: str) -> tuple[str, list[str]]:
    """Header and rows of an export as written; a row begins with its quoted id."""
    header, *pieces = re.split(r'(?m)^(?="[0-9a-f]{24}";)', text)
    return header, pieces


def spoil_sheets(installation: Installation) -> None:
    """Adds members that leave the zip to the sheets for private persons, and one that is a link."""
    path = installation.newest_files(SHEETS)[0]
    spoiled = io.BytesIO((installation.upstream / path).read_bytes())
    with zipfile.ZipFile(spoiled, "a") as archive:
        for hostile in ("../F99991.xml", "/F99992.xml"):
            archive.writestr(hostile, b"<Publication/>")
    installation.spoil(path, spoiled.getvalue())


@pytest.fixture(scope="module")
def hostile_day(copy_of_first_day) -> Outcome:
    """Every source can be read and holds documents that cannot be used."""
    installation = copy_of_first_day()
    good = {decision_path(number): data for number, (data, *_) in {**BAD_DECISIONS, **ODD_DECISIONS}.items()}
    deliver(installation, BAD_INCREMENT, tar_of(stamped(BAD_INCREMENT, good), HOSTILE_MEMBERS))
    spoil_state(installation)
    spoil_local(installation)
    spoil_labour(installation)
    spoil_catalogue(installation)
    spoil_sheets(installation)
    return updated(installation)


def stamped(archive: str, members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Members below the folder that an increment puts first."""
    stamp = archive.removeprefix("CNIL_").removesuffix(".tar.gz")
    return {f"{stamp}/{path}": data for path, data in members.items()}


#: Inputs that must be refused, by dataset: the member as the quarantine names it, and what its reason says.
REFUSED: Mapping[str, Mapping[str, str]] = {
    CNIL: {decision_path(number): reason for number, (_, reason) in BAD_DECISIONS.items()}
    | {
        path: "leaves the archive"
        if kind == tarfile.REGTYPE
        else "links, devices and sparse files are refused"
        for path, kind in HOSTILE_MEMBERS.items()
    },
    STATE: {
        "service[9a000000-0000-4000-8000-000000000001]": "the field telephone is a number",
        "service[9a000000-0000-4000-8000-000000000002]": "the field nom is missing",
        "service[9a000000-0000-4000-8000-000000000003]": "the same id comes twice",
        "service[9a000000-0000-4000-8000-0000000000a2]": "the field adresse holds a list",
        "service[9a000000-0000-4000-8000-0000000000a3]": "the field affectation_personne is an object",
        "service[#7]": "the field id is missing",
        "service[#8]": "the field id is empty",
        "service[#9]": "the field id is a number",
        "service[#11]": "the record is a text",
        "service[#12]": "the record is null",
        "../dehors.json": "leaves the archive",
        "/etc/absolu.json": "leaves the archive",
        "..\\fenêtre.json": "leaves the archive",
    },
    LOCAL: {
        "../x-data.gouv_local.json": "leaves the archive",
        "/etc/x-data.gouv_local.json": "leaves the archive",
        "lien-data.gouv_local.json": "links, devices and sparse files are refused",
        "dur-data.gouv_local.json": "links, devices and sparse files are refused",
    },
    LABOUR: {
        "sheet[article990001]": "the field sections is not a list of objects",
        "sheet[article990002]": "the field title is missing",
        "sheet[article990003]": "the field html is a list",
        "sheet[article990004]": "the same id comes twice",
        "sheet[article999903]": "half a surrogate pair",
        "sheet[#7]": "the field pubId is null",
        "sheet[#8]": "the field pubId is missing",
        "sheet[#10]": "the sheet is a list",
    },
    CATALOGUE: {
        "dataset[000000000000000000990001]": "a quote or a line end stands inside a value",
        "dataset[000000000000000000990003]": "it has 41 values and the header has 40",
        "dataset[000000000000000000990005]": "a quote or a line end stands inside a value",
        "dataset[000000000000000000990006]": "the same id comes twice",
        "dataset[pas-un-identifiant]": "24 hexadecimal digits",
        "dataset[fffffffffffffffffffffff1]": "the column metric.views is 'beaucoup'",
        "dataset[fffffffffffffffffffffff2]": "the column featured is 'peut-être'",
        "dataset[fffffffffffffffffffffff3]": "a quote is opened and never closed",
        "dataset[fffffffffffffffffffffff5]": "it is not UTF-8",
    },
    SHEETS: {"../F99991.xml": "leaves the archive", "/F99992.xml": "leaves the archive"},
}
#: Documents that come in beside them.
ADDED: Mapping[str, set[str]] = {
    CNIL: {decision_id(number) for number in ODD_DECISIONS},
    STATE: {"9a000000-0000-4000-8000-0000000000a1"},
    LABOUR: {"article999901", "article999902"},
    CATALOGUE: {"fffffffffffffffffffffff4"},
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_was_good_before_stays_and_what_is_good_comes_in(hostile_day, dataset):
    before, after = hostile_day.before[dataset], hostile_day.after[dataset]
    assert {doc_id: after.get(doc_id) for doc_id in before} == before
    assert set(after) - set(before) == ADDED.get(dataset, set())
    assert hostile_day.answer.json["datasets"][dataset]["errors"] == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_input_that_cannot_be_used_is_in_quarantine_with_its_reason(hostile_day, dataset):
    expected = REFUSED.get(dataset, {})
    rows = hostile_day.installation.rows(dataset, f"SELECT member, reason FROM {dataset}.quarantine")
    assert sorted(member for member, _ in rows) == sorted(expected)
    assert [(member, reason) for member, reason in rows if expected[member] not in reason] == []
    said = hostile_day.answer.said(dataset)
    assert (f"refused now: {len(expected)}" in said) == bool(expected)


@pytest.mark.parametrize("dataset", REFUSED)
def test_the_quarantine_tells_the_file_and_keeps_the_bytes_unless_they_name_persons(hostile_day, dataset):
    rows = hostile_day.installation.rows(
        dataset, f"SELECT member, reason, source_file, size, content FROM {dataset}.quarantine"
    )
    [file] = {source_file for *_, source_file, _, _ in rows}
    kept = hostile_day.installation.home / "raw" / dataset / file
    assert kept.is_file()
    unread = ("leaves the archive", "links, devices", "comes twice")
    read = [row for row in rows if not any(words in row[1] for words in unread)]
    if dataset_named(dataset).parse_full is None:
        assert all(size == len(content) for _, _, _, size, content in read)
    else:
        # What was refused was not redacted either: nobody's name is kept where the profile leaves names out.
        assert all(size > 0 and not content for _, _, _, size, content in read)
    if dataset == CNIL:
        contents = {member: bytes(content) for member, _, _, _, content in read}
        assert contents == {decision_path(number): data for number, (data, _) in BAD_DECISIONS.items()}


def test_odd_encodings_and_dates_of_decisions_are_read_as_published(hostile_day):
    rows = hostile_day.installation.rows(CNIL, "SELECT doc_id, sections[1].text, date FROM cnil.documents")
    found = {doc_id: (text, date) for doc_id, text, date in rows}
    assert {number: found[decision_id(number)] for number in ODD_DECISIONS} == {
        number: (text, date) for number, (_, text, date) in ODD_DECISIONS.items()
    }


@pytest.mark.parametrize(
    ("dataset", "doc_id", "column", "value"),
    [
        (STATE, "9a000000-0000-4000-8000-0000000000a1", "modified", "31/02/2999 25:61:00"),
        (STATE, "9a000000-0000-4000-8000-0000000000a1", "modification_date", ""),
        (LABOUR, "article999901", "date", "32/13/2026"),
        (LABOUR, "article999902", "date", "2999-01-01"),
        (CATALOGUE, "fffffffffffffffffffffff4", "created_at", "2999-01-01T00:00:00"),
        (CATALOGUE, "fffffffffffffffffffffff4", "last_modified", "2026-02-31"),
    ],
)
def test_absurd_dates_are_kept_as_published_or_left_empty(hostile_day, dataset, doc_id, column, value):
    sql = f"SELECT {column}, source_updated_at FROM {dataset}.documents WHERE doc_id = '{doc_id}'"
    [(found, updated_at)] = hostile_day.installation.rows(dataset, sql)
    assert found == value
    assert updated_at in (None, "2999-01-01")


def test_nothing_outside_an_archive_is_ever_read_or_written(hostile_day):
    tables = hostile_day.installation.rows(
        CNIL, "SELECT to_json(d)::VARCHAR FROM cnil.documents AS d UNION ALL SELECT to_json(q)::VARCHAR "
        "FROM cnil.quarantine AS q"
    )  # fmt: skip
    assert not [row for (row,) in tables if FIRST_ACCOUNT in row]
    written = {path.name for path in hostile_day.installation.home.parent.rglob("*")}
    assert not written & {Path(path).name for path in (*HOSTILE_MEMBERS, *REFUSED[STATE], *REFUSED[LOCAL])}


def test_what_comes_in_well_later_leaves_the_quarantine(hostile_day):
    """After the others: it goes on with their installation."""
    installation = hostile_day.installation
    mended = {decision_path(number): (XML + decision(number)).encode() for number in (1, 2, 20)}
    deliver(installation, BETTER_INCREMENT, tar_of(stamped(BETTER_INCREMENT, mended), {}))
    answer = installation.update(CNIL, code=0)
    members = {member for (member,) in installation.rows(CNIL, "SELECT member FROM cnil.quarantine")}
    assert members == REFUSED[CNIL].keys() - mended.keys()
    assert answer.json["datasets"][CNIL]["layers"]["documents"]["changed"] == 2
    texts = dict(installation.rows(CNIL, "SELECT doc_id, sections[1].text FROM cnil.documents"))
    assert [texts[decision_id(number)] for number in (1, 2, 20)] == ["Une décision."] * 3
