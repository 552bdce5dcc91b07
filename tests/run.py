"""`make test`: the whole suite in its tiers, each with its time, and one closing line that counts.

The tiers share the cores (pytest-xdist, a file stays on one worker), with more workers than there are of them: tests
wait a lot. Long runs (vllm, browser, chaos, soak) have targets of their own. Arguments are handed to pytest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent
TIERS = (("fast", ("unit", "house", "contract", "component", "clients"), 4), ("processes", ("e2e",), 3))
"""Title, folders, workers."""
FAST = "not vllm and not browser and not chaos and not soak"
NO_TESTS_COLLECTED = 5


def count(report: Path) -> dict[str, int]:
    """Outcome -> number of tests, from a JUnit report; a run that wrote none counts as one failure."""
    if not report.exists():
        return {"passed": 0, "failed": 1, "not run": 0}
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for name in total:
            total[name] += int(suite.get(name, "0"))
    failed = total["failures"] + total["errors"]
    return {"passed": total["tests"] - failed - total["skipped"], "failed": failed, "not run": total["skipped"]}


def run_tier(folders: list[Path], workers: int, arguments: list[str], report: Path) -> dict[str, int]:
    """Runs one tier and returns its counts; a run that ends badly without a failed test counts as one failure."""
    shared = ["-n", str(workers), "--dist", "loadfile"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", FAST, f"--junitxml={report}", *shared, *arguments]
    code = subprocess.run([*command, *map(str, folders)], cwd=ROOT.parent, check=False).returncode
    counts = count(report)
    if code not in (0, NO_TESTS_COLLECTED) and not counts["failed"]:
        counts["failed"] = 1
    return counts


def main() -> int:
    """Runs the tiers and prints the table; 0 when nothing failed and something passed."""
    total = {"passed": 0, "failed": 0, "not run": 0}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for title, names, workers in TIERS:
            folders = [ROOT / name for name in names if any((ROOT / name).rglob("test_*.py"))]
            if not folders:
                continue
            began = time.monotonic()
            counts = run_tier(folders, workers, sys.argv[1:], Path(folder) / f"{title}.xml")
            rows.append(f"{title:10} {time.monotonic() - began:6.0f} s  {', '.join(f.name for f in folders)}")
            total = {name: total[name] + counts[name] for name in total}
    print("\n" + "\n".join(rows))
    if total["not run"]:
        print(f"{total['not run']} tests NOT RUN, named above")
    print(f"{total['passed']} passed, {total['failed']} failed", flush=True)
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
