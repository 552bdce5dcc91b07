"""The command line as a process: what it prints where, and how it ends."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollway.testkit.machine import TOLLWAY, Machine, one_line
from tollway.testkit.management_api import TOKEN, ManagementApi, management_api

CONFIGURATION = "version: 1\nprojects: [{name: p, keys: [{name: k}]}]\n"


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api() as running:
        yield running


@pytest.fixture
def tollway(api: ManagementApi, tmp_path: Path) -> Machine:
    return Machine(tmp_path, {"TOLLWAY_CONTROL_URL": api.url, "TOLLWAY_ADMIN_TOKEN": TOKEN, "HOME": str(tmp_path)})


def test_data_on_stdout_messages_on_stderr(tollway: Machine) -> None:
    done = tollway.run("keys", "create", "web", "-p", "demo", "--tag", "team=web", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["secret"] == "sk-tw-abcdefgh-SECRET"
    assert "shown only now" in done.stderr


def test_a_secret_can_go_to_a_private_file(tollway: Machine, tmp_path: Path) -> None:
    done = tollway.run("keys", "create", "web", "-p", "demo", "--out", str(tmp_path / "s.json"))
    assert "SECRET" not in done.stdout + done.stderr
    assert json.loads((tmp_path / "s.json").read_text()) == {"demo/web": "sk-tw-abcdefgh-SECRET"}
    assert (tmp_path / "s.json").stat().st_mode & 0o777 == 0o600


def test_exit_codes(tollway: Machine, api: ManagementApi) -> None:
    assert tollway.run("projects", "list").returncode == 0
    missing = tollway.run("projects", "show", "nope")
    assert missing.returncode == 4
    one_line(missing.stderr, "nope")
    assert tollway.run("projects", "list", "--colour").returncode == 2
    assert tollway.run("projects", "list", "-o", "xml").returncode == 2
    api.faults = [(400, {}, b'{"error": {"code": "invalid_argument", "message": "no", "field": "name"}}')]
    refused = tollway.run("projects", "create", "X")
    assert refused.returncode == 1
    one_line(refused.stderr, "name: no")
    tollway.environ["TOLLWAY_ADMIN_TOKEN"] = "wrong-canary"
    denied = tollway.run("projects", "list")
    assert denied.returncode == 3
    assert "canary" not in denied.stderr
    tollway.environ["TOLLWAY_CONTROL_URL"] = "http://127.0.0.1:1"
    assert tollway.run("projects", "list").returncode == 1
    del tollway.environ["TOLLWAY_ADMIN_TOKEN"]
    assert tollway.run("projects", "list").returncode == 3


def test_an_etag_that_is_old_changes_nothing(tollway: Machine) -> None:
    tollway.run("projects", "create", "retail")
    assert tollway.run("projects", "update", "retail", "--description", "a", "--etag", "1").returncode == 0
    done = tollway.run("projects", "update", "retail", "--description", "b", "--etag", "1")
    assert done.returncode == 1
    one_line(done.stderr, "etag_mismatch")


def test_revoking_asks_or_wants_yes(tollway: Machine, api: ManagementApi) -> None:
    done = tollway.run("keys", "revoke", "k1")
    assert done.returncode == 2
    assert api.seen == []
    assert tollway.run("keys", "revoke", "k1", "--yes").returncode == 0
    assert api.seen[0][1] == "/api/v1/keys/k1:revoke"


def test_provider_keys_come_from_the_environment_or_standard_input(tollway: Machine, api: ManagementApi) -> None:
    tollway.environ["MY_KEY"] = "sk-from-env"
    tollway.run("providers", "create", "openai", "--kind", "openai", "--api-key-env", "MY_KEY")
    assert api.seen[-1][3]["credentials"] == [{"name": "main", "api_key": "sk-from-env", "weight": 0}]
    tollway.run("providers", "rotate-credential", "openai", "main", stdin="sk-piped\n")
    assert api.seen[-1][3] == {"api_key": "sk-piped", "verify": True}
    assert tollway.run("providers", "add-credential", "openai", "x", "--api-key-env", "NONE").returncode == 2


def test_usage_has_a_total_and_exact_numbers(tollway: Machine, api: ManagementApi) -> None:
    table = tollway.run("usage", "--by", "key", "--from", "7d").stdout
    assert "9007199254740993" in table
    assert table.splitlines()[-1].startswith("total")
    assert tollway.run("usage", "--by", "colour").returncode == 2
    tollway.run("usage", "--by", "day", "--unit", "sales")
    assert api.seen[-1][2]["business_unit"] == "sales"
    tollway.run("users", "list", "--search", "ana")
    assert api.seen[-1][2]["search"] == "ana"


def test_dry_run_says_by_its_exit_code_whether_there_are_changes(
    tollway: Machine, api: ManagementApi, tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(CONFIGURATION)
    api.apply_answer = {"changes": []}
    assert tollway.run("apply", "-f", str(file), "--dry-run").returncode == 0
    api.apply_answer = {"changes": [{"action": "create", "kind": "project", "name": "p", "details": ["new"]}]}
    done = tollway.run("apply", "-f", str(file), "--dry-run", "--set", "team", "--prune")
    assert done.returncode == 2
    assert done.stdout == "+ project p\n    new\n"
    body = api.seen[-1][3]
    assert (body["set"], body["prune"], body["dry_run"], body["force"]) == ("team", True, True, False)
    file.write_text("version: 1\nfoo: 1")
    broken = tollway.run("apply", "-f", str(file), "--dry-run")
    assert broken.returncode == 1
    one_line(broken.stderr, "foo: unknown field")


def test_generated_secrets_need_a_place(tollway: Machine, api: ManagementApi, tmp_path: Path) -> None:
    done = tollway.run("apply", "-f", "-", stdin=CONFIGURATION)
    assert done.returncode == 2
    one_line(done.stderr, "p/k", "--keys-out")
    assert api.seen == []
    api.apply_answer = {"applied": True, "generated_keys": [{"project": "p", "name": "k", "secret": "sk-new"}]}
    out = tmp_path / "keys.json"
    done = tollway.run("apply", "-f", "-", "--keys-out", str(out), stdin=CONFIGURATION)
    assert done.returncode == 0
    assert json.loads(out.read_text()) == {"p/k": "sk-new"}
    assert "sk-new" not in done.stdout + done.stderr


def test_the_schema_is_json(tollway: Machine) -> None:
    assert json.loads(tollway.run("schema").stdout)["required"] == ["version"]


def test_a_reader_that_stops_reading_is_no_error(tollway: Machine) -> None:
    done = subprocess.run(
        f"{' '.join(TOLLWAY)} schema | head -1",
        shell=True,
        env=tollway.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_completion_is_offered(tollway: Machine) -> None:
    tollway.environ |= {"_TOLLWAY_COMPLETE": "complete_bash", "COMP_WORDS": "tollway pro", "COMP_CWORD": "1"}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "tollway")], env=tollway.environ, capture_output=True, text=True
    )
    assert done.stdout.split() == ["projects", "providers"]


def test_help_comes_at_once(tollway: Machine) -> None:
    def once() -> float:
        began = time.perf_counter()
        assert "keys" in tollway.run("--help").stdout
        return time.perf_counter() - began

    assert min(once() for _ in range(3)) < 0.4
