"""Known vulnerabilities in an environment, by pip-audit: `python .ci/audit.py SITE_PACKAGES`.

Ends with 1 for a vulnerability that a newer version mends and that known_vulnerabilities.txt does not excuse.
What the index does not know, or cannot be asked about, is counted and told, and stops nothing.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

#: A line each: the identifier, then why it does not concern us or cannot be mended yet.
KNOWN = Path(__file__).with_name("known_vulnerabilities.txt")


def judge(report: dict[str, Any], known: set[str]) -> tuple[list[str], bool]:
    """What to say of pip-audit's report, and whether it stops the run."""
    packages = report["dependencies"]
    looked_up = [each for each in packages if "skip_reason" not in each]
    lines = [f"pip-audit: {len(looked_up)} of {len(packages)} packages could be looked up"]
    stops = False
    for package in looked_up:
        for found in package["vulns"]:
            excused = found["id"] in known or bool(known & set(found.get("aliases", ())))
            fixes = ", ".join(found["fix_versions"])
            stops = stops or bool(fixes and not excused)
            end = "excused" if excused else f"fixed in {fixes}" if fixes else "no fixed version yet"
            lines.append(f"{package['name']} {package['version']}: {found['id']}, {end}")
    return lines, stops


def main(site_packages: str) -> int:
    """Run pip-audit, which must be installed beside this interpreter, and say what came of it."""
    command = [sys.executable, "-m", "pip_audit", "--path", site_packages, "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off"], capture_output=True, text=True, timeout=600, check=False
        )
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        print("pip-audit: the index is out of reach, so the dependencies were not checked")
        return 0
    known = {line.split()[0] for line in KNOWN.read_text().splitlines() if line.strip() and line[0] != "#"}
    lines, stops = judge(report, known)
    print("\n".join(lines))
    return int(stops)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
