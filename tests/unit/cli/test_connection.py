"""Which control plane the command line talks to."""

from pathlib import Path

import pytest

from tollway.cli import envfile
from tollway.cli.connection import Connection, Flags, resolve
from tollway.cli.exits import Failure, Usage

VARIABLES = {"TOLLWAY_CONTROL_URL": "http://env:1", "TOLLWAY_ADMIN_TOKEN": "env-token"}


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "env"
    path.write_text("TOLLWAY_CONTROL_URL=http://local:1\nTOLLWAY_ADMIN_TOKEN=local-token\n")
    return path


@pytest.fixture
def xdg(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tollway").mkdir()
    (tmp_path / "tollway" / "config.toml").write_text(
        '[profiles.default]\nurl = "http://profile:1"\ntoken = "profile-token"\n'
        '[profiles.prod]\nurl = "http://prod:1"\ntoken = "prod-token"\n'
    )
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_environment_before_profile_before_local_file(local: Path, xdg: dict[str, str]) -> None:
    assert resolve(Flags(), VARIABLES | xdg, local) == Connection(url="http://env:1", token="env-token")
    assert resolve(Flags(), xdg, local) == Connection(url="http://profile:1", token="profile-token")
    assert resolve(Flags(), {}, local) == Connection(url="http://local:1", token="local-token")


def test_a_named_profile_is_a_flag(local: Path, xdg: dict[str, str]) -> None:
    assert resolve(Flags(profile="prod"), VARIABLES | xdg, local).token == "prod-token"


def test_a_flag_is_before_everything(local: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("flag-token\n")
    found = resolve(Flags(url="http://flag:1", token_file=str(token)), VARIABLES, local)
    assert found == Connection(url="http://flag:1", token="flag-token")


def test_a_token_is_not_sent_to_another_address(local: Path) -> None:
    with pytest.raises(Failure, match="no token"):
        resolve(Flags(url="http://elsewhere:1"), {}, local)


def test_says_what_is_missing(tmp_path: Path, xdg: dict[str, str]) -> None:
    with pytest.raises(Usage, match="TOLLWAY_CONTROL_URL"):
        resolve(Flags(), {}, tmp_path / "none")
    with pytest.raises(Usage, match="no profile test"):
        resolve(Flags(profile="test"), xdg, tmp_path / "none")


def test_connections_do_not_show_their_token() -> None:
    assert "canary" not in repr(Connection(url="http://x", token="canary"))


def test_env_files_are_private_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("old")
    envfile.write_private(path, envfile.render({"A": "1", "B": "x=y"}))
    assert path.stat().st_mode & 0o777 == 0o600
    assert envfile.read(path) == {"A": "1", "B": "x=y"}
    assert envfile.parse("# no\n\nexport A='q'\nnonsense") == {"A": "q"}
    with pytest.raises(ValueError, match="one line"):
        envfile.render({"A": "1\nB=2"})
