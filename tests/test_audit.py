"""What the check of the dependencies makes of pip-audit's report."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(*vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    found = {"name": "here", "version": "1.0", "vulns": list(vulnerabilities)}
    return {"dependencies": [found, {"name": "unknown", "skip_reason": "not found"}]}


def vulnerability(*fixes: str) -> dict[str, Any]:
    return {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": list(fixes)}


def test_what_was_not_looked_up_is_counted(audit: ModuleType) -> None:
    assert audit.judge(report(), set()) == (["pip-audit: 1 of 2 packages could be looked up"], False)


@pytest.mark.parametrize(
    ("fixes", "known", "stops", "told"),
    [
        (("1.1",), set(), True, "here 1.0: PYSEC-1, fixed in 1.1"),
        ((), set(), False, "here 1.0: PYSEC-1, no fixed version yet"),
        (("1.1",), {"PYSEC-1"}, False, "here 1.0: PYSEC-1, excused"),
        (("1.1",), {"CVE-1"}, False, "here 1.0: PYSEC-1, excused"),
        (("1.1",), {"CVE-2"}, True, "here 1.0: PYSEC-1, fixed in 1.1"),
    ],
)
def test_a_vulnerability_that_can_be_mended_stops_the_run(
    audit: ModuleType, fixes: tuple[str, ...], known: set[str], stops: bool, told: str
) -> None:
    lines, stopped = audit.judge(report(vulnerability(*fixes)), known)
    assert stopped is stops
    assert lines[-1] == told
