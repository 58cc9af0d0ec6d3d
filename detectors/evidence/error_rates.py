"""How often detectors were wrong where it was measured: read from what `assess` wrote beside their weights.

It counts only if it tells of these very weights.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detectors.checkpoints import weights_digest
from detectors.errors import DetectorError
from detectors.results import Results, read_results, results_file
from detectors.step_rates import FIELD as STEPS

#: Ours -> as `assess` has it. The last two are at the fixed threshold LLR = 0.
_FIELDS = {
    "eer_pooled": "eer",
    "eer_macro": "macro_eer",
    "cllr": "cllr",
    "real_called_fake": "miss_rate",
    "fake_called_real": "false_alarm_rate",
}

logger = logging.getLogger(__name__)


def rates_of_one(folder: Path) -> dict[str, Any] | None:
    """Error rates of the weights in a checkpoint folder, in %: threshold_llr, bonafide and spoof (clips that
    it was measured on), conditions; steps in each of these is step_rates.StepRates.as_fields. None where
    nobody measured them."""
    return _rates([folder], [results_file([folder])])


def rates_together(folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """The same of several detectors fused. folders: by name, of all that were fused."""
    if len(folders) == 1:
        return rates_of_one(*folders.values())
    beside = sorted({file for folder in folders.values() for file in folder.parent.glob("results-of-*.json")})
    return _rates(list(folders.values()), beside)


def _rates(folders: list[Path], files: Iterable[Path]) -> dict[str, Any] | None:
    wanted = sorted(weights_digest(folder) for folder in folders)
    for file in files:
        found = _read(file)
        if found is not None and sorted(found.weights) == wanted:
            return _facts(found)
    return None


def _read(file: Path) -> Results | None:
    if not file.is_file():
        return None
    try:
        return read_results(file)
    except DetectorError as error:
        logger.warning("%s", error)
        return None


def _facts(found: Results) -> dict[str, Any]:
    first = next(iter(found.conditions.values()))
    return {
        "threshold_llr": 0.0,
        "bonafide": first["bonafide"],
        "spoof": first["spoof"],
        "conditions": {
            name: {ours: of[theirs] for ours, theirs in _FIELDS.items()} | {STEPS: of.get(STEPS)}
            for name, of in found.conditions.items()
        },
    }
