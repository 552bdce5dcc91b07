"""What `up` configures by itself: providers whose keys are in the environment, else the simulator's models."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tollway.cli.up.failure import UpError

PROJECT, KEY = "demo", "demo-key"
OWN_KEY_PREFIX = "sk-tw-"
AZURE_API_VERSION = "2024-10-21"


@dataclass(frozen=True)
class WellKnown:
    """A provider that one key in the environment registers. `models` maps the name for clients to the provider's."""

    name: str
    kind: str
    key: str
    base_url: str
    models: Mapping[str, str]


WELL_KNOWN = (
    WellKnown(
        "openai",
        "openai",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        {name: name for name in ("gpt-5.4", "gpt-5.4-mini", "gpt-5-mini", "gpt-4.1-mini", "gpt-4o-mini")},
    ),
    WellKnown(
        "anthropic",
        "anthropic",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        {name: name for name in ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5")},
    ),
    WellKnown(
        "huggingface",
        "huggingface",
        "HF_TOKEN",
        "HF_BASE_URL",
        {name: name for name in ("openai/gpt-oss-120b", "meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen3-32B")},
    ),
)
SIMULATED = {"sim/small": "sim-small", "sim/large": "sim-large"}


@dataclass(frozen=True)
class Discovered:
    """`configuration` for the API, and a line for the operator about each provider. Without providers: simulated."""

    configuration: dict[str, Any]
    notes: Sequence[str]
    simulated: bool


def discover(environ: Mapping[str, str], ports: Mapping[str, int], simulator_url: str) -> Discovered:
    """Reads the environment. Raises UpError for half a provider, and for what would make the gateway call itself."""
    providers: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    notes = []
    for known in WELL_KNOWN:
        if key := environ.get(known.key):
            base_url = environ.get(known.base_url, "")
            _refuse_self(known.key, key, known.base_url, base_url, ports)
            providers.append(_provider(known.name, known.kind, key, base_url))
            models += [_model(name, known.name, target) for name, target in known.models.items()]
            where = f" at {base_url} ({known.base_url})" if base_url else ""
            notes.append(f"{known.name}: key from {known.key}{where}; models {', '.join(known.models)}")
    if environ.get("AZURE_OPENAI_API_KEY"):
        provider, deployments = _azure(environ, ports)
        providers.append(provider)
        models += [_model(f"azure/{name}", "azure", name) for name in deployments]
        shown = ", ".join(f"azure/{name}" for name in deployments)
        notes.append(f"azure: key from AZURE_OPENAI_API_KEY at {provider['base_url']}; models {shown}")
    simulated = not providers
    if simulated:
        providers.append({"name": "simulator", "kind": "simulator", "base_url": simulator_url})
        models += [_model(name, "simulator", target) for name, target in SIMULATED.items()]
        notes.append(
            f"no provider key in the environment: the simulator answers as {', '.join(SIMULATED)} (not real models)"
        )
    project = {"name": PROJECT, "models": ["*"], "keys": [{"name": KEY}]}
    return Discovered({"providers": providers, "models": models, "projects": [project]}, notes, simulated)


def _provider(name: str, kind: str, key: str, base_url: str) -> dict[str, Any]:
    made = {"name": name, "kind": kind, "credentials": [{"name": "environment", "api_key": key}]}
    return made | ({"base_url": base_url} if base_url else {})


def _model(name: str, provider: str, target: str) -> dict[str, Any]:
    return {"name": name, "targets": [{"provider": provider, "model": target}]}


def _azure(environ: Mapping[str, str], ports: Mapping[str, int]) -> tuple[dict[str, Any], list[str]]:
    missing = [name for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENTS") if not environ.get(name)]
    if missing:
        raise UpError(f"AZURE_OPENAI_API_KEY is set but {' and '.join(missing)} is not: set it, or unset the key")
    endpoint, key = environ["AZURE_OPENAI_ENDPOINT"].rstrip("/"), environ["AZURE_OPENAI_API_KEY"]
    _refuse_self("AZURE_OPENAI_API_KEY", key, "AZURE_OPENAI_ENDPOINT", endpoint, ports)
    deployments = [name for name in re.split(r"[,\s]+", environ["AZURE_OPENAI_DEPLOYMENTS"]) if name]
    version = environ.get("OPENAI_API_VERSION") or environ.get("AZURE_OPENAI_API_VERSION") or AZURE_API_VERSION
    provider = _provider("azure", "azure_openai", key, endpoint) | {"api_version": version}
    return provider, list(dict.fromkeys(deployments))


def _refuse_self(key_name: str, key: str, url_name: str, url: str, ports: Mapping[str, int]) -> None:
    if url and is_own(url, ports):
        raise UpError(f"{url_name} is this gateway's own address: unset it, or set it to the provider's")
    if key.startswith(OWN_KEY_PREFIX) and not url:
        raise UpError(f"{key_name} holds a virtual key of Tollway, not a key of the provider: unset it")


def is_own(url: str, ports: Mapping[str, int], addressed: Callable[[str], bool] | None = None) -> bool:
    """Whether the URL leads to a port of ours on this machine. Raises UpError when it is no URL.

    `addressed` tells whether an address is one of this machine's; the default asks the kernel.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        host = parts.hostname or ""
    except (ValueError, KeyError) as error:
        raise UpError("a base URL in the environment must begin with http:// or https://") from error
    served = [number for name, number in ports.items() if name != "simulator"]
    return port in served and _is_this_machine(host, addressed or _has_address)


def _is_this_machine(host: str, addressed: Callable[[str], bool]) -> bool:
    if host in ("localhost", socket.gethostname()) or host.endswith(".localhost"):
        return True
    try:
        addresses = [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
    except OSError:
        return False
    return any(_is_loopback(address) or addressed(address) for address in addresses)


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%", 1)[0])
    return parsed.is_loopback or parsed.is_unspecified


def _has_address(address: str) -> bool:
    parsed = ipaddress.ip_address(address.split("%", 1)[0])
    with socket.socket(socket.AF_INET6 if parsed.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
