"""ASV scores, which min t-DCF needs: how a speaker verifier scored targets, nontargets and spoofs.

    ASVspoof 2019    one file: ATTACK KIND SCORE
    ASVspoof 2021    the ASV folder of the keys, with
                     trial_metadata.txt: SPEAKER UTT CODEC TRANSMISSION ATTACK KIND TRIM PHASE
                     */score.txt: SPEAKER UTT SCORE

In both, KIND is target, nontarget or spoof.
"""

from pathlib import Path

import numpy as np

from detectors.errors import DetectorError
from detectors.metrics import AsvScores
from detectors.protocols.tables import (
    Table,
    find_shallowest,
    in_phase,
    phase_name,
    read_text,
    text_table,
    the_only,
)


def read_asv_scores(path: str | Path, phase: str | None = None) -> AsvScores:
    """Read the ASV scores that min t-DCF needs.

    path: a folder that holds ASV/trial_metadata.txt and ASV/*/score.txt at most three levels down (the
    ASVspoof 2021 LA key package), or a 2019 score file, or a folder with one. phase applies to 2021 only:
    the 2019 file is of a single one.
    """
    source = Path(path)
    if source.is_file():
        return _asv_scores_2019(source)
    if not source.is_dir():
        raise DetectorError(f"{source} does not exist: give the folder of the ASVspoof keys.")
    metadata = find_shallowest(source, "ASV/trial_metadata.txt") or sorted(source.glob("trial_metadata.txt"))
    if metadata:
        key_file = the_only(metadata, source)
        score_files = sorted(key_file.parent.glob("*/score.txt"))
        if not score_files:
            raise DetectorError(
                f"{key_file.parent} has no score.txt in a folder of its own (ASV/*/score.txt)."
            )
        return _asv_scores_2021(key_file, the_only(score_files, key_file.parent), phase)
    score_files = find_shallowest(source, "*asv*scores.txt")
    if not score_files:
        raise DetectorError(
            f"{source} holds neither ASV/trial_metadata.txt (ASVspoof 2021 keys) nor a file "
            "*asv*scores.txt (ASVspoof 2019)."
        )
    return _asv_scores_2019(the_only(score_files, source))


def _asv_scores_2021(key_file: Path, score_file: Path, phase: str | None) -> AsvScores:
    keys = text_table(key_file, read_text(key_file))
    keys.check_widths(8, "expected SPEAKER UTT CODEC TRANSMISSION ATTACK target|nontarget|spoof TRIM PHASE")
    scores = text_table(score_file, read_text(score_file))
    scores.check_widths(3, "expected SPEAKER UTT SCORE")
    values = _asv_values_in_key_order(keys, scores)
    kinds = np.array(keys.column(5))
    if phase is not None:
        phases = [phase_name(text) for text in keys.column(7)]
        keep = in_phase(phases, phase, f"The ASV keys {key_file}")
        kinds, values = kinds[keep], values[keep]
    return _split_asv(kinds, values, key_file)


def _asv_values_in_key_order(keys: Table, scores: Table) -> np.ndarray:
    """float64 [n]: the score of each ASV trial, a trial being one utterance against one claimed speaker."""
    values = scores.numbers(scores.column(2))
    trials = list(zip(keys.column(0), keys.column(1), strict=True))
    scored = list(zip(scores.column(0), scores.column(1), strict=True))
    if trials == scored:
        return values
    by_trial = dict(zip(scored, values, strict=True))
    if len(by_trial) < len(scored):
        raise DetectorError(f"{scores.path} scores some ASV trial twice, in another order than {keys.path}.")
    missing = [trial for trial in trials if trial not in by_trial]
    if missing:
        raise DetectorError(
            f"{scores.path} lacks {len(missing)} of {len(trials)} ASV trials, "
            f"such as speaker {missing[0][0]}, utterance {missing[0][1]}."
        )
    return np.array([by_trial[trial] for trial in trials])


def _asv_scores_2019(file: Path) -> AsvScores:
    table = text_table(file, read_text(file))
    table.check_widths(3, "expected ATTACK target|nontarget|spoof SCORE")
    return _split_asv(np.array(table.column(1)), table.numbers(table.column(2)), file)


def _split_asv(kinds: np.ndarray, values: np.ndarray, file: Path) -> AsvScores:
    strange = set(kinds.tolist()) - {"target", "nontarget", "spoof"}
    if strange:
        raise DetectorError(
            f"{file} names ASV trials {', '.join(sorted(strange))}; expected target, nontarget and spoof."
        )
    return AsvScores(
        target=values[kinds == "target"],
        nontarget=values[kinds == "nontarget"],
        spoof=values[kinds == "spoof"],
    )
