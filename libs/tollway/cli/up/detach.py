"""The supervisor as a process of its own, for `up --detach`, and the word it sends when it is ready or has failed.

The child takes its options as JSON on standard input and answers with one JSON line on standard output.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tollway.cli.settings import environment
from tollway.cli.up.failure import UpError
from tollway.cli.up.layout import Layout
from tollway.cli.up.options import UpOptions
from tollway.cli.up.processes import LOG_BYTES

Ready = tuple[dict[str, str], list[str], float]


def start_detached(options: UpOptions, environ: Mapping[str, str]) -> Ready:
    """Starts the supervisor and returns what it announces. Raises UpError with its reason when it cannot start."""
    command = [sys.executable, "-P", "-m", "tollway.cli.up.detach"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(_plain(options)))
        process.stdin.close()
        word = process.stdout.readline()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise UpError("stopped before everything was ready") from None
    if not word:
        raise UpError(f"the supervisor ended with exit code {process.wait()}; see {options.data}/logs/supervisor.log")
    answer = json.loads(word)
    if "error" in answer:
        process.wait()
        raise UpError(answer["error"])
    process.stdout.close()
    process.returncode = 0  # it lives on; nobody shall warn that it was not waited for
    return answer["env"], answer["notes"], answer["seconds"]


def _plain(options: UpOptions) -> dict[str, object]:
    plain = dataclasses.asdict(options)
    plain["data"] = os.path.abspath(options.data.expanduser())
    plain["config"] = os.path.abspath(options.config) if options.config else None
    return plain


def main() -> int:
    """The child: runs the supervisor; its messages go to DIR/logs/supervisor.log once everything is ready."""
    from tollway.cli.up.start import Start
    from tollway.cli.up.supervisor import say_to_stderr

    asked = json.load(sys.stdin)
    config = Path(asked["config"]) if asked["config"] else None
    options = UpOptions(**{**asked, "data": Path(asked["data"]), "config": config})

    def announce(env: dict[str, str], notes: list[str], seconds: float) -> None:
        _log_to(Layout(options.data).logs / "supervisor.log")
        _answer({"env": env, "notes": notes, "seconds": seconds})

    try:
        Start(options, environment(), announce, say_to_stderr).run()
    except UpError as error:
        _answer({"error": str(error)})
        return 1
    except OSError as error:
        _answer({"error": f"{error.strerror or error} ({error.filename})" if error.filename else str(error)})
        return 1
    return 0


def _answer(answer: dict[str, object]) -> None:
    """One line on standard output, which then goes nowhere."""
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The command that started us is gone; the supervisor lives on its own.
        say = "the announcement found no reader"
        sys.stderr.write(say + "\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 0)
    os.close(nowhere)


def _log_to(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.close(log)


if __name__ == "__main__":
    sys.exit(main())
