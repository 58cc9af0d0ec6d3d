"""The report as data: report.json. The HTML and PDF reports say the same and nothing else."""

from collections.abc import Sequence
from typing import Any

from detectors.audio import SAMPLE_RATE, sha256_of
from detectors.detection import (
    INCONCLUSIVE_LLR,
    LIKELY_LLR,
    Detection,
    Reason,
    abstained_of,
    p_spoof_of,
    step_of,
    verdict_of,
)
from detectors.errors import DetectorError
from detectors.evidence.case import Case
from detectors.evidence.error_rates import rates_of_one, rates_together
from detectors.evidence.likelihood import PROPOSITIONS, likelihood_ratio, verbal_band
from detectors.evidence.tool import tool_facts
from detectors.evidence.weights import Weights, weights_of
from detectors.evidence.wording import LIMITS
from detectors.file_facts import file_facts
from detectors.fusion import way_of
from detectors.labels.records import Label

FORMAT, FORMAT_VERSION = "spooflens-evidence", 1


def report_of(case: Case, created: str) -> dict[str, Any]:
    """Plain JSON values; what is not known or was not measured is None. created: UTC, ISO 8601.

    Raises DetectorError when the clip's bytes are no longer those that were analysed.
    """
    if not case.path.is_file() or sha256_of(case.path) != case.sha256:
        raise DetectorError("The clip's file is no longer at hand. Analyse the clip again.")
    weights = {
        name: weights_of(name, case.preset, case.versions[name], case.data) for name in case.detections
    }
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created": created,
        "analysed": case.analysed,
        "tool": tool_facts(),
        "clip": {
            "name": case.name,
            "sha256": case.sha256,
            "seconds": case.seconds,
            "file": dict(case.file) if case.file is not None else file_facts(case.path),
        },
        "result": _result(case.llr, abstained_of(case.detections.values())),
        "propositions": dict(PROPOSITIONS),
        "error_rates": _together(weights),
        "detectors": {
            name: _detector(detection, weights[name]) for name, detection in case.detections.items()
        },
        "unavailable": dict(case.unavailable),
        "settings": _settings(case),
        "robustness": case.stress.report() if case.stress else None,
        "deletion_test": case.map_test.report() if case.map_test else None,
        "labels": [_label(label) for label in case.labels],
        "limits": list(LIMITS),
    }


def _result(llr: float | None, abstained: Sequence[Reason]) -> dict[str, Any] | None:
    """llr is natural log, bona fide over spoof; lr the ratio in favour of `favours`."""
    if llr is None:
        return None
    return {
        "verdict": verdict_of(llr, abstained),
        "step": step_of(llr, abstained),
        "abstained": list(abstained),
        "llr": llr,
        "lr": likelihood_ratio(llr),
        "favours": "bonafide" if llr > 0 else "spoof",
        "in_words": verbal_band(llr),
        "p_spoof": p_spoof_of(llr),
    }


def _together(weights: dict[str, Weights]) -> dict[str, Any] | None:
    known = {name: of.folder for name, of in weights.items() if of.folder is not None}
    return rates_together(known) if known and len(known) == len(weights) else None


def _detector(detection: Detection, weights: Weights) -> dict[str, Any]:
    return {
        **weights.facts,
        "device": detection.device,
        "score": detection.score,
        "llr": detection.llr,
        "mean_llr": detection.mean_llr,
        "p_spoof": detection.p_spoof,
        "verdict": detection.verdict,
        "step": detection.step,
        "abstained": list(detection.abstained),
        "error_rates": rates_of_one(weights.folder) if weights.folder else None,
        "windows": [
            {"start": w.start, "end": w.end, "score": w.score, "llr": w.llr, "p_spoof": w.p_spoof}
            for w in detection.windows
        ],
    }


def _settings(case: Case) -> dict[str, Any]:
    return {
        "preset": case.preset,
        "device": case.device,
        "sample_rate": SAMPLE_RATE,
        "fusion": way_of(case.versions),
        "inconclusive_below_llr": INCONCLUSIVE_LLR,
        "likely_from_llr": LIKELY_LLR,
        "prior_spoof": 0.5,
    }


def _label(label: Label) -> dict[str, Any]:
    return {
        "id": label.id,
        "created": label.created,
        "annotator": label.annotator,
        "label": label.label,
        "confidence": label.confidence,
        "attack": label.attack,
        "note": label.note,
        "blind": label.blind,
        "regions": [{"start": r.start, "end": r.end, "label": r.label} for r in label.regions],
    }
