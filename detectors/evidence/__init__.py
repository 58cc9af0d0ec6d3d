"""The evidence package of one analysis: what was found, on which bytes, by which weights; and its check.

`write_package` makes one zip of report.json, report.html, report.pdf and the figures; `python -m detectors
verify report.json CLIP` re-runs what a report says.
"""

from detectors.evidence.case import Case, Picture
from detectors.evidence.package import write_package

__all__ = ["Case", "Picture", "write_package"]
