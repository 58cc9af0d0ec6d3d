"""Settings: the environment, the command line over it, and messages that name the mistake."""

from pathlib import Path

import pytest

import app
from demo.settings import Settings, SettingsError


def test_defaults_and_empty_variables() -> None:
    assert Settings.from_env({}) == Settings("mini", "auto", Path("data"))
    assert Settings.from_env({"SPOOFLENS_PRESET": "", "SPOOFLENS_DATA": ""}) == Settings()


def test_the_command_line_wins_over_the_environment() -> None:
    environ = {"SPOOFLENS_PRESET": "full", "SPOOFLENS_DEVICE": "cpu", "SPOOFLENS_DATA": "/store"}
    assert Settings.from_env(environ) == Settings("full", "cpu", Path("/store"))
    assert Settings.from_env(environ, preset="mini", device=None, data="here") == Settings(
        "mini", "cpu", Path("here")
    )


def test_the_database_is_named_by_its_url_which_is_not_shown() -> None:
    settings = Settings.from_env({"SPOOFLENS_DATABASE_URL": "postgresql://me:secret@host/labels"})
    assert settings.database_url == "postgresql://me:secret@host/labels"
    assert "secret" not in repr(settings)
    assert Settings.from_env({"SPOOFLENS_DATABASE_URL": ""}).database_url is None


def test_labels_are_copied_to_the_hub_from_a_space_only() -> None:
    environ = {"SPOOFLENS_LABEL_REPO": "me/labels"}
    assert Settings.from_env(environ).label_repo is None
    assert Settings.from_env({**environ, "SPACE_ID": "me/spooflens"}).label_repo == "me/labels"
    assert Settings.from_env({"SPACE_ID": "me/spooflens"}).label_repo is None


def test_an_unusable_database_stops_the_app_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOOFLENS_DATABASE_URL", "mysql://somewhere/labels")
    assert app.main(["--data", str(tmp_path), "--device", "cpu"]) == 2
    assert "names mysql; labels can be kept in SQLite or PostgreSQL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SPOOFLENS_PRESET": "huge"}, "preset is 'huge'.*mini, full.*SPOOFLENS_PRESET"),
        ({"SPOOFLENS_DEVICE": "tpu"}, "device is 'tpu'.*auto, cpu, cuda.*SPOOFLENS_DEVICE"),
        ({"SPOOFLENS_DATA": __file__}, "is a file.*SPOOFLENS_DATA"),
    ],
)
def test_wrong_values_name_the_setting_and_the_choices(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_env(environ)


def test_the_app_refuses_unusable_settings_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPOOFLENS_PRESET", "huge")
    assert app.main([]) == 2
    assert "preset is 'huge'" in capsys.readouterr().err


def test_the_app_refuses_a_data_folder_it_cannot_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPOOFLENS_PRESET", raising=False)
    (tmp_path / "file").touch()
    assert app.main(["--data", str(tmp_path / "file" / "data"), "--device", "cpu"]) == 2
    assert "data folder cannot be used" in capsys.readouterr().err
