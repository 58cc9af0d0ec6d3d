"""Readers of the files that say what a trial is (keys, protocols) and how it was scored.

keys.py reads keys and lists of paths, scores.py CM scores, asv.py the ASV scores that min t-DCF
needs; tables.py is the layer below them. Columns are kept as plain lists: 600,000 trials are read
in about a second. Whatever does not fit raises DetectorError with the file, the line and what was
expected there.
"""

from detectors.protocols.asv import read_asv_scores
from detectors.protocols.keys import Trials, read_paths, read_trials
from detectors.protocols.scores import ScoreTable, read_scores

__all__ = ["ScoreTable", "Trials", "read_asv_scores", "read_paths", "read_scores", "read_trials"]
