"""Questions to running processes: free ports, readiness over HTTP, the ping of a Redis server."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from tollway.cli.up.failure import UpError
from tollway.cli.up.options import FLAGS, PORTS

_AUTOMATIC = range(18_000, 32_000)  # below the ports that kernels give to outgoing connections


def is_free(bind: str, port: int) -> bool:
    """Whether a server could listen on the port."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a former server that linger do not matter, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except PermissionError as error:
            raise UpError(f"port {port} needs more rights than this user has; choose one above 1023") from error
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno in (99, 49):  # EADDRNOTAVAIL on Linux and macOS
                raise UpError(f"--bind {bind}: this machine has no such address") from error
            return False
    return True


def choose_ports(
    given: dict[str, int], kept: dict[str, int], bind: str, free: Callable[[str, int], bool] = is_free
) -> dict[str, int]:
    """Name -> port: given ones first, then those of the last start, then the defaults. 0 becomes a free one.

    The simulator's and the control plane's admin port give way when nobody asked for them.
    """
    given = dict(given)
    if "admin" in given:
        given.setdefault("control_admin", given["admin"] + 1 if given["admin"] else 0)
    chosen: dict[str, int] = {}
    for name, default in PORTS.items():
        port = given.get(name, kept.get(name, default))
        if port and (port in chosen.values() or not free(bind, port)):
            if name in FLAGS and (name in given or name not in ("simulator", "control_admin")):
                raise UpError(
                    f"port {port} is in use; stop what listens there, or choose another with {FLAGS[name]} "
                    "(0 picks a free one)"
                )
            port = 0
        chosen[name] = port or _pick(bind, {*chosen.values(), *given.values()}, free)
    return chosen


def _pick(bind: str, taken: set[int], free: Callable[[str, int], bool]) -> int:
    for _ in range(500):
        port = random.choice(_AUTOMATIC)  # noqa: S311 - not a secret
        if port not in taken and free(bind, port):
            return port
    raise UpError("no free port was found")


def http_status(host: str, port: int, path: str, *, tls: bool = False, token: str = "", seconds: float = 2.0) -> int:
    """The status of a GET on this machine; 0 when nothing answers."""
    status, _ = http_get(host, port, path, tls=tls, token=token, seconds=seconds)
    return status


def http_get(
    host: str, port: int, path: str, *, tls: bool = False, token: str = "", seconds: float = 2.0
) -> tuple[int, str]:
    """Status and body of a GET on this machine; (0, reason) when nothing answers."""
    host = host.strip("[]")
    connection: http.client.HTTPConnection
    if tls:
        # Our own process on our own machine, asked only whether it is ready: there is nothing to verify.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read(65536).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def problems(body: str) -> str:
    """What a `/readyz` answer complains about, in one line."""
    with contextlib.suppress(ValueError, AttributeError):
        found = json.loads(body).get("problems")
        if isinstance(found, dict):
            return "; ".join(f"{name}: {text}" for name, text in found.items())
        if isinstance(found, list):
            return "; ".join(str(text) for text in found)
    return ""


def accepts(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), port), timeout=1):
        return True
    return False


def valkey_ready(path: Path) -> bool:
    """Whether the server at the Unix socket has loaded its data."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False
