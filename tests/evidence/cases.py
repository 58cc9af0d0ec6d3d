"""A whole case on a tiny detector, for the tests of the package and of its check."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from matplotlib.figure import Figure

from detectors import load_audio, load_detector
from detectors.audio import SAMPLE_RATE, sha256_of
from detectors.calibration import fuse
from detectors.cards import CARDS
from detectors.checkpoints import save_model, weights_digest
from detectors.config import FrontEndConfig, SlsConfig
from detectors.evidence import Case, Picture
from detectors.labels.records import Label, Region
from detectors.models import Sls
from detectors.results import Results, results_file, save_results

TINY = FrontEndConfig(
    layers=2, hidden=32, heads=2, ffn=32, extractor="log_mel", extractor_channels=32, position_kernel=8,
    position_groups=4,
)  # fmt: skip

#: Tries to break out of HTML, to hide its ending, and to be taken for a formula.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>$x_2$\u202egpj.\n漢.wav"


def tiny_weights(folder: Path, seed: int = 0, scale: float = 2.0) -> Path:
    """A tiny SLS with random weights, and error rates as if they had been measured."""
    torch.manual_seed(seed)
    calibration = {"calibration": {"scale": scale, "offset": 0.5}}
    save_model(Sls(SlsConfig(TINY, 8_000, 4_000, fc_hidden=8)), "sls", folder, calibration)
    save_results(results_file([folder]), measured([folder]))
    return folder


def measured(folders: Sequence[Path], real_called_fake: float = 22.2) -> Results:
    """Made-up results of these weights together."""
    of = {
        "bonafide": 441, "spoof": 686, "eer": 26.3, "macro_eer": 24.0, "cllr": 0.756,
        "miss_rate": real_called_fake, "false_alarm_rate": 29.3,
        "eer_interval": [23.0, 29.0], "macro_eer_interval": [20.0, 28.0],
        "interval_percent": 95, "interval_resamples": 1000, "per_source": {},
    }  # fmt: skip
    weights = [weights_digest(folder) for folder in folders]
    return Results("dev", [f.name for f in folders], weights, {"raw": of, "shortcuts removed": of})


def put_in_place(folder: Path, monkeypatch) -> None:
    """These weights are the mini preset's SLS, until the test is over."""
    card = replace(CARDS["sls", "mini"], folder=folder, sha256="")
    monkeypatch.setitem(CARDS, ("sls", "mini"), card)


def clip_file(path: Path, seconds: float = 1.3) -> Path:
    rng = np.random.default_rng(0)
    sf.write(path, rng.uniform(-0.5, 0.5, int(seconds * SAMPLE_RATE)), SAMPLE_RATE)
    return path


def case_of(clip: Path, **changes: object) -> Case:
    """The case of a clip that the SLS in place has judged."""
    detector = load_detector("sls", device="cpu")
    wave = load_audio(clip)
    found = detector.analyze(wave)
    case = Case(
        name=clip.name,
        path=clip,
        sha256=sha256_of(clip),
        analysed="2026-01-02T03:04:05Z",
        seconds=len(wave) / SAMPLE_RATE,
        preset="mini",
        device="cpu",
        detections={"sls": found},
        versions={"sls": detector.version},
        unavailable={"ALLM4ADD": "its language model is missing"},
        llr=fuse([found.llr]),
    )
    return replace(case, **changes)  # type: ignore[arg-type]


def picture(key: str = "timeline", title: str = "A figure", caption: str = "What it shows.") -> Picture:
    import io

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return Picture(key, title, caption, image.getvalue())


def label(sha256: str, **texts: str) -> Label:
    fields = {"annotator": "Anna", "note": "", "attack": "", **texts}
    return Label(
        audio_sha256=sha256, label="spoof", confidence=4, consent=True, regions=(Region(0.2, 0.9, "spoof"),),
        id="0" * 32, created="2026-01-02T03:05:00Z", **fields,
    )  # fmt: skip


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
