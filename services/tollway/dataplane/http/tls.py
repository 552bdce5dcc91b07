"""The certificate of the clients' port: TLS 1.2 and later, read again when its files change.

A new pair that cannot be used leaves the one in use as it is, and is tried again at its next change.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tollway.runtime import log
from tollway.runtime.lifecycle import StartError

_log = log.get(__name__)
POLL_SECONDS = 2.0
TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secrecy and authenticated encryption only. Those of TLS 1.3 are all of this kind."""
Signature = tuple[tuple[int, int, int], ...]


class Certificate:
    """Certificate chain and key (PEM). `context` is the one to listen with; `reloads` and `failures` count.

    A context keeps one certificate of each kind of key, so that one to which a new pair was added might go on showing
    the old one. Each pair therefore has a context of its own, and each handshake goes over to the newest: the context
    to listen with asks for it, also where the client names no host. In all else they are alike.
    """

    def __init__(self, certificate: str, key: str) -> None:
        """Raises StartError when the pair cannot be used."""
        self._paths = certificate, key or certificate
        self.reloads = 0
        self.failures = 0
        try:
            self._seen = self._signature()
            self.context = self._newest = self._load()
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"TOLLWAY_TLS_CERT and TOLLWAY_TLS_KEY cannot be loaded: {error}") from error
        self.context.sni_callback = self._show

    def _show(self, handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """A client has said hello, and nothing has been answered yet."""
        handshake.context = self._newest

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(TLS12_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._paths)
        return context

    def _signature(self) -> Signature:
        """What changes when a file is replaced, also through a symbolic link."""
        found = (Path(path).stat() for path in self._paths)
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in found)

    def look(self) -> None:
        """Takes what has changed since the last look."""
        try:
            signature = self._signature()
            if signature == self._seen:
                return
            self._seen = signature
            self._newest = self._load()
        except (OSError, ssl.SSLError) as error:
            self.failures += 1
            self._seen = () if isinstance(error, FileNotFoundError) else self._seen
            _log.error("the changed certificate cannot be used; the one before stays", reason=str(error))
            return
        self.reloads += 1
        _log.info("the certificate has changed and is in use", path=self._paths[0])

    async def watch(self) -> None:
        """Looks every two seconds; for the life of the process."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self.look()


def certificate_of(path: str, key: str) -> Certificate | None:
    """The certificate, where one is set. Raises StartError when it cannot be used."""
    return Certificate(path, key) if path else None
