"""Folders of a release: one a table, each with a name that is its own and stays."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mediatech_assets.release.tables import LONGEST_NAME, give_names

LONG = "legi_code_general_des_etablissements_de_meunerie_de_brasserie_et_de_distillation"


def test_a_table_has_the_name_that_it_wishes():
    assert give_names({"LEGITEXT1": "legi_code_du_travail", "legi_loi": "legi_loi"}, {}) == {
        "LEGITEXT1": "legi_code_du_travail",
        "legi_loi": "legi_loi",
    }


def test_a_table_keeps_its_name_although_its_title_changes():
    first = give_names({"LEGITEXT1": "legi_code_de_commerce"}, {})

    assert give_names({"LEGITEXT1": "legi_code_nouveau"}, first) == first


def test_of_two_tables_of_one_title_the_later_identifier_gets_a_suffix():
    names = give_names({"LEGITEXT2": "legi_code_rural", "LEGITEXT1": "legi_code_rural"}, {})

    assert names["LEGITEXT1"] == "legi_code_rural"
    assert re.fullmatch(r"legi_code_rural_[0-9a-f]{8}", names["LEGITEXT2"])


def test_a_newcomer_never_takes_a_name_that_is_given():
    names = give_names({"LEGITEXT1": "legi_code_rural"}, {"LEGITEXT9": "legi_code_rural"})

    assert names["LEGITEXT1"].startswith("legi_code_rural_")


def test_a_category_has_its_name_before_a_code_that_is_called_so():
    names = give_names({"AAA": "legi_loi", "legi_loi": "legi_loi"}, {})

    assert names["legi_loi"] == "legi_loi"
    assert names["AAA"].startswith("legi_loi_")


def test_long_names_are_cut_at_a_word_and_stay_apart():
    names = give_names({"LEGITEXT1": f"{LONG}_partie_une", "LEGITEXT2": f"{LONG}_partie_deux"}, {})

    assert len(set(names.values())) == 2
    for name in names.values():
        assert re.fullmatch(r"legi_code_general_des_etablissements_de_meunerie_de_[0-9a-f]{8}", name)


def test_a_long_word_is_cut_within():
    name = give_names({"LEGITEXT1": "legi_" + "x" * 99}, {})["LEGITEXT1"]

    assert re.fullmatch(r"legi_x{49}_[0-9a-f]{8}", name)
    assert len(name) == LONGEST_NAME


identities = st.text("ABC123", min_size=1, max_size=4)
wishes = st.dictionaries(identities, st.sampled_from(["legi_a", "legi_b", LONG, f"{LONG}_b"]), max_size=8)


@settings(max_examples=100)
@given(st.lists(wishes, max_size=4))
def test_names_are_unique_and_never_change(releases):
    given_names: dict[str, str] = {}
    for wished in releases:
        names = give_names(wished, given_names)
        assert names.keys() == wished.keys()
        assert all(names[identity] == given_names[identity] for identity in names.keys() & given_names)
        given_names |= names
        assert len(set(given_names.values())) == len(given_names)
        assert max(map(len, given_names.values()), default=0) <= LONGEST_NAME
