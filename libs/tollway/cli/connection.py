"""Which control plane the command line talks to: flags, environment, profile, sign-in, `./.tollway/env`, in order."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tollway.cli import envfile
from tollway.cli.exits import Failure, Usage

if TYPE_CHECKING:
    from tollway.cli.signin.store import TokenFile
    from tollway.sdk.client import Client

LOCAL_ENV = Path(".tollway") / "env"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where and with which token. `ca_file` is a certificate to trust besides the system's."""

    url: str
    token: str = field(repr=False)
    ca_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The global options of the command line."""

    url: str = ""
    token_file: str = ""
    profile: str = ""
    output: str = "table"
    timeout_seconds: float = 30.0
    reason: str = ""


def profiles_path(environ: Mapping[str, str]) -> Path:
    """`tollway/config.toml` in the XDG configuration directory."""
    base = environ.get("XDG_CONFIG_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path(environ.get("HOME", "/")) / ".config"
    return root / "tollway" / "config.toml"


def resolve(flags: Flags, environ: Mapping[str, str], local: Path = LOCAL_ENV) -> Connection:
    """The connection. URL and token come from the same place unless flags or environment give one of them.

    A token that belongs to one place is not sent to another: with a URL from a flag, the token must come from a flag
    or the environment too. Raises Usage when something is missing.
    """
    # A profile that is named on the command line is a flag: it stands above the environment.
    variables = {} if flags.profile else environ
    url = flags.url or variables.get("TOLLWAY_CONTROL_URL", "")
    token = _token_file(flags.token_file) if flags.token_file else variables.get("TOLLWAY_ADMIN_TOKEN", "")
    ca_file = variables.get("TOLLWAY_CA_FILE")
    if not (url and token):
        fallback = _fallback(flags, environ, local, url, bool(token))
        if fallback and (not url or url.rstrip("/") == fallback.get("TOLLWAY_CONTROL_URL", "").rstrip("/")):
            url = url or fallback.get("TOLLWAY_CONTROL_URL", "")
            token = token or fallback.get("TOLLWAY_ADMIN_TOKEN", "")
            ca_file = ca_file or fallback.get("TOLLWAY_CA_FILE")
    if not url:
        raise Usage("no control plane: set TOLLWAY_CONTROL_URL, use --url or --profile, or run `tollway up` here")
    if not token:
        raise Failure(
            "no token for the control plane: run `tollway login`, set TOLLWAY_ADMIN_TOKEN, or use --token-file", code=3
        )
    return Connection(url=url, token=token, ca_file=ca_file)


def _fallback(flags: Flags, environ: Mapping[str, str], local: Path, url: str, has_token: bool) -> dict[str, str]:
    """What flags and environment leave open: a profile, else whoever signed in there, else `./.tollway/env`."""
    profile = _profile(flags.profile or environ.get("TOLLWAY_PROFILE", ""), environ)
    if has_token or profile.get("TOLLWAY_ADMIN_TOKEN"):
        return profile or envfile.read(local)
    found = profile or envfile.read(local)
    signed_in = token_file(environ).fresh(url or found.get("TOLLWAY_CONTROL_URL", ""))
    if signed_in is None:
        return found
    made = {"TOLLWAY_CONTROL_URL": signed_in.url, "TOLLWAY_ADMIN_TOKEN": signed_in.id_token}
    return made | ({"TOLLWAY_CA_FILE": signed_in.ca_file} if signed_in.ca_file else {})


def token_file(environ: Mapping[str, str]) -> TokenFile:
    """Where the tokens of sign-ins are."""
    from tollway.cli.signin.store import TokenFile

    return TokenFile(profiles_path(environ).parent)


def place(flags: Flags, environ: Mapping[str, str], local: Path = LOCAL_ENV) -> tuple[str, str | None]:
    """The control plane's URL, and a certificate to trust; no token is needed. Raises Usage when there is no URL."""
    variables = {} if flags.profile else environ
    given = flags.url or variables.get("TOLLWAY_CONTROL_URL", "")
    found = _profile(flags.profile or environ.get("TOLLWAY_PROFILE", ""), environ) or envfile.read(local)
    known = found.get("TOLLWAY_CONTROL_URL", "")
    ca_file = variables.get("TOLLWAY_CA_FILE")
    signed_in = token_file(environ).find(given or known)
    url = given or known or (signed_in.url if signed_in is not None else "")
    if not url:
        raise Usage("no control plane: set TOLLWAY_CONTROL_URL, or use --url or --profile")
    if url.rstrip("/") == known.rstrip("/"):
        ca_file = ca_file or found.get("TOLLWAY_CA_FILE")
    return url, ca_file or (signed_in.ca_file if signed_in is not None else "") or None


def _token_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Failure(f"--token-file {path}: {(error.strerror or 'cannot be read').lower()}") from error


def _profile(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The named profile, or the one called `default`; a name that is not there is an error."""
    path = profiles_path(environ)
    try:
        profiles = tomllib.loads(path.read_text(encoding="utf-8")).get("profiles", {})
    except FileNotFoundError:
        profiles = {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failure(f"{path}: {error}") from error
    found = profiles.get(name or "default")
    if found is None:
        if name:
            raise Usage(f"there is no profile {name} in {path}")
        return {}
    token = str(found.get("token", ""))
    if file := found.get("token_file"):
        token = _token_file(str(Path(file).expanduser()))
    made = {"TOLLWAY_CONTROL_URL": str(found.get("url", "")), "TOLLWAY_ADMIN_TOKEN": token}
    return made | ({"TOLLWAY_CA_FILE": str(found["ca_file"])} if found.get("ca_file") else {})


def open_client(flags: Flags, environ: Mapping[str, str]) -> Client:
    """The SDK's client."""
    from tollway.sdk.client import Client

    connection = resolve(flags, environ)
    try:
        return Client(
            connection.url,
            connection.token,
            timeout_seconds=flags.timeout_seconds,
            ca_file=connection.ca_file,
            reason=flags.reason,
            agent="tollway-cli",
        )
    except ValueError as error:
        raise Usage(str(error)) from error
    except OSError as error:
        raise Failure(f"{connection.ca_file}: {error.strerror}") from error
