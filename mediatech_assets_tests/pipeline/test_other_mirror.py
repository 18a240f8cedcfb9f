"""A mirror made with other options: another code, other draws, and two oddities that the small one does not have.

Its increment before the stock holds older versions of what the stock has (applied after it, they would go back in
time), and lines of the suppression lists bear a flag at their end. Documents only: what follows them is proven with
the other mirror.
"""

import tarfile
from pathlib import Path

import pytest

from mediatech_assets.layers import Layer
from mediatech_assets_tests.conftest import serving
from mediatech_assets_tests.pipeline.history import (
    FUNDS,
    MIRRORED,
    History,
    assert_documents_are_those_of_the_truth,
    play,
)
from mediatech_assets_tests.pipeline.truth import DAYS, Truth, read_truth


@pytest.fixture(scope="module")
def other_truth(mirror_other: Path) -> Truth:
    return read_truth(mirror_other)


@pytest.fixture(scope="module")
def other_history(
    mirror_other: Path, other_truth: Truth, tmp_path_factory: pytest.TempPathFactory
) -> History:
    with serving(mirror_other) as server:
        folder = tmp_path_factory.mktemp("other-history")
        return play(server, other_truth, folder, MIRRORED, (Layer.RAW, Layer.DOCUMENTS))


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("dataset", MIRRORED)
def test_documents_are_those_of_the_truth_word_for_word(other_history, other_truth, dataset, day):
    assert_documents_are_those_of_the_truth(other_history, other_truth, dataset, day)


@pytest.mark.parametrize("fund", FUNDS)
def test_what_an_older_increment_holds_is_recorded_as_stale_and_not_applied(other_history, other_truth, fund):
    stages = other_truth[fund][""]
    stale = stages[0].facts["stale_archive"]
    assert stale["mode"] == "older"
    rows = other_history.installation.rows(
        f"SELECT status FROM {fund}.raw_files WHERE file = ?", [stale["name"]]
    )
    assert rows == [("stale",)]
    assert other_history.held[3][fund].applied == [stages[day].facts["label"] for day in DAYS]


@pytest.mark.parametrize("fund", FUNDS)
def test_what_a_list_names_is_gone_whatever_flag_its_line_bears(other_history, other_truth, fund):
    deleted = {doc_id for day in DAYS[1:] for doc_id in other_truth[fund][""][day].deletes}
    assert deleted
    assert {doc_id for doc_id, _ in other_history.held[3][fund].tombstones} == deleted


def test_lines_of_the_lists_do_bear_flags(mirror_other):
    """Else nothing here would be told of them."""
    [increment] = (mirror_other / "echanges.dila.gouv.fr/OPENDATA/LEGI").glob("LEGI_20250714-*.tar.gz")
    with tarfile.open(increment) as archive:
        [name] = [name for name in archive.getnames() if name.endswith("liste_suppression_legi.dat")]
        member = archive.extractfile(name)
        assert member is not None
        assert b" D\n" in member.read()


@pytest.mark.parametrize("dataset", MIRRORED)
def test_nothing_is_refused(other_history, dataset):
    assert [other_history.held[day][dataset].refused for day in DAYS] == [[], [], [], []]
