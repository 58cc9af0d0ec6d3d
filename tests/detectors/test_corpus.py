"""Manifests are read as written, and the cache gives back what was decoded into it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from detectors import corpus
from detectors.audio import load_audio
from detectors.corpus import Clip, Corpus, build_cache, read_corpus, read_manifest
from detectors.errors import DetectorError

INT16_STEP = 1 / 32_768


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three clips of a noisy 300 Hz tone, 0.3-0.5 s, two in train and one in dev."""
    rng = np.random.default_rng(1)
    rows = ["path,utt_id,label,split,source"]
    for i, (label, split, source) in enumerate(
        [("bonafide", "train", "mic"), ("spoof", "train", "tts"), ("spoof", "dev", "vc")]
    ):
        t = np.arange(4_800 + 1_600 * i) / 16_000
        wave = 0.9 * np.sin(2 * np.pi * 300 * t) + 0.05 * rng.standard_normal(len(t))
        soundfile.write(tmp_path / f"{i}.wav", wave.clip(-1, 1), 16_000, subtype="PCM_16")
        rows.append(f"{i}.wav,utt{i},{label},{split},{source}")
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_manifest_gives_the_clips_of_one_split(manifest: Path) -> None:
    folder = manifest.parent
    assert read_manifest(manifest, "train") == [
        Clip("utt0", str(folder / "0.wav"), True, "mic"),
        Clip("utt1", str(folder / "1.wav"), False, "tts"),
    ]
    assert read_manifest(manifest, "dev") == [Clip("utt2", str(folder / "2.wav"), False, "vc")]


def test_the_source_column_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,utt_id,label,split\na.wav,a,bonafide,train\n")
    assert read_manifest(path, "train") == [Clip("a", str(tmp_path / "a.wav"), True, "")]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,label,source\na.wav,spoof,x\n")
    with pytest.raises(DetectorError, match=r"m\.csv has no split column"):
        read_manifest(path, "train")


def test_a_split_without_clips_is_named(manifest: Path) -> None:
    with pytest.raises(DetectorError, match="eval"):
        read_manifest(manifest, "eval")


def test_the_cache_holds_each_clip_as_it_was_decoded(manifest: Path, tmp_path: Path) -> None:
    clips = read_manifest(manifest, "train")
    cache = build_cache(tmp_path / "cache", clips, 0, 1)
    assert len(cache) == 2
    assert cache.clips == clips
    for i, clip in enumerate(clips):
        assert cache.variants(i) == 1
        wave, decoded = cache.wave(i), load_audio(clip.path)
        assert wave.dtype == np.float32
        assert wave.shape == decoded.shape
        assert np.abs(wave - decoded).max() <= INT16_STEP


def test_coded_variants_lie_beside_the_clip(manifest: Path, tmp_path: Path) -> None:
    cache = build_cache(tmp_path / "cache", read_manifest(manifest, "train"), 2, 1)
    for i in range(len(cache)):
        assert cache.variants(i) == 3
        plain = cache.wave(i)
        for variant in (1, 2):
            coded = cache.wave(i, variant)
            assert coded.shape == plain.shape
            # Not the clip itself any more, and no silence either.
            assert np.abs(coded - plain).max() > 10 * INT16_STEP
            assert 0.3 < np.std(coded) / np.std(plain) < 3


def test_the_codec_of_a_clip_depends_on_seed_and_name_alone(manifest: Path, tmp_path: Path) -> None:
    clips = read_manifest(manifest, "train")
    first = build_cache(tmp_path / "a", clips, 1, 1)
    again = build_cache(tmp_path / "b", clips[::-1], 1, 1)  # another order, the same draws
    other = build_cache(tmp_path / "c", clips, 1, 2)
    np.testing.assert_array_equal(first.wave(0, 1), again.wave(1, 1))
    np.testing.assert_array_equal(first.wave(1, 1), again.wave(0, 1))
    assert any(not np.array_equal(first.wave(i, 1), other.wave(i, 1)) for i in range(2))
    # One recording under many names meets many codecs.
    renamed = [Clip(f"name{i}", clips[0].path, True, "") for i in range(8)]
    many = build_cache(tmp_path / "d", renamed, 1, 1)
    assert len({many.wave(i, 1).tobytes() for i in range(8)}) > 3


def test_a_whole_cache_is_used_again(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = read_manifest(manifest, "train")
    first = build_cache(tmp_path / "cache", clips, 1, 1).wave(1, 1)

    def refuse(path: str) -> np.ndarray:
        raise AssertionError(f"{path} was decoded a second time")

    monkeypatch.setattr(corpus, "load_audio", refuse)
    again = build_cache(tmp_path / "cache", clips, 1, 1)
    assert again.clips == clips
    np.testing.assert_array_equal(again.wave(1, 1), first)


def test_a_cache_that_was_cut_off_is_built_anew(manifest: Path, tmp_path: Path) -> None:
    clips = read_manifest(manifest, "train")
    missing = Clip("gone", str(tmp_path / "gone.wav"), False, "")
    with pytest.raises(DetectorError, match=r"gone\.wav does not exist"):
        build_cache(tmp_path / "cache", [*clips, missing], 0, 1)
    cache = build_cache(tmp_path / "cache", clips, 0, 1)
    assert len(cache) == 2
    np.testing.assert_allclose(cache.wave(1), load_audio(clips[1].path), atol=INT16_STEP)


def test_the_codecs_that_are_drawn_from_can_be_chosen(manifest: Path, tmp_path: Path) -> None:
    clips = read_manifest(manifest, "train")
    default = build_cache(tmp_path / "a", clips, 1, 1)
    narrow = build_cache(tmp_path / "b", clips, 1, 1, codecs=("gsm",))
    assert narrow.made_from != default.made_from
    for i in range(len(clips)):
        np.testing.assert_array_equal(narrow.wave(i), default.wave(i))
        loudest = [np.abs(np.fft.rfft(narrow.wave(i, variant)))[1_600:].max() for variant in (0, 1)]
        assert loudest[1] < 0.2 * loudest[0]  # nothing above 4 kHz


PROTOCOLS = {
    "2019": ("S1 LA_1 - - bonafide\nS1 LA_2 - A01 spoof\n", ["LA_1", "LA_2"]),
    "2021": (
        "S1 LA_1 alaw ita_tx bonafide bonafide notrim eval\nS1 LA_2 alaw ita_tx A07 spoof notrim eval\n"
        "S1 LA_3 alaw ita_tx A07 spoof notrim progress\n",
        ["LA_1", "LA_2"],
    ),
    "in_the_wild": ("- 0.wav - - - bona-fide\n- 1.wav - - - spoof\n", ["0", "1"]),
    "csv": ("path,label,split\nx/0.wav,bonafide,eval\nx/1.wav,spoof,eval\ny/2.wav,spoof,dev\n", ["0", "1"]),
}


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_a_corpus_is_read_by_its_own_protocol(kind: str, tmp_path: Path) -> None:
    text, names = PROTOCOLS[kind]
    (tmp_path / "protocol.txt").write_text(text)
    ending, folder = (".flac", "flac") if kind.startswith("20") else (".wav", "x" if kind == "csv" else ".")
    audio = tmp_path / "audio"
    (audio / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        soundfile.write(audio / folder / f"{name}{ending}", np.zeros(100), 16_000)
    phase = "eval" if kind in ("2021", "csv") else ""
    clips = read_corpus(Corpus(str(tmp_path / "protocol.txt"), str(audio), phase))
    assert [(clip.utt_id, clip.is_bonafide) for clip in clips] == [(names[0], True), (names[1], False)]
    for clip, name in zip(clips, names, strict=True):
        assert Path(clip.path).resolve() == (audio / folder / f"{name}{ending}").resolve()
        assert load_audio(clip.path).shape == (100,)


def test_sound_files_that_are_missing_or_of_one_name_are_refused(tmp_path: Path) -> None:
    protocol = tmp_path / "protocol.txt"
    protocol.write_text("S LA_1 - - bonafide\nS LA_2 - A01 spoof\n")
    with pytest.raises(DetectorError, match="names no sound files: give the folder"):
        read_corpus(Corpus(str(protocol)))
    audio = tmp_path / "audio"
    (audio / "flac").mkdir(parents=True)
    (audio / "LA_1.flac").touch()
    with pytest.raises(
        DetectorError, match=r"lacks 1 of the 2 clips that .*protocol\.txt names, such as LA_2"
    ):
        read_corpus(Corpus(str(protocol), str(audio)))
    (audio / "flac" / "LA_1.wav").touch()
    with pytest.raises(DetectorError, match=r"LA_1\.flac and .*LA_1\.wav could both be LA_1"):
        read_corpus(Corpus(str(protocol), str(audio)))
