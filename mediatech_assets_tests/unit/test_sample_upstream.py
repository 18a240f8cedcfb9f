"""The sample upstream: same bytes at each build, true formats, and what a reader must find in it.

The replay below is written apart from the platform's readers, so that both can contradict each other.
"""

import io
import json
import re
import tarfile
import unicodedata
import xml.etree.ElementTree as ElementTree
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.sample_upstream import SAMPLE_DAYS, SAMPLE_EXPECTED, build_sample_upstream

LEGI = "echanges.dila.gouv.fr/OPENDATA/LEGI"
FEEDS = {
    feed: f"lecomarquage.service-public.fr/vdd/3.4/{feed}/zip/vosdroits-latest.zip"
    for feed in ("part", "pro")
}
LABOUR = "raw.githubusercontent.com/SocialGouv/fiches-travail-data/master/data/fiches-travail.json"
LABOUR_REDIRECTED = "github.com/SocialGouv/fiches-travail-data/raw/master/data/fiches-travail.json"
STAMP = re.compile(r"\d{8}-\d{6}")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    return {day: build_sample_upstream(folder / f"day{day}", day) for day in SAMPLE_DAYS}


def contents(tree: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(tree)): (path.read_bytes(), int(path.stat().st_mtime))
        for path in tree.rglob("*")
        if path.is_file() and path.parent != tree
    }


def listed_archives(tree: Path) -> list[str]:
    page = (tree / LEGI / "index.html").read_text(encoding="ascii")
    return re.findall(r'href="([^"]+\.tar\.gz)"', page)


def members(archive: Path) -> dict[str, tuple[bytes, float]]:
    with tarfile.open(archive) as tar:
        return {
            STAMP.sub("", member.name, count=1).lstrip("/"): (content.read(), member.mtime)
            for member in tar
            if (content := tar.extractfile(member)) is not None
        }


def replay_legi(tree: Path) -> dict[str, bytes]:
    """State after the stock and every later increment: article id -> file of the newest copy."""
    names = listed_archives(tree)
    stock = max(name for name in names if name.startswith("Freemium"))
    later = sorted(name for name in names if name.startswith("LEGI_") and name[5:20] > stamp_of(stock))
    state: dict[str, tuple[bytes, float]] = {}
    for name in [stock, *later]:
        files = members(tree / LEGI / name)
        lines = files.get("liste_suppression_legi.dat", (b"", 0))[0].decode("ascii").splitlines()
        for line in lines:
            state.pop(f"{line.removesuffix(' D')}.xml", None)
        state |= {path: file for path, file in files.items() if "/article/" in path}
    newest_last = sorted(state.items(), key=lambda item: item[1][1])
    return {Path(path).stem: data for path, (data, _) in newest_last}


def sheets(tree: Path, feed: str) -> dict[str, ElementTree.Element]:
    with zipfile.ZipFile(tree / FEEDS[feed]) as archive:
        return {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist()}


def labour_sheets(tree: Path) -> list[dict]:
    return json.loads((tree / LABOUR).read_text(encoding="utf-8"))


def stamp_of(name: str) -> str:
    found = STAMP.search(name)
    assert found, name
    return found.group()


def words(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def test_two_builds_give_the_same_bytes_and_times(trees, tmp_path):
    for day in SAMPLE_DAYS:
        assert contents(build_sample_upstream(tmp_path / f"again{day}", day)) == contents(trees[day])


def test_everything_is_the_last_day(trees, tmp_path):
    assert contents(build_sample_upstream(tmp_path / "everything")) == contents(trees[2])


@pytest.mark.parametrize("day", SAMPLE_DAYS)
def test_replay_gives_the_expected_documents(trees, day):
    tree = trees[day]
    found = {
        "legi": set(replay_legi(tree)),
        "service_public": {
            root.get("ID")
            for feed in FEEDS
            for root in sheets(tree, feed).values()
            if root.tag == "Publication"
        },
        "travail_emploi": {sheet["pubId"] for sheet in labour_sheets(tree)},
    }
    # Other datasets are replayed in the tests of their own modules.
    assert found == {dataset: set(SAMPLE_EXPECTED[dataset][day]) for dataset in found}


def test_the_expectations_have_the_sizes_that_the_demo_shows():
    assert [len(SAMPLE_EXPECTED["legi"][day]) for day in SAMPLE_DAYS] == [44, 45, 45]
    assert [len(SAMPLE_EXPECTED["service_public"][day]) for day in SAMPLE_DAYS] == [12, 12, 11]
    assert [len(SAMPLE_EXPECTED["travail_emploi"][day]) for day in SAMPLE_DAYS] == [6, 6, 5]


@pytest.mark.parametrize(
    ("day", "increments"),
    [
        (0, ["LEGI_20260103-210000.tar.gz"]),
        (1, ["LEGI_20260103-210000.tar.gz", "LEGI_20260106-211433.tar.gz"]),
        (2, ["LEGI_20260103-210000.tar.gz", "LEGI_20260106-211433.tar.gz", "LEGI_20260107-212705.tar.gz"]),
    ],
)
def test_the_index_page_lists_exactly_what_the_day_shows(trees, day, increments):
    expected = ["Freemium_legi_global_20260105-140000.tar.gz", *increments]
    assert listed_archives(trees[day]) == expected
    on_disk = {path.name for path in (trees[day] / LEGI).iterdir()}
    assert on_disk == {*expected, "DILA_LEGI_Presentation_20170824.pdf", "index.html"}
    page = (trees[day] / LEGI / "index.html").read_text(encoding="ascii")
    assert 'href="DILA_LEGI_Presentation_20170824.pdf"' in page
    assert 'href="?C=M;O=A"' in page
    assert 'href="/OPENDATA/"' in page


def test_file_times_are_the_stamps_in_the_names(trees):
    for name in listed_archives(trees[2]):
        stamp = datetime.strptime(stamp_of(name), "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        assert (trees[2] / LEGI / name).stat().st_mtime == stamp.timestamp()


def test_every_xml_member_is_well_formed_in_the_dialect(trees):
    roots = []
    for name in listed_archives(trees[2]):
        for path, (data, _) in members(trees[2] / LEGI / name).items():
            if not path.endswith(".xml"):
                continue
            roots.append(ElementTree.fromstring(data).tag)
            assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n'), path
            for tag in re.findall(rb"<[A-Z][^<>]*>", data):
                names = re.findall(rb' ([a-z_]+)="', tag)
                assert names == sorted(names), (path, tag)
    assert set(roots) == {"ARTICLE", "SECTION_TA", "TEXTELR", "TEXTE_VERSION"}
    assert roots.count("ARTICLE") < len(roots)


def test_archives_have_folders_as_members_and_a_stamp_in_front_of_increments(trees):
    for name in listed_archives(trees[2]):
        with tarfile.open(trees[2] / LEGI / name) as tar:
            everything = tar.getmembers()
        prefix = "" if name.startswith("Freemium") else f"{name[5:20]}/"
        assert any(member.isdir() for member in everything)
        assert all(f"{member.name}/".startswith(prefix) for member in everything)


def test_the_increment_older_than_the_stock_would_do_harm(trees):
    """A reader that applies it loses an article, revives another and brings an old wording back."""
    old = members(trees[0] / LEGI / "LEGI_20260103-210000.tar.gz")
    current = replay_legi(trees[0])
    delivered = {Path(path).stem: data for path, (data, _) in old.items() if "/article/" in path}
    suppressed = {
        line.rsplit("/", 1)[-1] for line in old["liste_suppression_legi.dat"][0].decode().splitlines()
    }
    assert suppressed <= current.keys()
    assert not delivered.keys() <= current.keys()
    assert any(current[id_] != data for id_, data in delivered.items() if id_ in current)


def test_increments_show_the_cases_that_readers_get_wrong(trees):
    before, between, after = (replay_legi(trees[day]) for day in SAMPLE_DAYS)
    assert before["LEGIARTI000099000112"] != between["LEGIARTI000099000112"]
    assert b"<ETAT>MODIFIE</ETAT>" in between["LEGIARTI000099000117"]
    assert b"<ETAT>VIGUEUR</ETAT>" in between["LEGIARTI000099000130"]

    first = members(trees[1] / LEGI / "LEGI_20260106-211433.tar.gz")
    lines = first["liste_suppression_legi.dat"][0].decode().splitlines()
    moved = [path for path in first if path.endswith("LEGIARTI000099000128.xml")]
    assert moved
    assert "non_vigueur" in moved[0]
    assert any("en_vigueur" in line and line.endswith("LEGIARTI000099000128") for line in lines)
    assert any(line.endswith("LEGIARTI000099000204 D") for line in lines)
    assert any(line.rsplit("/", 1)[-1] not in before for line in lines)
    assert first["liste_suppression_legi_dossier.dat"][0].endswith(b" D\n")

    second = members(trees[2] / LEGI / "LEGI_20260107-212705.tar.gz")
    lines = second["liste_suppression_legi.dat"][0].decode().splitlines()
    assert any(f"{line}.xml" in second for line in lines)
    assert "publiée en ligne" in after["LEGIARTI000099000208"].decode()


def test_the_outdated_duplicate_lies_under_another_text_and_comes_later_in_the_archive(trees):
    stock = members(trees[0] / LEGI / "Freemium_legi_global_20260105-140000.tar.gz")
    first, second = (path for path in stock if path.endswith("LEGIARTI000099000301.xml"))
    assert stock[first][1] > stock[second][1]
    assert "trente jours" in stock[second][0].decode()
    assert "trente jours" not in replay_legi(trees[0])["LEGIARTI000099000301"].decode()


def test_articles_show_the_oddities_of_the_base(trees):
    articles = {id_: data.decode() for id_, data in replay_legi(trees[0]).items()}
    everything = "".join(articles.values())
    assert '<p/>\n<br clear="none"/>' in articles["LEGIARTI000099000115"]
    assert "<strong>" in articles["LEGIARTI000099000103"].split("<BLOC_TEXTUEL>")[0]
    assert "<table" in articles["LEGIARTI000099000126"]
    assert ";<br/>2° Le lundi" in articles["LEGIARTI000099000116"]
    assert "<ETAT/>" in articles["LEGIARTI000099000129"]
    assert "<DATE_DEBUT>2222-02-22</DATE_DEBUT>" in articles["LEGIARTI000099000127"]
    assert "<DATE_DEBUT>2999-01-01</DATE_DEBUT>" in articles["LEGIARTI000099000129"]
    assert '<LIEN cidtexte="' in everything
    assert "<NOTA>\n<CONTENU/>\n</NOTA>" in everything


def test_sheets_show_the_cases_of_the_feeds(trees):
    feeds = {feed: sheets(trees[0], feed) for feed in FEEDS}
    documents = {
        feed: {n for n, root in files.items() if root.tag == "Publication"} for feed, files in feeds.items()
    }
    assert {feed: len(names) for feed, names in documents.items()} == {"part": 8, "pro": 6}
    assert documents["part"] & documents["pro"] == {"F90002.xml", "F90006.xml"}
    assert [
        name for name, root in feeds["pro"].items() if root.tag == "Publication" and not root.get("spUrl")
    ] == ["F90010.xml"]
    assert feeds["part"]["N90100.xml"].get("type") == "Dossier"
    assert feeds["part"]["F90001.xml"].find(".//BlocCas/Cas") is not None
    assert feeds["part"]["F90002.xml"].find(".//Tableau/Rangée/Cellule") is not None
    services = [
        n for files in feeds.values() for n, root in files.items() if root.tag == "ServiceComplementaire"
    ]
    assert services == ["R90201.xml", "R90202.xml"]
    for files in feeds.values():
        assert {"arborescence.xml", "menu.xml"} <= files.keys()


def test_day_two_revises_one_sheet_and_withdraws_one_in_each_source(trees):
    for feed, changed, withdrawn in (("part", {"F90003.xml"}, set()), ("pro", set(), {"F90013.xml"})):
        with zipfile.ZipFile(trees[1] / FEEDS[feed]) as old, zipfile.ZipFile(trees[2] / FEEDS[feed]) as new:
            common = set(old.namelist()) & set(new.namelist()) - {"arborescence.xml"}
            assert {name for name in common if old.read(name) != new.read(name)} == changed
            assert set(old.namelist()) - set(new.namelist()) == withdrawn
    old_sheets, new_sheets = ({s["pubId"]: s for s in labour_sheets(trees[day])} for day in (1, 2))
    assert old_sheets.keys() - new_sheets.keys() == {"article990006"}
    assert [id_ for id_ in new_sheets if new_sheets[id_] != old_sheets[id_]] == ["article990004"]


def test_snapshots_do_not_change_before_day_two(trees):
    for path in (*FEEDS.values(), LABOUR):
        assert (trees[0] / path).read_bytes() == (trees[1] / path).read_bytes()
        assert (trees[0] / path).stat().st_mtime == (trees[1] / path).stat().st_mtime
        assert (trees[2] / path).stat().st_mtime > (trees[1] / path).stat().st_mtime


def test_labour_sheets_have_the_published_fields(trees):
    assert (trees[0] / LABOUR).read_bytes() == (trees[0] / LABOUR_REDIRECTED).read_bytes()
    published = labour_sheets(trees[0])
    for sheet in published:
        assert sheet.keys() == {"pubId", "title", "url", "date", "intro", "description", "sections"}
        assert re.fullmatch(r"\d\d/\d\d/\d{4}", sheet["date"])
        for section in sheet["sections"]:
            assert section.keys() == {"anchor", "title", "text", "html", "description", "references"}
            assert "<" not in section["text"]
    assert "\u00a0" in json.dumps(published, ensure_ascii=False)


def test_the_demo_question_has_an_answer_in_each_dataset(trees):
    """« Combien de jours de congés payés par an ? »: thirty working days."""
    article = replay_legi(trees[0])["LEGIARTI000099000102"].decode()
    assert "jours de congés payés acquis par an ne peut dépasser trente jours ouvrables" in words(article)
    sheet = words("".join(sheets(trees[0], "part")["F90002.xml"].itertext()))
    assert "30 jours ouvrables par an" in sheet
    labour = words(
        next(s for s in labour_sheets(trees[0]) if s["pubId"] == "article990001")["sections"][0]["text"]
    )
    assert "30 jours ouvrables par an" in labour


def test_some_sheets_are_long_and_some_short(trees):
    lengths = [
        sum(len("".join(block.itertext()).split()) for block in root.iter() if block.tag == "Paragraphe")
        for root in sheets(trees[0], "part").values()
        if root.tag == "Publication" and root.get("type") != "Dossier"
    ]
    assert sum(length > 300 for length in lengths) >= 3
    assert min(lengths) < 100


def test_a_complete_tree_is_left_alone(tmp_path):
    tree = build_sample_upstream(tmp_path / "tree", 0)
    before = (tree.stat().st_ino, (tree / LEGI / "index.html").stat().st_ino)
    build_sample_upstream(tree, 0)
    assert (tree.stat().st_ino, (tree / LEGI / "index.html").stat().st_ino) == before


def test_another_day_replaces_the_tree_and_leaves_nothing_beside(tmp_path, trees):
    tree = build_sample_upstream(tmp_path / "tree", 0)
    build_sample_upstream(tree, 1)
    assert contents(tree) == contents(trees[1])
    assert list(tmp_path.iterdir()) == [tree]


@pytest.mark.parametrize("damage", ["missing", "truncated", "marker"])
def test_a_damaged_tree_is_built_again(tmp_path, trees, damage):
    tree = build_sample_upstream(tmp_path / "tree", 0)
    if damage == "missing":
        (tree / LABOUR).unlink()
    elif damage == "truncated":
        (tree / LABOUR).write_bytes(b"[")
    else:
        (tree / "sample-upstream.json").write_text("[]", encoding="utf-8")
    build_sample_upstream(tree, 0)
    assert contents(tree) == contents(trees[0])


def test_a_folder_of_someone_else_is_refused_and_kept(tmp_path):
    theirs = tmp_path / "letters"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="letters"):
        build_sample_upstream(theirs)
    assert (theirs / "letter.txt").read_text(encoding="utf-8") == "kept"


def test_an_empty_folder_is_filled(tmp_path, trees):
    (tmp_path / "empty").mkdir()
    assert contents(build_sample_upstream(tmp_path / "empty", 0)) == contents(trees[0])


@pytest.mark.parametrize("day", [-1, 3])
def test_an_unknown_day_is_refused(tmp_path, day):
    with pytest.raises(ConfigurationError, match=f"no day {day}"):
        build_sample_upstream(tmp_path / "tree", day)
    assert not (tmp_path / "tree").exists()


def test_archives_survive_a_strict_reading(trees):
    for name in listed_archives(trees[2]):
        with tarfile.open(fileobj=io.BytesIO((trees[2] / LEGI / name).read_bytes()), mode="r|gz") as stream:
            assert sum(1 for _ in stream) > 0
    for path in FEEDS.values():
        with zipfile.ZipFile(trees[2] / path) as archive:
            assert archive.testzip() is None
