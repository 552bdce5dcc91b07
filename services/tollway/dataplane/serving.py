"""How a data-plane process is run: alone, or as one of several below a supervisor; and the sockets that it takes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from tollway.dataplane.app import Process
from tollway.dataplane.settings import Settings
from tollway.runtime import log
from tollway.runtime.admin import admin_app
from tollway.runtime.health import Health
from tollway.runtime.lifecycle import StartError

_log = log.get(__name__)
BEAT_SECONDS = 0.25
READY = b"r"
NOT_READY = b"n"
REPLACED = signal.SIGUSR1
"""Tells a child that its successor serves the port already."""


def bind_socket(address: str, port: int, *, share: bool) -> socket.socket:
    """A bound TCP socket; with `share`, others may bind the same port. Raises StartError that names the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {address}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def announce(ports: dict[str, int]) -> None:
    """The one line on stdout by which a parent learns the ports that were chosen."""
    sys.stdout.write(f"listening {json.dumps(ports)}\n")
    sys.stdout.flush()


async def serve_admin(health: Health, sock: socket.socket, metrics: Callable[[], bytes]) -> web.AppRunner:
    """The admin port of this pod."""
    runner = web.AppRunner(admin_app(health, metrics), access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


async def serve_alone(settings: Settings, stop: asyncio.Event) -> None:
    """A pod of one process: it serves clients and the admin port."""
    _ignore_hangup("there is no process that could take over: TOLLWAY_PROCESSES is 1")
    proxy = bind_socket(settings.bind, settings.port_proxy, share=False)
    admin = bind_socket(settings.bind_internal or settings.bind, settings.port_admin, share=False)
    process = Process(settings)
    await process.start()
    runner = await serve_admin(process.health, admin, process.metrics)
    ports = {"proxy": proxy.getsockname()[1], "admin": admin.getsockname()[1]}
    await process.listen(proxy)
    announce(ports)
    await stop.wait()
    await process.drain()
    await runner.cleanup()


def _ignore_hangup(reason: str) -> None:
    """SIGHUP must not end a process that cannot do what it asks for."""
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGHUP, lambda: _log.warning("SIGHUP is ignored", reason=reason)
    )


async def serve_child(settings: Settings, stop: asyncio.Event) -> None:
    """One of several processes: the socket comes from the supervisor, and a heartbeat goes back to it."""
    _ignore_hangup("it is for the supervisor")
    replaced = asyncio.Event()

    def give_way() -> None:
        replaced.set()
        stop.set()

    asyncio.get_running_loop().add_signal_handler(REPLACED, give_way)
    listen_fd, heartbeat_fd = (int(number) for number in settings.listen_fds.split(","))
    process = Process(settings)
    await process.start()
    await process.listen(socket.socket(fileno=listen_fd))
    os.set_blocking(heartbeat_fd, False)

    async def beat() -> None:
        while True:
            try:
                os.write(heartbeat_fd, NOT_READY if process.health.problems() else READY)
            except BlockingIOError:
                _log.warning("the supervisor does not read the heartbeat")
            except BrokenPipeError:
                _log.error("the supervisor is gone: draining")
                stop.set()
                return
            await asyncio.sleep(BEAT_SECONDS)

    process.tasks.keep(beat, "heartbeat")
    await stop.wait()
    await process.drain(replaced=replaced.is_set())


def metrics_dir(settings: Settings) -> Path:
    """Where the processes of a pod keep their metrics."""
    return settings.data_dir / "metrics"
