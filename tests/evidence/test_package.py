"""What is in an evidence package, that it holds nothing made up, and that no text breaks out of it."""

import hashlib
import json
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from detectors.detection import Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.evidence import Picture, write_package
from detectors.evidence.error_rates import rates_of_one, rates_together
from detectors.evidence.html import html_report
from detectors.evidence.likelihood import likelihood_ratio, shown, verbal_band
from detectors.evidence.pdf import COLUMN, lines_of
from detectors.evidence.report import report_of
from detectors.evidence.sections import MAX_WINDOWS, plain, sections_of
from detectors.file_facts import file_facts
from detectors.results import results_file, save_results
from detectors.robustness import stress_test
from tests.evidence.cases import (
    HOSTILE,
    case_of,
    clip_file,
    label,
    measured,
    picture,
    put_in_place,
    tiny_weights,
)

CREATED = "2026-01-02T03:06:00Z"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tiny_weights(tmp_path / "sls-tiny")
    put_in_place(folder, monkeypatch)
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clip_file(tmp_path / "clip.wav")


class Tags(HTMLParser):
    """All tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_zip_holds_the_three_reports_the_figures_and_their_hashes(weights, clip, tmp_path) -> None:
    made = write_package(case_of(clip), [picture()], tmp_path, CREATED)
    with zipfile.ZipFile(made) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert list(files) == ["report.json", "report.html", "report.pdf", "figures/timeline.png", "SHA256SUMS"]
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert files["report.pdf"].startswith(b"%PDF")
    assert json.loads(files["report.json"])["clip"]["sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()


def test_the_same_case_gives_the_same_bytes(weights, clip, tmp_path) -> None:
    case, images = case_of(clip), [picture()]
    first = write_package(case, images, tmp_path, CREATED).read_bytes()
    assert write_package(case, images, tmp_path, CREATED).read_bytes() == first


def test_the_report_says_which_weights_judged_and_how_often_they_err(weights, clip) -> None:
    report = report_of(case_of(clip), CREATED)
    of = report["detectors"]["sls"]
    assert of["weights_sha256"] == hashlib.sha256((weights / "model.safetensors").read_bytes()).hexdigest()
    assert of["calibration"] == {"scale": 2.0, "offset": 0.5}
    assert of["error_rates"]["conditions"]["raw"]["real_called_fake"] == 22.2
    assert report["error_rates"] == of["error_rates"]  # one detector alone is the whole verdict
    assert report["clip"]["file"]["codec"] == "pcm_s16le"
    assert report["clip"]["file"]["sample_rate"] == 16_000
    assert report["result"]["llr"] == of["llr"]
    assert len(of["windows"]) == 5
    assert report["settings"]["device"] == "cpu"
    assert report["robustness"] is None
    assert json.loads(json.dumps(report)) == report


def test_the_report_says_where_an_llr_ends(weights, clip) -> None:
    config = json.loads((weights / "config.json").read_text())
    assert "not beyond" not in html_report(report_of(case_of(clip), CREATED), [])
    config["calibration"]["limit"] = 2.5
    (weights / "config.json").write_text(json.dumps(config))
    report = report_of(case_of(clip), CREATED)
    assert report["detectors"]["sls"]["calibration"]["limit"] == 2.5
    assert "not beyond ±2.5" in html_report(report, [])


def test_what_was_not_measured_is_called_so(weights, clip) -> None:
    results_file([weights]).unlink()
    report = report_of(case_of(clip), CREATED)
    assert report["error_rates"] is report["detectors"]["sls"]["error_rates"] is None
    page = html_report(report, [])
    assert "not measured" in page
    assert "Stress test: not run." in page
    assert "No label was saved" in page


def test_weights_that_took_the_place_of_those_that_judged_are_not_described_as_them(weights, clip) -> None:
    case = case_of(clip, versions={"sls": "0" * 12})
    of = report_of(case, CREATED)["detectors"]["sls"]
    assert of["weights_sha256"] is None
    assert of["version"] == "0" * 12
    assert of["error_rates"] is None


def test_a_clip_that_is_gone_or_changed_makes_no_report(weights, clip) -> None:
    case = case_of(clip)
    clip.write_bytes(clip.read_bytes() + b"x")
    with pytest.raises(DetectorError, match="no longer at hand"):
        report_of(case, CREATED)
    clip.unlink()
    with pytest.raises(DetectorError, match="no longer at hand"):
        report_of(case, CREATED)


def test_no_text_from_outside_becomes_html(weights, clip) -> None:
    said = label(case_of(clip).sha256, note=HOSTILE, attack=HOSTILE, annotator="<b>Anna</b>")
    case = case_of(clip, name=HOSTILE, labels=[said], unavailable={"<u>X</u>": HOSTILE})
    report = report_of(case, CREATED)
    report["clip"]["file"]["tags"] = {HOSTILE: HOSTILE}
    page = html_report(report, [picture(title=HOSTILE, caption=HOSTILE)])
    found = Tags(page)
    assert found.tags <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody", "tr",
        "th", "td", "figure", "img", "figcaption", "strong",
    }  # fmt: skip
    assert not any(name.startswith("on") for name in found.attributes)
    assert all(source.startswith("data:image/png;base64,") for source in found.sources)
    assert "\u202e" not in page
    assert page.count("<img") == 1
    assert "script-src" not in page
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page


def test_a_hostile_name_is_in_no_path_and_does_not_stop_the_pdf(weights, clip, tmp_path) -> None:
    case = case_of(clip, name="../../" + HOSTILE, labels=[label(case_of(clip).sha256, note=HOSTILE * 20)])
    made = write_package(case, [picture()], tmp_path, CREATED)
    assert made.parent == tmp_path
    assert made.name == f"spooflens-evidence-{case.sha256[:12]}-20260102T030600Z.zip"
    with zipfile.ZipFile(made) as archive:
        assert not any(".." in name or name.startswith("/") for name in archive.namelist())
        assert json.loads(archive.read("report.json"))["clip"]["name"] == case.name


@pytest.mark.parametrize("key", ["../x", "a/b", "", "a b", "é"])
def test_a_picture_is_named_by_letters_alone(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Picture(key, "", "", b"")


def test_control_characters_are_made_visible() -> None:
    assert plain("a\u202eb\x00c\nd\u200be") == "a�b�c d�e"


def test_the_stress_test_is_in_the_report(weights, clip) -> None:
    case = case_of(clip)
    wave = np.random.default_rng(1).uniform(-0.5, 0.5, 20_800).astype(np.float32)
    found = case.detections["sls"]
    stress = stress_test(wave, {"sls": lambda changed: found})
    report = report_of(case_of(clip, stress=stress), CREATED)
    assert report["robustness"]["held"] == report["robustness"]["tests"] == len(stress.trials)
    page = html_report(report, [])
    assert f"held in {stress.held} of {len(stress.trials)} tests" in page
    assert "Telephone (G.711)" in page
    assert "Not tested: Only 8 s of it" in page


def test_without_a_verdict_there_is_still_a_report(clip, tmp_path) -> None:
    judged = {"detections": {}, "versions": {}, "llr": None, "device": None, "seconds": 1.3}
    from detectors.audio import sha256_of
    from detectors.evidence import Case

    case = Case(
        name="a.wav", path=clip, sha256=sha256_of(clip), analysed=CREATED, preset="mini",
        unavailable={"SLS": "its weights are missing"}, **judged,
    )  # fmt: skip
    assert report_of(case, CREATED)["result"] is None
    with zipfile.ZipFile(write_package(case, [], tmp_path, CREATED)) as archive:
        assert "No verdict" in archive.read("report.html").decode()


def test_of_many_windows_the_worst_are_shown_and_all_are_kept(weights, clip) -> None:
    windows = [Window(i, i + 1, float(i), float(i), p_spoof_of(i)) for i in range(300)]
    found = Detection("sls", 1.0, 1.0, p_spoof_of(1.0), windows, 301.0, "cpu")
    report = report_of(case_of(clip, detections={"sls": found}), CREATED)
    assert len(report["detectors"]["sls"]["windows"]) == 300
    (section,) = [each for each in sections_of(report, []) if each.title == "Windows"]
    table = section.blocks[-1]
    assert len(table.rows) == MAX_WINDOWS
    assert table.rows[0][0] == "0.00–1.00 s"


# ---- words for numbers, numbers from cards, lines of a page


@pytest.mark.parametrize(
    ("llr", "words"),
    [
        (0.0, "neither"),
        (0.84, "neither"),
        (0.9, "weak support to “human”"),
        (-2.0, "weak support to “machine-made”"),
        (np.log(10.1), "moderate support to “human”"),
        (np.log(101), "moderately strong"),
        (np.log(1_001), "strong support"),
        (-900.0, "very strong support to “machine-made”"),
    ],
)
def test_bands(llr: float, words: str) -> None:
    assert words in verbal_band(llr)


def test_a_likelihood_ratio_has_no_digits_that_nobody_measured() -> None:
    assert likelihood_ratio(-np.log(20)) == pytest.approx(20)
    assert [shown(ratio) for ratio in (2.3333, 37.77, 4321.0, 1e9)] == [
        "2.3",
        "38",
        "4,300",
        "over a million",
    ]


def test_error_rates_of_several_are_those_of_these_weights_together(tmp_path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    for folder in (first, second, third):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(folder.name.encode())
    save_results(results_file([first]), measured([first]))
    save_results(results_file([second, first]), measured([second, first], real_called_fake=20.0))
    of = {"sls": first, "fake_mamba": second}
    assert rates_of_one(first)["conditions"]["raw"]["real_called_fake"] == 22.2
    assert rates_of_one(second) is None
    together = rates_together(of)
    assert (together["spoof"], together["conditions"]["raw"]["real_called_fake"]) == (686, 20.0)
    assert rates_together({"sls": first, "allm4add": third}) is None
    assert rates_together({**of, "allm4add": third}) is None  # nobody measured these three
    (first / "adapter_model.safetensors").write_bytes(b"what was measured knows nothing of it")
    assert rates_of_one(first) is None
    assert rates_together(of) is None
    assert rates_of_one(tmp_path / "gone") is None


def test_a_damaged_file_of_results_is_no_measurement(weights, caplog) -> None:
    results_file([weights]).write_text("{}")
    assert rates_of_one(weights) is None
    assert "is not what" in caplog.text


@pytest.mark.parametrize("text", ["word " * 300, "x" * 900, "", HOSTILE * 10])
def test_no_line_is_wider_than_its_column_and_nothing_is_lost(text: str) -> None:
    from detectors.evidence.pdf import _drawable, _length

    lines = lines_of(text, 8.5, COLUMN)
    assert all(_length(line, 8.5, False) <= COLUMN for line in lines)
    assert "".join("".join(lines).split()) == "".join(_drawable(text, False).split())


def test_tags_are_bounded(tmp_path: Path) -> None:
    import av

    path = tmp_path / "tagged.flac"
    with av.open(path, "w", format="flac") as container:
        container.metadata.update({f"tag{i}": "x" * 5_000 for i in range(100)})
        stream = container.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    tags = file_facts(path)["tags"]
    assert len(tags) == 40
    assert max(map(len, tags.values())) == 200


def test_a_file_that_is_no_sound_has_no_facts(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("#EXTM3U\nfile:///etc/passwd\n")
    with pytest.raises(DetectorError, match="no longer at hand"):
        file_facts(tmp_path / "x.wav")
