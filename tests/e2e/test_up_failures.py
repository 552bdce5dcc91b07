"""What `up` does when something is wrong: one line, exit code not 0, nothing left running.

On stand-ins for the services, which fail on request.
"""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollway.testkit.machine import Machine, await_true, one_line

STANDINS = Path(__file__).parent.parent / "fixtures" / "standins"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "data", {"PYTHONPATH": str(STANDINS)})
    yield made
    made.down()
    made.await_nothing_left()


def fails(machine: Machine, *arguments: str) -> str:
    """Starts, which must fail and leave nothing; returns the complaint."""
    done = machine.up(*arguments)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    one_line(done.stderr)
    machine.await_nothing_left(2)
    return done.stderr


def test_a_port_in_use(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"port {port} is in use" in fails(machine, "--port-proxy", str(port))


def test_a_directory_of_a_newer_version(machine: Machine) -> None:
    machine.data.mkdir()
    (machine.data / "version").write_text(json.dumps({"format": 1, "tollway": "99.1.0"}))
    assert "was written by Tollway 99.1.0" in fails(machine)
    assert [path.name for path in machine.data.iterdir()] == ["version"]


def test_a_missing_variable(machine: Machine, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("version: 1\nprojects: [{name: p, keys: [{name: k, value: '${NOT_THERE}'}]}]\n")
    shown = fails(machine, "--config", str(config))
    assert "projects[0].keys[0].value: the environment variable NOT_THERE is not set" in shown


def test_no_such_configuration(machine: Machine, tmp_path: Path) -> None:
    assert "no such file" in fails(machine, "--config", str(tmp_path / "none.yaml"))


def test_other_machines_without_tls(machine: Machine) -> None:
    assert "--insecure-http" in fails(machine, "--bind", "0.0.0.0")
    assert not machine.data.exists()


def test_a_failed_migration(machine: Machine) -> None:
    machine.environ["TOLLWAY_STANDIN_FAULT"] = "migrate"
    assert "migrate failed: the schema is newer than this version" in fails(machine)


def test_a_full_disk_seen_by_a_child(machine: Machine) -> None:
    machine.environ["TOLLWAY_STANDIN_FAULT"] = "full"
    assert "the disk is full" in fails(machine)


def test_a_service_that_does_not_start(machine: Machine) -> None:
    machine.environ["TOLLWAY_STANDIN_FAULT"] = "dataplane"
    assert "dataplane ended with exit code 1: error: TOLLWAY_FLEET_KEY is not valid" in fails(machine)


def test_a_failed_start_can_be_repeated(machine: Machine) -> None:
    machine.environ["TOLLWAY_STANDIN_FAULT"] = "dataplane"
    fails(machine)
    del machine.environ["TOLLWAY_STANDIN_FAULT"]
    done = machine.again()
    assert done.returncode == 0, done.stderr
    assert machine.env()["TOLLWAY_KEY"]


def test_an_own_base_url(machine: Machine) -> None:
    machine.environ |= {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": "http://localhost:18999/v1"}
    assert "OPENAI_BASE_URL is this gateway's own address" in fails(machine, "--port-proxy", "18999")


def test_ctrl_c_stops_everything_in_order(machine: Machine) -> None:
    process = machine.foreground()
    assert process.stdout is not None
    assert process.stdout.readline().startswith("TOLLWAY_BASE_URL=")
    await_true(lambda: machine.status()["code"] == 0, 30)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=20)
    assert process.returncode == 0, messages
    assert messages.strip().endswith("stopped")
    assert machine.left() == []
    assert "database system is shut down" in (machine.data / "logs" / "postgres.log").read_text()


def test_a_signal_during_the_start_stops_what_was_started(machine: Machine) -> None:
    process = machine.foreground()
    await_true(lambda: (machine.data / "run" / "postgres.pid").exists(), 30)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=20)
    assert process.returncode != 0 or "stopped" in messages
    assert machine.left() == []


def test_a_killed_supervisor_takes_its_children_along(machine: Machine) -> None:
    assert machine.up().returncode == 0
    machine.kill_supervisor()
    machine.await_nothing_left(10)
    assert machine.status()["code"] == 1


def test_leftovers_are_stopped_by_down(machine: Machine) -> None:
    """A child that does not end with its supervisor."""
    machine.environ["TOLLWAY_STANDIN_FAULT"] = "deaf"
    assert machine.up().returncode == 0
    machine.kill_supervisor()
    await_true(lambda: machine.status()["code"] == 1, 20)
    done = machine.run("down", "--data", str(machine.data))
    assert done.returncode == 0
    assert "stopped what an earlier run left behind: " in done.stderr
    assert "dataplane" in done.stderr
    assert machine.left() == []
