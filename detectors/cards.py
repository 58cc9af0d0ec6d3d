"""One record for each detector and preset: where its weights come from and what they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Preset = Literal["mini", "full"]
PRESETS: tuple[Preset, ...] = ("mini", "full")
ASSETS = Path(__file__).parent.parent / "assets"
#: Where checkpoints of the full preset are kept once they are converted.
CACHE = Path.home() / ".cache" / "spooflens"


@dataclass(frozen=True)
class DetectorCard:
    """Facts about one detector. `kind` is one plain sentence on what it looks at.

    repo_id, revision, filename: the released file on the hub; empty when the hub does not have it.
    sha256: of the weights in `folder` (mini; see checkpoints.weights_digest) or of the released file
    (full); empty when nobody could check it yet, which the page says. version: of a fine-tuned one, its
    name (see versions.py). base: the published language model that the weights adapt, by the name that
    llm/base.py finds it under; empty for weights that stand alone.
    """

    name: str
    preset: Preset
    title: str
    kind: str
    folder: Path
    licence: str
    paper: str
    trained_on: str
    sha256: str = ""
    repo_id: str = ""
    revision: str = ""
    filename: str = ""
    unavailable: str = ""
    version: str = ""
    base: str = ""

    @property
    def weights(self) -> str:
        """Where the weights come from, in words."""
        return (
            f"{self.repo_id}/{self.filename}"
            if self.repo_id
            else f"{self.folder.parent.name}/{self.folder.name}"
        )


_KINDS = {
    "sls": (
        "XLS-R + SLS",
        "Weighs every layer of a speech model by its own gate and judges their sum. A clip's parts "
        "count on average.",
        "Zhang, Wen, Hu: Audio Deepfake Detection with Self-Supervised XLS-R and SLS Classifier, ACM MM 2024",
    ),
    "fake_mamba": (
        "Fake-Mamba",
        "Reads the speech model's last output forwards and backwards with a state-space model.",
        "Xuan et al.: Fake-Mamba, Real-Time Speech Deepfake Detection Using Bidirectional Mamba, ASRU 2025",
    ),
    "allm4add": (
        "ALLM4ADD",
        "Asks an audio language model whether the clip is real or fake and reads its answer's odds.",
        "Gu et al.: ALLM4ADD, Unlocking the Capabilities of Audio Large Language Models for Audio "
        "Deepfake Detection, ACM MM 2025",
    ),
}
NAMES = tuple(_KINDS)
_MINI_DATA = "6,099 clips: 74 sources of spoof, 66 of human speech; see the model card"
_MINI_SHA256 = {
    "sls": "da1f3d28ef97057fdc1b14a8fb80ea383e461ff24535ae6f69d2183b9d407e88",
    "fake_mamba": "23141ae9517b00ec0103d8d901b2525a621cb67efe1ebb09d66985e0a0fa45d4",
    "allm4add": "0df8f9ad75f5acaec67ed108de533d5fb3a1a5acbbd42f1b413cbd8839b875ae",
}
_ALLM4ADD_FULL = CACHE / "allm4add-full"


def _mini(name: str, licence: str = "MIT", base: str = "", also: str = "") -> DetectorCard:
    """also: what the small one does beside what its kind does."""
    title, kind, paper = _KINDS[name]
    return DetectorCard(
        name,
        "mini",
        title,
        kind + also,
        ASSETS / f"{name}-mini",
        licence,
        paper,
        _MINI_DATA,
        sha256=_MINI_SHA256[name],
        base=base,
    )


CARDS: dict[tuple[str, str], DetectorCard] = {
    ("sls", "mini"): _mini(
        "sls", also=" The larger part of its score is what a speaker network hears of the voice."
    ),
    ("fake_mamba", "mini"): _mini(
        "fake_mamba",
        also=" The larger part of its score is what other networks see in the fine spectrum and hear of the "
        "voice.",
    ),
    ("allm4add", "mini"): _mini(
        "allm4add",
        "MIT; of the language model: Apache-2.0",
        "smollm2-135m-instruct",
        " It is told, too, what a small network sees in the fine spectrum.",
    ),
    ("sls", "full"): DetectorCard(
        "sls",
        "full",
        *_KINDS["sls"][:2],
        CACHE / "sls-full",
        "as stated by the hub repository",
        _KINDS["sls"][2],
        "ASVspoof 2019 LA train, 25,380 utterances",
        repo_id="sukhdeveyash/XLS-R-SLS-Deepfake-Detection",
        revision="main",
        filename="v1/epoch_2.pth",
    ),
    ("fake_mamba", "full"): DetectorCard(
        "fake_mamba",
        "full",
        *_KINDS["fake_mamba"][:2],
        CACHE / "fake_mamba-full",
        "as stated by the authors",
        _KINDS["fake_mamba"][2],
        "ASVspoof 2019 LA train, 25,380 utterances",
        unavailable=(
            "its authors publish the weights outside the hub. Download their .pth (linked from "
            "github.com/xxuan-acoustics/Fake-Mamba), then run: python -m detectors convert FILE.pth "
            f"{CACHE / 'fake_mamba-full'} --detector fake_mamba"
        ),
    ),
    ("allm4add", "full"): DetectorCard(
        "allm4add",
        "full",
        *_KINDS["allm4add"][:2],
        _ALLM4ADD_FULL,
        "yours; of the language model: Apache-2.0",
        _KINDS["allm4add"][2],
        "what you train its adapter on",
        unavailable=(
            "its adapter to Qwen2-Audio-7B-Instruct is not published. Train one on a GPU with: python -m "
            "detectors train allm4add --config assets/recipes/allm4add-full.yaml, and put the checkpoint "
            f"into {_ALLM4ADD_FULL}"
        ),
        base="Qwen/Qwen2-Audio-7B-Instruct",
    ),
}
