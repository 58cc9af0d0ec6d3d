"""What all detectors say of one clip, as plain JSON values.

`/analyze`, the MCP tool and `score --format analysis` answer with this, so that a program can be pointed at
any of them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from detectors.detection import Detection, abstained_of, p_spoof_of, step_of, verdict_of
from detectors.fusion import way_of


def clip_report(
    *,
    detections: Mapping[str, Detection],
    versions: Mapping[str, str],
    unavailable: Mapping[str, str],
    llr: float | None,
    sha256: str | None,
    seconds: float | None,
    preset: str,
    created: str,
    analysis_id: str | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """detections and versions: by detector, of those that judged the clip; unavailable: why the others did
    not. llr: of all together, natural log, bona fide over spoof; None when none judged it. sha256: of the
    original bytes. created: UTC, ISO 8601. analysis_id: by which a running app knows it. notes: in sentences.
    """
    abstained = abstained_of(detections.values())
    return {
        "analysis_id": analysis_id,
        "verdict": None if llr is None else verdict_of(llr, abstained),
        "step": None if llr is None else step_of(llr, abstained),
        "abstained": list(abstained),
        "p_spoof": None if llr is None else p_spoof_of(llr),
        "llr": llr,
        "fusion": way_of(versions),
        "detectors": {name: _detector_report(found, versions[name]) for name, found in detections.items()},
        "unavailable": dict(unavailable),
        "sha256": sha256,
        "seconds": seconds,
        "preset": preset,
        "device": devices_of(detections),
        "versions": dict(versions),
        "created": created,
        "notes": list(notes),
    }


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def devices_of(detections: Mapping[str, Detection]) -> str | None:
    """The device or devices that the detectors ran on; None when none ran."""
    return " + ".join(sorted({found.device for found in detections.values()})) or None


def _detector_report(found: Detection, version: str) -> dict[str, Any]:
    return {
        "score": found.score,
        "llr": found.llr,
        "mean_llr": found.mean_llr,
        "p_spoof": found.p_spoof,
        "verdict": found.verdict,
        "step": found.step,
        "abstained": list(found.abstained),
        "version": version,
        "windows": [
            {"start": w.start, "end": w.end, "score": w.score, "llr": w.llr, "p_spoof": w.p_spoof}
            for w in found.windows
        ],
    }
