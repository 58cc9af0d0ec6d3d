"""The score command from the outside: files in, rows and an exit code out."""

import csv
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import detectors
from detectors import decoders, score
from detectors.__main__ import COMMANDS, build_parser, main
from detectors.audio import SAMPLE_RATE
from detectors.detection import Detection, Window, p_spoof_of
from detectors.errors import DetectorError
from detectors.score_files import FORMATS, Row

ENCODERS = {"mp3": "libmp3lame", "m4a": "aac", "ogg": "libopus"}


class FakeHearing:
    """A clip before a FakeDetector, which judges it at its end."""

    done = True

    def __init__(self, detector: "FakeDetector") -> None:
        self.detector, self.blocks = detector, []

    def feed(self, block: np.ndarray) -> None:
        self.blocks.append(block)

    def end(self) -> None:
        self.found = self.detector.analyze(np.concatenate(self.blocks))

    def detection(self) -> Detection:
        return self.found


class FakeDetector:
    """Scores a clip by its level; what it saw is counted, so that skipped work shows."""

    def __init__(self, name: str, preset: str = "mini", version: str = "abc123") -> None:
        self.name, self.preset, self.version = name, preset, version
        self.seen: list[int] = []

    def batches(self) -> "FakeDetector":
        return self

    def hear(self) -> FakeHearing:
        return FakeHearing(self)

    def flush(self) -> None:
        """Nothing waits here: each clip is judged at its end."""

    def analyze(self, wave: np.ndarray) -> Detection:
        self.seen.append(wave.size)
        seconds = wave.size / SAMPLE_RATE
        if seconds < 0.5:
            raise DetectorError(f"This clip is {seconds:.1f} s; the detectors need at least 0.5 s.")
        level = float(np.sqrt(np.mean(wave**2)))
        llr = 10 * (level - 0.2)
        window = Window(0.0, seconds, level, llr, p_spoof_of(llr))
        return Detection(self.name, level, llr, p_spoof_of(llr), [window], seconds, "cpu")


class Loader:
    """Stands in for detectors.load_detector; `loaded` holds what it gave, `reasons` what it refuses."""

    def __init__(self) -> None:
        self.loaded: dict[str, FakeDetector] = {}
        self.reasons = {"allm4add": "its weights are not released yet."}
        self.version = "abc123"
        self.arguments: dict[str, object] = {}

    def __call__(self, name: str, preset: str = "mini", **others: object) -> FakeDetector:
        if name in self.reasons:
            raise DetectorError(self.reasons[name])
        self.arguments = {"name": name, "preset": preset, **others}
        self.loaded[name] = FakeDetector(name, preset, self.version)
        return self.loaded[name]


@pytest.fixture(autouse=True)
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    loader = Loader()
    monkeypatch.setattr(detectors, "load_detector", loader, raising=False)
    monkeypatch.setattr(
        detectors, "available_detectors", lambda: ["sls", "fake_mamba", "allm4add"], raising=False
    )
    return loader


def write_clip(path: Path, seconds: float = 1.0, level: float = 0.3) -> Path:
    """A noisy sine as wav or flac by soundfile, in other containers by FFmpeg's encoders."""
    time = np.arange(round(seconds * 48_000)) / 48_000
    noise = np.random.default_rng(0).standard_normal(time.size)
    samples = (level * np.sin(2 * np.pi * 220 * time) + 0.01 * noise).astype(np.float32)
    ending = path.suffix.lstrip(".")
    if ending not in ENCODERS:
        soundfile.write(path, samples, 48_000)
        return path
    with av.open(str(path), "w") as container:
        track = container.add_stream(ENCODERS[ending], rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = 48_000
        context = track.codec_context
        fit = av.AudioResampler(context.format, "mono", 48_000, frame_size=context.frame_size or None)
        for piece in [*fit.resample(frame), *fit.resample(None)]:
            container.mux(track.encode(piece))
        container.mux(track.encode(None))
    return path


@pytest.fixture(scope="module")
def folder_of_20(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """17 good clips in five formats, a text file called wav, an empty file and a clip of 0.2 s."""
    folder = tmp_path_factory.mktemp("clips")
    endings = ["wav", "flac", "mp3", "m4a", "ogg"]
    for number in range(17):
        write_clip(folder / f"clip{number:02d}.{endings[number % 5]}")
    (folder / "letter.wav").write_text("Dear Sir or Madam, this is not a recording.\n" * 20)
    (folder / "nothing.mp3").touch()
    write_clip(folder / "short.flac", seconds=0.2)
    (folder / "notes.md").write_text("not counted as audio")
    return folder


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder with a quiet, a middling and a loud clip."""
    folder = tmp_path / "three"
    folder.mkdir()
    for name, level in (("a", 0.01), ("b", 0.3), ("c", 0.9)):
        write_clip(folder / f"{name}.wav", level=level)
    return folder


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_score(*arguments: str | Path) -> int:
    return main(["score", *map(str, arguments)])


# ---- a folder with good and bad files


def test_folder_of_20_scores_17_and_names_the_bad_ones(
    folder_of_20: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert run_score(folder_of_20, "--detector", "sls", "--out", out) == 1
    rows = read_rows(out)
    assert len(rows) == 20
    errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert errors.keys() == {"letter.wav", "nothing.mp3", "short.flac"}
    assert "not a sound file" in errors["letter.wav"]
    assert "empty (0 bytes)" in errors["nothing.mp3"]
    assert "0.2 s; the detectors need at least 0.5 s" in errors["short.flac"]
    assert sum(row["score"] is not None for row in rows) == 17
    said = capsys.readouterr()
    assert said.out == ""
    for name, error in errors.items():
        assert f"{folder_of_20 / name}: {error}" in said.err
    assert "17 of 20 files scored, 3 failed" in said.err


def test_all_detectors_share_one_decode_and_one_row_for_a_bad_file(
    folder_of_20: Path, tmp_path: Path, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    original = decoders.stream_audio
    monkeypatch.setattr(decoders, "stream_audio", lambda path: decoded.append(path) or original(path))
    out = tmp_path / "out.jsonl"
    assert run_score(folder_of_20, "--out", out) == 1
    assert len(decoded) == len(set(decoded)) == 20
    counts = Counter(row["detector"] for row in read_rows(out))
    assert counts == {"sls": 17, "fake_mamba": 17, None: 3}
    assert list(loader.loaded) == ["sls", "fake_mamba"]


def test_a_row_holds_what_was_found(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "my clip.wav", seconds=2.0, level=0.9)
    out = tmp_path / "out.jsonl"
    assert run_score(clip, "--detector", "sls", "--out", out) == 0
    (row,) = read_rows(out)
    assert list(row)[:2] == ["path", "utt_id"]
    assert row["path"] == str(clip)
    assert row["utt_id"] == "my clip"
    assert row["sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert row["seconds"] == pytest.approx(2.0)
    assert (row["detector"], row["preset"], row["version"]) == ("sls", "mini", "abc123")
    assert row["llr"] == pytest.approx(10 * (row["score"] - 0.2))
    assert row["p_spoof"] == pytest.approx(p_spoof_of(row["llr"]))
    assert row["verdict"] == "bonafide"
    assert row["error"] is None
    (window,) = row["windows"]
    assert window == {
        "start": 0.0,
        "end": row["seconds"],
        "score": row["score"],
        "llr": row["llr"],
        "p_spoof": row["p_spoof"],
    }


def test_a_bug_on_one_file_does_not_end_the_run(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = FakeDetector.analyze

    def fail_once(self: FakeDetector, wave: np.ndarray) -> Detection:
        if not self.seen:
            self.seen.append(wave.size)
            raise RuntimeError("out of memory")
        return original(self, wave)

    monkeypatch.setattr(FakeDetector, "analyze", fail_once)
    out = tmp_path / "out.jsonl"
    assert run_score(three, "--detector", "sls", "--out", out) == 1
    assert [row["error"] for row in read_rows(out)] == ["unexpected RuntimeError: out of memory", None, None]
    assert "Traceback" in caplog.text


def test_a_score_that_is_not_a_number_is_an_error(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = Detection("sls", float("nan"), float("nan"), 0.5, [], 1.0, "cpu")
    monkeypatch.setattr(FakeDetector, "analyze", lambda self, wave: nan)
    out = tmp_path / "out.jsonl"
    assert run_score(three / "a.wav", "--detector", "sls", "--out", out) == 1
    assert "sls gave a score that is not a number" in read_rows(out)[0]["error"]


# ---- formats


def test_csv_has_the_columns_of_jsonl_without_windows(three: Path, tmp_path: Path) -> None:
    (three / "d.wav").touch()
    assert run_score(three, "--out", tmp_path / "out.jsonl") == 1
    assert run_score(three, "--out", tmp_path / "out.csv", "--format", "csv") == 1
    with open(tmp_path / "out.csv", newline="") as file:
        table = list(csv.DictReader(file))
    rows = read_rows(tmp_path / "out.jsonl")
    assert len(table) == len(rows) == 7
    for cells, row in zip(table, rows, strict=True):
        row.pop("windows")
        assert cells == {name: "" if value is None else str(value) for name, value in row.items()}


def test_scores_are_utt_score_lines(three: Path, tmp_path: Path) -> None:
    (three / "d.wav").touch()
    out = tmp_path / "scores.txt"
    assert run_score(three, "--detector", "sls", "--format", "scores", "--out", out) == 1
    lines = [line.split() for line in out.read_text().splitlines()]
    assert [utt for utt, _ in lines] == ["a", "b", "c"]
    levels = [float(level) for _, level in lines]
    np.testing.assert_allclose(levels, [0.012, 0.21, 0.64], atol=0.01)


def test_stdout_is_the_default(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_score(three, "--detector", "sls", "--format", "csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("path,utt_id,sha256,seconds,detector")
    assert len(lines) == 4


@pytest.mark.parametrize("name", ["jsonl", "csv", "scores"])
@pytest.mark.parametrize("stem", ["plain", "two words", 'quote " and, comma', "naïve", "bad \udcff byte"])
def test_rows_come_back_as_they_were_written(name: str, stem: str) -> None:
    row_format = FORMATS[name]
    row = Row(f"{stem}.wav", stem, "ab12", 1.25, "sls", "mini", "v", -0.1234567890123, 0.5, 0.25, "spoof")
    (back,) = row_format.parse(row_format.header + row_format.line(row))
    assert (back.utt_id, back.score) == (row.utt_id, row.score)
    if name != "scores":
        assert back == row


# ---- what is scored


def test_folders_are_searched_at_every_depth_for_audio(tmp_path: Path) -> None:
    deep = tmp_path / "clips" / "deep" / "deeper"
    deep.mkdir(parents=True)
    for path in (
        deep / "b.FLAC",
        tmp_path / "clips" / "a.wav",
        tmp_path / "clips" / "._a.wav",
        deep / "x.md",
    ):
        path.touch()
    assert score.collect_clips([tmp_path / "clips"]) == [
        ("a", tmp_path / "clips" / "a.wav"),
        ("b", deep / "b.FLAC"),
    ]


def test_a_file_is_taken_whatever_its_ending_and_only_once(three: Path, tmp_path: Path) -> None:
    strange = three / "recording.bin"
    shutil.copy(three / "a.wav", strange)
    clips = score.collect_clips([strange, three / "a.wav", three])
    assert [clip.path.name for clip in clips] == ["recording.bin", "a.wav", "b.wav", "c.wav"]
    out = tmp_path / "out.jsonl"
    assert run_score(strange, "--detector", "sls", "--out", out) == 0


def test_a_csv_names_ids_and_paths_beside_it(three: Path, tmp_path: Path) -> None:
    protocol = three / "list.csv"
    protocol.write_text("utt_id,path,label\nfirst,c.wav,spoof\nsecond,a.wav,bonafide\n")
    out = tmp_path / "scores.txt"
    assert run_score(protocol, "--detector", "sls", "--format", "scores", "--out", out) == 0
    assert [line.split()[0] for line in out.read_text().splitlines()] == ["first", "second"]


def test_a_missing_file_of_a_csv_is_one_bad_row(three: Path, tmp_path: Path) -> None:
    (three / "list.csv").write_text("path\na.wav\ngone.wav\n")
    out = tmp_path / "out.jsonl"
    assert run_score(three / "list.csv", "--detector", "sls", "--out", out) == 1
    good, bad = read_rows(out)
    assert good["error"] is None
    assert "gone.wav does not exist" in bad["error"]
    assert bad["detector"] is None


def test_limit_takes_the_first_files(three: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert run_score(three, "--detector", "sls", "--limit", 2, "--out", out) == 0
    assert [row["utt_id"] for row in read_rows(out)] == ["a", "b"]


def test_preset_checkpoint_and_device_reach_the_loader(three: Path, tmp_path: Path, loader: Loader) -> None:
    arguments = ("--detector", "sls", "--preset", "full", "--checkpoint", "my/weights", "--device", "cpu")
    assert run_score(three, *arguments, "--out", tmp_path / "out.jsonl") == 0
    assert callable(loader.arguments.pop("progress"))
    assert loader.arguments == {
        "name": "sls",
        "preset": "full",
        "checkpoint": Path("my/weights"),
        "device": "cpu",
    }


# ---- going on after a stop


@pytest.mark.parametrize("form", ["jsonl", "csv", "scores"])
def test_a_second_run_scores_nothing_again(three: Path, tmp_path: Path, loader: Loader, form: str) -> None:
    out = tmp_path / "out"
    arguments = (three, "--detector", "sls", "--format", form, "--out", out)
    assert run_score(*arguments) == 0
    first = out.read_text()
    assert run_score(*arguments) == 0
    assert out.read_text() == first
    assert loader.loaded["sls"].seen == []


@pytest.mark.parametrize("form", ["jsonl", "csv", "scores"])
@pytest.mark.parametrize("kept_lines", [0, 1, 2])
def test_a_run_killed_in_a_line_is_completed(
    three: Path, tmp_path: Path, loader: Loader, form: str, kept_lines: int
) -> None:
    out = tmp_path / "out"
    arguments = (three, "--detector", "sls", "--format", form, "--out", out)
    assert run_score(*arguments) == 0
    whole = out.read_text()
    lines = whole.splitlines(keepends=True)
    out.write_text("".join(lines[:kept_lines]) + lines[kept_lines][:-3])
    assert run_score(*arguments) == 0
    assert out.read_text() == whole
    done = max(0, kept_lines - 1) if form == "csv" else kept_lines
    assert len(loader.loaded["sls"].seen) == 3 - done


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_failed_files_are_tried_again_without_a_second_row(three: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    (three / "b.wav").write_text("broken")
    arguments = (three, "--format", form, "--out", out)
    assert run_score(*arguments) == 1
    assert run_score(*arguments) == 1
    assert len(out.read_text().splitlines()) == (6 if form == "csv" else 5)
    write_clip(three / "b.wav")
    assert run_score(*arguments) == 0
    rows = FORMATS[form].parse(out.read_text())
    assert Counter((Path(row.path).stem, row.detector) for row in rows) == {
        (stem, name): 1 for stem in "abc" for name in ("sls", "fake_mamba")
    }


def test_rows_of_other_files_and_detectors_stay(three: Path, tmp_path: Path, loader: Loader) -> None:
    out = tmp_path / "out.jsonl"
    (three / "b.wav").write_text("broken")
    assert run_score(three / "b.wav", "--detector", "sls", "--out", out) == 1
    assert run_score(three / "a.wav", "--detector", "sls", "--out", out) == 0
    assert run_score(three / "a.wav", "--detector", "all", "--out", out) == 0
    assert loader.loaded["sls"].seen == []
    assert len(loader.loaded["fake_mamba"].seen) == 1
    found = [(row["utt_id"], row["detector"]) for row in read_rows(out)]
    assert found == [("b", None), ("a", "sls"), ("a", "fake_mamba")]


def test_scores_of_other_weights_are_not_mixed(
    three: Path, tmp_path: Path, loader: Loader, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert run_score(three, "--detector", "sls", "--out", out) == 0
    before = out.read_text()
    loader.version = "def456"
    assert run_score(three, "--detector", "sls", "--out", out) == 2
    assert "holds scores of sls mini abc123; this run uses mini def456" in capsys.readouterr().err
    assert out.read_text() == before


@pytest.mark.parametrize("form", ["jsonl", "csv", "scores"])
@pytest.mark.parametrize("content", [b"Dear diary,\nthis is mine\n", b"RIFF\x00\x01\xff\x02 sound", b"{}\n"])
def test_a_file_of_another_kind_is_not_touched(
    three: Path, tmp_path: Path, form: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    out.write_bytes(content)
    assert run_score(three, "--detector", "sls", "--format", form, "--out", out) == 2
    assert "is not a result in this format" in capsys.readouterr().err
    assert out.read_bytes() == content


# ---- unusable arguments: exit code 2 and the reason


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert run_score(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("score: ")
    return said.err


def test_no_such_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no.wav does not exist" in refused(capsys, tmp_path / "no.wav")


def test_no_audio_in_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.md").touch()
    said = refused(capsys, tmp_path)
    assert "No audio found" in said
    assert "flac" in said
    assert "opus" in said


def test_protocol_without_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    protocol = tmp_path / "LA.trl.txt"
    protocol.write_text("LA_0001 LA_E_1 - A07 spoof\nLA_0002 LA_E_2 - - bonafide\n")
    said = refused(capsys, protocol)
    assert "names utterances, such as LA_E_1, but not their files" in said
    assert "Score the folder" in said


def test_unknown_detector(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, three, "--detector", "aasist")
    assert 'no detector "aasist". Known: sls, fake_mamba, allm4add, all.' in said


def test_detector_that_cannot_be_loaded(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "its weights are not released yet" in refused(capsys, three, "--detector", "allm4add")


def test_all_goes_on_without_the_detectors_that_cannot_be_loaded(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_score(three, "--out", tmp_path / "out.jsonl") == 0
    assert "Without allm4add: its weights are not released yet." in capsys.readouterr().err


def test_all_needs_at_least_one_detector(
    three: Path, loader: Loader, capsys: pytest.CaptureFixture[str]
) -> None:
    loader.reasons = dict.fromkeys(("sls", "fake_mamba", "allm4add"), "no weights.")
    assert run_score(three) == 2
    assert "No detector of the mini preset can be loaded" in capsys.readouterr().err


def test_several_detectors_are_named_with_commas(three: Path, loader: Loader, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert run_score(three, "--detector", "fake_mamba, sls,sls", "--out", out) == 0
    assert sorted(loader.loaded) == ["fake_mamba", "sls"]
    counted = Counter(json.loads(line)["detector"] for line in out.read_text().splitlines())
    assert counted == {"sls": 3, "fake_mamba": 3}


@pytest.mark.parametrize("named", ["sls,", "sls,aasist", ""])
def test_each_of_several_must_be_known(three: Path, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no detector" in refused(capsys, three, "--detector", named)


def test_all_is_named_alone(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "leave out the other names" in refused(capsys, three, "--detector", "sls,all")


@pytest.mark.parametrize("named", ["all", "sls,fake_mamba"])
def test_scores_format_needs_one_detector(
    three: Path, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, three, "--detector", named, "--format", "scores")
    assert "holds one detector's scores" in said


def test_checkpoint_needs_one_detector(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "belongs to one detector" in refused(capsys, three, "--checkpoint", "my/weights")


def test_scores_format_refuses_two_files_with_one_id(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (three / "deep").mkdir()
    write_clip(three / "deep" / "a.flac")
    said = refused(capsys, three, "--detector", "sls", "--format", "scores")
    assert 'have the same id "a"' in said
    assert "a.wav" in said
    assert "a.flac" in said


def test_out_in_a_folder_that_does_not_exist(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "does not exist. Make it first" in refused(capsys, three, "--out", tmp_path / "no" / "out.jsonl")


def test_out_is_a_folder(three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a folder. Name a file in it" in refused(capsys, three, "--out", tmp_path)


def test_out_may_be_a_link_or_a_device(three: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "real.jsonl")
    assert run_score(three, "--detector", "sls", "--limit", 1, "--out", link) == 0
    (tmp_path / "real.jsonl").write_text((tmp_path / "real.jsonl").read_text() + '{"path": "half')
    assert run_score(three, "--detector", "sls", "--out", link) == 0
    assert link.is_symlink()
    assert len(read_rows(tmp_path / "real.jsonl")) == 3
    assert run_score(three, "--detector", "sls", "--out", "/dev/null") == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["score"], "PATH"),
        (["score", "x.wav", "--format", "xml"], "'jsonl', 'csv', 'scores', 'analysis', 'parquet'"),
        (["score", "x.wav", "--limit", "0"], "at least 1, not 0"),
        (["judge"], "'score', 'evaluate', "),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


# ---- the command line itself


def test_help_lists_every_command_and_the_options_of_score(capsys: pytest.CaptureFixture[str]) -> None:
    overview = " ".join(build_parser("").format_help().split())
    assert all(name in overview and summary in overview for name, (_, summary) in COMMANDS.items())
    with pytest.raises(SystemExit) as stopped:
        main(["score", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    options = ("PATH", "--detector", "--preset", "--checkpoint", "--format", "--out", "--device", "--limit")
    assert all(option in shown for option in options)


def test_stopping_by_hand_keeps_what_was_scored(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FakeDetector.analyze
    on_disk: list[str] = []

    def stop_at_the_third(self: FakeDetector, wave: np.ndarray) -> Detection:
        if len(self.seen) == 2:
            on_disk.extend(row["utt_id"] for row in read_rows(out))
            raise KeyboardInterrupt
        return original(self, wave)

    out = tmp_path / "out.jsonl"
    monkeypatch.setattr(FakeDetector, "analyze", stop_at_the_third)
    assert run_score(three, "--detector", "sls", "--out", out) == 130
    assert [row["utt_id"] for row in read_rows(out)] == ["a", "b"]
    assert on_disk == ["a", "b"]  # while it ran: rows are flushed one by one, so a kill loses none
