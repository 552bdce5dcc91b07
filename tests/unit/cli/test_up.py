"""What `up` decides before it starts anything."""

import json
from pathlib import Path

import pytest

from tollway.cli.up import preflight
from tollway.cli.up.discovered import discover, is_own
from tollway.cli.up.failure import UpError
from tollway.cli.up.layout import Layout, product_version
from tollway.cli.up.lock import Lock
from tollway.cli.up.options import PORTS, UpOptions
from tollway.cli.up.probe import choose_ports
from tollway.cli.up.processes import complaint, remember, stop_leftovers
from tollway.cli.up.services import base_environment

SIMULATOR = "http://127.0.0.1:8089/v1"


def taken(*ports: int):  # type: ignore[no-untyped-def]
    return lambda _bind, port: port not in ports


def test_ports_default_then_kept_then_given() -> None:
    assert choose_ports({}, {}, "127.0.0.1", taken()) == PORTS
    assert choose_ports({"proxy": 1234}, {"proxy": 1, "grpc": 77}, "127.0.0.1", taken()) == PORTS | {
        "proxy": 1234,
        "grpc": 77,
    }


def test_zero_picks_distinct_free_ports() -> None:
    chosen = choose_ports(dict.fromkeys(("proxy", "control", "grpc", "admin"), 0), {}, "127.0.0.1", taken())
    assert len(set(chosen.values())) == len(PORTS)
    assert chosen["control_admin"] != PORTS["control_admin"]


def test_a_port_in_use_names_port_and_flag() -> None:
    with pytest.raises(UpError, match=r"port 8080 is in use; .* --port-proxy \(0 picks a free one\)"):
        choose_ports({}, {}, "127.0.0.1", taken(8080))


def test_the_simulators_port_gives_way_unless_it_was_asked_for() -> None:
    assert choose_ports({}, {}, "127.0.0.1", taken(8089))["simulator"] != 8089
    with pytest.raises(UpError, match="--port-simulator"):
        choose_ports({"simulator": 8089}, {}, "127.0.0.1", taken(8089))


def test_provider_keys_register_their_providers() -> None:
    found = discover(
        {
            "OPENAI_API_KEY": "sk-o",
            "ANTHROPIC_API_KEY": "sk-a",
            "HF_TOKEN": "hf",
            "AZURE_OPENAI_API_KEY": "az",
            "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com/",
            "AZURE_OPENAI_DEPLOYMENTS": "gpt-4o, small",
        },
        PORTS,
        SIMULATOR,
    )
    providers = {provider["name"]: provider for provider in found.configuration["providers"]}
    assert list(providers) == ["openai", "anthropic", "huggingface", "azure"]
    assert providers["azure"]["base_url"] == "https://x.openai.azure.com"
    assert {"azure/gpt-4o", "azure/small"} <= {model["name"] for model in found.configuration["models"]}
    assert not found.simulated
    assert not any(secret in " ".join(found.notes) for secret in ("sk-o", "sk-a"))


def test_without_keys_the_simulators_models_are_named_as_such() -> None:
    found = discover({"OPENAI_API_KEY": ""}, PORTS, SIMULATOR)
    assert found.simulated
    assert all(model["name"].startswith("sim/") for model in found.configuration["models"])


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://localhost:8080/v1"},
            "OPENAI_BASE_URL is this gateway's own",
        ),
        ({"OPENAI_API_KEY": "sk-tw-abc"}, "OPENAI_API_KEY holds a virtual key of Tollway"),
        ({"AZURE_OPENAI_API_KEY": "k"}, "AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_DEPLOYMENTS is not"),
        ({"HF_TOKEN": "k", "HF_BASE_URL": "nonsense"}, "must begin with http"),
    ],
)
def test_refuses_what_would_call_itself_or_is_half(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UpError, match=message):
        discover(environ, PORTS, SIMULATOR)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://127.1.2.3:8080", True),
        ("http://[::1]:8080/v1", True),
        ("http://127.0.0.1:11434/v1", False),
        ("https://192.0.2.1:8080/v1", False),
        ("http://198.51.100.7:8080/v1", True),
    ],
)
def test_own_addresses(url: str, own: bool) -> None:
    assert is_own(url, PORTS, lambda address: address == "198.51.100.7") is own


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UpError, match=r"the disk of .* is full: 5 MiB are free"):
        preflight.check_space(tmp_path / "not" / "there", lambda _path: 5 << 20)
    preflight.check_space(tmp_path, lambda _path: 1 << 40)


def test_other_machines_need_tls_or_consent(tmp_path: Path) -> None:
    def check(environ: dict[str, str] | None = None, **more: object) -> None:
        preflight.check_exposure(UpOptions(data=tmp_path, ports={}, **more), environ or {})  # type: ignore[arg-type]

    with pytest.raises(UpError, match="--insecure-http"):
        check(bind="0.0.0.0")
    with pytest.raises(UpError, match="TOLLWAY_TLS_KEY is not set"):
        check({"TOLLWAY_TLS_CERT": "x"})
    check(bind="0.0.0.0", insecure_http=True)
    check(bind="0.0.0.0", self_signed=True)
    check()


def test_the_directory_is_private_and_keeps_its_secrets(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "d")
    layout.create()
    first = layout.own_secrets({})
    assert layout.own_secrets({}) == first
    assert layout.root.stat().st_mode & 0o777 == 0o700
    assert layout.secrets.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrote", [{"format": 2, "tollway": "0.1.0"}, {"format": 1, "tollway": "99.0.0"}])
def test_a_directory_of_a_newer_version_is_refused(tmp_path: Path, wrote: dict[str, object]) -> None:
    (tmp_path / "version").write_text(json.dumps(wrote))
    with pytest.raises(UpError, match=f"was written by Tollway .*, this is {product_version()}"):
        Layout(tmp_path).create()


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("precious")
    with pytest.raises(UpError, match="has other files in it"):
        Layout(tmp_path).create()
    assert (tmp_path / "settings").read_text() == "precious"
    assert not (tmp_path / "run").exists()


def test_a_directory_with_other_files_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.tex").write_text("")
    Layout(tmp_path).create()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / ".gitignore").exists()


def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    directory = Layout(tmp_path / ("x" * 100)).socket_directory()
    assert len(str(directory)) < 80
    directory.rmdir()


def test_one_holder_a_lock(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder()
    first.release()
    assert second.holder() is None


def test_children_do_not_see_provider_keys() -> None:
    environ = {"PATH": "/bin", "OPENAI_API_KEY": "k", "TOLLWAY_KEK": "k", "TOLLWAY_LOG_LEVEL": "debug", "OTEL_X": "1"}
    assert set(base_environment(environ)) == {"PATH", "TOLLWAY_LOG_LEVEL", "OTEL_X", "PYTHONUNBUFFERED"}


def test_the_most_telling_line_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("old error: no\n")
    offset = log.stat().st_size
    log.write_text("old error: no\nstarting\nerror: port 1 is in use\nbye\n")
    assert complaint(log, offset) == "error: port 1 is in use"
    log.write_text("OSError: [Errno 28] No space left on device\nerror: x\n")
    assert complaint(log, 0).startswith("the disk is full")


def test_a_pid_that_was_given_out_again_is_left_alone(tmp_path: Path) -> None:
    import os
    import signal

    remember(tmp_path / "postgres.pid", os.getpid(), signal.SIGKILL)
    path = tmp_path / "postgres.pid"
    path.write_text(" ".join([*path.read_text().split()[:2], "1"]))
    assert stop_leftovers(tmp_path, ["postgres"]) == []
    assert not path.exists()
