"""Sends one message to one receiver, and says what happened. It decides nothing about retries.

Webhooks go out without redirects and proxies, to addresses that the guard allows: the one that a connection is made to
is checked when it is made, so that a name cannot mean another address than the one that was looked at. What a receiver
answers is counted, never kept; errors name the kind of failure and never a URL, a secret or an answer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import aiosmtplib

from tollway.controlplane.alerts.messages import DELIVERY_HEADER, SIGNATURE_HEADER
from tollway.core.netguard import Guard, address_refusal, url_refusal

SECONDS = 10.0
"""For one message, everything included."""
ANSWER_BYTES = 64 << 10
"""Of an answer, at most this much is read before the connection is closed."""
Networks = Sequence[IPv4Network | IPv6Network]


class Outcome(tuple[bool, int, str]):
    """(delivered, status, error): the HTTP status or SMTP code, 0 for none; an empty error when it was delivered."""

    __slots__ = ()

    @property
    def delivered(self) -> bool:
        """Whether the receiver has taken it."""
        return self[0]

    @property
    def status(self) -> int:
        """What it answered."""
        return self[1]

    @property
    def error(self) -> str:
        """Why it was not delivered."""
        return self[2]


def _failed(error: str, status: int = 0) -> Outcome:
    return Outcome((False, status, error))


def address_problem(address: str, networks: Networks) -> str | None:
    """Why an address must not be connected to: public ones may, and those of `networks`, but never link-local ones."""
    refusal = address_refusal(address, Guard.TENANT)
    if refusal is None or address_refusal(address, Guard.OPERATOR) is not None:
        return refusal
    try:
        parsed = ip_address(address.split("%", 1)[0])
    except ValueError:
        return refusal
    return None if any(parsed in network for network in networks) else refusal


def url_problem(url: str, networks: Networks) -> str | None:
    """Why a URL must not be used, as far as that can be told without asking for its name's addresses."""
    refusal = url_refusal(url, Guard.TENANT)
    if refusal is None or not networks or url_refusal(url, Guard.OPERATOR) is not None:
        return refusal
    host = urlsplit(url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        # Names of the local network are fine where such addresses are; other spellings of addresses are not.
        return None if any(c.isalpha() for c in host.rpartition(".")[2]) and not host.startswith("0x") else refusal
    return address_problem(host, networks)


class Refused(OSError):
    """The address must not be connected to."""


class WebhookSender:
    """Posts to webhooks. One for a process; `open` and `close` it inside the event loop."""

    def __init__(self, networks: Networks = (), *, tls: ssl.SSLContext | None = None, seconds: float = SECONDS) -> None:
        self._networks = networks
        self._tls = tls
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the session."""
        connector = aiohttp.TCPConnector(
            limit=64,
            limit_per_host=4,
            force_close=True,
            use_dns_cache=False,
            socket_factory=self._socket,
            ssl=self._tls if self._tls is not None else True,
            resolver=aiohttp.ThreadedResolver(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
        )

    async def close(self) -> None:
        """Closes the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that is about to be connected to. Raises Refused."""
        family, kind, protocol, _, where = address
        if (problem := address_problem(str(where[0]), self._networks)) is not None:
            raise Refused(None, f"the host's address {problem}")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    async def post(self, url: str, body: bytes, delivery: str, signed: str = "") -> Outcome:
        """Sends a JSON body; every answer of 200 to 299 is a delivery."""
        assert self._session is not None, "open it first"
        if (problem := url_problem(url, self._networks)) is not None:
            return _failed(f"the URL {problem}")
        headers = {"Content-Type": "application/json", "User-Agent": "tollway-alerts", DELIVERY_HEADER: delivery}
        if signed:
            headers[SIGNATURE_HEADER] = signed
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                await response.content.read(ANSWER_BYTES)
                return _judged(response.status)
        except TimeoutError:
            return _failed(f"no answer in {self._seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            return _failed(_connection(error.os_error))
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return _failed(f"the call failed: {type(error).__name__}")


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome((True, status, ""))
    if 300 <= status < 400:
        return _failed(f"the receiver answered with a redirect ({status}), which is not followed", status)
    return _failed(f"the receiver answered {status}", status)


def _connection(error: OSError) -> str:
    if isinstance(error, Refused):
        return str(error.strerror)
    if isinstance(error, socket.gaierror):
        return "the host's name has no address"
    if isinstance(error, ssl.SSLError):
        return "the host's certificate is not valid"
    text = str(error.strerror or "")
    # Several addresses were tried: ours are the words of the guard, the others are the system's.
    if "is not a public address" in str(error) or "link-local" in str(error):
        return "the host's address is not a public address"
    return f"cannot connect: {text}" if text else "cannot connect"


@dataclass(frozen=True)
class SmtpServer:
    """The mail server, as `TOLLWAY_SMTP_URL` names it. `tls` is "starttls" (required), "tls" or "none"."""

    host: str
    port: int
    tls: str
    username: str = ""
    password: str = field(default="", repr=False)


def parse_smtp(text: str) -> SmtpServer:
    """`smtp://user:password@host:587` (STARTTLS is required; `?tls=none` for a relay that has none), or `smtps://`."""
    try:
        parts = urlsplit(text)
        port = parts.port
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("must look like smtp://user:password@host:587 or smtps://user:password@host:465") from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("must look like smtp://user:password@host:587 or smtps://user:password@host:465")
    if query not in ({}, {"tls": ["none"]}) or (query and parts.scheme == "smtps"):
        raise ValueError("knows only the option ?tls=none, for smtp://")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if refusal := url_refusal(f"http://{host}", Guard.OPERATOR):
        raise ValueError(refusal)
    tls = "tls" if parts.scheme == "smtps" else "none" if query else "starttls"
    return SmtpServer(
        host=parts.hostname,
        port=port or (465 if tls == "tls" else 587),
        tls=tls,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


class Mailer:
    """Sends mail over one server, a connection for each message. `public_url`: where its readers find the portal."""

    def __init__(
        self,
        server: SmtpServer | None,
        sender: str,
        *,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
        public_url: str = "",
    ) -> None:
        self._server = server
        self.sender = sender
        self.public_url = public_url.rstrip("/")
        self._tls = tls
        self._seconds = seconds

    @property
    def usable(self) -> bool:
        """Whether a mail server is set."""
        return self._server is not None

    async def send(self, message: EmailMessage, recipients: list[str]) -> Outcome:
        """Sends a message; delivered is what the server has taken for one recipient at least."""
        server = self._server
        if server is None:
            return _failed("no mail server is set: TOLLWAY_SMTP_URL and TOLLWAY_SMTP_FROM")
        try:
            async with asyncio.timeout(self._seconds):
                refused, _ = await aiosmtplib.send(
                    message,
                    sender=self.sender,
                    recipients=recipients,
                    hostname=server.host,
                    port=server.port,
                    username=server.username or None,
                    password=server.password or None,
                    use_tls=server.tls == "tls",
                    start_tls=server.tls == "starttls",
                    tls_context=self._tls,
                    timeout=self._seconds,
                )
        except aiosmtplib.SMTPAuthenticationError as error:
            return _failed("the mail server refuses the user name or password", error.code)
        except aiosmtplib.SMTPRecipientsRefused:
            return _failed("the mail server refuses every recipient")
        except aiosmtplib.SMTPResponseException as error:
            return _failed(f"the mail server answered {error.code}", error.code)
        except (TimeoutError, aiosmtplib.SMTPTimeoutError):
            return _failed(f"the mail server did not answer in {self._seconds:g} s")
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _failed(f"the mail server cannot be used: {type(error).__name__}")
        if refused:
            # The others have it: to send it again would tell them twice.
            return Outcome((True, 250, f"the mail server refuses {len(refused)} of {len(recipients)} recipients"))
        return Outcome((True, 250, ""))
