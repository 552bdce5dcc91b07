"""The commands `login` and `logout`."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.connection import place, token_file
from tollway.cli.exits import Failure, Usage, note, reporting
from tollway.cli.settings import environment
from tollway.cli.shared import flags

if TYPE_CHECKING:
    from tollway.cli.signin.oauth import Provider


def login(
    issuer: Annotated[str, typer.Option("--issuer", help="where there are several: the name of one")] = "",
    device: Annotated[bool, typer.Option("--device", help="sign in with a browser elsewhere, by a code")] = False,
    open_browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="open this machine's browser; else the address is printed")
    ] = True,
) -> None:
    """Signs in with the company account; later commands use it."""
    from tollway.cli.signin import oauth
    from tollway.cli.signin.store import SignedIn

    with reporting():
        url, ca_file = place(flags(), environment())
        provider = _chosen(oauth.providers(url, ca_file), issuer)
        if device or not provider.authorization_endpoint:
            if not provider.device_authorization_endpoint:
                raise Failure(f"the issuer {provider.name} has no device flow; leave --device out")
            tokens = oauth.by_device(provider, _tell_device)
        else:
            tokens = oauth.by_browser(provider, lambda address: _tell_browser(address, open_browser))
        made = SignedIn(
            url=url.rstrip("/"),
            issuer=provider.issuer,
            client_id=provider.client_id,
            token_endpoint=provider.token_endpoint,
            revocation_endpoint=provider.revocation_endpoint,
            id_token=tokens.id_token,
            refresh_token=tokens.refresh_token,
            expires_at=tokens.expires_at,
            ca_file=ca_file or "",
        )
        name = _name(url, tokens.id_token, ca_file)
        token_file(environment()).keep(made)
    note(f"signed in at {url} as {name}")


def _chosen(offered: list[Provider], name: str) -> Provider:
    if not offered:
        raise Failure("this control plane offers no sign-in to the command line: set cli_client_id of an issuer")
    if name:
        found = [provider for provider in offered if provider.name == name]
        if not found:
            raise Usage(f"--issuer: must be one of {', '.join(provider.name for provider in offered)}")
        return found[0]
    if len(offered) > 1:
        raise Usage(f"say with --issuer which of {', '.join(provider.name for provider in offered)}")
    return offered[0]


def _tell_device(address: str, code: str) -> None:
    note(f"open {address}")
    note(f"and confirm the code {code}")


def _tell_browser(address: str, open_browser: bool) -> None:
    import webbrowser

    opened = False
    if open_browser:
        with contextlib.suppress(webbrowser.Error):
            opened = webbrowser.open(address)
    if not opened:
        note("open this address in a browser on this machine (or use --device):")
        note(address)
    sys.stderr.flush()


def logout() -> None:
    """Forgets the sign-in, here and at the identity provider."""
    from tollway.cli.signin import oauth

    with reporting():
        tokens = token_file(environment())
        url, _ = place(flags(), environment())
        found = tokens.find(url)
        if found is None:
            raise Failure(f"nobody is signed in at {url}")
        tokens.forget(found.url)
        if found.revocation_endpoint and found.refresh_token:
            try:
                oauth.revoke(found.revocation_endpoint, found.client_id, found.refresh_token)
            except Failure as error:
                note(f"the sign-in is forgotten here; {error}")
    note(f"signed out at {found.url}")


def _name(url: str, token: str, ca_file: str | None) -> str:
    """Who the control plane takes the token for."""
    from tollway.sdk.client import Client

    with Client(url, token, timeout_seconds=flags().timeout_seconds, ca_file=ca_file, agent="tollway-cli") as tollway:
        return tollway.users.me().name
