"""LibriSpeech folders and data sets with transcripts become the list that training reads."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile
import torch
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from detectors.__main__ import main
from detectors.errors import DetectorError
from detectors.llm import hub_asr
from detectors.llm.data import read_audio_llm
from detectors.llm.encoder import FRAMES_PER_SECOND, MAX_FRAMES
from detectors.llm.evaluate import asks_for_transcript
from detectors.llm.hub_asr import HubSplit, Tally, kept_clips, whisper
from detectors.llm.prepare import MOST_SECONDS, TRANSCRIBE_PROMPTS
from detectors.llm.prompts import AUDIO, Turn

RATE = 16_000


def sound(path: Path, seconds: float = 0.2) -> Path:
    """Noise of its own for each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(path.name.encode())).standard_normal(int(seconds * RATE))
    soundfile.write(path, 0.1 * noise, RATE)
    return path


def test_evaluation_knows_each_prompt_as_one_for_a_transcript() -> None:
    assert all(prompt.count(AUDIO) == 1 for prompt in TRANSCRIBE_PROMPTS)
    assert [p for p in TRANSCRIBE_PROMPTS if not asks_for_transcript([Turn("user", p)])] == []
    assert len(set(TRANSCRIBE_PROMPTS)) >= 8


def test_the_longest_clip_is_what_the_encoder_hears() -> None:
    assert MOST_SECONDS == MAX_FRAMES / FRAMES_PER_SECOND


# LibriSpeech


@pytest.fixture
def libri(tmp_path: Path) -> Path:
    """Two speakers with two utterances each."""
    folder = tmp_path / "LibriSpeech"
    for speaker in ("19", "26"):
        place = folder / speaker / "198"
        names = [f"{speaker}-198-{number:04d}" for number in range(2)]
        for name in names:
            sound(place / f"{name}.flac")
        lines = [f"{name} CHAPTER {number} OF {speaker}" for number, name in enumerate(names)]
        (place / f"{speaker}-198.trans.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_librispeech_becomes_rows(libri: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "train.json"
    assert main(["prepare", "librispeech", str(libri), "--out", str(out)]) == 0
    read = read_audio_llm(out, libri)
    assert [c.turns[1].content for c in read] == [
        "chapter 0 of 19",
        "chapter 1 of 19",
        "chapter 0 of 26",
        "chapter 1 of 26",
    ]
    assert [c.paths[0].name for c in read] == [f"{s}-198-000{n}.flac" for s in ("19", "26") for n in (0, 1)]
    assert {c.turns[0].content for c in read} <= set(TRANSCRIBE_PROMPTS)
    assert f"--audio_dir {libri}" in capsys.readouterr().out


def test_a_clips_prompt_depends_on_the_seed_and_its_name_alone(libri: Path, tmp_path: Path) -> None:
    def texts(seed: int, limit: int) -> list[str]:
        out = tmp_path / f"{seed}-{limit}.json"
        options = ["--out", str(out), "--seed", str(seed), "--limit", str(limit)]
        assert main(["prepare", "librispeech", str(libri), *options]) == 0
        return [row["text"] for row in json.loads(out.read_text())]

    assert texts(1, 4)[:2] == texts(1, 2)
    assert any(texts(1, 4) != texts(seed, 4) for seed in range(2, 8))


def test_missing_damaged_and_long_clips_are_left_out(
    libri: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = libri / "19" / "198"
    (place / "19-198-0000.flac").unlink()
    (place / "19-198-0001.flac").write_bytes(b"fLaC")
    sound(libri / "26" / "198" / "26-198-0000.flac", 30.1)
    out = tmp_path / "train.json"
    assert main(["prepare", "librispeech", str(libri), "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "19-198-0000.flac is missing or damaged" in told.err
    assert "19-198-0001.flac is missing or damaged" in told.err
    assert "longer than 30 s: 1" in told.out
    assert len(read_audio_llm(out, libri)) == 1


def test_a_folder_without_transcripts_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "train.json"
    assert main(["prepare", "librispeech", str(tmp_path), "--out", str(out)]) == 2
    assert "There is no .trans.txt in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_line_without_words_is_told(
    libri: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (libri / "26" / "198" / "26-198.trans.txt").write_text("26-198-0000 A WORD\n26-198-0001\n")
    assert main(["prepare", "librispeech", str(libri), "--out", str(tmp_path / "train.json")]) == 2
    assert "26-198.trans.txt, line 2 is not an id and the words" in capsys.readouterr().err
    assert not (tmp_path / "train.json").exists()


# A data set with transcripts

#: Reference and what a recogniser heard: 0, 1 of 4, 2 of 4 words wrong, and no words at all.
SAID = [
    ("Hello there, old friend.", "hello there old friend"),
    ("One two three four.", "one two three more"),
    ("Red green blue grey.", "red bean blue gray"),
    (" ... ", ""),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder as most data sets of the hub are: Parquet files with the audio's bytes in a column."""
    rows = [
        {"audio": {"bytes": content, "path": f"{number}.flac"}, "sentence": reference, "heard": heard}
        for number, (content, (reference, heard)) in enumerate(zip(recordings(tmp_path), SAID, strict=True))
    ]
    table = datasets.Dataset.from_list(rows)
    features = datasets.Features({**table.features, "audio": datasets.Audio(RATE, decode=False)})
    (tmp_path / "corpus").mkdir()
    table.cast(features).to_parquet(tmp_path / "corpus" / "train.parquet")
    return tmp_path / "corpus"


def recordings(tmp_path: Path) -> list[bytes]:
    """The bytes of a sound file for each of SAID."""
    return [sound(tmp_path / "sounds" / f"{number}.flac").read_bytes() for number in range(len(SAID))]


def prepare(corpus: Path, out: Path, *options: str) -> int:
    told = ["prepare", "hub", str(corpus), "--text-column", "sentence", "--out", str(out), *options]
    return main(told)


def answers(out: Path) -> list[str]:
    return [c.turns[1].content for c in read_audio_llm(out, out.with_suffix(""))]


@pytest.mark.parametrize(("max_wer", "kept"), [("0", 1), ("0.25", 2), ("0.5", 3)])
def test_only_transcripts_near_the_hypothesis_are_kept(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], max_wer: str, kept: int
) -> None:
    out = tmp_path / "train.json"
    assert prepare(corpus, out, "--hypothesis-column", "heard", "--max-wer", max_wer) == 0
    assert answers(out) == [reference for reference, _ in SAID[:kept]]
    told = capsys.readouterr().out
    assert f"{kept} clips in {out}" in told
    assert "4 rows read; left out:" in told
    assert "no words in the transcript: 1" in told
    assert (f"WER above the limit: {3 - kept}" in told) == (kept < 3)


def test_the_audio_is_kept_as_it_was(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "train.json"
    assert prepare(corpus, out, "--hypothesis-column", "heard", "--max-wer", "0.25") == 0
    read = read_audio_llm(out, out.with_suffix(""))
    assert [c.paths[0].read_bytes() for c in read] == recordings(tmp_path)[:2]
    assert [c.paths[0].name for c in read] == ["00000000.flac", "00000001.flac"]
    assert sum(path.is_file() for path in out.with_suffix("").rglob("*")) == 2


def test_without_a_limit_all_transcripts_are_believed(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "train.json"
    assert prepare(corpus, out) == 0
    assert answers(out) == [reference for reference, _ in SAID[:3]]


def test_rows_can_be_skipped_and_limited(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "train.json"
    assert prepare(corpus, out, "--skip", "1", "--limit", "1") == 0
    assert answers(out) == [SAID[1][0]]
    assert json.loads(out.read_text())[0]["audio_paths"] == "0000/00000001.flac"


def test_a_recogniser_hears_what_no_column_has(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = iter(heard for _, heard in SAID)
    asked = []

    def recogniser(name: str, device: str, language: str | None) -> Callable[[np.ndarray], str]:
        asked.append((name, language))

        def hear(wave: np.ndarray) -> str:
            assert wave.shape == (int(0.2 * RATE),)
            return next(said)

        return hear

    monkeypatch.setattr(hub_asr, "whisper", recogniser)
    out = tmp_path / "train.json"
    assert prepare(corpus, out, "--max-wer", "0.3", "--language", "en", "--device", "cpu") == 0
    assert asked == [("openai/whisper-base", "en")]
    assert answers(out) == [reference for reference, _ in SAID[:2]]
    assert sum(path.is_file() for path in out.with_suffix("").rglob("*")) == 2


class FakeRows(Iterator[dict[str, Any]]):
    """Rows as `datasets` streams them with undecoded audio; counts those that were taken."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self.rows, self.taken = rows, 0

    def __next__(self) -> dict[str, Any]:
        self.taken += 1
        return next(self.rows)


def fake_rows(monkeypatch: pytest.MonkeyPatch, rows: Iterator[dict[str, Any]]) -> FakeRows:
    found = FakeRows(rows)
    monkeypatch.setattr(hub_asr, "_rows", lambda source: found)
    return found


def row(content: bytes, path: str | None = "a.flac") -> dict[str, Any]:
    return {"audio": {"bytes": content, "path": path}, "text": "a word"}


def test_rows_are_taken_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sound(tmp_path / "a.flac").read_bytes()
    rows = fake_rows(monkeypatch, iter(lambda: row(content), None))  # without end
    kept = kept_clips(HubSplit("x"), tmp_path / "out", Tally(), 30)
    assert next(kept).path == "0000/00000000.flac"
    assert rows.taken == 1


def test_bad_audio_is_named_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = sound(tmp_path / "a.flac").read_bytes()
    long = sound(tmp_path / "long.flac", 30.1).read_bytes()
    missing = {"audio": {"bytes": None, "path": str(tmp_path / "gone.wav")}, "text": "a word"}
    nothing = {"audio": None, "text": "a word"}
    found = [row(b"no sound"), row(good, None), missing, nothing, row(long), {**row(good), "text": None}]
    fake_rows(monkeypatch, iter(found))
    out = tmp_path / "out" / "train.json"
    assert main(["prepare", "hub", "x", "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert re.findall(r"^row (\d)", told.err, re.M) == ["0", "2", "3"]
    assert "longer than 30 s: 1; no words in the transcript: 1; unreadable: 3" in told.out
    kept = [path.name for path in out.with_suffix("").rglob("*") if path.is_file()]
    assert kept == ["00000001.audio"]


def test_a_broken_connection_keeps_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = sound(tmp_path / "a.flac").read_bytes()

    def rows() -> Iterator[dict[str, Any]]:
        yield row(content)
        yield row(content)
        raise ConnectionError("the hub has gone")

    fake_rows(monkeypatch, rows())
    out = tmp_path / "train.json"
    assert main(["prepare", "hub", "x", "--out", str(out), "--skip", "5"]) == 1
    told = capsys.readouterr().err
    assert "stopped before row 7: the hub has gone. Go on with --skip 7" in told
    assert len(read_audio_llm(out, tmp_path / "train")) == 2


def test_nothing_kept_is_told(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "train.json"
    assert prepare(corpus, out, "--skip", "3") == 2
    assert "Not one clip was kept" in (told := capsys.readouterr().err)
    assert "1 rows read; left out: no words in the transcript: 1" in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--text-column", "words"], "has no column words. It has: audio, sentence, heard"),
        (["--split", "night"], "cannot be opened"),
        (["--max-wer", "0.1", "--hypothesis-column", "heard", "--whisper", "x"], "not both"),
        (["--hypothesis-column", "heard"], "Give --max-wer"),
        (["--max-wer", "0.1", "--whisper", "/no/such/model", "--device", "cpu"], "cannot be loaded"),
    ],
)
def test_unusable_options_are_told(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], reason: str
) -> None:
    assert prepare(corpus, tmp_path / "train.json", *options) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--max-wer", "10"], ["--skip", "-1"]])
def test_numbers_out_of_range_are_refused(corpus: Path, tmp_path: Path, option: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        prepare(corpus, tmp_path / "train.json", *option)
    assert refused.value.code == 2


def test_a_missing_package_is_told(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DetectorError, match="pip install datasets"):
        next(kept_clips(HubSplit(str(corpus), text="sentence"), tmp_path, Tally(), 30))


def test_a_package_that_the_data_set_needs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        raise ImportError("please install 'torchcodec'.")
        yield

    fake_rows(monkeypatch, rows())
    with pytest.raises(DetectorError, match=r"x cannot be read: please install 'torchcodec'\.$"):
        next(kept_clips(HubSplit("x"), tmp_path, Tally(), 30))


def test_whisper_is_a_recogniser(tmp_path: Path) -> None:
    """A model with random weights answers with words of its vocabulary, the same each time."""
    letters = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    tokenizer = WhisperTokenizer(vocab=letters, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    end, start, _ = tokenizer.convert_tokens_to_ids(special)
    WhisperProcessor(WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(tmp_path)
    torch.manual_seed(3)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=12,
        decoder_start_token_id=start,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        max_length=10,
    )
    WhisperForConditionalGeneration(config).save_pretrained(tmp_path)
    hear = whisper(str(tmp_path), "cpu")
    wave = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert re.fullmatch("[a-z]+", hear(wave))
    assert hear(wave) == hear(wave)
