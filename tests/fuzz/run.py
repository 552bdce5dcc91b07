"""`make fuzz`: coverage-guided fuzzing of everything that reads what clients and providers send.

Runs each target of the folder `targets` for some seconds in a process of its own, from its seeds, the kept corpus and
what earlier runs found worth having. An input that breaks an invariant is a finding: it is written down with its
traceback, one for each place, and the run goes on; any finding makes the exit code 1. `--keep` then writes the smallest
inputs that reach everything reached so far into the kept corpus, which `make test` replays.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import subprocess
import sys
import traceback
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from tollway.testkit.fuzzing import load, mutate, read_corpus, write_corpus

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[1] / ".cache" / "fuzz"
LOOKED_AT = (
    "tollway.core.dialects",
    "tollway.dataplane.endpoints",
    "tollway.dataplane.providers",
    "tollway.dataplane.upstream",
)
MAX_INPUT_BYTES = 8192
MAX_KEPT_BYTES = 60_000
MAX_KEPT = {"answers": 50, "requests": 80}
"""Most inputs that are kept of a target; of the others as many as `FEW`."""
FEW = 33


def targets() -> list[str]:
    """The names of all targets."""
    return sorted(path.stem for path in (HERE / "targets").glob("*.py"))


def prepare(name: str, module: ModuleType) -> Path:
    """The folder of a target's inputs, with the seeds and the kept corpus in it."""
    inputs = WORK / name / "inputs"
    for folder in (inputs, WORK / name / "found"):
        folder.mkdir(parents=True, exist_ok=True)
    for data in (*module.seeds(), *read_corpus(HERE / "corpus" / f"{name}.json")):
        (inputs / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return inputs


def place_of(error: BaseException) -> str:
    """Where an error came from: the last lines of our own, and its kind; the same for the same bug."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "tollway" in frame.filename]
    return (
        "; ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:]) + f" {type(error).__name__}"
    )


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    atheris: Any = importlib.import_module("atheris")  # installed for `make fuzz` alone
    with atheris.instrument_imports(include=list(LOOKED_AT)):
        module = load(HERE / "targets" / f"{name}.py")
    inputs, found = prepare(name, module), WORK / name / "found"
    seen: set[str] = set()

    def one(data: bytes) -> None:
        try:
            module.one(data)
        except Exception as error:  # noqa: BLE001 - any is a finding
            place = place_of(error)
            if place not in seen:
                seen.add(place)
                stem = found / hashlib.sha256(place.encode()).hexdigest()[:12]
                if not stem.with_suffix(".txt").exists():
                    stem.write_bytes(data)
                    stem.with_suffix(".txt").write_text(f"{place}\n\n{traceback.format_exc()}", "utf-8", "replace")

    def mutator(data: bytes, size: int, seed: int) -> bytes:
        return mutate(data, size, seed, atheris.Mutate)

    arguments = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}", "-timeout=20", "-rss_limit_mb=1500"]
    arguments += [f"-artifact_prefix={found}/", "-print_final_stats=1", "-close_fd_mask=1"]
    atheris.Setup([sys.argv[0], *arguments, str(inputs)], one, custom_mutator=mutator)
    atheris.Fuzz()


def reached(module: ModuleType, data: bytes) -> frozenset[tuple[str, int, int]]:
    """The steps from line to line that an input takes through the product."""
    steps: set[tuple[str, int, int]] = set()

    def in_frame(last: list[int]) -> Any:
        def on_line(frame: FrameType, event: str, _argument: object) -> Any:
            steps.add((frame.f_code.co_filename, last[0], frame.f_lineno))
            last[0] = frame.f_lineno
            return on_line

        return on_line

    def on_call(frame: FrameType, _event: str, _argument: object) -> Any:
        looked_at = any(part.replace(".", "/") in frame.f_code.co_filename for part in LOOKED_AT)
        return in_frame([0]) if looked_at else None

    sys.settrace(on_call)
    try:
        module.one(data)
    finally:
        sys.settrace(None)
    return frozenset(steps)


def keep(name: str) -> None:
    """Write the kept corpus of a target: inputs that together reach all that is reached, the ones with most first.

    What was a finding is kept as well: it must have been repaired before.
    """
    module = load(HERE / "targets" / f"{name}.py")
    inputs = prepare(name, module)
    findings = [path.read_bytes() for path in (WORK / name / "found").glob("*") if not path.suffix]
    kept = [data for data in findings if len(data) <= MAX_INPUT_BYTES // 4]
    pool = {data: reached(module, data) for path in inputs.glob("*") if len(data := path.read_bytes()) <= 3000}
    missing = frozenset[tuple[str, int, int]]().union(*pool.values())
    for data in kept:
        missing -= reached(module, data)
    while missing and pool and len(kept) < MAX_KEPT.get(name, FEW):
        best = max(pool, key=lambda data: (len(pool[data] & missing) / (1500 + len(data)), data))
        if not pool[best] & missing or sum(map(len, kept)) + len(best) > MAX_KEPT_BYTES:
            break
        missing -= pool[best]
        kept.append(best)
    write_corpus(HERE / "corpus" / f"{name}.json", kept)
    print(
        f"{name}: kept {len(kept)} inputs of {sum(map(len, kept))} bytes; {len(missing)} steps are not reached by them"
    )


def run(names: list[str], seconds: int) -> int:
    """Fuzz the targets one after another; 1 when there is any finding, of this run or an earlier one."""
    failed = False
    for name in names:
        folder = WORK / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(HERE / "run.py"), "--child", "--seconds", str(seconds), name]
        with (folder / "log").open("wb") as log:
            code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        lines = (folder / "log").read_text("utf-8", "replace").splitlines()
        stats = next((line for line in reversed(lines) if "cov:" in line), "no statistics")
        found = sorted(path for path in (folder / "found").glob("*") if not path.suffix)
        print(f"{name}: exit code {code}, {len(found)} findings; {stats}", flush=True)
        for path in found:
            words = path.with_suffix(".txt")
            print(
                f"  {path.relative_to(WORK.parents[1])}: {words.read_text().splitlines()[0] if words.exists() else ''}"
            )
        failed = failed or bool(found) or code != 0
    return int(failed)


def main() -> int:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="how long each target runs")
    parser.add_argument("--keep", action="store_true", help="write the kept corpus, and fuzz nothing")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("target", nargs="*", choices=[[], *targets()], help="which targets; all unless told otherwise")
    arguments = parser.parse_args()
    names = arguments.target or targets()
    if arguments.child:
        fuzz(names[0], arguments.seconds)
    elif arguments.keep:
        for name in names:
            keep(name)
    else:
        return run(names, arguments.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
