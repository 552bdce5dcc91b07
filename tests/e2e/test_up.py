"""`tollway up`, `status`, `down` with the real services."""

import json
import os
import re
import signal
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollway.cli.up.account import Account, in_child
from tollway.testkit.machine import Machine, await_true, one_line
from tollway.testkit.servers import PostgresServer, ValkeyServer

ENV = [
    "TOLLWAY_BASE_URL",
    "TOLLWAY_ANTHROPIC_URL",
    "TOLLWAY_KEY",
    "TOLLWAY_CONTROL_URL",
    "TOLLWAY_GRPC",
    "TOLLWAY_ADMIN_TOKEN",
]


def ask(env: dict[str, str], model: str = "sim/small") -> str:
    """One chat completion through the gateway."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    headers = {"Authorization": f"Bearer {env['TOLLWAY_KEY']}", "Content-Type": "application/json"}
    call = urllib.request.Request(env["TOLLWAY_BASE_URL"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(call, timeout=10) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A running machine; each test leaves it running."""
    made = Machine(tmp_path_factory.mktemp("up") / "data")
    done = made.up()
    assert done.returncode == 0, done.stderr
    seconds = re.search(r"ready in ([0-9.]+) s", done.stderr)
    assert seconds is not None
    assert float(seconds[1]) < 15
    assert "the simulator answers" in done.stderr
    assert "curl " in done.stdout
    yield made
    stopped = made.down()
    assert stopped.returncode == 0, stopped.stderr
    assert made.left() == []
    assert made.status()["code"] == 1


def test_the_printed_key_gets_answers(machine: Machine) -> None:
    assert list(machine.env()) == ENV
    assert "Hello" in ask(machine.env())


def test_files_are_private(machine: Machine) -> None:
    assert stat.S_IMODE(machine.data.stat().st_mode) == 0o700
    for name in ("env", "keys.json", "secrets"):
        assert stat.S_IMODE((machine.data / name).stat().st_mode) == 0o600


def test_status_shows_each_process(machine: Machine) -> None:
    shown = machine.status()
    assert shown["code"] == 0
    names = {process["name"] for process in shown["processes"]}
    assert names == {"supervisor", "valkey", "simulator", "postgres", "controlplane", "dataplane"}
    assert shown["config_version"] >= 1


def test_a_second_up_on_a_running_directory_is_refused(machine: Machine) -> None:
    done = machine.again()
    assert done.returncode == 1
    one_line(done.stderr, "already running", "tollway down")
    assert machine.status()["code"] == 0


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_keeps_everything(machine: Machine) -> None:
    before = machine.env()
    machine.kill_supervisor()
    done = machine.again()
    assert done.returncode == 0, done.stderr
    assert machine.env() == before
    assert "Hello" in ask(before)


def test_down_and_up_keeps_keys_tokens_and_ports(machine: Machine) -> None:
    before = machine.env()
    assert machine.down().returncode == 0
    assert machine.left() == []
    done = machine.again()
    assert done.returncode == 0, done.stderr
    assert machine.env() == before
    assert "Hello" in ask(before)


def test_killed_children_are_started_again_and_the_others_stay(machine: Machine) -> None:
    pids = {name: machine.pid(name) for name in ("postgres", "valkey", "controlplane", "dataplane")}
    os.kill(pids["postgres"], signal.SIGKILL)
    os.kill(pids["dataplane"], signal.SIGKILL)
    await_true(lambda: machine.pid("postgres") != pids["postgres"], 20)
    await_true(lambda: machine.status()["code"] == 0, 20, machine.status)
    assert machine.pid("valkey") == pids["valkey"]
    assert machine.pid("controlplane") == pids["controlplane"]
    assert "Hello" in ask(machine.env())


def test_no_secret_is_in_a_command_line_or_a_log(machine: Machine) -> None:
    env = machine.env()
    secrets = [env["TOLLWAY_KEY"], env["TOLLWAY_ADMIN_TOKEN"]]
    secrets += [line.split("=", 1)[1] for line in (machine.data / "secrets").read_text().splitlines()]
    text = " ".join(machine.left()) + "".join(path.read_text() for path in (machine.data / "logs").iterdir())
    assert [secret for secret in secrets if secret in text] == []


def test_on_servers_that_are_there_and_with_lost_secrets(
    tmp_path: Path, postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    """Nothing embedded is started; a key whose secret nobody has any more gets a new one."""
    valkey.flush()
    urls = {"TOLLWAY_DATABASE_URL": postgres.create_database(), "TOLLWAY_REDIS_URL": valkey.url}
    machine = Machine(tmp_path / "data", urls)
    try:
        done = machine.up()
        assert done.returncode == 0, done.stderr
        assert {process["name"] for process in machine.status()["processes"]} == {
            "supervisor",
            "simulator",
            "controlplane",
            "dataplane",
        }
        assert not (machine.data / "postgres").exists()
        first = machine.env()["TOLLWAY_KEY"]
        assert machine.down().returncode == 0
        (machine.data / "keys.json").unlink()
        (machine.data / "env").unlink()
        done = machine.again()
        assert done.returncode == 0, done.stderr
        assert machine.env()["TOLLWAY_KEY"] != first
        assert "Hello" in ask(machine.env())
    finally:
        assert machine.down().returncode == 0
    machine.await_nothing_left()


def test_with_a_configuration_as_an_ordinary_user(tmp_path: Path) -> None:
    """Under an account that is not root; one capability lets it read a Python below a private directory."""
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):  # with several workers there is one folder more
        folder.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    nobody = Account(65534, 65534) if os.geteuid() == 0 else None
    if nobody:
        os.chown(home, nobody.uid, nobody.gid)
    config = tmp_path / "tollway.yaml"
    config.write_text(
        "version: 1\n"
        "providers: [{name: sim, kind: simulator}]\n"
        "models: [{name: m, targets: [{provider: sim, model: x}]}]\n"
        'projects: [{name: p, keys: [{name: given, value: "${GIVEN_KEY}"}, {name: made}]}]\n'
    )
    environ = {"GIVEN_KEY": "tw-Jq8vXc2LmZ0rTb5HnYw7KdPe3UgAs9Fi", "HOME": str(home)}
    machine = Machine(home / "data", environ, in_child(nobody, None))
    try:
        done = machine.up("--config", str(config))
        assert done.returncode == 0, done.stderr
        assert machine.env()["TOLLWAY_KEY"] == environ["GIVEN_KEY"]
        assert "Hello" in ask(machine.env(), "m")
        keys = json.loads((machine.data / "keys.json").read_text())
        assert list(keys) == ["p/made"]
        assert "Hello" in ask({**machine.env(), "TOLLWAY_KEY": keys["p/made"]}, "m")
        if nobody:
            assert Path(f"/proc/{machine.pid('postgres')}").stat().st_uid == nobody.uid
    finally:
        assert machine.down().returncode == 0
    machine.await_nothing_left()
