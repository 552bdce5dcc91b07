"""Receivers of alerts on real sockets, and the alerts of one control plane without the plane around them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tollway.cli.up.certificate import self_signed
from tollway.controlplane.alerts.delivery import Retry
from tollway.controlplane.alerts.sending import Mailer, WebhookSender
from tollway.controlplane.alerts.service import Alerts
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import create_pool
from tollway.runtime.clock import Clock, SystemClock

LOOPBACK = (ip_network("127.0.0.0/8"),)
KEK = b"k" * 32
MAIL_USER, MAIL_PASSWORD = "alerts", "smtp-canary-4711"


@dataclass
class WebhookReceiver:
    """`seen` are the requests: headers (lower-case) and body. `answers` are statuses to answer with first, then 200.

    A negative status is a pause of that many seconds before the answer; 302 redirects to `/elsewhere`.
    """

    url: str = ""
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    async def wait(self, count: int, seconds: float = 10.0) -> None:
        """Returns when as many requests came."""
        async with asyncio.timeout(seconds):
            while len(self.seen) < count:
                await asyncio.sleep(0.02)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(({name.lower(): value for name, value in request.headers.items()}, body))
        self.paths.append(request.path)
        status = self.answers.pop(0) if self.answers else 200
        if status < 0:
            await asyncio.sleep(-status)
            status = 200
        headers = {"Location": f"{self.url}/elsewhere"} if status == 302 else {}
        return web.Response(status=int(status), text="the receiver's own words", headers=headers)


@asynccontextmanager
async def webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    """A running receiver on loopback."""
    receiver = WebhookReceiver()
    runner = web.ServerRunner(web.Server(receiver._handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class MailReceiver:
    """`seen` are the messages: recipients and content. `secure` says of each whether it came over TLS."""

    port: int = 0
    seen: list[tuple[list[str], bytes]] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    refused: frozenset[str] = frozenset()
    client_tls: ssl.SSLContext | None = None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        """One recipient."""
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        """The message."""
        self.seen.append((list(envelope.rcpt_tos), envelope.content))
        self.secure.append(session.ssl is not None)
        return "250 OK"


def _login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    known = isinstance(given, LoginPassword) and given.password == MAIL_PASSWORD.encode()
    return AuthResult(success=known and given.login == MAIL_USER.encode())


@asynccontextmanager
async def mail_receiver(folder: Path) -> AsyncIterator[MailReceiver]:
    """A running SMTP server on loopback that insists on STARTTLS and on its user's password."""
    certificate, key = self_signed(folder, "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    receiver = MailReceiver(client_tls=ssl.create_default_context(cafile=str(certificate)))
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            receiver, tls_context=tls, require_starttls=True, auth_required=True, authenticator=_login, loop=loop
        )

    server = await loop.create_server(session, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def alerts_of(
    url: str,
    clock: Clock | None = None,
    *,
    retry: Retry | None = None,
    mailer: Mailer | None = None,
    seconds: float = 2.0,
    started: bool = False,
) -> AsyncIterator[Alerts]:
    """The alerts of a control plane on a database, as one process has them; nothing runs by itself unless `started`."""
    pool = create_pool(url, 4)
    await pool.open()
    alerts = Alerts(
        pool,
        Vault([KEK]),
        clock or SystemClock(),
        WebhookSender(LOOPBACK, seconds=seconds),
        mailer or Mailer(None, ""),
        retry=retry,
        interval_seconds=0.2,
    )
    await alerts.open()
    try:
        if started:
            alerts.start()
        yield alerts
    finally:
        await alerts.close()
        await pool.close()
