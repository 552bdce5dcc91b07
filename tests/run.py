"""`make test`: the whole suite in its tiers, each with its time, and one closing line that counts.

The tiers share the cores (pytest-xdist, a file stays on one worker), with more workers than there are of them: tests
wait a lot. Long runs (vllm, browser, chaos, soak) have targets of their own. Arguments are handed to pytest.
"""

from __future__ import annotations

import os
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
FEW = 5


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


def failed_tests(report: Path) -> list[str]:
    """The names of the tests that failed, from a JUnit report."""
    cases = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else ()
    bad = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return [f"{case.get('classname')}.{case.get('name')}" for case in bad]


def run_again(folders: list[Path], arguments: list[str], report: Path) -> dict[str, int]:
    """Runs the tests that failed last once more, one after the other; returns their counts."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", FAST, "--lf", "--lfnf=none", f"--junitxml={report}"]
    subprocess.run([*command, *arguments, *map(str, folders)], cwd=ROOT.parent, check=False)
    return count(report)


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
    rows, unsteady = [], list[str]()
    with tempfile.TemporaryDirectory() as folder:
        for title, names, workers in TIERS:
            folders = [ROOT / name for name in names if any((ROOT / name).rglob("test_*.py"))]
            if not folders:
                continue
            began = time.monotonic()
            report = Path(folder) / f"{title}.xml"
            counts = run_tier(folders, workers, sys.argv[1:], report)
            named = failed_tests(report)
            if 0 < len(named) == counts["failed"] <= FEW and os.environ.get("CI", "").lower() in ("1", "true"):
                again = run_again(folders, sys.argv[1:], Path(folder) / f"{title}-again.xml")
                if not again["failed"] and again["passed"] == len(named):
                    counts["passed"], counts["failed"] = counts["passed"] + again["passed"], 0
                    unsteady += named
            rows.append(f"{title:10} {time.monotonic() - began:6.0f} s  {', '.join(f.name for f in folders)}")
            total = {name: total[name] + counts[name] for name in total}
    print("\n" + "\n".join(rows))
    for name in unsteady:
        print(f"UNSTEADY: {name} failed, and passed alone")
    if total["not run"]:
        print(f"{total['not run']} tests NOT RUN, named above")
    print(f"{total['passed']} passed, {total['failed']} failed", flush=True)
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
