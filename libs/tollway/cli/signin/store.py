"""The tokens of whoever signed in, by control plane, in one file of the user's configuration directory (mode 0600).

A token is given out fresh: one that ends soon is renewed first, by one process at a time, because a refresh token may
be good once.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tollway.cli.envfile import write_private
from tollway.cli.exits import AUTHENTICATION, Failure

MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class SignedIn:
    """A sign-in at one control plane. `expires_at` is the end of the ID token, Unix time in seconds."""

    url: str
    issuer: str
    client_id: str
    token_endpoint: str
    revocation_endpoint: str = ""
    id_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    expires_at: float = 0.0
    ca_file: str = ""


class TokenFile:
    """`tokens.json` beside the profiles."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "tokens.json"

    def find(self, url: str) -> SignedIn | None:
        """The sign-in at a control plane; without a URL the last one."""
        known = self._read()
        found = known.get(url.rstrip("/")) if url else next(reversed(known.values()), None)
        return SignedIn(**found) if found is not None else None

    def keep(self, made: SignedIn) -> None:
        """Remembers a sign-in, as the last one."""
        url = made.url.rstrip("/")
        with self._alone():
            known = self._read()
            known.pop(url, None)
            self._write(known | {url: asdict(replace(made, url=url))})

    def forget(self, url: str) -> None:
        """Removes a sign-in."""
        with self._alone():
            known = self._read()
            if known.pop(url.rstrip("/"), None) is not None:
                self._write(known)

    def fresh(self, url: str) -> SignedIn | None:
        """The sign-in with a token that lasts a while. Raises Failure when it cannot be renewed."""
        from tollway.cli.signin.oauth import Refused, refresh

        found = self.find(url)
        if found is None or found.expires_at - time.time() > MARGIN_SECONDS:
            return found
        with self._alone():
            known = self._read()
            found = SignedIn(**known[found.url]) if found.url in known else None
            if found is None or found.expires_at - time.time() > MARGIN_SECONDS:
                return found  # another process was faster
            if not found.refresh_token:
                raise Failure(f"the sign-in at {found.url} has ended: run `tollway login`", AUTHENTICATION)
            try:
                tokens = refresh(found.token_endpoint, found.client_id, found.refresh_token)
            except Refused as error:
                del known[found.url]
                self._write(known)
                message = f"the sign-in at {found.url} has ended ({error.reason}): run `tollway login`"
                raise Failure(message, AUTHENTICATION) from error
            renewed = replace(found, **asdict(tokens))
            self._write(known | {found.url: asdict(renewed)})
            return renewed

    def _read(self) -> dict[str, Any]:
        try:
            if self._path.stat().st_mode & 0o077:
                raise Failure(f"{self._path}: others can read it, and it has tokens: run `chmod 600` on it")
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Failure(f"{self._path}: cannot be read; remove it and run `tollway login`") from error
        return found if isinstance(found, dict) else {}

    def _write(self, known: Mapping[str, Any]) -> None:
        try:
            write_private(self._path, json.dumps(known, indent=2) + "\n")
        except OSError as error:
            raise Failure(f"{self._path}: cannot be written: {error.strerror}") from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        import fcntl

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._path.with_name("tokens.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Failure(f"{self._path.parent}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
