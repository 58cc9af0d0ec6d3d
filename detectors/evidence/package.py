"""The evidence package: one zip of the report in three forms, the figures, and a list of their hashes."""

import io
import json
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from detectors.clip_report import now
from detectors.evidence.case import Case, Picture
from detectors.evidence.html import html_report
from detectors.evidence.pdf import pdf_report
from detectors.evidence.report import report_of


def write_package(case: Case, pictures: Sequence[Picture], folder: Path, created: str | None = None) -> Path:
    """Write the zip into `folder` and give its path. created: UTC, ISO 8601; now, if not given.

    Its name is made of the clip's hash and the time alone. Raises DetectorError when the clip's bytes are no
    longer at hand.
    """
    report = report_of(case, created or now())
    files = {
        # ASCII: no reader can take its characters for others.
        "report.json": (json.dumps(report, indent=2) + "\n").encode("ascii"),
        "report.html": html_report(report, pictures).encode("utf-8", errors="replace"),
        "report.pdf": pdf_report(report, pictures),
        **{f"figures/{picture.key}.png": picture.png for picture in pictures},
    }
    hashes = "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    files["SHA256SUMS"] = hashes.encode("ascii")
    stamp = "".join(char for char in report["created"] if char.isalnum())
    target = folder / f"spooflens-evidence-{case.sha256[:12]}-{stamp}.zip"
    target.write_bytes(_zipped(files))
    return target


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # A fixed date: the same report gives the same zip.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
