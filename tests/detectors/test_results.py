"""The table of measured results, and that the README shows what the kept files say."""

import json
from pathlib import Path

import pytest

from detectors.__main__ import main
from detectors.checkpoints import weights_digest
from detectors.errors import DetectorError
from detectors.results import Results, read_results, results_file, save_results, table, updated

ROOT = Path(__file__).parents[2]
KEPT = sorted([*ROOT.glob("assets/*/results.json"), *ROOT.glob("assets/results-of-*.json")])


def measured(eer: float, macro: float | None, cllr: float) -> dict:
    """One condition: four bona fide trials and six spoofs of two sources, all EERs within one point."""
    named = macro is not None
    return {
        "bonafide": 4, "spoof": 6, "cllr": cllr,
        "eer": eer, "eer_interval": [eer - 1, eer + 1],
        "macro_eer": macro, "macro_eer_interval": [macro - 1, macro + 1] if named else None,
        "per_source": {"A": {"eer": eer, "spoof": 2}, "B": {"eer": eer, "spoof": 4}} if named else {},
        "interval_percent": 95, "interval_resamples": 1000, "interval_seed": 1234,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint folder with made-up results."""
    conditions = {"raw": measured(20.0, 10.5, 0.25), "shortcuts removed": measured(30.04, 31.06, 0.5)}
    (tmp_path / "sls-mini").mkdir()
    results = Results("dev", ["sls-mini"], ["1234"], conditions)
    save_results(tmp_path / "sls-mini" / "results.json", results)
    return tmp_path / "sls-mini"


TABLE = """\
| | clips | EER % pooled, raw | macro, raw | pooled, shortcuts removed | macro, shortcuts removed \
| Cllr, raw | Cllr, shortcuts removed |
|---|---|---|---|---|---|---|---|
| sls-mini | dev: 4 bona fide, 6 spoof of 2 | 20.0 [19.0, 21.0] | 10.5 [9.5, 11.5] | 30.0 [29.0, 31.0] \
| 31.1 [30.1, 32.1] | 0.250 | 0.500 |

In brackets: 95 % intervals, 1000 bootstrap resamples of the clips and, for "macro" (the mean over spoof \
sources), of the sources."""


def test_the_command_prints_a_row_of_what_was_kept(folder, capsys):
    assert main(["results", str(folder)]) == 0
    assert capsys.readouterr().out == TABLE + "\n"
    assert main(["results", str(folder / "results.json")]) == 0
    assert capsys.readouterr().out == TABLE + "\n"


def test_results_are_read_as_they_were_saved(folder):
    found = read_results(folder)
    save_results(folder / "again.json", found)
    assert read_results(folder / "again.json") == found


def test_trials_without_sources_have_a_dash_for_the_mean(folder):
    found = read_results(folder)
    found.conditions["raw"] = measured(20.0, None, 0.25)
    assert "6 spoof of 0 | 20.0 [19.0, 21.0] | - | 30.0" in table([found])


def test_the_files_of_one_and_of_several_detectors():
    assert results_file([Path("assets/a")]) == Path("assets/a/results.json")
    assert results_file([Path("x/a"), Path("y/b")]) == Path("x/results-of-a+b.json")


def test_a_marked_table_is_renewed_and_nothing_else(folder, capsys):
    readme = folder.parent / "README.md"
    before, mark = "# Title\n\n", "<!-- results of: sls-mini -->\n"
    after = "<!-- end of results -->\n\nMore — text.\n"
    readme.write_text(f"{before}{mark}old\n{after}", encoding="utf-8")
    assert main(["results", "--update", str(readme)]) == 0
    assert readme.read_text(encoding="utf-8") == f"{before}{mark}{TABLE}\n{after}"
    assert updated(readme.read_text(encoding="utf-8"), folder.parent) == readme.read_text(encoding="utf-8")
    assert capsys.readouterr().out == ""


def test_what_cannot_be_read_is_said(folder, capsys):
    assert main(["results"]) == 2
    assert "Name either results to print" in capsys.readouterr().err
    assert main(["results", str(folder.parent)]) == 2
    assert "`python -m detectors assess` writes it" in capsys.readouterr().err
    with pytest.raises(DetectorError, match="no table to renew"):
        updated("# Title\n", folder.parent)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"split": "dev", "names": [], "weights": [], "conditions": {}}']
)
def test_other_files_are_refused(folder, text):
    (folder / "results.json").write_text(text)
    with pytest.raises(DetectorError, match="is not what"):
        read_results(folder)


def test_the_readme_shows_what_assess_wrote():
    if not KEPT:
        pytest.skip("assets/ holds no results of `assess`")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert updated(readme, ROOT) == readme, "run: python -m detectors results --update README.md"


def test_kept_results_are_of_the_weights_beside_them():
    if not KEPT:
        pytest.skip("assets/ holds no results of `assess`")
    for file in KEPT:
        found = read_results(file)
        folders = [ROOT / "assets" / name for name in found.names]
        assert found.weights == [weights_digest(folder) for folder in folders], file
        assert json.loads(file.read_text())["names"] == found.names
