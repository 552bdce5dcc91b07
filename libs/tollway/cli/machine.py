"""`tollway up`, `down` and `status`: everything on one machine."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.exits import ERROR, Failure, note, reporting
from tollway.cli.output import plain, show_list, show_one
from tollway.cli.settings import environment
from tollway.cli.shared import Output, chosen

if TYPE_CHECKING:
    from tollway.cli.up.options import UpOptions

DATA = Annotated[Path, typer.Option("--data", help="data directory", metavar="DIR")]
DEFAULT_DATA = Path(".tollway")
Port = int | None


def _port(name: str, what: str) -> object:
    return typer.Option(f"--port-{name}", min=0, max=65535, envvar=f"TOLLWAY_PORT_{name.upper()}", help=what)


def up(
    config: Annotated[Path | None, typer.Option("--config", help="configuration file to apply")] = None,
    data: DATA = DEFAULT_DATA,
    processes: Annotated[int | None, typer.Option("--processes", min=1, max=256, help="of the data plane")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="return when everything is ready")] = False,
    port_proxy: Annotated[Port, _port("proxy", "for clients; 0 picks a free one; default 8080")] = None,
    port_control: Annotated[Port, _port("control", "REST and portal; default 8081")] = None,
    port_grpc: Annotated[Port, _port("grpc", "gRPC; default 8082")] = None,
    port_admin: Annotated[Port, _port("admin", "probes and metrics; the next one is the control plane's")] = None,
    port_simulator: Annotated[Port, _port("simulator", "default 8089, or a free one")] = None,
    bind: Annotated[str, typer.Option("--bind", help="address to listen on", envvar="TOLLWAY_BIND")] = "127.0.0.1",
    insecure_http: Annotated[bool, typer.Option("--insecure-http", help="plain HTTP to other machines")] = False,
    self_signed: Annotated[bool, typer.Option("--self-signed", help="TLS with a certificate made here")] = False,
    simulator: Annotated[bool | None, typer.Option("--simulator/--no-simulator", help="default: as needed")] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="ask the providers about new and changed keys; it only warns")
    ] = True,
) -> None:
    """Starts everything on this machine: Postgres, Valkey, control plane, data plane, simulator."""
    from tollway.cli.up.options import UpOptions

    given = {
        "proxy": port_proxy,
        "control": port_control,
        "grpc": port_grpc,
        "admin": port_admin,
        "simulator": port_simulator,
    }
    options = UpOptions(
        data=data,
        ports={name: port for name, port in given.items() if port is not None},
        config=config,
        processes=processes,
        bind=bind,
        insecure_http=insecure_http,
        self_signed=self_signed,
        simulator=simulator,
        verify=verify,
    )
    with reporting():
        try:
            _run(options, detach)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Failure(f"the disk of {data} is full") from error
            raise Failure(f"{error.filename or data}: {error.strerror or error}") from error


def _run(options: UpOptions, detach: bool) -> None:
    if detach:
        from tollway.cli.up.detach import start_detached

        _announce(*start_detached(options, environment()))
        note(f"stop it with `tollway down --data {options.data}`")
        return
    from tollway.cli.up.start import Start
    from tollway.cli.up.supervisor import say_to_stderr

    Start(options, environment(), _announce, say_to_stderr).run()
    note("stopped")


def _announce(env: dict[str, str], notes: list[str], seconds: float) -> None:
    from tollway.cli.up.greeting import first_model, greeting, notes_text

    print(greeting(env, first_model(notes)), flush=True)
    print(notes_text(notes, seconds), file=sys.stderr, flush=True)


def down(
    data: DATA = DEFAULT_DATA,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="seconds to wait")] = 180,
) -> None:
    """Stops everything and waits until it is done; requests in flight run to their end."""
    from tollway.cli.up.control import stop
    from tollway.cli.up.layout import Layout

    with reporting():
        stopped = stop(Layout(data), timeout, note)
    note("stopped" if stopped else f"nothing is running on {data}")


def status(data: DATA = DEFAULT_DATA, output: Output = None) -> None:
    """Shows each process; exit 0 only if everything is ready."""
    from tollway.cli.up.control import status as ask
    from tollway.cli.up.layout import Layout

    with reporting():
        found = ask(Layout(data))
    if chosen(output) in ("json", "yaml"):
        show_one({**plain(found)}, chosen(output))
    elif found.running:
        columns = ("name", "pid", "health", "uptime_seconds", "restarts", "ports")
        show_list(found.processes, columns, chosen(output))
        note(f"Tollway {found.version} on {found.data}, configuration version {found.config_version}")
    if not found.running:
        note(f"nothing is running on {found.data}")
    if not found.ready:
        raise typer.Exit(ERROR)
