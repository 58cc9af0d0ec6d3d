"""load_audio: every common container, exact where it can be, and clear about what it refuses."""

import hashlib
import logging
import subprocess
import sys
import wave as wave_module
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from detectors import audio
from detectors.audio import (
    SAMPLE_RATE,
    AudioLimits,
    claimed_seconds,
    load_audio,
    sha256_of,
    stream_audio,
)
from detectors.errors import DetectorError
from tests.demo import damaged_audio
from tests.demo.damaged_audio import pcm

# Container ending -> (encoder, sample rate that the encoder takes, bits a second).
LOSSY = {
    "mp3": ("libmp3lame", 44_100, 128_000),
    "m4a": ("aac", 48_000, 128_000),
    "aac": ("aac", 48_000, 128_000),
    "ogg": ("libopus", 48_000, 64_000),
    "opus": ("libopus", 48_000, 64_000),
    "webm": ("libopus", 48_000, 64_000),
    "amr": ("libopencore_amrnb", 8_000, 12_200),
}


def sine(rate: int, seconds: float = 1.0, hertz: float = 440.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def encode(
    path: Path, samples: np.ndarray, codec: str, rate: int, bit_rate: int, video: bool = False
) -> Path:
    """Write mono samples with an FFmpeg encoder, beside a few grey pictures when `video`."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10) if video else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        track = container.add_stream(codec, rate=rate, layout="mono")
        track.bit_rate = bit_rate
        if pictures is not None:
            for _ in range(10):
                picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = rate
        context = track.codec_context
        fit = av.AudioResampler(context.format, "mono", rate, frame_size=context.frame_size or None)
        for piece in [*fit.resample(frame), *fit.resample(None)]:
            container.mux(track.encode(piece))
        container.mux(track.encode(None))
    return path


def noisy_flac(folder: Path) -> tuple[Path, np.ndarray]:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * SAMPLE_RATE)
    soundfile.write(folder / "clip.flac", noise, SAMPLE_RATE)
    return folder / "clip.flac", noise


def loudest_hertz(wave: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(wave * np.hanning(wave.size)))
    return float(np.argmax(power)) * SAMPLE_RATE / wave.size


def middle(wave: np.ndarray) -> np.ndarray:
    return wave[wave.size // 4 : -wave.size // 4]


# ---- what is read


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("ending", "subtype"),
    [
        ("wav", "PCM_16"),
        ("wav", "PCM_U8"),
        ("wav", "PCM_24"),
        ("wav", "PCM_32"),
        ("wav", "FLOAT"),
        ("wav", "DOUBLE"),
        ("wav", "ULAW"),
        ("flac", "PCM_16"),
        ("flac", "PCM_24"),
        ("aiff", "PCM_16"),
    ],
)
def test_lossless_16_khz_is_exactly_what_soundfile_reads(
    tmp_path: Path, ending: str, subtype: str, channels: int
) -> None:
    path = tmp_path / f"clip.{ending}"
    samples = np.random.default_rng(0).uniform(-1, 1, (SAMPLE_RATE, channels))
    soundfile.write(path, samples, SAMPLE_RATE, subtype=subtype)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1, dtype=np.float32)
    wave = load_audio(path)
    assert wave.dtype == np.float32
    assert wave.flags.writeable
    # The mean of six channels may differ in the last bit with the order of the sum.
    np.testing.assert_allclose(wave, expected, rtol=0, atol=0 if channels < 3 else 1e-7)


def test_full_scale_16_bit_keeps_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.array([-32768, 32767, 0] * 400, np.int16), SAMPLE_RATE)
    wave = load_audio(path)
    assert wave[:3].tolist() == [-1.0, 32767 / 32768, 0.0]


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_another_sample_rate_keeps_pitch_level_and_time(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(rate, seconds=2.0), rate, subtype="FLOAT")
    wave = load_audio(path)
    assert abs(wave.size - 2 * SAMPLE_RATE) <= 1
    # Sample by sample, so a delay or a wrong level would show; the ends lack neighbours.
    np.testing.assert_allclose(middle(wave), middle(sine(SAMPLE_RATE, seconds=2.0)[: wave.size]), atol=1e-4)


def test_frequencies_above_8_khz_do_not_fold_back(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(48_000, hertz=12_000), 48_000, subtype="FLOAT")
    assert np.abs(middle(load_audio(path))).max() < 1e-4


def test_long_clip_at_another_rate_has_no_seams(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(44_100, seconds=20.0), 44_100, subtype="FLOAT")
    wave = load_audio(path)
    np.testing.assert_allclose(middle(wave), middle(sine(SAMPLE_RATE, seconds=20.0)[: wave.size]), atol=1e-4)


@pytest.mark.parametrize("ending", LOSSY)
def test_lossy_containers(tmp_path: Path, ending: str) -> None:
    codec, rate, bit_rate = LOSSY[ending]
    path = encode(tmp_path / f"clip.{ending}", sine(rate, seconds=2.0), codec, rate, bit_rate)
    wave = load_audio(path)
    # Encoders pad their first and last frame, 64 ms at most; AMR, made for speech, also dims a sine.
    assert wave.size / SAMPLE_RATE == pytest.approx(2.0, abs=0.13)
    assert loudest_hertz(wave) == pytest.approx(440, abs=1)
    assert np.sqrt(np.mean(middle(wave) ** 2)) == pytest.approx(
        0.5 / np.sqrt(2), rel=0.05 if ending != "amr" else 0.2
    )
    assert wave.min() >= -1
    assert wave.max() <= 1


def test_sound_track_of_a_video(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", sine(48_000, 1.0), "aac", 48_000, 128_000, video=True)
    assert loudest_hertz(load_audio(path)) == pytest.approx(440, abs=1)


def test_the_ending_of_the_name_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    soundfile.write(path, sine(SAMPLE_RATE), SAMPLE_RATE, format="WAV")
    assert load_audio(str(path)).size == SAMPLE_RATE


def test_float_samples_beyond_full_scale_are_clipped(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(SAMPLE_RATE, level=1.5), SAMPLE_RATE, subtype="FLOAT")
    wave = load_audio(path)
    assert wave.max() == 1
    assert wave.min() == -1


# ---- what is damaged


def test_a_cut_off_file_gives_the_part_that_is_there(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.wav", tmp_path / "part.wav"
    soundfile.write(whole, sine(SAMPLE_RATE), SAMPLE_RATE)
    part.write_bytes(whole.read_bytes()[: 44 + SAMPLE_RATE])
    np.testing.assert_array_equal(load_audio(part), load_audio(whole)[: SAMPLE_RATE // 2])


def test_a_packet_that_does_not_decode_is_skipped_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, noise = noisy_flac(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        wave = load_audio(path)
    assert SAMPLE_RATE < wave.size < noise.size
    np.testing.assert_allclose(wave[:SAMPLE_RATE], noise[:SAMPLE_RATE], atol=1e-4)
    assert "clip.flac is damaged: 1 packet(s)" in caplog.text


def test_damage_in_the_middle_keeps_what_is_before_and_after(tmp_path: Path) -> None:
    path, noise = noisy_flac(tmp_path)
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 4000] = bytes(4000)
    path.write_bytes(content)
    wave = load_audio(path)
    assert 3 * SAMPLE_RATE < wave.size <= noise.size
    np.testing.assert_allclose(wave[:SAMPLE_RATE], noise[:SAMPLE_RATE], atol=1e-4)
    np.testing.assert_allclose(wave[-SAMPLE_RATE:], noise[-SAMPLE_RATE:], atol=1e-4)


# ---- what is refused


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"no\.wav does not exist"):
        load_audio(tmp_path / "no.wav")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="is a folder"):
        load_audio(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "clip.wav").touch()
    with pytest.raises(DetectorError, match=r"clip\.wav is empty \(0 bytes\)"):
        load_audio(tmp_path / "clip.wav")


@pytest.mark.parametrize("ending", ["wav", "mp3", "aac", "m4a", "ogg", "amr"])
def test_text_with_the_name_of_a_sound(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip.{ending}"
    path.write_text("This is not a recording.\n" * 100)
    with pytest.raises(DetectorError, match=rf"clip\.{ending} is not a sound file .* Try wav, flac"):
        load_audio(path)


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {}\n",
    ],
)
def test_a_playlist_cannot_open_other_files(tmp_path: Path, playlist: str) -> None:
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, sine(SAMPLE_RATE), SAMPLE_RATE)
    path = tmp_path / "clip.wav"
    path.write_text(playlist.format(secret.name))
    with pytest.raises(DetectorError, match="not a sound file"):
        load_audio(path)


def test_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with pytest.raises(DetectorError, match="no sound track"):
        load_audio(path)


def test_header_without_samples(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.empty(0, np.float32), SAMPLE_RATE)
    with pytest.raises(DetectorError, match="no sound that can be decoded"):
        load_audio(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44_100])
def test_samples_that_are_not_numbers(tmp_path: Path, bad: float, rate: int) -> None:
    path = tmp_path / "clip.wav"
    samples = sine(rate)
    samples[rate // 2] = bad
    soundfile.write(path, samples, rate, subtype="FLOAT")
    with pytest.raises(DetectorError, match="not numbers"):
        load_audio(path)


def test_integers_stored_as_floats(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(SAMPLE_RATE, level=20_000), SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(DetectorError, match="samples up to 20000, where full scale is 1"):
        load_audio(path)


@pytest.mark.parametrize("rate", [1, 999, 2_000_000])
def test_impossible_sample_rate(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.wav"
    with wave_module.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(4000))
    with pytest.raises(DetectorError, match=f"sample rate of {rate} Hz; 1000 to 768000"):
        load_audio(path)


@pytest.mark.parametrize(("channels", "bits"), [(65, 16), (500, 8), (1, 64)])
def test_channels_and_sample_forms_beyond_what_is_read(tmp_path: Path, channels: int, bits: int) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(pcm(bytes(200_000), channels=channels, bits=bits))
    with pytest.raises(DetectorError, match="1 to 64 can be read" if channels > 1 else "16 or 24 bits"):
        load_audio(path)


def test_limits_of_the_caller_hold(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(8_000, seconds=3.0), 8_000)
    assert load_audio(path, AudioLimits(seconds=3, min_rate=8_000, channels=1)).size == 3 * SAMPLE_RATE
    with pytest.raises(DetectorError, match=r"longer than 2\.5 seconds, .* Cut it into parts"):
        load_audio(path, AudioLimits(seconds=2.5))
    with pytest.raises(DetectorError, match="8000 Hz; 16000 to 48000 Hz"):
        load_audio(path, AudioLimits(min_rate=16_000, max_rate=48_000))


def test_tags_that_are_not_utf_8_do_not_stop_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(damaged_audio._tagged())
    assert load_audio(path).size == SAMPLE_RATE // 2


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 3600)
    path = tmp_path / "clip.flac"
    soundfile.write(path, np.zeros(3601 * 1000, np.int16), 1000)
    with pytest.raises(DetectorError, match=r"longer than 1 hours, .* Cut it into parts"):
        load_audio(path)
    monkeypatch.setattr(audio, "MAX_SECONDS", 3601)
    assert load_audio(path).size == 3601 * SAMPLE_RATE


# ---- block by block


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44_100])
def test_blocks_are_what_is_read_at_once(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.flac"
    soundfile.write(path, sine(rate, seconds=30.0), rate)
    blocks = list(stream_audio(path))
    assert len(blocks) > 4
    assert max(map(len, blocks)) < 5 * SAMPLE_RATE
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(path))


def test_a_block_is_read_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(SAMPLE_RATE, seconds=60.0), SAMPLE_RATE)
    frames, original = [], audio._mono
    monkeypatch.setattr(
        audio, "_mono", lambda frame, *rest: frames.append(frame.samples) or original(frame, *rest)
    )
    blocks = stream_audio(path)
    assert frames == []
    first = next(blocks)
    assert sum(frames) <= len(first) + max(frames)


def test_a_recording_claims_its_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "clip.flac", sine(44_100, seconds=3.0), 44_100)
    assert claimed_seconds(tmp_path / "clip.flac") == pytest.approx(3.0, abs=0.01)
    with pytest.raises(DetectorError, match="does not exist"):
        claimed_seconds(tmp_path / "no.flac")


# ---- the rest


def test_sha256_is_of_the_original_bytes(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"any bytes")
    assert sha256_of(path) == hashlib.sha256(b"any bytes").hexdigest()
    with pytest.raises(DetectorError, match="does not exist"):
        sha256_of(tmp_path / "no.wav")


def test_reading_audio_does_not_need_torch() -> None:
    # An empty package stands in for detectors/__init__.py, which may load the models' code.
    check = (
        "import sys, types; package = types.ModuleType('detectors'); package.__path__ = ['detectors']; "
        "sys.modules['detectors'] = package; import detectors.audio; sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", check], cwd=root, check=False).returncode == 0
